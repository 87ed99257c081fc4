//! How a sender's mail flows: connections, messages over each, recipients at once, pace, idle time. Values only.
//!
//! What a sender leaves out its provider's preset says, and where that says nothing `[queue]` or the defaults.

use super::account::Builder;
use super::presets::Preset;
use super::toml::{Field, RawFlow};
use std::time::Duration;

/// The most connections of one sender.
const CONNECTIONS: i64 = 100;
/// The most messages over one connection, and the most recipients at once.
const MANY: i64 = 100_000;
/// The quickest pace that means anything: one message each millisecond.
const QUICKEST: u64 = 1000;
/// The longest time that a connection is kept without a message.
const IDLE: Duration = Duration::from_secs(600);

/// How a sender's mail flows out of the daemon's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// `connections`: so many to its server at a time, 1 to 100.
    pub connections: Option<usize>,
    /// The most that its provider allows.
    pub allowed: Option<usize>,
    /// `pace`.
    pub pace: Option<Pace>,
    /// `idle`: how long a connection waits for the next message before leave is taken, at most 10 minutes.
    pub idle: Duration,
}

impl Default for Flow {
    fn default() -> Self {
        Self { connections: None, allowed: None, pace: None, idle: Duration::from_secs(10) }
    }
}

impl Flow {
    /// Connections at a time, where `usual` is what `queue.connections` says: its own number, else as many as are usual and
    /// its provider allows.
    #[must_use]
    pub fn connections(&self, usual: usize) -> usize {
        self.connections.unwrap_or_else(|| usual.min(self.allowed.unwrap_or(usual))).max(1)
    }
}

/// So many messages in so long, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Messages, more than none.
    pub messages: u32,
    /// In this time: a second, a minute or an hour.
    pub per: Duration,
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.messages)
    }
}

/// What goes over one connection, and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portions {
    /// `messages_per_connection`: after so many transactions there is a new one; more than none.
    pub messages_per_connection: u32,
    /// `recipients_per_transaction`: a message for more goes in several transactions; more than none.
    pub recipients_per_transaction: Option<u32>,
    /// `pipelining`: commands go out together where the server offers it.
    pub pipelining: bool,
}

impl Default for Portions {
    fn default() -> Self {
        // Servers have limits of their own, mostly at or above this.
        Self { messages_per_connection: 100, recipients_per_transaction: None, pipelining: true }
    }
}

impl Builder<'_> {
    /// The keys of a sender, over what its provider publishes.
    pub(super) fn flow(&mut self, raw: RawFlow, provider: Option<&'static Preset>) -> (Flow, Portions) {
        let published = |number: fn(&Preset) -> Option<u32>| provider.and_then(number);
        let usual = Portions::default();
        let portions = Portions {
            messages_per_connection: self
                .portion("messages_per_connection", raw.messages_per_connection, MANY)
                .or(published(|preset| preset.limits.messages_per_connection))
                .unwrap_or(usual.messages_per_connection),
            recipients_per_transaction: self
                .portion("recipients_per_transaction", raw.recipients_per_transaction, MANY)
                .or(published(|preset| preset.limits.recipients_per_message)),
            pipelining: raw.pipelining.unwrap_or(usual.pipelining),
        };
        let flow = Flow {
            connections: self.portion("connections", raw.connections, CONNECTIONS).map(|count| count as usize),
            allowed: published(|preset| preset.limits.connections).map(|count| count as usize),
            pace: self.field("pace", raw.pace, pace),
            idle: self.field("idle", raw.idle, idle).unwrap_or(Flow::default().idle),
        };
        (flow, portions)
    }

    fn portion(&mut self, key: &str, field: Field<i64>, most: i64) -> Option<u32> {
        let field = field?;
        let place = self.source.place(&field);
        match u32::try_from(field.into_inner()) {
            Ok(count) if count > 0 && i64::from(count) <= most => Some(count),
            _ => self.fault(&place, format!("{key} is 1 to {most}")),
        }
    }
}

/// `10/s`, `30/m`, `600/h`.
fn pace(text: &str) -> Result<Pace, String> {
    let wrong = || "a number of messages in a second, minute or hour: \"10/s\", \"30/m\", \"600/h\"".to_owned();
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let seconds = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let digits = count.trim();
    let messages: u32 = Some(digits)
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|count| *count > 0)
        .ok_or_else(wrong)?;
    if u64::from(messages) > QUICKEST * seconds {
        return Err(format!("at most {QUICKEST}/s"));
    }
    Ok(Pace { messages, per: Duration::from_secs(seconds) })
}

fn idle(text: &str) -> Result<Duration, &'static str> {
    match humantime::parse_duration(text) {
        Ok(idle) if idle <= IDLE => Ok(idle),
        Ok(_) => Err("at most 10m"),
        Err(_) => Err("no duration; write 10s or 1m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces() {
        let good = |text: &str| pace(text).map(|pace| (pace.messages, pace.per.as_secs()));
        assert_eq!(good("10/s"), Ok((10, 1)));
        assert_eq!(good(" 30 / m "), Ok((30, 60)));
        assert_eq!(good("600/h"), Ok((600, 3600)));
        assert_eq!(good("1000/s"), Ok((1000, 1)));
        for bad in ["", "10", "/s", "0/s", "-1/s", "+1/s", "1/d", "10/sec", "1001/s", "99999999999/h", "1.5/s"] {
            assert!(pace(bad).is_err(), "{bad}");
        }
    }
}
