//! The queue of a running daemon, looked at and steered by mailq, sendmail and postrider queue.

use crate::daemon::{Daemon, MESSAGE, as_nobody, nobody, taking, until};
use crate::support::run::{Finished, Home};
use crate::support::script::{Fault, Script};
use postrider::daemon::client::{self, HandOver};
use postrider::daemon::protocol::{Line, Submit};
use postrider::message::read::{self, ReadRules};
use std::path::Path;

/// A daemon that keeps what `-odq` hands over, with that many messages.
fn with(home: &Home, count: usize) {
    for number in 0..count {
        let to = format!("you{number}@example.org");
        home.run("sendmail", &["-odq", "-i", &to], "From: shop@example.com\n\nhello\n").expect(0);
    }
}

fn queue(home: &Home, arguments: &[&str]) -> Finished {
    let all: Vec<&str> = ["queue"].iter().chain(arguments).copied().collect();
    home.run("postrider", &all, "")
}

fn lines(home: &Home) -> Vec<Line> {
    let listed = home.run("mailq", &["--json"], "").expect(0).stdout;
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn columns_and_json() {
    let server = Script::new().on("RCPT", Fault::Reply("451 4.7.1 try again later".into())).start();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    assert_eq!(home.run("mailq", &[] as &[&str], "").expect(0).stdout, "Mail queue is empty\n");
    assert_eq!(home.run("sendmail", &["-bP"], "").expect(0).stdout, "0\n");
    home.run("sendmail", &["-t"], MESSAGE).expect(0);
    until("it was refused for now", || lines(&home).iter().any(|line| line.recipients[0].last.is_some()));
    let table = home.run("sendmail", &["-bp"], "").expect(0).stdout;
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("-Queue ID-") && rows[1].ends_with(" shop@example.com"), "{table}");
    assert!(rows[2].trim().starts_with('(') && rows[2].ends_with("451 4.7.1 try again later)"), "{table}");
    assert_eq!((rows[3].trim(), rows.last().unwrap().starts_with("-- ")), ("you@example.org", true), "{table}");
    assert_eq!(home.run("sendmail", &["-bP"], "").expect(0).stdout, "1\n");
    let line = &lines(&home)[0];
    assert_eq!((line.sender.as_str(), line.hold.as_deref()), ("shop", None));
    assert!(rows[1].starts_with(&line.id) && line.size > 0 && line.created > 0, "{table}");
    let shown = queue(&home, &["show", &line.id]).expect(0).stdout;
    assert!(shown.contains("last: ") && shown.contains("attempts 1"), "{shown}");
    let by_state = |state: &str| queue(&home, &["list", "--state", state]).expect(0).stdout;
    assert!(by_state("deferred").contains(&line.id), "{}", by_state("deferred"));
    for state in ["new", "held"] {
        assert_eq!(by_state(state), "Mail queue is empty\n", "{state}");
    }
    home.run("sendmail", &["-bp", "--json", "-qRnobody"], "").expect(0);
    home.run("sendmail", &["--json", "x@example.org"], "").expect(64);
}

#[test]
fn hold_release_delete_by_number_and_selection() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    with(&home, 5);
    let ids: Vec<String> = lines(&home).into_iter().map(|line| line.id).collect();
    queue(&home, &["delete"]).expect(64);
    assert_eq!(queue(&home, &["hold", &ids[0], &ids[1], "--reason", "see"]).expect(0).stdout, "2 messages on hold\n");
    let held: Vec<_> = lines(&home).into_iter().filter(|line| line.state == "hold").collect();
    assert_eq!((held.len(), held[0].hold.as_deref()), (2, Some("see")));
    let table = home.run("mailq", &[] as &[&str], "").expect(0).stdout;
    assert!(table.contains(&format!("{}! ", ids[0])) && table.contains("(on hold: see)"), "{table}");
    assert_eq!(queue(&home, &["release", "--recipient", "you0@"]).expect(0).stdout, "1 message released\n");
    let missing = queue(&home, &["delete", &ids[2], "7FFFFFFF"]).expect(1);
    assert_eq!(missing.stdout, "1 message deleted\n");
    assert_eq!(queue(&home, &["delete", "--older-than", "1d"]).expect(0).stdout, "0 messages deleted\n");
    assert_eq!(home.run("sendmail", &["-bP"], "").expect(0).stdout, "4\n");
    home.run("sendmail", &["-qRyou3@"], "").expect(0);
    until("the chosen one is delivered", || server.messages().len() == 1);
    assert_eq!(server.messages()[0].recipients, ["you3@example.org"]);
    home.run("sendmail", &["-q15m"], "").expect(0);
    until("the others too, but for the one on hold", || lines(&home).len() == 1);
    queue(&home, &["delete", "--all"]).expect(0);
    assert_eq!(home.run("mailq", &[] as &[&str], "").expect(0).stdout, "Mail queue is empty\n");
}

#[test]
fn sent_back() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    with(&home, 1);
    assert_eq!(queue(&home, &["bounce", "--sender", "shop"]).expect(0).stdout, "1 message sent back\n");
    until("the report is delivered", || server.messages().len() == 1);
    assert_eq!(server.messages()[0].recipients, ["shop@example.com"]);
    until("nothing is left", || lines(&home).is_empty());
}

#[test]
fn others_see_and_touch_their_own() {
    if !nobody("others_see_and_touch_their_own") {
        return;
    }
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    with(&home, 1);
    let setpriv = Path::new("/usr/bin/setpriv");
    let theirs = |arguments: &[&str], input: &str| home.program(setpriv, &as_nobody(&home, arguments), input);
    theirs(&["-odq", "-t"], MESSAGE).expect(0);
    assert_eq!(lines(&home).iter().map(|line| line.uid).collect::<Vec<_>>(), [0, 65534]);
    let listed = theirs(&["-bp", "--json"], "").expect(0).stdout;
    assert_eq!((listed.lines().count(), listed.contains("\"uid\":65534")), (1, true), "{listed}");
    theirs(&["-q"], "").expect(0);
    until("theirs is delivered", || lines(&home).len() == 1);
    assert_eq!(lines(&home)[0].uid, 0, "the other one is not theirs to flush");
}

#[test]
fn nobody_ends_a_hold_that_is_another_ones() {
    if !nobody("nobody_ends_a_hold_that_is_another_ones") {
        return;
    }
    let server = taking();
    let daemon = Daemon::start(&server, "[brake]\nmessages = 2\nby = \"uid\"\nexempt = [\"root\"]\n");
    let home = daemon.home();
    let setpriv = Path::new("/usr/bin/setpriv");
    let theirs = |arguments: &[&str], input: &str| home.program(setpriv, &as_nobody(&home, arguments), input);
    let program = home.path("bin/postrider").display().to_string();
    let steer = |arguments: &[&str]| {
        let all = ["--reuid=65534", "--regid=65534", "--clear-groups", &program, "queue"];
        home.program(setpriv, &all.iter().chain(arguments).copied().collect::<Vec<_>>(), "")
    };
    let held = || lines(&home).iter().filter(|line| line.hold.is_some()).count();
    // Two go, one waits for the next queue run and is held by root, the fourth is held by the brake.
    theirs(&["-odi", "-t"], MESSAGE).expect(0);
    theirs(&["-odq", "-t"], MESSAGE).expect(0);
    queue(&home, &["hold", "--all", "--reason", "the court says so"]).expect(0);
    theirs(&["-odb", "-t"], MESSAGE).expect(0);
    assert_eq!((lines(&home).len(), held()), (2, 2));
    let ids: Vec<String> = lines(&home).into_iter().map(|line| line.id).collect();
    for verb in ["release", "delete", "bounce"] {
        for which in [&["--all"][..], &["--held"], &[&ids[0]], &[&ids[1]]] {
            let run = steer(&[&[verb], which].concat()).expect(69);
            assert!(run.stderr.contains("you did not put these messages on hold"), "{verb}: {}", run.stderr);
        }
    }
    // Held anew it would be theirs.
    steer(&["hold", "--all", "--reason", "mine"]).expect(69);
    steer(&["retry", "--all"]).expect(0);
    theirs(&["-q"], "").expect(0);
    assert_eq!((lines(&home).len(), held(), server.messages().len()), (2, 2, 1));
    assert!(lines(&home)[0].hold.as_deref() == Some("the court says so"), "{:?}", lines(&home)[0]);

    // Root ends both; and what they hold themselves they end themselves.
    assert_eq!(queue(&home, &["release", &ids[0], &ids[1]]).expect(0).stdout, "2 messages released\n");
    home.run("sendmail", &["-q"], "").expect(0);
    until("both are delivered", || server.messages().len() == 3 && lines(&home).is_empty());
    queue(&home, &["list"]).expect(0);
    with(&home, 1);
    steer(&["hold", "--all", "--reason", "of root's"]).expect(0);
    assert_eq!(held(), 0, "what is root's is not theirs to hold");
}

#[test]
fn a_users_own_hold_is_the_users_to_end() {
    if !nobody("a_users_own_hold_is_the_users_to_end") {
        return;
    }
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    let setpriv = Path::new("/usr/bin/setpriv");
    home.program(setpriv, &as_nobody(&home, &["-odq", "-t"]), MESSAGE).expect(0);
    let program = home.path("bin/postrider").display().to_string();
    let steer = |arguments: &[&str]| {
        let all = ["--reuid=65534", "--regid=65534", "--clear-groups", &program, "queue"];
        home.program(setpriv, &all.iter().chain(arguments).copied().collect::<Vec<_>>(), "")
    };
    assert_eq!(steer(&["hold", "--all"]).expect(0).stdout, "1 message on hold\n");
    assert_eq!(steer(&["release", "--all"]).expect(0).stdout, "1 message released\n");
    steer(&["hold", "--all"]).expect(0);
    queue(&home, &["hold", "--all", "--reason", "now root's"]).expect(0);
    steer(&["release", "--all"]).expect(69);
    assert_eq!(lines(&home)[0].hold.as_deref(), Some("now root's"));
}

#[test]
fn status_and_reload() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    with(&home, 1);
    let text = home.run("postrider", &["status"], "").expect(0).stdout;
    assert!(text.starts_with("postrider serve, process ") && text.contains("\n1 message queued\n"), "{text}");
    let status = home.run("postrider", &["status", "--json"], "").expect(0).stdout;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&status).unwrap()["messages"], 1);
    home.run("postrider", &["reload"], "").expect(0);
    std::fs::write(daemon.path("postrider.toml"), "nonsense = 1\n").unwrap();
    let run = home.run("postrider", &["reload"], "").expect(78);
    assert!(run.stderr.contains("postrider.toml:1"), "{}", run.stderr);
    home.run("sendmail", &["-odq", "-t"], MESSAGE).expect(0);
}

#[test]
fn without_a_daemon_there_is_nothing() {
    let home = Home::new();
    assert_eq!(home.run("mailq", &[] as &[&str], "").expect(0).stdout, "Mail queue is empty\n");
    home.run("sendmail", &["-q"], "").expect(0);
    let status = home.run("postrider", &["status"], "").expect(69);
    assert!(status.stderr.contains("no-daemon"), "{}", status.stderr);
    home.run("postrider", &["reload"], "").expect(69);
}

#[test]
fn a_long_queue_is_listed_in_pages_and_not_to_its_end() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    fill(&daemon, 2000);
    let home = daemon.home();
    let script = "mailq | head -1; mailq --json | wc -l; mailq | tail -1";
    let run = home.program(Path::new("/bin/sh"), &["-c", script], "").expect(0);
    let rows: Vec<&str> = run.stdout.lines().collect();
    assert!(rows[0].starts_with("-Queue ID-") && rows[1].trim() == "2000", "{}", run.stdout);
    assert!(rows[2].starts_with("-- ") && rows[2].ends_with(" in 2000 Requests."), "{}", run.stdout);
    assert_eq!(run.stderr, "");
    assert_eq!(queue(&home, &["hold", "--all"]).expect(0).stdout, "2000 messages on hold\n");
}

/// Hands that many messages over, for the next queue run.
fn fill(daemon: &Daemon, count: usize) {
    let socket = daemon.socket();
    std::thread::scope(|scope| {
        for part in 0..8 {
            let socket = &socket;
            scope.spawn(move || {
                for number in (part..count).step_by(8) {
                    let mut input = MESSAGE.as_bytes();
                    let message = read::read(&mut input, ReadRules::default()).unwrap();
                    let told = client::submit(socket, submission(number), &message);
                    assert!(matches!(told, HandOver::Verdict(verdict) if verdict.status == 0));
                }
            });
        }
    });
}

fn submission(number: usize) -> Submit {
    serde_json::from_value(serde_json::json!({
        "id": format!("{number:032x}"), "program": "sendmail", "from": null, "full_name": null, "extract": true,
        "account": null, "delivery": "Queue", "errors": "Print",
        "dsn": {"notify": null, "ret": null, "envid": null}, "tag": null, "recipients": []
    }))
    .unwrap()
}
