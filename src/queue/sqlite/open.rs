//! Opening a queue: its directory, its lock, a database that is ours and whole, and texts that agree with it.
//!
//! A new database is made whole beside its place and then renamed there, so that `queue.db` is never half made; the same
//! holds for one that takes a damaged one's place. Nothing that may hold mail is deleted: it is set aside and told of.

use super::aside::{self, Keep, beside};
use super::lock::Lock;
use super::text::{Texts, sync_directory};
use super::{StoreConfig, about, change, error, head, owner, read, salvage, schema};
use crate::queue::StoreError;
use crate::sys::owners::{Way, WayError};
use crate::sys::users;
use rusqlite::Connection;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a queue is made of once it is open.
pub(super) struct Opened {
    pub(super) directory: PathBuf,
    pub(super) database: PathBuf,
    pub(super) texts: Texts,
    pub(super) recovered: Option<String>,
    pub(super) lock: Lock,
    /// This process was the first to open it.
    pub(super) signs: bool,
}

/// Opens the queue of the configuration.
pub(super) fn open(config: &StoreConfig<'_>) -> Result<Opened, StoreError> {
    own_directory(config.directory)?;
    // SQLite takes what begins with "file:" for a URI; an absolute path never does.
    let directory = config.directory.canonicalize().map_err(|error| error::file(config.directory, &error))?;
    owner::check(&directory)?;
    let mut lock = Lock::take(&directory, config.exclusive)?;
    let texts = Texts::new(directory.join("text"));
    own_directory(texts.directory())?;
    let database = directory.join("queue.db");
    let mut recovered = Vec::new();
    if lock.alone {
        let missing = missing_log(&directory, lock.left_open)?;
        recovered.extend(missing);
        recovered.extend(prepare(&directory, &texts)?);
        recovered.extend(agree(&directory, &texts).map_err(|error| error::within(&database, error))?);
        recovered.iter().for_each(|what| tracing::error!("{what}"));
        kept_head(&directory, &database);
    } else {
        // Whoever was here first has seen to the rest.
        let migrated = schema::connect(&database).and_then(|mut connection| schema::migrate(&mut connection));
        migrated.map_err(|error| error::within(&database, error))?;
    }
    let signs = lock.alone;
    if !config.exclusive && lock.alone {
        lock.share()?;
    }
    let recovered = (!recovered.is_empty()).then(|| recovered.join("; "));
    Ok(Opened { directory, database, texts, recovered, lock, signs })
}

/// A directory of this process's user that nobody else can write; made where it is not there.
fn own_directory(path: &Path) -> Result<(), StoreError> {
    let fail = |error: io::Error| error::file(path, &error);
    if let Err(error @ WayError::Foreign(_)) = Way::to_write().passes(path.parent().unwrap_or(path)) {
        return Err(StoreError::Io(format!(
            "{}: {error}; set queue.directory to a directory that nobody else may write",
            path.display()
        )));
    }
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return make(path).map_err(fail);
        }
        Err(error) => return Err(fail(error)),
        Ok(facts) if !facts.is_dir() => Err("is no directory".to_owned()),
        Ok(facts) if facts.uid() != rustix::process::geteuid().as_raw() => Err(format!(
            "belongs to {} and this process runs as {}; run it as that user, or set queue.directory to a directory of its own",
            users::name(facts.uid()),
            users::name(rustix::process::geteuid().as_raw())
        )),
        Ok(facts) if facts.mode() & 0o022 != 0 => {
            Err("may be written by other users; set queue.directory to a directory that nobody else may write".to_owned())
        }
        Ok(_) => Ok(()),
    }
    .map_err(|what| StoreError::Io(format!("{} {what}", path.display())))
}

/// Makes a directory and those above it. Each of them is on disk before anything is kept in it.
fn make(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        make(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    sync_directory(parent)
}

/// What stands at the database's place.
enum Found {
    Nothing,
    /// A queue, as far as its first octets tell.
    Queue,
    /// What no database is.
    Damaged(&'static str),
}

/// Makes sure that there is a sound database of the current version; what was saved, where it was not sound.
fn prepare(directory: &Path, texts: &Texts) -> Result<Option<String>, StoreError> {
    let database = directory.join("queue.db");
    // A rescue that was complete but for the renaming.
    if let Some(aside) = salvage::finish(directory)? {
        return Ok(Some(format!("{}: a damaged queue was replaced; it is kept as {aside}", database.display())));
    }
    let damage = match look(&database)? {
        Found::Nothing if beside(&database, "-wal").exists() => Some("it is missing, and its log is there".to_owned()),
        Found::Nothing => {
            create(directory)?;
            None
        }
        Found::Damaged(what) => Some(what.to_owned()),
        Found::Queue => check(&database).map_err(|error| error::within(&database, error))?,
    };
    damage.map(|damage| salvage::rescue(directory, texts, &damage)).transpose()
}

/// Looks at the database's first octets, without SQLite, which would change what it opens.
fn look(database: &Path) -> Result<Found, StoreError> {
    let fail = |error: io::Error| error::file(database, &error);
    let file = match OpenOptions::new().read(true).open(database) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        file => file.map_err(fail)?,
    };
    let facts = file.metadata().map_err(fail)?;
    if !facts.is_file() || facts.uid() != rustix::process::geteuid().as_raw() {
        return Err(StoreError::Io(format!("{} is no regular file of this user", database.display())));
    }
    let mut head = Vec::new();
    file.take(100).read_to_end(&mut head).map_err(fail)?;
    let kept = database.parent().and_then(head::of);
    if kept.is_some_and(|kept| head::first(database).is_ok_and(|page| head::is_damaged(&kept, &page))) {
        return Ok(Found::Damaged("its first page is not what it was"));
    }
    let number = |at: usize| head.get(at..)?.first_chunk().map(|octets| i32::from_be_bytes(*octets));
    Ok(match (number(68), number(60)) {
        _ if head.is_empty() => Found::Damaged("it is empty"),
        _ if !head.starts_with(b"SQLite format 3\0") => Found::Damaged("it is no SQLite database"),
        (Some(schema::APPLICATION), Some(version)) => schema::known(version.into()).map(|_| Found::Queue)?,
        (None, _) | (_, None) => Found::Damaged("it is cut off"),
        (Some(_), _) => {
            return Err(StoreError::Damaged(format!(
                "{} is a database of another program; nothing was changed: move it away, or set queue.directory",
                database.display()
            )));
        }
    })
}

/// Whether the database is sound, and up to date then; what is wrong with it otherwise.
fn check(database: &Path) -> Result<Option<String>, StoreError> {
    match sound(database) {
        Ok(Ok(mut connection)) => {
            schema::migrate(&mut connection)?;
            schema::lacks(&connection)
        }
        Ok(Err(damage)) | Err(StoreError::Damaged(damage)) => {
            Ok(Some(damage.strip_suffix(error::RESTART).unwrap_or(&damage).to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// A connection to a database whose structure is sound, or what is wrong with it.
fn sound(database: &Path) -> Result<Result<Connection, String>, StoreError> {
    let connection = schema::connect(database)?;
    let damage: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if damage == "ok" {
        return Ok(Ok(connection));
    }
    salvage::leave_log(&connection)?;
    Ok(Err(damage.lines().collect::<Vec<_>>().join("; ")))
}

/// A new, empty database at its place.
fn create(directory: &Path) -> Result<(), StoreError> {
    // A log without its database would be taken for the new one's.
    aside::database(directory)?;
    let part = salvage::new_part(directory, "queue.db.part")?;
    let made = schema::create(&part).map_err(|error| error::within(&part, error))?;
    salvage::close(made, &part)?;
    std::fs::rename(&part, directory.join("queue.db")).map_err(|error| error::file(&part, &error))?;
    sync_directory(directory).map_err(|error| error::file(directory, &error))
}

/// The log is gone that the last process left: what it committed last was in there alone.
fn missing_log(directory: &Path, left_open: bool) -> Result<Option<String>, StoreError> {
    let database = directory.join("queue.db");
    if !left_open || !database.exists() || beside(&database, "-wal").exists() {
        return Ok(None);
    }
    let copy = aside::copy(directory).map_or_else(
        |error| format!("no copy of what is left could be made: {error}"),
        |copy| {
            format!(
                "if you find it, put it in its place as {}-wal, then: postrider queue salvage {}",
                copy.display(),
                directory.display()
            )
        },
    );
    Ok(Some(format!(
        "{}-wal is missing, which the last process left there: messages that were accepted last may be lost, and what was \
         sent last may be sent again; {copy}",
        database.display()
    )))
}

/// Keeps the first page of a database that is sound, for the day on which it is not.
fn kept_head(directory: &Path, database: &Path) {
    let emptied = schema::connect(database).and_then(|connection| schema::empty_log(&connection));
    let kept = emptied.and_then(|()| head::keep(directory).map_err(|error| error::file(database, &error)));
    if let Err(error) = kept {
        tracing::warn!("{}: its first page could not be kept a second time: {error}", database.display());
    }
}

/// Makes rows and files agree: files that no row names are set aside, unless their message is known to be done with, and
/// messages whose file is missing are put on hold.
fn agree(directory: &Path, texts: &Texts) -> Result<Option<String>, StoreError> {
    let connection = schema::connect(&directory.join("queue.db"))?;
    let strays = aside::strays(directory, texts, true, |name| {
        if read::names(&connection, name)? {
            return Ok(Keep::Here);
        }
        let about = about::of(&texts.directory().join(name));
        let known = about.map_or(Ok(None), |about| read::submission(&connection, &about.submission))?;
        Ok(if known.is_some() { Keep::Done } else { Keep::Aside })
    })?;
    let mut rows = connection.prepare("SELECT id, file, size FROM message WHERE file IS NOT NULL AND hold IS NULL")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<(i64, String, i64)> = rows.collect::<Result<_, _>>()?;
    for (id, file, size) in rows {
        if !texts.whole(&file, size.cast_unsigned()) {
            let reason = format!("its text is missing or cut off: {}", texts.directory().join(&file).display());
            tracing::error!("message {} is put on hold: {reason}", crate::queue::MessageId(id));
            change::hold(&connection, id, Some(&reason), None)?;
        }
    }
    Ok(strays.map(|(place, count)| {
        format!(
            "{} that the queue does not know: set aside as {}; postrider queue salvage {} brings back what it can",
            crate::report::counted(count as u64, "large text"),
            place.display(),
            directory.display()
        )
    }))
}
