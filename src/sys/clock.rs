//! The clock: wall time for dates and logs, monotonic time for time limits. The only module that asks for either.

#![expect(clippy::disallowed_methods, reason = "the clock is asked here")]

use chrono::{DateTime, FixedOffset, Local, Utc};
use std::time::{Duration, Instant};

/// Wall time with the machine's offset from UTC.
#[must_use]
pub fn now() -> DateTime<FixedOffset> {
    Local::now().fixed_offset()
}

/// Wall time in milliseconds since 1970. The zone's file is not looked at for that.
#[must_use]
pub fn millis() -> i64 {
    Utc::now().timestamp_millis()
}

/// Monotonic time.
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}

/// A point on the monotonic clock by which something must have happened.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// That much from now; a limit beyond the clock's range is a year.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        let now = instant();
        Self(now.checked_add(limit).unwrap_or(now + Duration::from_secs(31_536_000)))
    }

    /// The earlier of the two.
    #[must_use]
    pub fn or_earlier(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// What is left, or `None` when it has passed.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(instant()).filter(|left| !left.is_zero())
    }
}

/// Does nothing for that long.
pub fn pause(length: Duration) {
    std::thread::sleep(length);
}
