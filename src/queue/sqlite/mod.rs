//! The queue of one host: a SQLite database and, for large texts, files beside it.
//!
//! ```text
//! DIRECTORY/lock      held by the process that has the queue, whose number is in it
//! DIRECTORY/run.lock  held by the one of several processes that delivers, where the queue is shared
//! DIRECTORY/queue.db  everything but large texts (schema); -wal and -shm belong to it
//! DIRECTORY/text/     texts of more than 256 KiB (text)
//! ```
//!
//! One connection writes, and commits what waits together (writer). Each kind of reader has one of its own, so that a long
//! list holds nobody up: the runner, whoever asks what costs next to nothing, operators, users. A commit is synced: what
//! was answered is kept whatever happens to the process or the machine.

mod about;
pub mod aside;
mod bulk;
mod change;
mod counts;
mod error;
mod halts;
mod head;
pub mod inspect;
mod lock;
mod open;
mod owner;
mod portion;
mod read;
mod restore;
mod said;
mod salvage;
mod schema;
mod source;
mod space;
mod text;
mod writer;

#[cfg(test)]
mod tests;

use super::{
    Accepted, Action, Busy, Failure, Filter, Halt, Load, MessageId, Millis, NewMessage, Past, Pause, Queued, Recorded,
    Salvage, Salvaged, Source, Stats, Store, StoreError,
};
use crate::message::Message;
use crate::sys::clock::Deadline;
use bulk::Bulk;
use change::Parcel;
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use text::Texts;
use writer::Writer;

/// Recipients of a list, beyond which it takes no further message: some 20 MiB with their replies.
const PAGE: usize = 20_000;
/// Recipients of a message that are shown, and octets of them with what was said of them.
const SHOWN: read::Room = read::Room { recipients: 20_000, octets: 2 << 20 };
/// How long a user's search may take; and after how many steps of SQLite's it is looked.
const SEARCH: Duration = Duration::from_secs(2);
const STEPS: i32 = 10_000;

/// Which queue to open, and how.
#[derive(Clone, Copy, Debug)]
pub struct StoreConfig<'c> {
    /// Where it is; made where it is not there, for this process's user alone.
    pub directory: &'c Path,
    /// Below so many free octets nothing is accepted.
    pub min_free: u64,
    /// For one process alone, as the daemon needs it. Otherwise several processes of one user may have it open, and the
    /// first of them that claims is the one that delivers.
    pub exclusive: bool,
}

/// The queue in a directory.
pub struct SqliteStore {
    // Dropped in this order: the connections close before the lock goes.
    writer: Writer,
    runner: Mutex<Connection>,
    /// For what costs next to nothing, and what a submission or `status` waits for.
    quick: Mutex<Connection>,
    operator: Mutex<Connection>,
    /// For users' lists and searches, which have a time.
    users: Mutex<Connection>,
    claims: Mutex<HashSet<MessageId>>,
    /// Shared by those who set times, held alone by who moves all of them.
    times: RwLock<()>,
    texts: Texts,
    database: PathBuf,
    directory: PathBuf,
    min_free: u64,
    recovered: Option<String>,
    running: Option<lock::Running>,
    _lock: lock::Lock,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the queue, and makes it where there is none. A damaged database is set aside and what can be read of it saved.
    ///
    /// # Errors
    /// `Taken` where another process has it; `Damaged` where the database is of another program or of a newer one, and
    /// nothing was touched; `Io` where the directory is not this user's or the system refuses.
    pub fn open(config: &StoreConfig<'_>) -> Result<Self, StoreError> {
        let opened = open::open(config)?;
        let connect = || {
            schema::connect(&opened.database).map(Mutex::new).map_err(|error| error::within(&opened.database, error))
        };
        let (runner, quick, operator, users) = (connect()?, connect()?, connect()?, connect()?);
        let writer = Writer::start(opened.database.clone()).map_err(|error| error::within(&opened.database, error))?;
        let mut lock = opened.lock;
        if opened.signs {
            lock.opened();
        }
        let running = (!config.exclusive).then(|| lock::Running::new(&opened.directory));
        let store = Self {
            writer,
            runner,
            quick,
            operator,
            users,
            claims: Mutex::default(),
            times: RwLock::default(),
            texts: opened.texts,
            database: opened.database,
            directory: opened.directory,
            min_free: config.min_free,
            recovered: opened.recovered,
            running,
            _lock: lock,
        };
        // A process ended in the middle of it.
        store.bulk().finish_shift().map_err(|error| store.named(error))?;
        Ok(store)
    }

    fn bulk(&self) -> Bulk<'_> {
        Bulk::new(&self.writer, &self.operator)
    }

    /// What was damaged, what was saved and where the rest is, where the database had to be set aside.
    #[must_use]
    pub fn recovered(&self) -> Option<String> {
        self.recovered.clone()
    }

    /// How many transactions were committed since it was opened; each may hold many calls.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    fn named(&self, error: StoreError) -> StoreError {
        error::within(&self.database, error)
    }

    fn parcel(&self, new: NewMessage) -> Result<Parcel, StoreError> {
        let text = self.texts.keep(&new)?;
        Ok(Parcel { new, text })
    }

    /// The texts of several messages kept, and the files that hold them; none of them where one could not be.
    fn parcels(&self, new: Vec<NewMessage>) -> Result<(Vec<Parcel>, Vec<String>), StoreError> {
        space::check(&self.directory, self.min_free, new.iter().map(|one| one.message.wire_size()).sum())?;
        let (mut parcels, mut files) = (Vec::new(), Vec::new());
        for one in new {
            match self.parcel(one) {
                Ok(parcel) => {
                    files.extend(parcel.text.file().map(str::to_owned));
                    parcels.push(parcel);
                }
                Err(error) => {
                    self.texts.remove(&files);
                    return Err(error);
                }
            }
        }
        Ok((parcels, files))
    }

    /// Removes the file of a text that no row came to name.
    fn drop_text(&self, file: Option<String>) {
        self.texts.remove(file.as_slice());
    }

    /// Who reads for a filter.
    fn reader(&self, filter: &Filter) -> &Mutex<Connection> {
        if filter.uid.is_some() { &self.users } else { &self.operator }
    }

    /// Puts messages on hold whose rows cannot be read, so that they stop nobody.
    fn set_aside(&self, broken: Vec<(MessageId, String)>) -> Result<(), StoreError> {
        if broken.is_empty() {
            return Ok(());
        }
        for (id, reason) in &broken {
            tracing::error!("message {id} is put on hold: {reason}");
        }
        self.writer
            .change(move |c| broken.iter().try_for_each(|(id, reason)| change::hold(c, id.0, Some(reason), None)))
    }
}

impl Store for SqliteStore {
    fn accept(&self, new: NewMessage) -> Result<Accepted, StoreError> {
        space::check(&self.directory, self.min_free, new.message.wire_size())?;
        let parcel = self.parcel(new)?;
        let file = parcel.text.file().map(str::to_owned);
        let accepted = self.writer.change(move |c| change::accept(c, &parcel));
        if !matches!(accepted, Ok(Accepted { again: false, .. })) {
            self.drop_text(file);
        }
        accepted
    }

    fn accept_all(&self, new: Vec<NewMessage>) -> Result<Accepted, StoreError> {
        let (parcels, files) = self.parcels(new)?;
        let accepted = self.writer.change(move |c| change::accept_all(c, &parcels));
        if !matches!(accepted, Ok(Accepted { again: false, .. })) {
            self.texts.remove(&files);
        }
        accepted
    }

    fn replace(&self, id: MessageId, by: Vec<NewMessage>) -> Result<Accepted, StoreError> {
        let (parcels, files) = self.parcels(by)?;
        let replaced = self.writer.change(move |c| change::replace(c, id, &parcels));
        if !matches!(replaced, Ok((Accepted { again: false, .. }, _))) {
            self.texts.remove(&files);
        }
        let (accepted, done) = replaced?;
        self.texts.remove(&done);
        Ok(accepted)
    }

    fn claim(&self, now: Millis, busy: &[Busy], limit: usize) -> Result<Vec<Queued>, StoreError> {
        if !self.running.as_ref().map_or(Ok(true), lock::Running::ours)? {
            return Ok(Vec::new());
        }
        // Held while reading: a message that was recorded meanwhile is either still claimed or no longer due.
        let mut claims = lock(&self.claims);
        let mut broken = Vec::new();
        let mut found = Vec::new();
        {
            let connection = lock(&self.runner);
            let snapshot = connection.unchecked_transaction().map_err(|error| self.named(error.into()))?;
            let ids = read::due(&snapshot, now, busy, &claims, limit).map_err(|error| self.named(error))?;
            let mut heavy = Heavy::default();
            for id in ids {
                if heavy.is_enough(&snapshot, id).map_err(|error| self.named(error))? {
                    continue;
                }
                match read::queued(&snapshot, id).map_err(|error| self.named(error))? {
                    Some(Ok(message)) => {
                        heavy.add(&message);
                        found.push(Queued { claimed: true, ..message });
                    }
                    Some(Err(reason)) => broken.push((id, reason)),
                    None => {}
                }
            }
        }
        claims.extend(found.iter().map(|message| message.id));
        drop(claims);
        self.set_aside(broken)?;
        Ok(found)
    }

    fn next_due(&self) -> Result<Option<Millis>, StoreError> {
        let claims = lock(&self.claims);
        let connection = lock(&self.runner);
        // One transaction takes the locks of the log once, not for each of its questions.
        let snapshot = connection.unchecked_transaction().map_err(|error| self.named(error.into()))?;
        read::next_due(&snapshot, &claims).map_err(|error| self.named(error))
    }

    fn text(&self, id: MessageId) -> Result<Message, StoreError> {
        // The guard goes before the octets are parsed.
        let (place, digest) = read::text(&lock(&self.runner), id).map_err(|error| self.named(error))?;
        match place {
            read::Place::Inline(octets) => text::checked(&octets, digest),
            read::Place::File(name, size) => self.texts.open(&name, size, digest),
        }
    }

    fn record(
        &self,
        id: MessageId,
        now: Millis,
        results: &[Recorded],
        report: Option<NewMessage>,
    ) -> Result<(), StoreError> {
        let report = report.map(|new| self.parcel(new)).transpose()?;
        let file = report.as_ref().and_then(|parcel| parcel.text.file().map(str::to_owned));
        let results = results.to_vec();
        let done = self.writer.change_patiently(move |c| change::record(c, id, now, &results, report.as_ref()));
        // Where it failed the claim stays: the results are not known to the queue, and an attempt now might send twice.
        if matches!(done, Ok(_) | Err(StoreError::Gone)) {
            lock(&self.claims).remove(&id);
        }
        if !matches!(done, Ok(change::Done { report_again: false, .. })) {
            self.drop_text(file);
        }
        done.map(|done| self.texts.remove(&done.files))
    }

    fn owe(
        &self,
        id: MessageId,
        now: Millis,
        results: &[Recorded],
        due: Millis,
        failed: &[(u32, Failure)],
    ) -> Result<(), StoreError> {
        let (results, failed) = (results.to_vec(), failed.to_vec());
        let done = self.writer.change_patiently(move |c| change::owe(c, id, now, &results, due, &failed));
        if matches!(done, Ok(_) | Err(StoreError::Gone)) {
            lock(&self.claims).remove(&id);
        }
        done.map(|done| self.texts.remove(&done.files))
    }

    fn salvage(&self, place: &Path, how: &Salvage<'_>) -> Result<Salvaged, StoreError> {
        self.bring_back(place, how)
    }

    fn aside(&self) -> Vec<String> {
        let found = aside::list(&self.directory).unwrap_or_default();
        found.into_iter().map(|path| path.display().to_string()).collect()
    }

    fn note(&self, id: MessageId, now: Millis, results: &[Recorded]) -> Result<(), StoreError> {
        let results = results.to_vec();
        let done = self.writer.change_patiently(move |c| change::record(c, id, now, &results, None))?;
        self.texts.remove(&done.files);
        Ok(())
    }

    fn release_claim(&self, id: MessageId) -> Result<(), StoreError> {
        lock(&self.claims).remove(&id);
        Ok(())
    }

    fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<Queued>, StoreError> {
        let (mut found, mut recipients) = (Vec::new(), 0);
        {
            let connection = lock(self.reader(filter));
            let snapshot = connection.unchecked_transaction().map_err(|error| self.named(error.into()))?;
            for id in read::fitting(&snapshot, filter, limit).map_err(|error| self.named(error))? {
                if recipients > PAGE {
                    break;
                }
                match read::queued(&snapshot, MessageId(id)).map_err(|error| self.named(error))? {
                    Some(Ok(message)) => {
                        recipients += message.recipients.len();
                        found.push(message);
                    }
                    Some(Err(reason)) => tracing::error!("message {} cannot be shown: {reason}", MessageId(id)),
                    None => {}
                }
            }
        }
        let claims = lock(&self.claims);
        found.iter_mut().for_each(|message| message.claimed = claims.contains(&message.id));
        Ok(found)
    }

    fn show(&self, filter: &Filter, limit: usize, each: &mut dyn FnMut(Queued, u64) -> bool) -> Result<(), StoreError> {
        let ids = self.numbers(filter, limit)?;
        let connection = lock(self.reader(filter));
        let snapshot = connection.unchecked_transaction().map_err(|error| self.named(error.into()))?;
        for id in ids {
            match read::queued_within(&snapshot, id, SHOWN).map_err(|error| self.named(error))? {
                Some(Ok(mut message)) => {
                    let all = read::recipients_of(&snapshot, id).map_err(|error| self.named(error))?;
                    let more = all.saturating_sub(message.recipients.len() as u64);
                    message.claimed = lock(&self.claims).contains(&id);
                    if !each(message, more) {
                        break;
                    }
                }
                Some(Err(reason)) => tracing::error!("message {id} cannot be shown: {reason}"),
                None => {}
            }
        }
        Ok(())
    }

    fn numbers(&self, filter: &Filter, limit: usize) -> Result<Vec<MessageId>, StoreError> {
        let mut connection = lock(self.reader(filter));
        // A user's search is given up when its time is over.
        let end = Deadline::after(SEARCH);
        let late = filter.uid.map(|_| move || end.left().is_none());
        let found = connection
            .progress_handler(STEPS, late)
            .map_err(StoreError::from)
            .and_then(|()| read::found(&connection, filter, limit));
        // What is read next has no time but a size.
        let _ = connection.progress_handler(STEPS, None::<fn() -> bool>);
        found.map_err(|error| self.named(error))
    }

    fn count(&self) -> Result<u64, StoreError> {
        read::count(&lock(&self.quick)).map_err(|error| self.named(error))
    }

    fn count_of(&self, uid: u32) -> Result<u64, StoreError> {
        read::count_of(&lock(&self.quick), uid).map_err(|error| self.named(error))
    }

    fn writing(&self) -> Option<Duration> {
        self.writer.writing()
    }

    fn waiting(&self, lane: &str) -> Result<u64, StoreError> {
        read::waiting(&lock(&self.quick), lane).map_err(|error| self.named(error))
    }

    fn act(&self, filter: &Filter, action: &Action, now: Millis) -> Result<u64, StoreError> {
        let _times = self.times.read().unwrap_or_else(PoisonError::into_inner);
        self.bulk().act(filter, action, now, &self.texts).map_err(|error| self.named(error))
    }

    fn move_lane(&self, id: MessageId, lane: &str, why: &str) -> Result<(), StoreError> {
        let (lane, why) = (lane.to_owned(), why.to_owned());
        self.writer.change(move |c| change::move_lane(c, id, &lane, &why))
    }

    fn move_all(&self, ids: &[MessageId], lane: &str, why: &str) -> Result<Vec<MessageId>, StoreError> {
        let (ids, lane, why) = (ids.to_vec(), lane.to_owned(), why.to_owned());
        self.writer.change(move |c| {
            let mut moved = Vec::new();
            for id in &ids {
                match change::move_lane(c, *id, &lane, &why) {
                    Err(StoreError::Gone) => {}
                    done => done.map(|()| moved.push(*id))?,
                }
            }
            Ok(moved)
        })
    }

    fn pause(&self, pause: &Pause) -> Result<(), StoreError> {
        let pause = pause.clone();
        self.writer.change(move |c| change::pause(c, &pause))
    }

    fn resume(&self, lane: &str, now: Millis) -> Result<(), StoreError> {
        let _times = self.times.read().unwrap_or_else(PoisonError::into_inner);
        self.bulk().resume(lane, now).map_err(|error| self.named(error))
    }

    fn paused(&self) -> Result<Vec<Pause>, StoreError> {
        read::pauses(&lock(&self.quick)).map_err(|error| self.named(error))
    }

    fn halt(&self, halt: &Halt) -> Result<(), StoreError> {
        let halt = halt.clone();
        self.writer.change(move |c| halts::halt(c, &halt))
    }

    fn unhalt(&self, lane: &str, now: Millis) -> Result<(), StoreError> {
        let lane = lane.to_owned();
        self.writer.change(move |c| halts::unhalt(c, &lane, now))
    }

    fn halted(&self) -> Result<Vec<Halt>, StoreError> {
        halts::all(&lock(&self.quick)).map_err(|error| self.named(error))
    }

    fn loads(&self) -> Result<BTreeMap<String, Load>, StoreError> {
        counts::loads(&lock(&self.operator)).map_err(|error| self.named(error))
    }

    fn stats(&self, since: Millis) -> Result<Stats, StoreError> {
        let connection = lock(&self.operator);
        // One moment for all of its questions.
        let snapshot = connection.unchecked_transaction().map_err(|error| self.named(error.into()))?;
        counts::stats(&snapshot, since).map_err(|error| self.named(error))
    }

    fn shift(&self, by: i64, now: Millis) -> Result<(), StoreError> {
        let _times = self.times.write().unwrap_or_else(PoisonError::into_inner);
        self.bulk().shift(by, now).map_err(|error| self.named(error))
    }

    fn set_back(&self, now: Millis) -> Result<Option<Millis>, StoreError> {
        let _times = self.times.write().unwrap_or_else(PoisonError::into_inner);
        self.bulk().set_back(now).map_err(|error| self.named(error))
    }

    fn history(&self, since: Millis, limit: usize) -> Result<Vec<Past>, StoreError> {
        read::history(&lock(&self.operator), since, limit).map_err(|error| self.named(error))
    }

    fn counted(&self, since: Millis) -> Result<Vec<Source>, StoreError> {
        read::counted(&lock(&self.operator), since).map_err(|error| self.named(error))
    }

    fn tidy(&self, before: Millis) -> Result<(), StoreError> {
        self.bulk().forget(before).map_err(|error| self.named(error))?;
        // In pieces, so that those who submit meanwhile do not wait for all of it.
        while self.writer.alone(schema::shrink)? {}
        // A reader in the way is no trouble: the next time will do.
        self.writer.alone(|c| schema::empty_log(c).or(Ok(())))
    }
}

/// Lanes of which so many recipients are claimed at once that the rest of them waits for the next time.
#[derive(Default)]
struct Heavy {
    lanes: HashMap<String, usize>,
    any: bool,
}

impl Heavy {
    /// Most hundreds of recipients of a lane that are claimed at once, but for those of the last message; what a message has
    /// beyond whole hundreds does not count.
    const MOST: usize = 40;

    fn add(&mut self, message: &Queued) {
        let of_lane = self.lanes.entry(message.lane.clone()).or_default();
        *of_lane += message.recipients.len() / 100;
        self.any |= *of_lane >= Self::MOST;
    }

    /// Whether a message is of a lane that has enough. Costs nothing where none has.
    fn is_enough(&self, c: &Connection, id: MessageId) -> Result<bool, StoreError> {
        let of_lane = |lane: String| self.lanes.get(&lane).is_some_and(|of_lane| *of_lane >= Self::MOST);
        Ok(self.any && read::lane_of(c, id)?.is_some_and(of_lane))
    }
}

/// A lock, whatever became of who held it: what is behind each is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
