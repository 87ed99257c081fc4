//! Processes that are killed between their reservation and the server's reply.

use super::served::Daemon;
use super::{home, mail, sender, taken};
use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ONE: &str = "limits = [{ messages = 1, per = \"24h\" }]";

/// Starts `sendmail` with a message, and leaves it to itself.
fn begin(home: &Home) -> Child {
    use std::io::Write;
    let mut child = Command::new(home.path("bin/sendmail"))
        .args(["-i", "you@example.org"])
        .env_clear()
        .envs(home.surroundings())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(mail("shop").as_bytes()).unwrap();
    child
}

/// Until a connection, counted from 1, has got so far; then the process is killed.
#[track_caller]
fn kill_at(mut child: Child, server: &Server, nth: usize, verb: Option<&str>) {
    for _ in 0..3000 {
        let there = server.connections().get(nth - 1).cloned();
        let far = |verb: &str| there.as_ref().is_some_and(|one| one.verbs().iter().any(|said| said == verb));
        if verb.map_or(there.is_some(), far) {
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: connection {nth} at {verb:?}");
}

#[test]
fn what_no_server_was_asked_for_is_free_again_and_what_one_may_have_counts() {
    let server = Script::new().on_nth("CONNECT", 1, Fault::Hang).on("DOT", Fault::Hang).start();
    let home = home("", &sender("shop", &server, ONE));
    let waiting = begin(&home);
    kill_at(waiting, &server, 1, None);
    let shown = home.run("postrider", &["senders", "shop", "--json"], "").expect(0).stdout;
    assert!(shown.contains("\"used\":0,"), "{shown}");
    // There is room for the next one, which gets as far as the message.
    let asking = begin(&home);
    kill_at(asking, &server, 2, Some("DATA"));
    let run = home.run("sendmail", &["-i", "you@example.org"], mail("shop")).expect(69);
    assert!(run.stderr.contains("the limit of 1 message per 24h of sender shop is reached"), "{}", run.stderr);
    let shown = home.run("postrider", &["senders", "shop", "--json"], "").expect(0).stdout;
    assert!(shown.contains("\"used\":1,"), "{shown}");
    assert_eq!(server.connections().len(), 2);
}

#[test]
fn a_reservation_of_a_process_that_lives_is_nobody_elses() {
    let server = Script::new().on_nth("CONNECT", 1, Fault::Hang).start();
    let home = home("", &sender("shop", &server, ONE));
    let waiting = begin(&home);
    for _ in 0..3000 {
        if !server.connections().is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!server.connections().is_empty(), "no connection");
    home.run("sendmail", &["-i", "you@example.org"], mail("shop")).expect(69);
    kill_at(waiting, &server, 1, None);
    home.run("sendmail", &["-i", "you@example.org"], mail("shop")).expect(0);
    assert_eq!(taken(&server), 1);
}

#[test]
fn a_daemon_that_was_killed_takes_up_what_it_had_reserved() {
    let server = Script::new().on_nth("CONNECT", 1, Fault::Hang).start();
    let mut daemon = Daemon::start("", &sender("shop", &server, ONE));
    daemon.send("shop", "-odb", &["you@example.org"]).expect(0);
    daemon.until("a connection", || !server.connections().is_empty());
    daemon.kill();
    daemon.again();
    daemon.until("delivery", || taken(&server) == 1 && daemon.lines().is_empty());
    daemon.send("shop", "-odi", &["you@example.org"]).expect(0);
    assert_eq!((taken(&server), daemon.lines().len()), (1, 1), "and that counts");
}
