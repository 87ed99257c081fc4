//! Servers that announce PIPELINING and cannot do it: what was lost goes once more in lock-step, and nothing twice.

use super::runner::{self, Mode, Scenario, Taken};
use crate::daemon::Daemon;
use crate::support::run::Finished;
use crate::support::script::{Fault, Script};
use crate::support::server::{Connection, Server};

const TWO: [&str; 2] = ["ann@example.org", "bob@example.org"];
const MAIL: &str = "From: shop@example.com\nSubject: hello\n\nhello\n";

/// A scenario without login and TLS, whose server announces PIPELINING.
fn scenario(name: &str, change: impl FnOnce(Script) -> Script) -> Scenario {
    let scenario = Scenario::new(name, Mode::Plain).to(&TWO).key("auth = \"off\"");
    scenario.server(|_| change(Script::new().offer("PIPELINING")))
}

/// All of them.
pub fn table() -> Vec<Scenario> {
    let words = |name: &str, at: &'static str, reply: &str| {
        let reply = Fault::Reply(reply.to_owned());
        scenario(name, move |script| script.on_nth(at, 1, reply))
    };
    vec![
        words("pipelining called improper at RCPT", "RCPT", "503 5.5.0 improper command pipelining"),
        words("out of turn at RCPT", "RCPT", "503 bad sequence of commands"),
        words("out of turn at DATA", "DATA", "503 5.5.1 RCPT first"),
        words("no synchronisation at MAIL", "MAIL", "554 SMTP synchronization error"),
        words("closed at RCPT with those words", "RCPT", "421 4.5.0 pipelining? bye"),
        words("refused for another reason", "MAIL", "554 5.7.1 not yours").ends(69, &["554 5.7.1 not yours"]),
        scenario("closed at the first RCPT", |script| script.on_nth("RCPT", 1, Fault::Close)),
        scenario("closed at DATA", |script| script.on_nth("DATA", 1, Fault::Reset)),
        scenario("out of turn each time", |script| script.reply("RCPT", "503 bad sequence"))
            .ends(67, &[", RCPT TO", "503 bad sequence"]),
        scenario("out of turn after the other was taken", |script| {
            script.on_nth("RCPT", 2, Fault::Reply("503 bad sequence".into()))
        }),
        // In one flight with the message it may have arrived: not again at once.
        scenario("thrown away in one flight", |script| script.offer("CHUNKING").flushes_input())
            .stalls()
            .ends(69, &[", RCPT TO", "in time"])
            .taken(Taken::Unknown),
    ]
}

#[test]
fn what_is_lost_in_a_pipeline_goes_in_lock_step() {
    runner::run(table());
}

/// How often the message's commands went out alone, and together.
fn flights(connection: &Connection) -> (usize, usize) {
    (connection.verbs().len(), connection.flights)
}

fn send(scenario: &Scenario, server: &Server) -> Finished {
    let home = scenario.home(server, "3s");
    home.run("sendmail", &["-i", "-f", "shop@example.com", "--", TWO[0], TWO[1]], MAIL)
}

#[test]
fn the_second_connection_is_in_lock_step() {
    let lost = scenario("", Script::flushes_input);
    let server = lost.script.clone().start();
    send(&lost, &server).expect(0);
    let connections = server.connections();
    assert_eq!(connections.len(), 2);
    assert_eq!(connections[0].verbs(), ["EHLO", "MAIL"], "the rest was thrown away");
    assert_eq!(connections[1].verbs(), ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]);
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn pipelining_can_be_switched_off() {
    for (key, together) in [("pipelining = false", false), ("pipelining = true", true)] {
        let off = scenario("", |script| script.offer("CHUNKING")).key(key);
        let server = off.script.clone().start();
        send(&off, &server).expect(0);
        let connections = server.connections();
        let (commands, flights) = flights(&connections[0]);
        // EHLO, the transaction, QUIT; or one more than commands, for the text.
        assert_eq!(flights, if together { 3 } else { commands + 1 }, "{:?}", connections[0]);
    }
}

#[test]
fn the_daemon_remembers_such_a_server() {
    let server = Script::new().offer("PIPELINING").flushes_input().start();
    let daemon = Daemon::start(&server, "messages_per_connection = 1\ntimeouts = { command = \"3s\" }");
    for subject in ["first", "second"] {
        let mail = format!("From: shop@example.com\nSubject: {subject}\n\nhello\n");
        daemon.home().run("sendmail", &["-odi", "-i", TWO[0]], mail).expect(0);
    }
    assert_eq!(server.subjects(), ["first", "second"]);
    crate::daemon::until("three connections", || server.connections().iter().all(|one| one.ended));
    let verbs: Vec<usize> = server.connections().iter().map(|one| one.verbs().len()).collect();
    assert_eq!(verbs, [2, 5, 5], "the first lost it, the others did one at a time");
    assert!(daemon.log().contains("announces PIPELINING and lost what came together"), "{}", daemon.log());
}
