//! Changes of very many messages: all of them, in portions, with others in between; and what a crash leaves of them.

use super::*;
use crate::queue::{Halt, schedule};
use std::sync::atomic::{AtomicBool, Ordering};

/// More than one portion can have.
const MANY: usize = 2500;

/// A store with that many messages, made without a commit for each.
fn many(directory: &Path, count: usize, due: Millis) -> SqliteStore {
    let store = open(directory);
    let all = (0..count).map(|n| new(&format!("{n:032x}"), "shop", &["a@example.org", "b@example.org"], due));
    store.accept_all(all.collect()).unwrap();
    store
}

/// What rows say of each other: messages whose time is not that of their first recipient, that have no text or no
/// recipient, or are not counted; and what belongs to no message.
fn inconsistent(directory: &Path) -> i64 {
    let database = Connection::open(directory.join("queue.db")).unwrap();
    let sql = "SELECT
        (SELECT count(*) FROM message WHERE due IS NOT (SELECT min(due) FROM recipient WHERE message = message.id))
        + (SELECT count(*) FROM message WHERE id NOT IN (SELECT id FROM text))
        + (SELECT count(*) FROM text WHERE id NOT IN (SELECT id FROM message))
        + (SELECT count(*) FROM recipient WHERE message NOT IN (SELECT id FROM message))
        + abs((SELECT queued FROM state) - (SELECT count(*) FROM message))";
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn an_action_on_all_leaves_out_what_comes_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let store = many(dir.path(), MANY, 9000);
    let done = AtomicBool::new(false);
    let came = std::thread::scope(|scope| {
        let submitter = scope.spawn(|| {
            let mut came = 0;
            while !done.load(Ordering::SeqCst) {
                store.accept(new(&format!("later {came}"), "shop", &["c@example.org"], 9000)).unwrap();
                came += 1;
            }
            came
        });
        let before = store.commits();
        let all = Filter::default();
        let held = store.act(&all, &Action::Hold("an operator".into()), 1).unwrap();
        assert!(held >= MANY as u64 && store.commits() - before > 3, "in portions");
        let retried = store.act(&Filter { held: Some(true), ..all.clone() }, &Action::Retry, 5).unwrap();
        assert_eq!(retried, held);
        assert_eq!(store.act(&Filter { held: Some(true), ..all.clone() }, &Action::Release, 5).unwrap(), held);
        assert_eq!(store.claim(5, &[], usize::MAX).unwrap().len() as u64, held);
        assert!(store.act(&all, &Action::Delete, 5).unwrap() >= held);
        done.store(true, Ordering::SeqCst);
        submitter.join().unwrap()
    });
    assert!(came > 0);
    // What came after an action had begun is as it came.
    assert!(all(&store).iter().all(|one| one.hold.is_none() && one.recipients[0].due == 9000));
    assert_eq!(inconsistent(dir.path()), 0);
}

#[test]
fn a_filter_is_asked_again_where_it_is_acted_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = many(dir.path(), 3, 10);
    let numbers = |ids: &[i64]| ids.iter().map(|id| MessageId(*id)).collect::<Vec<_>>();
    let two = Filter { ids: numbers(&[1, 2, 77]), held: Some(false), ..Filter::default() };
    assert_eq!(store.act(&two, &Action::Hold("x".into()), 1).unwrap(), 2);
    assert_eq!(store.act(&two, &Action::Delete, 1).unwrap(), 0);
    assert_eq!(ids(&all(&store)), [1, 2, 3]);
}

#[test]
fn all_that_waits_for_a_lane_is_due_when_it_opens() {
    let dir = tempfile::tempdir().unwrap();
    let store = many(dir.path(), MANY, 5000);
    store.accept(NewMessage { bulk: true, ..new("bulk", "shop", &["a@example.org"], 5000) }).unwrap();
    store.pause(&Pause { since: Some(100), ..paused("shop", 5000, "535") }).unwrap();
    store.resume("shop", 200).unwrap();
    assert!(store.paused().unwrap().is_empty());
    let found = store.claim(200, &[], usize::MAX).unwrap();
    assert_eq!(found.len(), MANY + 1);
    assert!(found.iter().flat_map(|one| &one.recipients).all(|one| one.due == 200));
    assert_eq!((found[0].grace.before, inconsistent(dir.path())), (100, 0));
}

#[test]
fn the_schedule_goes_with_the_clock_whatever_ends_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    let (day, now) = (86_400_000, 100 * 86_400_000);
    let store = many(dir.path(), 10, 50 * day);
    store.pause(&Pause { since: Some(now - day), ..paused("shop", now, "quota") }).unwrap();
    // The clock goes a day on; one message came before that is seen, and one is tried while the times move.
    store.accept(new("since", "shop", &["c@example.org"], now - 5)).unwrap();
    store.writer.change(move |c| portion::begin_shift(c, day, now)).unwrap();
    store.writer.change(move |c| portion::shift(c, 4)).unwrap();
    store.accept(new("after", "shop", &["d@example.org"], now)).unwrap();
    for id in [2, 9] {
        let due = Fate::Retry { due: now + 60, counts: true };
        store.record(MessageId(id), now, &[recorded(0, due, "450"), recorded(1, due, "450")], None).unwrap();
    }
    drop(store);
    let store = open(dir.path());
    let dues: Vec<Millis> = all(&store).iter().map(|one| one.recipients[0].due).collect();
    let (moved, tried) = (51 * day, now + 60);
    let expected = [moved, tried, moved, moved, moved, moved, moved, moved, tried, moved, now - 5, now];
    assert_eq!(dues, expected);
    let created: Vec<Millis> = all(&store).iter().map(|one| one.created).collect();
    assert_eq!((created[0], created[9], created[10], created[11]), (moved, moved, now - 5, now));
    let pause = store.paused().unwrap().remove(0);
    assert_eq!((pause.until, pause.since), (now + day, Some(now)));
    assert_eq!(inconsistent(dir.path()), 0);
    // And back, as a whole.
    store.shift(-day, now - day).unwrap();
    assert_eq!(all(&store)[0].recipients[0].due, 50 * day);
}

#[test]
fn a_run_of_the_queue_leaves_what_is_in_doubt_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = many(dir.path(), 2, 10);
    let later = Fate::Retry { due: 9_000_000, counts: true };
    let doubtful = Recorded { unknown: true, ..recorded(0, later, "lost after the dot") };
    store.record(MessageId(1), 1000, &[doubtful, recorded(1, later, "450 later")], None).unwrap();
    let dues = || all(&store)[0].recipients.iter().map(|one| one.due).collect::<Vec<_>>();
    let one = Filter { ids: vec![MessageId(1)], ..Filter::default() };
    assert_eq!(store.act(&one, &Action::Retry, 2000).unwrap(), 1);
    assert_eq!(dues(), [1000 + schedule::DOUBT, 2000]);
    // Nor does a lane that opens.
    store.pause(&paused("shop", 5_000_000, "535")).unwrap();
    store.resume("shop", 3000).unwrap();
    assert_eq!(dues(), [1000 + schedule::DOUBT, 2000]);
    assert_eq!(store.act(&one, &Action::again(&one), 4000).unwrap(), 1);
    assert_eq!(dues(), [4000, 4000]);
    assert_eq!(Action::again(&Filter::default()), Action::Retry);
    assert_eq!(inconsistent(dir.path()), 0);
}

#[test]
fn what_a_clock_wrote_that_was_ahead_is_set_right() {
    let dir = tempfile::tempdir().unwrap();
    let (hour, now) = (3_600_000, 1_000_000_000_000);
    let store = open(dir.path());
    let accept = |name: &str, at: Millis| store.accept(new(name, "shop", &["a@example.org"], at)).unwrap().id;
    let right = accept("right", now - hour);
    assert_eq!(store.set_back(now).unwrap(), None, "nothing is wrong");
    // Five hours ahead: one is tried again, one is accepted, one is done with, and the lane is paused.
    let then = now + 5 * hour;
    let retried = [recorded(0, Fate::Retry { due: then + hour / 2, counts: true }, "450")];
    store.record(right, then - 60_000, &retried, None).unwrap();
    accept("new", then);
    store.accept(new("run", "shop", &["a@example.org"], NEXT_RUN)).unwrap();
    let done = accept("done", then - 1000);
    store.record(done, then, &[recorded(0, Fate::Sent, "250")], None).unwrap();
    store.pause(&Pause { since: Some(then), ..paused("shop", then + hour, "quota") }).unwrap();
    store.halt(&Halt { lane: "news".into(), since: then, until: Some(then + 7), reason: "x".into(), uid: 0 }).unwrap();
    drop(store);

    let store = open(dir.path());
    store.writer.change(|c| Ok(c.execute("UPDATE message SET created = 5 WHERE due > 1000000000000000", [])?)).unwrap();
    assert_eq!(store.set_back(now).unwrap(), Some(5 * hour));
    let found = all(&store);
    let of = |n: usize| (found[n].created, found[n].recipients[0].due);
    assert_eq!((of(0), of(1), of(2)), ((now - hour, now + hour / 2), (now, now), (5, NEXT_RUN)));
    let pause = store.paused().unwrap().remove(0);
    assert_eq!((pause.until, pause.since), (now + hour, Some(now)));
    assert_eq!((store.halted().unwrap()[0].since, store.halted().unwrap()[0].until), (now, Some(now + 7)));
    assert!(store.history(0, 9).unwrap().iter().all(|past| past.ended <= now && past.created <= now));
    assert_eq!((store.set_back(now).unwrap(), inconsistent(dir.path())), (None, 0), "once");
}

#[test]
fn old_results_and_submissions_are_forgotten_in_portions() {
    let dir = tempfile::tempdir().unwrap();
    let store = many(dir.path(), MANY, 10);
    let sql = "INSERT INTO history (message, created, ended, lane, recipient, sent, said, via, reason)
        SELECT id, 1, id, 'shop', 'a@example.org', 1, '250', 'shop', '' FROM message";
    store.writer.change(move |c| Ok(c.execute(sql, [])?)).unwrap();
    let minutes = "INSERT INTO deferral SELECT id, 'shop', '450', 1 FROM message";
    store.writer.change(move |c| Ok(c.execute(minutes, [])?)).unwrap();
    let gone = Filter { before: Some(99), recipient: Some("a@".into()), ..Filter::default() };
    assert_eq!(store.act(&gone, &Action::Delete, 0).unwrap(), MANY as u64);
    store.accept(new("stays", "shop", &["a@example.org"], 5)).unwrap();
    store.tidy(MANY as Millis - 4).unwrap();
    assert_eq!(store.history(0, 9).unwrap().len(), 5);
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        lock(&store.operator).query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("submission"), count("deferral")), (1, MANY as i64));
    store.tidy(60_000 * 2000).unwrap();
    assert_eq!((count("history"), count("deferral")), (0, 501));
}
