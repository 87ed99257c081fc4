//! The server's side of the dialogue, answered at random: it never stops moving, its replies are well-formed, and the
//! message it hands on has the length that it tells.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::smtp::server::{Action, Features, Limits, Session};

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

fuzz_target!(|data: &[u8]| {
    let [flags, answers, piece, input @ ..] = data else { return };
    let limits = Limits { command_line: 512, message: 4096, recipients: 8, errors: 10, ..Limits::default() };
    let mut session = Session::new(limits, features(*flags), *flags & 64 != 0);
    let (mut asked, mut octets) = (0u32, 0u64);
    for part in input.chunks(usize::from(*piece).max(1)) {
        session.feed(part);
        while let Some(action) = session.poll() {
            let mut decide = |session: &mut Session| {
                asked += 1;
                answer(session, answers.rotate_left(asked % 8) & 1 == 0);
            };
            match action {
                Action::Reply(reply) => {
                    assert!(reply.ends_with(b"\r\n") && reply[..3].iter().all(u8::is_ascii_digit));
                    let text = reply.strip_suffix(b"\r\n").unwrap_or_default();
                    assert!(text.split(|octet| *octet == b'\n').all(|line| line.get(..3) == Some(&reply[..3])));
                }
                Action::Auth(_) | Action::Mail(_) | Action::Rcpt(_) => decide(&mut session),
                Action::DataBegin => {
                    octets = 0;
                    decide(&mut session);
                }
                Action::Data(text) => octets += text.len() as u64,
                Action::DataEnd(received) => {
                    assert_eq!(received.octets, octets);
                    decide(&mut session);
                }
                Action::StartTls => session.tls_started(),
                Action::Quit => return,
                Action::Hello { .. } | Action::Reset => {}
            }
        }
    }
});
