//! The floor of free space: a queue that fills its disk could not even write down what was delivered.

use super::error;
use crate::queue::StoreError;
use std::path::Path;

/// Fewer free inodes than that count as none.
const INODES: u64 = 64;

/// Refuses a message of `size` octets that would leave less than `floor` octets free.
pub(super) fn check(directory: &Path, floor: u64, size: u64) -> Result<(), StoreError> {
    let disk = rustix::fs::statvfs(directory).map_err(|errno| error::file(directory, &errno.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = floor.saturating_add(size);
    if free < needed {
        return Err(StoreError::NoSpace(format!(
            "{}: {} MiB are free and queue.min_free keeps {} MiB; the message was not kept, make room and send it again",
            directory.display(),
            free >> 20,
            floor >> 20
        )));
    }
    // File systems without a fixed number of inodes say that they have none at all.
    if disk.f_files > 0 && disk.f_favail < INODES {
        return Err(StoreError::NoSpace(format!(
            "{}: only {} inodes are free; the message was not kept, remove files and send it again",
            directory.display(),
            disk.f_favail
        )));
    }
    Ok(())
}
