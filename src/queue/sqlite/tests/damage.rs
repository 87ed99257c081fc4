//! Databases that are damaged, foreign, newer or in the wrong hands.

use super::*;
use std::fs::{OpenOptions, read_dir};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};

fn names(dir: &Path, part: &str) -> Vec<String> {
    let names = read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(part)).collect()
}

pub(super) fn overwrite(path: &Path, at: u64, octets: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(octets).unwrap();
}

/// What is left of a thousand messages, and the report.
fn damaged(harm: impl Fn(&Path)) -> (Vec<Queued>, String) {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 1000);
    harm(dir.path());
    let (found, told, next) = {
        let store = open(dir.path());
        let found = all(&store);
        assert_eq!(store.count().unwrap(), found.len() as u64);
        for one in found.iter().filter(|one| one.hold.is_none()) {
            store.text(one.id).unwrap();
        }
        let told = store.recovered().unwrap();
        (found, told, store.accept(new("next", "shop", &["a@x.org"], 1)).unwrap())
    };
    assert!(!next.again && found.last().is_none_or(|last| last.id < next.id));
    let aside = names(dir.path(), "damaged");
    assert!(aside.iter().any(|name| told.contains(name)), "{told}: {aside:?}");
    let again = open(dir.path());
    assert!(again.recovered().is_none(), "it is told once");
    assert_eq!(names(dir.path(), "damaged"), aside);
    (found, told)
}

#[test]
fn octets_overwritten_in_the_middle() {
    for percent in [10, 30, 50, 70, 90] {
        let (found, told) = damaged(|dir| {
            let path = dir.join("queue.db");
            let pages = path.metadata().unwrap().len() / 4096;
            overwrite(&path, pages * percent / 100 * 4096, &[0xa5; 3 * 4096]);
        });
        // The first pages hold the roots of the trees: what hangs on a root that is gone is in the old file alone.
        assert!(percent == 10 || found.len() > 500, "at {percent} %: {} left; {told}", found.len());
    }
}

/// Makes a closed queue one of version 1, as far as its tables go.
fn age(dir: &Path) {
    const NEWER: &str = "DROP INDEX message_due; DROP TABLE source; DROP TABLE downtime;
        ALTER TABLE message DROP COLUMN bulk; ALTER TABLE message DROP COLUMN home;
        ALTER TABLE message DROP COLUMN moved; ALTER TABLE message DROP COLUMN base;
        ALTER TABLE message DROP COLUMN holder; ALTER TABLE message DROP COLUMN digest;
        ALTER TABLE recipient DROP COLUMN failed;
        ALTER TABLE recipient DROP COLUMN unknown; ALTER TABLE recipient DROP COLUMN dsn;
        ALTER TABLE lane DROP COLUMN since; ALTER TABLE lane DROP COLUMN firm; ALTER TABLE lane DROP COLUMN down;
        CREATE INDEX message_due ON message (lane, due) WHERE hold IS NULL;
        PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE);";
    Connection::open(dir.join("queue.db")).unwrap().execute_batch(NEWER).unwrap();
}

#[test]
fn a_queue_of_version_1_is_saved_too() {
    let (found, told) = damaged(|dir| {
        age(dir);
        let path = dir.join("queue.db");
        let pages = path.metadata().unwrap().len() / 4096;
        overwrite(&path, pages / 2 * 4096, &[0xa5; 3 * 4096]);
    });
    assert!(found.len() > 500, "{} left; {told}", found.len());
}

#[test]
fn cut_off() {
    let (found, told) = damaged(|dir| {
        let path = dir.join("queue.db");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(path.metadata().unwrap().len() / 2 / 4096 * 4096).unwrap();
    });
    assert!(!found.is_empty(), "{told}");
}

#[test]
fn nothing_left() {
    let (found, told) = damaged(|dir| drop(OpenOptions::new().write(true).truncate(true).open(dir.join("queue.db"))));
    assert!(found.is_empty() && told.contains("empty"), "{told}");
    let (found, told) = damaged(|dir| {
        let path = dir.join("queue.db");
        std::fs::remove_file(&path).unwrap();
        OpenOptions::new().write(true).create_new(true).open(path).unwrap().write_all(b"no mail here\n").unwrap();
    });
    assert!(found.is_empty() && told.contains("no SQLite database"), "{told}");
    let (found, _) = damaged(|dir| overwrite(&dir.join("queue.db"), 100, &[0xff; 60_000]));
    assert!(found.len() <= 1000);
}

#[test]
fn a_rescue_is_finished_where_it_was_broken_off() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    // As it stands when the new database is complete and the old one is still in its place.
    std::fs::copy(dir.path().join("queue.db"), dir.path().join("queue.db.new")).unwrap();
    overwrite(&dir.path().join("queue.db"), 0, b"garbage");
    let store = open(dir.path());
    assert!(store.recovered().is_some());
    assert_eq!((all(&store).len(), names(dir.path(), "damaged").len()), (3, 1));
    drop(store);
    // And when the old one had been moved already.
    std::fs::rename(dir.path().join("queue.db"), dir.path().join("queue.db.new")).unwrap();
    assert_eq!(all(&open(dir.path())).len(), 3);
}

#[test]
fn texts_of_lost_messages_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    OpenOptions::new().write(true).create_new(true).open(dir.path().join("text/00ff")).unwrap();
    overwrite(&dir.path().join("queue.db"), 0, b"garbage");
    let told = open(dir.path()).recovered().unwrap();
    let aside = names(dir.path(), "text.damaged").remove(0);
    assert!(told.contains(&aside) && dir.path().join(aside).join("00ff").exists(), "{told}");
}

/// Every octet of the first page, a few at a time, in a copy of a queue of thirty messages each.
#[test]
fn no_octet_of_the_first_page_costs_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    filled(&whole, 30);
    drop(open(&whole));
    // Of the header, where every octet means something, and of the rest.
    for (round, at) in (0..112).step_by(3).chain((112..4096).step_by(173)).enumerate() {
        let queue = dir.path().join("queue");
        let _ = std::fs::remove_dir_all(&queue);
        std::fs::create_dir_all(queue.join("text")).unwrap();
        for name in [&queue, &queue.join("text")] {
            std::fs::set_permissions(name, PermissionsExt::from_mode(0o700)).unwrap();
        }
        for name in ["queue.db", "queue.db.head"] {
            std::fs::copy(whole.join(name), queue.join(name)).unwrap();
        }
        let path = queue.join("queue.db");
        let octet = head::first(&path).unwrap()[at];
        overwrite(&path, at as u64, &[octet ^ if round % 2 == 0 { 0x01 } else { 0xff }]);
        let store = open(&queue);
        let found = all(&store);
        assert_eq!(found.len(), 30, "octet {at}: {:?}", store.recovered());
        assert!(found.iter().all(|one| one.hold.is_none() && store.text(one.id).is_ok()), "octet {at}");
        assert_eq!(store.claim(99, &[], 99).unwrap().len(), 30, "octet {at}");
    }
}

#[test]
fn the_whole_first_page_may_be_gone() {
    let (found, told) = damaged(|dir| overwrite(&dir.join("queue.db"), 0, &[0; 4096]));
    assert_eq!(found.len(), 1000, "{told}");
}

#[test]
fn a_log_without_its_database_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let queue = dir.path();
    let store = open(queue);
    for name in ["a", "b", "c"] {
        store.accept(new(name, "shop", &["a@example.org"], 5)).unwrap();
    }
    std::fs::copy(queue.join("queue.db-wal"), queue.join("log")).unwrap();
    drop(store);
    std::fs::remove_file(queue.join("queue.db")).unwrap();
    std::fs::rename(queue.join("log"), queue.join("queue.db-wal")).unwrap();
    let store = open(queue);
    let told = store.recovered().unwrap();
    assert!(told.contains("it is missing, and its log is there"), "{told}");
    assert_eq!(ids(&store.claim(9, &[], 9).unwrap()), [1, 2, 3], "{told}");
}

#[test]
fn a_log_that_is_missing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, copy) = (dir.path().join("queue"), dir.path().join("copy"));
    let store = open(&queue);
    store.accept(new("a", "shop", &["a@example.org"], 1)).unwrap();
    std::fs::create_dir(&copy).unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o700)).unwrap();
    for name in ["queue.db", "lock"] {
        std::fs::copy(queue.join(name), copy.join(name)).unwrap();
    }
    let again = open(&copy);
    let told = again.recovered().unwrap();
    assert!(told.contains("queue.db-wal is missing") && told.contains("postrider queue salvage"), "{told}");
    let kept = aside::list(&copy).unwrap().remove(0);
    assert!(all(&again).is_empty() && told.contains(kept.to_str().unwrap()), "{told}");
    drop(again);
    let again = open(&copy);
    assert!(again.recovered().is_none(), "it is told once");
    // The log turns up.
    std::fs::copy(queue.join("queue.db-wal"), aside::beside(&kept, "-wal")).unwrap();
    let how = Salvage { since: 0, uid: 7, lane: &|_| "shop".into() };
    let told = again.salvage(&copy, &how).unwrap();
    assert_eq!((told.back, told.held, told.lost), (1, 0, 0), "{told:?}");
    assert_eq!(again.salvage(&copy, &how).unwrap(), Salvaged::default());
}

#[test]
fn a_foreign_or_newer_database_is_not_touched() {
    for (pragma, expected) in [("application_id = 7", "another program"), ("user_version = 99", "newer postrider")] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 1);
        let path = dir.path().join("queue.db");
        Connection::open(&path).unwrap().execute_batch(&format!("PRAGMA {pragma}; CREATE TABLE theirs (x)")).unwrap();
        let before = std::io::read_to_string(Latin(OpenOptions::new().read(true).open(&path).unwrap())).unwrap();
        let refused = try_open(dir.path(), true).unwrap_err();
        assert!(matches!(&refused, StoreError::Damaged(what) if what.contains(expected)), "{refused}");
        let after = std::io::read_to_string(Latin(OpenOptions::new().read(true).open(&path).unwrap())).unwrap();
        assert!(before == after);
        assert!(names(dir.path(), "damaged").is_empty());
    }
}

/// Octets with the eighth bit dropped, to be compared as text.
struct Latin(std::fs::File);

impl Read for Latin {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        buffer[..count].iter_mut().for_each(|octet| *octet &= 0x7f);
        Ok(count)
    }
}

#[test]
fn only_an_own_directory_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let queue = dir.path().join("a/queue");
    drop(open(&queue));
    for (path, mode) in [(queue.clone(), 0o700), (queue.join("queue.db"), 0o600), (queue.join("text"), 0o700)] {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    let refused = try_open(&queue.join("queue.db"), true).unwrap_err();
    assert!(refused.to_string().contains("is no directory"), "{refused}");
    std::fs::set_permissions(&queue, PermissionsExt::from_mode(0o777)).unwrap();
    let refused = try_open(&queue, true).unwrap_err();
    assert!(refused.to_string().contains("nobody else may write"), "{refused}");
    std::fs::set_permissions(&queue, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::remove_file(queue.join("lock")).unwrap();
    symlink("/etc/passwd", queue.join("lock")).unwrap();
    assert!(matches!(try_open(&queue, true), Err(StoreError::Io(_))), "a link is not followed");
}

#[test]
fn a_row_that_cannot_be_read_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let broken = Connection::open(dir.path().join("queue.db")).unwrap();
    broken
        .execute_batch(
            "UPDATE recipient SET address = 'nobody' WHERE message = 1; DELETE FROM recipient WHERE message = 2",
        )
        .unwrap();
    drop(broken);
    let store = open(dir.path());
    assert_eq!(ids(&store.claim(9, &[], 9).unwrap()), [3]);
    assert_eq!(store.next_due().unwrap(), None);
    let reason: String =
        lock(&store.operator).query_row("SELECT hold FROM message WHERE id = 1", [], |row| row.get(0)).unwrap();
    assert!(reason.contains("nobody"));
}
