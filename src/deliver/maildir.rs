//! Delivery into a maildir: written and synced in `tmp`, then moved to `new`, whose directory is synced (so that neither
//! a crash nor a power cut leaves half a message or loses a whole one). Delivering twice makes two messages, never one
//! over the other.
//!
//! Everything is opened below the descriptor of the maildir, links are not followed, and a maildir of another user is not
//! written to, unless it is one for everybody (sticky).

use crate::envelope::ReversePath;
use crate::message::Message;
use crate::sys::owners::Way;
use crate::sys::{clock, random};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Delivers a message with a Return-Path before it (RFC 5321 section 4.4); lines end with LF. A maildir that is not there
/// is made, mode 0700; its parent must be there.
///
/// `host` is this host's name, for the file's. The result is the file.
///
/// # Errors
/// What the system said; nothing was delivered then.
pub fn deliver(maildir: &Path, from: &ReversePath, message: &Message, host: &str) -> io::Result<PathBuf> {
    into(directory(maildir)?, maildir, from, message, host)
}

/// The same below a directory: links in `below` are not followed, and what is not there is made, mode 0700.
///
/// # Errors
/// As `deliver`.
pub fn deliver_below(
    base: &Path,
    below: &[String],
    from: &ReversePath,
    message: &Message,
    host: &str,
) -> io::Result<PathBuf> {
    let Some((first, others)) = below.split_first() else { return deliver(base, from, message, host) };
    let mut root = subdirectory(&Way::to_write().directory(base, None)?, first)?;
    for name in others {
        root = subdirectory(&root, name)?;
    }
    let path = below.iter().fold(base.to_path_buf(), |path, part| path.join(part));
    into(root, &path, from, message, host)
}

fn into(root: OwnedFd, maildir: &Path, from: &ReversePath, message: &Message, host: &str) -> io::Result<PathBuf> {
    let (tmp, new) = (subdirectory(&root, "tmp")?, subdirectory(&root, "new")?);
    subdirectory(&root, "cur")?;
    let name = unique(host)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(&tmp, &name, flags, Mode::RUSR | Mode::WUSR)?);
    let delivered = write(file, from, message).and_then(|size| {
        let last = format!("{name},S={size}");
        rename(&tmp, &name, &new, &last)?;
        // Without it the new name may be gone after a power cut, and the message with it.
        rustix::fs::fsync(&new).inspect_err(|_| {
            let _ = rustix::fs::unlinkat(&new, &last, AtFlags::empty());
        })?;
        Ok(maildir.join("new").join(last))
    });
    if delivered.is_err() {
        let _ = rustix::fs::unlinkat(&tmp, &name, AtFlags::empty());
    }
    delivered
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

/// Writes and syncs; how many octets.
fn write(file: File, from: &ReversePath, message: &Message) -> io::Result<u64> {
    let mut out = BufWriter::new(&file);
    let path = match from {
        ReversePath::Null => "Return-Path: <>\n".to_owned(),
        ReversePath::Address(address) => format!("Return-Path: <{address}>\n"),
    };
    out.write_all(path.as_bytes())?;
    lines(message, &mut |line| out.write_all(line))?;
    out.flush()?;
    drop(out);
    file.sync_all()?;
    Ok(file.metadata()?.len())
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
