//! What is told about a message: the log line, the transcript of a dialogue, the one line on stderr.
//!
//! Nothing here can fail a delivery: a log that cannot be written is said with `-v` and otherwise let go.

mod files;
pub mod log;
pub mod msmtp_log;
pub mod progress;
pub mod scribe;
mod standard;
pub mod syslog;
pub mod transcript;

pub use standard::{log_on_stdout, lost_output, stdout, write_stdout};

use crate::sys::clock::Deadline;
use std::fmt::Display;
use std::time::Duration;

/// How long the end of a process waits for its logs on a machine that is busy; what stands still is waited for less.
const END: Duration = Duration::from_secs(2);

/// One line on standard error; a closed one is no error.
pub fn stderr(line: &str) {
    standard::told(&(printable(line) + "\n"));
}

/// Text of several lines on standard error; a closed one is no error.
pub fn stderr_text(text: &str) {
    standard::told(text);
}

/// Waits until the logs are written, for a short time: one that stands still delays no status. To be called at the end.
pub fn finish() {
    let deadline = Deadline::after(END);
    // They tell of their own losses in the log.
    let _ = files::FILES.finish(deadline);
    log::finish(deadline);
}

/// A text on one line: control characters become spaces, so that what a server or a message says cannot move the
/// cursor, colour the terminal or forge a second line in a log.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidi(c) { ' ' } else { c }).collect()
}

/// So many of something whose plural ends in s: `1 message`, `3 messages`.
#[must_use]
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {one}{plural}")
}

/// Characters that turn the direction of what follows.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
