//! Whether there is room on a file system: what is written keeps a floor of free space, so that whoever else needs it (the
//! queue that notes what was delivered) still finds some.

use rustix::fs::{StatVfs, fstatvfs, statvfs};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Fewer free inodes than that count as none.
const INODES: u64 = 64;

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// Octets: so many are free, and so many stay free.
    Octets {
        /// Free.
        free: u64,
        /// Kept free.
        floor: u64,
    },
    /// Inodes: so many are free.
    Inodes(u64),
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Octets { free, floor } => {
                write!(f, "{} MiB are free and queue.min_free keeps {} MiB", free >> 20, floor >> 20)
            }
            Self::Inodes(free) => write!(f, "only {free} inodes are free"),
        }
    }
}

/// Whether `size` octets more would leave less than `floor` free where a directory is.
///
/// # Errors
/// What the system said.
pub fn short(directory: &Path, floor: u64, size: u64) -> io::Result<Option<Short>> {
    Ok(judge(&statvfs(directory)?, floor, size))
}

/// The same of an open directory, as an error where there is too little.
///
/// # Errors
/// There is too little, or what the system said.
pub fn demand(directory: impl AsFd, floor: u64, size: u64) -> io::Result<()> {
    match judge(&fstatvfs(directory)?, floor, size) {
        None => Ok(()),
        Some(short) => Err(io::Error::new(io::ErrorKind::StorageFull, short.to_string())),
    }
}

fn judge(disk: &StatVfs, floor: u64, size: u64) -> Option<Short> {
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < floor.saturating_add(size) {
        return Some(Short::Octets { free, floor });
    }
    // File systems without a fixed number of inodes say that they have none at all.
    (disk.f_files > 0 && disk.f_favail < INODES).then_some(Short::Inodes(disk.f_favail))
}
