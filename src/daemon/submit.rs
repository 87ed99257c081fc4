//! A message that was handed over: planned with the daemon's configuration for the peer's user, kept, and with `-odi`
//! waited for.
//!
//! Everything that would be refused in-process is refused here in the same words and with the same status.

use super::brake::Who;
use super::parcels::{self, new_messages, not_kept};
use super::peer::Peer;
use super::protocol::{Submit, Verdict};
use super::turns::Large;
use super::{Daemon, Summary};
use crate::cli::invocation::{DeliveryMode, ErrorMode, Options};
use crate::commands::surroundings::Surroundings;
use crate::config::{Config, Sender, Via};
use crate::exit::{Contract, Status};
use crate::limits::{self, Ask, Class, Full, Lease, Leave};
use crate::message::Message;
use crate::message::read::{self, ReadRules};
use crate::queue::{Accepted, Filter, MessageId, NEXT_RUN, NewMessage};
use crate::report::log;
use crate::route::{self, Plan, authors, local};
use crate::sys::clock::{self, Deadline};
use crate::sys::random;
use crate::sys::spool::Spool;
use crate::sys::users::Caller;
use std::time::Duration;

/// How long a client may wait for the result.
const WAIT: Duration = Duration::from_secs(5 * 60);
/// From here on a message is large: worked on one at a time.
const LARGE: u64 = 64 << 10;
/// How long one waits for its turn; a client waits longer for its answer.
const TURN: Duration = Duration::from_secs(60);
/// Octets of a header block that are worked on; beyond that it is no mail but an attack on memory.
const HEADER: u64 = 4 << 20;

/// Takes a message; what the client is told. Where it waits for the result, the delivery was begun; otherwise whoever
/// called begins it, once the client has its answer.
pub fn submit(daemon: &Daemon, peer: Peer, asked: Submit, text: Spool, turn: Option<Large<'_>>) -> Verdict {
    if asked.id.len() != 32 || !asked.id.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Verdict::refused(Status::Protocol, "the submission's id is not 32 hex digits".into());
    }
    // The command line checks it too, but whoever is on the socket need not be our command line.
    let envid = asked.dsn.envid.as_deref().unwrap_or("x");
    if envid.is_empty() || envid.len() > 100 || !envid.bytes().all(|octet| (0x20..0x7f).contains(&octet)) {
        return Verdict::refused(Status::Usage, "-V takes 1 to 100 printable ASCII characters".into());
    }
    let around = Surroundings::of(Caller::of(peer.uid, peer.gid));
    let wait = waits(&asked);
    let begun = wait.then(|| daemon.waiters.begin(asked.errors == ErrorMode::Mail));
    let (accepted, lane, kept) = match keep(daemon, &around, &asked, text, turn) {
        // Nothing happens to it until somebody releases it: there is nothing to wait for.
        Ok(Kept { accepted, hold: Some(hold), .. }) => {
            return Verdict { text: Some(format!("kept, on hold: {hold}")), ..kept(accepted.id) };
        }
        Ok(Kept { accepted, lane, hold: None }) => (accepted, lane, kept(accepted.id)),
        Err((status, what)) => {
            log::refused(&what, status, asked.tag.as_deref(), peer.uid);
            return Verdict::refused(status, what);
        }
    };
    // A resend may be of a message that has long been delivered: there is nothing to wait for.
    let Some(begun) = begun.filter(|_| !accepted.again || is_queued(daemon, accepted.id)) else { return kept };
    daemon.host.kick();
    let paused = || daemon.host.paused(&lane).map(|text| Summary { status: Status::Ok, text: Some(text) });
    match begun.on(accepted.id, &lane, Deadline::after(WAIT), paused) {
        Some(Summary { status, text }) => Verdict { status: status.code(), text, ..kept },
        None => Verdict { text: Some("kept, not yet delivered".into()), ..kept },
    }
}

/// Whether the client wants the real result. With `-oee` it wants status 0 and a bounce, which needs no waiting.
fn waits(asked: &Submit) -> bool {
    asked.delivery == DeliveryMode::Wait && asked.errors != ErrorMode::MailAndSucceed
}

fn kept(id: MessageId) -> Verdict {
    Verdict { status: Status::Ok.code(), kept: true, queued: Some(id.to_string()), text: None }
}

/// Whether a message that was kept before is queued and not on hold.
fn is_queued(daemon: &Daemon, id: MessageId) -> bool {
    let filter = Filter { ids: vec![id], held: Some(false), ..Filter::default() };
    daemon.store.list(&filter, 1).is_ok_and(|found| !found.is_empty())
}

/// A message that is on disk.
pub(super) struct Kept {
    pub accepted: Accepted,
    pub lane: String,
    /// Why it is on hold, where it is.
    pub hold: Option<String>,
}

/// Reads, plans and keeps the message.
fn keep(
    daemon: &Daemon,
    around: &Surroundings,
    asked: &Submit,
    text: Spool,
    turn: Option<Large<'_>>,
) -> Result<Kept, (Status, String)> {
    let _alone = match turn {
        Some(turn) => Some(turn),
        None => alone(daemon, around.who.uid, text.len())?,
    };
    let message = message(text)?;
    queue(daemon, around, asked, message)
}

/// Leave to work on a message of that size for a user, or a client by its number: a large one waits until no other is
/// worked on.
///
/// # Errors
/// Its turn did not come.
pub(super) fn alone(daemon: &Daemon, user: u32, octets: u64) -> Result<Option<Large<'_>>, (Status, String)> {
    if octets <= LARGE {
        return Ok(None);
    }
    large(daemon, user).map(Some).ok_or_else(too_many)
}

fn too_many() -> (Status, String) {
    (Status::Unavailable, "too many messages are coming in at once; nothing was kept, try again later".into())
}

/// A turn at something large; `None` where it did not come.
pub(super) fn large(daemon: &Daemon, user: u32) -> Option<Large<'_>> {
    daemon.limits.large.take(user, Deadline::after(TURN)).map(Large::new)
}

/// Reads what came as a message.
pub(super) fn message(text: Spool) -> Result<Message, (Status, String)> {
    let message = read::read(&mut text.reader(0), ReadRules { dot_ends: false });
    let message = message.map_err(|error| (error.status(), error.to_string()))?;
    drop(text);
    if message.header.wire_size() > HEADER {
        return Err((Status::Data, format!("the message's header is larger than {} MiB", HEADER >> 20)));
    }
    Ok(message)
}

/// Plans a message and keeps it: when this returns, it is on disk.
pub(super) fn queue(
    daemon: &Daemon,
    around: &Surroundings,
    asked: &Submit,
    message: Message,
) -> Result<Kept, (Status, String)> {
    let (config, options) = (daemon.live.get(), options(asked));
    let request = around.request(&config, &options);
    let mut found = local::sort(&config, &request, &message).map_err(|error| (error.status, error.what))?;
    let parts = std::mem::take(&mut found.parts);
    let who = Who::of(&around.who, &message.header);
    if found.rest.is_none() {
        // Everybody is here: no account is needed.
        let leaves = parts.iter().any(|part| part.forward).then_some(&who);
        let new =
            new_messages(around.who.uid, asked.id.to_ascii_lowercase(), asked.tag.clone(), parts, clock::millis());
        let new = new.map_err(|what| (Status::Os, what))?;
        let (accepted, hold) = parcels::keep(daemon, &config, leaves, new).map_err(not_kept)?;
        log_sorted(&accepted, &found, asked, around);
        return Ok(Kept { accepted, lane: found.lanes.join(", "), hold });
    }
    let options = found.rest.take().unwrap_or(options);
    let request = around.request(&config, &options);
    let plan = route::plan(&config, &request, message).map_err(|error| (error.status, error.what))?;
    // One after the other, so that each sees those before it in the queue.
    let besides = authors::limiting(&config, &plan.message.header, plan.via);
    let refuses = limits::refuses(plan.via) || !besides.is_empty();
    let _turn = match refuses {
        true => Some(daemon.refusing.take(around.who.uid, Deadline::after(TURN)).ok_or_else(too_many)?),
        false => None,
    };
    refuse_beyond(daemon, &config, &plan, plan.via)?;
    let counted = besides.iter().map(|sender| count(daemon, &config, &plan, sender)).collect::<Result<Vec<_>, _>>()?;
    let mut new = parcels::split(new_message(&plan, around, asked)).map_err(|what| (Status::Os, what))?;
    if !parts.is_empty() {
        // The submission's id stands for all of it.
        let id = random::token().map_err(|error| (Status::Os, format!("no random number: {error}")))?;
        let now = around.now.timestamp_millis();
        let others = new_messages(around.who.uid, id, asked.tag.clone(), parts, now);
        new.extend(others.map_err(|what| (Status::Os, what))?);
    }
    let (accepted, hold) = parcels::keep(daemon, &config, Some(&who), new).map_err(not_kept)?;
    if !accepted.again {
        let recipients = plan.envelope.recipients().len();
        counted.into_iter().for_each(|lease| lease.settle(recipients));
    }
    log_sorted(&accepted, &found, asked, around);
    let id = accepted.id.to_string();
    log::queued(&plan, &id, accepted.again, asked.tag.as_deref(), around.who.uid);
    Ok(Kept { accepted, lane: plan.via.name(), hold })
}

/// What the rules took of a message.
fn log_sorted(accepted: &Accepted, found: &local::Sorted, asked: &Submit, around: &Surroundings) {
    if !found.lanes.is_empty() {
        let (lanes, tag) = (found.lanes.join(", "), asked.tag.as_deref().unwrap_or_default());
        tracing::info!(queued = %accepted.id, lanes, uid = around.who.uid, tag, "sorted");
    }
}

/// Where the sender says so, a message for which its limits leave no room is refused now.
fn refuse_beyond(daemon: &Daemon, config: &Config, plan: &Plan<'_>, via: Via<'_>) -> Result<(), (Status, String)> {
    let ask = ask(plan);
    // What the queue cannot tell is not there: the limit itself holds at delivery.
    let queued = || daemon.store.waiting(&via.name()).unwrap_or_default();
    match limits::refusal(config, via, ask, queued) {
        Ok(None) => Ok(()),
        Ok(Some(full)) => Err(beyond(via, &full)),
        Err(error) => Err((Status::Unavailable, format!("{error}; nothing was kept"))),
    }
}

/// The same of a sender that has an address in From of a message that goes over another account: nobody counts it at
/// delivery, so that it counts from now on. Dropped, it does not.
fn count(daemon: &Daemon, config: &Config, plan: &Plan<'_>, sender: &Sender) -> Result<Lease, (Status, String)> {
    let via = Via::Sender(sender);
    refuse_beyond(daemon, config, plan, via)?;
    match limits::reserve(config, via, ask(plan)) {
        Ok(Leave::Go(lease)) => Ok(lease),
        Ok(Leave::Full(full)) => Err(beyond(via, &full)),
        Err(error) => Err((Status::Unavailable, format!("{error}; nothing was kept"))),
    }
}

fn ask(plan: &Plan<'_>) -> Ask<'static> {
    let class = if plan.bulk.is_some() { Class::Bulk } else { Class::Single };
    Ask { recipients: plan.envelope.recipients().len(), class, whole: true, besides: &[] }
}

fn beyond(via: Via<'_>, full: &Full) -> (Status, String) {
    (Status::Unavailable, format!("{}: {}; nothing was kept", via.name(), full.what))
}

fn new_message(plan: &Plan<'_>, around: &Surroundings, asked: &Submit) -> NewMessage {
    let now = around.now.timestamp_millis();
    NewMessage {
        submission: asked.id.to_ascii_lowercase(),
        uid: around.who.uid,
        lane: plan.via.name(),
        header_from: plan.from.as_ref().map_or_else(String::new, ToString::to_string),
        envelope: plan.envelope.clone(),
        tag: asked.tag.clone(),
        message: Message::clone(&plan.message),
        now,
        due: if asked.delivery == DeliveryMode::Queue { NEXT_RUN } else { now },
        hold: None,
        report: false,
        bulk: plan.bulk.is_some(),
        counted: None,
        in_doubt: Vec::new(),
    }
}

/// The command line as it was.
fn options(asked: &Submit) -> Options {
    Options {
        from: asked.from.clone(),
        full_name: asked.full_name.clone(),
        extract: asked.extract,
        ignore_dots: true,
        account: asked.account.clone(),
        delivery: asked.delivery,
        errors: asked.errors,
        dsn: asked.dsn.clone(),
        log_tag: asked.tag.clone(),
        verbose: false,
        read_envelope_from: asked.read_envelope_from,
        contract: Contract::default(),
        recipients: asked.recipients.clone(),
    }
}
