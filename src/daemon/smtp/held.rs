//! Mail that came in while there was no rule: on hold until there is one, and sorted then.
//!
//! One thread sorts, whenever that is asked for: with much that is held it takes its time, for which nobody waits.
//! Each message is replaced in one commit by what the rules make of it, so that nothing is lost, and nothing doubled
//! however often or by how many this is done. Whom no rule takes, that is sent back: its client has long gone. What an
//! operator holds stays held, and is sorted once it is released.

use crate::daemon::Daemon;
use crate::daemon::parcels::new_messages;
use crate::deliver::maildir::MAILBOXES;
use crate::queue::lane::{INCOMING, NO_RULE};
use crate::queue::{self, Action, Filter, MessageId, Queued, StoreError};
use crate::report::printable;
use crate::rules::sort::{Mail, Unsortable, sort_kept};
use crate::sys::{clock, random};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, PoisonError};

/// Stands in the tag between what the log has and the listener.
const AT: &str = " at ";

/// The tag of a message that is held: the rules may ask later which listener it came in at.
pub(super) fn noted(tag: &str, listener: &str) -> String {
    format!("{tag}{AT}{listener}")
}

/// A tag taken apart: what it was, the listener, the client.
fn origin(tag: &str) -> (&str, Option<&str>, Option<IpAddr>) {
    let (tag, listener) = tag.split_once(AT).map_or((tag, None), |(tag, listener)| (tag, Some(listener)));
    (tag, listener, tag.strip_prefix("smtp:").and_then(|client| client.parse().ok()))
}

/// Whether it is to be sorted what waits for a rule.
#[derive(Debug, Default)]
pub struct Sorting {
    asked: Mutex<bool>,
    come: Condvar,
}

impl Sorting {
    /// Has it sorted, without waiting for that. Asked for while it is sorted, it is gone through once more.
    pub fn ask(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.come.notify_one();
    }

    /// Waits until it is asked for.
    fn next(&self) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked = self.come.wait_while(asked, |asked| !*asked).unwrap_or_else(PoisonError::into_inner);
        *asked = false;
    }
}

/// Sorts whenever that is asked for, for as long as the process lasts.
pub fn attend(daemon: &Daemon) {
    loop {
        daemon.sorting.next();
        sort(daemon);
    }
}

/// Sorts everything that waits for a rule; nothing where there is none.
fn sort(daemon: &Daemon) {
    if daemon.live.get().rules.is_empty() {
        return;
    }
    let waiting = Filter { lane: Some(INCOMING.into()), ..Filter::default() };
    let sorted = queue::pages(daemon.store.as_ref(), waiting, &mut |page| {
        for queued in page.iter().filter(|queued| queued.hold.as_deref().is_none_or(|why| why == NO_RULE)) {
            match one(daemon, queued) {
                // Or somebody else was quicker.
                Ok(()) | Err(StoreError::Gone) => {}
                // One that cannot be sorted must not keep the others.
                Err(error) => tracing::error!(queued = %queued.id, reason = %error, "not sorted"),
            }
        }
        Ok(())
    });
    if let Err(error) = sorted {
        tracing::error!(reason = %error, "mail that was held is not sorted");
    }
    daemon.host.kick();
}

fn one(daemon: &Daemon, queued: &Queued) -> Result<(), StoreError> {
    let config = daemon.live.get();
    let all: Vec<_> = queued.recipients.iter().collect();
    let Some(envelope) = queued.envelope(&all) else { return Ok(()) };
    let message = daemon.store.text(queued.id)?;
    let (tag, listener, client) = origin(queued.tag.as_deref().unwrap_or_default());
    let mail = Mail { envelope: &envelope, message: &message, listener, client, mailboxes: MAILBOXES };
    let parts = match sort_kept(&config, &mail) {
        Ok(parts) => parts,
        Err(why) => return keep(daemon, queued.id, &why),
    };
    let lanes: Vec<&str> = parts.iter().map(|part| part.lane.as_str()).collect();
    let lanes = lanes.join(", ");
    // Its age begins anew: that there was no rule is neither its fault nor its recipients'.
    let new = random::token().map_err(|error| format!("no random number: {error}"));
    let new = new.and_then(|id| new_messages(daemon.uid, id, Some(tag.to_owned()), parts, clock::millis()));
    let accepted = daemon.store.replace(queued.id, new.map_err(StoreError::Io)?)?;
    tracing::info!(queued = %accepted.id, was = %queued.id, lanes, "sorted: there is a rule now");
    Ok(())
}

/// It stays on hold, and says why.
fn keep(daemon: &Daemon, id: MessageId, why: &Unsortable) -> Result<(), StoreError> {
    let reason = match why {
        Unsortable::Loop(to) => format!("the message was forwarded for {to} before"),
        Unsortable::TooMany => "more rules take it than may".to_owned(),
    };
    tracing::warn!(queued = %id, reason = printable(&reason), "on hold");
    let filter = Filter { ids: vec![id], ..Filter::default() };
    daemon.store.act(&filter, &Action::Hold(reason), clock::millis()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_twice_is_done_once_and_what_comes_meanwhile_once_more() {
        let (sorting, runs) = (Sorting::default(), std::sync::mpsc::channel());
        sorting.ask();
        sorting.ask();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    sorting.next();
                    runs.0.send(()).unwrap();
                }
            });
            let second = std::time::Duration::from_millis(100);
            assert!(runs.1.recv().is_ok());
            assert!(runs.1.recv_timeout(second).is_err(), "once");
            sorting.ask();
            assert!(runs.1.recv().is_ok());
        });
    }

    #[test]
    fn the_tag_tells_where_it_came_in() {
        for listener in ["0.0.0.0:25", "[::]:25", "unix:/run/x at y.sock", "fd:smtp"] {
            let tag = noted("smtp:2001:db8::1", listener);
            let (left, found, client) = origin(&tag);
            assert_eq!((left, found), ("smtp:2001:db8::1", Some(listener)));
            assert_eq!(client, "2001:db8::1".parse().ok());
        }
        assert_eq!(origin("smtp:local"), ("smtp:local", None, None));
    }
}
