//! A look at a queue from outside, for `check`: nothing is locked, migrated, mended or made. The daemon may be at work.

use super::{error, schema};
use crate::queue::{Millis, StoreError};
use rusqlite::{Connection, OpenFlags};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// How long a commit of the daemon is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// What a queue holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Messages.
    pub messages: u64,
    /// Those of them that are on hold.
    pub held: u64,
    /// When the oldest that is not on hold was accepted.
    pub oldest: Option<Millis>,
    /// What is wrong with the database, where something is.
    pub damage: Option<String>,
}

/// Looks at the queue of a directory; `None` where there is none.
///
/// # Errors
/// It cannot be read by this user, or is of another program or a newer version.
pub fn inspect(directory: &Path) -> Result<Option<Inspection>, StoreError> {
    let database = directory.join("queue.db");
    match std::fs::metadata(&database) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(error::file(&database, &error)),
        Ok(_) => {}
    }
    match look(&database) {
        Err(StoreError::Damaged(what)) => {
            let damage = Some(what.strip_suffix(error::RESTART).unwrap_or(&what).to_owned());
            Ok(Some(Inspection { messages: 0, held: 0, oldest: None, damage }))
        }
        found => found.map(Some).map_err(|error| error::within(&database, error)),
    }
}

fn look(database: &Path) -> Result<Inspection, StoreError> {
    let connection = open(database)?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != schema::APPLICATION {
        return Err(StoreError::Damaged("it is a database of another program".into()));
    }
    schema::known(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)?;
    let damage: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    let count = "SELECT count(*), count(hold), min(CASE WHEN hold IS NULL THEN created END) FROM message";
    let (messages, held, oldest) = connection.query_row(count, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    Ok(Inspection {
        messages: messages.cast_unsigned(),
        held: held.cast_unsigned(),
        oldest,
        damage: (damage != "ok").then_some(damage),
    })
}

/// Without a log beside it nobody has it open, and it is read as it stands: a look must not leave files behind.
fn open(database: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let connection = if Path::new(&log).exists() {
        Connection::open_with_flags(database, flags)?
    } else {
        use std::os::unix::ffi::OsStrExt;
        let escaped = database.as_os_str().as_bytes().iter().map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => char::from(*octet).to_string(),
            other => format!("%{other:02X}"),
        });
        let uri = format!("file:{}?immutable=1", escaped.collect::<String>());
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
    };
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::sqlite::{SqliteStore, StoreConfig};

    #[test]
    fn a_look_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a %queue?");
        assert_eq!(inspect(&directory).unwrap(), None);
        let store = SqliteStore::open(&StoreConfig { directory: &directory, min_free: 0, exclusive: false }).unwrap();
        let empty = Inspection { messages: 0, held: 0, oldest: None, damage: None };
        assert_eq!(inspect(&directory).unwrap().unwrap(), empty, "while it is open");
        drop(store);
        let list = || {
            let mut names: Vec<_> =
                std::fs::read_dir(&directory).unwrap().map(|one| one.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = list();
        assert_eq!(inspect(&directory).unwrap().unwrap(), empty);
        assert_eq!(list(), before);
    }

    #[test]
    fn damage_is_told() {
        let home = tempfile::tempdir().unwrap();
        let database = home.path().join("queue.db");
        tempfile::NamedTempFile::new_in(home.path()).unwrap().persist(&database).unwrap();
        assert!(inspect(home.path()).unwrap().unwrap().damage.is_some(), "empty");
    }
}
