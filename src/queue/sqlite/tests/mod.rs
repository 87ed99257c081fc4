//! The store through its trait, on real directories.

mod bulk;
mod concurrent;
mod contract;
mod damage;
mod faults;
mod large;
mod plans;
mod steering;
mod upgrade;

use super::*;
use crate::envelope::{Envelope, ReversePath};
use crate::message::address::Address;
use crate::queue::{Fate, Moved, NEXT_RUN};
use std::io::Read;

fn open(directory: &Path) -> SqliteStore {
    try_open(directory, true).unwrap()
}

fn try_open(directory: &Path, exclusive: bool) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&StoreConfig { directory, min_free: 0, exclusive })
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn message(text: &str) -> Message {
    text::parse(&mut text.as_bytes()).unwrap()
}

fn new(submission: &str, lane: &str, recipients: &[&str], due: Millis) -> NewMessage {
    let recipients = recipients.iter().map(|one| address(one)).collect();
    NewMessage {
        submission: submission.into(),
        uid: 1000,
        lane: lane.into(),
        header_from: "shop@example.com".into(),
        envelope: Envelope::new(ReversePath::Address(address("shop@example.com")), recipients, Default::default())
            .unwrap(),
        tag: None,
        message: message("From: shop@example.com\nSubject: test\n\nline\n.\nlast"),
        now: due,
        due,
        hold: None,
        report: false,
        bulk: false,
        counted: None,
        in_doubt: Vec::new(),
    }
}

fn recorded(number: u32, result: Fate, said: &str) -> Recorded {
    Recorded { number, result, said: said.into(), via: "shop".into(), unknown: false, reason: String::new() }
}

fn paused(lane: &str, until: Millis, reason: &str) -> Pause {
    let (lane, reason) = (lane.into(), reason.into());
    Pause { lane, until, reason, times: 1, since: None, firm: false, down: None }
}

fn wire(message: &Message) -> Vec<u8> {
    let mut octets = Vec::new();
    message.wire().read_to_end(&mut octets).unwrap();
    octets
}

fn all(store: &SqliteStore) -> Vec<Queued> {
    store.list(&Filter::default(), usize::MAX).unwrap()
}

fn ids(messages: &[Queued]) -> Vec<i64> {
    messages.iter().map(|message| message.id.0).collect()
}

/// A store with `count` messages of one recipient each, closed again.
fn filled(directory: &Path, count: usize) {
    let store = open(directory);
    for n in 0..count {
        store.accept(new(&format!("{n:032x}"), "shop", &["a@example.org"], n as Millis)).unwrap();
    }
}
