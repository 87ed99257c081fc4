//! Who has the queue: locks of the kernel on open files, which go with the process however it ends.

use super::error;
use crate::queue::StoreError;
use crate::sys::clock::Deadline;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// How long to wait for another process that is about to share.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(20);

/// The lock on a queue.
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    /// Nobody else has it at this moment.
    pub(super) alone: bool,
    /// Who had it before did not give it back: a kill, a crash.
    pub(super) left_open: bool,
}

/// Written behind the number of who has the queue, for as long as the database is open.
const OPEN: &str = "open";

impl Lock {
    /// Takes the queue for this process alone, or, where that is allowed, with others.
    pub(super) fn take(directory: &Path, exclusive: bool) -> Result<Self, StoreError> {
        let path = directory.join("lock");
        let file = open(&path)?;
        let mut lock = Self { file, path, alone: true, left_open: false };
        let deadline = Deadline::after(PATIENCE);
        loop {
            if attempt(lock.file.try_lock(), &lock.path)? {
                lock.left_open = lock.text().contains(OPEN);
                lock.sign("");
                return Ok(lock);
            }
            if !exclusive && attempt(lock.file.try_lock_shared(), &lock.path)? {
                lock.alone = false;
                return Ok(lock);
            }
            if exclusive || deadline.left().is_none() {
                return Err(lock.taken());
            }
            std::thread::sleep(STEP);
        }
    }

    /// Lets others in that share it.
    pub(super) fn share(&mut self) -> Result<(), StoreError> {
        self.alone = false;
        attempt(self.file.lock_shared().map_err(TryLockError::Error), &self.path).map(drop)
    }

    /// The database is open: until the lock is dropped, which is after that.
    pub(super) fn opened(&mut self) {
        self.sign(OPEN);
    }

    /// Writes down who has it; for people only, the lock itself is the kernel's.
    fn sign(&mut self, state: &str) {
        let text = format!("{}\n{state}", std::process::id());
        let signed = self.file.set_len(0).and_then(|()| self.file.rewind());
        let signed = signed.and_then(|()| self.file.write_all(text.as_bytes()));
        if let Err(error) = signed {
            tracing::debug!("{}: {error}", self.path.display());
        }
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        let _ = self.file.rewind().and_then(|()| (&self.file).take(40).read_to_string(&mut text));
        text
    }

    fn taken(&mut self) -> StoreError {
        let text = self.text();
        let holder = match text.lines().next().unwrap_or_default().parse::<u32>() {
            Ok(pid) => format!("process {pid}"),
            Err(_) => "another process".into(),
        };
        StoreError::Taken(format!("in use by {holder}; stop it, or give this one another queue.directory"))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The last of several leaves it as one alone does.
        if self.file.try_lock().is_ok() {
            self.sign("");
        }
    }
}

/// Which of several processes that share a queue delivers: the first that asks, until it ends.
pub(super) struct Running {
    path: PathBuf,
    held: OnceLock<File>,
}

impl Running {
    /// Nothing is taken yet.
    pub(super) fn new(directory: &Path) -> Self {
        Self { path: directory.join("run.lock"), held: OnceLock::new() }
    }

    /// Whether it is this process; takes it where nobody has.
    pub(super) fn ours(&self) -> Result<bool, StoreError> {
        if self.held.get().is_some() {
            return Ok(true);
        }
        let file = open(&self.path)?;
        if !attempt(file.try_lock(), &self.path)? {
            return Ok(self.held.get().is_some());
        }
        Ok(self.held.set(file).is_ok())
    }
}

/// Whether somebody holds the lock of another queue, where that can be seen.
pub(super) fn is_held(path: &Path) -> bool {
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path);
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn open(path: &Path) -> Result<File, StoreError> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| error::file(path, &error))
}

/// Whether the file system knows no locks, or has none left.
fn is_without_locks(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(errno, Some(rustix::io::Errno::NOLCK | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS))
}

fn attempt(result: Result<(), TryLockError>, path: &Path) -> Result<bool, StoreError> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if is_without_locks(&error) => Err(StoreError::Io(format!(
            "{}: {error}: this file system lends no locks, as NFS without its lock service; set queue.directory to a local \
             file system, or have the lock service started (rpc-statd)",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(error::file(path, &error)),
    }
}
