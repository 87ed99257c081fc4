//! What rules do: each action, in its order, and what is refused.

use super::{mails, send, sorting, text};
use crate::daemon::until;
use crate::support::run::Home;
use crate::support::script::Script;
use std::os::unix::fs::symlink;

#[test]
fn mail_is_sorted_into_maildirs_marked_dropped_and_refused() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"gone\"\nto = \"gone(at)example.com\"\nrefuse = \"Moved away\"\n\
        [[rule]]\nname = \"spam\"\nsubject = \"*buy*\"\nmark = { X-Spam = \"yes\" }\n\
        [[rule]]\nname = \"junk\"\nheader = { X-Spam = \"yes\" }\nmaildir = \"@/never\"\n\
        [[rule]]\nname = \"worm\"\nsubject = { regex = \"(?i)^worm [0-9]+$\" }\ndrop = true\n\
        [[rule]]\nname = \"mail\"\nto = \"(at)example.com\"\nmaildir = \"@/%u\"\nexisting = false\nstop = true\n\
        [[rule]]\nname = \"late\"\nto = \"(at)example.com\"\nmaildir = \"@/late\"\n";
    let (daemon, port) = sorting(&server, rules);
    assert!(send(port, "Bob+x@example.com", "please buy").starts_with("250 "));
    until("it is delivered", || mails(&daemon.path("bob")).len() == 1);
    let mail = mails(&daemon.path("bob")).remove(0);
    assert!(mail.starts_with("Return-Path: <ann@example.org>\nReceived: "), "{mail}");
    assert!(mail.contains("\nDelivered-To: Bob+x@example.com\n") && mail.contains("\nX-Spam: yes\n"), "{mail}");
    assert!(send(port, "carol@example.com", "Worm 17").starts_with("250 "));
    until("it is dropped", || daemon.log().contains("2.0.0 dropped"));
    assert_eq!(send(port, "gone@example.com", "x"), "550 5.7.1 Moved away");
    assert_eq!(send(port, "any@example.net", "x"), "550 5.1.1 No mailbox here by that name");
    until("the queue is empty", || daemon.queued() == 0);
    assert!(!daemon.path("never").exists() && !daemon.path("late").exists() && !daemon.path("carol").exists());
    assert!(daemon.log().contains("sender=\"rule mail maildir\""));
    // A link in the place of a mailbox leads nowhere.
    std::fs::create_dir(daemon.path("elsewhere")).unwrap();
    symlink(daemon.path("elsewhere"), daemon.path("eve")).unwrap();
    assert!(send(port, "eve@example.com", "x").starts_with("250 "));
    assert!(send(port, "\"../../up\"@example.com", "x").starts_with("250 "));
    until("the address is a name alone", || mails(&daemon.path("___.._up")).len() == 1);
    until("the link is no mailbox", || daemon.log().contains("deferred"));
    until("the other is done", || daemon.queued() == 1);
    assert!(std::fs::read_dir(daemon.path("elsewhere")).unwrap().next().is_none());
}

#[test]
fn a_program_gets_the_message_and_its_status_decides() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"ok\"\nto = \"ok*(at)example.com\"\npipe = [\"/bin/sh\", \"-c\", \"cat > @/got; echo $SENDER $RECIPIENT $EXTENSION $CLIENT_ADDRESS > @/env; echo ticket 7\"]\n\
        [[rule]]\nname = \"later\"\nto = \"later(at)example.com\"\npipe = [\"/bin/sh\", \"-c\", \"test -e @/now && exec cat > @/late; echo busy; exit 75\"]\n\
        [[rule]]\nname = \"no\"\nto = \"no(at)example.com\"\npipe = [\"/bin/sh\", \"-c\", \"echo no such ticket >&2; exit 67\"]\n\
        [[rule]]\nname = \"hang\"\nto = \"hang(at)example.com\"\npipe = [\"/bin/sleep\", \"600\"]\ntimeout = \"200ms\"\n\
        [[rule]]\nname = \"absent\"\nto = \"absent(at)example.com\"\npipe = [\"/nonexistent/program\"]\n\
        [rules]\nvia = \"shop\"\n";
    let (daemon, port) = sorting(&server, rules);
    assert!(send(port, "ok+a@example.com", "one").starts_with("250 "));
    until("the program has it", || text(&daemon.path("env")).ends_with('\n'));
    assert_eq!(text(&daemon.path("env")), "ann@example.org ok+a@example.com a 127.0.0.1\n");
    let got = text(&daemon.path("got"));
    assert!(got.starts_with("Return-Path: <ann@example.org>\nDelivered-To: ok+a@example.com\n"), "{got}");
    assert!(got.ends_with("\nSubject: one\n\nbody\n"), "{got}");
    until("its word is in the log", || daemon.log().contains("took it: ticket 7"));
    for name in ["later", "hang", "absent"] {
        assert!(send(port, &format!("{name}@example.com"), name).starts_with("250 "));
    }
    for what in ["exit status 75: busy", "no answer within 0.2 s", "cannot be started"] {
        until(what, || daemon.log().contains(what));
    }
    assert!(server.messages().is_empty(), "nobody is told of what is tried again");
    std::fs::write(daemon.path("now"), "").unwrap();
    daemon.home().run("sendmail", &["-q"], "").expect(0);
    until("the retry delivers it", || text(&daemon.path("late")).contains("Subject: later"));
    assert!(send(port, "no@example.com", "x").starts_with("250 "));
    until("the sender is told", || server.messages().len() == 1);
    let bounce = server.messages().remove(0);
    assert_eq!(bounce.recipients, ["ann@example.org"]);
    let bounce = String::from_utf8_lossy(&bounce.text).into_owned();
    assert!(bounce.contains("no such ticket") && bounce.contains("Status: 5.1.1"), "{bounce}");
}

#[test]
fn what_is_forwarded_goes_over_the_sender_once() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"on\"\nto = \"info(at)example.com\"\nforward = [\"one(at)example.org\", \"two(at)example.org\"]\nvia = \"shop\"\n";
    let (_daemon, port) = sorting(&server, rules);
    assert!(send(port, "info@example.com", "on").starts_with("250 "));
    until("it goes on", || server.messages().len() == 1);
    let sent = server.messages().remove(0);
    assert_eq!((sent.from.as_str(), sent.recipients.len()), ("shop@example.com", 2));
    let sent = String::from_utf8_lossy(&sent.text).into_owned();
    assert!(
        sent.contains("Delivered-To: info@example.com\r\n") && sent.contains("From: ann@example.org\r\n"),
        "{sent}"
    );
    // It comes back from one of them.
    let mut talk = crate::listener::Talk::hello(port);
    talk.expect("MAIL FROM:<shop@example.com>", "250");
    talk.expect("RCPT TO:<info@example.com>", "250");
    talk.expect("DATA", "354");
    talk.expect(&format!("{sent}\r\n."), "554 5.4.6");
}

#[test]
fn php_takes_mail() {
    if !crate::support::skip::require("php_takes_mail", "php") {
        return;
    }
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"php\"\npipe = [\"/usr/bin/env\", \"php\", \"@/take.php\", \"@/out\"]\n";
    let (daemon, port) = sorting(&server, rules);
    let script = "<?php $m = stream_get_contents(STDIN); preg_match('/^Subject: (.*)$/m', $m, $s);\n\
        file_put_contents($argv[1], getenv('SENDER') . ' ' . $s[1] . \"\\n\", FILE_APPEND); exit(0);";
    std::fs::write(daemon.path("take.php"), script).unwrap();
    assert!(send(port, "bob@example.com", "from php").starts_with("250 "));
    until("the script has it", || text(&daemon.path("out")) == "ann@example.org from php\n");
}

#[test]
fn explain_names_the_rule_and_the_ones_before() {
    let home = Home::new().config(
        "[[rule]]\nname = \"a\"\nto = \"a@example.com\"\ndrop = true\n[[rule]]\nname = \"big\"\nlarger = \"1M\"\ndrop = true\n\
         [[rule]]\nname = \"mail\"\nsubject = \"*hi*\"\nmaildir = \"/srv/%d/%u\"\nexisting = false\n",
    );
    let run = |arguments: &[&str], text: &str| {
        let all: Vec<&str> = ["explain", "--incoming"].iter().chain(arguments).copied().collect();
        home.run("postrider", &all, text)
    };
    let told = run(&["--from", "x@example.org", "--to", "Bob@example.com"], "Subject: hi\n\nx\n").expect(0).stdout;
    for line in [
        "recipient:     Bob@example.com\n",
        "passed over:   a (",
        "): to does not fit\n",
        "): larger does not fit\n",
        "): maildir /srv/%d/%u\n",
        "result:        rule mail maildir: /srv/example.com/bob\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let told = run(&["--to", "b@example.com", "--listener", "0.0.0.0:25"], "Subject: no\n\nx\n").expect(0).stdout;
    assert!(told.contains("no rule takes it; refused"), "{told}");
    let told = run(&["--to", "b@example.com", "--json"], "Subject: hi\n\nx\n").expect(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(json["rules"][2]["takes"], true);
    run(&["--from", "x@example.org"], "x\n").expect(64);
}
