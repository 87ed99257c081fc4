//! Rules through the real daemon: mail that comes in over SMTP, and mail for local recipients of this machine's programs.

mod actions;
mod disk;
mod held;
mod life;
mod mailboxes;
mod reports;
mod user;

use crate::daemon::Daemon;
use crate::listener::{Talk, ports};
use crate::support::server::Server;
use std::path::Path;

/// The listener that the tests speak to.
const LISTEN: &str = "[[listen]]\naddress = \"127.0.0.1:0\"\npurpose = \"incoming\"\n\
    domains = [\"example.com\", \"example.net\"]\n";

/// A daemon with these rules; `@` in them is its directory.
fn sorting(server: &Server, rules: &str) -> (Daemon, u16) {
    let daemon =
        Daemon::start_with(server, |place| format!("{LISTEN}{}", rules.replace('@', place).replace("(at)", "@")));
    let port = ports(&daemon, 1)[0];
    (daemon, port)
}

/// Sends a message with this subject; the reply after the dot, or to the recipient where that is refused.
fn send(port: u16, to: &str, subject: &str) -> String {
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<ann@example.org>", "250");
    let said = talk.say(&format!("RCPT TO:<{to}>"));
    if !said.starts_with("250") {
        return said;
    }
    talk.expect("DATA", "354");
    talk.say(&format!("From: ann@example.org\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nbody\r\n."))
}

/// The texts in a maildir.
fn mails(maildir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(maildir.join("new")).into_iter().flatten().flatten();
    entries.map(|entry| String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned()).collect()
}

/// A file's text; empty where there is none.
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
