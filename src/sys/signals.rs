//! Signals that would end the process without a word.

use signal_hook::consts::SIGXFSZ;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A file that may not grow any more (RLIMIT_FSIZE) is an error of the write, as a full disk is. The signal would end the
/// process at its log after the message has gone, and whoever called would send it again.
pub fn outlive_file_limit() {
    // Without it everything else works as before.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
