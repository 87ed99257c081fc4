//! The environment and the host's names: what the process was started with, asked in one place.

#![expect(clippy::disallowed_methods, reason = "the environment is read here")]

use std::ffi::OsString;
use std::path::PathBuf;

/// `$NAME`, unless it is empty.
#[must_use]
pub fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// `$NAME` as a path, unless it is empty.
#[must_use]
pub fn path(name: &str) -> Option<PathBuf> {
    var(name).map(PathBuf::from)
}

/// The kernel's host name; `localhost` where it is empty or no text.
#[must_use]
pub fn hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}
