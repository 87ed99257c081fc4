//! `postrider queue`: which messages of the queue are meant, and what is to be done to them (clap).
//!
//! Values only: the time is an argument. What touches messages needs to be told which; `--all` is the only way to mean
//! every one, so that an empty variable in a script never empties a queue.

use super::invocation::Usage;
use crate::queue::{Filter, MessageId, Millis};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Queue {
    /// List messages, as mailq does
    List {
        /// Which messages
        #[command(flatten)]
        which: Which,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show everything about messages
    Show {
        /// Which messages
        #[command(flatten)]
        which: Which,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Try to deliver messages now
    Retry(Touched),
    /// Keep messages from being delivered until they are released
    Hold {
        /// Which messages
        #[command(flatten)]
        which: Touched,
        /// Why, for whoever looks at the queue
        #[arg(long, value_name = "TEXT", default_value = "by hand", value_parser = reason)]
        reason: String,
    },
    /// Let messages go on that are on hold
    Release(Touched),
    /// Take messages out of the queue without a word to anybody
    Delete(Touched),
    /// Send messages back to their senders
    Bounce(Touched),
    /// Bring back mail that was set aside when a queue was damaged, or what can be read of another queue
    ///
    /// What the queue knows already does not come a second time. Messages whose envelope or fate cannot be known come back
    /// on hold, with the reason.
    Salvage {
        /// The queue's directory, or another directory or database that holds mail
        #[arg(value_name = "DIR")]
        place: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Which messages; everything that is given must fit.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Queue numbers, as mailq shows them
    #[arg(value_name = "ID", value_parser = number)]
    ids: Vec<MessageId>,
    /// Messages whose sender (its name, the From or the envelope sender) contains TEXT
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    sender: Option<String>,
    /// Messages with a recipient that contains TEXT
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    recipient: Option<String>,
    /// Messages that were accepted longer ago than this: 30m, 12h, 2d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Messages in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Messages on hold: the same as --state held
    #[arg(long, conflicts_with = "state")]
    held: bool,
}

/// What a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Its first attempt
    New,
    /// Another attempt
    Deferred,
    /// Somebody or something to release it
    Held,
}

/// Which messages are to be touched.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    #[command(flatten)]
    which: Which,
    /// Every message
    #[arg(long, conflicts_with_all = ["ids", "sender", "recipient", "older_than", "state", "held"])]
    all: bool,
}

impl Which {
    /// The filter, at the time `now`.
    #[must_use]
    pub fn filter(&self, now: Millis) -> Filter {
        let state = self.state.or(self.held.then_some(State::Held));
        let age = self.older_than.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let mut ids = self.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        Filter {
            ids,
            sender: self.sender.clone(),
            recipient: self.recipient.clone(),
            before: age.map(|age| now.saturating_sub(age)),
            held: state.map(|state| state == State::Held),
            tried: state.filter(|state| *state != State::Held).map(|state| state == State::Deferred),
            ..Filter::default()
        }
    }
}

impl Touched {
    /// The filter, at the time `now`.
    ///
    /// # Errors
    /// Nothing was selected, and `--all` was not given.
    pub fn filter(&self, now: Millis) -> Result<Filter, Usage> {
        if !self.all && self.which == Which::default() {
            let what = "which messages? Give queue numbers, --sender, --recipient, --older-than, --state, or --all";
            return Err(Usage::new(what));
        }
        Ok(self.which.filter(now))
    }
}

/// A queue number as mailq shows it, with or without its mark: 1 to 16 hexadecimal digits.
///
/// # Errors
/// Anything else, in words.
pub fn number(text: &str) -> Result<MessageId, String> {
    let digits = text.strip_suffix(['*', '!']).unwrap_or(text);
    let fits = (1..=16).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    let number = if fits { digits.parse().ok() } else { None };
    number.ok_or_else(|| "no queue number; mailq shows them in its first column".into())
}

/// One line of at most 200 characters, since it stands in every listing.
pub(super) fn reason(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("a reason is a few words"),
        words if words.chars().count() > 200 || words.chars().any(char::is_control) => {
            Err("a reason is one line of at most 200 characters")
        }
        words => Ok(words.to_owned()),
    }
}

/// `-q`'s value: a time between queue runs, which is taken as one run, or `I`, `R`, `S` with what must fit.
///
/// # Errors
/// Anything else; a queue group, a negation or the quarantine that another program has.
pub fn run(value: &str, filter: &mut Filter) -> Result<(), Usage> {
    let wanted = || match value.get(1..).filter(|text| !text.is_empty()) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Usage::new(format!("-q{value} needs a text that must fit"))),
    };
    match value.chars().next() {
        None => {}
        Some('I') => filter.ids.push(number(&wanted()?).map_err(|what| Usage::new(format!("-q{value}: {what}")))?),
        Some('R') => filter.recipient = Some(wanted()?),
        Some('S') => filter.sender = Some(wanted()?),
        // `p` runs for ever and `f` in the foreground: both are one run here.
        Some('p' | 'f') if interval(&value[1..]) => {}
        Some(_) if interval(value) => {}
        Some(_) => {
            let what = format!("-q{} is no queue run: -q, -q15m, -qIid, -qRrecipient, -qSsender", value.escape_debug());
            return Err(Usage::new(what));
        }
    }
    Ok(())
}

/// `15m`, `1h30m`, `30` (minutes), or nothing.
fn interval(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit()) || humantime::parse_duration(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use proptest::prelude::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        queue: Queue,
    }

    fn read(line: &[&str]) -> Result<Queue, String> {
        let line = std::iter::once("queue").chain(line.iter().copied());
        Line::try_parse_from(line).map(|line| line.queue).map_err(|error| error.to_string())
    }

    #[test]
    fn a_selection_becomes_a_filter() {
        let line = ["hold", "1a", "0000001A*", "2!", "--sender", "shop", "--older-than", "2d", "--held"];
        let Queue::Hold { which, reason } = read(&line).unwrap() else { panic!("hold") };
        let expected = Filter {
            ids: vec![MessageId(2), MessageId(26)],
            sender: Some("shop".into()),
            before: Some(1_000_000_000 - 2 * 86_400_000),
            held: Some(true),
            ..Filter::default()
        };
        assert_eq!(which.filter(1_000_000_000).unwrap(), expected);
        assert_eq!(reason, "by hand");
    }

    #[test]
    fn a_state_says_what_a_message_waits_for() {
        for (state, held, tried) in [("new", false, Some(false)), ("deferred", false, Some(true)), ("held", true, None)]
        {
            let Queue::List { which, .. } = read(&["list", "--state", state]).unwrap() else { panic!("list") };
            let filter = which.filter(0);
            assert_eq!((filter.held, filter.tried), (Some(held), tried), "{state}");
        }
        assert!(read(&["list", "--state", "lost"]).is_err() && read(&["list", "--state", "new", "--held"]).is_err());
    }

    #[test]
    fn nothing_is_touched_that_was_not_named() {
        for verb in ["retry", "hold", "release", "delete", "bounce"] {
            let touched = |line: &[&str]| match read(line).unwrap() {
                Queue::Retry(which) | Queue::Release(which) | Queue::Delete(which) | Queue::Bounce(which) => which,
                Queue::Hold { which, .. } => which,
                other => panic!("{other:?}"),
            };
            assert!(touched(&[verb]).filter(0).is_err(), "{verb}");
            assert_eq!(touched(&[verb, "--all"]).filter(0), Ok(Filter::default()), "{verb}");
            assert!(read(&[verb, "--all", "1A"]).is_err() && read(&[verb, "--all", "--held"]).is_err(), "{verb}");
            assert!(read(&[verb, "--sender", ""]).is_err() && read(&[verb, ""]).is_err(), "{verb}");
        }
        assert!(read(&["list"]).is_ok() && read(&["show", "--held", "--json"]).is_ok());
        for bad in ["x", "-1", "+1", "1G", "12345678901234567", "ffffffffffffffff", "*"] {
            assert!(read(&["delete", "--", bad]).is_err(), "{bad}");
        }
        assert!(read(&["hold", "1", "--reason", "two\nlines"]).is_err());
    }

    #[test]
    fn queue_runs() {
        for value in ["", "15m", "1h30m", "30", "p", "p15m", "f"] {
            let mut filter = Filter::default();
            assert_eq!((run(value, &mut filter), filter), (Ok(()), Filter::default()), "-q{value}");
        }
        let mut filter = Filter::default();
        for value in ["I1A", "I1B*", "Ryou@example.org", "Sshop"] {
            run(value, &mut filter).unwrap();
        }
        assert_eq!(filter.ids, [MessageId(26), MessageId(27)]);
        assert_eq!((filter.recipient.as_deref(), filter.sender.as_deref()), (Some("you@example.org"), Some("shop")));
        for value in ["I", "Ixyz", "R", "S", "!Rx", "Gmain", "Q", "x", "é"] {
            assert!(run(value, &mut Filter::default()).is_err(), "-q{value}");
        }
    }

    proptest! {
        #[test]
        fn any_number_comes_back_as_it_was_shown(id in 0..=i64::MAX) {
            prop_assert_eq!(number(&MessageId(id).to_string()), Ok(MessageId(id)));
        }

        #[test]
        fn any_value_is_read_or_refused(value in "\\PC{0,20}") {
            let _ = run(&value, &mut Filter::default());
            let _ = number(&value);
        }
    }
}
