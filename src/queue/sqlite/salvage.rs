//! A damaged database: everything readable goes into a new one, the damaged one is set aside and never deleted.
//!
//! ```text
//! queue.db.part              being filled
//! queue.db.new               complete: takes the place of queue.db, now or at the next start
//! queue.db.damaged-TIME      what was damaged, with its log; text.damaged-TIME/ holds files that no saved row names (aside)
//! ```
//!
//! A table is read forwards up to the damage, backwards down to it, and in between number by number.

use super::aside::{self, Keep, beside, gone_is_fine};
use super::text::{Texts, sync_directory};
use super::{error, read, schema, source};
use crate::queue::{MessageId, StoreError};
use crate::report::counted;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Statement, params_from_iter};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Most numbers that are tried one by one between what could be read forwards and backwards.
const GAP: i64 = 1_000_000;
/// Why a message without its text waits.
const NO_TEXT: &str = "its text was lost when the queue was damaged";

/// Puts a new database with everything readable in the damaged one's place; what was done, for people.
pub(super) fn rescue(directory: &Path, texts: &Texts, damage: &str) -> Result<String, StoreError> {
    let database = directory.join("queue.db");
    let (part, target, saved) = filled(directory, &database, directory, "queue.db.part")?;
    let strays = aside::strays(directory, texts, false, |name| {
        // What cannot be read is no reason to move a text away that a row may name.
        Ok(if read::names(&target, name).unwrap_or(true) { Keep::Here } else { Keep::Aside })
    })?;
    let strays =
        strays.map_or_else(String::new, |(place, _)| format!(", texts of lost messages as {}", place.display()));
    close(target, &part)?;
    std::fs::rename(&part, directory.join("queue.db.new")).map_err(|error| error::file(&part, &error))?;
    sync_directory(directory).map_err(|error| error::file(directory, &error))?;
    let aside = finish(directory)?.unwrap_or_default();
    let messages = counted(saved.messages, "message");
    let were = if saved.messages == 1 { "was" } else { "were" };
    Ok(format!(
        "{} was damaged ({damage}): {messages} {were} saved, {} of them without their text and on hold, {} could not be \
         read; the damaged database is kept as {aside}{strays}; postrider queue salvage {} brings back what it can",
        database.display(),
        saved.without_text,
        saved.lost,
        directory.display()
    ))
}

/// Puts a complete new database in its place where there is one; where what it replaced is kept.
pub(super) fn finish(directory: &Path) -> Result<Option<String>, StoreError> {
    let new = directory.join("queue.db.new");
    if !new.try_exists().map_err(|error| error::file(&new, &error))? {
        return Ok(None);
    }
    let aside = aside::database(directory)?.unwrap_or_else(|| directory.join("queue.db"));
    std::fs::rename(&new, directory.join("queue.db")).map_err(|error| error::file(&new, &error))?;
    sync_directory(directory).map_err(|error| error::file(directory, &error))?;
    Ok(Some(aside.display().to_string()))
}

/// A new database of this name with everything that can be read of a damaged one, not yet closed. Of several ways to read
/// it the one counts that saves most.
pub(super) fn filled(
    directory: &Path,
    database: &Path,
    heads: &Path,
    name: &str,
) -> Result<(PathBuf, Connection, Saved), StoreError> {
    let fill = |source: Option<Connection>| -> Result<(PathBuf, Connection, Saved), StoreError> {
        let part = new_part(directory, name)?;
        let target = schema::create(&part).map_err(|error| error::within(&part, error))?;
        let saved = source.map_or(Ok(Saved::default()), |source| copy(&source, &target));
        let saved = saved.map_err(|error| error::within(&part, error))?;
        Ok((part, target, saved))
    };
    let plain = fill(source::open(database))?;
    // Where the first page is known to be damaged, what it leads to may only look whole.
    let doubtful = source::is_damaged(database, heads);
    if plain.2.is_all() && !doubtful {
        return Ok(plain);
    }
    let whole = plain.2.whole();
    drop(plain);
    let mended = source::mended(directory, database, heads).unwrap_or_else(|error| {
        tracing::warn!("{}: no copy could be made to be mended: {error}", database.display());
        None
    });
    let better = match mended {
        Some(mended) => Some(fill(Some(mended))?).filter(|other| other.2.whole() >= whole + u64::from(!doubtful)),
        None => None,
    };
    let filled = better.map_or_else(|| fill(source::open(database)), Ok);
    remove(&directory.join(source::MENDED))?;
    filled
}

/// The file that a new database is made in; what a crash left of it is removed.
pub(super) fn new_part(directory: &Path, name: &str) -> Result<PathBuf, StoreError> {
    let part = directory.join(name);
    remove(&part)?;
    new_file(&part)?;
    Ok(part)
}

/// Removes a database that was made here and not finished, or is no longer needed.
pub(super) fn remove(database: &Path) -> Result<(), StoreError> {
    for with in ["", "-wal", "-journal", "-shm"] {
        let left = beside(database, with);
        gone_is_fine(std::fs::remove_file(&left), &left)?;
    }
    Ok(())
}

/// A file of this user that did not exist.
fn new_file(path: &Path) -> Result<(), StoreError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map(drop).map_err(|error| error::file(path, &error))
}

/// Closes a database that was made without syncs, and syncs it.
pub(super) fn close(connection: Connection, path: &Path) -> Result<(), StoreError> {
    connection.close().map_err(|(_, error)| error::within(path, error.into()))?;
    let synced = OpenOptions::new().write(true).open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| error::file(path, &error))
}

/// Leaves the log of a damaged database as it is when the connection closes.
pub(super) fn leave_log(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// What a rescue came to.
#[derive(Default)]
pub(super) struct Saved {
    pub(super) messages: u64,
    pub(super) without_text: u64,
    pub(super) lost: u64,
    /// Of the messages those that make sense, with their text.
    whole: u64,
}

impl Saved {
    /// Nothing is known to be lost.
    fn is_all(&self) -> bool {
        self.whole > 0 && self.lost == 0 && self.whole == self.messages
    }

    fn whole(&self) -> u64 {
        self.whole
    }
}

/// Copies everything readable. Errors are the target's alone; what cannot be read is lost.
fn copy(source: &Connection, target: &Connection) -> Result<Saved, StoreError> {
    let transaction = target.unchecked_transaction()?;
    let mut saved = Saved::default();
    let mut last = source.query_row("SELECT last FROM state", [], |row| row.get(0)).unwrap_or(0i64);
    let (ids, unreadable) = numbers(source, "message");
    saved.lost = unreadable;
    for id in ids {
        last = last.max(id);
        match message(source, &transaction, id)? {
            Message::Whole => {
                saved.messages += 1;
                let read = read::queued(&transaction, MessageId(id));
                saved.whole += u64::from(matches!(read, Ok(Some(Ok(_)))));
            }
            Message::WithoutText => {
                saved.messages += 1;
                saved.without_text += 1;
            }
            Message::Lost => saved.lost += 1,
        }
    }
    for table in ["submission", "lane", "downtime", "source", "halt", "deferral", "shift"] {
        rows(source, &transaction, table, "1", &[])?;
    }
    for id in numbers(source, "history").0 {
        rows(source, &transaction, "history", "id = ?1", &[Value::Integer(id)])?;
    }
    // Numbers are never used twice, so the highest that anything names counts.
    let named: i64 = transaction.query_row(
        "SELECT max(coalesce((SELECT max(message) FROM submission), 0), coalesce((SELECT max(message) FROM history), 0))",
        [],
        |row| row.get(0),
    )?;
    transaction.execute("UPDATE state SET last = ?1, queued = (SELECT count(*) FROM message)", [last.max(named)])?;
    transaction.commit()?;
    Ok(saved)
}

enum Message {
    Whole,
    WithoutText,
    Lost,
}

/// One message with its recipients and its text. Without recipients it is no message any more.
fn message(source: &Connection, target: &Connection, id: i64) -> Result<Message, StoreError> {
    let key = [Value::Integer(id)];
    let head = rows(source, target, "message", "id = ?1", &key)?;
    let recipients = rows(source, target, "recipient", "message = ?1", &key)?;
    if head != Rows::All(1) || matches!(recipients, Rows::All(0) | Rows::Some(0)) {
        for sql in ["DELETE FROM message WHERE id = ?1", "DELETE FROM recipient WHERE message = ?1"] {
            target.prepare_cached(sql)?.execute([id])?;
        }
        return Ok(Message::Lost);
    }
    let file: Option<String> =
        target.prepare_cached("SELECT file FROM message WHERE id = ?1")?.query_row([id], |row| row.get(0))?;
    if file.is_some() || rows(source, target, "text", "id = ?1", &key)? == Rows::All(1) {
        return Ok(Message::Whole);
    }
    target.prepare_cached("UPDATE message SET hold = ?2, holder = NULL WHERE id = ?1")?.execute((id, NO_TEXT))?;
    Ok(Message::WithoutText)
}

#[derive(PartialEq)]
enum Rows {
    /// All that there were.
    All(u64),
    /// As many as could be read.
    Some(u64),
}

/// Copies the rows of a table that fit, as long as they can be read.
fn rows(
    source: &Connection,
    target: &Connection,
    table: &str,
    fit: &str,
    values: &[Value],
) -> Result<Rows, StoreError> {
    let names = common_columns(source, target, table)?;
    let columns = names.len();
    let (names, marks) = (names.join(", "), vec!["?"; columns].join(", "));
    let Ok(mut select) = source.prepare_cached(&format!("SELECT {names} FROM {table} NOT INDEXED WHERE {fit}")) else {
        return Ok(Rows::Some(0));
    };
    let insert = format!("INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})");
    let Ok(mut insert) = target.prepare_cached(&insert) else { return Ok(Rows::Some(0)) };
    let Ok(mut found) = select.query(params_from_iter(values)) else { return Ok(Rows::Some(0)) };
    let mut count = 0;
    loop {
        let row = match found.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(Rows::All(count)),
            Err(_) => return Ok(Rows::Some(count)),
        };
        let Ok(values) = (0..columns).map(|at| row.get::<_, Value>(at)).collect::<Result<Vec<_>, _>>() else {
            return Ok(Rows::Some(count));
        };
        match insert_row(&mut insert, values)? {
            true => count += 1,
            false => return Ok(Rows::Some(count)),
        }
    }
}

/// The columns that a table has in both: a queue of an older program has fewer.
fn common_columns(source: &Connection, target: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    // Names that the damage made unreadable are none.
    let names = |connection: &Connection| -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
        let names = statement.query_map([table], |row| row.get(0))?;
        Ok(names.flatten().collect())
    };
    let mut ours = names(target)?;
    if let Ok(theirs) = names(source) {
        ours.retain(|name| theirs.contains(name));
    }
    Ok(ours)
}

/// Inserts a row; false where the damage made it one that the tables do not allow.
fn insert_row(insert: &mut Statement<'_>, values: Vec<Value>) -> Result<bool, StoreError> {
    match insert.execute(params_from_iter(values)) {
        Ok(count) => Ok(count == 1),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The numbers in a table as far as they can be read, in order, and how many places could not be read.
fn numbers(source: &Connection, table: &str) -> (Vec<i64>, u64) {
    let mut found = Vec::new();
    if scan(source, table, "ASC", i64::MAX, &mut found) {
        return (found, 0);
    }
    let reached = found.last().copied().unwrap_or(0);
    let mut tail = Vec::new();
    scan(source, table, "DESC", reached, &mut tail);
    // Where nothing could be read backwards, the last number that was given bounds the search.
    let given = || source.query_row("SELECT last + 1 FROM state", [], |row| row.get(0)).unwrap_or(reached + 1);
    let upper = tail.last().copied().unwrap_or_else(given);
    let mut lost = 0;
    for id in (reached + 1..upper).take(usize::try_from(GAP).unwrap_or(usize::MAX)) {
        let probe = source
            .prepare_cached(&format!("SELECT id FROM {table} WHERE id = ?1"))
            .and_then(|mut probe| probe.query_row([id], |row| row.get::<_, i64>(0)).optional());
        match probe {
            Ok(Some(id)) => found.push(id),
            Ok(None) => {}
            Err(_) => lost += 1,
        }
    }
    found.extend(tail.into_iter().rev());
    (found, lost)
}

/// Reads numbers in one direction until the end, the damage, or `stop`; whether it was the end.
fn scan(source: &Connection, table: &str, order: &str, stop: i64, found: &mut Vec<i64>) -> bool {
    let sql = format!("SELECT id FROM {table} NOT INDEXED ORDER BY id {order}");
    let Ok(mut statement) = source.prepare(&sql) else { return false };
    let Ok(mut rows) = statement.query([]) else { return false };
    loop {
        match rows.next().and_then(|row| row.map(|row| row.get::<_, i64>(0)).transpose()) {
            Ok(Some(id)) if order == "DESC" && id <= stop => return true,
            Ok(Some(id)) if id > 0 && found.last().is_none_or(|last| (order == "ASC") == (id > *last)) => {
                found.push(id)
            }
            Ok(None) => return true,
            // Out of order: the tree itself is damaged here.
            Ok(Some(_)) | Err(_) => return false,
        }
    }
}
