//! Equal messages to several maildirs of one file system: the second is a further name of the first one's file.
//!
//! Remembered are the last files of this process; one is used only where it is still there, is the same file, and has the
//! very same octets. Else the message is written anew.

use super::Text;
use crate::message::Message;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::collections::VecDeque;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most files that are remembered.
const MOST: usize = 32;
/// The most names of one file: file systems have limits of their own, and some are low.
const NAMES: u64 = 1000;

/// A file that was delivered.
struct Delivered {
    likeness: u64,
    path: PathBuf,
    device: u64,
    inode: u64,
}

static LAST: Mutex<VecDeque<Delivered>> = Mutex::new(VecDeque::new());

fn last() -> MutexGuard<'static, VecDeque<Delivered>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same for equal texts; whether they are equal is seen by their octets.
fn likeness(text: &Text<'_>) -> u64 {
    let Message { header, .. } = text.message;
    let mut hasher = DefaultHasher::new();
    text.head.hash(&mut hasher);
    header.fields().iter().for_each(|field| field.raw().hash(&mut hasher));
    text.message.wire_size().hash(&mut hasher);
    hasher.finish()
}

/// Remembers a file that was just delivered.
pub(super) fn remember(text: &Text<'_>, path: &Path) {
    let Ok(facts) = std::fs::symlink_metadata(path) else { return };
    let (device, inode) = (facts.dev(), facts.ino());
    let mut last = last();
    last.retain(|one| one.device != device || one.inode != inode);
    last.truncate(MOST - 1);
    last.push_front(Delivered { likeness: likeness(text), path: path.to_owned(), device, inode });
}

/// Gives a file with this text a further name in a directory; its octets. `None` where there is none that may have one.
pub(super) fn link(text: &Text<'_>, directory: &OwnedFd, name: &str) -> Option<u64> {
    let likeness = likeness(text);
    let device = rustix::fs::fstat(directory).ok()?.st_dev;
    let alike = |one: &&Delivered| one.likeness == likeness && one.device == device;
    let (path, inode) = last().iter().find(alike).map(|one| (one.path.clone(), one.inode))?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(&path, flags, Mode::empty()).ok()?);
    let facts = file.metadata().ok()?;
    let own = facts.uid() == rustix::process::geteuid().as_raw() && facts.mode() & 0o7777 == 0o600;
    let same = facts.is_file() && facts.dev() == device && facts.ino() == inode && facts.nlink() < NAMES;
    if !own || !same || !has(&file, text).unwrap_or(false) {
        return None;
    }
    rustix::fs::linkat(CWD, &path, directory, name, AtFlags::empty()).ok()?;
    let linked = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok();
    if linked.is_none_or(|linked| linked.st_ino != inode || linked.st_dev != device) {
        // Its name had come to be another file's.
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
        return None;
    }
    Some(facts.len())
}

/// Whether a file has the text, and nothing else.
fn has(file: &File, text: &Text<'_>) -> io::Result<bool> {
    let mut there = BufReader::with_capacity(64 << 10, file);
    let mut octets = Vec::new();
    let compared = text.write(&mut |piece| {
        octets.resize(piece.len(), 0);
        there.read_exact(&mut octets)?;
        if octets == piece { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    });
    match compared {
        Ok(()) => Ok(there.read(&mut [0])? == 0),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Ok(false),
        Err(error) => Err(error),
    }
}
