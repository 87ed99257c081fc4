//! stand-in
use crate::exit::Status;
use std::ffi::OsString;
/// stand-in
#[must_use]
pub fn run(_: &[OsString]) -> Status {
    Status::Ok
}
