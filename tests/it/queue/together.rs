//! What keeps mail back, two at a time: staging, bulk, the brake and backups with an operator's pause; overflow with a
//! backup; limits with staging.

use super::served::{Daemon, configure, sender};
use crate::support::run::{Finished, Home};
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use postrider::daemon::protocol::Request;
use std::net::TcpListener;

const DOWN: &str = "554 5.7.1 this host is blocked";
const MAIL: &str = "From: shop@example.com\nSubject: a message\n\nhello\n";

fn senders(daemon: &Daemon, arguments: &[&str]) -> String {
    let all: Vec<&str> = ["senders"].iter().chain(arguments).copied().collect();
    daemon.home.run("postrider", &all, "").expect(0).stdout
}

/// Another configuration; `HOME` stands for the daemon's home.
fn reconfigure(daemon: &Daemon, senders: &str) {
    let home = daemon.home.path("");
    configure(&daemon.home, "", &senders.replace("HOME", home.display().to_string().trim_end_matches('/')));
    daemon.ask(&Request::Reload);
}

fn submit(daemon: &Daemon, subject: &str, field: &str) -> Finished {
    let mail = format!("From: shop@example.com\nSubject: {subject}\n{field}\nhello\n");
    daemon.home.run("sendmail", &["-odb", "-i", "you@example.org"], mail).expect(0)
}

fn captured(daemon: &Daemon) -> usize {
    std::fs::read_dir(daemon.home.path("mail/new")).map_or(0, Iterator::count)
}

const CAPTURE: &str = "[staging]\ncapture = \"maildir:HOME/mail\"\n";

#[test]
fn what_staging_captures_waits_for_a_paused_sender() {
    let server = Script::new().start();
    let daemon = Daemon::start("", &sender("shop", &server));
    reconfigure(&daemon, &(sender("shop", &server) + CAPTURE));
    senders(&daemon, &["pause", "shop", "--reason", "asking them"]);
    submit(&daemon, "staged", "");
    let listed = daemon.home.run("mailq", &[] as &[&str], "").expect(0).stdout;
    assert!(
        listed.contains("(staging: is kept in maildir:") && listed.contains("is paused by an operator"),
        "{listed}"
    );
    daemon.flush();
    senders(&daemon, &["resume", "shop"]);
    daemon.until("the capture", || captured(&daemon) == 1 && daemon.lines().is_empty());
    // With staging off the pause is what it was.
    senders(&daemon, &["pause", "shop"]);
    submit(&daemon, "live", "");
    reconfigure(&daemon, &sender("shop", &server));
    assert_eq!((daemon.lines().len(), server.connections().len()), (1, 0));
    senders(&daemon, &["resume", "shop"]);
    daemon.until("delivery", || server.subjects() == ["live"] && daemon.lines().is_empty());
    assert_eq!(captured(&daemon), 1);
}

#[test]
fn what_staging_keeps_from_the_server_does_not_count() {
    let server = Script::new().start();
    let limited = sender("shop", &server) + "limits = [{ recipients = 2, per = \"24h\" }]\n";
    let daemon = Daemon::start("", &limited);
    let used = |figure: u64| {
        let shown = senders(&daemon, &["shop", "--json"]);
        assert!(shown.contains(&format!("\"used\":{figure},")), "{shown}");
    };
    reconfigure(&daemon, &format!("{limited}{CAPTURE}"));
    (0..4).for_each(|_| drop(submit(&daemon, "staged", "")));
    daemon.until("the captures", || captured(&daemon) == 4 && daemon.lines().is_empty());
    used(0);
    // Redirected, a message to several is one to one.
    reconfigure(&daemon, &format!("{limited}[staging]\nredirect_to = \"dev@example.com\"\n"));
    daemon.home.run("sendmail", &["-odi", "-i", "a@example.org", "b@example.org"], MAIL).expect(0);
    daemon.until("the redirection", || server.messages().len() == 1 && daemon.lines().is_empty());
    assert_eq!(server.messages()[0].recipients, ["dev@example.com"]);
    used(1);
}

#[test]
fn single_mail_overtakes_bulk_that_waited_for_a_pause() {
    let server = Script::new().start();
    let daemon = Daemon::start("", &(sender("shop", &server) + "connections = 1\n"));
    senders(&daemon, &["pause", "shop"]);
    for number in 0..3 {
        submit(&daemon, &format!("bulk {number}"), "Precedence: bulk\n");
    }
    submit(&daemon, "single 0", "");
    submit(&daemon, "single 1", "");
    let listed = daemon.home.run("mailq", &[] as &[&str], "").expect(0).stdout;
    assert_eq!(listed.matches("(bulk mail)").count(), 3, "{listed}");
    let json = daemon.home.run("mailq", &["--json"], "").expect(0).stdout;
    let bulk = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["bulk"].as_bool().unwrap();
    assert_eq!(json.lines().map(bulk).collect::<Vec<_>>(), [true, true, true, false, false]);
    let shown = daemon.home.run("postrider", &["queue", "show"], "").expect(0).stdout;
    assert_eq!(shown.matches("  bulk      yes: single mail overtakes it\n").count(), 3, "{shown}");
    senders(&daemon, &["resume", "shop"]);
    daemon.until("delivery", || server.subjects().len() == 5 && daemon.lines().is_empty());
    assert_eq!(server.subjects()[..2], ["single 0", "single 1"]);
}

#[test]
fn bulk_that_waits_for_the_reserve_says_so() {
    let server = Script::new().start();
    let limits = "limits = [{ recipients = 4, per = \"24h\" }]\nreserve = \"50%\"\n";
    let daemon = Daemon::start("", &(sender("shop", &server) + limits));
    for number in 0..3 {
        submit(&daemon, &format!("bulk {number}"), "Precedence: bulk\n");
    }
    daemon.until("the reserve", || server.subjects().len() == 2 && daemon.lines().len() == 1);
    daemon.until("it waits", || daemon.lines()[0].waits.as_ref().is_some_and(|waits| waits.why.contains("reserved")));
    submit(&daemon, "single", "");
    daemon.until("single mail goes", || server.subjects().len() == 3 && daemon.lines().len() == 1);
}

#[test]
fn a_release_from_the_brake_does_not_end_a_pause() {
    let server = Script::new().start();
    let daemon = Daemon::start("", &(sender("shop", &server) + "[brake]\nmessages = 2\nby = \"script\"\n"));
    senders(&daemon, &["pause", "shop"]);
    let script = "X-PHP-Originating-Script: 33:spam.php\n";
    (0..4).for_each(|number| drop(submit(&daemon, &number.to_string(), script)));
    let held = || daemon.lines().iter().filter(|line| line.hold.is_some()).count();
    assert_eq!((daemon.lines().len(), held()), (4, 2));
    senders(&daemon, &["resume", "shop"]);
    daemon.until("what was not held", || server.subjects().len() == 2 && daemon.lines().len() == 2);
    senders(&daemon, &["pause", "shop"]);
    daemon.home.run("postrider", &["queue", "release", "--held"], "").expect(0);
    assert_eq!((daemon.lines().len(), held()), (2, 0));
    daemon.flush();
    senders(&daemon, &["resume", "shop"]);
    daemon.until("all of them", || server.subjects().len() == 4 && daemon.lines().is_empty());
}

#[test]
fn the_brake_holds_on_a_staging_machine_too() {
    let server = Script::new().start();
    let all = sender("shop", &server) + "[brake]\nmessages = 2\nby = \"script\"\n" + CAPTURE;
    let daemon = Daemon::start("", &sender("shop", &server));
    reconfigure(&daemon, &all);
    let script = "X-PHP-Originating-Script: 33:spam.php\n";
    (0..3).for_each(|number| drop(submit(&daemon, &number.to_string(), script)));
    daemon.until("the captures", || captured(&daemon) == 2 && daemon.lines().len() == 1);
    daemon.home.run("postrider", &["queue", "release", "--held"], "").expect(0);
    daemon.until("the last one", || captured(&daemon) == 3 && daemon.lines().is_empty());
    assert!(server.connections().is_empty());
}

/// Senders with further keys.
fn senders_of(all: &[(&str, &Server, &str)]) -> String {
    all.iter().map(|(name, server, keys)| format!("{}{keys}", sender(name, server))).collect()
}

/// One recipient a day; what is beyond it goes over another sender.
fn overflowing(to: &str) -> String {
    format!("limits = [{{ recipients = 1, per = \"24h\" }}]\nat_limit = \"{to}\"\n")
}

fn backed(by: &str) -> String {
    format!("backup = [\"{by}\"]\nbackup_after = \"0s\"\n")
}

#[test]
fn a_paused_backup_takes_nothing_and_a_paused_sender_gives_nothing() {
    let (server, spare) = (Script::new().reply("CONNECT", DOWN).start(), Script::new().start());
    let daemon = Daemon::start("", &senders_of(&[("shop", &server, &backed("spare")), ("spare", &spare, "")]));
    senders(&daemon, &["pause", "spare"]);
    submit(&daemon, "first", "");
    daemon.until("trouble", || daemon.lines().iter().any(|line| line.paused.is_some()));
    senders(&daemon, &["pause", "shop"]);
    senders(&daemon, &["resume", "spare"]);
    daemon.send("spare", "-odi", "you@example.org").expect(0);
    let lines = daemon.lines();
    assert_eq!((lines.len(), lines[0].sender.as_str(), lines[0].moved_from.as_deref()), (1, "shop", None));
    assert!(lines[0].paused.as_ref().is_some_and(|pause| pause.operator), "{lines:?}");
    senders(&daemon, &["resume", "shop"]);
    daemon.until("the backup", || spare.messages().len() == 2 && daemon.lines().is_empty());
    assert!(server.messages().is_empty());
}

#[test]
fn what_overflowed_goes_to_no_backup_and_what_is_backed_up_overflows_nowhere() {
    // Its own sender is full, the next one is down: it waits there, and the third has nothing of it.
    let (shop, news, spare) = (
        Script::new().start(),
        Script::new().on_nth("CONNECT", 1, Fault::Reply(DOWN.into())).start(),
        Script::new().start(),
    );
    let all = [("shop", &shop, &*overflowing("news")), ("news", &news, &*backed("spare")), ("spare", &spare, "")];
    let daemon = Daemon::start("", &senders_of(&all));
    daemon.send("shop", "-odi", "a@example.org").expect(0);
    daemon.send("shop", "-odb", "b@example.org").expect(0);
    daemon.until("overflow and trouble", || {
        daemon.lines().iter().any(|line| line.moved_from.as_deref() == Some("shop") && line.paused.is_some())
    });
    // Mail of its own goes over the backup; that one does not.
    daemon.send("news", "-odb", "c@example.org").expect(0);
    daemon.until("the backup", || spare.messages().len() == 1 && daemon.lines().len() == 1);
    assert_eq!(spare.messages()[0].recipients, ["c@example.org"]);
    senders(&daemon, &["resume", "news"]);
    daemon.until("delivery", || news.messages().len() == 1 && daemon.lines().is_empty());
    assert_eq!((shop.messages().len(), spare.messages().len()), (1, 1));

    // Its own sender is down, the backup is full: it waits, and where the backup overflows to has nothing of it.
    let (shop, news, spare) =
        (Script::new().reply("CONNECT", DOWN).start(), Script::new().start(), Script::new().start());
    let all = [("shop", &shop, &*backed("news")), ("news", &news, &*overflowing("spare")), ("spare", &spare, "")];
    let daemon = Daemon::start("", &senders_of(&all));
    daemon.send("news", "-odi", "a@example.org").expect(0);
    daemon.send("shop", "-odb", "b@example.org").expect(0);
    daemon.until("it waits", || daemon.lines().iter().any(|line| line.waits.is_some() || line.paused.is_some()));
    daemon.send("news", "-odi", "c@example.org").expect(0);
    daemon.until("overflow of its own", || spare.messages().len() == 1 && daemon.lines().len() == 1);
    assert_eq!(spare.messages()[0].recipients, ["c@example.org"]);
    senders(&daemon, &["reset", "news"]);
    daemon.flush();
    daemon.until("room at the backup", || news.messages().len() == 2 && daemon.lines().is_empty());
    assert_eq!((shop.messages().len(), spare.messages().len()), (0, 1));
}

#[test]
fn without_the_daemon_a_paused_sender_takes_nothing_over() {
    let shop = Script::new().on_nth("RCPT", 1, Fault::Reply("450 4.2.1 later".into())).start();
    let (news, spare) = (Script::new().start(), Script::new().start());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new();
    let file = home.path("limits.db");
    let home = home.config(&format!(
        "domain = \"host.example\"\nlog = {{ to = \"off\" }}\n[queue]\nretry = [\"1h\"]\ndirect = \"on-failure\"\n[limits]\n\
         file = \"{}\"\n{}\
         [[sender]]\nname = \"down\"\nfrom = \"down@example.com\"\nserver = \"smtp+plain://127.0.0.1:{port}\"\n{}",
        file.display(),
        senders_of(&[("shop", &shop, &overflowing("news")), ("news", &news, ""), ("spare", &spare, "")]),
        backed("spare")
    ));
    let send = |from: &str, to: &str| {
        home.run("sendmail", &["-i", to], MAIL.replace("shop@", &format!("{from}@"))).expect(0);
    };
    // The first makes the queue that pauses are kept in.
    send("shop", "first@example.org");
    for name in ["news", "spare"] {
        home.run("postrider", &["senders", "pause", name], "").expect(0);
    }
    send("shop", "a@example.org");
    send("shop", "b@example.org");
    send("down", "c@example.org");
    assert_eq!((shop.messages().len(), news.connections().len(), spare.connections().len()), (1, 0, 0));
    for name in ["news", "spare"] {
        home.run("postrider", &["senders", "resume", name], "").expect(0);
    }
    send("shop", "d@example.org");
    send("down", "e@example.org");
    assert_eq!((news.messages()[0].recipients[0].as_str(), news.messages().len()), ("d@example.org", 1));
    assert_eq!((spare.messages()[0].recipients[0].as_str(), spare.messages().len()), ("e@example.org", 1));
}
