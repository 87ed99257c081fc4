//! A process that stands still: while it is stopped, or the machine asleep, time limits pass, and what came meanwhile counts.

use super::ledger::copies;
use super::{Site, plain};
use crate::daemon::until;
use crate::support::certs::{Authority, Kind};
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use rustix::process::Signal;
use std::time::Duration;

/// The daemon stands still from when the server has the message until long after its limit for the reply, which comes in
/// time; then it goes on. The message is not sent again.
#[track_caller]
fn frozen(server: &Server, sender: &str) {
    let limits = "timeouts = { data_end = \"2s\" }";
    let mut site = Site::new("", &format!("{sender}\n{limits}"));
    site.start(&[]);
    site.send_with("1-5", &["-odb", "-t", "-i"]).expect(0);
    until("the server has it", || !server.messages().is_empty());
    site.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(3000));
    site.signal(Signal::CONT);
    until("the result is recorded", || {
        site.lines().is_some_and(|lines| lines.is_empty()) || site.log().contains("deferred")
    });
    site.drain();
    site.stop();
    assert!(!site.log().contains("deferred"), "{}", site.log());
    assert_eq!(site.ledger.check(&copies(&server.connections())).duplicates, 0);
}

#[test]
fn a_reply_that_came_while_it_stood_still_counts() {
    let server = Script::new().on_nth("DOT", 1, Fault::Delay(Duration::from_millis(1000))).start();
    frozen(&server, &plain(server.port));
}

#[test]
fn also_within_tls() {
    let authority = Authority::new();
    let identity = authority.issue(Kind::Valid);
    let server =
        Script::new().implicit_tls(&identity).on_nth("DOT", 1, Fault::Delay(Duration::from_millis(1000))).start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    frozen(&server, &format!("server = \"smtps://localhost:{}\"\nca_file = \"{}\"", server.port, file.display()));
}
