//! The runaway brake: what is too much is held, somebody is told once, and a release lets it go.

use super::served::{Daemon, sender};
use crate::support::run::Finished;
use crate::support::script::Script;
use crate::support::server::Server;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Submits as PHP does for that script.
fn php(daemon: &Daemon, script: &str, how: &str) -> Finished {
    let mail = format!("X-PHP-Originating-Script: {script}\nFrom: shop@example.com\nSubject: {script}\n\nhello\n");
    daemon.home.run("sendmail", &[how, "-i", "you@example.org"], mail).expect(0)
}

/// A daemon whose brake runs a program that writes down what it is told.
fn braked(server: &Server, brake: &str) -> (Daemon, std::path::PathBuf) {
    let daemon = Daemon::start("", &sender("shop", server));
    let told = daemon.home.path("told");
    let program =
        daemon.home.write("alert", format!("#!/bin/sh\nenv >> {0}; cat >> {0}; echo \"$1\" >> {0}\n", told.display()));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let brake = format!("[brake]\nalert = [\"{}\", \"an argument; not a command\"]\n{brake}", program.display());
    super::served::configure(&daemon.home, "", &format!("{}{brake}", sender("shop", server)));
    daemon.ask(&postrider::daemon::protocol::Request::Reload);
    (daemon, told)
}

fn held(daemon: &Daemon) -> Vec<String> {
    daemon.lines().into_iter().filter_map(|line| line.hold).collect()
}

#[test]
fn a_script_that_runs_away_is_held_and_told_of_once() {
    let server = Script::new().start();
    let (daemon, told) = braked(&server, "messages = 3\nper = \"1h\"\nby = \"script\"\n");
    for _ in 0..8 {
        php(&daemon, "33:spam.php", "-odb");
    }
    php(&daemon, "33:fine.php", "-odi");
    daemon.until("what may go", || server.subjects().len() == 4 && daemon.lines().len() == 5);
    let holds = held(&daemon);
    assert!(
        holds.iter().all(|hold| hold.contains("more than 3 messages within 1h from script 33:spam.php")),
        "{holds:?}"
    );
    // Whoever waits is told at once.
    let mail = "X-PHP-Originating-Script: 33:spam.php\nFrom: shop@example.com\n\nhello\n";
    let run = daemon.home.run("sendmail", &["-odi", "-v", "-i", "you@example.org"], mail).expect(0);
    assert!(run.stderr.contains("kept, on hold: brake: more than 3 messages"), "{}", run.stderr);

    let read = || std::fs::read_to_string(&told).unwrap_or_default();
    daemon.until("the alert", || read().contains("an argument; not a command"));
    let text = read();
    assert_eq!(text.matches("POSTRIDER_SCRIPT=33:spam.php").count(), 1, "{text}");
    for fact in ["POSTRIDER_SENDER=shop", "POSTRIDER_MESSAGES=3", "from: shop@example.com", "per: 1h"] {
        assert!(text.contains(fact), "{fact}: {text}");
    }
    let log = std::fs::read_to_string(daemon.home.path("log")).unwrap();
    assert_eq!(log.matches("too many messages").count(), 1, "{log}");

    // Released ones go, and are not held again.
    daemon.home.run("postrider", &["queue", "release", "--held"], "").expect(0);
    daemon.until("all of them", || server.subjects().len() == 10 && daemon.lines().is_empty());
    php(&daemon, "33:spam.php", "-odb");
    assert_eq!(held(&daemon).len(), 1, "what comes after is");
    assert_eq!(read().matches("POSTRIDER_SCRIPT=").count(), 1, "one incident, one alert");
}

#[test]
fn a_user_that_runs_away_is_held_unless_excepted() {
    let server = Script::new().start();
    let uid = rustix::process::getuid().as_raw();
    let (daemon, _) = braked(&server, "messages = 2\nper = \"1h\"\nby = [\"script\", \"uid\"]\n");
    for number in 0..4 {
        php(&daemon, &format!("33:{number}.php"), "-odb");
    }
    daemon.until("what may go", || server.subjects().len() == 2 && held(&daemon).len() == 2);
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    assert!(held(&daemon)[0].contains(&format!("from user {}", user.trim())), "{:?}", held(&daemon));

    for brake in [
        format!("messages = 2\nexempt = [\"{uid}\"]\n"),
        format!("messages = 2\n[[brake.except]]\nuser = \"{}\"\nmessages = 50\n", user.trim()),
        format!("messages = 2\n[[brake.except]]\nscript = \"s*.php\"\nuser = \"{uid}\"\n"),
    ] {
        let server = Script::new().start();
        let (daemon, told) = braked(&server, &brake);
        for number in 0..6 {
            php(&daemon, &format!("33:s{}.php", number / 2), "-odb");
        }
        daemon.until("all of them", || server.subjects().len() == 6);
        assert!(held(&daemon).is_empty() && !told.exists(), "{brake}");
    }
}

#[test]
fn a_restart_forgets_nothing() {
    let server = Script::new().start();
    let (mut daemon, told) = braked(&server, "messages = 3\nby = \"script\"\n");
    for _ in 0..4 {
        php(&daemon, "33:spam.php", "-odb");
    }
    let alerts = || std::fs::read_to_string(&told).unwrap_or_default().matches("POSTRIDER_SCRIPT=").count();
    daemon.until("the alert", || alerts() == 1);
    daemon.restart();
    php(&daemon, "33:spam.php", "-odb");
    assert_eq!(held(&daemon).len(), 2);
    php(&daemon, "33:other.php", "-odi");
    assert_eq!(alerts(), 1);
}

#[test]
fn a_script_that_is_named_twice_gains_nothing() {
    let server = Script::new().start();
    let uid = rustix::process::getuid().as_raw();
    let rules = format!("messages = 2\nby = \"script\"\n[[brake.except]]\nscript = \"free.php\"\nuser = \"{uid}\"\n");
    let (daemon, _) = braked(&server, &rules);
    for _ in 0..4 {
        php(&daemon, "33:free.php\nX-PHP-Originating-Script: 33:other.php", "-odb");
    }
    daemon.until("what may go", || server.subjects().len() == 2 && held(&daemon).len() == 2);
    (0..4).for_each(|_| drop(php(&daemon, "33:free.php", "-odi")));
    assert_eq!((server.subjects().len(), held(&daemon).len()), (6, 2));
}

#[test]
fn clients_of_a_listener_count_together_and_what_rules_forward_counts() {
    let server = Script::new().start();
    let listeners = "[[listen]]\naddress = \"127.0.0.1:0\"\n\
        [[listen]]\naddress = \"127.0.0.1:0\"\npurpose = \"incoming\"\ndomains = [\"example.com\"]\n\
        [brake]\nmessages = 2\nby = \"uid\"\n\
        [[rule]]\nname = \"on\"\nto = [\"root@localhost\", \"root@example.com\"]\nforward = \"admin@example.org\"\nvia = \"shop\"\n";
    let daemon = crate::daemon::Daemon::start(&server, listeners);
    let ports = crate::listener::ports(&daemon, 2);
    let home = daemon.home();
    let held = || home.run("mailq", &["--json"], "").expect(0).stdout.matches("\"state\":\"hold\"").count();
    // From two addresses of loopback, which are one client, and through both listeners.
    let mail = |port: u16, from: &str, to: &str| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let at = |text: String| -> socket2::SockAddr { text.parse::<std::net::SocketAddr>().unwrap().into() };
        socket.bind(&at(format!("{from}:0"))).unwrap();
        socket.connect(&at(format!("127.0.0.1:{port}"))).unwrap();
        let mut talk = crate::listener::Talk::of(socket.into());
        talk.expect("EHLO here", "250");
        talk.expect("MAIL FROM:<shop@example.com>", "250");
        talk.expect(&format!("RCPT TO:<{to}>"), "250");
        talk.expect("DATA", "354");
        talk.expect("From: shop@example.com\r\nSubject: tcp\r\n\r\nhello\r\n.", "250");
    };
    mail(ports[0], "127.0.0.1", "you@example.org");
    mail(ports[1], "127.0.0.2", "root@example.com");
    crate::daemon::until("two go", || server.messages().len() == 2);
    mail(ports[0], "127.0.0.3", "you@example.org");
    mail(ports[1], "127.0.0.4", "root@example.com");
    assert_eq!(held(), 2);
    // A user counts apart, also with what only rules take.
    for _ in 0..4 {
        home.run("sendmail", &["-i", "-f", "shop@example.com", "root@localhost"], "Subject: local\n\nhello\n")
            .expect(0);
    }
    crate::daemon::until("two more go", || server.messages().len() == 4);
    assert_eq!((held(), server.messages().len()), (4, 4));
}
