//! What became of recipients, counted. Values only.

use super::types::Millis;
use serde::{Deserialize, Serialize};

/// Reasons that are named for each sender: the most frequent ones.
pub const REASONS: u32 = 5;

/// What became of recipients since some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Since when, milliseconds since 1970.
    pub since: Millis,
    /// By sender, in order of their names.
    pub senders: Vec<Tally>,
    /// All of them together; its name is empty.
    pub total: Tally,
}

/// The numbers of one sender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The sender.
    pub sender: String,
    /// Recipients whose server took the message.
    pub sent: u64,
    /// Attempts for a recipient that were put off: one recipient may have several.
    pub deferred: u64,
    /// Recipients that failed for good.
    pub failed: u64,
    /// From acceptance until the server took it: the middle one, milliseconds; `None` where nothing was sent.
    pub median: Option<Millis>,
    /// The same: 95 of 100 took no longer.
    pub p95: Option<Millis>,
    /// The most frequent reasons of failures and of deferrals.
    pub reasons: Vec<ReasonCount>,
}

/// A reason and how often it was one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// Failed for good rather than put off.
    pub failed: bool,
    /// `550 5.1.1 recipient refused`; empty for results of a program that kept none.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// The place, from 0, of a percentile among so many in order, by nearest rank.
#[must_use]
pub fn place(percent: u64, count: u64) -> u64 {
    (count.saturating_mul(percent)).div_ceil(100).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        assert_eq!([1, 2, 3, 4].map(|count| place(50, count)), [0, 0, 1, 1]);
        assert_eq!([1, 19, 20, 21, 100].map(|count| place(95, count)), [0, 18, 18, 19, 94]);
        assert_eq!(place(50, 0), 0);
    }
}
