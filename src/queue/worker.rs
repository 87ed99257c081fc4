//! A worker: a thread that delivers the messages of one lane, one after the other, over a connection that it keeps.
//!
//! The result of a message is on disk before the next one is taken. What the store does not take is offered again until
//! it does: a message that was sent must not be sent again for want of a note.

use super::delivery::{Job, Ran, Tried};
use super::lane::Way;
use super::schedule::Times;
use super::shared::{Met, Shared, TICK, logged};
use super::spoilt::spoilt;
use super::telling::{self, Telling};
use super::types::{Failure, Fate, MessageId, Millis, Queued, QueuedRecipient, Recorded, StoreError};
use super::{lane, schedule};
use crate::config::Config;
use crate::deliver::courier::Courier;
use crate::exit::Status;
use crate::limits::{self, Full};
use crate::sys::clock;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// The first and the longest wait for a store that takes nothing.
const STORE_WAIT: Duration = Duration::from_millis(500);
const STORE_LONGEST: Duration = Duration::from_secs(30);
/// How long a message that waits alone for a limit is left alone, milliseconds.
const PUT_OFF: Millis = 300_000;

/// Serves a lane until there is nothing to do for a while.
/// `bulk` says at any time whether the message in hand is.
pub(super) fn run(shared: &Shared, name: &str, bulk: &Cell<bool>) {
    let mut courier = Courier::for_many();
    let mut known: Option<Arc<Config>> = None;
    let mut served = 0;
    while let Some(queued) = shared.next(name, served) {
        bulk.set(queued.bulk);
        served += 1;
        let config = shared.config();
        if known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &config)) {
            // The account may be another one now.
            courier.close();
            known = Some(config.clone());
        }
        let effect = serve(shared, &config, &queued, &mut courier);
        shared.done(name, queued.bulk, &effect);
    }
    courier.close();
}

/// One message: text, attempt, result on disk, and whoever waits is told.
fn serve(shared: &Shared, config: &Config, queued: &Queued, courier: &mut Courier) -> Met {
    let nothing = Met::default();
    let Some(way) = lane::way(config, &queued.lane) else {
        shared.hold_gone(std::slice::from_ref(queued));
        return nothing;
    };
    let usable = |lane: &str| shared.is_usable(lane);
    let owed = telling::owed(queued, clock::millis());
    if !owed.is_empty() {
        tell(shared, config, queued, &owed, &usable);
        return nothing;
    }
    let message = match shared.store.text(queued.id) {
        Ok(message) => message,
        Err(StoreError::Text(why)) => {
            logged(spoilt(shared.store.as_ref(), queued, &why));
            (shared.hooks.told)(queued.id, Status::Ok, Some(format!("kept, on hold: {why}")));
            return nothing;
        }
        Err(error) => {
            unreadable(shared, config, queued, &error);
            return nothing;
        }
    };
    let pauses = shared.pauses(&queued.lane);
    let (host, note) = (&shared.hooks.host, |results: &[Recorded]| note(shared, queued.id, results));
    let job = Job { queued, message: &message, way, config, host, own: false, pauses, usable: &usable, note: &note };
    let tried = match job.run(courier) {
        Ran::Tried(tried) => *tried,
        Ran::Idle => {
            let _ = shared.store.release_claim(queued.id);
            return nothing;
        }
        Ran::Full(full) => return Met { full: limited(shared, &job, full), ..nothing },
    };
    let Tried { results, telling, effect, reason, wait, down, ages, status, text, attempt, lease } = tried;
    // Whoever waits hears of the failure at once, and not by mail as well.
    let telling = telling.filter(|_| status == Status::Ok || !(shared.hooks.is_enough)(queued.id));
    let reported = telling.is_some();
    record(shared, queued.id, &results, telling.as_ref());
    let full = lease.as_ref().and_then(|lease| lease.rest().cloned()).filter(|_| !job.waits_alone());
    let split = full.is_none() && lease.as_ref().is_some_and(|lease| lease.rest().is_some());
    if let Some(lease) = lease {
        lease.settle(limits::taken(&attempt));
    }
    Tried::log(queued, &attempt, &results);
    (shared.hooks.told)(queued.id, status, text);
    // A rule delivers to one recipient at a time.
    if reported || split || is_soon(&results) || matches!(way, Way::Rule(_)) && queued.recipients.len() > 1 {
        shared.kick();
    }
    Met { effect, reason, wait, down, ages, full }
}

/// Whether somebody is due again before the dispatcher looks by itself.
fn is_soon(results: &[Recorded]) -> bool {
    let tick = Millis::try_from(TICK.as_millis()).unwrap_or(Millis::MAX);
    let next = clock::millis().saturating_add(tick);
    results.iter().any(|one| matches!(one.result, Fate::Retry { due, .. } if due < next))
}

/// A message that finds no room goes over the sender that its own overflows to, or waits: then the whole lane does, so
/// that its messages keep their order.
fn limited(shared: &Shared, job: &Job<'_>, full: Full) -> Option<Full> {
    let queued = job.queued;
    let usable = job.overflow().filter(|other| (job.usable)(&other.name));
    let moved = usable.map(|other| {
        let why = format!("{}; over sender {} instead", full.what, other.name);
        (shared.store.move_lane(queued.id, &other.name, &why), other, why)
    });
    let over = match moved {
        Some((Ok(()), other, why)) => {
            tracing::info!(queued = %queued.id, sender = queued.lane, via = other.name, reason = why, "overflow");
            true
        }
        Some((Err(StoreError::Gone), ..)) => true,
        Some((Err(error), ..)) => {
            tracing::error!(queued = %queued.id, "it cannot go over another sender: {error}");
            false
        }
        None => false,
    };
    let kept = format!("kept, not yet delivered: {}", full.what);
    if !over && (queued.moved.is_some() && job.overflows() || job.waits_alone()) {
        // It goes nowhere else any more, but the lane's other mail does, and must not wait behind it.
        put_off(shared, job, full);
        (shared.hooks.told)(queued.id, Status::Ok, Some(kept));
        return None;
    }
    let _ = shared.store.release_claim(queued.id);
    if over {
        shared.kick();
        return None;
    }
    (shared.hooks.told)(queued.id, Status::Ok, Some(kept));
    Some(full)
}

/// A message alone waits for a limit; looked at again sooner where that is far, as the limit may be another one then.
fn put_off(shared: &Shared, job: &Job<'_>, full: Full) {
    let now = clock::millis();
    let full = Full { until: full.until.min(now.saturating_add(PUT_OFF)), ..full };
    let due = job.queued.recipients.iter().filter(|one| one.due <= now && one.failed.is_none());
    let results: Vec<Recorded> = due.map(|one| job.waits(one, &full, now)).collect();
    record(shared, job.queued.id, &results, None);
}

/// Somebody hears of failures of before, of which no report could be kept then.
fn tell(
    shared: &Shared,
    config: &Config,
    queued: &Queued,
    owed: &[(&QueuedRecipient, &Failure)],
    usable: &dyn Fn(&str) -> bool,
) {
    match telling::compose(shared.store.as_ref(), config, &shared.hooks.host, queued, owed, usable) {
        Ok(Some((results, telling))) => record(shared, queued.id, &results, telling.as_ref()),
        Ok(None) => {}
        Err(error) => {
            telling::postponed(queued.id, &error);
            let failed = owed.iter().map(|(one, failure)| (one.number, (*failure).clone())).collect();
            record(shared, queued.id, &[], Some(&Telling { mail: None, failed }));
        }
    }
    shared.kick();
}

/// A text that cannot be read now may be readable later; one that is gone was deleted.
fn unreadable(shared: &Shared, config: &Config, queued: &Queued, error: &StoreError) {
    if matches!(error, StoreError::Gone) {
        tracing::info!(queued = %queued.id, "deleted before its turn");
        return;
    }
    tracing::error!(queued = %queued.id, "its text cannot be read: {error}; it stays in the queue");
    let now = clock::millis();
    let again = |attempts| {
        let times = Times { created: now, now, attempts, random: 0, pauses: 0 };
        Fate::Retry { due: schedule::later(&config.queue, times), counts: true }
    };
    let results: Vec<Recorded> = queued
        .recipients
        .iter()
        .filter(|one| one.failed.is_none())
        .map(|one| Recorded {
            number: one.number,
            result: again(one.attempts),
            said: format!("the stored text cannot be read: {error}"),
            via: queued.lane.clone(),
            unknown: false,
            reason: "message unreadable".into(),
        })
        .collect();
    record(shared, queued.id, &results, None);
}

/// Writes down who has a message that goes to others yet, as long as it may take; whether it is.
fn note(shared: &Shared, id: MessageId, results: &[Recorded]) -> bool {
    let mut wait = STORE_WAIT;
    loop {
        match shared.store.note(id, clock::millis(), results) {
            Ok(()) => return true,
            Err(StoreError::Gone) => {
                tracing::warn!(queued = %id, "deleted during the attempt; the others do not get it");
                return false;
            }
            Err(error) => tracing::error!(queued = %id, "who has it cannot be written down: {error}; trying on"),
        }
        if !shared.sleep(wait) {
            return false;
        }
        wait = (wait * 2).min(STORE_LONGEST);
    }
}

/// Writes the result down, however long that takes; only the end of the process ends it. Where the report about it does not
/// fit, the failure is kept in its place, and told of later.
fn record(shared: &Shared, id: MessageId, results: &[Recorded], telling: Option<&Telling>) {
    let store = shared.store.as_ref();
    let mut wait = STORE_WAIT;
    // A commit may fail for a reason that is over a moment later.
    for tried in 0u32.. {
        let whole = telling::record(store, id, results, telling, false);
        let recorded = match whole {
            Err(error) if telling.is_some() && tried > 0 && !matches!(error, StoreError::Gone) => {
                let later = telling::record(store, id, results, telling, true);
                later.inspect(|()| telling::postponed(id, &error))
            }
            whole => whole,
        };
        match recorded {
            Ok(()) => return,
            Err(StoreError::Gone) => {
                tracing::warn!(queued = %id, "deleted during the attempt; the result is not kept");
                return;
            }
            Err(error) => tracing::error!(queued = %id, "the result cannot be written down: {error}; trying on"),
        }
        if !shared.sleep(wait) {
            tracing::error!(queued = %id, "the result is lost: the message may be sent again after the restart");
            return;
        }
        wait = (wait * 2).min(STORE_LONGEST);
    }
}
