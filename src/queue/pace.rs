//! The pace of a lane: so many messages in so long, evenly. Pure: the time is an argument.
//!
//! A bucket that holds one message and fills as the pace says: in no stretch of the pace's length do more messages go
//! than it allows, and they do not come in a rush.

use super::types::Millis;
use crate::config::Pace;

/// When the next message may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    /// In microseconds since 1970, as paces of several messages a millisecond's fraction need it.
    next: i64,
}

impl Bucket {
    /// When a message may go; no later than the pace's own distance from `now`, whatever the clock did since the last one
    /// and however slow the pace was then.
    pub(super) fn opens(&mut self, pace: Pace, now: Millis) -> Millis {
        let now = now.saturating_mul(1000);
        self.next = self.next.min(now.saturating_add(distance(pace)));
        // Rounded up: a message is never early.
        self.next.max(now).saturating_add(999) / 1000
    }

    /// A message goes now.
    pub(super) fn take(&mut self, pace: Pace, now: Millis) {
        self.next = now.saturating_mul(1000).saturating_add(distance(pace));
    }
}

/// Microseconds between two messages, rounded up.
fn distance(pace: Pace) -> i64 {
    let per = u64::try_from(pace.per.as_micros()).unwrap_or(u64::MAX);
    i64::try_from(per.div_ceil(u64::from(pace.messages.max(1)))).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn pace(messages: u32, seconds: u64) -> Pace {
        Pace { messages, per: Duration::from_secs(seconds) }
    }

    #[test]
    fn messages_go_evenly() {
        let mut bucket = Bucket::default();
        let ten = pace(10, 1);
        assert_eq!(bucket.opens(ten, 5), 5, "the first at once");
        bucket.take(ten, 5);
        assert_eq!(bucket.opens(ten, 5), 105);
        assert_eq!(bucket.opens(ten, 104), 105);
        assert_eq!(bucket.opens(ten, 400), 400, "what was not used is not saved up");
        bucket.take(ten, 400);
        assert_eq!(bucket.opens(ten, 401), 500);
    }

    #[test]
    fn a_clock_that_was_set_back_costs_one_distance() {
        let mut bucket = Bucket::default();
        let hourly = pace(60, 3600);
        bucket.take(hourly, 1_000_000_000);
        assert_eq!(bucket.opens(hourly, 5_000), 65_000);
        assert_eq!(bucket.opens(hourly, 6_000), 65_000, "once");
        assert_eq!(bucket.opens(pace(1000, 1), 5_000), 5_001, "nor does a pace that was slower before");
    }

    proptest! {
        #[test]
        fn no_stretch_holds_more_than_the_pace(
            messages in 1u32..60, seconds in 1u64..4, tries in prop::collection::vec(0i64..400, 1..200)
        ) {
            let pace = pace(messages, seconds);
            let (mut bucket, mut now, mut went) = (Bucket::default(), 1_700_000_000_000i64, Vec::new());
            for step in tries {
                now += step;
                if bucket.opens(pace, now) <= now {
                    bucket.take(pace, now);
                    went.push(now);
                }
            }
            let length = i64::try_from(seconds).unwrap() * 1000;
            for first in &went {
                let within = went.iter().filter(|at| (*first..first + length).contains(*at)).count();
                prop_assert!(within <= messages as usize, "{} of {}", within, messages);
            }
        }

        #[test]
        fn whoever_waits_as_told_goes(messages in 1u32..2000, now in 0i64..4_000_000_000_000) {
            let pace = pace(messages, 2);
            let mut bucket = Bucket::default();
            bucket.take(pace, now);
            let opens = bucket.opens(pace, now);
            prop_assert!(opens > now && bucket.opens(pace, opens) == opens);
        }
    }
}
