//! How far long work is: one line on a terminal's standard error, written over itself and taken away at the end.
//!
//! Nothing where standard error is no terminal, or one that cannot write over a line. No colour, no escape sequence.

use super::standard;
use crate::sys::env;
use std::io::IsTerminal;
use std::time::Duration;

/// A line that shows how far work is. It goes away when this is dropped.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    on: bool,
    /// Characters of the line that is shown.
    width: usize,
}

impl Progress {
    /// Work by this name; nothing is shown yet.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        let dumb = env::var("TERM").is_none_or(|terminal| terminal == "dumb");
        Self { what, on: !dumb && std::io::stderr().is_terminal(), width: 0 }
    }

    /// Shows that so many of so many are done.
    pub fn at(&mut self, done: u64, of: u64) {
        if self.on {
            let line = format!("{}: {done} of {of}", self.what);
            self.show(&line);
        }
    }

    fn show(&mut self, line: &str) {
        let width = line.chars().count();
        let blank = self.width.saturating_sub(width);
        // A terminal that stands still is not waited for.
        let text = format!("\r{line}{:blank$}{}", "", "\u{8}".repeat(blank));
        let _ = standard::error(text.as_bytes(), Duration::ZERO);
        self.width = width;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.width > 0 {
            self.show("");
            let _ = standard::error(b"\r", Duration::ZERO);
        }
    }
}
