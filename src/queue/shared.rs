//! What the dispatcher and the workers of a queue share: the store, the configuration that holds, the lanes; and what a
//! message means for its lane once it was tried.

use super::delivery::Host;
use super::lanes::{Lanes, Why};
use super::schedule::Effect;
use super::types::{MessageId, Millis, Pause, Queued, StoreError};
use super::{Store, gone, lane};
use crate::config::Config;
use crate::deliver::trouble::Wait;
use crate::exit::Status;
use crate::limits::{Class, Full};
use crate::sys::clock::{self, Deadline};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest sleep of the dispatcher: so often the clock is looked at.
pub(super) const TICK: Duration = Duration::from_secs(20);
/// How often the store is told again what became of a lane meanwhile.
const AGREED: usize = 8;
/// However long a sending limit says to wait: so often it is looked at again, as it may have been reset or raised.
const LOOK: Millis = 60_000;

/// What the runner needs of its process.
pub struct Hooks {
    /// The host and the user.
    pub host: Host,
    /// Whether a caller waits for the message, and being told is enough: then a failure needs no bounce.
    pub is_enough: Box<dyn Fn(MessageId) -> bool + Send + Sync>,
    /// Is told the result of every attempt: the status for a caller that waits, and what went wrong.
    pub told: Box<dyn Fn(MessageId, Status, Option<String>) + Send + Sync>,
    /// Is told that a lane waits, and why.
    pub paused: Box<dyn Fn(&Pause) + Send + Sync>,
}

/// What dispatcher and workers share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) hooks: Hooks,
    pub(super) config: Mutex<Arc<Config>>,
    pub(super) state: Mutex<State>,
    /// For the dispatcher: something is new.
    pub(super) news: Condvar,
    /// For those who wait for the end. Workers without a message sleep on their lane's bell.
    pub(super) work: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) lanes: Lanes,
    pub(super) kicked: bool,
    pub(super) stopping: bool,
    pub(super) dispatching: bool,
}

/// What a message meant for its lane.
#[derive(Default)]
pub(super) struct Met {
    pub(super) effect: Option<Effect>,
    pub(super) reason: String,
    pub(super) wait: Wait,
    pub(super) down: bool,
    /// Its messages grow older while it waits.
    pub(super) ages: bool,
    /// Which sending limit the lane waits for.
    pub(super) full: Option<Full>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn config(&self) -> Arc<Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn kick(&self) {
        self.lock().kicked = true;
        self.news.notify_one();
    }

    pub(super) fn is_usable(&self, lane: &str) -> bool {
        self.lock().lanes.is_usable(lane, clock::millis())
    }

    pub(super) fn pauses(&self, lane: &str) -> u32 {
        self.lock().lanes.lane(lane).pauses
    }

    /// Does nothing for that long; false where the end comes first.
    pub(super) fn sleep(&self, length: Duration) -> bool {
        let deadline = Deadline::after(length);
        let mut state = self.lock();
        while let Some(left) = deadline.left().filter(|_| !state.stopping) {
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.stopping
    }

    /// The next message for a worker of a lane; `None` when it is to end.
    ///
    /// `served`: how many it has had.
    pub(super) fn next(&self, name: &str, served: u32) -> Option<Queued> {
        let begun = clock::instant();
        let mut state = self.lock();
        loop {
            let now = clock::millis();
            let ends = state.stopping || state.lanes.gives_way(name, served);
            let starved = state.lanes.starved;
            let lane = state.lanes.lane(name);
            if !ends && let Some(queued) = lane.next(now) {
                return Some(queued);
            }
            let left = lane.rules.idle.saturating_sub(clock::instant().saturating_duration_since(begun));
            let paced = lane.due_in(now).map(|wait| Duration::from_millis(wait.unsigned_abs()));
            if ends || left.is_zero() || starved {
                // Whoever waits for the pace, or for a thread in turn, is seen to by the dispatcher.
                if state.lanes.retire(name) {
                    state.kicked = true;
                    self.news.notify_one();
                }
                return None;
            }
            let bell = state.lanes.bell(name);
            let wait = paced.map_or(left, |paced| paced.min(left));
            state = bell.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A worker has done with a message.
    pub(super) fn done(&self, name: &str, bulk: bool, met: &Met) {
        let now = clock::millis();
        let mut state = self.lock();
        let lane = state.lanes.lane(name);
        lane.done(bulk);
        let mut opened = false;
        let paused = match met.effect {
            None => None,
            Some(Effect::Serves) => {
                opened = lane.serves(now);
                None
            }
            Some(Effect::Doubtful) if !lane.strike() => None,
            Some(effect) => {
                let ages = met.ages || effect == Effect::Doubtful;
                lane.pause(name, now, Why { reason: &met.reason, wait: met.wait, down: met.down, ages })
            }
        };
        let waits =
            met.full.as_ref().map(|full| (full, lane.wait(full.class == Class::Bulk, full.until.min(now + LOOK))));
        if opened || paused.is_some() || waits.is_some() || state.lanes.wants_more(name) {
            state.kicked = true;
            self.news.notify_one();
        }
        drop(state);
        if opened {
            tracing::info!(sender = name, "the sender's server serves again");
            logged(self.keep_pause(name, None));
        }
        if let Some((pause, back)) = paused {
            self.note_pause(&pause, &back);
        }
        if let Some((full, back)) = waits {
            self.note_limit(name, full, &back);
        }
    }

    /// The lane waits for its sending limit; its messages keep their place.
    fn note_limit(&self, name: &str, full: &Full, back: &[Queued]) {
        tracing::info!(
            sender = name,
            until = full.until,
            reason = full.what,
            "a sending limit is reached; messages wait"
        );
        self.give_back(back, &full.what);
    }

    pub(super) fn note_pause(&self, pause: &Pause, back: &[Queued]) {
        let seconds = (pause.until - clock::millis()).max(0) / 1000;
        let (name, reason) = (&pause.lane, &pause.reason);
        tracing::warn!(sender = name, seconds, reason, "the sender is paused; its messages wait");
        logged(self.keep_pause(name, Some(pause.clone())));
        self.give_back(back, reason);
        (self.hooks.paused)(pause);
    }

    /// Messages that were claimed wait again, for this reason.
    pub(super) fn give_back(&self, back: &[Queued], reason: &str) {
        for queued in back {
            logged(self.store.release_claim(queued.id));
            (self.hooks.told)(queued.id, Status::Ok, Some(format!("kept, not yet delivered: {reason}")));
        }
    }

    /// Messages whose sender is not configured wait until it is.
    pub(super) fn hold_gone(&self, all: &[Queued]) {
        match gone::hold(self.store.as_ref(), all) {
            Ok(told) => told.into_iter().for_each(|(id, why)| (self.hooks.told)(id, Status::Ok, Some(why))),
            Err(error) => tracing::error!("messages without a sender cannot be put on hold: {error}"),
        }
        // A configuration that was read meanwhile may have it again, and released what was on hold before.
        let config = self.config();
        if all.iter().any(|queued| lane::way(&config, &queued.lane).is_some()) {
            self.release_gone();
            self.kick();
        }
    }

    /// Messages go on that were on hold for want of their sender.
    pub(super) fn release_gone(&self) {
        if let Err(error) = gone::release(self.store.as_ref(), &self.config()) {
            tracing::error!("messages whose sender is back cannot be released: {error}");
        }
    }

    /// Paused lanes try one message.
    pub(super) fn open_lanes(&self) {
        let opened = self.lock().lanes.open();
        opened.iter().for_each(|name| logged(self.keep_pause(name, None)));
    }

    /// Writes a lane's pause or its end down. The lanes here and those of the store are not changed in one moment: where
    /// another thread paused or opened this one meanwhile, the store is told again, so that both agree in the end.
    pub(super) fn keep_pause(&self, name: &str, mut pause: Option<Pause>) -> Result<(), StoreError> {
        for _ in 0..AGREED {
            let now = clock::millis();
            match &pause {
                Some(pause) => self.store.pause(pause)?,
                None => self.store.resume(name, now)?,
            }
            let is = self.lock().lanes.trouble_of(name, now);
            // A pause that is over by itself stays known until its lane serves.
            if is == pause || is.is_none() && pause.is_some_and(|pause| pause.until <= now) {
                break;
            }
            pause = is;
        }
        Ok(())
    }
}

pub(super) fn logged(done: Result<(), StoreError>) {
    match done {
        // Deleted by an operator.
        Ok(()) | Err(StoreError::Gone) => {}
        Err(error) => tracing::error!("queue: {error}"),
    }
}
