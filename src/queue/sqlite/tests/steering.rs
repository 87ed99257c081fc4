//! Operators' pauses, and what is counted for them.

use super::*;
use crate::queue::{Halt, Load};

fn halt(lane: &str, since: Millis, until: Option<Millis>) -> Halt {
    Halt { lane: lane.into(), since, until, reason: "a mess".into(), uid: 0 }
}

fn claimed(store: &SqliteStore, now: Millis) -> Vec<String> {
    let found = store.claim(now, &[], 9).unwrap();
    found.iter().for_each(|one| store.release_claim(one.id).unwrap());
    found.into_iter().map(|one| one.lane).collect()
}

#[test]
fn a_paused_lane_is_not_claimed_until_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.accept(new("a", "shop", &["a@example.org"], 10)).unwrap();
    store.accept(new("b", "news", &["a@example.org"], 10)).unwrap();
    store.halt(&halt("shop", 20, Some(100))).unwrap();
    store.halt(&halt("news", 20, None)).unwrap();
    assert_eq!((claimed(&store, 99), store.next_due().unwrap()), (vec![], Some(100)));
    assert_eq!(claimed(&store, 100), ["shop"]);
    // The server's trouble and its end change nothing about it.
    store.pause(&paused("news", 50, "535")).unwrap();
    store.resume("news", 60).unwrap();
    assert_eq!(store.halted().unwrap().len(), 2);
    store.unhalt("news", 60).unwrap();
    assert_eq!(claimed(&store, 60), ["news"]);
    drop(store);
    assert_eq!(open(dir.path()).halted().unwrap(), [halt("shop", 20, Some(100))], "it outlives a restart");
}

#[test]
fn messages_do_not_age_in_it_and_no_time_counts_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.accept(new("a", "shop", &["a@example.org"], 0)).unwrap();
    let grace = |now: Millis| all(&store)[0].grace.at(now);
    store.halt(&halt("shop", 100, None)).unwrap();
    assert_eq!(grace(150), 50);
    // A trouble within it, which ends before it does.
    store.pause(&Pause { since: Some(120), ..paused("shop", 500, "535") }).unwrap();
    assert_eq!(grace(200), 100);
    store.resume("shop", 200).unwrap();
    assert_eq!((grace(200), grace(250)), (100, 150));
    store.unhalt("shop", 300).unwrap();
    assert_eq!((grace(300), grace(900)), (200, 200));
    // One that outlasts it covers its time.
    store.halt(&halt("shop", 1000, Some(1100))).unwrap();
    store.pause(&Pause { since: Some(1050), ..paused("shop", 5000, "535") }).unwrap();
    store.unhalt("shop", 1100).unwrap();
    assert_eq!(grace(1200), 400);
    store.resume("shop", 1300).unwrap();
    assert_eq!(grace(9999), 500);
    // And what came in the middle of one is credited with its own share alone.
    store.halt(&halt("shop", 10_000, None)).unwrap();
    store.accept(new("b", "shop", &["a@example.org"], 10_400)).unwrap();
    assert_eq!(all(&store)[1].grace.at(10_500), 100);
}

#[test]
fn loads_and_what_became_are_counted_by_lane() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let shop = store.accept(new("a", "shop", &["a@example.org", "b@example.org", "c@example.org"], 1000)).unwrap().id;
    store.accept(NewMessage { hold: Some("x".into()), ..new("b", "shop", &["a@example.org"], 1000) }).unwrap();
    let loads = store.loads().unwrap();
    assert_eq!((loads.len(), loads["shop"].clone()), (1, Load { waiting: 1, held: 1 }));

    let retry = Fate::Retry { due: 70_000, counts: true };
    let why = |result, reason: &str, number| Recorded { reason: reason.into(), ..recorded(number, result, "words") };
    let results =
        [why(Fate::Sent, "", 0), why(Fate::Failed, "550 5.1.1 recipient refused", 1), why(retry, "450 refused", 2)];
    store.record(shop, 61_000, &results, None).unwrap();
    store.record(shop, 70_000, &[why(retry, "450 refused", 2)], None).unwrap();
    // A wait for a limit is no attempt.
    store.record(shop, 70_000, &[why(retry, "", 2)], None).unwrap();
    store.record(shop, 101_000, &[why(Fate::Sent, "", 2)], None).unwrap();
    let stats = store.stats(0).unwrap();
    let tally = &stats.senders[0];
    assert_eq!((tally.sender.as_str(), tally.sent, tally.deferred, tally.failed), ("shop", 2, 2, 1));
    assert_eq!((tally.median, tally.p95), (Some(60_000), Some(100_000)));
    let reasons: Vec<_> = tally.reasons.iter().map(|one| (one.failed, one.reason.as_str(), one.count)).collect();
    assert_eq!(reasons, [(true, "550 5.1.1 recipient refused", 1), (false, "450 refused", 2)]);
    assert_eq!((stats.total.sent, stats.total.p95), (2, Some(100_000)));
    let later = store.stats(101_000).unwrap();
    assert_eq!((later.total.sent, later.total.failed, later.total.deferred), (1, 0, 2), "deferrals by the minute");
    store.tidy(200_000).unwrap();
    assert_eq!(store.stats(0).unwrap(), Stats::default());
}

#[test]
fn percentiles_are_nearest_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 1..=40 {
        let id = store.accept(new(&n.to_string(), "shop", &["a@example.org"], 0)).unwrap().id;
        store.record(id, n, &[recorded(0, Fate::Sent, "250")], None).unwrap();
    }
    let total = store.stats(0).unwrap().total;
    assert_eq!((total.sent, total.median, total.p95), (40, Some(20), Some(38)));
}
