//! A message that goes in several transactions: who has it is written down before the next one begins, so that a kill in
//! between sends it to nobody twice.

use super::{Site, plain};
use crate::daemon::until;
use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

const TO: [&str; 6] =
    ["a@example.org", "b@example.org", "c@example.org", "d@example.org", "e@example.org", "f@example.org"];
const MAIL: &str = "From: shop@example.com\nSubject: to many\n\nhello\n";

/// How many copies each recipient got.
fn copies(server: &Server) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    server.messages().iter().flat_map(|one| &one.recipients).for_each(|to| *all.entry(to.clone()).or_default() += 1);
    all
}

fn once() -> BTreeMap<String, usize> {
    TO.iter().map(|to| ((*to).to_owned(), 1)).collect()
}

/// The daemon sends to some, is killed while the server keeps it waiting, and sends to the rest.
#[track_caller]
fn killed_between(server: &Server, sender: &str, begun: impl Fn(&Server) -> bool) {
    let mut site = Site::new("", &format!("{}\n{sender}", plain(server.port)));
    site.start(&[]);
    let words: Vec<&str> = ["-i"].into_iter().chain(TO).collect();
    site.home.run("sendmail", &words, MAIL).expect(0);
    until("the server keeps it waiting", || begun(server));
    site.kill();
    site.start(&[]);
    site.drain();
    site.stop();
    assert_eq!(copies(server), once(), "{}", site.log());
}

fn verbs(server: &Server, verb: &str) -> usize {
    server.connections().iter().flat_map(|one| one.verbs()).filter(|said| said == verb).count()
}

#[test]
fn the_sender_has_few_recipients_at_once() {
    let server = Script::new().on_nth("MAIL", 3, Fault::Hang).start();
    killed_between(&server, "recipients_per_transaction = 2", |server| verbs(server, "MAIL") == 3);
}

#[test]
fn the_server_puts_recipients_off() {
    let server = Script::new()
        .on_nth("RCPT", 4, Fault::Reply("452 4.5.3 too many recipients".into()))
        .on_nth("RCPT", 5, Fault::Reply("452 4.5.3 too many recipients".into()))
        .on_nth("RCPT", 6, Fault::Reply("452 4.5.3 too many recipients".into()))
        .on_nth("MAIL", 2, Fault::Hang)
        .start();
    killed_between(&server, "", |server| verbs(server, "MAIL") == 2);
}

/// Each part has a connection of its own, and the server is slow to say good-bye.
#[test]
fn another_connection_goes_on() {
    let server = Script::new().on("QUIT", Fault::Hang).start();
    let sender = "recipients_per_transaction = 2\nmessages_per_connection = 1";
    killed_between(&server, sender, |server| verbs(server, "QUIT") == 1);
}

/// `sendmail -q` of a queue without the daemon.
#[test]
fn a_run_of_the_callers_own_queue() {
    let server = Script::new().on_nth("CONNECT", 1, Fault::Close).on_nth("MAIL", 2, Fault::Hang).start();
    let home = Home::new().config(&format!(
        "domain = \"host.example\"\nlog = {{ to = \"off\" }}\n[queue]\nretry = [\"1s\"]\ndirect = \"on-failure\"\n[[sender]]\n\
         name = \"shop\"\nfrom = [\"shop@example.com\"]\n{}\nrecipients_per_transaction = 3\n",
        plain(server.port)
    ));
    let words: Vec<&str> = ["-i"].into_iter().chain(TO).collect();
    home.run("sendmail", &words, MAIL).expect(0);
    assert!(server.messages().is_empty(), "kept");
    let run = || {
        let mut command = Command::new(home.path("bin/postrider"));
        command.args(["queue", "retry", "--all"]).env_clear().envs(home.surroundings());
        assert!(command.output().unwrap().status.success());
        let mut command = Command::new(home.path("bin/sendmail"));
        command.arg("-q").env_clear().envs(home.surroundings()).stdin(Stdio::null()).spawn().unwrap()
    };
    let mut first = run();
    until("the second part", || verbs(&server, "MAIL") == 2);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(run().wait().unwrap().success());
    assert_eq!(copies(&server), once());
}
