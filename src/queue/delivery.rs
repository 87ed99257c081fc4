//! One attempt on one queued message: to the server, through the schedule, into results that can be recorded.
//!
//! The same for the daemon's workers and for `sendmail -q`. It changes nothing in the store.

use super::bounce::{self, Matter, Report};
use super::lane::Way;
use super::schedule::{self, Effect, Times};
use super::telling::{self, Telling};
use super::types::{Fate, Millis, NewMessage, Queued, QueuedRecipient, Recorded};
use super::{lane, reason, types};
use crate::config::{AtLimit, Config, Sender, TempFailExit, Via};
use crate::deliver::as_user::client::Keeper;
use crate::deliver::context::Context;
use crate::deliver::courier::Courier;
use crate::deliver::gate::Gate;
use crate::deliver::sorted::{self, Here};
use crate::deliver::status;
use crate::deliver::trouble::{self, Kind, Permanence, Trouble, Wait};
use crate::deliver::{Attempt, Outcome, Verdict};
use crate::envelope::Envelope;
use crate::exit::Status;
use crate::limits::{self, Ask, Class, Full, Lease, Leave, LimitError};
use crate::message::Message;
use crate::message::address::Address;
use crate::report::{log, transcript::Transcripts};
use crate::route::authors;
use crate::secret::fetch::{self, FetchContext};
use crate::smtp::reply::Reply;
use crate::sys::{clock, random};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What of this host and process a delivery needs.
#[derive(Clone, Debug)]
pub struct Host {
    /// The host's name: for EHLO where the account has none, and in reports.
    pub name: String,
    /// Who must own secret files, besides root: the process's user.
    pub uid: u32,
    /// The home directory, for `~/.netrc`.
    pub home: Option<PathBuf>,
    /// Who runs programs as other users, where the daemon may have that.
    pub keeper: Option<Arc<Keeper>>,
}

/// What an attempt is made with.
pub struct Job<'j> {
    /// The message.
    pub queued: &'j Queued,
    /// Its text.
    pub message: &'j Message,
    /// What delivers in its lane.
    pub way: Way<'j>,
    /// The configuration.
    pub config: &'j Config,
    /// The host.
    pub host: &'j Host,
    /// It is in its user's own queue.
    pub own: bool,
    /// How often the lane was paused in a row.
    pub pauses: u32,
    /// Whether a lane is not paused, for reports.
    pub usable: &'j dyn Fn(&str) -> bool,
    /// Writes down who has the message, before it goes to others; false where that was not possible.
    pub note: &'j dyn Fn(&[Recorded]) -> bool,
}

/// What an attempt came to.
#[derive(Debug)]
pub struct Tried {
    /// For the store.
    pub results: Vec<Recorded>,
    /// A bounce or a warning, for the store.
    pub telling: Option<Telling>,
    /// What it says of the lane; `None` where it says nothing.
    pub effect: Option<Effect>,
    /// Why the lane waits, where it does.
    pub reason: String,
    /// How long it waits.
    pub wait: Wait,
    /// Its server cannot be used at all.
    pub down: bool,
    /// Its messages grow older meanwhile.
    pub ages: bool,
    /// The status for a caller that waits: 0 where all was sent or is kept.
    pub status: Status,
    /// What went wrong, one line.
    pub text: Option<String>,
    /// The attempt itself.
    pub attempt: Attempt,
    /// The sending limits' reservation, to be settled once the results are recorded; rules have none.
    pub lease: Option<Lease>,
}

/// What became of a job.
#[derive(Debug)]
pub enum Ran {
    /// No recipient was due.
    Idle,
    /// A sending limit is reached; nothing was tried.
    Full(Full),
    /// An attempt was made, perhaps for some of those that were due.
    Tried(Box<Tried>),
}

impl Tried {
    /// Writes the log's line; once the store has the results, so that a slow log cannot make a message arrive twice.
    pub fn log(queued: &Queued, attempt: &Attempt, results: &[Recorded]) {
        let later = results.iter().filter(|one| matches!(one.result, Fate::Retry { .. })).count();
        log::attempted(queued, attempt, later);
    }
}

impl Job<'_> {
    /// A recipient that waits for a sending limit; it was not tried. Never due at once.
    pub(super) fn waits(&self, one: &QueuedRecipient, full: &Full, now: Millis) -> Recorded {
        Recorded {
            number: one.number,
            result: Fate::Retry { due: full.until.max(now.saturating_add(1000)), counts: false },
            said: full.what.clone(),
            via: self.queued.lane.clone(),
            unknown: false,
            reason: String::new(),
        }
    }

    /// Tries the recipients that are due, as many of them as sending limits let go.
    #[must_use]
    pub fn run(&self, courier: &mut Courier) -> Ran {
        let now = clock::millis();
        let is_due = |one: &&QueuedRecipient| one.due <= now && one.failed.is_none();
        let mut due: Vec<&QueuedRecipient> = self.queued.recipients.iter().filter(is_due).collect();
        if due.is_empty() {
            return Ran::Idle;
        }
        let via = match self.way {
            Way::Account(via) => via,
            // One at a time: what was delivered to one is on disk before the next, and no crash delivers it twice.
            Way::Rule(order) => {
                due.truncate(1);
                let floor = self.config.queue.min_free;
                let here = Here { host: &self.host.name, floor, keeper: self.host.keeper.as_deref() };
                let attempt = sorted::attempt(order, here, self.queued, due[0], self.message);
                return Ran::Tried(Box::new(self.judge(&due, attempt, None)));
            }
        };
        let class = self.class();
        let besides = self.limiting(via);
        let ask = Ask { recipients: due.len(), class, whole: false, besides: &besides };
        let lease = match limits::reserve(self.config, via, ask) {
            Ok(Leave::Go(lease)) => lease,
            Ok(Leave::Full(full)) => return Ran::Full(full),
            Err(error) => {
                return Ran::Tried(Box::new(self.judge(&due, self.uncounted(&due, &error), None)));
            }
        };
        due.truncate(lease.allowed(due.len()));
        let Some(envelope) = self.queued.envelope(&due) else { return Ran::Idle };
        let attempt = self.attempt(via, courier, &due, &envelope, &lease);
        Ran::Tried(Box::new(self.judge(&due, attempt, Some(lease))))
    }

    /// Which share of sending limits is there for the message.
    #[must_use]
    pub fn class(&self) -> Class {
        if self.queued.bulk { Class::Bulk } else { Class::Single }
    }

    /// Senders whose limits hold for the message besides those of the account that carries it: the one that it was
    /// accepted for, where it goes over a backup. Of others it was counted when it was accepted, and what rules forward is
    /// nobody's; but what is in a user's own queue was counted by nobody.
    fn limiting(&self, via: Via<'_>) -> Vec<&Sender> {
        if self.own {
            return authors::limiting(self.config, &self.message.header, via);
        }
        let from = self.queued.moved.as_ref().map(|moved| moved.from.as_str());
        let senders = self.config.senders.iter();
        senders.filter(|sender| Some(sender.name.as_str()) == from && limits::refuses(Via::Sender(sender))).collect()
    }

    /// Whether it waits for itself alone where it finds no room, as the lane's other mail may well go.
    #[must_use]
    pub fn waits_alone(&self) -> bool {
        matches!(self.way, Way::Account(via) if !self.limiting(via).is_empty())
    }

    /// Whether other mail of the lane goes elsewhere where its sender has no room.
    #[must_use]
    pub fn overflows(&self) -> bool {
        let Way::Account(via) = self.way else { return false };
        limits::scope::profile(via).is_some_and(|sender| matches!(sender.limits.at_limit, AtLimit::Overflow(..)))
    }

    /// The sender that takes the message over where its own has no room. A message goes to another lane once, and never
    /// where the server may have it already.
    #[must_use]
    pub fn overflow(&self) -> Option<&Sender> {
        let unknown = self.queued.recipients.iter().any(|one| one.unknown);
        let Way::Account(via) = self.way else { return None };
        if self.queued.moved.is_some() || unknown {
            return None;
        }
        limits::overflow(self.config, via, self.class()).unwrap_or_else(|error| {
            tracing::error!(queued = %self.queued.id, "{error}");
            None
        })
    }

    /// An attempt that ended before it began.
    fn uncounted(&self, due: &[&QueuedRecipient], error: &LimitError) -> Attempt {
        let verdict = || Verdict::Failed(trouble::judge_counters(&error.what));
        let outcome = |one: &&QueuedRecipient| Outcome { recipient: one.address.clone(), verdict: verdict() };
        Attempt {
            outcomes: due.iter().map(outcome).collect(),
            server: "nothing was sent".into(),
            tls: "none",
            login: None,
            size: self.message.wire_size(),
            elapsed: std::time::Duration::ZERO,
            staged: 0,
        }
    }

    fn attempt(
        &self,
        via: Via<'_>,
        courier: &mut Courier,
        due: &[&QueuedRecipient],
        envelope: &Envelope,
        lease: &Lease,
    ) -> Attempt {
        let relay = via.relay();
        let mut transcripts = Transcripts::open(via, false);
        let fetching = FetchContext::of(relay, self.host.uid, self.host.home.as_deref(), false);
        let mut context = Context {
            host: &self.host.name,
            transcript: &mut transcripts,
            secret: &|source, limit| {
                fetch::fetch(source, &FetchContext { limit, ..fetching }).map_err(|error| error.to_string())
            },
            gate: Gate::of(self.config, via.name()),
            before_mail: &|| lease.begin(),
            taken: &|taken| self.taken(due, taken),
        };
        let attempt = courier.attempt(relay, envelope, self.message, &mut context);
        transcripts.result(&attempt);
        attempt
    }

    /// The message goes to others yet: that these have it is written down before, so that a crash sends it to none twice.
    fn taken(&self, due: &[&QueuedRecipient], taken: &[(&Address, &Reply)]) -> bool {
        let replies: HashMap<String, &Reply> =
            taken.iter().map(|(recipient, reply)| (recipient.canonical(), *reply)).collect();
        let sent = |recipient: &&QueuedRecipient| {
            Some(Recorded {
                number: recipient.number,
                result: Fate::Sent,
                said: replies.get(&recipient.address.canonical())?.to_string(),
                via: self.queued.lane.clone(),
                unknown: false,
                reason: String::new(),
            })
        };
        (self.note)(&due.iter().filter_map(sent).collect::<Vec<_>>())
    }

    fn judge(&self, due: &[&QueuedRecipient], attempt: Attempt, lease: Option<Lease>) -> Tried {
        let now = clock::millis();
        let verdicts: HashMap<String, &Verdict> =
            attempt.outcomes.iter().map(|outcome| (outcome.recipient.canonical(), &outcome.verdict)).collect();
        let (random, via) = (random::number(), self.queued.lane.clone());
        let mut results = Vec::new();
        for recipient in due {
            let Some(verdict) = verdicts.get(&recipient.address.canonical()) else { continue };
            let created = self.queued.aged_from(now);
            let times = Times { created, now, attempts: recipient.attempts, random, pauses: self.pauses };
            let (result, said) = match verdict {
                Verdict::Sent(reply) => (Fate::Sent, reply.to_string()),
                Verdict::Failed(trouble) => {
                    (schedule::after(&self.config.queue, trouble, times), trouble.line(&attempt.server, None))
                }
            };
            let unknown = matches!(verdict, Verdict::Failed(trouble) if trouble.permanence == Permanence::Unknown);
            let reason = match verdict {
                Verdict::Sent(_) => String::new(),
                Verdict::Failed(trouble) => reason::of(trouble, result),
            };
            results.push(Recorded { number: recipient.number, result, said, via: via.clone(), unknown, reason });
        }
        let later = results.iter().filter(|one| matches!(one.result, Fate::Retry { .. })).count();
        let firmness = |trouble: &Trouble| (schedule::effect(trouble), schedule::pause(trouble.wait, self.pauses));
        let worst = attempt.troubles().map(|(_, trouble)| trouble).max_by_key(|trouble| firmness(trouble));
        let ages = worst.is_some_and(schedule::ages);
        let (status, text) = summary(&attempt, &results, later);
        Tried {
            telling: self.telling(due, &attempt, &results, now),
            results,
            // What bounced leaves its place to the next, which may be as old.
            effect: worst.map(schedule::effect).filter(|_| !(ages && later == 0)),
            ages,
            reason: worst.map(|trouble| trouble.line(&attempt.server, None)).unwrap_or_default(),
            wait: worst.map(|trouble| trouble.wait).unwrap_or_default(),
            down: worst.is_some_and(Trouble::is_down),
            status,
            text,
            attempt,
            lease,
        }
    }

    /// A bounce where recipients failed for good, else a warning where that is due.
    fn telling(
        &self,
        due: &[&QueuedRecipient],
        attempt: &Attempt,
        results: &[Recorded],
        now: Millis,
    ) -> Option<Telling> {
        let failed = results.iter().any(|one| one.result == Fate::Failed);
        let late = schedule::is_late(&self.config.queue, self.queued.created, now) && !self.queued.warned;
        let matter = match failed {
            true => Matter::Failed,
            false if late && results.iter().any(|one| one.result != Fate::Sent) => {
                Matter::Delayed(schedule::expires(&self.config.queue, self.queued.aged_from(now)))
            }
            false => return None,
        };
        let troubles: HashMap<String, &Trouble> =
            attempt.troubles().map(|(address, trouble)| (address.canonical(), trouble)).collect();
        let about = due.iter().zip(results).filter(|(_, result)| match matter {
            Matter::Failed => result.result == Fate::Failed,
            Matter::Delayed(_) => result.result != Fate::Sent,
        });
        let (lines, failed): (Vec<bounce::Line>, Vec<_>) = about
            .filter_map(|(recipient, result)| {
                let trouble = troubles.get(&recipient.address.canonical())?;
                let line = bounce::Line::of(recipient, trouble, &attempt.server, matter);
                let failure = telling::failure(&line, &result.reason);
                Some((line, (recipient.number, failure)))
            })
            .unzip();
        let failed = if matter == Matter::Failed { failed } else { Vec::new() };
        // A report must not wait for what the message waited for in vain.
        let stuck = attempt.troubles().any(|(_, trouble)| schedule::ages(trouble));
        let usable = |lane: &str| !(stuck && lane == self.queued.lane) && (self.usable)(lane);
        match report(self.config, self.host, self.queued, self.message, matter, &lines, &usable) {
            Ok(None) => None,
            mail => Some(Telling { mail: mail.ok().flatten(), failed }),
        }
    }
}

/// A report about a message, where anybody is to be told; what keeps it from being made is logged.
///
/// # Errors
/// It cannot be composed for now: why, one line.
pub fn report(
    config: &Config,
    host: &Host,
    queued: &Queued,
    original: &Message,
    matter: Matter,
    lines: &[bounce::Line],
    usable: &dyn Fn(&str) -> bool,
) -> Result<Option<NewMessage>, String> {
    let unsent = |why: &str| {
        if matter == Matter::Failed {
            let to: Vec<&str> = lines.iter().map(|line| line.address.as_str()).take(10).collect();
            tracing::error!(queued = %queued.id, sender = queued.lane, to = to.join(","), "nobody is told: {why}");
        }
    };
    let later = |why: &str| {
        tracing::error!(queued = %queued.id, sender = queued.lane, "no report can be composed for now: {why}");
        why.to_owned()
    };
    let lines = bounce::wanted(queued, lines, matter);
    let to = bounce::addressee(queued, matter, config.queue.postmaster.as_ref()).filter(|_| !lines.is_empty());
    let Some(to) = to else {
        unsent("there is nobody to tell, or nobody wants to know; queue.postmaster gets what has no sender");
        return Ok(None);
    };
    let Some(route) = lane::for_report(config, queued, usable) else {
        unsent("no account to send a report over");
        return Ok(None);
    };
    let token = random::token().map_err(|error| later(&format!("no random number: {error}")))?;
    let lines = &lines;
    let report = Report { matter, queued, original, lines, to, route, host: &host.name, now: clock::now(), token };
    report.message().map(Some).map_err(|why| later(&why))
}

/// Lines about recipients of which only the last word is known.
#[must_use]
pub fn last_words(queued: &Queued, status: &str, otherwise: &str) -> Vec<bounce::Line> {
    let line = |recipient: &types::QueuedRecipient| bounce::Line {
        address: recipient.address.clone(),
        original: recipient.dsn.orcpt.clone(),
        status: status.into(),
        said: recipient.last.clone().unwrap_or_else(|| otherwise.into()),
        server: None,
    };
    queued.recipients.iter().map(line).collect()
}

/// For a caller that waits: what is kept is safe, which is status 0; what failed for good is not.
fn summary(attempt: &Attempt, results: &[Recorded], later: usize) -> (Status, Option<String>) {
    let refused =
        |trouble: &Trouble| trouble.kind == Kind::RecipientRefused && trouble.permanence == Permanence::Permanent;
    let failed = results.iter().filter(|one| one.result == Fate::Failed).count();
    let Some((recipient, first)) = attempt.troubles().next() else { return (Status::Ok, None) };
    if failed == 0 {
        return (Status::Ok, Some(format!("kept, not yet delivered: {}", first.line(&attempt.server, None))));
    }
    // A retried recipient's failure says less than one that is final.
    let last = attempt.troubles().find(|(_, trouble)| trouble.permanence == Permanence::Permanent);
    let (recipient, trouble) = last.unwrap_or((recipient, first));
    let mut line = trouble.line(&attempt.server, Some(recipient));
    if failed > 1 {
        line.push_str(&format!("; and {} more recipients", failed - 1));
    }
    let status = match failed < attempt.outcomes.len() {
        true => Status::Unavailable,
        false if attempt.troubles().all(|(_, trouble)| refused(trouble)) => Status::NoUser,
        false => status::of_trouble(trouble, TempFailExit::Unavailable),
    };
    if later > 0 {
        line.push_str("; the others are tried again");
    }
    (status, Some(line))
}
