//! The lanes that have work, as the dispatcher and the workers share them: who waits, how many serve, what is paused.
//!
//! A lane has two queues, of single and of bulk mail. Single mail overtakes bulk, which has a connection less where there
//! are several, and one message of eight whatever comes. Lanes share the threads: while one of them waits for its first,
//! those that have several give way at once and the others after a few messages, in turn.
//!
//! Values only; the lock around it, the threads and the store are in `runner` and `worker`.

use super::lane::Rules;
use super::pace::Bucket;
use super::schedule;
use super::types::{Busy, Halt, MessageId, Millis, Pause, Queued};
use crate::deliver::trouble::Wait;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar};

/// A lane takes no further claims of a kind while so many of its messages of that kind wait for a worker.
const WAITING: usize = 16;
/// A message with that many recipients counts as one more, and so on: it is memory that this is about.
const HEAVY: usize = 100;
/// Connections lost within messages in a row that pause a lane.
const STRIKES: u32 = 4;
/// The most worker threads.
pub(super) const THREADS: usize = 64;
/// Beyond so many, a lane gets one worker and no more.
const SHARED_THREADS: usize = 40;
/// Of so many messages one is bulk, where bulk waits.
const BULK_SHARE: u32 = 8;
/// After so many messages a worker gives way, while a lane waits for a thread.
pub(super) const QUANTUM: u32 = 8;

/// For how many messages those count that wait.
fn weight(waiting: &VecDeque<Queued>) -> usize {
    waiting.iter().map(|queued| 1 + queued.recipients.len() / HEAVY).sum()
}

/// Why a lane is to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Why<'w> {
    /// One line.
    pub(super) reason: &'w str,
    /// How long.
    pub(super) wait: Wait,
    /// Its server cannot be used at all.
    pub(super) down: bool,
    /// Its messages grow older meanwhile: one of them may be to blame (connections are lost within messages), or nobody
    /// would hear of it otherwise.
    pub(super) ages: bool,
}

/// One lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    single: VecDeque<Queued>,
    bulk: VecDeque<Queued>,
    /// Workers with a message in hand.
    busy: usize,
    /// Those of them whose message is bulk.
    busy_bulk: usize,
    /// Workers without one.
    idle: usize,
    /// Pauses in a row; while there are any, one message at a time is tried.
    pub(super) pauses: u32,
    /// Paused until then.
    pub(super) until: Millis,
    /// Why.
    reason: String,
    /// Since when it has been in trouble of which its messages are not to blame.
    since: Option<Millis>,
    /// Only an operator ends the pause before its time.
    firm: bool,
    /// Since when its server cannot be used at all.
    down: Option<Millis>,
    /// An operator paused it.
    halt: Option<Halt>,
    /// A sending limit is reached: until then nothing goes, and no bulk mail.
    waits: [Millis; 2],
    strikes: u32,
    /// Single messages that went in a row while bulk waited.
    overtook: u32,
    /// What its sender says of connections, pace and idle time.
    pub(super) rules: Rules,
    bucket: Bucket,
    /// The last claim left out its single or its bulk messages, although nothing but work in hand spoke against them.
    shut: [bool; 2],
    /// When it last got a worker: the lane with the lowest is next.
    turn: u64,
    /// What its workers without a message sleep on.
    bell: Arc<Condvar>,
}

impl Lane {
    /// How many messages may be under way at once.
    fn allowed(&self) -> usize {
        if self.pauses > 0 { 1 } else { self.rules.connections }
    }

    /// How many of them may be bulk: of several connections one is kept free of it.
    fn allowed_bulk(&self) -> usize {
        match self.allowed() {
            1 => 1,
            several => several - 1,
        }
    }

    /// Until when nothing goes, for its trouble or as an operator says; in the past where it is open.
    fn shut_until(&self) -> Millis {
        let halted = self.halt.as_ref().map_or(0, |halt| halt.until.unwrap_or(Millis::MAX));
        self.until.max(halted)
    }

    fn waiting(&self) -> usize {
        self.single.len() + self.bulk.len()
    }

    /// How many of those that wait could be under way, if there were workers for them.
    fn ready(&self) -> usize {
        self.single.len() + self.bulk.len().min(self.allowed_bulk().saturating_sub(self.busy_bulk))
    }

    /// How many workers it could do with. A pace lets one message go at a time, so that one worker is enough for that.
    fn wanted(&mut self, now: Millis) -> usize {
        let room = self.allowed().saturating_sub(self.workers());
        let wanted = self.ready().saturating_sub(self.idle).min(room);
        if self.rules.pace.is_none() {
            return wanted;
        }
        let open = self.idle == 0 && self.opens(now) <= now;
        if open { wanted.min(1) } else { 0 }
    }

    fn workers(&self) -> usize {
        self.busy + self.idle
    }

    fn is_unused(&mut self, now: Millis) -> bool {
        let held_back = self.opens(now) > now || self.waits != [0, 0];
        self.waiting() == 0
            && self.workers() == 0
            && self.pauses == 0
            && self.strikes == 0
            && self.halt.is_none()
            && !held_back
    }

    /// Until when a sending limit keeps a kind of mail back; in the past where none does.
    fn waits(&self, bulk: bool) -> Millis {
        self.waits[0].max(if bulk { self.waits[1] } else { 0 })
    }

    /// When the pace lets the next message go; `now` where nothing holds it back.
    pub(super) fn opens(&mut self, now: Millis) -> Millis {
        self.rules.pace.map_or(now, |pace| self.bucket.opens(pace, now))
    }

    /// How long a worker is to sleep that found nothing: until the pace lets the next one go, where one waits.
    pub(super) fn due_in(&mut self, now: Millis) -> Option<Millis> {
        (self.ready() > 0 && self.shut_until() <= now).then(|| self.opens(now) - now).filter(|wait| *wait > 0)
    }

    /// The next message for a worker that has none.
    pub(super) fn next(&mut self, now: Millis) -> Option<Queued> {
        if self.shut_until() > now || self.busy >= self.allowed() || self.opens(now) > now {
            return None;
        }
        let single = !self.single.is_empty() && self.waits(false) <= now;
        let bulk = !self.bulk.is_empty() && self.waits(true) <= now && self.busy_bulk < self.allowed_bulk();
        let queued = match (single, bulk) {
            (_, true) if !single || self.overtook + 1 >= BULK_SHARE => self.bulk.pop_front(),
            (true, _) => self.single.pop_front(),
            (false, _) => None,
        }?;
        self.overtook = if queued.bulk || self.bulk.is_empty() { 0 } else { self.overtook + 1 };
        self.busy_bulk += usize::from(queued.bulk);
        self.idle = self.idle.saturating_sub(1);
        self.busy += 1;
        if let Some(pace) = self.rules.pace {
            self.bucket.take(pace, now);
        }
        Some(queued)
    }

    /// A worker has done with its message, which was bulk or not.
    pub(super) fn done(&mut self, bulk: bool) {
        self.busy = self.busy.saturating_sub(1);
        self.busy_bulk = self.busy_bulk.saturating_sub(usize::from(bulk));
        self.idle += 1;
    }

    /// A sending limit is reached, for all mail or for bulk mail: until when the lane waits, and the messages that go back.
    /// That is no trouble of the lane.
    pub(super) fn wait(&mut self, bulk: bool, until: Millis) -> Vec<Queued> {
        let waits = &mut self.waits[usize::from(bulk)];
        *waits = until.max(*waits);
        let single = if bulk { 0 } else { self.single.len() };
        self.single.drain(..single).chain(self.bulk.drain(..)).collect()
    }

    /// The server served; whether the lane was in trouble before. One that was paused meanwhile stays so.
    pub(super) fn serves(&mut self, now: Millis) -> bool {
        self.strikes = 0;
        if self.until > now {
            return false;
        }
        (self.since, self.firm, self.down) = (None, false, None);
        std::mem::take(&mut self.pauses) > 0
    }

    /// A connection was lost within a message. Whether that was once too often.
    pub(super) fn strike(&mut self) -> bool {
        self.strikes += 1;
        self.strikes >= STRIKES
    }

    /// The lane is in trouble: how it waits, and the messages that go back. `None` where it is paused already, by an
    /// attempt that began as early as this one, unless this is a pause of fixed length that lasts longer.
    pub(super) fn pause(&mut self, name: &str, now: Millis, why: Why<'_>) -> Option<(Pause, Vec<Queued>)> {
        let firm = matches!(why.wait, Wait::Firm(_));
        let length = schedule::pause(why.wait, self.pauses).as_millis();
        let until = now.saturating_add(i64::try_from(length).unwrap_or(Millis::MAX));
        if self.until > now && !(firm && until > self.until) {
            return None;
        }
        (self.until, self.firm, self.reason) = (until, firm, why.reason.to_owned());
        (self.pauses, self.strikes) = (self.pauses.saturating_add(1), 0);
        if !why.ages {
            self.since.get_or_insert(now);
        }
        self.down = why.down.then_some(self.down.unwrap_or(now));
        Some((self.state(name), self.single.drain(..).chain(self.bulk.drain(..)).collect()))
    }

    /// Takes up a pause of an earlier process; none lasts longer than `limit`, whatever the clock said.
    pub(super) fn take_up(&mut self, pause: Pause, limit: Millis) {
        let Pause { until, reason, times, since, firm, down, .. } = pause;
        (self.until, self.reason, self.pauses) = (until.min(limit), reason, times);
        (self.since, self.firm, self.down) = (since, firm, down);
    }

    /// An operator pauses it: the messages that go back. What is under way ends.
    pub(super) fn halt(&mut self, halt: Halt) -> Vec<Queued> {
        self.halt = Some(halt);
        self.single.drain(..).chain(self.bulk.drain(..)).collect()
    }

    fn state(&self, name: &str) -> Pause {
        let (lane, until, reason, times) = (name.to_owned(), self.until, self.reason.clone(), self.pauses);
        Pause { lane, until, reason, times, since: self.since, firm: self.firm, down: self.down }
    }
}

/// All lanes that have or had work.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<String, Lane>,
    /// Worker threads.
    pub(super) threads: usize,
    /// A lane waits for a thread: idle workers make room, and busy ones in turn.
    pub(super) starved: bool,
    /// Workers that were hired so far.
    turns: u64,
}

impl Lanes {
    /// What a worker of a lane sleeps on until there is a message for it.
    pub(super) fn bell(&mut self, name: &str) -> Arc<Condvar> {
        self.lane(name).bell.clone()
    }

    /// Wakes as many idle workers as there are messages for, and no more: each costs the others the lock.
    pub(super) fn ring(&self) {
        for lane in self.lanes.values() {
            (0..lane.ready().min(lane.idle)).for_each(|_| lane.bell.notify_one());
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
        self.lanes.get(name).is_none_or(|lane| lane.shut_until() <= now && lane.waits(false) <= now)
    }

    /// Gives every lane its rules anew; `None` leaves it those that it has.
    pub(super) fn govern(&mut self, rules: impl Fn(&str) -> Option<Rules>) {
        for (name, lane) in &mut self.lanes {
            lane.rules = rules(name).unwrap_or(lane.rules);
        }
        self.ring_all();
    }

    /// What is not to be claimed at the moment.
    pub(super) fn full(&mut self, now: Millis) -> Vec<Busy> {
        for until in self.lanes.values_mut().flat_map(|lane| &mut lane.waits) {
            *until = if *until > now { *until } else { 0 };
        }
        self.lanes.retain(|_, lane| !lane.is_unused(now));
        let mut full = Vec::new();
        for (name, lane) in &mut self.lanes {
            let probing = lane.pauses > 0 && lane.busy + lane.waiting() > 0;
            let closed = [false, true].map(|bulk| lane.shut_until() > now || lane.waits(bulk) > now);
            let [single, bulk] = [&lane.single, &lane.bulk].map(|waiting| probing || weight(waiting) >= WAITING);
            lane.shut = [single && !closed[0], bulk && !closed[1]];
            let busy = Busy { lane: name.clone(), single: single || closed[0], bulk: bulk || closed[1] };
            if busy.single || busy.bulk {
                full.push(busy);
            }
        }
        full
    }

    /// Puts a claimed message in its lane; it comes back where a sending limit was reached meanwhile.
    pub(super) fn add(&mut self, queued: Queued, rules: Rules) -> Option<Queued> {
        let lane = self.lane(&queued.lane);
        lane.rules = rules;
        if lane.waits(queued.bulk) > 0 || lane.halt.is_some() {
            return Some(queued);
        }
        if queued.bulk {
            lane.bulk.push_back(queued)
        } else {
            lane.single.push_back(queued)
        }
        None
    }

    /// Whether the dispatcher should look again, now that a message of this lane is done.
    pub(super) fn wants_more(&self, name: &str) -> bool {
        let Some(lane) = self.lanes.get(name) else { return false };
        let [single, bulk] = lane.shut;
        let hungry = (single && weight(&lane.single) < WAITING / 2) || (bulk && weight(&lane.bulk) < WAITING / 2);
        let room = lane.workers() < lane.allowed() && self.threads < SHARED_THREADS && lane.rules.pace.is_none();
        hungry || (room && lane.ready() > lane.idle)
    }

    /// The workers to start now, by lane; lanes without a worker come first, and of those who waited longest.
    pub(super) fn hire(&mut self, now: Millis) -> Vec<String> {
        let mut hired = Vec::new();
        self.starved = false;
        let mut lanes: Vec<(&String, &mut Lane)> =
            self.lanes.iter_mut().filter(|(_, lane)| lane.shut_until() <= now && lane.waits(false) <= now).collect();
        lanes.sort_unstable_by_key(|(_, lane)| (lane.workers() > 0, lane.turn));
        for (name, lane) in lanes {
            for _ in 0..lane.wanted(now) {
                let most = if lane.workers() == 0 { THREADS } else { SHARED_THREADS };
                if self.threads >= most {
                    self.starved |= lane.workers() == 0;
                    break;
                }
                self.threads += 1;
                self.turns += 1;
                lane.turn = self.turns;
                lane.idle += 1;
                hired.push(name.clone());
            }
        }
        hired
    }

    /// Whether a worker that has served so many messages gives way to a lane that has none.
    pub(super) fn gives_way(&self, name: &str, served: u32) -> bool {
        self.starved && (served >= QUANTUM || self.lanes.get(name).is_some_and(|lane| lane.workers() > 1))
    }

    /// A worker without a message takes no more; whether messages of its lane wait for another one.
    pub(super) fn retire(&mut self, name: &str) -> bool {
        let Some(lane) = self.lanes.get_mut(name) else { return false };
        lane.idle = lane.idle.saturating_sub(1);
        lane.waiting() > 0
    }

    /// A worker's thread is at its end; `fell`: with a message in hand, which was bulk or not.
    pub(super) fn end(&mut self, name: &str, fell: Option<bool>) {
        self.threads = self.threads.saturating_sub(1);
        if let (Some(lane), Some(bulk)) = (self.lanes.get_mut(name), fell) {
            lane.done(bulk);
            lane.idle = lane.idle.saturating_sub(1);
        }
    }

    /// Takes all messages back that no worker has.
    pub(super) fn take_back(&mut self) -> Vec<MessageId> {
        let all = self.lanes.values_mut().flat_map(|lane| lane.single.drain(..).chain(lane.bulk.drain(..)));
        all.map(|queued| queued.id).collect()
    }

    /// Ends the pauses, but for those of fixed length, so that each lane tries one message: the lanes concerned.
    pub(super) fn open(&mut self) -> Vec<String> {
        self.lanes.values_mut().for_each(|lane| lane.waits = [0, 0]);
        let paused = |lane: &Lane| lane.until > 0 && lane.pauses > 0 && !lane.firm;
        let names: Vec<String> =
            self.lanes.iter().filter(|(_, lane)| paused(lane)).map(|(name, _)| name.clone()).collect();
        names.into_iter().filter(|name| self.resume(name)).collect()
    }

    /// Ends the pause of a lane, so that it tries one message; whether there was one.
    pub(super) fn resume(&mut self, name: &str) -> bool {
        let Some(lane) = self.lanes.get_mut(name).filter(|lane| lane.until > 0 && lane.pauses > 0) else {
            return false;
        };
        (lane.until, lane.firm, lane.since) = (0, false, None);
        true
    }

    /// How a lane is paused, where it is; what an operator says comes first.
    pub(super) fn pause_of(&self, name: &str, now: Millis) -> Option<Pause> {
        let lane = self.lanes.get(name)?;
        match &lane.halt {
            Some(halt) if halt.holds(now) => Some(halt.as_pause()),
            _ => (lane.until > now).then(|| lane.state(name)),
        }
    }

    /// Ends an operator's pause; whether there was one.
    pub(super) fn unhalt(&mut self, name: &str) -> bool {
        self.lanes.get_mut(name).is_some_and(|lane| lane.halt.take().is_some())
    }

    /// The lanes that an operator paused for a time which is over now.
    pub(super) fn over(&self, now: Millis) -> Vec<String> {
        let over = |lane: &Lane| lane.halt.as_ref().is_some_and(|halt| !halt.holds(now));
        self.lanes.iter().filter(|(_, lane)| over(lane)).map(|(name, _)| name.clone()).collect()
    }

    /// Limits are looked at again, as if none were known to be reached: of one lane, or of all.
    pub(super) fn forget_limits(&mut self, name: Option<&str>) {
        let meant = self.lanes.iter_mut().filter(|(lane, _)| name.is_none_or(|name| name == lane.as_str()));
        meant.for_each(|(_, lane)| lane.waits = [0, 0]);
    }

    /// How many connections a lane has or is making.
    pub(super) fn connections(&self, name: &str) -> usize {
        self.lanes.get(name).map_or(0, Lane::workers)
    }

    /// The paused lanes whose servers cannot be used at all.
    pub(super) fn down(&self, now: Millis) -> Vec<Pause> {
        let down = self.lanes.iter().filter(|(_, lane)| lane.until > now && lane.down.is_some() && lane.halt.is_none());
        down.map(|(name, lane)| lane.state(name)).collect()
    }

    /// The lanes that are paused.
    pub(super) fn paused(&self, now: Millis) -> Vec<String> {
        self.lanes.iter().filter(|(_, lane)| lane.until > now).map(|(name, _)| name.clone()).collect()
    }

    /// How a lane is paused for a trouble of its own, where it is.
    pub(super) fn trouble_of(&self, name: &str, now: Millis) -> Option<Pause> {
        self.lanes.get(name).filter(|lane| lane.until > now).map(|lane| lane.state(name))
    }

    /// The lanes that have been in trouble and are still to show that they serve.
    pub(super) fn troubled(&self) -> Vec<String> {
        let troubled = |lane: &Lane| lane.until > 0 && lane.pauses > 0;
        self.lanes.iter().filter(|(_, lane)| troubled(lane)).map(|(name, _)| name.clone()).collect()
    }

    /// The lanes that an operator paused.
    pub(super) fn halted(&self) -> Vec<String> {
        self.lanes.iter().filter(|(_, lane)| lane.halt.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// The lanes that wait for a sending limit.
    pub(super) fn limited(&self, now: Millis) -> Vec<String> {
        self.lanes.iter().filter(|(_, lane)| lane.waits(false) > now).map(|(name, _)| name.clone()).collect()
    }

    /// The first end of a pause or of waiting for a sending limit, or the first moment at which a pace calls for a worker.
    pub(super) fn next_opening(&mut self, now: Millis) -> Option<Millis> {
        let openings = self.lanes.values_mut().flat_map(|lane| {
            let calls =
                lane.shut_until() <= now && lane.ready() > 0 && lane.idle == 0 && lane.workers() < lane.allowed();
            [lane.shut_until(), lane.until, lane.waits[0], lane.waits[1], if calls { lane.opens(now) } else { now }]
        });
        openings.filter(|opening| *opening > now).min()
    }

    /// The wall clock was set.
    pub(super) fn shift(&mut self, by: i64) {
        for lane in self.lanes.values_mut() {
            let times = lane.waits.iter_mut().chain([&mut lane.until]).filter(|until| **until > 0);
            let halt = lane.halt.iter_mut().flat_map(|halt| std::iter::once(&mut halt.since).chain(&mut halt.until));
            let times = times.chain(halt).chain(lane.since.as_mut()).chain(lane.down.as_mut());
            times.for_each(|time| *time = time.saturating_add(by));
        }
    }
}
