//! The thread that claims: what is due is distributed to the lanes, workers are hired, lanes that are down give their mail
//! to their backups, and once a minute there is the housekeeping.

use super::bounce::Matter;
use super::delivery;
use super::shared::{Shared, TICK, logged};
use super::spoilt::spoilt;
use super::types::{Filter, MessageId, Millis, Pause, Queued, StoreError};
use super::{backup, lane, schedule, worker};
use crate::config::Config;
use crate::sys::clock::{self, Deadline};
use std::cell::Cell;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Messages claimed at once.
const CLAIM: usize = 64;
/// How long it waits after the store failed.
const STORE_WAIT: Duration = Duration::from_secs(5);
/// How often messages of paused lanes are looked through for a warning that is due, and the housekeeping is done.
const SWEEP: Duration = Duration::from_secs(60);
/// Messages looked through at a time.
const PAGE: usize = 2000;
/// How often messages of a lane that is down are given to its backup.
const DIVERSION: Duration = Duration::from_secs(2);

/// Takes a worker off the books however it ends.
struct Employed {
    shared: Arc<Shared>,
    lane: String,
    /// Whether the message in hand is bulk.
    bulk: Cell<bool>,
}

impl Drop for Employed {
    fn drop(&mut self) {
        let fell = std::thread::panicking();
        if fell {
            // Its message stays claimed until the restart, so that it does not fell the next one at once.
            tracing::error!(sender = self.lane, "a worker failed; its message waits for a restart");
        }
        let mut state = self.shared.lock();
        state.lanes.end(&self.lane, fell.then(|| self.bulk.get()));
        // A lane waits for this thread.
        state.kicked |= state.lanes.starved;
        drop(state);
        self.shared.work.notify_all();
        self.shared.news.notify_one();
    }
}

/// The thread that claims.
pub(super) struct Dispatcher<'s> {
    shared: &'s Arc<Shared>,
    /// The two clocks at the last look.
    seen: (Millis, Instant),
    swept: Option<Instant>,
    diverted: Option<Instant>,
    /// How far messages were looked through for warnings.
    warned_to: Option<MessageId>,
}

impl<'s> Dispatcher<'s> {
    pub(super) fn new(shared: &'s Arc<Shared>) -> Self {
        Self { shared, seen: (clock::millis(), clock::instant()), swept: None, diverted: None, warned_to: None }
    }

    pub(super) fn run(&mut self) {
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
        match self.shared.store.set_back(now) {
            Ok(None) => {}
            Ok(Some(by)) => tracing::warn!(
                seconds = by / 1000,
                "the queue was written by a clock that was ahead; its times are set back"
            ),
            Err(error) => tracing::error!("queue: {error}"),
        }
        match self.shared.store.paused() {
            Ok(pauses) => {
                let mut state = self.shared.lock();
                for pause in pauses {
                    let name = pause.lane.clone();
                    let limit = now.saturating_add(schedule::longest(pause.firm));
                    state.lanes.lane(&name).take_up(pause, limit);
                }
            }
            Err(error) => tracing::error!("queue: {error}"),
        }
        match self.shared.store.halted() {
            Ok(halts) => {
                let mut state = self.shared.lock();
                for halt in halts {
                    let name = halt.lane.clone();
                    // Nothing has been claimed yet that could go back.
                    state.lanes.lane(&name).halt(halt);
                }
            }
            Err(error) => tracing::error!("queue: {error}"),
        }
        self.shared.release_gone();
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
            logged(self.shared.store.shift(by, now));
        }
        Some(now)
    }

    /// Claims what is due and sees that there are workers for it; how long there is nothing to do.
    fn round(&mut self, now: Millis) -> Result<Duration, StoreError> {
        self.lift(now)?;
        self.sweep(now)?;
        let diverted = self.divert(now)?;
        let full = self.shared.lock().lanes.full(now);
        let claimed = self.shared.store.claim(now, &full, CLAIM)?;
        let (some, all) = (!claimed.is_empty(), claimed.len() == CLAIM);
        self.distribute(claimed);
        self.hire(now);
        if all {
            return Ok(Duration::ZERO);
        }
        let until = |at: Option<Millis>| {
            at.map_or(TICK, |at| Duration::from_millis(at.saturating_sub(now).max(0).unsigned_abs()))
        };
        let due = until(self.shared.store.next_due()?);
        let opening = until(self.shared.lock().lanes.next_opening(now));
        // What is due and was not claimed waits for a worker, who says when.
        let least = if some { Duration::from_millis(50) } else { Duration::from_secs(1) };
        let due = if due.is_zero() { least } else { due };
        Ok(due.min(opening).min(diverted.unwrap_or(TICK)).clamp(Duration::from_millis(1), TICK))
    }

    /// Ends the pauses of operators whose time is over.
    fn lift(&self, now: Millis) -> Result<(), StoreError> {
        let over = self.shared.lock().lanes.over(now);
        for lane in over {
            self.shared.store.unhalt(&lane, now)?;
            self.shared.lock().lanes.unhalt(&lane);
            tracing::info!(sender = lane, "the operator's pause of the sender is over");
        }
        Ok(())
    }

    /// Gives what waits in lanes that are down to their backups; when there is more to give, where there may be. Here and
    /// nowhere else, as no message is claimed meanwhile.
    fn divert(&mut self, now: Millis) -> Result<Option<Duration>, StoreError> {
        let config = self.shared.config();
        let down = self.shared.lock().lanes.down(now);
        let next = down.iter().filter_map(|pause| backup::due(&config, pause)).min();
        let due: Vec<Pause> = down.into_iter().filter(|pause| backup::is_due(&config, pause, now)).collect();
        if due.is_empty() {
            return Ok(next.map(|next| Duration::from_millis(next.saturating_sub(now).unsigned_abs())));
        }
        let instant = clock::instant();
        let since = self.diverted.map(|last| instant.saturating_duration_since(last));
        if let Some(left) = since.and_then(|since| DIVERSION.checked_sub(since)) {
            return Ok(Some(left.max(Duration::from_millis(1))));
        }
        let mut all = true;
        for pause in &due {
            let usable = |lane: &str| self.shared.is_usable(lane);
            all &= backup::divert(self.shared.store.as_ref(), &config, pause, now, &usable)?;
        }
        self.diverted = all.then_some(instant);
        Ok(Some(if all { DIVERSION } else { Duration::from_millis(1) }))
    }

    fn distribute(&self, claimed: Vec<Queued>) {
        let config = self.shared.config();
        let (mut ours, mut gone) = (Vec::new(), Vec::new());
        for queued in claimed {
            match lane::way(&config, &queued.lane) {
                Some(way) => ours.push((lane::Rules::new(&config, way), queued)),
                None => gone.push(queued),
            }
        }
        let mut state = self.shared.lock();
        let add = |(rules, queued)| state.lanes.add(queued, rules);
        let back: Vec<Queued> = ours.into_iter().filter_map(add).collect();
        state.lanes.ring();
        drop(state);
        back.iter().for_each(|queued| logged(self.shared.store.release_claim(queued.id)));
        if !gone.is_empty() {
            self.shared.hold_gone(&gone);
        }
    }

    fn hire(&self, now: Millis) {
        let mut state = self.shared.lock();
        let hired = state.lanes.hire(now);
        if state.lanes.starved {
            state.lanes.ring_all();
        }
        drop(state);
        for lane in hired {
            let employed = Employed { shared: self.shared.clone(), lane, bulk: Cell::new(false) };
            let (name, lane) = (format!("lane {}", employed.lane), employed.lane.clone());
            let worker = move || {
                let employed = employed;
                worker::run(&employed.shared, &employed.lane, &employed.bulk);
            };
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
        let (paused, limited, halted) = {
            let state = self.shared.lock();
            (state.lanes.paused(now), state.lanes.limited(now), state.lanes.halted())
        };
        if paused.is_empty() && limited.is_empty() && halted.is_empty() || config.queue.warn_after.is_zero() {
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
                lane if halted.contains(lane) => "the sender is paused by its administrator",
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
        let matter = Matter::Delayed(schedule::expires(&config.queue, queued.aged_from(now)));
        let text = match self.shared.store.text(queued.id) {
            Err(StoreError::Gone) => return Ok(()),
            Err(StoreError::Text(why)) => return spoilt(self.shared.store.as_ref(), queued, &why),
            text => text?,
        };
        let lines = delivery::last_words(queued, "4.4.1", why);
        let usable = |lane: &str| self.shared.is_usable(lane);
        let report = delivery::report(config, &self.shared.hooks.host, queued, &text, matter, &lines, &usable);
        match report {
            // It is due again a little later.
            Ok(None) | Err(_) => Ok(()),
            Ok(report) => self.shared.store.record(queued.id, now, &[], report),
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
