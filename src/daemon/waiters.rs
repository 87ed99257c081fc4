//! Clients that wait for the result of their message (`-odi`), and the results for them.
//!
//! A message may be delivered before the client that submitted it knows its number. So a submission says first that it
//! will wait (`begin`); while anybody is between that and `Begun::on`, no result is thrown away.

use crate::exit::Status;
use crate::queue::MessageId;
use crate::sys::clock::Deadline;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most that a worker waits for a submission to learn its number: the time between commit and `Begun::on`.
const NUMBER: Duration = Duration::from_secs(1);

/// What a first attempt came to, for the client that waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The status for the caller.
    pub status: Status,
    /// What went wrong, one line.
    pub text: Option<String>,
}

/// A client that waits.
#[derive(Debug)]
struct Waiting {
    /// It wants failures by mail too (`-oem`).
    mail: bool,
    /// The lane of its message.
    lane: String,
}

#[derive(Debug, Default)]
struct Inner {
    beginning: usize,
    waiting: HashMap<MessageId, Waiting>,
    results: HashMap<MessageId, Summary>,
    closed: bool,
}

/// The registry.
#[derive(Debug, Default)]
pub struct Waiters {
    inner: Mutex<Inner>,
    news: Condvar,
}

/// A submission that will wait, whose number is not known yet.
#[derive(Debug)]
pub struct Begun<'w> {
    waiters: &'w Waiters,
    mail: bool,
}

impl Waiters {
    /// Nobody waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is going to wait for the message that is about to be accepted. `mail`: it wants failures by mail too.
    #[must_use]
    pub fn begin(&self, mail: bool) -> Begun<'_> {
        self.lock().beginning += 1;
        Begun { waiters: self, mail }
    }

    /// Whether somebody waits for that message and is content to hear of a failure that way: then it needs no bounce.
    #[must_use]
    pub fn is_enough(&self, id: MessageId) -> bool {
        let limit = Deadline::after(NUMBER);
        let mut inner = self.lock();
        loop {
            if let Some(waiting) = inner.waiting.get(&id) {
                return !waiting.mail;
            }
            let Some(left) = limit.left().filter(|_| inner.beginning > 0) else { return false };
            inner = self.news.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// An attempt on a message has ended. Costs nothing where nobody waits.
    pub fn tell(&self, id: MessageId, summary: impl FnOnce() -> Summary) {
        let mut inner = self.lock();
        if inner.waiting.contains_key(&id) || inner.beginning > 0 {
            inner.results.insert(id, summary());
            self.news.notify_all();
        }
    }

    /// A lane waits, and with it all that wait for messages of it and know nothing yet.
    pub fn tell_lane(&self, lane: &str, summary: impl Fn() -> Summary) {
        let mut inner = self.lock();
        let Inner { waiting, results, .. } = &mut *inner;
        for id in waiting.iter().filter(|(_, waiting)| waiting.lane == lane).map(|(id, _)| *id) {
            results.entry(id).or_insert_with(&summary);
        }
        drop(inner);
        self.news.notify_all();
    }

    /// Sends everybody home: the daemon ends.
    pub fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }
}

impl Begun<'_> {
    /// Waits for the result of that message, of that lane; `None` where there is none by the deadline, or the daemon ends.
    /// `known` may know it at once: it is asked when nothing that is told any more can be missed.
    #[must_use]
    pub fn on(
        self,
        id: MessageId,
        lane: &str,
        deadline: Deadline,
        known: impl FnOnce() -> Option<Summary>,
    ) -> Option<Summary> {
        let Self { waiters, mail } = self;
        waiters.lock().waiting.insert(id, Waiting { mail, lane: lane.to_owned() });
        drop(self);
        let known = known();
        let mut inner = waiters.lock();
        loop {
            if let Some(summary) = inner.results.remove(&id).or_else(|| known.clone()) {
                inner.waiting.remove(&id);
                return Some(summary);
            }
            let Some(left) = deadline.left().filter(|_| !inner.closed) else {
                inner.waiting.remove(&id);
                return None;
            };
            inner = waiters.news.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Begun<'_> {
    /// Once nobody is beginning, results that nobody waits for are of no use.
    fn drop(&mut self) {
        let mut inner = self.waiters.lock();
        inner.beginning = inner.beginning.saturating_sub(1);
        if inner.beginning == 0 {
            let Inner { waiting, results, .. } = &mut *inner;
            results.retain(|id, _| waiting.contains_key(id));
        }
        drop(inner);
        self.waiters.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: &str) -> Summary {
        Summary { status: Status::Ok, text: Some(text.into()) }
    }

    #[test]
    fn a_result_before_the_wait_is_not_lost() {
        let waiters = Waiters::new();
        waiters.tell(MessageId(1), || unreachable!("nobody waits"));
        let begun = waiters.begin(false);
        waiters.tell(MessageId(2), || summary("early"));
        waiters.tell(MessageId(3), || summary("another's"));
        let long = Deadline::after(Duration::from_secs(60));
        assert_eq!(begun.on(MessageId(2), "shop", long, || None), Some(summary("early")));
        assert!(waiters.lock().results.is_empty() && waiters.lock().waiting.is_empty());
        let begun = waiters.begin(false);
        std::thread::scope(|scope| {
            scope.spawn(|| waiters.tell(MessageId(4), || summary("late")));
            assert_eq!(begun.on(MessageId(4), "shop", long, || None), Some(summary("late")));
        });
    }

    #[test]
    fn who_waits_needs_no_bounce_unless_it_asked_for_one() {
        let waiters = Waiters::new();
        assert!(!waiters.is_enough(MessageId(1)));
        for mail in [false, true] {
            let begun = waiters.begin(mail);
            std::thread::scope(|scope| {
                let waiting =
                    scope.spawn(|| begun.on(MessageId(2), "shop", Deadline::after(Duration::from_secs(60)), || None));
                assert_eq!(waiters.is_enough(MessageId(2)), !mail);
                waiters.tell(MessageId(2), || summary("done"));
                assert_eq!(waiting.join().unwrap(), Some(summary("done")));
            });
        }
    }

    #[test]
    fn a_lane_that_waits_sends_its_own_home_at_once() {
        let waiters = Waiters::new();
        let long = || Deadline::after(Duration::from_secs(600));
        let known = waiters.begin(false).on(MessageId(1), "shop", long(), || Some(summary("paused")));
        assert_eq!(known, Some(summary("paused")));
        let (begun, other) = (waiters.begin(false), waiters.begin(false));
        std::thread::scope(|scope| {
            let shop = scope.spawn(|| begun.on(MessageId(2), "shop", long(), || None));
            let news = scope.spawn(|| other.on(MessageId(3), "news", long(), || None));
            while waiters.lock().waiting.len() < 2 {
                std::thread::yield_now();
            }
            waiters.tell_lane("shop", || summary("paused"));
            assert_eq!(shop.join().unwrap(), Some(summary("paused")));
            waiters.tell(MessageId(3), || summary("its own"));
            waiters.tell_lane("news", || summary("too late"));
            assert_eq!(news.join().unwrap(), Some(summary("its own")));
        });
        assert!(waiters.lock().results.is_empty() && waiters.lock().waiting.is_empty());
    }

    #[test]
    fn the_end_sends_everybody_home() {
        let waiters = Waiters::new();
        assert_eq!(waiters.begin(false).on(MessageId(1), "shop", Deadline::after(Duration::ZERO), || None), None);
        waiters.close();
        assert_eq!(
            waiters.begin(false).on(MessageId(1), "shop", Deadline::after(Duration::from_secs(600)), || None),
            None
        );
        assert_eq!(waiters.lock().beginning, 0);
    }
}
