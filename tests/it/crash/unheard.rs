//! A daemon that takes no connection: the caller is told within seconds that nothing was kept, and nothing is, whenever the
//! daemon comes to itself.

use super::ledger::copies;
use super::{Site, words};
use crate::support::script::Script;
use crate::support::skip;
use postrider::daemon::client;
use postrider::daemon::protocol::{MAGIC, Request};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A message is refused, in time and in the right words.
#[track_caller]
fn refused(site: &Site, id: &str, why: &str) {
    let begun = Instant::now();
    let run = site.send(id);
    let said = run.stderr;
    assert_ne!(run.status, 0, "{said}");
    assert!(said.contains("nothing was kept") && said.contains(why), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_daemon_that_stands_still() {
    let server = Script::new().start();
    let mut site = Site::plain("", server.port);
    site.start(&[]);
    site.send("1-5").expect(0);
    site.signal(rustix::process::Signal::STOP);
    std::thread::scope(|scope| {
        // Small enough to be sent whole, and too large for that.
        for id in ["2-5", "3-9000"] {
            scope.spawn(|| refused(&site, id, "no answer in time"));
        }
        scope.spawn(|| {
            let said = client::ask(&site.socket(), &Request::Status).unwrap_err().to_string();
            assert!(said.contains("no answer in time"), "{said}");
        });
    });
    site.signal(rustix::process::Signal::CONT);
    // It finds what was sent to it, and that it was taken back.
    site.send("4-5").expect(0);
    site.drain();
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    assert_eq!((tally.accepted, tally.refused), (2, 2), "{tally:?}");
}

#[test]
fn a_daemon_without_a_descriptor_to_spare() {
    let test = "a_daemon_without_a_descriptor_to_spare";
    if !skip::require(test, "prlimit") {
        return;
    }
    let server = Script::new().start();
    let mut site = Site::plain("", server.port);
    site.start(&[]);
    site.send("1-5").expect(0);
    site.drain();
    let limit = |most: &str| {
        let run = site.home.program("/usr/bin/prlimit".as_ref(), &["--pid", &site.pid().to_string(), most], "");
        run.expect(0);
    };
    // Connections that begin to say something take the rest.
    limit("--nofile=40:4096");
    let held: Vec<UnixStream> = (0..60).filter_map(|_| UnixStream::connect(site.socket()).ok()).collect();
    held.iter().for_each(|mut stream| drop(stream.write_all(MAGIC)));
    refused(&site, "2-5", "no descriptor to spare");
    drop(held);
    limit("--nofile=4096:4096");
    site.send("3-5").expect(0);
    site.drain();
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    assert_eq!((tally.accepted, tally.refused), (2, 1), "{tally:?}");
}

#[test]
fn a_daemon_that_can_take_none() {
    let test = "a_daemon_that_can_take_none";
    if !super::faults::possible(test) {
        return;
    }
    let server = Script::new().start();
    let mut site = Site::plain("", server.port);
    site.spawn(&words("strace -f -qqq -o /dev/null -e trace=accept4 -e inject=accept4:error=EMFILE:when=1+ --"));
    assert!(site.is_up());
    refused(&site, "1-5", "no answer in time");
    assert!(site.log().matches("no client can be taken for now").count() == 1, "it says so once: {}", site.log());
    site.kill();
    site.start(&[]);
    site.send("2-5").expect(0);
    site.drain();
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    assert_eq!((tally.accepted, tally.refused), (1, 1), "{tally:?}");
}
