//! What a daemon finds when it starts: a database that is not ours or is damaged, a place that is taken, and messages
//! whose sender is gone.

use super::ledger::copies;
use super::{Site, plain};
use crate::support::script::Script;
use std::path::PathBuf;

/// The files of the queue's directory whose names contain that.
fn files(site: &Site, part: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(site.queue()).unwrap().flatten().map(|entry| entry.path());
    all.filter(|path| path.to_string_lossy().contains(part)).collect()
}

/// Starts one that must not come up; what it said.
#[track_caller]
fn refused(site: &mut Site, status: i32) -> String {
    site.spawn(&[]);
    assert!(!site.is_up());
    let ended = site.ended().and_then(|status| status.code());
    assert_eq!(ended, Some(status), "{}", site.stderr());
    let said = site.stderr();
    assert!(said.lines().count() == 1 && said.starts_with("postrider serve: "), "{said}");
    said
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let server = Script::new().start();
    let mut site = Site::plain("", server.port);
    let directory = site.queue();
    site.start(&[]);
    site.stop();
    let database = directory.join("queue.db");
    let foreign = rusqlite::Connection::open(&database).unwrap();
    foreign
        .execute_batch("PRAGMA application_id = 7; CREATE TABLE theirs (x); PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    drop(foreign);
    let before = std::fs::read(&database).unwrap();
    let said = refused(&mut site, 69);
    assert!(said.contains("queue.db is a database of another program"), "{said}");
    assert_eq!(std::fs::read(&database).unwrap(), before);
    site.send("1-5");
    assert_eq!(site.ledger.check(&copies(&server.connections())).refused, 1);
}

#[test]
fn a_damaged_database_gives_what_can_be_read() {
    let server = Script::new().start();
    let mut site = Site::plain("", server.port);
    site.start(&[]);
    for number in 0..40 {
        let id = format!("{number}-{}", [20, 400][number % 2]);
        site.home.run("sendmail", &["-odq", "-t", "-i"], super::mail(&id)).expect(0);
    }
    site.stop();
    let database = site.queue().join("queue.db");
    // What is in the log would mend the database.
    rusqlite::Connection::open(&database).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut octets = std::fs::read(&database).unwrap();
    let middle = octets.len() * 2 / 3;
    octets[middle..middle + 6000].fill(0xa5);
    std::fs::write(&database, &octets).unwrap();
    site.start(&[]);
    let saved = site.lines().unwrap().len();
    assert!((20..=40).contains(&saved), "{saved} were saved");
    assert!(site.log().contains("damaged"), "{}", site.log());
    assert!(!files(&site, "damaged").is_empty(), "{:?}", files(&site, ""));
    site.flush();
    site.send("after-5").expect(0);
    crate::daemon::until("what can be sent is sent", || {
        site.lines().is_some_and(|lines| lines.iter().all(|line| line.hold.is_some()))
    });
    let held = site.lines().unwrap().len();
    site.stop();
    let arrived = copies(&server.connections());
    assert_eq!(arrived.len() + held, saved + 1);
    assert!(arrived.iter().all(|copy| copy.whole), "a damaged text is not sent");
}

#[test]
fn a_second_daemon_on_the_queue_is_refused() {
    let server = Script::new().start();
    let mut first = Site::plain("", server.port);
    first.start(&[]);
    let mut second = Site::plain("", server.port);
    std::os::unix::fs::symlink(first.queue(), second.queue()).unwrap();
    let said = refused(&mut second, 69);
    assert!(said.contains(&format!("queue: in use by process {}", first.pid())), "{said}");
    first.send("1-5").expect(0);
    first.drain();
    first.stop();
    first.ledger.check(&copies(&server.connections()));
}

/// A command that was run as root leaves files that the daemon's user cannot write, or the file system lends no locks: what
/// is in the way is named, and what mends it.
#[test]
fn what_is_in_the_way_of_a_queue_is_named_with_what_mends_it() {
    let test = "what_is_in_the_way_of_a_queue_is_named_with_what_mends_it";
    if !crate::support::skip::require(test, "root") || !super::faults::possible(test) {
        return;
    }
    let server = Script::new().start();
    for name in ["queue.db", "queue.db-wal", "lock"] {
        let mut site = Site::plain("", server.port);
        site.start(&[]);
        site.kill();
        let path = site.queue().join(name);
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let said = refused(&mut site, 74);
        let mend = format!("mend it as root with: chown -h root {}", path.display());
        assert!(said.contains(" belongs to nobody, and this process runs as root; ") && said.contains(&mend), "{said}");
    }
    let mut site = Site::plain("", server.port);
    site.spawn(&super::words("strace -f -qqq -o /dev/null -e trace=flock -e inject=flock:error=ENOLCK --"));
    assert!(!site.is_up());
    let said = site.stderr();
    assert!(said.contains("lends no locks") && said.contains("set queue.directory to a local file system"), "{said}");
}

#[test]
fn a_message_whose_sender_is_gone_waits_for_it() {
    let server = Script::new().start();
    let mut site = Site::plain("", server.port);
    site.start(&[]);
    site.send_with("1-5", &["-odq", "-t", "-i"]).expect(0);
    site.kill();
    site.configure("", "");
    site.start(&[]);
    site.flush();
    crate::daemon::until("a hold", || {
        let hold = site.lines().and_then(|lines| lines.first().and_then(|line| line.hold.clone()));
        hold.is_some_and(|hold| hold.contains("\"shop\" is not configured any more"))
    });
    site.send("2-5");
    site.kill();
    site.configure("", &plain(server.port));
    site.start(&[]);
    site.drain();
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    assert_eq!((tally.accepted, tally.refused), (1, 1));
}
