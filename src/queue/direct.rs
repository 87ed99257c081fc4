//! One run over a queue without the daemon: `sendmail -q` from cron. One thread, the daemon's schedule, the same attempt.

use super::delivery::{Host, Job, Tried};
use super::schedule::{self, Effect};
use super::types::{Millis, Queued, StoreError};
use super::{Store, gone, lane};
use crate::config::Config;
use crate::deliver::courier::Courier;
use crate::sys::clock;
use std::collections::HashMap;

/// Messages claimed at once.
const CLAIM: usize = 64;

/// Delivers what is due, each message once; how many messages were tried. `told` hears that number after each of them.
///
/// # Errors
/// The store's; what was tried before is recorded.
pub fn run(
    store: &dyn Store,
    config: &Config,
    host: &Host,
    told: &mut dyn FnMut(usize),
) -> Result<usize, StoreError> {
    gone::release(store, config)?;
    let pauses = store.paused()?.into_iter().map(|pause| (pause.lane, pause.times)).collect();
    let mut run = Run { store, config, host, courier: Courier::for_many(), at: None, broken: Vec::new(), pauses };
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
    broken: Vec<String>,
    /// Pauses in a row.
    pauses: HashMap<String, u32>,
}

impl Run<'_> {
    /// Whether it was tried.
    fn one(&mut self, queued: &Queued) -> Result<bool, StoreError> {
        if self.broken.contains(&queued.lane) {
            self.store.release_claim(queued.id)?;
            return Ok(false);
        }
        let Some(via) = lane::find(self.config, &queued.lane) else {
            gone::hold(self.store, std::slice::from_ref(queued))?;
            return Ok(false);
        };
        let message = match self.store.text(queued.id) {
            Err(StoreError::Gone) => return Ok(false),
            text => text?,
        };
        if self.at.as_ref() != Some(&queued.lane) {
            self.courier.close();
            self.at = Some(queued.lane.clone());
        }
        let pauses = self.pauses.get(&queued.lane).copied().unwrap_or_default();
        let broken = &self.broken;
        let usable = |lane: &str| broken.iter().all(|other| other != lane);
        let (config, host) = (self.config, self.host);
        let job = Job { queued, message: &message, via, config, host, pauses, usable: &usable };
        let Some(tried) = job.run(&mut self.courier) else {
            self.store.release_claim(queued.id)?;
            return Ok(false);
        };
        let recorded = self.store.record(queued.id, clock::millis(), &tried.results, tried.report);
        Tried::log(queued, &tried.attempt, &tried.results);
        recorded?;
        match tried.effect {
            Effect::Pause => {
                let length = Millis::try_from(schedule::pause(pauses).as_millis()).unwrap_or(Millis::MAX);
                self.store.pause(&queued.lane, Some(clock::millis().saturating_add(length)), &tried.reason)?;
                self.broken.push(queued.lane.clone());
            }
            Effect::Serves if pauses > 0 => {
                self.store.pause(&queued.lane, None, "")?;
                self.pauses.remove(&queued.lane);
            }
            Effect::Serves | Effect::Doubtful => {}
        }
        Ok(true)
    }
}
