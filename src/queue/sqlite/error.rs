//! What SQLite and the system say, as errors of the store that a person can act on.

use crate::queue::StoreError;
use rusqlite::ErrorCode;
use std::io;
use std::path::Path;

/// What to do about damage that is found while the queue is open.
pub(super) const RESTART: &str = "; a restart saves what can be read";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoSpace("no space is left for the queue".into()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(format!("{error}{RESTART}")),
            _ => Self::Io(error.to_string()),
        }
    }
}

/// What the system said about a file.
pub(super) fn file(path: &Path, error: &io::Error) -> StoreError {
    let text = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace(text),
        _ => StoreError::Io(text),
    }
}

/// Names the database in an error that came from SQLite.
pub(super) fn within(path: &Path, error: StoreError) -> StoreError {
    let named = |what: String| if what.starts_with('/') { what } else { format!("{}: {what}", path.display()) };
    match error {
        StoreError::Io(what) => StoreError::Io(named(what)),
        StoreError::NoSpace(what) => StoreError::NoSpace(named(what)),
        StoreError::Damaged(what) => StoreError::Damaged(named(what)),
        other => other,
    }
}
