//! What is told about a message: the log line, the transcript of a dialogue, the one line on stderr.
//!
//! Nothing here can fail a delivery: a log that cannot be written is said with `-v` and otherwise let go.

pub mod log;
pub mod msmtp_log;
pub mod progress;
pub mod syslog;
pub mod transcript;

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;

/// One line on standard error; a closed one is no error.
pub fn stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// Text of several lines on standard error; a closed one is no error.
pub fn stderr_text(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// What kept standard output from being written, the first time.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Text on standard output. What cannot be written is told at the end (`lost_output`), by a status too; a reader that went
/// away (`| head`) is no error.
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

/// Why some of standard output is lost, where it is.
#[must_use]
pub fn lost_output() -> Option<&'static io::Error> {
    LOST.get()
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
