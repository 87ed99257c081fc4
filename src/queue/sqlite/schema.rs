//! The tables, their versions, and how a connection is set up.
//!
//! The version is in `user_version`, the program in `application_id`. A change of the tables is a further step at the end
//! of `STEPS`; a step that was published is never edited.

use crate::queue::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// "PoRi": marks a database as a queue of this program.
pub(super) const APPLICATION: i32 = 0x506f_5269;

/// What leads from each version to the next.
const STEPS: &[&str] = &[FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH];

/// Version 1.
///
/// - `state` is one row: how many messages are queued, and the last number given (numbers are never used twice).
/// - `message.due` is the earliest of its recipients', so that the next one is found by one index.
/// - `message.file` names the text where it is kept as a file; otherwise it is in `text`.
/// - `submission` outlives the message: a resend is recognised after it was delivered, too.
const FIRST: &str = "
    CREATE TABLE state (queued INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
    INSERT INTO state VALUES (0, 0);
    CREATE TABLE message (
        id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, lane TEXT NOT NULL, header_from TEXT NOT NULL, sender TEXT,
        dsn TEXT, tag TEXT, size INTEGER NOT NULL, created INTEGER NOT NULL, due INTEGER NOT NULL, hold TEXT,
        report INTEGER NOT NULL, warned INTEGER NOT NULL, file TEXT) STRICT;
    CREATE INDEX message_due ON message (lane, due) WHERE hold IS NULL;
    CREATE INDEX message_uid ON message (uid);
    CREATE INDEX message_held ON message (hold) WHERE hold IS NOT NULL;
    CREATE INDEX message_file ON message (file) WHERE file IS NOT NULL;
    CREATE TABLE recipient (
        message INTEGER NOT NULL, number INTEGER NOT NULL, address TEXT NOT NULL, attempts INTEGER NOT NULL,
        due INTEGER NOT NULL, last TEXT, PRIMARY KEY (message, number)) STRICT, WITHOUT ROWID;
    CREATE TABLE text (id INTEGER PRIMARY KEY, octets BLOB NOT NULL) STRICT;
    CREATE TABLE submission (
        id TEXT PRIMARY KEY, message INTEGER NOT NULL, created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE lane (
        name TEXT PRIMARY KEY, until INTEGER NOT NULL, reason TEXT NOT NULL, times INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE history (
        id INTEGER PRIMARY KEY, message INTEGER NOT NULL, created INTEGER NOT NULL, ended INTEGER NOT NULL,
        lane TEXT NOT NULL, recipient TEXT NOT NULL, sent INTEGER NOT NULL, said TEXT NOT NULL, via TEXT NOT NULL) STRICT;
    CREATE INDEX history_ended ON history (ended);";

/// Version 2: what was asked about a single recipient's notifications.
const SECOND: &str = "ALTER TABLE recipient ADD COLUMN dsn TEXT;";

/// Version 3: troubles of lanes.
///
/// - `message.home` is the lane that a message was accepted for, where it was moved to another one; `message.moved` is why.
/// - `message.base` is how long its lane had been in trouble by the time it was accepted, all in all: what the lane has by
///   now beyond that is time of which the message is not to blame. `lane.since` is when the present trouble began (NULL
///   where it is not reckoned), `downtime.total` is what is over, in milliseconds.
/// - `lane.firm`: only an operator opens it before its time. `lane.down`: the server cannot be used at all.
/// - `recipient.unknown`: the server may have it already.
const THIRD: &str = "
    ALTER TABLE message ADD COLUMN home TEXT;
    ALTER TABLE message ADD COLUMN moved TEXT;
    ALTER TABLE message ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE recipient ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE lane ADD COLUMN since INTEGER;
    ALTER TABLE lane ADD COLUMN firm INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE lane ADD COLUMN down INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE downtime (lane TEXT PRIMARY KEY, total INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/// Version 4: single mail and bulk mail of a lane are two queues in one index; lanes of old messages are all single.
/// `source` counts what was submitted, and what of it was put on hold, by where it came from, in slots of time.
const FOURTH: &str = "
    ALTER TABLE message ADD COLUMN bulk INTEGER NOT NULL DEFAULT 0;
    DROP INDEX message_due;
    CREATE INDEX message_due ON message (lane, bulk, due) WHERE hold IS NULL;
    CREATE TABLE source (
        slot INTEGER NOT NULL, name TEXT NOT NULL, messages INTEGER NOT NULL, held INTEGER NOT NULL,
        PRIMARY KEY (slot, name)) STRICT, WITHOUT ROWID;";

/// Version 5: what an operator says and sees.
///
/// - `halt` are the lanes that an operator paused; `until` is NULL where it is until they are resumed.
/// - `deferral` counts attempts that ended in another one to come, by the minute (`slot`) and reason, so that it is small
///   however often is tried. `history.reason` is the reason of a failure; results of before have none.
const FIFTH: &str = "
    CREATE TABLE halt (
        lane TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER, reason TEXT NOT NULL, uid INTEGER NOT NULL)
        STRICT, WITHOUT ROWID;
    CREATE TABLE deferral (
        slot INTEGER NOT NULL, lane TEXT NOT NULL, reason TEXT NOT NULL, recipients INTEGER NOT NULL,
        PRIMARY KEY (slot, lane, reason)) STRICT, WITHOUT ROWID;
    ALTER TABLE history ADD COLUMN reason TEXT NOT NULL DEFAULT '';
    CREATE INDEX history_lane ON history (lane, sent, ended, created);";

/// Version 6: who put a message on hold, where it was a user; NULL is root, the brake or the daemon, and what was on hold
/// before. Nobody but root ends another's hold.
const SIXTH: &str = "ALTER TABLE message ADD COLUMN holder INTEGER;";

/// Version 7.
///
/// - `recipient.doubt`: until then it is not tried, whoever asks for a run of the queue, as the server may have it already.
/// - `shift` is one row while the times of messages are being moved, portion by portion: by how much, how far it is done,
///   the last message that it is for, and the stretch of time in which messages were accepted with the right time.
const SEVENTH: &str = "
    ALTER TABLE recipient ADD COLUMN doubt INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE shift (
        by INTEGER NOT NULL, done INTEGER NOT NULL, last INTEGER NOT NULL, since INTEGER NOT NULL, now INTEGER NOT NULL)
        STRICT;";

/// Version 8: what a disk does to a queue.
///
/// - `message.digest` is of the text as it was accepted (`text::Digest`); texts of before have none.
/// - `recipient.failed`: it will not be tried again, and stays until somebody can be told (`queue::Failure`).
const EIGHTH: &str = "
    ALTER TABLE message ADD COLUMN digest BLOB;
    ALTER TABLE recipient ADD COLUMN failed TEXT;";

/// How long a connection waits for another process's commit.
const BUSY: Duration = Duration::from_secs(10);

/// A connection that is durable at every commit.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    // A query's plan stays what it is: otherwise SQLite makes some anew for every value that is bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // FULL syncs the log at every commit: in WAL mode NORMAL loses accepted messages in a power cut.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216;",
    )?;
    Ok(connection)
}

/// Makes a new database whole, in a file that is not yet the queue's: no log, no syncs; the caller syncs the file.
pub(super) fn create(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch(&format!(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;
         PRAGMA foreign_keys = OFF; PRAGMA application_id = {APPLICATION};"
    ))?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// The steps that lead from a version to the current one.
///
/// # Errors
/// It is the version of a newer program.
pub(super) fn known(version: i64) -> Result<&'static [&'static str], StoreError> {
    usize::try_from(version).ok().and_then(|done| STEPS.get(done..)).ok_or_else(|| {
        StoreError::Damaged(format!(
            "the queue is of a newer postrider (version {version}, this program knows up to {}); nothing was changed",
            STEPS.len()
        ))
    })
}

/// Brings the tables up to date. A database of a newer program is left alone.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let steps = known(version)?;
    for (step, next) in steps.iter().zip(version + 1..) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Sets the writer up for very many changes one after the other: what they change again and again stays in memory, and no
/// commit takes the log into the database, which another connection does meanwhile (`take_log_in`).
pub(super) fn for_many(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.execute_batch("PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 0;")?)
}

/// The writer as it is otherwise, and without the memory that it took.
pub(super) fn as_usual(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection
        .execute_batch("PRAGMA cache_size = -2000; PRAGMA wal_autocheckpoint = 1000; PRAGMA shrink_memory;")?)
}

/// Takes what it can of the log into the database, in nobody's way.
pub(super) fn take_log_in(connection: &Connection) -> Result<(), StoreError> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}

/// What a database of the current version lacks that it should have: damage of its schema, which SQLite does not see.
pub(super) fn lacks(connection: &Connection) -> Result<Option<String>, StoreError> {
    let mut whole = Connection::open_in_memory()?;
    migrate(&mut whole)?;
    let of = |c: &Connection| -> Result<Vec<String>, StoreError> {
        let mut statement = c.prepare(
            "SELECT type || ' ' || tbl_name || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'
             UNION SELECT 'column ' || s.name || ' ' || p.name || ' ' || p.type || ' ' || p.\"notnull\" || ' ' || p.pk
                 || ' ' || coalesce(p.dflt_value, '') FROM sqlite_schema s, pragma_table_info(s.name) p WHERE s.type = 'table'
             ORDER BY 1",
        )?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let there = of(connection)?;
    let lacks = of(&whole)?.into_iter().find(|one| !there.contains(one));
    Ok(lacks.map(|what| format!("its schema is damaged: there is no {what}")))
}

/// Empties the log into the database and cuts it to nothing.
pub(super) fn empty_log(connection: &Connection) -> Result<(), StoreError> {
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))? {
        0 => Ok(()),
        _ => Err(StoreError::Io("the log is in use by another process".into())),
    }
}

/// Pages given back to the file system at a time.
const PIECE: i64 = 2000;

/// Gives some of the free pages back; whether there were any.
pub(super) fn shrink(connection: &Connection) -> Result<bool, StoreError> {
    let free = || connection.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
    let before = free()?;
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PIECE})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(free()? < before)
}
