//! The trial's workshop: a private directory with the configuration, its passwords, and links by which this program is
//! called as `sendmail` and as `postrider`. It is removed at the end.

use super::server::{Account, Server};
use crate::secret::Secret;
use crate::sys::{env, random, spawn};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one call of this program may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The accounts that the server knows.
pub(super) const ACCOUNTS: [&str; 4] =
    ["shop@example.com", "news@example.com", "stale@example.com", "relay@example.net"];

/// The directory and what is in it.
pub(super) struct Workshop {
    directory: tempfile::TempDir,
}

impl Workshop {
    /// A new directory that only this user may enter, with the links in it.
    pub(super) fn open() -> io::Result<Self> {
        let private = std::fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().prefix("postrider-try-").permissions(private).tempdir()?;
        let program = std::env::current_exe()?;
        for name in ["sendmail", "postrider"] {
            symlink(&program, directory.path().join(name))?;
        }
        Ok(Self { directory })
    }

    /// New passwords for all accounts, written to files; what is written for `stale` is not what the server knows.
    pub(super) fn accounts(&self) -> io::Result<Vec<Account>> {
        let account = |user: &&str| {
            let password = random::token()?;
            let written = if user.starts_with("stale") { random::token()? } else { password.clone() };
            self.write(&format!("{user}.password"), format!("{written}\n").as_bytes())?;
            Ok(Account { user: (*user).to_owned(), password: Secret::new(password) })
        };
        ACCOUNTS.iter().map(account).collect()
    }

    /// Writes the configuration for that server, and what PHP needs to call this sendmail.
    pub(super) fn configure(&self, server: &Server, authority: &[u8]) -> io::Result<()> {
        self.write("ca.pem", authority)?;
        let starttls = format!("smtp://127.0.0.1:{}", server.starttls_port);
        let tls = format!("smtps://127.0.0.1:{}", server.tls_port);
        let [shop, news, stale, relay] = ACCOUNTS;
        let text = [
            "[log]\nto = \"off\"\n".to_owned(),
            format!("[default]\n{}", self.account(&starttls, relay)),
            format!(
                "[[sender]]\nname = \"shop\"\nfrom = [\"shop@example.com\"]\nnames = {{ \"marketing@example.com\" = \"Marketing\" }}\n{}",
                self.account(&starttls, shop)
            ),
            format!("[[sender]]\nname = \"news\"\nfrom = [\"*@*.news.example.com\"]\n{}", self.account(&tls, news)),
            format!("[[sender]]\nname = \"stale\"\nfrom = [\"stale@example.com\"]\n{}", self.account(&starttls, stale)),
        ];
        self.write("postrider.toml", text.join("\n").as_bytes())?;
        std::fs::create_dir(self.path("php"))?;
        self.write(
            "php/sendmail.ini",
            format!("sendmail_path = \"{} -t -i\"\n", self.path("sendmail").display()).as_bytes(),
        )
    }

    fn account(&self, server: &str, user: &str) -> String {
        let quoted = |path: PathBuf| toml::Value::String(path.to_string_lossy().into_owned());
        let (password, authority) = (quoted(self.path(&format!("{user}.password"))), quoted(self.path("ca.pem")));
        format!("server = \"{server}\"\nuser = \"{user}\"\npassword = {{ file = {password} }}\nca_file = {authority}\n")
    }

    /// Calls this program as `sendmail` with a message.
    pub(super) fn sendmail(&self, arguments: &[&str], message: &[u8]) -> Result<spawn::Ended, spawn::SpawnError> {
        self.call("sendmail", arguments, message)
    }

    /// Asks `postrider explain` about a message.
    pub(super) fn explain(&self, message: &[u8]) -> Result<spawn::Ended, spawn::SpawnError> {
        self.call("postrider", &["explain", "-t"], message)
    }

    fn call(&self, name: &str, arguments: &[&str], message: &[u8]) -> Result<spawn::Ended, spawn::SpawnError> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        // No HOME of the user's: the trial is about the configuration written here alone.
        let mut environment = self.environment();
        environment.push(("HOME".into(), self.directory.path().into()));
        spawn::run(&self.path(name), &arguments, &environment, message.to_vec(), LIMIT)
    }

    /// Runs the user's own command, which finds this sendmail first. Gives its exit status.
    pub(super) fn command(&self, program: &OsString, arguments: &[OsString]) -> Result<i32, spawn::SpawnError> {
        let mut environment = self.environment();
        environment.push(("PATH".into(), before(self.directory.path(), env::var("PATH"))));
        // PHP takes sendmail from its configuration; an empty first part stands for the directory built into it.
        let scanned = env::var("PHP_INI_SCAN_DIR").unwrap_or_default();
        environment.push(("PHP_INI_SCAN_DIR".into(), joined(scanned, &self.path("php"))));
        spawn::attached(program, arguments, &environment)
    }

    /// The configuration of the trial, and no daemon.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("POSTRIDER_CONFIG".into(), self.path("postrider.toml").into()),
            ("POSTRIDER_SOCKET".into(), self.path("no-daemon").into()),
        ]
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new file that only this user may read.
    fn write(&self, name: &str, data: &[u8]) -> io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(name))?;
        file.write_all(data)
    }
}

fn before(first: &Path, path: Option<OsString>) -> OsString {
    let path = path.unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut whole = first.as_os_str().to_owned();
    whole.push(":");
    whole.push(path);
    whole
}

fn joined(mut scanned: OsString, last: &Path) -> OsString {
    scanned.push(":");
    scanned.push(last);
    scanned
}
