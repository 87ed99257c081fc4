//! The senders' own log files, by path: opened when a line comes, kept open, and opened anew at a reload.

use super::scribe::{Pen, Scribe};
use crate::sys::files;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most that are kept open.
const OPEN: usize = 64;

/// All of them.
pub(super) static FILES: Scribe<Files> = Scribe::new("log files", Files { open: BTreeMap::new() });

/// A line for a file.
#[derive(Debug)]
pub struct Line {
    file: PathBuf,
    sender: String,
    text: String,
}

/// The files that are open; `None` for one that could not be, which is told once.
#[derive(Debug)]
pub struct Files {
    open: BTreeMap<PathBuf, Option<File>>,
}

/// Writes a line of a sender into its file, behind the work.
pub fn line(file: &Path, sender: &str, text: String) {
    FILES.push(Line { file: file.to_owned(), sender: sender.to_owned(), text });
}

/// Has every file opened anew.
pub(super) fn reopen() {
    FILES.change(|files| files.open.clear());
}

impl Files {
    fn file(&mut self, path: &Path) -> io::Result<&mut File> {
        if self.open.len() >= OPEN && !self.open.contains_key(path) {
            self.open.clear();
        }
        let slot = self.open.entry(path.to_owned()).or_default();
        match slot {
            Some(file) => Ok(file),
            None => Ok(slot.insert(files::append(path)?)),
        }
    }
}

impl Pen for Files {
    type Line = Line;

    fn length(line: &Line) -> usize {
        line.text.len() + line.sender.len() + line.file.as_os_str().len()
    }

    fn write(&mut self, line: &Line, _: Duration) -> io::Result<()> {
        let told = self.open.contains_key(&line.file);
        self.file(&line.file).and_then(|file| file.write_all(line.text.as_bytes())).inspect_err(|error| {
            if !told {
                let file = line.file.display();
                tracing::warn!(sender = line.sender, "log_file {file} cannot be written: {error}");
            }
        })
    }

    fn otherwise(&mut self, _: &Line, _: &io::Error) -> bool {
        false
    }

    fn tell(lost: u64, why: &str) {
        tracing::warn!(lost, "lines of senders' log files are lost: {why}");
    }
}
