//! `postrider queue`, `status`, `reload` and `sendmail -q`: an operator's actions, each one question to the desk.
//!
//! Who may see and touch what is decided where the question is answered: root and the service's user everything, others
//! what they submitted themselves.

use super::desk::{Ask, Pages, unexpected};
use super::mailq::{self, Form, ListError, time};
use crate::cli::invocation::Usage;
use crate::cli::queue::{Queue, Touched};
use crate::daemon::client::AskError;
use crate::daemon::overview::PauseLine;
use crate::daemon::protocol::{Line, Reply, Request};
use crate::exit::Status;
use crate::queue::{Action, Filter, Halt, Pause, Salvaged};
use crate::report::{self, printable};
use crate::sys::clock;
use chrono::TimeZone;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::path::Path;

/// Pages of the queue that a misspelt sender is looked for in.
const HINT_PAGES: usize = 4;
/// How moments are shown: without doubt, and in the order of time.
const MOMENT: &str = "%Y-%m-%d %H:%M:%S %z";

/// `postrider queue`.
#[must_use]
pub fn run(command: &Queue, desk: &dyn Ask) -> Status {
    let now = clock::now().timestamp_millis();
    let touched = |which: &Touched, done: &str, request: fn(Filter) -> Request| {
        which.filter(now).map(|filter| act(desk, filter, done, request))
    };
    let status = match command {
        Queue::List { which, json } => Ok(mailq::print("postrider", desk, which.filter(now), Form::of(*json))),
        Queue::Show { which, json } => Ok(show(desk, which.filter(now), Form::of(*json))),
        Queue::Retry(which) => touched(which, "to be tried now", |filter| Request::Retry { filter }),
        Queue::Hold { which, reason } => which.filter(now).map(|filter| {
            let action = Action::Hold(reason.clone());
            act(desk, filter, "on hold", |filter| Request::Act { filter, action })
        }),
        Queue::Release(which) => touched(which, "released", |filter| Request::Act { filter, action: Action::Release }),
        Queue::Delete(which) => touched(which, "deleted", |filter| Request::Act { filter, action: Action::Delete }),
        Queue::Salvage { place, json } => Ok(salvage(desk, place, Form::of(*json))),
        Queue::Bounce(which) => touched(which, "sent back", |filter| Request::Bounce { filter }),
    };
    status.unwrap_or_else(|usage| refuse(&usage))
}

fn refuse(usage: &Usage) -> Status {
    report::stderr(&format!("postrider: {usage}"));
    usage.status
}

/// `sendmail -q`: what is queued is tried now. Nothing to do is no error.
#[must_use]
pub fn flush(program: &str, desk: &dyn Ask, filter: Filter) -> Status {
    match desk.ask(&Request::Flush { filter }) {
        Ok(Reply::Touched(_)) => Status::Ok,
        Ok(other) => failed(program, unexpected(&other)),
        Err(error) => failed(program, error),
    }
}

/// Does one thing to the messages that fit, and says to how many. Numbers that are not in the queue are status 1.
fn act(desk: &dyn Ask, filter: Filter, done: &str, request: impl FnOnce(Filter) -> Request) -> Status {
    let named = filter.ids.len() as u64;
    let sender = filter.sender.clone();
    match desk.ask(&request(filter)) {
        Ok(Reply::Touched(count)) => {
            report::stdout(&format!("{} {done}\n", report::counted(count, "message")));
            if count == 0 {
                hint(desk, sender.as_deref());
            }
            missing(count, named)
        }
        Ok(other) => failed("postrider", unexpected(&other)),
        Err(error) => failed("postrider", error),
    }
}

/// Says which sender of the queue was most likely meant, where none is called that.
fn hint(desk: &dyn Ask, wanted: Option<&str>) {
    let Some(wanted) = wanted else { return };
    let lines = Pages::new(desk, Filter::default()).take(HINT_PAGES).flatten().flatten();
    let near = |line: &Line| strsim::jaro_winkler(&wanted.to_lowercase(), &line.sender.to_lowercase());
    let best = lines.map(|line| (near(&line), line.sender)).max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, sender)) = best.filter(|(near, _)| *near > 0.8 && *near < 1.0) {
        report::stderr(&format!(
            "postrider: no sender of a queued message contains \"{wanted}\"; there is \"{sender}\""
        ));
    }
}

fn missing(found: u64, named: u64) -> Status {
    if found >= named {
        return Status::Ok;
    }
    let missing = named - found;
    report::stderr(&format!("postrider: {missing} of the {named} that were named: no such message that fits"));
    Status::Findings
}

fn failed(program: &str, error: AskError) -> Status {
    mailq::ended(program, Err(ListError::Ask(error)))
}

/// `postrider queue salvage`: what came back, what did not, and where the files are.
fn salvage(desk: &dyn Ask, place: &Path, form: Form) -> Status {
    let absolute = match std::path::absolute(place) {
        Ok(place) => place,
        Err(error) => {
            report::stderr(&format!("postrider: {}: {error}", place.display()));
            return Status::Io;
        }
    };
    let told = match desk.ask(&Request::Salvage { place: absolute }) {
        Ok(Reply::Salvaged(told)) => told,
        Ok(other) => return failed("postrider", unexpected(&other)),
        Err(error) => return failed("postrider", error),
    };
    let text = match form {
        Form::Json => format!("{}\n", serde_json::json!(told)),
        Form::Table => salvaged(&told),
    };
    report::stdout(&text);
    told.notes.iter().for_each(|note| report::stderr(&format!("postrider: {}", printable(note))));
    if told.lost > 0 { Status::Findings } else { Status::Ok }
}

fn salvaged(told: &Salvaged) -> String {
    let back = report::counted(told.back, "message");
    let mut text = format!("{back} brought back, {} of them on hold (mailq says why)\n", told.held);
    if told.known > 0 {
        let _ = writeln!(text, "{} known to the queue already", report::counted(told.known, "message"));
    }
    if told.lost > 0 {
        let _ = writeln!(text, "{} could not be brought back", told.lost);
    }
    for path in &told.kept {
        let _ = writeln!(text, "kept as {}; delete it when you no longer need it", printable(path));
    }
    text
}

/// `postrider queue show`: everything about the messages that fit.
fn show(desk: &dyn Ask, filter: Filter, form: Form) -> Status {
    let named = filter.ids.len() as u64;
    let sender = filter.sender.clone();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut shown = 0;
    let all = || -> Result<(), ListError> {
        for page in Pages::new(desk, filter) {
            for line in page? {
                let space = if shown > 0 && form == Form::Table { "\n" } else { "" };
                let text = match form {
                    Form::Json => mailq::json(&line),
                    Form::Table => details(&line, &chrono::Local),
                };
                write!(out, "{space}{text}")?;
                shown += 1;
            }
        }
        Ok(out.flush()?)
    };
    match all() {
        Ok(()) => {
            if shown == 0 {
                hint(desk, sender.as_deref());
            }
            missing(shown, named)
        }
        error => mailq::ended("postrider", error),
    }
}

/// A message with everything that is known of it.
fn details<Z: TimeZone>(line: &Line, zone: &Z) -> String
where
    Z::Offset: Display,
{
    let state = match &line.hold {
        Some(why) => format!("{}: {why}", line.state),
        None => line.state.clone(),
    };
    let facts = [
        ("sender", line.sender.clone()),
        ("from", line.from.clone()),
        ("size", format!("{} octets", line.size)),
        ("arrived", time(line.created, zone, MOMENT)),
        ("user", line.uid.to_string()),
        ("state", state),
    ];
    let mut text = format!("{}\n", printable(&line.id));
    for (name, value) in facts {
        let _ = writeln!(text, "  {name:<9} {}", printable(&value));
    }
    if line.bulk {
        let _ = writeln!(text, "  {:<9} yes: single mail overtakes it", "bulk");
    }
    if let Some(pause) = &line.paused {
        let until = pause.until.map(|until| time(until, zone, MOMENT));
        let _ = writeln!(text, "  {:<9} sender {}", "paused", printable(&mailq::paused(pause, until)));
    }
    if let Some(moved) = &line.moved_from {
        let _ = writeln!(text, "  {:<9} from sender {}", "moved", printable(moved));
    }
    if let Some(waits) = &line.waits {
        let _ = writeln!(text, "  {:<9} {}: {}", "waits", time(waits.until, zone, MOMENT), printable(&waits.why));
    }
    if let Some(staging) = &line.staging {
        let _ = writeln!(text, "  {:<9} {}", "staging", printable(staging.trim_start_matches("staging: ")));
    }
    for recipient in &line.recipients {
        let next = recipient.due.map_or_else(|| "the next queue run".into(), |due| time(due, zone, MOMENT));
        let _ = writeln!(text, "  {:<9} {}", "to", printable(&recipient.address));
        let _ = writeln!(text, "  {:<9}   attempts {}, next {next}", "", recipient.attempts);
        if let Some(last) = &recipient.last {
            let _ = writeln!(text, "  {:<9}   last: {}", "", printable(last));
        }
    }
    if line.more > 0 {
        let _ = writeln!(text, "  and {} more", line.more);
    }
    text
}

/// `postrider reload`: the daemon reads its configuration again, and keeps the one it has where the new one is wrong.
#[must_use]
pub fn reload(desk: &dyn Ask) -> Status {
    match desk.ask(&Request::Reload) {
        Ok(Reply::Refused(what)) => {
            report::stderr(&format!("postrider: {what}"));
            Status::Config
        }
        Ok(_) => Status::Ok,
        Err(error) => failed("postrider", error),
    }
}

/// `postrider status`: the daemon, how much it holds, and which lanes wait.
#[must_use]
pub fn status(desk: &dyn Ask, form: Form) -> Status {
    let reply = match desk.ask(&Request::Status) {
        Ok(reply) => reply,
        Err(error) => return failed("postrider", error),
    };
    let Reply::Status { messages, paused, halted, pid, since, aside } = &reply else {
        return failed("postrider", unexpected(&reply));
    };
    let text = match form {
        Form::Json => {
            let value = serde_json::json!({"messages": messages, "paused": paused, "halted": halted, "pid": pid, "since": since, "aside": aside});
            format!("{value}\n")
        }
        Form::Table => {
            let process = format!("{pid} since {}", time(*since, &chrono::Local, MOMENT));
            state(*messages, paused, halted, &process) + &set_aside(aside)
        }
    };
    report::stdout(&text);
    Status::Ok
}

/// What may hold mail and is not in the queue.
fn set_aside(aside: &[String]) -> String {
    let directory = aside.first().and_then(|path| Path::new(path).parent());
    let Some(directory) = directory else { return String::new() };
    let mut text = String::new();
    for path in aside {
        let _ = writeln!(text, "set aside, and may hold mail: {}", printable(path));
    }
    let _ = writeln!(text, "bring back what can be with: postrider queue salvage {}", directory.display());
    text
}

fn state(messages: u64, paused: &[Pause], halted: &[Halt], process: &str) -> String {
    let queued = report::counted(messages, "message");
    let mut text = format!("postrider serve, process {process}\n{queued} queued\n");
    for halt in halted {
        let pause = PauseLine::halted(halt);
        let until = pause.until.map(|until| time(until, &chrono::Local, MOMENT));
        let _ = writeln!(text, "sender {} {}", printable(&halt.lane), printable(&mailq::paused(&pause, until)));
    }
    for Pause { lane, until, reason, times, .. } in paused {
        let until = time(*until, &chrono::Local, MOMENT);
        let again = if *times > 1 { format!(" (pause {times} in a row)") } else { String::new() };
        let _ = writeln!(text, "sender {} is paused until {until}{again}: {}", printable(lane), printable(reason));
    }
    text
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
