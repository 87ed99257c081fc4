//! A Postfix of the distribution as the sending program: its own configuration, queue and log in a temporary directory,
//! started by the test and stopped by it. It needs root and the package postfix.

use super::postfix_instance::{Instance, SERVICES, main_cf, write};
use super::skip;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A running Postfix that sends.
pub struct PostfixClient(Instance);

impl PostfixClient {
    /// Starts one with these files in its configuration directory (`main.cf`, `master.cf`, tables), or says that the test is
    /// skipped and why. What Postfix itself needs is put before main.cf and master.cf.
    pub fn start(test: &str, files: &[(&str, &str)]) -> Option<Self> {
        if !["root", "postfix"].iter().all(|package| skip::require(test, package)) {
            return None;
        }
        let directory = Instance::directory();
        let root = directory.path();
        for (name, text) in files {
            let text = match *name {
                "main.cf" => format!("{}smtp_sasl_security_options = noanonymous\n{text}", main_cf(root)),
                "master.cf" => format!("pickup unix n - n 60 1 pickup\n{SERVICES}{text}"),
                _ => (*text).to_owned(),
            };
            write(root, &format!("etc/{name}"), text.as_bytes(), 0o644);
        }
        Some(Self(Instance::start(directory, 300)))
    }

    /// A file of its configuration.
    pub fn etc(&self, name: &str) -> PathBuf {
        self.0.path().join("etc").join(name)
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
        self.0.log()
    }
}
