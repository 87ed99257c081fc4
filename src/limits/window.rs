//! One limit: so many recipients or messages within a rolling window, or on a calendar day of a time zone.
//!
//! Pure: the time is an argument. (The machine's own zone is the one exception: `chrono::Local` looks its rules up.)

use super::Millis;
use chrono::{DateTime, Days, Duration as Delta, LocalResult, NaiveDate, NaiveTime, TimeZone};
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

/// Whose midnight begins a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    /// The machine's.
    #[default]
    Local,
    /// A zone of the IANA database.
    Named(chrono_tz::Tz),
}

/// How long a limit looks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A rolling window of that length.
    Rolling(Duration),
    /// A calendar day.
    Day(Zone),
}

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
const LONGEST_DAY: Millis = 26 * 3_600_000;

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
    pub fn length(self) -> Millis {
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

impl Zone {
    /// The calendar day that a moment is in: its first moment, and the first of the next day.
    #[must_use]
    pub fn day(self, at: Millis) -> (Millis, Millis) {
        match self {
            Self::Local => day(&chrono::Local, at),
            Self::Named(zone) => day(&zone, at),
        }
    }
}

/// The day of a moment in a zone, from midnight to midnight: 23 or 25 hours where clocks are changed on it.
fn day<Z: TimeZone>(zone: &Z, at: Millis) -> (Millis, Millis) {
    let fallback = || (at.div_euclid(86_400_000) * 86_400_000, (at.div_euclid(86_400_000) + 1) * 86_400_000);
    let Some(utc) = DateTime::from_timestamp_millis(at) else { return fallback() };
    let date = utc.with_timezone(zone).naive_local().date();
    let next = date.checked_add_days(Days::new(1)).and_then(|next| midnight(zone, next));
    match (midnight(zone, date), next) {
        // Where midnight comes twice, the day may begin after a moment that already bears its date.
        (Some(start), Some(end)) => (start.min(at), end.max(at.saturating_add(1))),
        _ => fallback(),
    }
}

/// The first moment of a day. Midnight itself does not exist where clocks go forward over it.
fn midnight<Z: TimeZone>(zone: &Z, date: NaiveDate) -> Option<Millis> {
    let mut time = date.and_time(NaiveTime::MIN);
    for _ in 0..=96 {
        match zone.from_local_datetime(&time) {
            LocalResult::Single(first) | LocalResult::Ambiguous(first, _) => return Some(first.timestamp_millis()),
            LocalResult::None => time += Delta::minutes(15),
        }
    }
    None
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recipients => "recipients",
            Self::Messages => "messages",
        })
    }
}

impl fmt::Display for Window {
    /// As in `500 recipients per 24h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} per ", self.most, self.measure)?;
        match self.per {
            Span::Rolling(length) if length.as_secs() == 86_400 => f.write_str("24h"),
            Span::Rolling(length) => write!(f, "{}", humantime::format_duration(length)),
            Span::Day(Zone::Local) => f.write_str("day"),
            Span::Day(Zone::Named(zone)) => write!(f, "day in {zone}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Millis {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    fn hours(zone: chrono_tz::Tz, moment: &str) -> (Millis, Millis, f64) {
        let (start, end) = Zone::Named(zone).day(at(moment));
        (start, end, (end - start) as f64 / 3_600_000.0)
    }

    #[test]
    fn a_day_has_23_24_or_25_hours() {
        let berlin = chrono_tz::Europe::Berlin;
        let (start, end, long) = hours(berlin, "2026-03-29T12:00:00Z");
        assert_eq!((start, end, long), (at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z"), 23.0));
        let (start, end, long) = hours(berlin, "2026-10-25T00:30:00Z");
        assert_eq!((start, end, long), (at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z"), 25.0));
        assert_eq!(hours(berlin, "2026-07-01T00:00:00Z").2, 24.0);
        assert_eq!(hours(chrono_tz::Europe::Moscow, "2026-11-22T20:59:59Z").1, at("2026-11-22T21:00:00Z"));
        // Half an hour at Lord Howe.
        assert_eq!(hours(chrono_tz::Australia::Lord_Howe, "2026-04-05T00:00:00Z").2, 24.5);
        // Beirut's clocks go from 00:00 to 01:00: the day begins at one.
        let (start, _, long) = hours(chrono_tz::Asia::Beirut, "2024-03-31T12:00:00Z");
        assert_eq!((start, long), (at("2024-03-30T22:00:00Z"), 23.0));
        // Samoa had no 30 December 2011: the days around it meet.
        let (_, end, _) = hours(chrono_tz::Pacific::Apia, "2011-12-30T09:00:00Z");
        assert_eq!(end, at("2011-12-30T10:00:00Z"));
    }

    #[test]
    fn it_is_shown_as_it_is_written() {
        let shown = |window: Window| window.to_string();
        assert_eq!(shown(Window::recipients(500, Duration::from_secs(86_400))), "500 recipients per 24h");
        assert_eq!(shown(Window::messages(30, Duration::from_secs(60))), "30 messages per 1m");
        let day = |zone| Window { measure: Measure::Messages, most: 9, per: Span::Day(zone) };
        assert_eq!(shown(day(Zone::Local)), "9 messages per day");
        assert_eq!(shown(day(Zone::Named(chrono_tz::Europe::Moscow))), "9 messages per day in Europe/Moscow");
    }

    proptest! {
        #[test]
        fn days_hold_their_moments_and_meet(at in -2_000_000_000_000i64..4_000_000_000_000, nth in 0usize..597) {
            let zone = Zone::Named(chrono_tz::TZ_VARIANTS[nth % chrono_tz::TZ_VARIANTS.len()]);
            let (start, end) = zone.day(at);
            prop_assert!(start <= at && at < end, "{start} {at} {end}");
            prop_assert!(end - start <= LONGEST_DAY, "{} h", (end - start) / 3_600_000);
        }

        #[test]
        fn a_window_has_a_bounded_number_of_slots(at in 0i64..4_000_000_000_000, length in 1i64..40_000_000_000) {
            prop_assert!(slot(at + length, length) - slot(at, length) <= SLOTS);
            prop_assert!(slot(at, length) <= slot(at + 1, length));
        }
    }
}
