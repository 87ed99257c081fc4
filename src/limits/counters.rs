//! What was sent, counted on disk: one SQLite file for all processes of the machine.
//!
//! ```text
//! clock   one row: the ledger's time at the last change (ledger)
//! lost    one row where what was counted before that time is not known any more: it counts as all that a limit lets
//! anew    whose limits were reset since
//! slot    what was taken, by whose limit, length of the window and slot of it: a bounded number of rows
//! lease   reservations that are out, by whose limit; each with its process, and whether that has asked the server
//! ```
//!
//! A reservation is one transaction over all limits that it falls under, synced before anything is sent. Settling it need
//! not be: a power cut that undoes it leaves the reservation counted, which is never less than what was taken. Neither
//! need the note that the server is asked: it matters only as long as its process can be seen to be gone, which is until
//! the machine starts anew.

use super::Millis;
use super::decision::Entry;
use super::ledger::{Mark, Reading};
use super::open::{self, Fault};
use super::window::slot;
use crate::sys::identity::Stead;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often what no configuration names any more is swept out.
const SWEEP: Millis = 86_400_000;

/// What an entry stands for that takes all of any limit.
pub const ALL: u64 = u32::MAX as u64;

/// A series of slots: whose limit, and how long its entries count.
pub type Series = (String, Millis);

/// The counters of one file.
#[derive(Debug)]
pub struct Counters {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// A view of the counters at one moment.
pub struct View<'c> {
    transaction: Transaction<'c>,
    /// The moment.
    pub mark: Mark,
}

impl Counters {
    /// Opens the file, and makes it with its directory where it is not there: for its directory's owner alone, or with the
    /// group where the directory is open to it. A damaged one is set aside, and counts as all that its limits let.
    ///
    /// # Errors
    /// What the system or the database says, one line.
    pub fn open(path: &Path) -> Result<Self, String> {
        let connection = open::open(path).map_err(Fault::text)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the counters, which nobody else changes meanwhile; what it changed is kept where it says so.
    ///
    /// # Errors
    /// What the database says; nothing was changed.
    pub fn with<T>(
        &self,
        read: Reading,
        sync: Sync,
        story: impl FnOnce(&View<'_>) -> rusqlite::Result<(T, bool)>,
    ) -> Result<T, String> {
        let _stead = self.path.parent().map(Stead::of);
        let mut connection = self.lock();
        let done = set(&connection, sync).and_then(|()| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let view = View::of(transaction, read)?;
            let (value, changed) = story(&view)?;
            if changed {
                view.write_mark()?;
                view.transaction.commit()?;
            }
            Ok(value)
        });
        done.map_err(|error| match Fault::from(error) {
            Fault::Damaged(what) => open::replace(&self.path, &what).unwrap_or_else(Fault::text),
            fault => fault.text(),
        })
    }
}

/// Whether a change must be on disk when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It must.
    Now,
    /// A power cut may undo it.
    Later,
}

fn set(connection: &Connection, sync: Sync) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", if sync == Sync::Now { "FULL" } else { "NORMAL" })
}

impl<'c> View<'c> {
    fn of(transaction: Transaction<'c>, read: Reading) -> rusqlite::Result<Self> {
        let last = transaction
            .prepare_cached("SELECT at, wall, boot, uptime FROM clock")?
            .query_row([], |row| {
                let read = Reading { wall: row.get(1)?, boot: row.get(2)?, uptime: row.get(3)? };
                Ok(Mark { at: row.get(0)?, read })
            })
            .optional()?;
        let mark = match last {
            Some(last) => last.advance(read),
            None => Mark::first(read),
        };
        Ok(Self { transaction, mark })
    }

    fn write_mark(&self) -> rusqlite::Result<()> {
        let Mark { at, read } = &self.mark;
        let c = &self.transaction;
        c.prepare_cached(
            "INSERT INTO clock VALUES (1, ?1, ?2, ?3, ?4, ?1)
             ON CONFLICT DO UPDATE SET at = ?1, wall = ?2, boot = ?3, uptime = ?4",
        )?
        .execute(params![at, read.wall, read.boot, read.uptime])?;
        let swept = c.prepare_cached("UPDATE clock SET swept = at WHERE swept < at - ?1")?.execute([SWEEP])?;
        if swept > 0 {
            c.execute("DELETE FROM slot WHERE at <= ?1 - length", [at])?;
            c.execute("DELETE FROM lease WHERE until <= ?1 - length", [at])?;
            c.execute("DELETE FROM leased WHERE lease NOT IN (SELECT id FROM lease)", [])?;
        }
        Ok(())
    }

    /// Everything that may count in a series.
    ///
    /// # Errors
    /// The database's.
    pub fn entries(&self, series: &Series) -> rusqlite::Result<Vec<Entry>> {
        let (subject, length) = series;
        let mut entries = self.slots(subject, *length)?;
        if entries.is_empty() {
            // A window of another length is new: what the longest of the others knows counts in it too.
            entries = self.of_others(subject, *length)?;
        }
        let mut leases = self
            .transaction
            .prepare_cached("SELECT until, recipients FROM leased JOIN lease ON lease.id = lease WHERE subject = ?1")?;
        let leases = leases.query_map([subject], |row| {
            Ok(Entry { at: row.get(0)?, recipients: row.get::<_, i64>(1)?.unsigned_abs(), messages: 1, open: true })
        })?;
        for lease in leases {
            entries.push(lease?);
        }
        entries.extend(self.lost(subject)?);
        Ok(entries)
    }

    /// What is not known of a limit any more, as the counters were damaged: all that it lets, at that time.
    ///
    /// # Errors
    /// The database's.
    pub fn lost(&self, subject: &str) -> rusqlite::Result<Option<Entry>> {
        self.transaction
            .prepare_cached("SELECT at FROM lost WHERE NOT EXISTS (SELECT 1 FROM anew WHERE subject = ?1)")?
            .query_row([subject], |row| Ok(Entry { at: row.get(0)?, recipients: ALL, messages: ALL, open: false }))
            .optional()
    }

    fn slots(&self, subject: &str, length: Millis) -> rusqlite::Result<Vec<Entry>> {
        let since = self.mark.at.saturating_sub(length);
        let mut slots = self.transaction.prepare_cached(
            "SELECT at, recipients, messages FROM slot WHERE subject = ?1 AND length = ?2 AND at > ?3",
        )?;
        slots
            .query_map(params![subject, length, since], |row| {
                let count = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
                Ok(Entry { at: row.get(0)?, recipients: count(1)?, messages: count(2)?, open: false })
            })?
            .collect()
    }

    fn of_others(&self, subject: &str, length: Millis) -> rusqlite::Result<Vec<Entry>> {
        let longest: Option<Millis> = self
            .transaction
            .prepare_cached("SELECT max(length) FROM slot WHERE subject = ?1")?
            .query_row([subject], |row| row.get(0))?;
        let Some(longest) = longest.filter(|longest| *longest != length) else { return Ok(Vec::new()) };
        let since = self.mark.at.saturating_sub(length);
        Ok(self.slots(subject, longest)?.into_iter().filter(|entry| entry.at > since).collect())
    }

    /// Reserves, for as long as the attempt of that process may take; the number of the reservation.
    ///
    /// # Errors
    /// The database's.
    pub fn lease(&self, all: &[Series], recipients: u64, until: Millis, owner: &str) -> rusqlite::Result<i64> {
        let c = &self.transaction;
        let longest = all.iter().map(|(_, length)| *length).max().unwrap_or_default();
        c.prepare_cached("INSERT INTO lease (until, recipients, length, owner) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![until, recipients.cast_signed(), longest, owner])?;
        let lease = c.last_insert_rowid();
        for (subject, _) in all {
            // Once, though two windows of a limit count it.
            c.prepare_cached("INSERT OR IGNORE INTO leased VALUES (?1, ?2)")?.execute(params![subject, lease])?;
        }
        Ok(lease)
    }

    /// The server is asked: from here on a reservation counts whatever becomes of its process.
    ///
    /// # Errors
    /// The database's.
    pub fn begin(&self, lease: i64) -> rusqlite::Result<()> {
        self.transaction.prepare_cached("UPDATE lease SET begun = 1 WHERE id = ?1")?.execute([lease])?;
        Ok(())
    }

    /// Ends the reservations of processes that are gone and had not asked the server yet; whether there were any.
    ///
    /// # Errors
    /// The database's.
    pub fn give_back(&self, all: &[Series], is_gone: &dyn Fn(&str) -> bool) -> rusqlite::Result<bool> {
        let mut unasked = self.transaction.prepare_cached(
            "SELECT id, owner FROM leased JOIN lease ON lease.id = lease WHERE subject = ?1 AND begun = 0",
        )?;
        let mut given = false;
        for (subject, _) in all {
            let leases: Vec<(i64, String)> =
                unasked.query_map([subject], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
            for (lease, _) in leases.iter().filter(|(_, owner)| is_gone(owner)) {
                self.transaction.execute("DELETE FROM lease WHERE id = ?1", [lease])?;
                self.transaction.execute("DELETE FROM leased WHERE lease = ?1", [lease])?;
                given = true;
            }
        }
        Ok(given)
    }

    /// Ends a reservation: so many recipients were taken, now. What of the series is over goes.
    ///
    /// # Errors
    /// The database's.
    pub fn settle(&self, lease: i64, all: &[Series], taken: u64) -> rusqlite::Result<()> {
        let c = &self.transaction;
        c.prepare_cached("DELETE FROM lease WHERE id = ?1")?.execute([lease])?;
        for series @ (subject, _) in all {
            c.prepare_cached("DELETE FROM leased WHERE subject = ?1 AND lease = ?2")?
                .execute(params![subject, lease])?;
            self.forget(series)?;
            if taken > 0 {
                self.seed(series)?;
            }
        }
        // Only now: a series that is new must not learn of this message from another one, and count it twice.
        let entry = Entry { at: self.mark.at, recipients: taken, messages: 1, open: false };
        all.iter().filter(|_| taken > 0).try_for_each(|series| self.add(series, &entry))
    }

    fn forget(&self, (subject, length): &Series) -> rusqlite::Result<()> {
        let c = &self.transaction;
        let over = self.mark.at.saturating_sub(*length);
        c.prepare_cached("DELETE FROM slot WHERE subject = ?1 AND length = ?2 AND at <= ?3")?
            .execute(params![subject, length, over])?;
        let mut dead = c.prepare_cached(
            "DELETE FROM leased WHERE subject = ?1 AND lease IN (SELECT id FROM lease WHERE until <= ?2 - length)",
        )?;
        dead.execute(params![subject, self.mark.at])?;
        Ok(())
    }

    /// Before the first entry of a series: what those of other lengths know.
    fn seed(&self, series @ (subject, length): &Series) -> rusqlite::Result<()> {
        if self.slots(subject, *length)?.is_empty() {
            self.of_others(subject, *length)?.iter().try_for_each(|entry| self.add(series, entry))?;
        }
        Ok(())
    }

    fn add(&self, (subject, length): &Series, entry: &Entry) -> rusqlite::Result<()> {
        let mut add = self.transaction.prepare_cached(
            "INSERT INTO slot VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET at = max(at, ?4),
             recipients = recipients + ?5, messages = messages + ?6",
        )?;
        let Entry { at, recipients, messages, .. } = *entry;
        add.execute(params![subject, length, slot(at, *length), at, recipients.cast_signed(), messages.cast_signed()])?;
        Ok(())
    }

    /// Forgets everything of a limit.
    ///
    /// # Errors
    /// The database's.
    pub fn reset(&self, subject: &str) -> rusqlite::Result<()> {
        self.transaction.execute("DELETE FROM slot WHERE subject = ?1", [subject])?;
        self.transaction.execute("DELETE FROM leased WHERE subject = ?1", [subject])?;
        self.transaction.execute("INSERT OR IGNORE INTO anew VALUES (?1)", [subject])?;
        Ok(())
    }
}
