//! Appending to a mailbox file in the mboxrd form: a `From ` line, lines that begin like one quoted with `>`, an empty line
//! at the end. Locked with flock; what could not be written whole is taken back.

use super::maildir::{self, Mail};
use crate::envelope::ReversePath;
use crate::message::Message;
use crate::sys::clock::{self, Deadline};
use crate::sys::files;
use crate::sys::owners::Way;
use crate::sys::space;
use chrono::{DateTime, FixedOffset};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

/// How long another program may hold the lock.
const LOCK: Duration = Duration::from_secs(20);
const LOCK_TRY: Duration = Duration::from_millis(20);

/// Appends a message. The file is made where it is not there, mode 0600; a link in its place is not followed, and nothing is
/// written where another user could have put another file in its place.
///
/// # Errors
/// What the system said, or a lock that is held too long; the file is as before then.
pub fn append(path: &Path, mail: &Mail<'_>, now: DateTime<FixedOffset>) -> io::Result<()> {
    let place = Way::to_write().beside(path)?;
    let file = files::append_at(&place)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    space::demand(&file, mail.floor, mail.message.wire_size())?;
    lock(&file)?;
    let before = file.metadata()?.len();
    let written = write(&file, mail.from, mail.message, now).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = file.set_len(before);
    } else if before == 0 {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::fsync(rustix::fs::openat(&place.directory, ".", flags, Mode::empty())?)?;
    }
    written
}

/// The lock ends with the descriptor.
fn lock(file: &File) -> io::Result<()> {
    let deadline = Deadline::after(LOCK);
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) if deadline.left().is_some() => {
                clock::pause(LOCK_TRY)
            }
            done => return Ok(done?),
        }
    }
}

fn write(file: &File, from: &ReversePath, message: &Message, now: DateTime<FixedOffset>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let sender = from.address().map_or("MAILER-DAEMON".to_owned(), |address| address.as_str().replace(' ', "-"));
    writeln!(out, "From {sender} {}", now.with_timezone(&chrono::Utc).format("%a %b %e %H:%M:%S %Y"))?;
    let mut line = Line::default();
    maildir::lines(message, &mut |piece| {
        piece.split_inclusive(|octet| *octet == b'\n').try_for_each(|piece| line.put(piece, &mut out))
    })?;
    line.end(&mut out)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// The beginning of a line, until it is known whether it is to be quoted.
#[derive(Default)]
struct Line {
    begun: Vec<u8>,
    /// The beginning is out.
    out: bool,
}

/// The most `>` before a `From ` that is still quoted once more: no line of mail is longer.
const MARKS: usize = 998;
/// What begins a message.
const FROM: &[u8] = b"From ";

impl Line {
    fn put(&mut self, piece: &[u8], out: &mut impl Write) -> io::Result<()> {
        if self.out {
            out.write_all(piece)?;
        } else {
            self.begun.extend_from_slice(piece);
            let marks = self.begun.iter().take_while(|octet| **octet == b'>').count();
            let rest = &self.begun[marks..];
            if rest.len() >= FROM.len() || marks > MARKS || !FROM.starts_with(rest) || rest.ends_with(b"\n") {
                self.end(out)?;
                self.out = true;
            }
        }
        if piece.ends_with(b"\n") {
            *self = Self::default();
        }
        Ok(())
    }

    /// Writes what was held back.
    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        let marks = self.begun.iter().take_while(|octet| **octet == b'>').count();
        if self.begun[marks..].starts_with(FROM) {
            out.write_all(b">")?;
        }
        out.write_all(&std::mem::take(&mut self.begun))
    }
}

#[cfg(test)]
#[path = "mbox_tests.rs"]
mod tests;
