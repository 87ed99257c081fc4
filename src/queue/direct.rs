//! One run over a queue without the daemon: `sendmail -q` from cron. One thread, the daemon's schedule, the same attempt.

use super::delivery::{Host, Job, Ran, Tried};
use super::schedule::{self, Effect};
use super::spoilt::spoilt;
use super::types::{Busy, Millis, Pause, Queued, Recorded, StoreError};
use super::{Store, backup, gone, lane, telling};
use crate::config::Config;
use crate::deliver::courier::Courier;
use crate::deliver::trouble::Wait;
use crate::limits::{self, Full};
use crate::sys::clock;
use std::collections::HashMap;

/// Messages claimed at once.
const CLAIM: usize = 64;

/// Delivers what is due, each message once; how many messages were tried. `told` hears that number after each of them.
///
/// # Errors
/// The store's; what was tried before is recorded.
pub fn run(store: &dyn Store, config: &Config, host: &Host, told: &mut dyn FnMut(usize)) -> Result<usize, StoreError> {
    gone::release(store, config)?;
    let (now, halted) = (clock::millis(), store.halted()?);
    for halt in halted.iter().filter(|halt| !halt.holds(now)) {
        store.unhalt(&halt.lane, now)?;
    }
    let halted: Vec<Busy> =
        halted.iter().filter(|halt| halt.holds(now)).map(|halt| halt.lane.as_str().into()).collect();
    let paused = store.paused()?;
    divert(store, config, &paused, &halted)?;
    let pauses = paused.into_iter().map(|pause| (pause.lane.clone(), pause)).collect();
    let mut run = Run { store, config, host, courier: Courier::for_many(), at: None, broken: halted, pauses };
    let mut tried = 0;
    loop {
        let mut claimed = store.claim(clock::millis(), &run.broken, CLAIM)?;
        if claimed.is_empty() {
            break;
        }
        // Lane by lane, so that connections are kept; the sort leaves the order within a lane.
        claimed.sort_by(|a, b| a.lane.cmp(&b.lane));
        for queued in claimed {
            tried += usize::from(run.one(&queued)?);
            told(tried);
        }
    }
    run.courier.close();
    Ok(tried)
}

struct Run<'r> {
    store: &'r dyn Store,
    config: &'r Config,
    host: &'r Host,
    courier: Courier,
    /// The lane that the courier serves.
    at: Option<String>,
    /// Lanes that wait.
    broken: Vec<Busy>,
    /// Lanes that are or were paused and have not served since.
    pauses: HashMap<String, Pause>,
}

impl Run<'_> {
    /// Whether it was tried.
    fn one(&mut self, queued: &Queued) -> Result<bool, StoreError> {
        if self.broken.iter().any(|broken| broken.lane == queued.lane) {
            self.store.release_claim(queued.id)?;
            return Ok(false);
        }
        let Some(way) = lane::way(self.config, &queued.lane) else {
            gone::hold(self.store, std::slice::from_ref(queued))?;
            return Ok(false);
        };
        let broken = &self.broken;
        let usable = |lane: &str| broken.iter().all(|other| other.lane != lane);
        let owed = telling::owed(queued, clock::millis());
        if !owed.is_empty() {
            return telling::tell(self.store, self.config, self.host, queued, &owed, &usable).map(|()| false);
        }
        let message = match self.store.text(queued.id) {
            Err(StoreError::Gone) => return Ok(false),
            Err(StoreError::Text(why)) => return spoilt(self.store, queued, &why).map(|()| false),
            text => text?,
        };
        if self.at.as_ref() != Some(&queued.lane) {
            self.courier.close();
            self.at = Some(queued.lane.clone());
        }
        let pauses = self.pauses.get(&queued.lane).map_or(0, |pause| pause.times);
        let (config, host) = (self.config, self.host);
        let note = |results: &[Recorded]| {
            let noted = self.store.note(queued.id, clock::millis(), results);
            noted.inspect_err(|error| tracing::error!(queued = %queued.id, "who has it: {error}")).is_ok()
        };
        let job = Job { queued, message: &message, way, config, host, own: true, pauses, usable: &usable, note: &note };
        let mut tried = match job.run(&mut self.courier) {
            Ran::Tried(tried) => *tried,
            Ran::Idle => {
                self.store.release_claim(queued.id)?;
                return Ok(false);
            }
            Ran::Full(full) => {
                limited(self.store, &job, &full)?;
                return Ok(false);
            }
        };
        let recorded = telling::settled(self.store, queued.id, &tried.results, tried.telling.as_ref());
        if let Some(lease) = tried.lease.take() {
            lease.settle(limits::taken(&tried.attempt));
        }
        Tried::log(queued, &tried.attempt, &tried.results);
        recorded?;
        match tried.effect {
            Some(Effect::Pause) => {
                let pause = paused(self.pauses.remove(&queued.lane), queued, &tried);
                self.store.pause(&pause)?;
                self.broken.push(queued.lane.as_str().into());
            }
            Some(Effect::Serves) if pauses > 0 => {
                self.store.resume(&queued.lane, clock::millis())?;
                self.pauses.remove(&queued.lane);
            }
            Some(Effect::Serves | Effect::Doubtful) | None => {}
        }
        Ok(true)
    }
}

/// The pause that follows from an attempt, and from those before it.
fn paused(before: Option<Pause>, queued: &Queued, tried: &Tried) -> Pause {
    let now = clock::millis();
    let (times, since, known) = before.map_or((0, None, None), |pause| (pause.times, pause.since, pause.down));
    let length = Millis::try_from(schedule::pause(tried.wait, times).as_millis()).unwrap_or(Millis::MAX);
    Pause {
        lane: queued.lane.clone(),
        until: now.saturating_add(length),
        reason: tried.reason.clone(),
        times: times.saturating_add(1),
        since: since.or((!tried.ages).then_some(now)),
        firm: matches!(tried.wait, Wait::Firm(_)),
        down: tried.down.then_some(known.unwrap_or(now)),
    }
}

/// Gives what waits in lanes that are down to their backups.
fn divert(store: &dyn Store, config: &Config, paused: &[Pause], halted: &[Busy]) -> Result<(), StoreError> {
    let now = clock::millis();
    let halted = |lane: &str| halted.iter().any(|halt| halt.lane == lane);
    let usable = |lane: &str| !halted(lane) && paused.iter().all(|pause| pause.lane != lane || pause.until <= now);
    for pause in
        paused.iter().filter(|pause| !halted(&pause.lane) && pause.until > now && backup::is_due(config, pause, now))
    {
        while !backup::divert(store, config, pause, now, &usable)? {}
    }
    Ok(())
}

/// A message that finds no room goes over the sender that its own overflows to, or waits until there is room.
fn limited(store: &dyn Store, job: &Job<'_>, full: &Full) -> Result<(), StoreError> {
    let (queued, now) = (job.queued, clock::millis());
    if let Some(other) = job.overflow().filter(|other| (job.usable)(&other.name)) {
        let why = format!("{}; over sender {} instead", full.what, other.name);
        tracing::info!(queued = %queued.id, sender = queued.lane, via = other.name, reason = why, "overflow");
        match store.move_lane(queued.id, &other.name, &why) {
            Ok(()) | Err(StoreError::Gone) => {}
            Err(error) => return Err(error),
        }
        return store.release_claim(queued.id);
    }
    let results: Vec<Recorded> =
        queued.recipients.iter().filter(|one| one.due <= now).map(|one| job.waits(one, full, now)).collect();
    match store.record(queued.id, now, &results, None) {
        Err(StoreError::Gone) => Ok(()),
        recorded => recorded,
    }
}
