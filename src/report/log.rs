//! The log: one line a message with `tracing`, to syslog, a file or stderr, as text or JSON.
//!
//! Lines are written behind the work (`scribe`). What cannot be written goes to syslog instead. The first opening says
//! where they go, and every further one, at a reload, says it anew.

use super::scribe::{Pen, Scribe};
use super::syslog::{self, Severity, Syslog};
use super::{printable, standard};
use crate::config::{LogConfig, LogTarget};
use crate::deliver::{Attempt, Verdict};
use crate::exit::Status;
use crate::queue::Queued;
use crate::route::Plan;
use crate::sys::clock::{self, Deadline};
use std::fs::File;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Identity, SubscriberExt};
use tracing_subscriber::{Layer, Registry, reload};

/// The longest line wherever it goes, octets.
const LONGEST: usize = 1 << 20;
/// The longest values of a line in syslog, octets: all of them together fit there, so that none hides another.
const LISTS: usize = 1500;
const WORDS: usize = 300;

static LOG: Scribe<Target> = Scribe::new("log", Target { sink: Sink::Off, program: String::new(), instead: None });
/// Values are kept short, as the line goes to syslog.
static SHORT: AtomicBool = AtomicBool::new(false);

type Form = Box<dyn Layer<Registry> + Send + Sync>;
static FORM: OnceLock<reload::Handle<Form, Registry>> = OnceLock::new();

/// Opens the log, or opens it anew. What kept the configured one from being opened comes back as a text; the log then
/// goes to syslog.
///
/// `program` is the name in syslog.
#[must_use]
pub fn open(config: &LogConfig, program: &str) -> Option<String> {
    super::files::reopen();
    let (sink, problem) = match &config.to {
        LogTarget::Off => (Sink::Off, None),
        LogTarget::Stderr => (Sink::Stderr, None),
        LogTarget::Syslog => (Sink::Syslog(Syslog::default()), None),
        LogTarget::File(path) => match crate::sys::files::append(path) {
            Ok(file) => (Sink::File(file), None),
            Err(error) => (
                Sink::Syslog(Syslog::default()),
                Some(format!("log {}: {error}; logging to syslog instead", path.display())),
            ),
        },
    };
    let short = matches!(sink, Sink::Syslog(_));
    let form = match sink {
        Sink::Off => Identity::new().boxed(),
        Sink::Syslog(_) => form(config.json, Clock::None),
        Sink::Stderr | Sink::File(_) => form(config.json, Clock::Wall),
    };
    SHORT.store(short, Ordering::Relaxed);
    LOG.change(|target| *target = Target { sink, program: format!("postrider/{program}"), instead: None });
    match FORM.get() {
        Some(handle) => drop(handle.reload(form)),
        None => {
            let (layer, handle) = reload::Layer::new(form);
            let _ = FORM.set(handle);
            let all = tracing_subscriber::registry().with(layer).with(LevelFilter::INFO);
            let _ = tracing::subscriber::set_global_default(all);
        }
    }
    problem
}

fn form(json: bool, clock: Clock) -> Form {
    let layer = tracing_subscriber::fmt::layer().with_writer(Lines).with_ansi(false).with_target(false);
    // Its words on a line that cannot be written would go to standard error, and end the process where that fails.
    let layer = layer.log_internal_errors(false).with_timer(clock);
    match json {
        true => layer.json().flatten_event(true).boxed(),
        false => layer.compact().boxed(),
    }
}

/// Waits until all is written, not beyond the deadline; what is lost by that is told where it may be.
pub(super) fn finish(deadline: Deadline) {
    let Some((lost, why)) = LOG.finish(deadline) else { return };
    let mut program = String::new();
    // Whoever writes has this, and may be stuck with it.
    LOG.try_change(|target| program.clone_from(&target.program));
    if !program.is_empty() {
        let line = format!("{} of the log not written: {why}", super::counted(lost, "line"));
        let _ =
            Syslog::default().send((syslog::MAIL, Severity::Warning), &program, &line, (clock::now(), Duration::ZERO));
    }
}

/// How many lines were lost so far.
#[must_use]
pub fn lost() -> u64 {
    LOG.lost()
}

/// A line, and how grave it is.
type Entry = (Severity, String);

/// Where the log goes.
#[derive(Debug)]
struct Target {
    sink: Sink,
    /// The name in syslog.
    program: String,
    /// Where it goes when it cannot go there.
    instead: Option<Syslog>,
}

#[derive(Debug)]
enum Sink {
    Off,
    Stderr,
    File(File),
    Syslog(Syslog),
}

impl Pen for Target {
    type Line = Entry;

    fn length((_, line): &Entry) -> usize {
        line.len()
    }

    fn write(&mut self, (severity, line): &Entry, patience: Duration) -> io::Result<()> {
        match &mut self.sink {
            Sink::Off => Ok(()),
            Sink::Stderr => standard::error(line.as_bytes(), patience),
            // The whole line or nothing: a disk that is full is not asked again for the rest.
            Sink::File(file) => match file.write(line.as_bytes())? {
                written if written < line.len() => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            },
            Sink::Syslog(syslog) => {
                let line = printable(line.trim_end());
                syslog.send((syslog::MAIL, *severity), &self.program, &line, (clock::now(), patience))
            }
        }
    }

    fn otherwise(&mut self, (severity, line): &Entry, _: &io::Error) -> bool {
        if matches!(self.sink, Sink::Syslog(_)) {
            return false;
        }
        let syslog = self.instead.get_or_insert_default();
        let line = printable(line.trim_end());
        syslog.send((syslog::MAIL, *severity), &self.program, &line, (clock::now(), Duration::ZERO)).is_ok()
    }

    fn tell(lost: u64, why: &str) {
        tracing::warn!(lost, "lines of the log are lost: {why}");
    }
}

/// Takes the lines of `tracing`.
struct Lines;

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Line;

    fn make_writer(&'w self) -> Line {
        Line(Severity::Notice)
    }

    fn make_writer_for(&'w self, meta: &Metadata<'_>) -> Line {
        Line(match *meta.level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            Level::INFO => Severity::Notice,
            _ => Severity::Info,
        })
    }
}

/// One line, which comes whole. It is taken whatever becomes of it: it must not fail the delivery.
struct Line(Severity);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = match text.len() > LONGEST {
            true => syslog::shortened(text.trim_end(), LONGEST) + "\n",
            false => text.into_owned(),
        };
        LOG.push((self.0, text));
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
            Self::Wall => write!(w, "{}", clock::now().format("%Y-%m-%dT%H:%M:%S%.3f%:z")),
            Self::None => Ok(()),
        }
    }
}

/// A value that may have any length, as it fits the line.
fn fitting(text: &str, most: usize) -> String {
    syslog::shortened(text, if SHORT.load(Ordering::Relaxed) { most } else { usize::MAX })
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
                to = fitting(&to.join(","), LISTS),
                sender = plan.via.name(),
                rule = %plan.rule,
                server = attempt.server,
                tls = attempt.tls,
                login,
                sent,
                recipients = attempt.outcomes.len(),
                reply = fitting(&replies, LISTS),
                size = attempt.size,
                seconds = (attempt.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
                uid,
                tag = fitting(tag.unwrap_or_default(), WORDS),
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
        to = fitting(&to.join(","), LISTS),
        sender = plan.via.name(),
        rule = %plan.rule,
        size = plan.message.wire_size(),
        uid,
        tag = fitting(tag.unwrap_or_default(), WORDS),
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
                to = fitting(&to.join(","), LISTS),
                sender = queued.lane,
                server = attempt.server,
                tls = attempt.tls,
                login,
                sent,
                later,
                failed,
                reply = fitting(&replies, LISTS),
                size = attempt.size,
                seconds = (attempt.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
                uid = queued.uid,
                tag = fitting(queued.tag.as_deref().unwrap_or_default(), WORDS),
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
    tracing::error!(
        reason = printable(what),
        uid,
        tag = fitting(tag.unwrap_or_default(), WORDS),
        exit = status.code(),
        "not sent"
    );
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
