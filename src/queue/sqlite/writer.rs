//! What changes the queue: the calls that wait are made in one transaction, and everybody is answered after its commit.
//!
//! No thread is kept for it. Who comes while nobody leads makes all calls that wait, its own among them, and then gives
//! the lead to one of those who came meanwhile: a call that is alone costs no change of threads, and many share a sync.
//!
//! A call that fails on its own is undone alone (a savepoint each). Where the commit fails nobody's change was made: the
//! connection is thrown away, because after a failed sync the octets may be gone though a second try succeeds.

use super::{error, schema};
use crate::queue::StoreError;
use crate::sys::clock::{self, Deadline};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most calls in one transaction.
const BATCH: usize = 256;
/// While others came within this time, more are expected.
const BUSY: Duration = Duration::from_millis(10);
/// How long calls that can wait do so then, to share a commit: what one submitter needs from one message to the next.
/// A sync of their own would be in the way of the next message, which came while it ran.
const COMPANY: Duration = Duration::from_millis(5);

/// What nobody should ever read.
const FAULT: &str = "a fault of this program, which its log tells; nothing was written";

/// The way to the connection that writes.
pub(super) struct Writer {
    path: PathBuf,
    waiting: Mutex<Waiting>,
    /// Locked by who leads.
    side: Mutex<Side>,
}

/// Calls that were not begun yet.
#[derive(Default)]
struct Waiting {
    calls: VecDeque<Box<dyn Job>>,
    /// Somebody leads, or was told to.
    led: bool,
    /// So long urgent calls are expected.
    busy: Option<Deadline>,
    /// Since when whoever leads has done so.
    since: Option<Instant>,
}

impl Writer {
    /// On a database that is there and up to date.
    pub(super) fn start(path: PathBuf) -> Result<Self, StoreError> {
        let mut side = Side { path: path.clone(), connection: None, commits: 0 };
        side.connection()?;
        Ok(Self { path, waiting: Mutex::default(), side: Mutex::new(side) })
    }

    /// The database.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Transactions since the start.
    pub(super) fn commits(&self) -> u64 {
        self.side().commits
    }

    /// For how long what is being written has been. Waits for no transaction.
    pub(super) fn writing(&self) -> Option<Duration> {
        let since = self.waiting().since;
        since.map(|since| clock::instant().saturating_duration_since(since))
    }

    /// Makes a change together with whatever else waits; back when it is on disk.
    pub(super) fn change<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(work, Kind::Urgent)
    }

    /// The same for what nobody waits for at the other end: while messages come in, it waits a moment for the next one, so
    /// that both share a sync.
    pub(super) fn change_patiently<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(work, Kind::Patient)
    }

    /// Runs something that can be in no transaction.
    pub(super) fn alone<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(work, Kind::Alone)
    }

    fn call<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
        kind: Kind,
    ) -> Result<T, StoreError> {
        // It may be told to lead, and then answers itself.
        let (reply, answer) = sync_channel(2);
        let patient = {
            let mut waiting = self.waiting();
            let patient = kind == Kind::Patient && waiting.busy.is_some_and(|busy| busy.left().is_some());
            if kind == Kind::Urgent {
                waiting.busy = Some(Deadline::after(BUSY));
            }
            let kind = if kind == Kind::Patient && !patient { Kind::Urgent } else { kind };
            waiting.calls.push_back(Box::new(Call { work, result: None, reply, kind }));
            patient
        };
        if !patient {
            self.lead_if_nobody_does();
        }
        loop {
            let heard = if patient { answer.recv_timeout(COMPANY) } else { answer.recv().map_err(Into::into) };
            match heard {
                Ok(Heard::Done(result)) => return result,
                Ok(Heard::Lead) => self.lead(),
                Err(RecvTimeoutError::Timeout) => self.lead_if_nobody_does(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(StoreError::Io(FAULT.into()));
                }
            }
        }
    }

    fn lead_if_nobody_does(&self) {
        if !std::mem::replace(&mut self.waiting().led, true) {
            self.lead();
        }
    }

    /// Makes the calls that wait, as many as fit in a transaction, and gives the lead away.
    fn lead(&self) {
        let _lead = Lead(self);
        self.waiting().since = Some(clock::instant());
        let mut side = self.side();
        let mut batch = self.waiting().take();
        let last = batch.pop_if(|job| job.kind() == Kind::Alone);
        if !batch.is_empty() {
            side.together(batch);
        }
        if let Some(job) = last {
            side.by_itself(job);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn side(&self) -> MutexGuard<'_, Side> {
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// What is done next: up to a call that can be in no transaction.
    fn take(&mut self) -> Vec<Box<dyn Job>> {
        let alone = self.calls.iter().position(|job| job.kind() == Kind::Alone);
        let count = alone.map_or(self.calls.len(), |at| at + 1).min(BATCH);
        self.calls.drain(..count).collect()
    }
}

/// The lead; dropped, somebody else has it, or nobody where nobody needs it.
struct Lead<'w>(&'w Writer);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.since = None;
        // Who waits for company takes it when it has waited long enough.
        waiting.led = waiting.calls.iter().any(|job| job.kind() != Kind::Patient && job.lead());
    }
}

/// How a call is carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// At once, together with what else waits.
    Urgent,
    /// Together with the next urgent one, which is expected.
    Patient,
    /// In no transaction.
    Alone,
}

/// What somebody who waits hears.
enum Heard<T> {
    Done(Result<T, StoreError>),
    /// It is its turn to make all calls that wait.
    Lead,
}

/// A call that waits, whatever its result is.
trait Job: Send {
    /// Does it; whether it went well.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Why it did not go well.
    fn error(&self) -> Option<StoreError>;
    /// How it is carried out.
    fn kind(&self) -> Kind;
    /// Gives its caller the lead; whether there is one to take it.
    fn lead(&self) -> bool;
    /// Answers: with its own result, or with what befell the whole transaction.
    fn answer(self: Box<Self>, refused: Option<&StoreError>);
}

struct Call<W, T> {
    work: W,
    result: Option<Result<T, StoreError>>,
    reply: SyncSender<Heard<T>>,
    kind: Kind,
}

impl<T: Send, W: FnMut(&Connection) -> Result<T, StoreError> + Send> Job for Call<W, T> {
    fn run(&mut self, connection: &Connection) -> bool {
        // Who leads is not to blame for a fault in another's call.
        let done = catch_unwind(AssertUnwindSafe(|| (self.work)(connection)));
        self.result.insert(done.unwrap_or_else(|_| Err(StoreError::Io(FAULT.into())))).is_ok()
    }

    fn error(&self) -> Option<StoreError> {
        self.result.as_ref().and_then(|result| result.as_ref().err().cloned())
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn lead(&self) -> bool {
        self.reply.send(Heard::Lead).is_ok()
    }

    fn answer(self: Box<Self>, refused: Option<&StoreError>) {
        let undone = || StoreError::Io("the queue was not asked".into());
        let result = match refused {
            Some(error) => Err(error.clone()),
            None => self.result.unwrap_or_else(|| Err(undone())),
        };
        // The caller may have gone.
        let _ = self.reply.send(Heard::Done(result));
    }
}

/// The connection, and where it comes from.
struct Side {
    path: PathBuf,
    connection: Option<Connection>,
    commits: u64,
}

impl Side {
    /// The connection; a new one where the last was given up.
    fn connection(&mut self) -> Result<&Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = schema::connect(&self.path)?;
                // A commit whose sync failed is still in the log and would count after a crash: it was refused, so it
                // must go before anybody is answered.
                schema::empty_log(&connection)?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    fn together(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let done = self.connection().and_then(|connection| transaction(connection, &mut batch));
        let refused = done.err().map(|error| error::within(&self.path, error));
        match &refused {
            None => {
                self.commits += 1;
            }
            Some(error) => {
                tracing::error!("the queue could not be written, nothing was kept: {error}");
                self.give_up();
            }
        }
        // Who delivers has time; behind an urgent call somebody waits.
        batch.sort_by_key(|job| job.kind() != Kind::Urgent);
        batch.into_iter().for_each(|job| job.answer(refused.as_ref()));
    }

    fn by_itself(&mut self, mut job: Box<dyn Job>) {
        let refused = self.connection().map(|connection| job.run(connection)).err();
        job.answer(refused.map(|error| error::within(&self.path, error)).as_ref());
    }

    /// Drops the connection with what it had in hand, and tries for a new one.
    fn give_up(&mut self) {
        if let Some(connection) = self.connection.take()
            && !connection.is_autocommit()
        {
            // Closing it would do the same.
            let _ = connection.execute_batch("ROLLBACK");
        }
        if let Err(error) = self.connection() {
            tracing::error!("the queue cannot be opened again yet: {error}");
        }
    }
}

/// All of them in one transaction; an error means that nothing of any of them is there.
fn transaction(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    if let [job] = batch {
        // Alone in its transaction it needs no savepoint, whose journal is costly.
        return match (job.run(connection), connection.is_autocommit()) {
            (true, _) => Ok(connection.prepare_cached("COMMIT")?.execute([]).map(drop)?),
            (false, true) => Err(job.error().unwrap_or_else(|| StoreError::Io("the transaction was lost".into()))),
            (false, false) => Ok(connection.prepare_cached("ROLLBACK")?.execute([]).map(drop)?),
        };
    }
    for job in batch {
        connection.prepare_cached("SAVEPOINT job")?.execute([])?;
        if !job.run(connection) {
            // A full disk or an IO error can end the whole transaction, and with it what the others did.
            if connection.is_autocommit() {
                return Err(job.error().unwrap_or_else(|| StoreError::Io("the transaction was lost".into())));
            }
            connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
        }
        connection.prepare_cached("RELEASE job")?.execute([])?;
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}
