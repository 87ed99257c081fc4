//! The runaway brake: a script or a user that submits far more than it should is let go on, but what it submits is held.
//!
//! `count` is the decision, in values; here are the lock, the clock, what an earlier process left, and the one that is
//! told. A submission is counted before it is kept and taken back where it is not, so that the number is never exceeded.

mod alert;
mod count;

pub use count::{Script, Who};

use crate::config::Brake as Rules;
use crate::queue::{Counted, Millis, Store, StoreError};
use alert::Alerts;
use count::Counts;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The brake of a daemon.
#[derive(Debug, Default)]
pub struct Brake {
    counts: Mutex<Counts>,
    alerts: Alerts,
}

/// What the brake says of a submission.
#[derive(Debug, Default)]
pub struct Said {
    /// For the store, to be counted with the message.
    pub counted: Option<Counted>,
    /// Why the message is held, where it is.
    pub hold: Option<String>,
    /// Somebody is to be told: the facts, where this is where the trouble begins.
    incident: Option<count::Incident>,
}

/// What an alert says of the message that set it off.
#[derive(Clone, Copy, Debug)]
pub struct About<'m> {
    /// The queue's number.
    pub id: &'m str,
    /// The sender that it goes over.
    pub sender: &'m str,
    /// The From address.
    pub from: &'m str,
}

impl Brake {
    /// With what an earlier process counted.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn new(store: &dyn Store, now: Millis) -> Result<Self, StoreError> {
        let mut counts = Counts::default();
        for counted in store.counted(now - count::LONGEST)? {
            counts.restore(counted, now);
        }
        Ok(Self { counts: Mutex::new(counts), alerts: Alerts::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a submission.
    pub fn submit(&self, rules: Option<&Rules>, who: &Who, now: Millis) -> Said {
        rules.map_or_else(Said::default, |rules| self.lock().submit(rules, who, now))
    }

    /// The submission was not kept, or had been before.
    pub fn take_back(&self, said: &Said) {
        if let Some(counted) = &said.counted {
            self.lock().take_back(counted, said.hold.is_some(), said.incident.is_some());
        }
    }

    /// The submission was kept: whoever is to be told of an incident is told, once.
    pub fn kept(&self, rules: Option<&Rules>, said: &Said, who: &Who, about: About<'_>) {
        let (Some(rules), Some(incident)) = (rules, &said.incident) else { return };
        tracing::warn!(
            source = crate::report::printable(&incident.source),
            messages = incident.messages,
            queued = about.id,
            "too many messages: the rest is held until it is released"
        );
        if !rules.alert.is_empty() {
            self.alerts.tell(&rules.alert, incident, rules.per, who, about);
        }
    }
}
