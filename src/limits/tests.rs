//! The counters on disk: over restarts, clocks that are set, processes that die, and windows that change.

use super::counters::{Counters, Series, Sync};
use super::decision::{self, Room, Tally};
use super::ledger::Reading;
use super::window::{SLOTS, Window};
use super::*;
use std::time::Duration;

const HOUR: Millis = 3_600_000;
const DAY: Millis = 24 * HOUR;

fn at(wall: Millis, boot: &str, uptime: Millis) -> Reading {
    Reading { wall, boot: boot.into(), uptime }
}

/// A machine that runs all the time and whose clock is right.
fn right(now: Millis) -> Reading {
    at(100 * DAY + now, "boot", now)
}

fn series(length: Millis) -> Vec<Series> {
    vec![("sender shop".into(), length)]
}

fn look(counters: &Counters, most: u32, length: Millis, read: Reading) -> Room {
    let window = Window::recipients(most, Duration::from_millis(length.unsigned_abs()));
    let room = counters.with(read, Sync::Later, |view| {
        let entries = view.entries(&series(length)[0])?;
        let tally = Tally { window, ceiling: most.into(), day: (0, 0), entries };
        let room = decision::room(&[tally], u64::from(most), view.mark.at);
        Ok((Room { next: room.next.map(|next| view.mark.wall(next)), ..room }, false))
    });
    room.unwrap()
}

fn reserve_at(counters: &Counters, length: Millis, count: u64, read: Reading) -> i64 {
    let until = |now: Millis| now + 960_000;
    let lease = counters
        .with(read, Sync::Now, |view| view.lease(&series(length), count, until(view.mark.at), "").map(|id| (id, true)));
    lease.unwrap()
}

fn settle_at(counters: &Counters, lease: i64, length: Millis, taken: u64, read: Reading) {
    let settled =
        counters.with(read, Sync::Later, |view| view.settle(lease, &series(length), taken).map(|()| ((), true)));
    settled.unwrap();
}

fn sent(counters: &Counters, length: Millis, count: u64, read: Reading) {
    let lease = reserve_at(counters, length, count, read.clone());
    settle_at(counters, lease, length, count, read);
}

#[test]
fn the_count_is_what_the_server_took_and_outlives_the_process() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("deep/er/limits.db");
    let counters = Counters::open(&path).unwrap();
    let lease = reserve_at(&counters, DAY, 8, right(0));
    assert_eq!(look(&counters, 10, DAY, right(1)).recipients, 2, "reserved");
    settle_at(&counters, lease, DAY, 3, right(1_000));
    drop(counters);
    let counters = Counters::open(&path).unwrap();
    assert_eq!(look(&counters, 10, DAY, right(2_000)), Room { recipients: 7, next: Some(101 * DAY + 1_000), limit: 0 });
    assert_eq!(look(&counters, 10, DAY, right(DAY + 1_000)).recipients, 10);
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(home.path().join("deep")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_clock_that_is_set_neither_frees_nor_wedges() {
    let home = tempfile::tempdir().unwrap();
    let counters = Counters::open(&home.path().join("limits.db")).unwrap();
    sent(&counters, DAY, 10, right(0));
    // Set forward by a week, back by a month: an hour later it is an hour later.
    assert_eq!(look(&counters, 10, DAY, at(107 * DAY, "boot", HOUR)).next, Some(107 * DAY + 23 * HOUR));
    assert_eq!(look(&counters, 10, DAY, at(70 * DAY, "boot", HOUR)).next, Some(70 * DAY + 23 * HOUR));
    assert_eq!(look(&counters, 10, DAY, at(70 * DAY, "boot", DAY)).recipients, 10);
    // Started anew with a clock of 1970: it counts as now, and is over after one window.
    assert_eq!(look(&counters, 10, DAY, at(5, "other", 5)).next, Some(DAY + 5));
    sent(&counters, DAY, 0, at(5, "other", 5));
    assert_eq!(look(&counters, 10, DAY, at(100 * DAY, "other", DAY + 4)).recipients, 0, "the clock is right again");
    assert_eq!(look(&counters, 10, DAY, at(100 * DAY, "other", DAY + 5)).recipients, 10);
}

#[test]
fn a_process_that_died_leaves_its_reservation_for_one_window() {
    let home = tempfile::tempdir().unwrap();
    let counters = Counters::open(&home.path().join("limits.db")).unwrap();
    reserve_at(&counters, HOUR, 4, right(0));
    assert_eq!(look(&counters, 4, HOUR, right(HOUR)).recipients, 0, "it may have been used until it ran out");
    assert_eq!(look(&counters, 4, HOUR, right(HOUR + 960_000)).recipients, 4);
}

#[test]
fn what_a_process_had_not_asked_for_when_it_died_is_given_back() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("limits.db");
    let counters = Counters::open(&path).unwrap();
    let reserve = |owner: &str| {
        counters.with(right(0), Sync::Now, |view| {
            view.lease(&series(HOUR), 1, view.mark.at + 960_000, owner).map(|id| (id, true))
        })
    };
    let leases = ["gone", "gone", "alive", ""].map(|owner| reserve(owner).unwrap());
    counters.with(right(1), Sync::Later, |view| view.begin(leases[0]).map(|()| ((), true))).unwrap();
    assert_eq!(look(&counters, 4, HOUR, right(2)).recipients, 0);
    let give_back = |of: Vec<Series>| {
        let given = counters.with(right(3), Sync::Later, |view| {
            view.give_back(&of, &|owner| owner == "gone").map(|given| (given, given))
        });
        given.unwrap()
    };
    assert!(!give_back(vec![("sender news".into(), HOUR)]), "of others");
    assert!(give_back(series(HOUR)) && !give_back(series(HOUR)));
    assert_eq!(look(&counters, 4, HOUR, right(4)).recipients, 1, "what was asked for may have been taken");
    drop(counters);
    let counters = Counters::open(&path).unwrap();
    assert_eq!(look(&counters, 4, HOUR, right(5)).recipients, 1);
}

#[test]
fn a_file_of_before_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("limits.db");
    let counters = Counters::open(&path).unwrap();
    reserve_at(&counters, HOUR, 3, right(0));
    drop(counters);
    let before = "ALTER TABLE lease DROP COLUMN owner; ALTER TABLE lease DROP COLUMN begun; DROP TABLE lost;
        DROP TABLE anew; PRAGMA user_version = 0";
    rusqlite::Connection::open(&path).unwrap().execute_batch(before).unwrap();
    let counters = Counters::open(&path).unwrap();
    let given = counters
        .with(right(1), Sync::Later, |view| Ok((view.give_back(&series(HOUR), &|name| !name.is_empty())?, false)));
    assert_eq!((given.unwrap(), look(&counters, 4, HOUR, right(2)).recipients), (false, 1));
}

#[test]
fn what_was_sent_counts_in_a_window_that_is_new() {
    let home = tempfile::tempdir().unwrap();
    let counters = Counters::open(&home.path().join("limits.db")).unwrap();
    sent(&counters, DAY, 5, right(0));
    sent(&counters, DAY, 2, right(3 * HOUR));
    assert_eq!(look(&counters, 10, HOUR, right(3 * HOUR + 1)).recipients, 8);
    assert_eq!(look(&counters, 10, 4 * HOUR, right(3 * HOUR + 1)).recipients, 3);
    sent(&counters, 4 * HOUR, 1, right(3 * HOUR + 2));
    assert_eq!(look(&counters, 10, 4 * HOUR, right(3 * HOUR + 3)).recipients, 2, "and goes on counting");
}

#[test]
fn every_window_of_a_limit_counts_a_message_once() {
    let home = tempfile::tempdir().unwrap();
    let counters = Counters::open(&home.path().join("limits.db")).unwrap();
    let all: Vec<Series> = [DAY, HOUR, 4 * HOUR].iter().flat_map(|length| series(*length)).collect();
    for step in 0..2 {
        let lease = counters.with(right(step), Sync::Now, |view| {
            view.lease(&all, 2, view.mark.at + 960_000, "").map(|lease| (lease, true))
        });
        let lease = lease.unwrap();
        counters.with(right(step), Sync::Later, |view| view.settle(lease, &all, 2).map(|()| ((), true))).unwrap();
    }
    for length in [DAY, HOUR, 4 * HOUR] {
        assert_eq!(look(&counters, 10, length, right(5)).recipients, 6, "{length}");
    }
}

#[test]
fn however_much_is_sent_the_file_is_bounded() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("limits.db");
    let counters = Counters::open(&path).unwrap();
    let of_day = series(DAY);
    // Every five seconds for two days, in one commit.
    counters.with(right(0), Sync::Later, |view| view.settle(0, &of_day, 1).map(|()| ((), true))).unwrap();
    for step in (0..2 * DAY).step_by(20_000) {
        settle_at(&counters, 0, DAY, 1, right(step));
    }
    let rows: Millis = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM slot", [], |row| row.get(0))
        .unwrap();
    assert!(rows <= SLOTS + 1, "{rows}");
    let room = look(&counters, 1_000_000, DAY, right(2 * DAY));
    assert!((4_319..=4_323).contains(&(1_000_000 - room.recipients)), "{room:?}");
}

#[test]
fn a_strange_file_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("limits.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    assert!(Counters::open(&path).unwrap_err().contains("something else"));
    let text = "no database, but long enough to be read as one\n".repeat(100);
    let mut file = crate::sys::files::append(&home.path().join("text")).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    assert!(Counters::open(&home.path().join("text")).unwrap_err().contains("nothing was changed"));
    std::os::unix::fs::symlink(&path, home.path().join("link")).unwrap();
    assert!(Counters::open(&home.path().join("link")).unwrap_err().contains("no regular file"));
    assert!(Counters::open(home.path()).is_err());
}
