//! Whose midnight begins a day: the machine's time zone, or one of the IANA database, read as TZif (RFC 9636).
//!
//! Pure: the time and the zone's data are arguments. (The machine's own zone is the one exception: `chrono::Local` looks
//! its rules up.)

use super::Millis;
use chrono::{DateTime, Days, Duration as Delta, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use std::fmt;
use std::sync::Arc;

/// Whose midnight begins a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    /// The machine's.
    #[default]
    Local,
    /// A zone of the IANA database.
    Named(Arc<Named>),
}

/// A zone of the IANA database.
#[derive(PartialEq, Eq)]
pub struct Named {
    name: String,
    rules: tz::TimeZone,
}

impl Named {
    /// A zone from the octets of its TZif file.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(name: &str, data: &[u8]) -> Result<Self, String> {
        let rules = tz::TimeZone::from_tz_data(data).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), rules })
    }

    /// The name, as in `Europe/Moscow`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far its clocks are ahead of UTC; none where its rules do not reach so far.
    fn ahead(&self, at: DateTime<chrono::Utc>) -> Option<Delta> {
        let kind = self.rules.find_local_time_type(at.timestamp()).ok()?;
        Some(Delta::seconds(kind.ut_offset().into()))
    }
}

/// By its name; its tables are long.
impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Zone {
    /// The calendar day that a moment is in, from midnight to midnight: its first moment, and the first of the next day.
    /// It has 23 or 25 hours where clocks are changed on it.
    #[must_use]
    pub fn day(&self, at: Millis) -> (Millis, Millis) {
        let utc_day = at.div_euclid(86_400_000) * 86_400_000;
        self.own_day(at).unwrap_or((utc_day, utc_day + 86_400_000))
    }

    fn own_day(&self, at: Millis) -> Option<(Millis, Millis)> {
        let utc = DateTime::from_timestamp_millis(at)?;
        let date = utc.naive_utc().checked_add_signed(self.ahead(utc)?)?.date();
        let start = self.midnight(date)?;
        let end = self.midnight(date.checked_add_days(Days::new(1))?)?;
        // Where midnight comes twice, the day may begin after a moment that already bears its date.
        Some((start.min(at), end.max(at.saturating_add(1))))
    }

    fn ahead(&self, at: DateTime<chrono::Utc>) -> Option<Delta> {
        match self {
            Self::Local => {
                let offset = chrono::Local.offset_from_utc_datetime(&at.naive_utc()).fix();
                Some(Delta::seconds(offset.local_minus_utc().into()))
            }
            Self::Named(zone) => zone.ahead(at),
        }
    }

    /// The first moment of a day. Midnight itself does not exist where clocks go forward over it.
    fn midnight(&self, date: NaiveDate) -> Option<Millis> {
        let midnight = date.and_time(NaiveTime::MIN);
        (0..=96).find_map(|quarters| self.moment(midnight.checked_add_signed(Delta::minutes(15 * quarters))?))
    }

    /// When the zone's clocks show a time; the first moment of two, none where clocks go forward over it.
    fn moment(&self, shown: NaiveDateTime) -> Option<Millis> {
        let by = |ahead: Delta| {
            let utc = shown.checked_sub_signed(ahead)?.and_utc();
            (self.ahead(utc)? == ahead).then(|| utc.timestamp_millis())
        };
        // Clocks show it a day at most from where UTC does, so that one of these two offsets is the one.
        let around = |delta| self.ahead(shown.checked_add_signed(delta)?.and_utc());
        let (before, after) = (around(Delta::hours(-26))?, around(Delta::hours(26))?);
        [by(before), by(after)].into_iter().flatten().min()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests read the machine's time zones")]
pub(super) mod tests {
    use super::super::window::LONGEST_DAY;
    use super::*;
    use proptest::prelude::*;

    pub fn named(name: &str) -> Named {
        let path = std::path::Path::new("/usr/share/zoneinfo").join(name);
        Named::parse(name, &std::fs::read(path).expect("tzdata is installed")).unwrap()
    }

    fn at(text: &str) -> Millis {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    fn hours(name: &str, moment: &str) -> (Millis, Millis, f64) {
        let (start, end) = Zone::Named(Arc::new(named(name))).day(at(moment));
        (start, end, (end - start) as f64 / 3_600_000.0)
    }

    #[test]
    fn a_day_has_23_24_or_25_hours() {
        let berlin = "Europe/Berlin";
        let (start, end, long) = hours(berlin, "2026-03-29T12:00:00Z");
        assert_eq!((start, end, long), (at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z"), 23.0));
        let (start, end, long) = hours(berlin, "2026-10-25T00:30:00Z");
        assert_eq!((start, end, long), (at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z"), 25.0));
        assert_eq!(hours(berlin, "2026-07-01T00:00:00Z").2, 24.0);
        assert_eq!(hours("Europe/Moscow", "2026-11-22T20:59:59Z").1, at("2026-11-22T21:00:00Z"));
        // Beyond the file's table its footer counts.
        assert_eq!(hours(berlin, "2061-03-27T12:00:00Z").2, 23.0);
        // Half an hour at Lord Howe.
        assert_eq!(hours("Australia/Lord_Howe", "2026-04-05T00:00:00Z").2, 24.5);
        // Beirut's clocks go from 00:00 to 01:00: the day begins at one.
        let (start, _, long) = hours("Asia/Beirut", "2024-03-31T12:00:00Z");
        assert_eq!((start, long), (at("2024-03-30T22:00:00Z"), 23.0));
        // Samoa had no 30 December 2011: the days around it meet.
        let (_, end, _) = hours("Pacific/Apia", "2011-12-30T09:00:00Z");
        assert_eq!(end, at("2011-12-30T10:00:00Z"));
    }

    #[test]
    fn what_is_no_zone_is_told() {
        assert!(Named::parse("x", b"").is_err());
        assert!(Named::parse("x", b"TZif2 and nothing that follows").is_err());
    }

    proptest! {
        #[test]
        fn days_hold_their_moments_and_meet(
            moments in prop::collection::vec(0i64..4_000_000_000_000, 50), nth in 0usize..10_000,
        ) {
            let names = crate::sys::zoneinfo::names();
            let zone = Zone::Named(Arc::new(named(&names[nth % names.len()])));
            for at in moments {
                let (start, end) = zone.day(at);
                prop_assert!(start <= at && at < end, "{zone:?} {start} {at} {end}");
                prop_assert!(end - start <= LONGEST_DAY, "{zone:?} {} h", (end - start) / 3_600_000);
            }
        }
    }
}
