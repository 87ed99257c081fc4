//! What a command says of a configuration that cannot be used, and the status that it ends with.

use crate::cli::invocation::Invocation;
use crate::config::ConfigError;
use crate::exit::Status;

/// The first fault of a configuration, and how many more there are.
#[must_use]
pub fn line(errors: &[ConfigError]) -> String {
    let first = errors.first().map_or_else(String::new, ToString::to_string);
    match errors.len() {
        0 | 1 => first,
        count => format!("{first} (and {} more: postrider check lists them)", count - 1),
    }
}

/// The status of an unusable configuration: 78, but 74 where the file that msmtp's `-C` names cannot be read, as msmtp
/// has it.
#[must_use]
pub fn status(invocation: &Invocation, errors: &[ConfigError]) -> Status {
    let named = invocation.msmtp.as_ref().and_then(|own| own.file.as_deref());
    let place = errors.first().and_then(|error| error.place.as_ref());
    match (named, place) {
        // Only what concerns the whole file has no line.
        (Some(named), Some(place)) if place.line == 0 && *place.file == *named => Status::Io,
        _ => Status::Config,
    }
}
