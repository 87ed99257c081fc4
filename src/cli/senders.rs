//! `postrider senders` and the time of `postrider stats` (clap). Values only.

use super::queue::reason;
use crate::queue::Millis;
use chrono::{Local, NaiveDate, NaiveTime, TimeZone};
use clap::{Args, Subcommand};
use std::str::FromStr;
use std::time::Duration;

/// What is asked about senders.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Senders {
    /// Show everything about this sender
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// What to do to one.
    #[command(subcommand)]
    pub deed: Option<Deed>,
}

/// What is done to a sender.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Deed {
    /// Let nothing of a sender go until it is resumed; its messages wait and do not grow older
    Pause {
        /// The sender
        name: String,
        /// Only for so long: 30m, 2h, 1d
        #[arg(long = "for", value_name = "TIME", value_parser = length)]
        length: Option<Duration>,
        /// Why, for whoever looks at it
        #[arg(long, value_name = "TEXT", default_value = "by hand", value_parser = reason)]
        reason: String,
    },
    /// Let a sender go on at once, whoever or whatever paused it
    Resume {
        /// The sender
        name: String,
    },
    /// Count the limits of a sender, or a shared limit, from 0 again
    Reset {
        /// The sender, or the name of a [[limit]]
        name: String,
    },
}

/// The longest pause with an end.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

fn length(text: &str) -> Result<Duration, &'static str> {
    match humantime::parse_duration(text) {
        Ok(length) if length >= Duration::from_secs(1) && length <= LONGEST => Ok(length),
        Ok(_) => Err("from a second to 366 days"),
        Err(_) => Err("no duration; write 30m, 2h or 1d"),
    }
}

/// A moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// The beginning of a day, by the machine's clock.
    Day(NaiveDate),
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(day) = text.parse() {
            return Ok(Self::Day(day));
        }
        humantime::parse_duration(text).map(Self::Ago).map_err(|_| "no time; write 24h, 7d or 2026-11-01")
    }
}

impl Since {
    /// In milliseconds since 1970, at the time `now`.
    #[must_use]
    pub fn at(self, now: Millis) -> Millis {
        match self {
            Self::Ago(length) => now.saturating_sub(Millis::try_from(length.as_millis()).unwrap_or(Millis::MAX)),
            Self::Day(day) => {
                let midnight = day.and_time(NaiveTime::MIN);
                let local = Local.from_local_datetime(&midnight).earliest();
                local.map_or_else(|| midnight.and_utc().timestamp_millis(), |local| local.timestamp_millis())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        senders: Senders,
    }

    fn read(line: &[&str]) -> Option<Senders> {
        let line = std::iter::once("senders").chain(line.iter().copied());
        Line::try_parse_from(line).ok().map(|line| line.senders)
    }

    #[test]
    fn what_is_asked_and_done() {
        assert_eq!(read(&["shop", "--json"]).map(|asked| (asked.name, asked.json)), Some((Some("shop".into()), true)));
        let pause = read(&["pause", "shop", "--for", "2h", "--reason", "a mess"]).and_then(|asked| asked.deed);
        let length = Some(Duration::from_secs(7200));
        assert_eq!(pause, Some(Deed::Pause { name: "shop".into(), length, reason: "a mess".into() }));
        for bad in [&["pause"][..], &["resume"], &["reset"], &["pause", "shop", "--for", "0s"], &["shop", "resume"]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!("24h".parse::<Since>().map(|since| since.at(86_400_001)), Ok(1));
        assert!(matches!("2026-11-01".parse(), Ok(Since::Day(_))));
        assert!(
            "2026-13-01".parse::<Since>().is_err() && "soon".parse::<Since>().is_err() && "".parse::<Since>().is_err()
        );
    }
}
