//! Signals that would end the process without a word.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Signals that end others with the whole service are nothing here: another process says when this one ends. Programs
/// that it starts end by them.
///
/// # Errors
/// The system has no handlers to give.
pub fn outlive_the_end() -> std::io::Result<()> {
    // A handler, as what is ignored would be so in every program too.
    let register = |signal| signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    [SIGHUP, SIGINT, SIGTERM].into_iter().try_for_each(|signal| register(signal).map(drop))
}

/// A file that may not grow any more (RLIMIT_FSIZE) is an error of the write, as a full disk is. The signal would end the
/// process at its log after the message has gone, and whoever called would send it again.
pub fn outlive_file_limit() {
    // Without it everything else works as before.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
