//! Standard output and standard error. What is told on standard error never ends or holds up the process: where nobody
//! reads it, it is let go, counted, and told of once it moves again.

use crate::sys::patient;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long standard error is waited for that does not move: once, until it moves again.
const PATIENCE: Duration = Duration::from_millis(200);

static MOVES: AtomicBool = AtomicBool::new(true);
static UNREAD: AtomicU64 = AtomicU64::new(0);
/// What kept standard output from being written, the first time.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Text on standard error.
///
/// # Errors
/// It cannot be written, or nobody reads it for that long.
pub fn error(text: &[u8], patience: Duration) -> io::Result<()> {
    patient::write(io::stderr().as_fd(), text, patience)
}

/// Text on standard error, for whoever called; one that is closed or stands still is no error.
pub fn told(text: &str) {
    let patience = if MOVES.load(Ordering::Relaxed) { PATIENCE } else { Duration::ZERO };
    match error(text.as_bytes(), patience) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            MOVES.store(false, Ordering::Relaxed);
            UNREAD.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => {}
        Ok(()) => {
            MOVES.store(true, Ordering::Relaxed);
            let unread = UNREAD.swap(0, Ordering::Relaxed);
            if unread > 0 {
                told(&format!("({unread} earlier texts are not shown, as nobody read them)\n"));
            }
        }
    }
}

/// Text on standard output. Whoever reads it (`| less`) may take his time. What cannot be written is told at the end
/// (`lost_output`), by a status too; a reader that went away (`| head`) is no error.
pub fn stdout(text: &str) {
    if let Err(error) = write_stdout(text)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

/// Text on standard output, where it may also be lost.
///
/// # Errors
/// It cannot be written.
pub fn write_stdout(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// A line of a log that somebody keeps on standard output. The message has gone, whether this is read or not.
pub fn log_on_stdout(line: &str) {
    let _ = patient::write(io::stdout().as_fd(), line.as_bytes(), PATIENCE);
}

/// Why some of standard output is lost, where it is.
#[must_use]
pub fn lost_output() -> Option<&'static io::Error> {
    LOST.get()
}
