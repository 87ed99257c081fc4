//! The caller's own queue: without the daemon, `[queue] direct = "on-failure"` keeps there what could not be delivered for
//! now, and `sendmail -q` tries it again.
//!
//! It lies in `$XDG_STATE_HOME/postrider/queue`, or `~/.local/state/postrider/queue`, and is the caller's alone. What was
//! refused for good is never kept: the caller is told.

use super::surroundings::Surroundings;
use super::{desk, mailq, misconfigured};
use crate::cli::invocation::Options;
use crate::config::{Config, Direct};
use crate::daemon::overview::PauseLine;
use crate::deliver::trouble::{Permanence, Trouble, Wait};
use crate::deliver::{Attempt, Verdict};
use crate::envelope::Envelope;
use crate::exit::Status;
use crate::limits::{Class, Full};
use crate::message::address::Address;
use crate::queue::delivery::Host;
use crate::queue::schedule::{self, Times};
use crate::queue::sqlite::{SqliteStore, StoreConfig};
use crate::queue::{Fate, Filter, MessageId, Millis, NEVER, NewMessage, Pause, Recorded, Store, StoreError, direct};
use crate::report::progress::Progress;
use crate::report::{self, log};
use crate::route::Plan;
use crate::sys::{clock, random};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// What was kept.
#[derive(Debug)]
pub struct Kept {
    /// The attempt without the recipients that the message is kept for.
    pub rest: Attempt,
    /// How many they are.
    pub count: usize,
    /// Where.
    pub directory: PathBuf,
}

/// Keeps a message for the recipients that a later attempt may reach; `full` is the sending limit that some wait for. `None` where that is not configured, or there are
/// none.
///
/// # Errors
/// They could not be kept: why, one line.
pub fn keep(
    config: &Config,
    around: &Surroundings,
    options: &Options,
    plan: &Plan<'_>,
    attempt: &Attempt,
    full: Option<&Full>,
) -> Option<Result<Kept, String>> {
    if config.queue.direct != Direct::OnFailure {
        return None;
    }
    let now = clock::millis();
    let times = Times { created: now, now, attempts: 0, random: random::number(), pauses: 0 };
    let due = |trouble: &Trouble| match schedule::after(&config.queue, trouble, times) {
        // What only a person can mend, a person must hear of.
        Fate::Retry { due, .. } if trouble.permanence != Permanence::Permanent => Some(due),
        _ => None,
    };
    // Those that wait for a sending limit were not tried: they have their own time.
    let waits = |trouble: &Trouble| full.is_some_and(|full| trouble.what == full.what);
    let (limited, tried): (Vec<_>, Vec<_>) = attempt.troubles().partition(|(_, trouble)| waits(trouble));
    let later: Vec<(&Address, i64)> = tried.iter().filter_map(|(one, trouble)| Some((*one, due(trouble)?))).collect();
    let limited: Vec<Address> = limited.into_iter().map(|(one, _)| one.clone()).collect();
    let tried_again = later.iter().map(|(_, due)| *due).max();
    let due = tried_again.or(full.filter(|_| !limited.is_empty()).map(|full| full.until))?;
    let recipients: Vec<Address> =
        later.into_iter().map(|(one, _)| one.clone()).chain(limited.iter().cloned()).collect();
    let count = recipients.len();
    let unknown = attempt.troubles().filter(|(_, trouble)| trouble.permanence == Permanence::Unknown);
    let in_doubt: Vec<Address> = unknown.map(|(one, _)| one.clone()).collect();
    let envelope = Envelope::new(plan.envelope.from.clone(), recipients, plan.envelope.dsn.clone())?;
    let rest = without(attempt, &envelope);
    let accept = || -> Result<Kept, String> {
        let directory = desk::own_directory().ok_or("there is no home directory for a queue")?;
        let store = open(config, &directory).map_err(|error| error.to_string())?;
        let new = NewMessage {
            submission: random::token().map_err(|error| error.to_string())?,
            uid: around.who.uid,
            lane: plan.via.name(),
            header_from: plan.from.as_ref().map(ToString::to_string).unwrap_or_default(),
            envelope,
            tag: options.log_tag.clone(),
            message: plan.message.clone(),
            now,
            due,
            hold: None,
            report: false,
            bulk: plan.bulk.is_some(),
            counted: None,
            in_doubt,
        };
        let accepted = store.accept(new).map_err(|error| error.to_string())?;
        if let Some(pause) = firm(plan, attempt, now) {
            store.pause(&pause).map_err(|error| error.to_string())?;
        }
        if let Some(full) = full {
            note(&store, accepted.id, now, &limited, full);
        }
        Ok(Kept { rest, count, directory })
    };
    Some(accept())
}

/// Why and until when the caller lets nothing of a lane go (`postrider senders pause`); `None` where it may.
#[must_use]
pub fn halted(config: &Config, lane: &str) -> Option<Full> {
    let directory = desk::own_directory().filter(|directory| directory.join(desk::DATABASE).exists())?;
    let now = clock::millis();
    let halts = open(config, &directory).and_then(|store| store.halted()).unwrap_or_else(|error| {
        tracing::warn!("queue {}: {error}", directory.display());
        Vec::new()
    });
    let halt = halts.into_iter().find(|halt| halt.lane == lane && halt.holds(now))?;
    let until = halt.until.map(|until| mailq::time(until, &chrono::Local, "%Y-%m-%d %H:%M:%S %z"));
    let what = format!("the sender {}", mailq::paused(&PauseLine::halted(&halt), until));
    // Due at once, as the pause itself keeps it back: then it goes with the pause's end, whenever that is.
    Some(Full { until: now, what, class: Class::Single })
}

/// The pause that a queue run has to keep to, where the server has shut the account out for a fixed time.
fn firm(plan: &Plan<'_>, attempt: &Attempt, now: Millis) -> Option<Pause> {
    let troubles = attempt.troubles().map(|(_, trouble)| trouble);
    let trouble = troubles.into_iter().find(|trouble| matches!(trouble.wait, Wait::Firm(_)))?;
    let length = Millis::try_from(schedule::pause(trouble.wait, 0).as_millis()).unwrap_or(Millis::MAX);
    Some(Pause {
        lane: plan.via.name(),
        until: now.saturating_add(length),
        reason: trouble.line(&attempt.server, None),
        times: 1,
        since: Some(now),
        firm: true,
        down: None,
    })
}

/// Writes down what the recipients wait for that a sending limit keeps back, so that `mailq` can tell. It is kept whether that can be written or not.
fn note(store: &SqliteStore, id: MessageId, now: Millis, limited: &[Address], full: &Full) {
    let listed = store.list(&Filter { ids: vec![id], ..Filter::default() }, 1).unwrap_or_default();
    let results: Vec<Recorded> = listed
        .iter()
        .flat_map(|queued| queued.recipients.iter().map(move |one| (queued, one)))
        .filter(|(_, one)| limited.contains(&one.address))
        .map(|(queued, one)| Recorded {
            number: one.number,
            result: Fate::Retry { due: full.until, counts: false },
            said: full.what.clone(),
            via: queued.lane.clone(),
            unknown: one.unknown,
            reason: String::new(),
        })
        .collect();
    if let Err(error) = store.record(id, now, &results, None) {
        tracing::warn!("why {id} waits cannot be written down: {error}");
    }
}

/// `sendmail -q` without the daemon: one run over the caller's own queue, where there is one.
#[must_use]
pub fn run(program: &str, config: Option<PathBuf>, verbose: bool) -> Status {
    let Some(directory) = desk::own_directory().filter(|directory| directory.join(desk::DATABASE).exists()) else {
        return Status::Ok;
    };
    let around = Surroundings::look();
    let told = |what: &str, status| {
        report::stderr(&format!("{program}: {what}"));
        status
    };
    let config = match around.load(config) {
        Ok(config) => config,
        Err(errors) => return told(&misconfigured::line(&errors), Status::Config),
    };
    let _ = log::open(&config.log, program);
    let host = Host { name: around.hostname.clone(), uid: around.who.uid, home: around.who.home.clone(), keeper: None };
    let ran = open(&config, &directory).and_then(|store| {
        let mut progress = Progress::new("delivering");
        let queued = store.count()?;
        direct::run(&store, &config, &host, &mut |tried| progress.at(tried as u64, queued))?;
        drop(progress);
        left(&store)
    });
    match ran {
        // To a person: what cron runs again and again would be mailed to somebody each time.
        Ok(Some(left)) if verbose || std::io::stderr().is_terminal() => told(&left, Status::Ok),
        Ok(_) => Status::Ok,
        Err(error) => told(&format!("queue {}: {error}", directory.display()), Status::Unavailable),
    }
}

/// That many messages, with the verb.
fn are(count: u64) -> String {
    format!("{} {}", report::counted(count, "message"), if count == 1 { "is" } else { "are" })
}

/// What a run leaves in the queue, in words, where it leaves something.
fn left(store: &SqliteStore) -> Result<Option<String>, StoreError> {
    let (waiting, held) =
        store.loads()?.values().fold((0, 0), |(waiting, held), load| (waiting + load.waiting, held + load.held));
    let next = store.next_due()?.filter(|due| *due < NEVER);
    let first = next.map_or_else(String::new, |due| {
        format!(", the first is at {}", mailq::time(due, &chrono::Local, "%Y-%m-%d %H:%M:%S"))
    });
    let again = "mailq lists them; \"postrider queue retry --all\" and another run try them now";
    Ok(match (waiting, held) {
        (0, 0) => None,
        (0, held) => Some(format!("{} on hold (mailq says why)", are(held))),
        (waiting, 0) => Some(format!("{} not yet due{first} ({again})", are(waiting))),
        (waiting, held) => Some(format!("{} not yet due{first}, {held} on hold ({again})", are(waiting))),
    })
}

fn open(config: &Config, directory: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&StoreConfig { directory, min_free: config.queue.min_free, exclusive: false })
}

/// The attempt without these recipients.
fn without(attempt: &Attempt, kept: &Envelope) -> Attempt {
    let kept: std::collections::HashSet<&str> = kept.recipients().iter().map(Address::as_str).collect();
    let outcomes = attempt.outcomes.iter();
    let outcomes = outcomes
        .filter(|outcome| matches!(outcome.verdict, Verdict::Sent(_)) || !kept.contains(outcome.recipient.as_str()));
    Attempt { outcomes: outcomes.cloned().collect(), ..attempt.clone() }
}
