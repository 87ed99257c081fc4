//! The queue: what was accepted and is not yet done with. One durable store, a pure schedule, reports of failure.
//!
//! `Store` is the one door to the disk. The policy (when to try again, when to give up, what to tell) is in `schedule`
//! and `bounce`, which have neither IO nor a clock; `runner` puts the two together with `deliver`.

pub mod backup;
pub mod bounce;
pub mod delivery;
pub mod direct;
mod dispatcher;
pub mod drain;
mod gone;
pub mod lane;
mod lanes;
mod pace;
pub mod reason;
pub mod runner;
pub mod schedule;
mod shared;
mod spoilt;
pub mod sqlite;
pub mod stats;
mod telling;
pub mod types;
mod worker;

#[cfg(test)]
mod tests;

pub(crate) use gone::pages;
pub use stats::{ReasonCount, Stats, Tally};
pub use types::*;

use std::collections::BTreeMap;
use std::time::Duration;

/// Where messages are kept. Every call that changes something returns when the change is on disk, or with an error and
/// nothing changed. Safe to call from many threads at once; concurrent calls share one commit.
///
/// Small enough that a database server can implement it for several hosts.
pub trait Store: Send + Sync {
    /// Keeps a message: the point where it is safe.
    ///
    /// # Errors
    /// Nothing was kept: no space, read-only, a damaged file.
    fn accept(&self, new: NewMessage) -> Result<Accepted, StoreError>;

    /// Keeps several messages in one commit: what one submission came to. The first one's submission is that of all; what it
    /// was accepted as, or is already, is the result.
    ///
    /// # Errors
    /// Nothing was kept of any of them.
    fn accept_all(&self, new: Vec<NewMessage>) -> Result<Accepted, StoreError>;

    /// Puts messages in the place of one, in one commit: it leaves the queue without a word, and they are in it.
    ///
    /// # Errors
    /// `Gone` where there is no such message; nothing was changed.
    fn replace(&self, id: MessageId, by: Vec<NewMessage>) -> Result<Accepted, StoreError>;

    /// Messages with a recipient that is due at `now`, of lanes that are not paused, without those that `busy` names; single
    /// mail before bulk, then oldest due first, at most `limit`; none of them on hold, none claimed. They are claimed for this process until `record`,
    /// `release_claim` or its end.
    ///
    /// # Errors
    /// The store cannot be read.
    fn claim(&self, now: Millis, busy: &[Busy], limit: usize) -> Result<Vec<Queued>, StoreError>;

    /// When the next message of a lane that is not paused is due (or a pause ends), for sleeping until then.
    ///
    /// # Errors
    /// The store cannot be read.
    fn next_due(&self) -> Result<Option<Millis>, StoreError>;

    /// The text of a message.
    ///
    /// # Errors
    /// It is gone or cannot be read.
    fn text(&self, id: MessageId) -> Result<crate::message::Message, StoreError>;

    /// Writes down what became of recipients, ends the claim, and adds a bounce or warning in the same commit. A message
    /// whose recipients are all done leaves the queue; each final result goes into the history.
    ///
    /// # Errors
    /// Nothing was recorded.
    fn record(
        &self,
        id: MessageId,
        now: Millis,
        results: &[Recorded],
        report: Option<NewMessage>,
    ) -> Result<(), StoreError>;

    /// Writes results down as `record` does, and that other recipients failed for good, of which nobody could be told yet:
    /// these stay, due at `due`, and are not tried again (`QueuedRecipient::failed`).
    ///
    /// # Errors
    /// Nothing was recorded.
    fn owe(
        &self,
        id: MessageId,
        now: Millis,
        results: &[Recorded],
        due: Millis,
        failed: &[(u32, Failure)],
    ) -> Result<(), StoreError>;

    /// Writes down what became of some recipients while the attempt goes on for others: the claim stays. `record` may
    /// bring the same results once more.
    ///
    /// # Errors
    /// Nothing was written down; `Gone` where the message was deleted.
    fn note(&self, id: MessageId, now: Millis, results: &[Recorded]) -> Result<(), StoreError>;

    /// Ends a claim without a result: the attempt was not made.
    ///
    /// # Errors
    /// The store cannot be written.
    fn release_claim(&self, id: MessageId) -> Result<(), StoreError>;

    /// Messages that fit, oldest first, at most `limit`; fewer where they have very many recipients, so that a page has a
    /// size. `Filter::after` goes on behind the last; nothing found is the end.
    ///
    /// # Errors
    /// The store cannot be read.
    fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<Queued>, StoreError>;

    /// Gives the messages that fit to `each`, oldest first, at most `limit`, until it has enough (false); with how many more
    /// recipients one has than are with it, of which there are as many as a page has room for. A search for a user
    /// (`Filter::uid`) ends after a time; what it found by then is given, and the next one goes on behind the last.
    ///
    /// # Errors
    /// The store cannot be read; `Search` where a user's search found nothing in its time.
    fn show(&self, filter: &Filter, limit: usize, each: &mut dyn FnMut(Queued, u64) -> bool) -> Result<(), StoreError>;

    /// The numbers of the messages that fit, smallest first, at most `limit`, within the same time.
    ///
    /// # Errors
    /// As `show`.
    fn numbers(&self, filter: &Filter, limit: usize) -> Result<Vec<MessageId>, StoreError>;

    /// How many messages are queued.
    ///
    /// # Errors
    /// The store cannot be read.
    fn count(&self) -> Result<u64, StoreError>;

    /// How many of them a user submitted.
    ///
    /// # Errors
    /// The store cannot be read.
    fn count_of(&self, uid: u32) -> Result<u64, StoreError>;

    /// For how long what is being written has been; nothing where nothing is. Never waits.
    fn writing(&self) -> Option<Duration>;

    /// How many recipients the messages of a lane have that are not on hold.
    ///
    /// # Errors
    /// The store cannot be read.
    fn waiting(&self, lane: &str) -> Result<u64, StoreError>;

    /// Carries an operator's action out on all messages that fit and are there when it begins; how many there were. Very
    /// many are many commits, so that others are not kept waiting; each message is wholly done or not at all.
    ///
    /// # Errors
    /// What was done until then stays done.
    fn act(&self, filter: &Filter, action: &Action, now: Millis) -> Result<u64, StoreError>;

    /// Gives a message to another lane, for this reason; its recipients are due at once there, unless they wait for a queue
    /// run. It keeps its age, its attempts and its claim. The lane that it was accepted for stays known as `Queued::moved`,
    /// however often it is moved. Whether it may be moved is for the caller to know: not a second time, and not where the
    /// result for a recipient is unknown.
    ///
    /// # Errors
    /// `Gone` where there is no such message; nothing was changed.
    fn move_lane(&self, id: MessageId, lane: &str, why: &str) -> Result<(), StoreError>;

    /// The same for several messages in one commit, which must be few; those that were there.
    ///
    /// # Errors
    /// Nothing was changed.
    fn move_all(&self, ids: &[MessageId], lane: &str, why: &str) -> Result<Vec<MessageId>, StoreError>;

    /// Pauses a lane; this takes the place of an earlier pause of it.
    ///
    /// # Errors
    /// Nothing was changed.
    fn pause(&self, pause: &Pause) -> Result<(), StoreError>;

    /// Opens a lane again: what waited for the end of its pause is due now, and its messages are credited with the time of
    /// its trouble (`Queued::grace`). Nothing where it is not paused. Nothing of it is claimed before all of that is done.
    ///
    /// # Errors
    /// The lane is still paused.
    fn resume(&self, lane: &str, now: Millis) -> Result<(), StoreError>;

    /// The paused lanes.
    ///
    /// # Errors
    /// The store cannot be read.
    fn paused(&self) -> Result<Vec<Pause>, StoreError>;

    /// Pauses a lane as an operator says, whatever its server does; this takes the place of an earlier such pause of it.
    /// Nothing of the lane is claimed until it is over, and its messages do not age.
    ///
    /// # Errors
    /// Nothing was changed.
    fn halt(&self, halt: &Halt) -> Result<(), StoreError>;

    /// Ends an operator's pause. Nothing where there is none.
    ///
    /// # Errors
    /// Nothing was changed.
    fn unhalt(&self, lane: &str, now: Millis) -> Result<(), StoreError>;

    /// The lanes that an operator paused, those whose time is over included until they are ended.
    ///
    /// # Errors
    /// The store cannot be read.
    fn halted(&self) -> Result<Vec<Halt>, StoreError>;

    /// How many messages each lane has that has any.
    ///
    /// # Errors
    /// The store cannot be read.
    fn loads(&self) -> Result<BTreeMap<String, Load>, StoreError>;

    /// What became of recipients since then, by lane and reason. It costs no memory that grows with the history.
    ///
    /// # Errors
    /// The store cannot be read.
    fn stats(&self, since: Millis) -> Result<Stats, StoreError>;

    /// Moves every time of the schedule by as much as the wall clock was seen to jump, `now` by its new time; but not those
    /// of messages that were accepted since.
    ///
    /// # Errors
    /// Nothing was changed, or the rest is done when the queue is opened again.
    fn shift(&self, by: i64, now: Millis) -> Result<(), StoreError>;

    /// Sets right what an earlier process wrote while the clock was ahead; by how much it was, where it was.
    ///
    /// # Errors
    /// Some of it is still to be done.
    fn set_back(&self, now: Millis) -> Result<Option<Millis>, StoreError>;

    /// Final results, newest first: what was sent, what failed and why.
    ///
    /// # Errors
    /// The store cannot be read.
    fn history(&self, since: Millis, limit: usize) -> Result<Vec<Past>, StoreError>;

    /// What was counted (`NewMessage::counted`) from `since` on, earliest first. What is older than two days is forgotten.
    ///
    /// # Errors
    /// The store cannot be read.
    fn counted(&self, since: Millis) -> Result<Vec<Source>, StoreError>;

    /// Brings back what was set aside, or what can be read of another queue: a directory, a database, a directory of texts.
    /// What the queue knows does not come a second time.
    ///
    /// # Errors
    /// It cannot be read or kept; what came back before stays.
    fn salvage(&self, place: &std::path::Path, how: &Salvage<'_>) -> Result<Salvaged, StoreError>;

    /// What was set aside since it was damaged or lost, and not brought back yet.
    fn aside(&self) -> Vec<String>;

    /// Housekeeping: forgets history and submission ids older than `before`, and gives free space back.
    ///
    /// # Errors
    /// The store cannot be written.
    fn tidy(&self, before: Millis) -> Result<(), StoreError>;
}
