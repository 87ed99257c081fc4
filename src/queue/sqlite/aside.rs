//! What was set aside: it may hold mail, and is never deleted by this program. Its names say so.
//!
//! ```text
//! queue.db.damaged-TIME     a database, or what was left of one, with its log (-wal)
//! text.damaged-TIME/        texts that no row named
//! *.salvaged-TIME           one of them once `queue salvage` has brought back what it could
//! ```

use super::text::{Texts, sync_directory};
use super::{about, error};
use crate::queue::StoreError;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const SALVAGED: &str = ".salvaged-";
const MARK: &str = ".damaged-";
/// What comes with a database.
const WITH: [&str; 3] = ["", "-wal", "-journal"];
/// Most names that are told.
const TOLD: usize = 100;

/// What was set aside in a queue's directory and not yet brought back: the files of each name are told once.
///
/// # Errors
/// The directory cannot be read.
pub fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let known = name.starts_with("queue.db.") || name.starts_with("text.");
        if known && name.contains(MARK) {
            let base = WITH.iter().rev().find_map(|with| name.strip_suffix(with)).unwrap_or(&name);
            found.push(directory.join(base));
        }
    }
    found.sort();
    found.dedup();
    found.truncate(TOLD);
    Ok(found)
}

/// The directories of texts that came back, where those are that rows of a database may still name.
pub(super) fn texts_of_before(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    names.filter(|path| path.to_string_lossy().contains(SALVAGED)).take(TOLD).collect()
}

/// Renames the database and its log, whichever are there; the name that the database has then, where there was anything.
pub(super) fn database(directory: &Path) -> Result<Option<PathBuf>, StoreError> {
    let aside = unused(directory, "queue.db.damaged")?;
    let mut any = false;
    for with in WITH {
        let from = directory.join(format!("queue.db{with}"));
        any |= renamed(&from, &beside(&aside, with))?;
    }
    // The index of the log can be made again from it.
    let index = directory.join("queue.db-shm");
    gone_is_fine(std::fs::remove_file(&index), &index)?;
    sync_directory(directory).map_err(|error| error::file(directory, &error))?;
    Ok(any.then_some(aside))
}

/// Moves texts away that no row names; where they are then, where there were any. A file that was never written whole was
/// never accepted: it goes, where the database is `whole` enough to know.
pub(super) fn strays(
    directory: &Path,
    texts: &Texts,
    whole: bool,
    keeps: impl Fn(&str) -> Result<Keep, StoreError>,
) -> Result<Option<(PathBuf, usize)>, StoreError> {
    let from = texts.directory();
    let mut aside: Option<PathBuf> = None;
    let (mut moved, mut done) = (0, Vec::new());
    for entry in std::fs::read_dir(from).map_err(|error| error::file(from, &error))? {
        let name = entry.map_err(|error| error::file(from, &error))?.file_name();
        let kind = name.to_str().map_or(Ok(Keep::Aside), &keeps)?;
        let unfinished = || whole && about::is_unfinished(&from.join(&name));
        match (kind, name.to_str()) {
            (Keep::Here, _) => continue,
            (Keep::Done, Some(name)) => done.push(name.to_owned()),
            (Keep::Aside, Some(name)) if unfinished() => done.push(name.to_owned()),
            _ => {
                let place = match &aside {
                    Some(place) => place,
                    None => {
                        let place = unused(directory, "text.damaged")?;
                        let made = std::fs::DirBuilder::new().mode(0o700).create(&place);
                        made.map_err(|error| error::file(&place, &error))?;
                        aside.insert(place)
                    }
                };
                std::fs::rename(from.join(&name), place.join(&name)).map_err(|error| error::file(from, &error))?;
                moved += 1;
            }
        }
    }
    texts.remove(&done);
    let Some(place) = aside else { return Ok(None) };
    let synced = [&place, from, directory].into_iter().try_for_each(sync_directory);
    synced.map_err(|error| error::file(from, &error))?;
    Ok(Some((place, moved)))
}

/// What is to become of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// A row names it.
    Here,
    /// Its message is known to have been sent, returned or deleted.
    Done,
    /// Nobody knows.
    Aside,
}

/// Copies a database whose log is missing, before anything is written to it: should the log turn up, it belongs to the copy.
pub(super) fn copy(directory: &Path) -> Result<PathBuf, StoreError> {
    let (from, aside) = (directory.join("queue.db"), unused(directory, "queue.db.damaged")?);
    let copied = || -> io::Result<()> {
        std::fs::copy(&from, &aside)?;
        OpenOptions::new().write(true).open(&aside)?.sync_all()?;
        sync_directory(directory)
    };
    match copied() {
        Ok(()) => Ok(aside),
        Err(error) => {
            // A part of a copy holds nothing that the database has not.
            let _ = std::fs::remove_file(&aside);
            Err(error::file(&aside, &error))
        }
    }
}

/// Gives something that was set aside the name of what was brought back; that name.
pub(super) fn salvaged(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let to = path.with_file_name(name.replacen(MARK, SALVAGED, 1));
    for with in WITH.iter().chain(&["-shm"]) {
        renamed(&beside(path, with), &beside(&to, with))?;
    }
    Ok(to)
}

/// A path with something behind its name.
pub(super) fn beside(path: &Path, with: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(with);
    path.into()
}

/// Whether there was such a file, which has the other name now.
fn renamed(from: &Path, to: &Path) -> Result<bool, StoreError> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error::file(from, &error)),
        done => Ok(done.is_ok()),
    }
}

/// `NAME-TIME`, a name that nothing has.
fn unused(directory: &Path, name: &str) -> Result<PathBuf, StoreError> {
    let time = crate::sys::clock::now().format("%Y%m%dT%H%M%S");
    let mut tries = (1..1000).map(|n| match n {
        1 => directory.join(format!("{name}-{time}")),
        n => directory.join(format!("{name}-{time}-{n}")),
    });
    let free = |path: &PathBuf| {
        WITH.iter().all(|with| {
            let there = std::fs::symlink_metadata(beside(path, with));
            there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        })
    };
    tries.find(free).ok_or_else(|| {
        let what = "there are too many damaged databases; look at them and move them away";
        StoreError::Io(format!("{}: {what}", directory.display()))
    })
}

/// An error, but for that there is no such file.
pub(super) fn gone_is_fine(result: io::Result<()>, path: &Path) -> Result<(), StoreError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error::file(path, &error)),
        _ => Ok(()),
    }
}
