//! Maildirs for recipients: only those that are there, unless the rule says otherwise; and one file for all of them.

use super::{mails, send, sorting};
use crate::daemon::{Daemon, until};
use crate::listener::Talk;
use crate::support::run::Home;
use crate::support::script::Script;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn make(daemon: &Daemon, names: &[&str]) {
    names.iter().for_each(|name| std::fs::create_dir_all(daemon.path(name)).unwrap());
}

/// How many directories there are below one.
fn count(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

const NOBODY: &str = "550 5.1.1 No mailbox here by that name";

#[test]
fn a_stranger_makes_no_maildir() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"people\"\nto = [\"(at)example.com\", \"(at)example.net\"]\nmaildir = \"@/mail/%d/%u\"\n\
        [rules]\nvia = \"shop\"\n";
    let (daemon, port) = sorting(&server, rules);
    make(&daemon, &["mail/example.com/bob"]);
    assert!(send(port, "Bob+detail@example.com", "one").starts_with("250 "));
    until("it is delivered", || mails(&daemon.path("mail/example.com/bob")).len() == 1);
    for invented in ["eve", "bob.x", "..", "\"../bob\"", "\"bob/cur\"", "tmp", "\u{441}", &"x".repeat(64)] {
        let said = send(port, &format!("{invented}@example.com"), "x");
        assert!(said == NOBODY || said.starts_with("553"), "{invented}: {said}");
    }
    assert_eq!(send(port, "bob@example.net", "x"), NOBODY);
    assert_eq!((count(&daemon.path("mail")), count(&daemon.path("mail/example.com"))), (1, 1), "nothing was made");
    // Of several recipients each gets his own answer.
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<ann@example.org>", "250");
    talk.expect("RCPT TO:<eve@example.com>", "550 5.1.1");
    talk.expect("RCPT TO:<bob@example.com>", "250");
    talk.expect("DATA", "354");
    talk.expect("Subject: two\r\n\r\nx\r\n.", "250");
    until("it is delivered", || mails(&daemon.path("mail/example.com/bob")).len() == 2);
    // A mailbox that is made later gets mail at once, and one that a link leads to does not take it elsewhere.
    make(&daemon, &["mail/example.com/eve", "elsewhere"]);
    assert!(send(port, "eve@example.com", "now").starts_with("250 "));
    until("it is delivered", || mails(&daemon.path("mail/example.com/eve")).len() == 1);
    std::os::unix::fs::symlink(daemon.path("elsewhere"), daemon.path("mail/example.com/link")).unwrap();
    assert!(send(port, "link@example.com", "x").starts_with("250 "));
    until("it waits", || daemon.log().contains("deferred"));
    assert_eq!((count(&daemon.path("elsewhere")), server.messages().len()), (0, 0));
}

#[test]
fn what_has_no_mailbox_goes_to_the_next_rule_or_back() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"people\"\nto = \"(at)example.com\"\nmaildir = \"@/mail/%u\"\nstop = true\n\
        [[rule]]\nname = \"rest\"\nto = \"(at)example.com\"\nmaildir = \"@/rest\"\n\
        [[rule]]\nname = \"later\"\nto = \"(at)example.net\"\nmaildir = \"@/disk/%u\"\n\
        [[rule]]\nname = \"cron\"\nlistener = \"local\"\nto = \"(at)*\"\nmaildir = \"@/mail/%u\"\n\
        [rules]\nvia = \"shop\"\n";
    let (daemon, port) = sorting(&server, rules);
    make(&daemon, &["mail/bob", "mail/root"]);
    assert!(send(port, "bob@example.com", "x").starts_with("250 "));
    assert!(send(port, "any@example.com", "x").starts_with("250 "));
    until("both are there", || mails(&daemon.path("mail/bob")).len() == 1 && mails(&daemon.path("rest")).len() == 1);
    // Where the disk is not there, nobody knows who has a mailbox on it.
    for name in ["ann", "carl"] {
        assert!(send(port, &format!("{name}@example.net"), "x").starts_with("250 "));
    }
    until("both wait", || daemon.log().matches("deferred").count() >= 2);
    make(&daemon, &["disk/ann"]);
    daemon.home().run("sendmail", &["-q"], "").expect(0);
    until("who has one gets it", || mails(&daemon.path("disk/ann")).len() == 1);
    until("the sender hears of the other", || server.messages().len() == 1);
    let report = String::from_utf8_lossy(&server.messages().remove(0).text).into_owned();
    assert!(report.contains("carl@example.net") && report.contains("Status: 5.1.1"), "{report}");
    assert_eq!(count(&daemon.path("disk")), 1);
    // A local name without a mailbox goes over its sender, as without rules.
    let mail = "From: shop@example.com\n\nx\n";
    daemon.home().run("sendmail", &["root"], mail).expect(0);
    until("root has it", || mails(&daemon.path("mail/root")).len() == 1);
    daemon.home().run("sendmail", &["daemon"], mail).expect(0);
    until("the other is sent", || server.messages().len() == 2);
}

#[test]
fn existing_says_it_either_way() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"make\"\nto = \"(at)example.com\"\nmaildir = \"@/made-%u\"\nexisting = false\n\
        [[rule]]\nname = \"fixed\"\nto = \"box(at)example.net\"\nmaildir = \"@/box\"\nexisting = true\n\
        [[rule]]\nname = \"usual\"\nto = \"all(at)example.net\"\nmaildir = \"@/all-100%%\"\n";
    let (daemon, port) = sorting(&server, rules);
    assert!(send(port, "any@example.com", "x").starts_with("250 "));
    assert!(send(port, "all@example.net", "x").starts_with("250 "));
    until("they are made", || mails(&daemon.path("made-any")).len() == 1 && mails(&daemon.path("all-100%")).len() == 1);
    assert_eq!(send(port, "box@example.net", "x"), NOBODY);
    make(&daemon, &["box"]);
    assert!(send(port, "box@example.net", "x").starts_with("250 "));
    until("it is there", || mails(&daemon.path("box")).len() == 1);
    let home = Home::new();
    let place = home.path("").display().to_string();
    let config = |existing: &str| {
        format!("[[rule]]\nname = \"p\"\nto = \"@example.com\"\nmaildir = \"{place}mail/%u\"\n{existing}\n")
    };
    std::fs::create_dir(home.path("mail")).unwrap();
    let home = home.config(&config(""));
    let asked = ["explain", "--incoming", "--listener", "0.0.0.0:25", "--to", "eve@example.com"];
    let told = home.run("postrider", &asked, "x\n").expect(0).stdout;
    assert!(told.contains("existing does not fit") && told.contains("no rule takes it"), "{told}");
    let home = home.config(&config("existing = false"));
    let told = home.run("postrider", &asked, "x\n").expect(0).stdout;
    assert!(told.contains("rule p maildir: "), "{told}");
    let told = home.run("postrider", &["check"], "").stdout;
    assert!(told.contains("for every name that a stranger invents"), "{told}");
    home.config("[[rule]]\nname = \"p\"\ndrop = true\nexisting = true\n").run("postrider", &["check"], "").expect(2);
}

#[test]
fn equal_messages_are_one_file() {
    let server = Script::new().start();
    let rules = "[[rule]]\nname = \"archive\"\nmaildir = \"@/archive\"\n\
        [[rule]]\nname = \"people\"\nmaildir = \"@/mail/%u\"\n\
        [[rule]]\nname = \"other\"\nmark = { X-Copy = \"yes\" }\nmaildir = \"@/marked\"\n";
    let (daemon, port) = sorting(&server, rules);
    make(&daemon, &["mail/ann", "mail/bob"]);
    let files = |name: &str| -> Vec<(u64, u64)> {
        let all = std::fs::read_dir(daemon.path(name).join("new")).into_iter().flatten().flatten();
        all.map(|file| file.metadata().unwrap()).map(|facts| (facts.ino(), facts.nlink())).collect()
    };
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<x@example.org>", "250");
    talk.expect("RCPT TO:<ann@example.com>", "250");
    talk.expect("RCPT TO:<bob@example.com>", "250");
    talk.expect("DATA", "354");
    let body = "0123456789\r\n".repeat(20_000);
    talk.expect(&format!("Subject: both\r\n\r\n{body}."), "250");
    until("all have it", || daemon.queued() == 0);
    let (ann, bob, archive) = (files("mail/ann"), files("mail/bob"), files("archive"));
    assert_eq!((ann.len(), bob.len(), archive.len(), files("marked").len()), (1, 1, 2, 2));
    let all: std::collections::BTreeSet<u64> = [&ann, &bob, &archive].into_iter().flatten().map(|one| one.0).collect();
    assert!(all.len() <= 2, "two lanes at once may write one each, and no more: {all:?}");
    assert!(!all.contains(&files("marked")[0].0), "what is not equal is another file");
    assert_eq!(files("marked")[0], files("marked")[1]);
    assert!(!mails(&daemon.path("mail/ann"))[0].contains("Delivered-To"));
    assert!(mails(&daemon.path("mail/ann"))[0].ends_with("0123456789\n"));
    // One recipient by two rules: named, and one file, wherever the second has seen the first.
    assert!(send(port, "ann@example.com", "one").starts_with("250 "));
    until("both have it", || daemon.queued() == 0);
    let mail = mails(&daemon.path("mail/ann")).into_iter().find(|mail| mail.contains("Subject: one")).unwrap();
    assert!(mail.contains("\nDelivered-To: ann@example.com\n"), "{mail}");
    // A file that was changed is not taken for another.
    assert!(count(&daemon.path("mail/ann/tmp")) == 0 && count(&daemon.path("archive/tmp")) == 0);
}
