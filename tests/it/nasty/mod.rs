//! Bad input: a table of nasty command lines, messages and surroundings, each with its status, its one clear line and
//! what reaches the server, octet for octet.
//!
//! Every case runs the real program in a home of its own against a server of its own. Whatever a case is about, it also
//! checks that nothing was sent in part, that nothing but the planned commands reached the server, and that no file
//! came into being.

mod arguments;
mod attacks;
mod content;
mod header;
mod large;
mod process;
mod surroundings;

use crate::support::run::{Finished, Home};
use crate::support::script::Script;
use crate::support::server::{Message, Server};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Header lines that leave nothing to be added.
pub const COMPLETE: &str = "Date: Thu, 1 Jan 2026 00:00:00 +0000\n\
    From: shop@example.com\n\
    Message-ID: <1@example.com>\n";

/// What the program adds at the top for `-f shop@example.com -F Shop` where `COMPLETE` is not there; the values that differ from run to run as `+`.
pub const ADDED: &str = "Date: +\nFrom: Shop <shop@example.com>\nMessage-ID: +\n";

/// One nasty case.
pub struct Case {
    name: &'static str,
    argv: Vec<OsString>,
    input: Vec<u8>,
    shell: String,
    env: Vec<(&'static str, OsString)>,
    status: i32,
    says: &'static str,
    sent: Option<Message>,
}

/// A case that sends nothing and is not judged yet.
pub fn case(name: &'static str) -> Case {
    Case {
        name,
        argv: Vec::new(),
        input: Vec::new(),
        shell: "exec \"$@\"".into(),
        env: Vec::new(),
        status: 0,
        says: "",
        sent: None,
    }
}

impl Case {
    /// The arguments.
    pub fn argv(mut self, argv: &[&str]) -> Self {
        self.argv = argv.iter().map(OsString::from).collect();
        self
    }

    /// An argument that need not be text.
    pub fn raw(mut self, argument: &[u8]) -> Self {
        self.argv.push(OsStr::from_bytes(argument).to_owned());
        self
    }

    /// Standard input.
    pub fn input(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = input.as_ref().to_vec();
        self
    }

    /// How a shell starts the program, `"$@"`; the home is its directory.
    pub fn shell(mut self, script: &str) -> Self {
        self.shell = script.into();
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// It fails with that status, with one line that holds those words, and sends nothing.
    pub fn fails(mut self, status: i32, says: &'static str) -> Self {
        (self.status, self.says, self.sent) = (status, says, None);
        self
    }

    /// It sends, in silence, from `shop@example.com` to these recipients this text (LF stands for CRLF).
    pub fn sends(self, to: &[&str], text: impl AsRef<[u8]>) -> Self {
        self.sends_from("shop@example.com", to, text)
    }

    /// The same from another envelope sender.
    pub fn sends_from(mut self, from: &str, to: &[&str], text: impl AsRef<[u8]>) -> Self {
        let recipients = to.iter().map(|one| (*one).to_owned()).collect();
        self.sent = Some(Message { from: from.into(), recipients, text: crlf(text.as_ref()), ..Message::default() });
        self
    }

    /// Runs it; what is wrong with the result.
    fn run(&self) -> Vec<String> {
        let server = server();
        let mut home = home(&server);
        for (name, value) in &self.env {
            home = home.env(name, value);
        }
        let before = files(&home.path(""));
        let finished = self.start(&home);
        let mut wrong = said(&finished, self.status, self.says);
        wrong.extend(self.judge(&server));
        let after = files(&home.path(""));
        if before != after {
            wrong.push(format!("files: {:?}", before.symmetric_difference(&after).collect::<Vec<_>>()));
        }
        wrong.into_iter().map(|what| format!("{}: {what}", self.name)).collect()
    }

    fn start(&self, home: &Home) -> Finished {
        let script = format!("cd \"$HOME\"; {}", self.shell);
        let mut argv: Vec<OsString> = vec!["-c".into(), script.into(), "sh".into(), home.path("bin/sendmail").into()];
        argv.extend(self.argv.iter().cloned());
        home.program(Path::new("/bin/sh"), &argv, &self.input)
    }

    /// What reached the server: the one message, or not even a DATA; and no command that was not planned.
    fn judge(&self, server: &Server) -> Vec<String> {
        let mut wrong = Vec::new();
        let connections = server.connections();
        let messages: Vec<Message> = connections.iter().flat_map(|one| one.messages.clone()).collect();
        let verbs: Vec<String> = connections.iter().flat_map(|one| one.verbs()).collect();
        let planned = |verb: &String| ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"].contains(&verb.as_str());
        if !verbs.iter().all(planned) {
            wrong.push(format!("commands: {verbs:?}"));
        }
        match (&self.sent, messages.as_slice()) {
            (None, []) if !verbs.iter().any(|verb| verb == "DATA") => {}
            (Some(want), [got]) => {
                let text = normal(&got.text);
                if got.from != want.from || got.recipients != want.recipients {
                    wrong.push(format!("envelope: {} {:.300?}", got.from, got.recipients));
                }
                if text != want.text {
                    wrong.push(format!("text: {:.1500?}", String::from_utf8_lossy(&text)));
                }
            }
            (_, all) => wrong.push(format!("{} messages, commands {verbs:.300?}", all.len())),
        }
        wrong
    }
}

/// Status, silence on standard output, and on standard error silence or one line of plain text that holds the words.
fn said(finished: &Finished, status: i32, says: &str) -> Vec<String> {
    let Finished { status: got, stdout, stderr } = finished;
    let mut wrong = Vec::new();
    if *got != status {
        wrong.push(format!("status {got}, not {status}: {stderr:.500}"));
    }
    if !stdout.is_empty() {
        wrong.push(format!("standard output: {stdout:.200?}"));
    }
    let line = stderr.strip_suffix('\n').unwrap_or(stderr);
    let clear = match says {
        "" => line.is_empty(),
        _ => line.starts_with("sendmail: ") && line.contains(says) && line.len() < 500,
    };
    if !clear || line.contains(char::is_control) {
        wrong.push(format!("standard error: {stderr:.1000?}"));
    }
    wrong
}

/// LF as CRLF.
pub fn crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 20);
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => out.extend_from_slice(&[line, b"\r\n"].concat()),
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// The text with `+` for the values of an added Date and Message-ID.
pub fn normal(text: &[u8]) -> Vec<u8> {
    let header = memchr::memmem::find(text, b"\r\n\r\n").unwrap_or(text.len());
    let mut out = Vec::with_capacity(text.len());
    let mut added = true;
    for line in text[..header].split_inclusive(|octet| *octet == b'\n') {
        let known = [&b"Date: Thu, 1 Jan 2026"[..], b"Message-ID: <1@"].iter().any(|known| line.starts_with(known));
        let name = [&b"Date: "[..], b"Message-ID: "].into_iter().find(|name| line.starts_with(name));
        match name.filter(|_| added && !known) {
            Some(name) => {
                out.extend_from_slice(&[name, &b"+"[..], if line.ends_with(b"\n") { b"\r\n" } else { b"" }].concat())
            }
            None => out.extend_from_slice(line),
        }
        added &= name.is_some() || line.starts_with(b"From: ");
    }
    out.extend_from_slice(&text[header..]);
    out
}

/// A server that offers what usual servers do.
pub fn server() -> Server {
    ["PIPELINING", "8BITMIME", "SIZE 100000000", "DSN"].iter().fold(Script::new(), |all, line| all.offer(line)).start()
}

/// A home whose default relay is that server.
pub fn home(server: &Server) -> Home {
    Home::new().config(&format!(
        "domain = \"local.example\"\n[log]\nto = \"off\"\n[default]\nserver = \"smtp+plain://127.0.0.1:{}\"\n",
        server.port
    ))
}

/// All paths in a directory.
pub fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        found.insert(entry.path().display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&entry.path()));
        }
    }
    found
}

/// Runs a table, and fails with all that is wrong with it.
#[track_caller]
pub fn check(table: Vec<Case>) {
    let wrong: Vec<String> = table.iter().flat_map(Case::run).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}
