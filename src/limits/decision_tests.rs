//! The decision against examples, and against a naive model: the list of all that was ever sent.

use super::super::window::slot;
use super::super::zone::Zone;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const HOUR: Millis = 3_600_000;

fn entry(at: Millis, recipients: u64) -> Entry {
    Entry { at, recipients, messages: 1, open: false }
}

fn hourly(most: u32, entries: Vec<Entry>) -> Tally {
    let window = Window::recipients(most, Duration::from_secs(3600));
    Tally { window, ceiling: most.into(), day: (0, 0), entries }
}

#[test]
fn what_is_left_goes_and_the_rest_waits_for_the_next_slot() {
    let tally = hourly(10, vec![entry(0, 4), entry(1_000, 3)]);
    assert_eq!((tally.used(2_000), tally.left(2_000)), (7, 3));
    assert_eq!(room(&[], 9, 0), Room { recipients: u64::MAX, next: None, limit: 0 });
    assert_eq!(room(std::slice::from_ref(&tally), 3, 2_000).next, None);
    // Three go now; a fourth when the first four are free again.
    assert_eq!(room(&[tally], 5, 2_000), Room { recipients: 3, next: Some(HOUR), limit: 0 });
    let full = hourly(4, vec![entry(1_000, 4)]);
    assert_eq!(room(std::slice::from_ref(&full), 1, 1_000 + HOUR - 1).next, Some(1_000 + HOUR));
    assert_eq!(room(&[full], 1, 1_000 + HOUR).recipients, 4);
}

#[test]
fn a_message_larger_than_the_limit_goes_in_parts() {
    let tally = hourly(10, vec![]);
    assert_eq!(room(&[tally], 25, 5_000), Room { recipients: 10, next: Some(5_000 + HOUR), limit: 0 });
}

#[test]
fn of_several_limits_each_holds() {
    let minute = Tally { window: Window::messages(1, Duration::from_secs(60)), ceiling: 1, ..hourly(1, vec![]) };
    let busy = Tally { entries: vec![entry(0, 3)], ..minute.clone() };
    assert_eq!(
        room(&[hourly(10, vec![entry(0, 3)]), busy], 2, 1_000),
        Room { recipients: 0, next: Some(60_000), limit: 1 }
    );
    // Two of the three go, which is the minute's message.
    let both = [hourly(5, vec![entry(0, 3)]), minute];
    assert_eq!(room(&both, 3, 120_000), Room { recipients: 2, next: Some(HOUR), limit: 0 });
}

#[test]
fn what_lies_in_the_future_counts_as_now() {
    let tally = hourly(5, vec![entry(99 * HOUR, 5)]);
    assert_eq!(room(&[tally], 1, 7), Room { recipients: 0, next: Some(7 + HOUR), limit: 0 });
}

#[test]
fn reservations_count_until_they_are_settled() {
    let open = |at| Entry { open: true, ..entry(at, 1) };
    let tally = hourly(2, vec![open(60_000), entry(0, 1)]);
    assert_eq!(tally.left(30_000), 0);
    // It may come back unused: look again soon.
    assert_eq!(room(std::slice::from_ref(&tally), 1, 30_000).next, Some(35_000));
    // Of a process that died it counts as used when it could have been at the latest.
    assert_eq!((tally.left(HOUR), tally.left(HOUR + 59_999), tally.left(HOUR + 60_000)), (1, 1, 2));
    let dead = hourly(1, vec![open(60_000)]);
    assert_eq!(room(&[dead], 1, 61_000).next, Some(HOUR + 60_000));
}

#[test]
fn a_day_ends_at_midnight() {
    let window = Window { measure: Measure::Recipients, most: 3, per: Span::Day(Zone::Local) };
    let day = (100 * HOUR, 123 * HOUR);
    let tally = Tally { window, ceiling: 3, day, entries: vec![entry(100 * HOUR - 1, 50), entry(100 * HOUR, 3)] };
    assert_eq!(
        room(std::slice::from_ref(&tally), 1, 122 * HOUR),
        Room { recipients: 0, next: Some(123 * HOUR), limit: 0 }
    );
    let tomorrow = Tally { day: (123 * HOUR, 147 * HOUR), ..tally };
    assert_eq!(tomorrow.left(123 * HOUR), 3);
    let tonight = Entry { open: true, ..entry(123 * HOUR + 5, 1) };
    assert_eq!(Tally { entries: vec![tonight], ..tomorrow }.left(123 * HOUR), 2, "counts on either side of midnight");
}

/// What is kept on disk: slots, and reservations that are out.
#[derive(Default)]
struct Kept {
    slots: BTreeMap<Millis, Entry>,
    open: Vec<Entry>,
}

impl Kept {
    fn entries(&self) -> Vec<Entry> {
        self.slots.values().chain(&self.open).copied().collect()
    }

    fn settle(&mut self, at: Millis, taken: u64, length: Millis) {
        self.open.pop();
        if taken > 0 {
            let slot =
                self.slots.entry(slot(at, length)).or_insert(Entry { at, recipients: 0, messages: 0, open: false });
            (slot.at, slot.recipients, slot.messages) = (slot.at.max(at), slot.recipients + taken, slot.messages + 1);
        }
    }
}

/// One step: time passes, a message of so many recipients comes, and the server takes some of those that may go, after a
/// while.
type Step = (Millis, u64, u64, Millis, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0i64..4_000, 1u64..12, 0u64..12, 0i64..500, any::<bool>()), 1..120)
}

proptest! {
    #[test]
    fn no_window_ever_holds_more_than_its_limit(
        steps in steps(), most in 1u32..20, reserved in 0u32..5, long in 1i64..20_000, others in 1u32..4,
    ) {
        let ceiling = |bulk: bool| u64::from(most.saturating_sub(if bulk { reserved } else { 0 }).max(1));
        let window = Window::recipients(most, Duration::from_millis(long.unsigned_abs()));
        let messages = Window::messages(others, Duration::from_millis(long.unsigned_abs()));
        let (mut now, mut kept, mut sent) = (0, Kept::default(), Vec::<(Millis, u64)>::new());
        for (pause, wanted, taken, late, bulk) in steps {
            now += pause;
            let entries = kept.entries();
            let tallies = [
                Tally { window: window.clone(), ceiling: ceiling(bulk), day: (0, 0), entries: entries.clone() },
                Tally { window: messages.clone(), ceiling: others.into(), day: (0, 0), entries },
            ];
            let found = room(&tallies, wanted, now);
            let may = found.recipients.min(wanted);
            match found.next {
                None => prop_assert_eq!(may, wanted),
                Some(next) => {
                    prop_assert!(next > now && next <= now + long, "{now} {next}");
                    // At that time there is room, if nothing else is sent.
                    let then = room(&tallies, may + 1, next);
                    prop_assert!(then.recipients > may || may >= ceiling(bulk) || may > 0, "{then:?}");
                }
            }
            // The naive model: everything ever sent within the window that ends now.
            let within = |from: Millis| sent.iter().filter(move |(at, _)| *at > from);
            let used: u64 = within(now - long).map(|(_, count)| count).sum();
            prop_assert!(used + may <= u64::from(most), "never too much");
            // Nor is anything held back but by what slots round up.
            let wider = now - long - long.div_euclid(1440) - 1;
            let (more, count) = (within(wider).map(|(_, count)| count).sum::<u64>(), within(wider).count() as u64);
            if count < u64::from(others) {
                prop_assert!(may >= wanted.min(ceiling(bulk).saturating_sub(more)), "{may} of {wanted}");
            }
            if may == 0 {
                continue;
            }
            kept.open.push(Entry { at: now + 1_000, recipients: may, messages: 1, open: true });
            now += late;
            let taken = taken.min(may);
            kept.settle(now, taken, long);
            if taken > 0 {
                sent.push((now, taken));
            }
            for (end, _) in &sent {
                let of_window: Vec<u64> =
                    sent.iter().filter(|(at, _)| at <= end && *at > end - long).map(|(_, count)| *count).collect();
                prop_assert!(of_window.iter().sum::<u64>() <= u64::from(most));
                prop_assert!(of_window.len() as u64 <= u64::from(others));
            }
        }
    }
}
