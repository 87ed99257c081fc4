//! Senders seen and steered through the real program: `postrider senders`, `pause`, `resume`, `reset`, `stats`.

use super::served::{Daemon, configure, sender};
use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use postrider::daemon::protocol::{Reply, Request};
use serde_json::Value;

fn json(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let all: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let run = home.run("postrider", &all, "").expect(0);
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn steer(daemon: &Daemon, arguments: &[&str]) -> String {
    let all: Vec<&str> = ["senders"].iter().chain(arguments).copied().collect();
    daemon.home.run("postrider", &all, "").expect(0).stdout
}

#[test]
fn a_pause_outlives_a_restart_and_only_its_end_ends_it() {
    let (server, fine) = (Script::new().start(), Script::new().start());
    let senders = format!("{}{}", sender("shop", &server), sender("news", &fine));
    let mut daemon = Daemon::start("retry = [\"1s\"]", &senders);
    assert_eq!(
        steer(&daemon, &["pause", "shop", "--reason", "asking them"]),
        "sender shop is paused until it is resumed\n"
    );
    let run = daemon.home.run("sendmail", &["-v", "-odi", "-i", "you@example.org"], "From: shop@example.com\n\nx\n");
    let run = run.expect(0);
    assert!(run.stderr.contains("kept; an operator paused it: asking them"), "{}", run.stderr);
    daemon.send("news", "-odi", "you@example.org").expect(0);
    daemon.restart();
    daemon.flush();
    daemon.home.run("sendmail", &["-q"], "").expect(0);
    daemon.home.run("postrider", &["queue", "retry", "--all"], "").expect(0);
    configure(&daemon.home, "retry = [\"2s\"]", &senders);
    assert_eq!(daemon.ask(&Request::Reload), Reply::Touched(0));
    daemon.send("news", "-odi", "you@example.org").expect(0);
    assert_eq!((server.connections().len(), fine.messages().len()), (0, 2));

    let table = daemon.home.run("postrider", &["senders"], "").expect(0).stdout;
    assert!(table.contains("shop                 paused         1   0/4 none"), "{table}");
    assert!(table.contains("  is paused by an operator until it is resumed: asking them\n"), "{table}");
    let listed = daemon.home.run("mailq", &[] as &[&str], "").expect(0).stdout;
    assert!(listed.contains("(sender shop is paused by an operator until it is resumed: asking them)"), "{listed}");
    let status = daemon.home.run("postrider", &["status"], "").expect(0).stdout;
    assert!(status.contains("sender shop is paused by an operator until it is resumed: asking them"), "{status}");
    let state = json(&daemon.home, &["senders", "shop"]).remove(0);
    assert_eq!(
        (&state["state"], &state["pause"]["operator"], &state["queued"]),
        (&"paused".into(), &true.into(), &1.into())
    );

    assert_eq!(steer(&daemon, &["resume", "shop"]), "sender shop goes on\n");
    daemon.until("delivery", || server.messages().len() == 1 && daemon.lines().is_empty());
    assert_eq!(steer(&daemon, &["resume", "shop"]), "sender shop was not paused\n");
    let log = std::fs::read_to_string(daemon.home.path("log")).unwrap();
    assert!(log.contains("an operator paused the sender") && log.contains("an operator resumed the sender"), "{log}");
}

#[test]
fn a_pause_for_a_time_ends_by_itself() {
    let server = Script::new().start();
    let daemon = Daemon::start("", &sender("shop", &server));
    steer(&daemon, &["pause", "shop", "--for", "1s"]);
    daemon.send("shop", "-odb", "you@example.org").expect(0);
    daemon.until("delivery", || server.messages().len() == 1);
    assert_eq!(json(&daemon.home, &["senders", "shop"])[0]["state"], "open");
}

#[test]
fn resume_ends_a_trouble_of_fixed_length_too() {
    let spam = "554 5.7.1 [2] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc 1700000000-abc";
    let server = Script::new().on_nth("DOT", 1, Fault::Reply(spam.into())).start();
    let yandex = format!("{}provider = \"yandex\"\nauth = \"off\"\n", sender("shop", &server));
    let daemon = Daemon::start("retry = [\"1s\"]", &yandex);
    daemon.send("shop", "-odb", "you@example.org").expect(0);
    daemon.until("trouble", || json(&daemon.home, &["senders", "shop"])[0]["state"] == "trouble");
    let state = json(&daemon.home, &["senders", "shop"]).remove(0);
    assert_eq!(state["pause"]["operator"], false);
    assert_eq!(steer(&daemon, &["resume", "shop"]), "sender shop goes on\n");
    daemon.until("delivery", || server.messages().len() == 1 && daemon.lines().is_empty());
    let stats = json(&daemon.home, &["stats"]).remove(0);
    let shop = &stats["senders"][0];
    assert_eq!((&shop["sent"], &shop["deferred"], &shop["failed"]), (&1.into(), &1.into(), &0.into()), "{stats}");
    assert!(shop["reasons"][0]["reason"].as_str().unwrap().starts_with("554 5.7.1 "), "{stats}");
}

#[test]
fn a_reset_counts_from_nothing_and_what_waits_goes() {
    let server = Script::new().start();
    let limited = format!("{}limits = [{{ recipients = 2, per = \"24h\" }}]\n", sender("shop", &server));
    let daemon = Daemon::start("retry = [\"1s\"]", &limited);
    for _ in 0..3 {
        daemon.send("shop", "-odb", "you@example.org").expect(0);
    }
    daemon.until("the limit", || json(&daemon.home, &["senders", "shop"])[0]["state"] == "limit");
    let limit = json(&daemon.home, &["senders", "shop"])[0]["limits"][0].clone();
    assert_eq!(
        (&limit["limit"], &limit["used"], &limit["left"]),
        (&"2 recipients per 24h".into(), &2.into(), &0.into())
    );
    assert!(limit["next_free"].is_i64());
    let mail = "From: shop@example.com\nTo: you@example.org\n\nx\n";
    let config = daemon.home.path("postrider.toml");
    let explain = ["--config", config.to_str().unwrap(), "explain", "-t"];
    let explained = daemon.home.run("postrider", &explain, mail).expect(0).stdout;
    assert!(explained.contains("limit:         sender shop: 2 recipients per 24h: 2 used, 0 left"), "{explained}");
    assert!(
        explained.contains("at limit:      the limit of 2 recipients per 24h of sender shop is reached"),
        "{explained}"
    );
    assert!(explained.contains("the message waits in the daemon's queue"), "{explained}");

    let near = daemon.home.run("postrider", &["senders", "reset", "shpo"], "").expect(69);
    assert!(near.stderr.contains("no sender is named \"shpo\"; the nearest is \"shop\""), "{}", near.stderr);
    assert_eq!(steer(&daemon, &["reset", "shop"]), "sender shop: counted from 0 again\n");
    daemon.until("delivery", || server.messages().len() == 3 && daemon.lines().is_empty());
}

#[test]
fn a_paused_sender_takes_nothing_over_and_gives_nothing_away() {
    let (full, other) = (Script::new().start(), Script::new().start());
    let shop =
        format!("{}limits = [{{ recipients = 1, per = \"24h\" }}]\nat_limit = \"news\"\n", sender("shop", &full));
    let daemon = Daemon::start("retry = [\"1s\"]", &format!("{shop}{}", sender("news", &other)));
    steer(&daemon, &["pause", "news"]);
    daemon.send("shop", "-odi", "a@example.org").expect(0);
    daemon.send("shop", "-odi", "b@example.org").expect(0);
    daemon.until("it waits in its own lane", || {
        daemon.lines().iter().all(|line| line.state != "active" || line.waits.is_some())
    });
    assert_eq!(daemon.lines()[0].sender, "shop");
    assert_eq!((full.messages().len(), other.messages().len()), (1, 0));
    steer(&daemon, &["resume", "news"]);
    steer(&daemon, &["pause", "shop"]);
    daemon.send("shop", "-odb", "c@example.org").expect(0);
    daemon.send("news", "-odi", "d@example.org").expect(0);
    assert_eq!((full.messages().len(), other.messages().len(), daemon.lines().len()), (1, 1, 2));
}

#[test]
fn without_the_daemon_the_files_answer() {
    let server = Script::new().on_nth("RCPT", 1, Fault::Reply("450 4.2.1 later".into())).start();
    let home = Home::new();
    let file = home.path("limits.db");
    let config = format!(
        "domain = \"host.example\"\nlog = {{ to = \"off\" }}\n[queue]\nretry = [\"1s\"]\ndirect = \"on-failure\"\n\
         [limits]\nfile = \"{}\"\n{}limits = [{{ messages = 5, per = \"1h\" }}]\n",
        file.display(),
        sender("shop", &server)
    );
    let home = home.config(&config);
    let state = json(&home, &["senders"]).remove(0);
    assert_eq!((&state["limits"][0]["left"], &state["queued"]), (&5.into(), &Value::Null));
    assert!(!file.exists(), "who looks makes no file");
    home.run("sendmail", &["-i", "you@example.org"], "From: shop@example.com\n\nx\n").expect(0);
    home.run("postrider", &["senders", "pause", "shop", "--for", "1h"], "").expect(0);
    home.run("sendmail", &["-i", "second@example.org"], "From: shop@example.com\n\nx\n").expect(0);
    std::thread::sleep(std::time::Duration::from_millis(1200));
    home.run("sendmail", &["-q"], "").expect(0);
    assert_eq!(server.messages().len(), 0);
    home.run("postrider", &["senders", "resume", "shop"], "").expect(0);
    home.run("sendmail", &["-q"], "").expect(0);
    assert_eq!(server.messages().len(), 2);
    let shop = json(&home, &["stats", "--since", "1h"])[0]["senders"][0].clone();
    assert_eq!((&shop["sent"], &shop["queued"]), (&2.into(), &Value::Null));
    let state = json(&home, &["senders", "shop"]).remove(0);
    assert_eq!((&state["limits"][0]["used"], &state["queued"]), (&2.into(), &0.into()));
}
