//! What `setup` writes: the sender's file, its password file, and a main file where there is none. Each is made whole under
//! another name and then linked to its own, which fails where something stands there.

#![expect(clippy::disallowed_methods, reason = "configuration files are written here")]

use super::counters::Counters;
use super::{Failed, Profile};
use crate::commands::surroundings::Surroundings;
use crate::exit::Status;
use crate::secret::fetch::{self, FetchContext};
use crate::secret::{Secret, SecretSource};
use crate::sys::install::{self, Form};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A main file that says nothing: without a sender's claim the default relay is an msmtprc, where there is one.
const MAIN: &str = "# postrider: the senders are in senders.d/*.toml; postrider check says what is wrong.\n";

/// The name of a file for a sender's name: letters, digits, `.`, `-`, `_` and `@`, and never a hidden one.
pub(super) fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@') { c } else { '-' };
    let text: String = name.to_lowercase().chars().map(plain).take(60).collect();
    let text = text.trim_start_matches(['.', '-']).to_owned();
    if text.is_empty() { "sender".into() } else { text }
}

/// The sender's file.
pub(super) fn sender(profile: &Profile) -> String {
    let mut lines = vec!["[[sender]]".to_owned()];
    let mut key = |name: &str, value: &str| lines.push(format!("{name} = {}", quoted(value)));
    key("name", &profile.name);
    if let Some(provider) = profile.provider {
        key("provider", provider.name);
    }
    if let Some(region) = &profile.region {
        key("region", region);
    }
    key("from", profile.address.as_str());
    if let Some(server) = &profile.server {
        key("server", server);
    }
    key("user", &profile.user);
    if let Some(file) = &profile.ca_file {
        key("ca_file", &file.display().to_string());
    }
    lines.push(format!("password = {{ file = {} }}", quoted(&profile.password_file.display().to_string())));
    lines.join("\n") + "\n"
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// What is to be written, and where.
pub(super) struct Plan {
    pub main: PathBuf,
    pub sender: PathBuf,
    pub profile: Profile,
    pub text: String,
    /// `None`: the password file is there already.
    pub password: Option<Secret>,
    pub group: Option<String>,
    /// There is no main file yet.
    pub fresh: bool,
    /// Where what the group sends is counted, where the sender has limits.
    pub counters: Option<Counters>,
}

/// A copy of the configuration with the sender in it.
pub(super) struct Trial {
    directory: tempfile::TempDir,
    pub main: PathBuf,
}

impl Trial {
    pub(super) fn directory(&self) -> String {
        self.directory.path().display().to_string()
    }
}

impl Plan {
    /// The directory of the configuration, as a text.
    pub(super) fn folder(&self) -> String {
        self.main.parent().unwrap_or(Path::new("/")).display().to_string()
    }

    /// The whole configuration as it would be, where nobody else reads it.
    pub(super) fn trial(&self) -> Result<Trial, Failed> {
        let failed = |error: io::Error| (Status::Io, format!("the configuration cannot be tried out: {error}"));
        let directory = tempfile::Builder::new().prefix("postrider-setup-").tempdir().map_err(failed)?;
        let main = directory.path().join("postrider.toml");
        let senders = directory.path().join("senders.d");
        std::fs::create_dir(&senders).map_err(failed)?;
        let text = if self.fresh { MAIN.as_bytes().to_vec() } else { std::fs::read(&self.main).map_err(failed)? };
        put(&main, &text, 0o600, None).map_err(failed)?;
        let beside = std::fs::read_dir(self.sender.parent().unwrap_or(Path::new("/"))).into_iter().flatten().flatten();
        for path in beside.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "toml")) {
            let (Some(name), Ok(text)) = (path.file_name(), std::fs::read(&path)) else { continue };
            put(&senders.join(name), &text, 0o600, None).map_err(failed)?;
        }
        let own = self.sender.file_name().unwrap_or_default();
        put(&senders.join(own), self.text.as_bytes(), 0o600, None).map_err(failed)?;
        Ok(Trial { directory, main })
    }

    /// The password for the trial of the login: the answer, or what the file holds.
    pub(super) fn fetch(&self, source: &SecretSource, around: &Surroundings) -> Result<Secret, String> {
        if let Some(secret) = &self.password {
            return Ok(Secret::new(secret.expose().to_owned()));
        }
        let context = FetchContext {
            uid: around.who.uid,
            home: around.who.home.as_deref(),
            host: "",
            user: &self.profile.user,
            limit: Duration::from_secs(10),
            ask: false,
        };
        fetch::fetch(source, &context).map_err(|error| error.to_string())
    }

    /// What would be written.
    pub(super) fn shown(&self) -> String {
        let password = match self.password {
            Some(_) => format!("# {} (mode {:04o}): the password\n", self.profile.password_file.display(), self.mode()),
            None => String::new(),
        };
        let main = if self.fresh { format!("# {}\n{MAIN}", self.main.display()) } else { String::new() };
        let counters = self.counters.as_ref().map_or_else(String::new, Counters::shown);
        format!("{main}{password}# {}\n{}{counters}", self.sender.display(), self.text)
    }

    /// What was written, and what comes next.
    pub(super) fn done(&self) -> String {
        let name = self.profile.name.replace('\'', "'\\''");
        let counters = self.counters.as_ref().map_or_else(String::new, Counters::done);
        format!(
            "{}: the sender {} is there\n{counters}Try it: postrider test '{name}' --send-to YOU@example.org\n\
             A running daemon takes it up with: postrider reload\n",
            self.sender.display(),
            self.profile.name
        )
    }

    fn mode(&self) -> u32 {
        if self.group.is_some() { 0o640 } else { 0o600 }
    }

    /// Writes; what was made before a fault goes again.
    pub(super) fn write(&self) -> Result<(), Failed> {
        let group = self.group.as_deref().map(|name| {
            let found = uzers::get_group_by_name(name).map(|group| group.gid());
            found.ok_or_else(|| (Status::Usage, format!("--group: there is no group {name}")))
        });
        let group = match group.transpose()? {
            None => service_group(&self.profile.password_file),
            group => group,
        };
        let mut made: Vec<&Path> = Vec::new();
        let result = self.write_all(group, &mut made);
        if result.is_err() {
            made.iter().for_each(|path| drop(std::fs::remove_file(path)));
        }
        result
    }

    fn write_all<'p>(&'p self, group: Option<u32>, made: &mut Vec<&'p Path>) -> Result<(), Failed> {
        let mode = if group.is_some() { 0o640 } else { self.mode() };
        let folder = self.sender.parent().unwrap_or(Path::new("/"));
        let failed = |path: &Path, error: &io::Error| (Status::CantCreate, format!("{}: {error}", path.display()));
        install::directory(folder).map_err(|error| failed(folder, &error))?;
        let password = self.password.as_ref().map(|secret| zeroize::Zeroizing::new(format!("{}\n", secret.expose())));
        let mut files: Vec<(&Path, &[u8], u32, Option<u32>)> = Vec::new();
        if let Some(password) = &password {
            files.push((&self.profile.password_file, password.as_bytes(), mode, group));
        }
        if self.fresh {
            files.push((&self.main, MAIN.as_bytes(), 0o644, None));
        }
        files.push((&self.sender, self.text.as_bytes(), 0o644, None));
        for (path, text, mode, group) in files {
            put(path, text, mode, group).map_err(|error| failed(path, &error))?;
            made.push(path);
        }
        match (&self.counters, group) {
            (Some(counters), Some(group)) => counters.make(&self.main, group),
            _ => Ok(()),
        }
    }
}

/// The daemon's group, where root writes below /etc and the daemon's user exists: it must read the password.
fn service_group(path: &Path) -> Option<u32> {
    let system = path.starts_with("/etc") && rustix::process::geteuid().is_root();
    uzers::get_group_by_name("postrider").filter(|_| system).map(|group| group.gid())
}

/// A new file with that content, on disk when this returns; never in place of another.
fn put(path: &Path, text: &[u8], mode: u32, group: Option<u32>) -> io::Result<()> {
    install::file(path, text, Form { mode, group, replace: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn names_of_files() {
        assert_eq!(file_name("Shop / Berlin"), "shop---berlin");
        assert_eq!(file_name("../../etc/passwd"), "etc-passwd");
        assert_eq!(file_name("///"), "sender");
        assert_eq!(file_name("a@b.test"), "a@b.test");
    }

    #[test]
    fn nothing_is_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        put(&path, b"one", 0o640, None).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(put(&path, b"two", 0o600, None).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }
}
