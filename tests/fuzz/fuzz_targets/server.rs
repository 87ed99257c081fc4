//! The server's side of the dialogue, answered at random: it never stops moving, its replies are well-formed, the message
//! it hands on has the length that it tells, and with its trace field it reads back as that field and the client's text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::daemon::smtp::trace::{self, Arrival};
use postrider::message::read::{self, ReadRules};
use postrider::smtp::server::{Action, Features, Limits, Received, Session, Waiting};

fn answer(session: &mut Session, yes: bool) {
    if yes { session.accept() } else { session.reject(550, (5, 7, 1), "no\r\n250 such thing") }
}

fn features(flags: u8) -> Features {
    Features {
        starttls: flags & 1 != 0,
        auth: flags & 2 != 0,
        auth_in_clear: flags & 4 != 0,
        require_auth: flags & 8 != 0,
        local: flags & 16 != 0,
        domain: (flags & 32 != 0).then(|| "local.test".to_owned()),
        ..Features::named("mx.test")
    }
}

/// What the listener makes of a message: its trace field stands first, alone, and hides nothing.
fn receive(hello: &str, text: &[u8], received: Received, local: bool) {
    let ends = memchr::memchr2_iter(b'\r', b'\n', text);
    let crlf = memchr::memmem::find_iter(text, b"\r\n").count() * 2;
    assert!(local || received.bare_line_ends == (ends.count() != crlf));
    let arrival = Arrival {
        hello,
        extended: true,
        client: None,
        uid: Some(0),
        tls: None,
        login: false,
        smtputf8: false,
        host: "mx.test",
        id: "0",
        recipient: Some("you@example.org"),
    };
    let field = trace::received(&arrival, chrono::DateTime::UNIX_EPOCH.fixed_offset());
    let whole = [field.as_bytes(), text].concat();
    let Ok(message) = read::read(&mut whole.as_slice(), ReadRules::default()) else { return };
    let first = message.header.fields().first().expect("the trace");
    // The listener sets a text apart that begins with a blank.
    let blank = matches!(text.first(), Some(b' ' | b'\t'));
    assert!(blank || first.raw() == field.trim_end().as_bytes());
    let _ = trace::is_loop(&message.header, "mx.test");
}

fuzz_target!(|data: &[u8]| {
    let [flags, answers, piece, input @ ..] = data else { return };
    let limits = Limits { command_line: 512, message: 4096, recipients: 8, errors: 10, commands: 40, ..Limits::default() };
    let mut session = Session::new(limits, features(*flags), *flags & 64 != 0);
    let (mut asked, mut text, mut hello, mut replies) = (0u32, Vec::new(), String::new(), 0);
    for part in input.chunks(usize::from(*piece).max(1)) {
        session.feed(part);
        while let Some(action) = session.poll() {
            let mut decide = |session: &mut Session| {
                asked += 1;
                answer(session, answers.rotate_left(asked % 8) & 1 == 0);
            };
            match action {
                Action::Reply(reply) => {
                    replies += 1;
                    assert!(reply.ends_with(b"\r\n") && reply[..3].iter().all(u8::is_ascii_digit));
                    let text = reply.strip_suffix(b"\r\n").unwrap_or_default();
                    assert!(text.split(|octet| *octet == b'\n').all(|line| line.get(..3) == Some(&reply[..3])));
                }
                Action::Auth(_) | Action::Mail(_) | Action::Rcpt(_) => decide(&mut session),
                Action::DataBegin => {
                    text.clear();
                    decide(&mut session);
                }
                Action::Data(octets) => text.extend(octets),
                Action::DataEnd(received) => {
                    assert_eq!(received.octets, text.len() as u64);
                    receive(&hello, &text, received, *flags & 16 != 0);
                    decide(&mut session);
                }
                Action::StartTls => {
                    session.feed(b"RSET\r\n");
                    assert_eq!(session.waiting(), Waiting::Handshake);
                    session.tls_started();
                }
                Action::Quit => return,
                Action::Hello { name, .. } => hello = name,
                Action::Reset => {}
            }
        }
        assert!(session.waiting() != Waiting::Nothing);
    }
    assert!(replies > 0 || input.is_empty());
    session.end((4, 4, 2), "too slow");
    let last: Vec<Action> = std::iter::from_fn(|| session.poll()).collect();
    assert!(matches!(last.last(), Some(Action::Quit)) && session.poll().is_none());
});
