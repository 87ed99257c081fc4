//! Delivery into a maildir: written and synced in `tmp`, then moved to `new`, whose directory is synced (so that neither
//! a crash nor a power cut leaves half a message or loses a whole one). Delivering twice makes two messages, never one
//! over the other.
//!
//! Equal messages in one file system are one file with several names (`links`), and a floor of free space stays.
//!
//! Everything is opened below the descriptor of the maildir, links are not followed, and a maildir of another user is not
//! written to, unless it is one for everybody (sticky).

#[path = "maildir_links.rs"]
mod links;

use crate::envelope::ReversePath;
use crate::message::Message;
use crate::rules::path::{Mailboxes, Place};
use crate::sys::owners::Way;
use crate::sys::{clock, random, space};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is the same for every delivery of a message.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'m> {
    /// The envelope sender, for Return-Path (RFC 5321 section 4.4).
    pub from: &'m ReversePath,
    /// The message; its lines end with LF in the file.
    pub message: &'m Message,
    /// This host's name, for the file's.
    pub host: &'m str,
    /// So many octets stay free on the file system.
    pub floor: u64,
}

/// Why nothing was delivered.
#[derive(Debug)]
pub enum Fault {
    /// The maildir is not there, and is not to be made.
    Absent,
    /// What the system said.
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for Fault {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Delivers a message; the result is the file. A maildir that is not there is made, mode 0700; its parent must be there.
///
/// # Errors
/// What the system said; nothing was delivered then.
pub fn deliver(maildir: &Path, mail: &Mail<'_>) -> io::Result<PathBuf> {
    into(directory(maildir)?, maildir, mail)
}

/// The same at a rule's place: links in what hangs on the recipient are not followed. What is not there is made, or, where
/// it has to be `existing`, is not.
///
/// # Errors
/// As `deliver`; and there is no such maildir.
pub fn deliver_at(place: &Place, existing: bool, mail: &Mail<'_>) -> Result<PathBuf, Fault> {
    if existing && !is_there(place) {
        return Err(Fault::Absent);
    }
    let Some((first, others)) = place.below.split_first() else { return Ok(deliver(&place.base, mail)?) };
    let mut root = subdirectory(&Way::to_write().directory(&place.base, None).map_err(io::Error::from)?, first)?;
    for name in others {
        root = subdirectory(&root, name)?;
    }
    Ok(into(root, &place.path(), mail)?)
}

/// Those of this machine.
pub const MAILBOXES: Mailboxes<'static> = Mailboxes(&is_there);

/// Whether a rule's maildir is there. Where the directory that all of them are in cannot be had, that is not known: it may
/// be, and its mail waits.
#[must_use]
pub fn is_there(place: &Place) -> bool {
    const LOOK: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    let absent = |error: rustix::io::Errno| matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG);
    if place.below.is_empty() {
        let parent = place.base.parent().map(|parent| rustix::fs::open(parent, LOOK, Mode::empty()));
        let opened = rustix::fs::open(&place.base, LOOK, Mode::empty());
        return !(matches!(parent, Some(Ok(_))) && opened.is_err_and(absent));
    }
    let Ok(mut root) = rustix::fs::open(&place.base, LOOK, Mode::empty()) else { return true };
    for name in &place.below {
        match rustix::fs::openat(&root, name.as_str(), LOOK | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(next) => root = next,
            // A link leads nowhere here, and delivery says so.
            Err(error) => return !absent(error) || is_link(&root, name),
        }
    }
    true
}

fn is_link(root: &OwnedFd, name: &str) -> bool {
    let facts = rustix::fs::statat(root, name, AtFlags::SYMLINK_NOFOLLOW);
    facts.is_ok_and(|facts| rustix::fs::FileType::from_raw_mode(facts.st_mode).is_symlink())
}

fn into(root: OwnedFd, maildir: &Path, mail: &Mail<'_>) -> io::Result<PathBuf> {
    let (tmp, new) = (subdirectory(&root, "tmp")?, subdirectory(&root, "new")?);
    subdirectory(&root, "cur")?;
    let name = unique(mail.host)?;
    let text = Text::of(mail);
    let delivered = written(&tmp, &name, &text, mail).and_then(|size| {
        let last = format!("{name},S={size}");
        rename(&tmp, &name, &new, &last)?;
        // Without it the new name may be gone after a power cut, and the message with it.
        rustix::fs::fsync(&new).inspect_err(|_| {
            let _ = rustix::fs::unlinkat(&new, &last, AtFlags::empty());
        })?;
        Ok(maildir.join("new").join(last))
    });
    match &delivered {
        Ok(file) => links::remember(&text, file),
        Err(_) => drop(rustix::fs::unlinkat(&tmp, &name, AtFlags::empty())),
    }
    delivered
}

/// The file in `tmp`, synced: a further name of one that has the same text, else one of its own. How many octets it has.
fn written(tmp: &OwnedFd, name: &str, text: &Text<'_>, mail: &Mail<'_>) -> io::Result<u64> {
    if let Some(size) = links::link(text, tmp, name) {
        return Ok(size);
    }
    space::demand(tmp, mail.floor, mail.message.wire_size())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(tmp, name, flags, Mode::RUSR | Mode::WUSR)?);
    let mut out = BufWriter::new(&file);
    text.write(&mut |piece| out.write_all(piece))?;
    out.flush()?;
    drop(out);
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// What a file holds.
struct Text<'m> {
    head: String,
    message: &'m Message,
}

impl<'m> Text<'m> {
    fn of(mail: &Mail<'m>) -> Self {
        let path = mail.from.address().map_or_else(String::new, ToString::to_string);
        Self { head: format!("Return-Path: <{path}>\n"), message: mail.message }
    }

    fn write(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        each(self.head.as_bytes())?;
        lines(self.message, each)
    }
}

/// The maildir itself, which may be a link to one, but not a link of another user.
fn directory(path: &Path) -> io::Result<OwnedFd> {
    let place = Way::to_write().go(path)?;
    let name = place.name.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    subdirectory(&place.directory, name)
}

fn subdirectory(root: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(root, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => {
            made(rustix::fs::mkdirat(root, name, Mode::RWXU))?;
            rustix::fs::fsync(rustix::fs::openat(root, ".", flags, Mode::empty())?)?;
            rustix::fs::openat(root, name, flags, Mode::empty())?
        }
        opened => opened?,
    };
    ours(&opened)?;
    Ok(opened)
}

/// Somebody else may have made it in between.
fn made(done: rustix::io::Result<()>) -> io::Result<()> {
    match done {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A directory of another user is left alone: what is written there with other rights than that user's is an attack's
/// best friend. Root's own for everybody is fine where it is sticky.
fn ours(directory: &OwnedFd) -> io::Result<()> {
    let facts = File::from(directory.as_fd().try_clone_to_owned()?).metadata()?;
    let own = rustix::process::geteuid().as_raw();
    let for_everybody = facts.mode() & 0o1000 != 0 && facts.uid() == 0;
    if facts.uid() == own || for_everybody {
        return Ok(Way::to_write().look(directory, Path::new("the maildir"))?);
    }
    let what = format!("the maildir belongs to user {}, not to {own}", facts.uid());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
}

/// Seconds, microseconds, process and chance: no two are alike, on this host or on another.
fn unique(host: &str) -> io::Result<String> {
    let now = clock::now();
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).take(64).collect();
    let chance = random::token()?;
    Ok(format!(
        "{}.M{}P{}R{}.{}",
        now.timestamp(),
        now.timestamp_subsec_micros(),
        std::process::id(),
        &chance[..16.min(chance.len())],
        if host.is_empty() { "localhost" } else { &host }
    ))
}

/// Moves the file without ever replacing another.
fn rename(tmp: &OwnedFd, name: &str, new: &OwnedFd, last: &str) -> io::Result<()> {
    match rustix::fs::renameat_with(tmp, name, new, last, RenameFlags::NOREPLACE) {
        // File systems that know no such flag: the name is like no other.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => Ok(rustix::fs::renameat(tmp, name, new, last)?),
        done => Ok(done?),
    }
}

/// The message piece by piece, lines ending with LF: on the wire no CR stands but before an LF.
pub(super) fn lines(message: &Message, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 << 10, message.wire());
    let mut block = vec![0; 64 << 10];
    loop {
        let count = reader.read(&mut block)?;
        if count == 0 {
            return Ok(());
        }
        for piece in block[..count].split(|octet| *octet == b'\r').filter(|piece| !piece.is_empty()) {
            each(piece)?;
        }
    }
}

#[cfg(test)]
#[path = "maildir_tests.rs"]
mod tests;
