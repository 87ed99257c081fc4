//! Who works on what: values only.

use super::super::lanes::{Lanes, THREADS};
use super::*;

fn queued(id: i64, lane: &str) -> Queued {
    Queued {
        id: MessageId(id),
        uid: 1000,
        lane: lane.into(),
        header_from: String::new(),
        from: ReversePath::Null,
        dsn: Dsn::default(),
        tag: None,
        size: 1,
        created: 0,
        hold: None,
        report: false,
        warned: false,
        bulk: false,
        claimed: true,
        moved: None,
        grace: Grace::default(),
        recipients: Vec::new(),
    }
}

fn filled(lane: &str, count: i64) -> Lanes {
    let mut lanes = Lanes::default();
    (0..count).for_each(|id| assert!(lanes.add(queued(id, lane)).is_none()));
    lanes
}

#[test]
fn as_many_workers_as_connections() {
    let mut lanes = filled("a", 10);
    lanes.add(queued(99, "b"));
    let mut hired = lanes.hire(0, 4);
    hired.sort();
    assert_eq!(hired, ["a", "a", "a", "a", "b"]);
    assert!(lanes.hire(0, 4).is_empty(), "those that are coming count");
    let taken: Vec<i64> = (0..5).filter_map(|_| lanes.lane("a").next(0, 4)).map(|queued| queued.id.0).collect();
    assert_eq!(taken, [0, 1, 2, 3], "in order, and no more than there are connections");
    lanes.lane("a").done();
    assert_eq!(lanes.lane("a").next(0, 4).map(|queued| queued.id.0), Some(4));
}

#[test]
fn trouble_sends_messages_back_and_one_probe_opens_the_lane() {
    let mut lanes = filled("a", 3);
    lanes.hire(0, 4);
    lanes.lane("a").next(0, 4).unwrap();
    lanes.lane("a").next(0, 4).unwrap();
    lanes.lane("a").done();
    let (until, back) = lanes.lane("a").pause(1000).unwrap();
    assert_eq!((until, back.len()), (61_000, 1));
    lanes.lane("a").done();
    assert!(lanes.lane("a").pause(1001).is_none(), "the second failure of the same time is the same trouble");
    assert!(!lanes.is_usable("a", 60_999) && lanes.full(60_999).contains(&"a".into()));
    (0..3).for_each(|id| assert!(lanes.add(queued(id, "a")).is_none()));
    assert!(lanes.lane("a").next(60_999, 4).is_none());
    assert!(lanes.lane("a").next(61_000, 4).is_some(), "the probe");
    assert!(lanes.lane("a").next(61_000, 4).is_none(), "and no other");
    lanes.lane("a").done();
    assert_eq!(lanes.lane("a").pause(61_000).unwrap().0, 181_000, "twice as long");
    assert_eq!(lanes.open(), ["a"]);
    lanes.add(queued(1, "a"));
    assert!(lanes.lane("a").next(61_001, 4).is_some());
    assert!(lanes.lane("a").serves(), "it was in trouble");
    lanes.lane("a").done();
    assert!(!lanes.lane("a").serves());
}

#[test]
fn slow_lanes_leave_room() {
    let mut lanes = Lanes::default();
    for lane in 0..15 {
        (0..20).for_each(|id| drop(lanes.add(queued(id, &format!("slow{lane}")))));
    }
    lanes.hire(0, 4);
    lanes.add(queued(1, "quick"));
    assert_eq!(lanes.hire(0, 4), ["quick"], "a lane without a worker gets one");
    (0..THREADS).for_each(|n| drop(lanes.add(queued(1, &format!("more{n}")))));
    lanes.hire(0, 4);
    assert_eq!(lanes.threads, THREADS);
    assert!(lanes.starved);
}

#[test]
fn lost_connections_in_a_row_are_trouble() {
    let mut lanes = filled("a", 1);
    assert!((0..3).all(|_| !lanes.lane("a").strike()));
    lanes.lane("a").serves();
    assert!((0..3).all(|_| !lanes.lane("a").strike()));
    assert!(lanes.lane("a").strike());
}

#[test]
fn a_set_clock_moves_pauses() {
    let mut lanes = filled("a", 1);
    lanes.lane("a").pause(0).unwrap();
    lanes.shift(1_000_000);
    assert!(!lanes.is_usable("a", 1_059_999) && lanes.is_usable("a", 1_060_000));
    assert_eq!(lanes.next_opening(0), Some(1_060_000));
    assert_eq!(lanes.paused(0), ["a"]);
}

#[test]
fn a_sending_limit_keeps_mail_back_and_is_no_trouble() {
    let mut lanes = filled("a", 3);
    assert!(lanes.add(Queued { bulk: true, ..queued(7, "a") }).is_none());
    lanes.hire(0, 4);
    // The share of bulk mail is used up: single mail goes on.
    let back = lanes.lane("a").wait(true, 5_000);
    assert_eq!(back.iter().map(|queued| queued.id.0).collect::<Vec<_>>(), [7]);
    assert_eq!(lanes.full(100), [Busy { lane: "a".into(), single: false, bulk: true }]);
    assert!(lanes.add(Queued { bulk: true, ..queued(8, "a") }).is_some(), "claimed in the meantime");
    assert!(lanes.is_usable("a", 100) && lanes.limited(100).is_empty());
    assert_eq!(lanes.lane("a").next(100, 4).map(|queued| queued.id.0), Some(0));
    // Nothing at all goes.
    assert_eq!(lanes.lane("a").wait(false, 9_000).len(), 2);
    assert!(lanes.add(queued(9, "a")).is_some() && lanes.limited(100) == ["a"] && !lanes.is_usable("a", 8_999));
    assert!(lanes.paused(100).is_empty() && lanes.lane("a").pauses == 0, "the lane is in no trouble");
    assert_eq!(lanes.next_opening(100), Some(5_000));
    lanes.shift(1_000);
    assert_eq!((lanes.next_opening(6_000), lanes.full(9_999).len()), (Some(10_000), 1));
    lanes.lane("a").done();
    assert!(lanes.full(10_000).is_empty() && lanes.is_usable("a", 10_000), "and that is over by itself");
    assert!(lanes.add(queued(9, "a")).is_none());
    lanes.lane("a").wait(false, 99_000);
    lanes.open();
    assert!(lanes.is_usable("a", 10_001), "an operator looks again");
}
