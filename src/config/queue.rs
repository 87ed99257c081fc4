//! `[queue]` becomes a `QueueConfig`. Values only.

use super::account::Builder;
use super::model::{Direct, QueueConfig};
use super::toml::{Field, RawQueue, Strings};
use crate::message::address::Address;
use std::path::PathBuf;
use std::time::Duration;

/// The longest wait between two attempts, and the longest that anything is kept or remembered.
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

impl Builder<'_> {
    pub(super) fn queue(&mut self, raw: RawQueue) -> QueueConfig {
        let usual = QueueConfig::default();
        let directory = self.field("queue.directory", raw.directory, |text| match text.starts_with('/') {
            true => Ok(PathBuf::from(text)),
            false => Err("an absolute path is needed"),
        });
        let direct = self.field("queue.direct", raw.direct, |text| match text {
            "off" => Ok(Direct::Off),
            "on-failure" => Ok(Direct::OnFailure),
            _ => Err("one of \"off\", \"on-failure\""),
        });
        let postmaster = self.field("queue.postmaster", raw.postmaster, Address::parse);
        QueueConfig {
            directory: directory.unwrap_or(usual.directory),
            direct: direct.unwrap_or_default(),
            retry: self.waits(raw.retry).unwrap_or(usual.retry),
            warn_after: self.period("queue.warn_after", raw.warn_after).unwrap_or(usual.warn_after),
            expire_after: self.period("queue.expire_after", raw.expire_after).unwrap_or(usual.expire_after),
            history: self.period("queue.history", raw.history).unwrap_or(usual.history),
            min_free: self.field("queue.min_free", raw.min_free, octets).unwrap_or(usual.min_free),
            postmaster,
            connections: self.connections(raw.connections).unwrap_or(usual.connections),
        }
    }

    fn waits(&mut self, field: Field<Strings>) -> Option<Vec<Duration>> {
        let field = field?;
        let place = self.source.place(&field);
        let texts = field.into_inner().0;
        let waits: Vec<Duration> = texts.iter().filter_map(|(_, text)| humantime::parse_duration(text).ok()).collect();
        let fine = |wait: &Duration| *wait >= Duration::from_secs(1) && *wait <= DAY;
        if waits.is_empty() || waits.len() < texts.len() || !waits.iter().all(fine) {
            return self
                .fault(&place, "queue.retry is a list of waits from a second to a day: [\"1m\", \"5m\", \"1h\"]");
        }
        Some(waits)
    }

    /// A period up to a year; `0s` is allowed and means never, or at once.
    pub(super) fn period(&mut self, key: &str, field: Field<String>) -> Option<Duration> {
        self.field(key, field, |text| match humantime::parse_duration(text) {
            Ok(period) if period <= YEAR => Ok(period),
            Ok(_) => Err("at most a year"),
            Err(_) => Err("no duration; write 30s, 4h or 5days"),
        })
    }

    fn connections(&mut self, field: Field<i64>) -> Option<usize> {
        let field = field?;
        let place = self.source.place(&field);
        match usize::try_from(field.into_inner()) {
            Ok(count) if (1..=100).contains(&count) => Some(count),
            _ => self.fault(&place, "queue.connections is 1 to 100"),
        }
    }
}

/// Octets, with K, M or G for their 1024s.
pub(super) fn octets(text: &str) -> Result<u64, &'static str> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return Err("a size such as 64M"),
    };
    digits.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or("a size such as 64M")
}
