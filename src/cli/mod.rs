//! The command line: which personality, which flags.

use crate::exit::Status;
use std::ffi::OsString;

/// Runs the program with its arguments (the first is the name it was called by).
#[must_use]
pub fn run(_arguments: Vec<OsString>) -> Status {
    Status::Software
}
