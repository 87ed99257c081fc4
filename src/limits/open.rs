//! The file of the counters: made whole beside its place, opened by whoever may, set aside where it is damaged.
//!
//! It belongs to the owner of its directory whoever makes it: root works on it as that user. A damaged one is kept as
//! `limits.db.damaged-TIME`, and the one that takes its place knows that all of every limit may be used: what was sent is
//! not known any more, and nothing may go beyond a limit.

use crate::sys::clock;
use crate::sys::identity::{self, Stead};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use rustix::fs::{FlockOperation, RenameFlags};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "PoRl": marks a database as one of limits.
const APPLICATION: i32 = 0x506f_526c;
/// How long to wait for other processes.
const BUSY: Duration = Duration::from_secs(10);
/// How long to wait between two tries.
const STEP: Duration = Duration::from_millis(20);
/// No database is smaller, octets: one page of the smallest size.
const SMALLEST: u64 = 512;
/// Files up to this size, octets, are read whole when they are opened, to see whether they are sound.
const SMALL: u64 = 256 << 10;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS clock (
        id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL, wall INTEGER NOT NULL, boot TEXT NOT NULL,
        uptime INTEGER NOT NULL, swept INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS slot (
        subject TEXT NOT NULL, length INTEGER NOT NULL, slot INTEGER NOT NULL, at INTEGER NOT NULL,
        recipients INTEGER NOT NULL, messages INTEGER NOT NULL, PRIMARY KEY (subject, length, slot)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS lease (
        id INTEGER PRIMARY KEY AUTOINCREMENT, until INTEGER NOT NULL, recipients INTEGER NOT NULL,
        length INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS leased (
        subject TEXT NOT NULL, lease INTEGER NOT NULL, PRIMARY KEY (subject, lease)) STRICT, WITHOUT ROWID;";

/// The version of the tables: 1 tells whose reservations are, and whether the server was asked; 2 what was lost.
const VERSION: i32 = 2;
const OWNERS: &str = "
    ALTER TABLE lease ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    ALTER TABLE lease ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;";
const LOST: &str = "
    CREATE TABLE lost (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL) STRICT;
    CREATE TABLE anew (subject TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;";

/// Why the file cannot be used.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another process is at it.
    Busy(String),
    /// What it holds cannot be read.
    Damaged(String),
    Other(String),
}

impl Fault {
    pub(super) fn text(self) -> String {
        match self {
            Self::Busy(what) | Self::Damaged(what) | Self::Other(what) => what,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy("another process has it locked".into())
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            Some(ErrorCode::DiskFull) => Self::Other("no space is left".into()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<rustix::io::Errno> for Fault {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Other(io::Error::from(error).to_string())
    }
}

/// Opens the file; makes it where it is not there, or where it is damaged.
pub(super) fn open(path: &Path) -> Result<Connection, Fault> {
    let directory = directory(path);
    if !directory.exists() {
        // What is made is that user's too below whose directory it is.
        let _stead = Stead::of(directory);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    // Before anything is open: closing it would end the locks that SQLite has on it in this process.
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        identity::give(&file)?;
    }
    // The way there may have links, as /var/run is one.
    let path = &directory.canonicalize()?.join(path.file_name().unwrap_or_default());
    let deadline = clock::Deadline::after(BUSY);
    loop {
        let stead = Stead::of(directory);
        let opened = present(path).and_then(|()| connect(path));
        drop(stead);
        let busy = match opened {
            Ok(connection) => return Ok(connection),
            Err(Fault::Damaged(what)) => {
                replace(path, &what)?;
                continue;
            }
            Err(Fault::Busy(what)) => what,
            Err(fault) => return Err(fault),
        };
        if deadline.left().is_none() {
            return Err(Fault::Busy(busy));
        }
        clock::pause(STEP);
    }
}

/// Whether this process could make the file, where it is not there; nothing is made.
pub(super) fn may_make(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD};
    let above = directory(path).ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
    Ok(rustix::fs::accessat(CWD, above, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file whose name is that one's with more behind it.
fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(more);
    name.into()
}

/// Makes sure that a database is there, as far as its first octets tell.
fn present(path: &Path) -> Result<(), Fault> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A log without its database: what it counted is not known any more.
            let lost = std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
            match lost {
                true => Err(Fault::Damaged("it is gone, and its log is still there".into())),
                false => put(&build(path, None)?, path, RenameFlags::NOREPLACE),
            }
        }
        Err(error) => Err(error.into()),
        Ok(facts) if !facts.is_file() => Err(Fault::Other("it is no regular file".into())),
        // SQLite takes the beginning of a database for an empty one.
        Ok(facts) if facts.len() < SMALLEST => Err(Fault::Damaged("it is cut off".into())),
        Ok(_) => Ok(()),
    }
}

/// A whole new database beside its place; with a time where what was counted before is not known.
fn build(path: &Path, lost: Option<i64>) -> Result<PathBuf, Fault> {
    let token = crate::sys::random::token().map_err(Fault::from)?;
    let part = beside(path, &format!(".new-{token}"));
    // Who may write the directory's group may count; SQLite gives its further files the same mode.
    let mode = 0o600 | std::fs::metadata(directory(path))?.mode() & 0o060;
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(&part)?;
    // The umask must not take the group's right. Where the group of a process is another, the directory's may count.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    if mode & 0o020 != 0 {
        let _ = std::os::unix::fs::fchown(&file, None, Some(std::fs::metadata(directory(path))?.gid()));
    }
    drop(file);
    let filled = fill(&part, lost);
    if filled.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    filled.map(|()| part)
}

fn fill(part: &Path, lost: Option<i64>) -> Result<(), Fault> {
    let mut connection = Connection::open_with_flags(part, FLAGS)?;
    // Nobody else knows it yet.
    connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL;")?;
    let transaction = connection.transaction()?;
    for tables in [TABLES, OWNERS, LOST] {
        transaction.execute_batch(tables)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    if let Some(at) = lost {
        let (boot, uptime) = (clock::boot(), clock::uptime());
        transaction.execute("INSERT INTO clock VALUES (1, ?1, ?1, ?2, ?3, ?1)", params![at, boot, uptime])?;
        transaction.execute("INSERT INTO lost VALUES (1, ?1)", [at])?;
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error.into())
}

/// Puts a new database in its place; not where another process was quicker, unless it replaces one.
fn put(part: &Path, path: &Path, flags: RenameFlags) -> Result<(), Fault> {
    use rustix::fs::CWD;
    use rustix::io::Errno;
    let moved = match rustix::fs::renameat_with(CWD, part, CWD, path, flags) {
        // A file system without it.
        Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(part, path).map_err(Fault::from),
        Err(Errno::EXIST) => Ok(()),
        done => done.map_err(Fault::from),
    };
    let _ = std::fs::remove_file(part);
    moved?;
    open_directory(directory(path)).and_then(|directory| directory.sync_all()).map_err(Fault::from)
}

/// Sets a damaged file aside and begins anew, all of every limit taken as used; what is to be told of it.
pub(super) fn replace(path: &Path, what: &str) -> Result<String, Fault> {
    let stead = Stead::of(directory(path));
    let replaced = replaced(path, what);
    // The log may begin a thread, which must not inherit it.
    drop(stead);
    let (told, first) = replaced?;
    if first {
        tracing::error!("{}: {told}", path.display());
    }
    Ok(told)
}

/// What is to be told, and whether it was this process that did it.
fn replaced(path: &Path, what: &str) -> Result<(String, bool), Fault> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.ends_with(".db") && !name.contains("limits") {
        // Whatever a configuration names by mistake stays where it is.
        return Err(Fault::Other(format!("it is no file of counters ({what}); nothing was changed")));
    }
    let which = || std::fs::symlink_metadata(path).map(|facts| facts.ino()).ok();
    let damaged = which();
    let _turn = turn(directory(path))?;
    let aside = beside(path, &format!(".damaged-{}", clock::now().format("%Y%m%d-%H%M%S%.3f")));
    let told = format!(
        "the counters of sending limits were damaged ({what}); they are kept as {}, and counting begins anew: every limit \
         counts as reached for the length of its window, or until postrider senders reset NAME",
        aside.display()
    );
    // Another process was quicker.
    if which() != damaged {
        return Ok((told, false));
    }
    let part = build(path, Some(clock::millis()))?;
    let _ = std::fs::rename(beside(path, "-wal"), beside(&aside, "-wal"));
    let _ = std::fs::remove_file(beside(path, "-shm"));
    if damaged.is_some() && std::fs::hard_link(path, &aside).is_err() {
        std::fs::rename(path, &aside)?;
    }
    put(&part, path, RenameFlags::empty())?;
    Ok((told, true))
}

/// One process at a time replaces a file of a directory.
fn turn(directory: &Path) -> Result<File, Fault> {
    let directory = open_directory(directory)?;
    let deadline = clock::Deadline::after(BUSY);
    while let Err(error) = rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK || deadline.left().is_none() {
            return Err(error.into());
        }
        clock::pause(STEP);
    }
    Ok(directory)
}

fn open_directory(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

/// No link is followed: others may lay one where a group counts.
const FLAGS: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX).union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

fn connect(path: &Path) -> Result<Connection, Fault> {
    let mut connection = Connection::open_with_flags(path, FLAGS)?;
    connection.busy_timeout(BUSY)?;
    let number = |c: &Connection, name| c.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    if number(&connection, "application_id")? != APPLICATION {
        return Err(Fault::Other("it is a database of something else; nothing was changed".into()));
    }
    let small = std::fs::metadata(path)?.len() <= SMALL;
    if small {
        let damage: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if damage != "ok" {
            return Err(Fault::Damaged(damage.lines().collect::<Vec<_>>().join("; ")));
        }
    }
    if number(&connection, "user_version")? < VERSION {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let steps = [OWNERS, LOST];
        // Another process may have done it in the meantime.
        let done = usize::try_from(number(&transaction, "user_version")?).unwrap_or_default();
        steps.iter().skip(done).try_for_each(|step| transaction.execute_batch(step))?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 4194304;",
    )?;
    Ok(connection)
}
