//! The clock: wall time for dates and logs, monotonic time for time limits. The only module that asks for either.

#![expect(clippy::disallowed_methods, reason = "the clock is asked here")]

use super::files;
use chrono::{DateTime, FixedOffset, Local, Utc};
use std::path::Path;
use std::sync::OnceLock;
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

/// Which start of the machine this is; empty where the system does not say.
#[must_use]
pub fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = files::read(Path::new("/proc/sys/kernel/random/boot_id"));
        id.ok().and_then(|(text, _)| String::from_utf8(text).ok()).unwrap_or_default().trim().to_owned()
    })
}

/// Milliseconds since the machine was started, sleep included; nobody can set it.
#[must_use]
pub fn uptime() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
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
