//! `mailq`, `sendmail -bp`, `-bP` and `postrider queue list`: the queue as a table or as JSON, written as it comes.
//!
//! The columns are the familiar ones, for eyes and for scripts that count lines which begin with a queue number. What
//! servers and senders said is shown without control characters. A reader that has seen enough (`mailq | head`) is no
//! error.

use super::desk::{Ask, Pages};
use crate::daemon::client::AskError;
use crate::daemon::overview::PauseLine;
use crate::daemon::protocol::{Line, LineRecipient, Reply, Request};
use crate::exit::Status;
use crate::queue::{Filter, Millis};
use crate::report::{self, printable};
use chrono::{DateTime, TimeZone};
use std::fmt::{Display, Write as _};
use std::io::{self, Write};

/// What an empty queue looks like.
const EMPTY: &str = "Mail queue is empty\n";
/// The first line of the table.
const HEAD: &str = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n";
/// Where the last column begins.
const INDENT: usize = 42;
/// Recipients of one message that a table shows; the rest is counted.
const RECIPIENTS: usize = 1000;

/// How a listing looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Table,
    /// One JSON object a line.
    Json,
}

impl Form {
    /// `--json` or not.
    #[must_use]
    pub fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Table }
    }
}

/// Why a listing ended early.
#[derive(Debug)]
pub enum ListError {
    /// The queue could not be read.
    Ask(AskError),
    /// The output could not be written.
    Out(io::Error),
}

impl From<AskError> for ListError {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl From<io::Error> for ListError {
    fn from(error: io::Error) -> Self {
        Self::Out(error)
    }
}

/// Prints what fits on standard output. No match is an empty queue, status 0.
#[must_use]
pub fn print(program: &str, desk: &dyn Ask, filter: Filter, form: Form) -> Status {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let listed = list(&mut out, Pages::new(desk, filter), form, &chrono::Local);
    ended(program, listed.and_then(|()| Ok(out.flush()?)))
}

/// Prints how many messages are queued.
#[must_use]
pub fn count(program: &str, desk: &dyn Ask) -> Status {
    match desk.ask(&Request::Status) {
        Ok(Reply::Status { messages, .. }) => report::stdout(&format!("{messages}\n")),
        Ok(other) => return ended(program, Err(super::desk::unexpected(&other).into())),
        Err(error) => return ended(program, Err(error.into())),
    }
    Status::Ok
}

/// The status of a listing; says what went wrong. A closed pipe is what `head` does.
#[must_use]
pub fn ended(program: &str, listed: Result<(), ListError>) -> Status {
    match listed {
        Ok(()) => Status::Ok,
        Err(ListError::Out(error)) if error.kind() == io::ErrorKind::BrokenPipe => Status::Ok,
        Err(ListError::Out(error)) => {
            report::stderr(&format!("{program}: standard output: {error}"));
            Status::Io
        }
        Err(ListError::Ask(error)) => {
            report::stderr(&format!("{program}: {error}"));
            Status::Unavailable
        }
    }
}

/// Writes a listing, page by page. Each page is on its way before the next is asked for.
///
/// # Errors
/// The queue cannot be read, or the output not be written.
pub fn list<Z: TimeZone>(
    out: &mut impl Write,
    pages: impl Iterator<Item = Result<Vec<Line>, AskError>>,
    form: Form,
    zone: &Z,
) -> Result<(), ListError>
where
    Z::Offset: Display,
{
    let (mut messages, mut octets) = (0u64, 0u64);
    for page in pages {
        for line in page? {
            match form {
                Form::Json => out.write_all(json(&line).as_bytes())?,
                Form::Table => {
                    let head = if messages == 0 { HEAD } else { "\n" };
                    write!(out, "{head}{}", entry(&line, zone))?;
                }
            }
            messages += 1;
            octets = octets.saturating_add(line.size);
        }
        out.flush()?;
    }
    match (form, messages) {
        (Form::Json, _) => {}
        (Form::Table, 0) => out.write_all(EMPTY.as_bytes())?,
        (Form::Table, _) => {
            let plural = if messages == 1 { "" } else { "s" };
            writeln!(out, "\n-- {} Kbytes in {messages} Request{plural}.", octets.div_ceil(1024))?;
        }
    }
    Ok(())
}

/// A message as a line of JSON.
#[must_use]
pub fn json(line: &Line) -> String {
    // A value of strings and numbers: this cannot fail.
    serde_json::to_string(line).map(|text| text + "\n").unwrap_or_default()
}

/// A message in the table: its line, then each reply in parentheses above the recipients that it is about.
fn entry<Z: TimeZone>(line: &Line, zone: &Z) -> String
where
    Z::Offset: Display,
{
    let mark = match line.state.as_str() {
        "active" => "*",
        "hold" => "!",
        _ => "",
    };
    let number = format!("{}{mark}", printable(&line.id));
    let arrived = time(line.created, zone, "%a %b %e %H:%M:%S");
    let mut text = format!("{number:<11} {:>8} {arrived:<20} {}\n", line.size, printable(&line.from));
    if let Some(why) = &line.hold {
        reason(&mut text, &format!("on hold: {why}"));
    }
    if line.bulk {
        reason(&mut text, "bulk mail");
    }
    if let Some(waits) = &line.waits {
        reason(&mut text, &format!("waits: {}", waits.why));
    }
    if !line.recipients.is_empty() && line.recipients.iter().all(|recipient| recipient.due.is_none()) {
        reason(&mut text, "waits for the next queue run");
    }
    if let Some(why) = &line.staging {
        reason(&mut text, why);
    }
    if let Some(pause) = &line.paused {
        let until = pause.until.map(|until| time(until, zone, "%a %b %e %H:%M:%S"));
        reason(&mut text, &format!("sender {} {}", line.sender, paused(pause, until)));
    }
    let mut said: Option<&str> = line.paused.as_ref().map(|pause| pause.reason.as_str());
    for LineRecipient { address, last, .. } in line.recipients.iter().take(RECIPIENTS) {
        if let Some(last) = last.as_deref().filter(|last| said != Some(*last)) {
            reason(&mut text, last);
        }
        said = last.as_deref();
        let _ = writeln!(text, "{:INDENT$}{}", "", printable(address));
    }
    let more = line.more + line.recipients.len().saturating_sub(RECIPIENTS) as u64;
    if more > 0 {
        let _ = writeln!(text, "{:INDENT$}and {more} more", "");
    }
    text
}

/// How a sender is paused, in the words of every command: `is paused until ...: why`, and for an
/// operator's pause `is paused by an operator until ...: why`.
#[must_use]
pub fn paused(pause: &PauseLine, until: Option<String>) -> String {
    let how = if pause.operator { "is paused by an operator" } else { "is paused" };
    let until = until.map_or_else(|| "until it is resumed".to_owned(), |until| format!("until {until}"));
    format!("{how} {until}: {}", pause.reason)
}

/// A reason in parentheses, to the right as far as it is short.
fn reason(text: &mut String, why: &str) {
    let _ = writeln!(text, "{:>77}", format!("({})", printable(why)));
}

/// A time of the queue in `zone`; the number itself where it is beyond the calendar.
#[must_use]
pub fn time<Z: TimeZone>(at: Millis, zone: &Z, format: &str) -> String
where
    Z::Offset: Display,
{
    let at_utc = DateTime::from_timestamp_millis(at);
    at_utc.map_or_else(|| at.to_string(), |utc| utc.with_timezone(zone).format(format).to_string())
}

#[cfg(test)]
#[path = "mailq_tests.rs"]
mod tests;
