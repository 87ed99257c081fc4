//! The floor of free space: a queue that fills its disk could not even write down what was delivered.

use super::error;
use crate::queue::StoreError;
use crate::sys::space::{self, Short};
use std::path::Path;

/// Refuses a message of `size` octets that would leave less than `floor` octets free.
pub(super) fn check(directory: &Path, floor: u64, size: u64) -> Result<(), StoreError> {
    let short = space::short(directory, floor, size).map_err(|error| error::file(directory, &error))?;
    let Some(short) = short else { return Ok(()) };
    let mend = match short {
        Short::Octets { .. } => "make room",
        Short::Inodes(_) => "remove files",
    };
    let place = directory.display();
    Err(StoreError::NoSpace(format!("{place}: {short}; the message was not kept, {mend} and send it again")))
}
