//! The msmtprc files that msmtp itself would read, and their owner and mode where they hold a password.
//!
//! Unlike msmtp, a file that is there but cannot be read is an error that names it.

use super::super::error::{ConfigError, Place};
use super::super::load::{is_there, whose};
use super::super::model::Account;
use super::overrides::Overrides;
use super::{Facts, Parsed, parse_with};
use crate::sys::files::{Guard, check_secret};
use crate::sys::owners::Way;
use crate::sys::{env, files, spawn};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an `eval` may take.
const EVAL: Duration = Duration::from_secs(60);

/// The files of msmtp, in the order of reading.
#[derive(Clone, Debug, Default)]
pub struct MsmtprcFiles {
    /// `/etc/msmtprc`; skipped where it is not there.
    pub system: Option<PathBuf>,
    /// The user's, or the one named with `-C`; must be there.
    pub user: Option<PathBuf>,
}

impl MsmtprcFiles {
    /// What msmtp would read: `ETC/msmtprc`, then the first of `~/.msmtprc` and `$XDG_CONFIG_HOME/msmtp/config`
    /// (`config_home`; below the home where that is not set). Only files that are there; both may be missing.
    #[must_use]
    pub fn discover(etc: &Path, home: Option<&Path>, config_home: Option<&Path>) -> Self {
        let system = etc.join("msmtprc");
        let user = Self::user_candidates(home, config_home).into_iter().find(|path| is_there(path, true));
        Self { system: is_there(&system, false).then_some(system), user }
    }

    /// The places where a user's file may be.
    pub(in super::super) fn user_candidates(home: Option<&Path>, config_home: Option<&Path>) -> Vec<PathBuf> {
        let own = home.map(|home| home.join(".msmtprc"));
        own.into_iter().chain(config_home.map(|base| base.join("msmtp/config"))).collect()
    }
}

/// Whose file it is, which decides about a literal `password` in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Trust {
    /// The system's: never checked.
    System,
    /// The user's: owned by the caller, no bits beyond u+rw; or root's, as any file with a secret.
    User,
    /// Named in postrider.toml: as any file with a secret.
    Named,
}

/// The accounts of the system's file, then the user's; a same-named one of the user's file wins.
///
/// # Errors
/// The first fault with file and line; a file that is there but cannot be read; a user's file with a literal
/// `password` that others may read.
pub fn load_accounts(
    files: &MsmtprcFiles,
    uid: u32,
    home: Option<&Path>,
    overrides: &Overrides,
) -> Result<Vec<Account>, ConfigError> {
    let mut accounts = Vec::new();
    if let Some(system) = files.system.as_deref() {
        accounts = read_file(system, Trust::System, uid, home, overrides)?;
    }
    if let Some(user) = files.user.as_deref() {
        let own = read_file(user, Trust::User, uid, home, overrides)?;
        accounts.retain(|account| own.iter().all(|other| other.name != account.name));
        accounts.extend(own);
    }
    Ok(accounts)
}

/// The accounts of one file.
pub(in super::super) fn read_file(
    path: &Path,
    trust: Trust,
    uid: u32,
    home: Option<&Path>,
    overrides: &Overrides,
) -> Result<Vec<Account>, ConfigError> {
    let whole = Place::new(path, 0);
    let (data, guard) = match files::read(path) {
        Ok((data, guard)) => (Zeroizing::new(data), guard),
        Err(error) if error.kind() == ErrorKind::NotFound && trust == Trust::System => return Ok(Vec::new()),
        Err(error) => return Err(ConfigError::at(&whole, format!("cannot be read: {error}"))),
    };
    trusted(path, trust, &guard, uid).map_err(|what| ConfigError::at(&whole, what))?;
    let parsed = with_facts(home, |facts| parse_with(&data, path, facts, overrides, &mut |command| run(command)))?;
    check(path, trust, &guard, uid, &parsed)?;
    Ok(parsed.accounts)
}

/// The account that a command line makes on its own.
///
/// # Errors
/// A setting that makes no sense without another.
pub fn command_line_account(overrides: &Overrides, home: Option<&Path>) -> Result<Account, ConfigError> {
    with_facts(home, |facts| overrides.account(facts))
}

/// Calls a function with what the substitutions stand for on this host.
fn with_facts<T>(home: Option<&Path>, call: impl FnOnce(&Facts<'_>) -> T) -> T {
    let mailname = files::read(Path::new("/etc/mailname")).ok().and_then(|(name, _)| first_word(&name));
    let hostname = env::hostname();
    let canonical = env::canonical_hostname();
    call(&Facts { home, hostname: &hostname, canonical: &canonical, mailname: mailname.as_deref() })
}

/// An msmtprc names commands (`passwordeval`, `eval`): nobody else may change it. The user's own file, or what he names with
/// `-C`, may be another's, which root's may not.
fn trusted(path: &Path, trust: Trust, guard: &Guard, uid: u32) -> Result<(), String> {
    let way = Way::to_run_as(uid);
    let way = if trust == Trust::User && uid != 0 { way.or(guard.uid) } else { way };
    way.check(path).map_err(|error| whose(&error))
}

/// Owner and mode of a file with a literal password.
fn check(path: &Path, trust: Trust, guard: &Guard, uid: u32, parsed: &Parsed) -> Result<(), ConfigError> {
    let Some(line) = parsed.password_line else { return Ok(()) };
    let place = Place::new(path, line);
    let shown = path.display();
    match trust {
        Trust::System => Ok(()),
        Trust::Named => check_secret(path, guard, uid).map_err(|why| ConfigError::at(&place, why)),
        // Root has put it there for the user, who reads it by its group.
        Trust::User if guard.uid == 0 && uid != 0 => {
            check_secret(path, guard, uid).map_err(|why| ConfigError::at(&place, why))
        }
        Trust::User if guard.uid != uid => Err(ConfigError::at(
            &place,
            format!("holds a password and belongs to user {}; mend it with: chown {uid} {shown}", guard.uid),
        )),
        Trust::User if guard.mode & 0o177 != 0 => Err(ConfigError::at(
            &place,
            format!("holds a password and its mode is {:04o}; mend it with: chmod 0600 {shown}", guard.mode),
        )),
        Trust::User => Ok(()),
    }
}

/// An `eval`; what it says on failure may hold anything and is not repeated.
fn run(command: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let argv = ["/bin/sh".to_owned(), "-c".to_owned(), command.to_owned()];
    match spawn::output(&argv, EVAL) {
        Ok(printed) => Ok(Zeroizing::new(printed)),
        Err(spawn::SpawnError::Failed(_)) => Err("failed; run the command by hand to see why".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// The first line of /etc/mailname, where it may be a host name.
fn first_word(data: &[u8]) -> Option<String> {
    let line = data.split(|byte| *byte == b'\n').next()?;
    let name = std::str::from_utf8(line).ok()?.trim();
    super::super::server::check_host(name).ok().map(|()| name.to_owned())
}
