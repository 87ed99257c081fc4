//! Dialogues of the server session, and its properties under any input.

use super::*;
use proptest::prelude::*;

fn features() -> Features {
    Features { starttls: true, auth: true, auth_in_clear: true, ..Features::named("mx.example.com") }
}

fn limits() -> Limits {
    Limits { command_line: 512, message: 1000, recipients: 3, errors: 5, ..Limits::default() }
}

/// Answers every question: logins of `tim`, addresses that hold `no` and texts that hold `spam` are refused. Gives the
/// actions, adjoining pieces of text as one.
fn drive(session: &mut Session, input: &[u8]) -> Vec<Action> {
    let mut actions = Vec::new();
    session.feed(input);
    while let Some(action) = session.poll() {
        let refused = match &action {
            Action::Auth(login) => !login.are("tim", &crate::secret::Secret::new("tanstaaf".into())),
            Action::Mail(mail) => mail.path.to_string().contains("no"),
            Action::Rcpt(rcpt) => rcpt.address.as_str().contains("no"),
            _ => false,
        };
        match &action {
            Action::Auth(_) if refused => session.reject(535, (5, 7, 8), "Bad login"),
            Action::Mail(_) | Action::Rcpt(_) if refused => session.reject(550, (5, 1, 1), "No\r\n250 such"),
            Action::Auth(_) | Action::Mail(_) | Action::Rcpt(_) | Action::DataBegin => session.accept(),
            Action::DataEnd(_) => session.accept_with("queued as 17"),
            _ => {}
        }
        push(&mut actions, action);
    }
    actions
}

fn push(actions: &mut Vec<Action>, action: Action) {
    match (actions.last_mut(), action) {
        (Some(Action::Data(text)), Action::Data(more)) => text.extend(more),
        (_, action) => actions.push(action),
    }
}

/// The first words of all replies: `250 2.1.0`, lines of one reply joined.
fn replies(actions: &[Action]) -> Vec<String> {
    let texts = actions.iter().filter_map(|action| match action {
        Action::Reply(octets) => Some(String::from_utf8(octets.clone()).unwrap()),
        _ => None,
    });
    texts.map(|text| text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn talk(input: &str) -> (Vec<Action>, Vec<String>) {
    let mut session = Session::new(limits(), features(), false);
    let actions = drive(&mut session, input.as_bytes());
    let replies = replies(&actions);
    (actions, replies)
}

fn text(actions: &[Action]) -> Vec<&[u8]> {
    actions.iter().filter_map(|action| if let Action::Data(text) = action { Some(&text[..]) } else { None }).collect()
}

#[test]
fn a_pipelined_message_of_rfc_5321() {
    let (actions, replies) = talk(
        "EHLO bar.com\r\nMAIL FROM:<Smith@bar.com>\r\nRCPT TO:<Jones@foo.com>\r\nRCPT TO:<no@foo.com>\r\nDATA\r\n\
         Blah\r\n..etc.\r\n.\r\nQUIT\r\nNOOP\r\n",
    );
    assert_eq!(
        replies,
        [
            "220 mx.example.com",
            "250-mx.example.com 250-PIPELINING",
            "250 2.1.0",
            "250 2.1.5",
            "550 5.1.1",
            "354 End",
            "250 2.0.0",
            "221 2.0.0"
        ]
    );
    assert_eq!(text(&actions), [b"Blah\r\n.etc.\r\n"]);
    assert!(actions.contains(&Action::DataEnd(Received { octets: 13, bare_line_ends: false })));
    assert_eq!(actions.last(), Some(&Action::Quit));
    let refusal = Action::Reply(b"550 5.1.1 No??250 such\r\n".to_vec());
    assert!(actions.contains(&refusal), "a host's text makes no further reply");
}

#[test]
fn ehlo_offers_what_is_there() {
    let mut session = Session::new(limits(), features(), true);
    let actions = drive(&mut session, b"EHLO x\r\n");
    let Some(Action::Reply(reply)) = actions.last() else { panic!("a reply") };
    let reply = String::from_utf8(reply.clone()).unwrap();
    assert!(reply.contains("250-AUTH PLAIN LOGIN\r\n") && reply.contains("250-SIZE 1000\r\n"), "{reply}");
    assert!(!reply.contains("STARTTLS") && reply.ends_with("\r\n250 DSN\r\n"), "{reply}");
}

#[test]
fn commands_out_of_order() {
    let (_, replies) = talk("MAIL FROM:<a@b>\r\nEHLO x\r\nRCPT TO:<a@b>\r\nDATA\r\nBDAT 0 LAST\r\n");
    assert_eq!(replies[1..], ["503 5.5.1", "250-mx.example.com 250-PIPELINING", "503 5.5.1", "503 5.5.1", "503 5.5.1"]);
    let (_, replies) = talk("HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@b>\r\nDATA\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n");
    assert_eq!(replies[1..], ["250 mx.example.com", "250 2.1.0", "550 5.1.1", "554 5.5.1", "503 5.5.1", "503 5.5.1"]);
}

#[test]
fn the_small_commands() {
    let (_, replies) = talk("NOOP x\r\nVRFY x\r\nEXPN x\r\nHELP\r\nRSET\r\nFOO\r\n\r\n\u{1}\r\n");
    assert_eq!(
        replies[1..],
        ["250 2.0.0", "252 2.1.5", "502 5.5.1", "214 2.0.0", "250 2.0.0", "500 5.5.2", "500 5.5.2", "500 5.5.2"]
    );
}

#[test]
fn login_by_plain_and_login_and_its_ends() {
    let plain = openssl::base64::encode_block(b"\0tim\0tanstaaf");
    let (_, replies) = talk(&format!("EHLO x\r\nAUTH PLAIN {plain}\r\nAUTH PLAIN\r\n"));
    assert_eq!(replies[2..], ["235 2.7.0", "503 5.5.1"]);
    let (_, replies) = talk("EHLO x\r\nAUTH LOGIN\r\ndGlt\r\ndGFuc3RhYWY=\r\n");
    assert_eq!(replies[2..], ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0"]);
    let (_, replies) =
        talk("EHLO x\r\nAUTH LOGIN dGlt\r\nd3Jvbmc=\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n?\r\nAUTH NTLM\r\n");
    assert_eq!(replies[2..], ["334 UGFzc3dvcmQ6", "535 5.7.8", "334", "501 5.7.0", "334", "501 5.5.2", "504 5.5.4"]);
}

#[test]
fn no_login_and_no_mail_in_clear_where_tls_is_demanded() {
    let strict = Features { require_tls: true, require_auth: true, auth_in_clear: false, ..features() };
    let mut session = Session::new(limits(), strict, false);
    let found = replies(&drive(&mut session, b"EHLO x\r\nAUTH PLAIN AAAA\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n"));
    assert_eq!(found[2..], ["538 5.7.11", "530 5.7.0", "220 2.0.0"]);
    session.tls_started();
    let found = replies(&drive(&mut session, b"EHLO x\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n"));
    assert_eq!(found[1..], ["530 5.7.0", "503 5.5.1"]);
}

#[test]
fn nothing_sent_before_the_handshake_survives_it() {
    let mut session = Session::new(limits(), features(), false);
    let actions = drive(&mut session, b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<evil@example.com>\r\n");
    assert_eq!(actions.last(), Some(&Action::StartTls));
    assert_eq!(drive(&mut session, b"RSET\r\n"), []);
    session.tls_started();
    assert_eq!(replies(&drive(&mut session, b"MAIL FROM:<a@b>\r\n")), ["503 5.5.1"], "EHLO has to be said again");
}

#[test]
fn chunks_of_rfc_3030() {
    let (actions, replies) = talk(
        "EHLO x\r\nMAIL FROM:<Sam@Random.com>\r\nRCPT TO:<Susan@Random.com>\r\nBDAT 7\r\n.\r\nTo: BDAT 4 LAST\r\n Joe\
         MAIL FROM:<a@b>\r\nBDAT 3 LAST\r\nabcNOOP\r\n",
    );
    assert_eq!(text(&actions), [&b".\r\nTo: "[..], b" Joe"]);
    assert_eq!(replies[4..], ["250 2.0.0", "250 2.0.0", "250 2.1.0", "554 5.5.1", "250 2.0.0"]);
    let (actions, replies) = talk("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nBDAT 2000\r\n".to_owned().as_str());
    assert_eq!((text(&actions).len(), replies.len()), (0, 4), "the octets of a refused chunk are waited for");
}

#[test]
fn limits_are_kept() {
    let begin =
        "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<1@b>\r\nRCPT TO:<2@b>\r\nRCPT TO:<3@b>\r\nRCPT TO:<4@b>\r\nDATA\r\n";
    let (actions, replies) = talk(&format!("{begin}{}\r\n.\r\n", "x".repeat(5000)));
    assert_eq!(replies[6..], ["452 4.5.3", "354 End", "552 5.3.4"]);
    assert_eq!(text(&actions)[0].len(), 1000);
    assert!(actions.contains(&Action::Reset) && !actions.iter().any(|action| matches!(action, Action::DataEnd(_))));
    let (_, replies) = talk("EHLO x\r\nMAIL FROM:<a@b> SIZE=1001\r\n");
    assert_eq!(replies[2..], ["552 5.3.4"]);
    let (actions, replies) = talk(&format!("EHLO x\r\nNOOP {}\r\n{}", "x".repeat(600), "FOO\r\n".repeat(9)));
    assert_eq!(replies.last().unwrap(), "421 4.7.0");
    assert_eq!((replies.len(), actions.last()), (8, Some(&Action::Quit)));
}

#[test]
fn another_protocol_ends_the_session_whatever_follows() {
    let mail = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\nforged\r\n.\r\n";
    let long = format!("POST /{} HTTP/1.1\r\n", "x".repeat(900));
    for begin in ["POST / HTTP/1.1\r\n", "EHLO / HTTP/1.1\r\n", "GET /\n", "Host: x\r\n", "EHLO x\r\nPUT /\r\n", &long]
    {
        let mut session = Session::new(limits(), features(), false);
        let actions = drive(&mut session, format!("{begin}{mail}").as_bytes());
        assert_eq!(replies(&actions).last().unwrap(), "554 5.5.2", "{begin}");
        assert_eq!(actions.last(), Some(&Action::Quit), "{begin}");
        assert!(!actions.iter().any(|action| matches!(action, Action::Mail(_))), "{begin}");
        assert_eq!(session.intruder(), Some(Intruder::OtherProtocol));
    }
}

#[test]
fn who_speaks_before_its_turn_is_not_served() {
    let strict = Features { in_turn: true, ..features() };
    let mut session = Session::new(limits(), strict.clone(), false);
    session.spoken_too_early();
    let actions = drive(&mut session, b"EHLO x\r\n");
    assert_eq!((replies(&actions).len(), actions.last()), (1, Some(&Action::Quit)), "{actions:?}");
    let mut session = Session::new(limits(), strict.clone(), false);
    let found = replies(&drive(&mut session, b"EHLO x\r\nMAIL FROM:<a@b>\r\n"));
    assert_eq!(found, ["220 mx.example.com", "554 5.5.1"]);
    assert_eq!(session.intruder(), Some(Intruder::TooEarly));
    // Once it was told of PIPELINING it may.
    let mut session = Session::new(limits(), strict, false);
    drive(&mut session, b"EHLO x\r\n");
    let found = replies(&drive(&mut session, b"EHLO x\r\nMAIL FROM:<a@b>\r\n"));
    assert_eq!(found[1..], ["250 2.1.0"]);
}

#[test]
fn a_local_program_may_end_lines_with_lf_and_omit_helo() {
    let local = Features { local: true, domain: Some("example.com".into()), ..Features::named("localhost") };
    let mut session = Session::new(limits(), local, false);
    let actions = drive(&mut session, b"MAIL FROM:<root>\nRCPT TO:<joe>\nDATA\nhi\n..\n.\nQUIT\n");
    assert_eq!(replies(&actions)[1..], ["250 2.1.0", "250 2.1.5", "354 End", "250 2.0.0", "221 2.0.0"]);
    assert_eq!(text(&actions), [b"hi\n.\n"]);
    let (_, strict) = talk("NOOP\nNOOP\r\n");
    assert_eq!(strict[1..], ["500 5.5.2", "250 2.0.0"]);
}

#[test]
fn a_host_may_refuse_the_text_the_message_and_the_session() {
    let mut session = Session::new(limits(), features(), false);
    session.feed(b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
    let next = |session: &mut Session| loop {
        match session.poll() {
            Some(Action::Reply(_) | Action::Hello { .. }) => {}
            other => return other,
        }
    };
    assert!(matches!(next(&mut session), Some(Action::Mail(_))));
    assert_eq!(session.poll(), None, "a question waits for its answer");
    session.accept();
    assert!(matches!(next(&mut session), Some(Action::Rcpt(_))));
    session.accept();
    assert_eq!(next(&mut session), Some(Action::DataBegin));
    session.reject(451, (4, 3, 0), "disk full");
    assert_eq!(session.poll(), Some(Action::Reply(b"451 4.3.0 disk full\r\n".to_vec())));
    session.feed(b"DATA\r\nhi\r\n.\r\n");
    assert_eq!(next(&mut session), Some(Action::DataBegin));
    session.accept();
    assert_eq!(next(&mut session), Some(Action::Data(b"hi\r\n".to_vec())));
    assert!(matches!(next(&mut session), Some(Action::DataEnd(_))));
    session.reject(421, (4, 3, 2), "shutting down");
    assert_eq!(session.poll(), Some(Action::Reply(b"421 4.3.2 shutting down\r\n".to_vec())));
    assert_eq!(session.poll(), Some(Action::Quit));
    assert_eq!(session.poll(), None);
}

/// Pieces that make dialogues which go somewhere, and some that do not.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "EHLO x\r\n",
        "HELO y\r\n",
        "MAIL FROM:<a@b>",
        "MAIL FROM:<>",
        " SIZE=9",
        "RCPT TO:<c@d>\r\n",
        "RCPT TO:<no@d>\r\n",
        "DATA\r\n",
        "BDAT 5\r\n",
        "BDAT 3 LAST\r\n",
        "RSET\r\n",
        "STARTTLS\r\n",
        "AUTH PLAIN\r\n",
        "AUTH LOGIN dGlt\r\n",
        "AHRpbQB0YW5zdGFhZg==\r\n",
        "*\r\n",
        "QUIT\r\n",
        "\r\n.\r\n",
        ".",
        "\r\n",
        "\n",
        "\r",
        "..",
        "text",
        "\u{e9}",
    ];
    prop_oneof![
        8 => prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => (0usize..1500).prop_map(|count| vec![b'x'; count]),
    ]
}

fn split(input: &[u8], sizes: &[usize], local: bool) -> Vec<Action> {
    let mut session = Session::new(limits(), Features { local, ..features() }, false);
    let (mut all, mut rest, mut turn) = (Vec::new(), input, 0);
    loop {
        let size = sizes[turn % sizes.len()].min(rest.len());
        let (head, tail) = rest.split_at(size);
        drive(&mut session, head).into_iter().for_each(|action| push(&mut all, action));
        (rest, turn) = (tail, turn + 1);
        if rest.is_empty() {
            return all;
        }
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_actions(
        pieces in prop::collection::vec(piece(), 0..40),
        sizes in prop::collection::vec(1usize..9, 1..6),
        local in any::<bool>(),
    ) {
        let input = pieces.concat();
        prop_assert_eq!(split(&input, &sizes, local), split(&input, &[usize::MAX], local));
    }

    #[test]
    fn any_octets_get_replies_and_no_more_text_than_allowed(input in prop::collection::vec(any::<u8>(), 0..3000)) {
        let actions = split(&input, &[7], true);
        prop_assert!(matches!(actions.first(), Some(Action::Reply(_))));
        let mut whole = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n".to_vec();
        whole.extend(input);
        for text in text(&split(&whole, &[100], false)) {
            prop_assert!(text.len() <= 1000);
        }
    }

    #[test]
    fn what_a_client_stuffs_arrives(lines in prop::collection::vec("[.a-z]{0,4}", 0..30)) {
        let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let stuffed = lines.iter().map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") });
        let input = format!("HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n{}.\r\n", stuffed.collect::<String>());
        let (actions, _) = talk(&input);
        prop_assert_eq!(text(&actions).concat(), message.into_bytes());
    }
}
