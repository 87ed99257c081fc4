//! What a local client says on the daemon's socket, and what it gets of the queue: a request reads back as itself, and a
//! listing for a user has that user's messages alone, in order, no more than were asked for, in a reply of bounded size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::daemon::listing;
use postrider::daemon::protocol::{REPLY, REQUEST, Reply, Request};
use postrider::daemon::wire;
use postrider::envelope::{Dsn, Envelope, ReversePath};
use postrider::message::address::Address;
use postrider::message::read::{self, ReadRules};
use postrider::queue::sqlite::{SqliteStore, StoreConfig};
use postrider::queue::{Action, Filter, MessageId, NewMessage, Store};
use std::sync::OnceLock;

/// Whose messages are asked for.
const USER: u32 = 33;

/// A queue with messages of two users, some of them on hold.
fn store() -> &'static SqliteStore {
    static STORE: OnceLock<SqliteStore> = OnceLock::new();
    STORE.get_or_init(|| {
        let directory = std::env::temp_dir().join(format!("postrider-fuzz-{}", std::process::id()));
        let place = StoreConfig { directory: &directory, min_free: 0, exclusive: true };
        let store = SqliteStore::open(&place).expect("a queue in the directory for temporary files");
        for number in 0..12 {
            store.accept(message(number)).expect("kept");
        }
        for (uid, id) in [(None, 1), (Some(USER), 3)] {
            let filter = Filter { ids: vec![MessageId(id)], uid, ..Filter::default() };
            store.act(&filter, &Action::Hold("a reason".into()), 0).expect("on hold");
        }
        store
    })
}

fn message(number: u32) -> NewMessage {
    let mut text = b"From: shop@example.com\n\nhello\n".as_slice();
    let to = (0..=number % 4).map(|to| Address::parse(&format!("you{to}@example.org")).expect("an address"));
    let from = ReversePath::Address(Address::parse("shop@example.com").expect("an address"));
    NewMessage {
        submission: format!("{number:032x}"),
        uid: if number % 2 == 0 { USER } else { 1000 },
        lane: if number % 3 == 0 { "shop" } else { "news" }.into(),
        header_from: "shop@example.com".into(),
        envelope: Envelope::new(from, to.collect(), Dsn::default()).expect("recipients"),
        tag: None,
        message: read::read(&mut text, ReadRules { dot_ends: false }).expect("a message"),
        now: number.into(),
        due: number.into(),
        hold: None,
        report: false,
        bulk: false,
        counted: None,
        in_doubt: Vec::new(),
    }
}

fn list(filter: Filter, limit: usize) {
    let after = filter.after;
    let own = Filter { uid: Some(USER), ..filter };
    let Ok(lines) = listing::page(store(), &own, limit.min(10_000), 0, None) else { return };
    assert!(lines.len() <= limit && lines.iter().all(|line| line.uid == USER));
    let ids: Vec<MessageId> = lines.iter().map(|line| line.id.parse().expect("a number")).collect();
    assert!(ids.is_sorted() && after.is_none_or(|after| ids.iter().all(|id| *id > after)));
    let mut frame = Vec::new();
    wire::write_value(&mut frame, &Reply::Messages(lines.clone()), REPLY).expect("a page fits a reply");
    let back: Reply = wire::read_value(&mut frame.as_slice(), REPLY).expect("it reads back");
    assert_eq!(back, Reply::Messages(lines));
    // What may be touched and what others hold are all there is, and nothing twice.
    let count = |touchable| {
        let some = Filter { touchable, after: None, ..own.clone() };
        store().numbers(&some, 100).map_or(0, |found| found.len())
    };
    assert_eq!(count(Some(true)) + count(Some(false)), count(None));
}

fuzz_target!(|data: &[u8]| {
    // As a client of the other side sees it.
    let _ = wire::read_value::<Reply>(&mut &*data, REPLY);
    let request = match wire::read_magic(&mut &*data) {
        Ok(()) => wire::read_value::<Request>(&mut &data[11..], REQUEST),
        // Most of what is tried is a request without its frame.
        Err(_) => wire::value(data),
    };
    let Ok(request) = request else { return };
    let mut frame = Vec::new();
    if wire::write_value(&mut frame, &request, REQUEST).is_ok() {
        let back: Request = wire::read_value(&mut frame.as_slice(), REQUEST).expect("it reads back");
        assert_eq!(back, request);
    }
    if let Request::List { filter, limit } = request {
        list(filter, limit);
    }
});
