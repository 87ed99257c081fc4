//! Queues of older programs: brought up to date where they are sound, saved where they are damaged.

use super::*;
use std::os::unix::fs::DirBuilderExt;

/// A queue of the first version with one message in it.
fn first_version(directory: &Path) {
    let path = directory.join("queue.db");
    std::fs::DirBuilder::new().mode(0o700).create(directory.join("text")).unwrap();
    let database = Connection::open(&path).unwrap();
    database.execute_batch(schema::known(0).unwrap()[0]).unwrap();
    database.pragma_update(None, "application_id", schema::APPLICATION).unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    database
        .execute_batch(
            "UPDATE state SET queued = 1, last = 1;
             INSERT INTO message VALUES
                 (1, 1000, 'shop', 'shop@example.com', 'shop@example.com', NULL, NULL, 14, 5, 5, NULL, 0, 0, NULL);
             INSERT INTO recipient VALUES (1, 0, 'a@example.org', 2, 5, '451 later');
             INSERT INTO lane VALUES ('blog', 77, '535 login', 2);
             INSERT INTO text VALUES (1, CAST('Subject: x' || char(13, 10, 13, 10) AS BLOB));",
        )
        .unwrap();
}

fn is_up_to_date(store: &SqliteStore) {
    let found = store.claim(9, &[], 9).unwrap().remove(0);
    assert_eq!((found.lane.as_str(), found.bulk, found.recipients[0].attempts), ("shop", false, 2));
    assert!(found.moved.is_none() && found.grace == crate::queue::Grace::default());
    assert_eq!((store.paused().unwrap()[0].until, store.paused().unwrap()[0].times), (77, 2));
    let bulk = NewMessage { bulk: true, ..new("b", "shop", &["b@example.org"], 1) };
    let id = store.accept(bulk).unwrap().id;
    assert!(all(store).iter().any(|message| message.id == id && message.bulk));
}

#[test]
fn a_queue_of_the_first_version_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    first_version(dir.path());
    let store = open(dir.path());
    assert!(store.recovered().is_none());
    is_up_to_date(&store);
}

#[test]
fn a_damaged_queue_of_the_first_version_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    first_version(dir.path());
    // A page of an index: what the tables hold can still be read.
    let path = dir.path().join("queue.db");
    let page: u32 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'message_uid'", [], |row| row.get(0))
        .unwrap();
    super::damage::overwrite(&path, (u64::from(page) - 1) * 4096, &[0xff; 4096]);
    let store = open(dir.path());
    assert!(store.recovered().unwrap().contains("1 message was saved, 0 of them without their text"));
    is_up_to_date(&store);
}
