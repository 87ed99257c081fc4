//! A queue that was harmed from outside: its files removed, moved or changed. Nothing that may hold mail is deleted, and
//! `postrider queue salvage` brings it back.

use super::ledger::{copies, mail};
use super::{Site, plain};
use crate::support::run::Finished;
use crate::support::script::Script;
use std::path::PathBuf;

/// What was set aside, as the queue's directory has it.
fn aside(site: &Site, mark: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(site.queue()).unwrap().flatten().map(|entry| entry.path());
    all.filter(|path| path.file_name().unwrap().to_string_lossy().contains(mark)).collect()
}

fn postrider(site: &Site, words: &[&str]) -> Finished {
    site.home.run("postrider", words, "")
}

/// A site with small and large messages that wait for a run of the queue; numbers of lines are in their ids.
fn waiting(port: u16, ids: &[&str]) -> Site {
    let mut site = Site::plain("", port);
    site.start(&[]);
    for id in ids {
        site.send_with(id, &["-odq", "-t", "-i"]).expect(0);
    }
    site
}

/// Releases everything and waits until it is sent.
fn release(site: &Site) {
    postrider(site, &["queue", "release", "--all"]).expect(0);
    site.drain();
}

fn salvage(site: &Site, place: &str) -> String {
    postrider(site, &["queue", "salvage", place]).expect(0).stdout
}

#[test]
fn large_texts_outlive_their_database() {
    let server = Script::new().start();
    let mut site = waiting(server.port, &["1-8000", "2-8000", "3-5"]);
    site.stop();
    // As the error about another program's database advises.
    let moved = site.home.path("moved.db");
    let log = |database: &std::path::Path| PathBuf::from(format!("{}-wal", database.display()));
    std::fs::rename(log(&site.queue().join("queue.db")), log(&moved)).unwrap();
    std::fs::rename(site.queue().join("queue.db"), &moved).unwrap();
    site.start(&[]);
    assert_eq!(site.lines().unwrap().len(), 0);
    let queue = site.queue().display().to_string();
    assert!(site.log().contains("2 large texts that the queue does not know"), "{}", site.log());
    let status = postrider(&site, &["status"]).expect(0).stdout;
    assert!(
        status.contains("may hold mail") && status.contains(&format!("postrider queue salvage {queue}")),
        "{status}"
    );
    let config = site.home.path("postrider.toml").display().to_string();
    let checked = postrider(&site, &["--config", &config, "check"]);
    assert!(checked.stdout.contains("text.damaged-"), "{}{}", checked.stdout, checked.stderr);
    // Its envelope stands in the file; whether it was sent, nobody knows.
    let told = salvage(&site, &queue);
    assert!(told.starts_with("2 messages brought back, 2 of them on hold"), "{told}");
    assert!(aside(&site, "damaged").is_empty() && aside(&site, "salvaged").len() == 1);
    assert!(!postrider(&site, &["status"]).expect(0).stdout.contains("may hold mail"));
    let hold = site.lines().unwrap()[0].hold.clone().unwrap();
    assert!(hold.contains("whether it was sent"), "{hold}");
    // The database has the third, and knows the others; it is still as it was.
    let told = salvage(&site, moved.to_str().unwrap());
    assert!(told.starts_with("1 message brought back, 0 of them") && told.contains("2 messages known"), "{told}");
    let again = salvage(&site, moved.to_str().unwrap());
    assert!(again.starts_with("0 messages brought back") && again.contains("3 messages known"), "{again}");
    release(&site);
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    assert_eq!((tally.accepted, tally.duplicates), (3, 0), "{tally:?}");
}

#[test]
fn a_log_that_was_removed_after_a_kill_costs_no_large_text() {
    let server = Script::new().start();
    let mut site = waiting(server.port, &["1-5"]);
    site.stop();
    site.start(&[]);
    site.send_with("2-8000", &["-odq", "-t", "-i"]).expect(0);
    site.kill();
    std::fs::remove_file(site.queue().join("queue.db-wal")).unwrap();
    site.start(&[]);
    assert!(site.log().contains("queue.db-wal is missing"), "{}", site.log());
    let told = salvage(&site, &site.queue().display().to_string());
    assert!(told.starts_with("1 message brought back, 1 of them on hold"), "{told}");
    release(&site);
    site.stop();
    assert_eq!(site.ledger.check(&copies(&server.connections())).accepted, 2);
}

#[test]
fn an_octet_of_the_first_page_costs_nothing() {
    let server = Script::new().start();
    let ids: Vec<String> = (0..12).map(|number| format!("{number}-{}", [5, 8000][number % 2])).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut site = waiting(server.port, &ids);
    for at in [17, 20, 30, 60, 68, 100, 105, 2000, 4000] {
        site.stop();
        let database = site.queue().join("queue.db");
        let mut octets = std::fs::read(&database).unwrap();
        octets[at] ^= 0x40;
        std::fs::write(&database, octets).unwrap();
        site.start(&[]);
        assert_eq!(site.lines().unwrap().len(), 12, "octet {at}\n{}", site.log());
    }
    site.drain();
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    assert_eq!((tally.accepted, tally.duplicates), (12, 0));
}

#[test]
fn a_damaged_text_is_held_and_shown() {
    let server = Script::new().start();
    let mut site = Site::new("", &plain(server.port));
    site.start(&[]);
    for id in ["1-8000", "2-5", "3-5"] {
        site.home.run("sendmail", &["-odq", "-t", "-i"], mail(id)).expect(0);
    }
    site.stop();
    let text = std::fs::read_dir(site.queue().join("text")).unwrap().next().unwrap().unwrap().path();
    let mut octets = std::fs::read(&text).unwrap();
    octets[100_000] ^= 1;
    std::fs::write(&text, octets).unwrap();
    let database = rusqlite::Connection::open(site.queue().join("queue.db")).unwrap();
    database
        .execute_batch("UPDATE text SET octets = CAST(replace(CAST(octets AS TEXT), 'o', '0') AS BLOB) WHERE id = 2")
        .unwrap();
    drop(database);
    site.start(&[]);
    site.flush();
    crate::daemon::until("what is whole is sent", || site.lines().is_some_and(|lines| lines.len() == 2));
    crate::daemon::until("the others are held", || site.lines().unwrap().iter().all(|line| line.hold.is_some()));
    for words in [&["queue", "list"][..], &["queue", "show"]] {
        let shown = postrider(&site, words).expect(0).stdout;
        assert_eq!(shown.matches("damaged on the disk").count(), 2, "{shown}");
    }
    site.stop();
    assert_eq!(copies(&server.connections()).len(), 1);
}

#[test]
fn texts_of_an_older_program_come_back_with_what_their_header_says() {
    let server = Script::new().start();
    let mut site = Site::plain("", server.port);
    site.start(&[]);
    let place = site.home.path("texts");
    std::fs::create_dir(&place).unwrap();
    let body = "a line\r\n".repeat(100);
    std::fs::write(
        place.join("00aa"),
        format!("From: shop@example.com\r\nTo: you@example.org\r\nSubject: old\r\n\r\n{body}"),
    )
    .unwrap();
    std::fs::write(place.join("00bb"), format!("From: shop@example.com\r\nSubject: to nobody\r\n\r\n{body}")).unwrap();
    let run = postrider(&site, &["queue", "salvage", place.to_str().unwrap(), "--json"]).expect(0);
    let told: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&told["back"], &told["held"], &told["lost"]), (&2.into(), &2.into(), &0.into()), "{told}");
    let lines = site.lines().unwrap();
    let of = |at: usize| (lines[at].sender.as_str(), lines[at].recipients[0].address.as_str());
    assert_eq!((of(0), of(1)), (("shop", "you@example.org"), ("shop", "shop@example.com")));
    assert!(lines[1].hold.as_ref().unwrap().contains("names no recipient"), "{lines:?}");
    assert!(place.join("00aa").exists(), "what is elsewhere stays as it is");
    let other = postrider(&site, &["queue", "salvage", &site.queue().join("queue.db").display().to_string()]);
    assert!(other.status != 0 && other.stderr.contains("in use by the queue itself"), "{}", other.stderr);
}
