//! Who works on what: values only.

use super::super::lanes::{Lanes, THREADS, Why};
use super::*;
use crate::deliver::trouble::Wait;

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

const WHY: Why<'static> = Why { reason: "535", wait: Wait::Growing, down: false, doubtful: false };

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
    let (pause, back) = lanes.lane("a").pause("a", 1000, WHY).unwrap();
    let until = pause.until;
    assert_eq!((until, back.len()), (61_000, 1));
    lanes.lane("a").done();
    assert!(lanes.lane("a").pause("a", 1001, WHY).is_none(), "the second failure of the same time is the same trouble");
    assert!(!lanes.is_usable("a", 60_999) && lanes.full(60_999).contains(&"a".into()));
    (0..3).for_each(|id| assert!(lanes.add(queued(id, "a")).is_none()));
    assert!(lanes.lane("a").next(60_999, 4).is_none());
    assert!(lanes.lane("a").next(61_000, 4).is_some(), "the probe");
    assert!(lanes.lane("a").next(61_000, 4).is_none(), "and no other");
    lanes.lane("a").done();
    assert_eq!(lanes.lane("a").pause("a", 61_000, WHY).unwrap().0.until, 181_000, "twice as long");
    assert_eq!(lanes.open(), ["a"]);
    lanes.add(queued(1, "a"));
    assert!(lanes.lane("a").next(61_001, 4).is_some());
    assert!(lanes.lane("a").serves(100_000), "it was in trouble");
    lanes.lane("a").done();
    assert!(!lanes.lane("a").serves(100_000));
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
    lanes.lane("a").serves(100_000);
    assert!((0..3).all(|_| !lanes.lane("a").strike()));
    assert!(lanes.lane("a").strike());
}

#[test]
fn a_set_clock_moves_pauses() {
    let mut lanes = filled("a", 1);
    lanes.lane("a").pause("a", 0, WHY).unwrap();
    lanes.shift(1_000_000);
    assert!(!lanes.is_usable("a", 1_059_999) && lanes.is_usable("a", 1_060_000));
    assert_eq!(lanes.next_opening(0), Some(1_060_000));
    assert_eq!(lanes.paused(0), ["a"]);
}

#[test]
fn a_firm_pause_is_ended_by_an_operator_alone() {
    let day = 86_400_000;
    let firm = Why { wait: Wait::Firm(Duration::from_secs(86_400)), ..WHY };
    let mut lanes = filled("a", 3);
    lanes.lane("a").pause("a", 0, WHY).unwrap();
    let (pause, _) = lanes.lane("a").pause("a", 10, firm).expect("the longer pause wins over the shorter");
    assert_eq!((pause.until, pause.firm, pause.since, pause.times), (day + 10, true, Some(0), 2));
    assert!(lanes.lane("a").pause("a", 20, WHY).is_none() && lanes.lane("a").pause("a", 10, firm).is_none());
    assert!(!lanes.lane("a").serves(30), "an attempt that began before it opens nothing");
    assert!(lanes.open().is_empty() && !lanes.is_usable("a", day + 9));
    assert_eq!(lanes.pause_of("a", 40).map(|pause| pause.reason), Some("535".into()));
    let mut again = filled("a", 3);
    again.lane("a").take_up(pause.clone(), day * 2);
    assert!(again.open().is_empty() && again.pause_of("a", 40) == Some(pause), "not after a restart either");
    assert!(lanes.resume("a") && !lanes.resume("a") && !lanes.resume("b"));
    assert!(lanes.is_usable("a", 40));
    assert_eq!(lanes.lane("a").next(40, 4).map(|queued| queued.id.0), None, "its messages went back");
}

#[test]
fn a_server_is_down_until_it_serves_or_answers() {
    let down = Why { down: true, ..WHY };
    let mut lanes = filled("a", 3);
    lanes.lane("a").pause("a", 1000, down).unwrap();
    lanes.lane("a").pause("a", 100_000, down).unwrap();
    assert_eq!(lanes.down(100_001).iter().map(|pause| pause.down).collect::<Vec<_>>(), [Some(1000)]);
    assert!(lanes.down(10_000_000).is_empty(), "one message finds out whether it still is");
    lanes.lane("a").pause("a", 10_000_000, WHY).unwrap();
    assert!(lanes.down(10_000_001).is_empty(), "it answers, though it takes nothing");
    lanes.lane("a").pause("a", 20_000_000, down).unwrap();
    assert!(lanes.lane("a").serves(30_000_000) && lanes.down(20_000_001).is_empty());
    let lost = Why { doubtful: true, ..WHY };
    let mut lanes = filled("b", 1);
    assert_eq!(lanes.lane("b").pause("b", 0, lost).unwrap().0.since, None, "a message of its own may be to blame");
    lanes.shift(500);
    assert_eq!(lanes.pause_of("b", 1).unwrap().until, 60_500);
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
