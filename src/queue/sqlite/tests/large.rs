//! Texts that are files: streamed, bounded in memory, gone with the message, never without a word.

#![expect(clippy::disallowed_methods, reason = "a test runs itself as a child")]

use super::*;
use std::io;

const MIB: usize = 1 << 20;

/// A message of so many octets, made as it is read.
fn big(size: usize) -> Message {
    let head = &b"From: shop@example.com\r\nSubject: large\r\n\r\n"[..];
    let line = b"0123456789012345678901234567890123456789012345678901234567890\r\n";
    let lines = std::iter::repeat_n(&line[..], size / line.len());
    let mut rest: Box<dyn Read> = Box::new(Lines(lines, &[]));
    text::parse(&mut head.chain(&mut rest)).unwrap()
}

struct Lines<I>(I, &'static [u8]);

impl<I: Iterator<Item = &'static [u8]>> Read for Lines<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.is_empty() {
            self.1 = self.0.next().unwrap_or_default();
        }
        self.1.read(buffer)
    }
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("text")).unwrap().count()
}

#[test]
fn a_large_text_is_a_file_until_the_last_recipient() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let message = big(MIB);
    let one = |submission: &str| NewMessage {
        message: message.clone(),
        ..new(submission, "shop", &["a@x.org", "b@x.org"], 1)
    };
    let id = store.accept(one("a")).unwrap().id;
    assert!(store.accept(one("a")).unwrap().again);
    assert_eq!(files(dir.path()), 1, "the second was not kept");
    assert!(wire(&store.text(id).unwrap()) == wire(&message));
    store.record(id, 1, &[recorded(0, Fate::Sent, "250")], Some(one("bounce"))).unwrap();
    assert_eq!(files(dir.path()), 2);
    store.record(id, 1, &[recorded(1, Fate::Sent, "250")], Some(one("bounce"))).unwrap();
    assert_eq!(files(dir.path()), 1);
    assert!(matches!(store.record(id, 1, &[], Some(one("late"))), Err(StoreError::Gone)));
    assert_eq!(files(dir.path()), 1);
    store.act(&Filter::default(), &Action::Delete, 0).unwrap();
    assert_eq!((files(dir.path()), store.count().unwrap()), (0, 0));
}

/// In a process of its own: the memory of other tests would count too.
#[test]
fn fifty_megabytes_cost_no_memory() {
    const ALONE: &str = "POSTRIDER_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "queue::sqlite::tests::large::fifty_megabytes_cost_no_memory";
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stdout));
        return;
    }
    fn peak() -> usize {
        let status =
            std::fs::OpenOptions::new().read(true).open("/proc/self/status").map(io::read_to_string).unwrap().unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let message = big(50 * MIB);
    let before = peak();
    let size = message.wire_size();
    let id = store.accept(NewMessage { message, ..new("a", "shop", &["a@x.org"], 1) }).unwrap().id;
    let back = store.text(id).unwrap();
    let grown = peak().saturating_sub(before);
    assert_eq!(io::copy(&mut back.wire(), &mut io::sink()).unwrap(), size);
    assert!(grown < 20 * MIB, "{grown} octets");
}

#[test]
fn rows_and_files_are_made_to_agree() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for submission in ["a", "b", "c"] {
        store.accept(NewMessage { message: big(MIB), ..new(submission, "shop", &["a@x.org"], 1) }).unwrap();
    }
    let (a, b) = lock(&store.operator)
        .query_row(
            "SELECT (SELECT file FROM message WHERE id = 1), (SELECT file FROM message WHERE id = 2)",
            [],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
        )
        .unwrap();
    drop(store);
    let texts = dir.path().join("text");
    std::fs::remove_file(texts.join(&a)).unwrap();
    std::fs::OpenOptions::new().write(true).open(texts.join(&b)).unwrap().set_len(1000).unwrap();
    std::fs::copy(texts.join(&b), texts.join("00ff")).unwrap();
    let store = open(dir.path());
    let aside = aside::list(dir.path()).unwrap().remove(0);
    assert!(store.recovered().unwrap().contains(aside.to_str().unwrap()) && aside.join("00ff").exists());
    let found = all(&store);
    assert!(found[0].hold.as_ref().unwrap().contains(&a));
    assert!(found[1].hold.as_ref().unwrap().contains(&b));
    assert!(found[2].hold.is_none());
    assert_eq!(files(dir.path()), 2, "what no message names is set aside");
    assert_eq!(ids(&store.claim(9, &[], 9).unwrap()), [3]);
    assert!(store.text(MessageId(1)).is_err() && store.text(MessageId(2)).is_err());
}

#[test]
fn a_text_that_is_damaged_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let large = store.accept(NewMessage { message: big(MIB), ..new("a", "shop", &["a@x.org"], 1) }).unwrap().id;
    let small = store.accept(new("b", "shop", &["a@x.org"], 1)).unwrap().id;
    let whole = store.accept(new("c", "shop", &["a@x.org"], 1)).unwrap().id;
    let file = std::fs::read_dir(dir.path().join("text")).unwrap().next().unwrap().unwrap().path();
    super::damage::overwrite(&file, 500_000, b"?");
    lock(&store.operator).execute("UPDATE text SET octets = CAST('From: x' AS BLOB) WHERE id = ?1", [small.0]).unwrap();
    for id in [large, small] {
        let refused = store.text(id).unwrap_err();
        assert!(matches!(&refused, StoreError::Text(what) if what.contains("damaged")), "{refused}");
    }
    store.text(whole).unwrap();
}

#[test]
fn what_a_kill_leaves_of_a_text_is_told_from_mail() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let one = |submission: &str| NewMessage { message: big(MIB), ..new(submission, "shop", &["a@x.org"], 1) };
    let id = store.accept(one("a")).unwrap().id;
    let text = std::fs::read_dir(dir.path().join("text")).unwrap().next().unwrap().unwrap().path();
    let (done, cut) = (text.with_file_name("00.text"), text.with_file_name("01.text"));
    std::fs::copy(&text, &done).unwrap();
    std::fs::copy(&text, &cut).unwrap();
    std::fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(500_000).unwrap();
    store.record(id, 1, &[recorded(0, Fate::Sent, "250")], None).unwrap();
    drop(store);
    let store = open(dir.path());
    assert!(store.recovered().is_none() && files(dir.path()) == 0, "one is done with, one was never accepted");
    store.accept(one("b")).unwrap();
    drop(store);
    std::fs::remove_file(dir.path().join("queue.db")).unwrap();
    let store = open(dir.path());
    let told = store.recovered().unwrap();
    assert!(told.contains("1 large text that the queue does not know"), "{told}");
    assert_eq!((files(dir.path()), aside::list(dir.path()).unwrap().len()), (0, 1));
}

#[test]
fn a_text_that_cannot_be_written_is_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    std::fs::remove_dir(dir.path().join("text")).unwrap();
    let refused = store.accept(NewMessage { message: big(MIB), ..new("a", "shop", &["a@x.org"], 1) }).unwrap_err();
    assert!(matches!(&refused, StoreError::Io(what) if what.contains("/text/")), "{refused}");
    assert_eq!(store.count().unwrap(), 0);
    assert!(!store.accept(new("a", "shop", &["a@x.org"], 1)).unwrap().again);
}
