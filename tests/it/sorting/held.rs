//! Mail that came in before there was a rule: held, and sorted by the first rules that appear, once.

use super::{LISTEN, mails, send, text};
use crate::daemon::{Daemon, until};
use crate::listener::{Talk, ports};
use crate::support::script::Script;
use postrider::daemon::protocol::{Reply, Request};
use postrider::queue::{Action, Filter};
use rustix::process::Signal;

/// Puts rules behind what is configured; `@` in them is the daemon's directory.
fn add(daemon: &Daemon, rules: &str) {
    let path = daemon.path("postrider.toml");
    let place = daemon.path("").display().to_string();
    let rules = rules.replace('@', place.trim_end_matches('/')).replace("(at)", "@");
    std::fs::write(&path, format!("{}{rules}", text(&path))).unwrap();
}

fn held(daemon: &Daemon) -> Vec<(String, Option<String>)> {
    let Reply::Messages(lines) = daemon.ask(&Request::List { filter: Filter::default(), limit: 100 }) else { panic!() };
    lines.into_iter().map(|line| (line.sender, line.hold)).collect()
}

const RULES: &str = "[rules]\nvia = \"shop\"\n\
    [[rule]]\nname = \"here\"\nlistener = \"127.0.0.1:0\"\nclient = \"127.0.0.0/8\"\nto = \"a(at)example.com\"\nmaildir = \"@/here\"\n\
    [[rule]]\nname = \"elsewhere\"\nlistener = \"local\"\nmaildir = \"@/elsewhere\"\n";

#[test]
fn the_first_rules_sort_what_was_held() {
    let server = Script::new().start();
    let daemon = Daemon::start(&server, LISTEN);
    let port = ports(&daemon, 1)[0];
    for number in 0..20 {
        assert!(send(port, "a@example.com", &format!("number {number}.")).starts_with("250 "));
    }
    // Two, one of whom no rule will take, and one who wants to hear nothing.
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<ann@example.org>", "250");
    for to in ["a@example.com", "b@example.com", "c@example.com> NOTIFY=NEVER"] {
        let (to, more) = to.split_once('>').unwrap_or((to, ""));
        talk.expect(&format!("RCPT TO:<{to}>{more}"), "250");
    }
    talk.expect("DATA", "354");
    talk.expect("Subject: three\r\n\r\nbody\r\n.", "250");
    assert!(held(&daemon).iter().all(|one| *one == ("incoming".into(), Some("no rule takes it".into()))));
    assert_eq!(daemon.queued(), 21);
    // Released without a rule, it is held again.
    daemon.home().run("postrider", &["queue", "release", "--all"], "").expect(0);
    until("it is held again", || held(&daemon).iter().all(|one| one.1.as_deref() == Some("no rule takes it")));
    add(&daemon, RULES);
    daemon.home().run("postrider", &["reload"], "").expect(0);
    daemon.home().run("postrider", &["reload"], "").expect(0);
    until("all of it is sorted", || daemon.queued() == 0);
    let all = mails(&daemon.path("here"));
    assert_eq!(all.len(), 21, "each once");
    assert!(all.iter().all(|mail| mail.starts_with("Return-Path: <ann@example.org>\n")));
    assert!(all.iter().all(|mail| mail.contains("\nDelivered-To: a@example.com\n")));
    assert!(!daemon.path("elsewhere").exists(), "it is known where it came in");
    until("the sender is told of the one", || server.messages().len() == 1);
    let bounce = String::from_utf8_lossy(&server.messages()[0].text).into_owned();
    assert!(bounce.contains("Final-Recipient: rfc822; b@example.com"), "{bounce}");
    assert!(bounce.contains("Status: 5.1.1") && !bounce.contains("c@example.com"), "{bounce}");
    assert!(daemon.log().contains("sorted: there is a rule now"));
}

#[test]
fn a_start_sorts_too_and_what_an_operator_holds_waits() {
    let server = Script::new().start();
    let mut daemon = Daemon::start(&server, LISTEN);
    let port = ports(&daemon, 1)[0];
    assert!(send(port, "a@example.com", "one").starts_with("250 "));
    assert!(send(port, "a@example.com", "two").starts_with("250 "));
    let run = daemon.home().run("mailq", &["--json"], "").expect(0);
    let ids: Vec<String> = run
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().map(str::to_owned))
        .collect();
    daemon.home().run("postrider", &["queue", "hold", &ids[0], "--reason", "evidence"], "").expect(0);
    daemon.signal(Signal::TERM);
    add(&daemon, RULES);
    daemon.restart();
    until("one is sorted", || mails(&daemon.path("here")).len() == 1);
    until("the other waits", || held(&daemon) == [("incoming".to_owned(), Some("evidence".to_owned()))]);
    daemon.home().run("postrider", &["queue", "release", &ids[0]], "").expect(0);
    until("it is sorted once it is released", || mails(&daemon.path("here")).len() == 2 && daemon.queued() == 0);
}

/// Who releases much of it has the answer before it is sorted.
#[test]
fn a_release_does_not_wait_for_the_sorting() {
    let server = Script::new().start();
    let daemon = Daemon::start(&server, LISTEN);
    let mut talk = Talk::hello(ports(&daemon, 1)[0]);
    for number in 0..300 {
        talk.expect("MAIL FROM:<ann@example.org>", "250");
        talk.expect("RCPT TO:<a@example.com>", "250");
        talk.expect("DATA", "354");
        talk.expect(&format!("Subject: number {number}.\r\n\r\nbody\r\n."), "250");
    }
    let act = |action| Request::Act { filter: Filter::default(), action };
    assert!(matches!(daemon.ask(&act(Action::Hold("evidence".into()))), Reply::Touched(300)));
    add(&daemon, RULES);
    daemon.home().run("postrider", &["reload"], "").expect(0);
    assert!(matches!(daemon.ask(&act(Action::Release)), Reply::Touched(300)));
    assert!(held(&daemon).iter().any(|(lane, _)| lane == "incoming"), "answered before all of it is sorted");
    // This one comes while the first is seen to.
    daemon.ask(&act(Action::Release));
    until("all of it is sorted", || daemon.queued() == 0);
    let mut subjects = mails(&daemon.path("here"));
    subjects.iter_mut().for_each(|mail| *mail = mail.lines().find(|line| line.starts_with("Subject")).unwrap().into());
    subjects.sort();
    subjects.dedup();
    assert_eq!((mails(&daemon.path("here")).len(), subjects.len()), (300, 300), "each once");
}

#[test]
fn a_kill_while_it_sorts_neither_loses_nor_doubles() {
    let server = Script::new().start();
    let mut daemon = Daemon::start(&server, LISTEN);
    let port = ports(&daemon, 1)[0];
    let mut talk = Talk::hello(port);
    for number in 0..60 {
        talk.expect("MAIL FROM:<ann@example.org>", "250");
        talk.expect("RCPT TO:<a@example.com>", "250");
        talk.expect("DATA", "354");
        talk.expect(&format!("Subject: number {number}.\r\n\r\nbody\r\n."), "250");
    }
    // The way goes to a program that takes nothing yet, so that every message is seen in the queue.
    add(
        &daemon,
        "[[rule]]\nname = \"p\"\npipe = [\"/bin/sh\", \"-c\", \"test -e @/go || exit 75; cat > @/out.$QUEUE_ID\"]\n",
    );
    daemon.signal(Signal::HUP);
    until("it has begun", || daemon.log().contains("sorted: there is a rule now"));
    daemon.signal(Signal::KILL);
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.restart();
    until("none is held", || held(&daemon).iter().all(|(lane, _)| lane != "incoming"));
    until("all are delivered", || {
        daemon.home().run("sendmail", &["-q"], "").expect(0);
        daemon.queued() == 0
    });
    let files = std::fs::read_dir(daemon.path("")).unwrap().flatten();
    let mut subjects: Vec<String> = files
        .filter(|file| file.file_name().to_string_lossy().starts_with("out."))
        .map(|file| text(&file.path()).lines().find(|line| line.starts_with("Subject: ")).unwrap().to_owned())
        .collect();
    subjects.sort();
    let whole = subjects.len();
    subjects.dedup();
    assert_eq!((whole, subjects.len()), (60, 60));
}
