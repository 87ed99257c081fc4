//! Changes of very many messages, in portions: each is a transaction of its own, so that whoever submits meanwhile waits
//! for one of them and never for all. What ends in the middle leaves every message wholly changed or not at all.
//!
//! How many messages a portion has goes by how long the last one took. What fits is looked for on a connection that only
//! reads, so that a search keeps nobody from writing, and is asked for again where it is changed.

use super::text::Texts;
use super::writer::Writer;
use super::{change, lock, portion, read, schema};
use crate::queue::{Action, Filter, MessageId, Millis, StoreError};
use crate::sys::clock;
use rusqlite::Connection;
use std::sync::Mutex;
use std::time::Duration;

/// How long the work of a portion is to take.
const LENGTH: Duration = Duration::from_millis(8);
/// The fewest, the usual and the most messages of one.
const LEAST: usize = 32;
const FIRST: usize = 200;
const MOST: usize = 2000;
/// The most recipients of one, where it has several messages.
const RECIPIENTS: usize = 20_000;
/// Numbers looked up at a time.
const PAGE: usize = 20_000;
/// Submissions looked through at a time.
const LOOKED: usize = 5000;

/// How many portions are made before the log is taken into the database, beside whoever writes.
const ROUND: u32 = 8;

/// One such change.
pub(super) struct Bulk<'s> {
    writer: &'s Writer,
    reader: &'s Mutex<Connection>,
    /// Messages of the next portion.
    size: usize,
    portions: u32,
    /// The writer is set up for many portions, and who takes the log in: from the second portion on.
    big: Option<Connection>,
}

impl<'s> Bulk<'s> {
    pub(super) fn new(writer: &'s Writer, reader: &'s Mutex<Connection>) -> Self {
        Self { writer, reader, size: FIRST, portions: 0, big: None }
    }

    /// Between portions: the log is taken into the database by another connection, so that no commit has to do it.
    fn between(&mut self) -> Result<(), StoreError> {
        self.portions += 1;
        match &self.big {
            None if self.portions == 2 => {
                self.writer.alone(schema::for_many)?;
                self.big = Some(schema::connect(self.writer.path())?);
            }
            Some(other) if self.portions.is_multiple_of(ROUND) => schema::take_log_in(other)?,
            _ => {}
        }
        Ok(())
    }

    /// Makes a portion; it is told how many messages it may have.
    fn portion<T: Send + 'static>(
        &mut self,
        mut work: impl FnMut(&Connection, usize) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.between()?;
        let size = self.size;
        let (done, took) = self.writer.change(move |c| {
            let begun = clock::instant();
            work(c, size).map(|done| (done, clock::instant().saturating_duration_since(begun)))
        })?;
        self.size = following(size, took);
        Ok(done)
    }

    /// How many of these messages the next portion has: as many as their recipients allow, which is where the work is.
    fn first(&self, ids: &[i64]) -> Result<usize, StoreError> {
        let mut size = self.size.min(ids.len());
        while size > 1 && read::are_more(&lock(self.reader), &ids[..size], RECIPIENTS)? {
            size /= 2;
        }
        Ok(size)
    }

    /// Portion after portion until one has nothing left to do.
    fn until_done(
        &mut self,
        work: impl FnMut(&Connection, usize) -> Result<bool, StoreError> + Clone + Send + 'static,
    ) -> Result<(), StoreError> {
        loop {
            let mut work = work.clone();
            if self.portion(move |c, size| work(c, size))? {
                return Ok(());
            }
        }
    }

    /// Carries an action out on all messages that fit and were there when it began; how many there were.
    pub(super) fn act(
        &mut self,
        filter: &Filter,
        action: &Action,
        now: Millis,
        texts: &Texts,
    ) -> Result<u64, StoreError> {
        if !filter.ids.is_empty() {
            return self.act_on(&filter.ids, filter, action, now, texts);
        }
        let last = read::last(&lock(self.reader))?;
        let (mut filter, mut count) = (filter.clone(), 0);
        loop {
            let found: Vec<MessageId> =
                read::fitting(&lock(self.reader), &filter, PAGE)?.into_iter().map(MessageId).collect();
            let Some(end) = found.last() else { return Ok(count) };
            count += self.act_on(&found, &filter, action, now, texts)?;
            if end.0 >= last {
                return Ok(count);
            }
            filter.after = Some(*end);
        }
    }

    fn act_on(
        &mut self,
        mut ids: &[MessageId],
        filter: &Filter,
        action: &Action,
        now: Millis,
        texts: &Texts,
    ) -> Result<u64, StoreError> {
        let mut count = 0;
        while !ids.is_empty() {
            let (these, others) =
                ids.split_at(self.first(&ids.iter().take(self.size).map(|id| id.0).collect::<Vec<_>>())?);
            let (filter, action) = (Filter { ids: these.to_vec(), ..filter.clone() }, action.clone());
            let (done, files) = self.portion(move |c, _| portion::act(c, &filter, &action, now))?;
            texts.remove(&files);
            count += done;
            ids = others;
        }
        Ok(count)
    }

    /// Opens a lane: what waited for the end of its pause is due, and then the pause is over. In this order, so that a crash
    /// leaves a paused lane, which the next process opens. A lane that is paused anew meanwhile stays so.
    pub(super) fn resume(&mut self, lane: &str, now: Millis) -> Result<(), StoreError> {
        let Some(until) = read::paused_until(&lock(self.reader), lane)? else { return Ok(()) };
        let until_all = until.saturating_add(change::PAUSED_TOGETHER);
        let mut waiting = read::waiting_until(&lock(self.reader), lane, now, until_all)?;
        // In the order in which they lie on the disk.
        waiting.sort_unstable();
        let mut rest = &waiting[..];
        loop {
            let (these, others) = rest.split_at(self.first(rest)?);
            let (these, lane, last) = (these.to_vec(), lane.to_owned(), others.is_empty());
            self.portion(move |c, _| {
                portion::hasten(c, &these, now, until_all)?;
                if last && read::paused_until(c, &lane)? == Some(until) {
                    change::resumed(c, &lane, now)?;
                }
                Ok(())
            })?;
            if last {
                return Ok(());
            }
            rest = others;
        }
    }

    /// Moves the times of the schedule by that much. What a crash leaves undone is known to the queue (`finish_shift`).
    pub(super) fn shift(&mut self, by: i64, now: Millis) -> Result<(), StoreError> {
        if by.unsigned_abs() > portion::FARTHEST {
            return Err(StoreError::Io("no clock can be set as far as that".into()));
        }
        self.writer.change(move |c| portion::begin_shift(c, by, now))?;
        self.finish_shift()
    }

    /// Ends a shift that was begun, where one was.
    pub(super) fn finish_shift(&mut self) -> Result<(), StoreError> {
        self.until_done(portion::shift)
    }

    /// Sets right what a clock wrote that was ahead; by how much it was, where it was.
    pub(super) fn set_back(&mut self, now: Millis) -> Result<Option<Millis>, StoreError> {
        let ahead = portion::ahead(&lock(self.reader), now)?;
        if ahead.is_none() && !portion::is_far(&lock(self.reader), now)? {
            return Ok(None);
        }
        let by = ahead.unwrap_or_default();
        self.writer.change(move |c| portion::set_lanes_back(c, now))?;
        let (mut after, last) = (0, read::last(&lock(self.reader))?);
        while after < last {
            after = self.portion(move |c, size| portion::set_back(c, after, size, by, now))?.unwrap_or(last);
        }
        // The results come last: while there is one of a time to come, this is known to be undone.
        self.until_done(move |c, size| portion::set_history_back(c, now, size))?;
        Ok(Some(by))
    }

    /// Forgets what is older than that. The submissions of messages that are still queued stay.
    pub(super) fn forget(&mut self, before: Millis) -> Result<(), StoreError> {
        self.until_done(move |c, size| portion::forget_history(c, before, size))?;
        self.until_done(move |c, size| portion::forget_deferrals(c, before, size))?;
        let mut after = String::new();
        loop {
            let (old, last) = read::old_submissions(&lock(self.reader), &after, before, LOOKED)?;
            let mut rest = &old[..];
            while !rest.is_empty() {
                let (these, others) = rest.split_at(self.size.min(rest.len()));
                let these = these.to_vec();
                self.portion(move |c, _| portion::forget_submissions(c, &these))?;
                rest = others;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

impl Drop for Bulk<'_> {
    fn drop(&mut self) {
        let Some(other) = self.big.take() else { return };
        let usual = self.writer.alone(schema::as_usual).and_then(|()| schema::take_log_in(&other));
        if let Err(error) = usual {
            tracing::debug!("queue: {error}");
        }
    }
}

/// How many messages the portion has that follows one of that many.
fn following(size: usize, took: Duration) -> usize {
    if took * 2 < LENGTH {
        (size * 2).min(MOST)
    } else if took < LENGTH * 2 {
        size
    } else {
        (size / 2).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_goes_by_how_long_the_last_one_took() {
        let millis = Duration::from_millis;
        assert_eq!(following(200, millis(1)), 400);
        assert_eq!(following(MOST, millis(1)), MOST);
        assert_eq!((following(200, millis(5)), following(200, millis(12))), (200, 200));
        assert_eq!((following(200, millis(300)), following(LEAST, millis(300))), (100, LEAST));
    }
}
