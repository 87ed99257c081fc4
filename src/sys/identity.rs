//! Acting as another user, in one thread: root works on the files of a directory that belongs to somebody else as that
//! user, and tries what others may do as they would.
//!
//! What is made then is that user's, and no link that he laid leads to what is root's alone. A thread that begins
//! meanwhile would inherit it: nothing here starts one.

use rustix::fs::{Access, AtFlags, CWD};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use rustix::{process::Gid, process::Uid};
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// For as long as it lives, this thread acts as a directory's owner, where that is another user and this process is root.
#[derive(Debug)]
pub struct Stead {
    group: Option<Gid>,
}

impl Stead {
    /// As the owner of a directory, or of the nearest one above it that is there. Nothing changes where that is this user,
    /// or this user is not root.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        let nobody = Self { group: None };
        let root = rustix::process::geteuid().is_root();
        let facts = directory.ancestors().find_map(|above| std::fs::metadata(above).ok());
        let Some(facts) = facts.filter(|facts| root && facts.uid() != 0) else { return nobody };
        let before = rustix::process::getegid();
        let (user, group) = (Uid::from_raw(facts.uid()), Gid::from_raw(facts.gid()));
        if set_thread_res_gid(None, group, None).is_err() {
            return nobody;
        }
        let stead = Self { group: Some(before) };
        // Root as it is has the right to go back. Without the right to do this it stays root.
        match set_thread_res_uid(None, user, None) {
            Ok(()) => stead,
            Err(_) => nobody,
        }
    }
}

impl Drop for Stead {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = set_thread_res_uid(None, Uid::ROOT, None);
            let _ = set_thread_res_gid(None, group, None);
        }
    }
}

/// Whether a user may do that with a file or directory, as the kernel says; `None` where this process cannot try.
#[must_use]
pub fn may(uid: u32, gids: &[u32], path: &Path, access: Access) -> Option<bool> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    // A thread of its own, which ends as that user.
    std::thread::scope(|scope| {
        let tried = scope.spawn(|| {
            let groups: Vec<Gid> = gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
            let first = groups.first().copied()?;
            let user = Uid::from_raw(uid);
            set_thread_groups(&groups).ok()?;
            set_thread_res_gid(first, first, first).ok()?;
            set_thread_res_uid(user, user, user).ok()?;
            Some(rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).is_ok())
        });
        tried.join().ok().flatten()
    })
}

/// Gives a file of root's to the owner of its directory, where root asks for it: an earlier version left such files, and
/// their directory's owner could not use them. One with several names may be anything and is left alone.
///
/// # Errors
/// As `open` and `fchown`.
pub fn give(file: &Path) -> io::Result<()> {
    let Some(directory) = file.parent().and_then(|directory| std::fs::metadata(directory).ok()) else { return Ok(()) };
    if directory.uid() == 0 || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let opened: File = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(file) {
        // What is no file is told of by whoever opens it.
        Err(error) if error.kind() == io::ErrorKind::NotFound || file.is_symlink() => return Ok(()),
        opened => opened?,
    };
    let facts = opened.metadata()?;
    if facts.is_file() && facts.nlink() == 1 && facts.uid() == 0 {
        std::os::unix::fs::fchown(&opened, Some(directory.uid()), Some(directory.gid()))?;
    }
    Ok(())
}
