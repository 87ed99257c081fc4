//! Transactions: pipelined, in steps, partly refused, many recipients, LMTP, what cannot be carried.

use super::*;
use crate::config::Protocol;
use crate::deliver::trouble::{Kind, Permanence, Scope};
use crate::envelope::{Notify, Return};

const BARE: &str = "250 mx.test";

#[test]
fn pipelined_in_few_flights() {
    let server = Server::start(|_| None);
    let done = deliver(&server, &["a@b.test", "c@d.test"]);
    assert!(done.all_sent() && done.tls == "none" && done.login.is_none());
    let record = server.record.lock().unwrap();
    assert_eq!(
        record.lines[1..],
        ["MAIL FROM:<me@mx.test> SIZE=26", "RCPT TO:<a@b.test>", "RCPT TO:<c@d.test>", "DATA", "QUIT"]
    );
    assert_eq!(record.bodies[0], b"Subject: x\r\n\r\n..dot\r\ntext\r\n.\r\n");
    assert_eq!(record.flights, 3, "EHLO, envelope, message with QUIT");
}

#[test]
fn in_steps_without_pipelining() {
    let server = Server::start(script(&[("EHLO", BARE)]));
    assert!(deliver(&server, &["a@b.test", "c@d.test"]).all_sent());
    assert_eq!(server.record.lock().unwrap().flights, 7);
    assert!(server.said("MAIL FROM:<me@mx.test>") && server.said("QUIT"));
}

#[test]
fn helo_where_ehlo_is_unknown() {
    let server = Server::start(script(&[("EHLO", "502 5.5.1 what"), ("HELO", "250 mx.test")]));
    assert!(deliver(&server, &["a@b.test"]).all_sent());
    assert!(server.said("HELO client.test"));
}

#[test]
fn a_refused_recipient_does_not_stop_the_others() {
    for ehlo in [ALL, BARE] {
        let server = Server::start(move |line| match line {
            line if line.starts_with("EHLO") => say(ehlo),
            "RCPT TO:<no@b.test>" => say("550 5.1.1 no such user"),
            "RCPT TO:<later@b.test>" => say("450 4.2.1 later"),
            "RCPT TO:<cannot@b.test>" => say("252 cannot say"),
            _ => None,
        });
        let done = deliver(&server, &["no@b.test", "cannot@b.test", "later@b.test", "a@b.test"]);
        assert!(is_sent(&done, 1) && is_sent(&done, 3));
        let no = trouble(&done, 0);
        assert_eq!(
            (no.scope, no.permanence, no.kind),
            (Scope::Recipient, Permanence::Permanent, Kind::RecipientRefused)
        );
        let line = no.line("mx.test:587", Some(&done.outcomes[0].recipient));
        assert_eq!(line, "server mx.test:587, RCPT TO, recipient no@b.test: refused: 550 5.1.1 no such user");
        assert_eq!(trouble(&done, 2).permanence, Permanence::Temporary);
        assert_eq!(server.record.lock().unwrap().bodies.len(), 1);
    }
}

#[test]
fn all_refused_means_no_message() {
    for data in ["554 5.5.1 no valid recipients", "354 go on"] {
        let server = Server::start(move |line| match line {
            line if line.starts_with("RCPT") => say("571 no"),
            "DATA" => say(data),
            "." => say("554 5.5.1 no recipients"),
            _ => None,
        });
        let done = deliver(&server, &["a@b.test", "c@b.test"]);
        assert_eq!(trouble(&done, 1).reply.as_ref().unwrap().code, 571);
        let record = server.record.lock().unwrap();
        assert!(record.bodies.iter().all(|body| body == b".\r\n"), "only the dot");
        assert_eq!(record.lines.last().unwrap(), "QUIT");
    }
    let server = Server::start(script(&[("EHLO", BARE), ("RCPT", "550 no")]));
    deliver(&server, &["a@b.test"]);
    assert!(!server.said("DATA"));
}

#[test]
fn a_refused_sender_is_the_messages_trouble() {
    for ehlo in [ALL, BARE] {
        let server = Server::start(move |line| match line {
            line if line.starts_with("EHLO") => say(ehlo),
            line if line.starts_with("MAIL") => say("553 5.7.1 not owned by authorized user"),
            line if line.starts_with("RCPT") => say("503 5.5.1 MAIL first"),
            _ => None,
        });
        let done = deliver(&server, &["a@b.test", "c@b.test"]);
        let first = trouble(&done, 0);
        assert_eq!((first.scope, first.permanence, first.kind), (Scope::Message, Permanence::Permanent, Kind::Refused));
        assert_eq!(trouble(&done, 1).reply.as_ref().unwrap().code, 553);
        assert!(server.record.lock().unwrap().bodies.iter().all(|body| body == b".\r\n"));
    }
}

#[test]
fn replies_to_data_and_message() {
    for (at, reply, permanence) in [
        ("DATA", "451 4.3.0 later", Permanence::Temporary),
        (".", "554 5.7.1 spam", Permanence::Permanent),
        (".", "552 5.3.4 too big", Permanence::Permanent),
        (".", "550 5.4.5 daily limit", Permanence::Temporary),
    ] {
        let server = Server::start(move |line| if line == at { say(reply) } else { None });
        let done = deliver(&server, &["a@b.test"]);
        assert_eq!(trouble(&done, 0).permanence, permanence, "{reply}");
    }
}

#[test]
fn ten_thousand_recipients() {
    let server = Server::start(|line| if line.contains("<r77") { say("550 5.1.1 no") } else { None });
    let all: Vec<String> = (0..10_000).map(|number| format!("r{number}@b.test")).collect();
    let done = deliver(&server, &all.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = done.outcomes.iter().filter(|one| matches!(one.verdict, Verdict::Failed(_))).count();
    assert_eq!(refused, 111);
    let record = server.record.lock().unwrap();
    assert!(record.bodies.len() == 1 && record.flights < 120, "{}", record.flights);
}

#[test]
fn too_many_recipients_go_in_several_transactions() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |line| {
        use std::sync::atomic::Ordering::Relaxed;
        match line.split(' ').next() {
            Some("MAIL") => count.store(0, Relaxed),
            Some("RCPT") if count.fetch_add(1, Relaxed) >= 3 => return say("452 4.5.3 too many"),
            _ => {}
        }
        None
    });
    let done = deliver(&server, &["a@b.test", "b@b.test", "c@b.test", "d@b.test", "e@b.test", "f@b.test", "g@b.test"]);
    assert!(done.all_sent());
    assert_eq!(server.record.lock().unwrap().bodies.len(), 3);
    let never = Server::start(script(&[("RCPT", "452 4.5.3 too many")]));
    assert_eq!(trouble(&deliver(&never, &["a@b.test"]), 0).permanence, Permanence::Temporary);
}

#[test]
fn goodbye_in_the_middle() {
    let server = Server::start(|line| match line {
        "RCPT TO:<no@b.test>" => say("550 5.1.1 no"),
        "RCPT TO:<c@b.test>" => Some(Act::SayAndClose("421 4.3.2 shutting down")),
        _ => None,
    });
    let done = deliver(&server, &["no@b.test", "a@b.test", "c@b.test", "d@b.test"]);
    assert_eq!(trouble(&done, 0).permanence, Permanence::Permanent);
    for index in 1..4 {
        assert_eq!(trouble(&done, index).reply.as_ref().unwrap().code, 421);
        assert_eq!(trouble(&done, index).scope, Scope::Site);
    }
}

#[test]
fn lmtp_has_a_reply_for_each() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let mut server = Server::start(move |line| match line {
        "RCPT TO:<no@b.test>" => say("550 5.1.1 no"),
        "." if first.swap(false, std::sync::atomic::Ordering::Relaxed) => {
            Some(Act::Raw(b"250 one\r\n452 4.2.2 full\r\n".to_vec()))
        }
        _ => None,
    });
    server.relay.protocol = Protocol::Lmtp;
    let done = deliver(&server, &["a@b.test", "no@b.test", "c@b.test"]);
    assert!(is_sent(&done, 0) && server.said("LHLO"));
    assert_eq!(trouble(&done, 1).reply.as_ref().unwrap().code, 550);
    assert_eq!(trouble(&done, 2).reply.as_ref().unwrap().code, 452);
}

#[test]
fn what_the_server_cannot_carry_is_refused_before_mail() {
    let server = Server::start(script(&[("EHLO", "250-mx.test\r\n250 SIZE 20")]));
    let utf8 = run(&server.relay, &envelope(&["ü@b.test"]), &message(b"x\r\n")).0;
    assert!(trouble(&utf8, 0).what.contains("ü@b.test") && trouble(&utf8, 0).kind == Kind::Message);
    assert!(trouble(&deliver(&server, &["a@b.test"]), 0).what.contains("26 octets"));
    assert!(!server.said("MAIL") && server.said("QUIT"));
}

#[test]
fn parameters_where_they_are_offered() {
    let server = Server::start(|_| None);
    let notify = Some(Notify { never: true, ..Notify::default() });
    let dsn = Dsn { notify, ret: Some(Return::Full), envid: Some("a b".into()), ..Dsn::default() };
    let envelope = Envelope::new(ReversePath::Null, vec![address("ü@b.test"), address("a@b.test")], dsn).unwrap();
    assert!(run(&server.relay, &envelope, &message("ü\r\n".as_bytes())).0.all_sent());
    assert!(server.said("MAIL FROM:<> SIZE=6 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=a+20b"));
    assert!(
        server.said("RCPT TO:<ü@b.test> NOTIFY=NEVER ORCPT=utf-8;ü@b.test")
            && server.said("RCPT TO:<a@b.test> NOTIFY=NEVER ORCPT=rfc822;a@b.test")
    );
}

#[test]
fn a_large_message_in_pieces() {
    let server = Server::start(|_| None);
    let line = b".0123456789012345678901234567890123456789\r\n";
    let large = line.repeat(50_000);
    assert!(run(&server.relay, &envelope(&["a@b.test"]), &message(&large)).0.all_sent());
    let record = server.record.lock().unwrap();
    assert!(record.bodies[0].len() == large.len() + 50_000 + 5 && record.bodies[0].starts_with(b"\r\n..0"));
}
