//! One limit: so many recipients or messages within a rolling window, or on a calendar day of a time zone.
//!
//! Pure: the time is an argument.

use super::Millis;
use super::zone::Zone;
use crate::report::counted;
use std::fmt;
use std::time::Duration;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Recipients that the server took.
    Recipients,
    /// Messages: transactions in which the server took at least one recipient.
    Messages,
}

/// How long a limit looks back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// A rolling window of that length.
    Rolling(Duration),
    /// A calendar day.
    Day(Zone),
}

/// A limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What is counted.
    pub measure: Measure,
    /// The most of it within `per`; at least 1.
    pub most: u32,
    /// How long it looks back.
    pub per: Span,
}

/// Parts of a window that are told apart: what falls into one is counted to the latest moment of it, so that a window has
/// a bounded number of entries, whatever was sent, and nothing is freed early.
pub const SLOTS: Millis = 1440;
/// How long the entries of calendar days are kept: the longest day, when clocks go back (25 hours, with some to spare).
pub(super) const LONGEST_DAY: Millis = 26 * 3_600_000;

impl Window {
    /// A rolling window of recipients.
    #[must_use]
    pub const fn recipients(most: u32, per: Duration) -> Self {
        Self { measure: Measure::Recipients, most, per: Span::Rolling(per) }
    }

    /// A rolling window of messages.
    #[must_use]
    pub const fn messages(most: u32, per: Duration) -> Self {
        Self { measure: Measure::Messages, most, per: Span::Rolling(per) }
    }
}

impl Span {
    /// How long an entry may count, milliseconds.
    #[must_use]
    pub fn length(&self) -> Millis {
        match self {
            Self::Rolling(length) => Millis::try_from(length.as_millis()).unwrap_or(Millis::MAX / 4).max(1),
            Self::Day(_) => LONGEST_DAY,
        }
    }
}

/// The slot of a moment in a series whose entries count for `length` milliseconds.
#[must_use]
pub fn slot(at: Millis, length: Millis) -> Millis {
    let width = length.div_euclid(SLOTS) + Millis::from(length.rem_euclid(SLOTS) > 0);
    at.div_euclid(width.max(1))
}

impl Measure {
    /// What one of them is called.
    fn one(self) -> &'static str {
        match self {
            Self::Recipients => "recipient",
            Self::Messages => "message",
        }
    }
}

impl fmt::Display for Measure {
    /// As the key is called.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.one())
    }
}

impl fmt::Display for Window {
    /// As in `500 recipients per 24h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per ", counted(self.most, self.measure.one()))?;
        match &self.per {
            Span::Rolling(length) if length.as_secs() == 86_400 => f.write_str("24h"),
            Span::Rolling(length) => write!(f, "{}", humantime::format_duration(*length)),
            Span::Day(Zone::Local) => f.write_str("day"),
            Span::Day(Zone::Named(zone)) => write!(f, "day in {}", zone.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::zone;
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    #[test]
    fn it_is_shown_as_it_is_written() {
        let shown = |window: Window| window.to_string();
        assert_eq!(shown(Window::recipients(500, Duration::from_secs(86_400))), "500 recipients per 24h");
        assert_eq!(shown(Window::messages(30, Duration::from_secs(60))), "30 messages per 1m");
        assert_eq!(shown(Window::messages(1, Duration::from_secs(3_600))), "1 message per 1h");
        assert_eq!(shown(Window::recipients(1, Duration::from_secs(86_400))), "1 recipient per 24h");
        let day = |zone| Window { measure: Measure::Messages, most: 9, per: Span::Day(zone) };
        assert_eq!(shown(day(Zone::Local)), "9 messages per day");
        let moscow = Zone::Named(Arc::new(zone::tests::named("Europe/Moscow")));
        assert_eq!(shown(day(moscow)), "9 messages per day in Europe/Moscow");
    }

    proptest! {
        #[test]
        fn a_window_has_a_bounded_number_of_slots(at in 0i64..4_000_000_000_000, length in 1i64..40_000_000_000) {
            prop_assert!(slot(at + length, length) - slot(at, length) <= SLOTS);
            prop_assert!(slot(at, length) <= slot(at + 1, length));
        }
    }
}
