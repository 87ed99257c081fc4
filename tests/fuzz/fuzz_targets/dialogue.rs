//! The whole dialogue with a server that answers anything at any time: it ends, there is an answer for every recipient,
//! the transcript never shows the password, and what was said is well-formed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::config::{Protocol, Timeouts};
use postrider::deliver::trouble;
use postrider::envelope::{Dsn, Envelope, ReversePath};
use postrider::message::Message;
use postrider::message::address::Address;
use postrider::message::read::{ReadRules, read};
use postrider::net::deadline::Timed;
use postrider::secret::Secret;
use postrider::smtp::auth::{Credentials, MECHANISMS, Mechanism};
use postrider::smtp::client::{Limits, Session};
use postrider::smtp::dialogue::{Event, Transcript};
use postrider::sys::clock::Deadline;
use std::io::{self, Read, Write};
use std::sync::LazyLock;
use std::time::Duration;

const PASSWORD: &str = "tanstaaf-tanstaaf";
const BODY: &[u8] = b"From: a@example.com\r\nSubject: x\r\n\r\n.dot\r\nb\xc3\xa4d\r\n";

static MESSAGE: LazyLock<Message> = LazyLock::new(|| read(&mut &BODY[..], ReadRules::default()).expect("a message"));

/// A server that says its text in pieces and takes everything.
struct Scripted<'d> {
    says: &'d [u8],
    piece: usize,
    heard: Vec<u8>,
}

impl Read for Scripted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.says.len().min(buffer.len()).min(self.piece);
        let (now, later) = self.says.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.says = later;
        Ok(count)
    }
}

impl Write for Scripted<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.heard.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Timed for Scripted<'_> {
    fn set_deadline(&mut self, _: Deadline) {}
}

/// Nothing that is told may hold the password. The server cannot know it, so it cannot say it by itself.
struct Watch;

impl Transcript for Watch {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Client(line) | Event::Note(line) = event {
            assert!(!line.contains(PASSWORD) && !line.contains('\n'));
        }
    }
}

fn limits() -> Limits {
    let long = Duration::from_secs(3600);
    let timeouts = Timeouts { connect: long, command: long, data_end: long, total: long, ..Timeouts::default() };
    Limits::new(&timeouts, Deadline::after(long))
}

fn envelope(count: usize) -> Envelope {
    let address = |text: &str| Address::parse(text).expect("a good address");
    let recipients = (0..count).map(|number| address(&format!("r{number}@example.net"))).collect();
    Envelope::new(ReversePath::Address(address("a@example.com")), recipients, Dsn::default()).expect("recipients")
}

/// One connection as `deliver` makes it; the octets that the server heard.
fn converse(flags: u8, wire: Scripted<'_>) -> Vec<u8> {
    let protocol = if flags & 1 == 0 { Protocol::Smtp } else { Protocol::Lmtp };
    let mut watch = Watch;
    let mut session = Session::new(wire, protocol, limits(), &mut watch);
    let ready = session.greeting().is_ok() && session.ehlo("host.test", flags & 2 == 0).is_ok();
    if ready && flags & 4 != 0 {
        return session.starttls().map(|wire| wire.heard).unwrap_or_default();
    }
    let secret = Secret::new(PASSWORD.to_owned());
    let mechanisms: Vec<&'static Mechanism> = MECHANISMS.iter().collect();
    let credentials = Credentials::new("u", &secret);
    let logged_in = flags & 8 == 0 || session.login(&mechanisms, credentials).is_ok();
    if ready && logged_in {
        let envelope = envelope(1 + usize::from(flags >> 4));
        let answers = session.send(&envelope, &MESSAGE);
        assert_eq!(answers.len(), envelope.recipients().len());
        for failure in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let line = trouble::judge(failure, &trouble::Rules::general()).line("server", None);
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
    session.quit().heard
}

fuzz_target!(|data: &[u8]| {
    let [flags, piece, says @ ..] = data else { return };
    let heard = converse(*flags, Scripted { says, piece: usize::from(*piece).max(1), heard: Vec::new() });
    for (at, _) in heard.iter().enumerate().filter(|(_, octet)| **octet == b'\n') {
        assert!(at > 0 && heard[at - 1] == b'\r', "bare LF");
    }
    assert!(heard.is_empty() || heard.ends_with(b"\n"), "every flight ends with a line");
});
