//! One way of speaking: JSON where a table is printed, the nearest name in an error, nothing coloured, progress on a
//! terminal alone, and a configuration that is the environment.

use crate::support::certs::{Authority, Kind};
use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use crate::support::skip::require;
use std::path::Path;

const MAIL: &str = "From: shop@example.com\nTo: you@example.org\nSubject: hello\n\nhello\n";

fn home(server: &Server) -> Home {
    let config = format!(
        "domain = \"host.example\"\nlog = {{ to = \"off\" }}\n[queue]\nretry = [\"1s\"]\ndirect = \"on-failure\"\n\
         [[sender]]\nname = \"shop\"\nfrom = [\"shop@example.com\"]\nserver = \"smtp+plain://127.0.0.1:{}\"\n",
        server.port
    );
    Home::new().config(&config)
}

fn json(text: &str) -> serde_json::Value {
    assert_eq!(text.matches('\n').count(), 1, "one object a line: {text}");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_is_a_table_is_json_where_that_is_wanted() {
    let server = Script::new().reply("RCPT", "450 4.2.1 later").start();
    let home = home(&server);
    let explained = json(&home.run("postrider", &["explain", "--json", "-t"], MAIL).expect(0).stdout);
    assert_eq!(explained["sender"], "shop");
    assert_eq!(explained["recipient"], serde_json::json!(["you@example.org"]));
    assert!(explained["change"].is_array() && explained["configuration"][0].is_string(), "{explained}");

    let checked = home.run("postrider", &["check", "--json"], "").expect(0).stdout;
    let checked: Vec<serde_json::Value> = checked.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(checked.iter().all(|one| one["level"] == "ok") && checked[0]["area"] == "config", "{checked:?}");
    let faulty = Home::new().config("domain = \"x\"\nsendr = 1\n");
    let fault = json(&faulty.run("postrider", &["check", "--json"], "").expect(2).stdout);
    assert_eq!((fault["level"].as_str(), fault["line"].as_u64()), (Some("error"), Some(2)));

    home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(0);
    for line in [&["mailq", "--json"][..], &["sendmail", "-bp", "--json"], &["postrider", "queue", "show", "--json"]] {
        let listed = json(&home.run(line[0], &line[1..], "").expect(0).stdout);
        assert_eq!(listed["sender"], "shop", "{line:?}");
    }
}

#[test]
fn an_error_names_what_is_nearest() {
    let server = Script::new().reply("RCPT", "450 4.2.1 later").start();
    let home = home(&server);
    let said = |line: &[&str], input: &str| {
        let run = home.run(line[0], &line[1..], input);
        assert!(run.stderr.lines().count() >= 1, "{line:?}: {run:?}");
        run.stderr
    };
    assert!(said(&["sendmail", "-a", "shpo", "-t"], MAIL).contains("the nearest is \"shop\""));
    assert!(said(&["postrider", "chekc"], "").contains("'check'"));
    assert!(said(&["postrider", "queue", "lits"], "").contains("'list'"));
    assert!(said(&["postrider", "check", "--parse-onyl"], "").contains("'--parse-only'"));
    assert!(said(&["msmtp", "--acount=x", "you@example.org"], MAIL).contains("did you mean --account?"));
    home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(0);
    assert!(said(&["postrider", "queue", "hold", "--sender", "shpo"], "").contains("there is \"shop\""));
    let faults = |toml: &str| Home::new().config(toml).run("postrider", &["check"], "").expect(2).stdout;
    // A file that was named by hand is not quoted, but what is near is said all the same.
    assert!(faults("[quuee]\n").contains("did you mean queue?"));
    assert!(faults("server = \"smtp://x\"\n").contains("belongs to [default] or [[sender]]"));
    assert!(faults("[[sender]]\nfrom = \"a@b.example\"\nprovider = \"yandx\"\n").contains("did you mean yandex?"));
}

#[test]
fn nothing_is_coloured_on_a_terminal() {
    if !require("nothing_is_coloured_on_a_terminal", "script") {
        return;
    }
    let home = Home::new().config("sendr = 1\n").env("TERM", "xterm-256color");
    for line in ["postrider check", "postrider --help", "postrider nonsense", "sendmail -t </dev/null"] {
        let run = home.program(Path::new("/usr/bin/script"), &["-qec", line, "/dev/null"], "");
        assert!(!run.stdout.is_empty() && !run.stdout.contains('\u{1b}'), "{line}: {:?}", run.stdout);
    }
}

#[test]
fn progress_is_for_a_terminal_alone() {
    if !require("progress_is_for_a_terminal_alone", "script") {
        return;
    }
    let server = Script::new()
        .on_nth("RCPT", 1, Fault::Reply("450 4.2.1 later".into()))
        .on_nth("RCPT", 2, Fault::Reply("450 4.2.1 later".into()))
        .start();
    let home = home(&server).env("TERM", "xterm");
    for _ in 0..2 {
        home.run("sendmail", &["-i", "you@example.org"], MAIL).expect(0);
    }
    // Due at once; the run itself then keeps to the schedule.
    home.run("postrider", &["queue", "retry", "--all"], "").expect(0);
    let run = home.program(Path::new("/usr/bin/script"), &["-qec", "sendmail -q", "/dev/null"], "").expect(0);
    assert!(run.stdout.contains("delivering: 2 of 2") && run.stdout.ends_with('\r'), "{:?}", run.stdout);
    assert_eq!(server.messages().len(), 2);
    let quiet = home.run("sendmail", &["-q"], "").expect(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn the_environment_stands_for_a_file_that_is_not_there() {
    let authority = Authority::new();
    let identity = authority.issue(Kind::Valid);
    let server = Script::new().auth("site@example.com", "tanstaaf", &["PLAIN"]).implicit_tls(&identity).start();
    let home = Home::new();
    let trusted = home.write("ca.pem", authority.pem());
    let home = home
        .env("POSTRIDER_SERVER", format!("smtps://127.0.0.1:{}", server.port))
        .env("POSTRIDER_CA_FILE", trusted)
        .env("POSTRIDER_USER", "site@example.com")
        .env("POSTRIDER_PASSWORD", "tanstaaf")
        .env("POSTRIDER_MUST_MATCH", "true")
        .env("POSTRIDER_ON_MISMATCH", "rewrite")
        .env("POSTRIDER_DOMAIN", "host.example")
        .env("POSTRIDER_LOG", "off");
    if Path::new("/etc/postrider/postrider.toml").exists() {
        return crate::support::skip::because("the_environment_stands_for_a_file", "this machine has a configuration");
    }
    let explained = home.run("postrider", &["explain", "-t"], MAIL).expect(0).stdout;
    assert!(explained.contains("environment variables") && !explained.contains("tanstaaf"), "{explained}");
    home.run("sendmail", &["-t", "-i"], MAIL).expect(0);
    let message = &server.messages()[0];
    assert_eq!((message.from.as_str(), message.recipients.len()), ("site@example.com", 1));

    // A file wins.
    home.write(".config/postrider/postrider.toml", "[default]\nrelay = \"refuse\"\n");
    home.run("sendmail", &["-t", "-i"], MAIL).expect(77);
    // A fault names its variable and no secret.
    let faulty = Home::new().env("POSTRIDER_SERVER", "http://tanstaaf").env("POSTRIDER_LOG", "off");
    let run = faulty.run("sendmail", &["-t", "-i"], MAIL).expect(78);
    assert!(run.stderr.contains("POSTRIDER_SERVER: server has an unknown scheme") && !run.stderr.contains("tanstaaf"));
}
