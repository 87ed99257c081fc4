//! How many recipients may go now under several limits at once, and when the next one may. Pure.

use super::Millis;
use super::window::{Measure, Span, Window};

/// Which kind of mail: a share of each limit may be reserved for single mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// Mail to somebody.
    #[default]
    Single,
    /// Mail to many, which keeps off the reserved share.
    Bulk,
}

/// Something that counts: what was taken, or a reservation that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The latest moment at which it was or may yet be taken, in the ledger's time.
    pub at: Millis,
    /// Recipients.
    pub recipients: u64,
    /// Messages.
    pub messages: u64,
    /// A reservation: whether it is used is known by `at` at the latest.
    pub open: bool,
}

/// One limit and what counts towards it.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The limit.
    pub window: Window,
    /// What of it is there for the mail in question: less than `window.most` where a share is reserved.
    pub ceiling: u64,
    /// For a calendar day, its first moment and the next day's, in the ledger's time.
    pub day: (Millis, Millis),
    /// What counts, in any order; entries of the past may be among it.
    pub entries: Vec<Entry>,
}

/// How long to wait for reservations of others, before looking whether they were used.
const OTHERS: Millis = 5_000;

/// What may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// So many recipients of one message now; `u64::MAX` where only messages are counted.
    pub recipients: u64,
    /// Where that is fewer than asked for: when there is room for a further one, in the ledger's time.
    pub next: Option<Millis>,
    /// Which of the limits that hangs on, by its place.
    pub limit: usize,
}

impl Tally {
    fn amount(&self, entry: &Entry) -> u64 {
        match self.window.measure {
            Measure::Recipients => entry.recipients,
            Measure::Messages => entry.messages,
        }
    }

    /// When an entry no longer counts. A reservation counts as used at the latest moment that it could be.
    fn frees(&self, entry: &Entry, now: Millis) -> Millis {
        // What claims to be of the future counts as now, so that nothing waits for longer than one window.
        let at = if entry.open { entry.at } else { entry.at.min(now) };
        match self.window.per {
            Span::Rolling(_) => at.saturating_add(self.window.per.length()),
            Span::Day(_) if at < self.day.0 => at,
            // One that may be used tomorrow counts today and tomorrow.
            Span::Day(_) => self.day.1,
        }
    }

    /// What is used up.
    #[must_use]
    pub fn used(&self, now: Millis) -> u64 {
        let counting = self.entries.iter().filter(|entry| self.frees(entry, now) > now);
        counting.map(|entry| self.amount(entry)).fold(0, u64::saturating_add)
    }

    /// What is left for the mail in question.
    #[must_use]
    pub fn left(&self, now: Millis) -> u64 {
        self.ceiling.saturating_sub(self.used(now))
    }

    /// When there is room for so many more than nothing: the earliest moment, given that nothing else is sent.
    #[must_use]
    pub fn room_at(&self, want: u64, now: Millis) -> Millis {
        if want > self.ceiling {
            // The most at a time goes now; the rest once that is free again.
            return self.frees(&Entry { at: now, recipients: 0, messages: 0, open: false }, now);
        }
        let certain = self.freed(want, now, &|_| true);
        let known = |entry: &Entry| !entry.open || entry.at <= now;
        if certain <= now || self.entries.iter().all(known) {
            return certain;
        }
        // Reservations of others may come back unused; that is known soon.
        let without = self.freed(want, now, &known);
        certain.min(without.max(now.saturating_add(OTHERS)))
    }

    fn freed(&self, want: u64, now: Millis, counts: &dyn Fn(&Entry) -> bool) -> Millis {
        let keep = self.ceiling.saturating_sub(want);
        let mut counting: Vec<(Millis, u64)> = self
            .entries
            .iter()
            .filter(|entry| counts(entry))
            .map(|entry| (self.frees(entry, now), self.amount(entry)))
            .filter(|(frees, _)| *frees > now)
            .collect();
        counting.sort_unstable();
        let mut used = counting.iter().map(|(_, amount)| *amount).fold(0, u64::saturating_add);
        let mut at = now;
        for (frees, amount) in counting {
            if used <= keep {
                break;
            }
            used = used.saturating_sub(amount);
            at = frees;
        }
        at
    }
}

/// What of a message to `wanted` recipients may go now, under all of the limits. None of them: everything.
#[must_use]
pub fn room(tallies: &[Tally], wanted: u64, now: Millis) -> Room {
    let mut recipients = u64::MAX;
    for tally in tallies {
        let left = tally.left(now);
        recipients = recipients.min(match tally.window.measure {
            Measure::Recipients => left,
            Measure::Messages if left > 0 => u64::MAX,
            Measure::Messages => 0,
        });
    }
    if recipients >= wanted {
        return Room { recipients, next: None, limit: 0 };
    }
    // When one more than goes now may go.
    let more = |tally: &Tally| match tally.window.measure {
        Measure::Recipients => tally.room_at(recipients.saturating_add(1), now),
        Measure::Messages => tally.room_at(1 + u64::from(recipients > 0), now),
    };
    let next = tallies.iter().map(more).enumerate().max_by_key(|(_, at)| *at);
    Room { recipients, next: next.map(|(_, at)| at), limit: next.map_or(0, |(limit, _)| limit) }
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
