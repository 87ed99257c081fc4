//! Who works on what: values only.

use super::super::lane::Rules;
use super::super::lanes::{Lanes, QUANTUM, THREADS, Why};
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

const WHY: Why<'static> = Why { reason: "535", wait: Wait::Growing, down: false, ages: false };

fn filled(lane: &str, count: i64) -> Lanes {
    let mut lanes = Lanes::default();
    (0..count).for_each(|id| assert!(lanes.add(queued(id, lane), Rules::default()).is_none()));
    lanes
}

#[test]
fn as_many_workers_as_connections() {
    let mut lanes = filled("a", 10);
    lanes.add(queued(99, "b"), Rules::default());
    let mut hired = lanes.hire(0);
    hired.sort();
    assert_eq!(hired, ["a", "a", "a", "a", "b"]);
    assert!(lanes.hire(0).is_empty(), "those that are coming count");
    let taken: Vec<i64> = (0..5).filter_map(|_| lanes.lane("a").next(0)).map(|queued| queued.id.0).collect();
    assert_eq!(taken, [0, 1, 2, 3], "in order, and no more than there are connections");
    lanes.lane("a").done(false);
    assert_eq!(lanes.lane("a").next(0).map(|queued| queued.id.0), Some(4));
}

#[test]
fn trouble_sends_messages_back_and_one_probe_opens_the_lane() {
    let mut lanes = filled("a", 3);
    lanes.hire(0);
    lanes.lane("a").next(0).unwrap();
    lanes.lane("a").next(0).unwrap();
    lanes.lane("a").done(false);
    let (pause, back) = lanes.lane("a").pause("a", 1000, WHY).unwrap();
    let until = pause.until;
    assert_eq!((until, back.len()), (61_000, 1));
    lanes.lane("a").done(false);
    assert!(lanes.lane("a").pause("a", 1001, WHY).is_none(), "the second failure of the same time is the same trouble");
    assert!(!lanes.is_usable("a", 60_999) && lanes.full(60_999).contains(&"a".into()));
    (0..3).for_each(|id| assert!(lanes.add(queued(id, "a"), Rules::default()).is_none()));
    assert!(lanes.lane("a").next(60_999).is_none());
    assert!(lanes.lane("a").next(61_000).is_some(), "the probe");
    assert!(lanes.lane("a").next(61_000).is_none(), "and no other");
    lanes.lane("a").done(false);
    assert_eq!(lanes.lane("a").pause("a", 61_000, WHY).unwrap().0.until, 181_000, "twice as long");
    assert_eq!(lanes.open(), ["a"]);
    lanes.add(queued(1, "a"), Rules::default());
    assert!(lanes.lane("a").next(61_001).is_some());
    assert!(lanes.lane("a").serves(100_000), "it was in trouble");
    lanes.lane("a").done(false);
    assert!(!lanes.lane("a").serves(100_000));
}

#[test]
fn slow_lanes_leave_room() {
    let mut lanes = Lanes::default();
    for lane in 0..15 {
        (0..20).for_each(|id| drop(lanes.add(queued(id, &format!("slow{lane}")), Rules::default())));
    }
    lanes.hire(0);
    lanes.add(queued(1, "quick"), Rules::default());
    assert_eq!(lanes.hire(0), ["quick"], "a lane without a worker gets one");
    (0..THREADS).for_each(|n| drop(lanes.add(queued(1, &format!("more{n}")), Rules::default())));
    lanes.hire(0);
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

fn bulk(id: i64, lane: &str) -> Queued {
    Queued { bulk: true, ..queued(id, lane) }
}

fn rules(connections: usize) -> Rules {
    Rules { connections, ..Rules::default() }
}

/// Puts a message in its lane, which takes it.
fn put(lanes: &mut Lanes, queued: Queued, rules: Rules) {
    assert!(lanes.add(queued, rules).is_none());
}

/// The ids that a worker gets one after the other, each done before the next.
fn order(lanes: &mut Lanes, lane: &str) -> Vec<i64> {
    let next = || {
        let queued = lanes.lane(lane).next(0)?;
        lanes.lane(lane).done(queued.bulk);
        Some(queued.id.0)
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn single_mail_overtakes_bulk_which_gets_one_of_eight() {
    let mut lanes = Lanes::default();
    (0..3).for_each(|id| put(&mut lanes, bulk(id, "a"), rules(1)));
    (10..30).for_each(|id| put(&mut lanes, queued(id, "a"), rules(1)));
    let order = order(&mut lanes, "a");
    assert_eq!(order[..8], [10, 11, 12, 13, 14, 15, 16, 0]);
    assert_eq!(order[8..16], [17, 18, 19, 20, 21, 22, 23, 1]);
    assert_eq!(order[16..], [24, 25, 26, 27, 28, 29, 2]);
}

#[test]
fn of_several_connections_one_is_free_of_bulk() {
    for (connections, most) in [(1, 1), (2, 1), (4, 3)] {
        let mut lanes = Lanes::default();
        (0..9).for_each(|id| put(&mut lanes, bulk(id, "a"), rules(connections)));
        assert_eq!(lanes.hire(0).len(), most, "no more workers than they may be");
        let taken = (0..9).filter_map(|_| lanes.lane("a").next(0)).count();
        assert_eq!(taken, most, "of {connections}");
        put(&mut lanes, queued(99, "a"), rules(connections));
        let single = lanes.lane("a").next(0).map(|queued| queued.id.0);
        assert_eq!(single, (connections > 1).then_some(99));
    }
}

#[test]
fn a_probe_may_be_bulk() {
    let mut lanes = Lanes::default();
    put(&mut lanes, bulk(1, "a"), rules(4));
    lanes.lane("a").pause("a", 0, WHY).unwrap();
    put(&mut lanes, bulk(1, "a"), rules(4));
    assert_eq!(lanes.hire(60_000), ["a"]);
    assert!(lanes.lane("a").next(60_000).is_some());
}

#[test]
fn kinds_are_claimed_apart() {
    let mut lanes = Lanes::default();
    (0..16).for_each(|id| put(&mut lanes, bulk(id, "a"), rules(1)));
    lanes.hire(0);
    let full = lanes.full(0);
    assert_eq!(full.len(), 1);
    assert!(full[0].is("a", true) && !full[0].is("a", false));
    assert!(!lanes.wants_more("a"), "there is enough bulk");
    for _ in 0..9 {
        let queued = lanes.lane("a").next(0).unwrap();
        lanes.lane("a").done(queued.bulk);
    }
    assert!(lanes.wants_more("a"), "and now there is not");
}

#[test]
fn a_worker_that_fell_leaves_its_place() {
    let mut lanes = Lanes::default();
    (0..3).for_each(|id| put(&mut lanes, bulk(id, "a"), rules(2)));
    lanes.hire(0);
    lanes.lane("a").next(0).unwrap();
    assert!(lanes.lane("a").next(0).is_none());
    lanes.end("a", Some(true));
    assert_eq!(lanes.hire(0), ["a"]);
    assert!(lanes.lane("a").next(0).is_some());
}

#[test]
fn a_lane_keeps_its_pace_however_many_workers_it_has() {
    let pace = Some(crate::config::Pace { messages: 10, per: Duration::from_secs(1) });
    let rules = Rules { pace, ..rules(4) };
    let mut lanes = Lanes::default();
    (0..40).for_each(|id| put(&mut lanes, queued(id, "a"), rules));
    assert_eq!(lanes.hire(1000), ["a"], "one is enough for the pace");
    let mut went = Vec::new();
    for now in 1000..3000 {
        if lanes.lane("a").next(now).is_some() {
            went.push(now);
            // It is slow: the next ones need workers of their own.
            assert!(lanes.hire(now).is_empty(), "not before the pace allows it");
            assert_eq!(lanes.next_opening(now), (went.len() < 4).then_some(now + 100), "{went:?}");
        }
        lanes.hire(now);
    }
    assert_eq!(went, [1000, 1100, 1200, 1300], "no more than there are connections");
    lanes.lane("a").done(false);
    assert!(lanes.lane("a").next(3000).is_some());
    lanes.lane("a").done(false);
    assert_eq!(lanes.lane("a").due_in(3001), Some(99), "so long a worker sleeps");
}

#[test]
fn a_pace_outlives_the_work() {
    let pace = Some(crate::config::Pace { messages: 60, per: Duration::from_secs(3600) });
    let rules = Rules { pace, ..rules(1) };
    let mut lanes = Lanes::default();
    put(&mut lanes, queued(1, "a"), rules);
    lanes.hire(0);
    lanes.lane("a").next(0).unwrap();
    lanes.lane("a").done(false);
    assert!(!lanes.retire("a"));
    lanes.full(1);
    put(&mut lanes, queued(2, "a"), rules);
    assert!(lanes.lane("a").next(59_999).is_none(), "the lane is not forgotten");
    assert!(lanes.lane("a").next(60_000).is_some());
}

#[test]
fn more_lanes_than_threads_take_turns() {
    let mut lanes = Lanes::default();
    for lane in 0..100 {
        (0..50).for_each(|id| put(&mut lanes, queued(id, &format!("lane{lane:02}")), rules(4)));
    }
    let (mut workers, mut served) = (Vec::new(), std::collections::HashMap::new());
    // Each round every worker serves one message, or gives way.
    for round in 0..200 {
        workers.extend(lanes.hire(0).into_iter().map(|lane| (lane, 0)));
        assert!(lanes.threads <= THREADS);
        workers.retain_mut(|(lane, count): &mut (String, u32)| {
            if !lanes.gives_way(lane, *count)
                && let Some(queued) = lanes.lane(lane).next(0)
            {
                lanes.lane(lane).done(queued.bulk);
                *count += 1;
                *served.entry(lane.clone()).or_insert(0u32) += 1;
                return true;
            }
            lanes.retire(lane);
            lanes.end(lane, None);
            false
        });
        if round == 2 * QUANTUM {
            assert_eq!(served.len(), 100, "nobody waits for long");
            let (least, most) = (served.values().min().unwrap(), served.values().max().unwrap());
            assert!(*least >= 4 && *most <= 4 * QUANTUM, "{least} to {most}");
        }
    }
    assert!(served.values().all(|count| *count == 50), "{served:?}");
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
    assert_eq!(lanes.lane("a").next(40).map(|queued| queued.id.0), None, "its messages went back");
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
    let lost = Why { ages: true, ..WHY };
    let mut lanes = filled("b", 1);
    assert_eq!(lanes.lane("b").pause("b", 0, lost).unwrap().0.since, None, "a message of its own may be to blame");
    lanes.shift(500);
    assert_eq!(lanes.pause_of("b", 1).unwrap().until, 60_500);
}

#[test]
fn a_sending_limit_keeps_mail_back_and_is_no_trouble() {
    let mut lanes = filled("a", 3);
    assert!(lanes.add(Queued { bulk: true, ..queued(7, "a") }, Rules::default()).is_none());
    lanes.hire(0);
    // The share of bulk mail is used up: single mail goes on.
    let back = lanes.lane("a").wait(true, 5_000);
    assert_eq!(back.iter().map(|queued| queued.id.0).collect::<Vec<_>>(), [7]);
    assert_eq!(lanes.full(100), [Busy { lane: "a".into(), single: false, bulk: true }]);
    assert!(lanes.add(Queued { bulk: true, ..queued(8, "a") }, Rules::default()).is_some(), "claimed in the meantime");
    assert!(lanes.is_usable("a", 100) && lanes.limited(100).is_empty());
    assert_eq!(lanes.lane("a").next(100).map(|queued| queued.id.0), Some(0));
    // Nothing at all goes.
    assert_eq!(lanes.lane("a").wait(false, 9_000).len(), 2);
    assert!(
        lanes.add(queued(9, "a"), Rules::default()).is_some()
            && lanes.limited(100) == ["a"]
            && !lanes.is_usable("a", 8_999)
    );
    assert!(lanes.paused(100).is_empty() && lanes.lane("a").pauses == 0, "the lane is in no trouble");
    assert_eq!(lanes.next_opening(100), Some(5_000));
    lanes.shift(1_000);
    assert_eq!((lanes.next_opening(6_000), lanes.full(9_999).len()), (Some(10_000), 1));
    lanes.lane("a").done(false);
    assert!(lanes.full(10_000).is_empty() && lanes.is_usable("a", 10_000), "and that is over by itself");
    assert!(lanes.add(queued(9, "a"), Rules::default()).is_none());
    lanes.lane("a").wait(false, 99_000);
    lanes.open();
    assert!(lanes.is_usable("a", 10_001), "an operator looks again");
}
