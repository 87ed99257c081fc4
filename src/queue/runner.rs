//! Delivery from the queue: a dispatcher that claims what is due, and workers that deliver it lane by lane.
//!
//! Each lane has its own workers and connections, so that one that is slow or broken delays no other. Threads, messages
//! in memory and connections are bounded whatever the queue holds.

use super::bounce::Matter;
use super::delivery::{self, Host};
use super::lanes::Lanes;
use super::schedule::{self, Effect};
use super::types::{Action, Fate, Filter, MessageId, Millis, NEXT_RUN, Queued, Recorded, StoreError};
use super::worker::{self, Met};
use super::{Store, gone, lane};
use crate::config::Config;
use crate::exit::Status;
use crate::limits::{Class, Full};
use crate::sys::clock::{self, Deadline};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Messages claimed at once.
const CLAIM: usize = 64;
/// The longest sleep of the dispatcher: so often the clock is looked at.
const TICK: Duration = Duration::from_secs(20);
/// How long it waits after the store failed.
const STORE_WAIT: Duration = Duration::from_secs(5);
/// How often messages of paused lanes are looked through for a warning that is due, and the housekeeping is done.
const SWEEP: Duration = Duration::from_secs(60);
/// However long a sending limit says to wait: so often it is looked at again, as it may have been reset or raised.
const LOOK: Millis = 60_000;
/// Messages looked through at a time.
const PAGE: usize = 2000;
/// What is due later than this was written by a clock that was wrong, unless it waits for a run of the queue.
const FAR: Millis = 3 * 86_400_000;
/// What is due later than this waits for a run of the queue.
const NEVER: Millis = NEXT_RUN / 2;

/// What the runner needs of its process.
pub struct Hooks {
    /// The host and the user.
    pub host: Host,
    /// Whether a caller waits for the message, and being told is enough: then a failure needs no bounce.
    pub is_enough: Box<dyn Fn(MessageId) -> bool + Send + Sync>,
    /// Is told the result of every attempt: the status for a caller that waits, and what went wrong.
    pub told: Box<dyn Fn(MessageId, Status, Option<String>) + Send + Sync>,
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
    news: Condvar,
    /// For those who wait for the end. Workers without a message sleep on their lane's bell.
    work: Condvar,
}

#[derive(Default)]
struct State {
    lanes: Lanes,
    kicked: bool,
    stopping: bool,
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

    /// Makes messages due at once: how many. Without a user in the filter paused lanes try again too.
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
            })
            .collect();
        match self.shared.store.record(queued.id, clock::millis(), &results, report) {
            Err(StoreError::Gone) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Goes on with another configuration: connections are made anew, paused lanes try again, and messages go on whose
    /// sender is back.
    pub fn reload(&self, config: Arc<Config>) {
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
    fn lock(&self) -> MutexGuard<'_, State> {
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
    pub(super) fn next(&self, name: &str) -> Option<Queued> {
        let idle = Deadline::after(worker::IDLE);
        let mut state = self.lock();
        loop {
            let connections = self.config().queue.connections;
            if !state.stopping
                && let Some(queued) = state.lanes.lane(name).next(clock::millis(), connections)
            {
                return Some(queued);
            }
            let Some(left) = idle.left().filter(|_| !state.lanes.starved && !state.stopping) else {
                state.lanes.retire(name);
                return None;
            };
            let bell = state.lanes.bell(name);
            state = bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A worker has done with a message.
    pub(super) fn done(&self, name: &str, met: &Met) {
        let (now, connections) = (clock::millis(), self.config().queue.connections);
        let mut state = self.lock();
        let lane = state.lanes.lane(name);
        lane.done();
        let mut opened = false;
        let paused = match met.effect {
            None => None,
            Some(Effect::Serves) => {
                opened = lane.serves();
                None
            }
            Some(Effect::Doubtful) if !lane.strike() => None,
            Some(Effect::Doubtful | Effect::Pause) => lane.pause(now),
        };
        let waits =
            met.full.as_ref().map(|full| (full, lane.wait(full.class == Class::Bulk, full.until.min(now + LOOK))));
        if opened || paused.is_some() || waits.is_some() || state.lanes.wants_more(name, connections) {
            state.kicked = true;
            self.news.notify_one();
        }
        drop(state);
        if opened {
            tracing::info!(sender = name, "the sender's server serves again");
            logged(self.store.pause(name, None, ""));
        }
        if let Some((until, back)) = paused {
            self.note_pause(name, until, &met.reason, &back);
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
        for queued in back {
            logged(self.store.release_claim(queued.id));
            (self.hooks.told)(queued.id, Status::Ok, Some(format!("kept, not yet delivered: {}", full.what)));
        }
    }

    fn note_pause(&self, name: &str, until: Millis, reason: &str, back: &[Queued]) {
        let seconds = (until - clock::millis()).max(0) / 1000;
        tracing::warn!(sender = name, seconds, reason, "the sender is paused; its messages wait");
        logged(self.store.pause(name, Some(until), reason));
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
    }

    /// Messages go on that were on hold for want of their sender.
    fn release_gone(&self) {
        if let Err(error) = gone::release(self.store.as_ref(), &self.config()) {
            tracing::error!("messages whose sender is back cannot be released: {error}");
        }
    }

    /// Paused lanes try one message.
    fn open_lanes(&self) {
        let opened = self.lock().lanes.open();
        opened.iter().for_each(|name| logged(self.store.pause(name, None, "")));
    }
}

fn logged(done: Result<(), StoreError>) {
    match done {
        // Deleted by an operator.
        Ok(()) | Err(StoreError::Gone) => {}
        Err(error) => tracing::error!("queue: {error}"),
    }
}

/// Takes a worker off the books however it ends.
struct Employed {
    shared: Arc<Shared>,
    lane: String,
}

impl Drop for Employed {
    fn drop(&mut self) {
        let fell = std::thread::panicking();
        if fell {
            // Its message stays claimed until the restart, so that it does not fell the next one at once.
            tracing::error!(sender = self.lane, "a worker failed; its message waits for a restart");
        }
        self.shared.lock().lanes.end(&self.lane, fell);
        self.shared.work.notify_all();
        self.shared.news.notify_one();
    }
}

/// The thread that claims.
struct Dispatcher<'s> {
    shared: &'s Arc<Shared>,
    /// The two clocks at the last look.
    seen: (Millis, Instant),
    swept: Option<Instant>,
    /// How far messages were looked through for warnings.
    warned_to: Option<MessageId>,
}

impl<'s> Dispatcher<'s> {
    fn new(shared: &'s Arc<Shared>) -> Self {
        Self { shared, seen: (clock::millis(), clock::instant()), swept: None, warned_to: None }
    }

    fn run(&mut self) {
        self.take_up();
        while let Some(now) = self.awake() {
            let pause = match self.round(now) {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!("queue: {error}");
                    STORE_WAIT
                }
            };
            self.sleep(pause);
        }
    }

    /// What an earlier process left: pauses, holds that are over, and times of a clock that was wrong.
    fn take_up(&self) {
        let now = clock::millis();
        match self.shared.store.paused() {
            Ok(pauses) => {
                let mut state = self.shared.lock();
                for pause in pauses {
                    let lane = state.lanes.lane(&pause.lane);
                    // No pause is longer than an hour, whatever the clock said.
                    lane.pauses = pause.times;
                    lane.until = pause.until.min(now + 3_600_000);
                }
            }
            Err(error) => tracing::error!("queue: {error}"),
        }
        self.shared.release_gone();
        if let Ok(Some(due)) = self.shared.store.next_due()
            && due > now + FAR
            && due < NEVER
        {
            tracing::warn!("the queue was written by a clock that was ahead; its times are set back");
            logged(self.shared.store.shift(now - due));
        }
    }

    /// The time, or `None` at the end. Notices that the wall clock was set.
    fn awake(&mut self) -> Option<Millis> {
        let mut state = self.shared.lock();
        if state.stopping {
            return None;
        }
        state.kicked = false;
        let (now, instant) = (clock::millis(), clock::instant());
        let (wall, monotonic) = self.seen;
        self.seen = (now, instant);
        if let Some(by) = schedule::jump(now - wall, instant.saturating_duration_since(monotonic)) {
            state.lanes.shift(by);
            drop(state);
            tracing::warn!(seconds = by / 1000, "the clock was set; the schedule goes with it");
            logged(self.shared.store.shift(by));
        }
        Some(now)
    }

    /// Claims what is due and sees that there are workers for it; how long there is nothing to do.
    fn round(&mut self, now: Millis) -> Result<Duration, StoreError> {
        self.sweep(now)?;
        let full = self.shared.lock().lanes.full(now);
        let claimed = self.shared.store.claim(now, &full, CLAIM)?;
        let (some, all) = (!claimed.is_empty(), claimed.len() == CLAIM);
        self.distribute(claimed);
        self.hire(now);
        if all {
            return Ok(Duration::ZERO);
        }
        let opening = self.shared.lock().lanes.next_opening(now);
        let next = self.shared.store.next_due()?.into_iter().chain(opening).min();
        let wait = next.map_or(TICK, |next| Duration::from_millis(next.saturating_sub(now).max(0).unsigned_abs()));
        // What is due and was not claimed waits for a worker, who says when.
        let least = if some { Duration::from_millis(50) } else { Duration::from_secs(1) };
        Ok(wait.clamp(if wait.is_zero() { least } else { Duration::from_millis(1) }, TICK))
    }

    fn distribute(&self, claimed: Vec<Queued>) {
        let config = self.shared.config();
        let (ours, gone): (Vec<Queued>, Vec<Queued>) =
            claimed.into_iter().partition(|queued| lane::way(&config, &queued.lane).is_some());
        let mut state = self.shared.lock();
        let back: Vec<Queued> = ours.into_iter().filter_map(|queued| state.lanes.add(queued)).collect();
        state.lanes.ring();
        drop(state);
        back.iter().for_each(|queued| logged(self.shared.store.release_claim(queued.id)));
        if !gone.is_empty() {
            self.shared.hold_gone(&gone);
        }
    }

    fn hire(&self, now: Millis) {
        let connections = self.shared.config().queue.connections;
        let mut state = self.shared.lock();
        let hired = state.lanes.hire(now, connections);
        if state.lanes.starved {
            state.lanes.ring_all();
        }
        drop(state);
        for lane in hired {
            let employed = Employed { shared: self.shared.clone(), lane };
            let (name, lane) = (format!("lane {}", employed.lane), employed.lane.clone());
            let worker = move || worker::run(&employed.shared, &employed.lane);
            if let Err(error) = std::thread::Builder::new().name(name).spawn(worker) {
                tracing::error!("no thread for a worker: {error}");
                // The messages wait for the next round.
                self.shared.lock().lanes.retire(&lane);
            }
        }
    }

    /// Once a minute: warnings for messages that wait in paused lanes, where no attempt would tell, and housekeeping.
    fn sweep(&mut self, now: Millis) -> Result<(), StoreError> {
        let instant = clock::instant();
        if self.swept.is_some_and(|swept| instant.saturating_duration_since(swept) < SWEEP) {
            return Ok(());
        }
        self.swept = Some(instant);
        let config = self.shared.config();
        let keep = Millis::try_from(config.queue.history.as_millis()).unwrap_or(Millis::MAX);
        self.shared.store.tidy(now.saturating_sub(keep))?;
        let (paused, limited) = {
            let state = self.shared.lock();
            (state.lanes.paused(now), state.lanes.limited(now))
        };
        if paused.is_empty() && limited.is_empty() || config.queue.warn_after.is_zero() {
            return Ok(());
        }
        let late = Millis::try_from(config.queue.warn_after.as_millis()).unwrap_or(Millis::MAX);
        let before = Some(now.saturating_sub(late));
        let filter = Filter { before, held: Some(false), after: self.warned_to.take(), ..Filter::default() };
        let page = self.shared.store.list(&filter, PAGE)?;
        // A page a minute, and from the beginning again after the last.
        self.warned_to = page.last().map(|last| last.id).filter(|_| page.len() == PAGE);
        for queued in page {
            let why = match &queued.lane {
                lane if paused.contains(lane) => "the sender's server cannot be used at the moment",
                lane if limited.contains(lane) => "the sender's sending limit is reached; it goes on when that is over",
                _ => continue,
            };
            if !queued.warned && !queued.claimed && !queued.report {
                self.warn(&config, &queued, why, now)?;
            }
        }
        Ok(())
    }

    fn warn(&self, config: &Config, queued: &Queued, why: &str, now: Millis) -> Result<(), StoreError> {
        let matter = Matter::Delayed(schedule::expires(&config.queue, queued.created));
        let text = match self.shared.store.text(queued.id) {
            Err(StoreError::Gone) => return Ok(()),
            text => text?,
        };
        let lines = delivery::last_words(queued, "4.4.1", why);
        let usable = |lane: &str| self.shared.is_usable(lane);
        let report = delivery::report(config, &self.shared.hooks.host, queued, &text, matter, &lines, &usable);
        match report {
            None => Ok(()),
            report => self.shared.store.record(queued.id, now, &[], report),
        }
    }

    fn sleep(&self, length: Duration) {
        let deadline = Deadline::after(length);
        let mut state = self.shared.lock();
        while let Some(left) = deadline.left().filter(|_| !state.kicked && !state.stopping) {
            state = self.shared.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
