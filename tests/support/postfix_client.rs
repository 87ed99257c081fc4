//! A Postfix of the distribution as the sending program: its own configuration, queue and log in a temporary directory,
//! started by the test and stopped by it. It needs root and the package postfix.

use super::postfix::{MASTER, directories, write};
use super::skip;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The services that an SMTP client needs; the clients themselves come from the test.
const SERVICES: &str = "pickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
                        tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n\
                        defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nverify unix - - n - 1 verify\n\
                        proxymap unix - - n - - proxymap\nerror unix - - n - - error\nretry unix - - n - - error\n\
                        postlog unix-dgram n - n - 1 postlogd\n";

/// A running Postfix that sends.
pub struct PostfixClient {
    directory: TempDir,
    master: Child,
}

impl PostfixClient {
    /// Starts one with these files in its configuration directory (`main.cf`, `master.cf`, tables), or says that the test is
    /// skipped and why. What Postfix itself needs is put before main.cf and master.cf.
    pub fn start(test: &str, files: &[(&str, &str)]) -> Option<Self> {
        if !["root", "postfix"].iter().all(|package| skip::require(test, package)) {
            return None;
        }
        let open = std::fs::Permissions::from_mode(0o755);
        let directory = tempfile::Builder::new().prefix("postrider-postfix-").permissions(open).tempdir().unwrap();
        let root = directory.path();
        directories(root);
        write(root, "etc/dynamicmaps.cf", b"", 0o644);
        for (name, text) in files {
            let text = match *name {
                "main.cf" => format!("{}{text}", needed(root)),
                "master.cf" => format!("{SERVICES}{text}"),
                _ => (*text).to_owned(),
            };
            write(root, &format!("etc/{name}"), text.as_bytes(), 0o644);
        }
        // Ends by itself after five minutes, should the test be killed and leave it behind.
        let master = Command::new(MASTER)
            .args(["-d", "-e", "300", "-c"])
            .arg(root.join("etc"))
            .env("MAIL_CONFIG", root.join("etc"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { directory, master })
    }

    /// A file of its configuration.
    pub fn etc(&self, name: &str) -> PathBuf {
        self.directory.path().join("etc").join(name)
    }

    /// Hands a message over, as a program on its machine does.
    pub fn send(&self, arguments: &[&str], message: &str) {
        let mut child = Command::new("/usr/sbin/sendmail")
            .args(arguments)
            .env("MAIL_CONFIG", self.etc(""))
            .stdin(Stdio::piped())
            .spawn()
            .expect("Postfix's sendmail starts");
        child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }

    /// Its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log/mail.log")).unwrap_or_default()
    }
}

impl Drop for PostfixClient {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Postfix said:\n{}", self.log());
        }
        let master = rustix::process::Pid::from_child(&self.master);
        let _ = rustix::process::kill_process(master, rustix::process::Signal::TERM);
        let _ = self.master.wait();
    }
}

fn needed(root: &Path) -> String {
    let root = root.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {root}/queue\ndata_directory = {root}/data\nmeta_directory = {root}/etc\n\
         maillog_file = {root}/log/mail.log\nmaillog_file_prefixes = {root}\ninet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\nmydestination =\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         smtp_sasl_security_options = noanonymous\n"
    )
}
