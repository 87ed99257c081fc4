//! Which files the configuration is, in the order of preference, and their reading.
//!
//! `--config` or `$POSTRIDER_CONFIG`; the caller's own postrider.toml; the system's; without any of them the environment
//! variables that stand for one, and without those the msmtprc files.
//! A file that is there but cannot be read is an error that names it, never "no configuration". Nothing is merged but
//! the fragments of `senders.d` beside the main file.

use super::build::{self, DefaultSpec, FileConfig};
use super::bulk;
use super::error::{ConfigError, Place};
use super::local::{LocalMail, LocalSpec};
use super::model::{Account, Config, DefaultRelay, MatchFrom, Msmtprc, QueueConfig, Sender};
use super::msmtprc::{self, MsmtprcFiles, Overrides, Trust, load_accounts};
use super::replies::ReplyRule;
use super::staging::{self, Staging};
use super::toml::Source;
use super::{environment, validate};
use crate::sys::owners::{Way, WayError};
use crate::sys::{env, files};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The machine's configuration.
pub const MAIN: &str = "/etc/postrider/postrider.toml";

/// Where a configuration is looked for, and whose it is.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `--config FILE` or `$POSTRIDER_CONFIG`; then nothing else is looked for, and errors repeat nothing of it.
    pub explicit: Option<PathBuf>,
    /// The caller's home directory.
    pub home: Option<PathBuf>,
    /// The caller's user id, who must own files with secrets (or root).
    pub uid: u32,
    /// `/etc`; an argument so that tests can move it.
    pub etc: PathBuf,
}

impl Sources {
    /// `$XDG_CONFIG_HOME` where it is absolute, else `~/.config`.
    fn config_home(&self) -> Option<PathBuf> {
        env::own_directory("XDG_CONFIG_HOME").or_else(|| self.home.as_ref().map(|home| home.join(".config")))
    }

    /// `$XDG_STATE_HOME` where it is absolute, else `~/.local/state`.
    fn state_home(&self) -> Option<PathBuf> {
        env::own_directory("XDG_STATE_HOME").or_else(|| self.home.as_ref().map(|home| home.join(".local/state")))
    }

    fn msmtprc_files(&self) -> MsmtprcFiles {
        MsmtprcFiles::discover(&self.etc, self.home.as_deref(), self.config_home().as_deref())
    }

    /// The files of the msmtp personality, where `explicit` is what `-C` names.
    fn msmtp_files(&self) -> MsmtprcFiles {
        let mut files = self.msmtprc_files();
        if self.explicit.is_some() {
            files.user.clone_from(&self.explicit);
        }
        files
    }

    /// The caller's own msmtprc files, of which msmtp reads the first that is there.
    #[must_use]
    pub fn own_msmtprcs(&self) -> Vec<PathBuf> {
        MsmtprcFiles::user_candidates(self.home.as_deref(), self.config_home().as_deref())
    }

    /// Every file that is looked for, in order.
    fn candidates(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let base = self.config_home();
        let own = base.as_ref().map(|base| base.join("postrider/postrider.toml"));
        let main = own.into_iter().chain([self.etc.join("postrider/postrider.toml")]).collect();
        let mut rest = self.own_msmtprcs();
        rest.push(self.etc.join("msmtprc"));
        (main, rest)
    }
}

/// Whether a file is there, readable or not; a dangling link is. What lies in a directory that the caller may not enter
/// counts as there in `/etc`, so that it is not silently passed over, but not in a home: that home is somebody else's
/// (`$HOME` kept while changing the user).
pub(super) fn is_there(path: &Path, in_home: bool) -> bool {
    match std::fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !in_home && error.kind() != ErrorKind::NotFound,
    }
}

/// Reads the configuration that applies.
///
/// # Errors
/// All faults, sorted by place; one that names the files looked for where there is none of them.
pub fn load(sources: &Sources) -> Result<Config, Vec<ConfigError>> {
    if let Some(explicit) = &sources.explicit {
        return Loader::new(sources, false).main(explicit);
    }
    let (main, rest) = sources.candidates();
    if let Some(file) = main.iter().find(|file| is_there(file, !file.starts_with(&sources.etc))) {
        let mut config = Loader::new(sources, true).main(file)?;
        if !file.starts_with(&sources.etc) && config.queue.directory == QueueConfig::default().directory {
            // Beside the user's own queue: into the machine's a user cannot write.
            config.limits.file = config.limits.file.or_else(|| Some(sources.state_home()?.join("postrider/limits.db")));
        }
        return Ok(config);
    }
    if let Some((file, errors)) = environment::read(&env::var, sources.home.as_deref()) {
        return Loader::new(sources, true).environment(file, errors);
    }
    let msmtp = sources.msmtprc_files();
    if msmtp.system.is_none() && msmtp.user.is_none() {
        let looked: Vec<String> = main.iter().chain(&rest).map(|file| file.display().to_string()).collect();
        let what =
            format!("no configuration; looked for {}; write one of them, or set POSTRIDER_SERVER", looked.join(", "));
        return Err(vec![ConfigError { place: None, what }]);
    }
    let home = sources.home.as_deref();
    let accounts = load_accounts(&msmtp, sources.uid, home, &Overrides::default()).map_err(|error| vec![error])?;
    let local = LocalSpec::default().or_usual(sources.etc.join("aliases"));
    Ok(of_msmtprc(msmtp, Msmtprc { accounts, account: None, match_from: MatchFrom::Never }, local, None))
}

/// A configuration that is an msmtprc and nothing else.
fn of_msmtprc(files: MsmtprcFiles, msmtprc: Msmtprc, local: LocalMail, staging: Option<Staging>) -> Config {
    Config {
        files: files.system.into_iter().chain(files.user).collect(),
        default: DefaultRelay::Msmtprc(msmtprc),
        local,
        staging,
        ..Config::empty()
    }
}

/// The configuration of the msmtp personality: the system's file and the user's, or in the user's place the one that
/// `-C` names (`sources.explicit`), with the command line's settings over the account. A `host` on the command line
/// without `-a` is an account of its own, and no file is read. No account at all is an empty list: then the caller goes
/// on as `sendmail`.
///
/// # Errors
/// As `load_accounts`.
pub fn load_msmtp(sources: &Sources, overrides: &Overrides) -> Result<Config, ConfigError> {
    let home = sources.home.as_deref();
    if overrides.is_account() {
        let account = msmtprc::command_line_account(overrides, home)?;
        let name = Some(account.name.clone());
        let msmtprc = Msmtprc { accounts: vec![account], account: name, match_from: MatchFrom::Never };
        return Ok(of_msmtprc(MsmtprcFiles::default(), msmtprc, LocalMail::default(), None));
    }
    let files = sources.msmtp_files();
    let accounts = load_accounts(&files, sources.uid, home, overrides)?;
    let msmtprc = Msmtprc { accounts, account: None, match_from: MatchFrom::Envelope };
    Ok(of_msmtprc(files, msmtprc, LocalMail::default(), None))
}

/// The `[staging]` that holds for a configuration which is no postrider.toml: that of the file that `sendmail` would take,
/// else the system's.
///
/// # Errors
/// A `[staging]` that is faulty.
pub fn staging_of(sources: &Sources) -> Result<Option<Staging>, Vec<ConfigError>> {
    let files = match &sources.explicit {
        Some(explicit) => vec![explicit.clone()],
        None => sources.candidates().0,
    };
    staging::elsewhere(sources, &files)
}

/// The log file that an unusable msmtp configuration names nevertheless, so that its fault can be logged there: the
/// command line's, else the first of the user's file, else of the system's.
#[must_use]
pub fn msmtp_log_hint(sources: &Sources, overrides: &Overrides) -> Option<PathBuf> {
    let home = sources.home.as_deref();
    let files = sources.msmtp_files();
    let read = |path: &PathBuf| {
        let (data, _) = files::read(path).ok()?;
        msmtprc::log_hint(&Zeroizing::new(data), home)
    };
    overrides.logfile(home).or_else(|| files.user.iter().chain(&files.system).find_map(read))
}

/// That a file which decides what is run is another user's to change, and what mends it.
pub(super) fn whose(error: &WayError) -> String {
    match error {
        WayError::Foreign(foreign) => foreign.advice("who may change this file decides what is run"),
        WayError::Io(..) => error.to_string(),
    }
}

/// Gives every account the rules for replies that hold for all.
fn for_all(replies: &Arc<[ReplyRule]>, default: &mut DefaultRelay, senders: &mut [Sender]) {
    senders.iter_mut().for_each(|sender| sender.relay.replies.all = replies.clone());
    match default {
        DefaultRelay::Server(sender) => sender.relay.replies.all = replies.clone(),
        DefaultRelay::Msmtprc(msmtprc) => {
            msmtprc.accounts.iter_mut().for_each(|account| account.relay.replies.all = replies.clone());
        }
        DefaultRelay::Refuse(_) | DefaultRelay::Missing => {}
    }
}

/// Makes values of a file's text.
type Parse<'p> = dyn Fn(Source<'_>, Option<&Path>) -> (FileConfig, Vec<ConfigError>) + 'p;

/// Reads one postrider.toml and what belongs to it.
struct Loader<'s> {
    sources: &'s Sources,
    quote: bool,
    files: Vec<PathBuf>,
    errors: Vec<ConfigError>,
}

impl<'s> Loader<'s> {
    fn new(sources: &'s Sources, quote: bool) -> Self {
        Self { sources, quote, files: Vec::new(), errors: Vec::new() }
    }

    fn main(mut self, path: &Path) -> Result<Config, Vec<ConfigError>> {
        let mut file = self.file(path, &build::main_file);
        let mut senders = std::mem::take(&mut file.senders);
        for fragment in self.fragments(path) {
            let parse = |source: Source<'_>, home: Option<&Path>| build::fragment(source, home, &file.zone);
            senders.extend(self.file(&fragment, &parse).senders);
        }
        let staging = file.staging.take().or_else(|| self.machine_staging(path));
        self.whole(FileConfig { senders, staging, ..file })
    }

    /// What environment variables say in place of a file.
    fn environment(mut self, file: FileConfig, errors: Vec<ConfigError>) -> Result<Config, Vec<ConfigError>> {
        self.files.push(environment::NAME.into());
        self.errors.extend(errors);
        self.whole(file)
    }

    /// The configuration, checked as a whole.
    fn whole(mut self, mut file: FileConfig) -> Result<Config, Vec<ConfigError>> {
        let mut default = self.default_relay(file.default);
        for_all(&file.replies.into(), &mut default, &mut file.senders);
        self.errors.extend(bulk::unknown(&file.named, &file.senders));
        let config = Config {
            files: self.files,
            enabled: file.enabled,
            resent: file.resent,
            default,
            senders: file.senders,
            domain: file.domain,
            tempfail_exit: file.tempfail_exit,
            log: file.log,
            queue: file.queue,
            listen: file.listen,
            users: file.users,
            rules: file.rules,
            limits: file.limits,
            bulk: file.bulk,
            brake: file.brake,
            local: file.local.or_usual(self.sources.etc.join("aliases")),
            staging: file.staging,
            msmtp: file.msmtp,
        };
        self.errors.extend(validate::validate(&config));
        validate::sort(&mut self.errors);
        if self.errors.is_empty() { Ok(config) } else { Err(self.errors) }
    }

    /// The system's `[staging]` holds for a user's own configuration too, but not for one that was named.
    fn machine_staging(&mut self, path: &Path) -> Option<Staging> {
        let system = self.sources.etc.join("postrider/postrider.toml");
        if self.sources.explicit.is_some() || path == system {
            return None;
        }
        staging::elsewhere(self.sources, &[system]).unwrap_or_else(|errors| {
            self.errors.extend(errors);
            None
        })
    }

    /// Reads one file with its parser, and checks its owner and mode where a password stands in it.
    fn file(&mut self, path: &Path, parse: &Parse<'_>) -> FileConfig {
        let whole = Place::new(path, 0);
        self.files.push(path.to_owned());
        let (data, guard) = match files::read(path) {
            Ok((data, guard)) => (Zeroizing::new(data), guard),
            Err(error) => {
                self.errors.push(ConfigError::at(&whole, format!("cannot be read: {error}")));
                return FileConfig::default();
            }
        };
        if let Err(error) = Way::to_run_as(self.sources.uid).check(path) {
            self.errors.push(ConfigError::at(&whole, whose(&error)));
        }
        let Ok(text) = std::str::from_utf8(&data) else {
            self.errors.push(ConfigError::at(&whole, "not valid TOML: the file is not UTF-8"));
            return FileConfig::default();
        };
        let (file, errors) = parse(Source { text, file: &whole, quote: self.quote }, self.sources.home.as_deref());
        self.errors.extend(errors);
        if file.literal
            && let Err(why) = files::check_secret(path, &guard, self.sources.uid)
        {
            self.errors.push(ConfigError::at(&whole, format!("a password stands in it: {why}")));
        }
        file
    }

    /// `senders.d/*.toml` beside the main file, sorted by name; hidden files are left alone.
    fn fragments(&mut self, main: &Path) -> Vec<PathBuf> {
        let folder = main.parent().unwrap_or(Path::new("")).join("senders.d");
        let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match entries {
            Ok(entries) => {
                let hidden = |path: &PathBuf| path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
                let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
                paths.retain(|path| path.extension() == Some(OsStr::new("toml")) && !hidden(path));
                paths.sort();
                paths
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.errors.push(ConfigError::at(&Place::new(folder, 0), format!("cannot be read: {error}")));
                Vec::new()
            }
        }
    }

    fn default_relay(&mut self, said: Option<DefaultSpec>) -> DefaultRelay {
        let (path, account, match_from, place) = match said {
            Some(DefaultSpec::Server(relay)) => return DefaultRelay::Server(relay),
            Some(DefaultSpec::Refuse(place)) => return DefaultRelay::Refuse(place),
            Some(DefaultSpec::Msmtprc { path, account, match_from, place }) => (path, account, match_from, Some(place)),
            None => (None, None, false, None),
        };
        let accounts = match self.msmtprc(path.as_deref()) {
            Ok(Some(accounts)) => accounts,
            Ok(None) => {
                if let Some(place) = place {
                    let looked: Vec<_> = self.sources.candidates().1.iter().map(|f| f.display().to_string()).collect();
                    let what = format!("relay = \"msmtprc\", but there is none; looked for {}", looked.join(", "));
                    self.errors.push(ConfigError::at(&place, what));
                }
                return DefaultRelay::Missing;
            }
            Err(error) => {
                self.errors.push(error);
                return DefaultRelay::Missing;
            }
        };
        if let (Some(name), Some(place)) = (&account, &place)
            && accounts.iter().all(|account| account.name != *name)
        {
            let known: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).take(20).collect();
            let what = format!("account: the msmtprc has no such account; it has {}", known.join(", "));
            self.errors.push(ConfigError::at(place, what));
        }
        let match_from = if match_from { MatchFrom::Header } else { MatchFrom::Never };
        DefaultRelay::Msmtprc(Msmtprc { accounts, account, match_from })
    }

    /// The accounts of the named msmtprc, else of msmtp's own files; `None` where there is none of them.
    fn msmtprc(&mut self, named: Option<&Path>) -> Result<Option<Vec<Account>>, ConfigError> {
        let (uid, home) = (self.sources.uid, self.sources.home.as_deref());
        if let Some(path) = named {
            self.files.push(path.to_owned());
            let system = path == self.sources.etc.join("msmtprc") && is_there(path, false);
            let trust = if system { Trust::System } else { Trust::Named };
            return msmtprc::read_file(path, trust, uid, home, &Overrides::default()).map(Some);
        }
        let files = self.sources.msmtprc_files();
        if files.system.is_none() && files.user.is_none() {
            return Ok(None);
        }
        self.files.extend(files.system.iter().chain(&files.user).cloned());
        load_accounts(&files, uid, home, &Overrides::default()).map(Some)
    }
}
