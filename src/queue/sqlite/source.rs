//! The ways into a damaged database: as it stands, or a copy with a first page that is sound.

use super::aside::beside;
use super::{error, head, salvage, schema};
use crate::queue::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::io;
use std::path::Path;

/// A copy of the database with another first page.
pub(super) const MENDED: &str = "queue.db.mend";

/// A copy in `directory`, with the first page that was kept in `heads`, or one of a new database. Where there is only a log, the database that it
/// was written for is begun anew.
pub(super) fn mended(directory: &Path, database: &Path, heads: &Path) -> Result<Option<Connection>, StoreError> {
    let log = beside(database, "-wal");
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |facts| facts.len());
    if length(database) == 0 && length(&log) == 0 {
        return Ok(None);
    }
    let copy = salvage::new_part(directory, MENDED)?;
    let fail = |error: io::Error| error::file(&copy, &error);
    schema::create(&copy)?.close().map_err(|(_, error)| StoreError::from(error))?;
    let page = head::of(heads).map_or_else(|| head::first(&copy), Ok).map_err(fail)?;
    if length(database) >= head::PAGE as u64 {
        std::fs::copy(database, &copy).map_err(fail)?;
    }
    if length(&log) > 0 {
        std::fs::copy(&log, beside(&copy, "-wal")).map_err(fail)?;
    }
    head::mend(&copy, &page).map_err(fail)?;
    Ok(open(&copy))
}

/// Whether the first page of a database is not the one that was kept.
pub(super) fn is_damaged(database: &Path, heads: &Path) -> bool {
    let page = head::first(database).unwrap_or_default();
    head::of(heads).is_some_and(|kept| head::is_damaged(&kept, &page))
}

/// A database that may be damaged, where SQLite opens it at all. It deletes the log of an empty one, which is left unopened.
pub(super) fn open(database: &Path) -> Option<Connection> {
    std::fs::metadata(database).ok().filter(|facts| facts.len() > 0)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).ok()?;
    salvage::leave_log(&connection).ok()?;
    // "writable_schema" makes SQLite read on where a file is shorter than it says; nothing is written.
    connection
        .execute_batch("PRAGMA writable_schema = ON; PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")
        .ok()?;
    Some(connection)
}
