//! Fetches a secret from where it is kept, at the moment that it is needed.
//!
//! Errors name the source, never its content. What was read on the way is wiped.

use super::{Secret, SecretSource, search};
use crate::config::{Endpoint, Relay};
use crate::smtp::phase::Phase;
use crate::sys::files::check_secret;
use crate::sys::{env, files, spawn};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest secret, octets: OAuth2 tokens have a few thousand.
const LONGEST: usize = 16 * 1024;

/// For whom and for what a secret is fetched.
#[derive(Clone, Copy, Debug)]
pub struct FetchContext<'c> {
    /// Who must own a secret file (or root).
    pub uid: u32,
    /// The home directory, for `~/.netrc`.
    pub home: Option<&'c Path>,
    /// The server's host, for the keyring, netrc and the question.
    pub host: &'c str,
    /// The login, for the same.
    pub user: &'c str,
    /// How long a command may take, and a person.
    pub limit: Duration,
    /// Whether a person may be asked on the terminal: never in a service.
    pub ask: bool,
}

impl<'c> FetchContext<'c> {
    /// For an account's own secrets, on behalf of that user.
    #[must_use]
    pub fn of(relay: &'c Relay, uid: u32, home: Option<&'c Path>, ask: bool) -> Self {
        let host = match &relay.endpoint {
            Endpoint::Tcp(host, _) => host.as_str(),
            Endpoint::Unix(_) => "localhost",
        };
        let user = relay.user.as_deref().unwrap_or_default();
        Self { uid, home, host, user, limit: relay.timeouts.of(Phase::Secret), ask }
    }
}

/// Why there is no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretError {
    /// The source, as in `password file /etc/postrider/shop.password`.
    pub source: String,
    /// What is wrong and what mends it.
    pub why: String,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.why)
    }
}

impl std::error::Error for SecretError {}

/// Fetches a secret: the first line of what the source holds, without its line end.
///
/// # Errors
/// Where the source is not there, cannot be read, may be read by others, fails, takes too long, or holds nothing.
pub fn fetch(source: &SecretSource, context: &FetchContext<'_>) -> Result<Secret, SecretError> {
    let name = describe(source);
    let result = match source {
        SecretSource::Literal(literal) => Ok(Secret::new(literal.0.expose().to_owned())),
        SecretSource::File(path) => from_file(path, Some(context.uid)),
        SecretSource::Command(argv) => from_command(argv, context.limit),
        SecretSource::Shell(line) => from_command(&["/bin/sh".into(), "-c".into(), line.clone()], context.limit),
        SecretSource::Env(variable) => from_env(variable),
        SecretSource::Credential(credential) => from_credential(credential),
        SecretSource::Searched => search::search(context),
    };
    result.map_err(|why| SecretError { source: name, why })
}

/// The source in words, without what it holds. A command's arguments may be secrets too.
fn describe(source: &SecretSource) -> String {
    match source {
        SecretSource::File(path) => format!("password file {}", path.display()),
        SecretSource::Command(argv) => {
            format!("password command {}", argv.first().map(String::as_str).unwrap_or_default().escape_debug())
        }
        SecretSource::Shell(_) => "password command (passwordeval)".into(),
        SecretSource::Env(variable) => format!("password from ${}", variable.escape_debug()),
        SecretSource::Credential(name) => format!("systemd credential {}", name.escape_debug()),
        SecretSource::Literal(_) => "password in the configuration".into(),
        SecretSource::Searched => "not configured".into(),
    }
}

/// The first line of `data`, which is wiped.
pub(super) fn first_line(data: Vec<u8>) -> Result<Secret, String> {
    let data = Zeroizing::new(data);
    let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(if data.is_empty() { "is empty".into() } else { "the first line is empty".into() });
    }
    if line.len() > LONGEST {
        return Err(format!("the first line is longer than {LONGEST} octets"));
    }
    if line.contains(&0) {
        return Err("the first line holds a NUL octet".into());
    }
    let text = std::str::from_utf8(line).map_err(|_| "the first line is not UTF-8".to_owned())?;
    Ok(Secret::new(text.to_owned()))
}

fn from_file(path: &Path, owner: Option<u32>) -> Result<Secret, String> {
    let (data, guard) = files::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let secret = first_line(data);
    if let Some(uid) = owner {
        check_secret(path, &guard, uid)?;
    }
    secret
}

fn from_command(argv: &[String], limit: Duration) -> Result<Secret, String> {
    match spawn::output(argv, limit) {
        Ok(printed) => {
            first_line(printed).map_err(|why| format!("its output {why}").replace("output the", "output: the"))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn from_env(variable: &str) -> Result<Secret, String> {
    use std::os::unix::ffi::OsStringExt;
    let value = env::var(variable).ok_or("is not set, or empty")?;
    first_line(value.into_vec())
}

/// Below the directory that the service manager made for this unit; nobody else can write there.
fn from_credential(name: &str) -> Result<Secret, String> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err("a credential's name has no slash and does not begin with a dot".into());
    }
    let folder = env::path("CREDENTIALS_DIRECTORY")
        .ok_or("$CREDENTIALS_DIRECTORY is not set; the unit needs LoadCredential= or SetCredential=")?;
    from_file(&folder.join(name), None)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    pub(in crate::secret) fn context(home: &Path) -> FetchContext<'_> {
        let uid = rustix::process::getuid().as_raw();
        FetchContext {
            uid,
            home: Some(home),
            host: "smtp.example.com",
            user: "shop",
            limit: Duration::from_secs(5),
            ask: false,
        }
    }

    pub(in crate::secret) fn file(folder: &Path, name: &str, text: &str, mode: u32) -> std::path::PathBuf {
        let path = folder.join(name);
        let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        file.persist(&path).unwrap();
        path
    }

    fn error(source: &SecretSource, context: &FetchContext<'_>) -> String {
        match fetch(source, context) {
            Ok(_) => panic!("a secret was found"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn files() {
        let folder = tempfile::tempdir().unwrap();
        let context = context(folder.path());
        let good = file(folder.path(), "good", "hunter2\r\nmore\n", 0o640);
        assert_eq!(fetch(&SecretSource::File(good), &context).unwrap().expose(), "hunter2");
        let open = file(folder.path(), "open", "hunter2", 0o644);
        let said = error(&SecretSource::File(open), &context);
        assert!(said.contains("chmod 0640") && !said.contains("hunter2"), "{said}");
        let empty = file(folder.path(), "empty", "\nhunter2", 0o600);
        assert!(error(&SecretSource::File(empty), &context).ends_with("the first line is empty"));
        assert!(error(&SecretSource::File("/nonexistent".into()), &context).contains("/nonexistent: cannot be read"));
    }

    #[test]
    fn commands_and_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let context = context(folder.path());
        let shell = |line: &str| SecretSource::Shell(line.into());
        assert_eq!(fetch(&shell("printf 'a b\\nc'"), &context).unwrap().expose(), "a b");
        let argv = SecretSource::Command(vec!["/bin/echo".into(), "$HOME".into()]);
        assert_eq!(fetch(&argv, &context).unwrap().expose(), "$HOME");
        assert!(error(&shell("exit 3"), &context).contains("failed"));
        assert_eq!(error(&shell(":"), &context), "password command (passwordeval): its output is empty");
        let stalled = FetchContext { limit: Duration::from_millis(50), ..context };
        assert!(error(&shell("sleep 60"), &stalled).contains("was stopped"));
        assert!(error(&SecretSource::Env("POSTRIDER_NOT_SET".into()), &context).contains("is not set"));
        assert!(error(&SecretSource::Credential("../x".into()), &context).contains("slash"));
    }
}
