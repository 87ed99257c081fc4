//! Real programs that send mail, each through its own code, with postrider as their sendmail.
//!
//! For each: exactly one message at the server, over the right account, with the right envelope, header and body; and
//! what the program itself says of a success and of a refusal by the server. A program that is absent is skipped by
//! name. Scripts that use a library are in `tests/compat`.

mod cron;
mod php;
mod scripting;
mod unix;

use crate::support::run::{Finished, Home};
use crate::support::script::Script;
use crate::support::server::{Message, Server};
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

/// From, of the sender `shop`.
const SHOP: &str = "shop@example.com";
/// To.
const CUSTOMER: &str = "customer@example.org";
/// Bcc.
const AUDIT: &str = "audit@example.net";
/// What the refusing server says to a recipient.
const REFUSAL: &str = "550 5.1.1 no such user here";
/// A body with what goes wrong first: lone dots, dots at the start, an empty line before the end.
const BODY: &str = "first line\n.\n.hidden\n..two\n\nlast line\n";

/// A server, and a home whose configuration sends mail of [`SHOP`] over the login `shop`, all other over `server`.
struct Site {
    server: Server,
    home: Home,
}

impl Site {
    /// With a server that takes every message.
    fn taking() -> Self {
        Self::with(script())
    }

    /// With a server that refuses every recipient.
    fn refusing() -> Self {
        Self::with(script().reply("RCPT", REFUSAL))
    }

    fn with(script: Script) -> Self {
        let server = script.start();
        let home = Home::new().config(&configuration(server.port));
        Self { server, home }
    }

    /// Runs a program, found on the home's PATH.
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Finished {
        let arguments = [&["env", program], arguments].concat();
        self.home.program(Path::new("/usr/bin/env"), &arguments[1..], input)
    }

    /// The path of the home's sendmail.
    fn sendmail(&self) -> String {
        self.home.path("bin/sendmail").display().to_string()
    }

    /// The one message that arrived.
    #[track_caller]
    fn arrived(&self) -> Arrived {
        let mut messages = self.server.messages();
        let texts: Vec<_> = messages.iter().map(|message| String::from_utf8_lossy(&message.text)).collect();
        assert_eq!(texts.len(), 1, "{texts:#?}");
        Arrived::new(messages.remove(0))
    }

    /// Waits for the one message of a program that does not wait for its sendmail.
    #[track_caller]
    fn arrives(&self, seconds: usize) -> Arrived {
        self.wait(seconds);
        self.arrived()
    }

    /// Waits for the refusal of such a program's message.
    #[track_caller]
    fn refuses(&self, seconds: usize) {
        self.wait(seconds);
        self.refused();
    }

    /// Waits for a connection, and for its end.
    fn wait(&self, seconds: usize) {
        for _ in 0..seconds * 10 {
            let connections = self.server.connections();
            if !connections.is_empty() && connections.iter().all(|connection| connection.ended) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// The recipient was refused once, and nothing was sent.
    #[track_caller]
    fn refused(&self) {
        let connections = self.server.connections();
        let verbs: Vec<_> = connections.iter().flat_map(|connection| connection.verbs()).collect();
        assert_eq!(verbs.iter().filter(|verb| *verb == "MAIL").count(), 1, "{verbs:?}");
        assert!(self.server.messages().is_empty());
    }
}

fn script() -> Script {
    let script = Script::new().offer("PIPELINING").offer("8BITMIME").auth_in_clear();
    script.auth("shop", "secret-1", &["PLAIN"]).auth("server", "secret-2", &["PLAIN"])
}

fn configuration(port: u16) -> String {
    let account = |user: &str, password: &str| {
        format!(
            "server = \"smtp+plain://127.0.0.1:{port}\"\nuser = \"{user}\"\npassword = \"{password}\"\n\
             allow_plaintext_password = true\n"
        )
    };
    format!(
        "domain = \"host.example.com\"\n[log]\nto = \"off\"\n[default]\n{}[[sender]]\nname = \"shop\"\nfrom = \"{SHOP}\"\n{}",
        account("server", "secret-2"),
        account("shop", "secret-1")
    )
}

/// A script below `tests/compat`.
fn compat(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat").join(name).display().to_string()
}

/// Where `config/test.sh` keeps what no package carries.
fn fetched(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The user that the tests run as.
fn user() -> String {
    uzers::get_current_username().expect("a user name").to_string_lossy().into_owned()
}

/// A message at the server, taken apart.
struct Arrived {
    message: Message,
    fields: Vec<String>,
    body: String,
}

impl Arrived {
    #[track_caller]
    fn new(message: Message) -> Self {
        let text = String::from_utf8(message.text.clone()).expect("UTF-8");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "bare CR or LF: {text:?}");
        let (header, body) = text.split_once("\r\n\r\n").expect("an empty line");
        let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
        let fields = unfolded.split("\r\n").map(str::to_owned).collect();
        let body = body.replace("\r\n", "\n");
        Self { message, fields, body }
    }

    /// The login, and the envelope, whatever the order of its recipients.
    #[track_caller]
    fn envelope(self, account: &str, from: &str, recipients: &[&str]) -> Self {
        let message = &self.message;
        assert_eq!((message.account.as_deref(), message.from.as_str()), (Some(account), from));
        let (mut are, mut expected) = (message.recipients.clone(), recipients.to_vec());
        are.sort();
        expected.sort_unstable();
        assert_eq!(are, expected);
        self
    }

    /// The header: each of these lines once (`*` and `?` are wild cards, folds one space); Date and Message-ID once; of
    /// others only those that describe the program or the body's form.
    #[track_caller]
    fn header(self, expected: &[&str]) -> Self {
        self.header_as_given(&[&["Date: ???, *:* ?????*", "Message-ID: <*@*>"], expected].concat())
    }

    /// The same where not even Date and Message-ID go without saying.
    #[track_caller]
    fn header_as_given(self, expected: &[&str]) -> Self {
        let mut rest = self.fields.clone();
        for pattern in expected {
            let pattern = WildMatch::new_case_insensitive(pattern);
            let found = rest.iter().position(|field| pattern.matches(field));
            rest.remove(found.unwrap_or_else(|| panic!("no {pattern}: {:#?}", self.fields)));
        }
        let harmless = ["X-", "MIME-Version:", "Content-", "User-Agent:", "Auto-Submitted:"];
        rest.retain(|field| !harmless.iter().any(|name| field.to_lowercase().starts_with(&name.to_lowercase())));
        assert!(rest.is_empty(), "not expected: {rest:#?} in {:#?}", self.fields);
        self
    }

    /// The body, where it holds names of the machine.
    #[track_caller]
    fn body_like(self, pattern: &str) -> Self {
        assert!(WildMatch::new(pattern).matches(&self.body), "{}", self.body);
        self
    }

    /// The body, octet by octet, with LF for CRLF.
    #[track_caller]
    fn body(self, expected: &str) -> Self {
        assert_eq!(self.body, expected);
        self
    }
}

/// What a program said, on both ways.
fn said(finished: &Finished) -> String {
    format!("{}{}", finished.stdout, finished.stderr)
}
