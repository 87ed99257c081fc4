//! Opening files with care: owner and mode of files with secrets, append-only logs that follow no link.
//!
//! The checks are made on the open descriptor, never on a path that could be exchanged in between.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The most that is read of a configuration or secret file, octets.
const CONFIG_SIZE: u64 = 4 << 20;

/// Owner and permission bits of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The owner's user id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
    /// Permission bits (`0o7777`).
    pub mode: u32,
}

/// Reads a regular file whole, with its owner and mode.
///
/// # Errors
/// As `open` and `read`; a directory, a device or more than 4 MiB is `InvalidInput`.
pub fn read(path: &Path) -> io::Result<(Vec<u8>, Guard)> {
    // Non-blocking, so that a FIFO in the file's place cannot hang the caller.
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?);
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut data = Vec::new();
    file.take(CONFIG_SIZE + 1).read_to_end(&mut data)?;
    if data.len() as u64 > CONFIG_SIZE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "larger than 4 MiB"));
    }
    Ok((data, Guard { uid: facts.uid(), gid: facts.gid(), mode: facts.mode() & 0o7777 }))
}

/// Reads a file of /proc, which has no size of its own.
///
/// # Errors
/// As `open` and `read`; it is no UTF-8.
pub fn read_proc(path: &Path) -> io::Result<String> {
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
    let mut text = String::new();
    file.take(CONFIG_SIZE).read_to_string(&mut text)?;
    Ok(text)
}

/// What tells that a file was changed or replaced since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Device and inode.
    pub file: (u64, u64),
    /// Octets.
    pub size: u64,
    /// Time of the last change to the content, seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Time of the last change to the content or the owner or the mode.
    pub changed: (i64, i64),
}

/// The stamp of a file; links are followed.
///
/// # Errors
/// As `stat`.
pub fn stamp(path: &Path) -> io::Result<Stamp> {
    let facts = std::fs::metadata(path)?;
    Ok(Stamp {
        file: (facts.dev(), facts.ino()),
        size: facts.size(),
        modified: (facts.mtime(), facts.mtime_nsec()),
        changed: (facts.ctime(), facts.ctime_nsec()),
    })
}

/// Opens a log for appending, mode 0600 where it is new. A link is not followed where others may write the directory.
///
/// # Errors
/// As `open`; anything but a regular file or a character device is `InvalidInput`.
pub fn append(path: &Path) -> io::Result<File> {
    let shared = path.parent().and_then(|parent| std::fs::metadata(parent).ok()).is_some_and(|d| d.mode() & 0o022 != 0);
    let mut flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if shared {
        flags |= OFlags::NOFOLLOW;
    }
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    let facts = file.metadata()?;
    use std::os::unix::fs::FileTypeExt;
    if !facts.is_file() && !facts.file_type().is_char_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a regular file nor a device"));
    }
    Ok(file)
}

/// Whether a file with a secret is closed to everybody but its owner, root, and readers by group.
///
/// # Errors
/// The command that mends it, in the text.
pub fn check_secret(path: &Path, guard: Guard, uid: u32) -> Result<(), String> {
    let path = path.display();
    if guard.uid != uid && guard.uid != 0 {
        return Err(format!(
            "{path} belongs to user {} and may be replaced by that user; mend it with: chown {uid} {path}",
            guard.uid
        ));
    }
    if guard.mode & 0o027 != 0 {
        let mode = guard.mode & 0o750 & !0o111;
        return Err(format!(
            "{path} holds a secret and its mode is {:04o}; mend it with: chmod {mode:04o} {path}",
            guard.mode
        ));
    }
    Ok(())
}

/// The most of a program that is searched for words, octets, and how much of it is held at once.
const PROGRAM: u64 = 256 << 20;
const BLOCK: usize = 1 << 20;

/// Which of the words a file holds, the first of the list that is there at all.
///
/// # Errors
/// As `open` and `read`; no regular file is `InvalidInput`.
pub fn first_word(path: &Path, words: &[&[u8]]) -> io::Result<Option<usize>> {
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let longest = words.iter().map(|word| word.len()).max().unwrap_or(0);
    let (mut file, mut block, mut best) = (file.take(PROGRAM), Vec::with_capacity(BLOCK + longest), None);
    loop {
        // A word may lie across two blocks.
        let kept = block.len().min(longest);
        block.drain(..block.len() - kept);
        if file.by_ref().take(BLOCK as u64).read_to_end(&mut block)? == 0 {
            return Ok(best);
        }
        let earlier = &words[..best.unwrap_or(words.len())];
        best = earlier.iter().position(|word| memchr::memmem::find(&block, word).is_some()).or(best);
        if best == Some(0) {
            return Ok(best);
        }
    }
}
