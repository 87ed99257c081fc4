//! Servers that break off, stall, talk too much, or are not there.

use super::*;
use crate::config::Endpoint;
use crate::deliver::trouble::{Kind, Permanence, Scope};
use crate::smtp::phase::Phase;
use std::time::Duration;

fn rude(at: &'static str, act: fn() -> Act) -> Server {
    let mut server = Server::start(move |line| line.starts_with(at).then(act));
    server.relay.timeouts.command = Duration::from_millis(300);
    server.relay.timeouts.data_end = Duration::from_millis(300);
    server
}

#[test]
fn dropped_after_the_dot_is_unknown() {
    let garbage = || Act::Raw(b"garbage\r\n".to_vec());
    for act in [|| Act::Close, || Act::Stall, garbage, || Act::Say("354 more".into())] as [fn() -> Act; 4] {
        let done = deliver(&rude(".", act), &["a@b.test", "c@b.test"]);
        let lost = trouble(&done, 1);
        assert_eq!((lost.permanence, lost.scope, lost.phase), (Permanence::Unknown, Scope::Message, Phase::End));
    }
}

#[test]
fn dropped_before_the_dot_is_temporary() {
    for (at, phase) in [
        ("CONNECT", Phase::Greeting),
        ("EHLO", Phase::Ehlo),
        ("MAIL", Phase::Mail),
        ("RCPT", Phase::Rcpt),
        ("DATA", Phase::Data),
    ] {
        for act in [|| Act::Close, || Act::Stall] as [fn() -> Act; 2] {
            let done = deliver(&rude(at, act), &["a@b.test"]);
            let lost = trouble(&done, 0);
            assert_eq!(
                (lost.permanence, lost.scope, lost.kind),
                (Permanence::Temporary, Scope::Site, Kind::Network),
                "{at}"
            );
            assert_eq!(lost.phase, phase);
        }
    }
}

#[test]
fn quit_changes_nothing() {
    for act in
        [|| Act::Close, || Act::Stall, || Act::Raw(b"x\r\n".to_vec()), || Act::Say("550 no".into())] as [fn() -> Act; 4]
    {
        assert!(deliver(&rude("QUIT", act), &["a@b.test"]).all_sent());
    }
}

#[test]
fn a_trickle_of_octets_is_a_stall_and_slow_replies_are_fine() {
    let drip = || {
        Act::Drip("250-000000000000000000000000000000000000000000000000000000000000000000", Duration::from_millis(20))
    };
    let done = deliver(&rude("EHLO", drip), &["a@b.test"]);
    assert_eq!((trouble(&done, 0).kind, trouble(&done, 0).phase), (Kind::Network, Phase::Ehlo));
    let slow = Server::start(|line| {
        line.starts_with("MAIL").then(|| Act::Drip("250-a\r\n250 b\r\n", Duration::from_millis(2)))
    });
    assert!(deliver(&slow, &["a@b.test"]).all_sent());
}

#[test]
fn the_total_limit_ends_what_single_limits_do_not() {
    let mut server = Server::start(|line| {
        let answers = ["EHLO", "MAIL", "RCPT", "DATA"].iter().any(|verb| line.starts_with(verb));
        answers.then(|| Act::Drip("250 ok\r\n", Duration::from_millis(15)))
    });
    server.relay.timeouts.total = Duration::from_millis(200);
    assert_eq!(trouble(&deliver(&server, &["a@b.test"]), 0).kind, Kind::Network);
}

#[test]
fn endless_and_senseless_replies_are_bounded() {
    for act in [
        || Act::Raw(vec![b'2'; 1 << 20]),
        || Act::Raw(b"250-x\r\n".repeat(1 << 16)),
        || Act::Raw(b"250-x\r\n251 y\r\n".to_vec()),
        || Act::Raw(b"\0\0\0\r\n".to_vec()),
        || Act::Raw(b"HTTP/1.1 400 Bad Request\r\n".to_vec()),
        || Act::Raw(b"354 what\r\n".to_vec()),
    ] as [fn() -> Act; 6]
    {
        let done = deliver(&rude("EHLO", act), &["a@b.test"]);
        assert_eq!((trouble(&done, 0).kind, trouble(&done, 0).permanence), (Kind::Protocol, Permanence::Temporary));
    }
}

#[test]
fn nobody_there() {
    let mut server = rude("CONNECT", || Act::SayAndClose("554 5.7.1 your address is blocked"));
    let done = deliver(&server, &["a@b.test"]);
    assert_eq!((trouble(&done, 0).kind, trouble(&done, 0).scope), (Kind::Refused, Scope::Site));
    server.relay.endpoint = Endpoint::Tcp("no-such-host.invalid".into(), 25);
    let done = deliver(&server, &["a@b.test"]);
    assert_eq!(trouble(&done, 0).phase, Phase::Resolve);
    assert!(matches!(trouble(&done, 0).kind, Kind::UnknownHost | Kind::Network));
}

#[test]
fn a_refusal_in_the_middle_of_the_message_is_heard() {
    let mut server = Server::start(|line| (line == "DATA").then_some(Act::SayAndClose("354 go\r\n552 5.3.4 too big")));
    server.relay.timeouts.command = Duration::from_secs(5);
    let large = message(&[b"Subject: x\r\n\r\n", &b"0123456789\r\n".repeat(2_000_000)[..]].concat());
    let done = run(&server.relay, &envelope(&["a@b.test"]), &large).0;
    let told = trouble(&done, 0);
    assert!(told.reply.as_ref().is_some_and(|reply| reply.code == 552) || told.kind == Kind::Network, "{told:?}");
    assert_ne!(told.permanence, Permanence::Unknown);
}
