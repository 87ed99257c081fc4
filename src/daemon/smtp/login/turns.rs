//! Whose password is checked next: as many checks at once as there are processors, in work memory that is used again.
//!
//! Whoever has fewer wrong logins behind it goes first, then the connection with fewer, then who came first; so a right
//! login goes past any number of guesses. A client that guesses hears after a moment that it guesses too much; all others
//! wait for as long as their phase allows. Clients that were wrong never have all the places. Memory that the next check
//! does not take over goes back to the system.

use super::counts::{Counts, Standing, Who};
use crate::smtp::auth::WorkMemory;
use crate::sys::clock::{self, Deadline};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Work memory in use at once, KiB: two checks of what `postrider passwd` makes. A check that needs more runs alone.
const MEMORY: usize = 40 << 10;
/// How long a login waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one of a client that guesses does, or for a name that is guessed at.
const GUESSING: Duration = Duration::from_secs(2);

/// Why somebody does not get a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Too many wrong logins of its client.
    Guessing,
    /// Too many others, for the time that it had.
    Busy,
    /// The system has no memory for it.
    Memory,
}

/// What somebody wants to have checked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub who: Who,
    /// How often its connection was refused.
    pub refused: usize,
    /// What its check takes, KiB.
    pub kib: usize,
    /// When its phase is over.
    pub phase: Deadline,
}

/// The turns of all listeners.
#[derive(Debug)]
pub struct Turns {
    places: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    next: u64,
    waiting: Vec<Waiter>,
    running: Vec<Asked>,
    /// Memory that is used again, and how many of the running have not taken any yet.
    idle: Vec<WorkMemory>,
    bare: usize,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    asked: Asked,
    wake: Arc<Condvar>,
}

/// Leave to check; dropped, the place is free.
pub struct Turn<'t> {
    turns: &'t Turns,
    asked: Asked,
    memory: Option<WorkMemory>,
}

impl Default for Turns {
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Turns {
    /// With that many places.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self { places, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name as it is counted.
    #[must_use]
    pub fn name(&self, name: &str) -> u64 {
        self.lock().counts.name(name)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// Why there is none.
    pub fn enter(&self, asked: Asked) -> Result<Turn<'_>, Denied> {
        let (wake, since) = (Arc::new(Condvar::new()), clock::instant());
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.push(Waiter { number, asked, wake: wake.clone() });
        loop {
            let now = clock::instant();
            state.dispatch(self.places, now);
            let stands = state.counts.standing(asked.who, now);
            let Some(_) = state.waiting.iter().position(|waiter| waiter.number == number) else { break };
            let Some(left) = state.left(&asked, stands, since, now) else {
                state.waiting.retain(|waiter| waiter.number != number);
                return Err(if stands.client_alone { Denied::Guessing } else { Denied::Busy });
            };
            state = wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        // The place is had; dropped without memory, it is free again.
        let mut turn = Turn { turns: self, asked, memory: None };
        turn.memory = state.memory(asked.kib);
        drop(state);
        if turn.memory.is_some() { Ok(turn) } else { Err(Denied::Memory) }
    }
}

impl State {
    /// Gives free places to those who may have one.
    fn dispatch(&mut self, places: usize, now: Instant) {
        while self.running.len() < places {
            let may = |waiter: &&Waiter| self.may(&waiter.asked, places, now);
            let rank = |waiter: &&Waiter| {
                (self.counts.standing(waiter.asked.who, now).wrong, waiter.asked.refused, waiter.number)
            };
            let Some(next) = self.waiting.iter().filter(may).min_by_key(rank).map(|waiter| waiter.number) else {
                return;
            };
            let Some(at) = self.waiting.iter().position(|waiter| waiter.number == next) else { return };
            let waiter = self.waiting.swap_remove(at);
            self.running.push(waiter.asked);
            self.bare += 1;
            waiter.wake.notify_one();
        }
    }

    /// Whether somebody who waits could be checked now.
    fn may(&self, asked: &Asked, places: usize, now: Instant) -> bool {
        let Standing { wrong, not_before, client_alone, name_alone } = self.counts.standing(asked.who, now);
        let were_wrong = |running: &&Asked| self.counts.standing(running.who, now).wrong > 0;
        let guesses = if wrong > 0 { self.running.iter().filter(were_wrong).count() } else { 0 };
        let taken: usize = self.running.iter().map(|running| running.kib).sum();
        let fits = self.running.is_empty() || taken.saturating_add(asked.kib) <= MEMORY;
        let alone = self.running.iter().all(|running| {
            !(client_alone && running.who.client == asked.who.client
                || name_alone && running.who.name == asked.who.name)
        });
        fits && alone && guesses < places.saturating_sub(1).max(1) && not_before.is_none_or(|time| time <= now)
    }

    /// How long somebody who waits is to sleep before it looks again; `None` when it has waited for long enough.
    fn left(&self, asked: &Asked, stands: Standing, since: Instant, now: Instant) -> Option<Duration> {
        let patience = if stands.client_alone || stands.name_alone { GUESSING } else { PATIENCE };
        let left = patience.checked_sub(now.saturating_duration_since(since)).filter(|left| !left.is_zero())?;
        let left = left.min(asked.phase.left()?);
        let soon = stands.not_before.map(|time| time.saturating_duration_since(now)).filter(|wait| !wait.is_zero());
        Some(soon.map_or(left, |wait| left.min(wait)))
    }

    /// Memory of at least that size: what another has left, or new.
    fn memory(&mut self, kib: usize) -> Option<WorkMemory> {
        self.bare -= 1;
        match self.idle.pop() {
            Some(memory) if memory.kib() >= kib => Some(memory),
            _ => WorkMemory::new(kib),
        }
    }

    /// Gives memory back to the system that nobody takes over.
    fn tidy(&mut self) {
        self.idle.truncate(self.bare);
    }
}

impl Turn<'_> {
    /// The memory to check in.
    pub fn memory(&mut self) -> Option<&mut WorkMemory> {
        self.memory.as_mut()
    }

    /// The check is over, and this came out.
    pub fn end(self, good: bool) {
        self.turns.lock().counts.note(self.asked.who, good, clock::instant());
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        let own = |running: &Asked| running.who == self.asked.who && running.kib == self.asked.kib;
        if let Some(at) = state.running.iter().position(own) {
            state.running.swap_remove(at);
        }
        state.idle.extend(self.memory.take().filter(|memory| memory.kib() <= MEMORY));
        state.dispatch(self.turns.places, clock::instant());
        state.tidy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::smtp::guard::Client;
    use std::net::IpAddr;
    use std::sync::mpsc;

    fn asked(client: u8, name: u64, refused: usize) -> Asked {
        let who = Who { client: Client::of(IpAddr::from([192, 0, 2, client])), name };
        Asked { who, refused, kib: 64, phase: Deadline::after(Duration::from_secs(60)) }
    }

    fn wait_for(turns: &Turns, waiting: usize) {
        while turns.lock().waiting.len() < waiting {
            std::thread::yield_now();
        }
    }

    #[test]
    fn as_many_as_places_and_memory_allow_and_nothing_is_kept() {
        let turns = Turns::new(2);
        let (first, second) = (turns.enter(asked(1, 1, 0)).unwrap(), turns.enter(asked(2, 2, 0)).unwrap());
        let short = Asked { phase: Deadline::after(Duration::from_millis(5)), ..asked(3, 3, 0) };
        assert_eq!(turns.enter(short).err(), Some(Denied::Busy));
        drop(second);
        let large = Asked { kib: MEMORY, phase: short.phase, ..asked(3, 3, 0) };
        assert_eq!(turns.enter(large).err(), Some(Denied::Busy), "not beside another");
        drop(first);
        assert!(turns.lock().idle.is_empty(), "given back");
        let mut alone = turns.enter(Asked { kib: MEMORY + 1, ..asked(3, 3, 0) }).unwrap();
        assert_eq!(alone.memory().unwrap().kib(), MEMORY + 1);
        drop(alone);
        assert!(turns.lock().running.is_empty() && turns.lock().idle.is_empty());
    }

    #[test]
    fn a_right_login_goes_past_those_who_guess() {
        let turns = Turns::new(1);
        let (served, order) = mpsc::channel();
        for _ in 0..2 {
            turns.enter(asked(1, 1, 0)).unwrap().end(false);
        }
        let held = turns.enter(asked(9, 9, 0)).unwrap();
        std::thread::scope(|scope| {
            // Of the client that guesses, then one of its connections that was not yet refused, then another client.
            for (at, (client, refused)) in [(1, 3), (1, 1), (1, 0), (2, 0)].into_iter().enumerate() {
                let (turns, served) = (&turns, served.clone());
                scope.spawn(move || {
                    let turn = turns.enter(asked(client, 1, refused)).unwrap();
                    served.send(at).unwrap();
                    drop(turn);
                });
                wait_for(turns, at + 1);
            }
            drop(held);
            let order: Vec<usize> = (0..4).map(|_| order.recv().unwrap()).collect();
            assert_eq!(order, [3, 2, 1, 0]);
        });
    }

    #[test]
    fn who_guesses_too_much_hears_so_and_others_do_not_wait_for_it() {
        let turns = Turns::new(2);
        (0..20).for_each(|_| turns.lock().counts.note(asked(1, 1, 0).who, false, clock::instant()));
        let soon = Asked { phase: Deadline::after(Duration::from_millis(20)), ..asked(1, 2, 0) };
        assert_eq!(turns.enter(soon).err(), Some(Denied::Guessing));
        let other = Asked { phase: Deadline::after(Duration::from_millis(1200)), ..asked(2, 2, 0) };
        assert!(turns.enter(other).is_ok());
        // Its own turn comes, one at a time.
        turns.enter(asked(1, 2, 0)).unwrap().end(true);
        assert!(turns.enter(asked(1, 2, 0)).is_ok(), "it has logged in from there before");
    }
}
