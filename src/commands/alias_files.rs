//! Alias files from the disk: read by whoever routes the message (the daemon where one runs, never its caller), once, and
//! again when they or what they include have changed.

use crate::config::{AliasSource, ConfigError, Place};
use crate::route::aliases::{Aliases, Parsed};
use crate::sys::clock;
use crate::sys::files::{self, Stamp};
use crate::sys::owners::{Way, WayError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Files that are remembered; there is one of the system, and msmtprc accounts may name others.
const REMEMBERED: usize = 16;
/// Octets of all the files that one file includes.
const INCLUDED: usize = 4 << 20;
/// A file that was changed so short a time ago (seconds) could change again without its stamp.
const FRESH: i64 = 2;

static REMEMBER: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// A file that was read.
struct Known {
    source: AliasSource,
    /// The file and what it includes, as they were; `None` for one that could not be read.
    stamps: Vec<(PathBuf, Option<Stamp>)>,
    parsed: Arc<Parsed>,
}

impl Known {
    fn holds(&self) -> bool {
        let now = clock::millis() / 1000;
        let settled = |stamp: &Stamp| now - stamp.changed.0 > FRESH;
        self.stamps.iter().all(|(path, then)| {
            then.is_some_and(|then| files::stamp(path).is_ok_and(|now| now == then) && settled(&then))
        })
    }
}

/// The aliases of a file; `None` where it need not be there and is not.
///
/// # Errors
/// It cannot be read, belongs to somebody else or can be written by anybody; a fault in it, where that is strict.
pub fn read(source: &AliasSource) -> Result<Option<Arc<Parsed>>, ConfigError> {
    let mut remembered = REMEMBER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = remembered.iter().find(|known| known.source == *source).filter(|known| known.holds()) {
        return Ok(Some(known.parsed.clone()));
    }
    remembered.retain(|known| known.source != *source);
    let Some(known) = load(source)? else { return Ok(None) };
    let parsed = known.parsed.clone();
    for fault in &parsed.faults {
        tracing::warn!(reason = crate::report::printable(&fault.to_string()), "an alias is not used");
    }
    if remembered.len() >= REMEMBERED {
        remembered.remove(0);
    }
    remembered.push(known);
    Ok(Some(parsed))
}

fn load(source: &AliasSource) -> Result<Option<Known>, ConfigError> {
    let path = &source.path;
    let failed =
        |what: String| ConfigError { place: Some(Place::new(path.as_path(), 0)), what: format!("aliases: {what}") };
    // Before the file: what is written in between is then seen the next time.
    let mut stamps = vec![(path.clone(), files::stamp(path).ok())];
    let (text, guard) = match files::read(path) {
        Ok((text, guard)) => (text, guard),
        Err(error) if error.kind() == ErrorKind::NotFound && !source.required => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    if !source.strict {
        trusted(path, None).map_err(failed)?;
    }
    let text = String::from_utf8(text).map_err(|_| failed("the file is no UTF-8".into()))?;
    let mut left = INCLUDED;
    let parsed = Aliases::parse(&text, path, source.format, &mut |file| {
        stamps.push((file.to_owned(), files::stamp(file).ok()));
        include(file, guard.uid, &mut left)
    });
    let parsed = if source.strict { Parsed { aliases: parsed.strict()?, faults: Vec::new() } } else { parsed };
    Ok(Some(Known { source: source.clone(), stamps, parsed: Arc::new(parsed) }))
}

/// A file that an alias file includes.
fn include(path: &Path, owner: u32, left: &mut usize) -> Result<String, String> {
    let (text, _) = files::read(path).map_err(|error: io::Error| error.to_string())?;
    trusted(path, Some(owner))?;
    *left = left.checked_sub(text.len()).ok_or("all that is included is larger than 4 MiB")?;
    String::from_utf8(text).map_err(|_| "the file is no UTF-8".into())
}

/// Whether nobody but root, this user and the owner of the alias file can have written it.
fn trusted(path: &Path, owner: Option<u32>) -> Result<(), String> {
    let way = Way::to_run_as(rustix::process::geteuid().as_raw());
    let way = owner.into_iter().fold(way, Way::or);
    match way.check(path) {
        Err(WayError::Foreign(foreign)) => Err(foreign.advice("who may change this file decides where mail goes")),
        done => done.map_err(|error| error.to_string()),
    }
}
