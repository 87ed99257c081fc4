//! The log: one line a message with `tracing`, to syslog, a file or stderr, as text or JSON.
//!
//! Opened when there is something to say and never before. What cannot be written goes to syslog instead.

use super::printable;
use crate::config::{LogConfig, LogTarget};
use crate::deliver::{Attempt, Verdict};
use crate::exit::Status;
use crate::queue::Queued;
use crate::route::Plan;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Opens the log. What kept the configured one from being opened comes back as a text; the log then goes to syslog.
///
/// `program` is the name in syslog.
#[must_use]
pub fn open(config: &LogConfig, program: &str) -> Option<String> {
    match &config.to {
        LogTarget::Off => None,
        LogTarget::Stderr => {
            install(config.json, Clock::Wall, io::stderr);
            None
        }
        LogTarget::Syslog => {
            syslog(config.json, program);
            None
        }
        LogTarget::File(path) => match append(path) {
            Ok(file) => {
                install(config.json, Clock::Wall, Mutex::new(file));
                None
            }
            Err(error) => {
                syslog(config.json, program);
                Some(format!("log {}: {error}; logging to syslog instead", path.display()))
            }
        },
    }
}

fn syslog(json: bool, program: &str) {
    use syslog_tracing::{Facility, Options, Syslog};
    let Ok(identity) = std::ffi::CString::new(format!("postrider/{program}")) else { return };
    if let Some(syslog) = Syslog::new(identity, Options::LOG_PID, Facility::Mail) {
        install(json, Clock::None, syslog);
    }
}

fn append(path: &Path) -> io::Result<Whole> {
    crate::sys::files::append(path).map(Whole)
}

/// Writes whole lines or nothing: a line that does not fit (disk full) must not fail the delivery.
struct Whole(File);

impl Write for Whole {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether lines carry the time themselves.
#[derive(Clone, Copy)]
enum Clock {
    Wall,
    None,
}

impl FormatTime for Clock {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        match self {
            Self::Wall => write!(w, "{}", crate::sys::clock::now().format("%Y-%m-%dT%H:%M:%S%.3f%:z")),
            Self::None => Ok(()),
        }
    }
}

fn install<W>(json: bool, clock: Clock, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).with_target(false).with_timer(clock);
    // A second call in one process keeps the first log.
    let _ = match json {
        true => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish()),
        false => tracing::subscriber::set_global_default(builder.compact().finish()),
    };
}

/// The line of a message that was tried.
pub fn message(plan: &Plan<'_>, attempt: &Attempt, status: Status, tag: Option<&str>, uid: u32) {
    let to: Vec<&str> = plan.envelope.recipients().iter().map(|address| address.as_str()).collect();
    let replies = replies(attempt);
    let login = attempt.login.as_ref().map_or_else(String::new, |(mechanism, user)| format!("{user} ({mechanism})"));
    let sent = attempt.outcomes.len() - attempt.troubles().count();
    let from = plan.from.as_ref().map_or("", |address| address.as_str());
    macro_rules! line {
        ($level:ident, $what:literal) => {
            tracing::$level!(
                header_from = from,
                envelope_from = %plan.envelope.from,
                to = to.join(","),
                sender = plan.via.name(),
                rule = %plan.rule,
                server = attempt.server,
                tls = attempt.tls,
                login,
                sent,
                recipients = attempt.outcomes.len(),
                reply = replies,
                size = attempt.size,
                seconds = (attempt.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
                uid,
                tag = tag.unwrap_or_default(),
                exit = status.code(),
                $what
            )
        };
    }
    match status {
        Status::Ok => line!(info, "sent"),
        _ if sent > 0 => line!(warn, "partly sent"),
        _ => line!(error, "not sent"),
    }
}

/// The line of a message that was kept for delivery.
pub fn queued(plan: &Plan<'_>, number: &str, again: bool, tag: Option<&str>, uid: u32) {
    let to: Vec<&str> = plan.envelope.recipients().iter().map(|address| address.as_str()).collect();
    tracing::info!(
        queued = number,
        again,
        header_from = plan.from.as_ref().map_or("", |address| address.as_str()),
        envelope_from = %plan.envelope.from,
        to = to.join(","),
        sender = plan.via.name(),
        rule = %plan.rule,
        size = plan.message.wire_size(),
        uid,
        tag = tag.unwrap_or_default(),
        "queued"
    );
}

/// The line of an attempt to deliver a queued message: so many of the recipients are to be tried again.
pub fn attempted(queued: &Queued, attempt: &Attempt, later: usize) {
    let to: Vec<&str> = attempt.outcomes.iter().map(|outcome| outcome.recipient.as_str()).collect();
    let login = attempt.login.as_ref().map_or_else(String::new, |(mechanism, user)| format!("{user} ({mechanism})"));
    let replies = replies(attempt);
    let sent = attempt.outcomes.len() - attempt.troubles().count();
    let failed = (attempt.outcomes.len() - sent).saturating_sub(later);
    macro_rules! line {
        ($level:ident, $what:literal) => {
            tracing::$level!(
                queued = %queued.id,
                header_from = printable(&queued.header_from),
                envelope_from = %queued.from,
                to = to.join(","),
                sender = queued.lane,
                server = attempt.server,
                tls = attempt.tls,
                login,
                sent,
                later,
                failed,
                reply = replies,
                size = attempt.size,
                seconds = (attempt.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
                uid = queued.uid,
                tag = queued.tag.as_deref().unwrap_or_default(),
                $what
            )
        };
    }
    match (sent, later, failed) {
        (_, 0, 0) => line!(info, "sent"),
        (_, _, 0) => line!(warn, "deferred"),
        _ => line!(error, "not sent"),
    }
}

/// The line of a submission that came to nothing before any server was asked.
pub fn refused(what: &str, status: Status, tag: Option<&str>, uid: u32) {
    tracing::error!(reason = printable(what), uid, tag = tag.unwrap_or_default(), exit = status.code(), "not sent");
}

/// The server's words: one reply where all recipients had the same, otherwise each with its recipient.
fn replies(attempt: &Attempt) -> String {
    let word = |verdict: &Verdict| match verdict {
        Verdict::Sent(reply) => printable(&reply.to_string()),
        Verdict::Failed(trouble) => printable(&trouble.line(&attempt.server, None)),
    };
    let words: Vec<String> = attempt.outcomes.iter().map(|outcome| word(&outcome.verdict)).collect();
    match words.first() {
        Some(first) if words.iter().all(|word| word == first) => first.clone(),
        _ => {
            let each =
                attempt.outcomes.iter().zip(&words).map(|(outcome, word)| format!("{}: {word}", outcome.recipient));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}
