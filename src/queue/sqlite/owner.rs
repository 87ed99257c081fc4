//! Whose the files of a queue are. A command that was run as root leaves some that its owner cannot write; all of them are
//! named, with what mends it.

use super::error;
use crate::queue::StoreError;
use crate::sys::users;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the queue opens.
const FILES: [&str; 8] =
    ["queue.db", "queue.db-wal", "queue.db-shm", "queue.db-journal", "queue.db.head", "lock", "run.lock", "text"];

/// Refuses a queue with files that are another user's, or that this one may not write.
pub(super) fn check(directory: &Path) -> Result<(), StoreError> {
    let me = rustix::process::geteuid().as_raw();
    let (mut foreign, mut shut) = (Vec::new(), Vec::new());
    for path in FILES.iter().map(|name| directory.join(name)) {
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error::file(&path, &error)),
            Ok(facts) if facts.uid() != me => foreign.push((path, facts.uid())),
            Ok(facts) if me != 0 && facts.mode() & 0o600 != 0o600 => shut.push(path),
            Ok(_) => {}
        }
    }
    let said = match (&foreign[..], &shut[..]) {
        ([], []) => return Ok(()),
        ([], [path, ..]) => format!(
            "{} may not be read and written by its own user; mend it with: chmod u+rw {}",
            path.display(),
            all(&shut)
        ),
        ([(path, owner), ..], _) => {
            let (owner, mine) = (users::name(*owner), users::name(me));
            let paths: Vec<PathBuf> = foreign.iter().map(|(path, _)| path.clone()).collect();
            format!(
                "{} belongs to {owner}, and this process runs as {mine}; mend it as root with: chown -h {mine} {}",
                path.display(),
                all(&paths)
            )
        }
    };
    Err(StoreError::Io(said))
}

fn all(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}
