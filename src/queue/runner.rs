//! Delivery from the queue: a dispatcher that claims what is due, and workers that deliver it lane by lane.
//!
//! Each lane has its own workers and connections, so that one that is slow or broken delays no other. Threads, messages
//! in memory and connections are bounded whatever the queue holds.

use super::bounce::Matter;
use super::delivery::{self, Host};
use super::dispatcher::Dispatcher;
use super::lane;
use super::lanes::{Lanes, Why};
use super::schedule::Effect;
use super::types::{Action, Fate, Filter, Halt, MessageId, Millis, Pause, Queued, Recorded, StoreError};
use super::worker::Met;
use super::{Store, gone};
use crate::config::Config;
use crate::exit::Status;
use crate::limits::{Class, Full};
use crate::sys::clock::{self, Deadline};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

/// Delivery from a queue, under way. It goes on until `stop`.
pub struct Runner {
    shared: Arc<Shared>,
}

/// What dispatcher and workers share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) hooks: Hooks,
    config: Mutex<Arc<Config>>,
    state: Mutex<State>,
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
    dispatching: bool,
}

/// Starts delivering what is in the store.
///
/// # Errors
/// Where there is no thread for it.
pub fn start(store: Arc<dyn Store>, config: Arc<Config>, hooks: Hooks) -> io::Result<Runner> {
    let state = Mutex::new(State { dispatching: true, ..State::default() });
    let config = Mutex::new(config);
    let (news, work) = (Condvar::new(), Condvar::new());
    let shared = Arc::new(Shared { store, hooks, config, state, news, work });
    let own = shared.clone();
    std::thread::Builder::new().name("dispatcher".into()).spawn(move || {
        Dispatcher::new(&own).run();
        own.lock().dispatching = false;
        own.work.notify_all();
    })?;
    Ok(Runner { shared })
}

impl Runner {
    /// Something new is due.
    pub fn kick(&self) {
        self.shared.kick();
    }

    /// Makes messages due at once: how many. Without a user in the filter paused lanes try again too, but for those whose
    /// pause has a fixed length.
    ///
    /// # Errors
    /// The store's.
    pub fn flush(&self, filter: &Filter) -> Result<u64, StoreError> {
        let touched = self.shared.store.act(filter, &Action::Retry, clock::millis())?;
        if filter.uid.is_none() {
            self.shared.open_lanes();
        }
        self.kick();
        Ok(touched)
    }

    /// Makes messages due at once, as an operator says who knows why: how many. The lanes that they wait in try again
    /// whatever kind of pause they have.
    ///
    /// # Errors
    /// The store's.
    pub fn retry(&self, filter: &Filter) -> Result<u64, StoreError> {
        let mut lanes = std::collections::BTreeSet::new();
        gone::pages(self.shared.store.as_ref(), filter.clone(), &mut |page| {
            lanes.extend(page.iter().map(|queued| queued.lane.clone()));
            Ok(())
        })?;
        let touched = self.shared.store.act(filter, &Action::Retry, clock::millis())?;
        for lane in lanes {
            self.resume(&lane)?;
        }
        self.kick();
        Ok(touched)
    }

    /// Ends the pause of a lane, of whatever kind: one message is tried, and what waited goes on where it is served.
    /// Whether it was paused.
    ///
    /// # Errors
    /// The store's; then the lane is open until the process ends.
    pub fn resume(&self, lane: &str) -> Result<bool, StoreError> {
        let was = self.shared.lock().lanes.resume(lane);
        if was {
            tracing::info!(sender = lane, "the sender tries again, as an operator says");
            self.shared.store.resume(lane, clock::millis())?;
            self.kick();
        }
        Ok(was)
    }

    /// Pauses a lane as an operator says; what is under way ends. It outlives this process.
    ///
    /// # Errors
    /// The store's; nothing was changed.
    pub fn halt(&self, halt: &Halt) -> Result<(), StoreError> {
        self.shared.store.halt(halt)?;
        let back = {
            let mut state = self.shared.lock();
            state.lanes.lane(&halt.lane).halt(halt.clone())
        };
        self.shared.give_back(&back, &halt.as_pause().reason);
        (self.shared.hooks.paused)(&halt.as_pause());
        Ok(())
    }

    /// Opens a lane, whoever or whatever paused it. Whether it was paused.
    ///
    /// # Errors
    /// The store's; then the lane is open until the process ends.
    pub fn open(&self, lane: &str) -> Result<bool, StoreError> {
        let halted = self.shared.lock().lanes.unhalt(lane);
        self.shared.store.unhalt(lane, clock::millis())?;
        let troubled = self.resume(lane)?;
        self.kick();
        Ok(halted || troubled)
    }

    /// Sending limits were reset, of a lane or of all: they are looked at again.
    pub fn limits_changed(&self, lane: Option<&str>) {
        self.shared.lock().lanes.forget_limits(lane);
        self.kick();
    }

    /// Whether a lane waits for a sending limit.
    #[must_use]
    pub fn is_limited(&self, lane: &str) -> bool {
        self.shared.lock().lanes.limited(clock::millis()).iter().any(|limited| limited == lane)
    }

    /// How many connections a lane has or is making.
    #[must_use]
    pub fn connections(&self, lane: &str) -> usize {
        self.shared.lock().lanes.connections(lane)
    }

    /// Sends messages back to where they came from: how many. What is being sent at this moment is left alone.
    ///
    /// # Errors
    /// The store's.
    pub fn bounce(&self, filter: &Filter) -> Result<u64, StoreError> {
        let config = self.shared.config();
        let mut count = 0;
        // The reports that this makes come into the queue behind, and must not be sent back themselves.
        let start = clock::millis();
        let ours = |queued: &Queued| queued.report && queued.created >= start;
        let meant = |queued: &&Queued| !queued.claimed && !ours(queued);
        gone::pages(self.shared.store.as_ref(), filter.clone(), &mut |page| {
            for queued in page.iter().filter(meant) {
                count += u64::from(self.send_back(&config, queued)?);
            }
            Ok(())
        })?;
        self.kick();
        Ok(count)
    }

    fn send_back(&self, config: &Config, queued: &Queued) -> Result<bool, StoreError> {
        const WHY: &str = "sent back by the operator";
        let text = match self.shared.store.text(queued.id) {
            Err(StoreError::Gone) => return Ok(false),
            text => text?,
        };
        let lines = delivery::last_words(queued, "5.0.0", WHY);
        let (host, usable) = (&self.shared.hooks.host, |lane: &str| self.shared.is_usable(lane));
        let report = delivery::report(config, host, queued, &text, Matter::Failed, &lines, &usable);
        let results: Vec<Recorded> = queued
            .recipients
            .iter()
            .map(|one| Recorded {
                number: one.number,
                result: Fate::Failed,
                said: one.last.as_ref().map_or(WHY.to_owned(), |last| format!("{WHY}; before that: {last}")),
                via: queued.lane.clone(),
                unknown: false,
                reason: WHY.to_owned(),
            })
            .collect();
        match self.shared.store.record(queued.id, clock::millis(), &results, report) {
            Err(StoreError::Gone) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Goes on with another configuration: connections are made anew, paused lanes try again (but for those whose pause has
    /// a fixed length), and messages go on whose sender is back.
    pub fn reload(&self, config: Arc<Config>) {
        let rules = |lane: &str| lane::way(&config, lane).map(|way| lane::Rules::new(&config, way));
        self.shared.lock().lanes.govern(rules);
        *self.shared.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        self.shared.open_lanes();
        self.shared.release_gone();
        self.kick();
    }

    /// Whether a lane is paused: its messages wait.
    #[must_use]
    pub fn is_paused(&self, lane: &str) -> bool {
        !self.shared.is_usable(lane)
    }

    /// How a lane is paused, where it is.
    #[must_use]
    pub fn pause_of(&self, lane: &str) -> Option<Pause> {
        self.shared.lock().lanes.pause_of(lane, clock::millis())
    }

    /// Ends: takes nothing new, and waits so long for what is under way. Whether all of it ended.
    pub fn stop(&self, grace: Duration) -> bool {
        let deadline = Deadline::after(grace);
        let mut state = self.shared.lock();
        state.stopping = true;
        state.lanes.ring_all();
        self.shared.news.notify_all();
        self.shared.work.notify_all();
        // No worker takes any more, so that nobody else has these.
        for id in state.lanes.take_back() {
            let _ = self.shared.store.release_claim(id);
        }
        while state.lanes.threads > 0 || state.dispatching {
            let Some(left) = deadline.left() else { return false };
            state = self.shared.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
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
                let doubtful = effect == Effect::Doubtful;
                lane.pause(name, now, Why { reason: &met.reason, wait: met.wait, down: met.down, doubtful })
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
            logged(self.store.resume(name, now));
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
        logged(self.store.pause(pause));
        self.give_back(back, reason);
        (self.hooks.paused)(pause);
    }

    /// Messages that were claimed wait again, for this reason.
    fn give_back(&self, back: &[Queued], reason: &str) {
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
    fn open_lanes(&self) {
        let opened = self.lock().lanes.open();
        let now = clock::millis();
        opened.iter().for_each(|name| logged(self.store.resume(name, now)));
    }
}

pub(super) fn logged(done: Result<(), StoreError>) {
    match done {
        // Deleted by an operator.
        Ok(()) | Err(StoreError::Gone) => {}
        Err(error) => tracing::error!("queue: {error}"),
    }
}
