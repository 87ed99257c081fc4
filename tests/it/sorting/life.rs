//! Nothing is lost and nothing doubled: crashes, changed rules, full disks, many rules; local recipients.

use super::{mails, send, sorting, text};
use crate::daemon::until;
use crate::support::script::Script;
use rustix::process::Signal;

#[test]
fn a_kill_between_taking_and_delivering_loses_nothing() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"slow\"\nmaildir = \"@/box\"\n\
        pipe = [\"/bin/sh\", \"-c\", \"test -e @/go || exec sleep 600; echo $RECIPIENT >> @/piped\"]\n";
    let (mut daemon, port) = sorting(&server, rules);
    assert!(send(port, "a@example.com", "one").starts_with("250 "));
    assert!(send(port, "b@example.com", "two").starts_with("250 "));
    until("the first way is done", || mails(&daemon.path("box")).len() == 2 && daemon.queued() == 2);
    daemon.signal(Signal::KILL);
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.restart();
    until("the other way is done", || text(&daemon.path("piped")).lines().count() == 2 && daemon.queued() == 0);
    assert_eq!(mails(&daemon.path("box")).len(), 2, "what was done is not done again");
}

#[test]
fn what_a_program_leaves_behind_holds_no_lane_up() {
    let server = Script::new().start();
    // One of another session has the program's input and its output, and reads and prints nothing.
    let rules = "[[rule]]\nname = \"linger\"\nto = \"a*(at)example.com\"\ntimeout = \"20s\"\n\
        pipe = [\"/bin/sh\", \"-c\", \"setsid --fork sleep 120; echo $RECIPIENT >> @/piped\"]\n\
        [[rule]]\nname = \"flood\"\nto = \"f(at)example.com\"\n\
        pipe = [\"/bin/sh\", \"-c\", \"setsid --fork timeout 120 yes; echo $RECIPIENT >> @/piped\"]\n";
    let (mut daemon, port) = sorting(&server, rules);
    let started = std::time::Instant::now();
    for (number, to) in ["a1", "a2", "a3", "a4", "f"].into_iter().enumerate() {
        // The first is more than a pipe holds.
        let text = "x\r\n".repeat(if number == 0 { 50_000 } else { 1 });
        assert!(send(port, &format!("{to}@example.com"), &format!("s\r\n\r\n{text}")).starts_with("250 "));
    }
    until("all are delivered and done", || text(&daemon.path("piped")).lines().count() == 5 && daemon.queued() == 0);
    // With the time limit for each of them it would be four times as long.
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    daemon.signal(Signal::KILL);
    daemon.restart();
    let port = *crate::listener::ports(&daemon, 2).last().unwrap();
    assert!(send(port, "f@example.com", "after").starts_with("250 "));
    until("it goes on", || text(&daemon.path("piped")).lines().count() == 6 && daemon.queued() == 0);
}

#[test]
fn each_recipient_is_delivered_once_however_often_another_is_tried() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"some\"\n\
        pipe = [\"/bin/sh\", \"-c\", \"echo $RECIPIENT >> @/tried; case $RECIPIENT in b*) test -e @/go || exit 75; esac\"]\n";
    let (daemon, port) = sorting(&server, rules);
    let mut talk = crate::listener::Talk::hello(port);
    talk.expect("MAIL FROM:<>", "250");
    for name in ["a", "b", "c"] {
        talk.expect(&format!("RCPT TO:<{name}@example.com>"), "250");
    }
    talk.expect("DATA", "354");
    talk.expect("Subject: x\r\n\r\nbody\r\n.", "250");
    until("all were tried", || text(&daemon.path("tried")).lines().count() == 3);
    std::fs::write(daemon.path("go"), "").unwrap();
    until("the rest waits", || daemon.log().contains("deferred") && daemon.log().matches(" sent ").count() >= 2);
    daemon.home().run("sendmail", &["-q"], "").expect(0);
    until("it is done", || daemon.queued() == 0);
    let mut tried: Vec<String> = text(&daemon.path("tried")).lines().map(str::to_owned).collect();
    tried.sort();
    assert_eq!(tried, ["a@example.com", "b@example.com", "b@example.com", "c@example.com"]);
}

#[test]
fn a_rule_that_is_gone_holds_its_mail_until_it_is_back() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"keep\"\nto = \"a(at)example.com\"\npipe = [\"/bin/sh\", \"-c\", \"exit 75\"]\n";
    let (daemon, port) = sorting(&server, rules);
    assert!(send(port, "a@example.com", "one").starts_with("250 "));
    until("it waits", || daemon.log().contains("exit status 75"));
    let config = text(&daemon.path("postrider.toml"));
    std::fs::write(daemon.path("postrider.toml"), config.replace("\"keep\"", "\"other\"")).unwrap();
    daemon.signal(Signal::HUP);
    until("the configuration is read", || daemon.log().contains("was read again"));
    daemon.home().run("sendmail", &["-q"], "").expect(0);
    until("it is on hold", || daemon.log().contains("is not configured any more"));
    std::fs::write(daemon.path("postrider.toml"), config.replace("exit 75", "exit 0")).unwrap();
    daemon.signal(Signal::HUP);
    until("it is delivered", || daemon.queued() == 0);
    assert!(daemon.log().contains("no longer on hold"));
}

#[test]
fn a_maildir_that_takes_nothing_is_tried_again() {
    let server = Script::new().start();
    let (daemon, port) = sorting(&server, "[[rule]]\nname = \"m\"\nmaildir = \"@/deep/%u\"\nexisting = false\n");
    assert!(send(port, "a@example.com", "one").starts_with("250 "));
    until("it is put off", || daemon.log().contains("deferred"));
    assert_eq!(daemon.queued(), 1);
    std::fs::create_dir(daemon.path("deep")).unwrap();
    daemon.home().run("sendmail", &["-q"], "").expect(0);
    until("it is delivered", || mails(&daemon.path("deep/a")).len() == 1);
}

#[test]
fn ten_thousand_rules_and_hostile_expressions_hold_nobody_up() {
    let server = Script::new().start();
    let mut rules: String = (0..9_990)
        .map(|n| {
            format!("[[rule]]\nname = \"r{n}\"\nto = \"u{n}(at)example.com\"\nmaildir = \"@/u{n}\"\nstop = true\n")
        })
        .collect();
    rules += "[[rule]]\nname = \"bomb\"\nsubject = [{ regex = \"^(a+)+$\" }, \"*a*a*a*a*a*a*a*a*b\"]\ndrop = true\n";
    let (daemon, port) = sorting(&server, &rules);
    assert!(send(port, "u9989@example.com", "x").starts_with("250 "));
    until("the last one takes it", || mails(&daemon.path("u9989")).len() == 1);
    let long = format!("{}!", "a".repeat(900));
    assert!(send(port, "z@example.com", &long).starts_with("550 5.1.1"));
}

#[test]
fn local_recipients_go_by_the_rules_and_others_by_their_sender() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"root\"\nlistener = \"local\"\nto = \"root(at)*\"\nmaildir = \"@/root\"\n";
    let (daemon, _) = sorting(&server, rules);
    let mail = "From: shop@example.com\nTo: root\nSubject: cron\n\nx\n";
    let home = daemon.home();
    // No account is needed for what stays here.
    home.run("sendmail", &["root"], "From: cron@nowhere.example\nSubject: disk\n\nx\n").expect(0);
    until("it is there", || mails(&daemon.path("root")).len() == 1);
    let text = mails(&daemon.path("root")).remove(0);
    assert!(text.contains("\nMessage-ID: <") && text.contains("\nDelivered-To: root@"), "{text}");
    home.run("sendmail", &["root", "you@example.org"], mail).expect(0);
    until("one is there and one is sent", || mails(&daemon.path("root")).len() == 2 && server.messages().len() == 1);
    assert_eq!(server.messages()[0].recipients, ["you@example.org"]);
    // Without the daemon it is not sent elsewhere.
    let config = daemon.path("postrider.toml");
    let alone = crate::support::run::Home::new().env("POSTRIDER_CONFIG", &config);
    let run = alone.run("postrider", &["sendmail", "root"], mail).expect(69);
    assert!(run.stderr.contains("rule root maildir") && run.stderr.lines().count() == 1, "{}", run.stderr);
    let told = alone.run("postrider", &["explain", "root"], mail).expect(0).stdout;
    assert!(told.contains("deliverable by rules: rule root maildir"), "{told}");
}
