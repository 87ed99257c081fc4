//! The lanes that have work, as the dispatcher and the workers share them: who waits, how many serve, what is paused.
//!
//! Values only; the lock around it, the threads and the store are in `runner` and `worker`.

use super::schedule;
use super::types::{Busy, MessageId, Millis, Queued};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar};

/// A lane takes no further claims while so many of its messages wait for a worker.
const WAITING: usize = 16;
/// Connections lost within messages in a row that pause a lane.
const STRIKES: u32 = 4;
/// The most worker threads.
pub(super) const THREADS: usize = 64;
/// Beyond so many, a lane gets one worker and no more.
const SHARED_THREADS: usize = 40;

/// One lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    waiting: VecDeque<Queued>,
    /// Workers with a message in hand.
    busy: usize,
    /// Workers without one.
    idle: usize,
    /// Pauses in a row; while there are any, one message at a time is tried.
    pub(super) pauses: u32,
    /// Paused until then.
    pub(super) until: Millis,
    /// A sending limit is reached: until then nothing goes, and no bulk mail.
    waits: [Millis; 2],
    strikes: u32,
    /// What its workers without a message sleep on.
    bell: Arc<Condvar>,
}

impl Lane {
    /// How many messages may be under way at once.
    fn allowed(&self, connections: usize) -> usize {
        if self.pauses > 0 { 1 } else { connections }
    }

    fn is_unused(&self) -> bool {
        self.waiting.is_empty()
            && self.busy + self.idle == 0
            && self.pauses == 0
            && self.strikes == 0
            && self.waits == [0, 0]
    }

    /// Until when a sending limit keeps a kind of mail back; in the past where none does.
    fn waits(&self, bulk: bool) -> Millis {
        self.waits[0].max(if bulk { self.waits[1] } else { 0 })
    }

    /// The next message for a worker that has none.
    pub(super) fn next(&mut self, now: Millis, connections: usize) -> Option<Queued> {
        if self.until > now || self.busy >= self.allowed(connections) {
            return None;
        }
        let first = self.waiting.iter().position(|queued| self.waits(queued.bulk) <= now)?;
        let queued = self.waiting.remove(first)?;
        self.idle = self.idle.saturating_sub(1);
        self.busy += 1;
        Some(queued)
    }

    /// A worker has done with its message.
    pub(super) fn done(&mut self) {
        self.busy = self.busy.saturating_sub(1);
        self.idle += 1;
    }

    /// A sending limit is reached, for all mail or for bulk mail: until when the lane waits, and the messages that go back.
    /// That is no trouble of the lane.
    pub(super) fn wait(&mut self, bulk: bool, until: Millis) -> Vec<Queued> {
        let waits = &mut self.waits[usize::from(bulk)];
        *waits = until.max(*waits);
        let (back, stay): (Vec<Queued>, Vec<Queued>) = self.waiting.drain(..).partition(|queued| queued.bulk || !bulk);
        self.waiting = stay.into();
        back
    }

    /// The server served; whether the lane was in trouble before.
    pub(super) fn serves(&mut self) -> bool {
        self.strikes = 0;
        std::mem::take(&mut self.pauses) > 0
    }

    /// A connection was lost within a message. Whether that was once too often.
    pub(super) fn strike(&mut self) -> bool {
        self.strikes += 1;
        self.strikes >= STRIKES
    }

    /// The lane is in trouble: until when it waits, and the messages that go back. `None` where it is paused already, by
    /// an attempt that began as early as this one.
    pub(super) fn pause(&mut self, now: Millis) -> Option<(Millis, Vec<Queued>)> {
        if self.until > now {
            return None;
        }
        self.until = now.saturating_add(i64::try_from(schedule::pause(self.pauses).as_millis()).unwrap_or(Millis::MAX));
        (self.pauses, self.strikes) = (self.pauses.saturating_add(1), 0);
        Some((self.until, self.waiting.drain(..).collect()))
    }
}

/// All lanes that have or had work.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<String, Lane>,
    /// Worker threads.
    pub(super) threads: usize,
    /// A lane waits for a thread: idle workers make room.
    pub(super) starved: bool,
    /// Lanes that the last claim left out although nothing but their work in hand spoke against it.
    shut: bool,
}

impl Lanes {
    /// What a worker of a lane sleeps on until there is a message for it.
    pub(super) fn bell(&mut self, name: &str) -> Arc<Condvar> {
        self.lane(name).bell.clone()
    }

    /// Wakes as many idle workers as there are messages for, and no more: each costs the others the lock.
    pub(super) fn ring(&self) {
        for lane in self.lanes.values() {
            (0..lane.waiting.len().min(lane.idle)).for_each(|_| lane.bell.notify_one());
        }
    }

    /// Wakes all workers, so that they see that something is to end.
    pub(super) fn ring_all(&self) {
        self.lanes.values().for_each(|lane| lane.bell.notify_all());
    }

    /// A lane, which there is from now on.
    pub(super) fn lane(&mut self, name: &str) -> &mut Lane {
        self.lanes.entry(name.to_owned()).or_default()
    }

    /// Whether a lane is not paused.
    pub(super) fn is_usable(&self, name: &str, now: Millis) -> bool {
        self.lanes.get(name).is_none_or(|lane| lane.until <= now && lane.waits(false) <= now)
    }

    /// Lanes that take no more messages at the moment.
    pub(super) fn full(&mut self, now: Millis) -> Vec<Busy> {
        self.lanes
            .values_mut()
            .flat_map(|lane| &mut lane.waits)
            .filter(|until| **until <= now)
            .for_each(|until| *until = 0);
        let probing = |lane: &Lane| lane.pauses > 0 && lane.busy + lane.waiting.len() > 0;
        let full =
            |lane: &Lane| lane.waiting.len() >= WAITING || lane.until > now || lane.waits(false) > now || probing(lane);
        let busy = self.lanes.iter().map(|(name, lane)| {
            let single = full(lane);
            Busy { lane: name.clone(), single, bulk: single || lane.waits(true) > now }
        });
        let busy: Vec<Busy> = busy.filter(|busy| busy.bulk).collect();
        let closed = |lane: &Lane| lane.until > now || lane.waits(true) > now;
        self.shut = busy.iter().any(|busy| self.lanes.get(&busy.lane).is_some_and(|lane| !closed(lane)));
        busy
    }

    /// Puts a claimed message in its lane; it comes back where a sending limit was reached meanwhile.
    pub(super) fn add(&mut self, queued: Queued) -> Option<Queued> {
        let lane = queued.lane.clone();
        let lane = self.lane(&lane);
        if lane.waits(queued.bulk) > 0 {
            return Some(queued);
        }
        lane.waiting.push_back(queued);
        None
    }

    /// Whether the dispatcher should look again, now that a message of this lane is done.
    pub(super) fn wants_more(&self, name: &str, connections: usize) -> bool {
        let Some(lane) = self.lanes.get(name) else { return false };
        let room = lane.busy + lane.idle < lane.allowed(connections) && self.threads < SHARED_THREADS;
        (self.shut && lane.waiting.len() < WAITING / 2) || (room && lane.waiting.len() > lane.idle)
    }

    /// The workers to start now, by lane.
    pub(super) fn hire(&mut self, now: Millis, connections: usize) -> Vec<String> {
        let mut hired = Vec::new();
        self.starved = false;
        for (name, lane) in &mut self.lanes {
            if lane.until > now || lane.waits(false) > now {
                continue;
            }
            let there = lane.busy + lane.idle;
            let room = lane.allowed(connections).saturating_sub(there);
            for _ in 0..lane.waiting.len().saturating_sub(lane.idle).min(room) {
                let most = if lane.busy + lane.idle == 0 { THREADS } else { SHARED_THREADS };
                if self.threads >= most {
                    self.starved |= lane.busy + lane.idle == 0;
                    break;
                }
                self.threads += 1;
                lane.idle += 1;
                hired.push(name.clone());
            }
        }
        hired
    }

    /// A worker without a message takes no more.
    pub(super) fn retire(&mut self, name: &str) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.idle = lane.idle.saturating_sub(1);
            if lane.is_unused() {
                self.lanes.remove(name);
            }
        }
    }

    /// A worker's thread is at its end; `fell`: with a message in hand.
    pub(super) fn end(&mut self, name: &str, fell: bool) {
        self.threads = self.threads.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(name).filter(|_| fell) {
            lane.busy = lane.busy.saturating_sub(1);
        }
    }

    /// Takes all messages back that no worker has.
    pub(super) fn take_back(&mut self) -> Vec<MessageId> {
        self.lanes.values_mut().flat_map(|lane| lane.waiting.drain(..)).map(|queued| queued.id).collect()
    }

    /// Ends the pauses, so that each lane tries one message: the lanes concerned.
    pub(super) fn open(&mut self) -> Vec<String> {
        self.lanes.values_mut().for_each(|lane| lane.waits = [0, 0]);
        let paused = self.lanes.iter_mut().filter(|(_, lane)| lane.until > 0 && lane.pauses > 0);
        paused
            .map(|(name, lane)| {
                lane.until = 0;
                name.clone()
            })
            .collect()
    }

    /// The lanes that are paused.
    pub(super) fn paused(&self, now: Millis) -> Vec<String> {
        self.lanes.iter().filter(|(_, lane)| lane.until > now).map(|(name, _)| name.clone()).collect()
    }

    /// The lanes that wait for a sending limit.
    pub(super) fn limited(&self, now: Millis) -> Vec<String> {
        self.lanes.iter().filter(|(_, lane)| lane.waits(false) > now).map(|(name, _)| name.clone()).collect()
    }

    /// The first end of a pause, or of waiting for a sending limit.
    pub(super) fn next_opening(&self, now: Millis) -> Option<Millis> {
        let times = self.lanes.values().flat_map(|lane| [lane.until, lane.waits[0], lane.waits[1]]);
        times.filter(|until| *until > now).min()
    }

    /// The wall clock was set.
    pub(super) fn shift(&mut self, by: i64) {
        let times = self.lanes.values_mut().flat_map(|lane| lane.waits.iter_mut().chain([&mut lane.until]));
        times.filter(|until| **until > 0).for_each(|until| *until = until.saturating_add(by));
    }
}
