//! The caller's own queue: `[queue] direct = "on-failure"` and `sendmail -q`, without the daemon.

use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use std::time::Duration;

const MAIL: &str = "From: shop@example.com\nSubject: kept\n\nhello\n";

fn home(server: &Server, queue: &str) -> Home {
    let config = format!(
        "domain = \"host.example\"\nlog = {{ to = \"off\" }}\n[queue]\nretry = [\"1s\"]\n{queue}\n[[sender]]\nname = \"shop\"\n\
         from = [\"shop@example.com\"]\nserver = \"smtp+plain://127.0.0.1:{}\"\n",
        server.port
    );
    Home::new().config(&config)
}

fn run_queue(home: &Home) {
    std::thread::sleep(Duration::from_millis(1200));
    let run = home.run("sendmail", &["-q"], "").expect(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

#[test]
fn what_was_deferred_is_kept_and_a_run_delivers_it() {
    let server = Script::new().on_nth("RCPT", 1, Fault::Reply("450 4.2.1 later".into())).start();
    let home = home(&server, "direct = \"on-failure\"");
    let run = home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(0);
    assert_eq!(run.stderr, "", "kept is safe");
    assert!(server.messages().is_empty());
    assert!(home.path(".local/state/postrider/queue/queue.db").is_file());
    run_queue(&home);
    assert_eq!(server.messages().len(), 1);
    run_queue(&home);
    assert_eq!(server.messages().len(), 1, "once");
}

#[test]
fn a_run_tells_a_person_what_is_not_yet_due() {
    let server = Script::new().reply("RCPT", "450 4.2.1 later").start();
    let config = format!(
        "domain = \"host.example\"\nlog = {{ to = \"off\" }}\n[queue]\nretry = [\"1h\"]\ndirect = \"on-failure\"\n[[sender]]\n\
         name = \"shop\"\nfrom = [\"shop@example.com\"]\nserver = \"smtp+plain://127.0.0.1:{}\"\n",
        server.port
    );
    let home = Home::new().config(&config);
    home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(0);
    home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(0);
    // Cron would mail it, over and over.
    assert_eq!(home.run("sendmail", &["-q"], "").expect(0).stderr, "");
    let said = home.run("sendmail", &["-q", "-v"], "").expect(0).stderr;
    assert!(said.starts_with("sendmail: 2 messages are not yet due, the first is at 20"), "{said}");
    assert!(said.contains("postrider queue retry --all") && said.lines().count() == 1, "{said}");
    home.run("postrider", &["queue", "hold", "--all"], "").expect(0);
    let said = home.run("sendmail", &["-q", "-v"], "").expect(0).stderr;
    assert_eq!(said, "sendmail: 2 messages are on hold (mailq says why)\n");
    home.run("postrider", &["queue", "delete", "--all"], "").expect(0);
    assert_eq!(home.run("sendmail", &["-q", "-v"], "").expect(0).stderr, "");
    assert_eq!(server.connections().iter().flat_map(|one| one.verbs()).filter(|verb| verb == "MAIL").count(), 2);
}

#[test]
fn what_is_in_doubt_waits_its_time_out_unless_it_is_called_by_its_number() {
    let server = Script::new().on_nth("DOT", 1, Fault::Lose).start();
    let home = home(&server, "direct = \"on-failure\"");
    home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(0);
    let retry = |which: &str| home.run("postrider", &["queue", "retry", which], "").expect(0);
    let arrived = || server.messages().len();
    let before = arrived();
    run_queue(&home);
    retry("--all");
    run_queue(&home);
    assert_eq!(arrived(), before, "the server may have it");
    let list = home.run("postrider", &["queue", "list", "--json"], "").expect(0).stdout;
    let id = list.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{list}"));
    retry(id);
    run_queue(&home);
    assert_eq!(arrived(), before + 1);
}

#[test]
fn off_keeps_nothing() {
    let server = Script::new().reply("RCPT", "450 4.2.1 later").start();
    let home = home(&server, "");
    let run = home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(69);
    assert!(run.stderr.contains("450 4.2.1 later"));
    assert!(!home.path(".local").exists());
    home.run("sendmail", &["-q"], "").expect(0);
}

#[test]
fn what_is_refused_for_good_is_told_and_the_rest_kept() {
    let server = Script::new()
        .on_nth("RCPT", 1, Fault::Reply("550 5.1.1 no such user".into()))
        .on_nth("RCPT", 2, Fault::Reply("450 4.2.1 later".into()))
        .start();
    let home = home(&server, "direct = \"on-failure\"");
    let run = home.run("sendmail", &["-i", "no@example.org", "you@example.org"], MAIL);
    assert_eq!(run.status, 67);
    assert!(
        run.stderr.contains("no such user") && run.stderr.contains("kept for 1 of the recipients"),
        "{}",
        run.stderr
    );
    run_queue(&home);
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].recipients, ["you@example.org"]);
}

#[test]
fn a_later_refusal_comes_back_as_a_bounce() {
    let server = Script::new()
        .on_nth("RCPT", 1, Fault::Reply("450 4.2.1 later".into()))
        .on_nth("RCPT", 2, Fault::Reply("550 5.1.1 no such user".into()))
        .start();
    let home = home(&server, "direct = \"on-failure\"");
    home.run("sendmail", &["-i", "no@example.org"], MAIL).expect(0);
    run_queue(&home);
    let messages = server.messages();
    assert_eq!(messages.len(), 1, "the bounce, in the same run");
    assert_eq!(
        (messages[0].from.as_str(), messages[0].recipients.as_slice()),
        ("", &["shop@example.com".to_owned()][..])
    );
    let text = String::from_utf8_lossy(&messages[0].text).into_owned();
    assert!(text.contains("Status: 5.1.1") && text.contains("multipart/report"), "{text}");
}

#[test]
fn a_server_that_is_away_is_asked_once_a_run() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Script::new().start();
    let home = home(&server, "direct = \"on-failure\"");
    let config = std::fs::read_to_string(home.path("postrider.toml")).unwrap();
    home.write("postrider.toml", config.replace(&server.port.to_string(), &gone.to_string()));
    for _ in 0..3 {
        home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(0);
    }
    run_queue(&home);
    assert!(server.connections().is_empty());
}

#[test]
fn a_queue_that_cannot_be_made_is_told() {
    let server = Script::new().reply("RCPT", "450 4.2.1 later").start();
    let home = home(&server, "direct = \"on-failure\"");
    home.write(".local", "a file in the way");
    let run = home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(69);
    assert!(run.stderr.contains("450 4.2.1 later") && run.stderr.contains("not kept in the queue"), "{}", run.stderr);
}
