//! Threads that serve clients one after the other: who has served one rests for a while, and takes the next.
//!
//! A submission is over within a millisecond or two, of which a new thread would be a part, with all that it has to find
//! out anew (the time zone, memory). It never limits anything: where nobody rests, a client gets a thread of its own.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most threads that rest.
const RESTING: usize = 16;
/// How long one rests before it ends.
const REST: Duration = Duration::from_secs(10);
/// Stack of a thread, octets.
const STACK: usize = 1 << 20;

/// Those who serve clients of one kind.
pub(super) struct Attendants<C> {
    serve: fn(C),
    state: Mutex<State<C>>,
    come: Condvar,
}

/// Each client here has a thread of its own among the resting ones, which has not yet woken up.
struct State<C> {
    clients: VecDeque<C>,
    resting: usize,
}

impl<C: Send + 'static> Attendants<C> {
    /// Nobody yet; `serve` is what a client gets.
    pub(super) fn new(serve: fn(C)) -> Arc<Self> {
        let state = Mutex::new(State { clients: VecDeque::new(), resting: 0 });
        Arc::new(Self { serve, state, come: Condvar::new() })
    }

    /// Has a client served, by somebody who rests or by a new thread.
    ///
    /// # Errors
    /// Nobody rests, and there can be no further thread; the client is dropped.
    pub(super) fn serve(self: &Arc<Self>, client: C) -> io::Result<()> {
        let mut state = self.state();
        if state.resting > state.clients.len() {
            state.clients.push_back(client);
            drop(state);
            self.come.notify_one();
            return Ok(());
        }
        drop(state);
        let all = self.clone();
        let thread = std::thread::Builder::new().name("client".into()).stack_size(STACK);
        thread.spawn(move || all.attend(client)).map(drop)
    }

    fn attend(&self, client: C) {
        let mut next = Some(client);
        while let Some(client) = next {
            (self.serve)(client);
            next = self.rest();
        }
    }

    fn rest(&self) -> Option<C> {
        let mut state = self.state();
        if state.resting == RESTING {
            return None;
        }
        state.resting += 1;
        let waited = self.come.wait_timeout_while(state, REST, |state| state.clients.is_empty());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.resting -= 1;
        state.clients.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::ThreadId;

    type Client = (Sender<ThreadId>, Receiver<()>);

    fn serve((served, leave): Client) {
        let _ = leave.recv();
        served.send(std::thread::current().id()).unwrap();
    }

    #[test]
    fn who_has_served_takes_the_next_and_none_waits_for_another() {
        let attendants = Attendants::new(serve);
        let (served, ends) = channel();
        let mut doors = Vec::new();
        for _ in 0..3 {
            let (door, leave) = channel();
            doors.push(door);
            attendants.serve((served.clone(), leave)).unwrap();
        }
        // All three are being served at once: the last may leave first.
        let mut first = Vec::new();
        while let Some(door) = doors.pop() {
            drop(door);
            first.push(ends.recv().unwrap());
        }
        first.dedup();
        assert_eq!(first.len(), 3);
        while attendants.state().resting < 3 {
            std::thread::yield_now();
        }
        for _ in 0..20 {
            attendants.serve((served.clone(), channel().1)).unwrap();
            assert!(first.contains(&ends.recv().unwrap()));
            while attendants.state().resting < 3 {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn no_more_rest_than_are_of_use() {
        let attendants = Attendants::new(serve);
        let (served, ends) = channel();
        let doors: Vec<_> = std::iter::repeat_with(channel).take(RESTING + 5).collect();
        let (doors, leaves): (Vec<_>, Vec<_>) = doors.into_iter().unzip();
        leaves.into_iter().for_each(|leave| attendants.serve((served.clone(), leave)).unwrap());
        drop((doors, served));
        assert_eq!(ends.iter().count(), RESTING + 5);
        while Arc::strong_count(&attendants) > RESTING + 1 {
            std::thread::yield_now();
        }
        assert!(attendants.state().resting <= RESTING);
    }
}
