//! The time that limits are counted in: it goes as fast as real time and never jumps, whatever is done to the wall clock.
//!
//! All processes read it from the same file: the last reading, and from there the machine's time since boot. Pure.
//!
//! What is promised:
//! - While the machine runs, a wall clock that is set (either way, by however much) frees nothing early and holds nothing
//!   back: rolling windows do not look at it. Calendar days do: they are the wall clock's.
//! - Over a restart of the machine nobody can tell a clock that was set from time that passed. A clock that is then behind
//!   counts as no time passed, so that what was sent counts for at most one window more; one that is ahead is believed.
//! - Entries are never in the future, so that no sender waits for longer than one window.

use super::Millis;

/// What the clocks say at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock, milliseconds since 1970.
    pub wall: Millis,
    /// Which start of the machine; empty where that is not known.
    pub boot: String,
    /// Milliseconds since then, sleep included.
    pub uptime: Millis,
}

/// The ledger's time at a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The ledger's time, milliseconds; only differences mean anything.
    pub at: Millis,
    /// The reading that belongs to it.
    pub read: Reading,
}

impl Mark {
    /// The first one of a new ledger.
    #[must_use]
    pub fn first(read: Reading) -> Self {
        Self { at: read.wall, read }
    }

    /// The ledger's time at a later reading. It never goes back.
    #[must_use]
    pub fn advance(&self, read: Reading) -> Self {
        let same = !read.boot.is_empty() && read.boot == self.read.boot && read.uptime >= self.read.uptime;
        let passed = match same {
            true => read.uptime - self.read.uptime,
            false => read.wall.saturating_sub(self.read.wall).max(0),
        };
        Self { at: self.at.saturating_add(passed), read }
    }

    /// The wall clock's time of a moment of the ledger, as the clock goes now.
    #[must_use]
    pub fn wall(&self, at: Millis) -> Millis {
        at.saturating_add(self.read.wall.saturating_sub(self.at))
    }

    /// The ledger's time of a moment of the wall clock, as the clock goes now.
    #[must_use]
    pub fn of_wall(&self, wall: Millis) -> Millis {
        wall.saturating_add(self.at.saturating_sub(self.read.wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(wall: Millis, boot: &str, uptime: Millis) -> Reading {
        Reading { wall, boot: boot.into(), uptime }
    }

    const DAY: Millis = 86_400_000;

    #[test]
    fn a_clock_that_is_set_changes_nothing_while_the_machine_runs() {
        let first = Mark::first(read(10 * DAY, "a", 5_000));
        assert_eq!(first.advance(read(20 * DAY, "a", 6_000)).at, 10 * DAY + 1_000);
        let back = first.advance(read(3 * DAY, "a", 7_000));
        assert_eq!(back.at, 10 * DAY + 2_000);
        // A moment of the ledger is shown as the clock goes now.
        assert_eq!((back.wall(back.at + 60_000), back.of_wall(3 * DAY)), (3 * DAY + 60_000, back.at));
    }

    #[test]
    fn over_a_restart_the_wall_clock_is_all_there_is() {
        let first = Mark::first(read(10 * DAY, "a", 5_000));
        assert_eq!(first.advance(read(11 * DAY, "b", 100)).at, 11 * DAY, "believed");
        let behind = first.advance(read(2 * DAY, "b", 100));
        assert_eq!(behind.at, 10 * DAY, "no time passed");
        // And it goes on from there, so that nothing waits until the clock is right again.
        assert_eq!(behind.advance(read(10 * DAY, "b", DAY)).at, 11 * DAY - 100);
        assert_eq!(first.advance(read(10 * DAY + 9, "", 5_000)).at, 10 * DAY + 9, "no boot id");
    }

    proptest! {
        #[test]
        fn it_never_goes_back_and_never_faster_than_time(
            steps in prop::collection::vec((0i64..100_000, -1_000_000_000i64..1_000_000_000), 1..50)
        ) {
            let (mut mark, mut uptime, mut wall) = (Mark::first(read(0, "a", 0)), 0, 0);
            for (passed, jump) in steps {
                (uptime, wall) = (uptime + passed, wall + passed + jump);
                let next = mark.advance(read(wall, "a", uptime));
                prop_assert_eq!(next.at - mark.at, passed);
                mark = next;
            }
        }
    }
}
