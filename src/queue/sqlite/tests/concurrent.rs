//! Many at once: one commit for several, one process for a queue.

use super::*;
use std::sync::Arc;

/// Accepts from several threads, `each` apiece.
fn accept_all(store: &Arc<SqliteStore>, threads: usize, each: usize) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for n in 0..each {
                    store.accept(new(&format!("{thread}-{n}"), "shop", &["a@x.org"], n as Millis)).unwrap();
                }
            });
        }
    });
}

#[test]
fn many_share_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    accept_all(&store, 16, 50);
    assert_eq!((store.count().unwrap(), all(&store).len()), (800, 800));
    assert!(store.commits() < 800, "{} commits", store.commits());
    drop(store);
    assert_eq!(all(&open(dir.path())).len(), 800);
}

#[test]
fn one_that_fails_does_not_fail_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.accept(new("a", "shop", &["a@x.org"], 1)).unwrap().id;
    std::thread::scope(|scope| {
        let store = &store;
        for n in 0..8 {
            scope.spawn(move || store.accept(new(&format!("{n}"), "shop", &["a@x.org"], 1)).unwrap());
            scope.spawn(move || {
                let undone = store.writer.change(move |c| {
                    change::hold(c, id.0, Some("no"), None)?;
                    c.execute("INSERT INTO message SELECT * FROM message", [])?;
                    Ok(())
                });
                assert!(matches!(undone, Err(StoreError::Io(_))));
            });
        }
    });
    assert_eq!(store.count().unwrap(), 9);
    assert!(all(&store).iter().all(|one| one.hold.is_none()));
}

#[test]
fn a_fault_in_a_call_stops_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    std::thread::scope(|scope| {
        let store = &store;
        for n in 0..20 {
            scope.spawn(move || {
                let undone = store.writer.change(|c| -> Result<(), StoreError> {
                    c.execute("DELETE FROM message", [])?;
                    panic!("a fault of the program")
                });
                assert!(undone.unwrap_err().to_string().contains("fault"));
            });
            scope.spawn(move || store.accept(new(&format!("{n}"), "shop", &["a@x.org"], 1)).unwrap());
        }
    });
    assert_eq!(store.count().unwrap(), 20);
}

#[test]
fn results_wait_for_company_but_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = store.commits();
    // An urgent call, and one that may wait as the next is expected: it comes through though none comes.
    store.writer.change(|_| Ok(())).unwrap();
    store.writer.change_patiently(|_| Ok(())).unwrap();
    assert_eq!(store.commits() - before, 2);
}

#[test]
fn no_message_is_claimed_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let (store, seen) = (&store, &seen);
        scope.spawn(move || accept_all(store, 2, 100));
        for _ in 0..4 {
            scope.spawn(move || {
                while lock(seen).len() < 200 {
                    for one in store.claim(1000, &[], 3).unwrap() {
                        lock(seen).push(one.id);
                        store.record(one.id, 1, &[recorded(0, Fate::Sent, "250")], None).unwrap();
                    }
                }
            });
        }
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), store.count().unwrap()), (200, 0));
}

#[test]
fn the_second_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    for exclusive in [true, false] {
        let taken = try_open(dir.path(), exclusive).unwrap_err();
        let pid = format!("process {}", std::process::id());
        assert!(matches!(&taken, StoreError::Taken(what) if what.contains(&pid)), "{taken}");
    }
    drop(first);
    open(dir.path());
}

#[test]
fn several_may_share_and_one_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (try_open(dir.path(), false).unwrap(), try_open(dir.path(), false).unwrap());
    assert!(matches!(try_open(dir.path(), true), Err(StoreError::Taken(_))));
    assert_eq!(first.accept(new("a", "shop", &["a@x.org"], 1)).unwrap().id, MessageId(1));
    assert_eq!(second.accept(new("b", "shop", &["a@x.org"], 2)).unwrap().id, MessageId(2));
    assert!(second.accept(new("a", "shop", &["a@x.org"], 1)).unwrap().again);
    assert_eq!(ids(&first.claim(9, &[], 9).unwrap()), [1, 2]);
    assert!(second.claim(9, &[], 9).unwrap().is_empty());
    drop(first);
    assert_eq!(ids(&second.claim(9, &[], 9).unwrap()), [1, 2]);
}
