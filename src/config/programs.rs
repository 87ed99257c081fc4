//! Which programs rules run as which users, for the process that becomes them: read by itself, from a file that nobody but
//! root may change.

use super::account::Builder;
use super::error::{ConfigError, Place};
use super::toml::{RawConfig, Source};
use crate::rules::Pipe;
use crate::sys::files;
use crate::sys::owners::{Way, WayError};
use std::path::Path;
use zeroize::Zeroizing;

/// Whether nobody but root may change a file.
///
/// # Errors
/// Who may, and the command that mends it.
pub fn check(path: &Path) -> Result<(), ConfigError> {
    Way::to_run_as(0).check(path).map_err(|error| {
        let why = match &error {
            WayError::Foreign(foreign) => foreign.advice("it says which programs run"),
            WayError::Io(..) => format!("cannot be read: {error}"),
        };
        ConfigError::at(&Place::new(path, 0), format!("only what root alone may change says who runs what: {why}"))
    })
}

/// The rules with a program and a user, by name.
///
/// # Errors
/// Others than root may change the file, or its rules are faulty.
pub fn of(path: &Path) -> Result<Vec<(String, Pipe)>, ConfigError> {
    check(path)?;
    let place = Place::new(path, 0);
    let (data, _) = files::read(path).map_err(|error| ConfigError::at(&place, format!("cannot be read: {error}")))?;
    let data = Zeroizing::new(data);
    let text = std::str::from_utf8(&data).map_err(|_| ConfigError::at(&place, "not valid TOML: no UTF-8"))?;
    let source = Source { text, file: &place, quote: false };
    let raw: RawConfig = source.parse()?;
    let mut build = Builder::new(source, None);
    let rules = build.rules(raw.rules.unwrap_or_default(), raw.rule);
    match build.errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(rules.list.into_iter().filter_map(|rule| Some((rule.name, rule.actions.pipe?))).collect()),
    }
}
