//! The one thread that writes: what waits is done in one transaction, and everybody is answered after its commit.
//!
//! A call that fails on its own is undone alone (a savepoint each). Where the commit fails nobody's change was made: the
//! connection is thrown away, because after a failed sync the octets may be gone though a second try succeeds.

use super::{error, schema};
use crate::queue::StoreError;
use crate::sys::clock::Deadline;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Most calls in one transaction.
const BATCH: usize = 256;
/// While others came within this time, more are expected.
const BUSY: Duration = Duration::from_millis(10);
/// How long calls that can wait do so then, to share a commit: what one submitter needs from one message to the next.
/// A sync of their own would be in the way of the next message, which came while it ran.
const COMPANY: Duration = Duration::from_millis(5);

/// The way to the writing thread.
pub(super) struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread on a database that is there and up to date.
    pub(super) fn start(path: PathBuf) -> Result<Self, StoreError> {
        let commits = Arc::new(AtomicU64::new(0));
        let mut side = Side { path, connection: None, commits: commits.clone(), busy: None };
        side.connection()?;
        let (jobs, waiting) = channel();
        let thread = std::thread::Builder::new()
            .name("queue".into())
            .spawn(move || side.serve(&waiting))
            .map_err(|error| StoreError::Io(format!("the queue's thread cannot be started: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), commits })
    }

    /// Transactions since the start.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Makes a change together with whatever else waits; back when it is on disk.
    pub(super) fn change<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(work, Kind::Urgent)
    }

    /// The same for what nobody waits for at the other end: while messages come in, it waits a moment for the next one, so
    /// that both share a sync.
    pub(super) fn change_patiently<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(work, Kind::Patient)
    }

    /// Runs something that can be in no transaction.
    pub(super) fn alone<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(work, Kind::Alone)
    }

    fn send<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
        kind: Kind,
    ) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        let job = Box::new(Call { work, result: None, reply, kind });
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        let stopped = || StoreError::Io("the queue's writing thread has stopped; restart the daemon".into());
        if sent { answer.recv().unwrap_or_else(|_| Err(stopped())) } else { Err(stopped()) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been told by the panic hook.
            let _ = thread.join();
        }
    }
}

/// How a call is carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// At once, together with what else waits.
    Urgent,
    /// Together with the next urgent one, where one is expected.
    Patient,
    /// In no transaction.
    Alone,
}

/// A call that waits, whatever its result is.
trait Job: Send {
    /// Does it; whether it went well.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Why it did not go well.
    fn error(&self) -> Option<StoreError>;
    /// How it is carried out.
    fn kind(&self) -> Kind;
    /// Answers: with its own result, or with what befell the whole transaction.
    fn answer(self: Box<Self>, refused: Option<&StoreError>);
}

struct Call<W, T> {
    work: W,
    result: Option<Result<T, StoreError>>,
    reply: SyncSender<Result<T, StoreError>>,
    kind: Kind,
}

impl<T: Send, W: FnMut(&Connection) -> Result<T, StoreError> + Send> Job for Call<W, T> {
    fn run(&mut self, connection: &Connection) -> bool {
        self.result.insert((self.work)(connection)).is_ok()
    }

    fn error(&self) -> Option<StoreError> {
        self.result.as_ref().and_then(|result| result.as_ref().err().cloned())
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn answer(self: Box<Self>, refused: Option<&StoreError>) {
        let undone = || StoreError::Io("the queue was not asked".into());
        let result = match refused {
            Some(error) => Err(error.clone()),
            None => self.result.unwrap_or_else(|| Err(undone())),
        };
        // The caller may have gone.
        let _ = self.reply.send(result);
    }
}

/// The thread's side.
struct Side {
    path: PathBuf,
    connection: Option<Connection>,
    commits: Arc<AtomicU64>,
    /// So long urgent calls are expected.
    busy: Option<Deadline>,
}

impl Side {
    fn serve(&mut self, waiting: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = waiting.recv() {
            let mut batch = self.gather(first, waiting);
            let last = batch.pop_if(|job| job.kind() == Kind::Alone);
            if !batch.is_empty() {
                self.together(batch);
            }
            if let Some(job) = last {
                self.by_itself(job);
            }
        }
    }

    /// What is done in one transaction: all that waits, and what comes in the moment that patient calls wait for company.
    fn gather(&mut self, first: Box<dyn Job>, waiting: &Receiver<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let expecting = self.busy.is_some_and(|busy| busy.left().is_some());
        let (mut batch, patience) = (vec![first], Deadline::after(COMPANY));
        let mut patient = expecting;
        while let Some(last) = batch.last().filter(|last| last.kind() != Kind::Alone && batch.len() < BATCH) {
            patient &= last.kind() == Kind::Patient;
            let next = match patience.left().filter(|_| patient) {
                Some(left) => waiting.recv_timeout(left).ok(),
                None => waiting.try_recv().ok(),
            };
            let Some(job) = next else { break };
            batch.push(job);
        }
        if batch.iter().any(|job| job.kind() == Kind::Urgent) {
            self.busy = Some(Deadline::after(BUSY));
        }
        batch
    }

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
                self.commits.fetch_add(1, Ordering::Relaxed);
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
