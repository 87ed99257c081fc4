//! Limits: so many recipients or messages in so long, a sender's own and those that senders share. Exact over threads,
//! processes, restarts and clocks that are set.
//!
//! ```text
//! window     one limit: a rolling window or a calendar day            (pure)
//! decision   how much may go now, and when the next                   (pure)
//! ledger     the time that is counted in: it never jumps              (pure)
//! scope      which limits an account is under                         (pure)
//! counters   what was sent, in one SQLite file for all processes
//! open       that file: made, opened, set aside where it is damaged
//! ```
//!
//! Whoever delivers reserves (`reserve`), notes that the server is asked (`Lease::begin`) and settles afterwards
//! (`Lease::settle`) to what the server took or may have taken. The reservation of a process that dies before it asked is
//! given back once that process is seen to be gone; afterwards it stays counted, as nobody knows whether the server took
//! the message. Where no limit applies no file is opened.

pub mod counters;
pub mod decision;
pub mod ledger;
mod open;
pub mod scope;
pub mod window;
pub mod zone;

#[cfg(test)]
mod tests;

pub use decision::Class;

use crate::config::{AtLimit, Config, Sender, Via};
use crate::deliver::trouble::Permanence;
use crate::deliver::{Attempt, Verdict};
use crate::sys::{clock, process};
use counters::{ALL, Counters, Series, Sync, View};
use decision::{Entry, Room, Tally};
use ledger::Reading;
use scope::Rule;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Milliseconds: since 1970 on the wall clock, or the ledger's.
pub type Millis = i64;

/// How much longer a reservation counts than the attempt may take.
const MARGIN: Millis = 60_000;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// For so many recipients of one message.
    pub recipients: usize,
    /// The kind of mail.
    pub class: Class,
    /// All of them or none; otherwise as many as may go.
    pub whole: bool,
    /// Senders whose limits hold besides those of the account (`route::authors::limiting`).
    pub besides: &'a [&'a Sender],
}

/// What comes of asking.
#[derive(Debug)]
pub enum Leave {
    /// They, or some of them, may go.
    Go(Lease),
    /// None may.
    Full(Full),
}

/// No room for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// When there is room for the next one, milliseconds since 1970.
    pub until: Millis,
    /// Which limit is reached and until when, one line.
    pub what: String,
    /// For which mail.
    pub class: Class,
}

/// The counters cannot be used, so that nothing may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// What is wrong and what mends it, one line.
    pub what: String,
    /// What the system or the database said.
    pub cause: String,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for LimitError {}

/// A reservation. Dropped without `settle` it stays counted where the server was asked, and is given back otherwise.
#[derive(Debug)]
pub struct Lease {
    /// `None` where no limit applies.
    held: Option<Held>,
    allowed: u64,
    /// Why the others wait, where some must.
    rest: Option<Full>,
}

#[derive(Debug)]
struct Held {
    counters: Arc<Counters>,
    id: i64,
    series: Vec<Series>,
    /// Whose limits they are.
    subjects: Vec<String>,
    recipients: u64,
    /// The server was asked.
    begun: Cell<bool>,
}

impl Lease {
    /// For how many recipients, of so many.
    #[must_use]
    pub fn allowed(&self, wanted: usize) -> usize {
        usize::try_from(self.allowed).map_or(wanted, |allowed| allowed.min(wanted))
    }

    /// Why the others wait, where not all may go.
    #[must_use]
    pub fn rest(&self) -> Option<&Full> {
        self.rest.as_ref()
    }

    /// The server is asked now. Called before each MAIL of the attempt.
    pub fn begin(&self) {
        let Some(held) = self.held.as_ref().filter(|held| !held.begun.replace(true)) else { return };
        let noted = held.counters.with(reading(), Sync::Later, |view| view.begin(held.id).map(|()| ((), true)));
        if let Err(error) = noted {
            tracing::error!("limits: a reservation is not counted if this process dies now: {error}");
        }
    }

    /// The attempt was made: the server took the message for so many recipients, or may have.
    pub fn settle(self, taken: usize) {
        let Some(held) = &self.held else { return };
        held.settle(u64::try_from(taken).unwrap_or(u64::MAX).min(held.recipients));
        // Settled, whatever came of it.
        held.begun.set(true);
    }
}

impl Held {
    fn settle(&self, taken: u64) {
        let settled = self
            .counters
            .with(reading(), Sync::Later, |view| view.settle(self.id, &self.series, taken).map(|()| ((), true)));
        if let Err(error) = settled {
            tracing::error!("limits: a reservation stays counted in full: {error}");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.begun.get() {
            self.settle(0);
        }
        let mut flights = lock(&IN_FLIGHT);
        for subject in &self.subjects {
            if let Some(count) = flights.get_mut(subject) {
                *count = count.saturating_sub(self.recipients);
                if *count == 0 {
                    flights.remove(subject);
                }
            }
        }
    }
}

/// How many recipients of an attempt the server took or may have taken.
#[must_use]
pub fn taken(attempt: &Attempt) -> usize {
    let taken = |verdict: &Verdict| match verdict {
        Verdict::Sent(_) => true,
        Verdict::Failed(trouble) => trouble.permanence == Permanence::Unknown,
    };
    attempt.outcomes.iter().filter(|outcome| taken(&outcome.verdict)).count().saturating_sub(attempt.staged)
}

/// Asks for leave to send, and reserves what is given, on disk.
///
/// # Errors
/// The counters cannot be used.
pub fn reserve(config: &Config, via: Via<'_>, ask: Ask<'_>) -> Result<Leave, LimitError> {
    let rules = scope::rules_besides(config, via, ask.besides, ask.class);
    if rules.is_empty() {
        return Ok(Leave::Go(Lease { held: None, allowed: u64::MAX, rest: None }));
    }
    let series: Vec<Series> = rules.iter().map(|rule| rule.series.clone()).collect();
    let total = Millis::try_from(via.relay().timeouts.total.as_millis()).unwrap_or(Millis::MAX / 4);
    let wanted = ask.recipients as u64;
    let counters = open(config, via)?;
    let reserved = counters.with(reading(), Sync::Now, |view| {
        let (room, given) = look(view, &rules, wanted)?;
        let rest = room.next.map(|next| full(view, &rules, room, next, ask));
        let allowed = room.recipients.min(wanted);
        if allowed == 0 || (ask.whole && allowed < wanted) {
            return Ok(((0, 0, rest), given));
        }
        let until = view.mark.at.saturating_add(total).saturating_add(MARGIN);
        let lease = view.lease(&series, allowed, until, process::own_name())?;
        Ok(((lease, allowed, rest), true))
    });
    let (id, allowed, rest) = reserved.map_err(|error| unusable(config, via, &error))?;
    match rest {
        Some(full) if allowed == 0 => Ok(Leave::Full(full)),
        rest => {
            let others = ask.besides.iter().map(|sender| scope::subject(Via::Sender(sender)));
            let subjects: Vec<String> = std::iter::once(scope::subject(via)).chain(others).collect();
            let mut flights = lock(&IN_FLIGHT);
            subjects.iter().for_each(|subject| *flights.entry(subject.clone()).or_default() += allowed);
            drop(flights);
            let held = Some(Held { counters, id, series, subjects, recipients: allowed, begun: Cell::new(false) });
            Ok(Leave::Go(Lease { held, allowed, rest }))
        }
    }
}

/// Where a sender refuses at its limit: why a message is refused at submission, given how many recipients wait in its
/// queue already. `None` where it may come.
///
/// # Errors
/// The counters cannot be used.
pub fn refusal(
    config: &Config,
    via: Via<'_>,
    ask: Ask<'_>,
    queued: impl FnOnce() -> u64,
) -> Result<Option<Full>, LimitError> {
    let rules = scope::rules(config, via, ask.class);
    if !refuses(via) || rules.is_empty() {
        return Ok(None);
    }
    // What is being delivered at this moment is both queued and reserved.
    let flying = lock(&IN_FLIGHT).get(&scope::subject(via)).copied().unwrap_or_default();
    let wanted = (ask.recipients as u64).saturating_add(queued().saturating_sub(flying));
    open(config, via)?
        .with(reading(), Sync::Later, |view| {
            let (room, given) = look(view, &rules, wanted)?;
            Ok((room.next.map(|next| full(view, &rules, room, next, ask)), given))
        })
        .map_err(|error| unusable(config, via, &error))
}

/// Whether messages beyond the limit are refused at submission.
#[must_use]
pub fn refuses(via: Via<'_>) -> bool {
    scope::profile(via).is_some_and(|sender| sender.limits.at_limit == AtLimit::Refuse)
}

/// Where a message goes for which its sender has no room: the first of those that it overflows to which has room for a
/// recipient. `None` where it waits.
///
/// # Errors
/// The counters cannot be used.
pub fn overflow<'c>(config: &'c Config, via: Via<'c>, class: Class) -> Result<Option<&'c Sender>, LimitError> {
    for other in scope::chain(config, via).into_iter().skip(1) {
        let ask = Ask { recipients: 1, class, whole: true, besides: &[] };
        if waiting(config, other, ask)?.is_none() {
            return Ok(scope::profile(other));
        }
    }
    Ok(None)
}

/// Why and until when a message would have to wait now; nothing is reserved. `None` where it may go.
///
/// # Errors
/// The counters cannot be used.
pub fn waiting(config: &Config, via: Via<'_>, ask: Ask<'_>) -> Result<Option<Full>, LimitError> {
    let rules = scope::rules(config, via, ask.class);
    if rules.is_empty() {
        return Ok(None);
    }
    open(config, via)?
        .with(reading(), Sync::Later, |view| {
            let (room, given) = look(view, &rules, ask.recipients as u64)?;
            let next = room.next.filter(|_| ask.whole || room.recipients == 0);
            Ok((next.map(|next| full(view, &rules, room, next, ask)), given))
        })
        .map_err(|error| unusable(config, via, &error))
}

/// The use of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Whose limit, and which: `sender shop: 500 recipients per 24h`.
    pub what: String,
    /// Whose limit: `sender shop`, `default relay`, `limit yandex-account`.
    pub whose: String,
    /// What counts now, reservations that are out included.
    pub used: u64,
    /// The most.
    pub limit: u64,
    /// What is left for single mail.
    pub left: u64,
    /// Where nothing is left: when the next one may go, milliseconds since 1970.
    pub next_free: Option<Millis>,
    /// Why it counts as reached, where its use is not known.
    pub lost: Option<String>,
}

/// The use of every limit of a sender (or of the `default relay`), its own first. Empty where it has none, or where there
/// is no such sender. `now` is the wall clock's time.
///
/// # Errors
/// The counters cannot be used.
pub fn usage(config: &Config, sender: &str, now: Millis) -> Result<Vec<Usage>, LimitError> {
    let Some(via) = crate::queue::lane::find(config, sender) else { return Ok(Vec::new()) };
    let rules = scope::rules(config, via, Class::Single);
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    match file(config).try_exists() {
        Ok(true) => {}
        // Who looks makes no file; but who could not make one sends nothing.
        Ok(false) => {
            open::may_make(&file(config)).map_err(|error| unusable(config, via, &error.to_string()))?;
            return Ok(rules.iter().map(unused).collect());
        }
        Err(error) => return Err(unusable(config, via, &error.to_string())),
    }
    let read = Reading { wall: now, ..reading() };
    open(config, via)?
        .with(read, Sync::Later, |view| {
            let given = give_back(view, &rules)?;
            let tallies = tallies(view, &rules)?;
            let usage = |(rule, tally): (&Rule, &Tally)| {
                let lost = tally.entries.iter().find(|entry| entry.recipients == ALL).copied();
                let (at, left) = (view.mark.at, tally.left(view.mark.at));
                Usage {
                    what: format!("{}: {}", rule.whose, rule.window),
                    whose: rule.whose.clone(),
                    // What is not known counts as all of it.
                    used: Some(tally.used(at)).filter(|used| *used < ALL).unwrap_or(rule.window.most.into()),
                    limit: rule.window.most.into(),
                    left,
                    next_free: (left == 0).then(|| view.mark.wall(tally.room_at(1, at))),
                    lost: counts(view, rule, lost).then(|| format!("{} counts as reached: {LOST}", rule.window)),
                }
            };
            Ok((rules.iter().zip(&tallies).map(usage).collect(), given))
        })
        .map_err(|error| unusable(config, via, &error))
}

/// The use of a limit that has not been counted yet.
fn unused(rule: &Rule) -> Usage {
    let limit = u64::from(rule.window.most);
    let what = format!("{}: {}", rule.whose, rule.window);
    Usage { what, whose: rule.whose.clone(), used: 0, limit, left: limit, next_free: None, lost: None }
}

/// Counts anew for a sender, the `default relay`, or a shared limit of that name; what is being sent at this moment still
/// counts once it is sent. Whether there is such a one. Limits that the sender shares with others stay as they are.
///
/// # Errors
/// The counters cannot be used.
pub fn reset(config: &Config, name: &str) -> Result<bool, LimitError> {
    let via = crate::queue::lane::find(config, name);
    let shared = config.limits.shared.iter().any(|limit| limit.name == name);
    let own = via.map(scope::subject);
    let subjects: Vec<String> = own.into_iter().chain(shared.then(|| format!("limit {name}"))).collect();
    if subjects.is_empty() {
        return Ok(false);
    }
    let failed = |error: &str| LimitError {
        what: format!("the limits in {}: {error}", file(config).display()),
        cause: error.into(),
    };
    let counters = opened(&file(config)).map_err(|error| failed(&error))?;
    let done = counters.with(reading(), Sync::Now, |view| {
        subjects.iter().try_for_each(|subject| view.reset(subject))?;
        Ok((true, true))
    });
    done.map_err(|error| failed(&error))
}

/// Where everything is counted.
#[must_use]
pub fn file(config: &Config) -> PathBuf {
    config.limits.file.clone().unwrap_or_else(|| config.queue.directory.join("limits.db"))
}

fn tallies(view: &View<'_>, rules: &[Rule]) -> rusqlite::Result<Vec<Tally>> {
    rules.iter().map(|rule| Ok(rule.tally(&view.mark, view.entries(&rule.series)?))).collect()
}

/// What may go, and whether reservations were given back for it.
fn look(view: &View<'_>, rules: &[Rule], wanted: u64) -> rusqlite::Result<(Room, bool)> {
    let room = || tallies(view, rules).map(|tallies| decision::room(&tallies, wanted, view.mark.at));
    let first = room()?;
    // Only where it matters: each of them costs a look at a process.
    if first.next.is_some() && give_back(view, rules)? {
        return Ok((room()?, true));
    }
    Ok((first, false))
}

fn give_back(view: &View<'_>, rules: &[Rule]) -> rusqlite::Result<bool> {
    let series: Vec<Series> = rules.iter().map(|rule| rule.series.clone()).collect();
    view.give_back(&series, &process::is_gone)
}

fn full(view: &View<'_>, rules: &[Rule], room: Room, next: Millis, ask: Ask<'_>) -> Full {
    let until = view.mark.wall(next);
    let time = chrono::DateTime::from_timestamp_millis(until).map(|time| time.with_timezone(&chrono::Local));
    let time = time.map_or_else(|| until.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S %z").to_string());
    let which = rules.get(room.limit);
    let known = which.is_none_or(|rule| !view.lost(&rule.series.0).is_ok_and(|lost| counts(view, rule, lost)));
    let what = which.map_or_else(String::new, |rule| format!("{} of {}", rule.window, rule.whose));
    let share = match ask.class {
        Class::Bulk if which.is_some_and(|rule| rule.ceiling < rule.window.most.into()) => ", but for what is reserved",
        _ => "",
    };
    let left = match room.recipients {
        0 => String::new(),
        left if ask.whole => format!(", {left} left for a message to {}", ask.recipients),
        _ => String::new(),
    };
    Full {
        until,
        what: match known {
            true => format!("the limit of {what} is reached{share}{left}; the next may go at {time}"),
            false => format!("the limit of {what} counts as reached, as {LOST}; the next may go at {time}"),
        },
        class: ask.class,
    }
}

/// Why a limit counts as reached that nobody knows the use of, and what ends that.
const LOST: &str = "its counters were damaged and begun anew (postrider senders reset takes it for unused)";

/// Whether what is not known of a limit still counts.
fn counts(view: &View<'_>, rule: &Rule, lost: Option<Entry>) -> bool {
    lost.is_some_and(|lost| rule.tally(&view.mark, vec![lost]).used(view.mark.at) > 0)
}

fn reading() -> Reading {
    Reading { wall: clock::millis(), boot: clock::boot().to_owned(), uptime: clock::uptime() }
}

/// A file of counters, open in this process, and which file it was.
type Open = (PathBuf, (u64, u64), Arc<Counters>);
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());
/// Recipients that this process has reservations for, by whose limit.
static IN_FLIGHT: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(config: &Config, via: Via<'_>) -> Result<Arc<Counters>, LimitError> {
    opened(&file(config)).map_err(|error| unusable(config, via, &error))
}

/// Opens a file once a process, and anew where another file has its name.
fn opened(path: &Path) -> Result<Arc<Counters>, String> {
    let which = || std::fs::metadata(path).map(|facts| (facts.dev(), facts.ino())).ok();
    let mut open = lock(&OPEN);
    let now = which();
    if let Some((.., counters)) = open.iter().find(|(known, id, _)| known == path && Some(*id) == now) {
        return Ok(counters.clone());
    }
    let counters = Arc::new(Counters::open(path)?);
    open.retain(|(known, ..)| known != path);
    if let Some(id) = which() {
        open.push((path.to_owned(), id, counters.clone()));
    }
    Ok(counters)
}

fn unusable(config: &Config, via: Via<'_>, error: &str) -> LimitError {
    LimitError {
        what: format!(
            "the limits of {} cannot be counted in {}: {error}; give [limits] file = \"...\" that this user may write, \
             run the daemon, or say limits = [] for none",
            scope::subject(via),
            file(config).display()
        ),
        cause: error.into(),
    }
}
