//! What the trait promises, call by call.

use super::*;
use crate::envelope::{Dsn, Notify, OriginalRecipient, RecipientDsn, Return};
use crate::queue::Counted;

#[test]
fn what_is_accepted_comes_back_the_same_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let dsn = Dsn {
        notify: Some(Notify { failure: true, ..Default::default() }),
        ret: Some(Return::Headers),
        envid: Some("QQ1".into()),
        ..Dsn::default()
    };
    let mut one = new("a", "shop", &["\"odd one\"@example.org", "b+x@example.net", "jörg@exämple.de"], 7);
    let never = Some(Notify { never: true, ..Default::default() });
    let own = RecipientDsn { notify: never, orcpt: OriginalRecipient::parse("utf-8;J\\x{F6}rg@example.de") };
    one.envelope.dsn = Dsn { recipients: [("jörg@exämple.de".to_owned(), own.clone())].into(), ..dsn.clone() };
    let envelope = one.envelope.clone();
    one.tag = Some("news".into());
    one.hold = Some("sender unknown".into());
    let octets = wire(&one.message);
    let recipients = one.envelope.recipients().to_vec();
    let accepted = open(dir.path()).accept(one).unwrap();
    assert_eq!(accepted, Accepted { id: MessageId(1), again: false });

    let store = open(dir.path());
    assert!(store.recovered().is_none());
    let found = all(&store).remove(0);
    assert_eq!((found.id, found.uid, found.lane.as_str()), (MessageId(1), 1000, "shop"));
    assert_eq!((found.header_from.as_str(), found.from.to_string().as_str()), ("shop@example.com", "shop@example.com"));
    assert_eq!(
        (found.dsn.clone(), found.tag.as_deref(), found.hold.as_deref()),
        (dsn, Some("news"), Some("sender unknown"))
    );
    assert_eq!((found.size, found.created, found.report, found.warned), (octets.len() as u64, 7, false, false));
    assert_eq!(found.recipients.iter().map(|one| one.address.clone()).collect::<Vec<_>>(), recipients);
    assert_eq!(found.recipients[2].dsn, own);
    assert_eq!(found.envelope(&found.recipients.iter().collect::<Vec<_>>()), Some(envelope));
    assert!(found.envelope(&[&found.recipients[0]]).unwrap().dsn.recipients.is_empty());
    assert_eq!(wire(&store.text(MessageId(1)).unwrap()), octets);
    assert!(matches!(store.text(MessageId(2)), Err(StoreError::Gone)));
}

#[test]
fn the_same_submission_is_the_same_message_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = store.accept(new("a", "shop", &["a@example.org"], 1)).unwrap();
    assert_eq!(store.accept(new("a", "shop", &["a@example.org"], 2)).unwrap(), Accepted { again: true, ..first });
    store.record(first.id, 3, &[recorded(0, Fate::Sent, "250 ok")], None).unwrap();
    assert_eq!(store.count().unwrap(), 0);
    assert!(store.accept(new("a", "shop", &["a@example.org"], 4)).unwrap().again);
    store.tidy(2).unwrap();
    let second = store.accept(new("a", "shop", &["a@example.org"], 5)).unwrap();
    assert_eq!(second, Accepted { id: MessageId(2), again: false });
    store.tidy(100).unwrap();
    assert!(store.accept(new("a", "shop", &["a@example.org"], 6)).unwrap().again, "still queued");
    assert_eq!(store.count().unwrap(), 1);
}

#[test]
fn claims_go_by_due_lane_pause_hold_and_claim() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (submission, lane, due) in
        [("a", "shop", 50), ("b", "shop", 10), ("c", "blog", 20), ("d", "default relay", 5), ("e", "shop", 900)]
    {
        store.accept(new(submission, lane, &["a@example.org"], due)).unwrap();
    }
    let held = NewMessage { hold: Some("wait".into()), ..new("f", "shop", &["a@example.org"], 1) };
    store.accept(held).unwrap();
    store.pause(&paused("default relay", 100, "530")).unwrap();
    store.pause(&Pause { times: 2, ..paused("default relay", 200, "535") }).unwrap();
    let pause = store.paused().unwrap().remove(0);
    assert_eq!((pause.until, pause.times, pause.reason.as_str()), (200, 2, "535"));

    assert_eq!(store.next_due().unwrap(), Some(10));
    assert_eq!(ids(&store.claim(99, &[], 2).unwrap()), [2, 3]);
    assert_eq!(store.next_due().unwrap(), Some(50));
    assert_eq!(ids(&store.claim(99, &["shop".into()], 9).unwrap()), [0i64; 0]);
    assert_eq!(ids(&store.claim(99, &[], 9).unwrap()), [1]);
    assert!(store.claim(99, &[], 9).unwrap().is_empty());
    assert_eq!(all(&store).iter().map(|one| one.claimed).collect::<Vec<_>>(), [true, true, true, false, false, false]);
    assert_eq!(store.next_due().unwrap(), Some(200), "when the pause ends");
    store.release_claim(MessageId(3)).unwrap();
    assert_eq!(ids(&store.claim(99, &[], 9).unwrap()), [3]);
    assert_eq!(ids(&store.claim(200, &[], 9).unwrap()), [4], "the pause is over");
    store.resume("default relay", 200).unwrap();
    assert!(store.paused().unwrap().is_empty());
    drop(store);
    assert_eq!(ids(&open(dir.path()).claim(99, &[], 9).unwrap()), [4, 2, 3, 1], "claims end with the process");
}

#[test]
fn single_mail_is_claimed_before_bulk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (submission, lane, due, bulk) in
        [("a", "shop", 1, true), ("b", "shop", 9, false), ("c", "blog", 2, true), ("d", "blog", 8, false)]
    {
        store.accept(NewMessage { bulk, ..new(submission, lane, &["a@example.org"], due) }).unwrap();
    }
    let claim = |busy: &[Busy]| {
        let claimed = store.claim(9, busy, 9).unwrap();
        claimed.iter().for_each(|message| store.release_claim(message.id).unwrap());
        ids(&claimed)
    };
    assert_eq!(claim(&[]), [4, 2, 1, 3]);
    let no_bulk = Busy { single: false, ..Busy::from("shop") };
    assert_eq!(claim(&[no_bulk]), [4, 2, 3]);
    assert_eq!(claim(&[Busy { bulk: false, ..Busy::from("shop") }, "blog".into()]), [1]);
    assert_eq!(store.next_due().unwrap(), Some(1));
}

#[test]
fn submissions_are_counted_in_the_same_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let counted = |submission: &str, slot: Millis, names: &[&str], hold: Option<&str>| {
        let names = names.iter().map(ToString::to_string).collect();
        let (counted, hold) = (Some(Counted { slot, names }), hold.map(Into::into));
        store.accept(NewMessage { counted, hold, ..new(submission, "shop", &["a@example.org"], 1) }).unwrap();
    };
    let day = 86_400_000;
    counted("a", 10, &["x", "y"], None);
    counted("b", 10, &["x"], Some("too many"));
    counted("b", 10, &["x"], Some("too many"));
    counted("c", 20, &["x"], None);
    let source = |name: &str, slot, messages, held| Source { name: name.into(), slot, messages, held };
    let all = [source("x", 10, 2, 1), source("y", 10, 1, 0), source("x", 20, 1, 0)];
    assert_eq!(store.counted(0).unwrap(), all, "a resend counts once");
    assert_eq!(store.counted(11).unwrap(), all[2..]);
    counted("d", 2 * day + 15, &["z"], None);
    assert_eq!(store.counted(0).unwrap().len(), 2, "what is old is forgotten");
}

#[test]
fn results_are_recorded_recipient_by_recipient() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.accept(new("a", "shop", &["a@x.org", "b@x.org", "c@x.org", "d@x.org"], 1)).unwrap().id;
    store.claim(1, &[], 1).unwrap();
    let retry = |due, counts| Fate::Retry { due, counts };
    let results = [
        recorded(0, Fate::Sent, "250 ok"),
        recorded(1, Fate::Failed, "550 no such user"),
        recorded(2, retry(70, true), "451 later"),
        recorded(3, retry(60, false), "no route"),
    ];
    let bounce = NewMessage { report: true, ..new("bounce", "shop", &["shop@example.com"], 2) };
    store.record(id, 2, &results, Some(bounce)).unwrap();

    let found = all(&store);
    assert_eq!(ids(&found), [1, 2]);
    assert!(found[1].report && !found[0].warned && !found[0].claimed);
    let left: Vec<_> = found[0].recipients.iter().map(|one| (one.number, one.attempts, one.due)).collect();
    assert_eq!(left, [(2, 1, 70), (3, 0, 60)]);
    assert_eq!(found[0].recipients[0].last.as_deref(), Some("451 later"));
    assert_eq!(ids(&store.claim(60, &["x".into()], 9).unwrap()), [2, 1]);
    let past = store.history(0, 9).unwrap();
    let past: Vec<_> = past.iter().map(|one| (one.recipient.as_str(), one.sent, one.said.as_str())).collect();
    assert_eq!(past, [("b@x.org", false, "550 no such user"), ("a@x.org", true, "250 ok")]);
    assert!(store.history(3, 9).unwrap().is_empty());

    let warning = NewMessage { report: true, ..new("warning", "shop", &["shop@example.com"], 3) };
    store.record(id, 61, &[recorded(3, retry(80, true), &"é".repeat(5000))], Some(warning)).unwrap();
    let warned = all(&store).remove(0);
    assert!(warned.warned);
    assert!(warned.recipients[1].last.as_ref().unwrap().len() <= 2000);
    let done = [recorded(2, Fate::Sent, "250"), recorded(3, Fate::Sent, "250"), recorded(9, Fate::Sent, "nobody")];
    store.record(id, 90, &done, None).unwrap();
    assert!(matches!(store.record(id, 91, &done, None), Err(StoreError::Gone)));
    assert_eq!((store.count().unwrap(), store.history(0, 99).unwrap().len()), (2, 4));
    assert!(matches!(store.text(id), Err(StoreError::Gone)));
}

#[test]
fn operators_find_and_change_what_they_mean() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..6i64 {
        let to = format!("user{n}@Example.org");
        let one = new(&n.to_string(), if n < 3 { "shop" } else { "blog" }, &[&to, "all@x.org"], 10 * n);
        store.accept(NewMessage { uid: if n % 2 == 0 { 33 } else { 1000 }, ..one }).unwrap();
    }
    let find = |filter: Filter| ids(&store.list(&filter, 99).unwrap());
    let by_sender = |text: &str| Filter { sender: Some(text.into()), ..Default::default() };
    assert_eq!(find(by_sender("BLOG")), [4, 5, 6]);
    assert_eq!(find(by_sender("shop@ex")), [1, 2, 3, 4, 5, 6]);
    assert_eq!(find(by_sender("'; --")), [0i64; 0]);
    assert_eq!(find(Filter { recipient: Some("user4@".into()), ..Default::default() }), [5]);
    assert_eq!(find(Filter { before: Some(20), uid: Some(33), ..Default::default() }), [1]);
    let two = Filter { ids: vec![MessageId(6), MessageId(2), MessageId(99)], ..Default::default() };
    assert_eq!(find(two.clone()), [2, 6]);
    assert_eq!(find(Filter { uid: Some(33), ..two.clone() }), [0i64; 0]);
    assert_eq!(ids(&store.list(&Filter::default(), 2).unwrap()), [1, 2]);
    let page = |after: i64| Filter { after: Some(MessageId(after)), ..Default::default() };
    assert_eq!(ids(&store.list(&page(2), 2).unwrap()), [3, 4]);
    assert_eq!(find(page(6)), [0i64; 0]);

    assert_eq!(store.act(&two, &Action::Hold("operator".into()), 0).unwrap(), 2);
    assert_eq!(find(Filter { held: Some(true), ..Default::default() }), [2, 6]);
    assert_eq!(find(Filter { held: Some(false), ..Default::default() }), [1, 3, 4, 5]);
    assert_eq!(ids(&store.claim(99, &[], 99).unwrap()), [1, 3, 4, 5]);
    let state = |tried| Filter { held: Some(false), tried: Some(tried), ..Default::default() };
    assert_eq!((find(state(true)), find(state(false))), (vec![0i64; 0], vec![1, 3, 4, 5]));
    assert_eq!(store.act(&two, &Action::Release, 0).unwrap(), 2);
    assert_eq!(store.act(&by_sender("blog"), &Action::Retry, 3).unwrap(), 3);
    assert_eq!(ids(&store.claim(3, &[], 99).unwrap()), [6]);
    assert_eq!(store.act(&two, &Action::Delete, 0).unwrap(), 2);
    assert_eq!((store.count().unwrap(), find(Filter::default())), (4, vec![1, 3, 4, 5]));
}

#[test]
fn times_move_with_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.accept(new("a", "shop", &["a@x.org"], 1000)).unwrap();
    store.pause(&Pause { since: Some(1000), ..paused("shop", 2000, "quota") }).unwrap();
    store.shift(-500, 1_000_000).unwrap();
    let one = all(&store).remove(0);
    let pause = store.paused().unwrap().remove(0);
    assert_eq!(
        (one.created, one.recipients[0].due, pause.until, pause.since, pause.down),
        (500, 500, 1500, Some(500), None)
    );
    assert_eq!(store.next_due().unwrap(), Some(1500));
    assert!(store.shift(i64::MAX, 1_000_000).is_err(), "beyond what a number holds: nothing is changed");
    assert_eq!(store.next_due().unwrap(), Some(1500));
}

#[test]
fn the_file_shrinks_when_the_queue_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let size =
        || ["queue.db", "queue.db-wal"].iter().map(|file| dir.path().join(file).metadata().unwrap().len()).sum::<u64>();
    let text = format!("Subject: x\n\n{}", "a line of some length\n".repeat(5000));
    for n in 0..30 {
        let one = NewMessage { message: message(&text), ..new(&n.to_string(), "shop", &["a@x.org"], n) };
        store.accept(one).unwrap();
    }
    store.tidy(0).unwrap();
    let full = size();
    assert_eq!(store.act(&Filter::default(), &Action::Delete, 0).unwrap(), 30);
    store.tidy(0).unwrap();
    assert!(full > 3_000_000 && size() < full / 10, "{full} -> {}", size());
}

#[test]
fn no_space_is_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { directory: dir.path(), min_free: u64::MAX, exclusive: true };
    let store = SqliteStore::open(&config).unwrap();
    let refused = store.accept(new("a", "shop", &["a@x.org"], 1)).unwrap_err();
    assert!(matches!(&refused, StoreError::NoSpace(what) if what.contains("min_free")), "{refused}");
    assert_eq!(store.count().unwrap(), 0);
}

#[test]
fn a_database_that_may_not_grow_refuses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.accept(new("a", "shop", &["a@x.org"], 1)).unwrap();
    store.writer.alone(|c| Ok(c.execute_batch("PRAGMA max_page_count = 40")?)).unwrap();
    let text = format!("Subject: x\n\n{}", "a line of some length\n".repeat(10_000));
    let one = NewMessage { message: message(&text), ..new("b", "shop", &["a@x.org"], 1) };
    let refused = store.accept(one).unwrap_err();
    assert!(matches!(&refused, StoreError::NoSpace(what) if what.contains("queue.db")), "{refused}");
    assert_eq!((store.count().unwrap(), all(&store).len()), (1, 1));
    store.record(MessageId(1), 2, &[recorded(0, Fate::Sent, "250")], None).unwrap();
    assert_eq!(store.accept(new("c", "shop", &["a@x.org"], 1)).unwrap().id, MessageId(2));
}

#[test]
fn a_page_of_a_list_has_a_size() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let addresses: Vec<String> = (0..12_000).map(|number| format!("u{number}@example.org")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for number in 0..4 {
        store.accept(new(&format!("s{number}"), "shop", &addresses, 0)).unwrap();
    }
    assert_eq!(ids(&store.list(&Filter::default(), 99).unwrap()), [1, 2]);
    let rest = Filter { after: Some(MessageId(2)), ..Default::default() };
    assert_eq!(ids(&store.list(&rest, 99).unwrap()), [3, 4]);
}

#[test]
fn a_message_moves_to_another_lane_in_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (submission, due) in [("a", 10), ("b", 20)] {
        store.accept(new(submission, "shop", &["a@x.org", "b@x.org"], due)).unwrap();
    }
    store.accept(NewMessage { due: NEXT_RUN, ..new("c", "shop", &["a@x.org"], 30) }).unwrap();
    let claimed = store.claim(10, &[], 1).unwrap().remove(0);
    assert!(claimed.moved.is_none());
    let retry = Fate::Retry { due: 900, counts: true };
    let lost = Recorded { unknown: true, ..recorded(0, retry, "no answer") };
    store.record(claimed.id, 11, &[lost], None).unwrap();
    store.record(claimed.id, 12, &[recorded(0, retry, "450 later")], None).unwrap();
    let unknown: Vec<bool> = all(&store)[0].recipients.iter().map(|one| one.unknown).collect();
    assert_eq!(unknown, [true, false], "an answer to a later attempt says nothing of the first");

    store.pause(&paused("shop", 5000, "535")).unwrap();
    store.claim(30, &[], 9).unwrap();
    let before = store.commits();
    store.move_lane(claimed.id, "other", "\"shop\" is down").unwrap();
    assert_eq!(store.commits(), before + 1);
    store.move_lane(MessageId(3), "other", "x").unwrap();
    assert!(matches!(store.move_lane(MessageId(9), "other", "x"), Err(StoreError::Gone)));
    let moved = all(&open_copy(&dir, store)).remove(0);
    assert_eq!((moved.lane.as_str(), moved.created), ("other", 10));
    assert_eq!(moved.moved, Some(Moved { from: "shop".into(), why: "\"shop\" is down".into() }));
    let times: Vec<_> = moved.recipients.iter().map(|one| (one.attempts, one.due)).collect();
    assert_eq!(times, [(2, 10), (0, 10)], "due at once, with its attempts");

    let store = open(dir.path());
    assert_eq!(ids(&store.claim(10, &[], 9).unwrap()), [1], "the other lane is not paused, and -odq waits on");
    store.move_lane(MessageId(1), "third", "again").unwrap();
    assert_eq!(all(&store)[0].moved.as_ref().map(|moved| moved.from.as_str()), Some("shop"), "where it began");
    assert_eq!(ids(&store.claim(10, &[], 9).unwrap()), [0i64; 0], "the claim stays");
    store.record(MessageId(1), 50, &[recorded(1, Fate::Sent, "250")], None).unwrap();
    assert_eq!(store.history(0, 1).unwrap()[0].lane, "third");
}

/// The same store, closed and opened again.
fn open_copy(dir: &tempfile::TempDir, store: SqliteStore) -> SqliteStore {
    drop(store);
    open(dir.path())
}

#[test]
fn a_pause_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let pause = Pause { since: Some(7), firm: true, down: Some(9), times: 3, ..paused("shop", 900, "554 5.7.1") };
    open(dir.path()).pause(&pause).unwrap();
    assert_eq!(open(dir.path()).paused().unwrap(), std::slice::from_ref(&pause));
    let later = Pause { since: None, firm: false, down: None, ..pause };
    open(dir.path()).pause(&later).unwrap();
    assert_eq!(open(dir.path()).paused().unwrap(), [later]);
}

#[test]
fn time_in_trouble_is_credited_to_who_waited() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let accept = |name: &str, at| store.accept(new(name, "shop", &["a@x.org"], at)).unwrap();
    accept("before", 0);
    store.pause(&Pause { since: Some(100), ..paused("shop", 200, "535") }).unwrap();
    accept("meanwhile", 150);
    // The pauses of one trouble go on; it began with the first.
    store.pause(&Pause { since: Some(100), times: 2, ..paused("shop", 400, "535") }).unwrap();
    let ages = |now| all(&store).iter().map(|one| one.aged_from(now)).collect::<Vec<_>>();
    assert_eq!(ages(300), [200, 300], "while it lasts");
    store.resume("shop", 500).unwrap();
    accept("after", 600);
    assert_eq!(ages(9000), [400, 500, 600]);
    assert_eq!(all(&store)[1].grace.at(9000), 350, "not for what was before it came");
    // A second trouble, one that is not reckoned, and a lane of its own.
    store.pause(&Pause { since: Some(1000), ..paused("shop", 1100, "421") }).unwrap();
    store.resume("shop", 1100).unwrap();
    store.pause(&paused("shop", 3000, "lost")).unwrap();
    store.resume("shop", 3000).unwrap();
    store.resume("shop", 4000).unwrap();
    assert_eq!(ages(9000), [500, 600, 700]);
    assert_eq!(store.accept(new("other", "news", &["a@x.org"], 700)).unwrap().id, MessageId(4));
    assert_eq!(all(&store)[3].aged_from(9000), 700);
    drop(store);
    let store = open(dir.path());
    // It goes along to another lane, whatever that one has been through.
    store.pause(&Pause { since: Some(0), ..paused("news", 50, "421") }).unwrap();
    store.resume("news", 10_000).unwrap();
    store.move_lane(MessageId(1), "news", "down").unwrap();
    assert_eq!(all(&store)[0].grace.at(20_000), 500);
}

#[test]
fn what_waited_for_the_end_of_a_pause_is_due_when_it_ends_early() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (name, due) in [("a", 5000), ("b", 5010), ("c", 900_000), ("d", NEXT_RUN), ("e", 5)] {
        store.accept(NewMessage { now: 1, ..new(name, "shop", &["a@x.org"], due) }).unwrap();
    }
    store.pause(&paused("shop", 5000, "535")).unwrap();
    store.resume("shop", 100).unwrap();
    let due: Vec<Millis> = all(&store).iter().map(|one| one.recipients[0].due).collect();
    assert_eq!(due, [100, 100, 900_000, NEXT_RUN, 5]);
    assert_eq!(ids(&store.claim(100, &[], 9).unwrap()), [5, 1, 2]);
    let of = |lane: &str| store.list(&Filter { lane: Some(lane.into()), ..Default::default() }, 9).unwrap().len();
    assert_eq!((of("shop"), of("sho")), (5, 0));
}

#[test]
fn a_lane_of_very_many_recipients_is_claimed_a_little_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let many: Vec<String> = (0..3000).map(|number| format!("u{number}@example.org")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for number in 0..4 {
        store.accept(new(&format!("h{number}"), "heavy", &many, 1)).unwrap();
    }
    store.accept(new("light", "light", &["you@example.org"], 2)).unwrap();
    assert_eq!(ids(&store.claim(9, &[], 64).unwrap()), [1, 2, 5]);
    assert_eq!(ids(&store.claim(9, &[], 64).unwrap()), [3, 4]);
    // What is done to them goes by their recipients, and is done to all.
    assert_eq!(store.act(&Filter::default(), &Action::Retry, 5).unwrap(), 5);
    assert_eq!(store.act(&Filter::default(), &Action::Delete, 5).unwrap(), 5);
    assert_eq!(store.count().unwrap(), 0);
}

#[test]
fn a_user_is_shown_what_is_the_users_and_told_what_others_hold() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..4 {
        let uid = if number < 3 { 33 } else { 34 };
        store.accept(NewMessage { uid, ..new(&format!("s{number}"), "shop", &["you@example.org"], 1) }).unwrap();
    }
    let own = Filter { uid: Some(33), ..Filter::default() };
    let one = |id| Filter { ids: vec![MessageId(id)], ..own.clone() };
    assert_eq!(store.act(&one(1), &Action::Hold("their own".into()), 0).unwrap(), 1);
    assert_eq!(store.act(&Filter { uid: None, ..one(2) }, &Action::Hold("root's".into()), 0).unwrap(), 1);
    let numbers = |touchable| store.numbers(&Filter { touchable, ..own.clone() }, 9).unwrap();
    assert_eq!(numbers(Some(true)), [MessageId(1), MessageId(3)]);
    assert_eq!(numbers(Some(false)), [MessageId(2)]);
    assert_eq!((numbers(None).len(), store.count_of(33).unwrap(), store.count_of(7).unwrap()), (3, 3, 0));
    let mut shown = Vec::new();
    let mut two = |queued: Queued, more| {
        shown.push((queued.id.0, more));
        shown.len() < 2
    };
    store.show(&own, 9, &mut two).unwrap();
    assert_eq!(shown, [(1, 0), (2, 0)], "until there is enough");
    assert!(store.writing().is_none());
}
