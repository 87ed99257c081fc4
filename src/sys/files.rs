//! Opening files with care: owner and mode of files with secrets, append-only logs that follow no link of others.
//!
//! The checks are made on the open descriptor, never on a path that could be exchanged in between.

use super::owners::{Acl, Place, Way, WayError, quoted};
use super::users;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The most that is read of a configuration or secret file, octets.
const CONFIG_SIZE: u64 = 4 << 20;

/// Owner and permission bits of an open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The owner's user id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
    /// Permission bits (`0o7777`).
    pub mode: u32,
    /// Its access control list, where it has one by which others may read.
    pub acl: Option<Acl>,
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
    let (uid, gid, mode) = (facts.uid(), facts.gid(), facts.mode() & 0o7777);
    // A list gives nobody by name more than the group's bits.
    let acl = (mode & 0o040 != 0).then(|| Acl::of(&file)).flatten();
    let mut data = Vec::new();
    file.take(CONFIG_SIZE + 1).read_to_end(&mut data)?;
    if data.len() as u64 > CONFIG_SIZE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "larger than 4 MiB"));
    }
    Ok((data, Guard { uid, gid, mode, acl }))
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

/// Opens a file for appending, mode 0600 where it is new: the one way to every log. No link is followed that others could
/// have laid, no directory of another user is written to, and a file with a second name is left alone. A device, a pipe
/// with a reader, `/dev/stdout` and `/dev/stderr` are fine.
///
/// # Errors
/// As `open`; who else may change what lies there; neither a file, a device nor a pipe.
pub fn append(path: &Path) -> io::Result<File> {
    match Way::to_write().go(path).map_err(io::Error::from).and_then(|place| append_at(&place)) {
        Err(error) => standard(path).ok_or(error),
        opened => opened,
    }
}

/// The same of a file in an open directory.
///
/// # Errors
/// As `append`.
pub fn append_at(place: &Place) -> io::Result<File> {
    let mut flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if !place.door {
        flags |= OFlags::NOFOLLOW;
    }
    let refuse =
        |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {what}", place.path().display())));
    let opened = rustix::fs::openat(&place.directory, &place.name, flags, Mode::RUSR | Mode::WUSR);
    let file = match opened {
        Err(rustix::io::Errno::LOOP) => return refuse("is a link, which is not followed here"),
        opened => File::from(opened?),
    };
    let facts = file.metadata()?;
    let kind = facts.file_type();
    if place.door || kind.is_char_device() || kind.is_fifo() {
        return Ok(file);
    }
    if !facts.is_file() {
        return refuse("neither a regular file, a device nor a pipe");
    }
    // The name as it is now, not as it was: it could have been a second one of another file.
    let named = rustix::fs::statat(&place.directory, &place.name, AtFlags::SYMLINK_NOFOLLOW)?;
    if (named.st_dev, named.st_ino) != (facts.dev(), facts.ino()) || named.st_nlink != 1 {
        return refuse("has several names (hard links), so that it may be another file");
    }
    if place.shared && place.sticky && ![0, rustix::process::geteuid().as_raw()].contains(&facts.uid()) {
        return refuse("belongs to another user");
    }
    Ok(file)
}

/// Standard output and standard error by their names, where those cannot be opened anew: a socket, or another user's.
fn standard(path: &Path) -> Option<File> {
    let descriptor = match path.to_str()? {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3),
        _ => return None,
    };
    descriptor.ok().map(File::from)
}

/// Whether a file with a secret is closed to everybody but its owner, root, and readers by group.
///
/// # Errors
/// The command that mends it, in the text.
pub fn check_secret(place: &Path, guard: &Guard, uid: u32) -> Result<(), String> {
    let (shown, path) = (place.display(), quoted(place));
    if guard.uid != uid && guard.uid != 0 {
        return Err(format!(
            "{shown} belongs to {} and may be replaced by that user; mend it with: chown {} {path}",
            users::name(guard.uid),
            users::name(uid)
        ));
    }
    if guard.mode & 0o027 != 0 {
        let mode = guard.mode & 0o750 & !0o111;
        return Err(format!(
            "{shown} holds a secret and its mode is {:04o}; mend it with: chmod {mode:04o} {path}",
            guard.mode
        ));
    }
    // In a directory of another user it could be exchanged for a link to any file that this process may read.
    if let Err(WayError::Foreign(foreign)) = Way::to_run_as(uid).go(place) {
        return Err(foreign.advice("who may change it may exchange the secret"));
    }
    if let Some(entry) = guard.acl.as_ref().and_then(|acl| acl.reader(&[uid, guard.uid])) {
        return Err(format!(
            "{shown} holds a secret and its access control list lets {entry} read it; mend it with: setfacl -x {entry} {path}"
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown};

    #[test]
    fn secrets_that_others_can_read_or_exchange() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let form = super::super::install::Form { mode: 0o640, ..Default::default() };
        super::super::install::file(&path, b"x", form).unwrap();
        let own = rustix::process::geteuid().as_raw();
        let judge = || check_secret(&path, &read(&path).unwrap().1, own);
        assert_eq!(judge(), Ok(()));
        // user::rw-, user:70001:r--, group::r--, mask::r--, other::---
        let mut list = vec![2, 0, 0, 0];
        for (tag, rights, id) in
            [(1_u16, 6_u16, u32::MAX), (2, 4, 70_001), (4, 4, u32::MAX), (0x10, 4, u32::MAX), (0x20, 0, u32::MAX)]
        {
            list.extend(tag.to_le_bytes());
            list.extend(rights.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::setxattr(&path, "system.posix_acl_access", &list, flags) {
            Ok(()) => {
                assert!(judge().is_err_and(|what| what.contains("lets u:70001 read it; mend it with: setfacl -x")))
            }
            Err(error) => eprintln!("skipped: no access control lists here: {error}"),
        }
        let _ = rustix::fs::removexattr(&path, "system.posix_acl_access");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(judge(), Ok(()));
        if own == 0 {
            chown(folder.path(), Some(70_001), None).unwrap();
            assert!(judge().is_err_and(|what| what.contains("belongs to 70001") && !what.contains("mend it with")));
        }
    }
}
