//! A sender whose server is down, and the one that takes its mail over.

use super::served::{Daemon, configure, sender};
use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use postrider::daemon::protocol::{Reply, Request};
use std::net::TcpListener;

const DOWN: &str = "554 5.7.1 this host is blocked";

fn senders(server: &Server, backup: &str, other: &Server) -> String {
    format!("{}{backup}\n{}", sender("shop", server), sender("spare", other))
}

fn history(daemon: &Daemon) -> Vec<(String, bool)> {
    match daemon.ask(&Request::History { since: 0, limit: 100 }) {
        Reply::History(past) => past.into_iter().map(|one| (one.lane, one.sent)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_goes_over_the_backup_and_what_comes_later_its_own_way() {
    let server = Script::new().on_nth("CONNECT", 1, Fault::Reply(DOWN.into())).start();
    let spare = Script::new().start();
    let all = senders(&server, "backup = [\"spare\"]\nbackup_after = \"0s\"", &spare);
    let daemon = Daemon::start("connections = 1", &all);
    for _ in 0..5 {
        daemon.send("shop", "-odb", "you@example.org").expect(0);
    }
    daemon.until("delivery", || spare.messages().len() == 5 && daemon.lines().is_empty());
    assert_eq!(history(&daemon), vec![("spare".to_owned(), true); 5]);
    assert!(spare.messages().iter().all(|message| message.from == "shop@example.com"));
    let log = std::fs::read_to_string(daemon.home.path("log")).unwrap();
    assert_eq!(log.matches("goes over the backup").count(), 5, "{log}");
    assert!(log.contains("this host is blocked"), "{log}");
    // While it is down, so does what comes new.
    daemon.send("shop", "-odb", "you@example.org").expect(0);
    daemon.until("delivery", || spare.messages().len() == 6);
    assert_eq!(server.connections().len(), 1);
    // It is back: its own mail is its own again.
    daemon.ask(&Request::Reload);
    daemon.send("shop", "-odi", "you@example.org").expect(0);
    assert_eq!((server.messages().len(), spare.messages().len()), (1, 6));
    assert_eq!(history(&daemon)[0], ("shop".into(), true));
}

#[test]
fn nothing_goes_two_ways() {
    // Both are down: one step, and no way back.
    let (server, spare) = (Script::new().reply("CONNECT", DOWN).start(), Script::new().reply("CONNECT", DOWN).start());
    let both = "backup = [\"spare\"]\nbackup_after = \"0s\"";
    let back = "backup = [\"shop\"]\nbackup_after = \"0s\"\n";
    let daemon = Daemon::start("", &format!("{}{back}", senders(&server, both, &spare)));
    daemon.send("shop", "-odb", "you@example.org").expect(0);
    daemon.until("its move", || daemon.lines().iter().any(|line| line.moved_from.as_deref() == Some("shop")));
    daemon.until("its try there", || spare.connections().len() == 1 && daemon.lines()[0].paused.is_some());
    // The dispatcher looks again after two seconds.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let lines = daemon.lines();
    assert_eq!((lines.len(), lines[0].sender.as_str()), (1, "spare"));
    assert_eq!((server.connections().len(), spare.connections().len()), (1, 1));
}

#[test]
fn what_may_have_arrived_is_not_sent_another_way() {
    let server = Script::new().on_nth("DOT", 1, Fault::Lose).on_nth("CONNECT", 2, Fault::Reply(DOWN.into())).start();
    let spare = Script::new().start();
    let daemon = Daemon::start("", &senders(&server, "backup = [\"spare\"]\nbackup_after = \"0s\"", &spare));
    daemon.send("shop", "-odi", "unknown@example.org").expect(0);
    daemon.send("shop", "-odb", "known@example.org").expect(0);
    daemon.until("the other one", || spare.messages().len() == 1);
    assert_eq!(spare.messages()[0].recipients, ["known@example.org"]);
    let lines = daemon.lines();
    assert_eq!((lines.len(), lines[0].sender.as_str()), (1, "shop"));
    assert_eq!(lines[0].recipients[0].address, "unknown@example.org");
}

#[test]
fn a_quota_is_no_reason_and_neither_is_a_short_time() {
    let quota = Script::new().reply("MAIL", "450 4.4.5 enough for today").start();
    let brief = Script::new().reply("CONNECT", DOWN).start();
    for (server, after) in [(&quota, "0s"), (&brief, "10m")] {
        let spare = Script::new().start();
        let backup = format!("backup = \"spare\"\nbackup_after = \"{after}\"");
        let daemon = Daemon::start("", &senders(server, &backup, &spare));
        daemon.send("shop", "-odb", "you@example.org").expect(0);
        daemon.until("a pause", || daemon.lines().iter().any(|line| line.paused.is_some()));
        daemon.send("spare", "-odi", "you@example.org").expect(0);
        assert_eq!((spare.messages().len(), daemon.lines().len()), (1, 1));
    }
}

#[test]
fn the_other_must_be_allowed_the_same_identity() {
    let home = Home::new();
    let shop = "[[sender]]\nname = \"shop\"\nfrom = [\"shop@example.com\", \"*@shop.example.com\"]\nserver = \"smtp://a.example\"\n";
    let other = "[[sender]]\nname = \"spare\"\nfrom = \"spare@example.com\"\nserver = \"smtp://b.example\"\nmust_match = true\n";
    let faults = |backup: &str, other: &str| {
        home.write("postrider.toml", format!("{shop}{backup}\n{other}"));
        let path = home.path("postrider.toml");
        let run = home.run("postrider", &["--config", path.to_str().unwrap(), "check"], "");
        format!("{}{}", run.stdout, run.stderr)
    };
    let told = faults("backup = [\"spare\"]", other);
    let places =
        ["postrider.toml:5: sender shop: backup \"spare\"", "postrider.toml:6", "postrider.toml:1", "shop@example.com"];
    assert!(places.iter().all(|part| told.contains(part)), "{told}");
    let told = faults("backup = [\"spar\"]", other);
    assert!(told.contains("unknown; did you mean spare?"), "{told}");
    let told = faults("backup = [\"shop\"]", other);
    assert!(told.contains("no backup of itself"), "{told}");
    for fine in [
        other.replace("true", "false"),
        other.replace("\"spare@example.com\"", "[\"@example.com\", \"@shop.example.com\"]"),
    ] {
        let told = faults("backup = [\"spare\"]", &fine);
        assert!(!told.contains("backup"), "{told}");
    }
}

#[test]
fn without_a_daemon_only_where_it_is_to_be_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let spare = Script::new().start();
    let mail = "From: shop@example.com\nSubject: a message\n\nhello\n";
    for (after, status, sent) in [("10m", 69, 0), ("0s", 0, 1)] {
        let shop = format!(
            "[[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\nserver = \"smtp+plain://127.0.0.1:{port}\"\n"
        );
        let backup = format!("backup = [\"spare\"]\nbackup_after = \"{after}\"\n");
        let home = Home::new().config(&format!("{shop}{backup}{}", sender("spare", &spare)));
        let run = home.run("sendmail", &["-i", "you@example.org"], mail).expect(status);
        assert_eq!(spare.messages().len(), sent, "{}", run.stderr);
    }
    // What was refused once the server was asked is final, and what it may have is not sent again.
    for (point, fault) in [("RCPT", Fault::Reply("550 5.1.1 no".into())), ("DOT", Fault::Lose)] {
        let server = Script::new().on(point, fault).start();
        let spare = Script::new().start();
        let home = Home::new().config(&senders(&server, "backup = [\"spare\"]\nbackup_after = \"0s\"", &spare));
        let run = home.run("sendmail", &["-i", "you@example.org"], mail);
        assert!(run.status != 0 && spare.messages().is_empty(), "{}", run.stderr);
    }
}

#[test]
fn another_configuration_ends_it() {
    let (server, spare) = (Script::new().reply("CONNECT", DOWN).start(), Script::new().start());
    let daemon = Daemon::start("", &senders(&server, "", &spare));
    daemon.send("shop", "-odi", "you@example.org").expect(0);
    assert_eq!(daemon.lines().len(), 1, "no backup, no move");
    configure(&daemon.home, "", &senders(&server, "backup = [\"spare\"]\nbackup_after = \"0s\"", &spare));
    daemon.ask(&Request::Reload);
    daemon.until("delivery", || spare.messages().len() == 1 && daemon.lines().is_empty());
}
