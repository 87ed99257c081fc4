//! `postrider senders`: the use of their limits, what they have to do and what keeps them back, as a table, one in full,
//! or JSON; and senders paused, resumed and reset.

use super::desk::{Ask, unexpected};
use super::mailq::{self, Form, ListError, time};
use crate::cli::senders::{Deed, Senders};
use crate::daemon::client::AskError;
use crate::daemon::overview::{LimitLine, SenderLine, Settings};
use crate::daemon::protocol::{Reply, Request, Steer};
use crate::exit::Status;
use crate::report::{self, counted, printable};
use crate::sys::clock;
use chrono::TimeZone;
use std::fmt::{Display, Write as _};

/// The most columns of the table.
const WIDTH: usize = 100;
/// How moments are shown: short, and in full.
const SHORT: &str = "%b %e %H:%M";
const MOMENT: &str = "%Y-%m-%d %H:%M:%S %z";

/// `postrider senders`.
#[must_use]
pub fn run(command: &Senders, desk: &dyn Ask) -> Status {
    if let Some(deed) = &command.deed {
        return steer(deed, desk);
    }
    let lines = match desk.ask(&Request::Senders { name: command.name.clone() }) {
        Ok(Reply::Senders(lines)) => lines,
        Ok(other) => return failed(unexpected(&other)),
        Err(error) => return failed(error),
    };
    let text: String = match (Form::of(command.json), &command.name) {
        // Values of strings and numbers: this cannot fail.
        (Form::Json, _) => lines.iter().map(|line| serde_json::to_string(line).unwrap_or_default() + "\n").collect(),
        (Form::Table, Some(_)) => lines.iter().map(|line| whole(line, &chrono::Local)).collect(),
        (Form::Table, None) => table(&lines, &chrono::Local),
    };
    report::stdout(&text);
    Status::Ok
}

fn failed(error: AskError) -> Status {
    mailq::ended("postrider", Err(ListError::Ask(error)))
}

fn steer(deed: &Deed, desk: &dyn Ask) -> Status {
    let (name, how) = match deed {
        Deed::Pause { name, length, reason } => {
            let length = length.map(|length| i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
            let until = length.map(|length| clock::millis().saturating_add(length));
            (name, Steer::Pause { until, reason: reason.clone() })
        }
        Deed::Resume { name } => (name, Steer::Resume),
        Deed::Reset { name } => (name, Steer::Reset),
    };
    match desk.ask(&Request::Steer { name: name.clone(), how }) {
        Ok(Reply::Steered(done)) => {
            report::stdout(&(printable(&done) + "\n"));
            Status::Ok
        }
        Ok(other) => failed(unexpected(&other)),
        Err(error) => failed(error),
    }
}

/// All senders, a line for each limit, and a line for what keeps one back.
fn table<Z: TimeZone>(lines: &[SenderLine], zone: &Z) -> String
where
    Z::Offset: Display,
{
    if lines.is_empty() {
        return "no sender is configured\n".into();
    }
    let mut text = row("SENDER", "STATE", "QUEUE", "CONN", "LIMIT", "USED", "LEFT", "NEXT FREE");
    for line in lines {
        let queue = match (line.queued, line.held) {
            (Some(queued), Some(0)) => queued.to_string(),
            (Some(queued), Some(held)) => format!("{queued}+{held}!"),
            _ => "-".into(),
        };
        let most = line.settings.as_ref().map(|settings| settings.connections);
        let connections = match (line.connected, most) {
            (Some(now), Some(most)) => format!("{now}/{most}"),
            (None, Some(most)) => format!("-/{most}"),
            (now, None) => now.map_or_else(|| "-".into(), |now| now.to_string()),
        };
        let mut first = [line.name.as_str(), &line.state, &queue, &connections];
        if line.limits.is_empty() {
            let limit = if line.unknown.is_some() { "not known" } else { "none" };
            text += &row(first[0], first[1], first[2], first[3], limit, "-", "-", "-");
        }
        for limit in &line.limits {
            let next = limit.next_free.map_or_else(|| "now".into(), |at| time(at, zone, SHORT));
            let (name, used, left) = (named(limit), limit.used.to_string(), limit.left.to_string());
            text += &row(first[0], first[1], first[2], first[3], &name, &used, &left, &next);
            first = [""; 4];
        }
        text += &notes(line, zone);
    }
    text
}

/// What keeps a sender back, and what is not known of it.
fn notes<Z: TimeZone>(line: &SenderLine, zone: &Z) -> String
where
    Z::Offset: Display,
{
    let pause = line.pause.as_ref().map(|pause| {
        let until = pause.until.map(|until| time(until, zone, SHORT));
        mailq::paused(pause, until)
    });
    let notes = pause.into_iter().chain(line.unknown.clone());
    notes.map(|note| format!("  {}\n", short(&note, WIDTH - 2))).collect()
}

fn named(limit: &LimitLine) -> String {
    match &limit.shared {
        Some(name) => format!("{} ({name})", limit.limit),
        None => limit.limit.clone(),
    }
}

#[expect(clippy::too_many_arguments, reason = "the columns of the table")]
fn row(
    name: &str,
    state: &str,
    queue: &str,
    connections: &str,
    limit: &str,
    used: &str,
    left: &str,
    next: &str,
) -> String {
    let (name, limit) = (short(name, 20), short(limit, 26));
    let line = format!("{name:<20} {state:<7} {queue:>8} {connections:>5} {limit:<26} {used:>7} {left:>7} {next:<12}");
    format!("{}\n", line.trim_end())
}

/// A text that fits so many columns.
fn short(text: &str, width: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(width) {
        None => text,
        Some(_) => text.chars().take(width - 3).chain("...".chars()).collect(),
    }
}

/// A sender in full: a line `key: value` each.
fn whole<Z: TimeZone>(line: &SenderLine, zone: &Z) -> String
where
    Z::Offset: Display,
{
    let mut text = format!("{}\n", printable(&line.name));
    let mut fact = |key: &str, value: String| {
        let _ = writeln!(text, "  {key:<12} {}", printable(&value));
    };
    fact("state", line.state.clone());
    if let Some(pause) = &line.pause {
        let until = pause.until.map(|until| time(until, zone, MOMENT));
        let since = pause.since.map_or_else(String::new, |since| format!("; since {}", time(since, zone, MOMENT)));
        fact("", format!("{}{since}", mailq::paused(pause, until)));
    }
    if let Some(queued) = line.queued {
        fact("queue", format!("{queued} waiting, {} on hold", line.held.unwrap_or_default()));
    }
    for limit in &line.limits {
        let next = limit.next_free.map_or_else(String::new, |at| format!(", the next {}", time(at, zone, MOMENT)));
        fact("limit", format!("{}: {} used, {} left{next}", named(limit), limit.used, limit.left));
    }
    match &line.unknown {
        Some(why) => fact("limit", why.clone()),
        None if line.limits.is_empty() => fact("limit", "none".into()),
        None => {}
    }
    if let Some(settings) = &line.settings {
        all(settings, line.connected, &mut fact);
    }
    text
}

fn all(settings: &Settings, connected: Option<u64>, fact: &mut dyn FnMut(&str, String)) {
    let Settings { reserve, pace, idle, .. } = settings;
    fact("at limit", format!("{}, reserve {reserve}", settings.at_limit));
    settings.servers.iter().for_each(|server| fact("server", server.clone()));
    fact("login", settings.user.clone().unwrap_or_else(|| "none".into()));
    let now = connected.map_or_else(String::new, |now| format!("{now} of "));
    fact("connections", format!("{now}{}, kept for {idle} s", settings.connections));
    let messages = counted(settings.messages_per_connection, "message");
    let recipients =
        settings.recipients_per_transaction.map_or_else(|| "all recipients".into(), |most| counted(most, "recipient"));
    fact("portions", format!("{messages} a connection, {recipients} at once"));
    fact("pace", pace.clone().unwrap_or_else(|| "none".into()));
    fact(
        "backup",
        match settings.backup.as_slice() {
            [] => "none".into(),
            all => format!("{}, after {} s", all.join(", "), settings.backup_after),
        },
    );
    let provider = settings.provider.as_ref().map_or_else(String::new, |name| format!(", and those of {name}"));
    fact("replies", format!("{} rules of its own{provider}", settings.replies));
    settings.from.iter().for_each(|from| fact("from", from.clone()));
    settings.names.iter().for_each(|(address, name)| fact("name", format!("{name} <{address}>")));
    let groups = settings.groups.iter().map(|group| format!("group {group}"));
    let who: Vec<String> = settings.users.iter().cloned().chain(groups).collect();
    fact("users", if who.is_empty() { "everybody".into() } else { who.join(", ") });
    fact("defined", settings.defined.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::overview::PauseLine;

    fn line(name: &str) -> SenderLine {
        let limit = |limit: &str, shared: Option<&str>, left| LimitLine {
            limit: limit.into(),
            shared: shared.map(Into::into),
            used: 500,
            most: 500,
            left,
            next_free: (left == 0).then_some(3_600_000),
        };
        SenderLine {
            name: name.into(),
            state: "paused".into(),
            pause: Some(PauseLine { operator: true, since: Some(0), until: None, reason: "x\n".repeat(200) }),
            queued: Some(12),
            held: Some(3),
            connected: Some(1),
            limits: vec![
                limit("500 recipients per 24h", None, 0),
                limit("4294967295 recipients per day in America/Argentina/Buenos_Aires", Some("all"), 7),
            ],
            unknown: None,
            settings: None,
        }
    }

    #[test]
    fn the_table_fits_a_hundred_columns_and_every_sender_has_its_line() {
        let lines = [line("blog"), line(&"ü".repeat(300)), SenderLine { limits: Vec::new(), ..line("shop") }];
        let text = table(&lines, &chrono::Utc);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.lines().count(), 1 + 3 + 3 + 2);
        let first = text.lines().nth(1).unwrap();
        for part in ["blog ", " paused ", " 12+3! ", " 500 recipients per 24h ", " 0 ", "Jan  1 01:00"] {
            assert!(first.contains(part), "{part}: {first}");
        }
        assert!(text.contains("  is paused by an operator until it is resumed: x x"), "{text}");
        assert!(text.lines().last().unwrap().ends_with("...") && text.contains(" none "), "{text}");
    }

    #[test]
    fn one_in_full_says_when_the_next_one_goes() {
        let text = whole(&line("blog"), &chrono::Utc);
        assert!(
            text.contains("500 recipients per 24h: 500 used, 0 left, the next 1970-01-01 01:00:00 +0000"),
            "{text}"
        );
        assert!(text.contains("; since 1970-01-01 00:00:00 +0000"), "{text}");
        assert_eq!(table(&[], &chrono::Utc), "no sender is configured\n");
    }
}
