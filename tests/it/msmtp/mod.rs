//! The msmtp personality through the real binary, with msmtprc files as they are found in the field.

mod commands;
mod compare;
mod defects;
mod options;
mod password;
mod rights;
mod system;

use crate::support::run::{Finished, Home};
use crate::support::script::Script;
use crate::support::server::{Message, Server};

/// A message with nothing that would have to be added but Date and Message-ID.
const MESSAGE: &str = "From: Joe <joe@h.example>\nTo: v@example.net\nSubject: x\n\nhello\n";

/// A server that takes everything, with the usual extensions and the login `u` with password `tanstaaf` in clear.
fn script() -> Script {
    ["PIPELINING", "8BITMIME", "DSN", "SIZE 1000000"].iter().fold(Script::new(), |script, offer| script.offer(offer))
}

fn with_login(script: Script) -> Script {
    script.auth("u", "tanstaaf", &["PLAIN", "LOGIN"]).auth_in_clear()
}

/// An msmtprc for a server: what every account needs, and the lines of a case.
fn rc(server: &Server, lines: &str) -> String {
    format!("account default\nhost 127.0.0.1\nport {}\nfrom joe@example.com\n{lines}\n", server.port)
}

/// A home with that `~/.msmtprc`.
fn home(server: &Server, lines: &str) -> Home {
    let home = Home::new();
    home.write(".msmtprc", rc(server, lines));
    home
}

/// Sends MESSAGE as msmtp with that msmtprc.
fn send(server: &Server, lines: &str, arguments: &[&str]) -> Finished {
    home(server, lines).run("msmtp", arguments, MESSAGE)
}

/// The only message that a server took.
#[track_caller]
fn only(server: &Server) -> Message {
    let messages = server.messages();
    assert_eq!(messages.len(), 1, "{:?}", server.connections());
    messages.into_iter().next().unwrap()
}

/// A message's text.
fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.text).into_owned()
}
