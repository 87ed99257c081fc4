//! Delivery from the queue: a dispatcher that claims what is due, and workers that deliver it lane by lane.
//!
//! Each lane has its own workers and connections, so that one that is slow or broken delays no other. Threads, messages
//! in memory and connections are bounded whatever the queue holds.

use super::bounce::Matter;
use super::delivery;
use super::dispatcher::Dispatcher;
use super::shared::{Shared, State};
use super::spoilt::spoilt;
use super::types::{Action, Fate, Filter, Halt, Pause, Queued, Recorded, StoreError};
use super::{Store, gone, lane};
use crate::config::Config;
use crate::sys::clock::{self, Deadline};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

pub use super::shared::Hooks;

/// Delivery from a queue, under way. It goes on until `stop`.
pub struct Runner {
    shared: Arc<Shared>,
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
    /// whatever kind of pause they have. What is in doubt waits its time out unless it is called by its number.
    ///
    /// # Errors
    /// The store's.
    pub fn retry(&self, filter: &Filter) -> Result<u64, StoreError> {
        let touched = self.shared.store.act(filter, &Action::again(filter), clock::millis())?;
        let paused = self.shared.lock().lanes.troubled();
        for lane in paused.into_iter().filter(|lane| filter.lane.as_ref().is_none_or(|only| only == lane)) {
            let there = Filter { lane: Some(lane.clone()), ..filter.clone() };
            if !self.shared.store.list(&there, 1)?.is_empty() {
                self.resume(&lane)?;
            }
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
            self.shared.keep_pause(lane, None)?;
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
            Err(StoreError::Text(why)) => return spoilt(self.shared.store.as_ref(), queued, &why).map(|()| false),
            text => text?,
        };
        let lines = delivery::last_words(queued, "5.0.0", WHY);
        let (host, usable) = (&self.shared.hooks.host, |lane: &str| self.shared.is_usable(lane));
        let report = delivery::report(config, host, queued, &text, Matter::Failed, &lines, &usable);
        let report = report.map_err(StoreError::Io)?;
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
