//! What a client asks about single recipients (NOTIFY, ORCPT of RFC 3461) where rules take only some of them.

use super::{sorting, text};
use crate::daemon::{Daemon, until};
use crate::listener::{Talk, ports};
use crate::support::script::Script;

const LOCAL: &str = "local_domains = [\"here.example\"]\n";
const RULES: &str =
    "[[rule]]\nname = \"no\"\nto = \"(at)here.example\"\npipe = [\"/bin/sh\", \"-c\", \"echo no >&2; exit 67\"]\n";

#[test]
fn what_is_asked_of_one_recipient_stays_with_it() {
    let server = Script::new().offer("DSN").start();
    let daemon = Daemon::start_with(&server, |_| {
        let rules = RULES.replace("(at)", "@");
        format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{rules}[rules]\nvia = \"shop\"\n")
    });
    // A key of the top level stands before every table.
    let path = daemon.path("postrider.toml");
    std::fs::write(&path, format!("{LOCAL}{}", text(&path))).unwrap();
    daemon.home().run("postrider", &["reload"], "").expect(0);
    let mut talk = Talk::hello(ports(&daemon, 1)[0]);
    talk.expect("MAIL FROM:<shop@example.com> RET=HDRS ENVID=e1", "250");
    for to in [
        "<quiet@here.example> NOTIFY=NEVER",
        "<loud@here.example> NOTIFY=FAILURE ORCPT=rfc822;first@old.example",
        "<one@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;other@old.example",
        "<two@example.org> NOTIFY=NEVER",
        "<three@example.org>",
    ] {
        talk.expect(&format!("RCPT TO:{to}"), "250");
    }
    talk.expect("DATA", "354");
    talk.expect("From: shop@example.com\r\nTo: all@here.example\r\nSubject: x\r\n\r\nbody\r\n.", "250");
    until("the rest is sent and the failure told", || server.messages().len() == 2);
    let connections = server.connections();
    let lines: Vec<String> = connections.iter().flat_map(|connection| connection.commands.clone()).collect();
    for line in [
        "MAIL FROM:<shop@example.com> RET=HDRS ENVID=e1",
        "RCPT TO:<one@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;other@old.example",
        "RCPT TO:<two@example.org> NOTIFY=NEVER",
        "RCPT TO:<three@example.org>",
    ] {
        assert!(lines.iter().any(|said| said.starts_with(line)), "{line}: {lines:#?}");
    }
    let messages = server.messages();
    let bounce = messages.iter().find(|message| message.from.is_empty() || message.from == "<>").unwrap();
    let bounce = String::from_utf8_lossy(&bounce.text).into_owned();
    assert!(bounce.contains("loud@here.example") && bounce.contains("first@old.example"), "{bounce}");
    assert!(!bounce.contains("quiet@here.example"), "who asked for silence has it: {bounce}");
    until("the queue is empty", || daemon.queued() == 0);
}

#[test]
fn mail_that_comes_in_keeps_it_too() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"box\"\nto = \"a(at)example.com\"\nmaildir = \"@/a\"\n\
        [[rule]]\nname = \"no\"\nto = \"(at)example.net\"\npipe = [\"/bin/sh\", \"-c\", \"exit 67\"]\n\
        [rules]\nvia = \"shop\"\n";
    let (daemon, port) = sorting(&server, rules);
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<ann@example.org>", "250");
    for to in ["<a@example.com>", "<b@example.net> NOTIFY=NEVER", "<c@example.net> ORCPT=rfc822;c@old.example"] {
        talk.expect(&format!("RCPT TO:{to}"), "250");
    }
    talk.expect("DATA", "354");
    talk.expect("Subject: x\r\n\r\nbody\r\n.", "250");
    until("the failure is told", || server.messages().len() == 1);
    until("the queue is empty", || daemon.queued() == 0);
    let bounce = String::from_utf8_lossy(&server.messages()[0].text).into_owned();
    assert!(bounce.contains("c@example.net") && bounce.contains("c@old.example"), "{bounce}");
    assert!(!bounce.contains("b@example.net"), "{bounce}");
}
