//! Turns: so many at once in all, one at a time for each user, and next is the user who has waited longest for a turn.
//!
//! However much one user asks, another waits for one turn of each who asked before, and never for all that they asked.

use crate::sys::clock::Deadline;
use crate::sys::memory;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who takes turns.
#[derive(Debug)]
pub(super) struct Turns {
    most: usize,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    /// Turns given so far: the time that is reckoned in here.
    given: u64,
    /// Users that have a turn or wait for one.
    users: HashMap<u32, User>,
}

#[derive(Debug, Default)]
struct User {
    running: bool,
    waiting: usize,
    /// When the last turn was given.
    last: u64,
}

/// A turn at something large; dropped, the memory that it took is given back, and then it is the next one's.
#[derive(Debug)]
pub(super) struct Large<'t>(#[expect(dead_code, reason = "given back when all is done")] Turn<'t>);

impl<'t> Large<'t> {
    /// With this turn.
    pub(super) fn new(turn: Turn<'t>) -> Self {
        Self(turn)
    }
}

impl Drop for Large<'_> {
    fn drop(&mut self) {
        memory::give_back();
    }
}

/// A turn; dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn<'t>(&'t Turns, u32);

impl Turns {
    /// At most so many at once.
    pub(super) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default(), news: Condvar::new() }
    }

    /// Waits for a turn; `None` where it did not come in time.
    pub(super) fn take(&self, user: u32, deadline: Deadline) -> Option<Turn<'_>> {
        let mut state = self.state();
        state.users.entry(user).or_default().waiting += 1;
        while !state.is_next(user, self.most) {
            let Some(left) = deadline.left() else {
                state.leave(user);
                drop(state);
                // Who comes next may have been kept back by this one.
                self.news.notify_all();
                return None;
            };
            state = self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.begin(user);
        drop(state);
        self.news.notify_all();
        Some(Turn(self, user))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_next(&self, user: u32, most: usize) -> bool {
        let free = |user: &User| !user.running && user.waiting > 0;
        let last = self.users.get(&user).filter(|user| free(user)).map(|user| user.last);
        let first = self.users.values().filter(|user| free(user)).map(|user| user.last).min();
        self.running < most && last.is_some() && last == first
    }

    fn begin(&mut self, user: u32) {
        self.running += 1;
        self.given += 1;
        let given = self.given;
        let user = self.users.entry(user).or_default();
        (user.running, user.last) = (true, given);
        user.waiting -= 1;
    }

    fn leave(&mut self, user: u32) {
        self.users.entry(user).or_default().waiting -= 1;
        self.forget();
    }

    fn end(&mut self, user: u32) {
        self.running -= 1;
        self.users.entry(user).or_default().running = false;
        self.forget();
    }

    fn forget(&mut self) {
        self.users.retain(|_, user| user.running || user.waiting > 0);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().end(self.1);
        self.0.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    fn long() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    #[test]
    fn one_at_a_time_for_each_user_and_none_without_time() {
        let turns = Turns::new(2);
        let ours = turns.take(7, long()).unwrap();
        let soon = || Deadline::after(Duration::from_millis(5));
        assert!(turns.take(7, soon()).is_none(), "its own is running");
        let theirs = turns.take(8, long()).unwrap();
        assert!(turns.take(9, soon()).is_none(), "all are taken");
        drop(ours);
        drop(turns.take(9, long()).unwrap());
        drop(theirs);
        assert!(turns.state().users.is_empty() && turns.state().running == 0);
    }

    #[test]
    fn who_asks_much_does_not_keep_another_waiting() {
        let turns = Turns::new(1);
        let (went, order) = channel();
        std::thread::scope(|scope| {
            let first = turns.take(1, long()).unwrap();
            for user in [1, 1, 1, 1, 1, 2] {
                let before = turns.state().users.values().map(|user| user.waiting).sum::<usize>();
                let (turns, went) = (&turns, went.clone());
                scope.spawn(move || {
                    let _turn = turns.take(user, long()).unwrap();
                    went.send(user).unwrap();
                });
                while turns.state().users.values().map(|user| user.waiting).sum::<usize>() == before {
                    std::thread::yield_now();
                }
            }
            drop(first);
            assert_eq!(order.recv(), Ok(2), "though it came last");
        });
    }
}
