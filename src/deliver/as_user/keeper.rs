//! The keeper: it has the right to change its user, and uses it for nothing but runners. What the daemon says it does not
//! read; it takes one end of a connection after the other.

use super::NAME;
use crate::exit::Status;
use crate::sys::{descriptors, signals, spawn};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Child;

/// Runners at once. The daemon has fewer connections; more is for one that is no longer itself.
const RUNNERS: usize = 64;

/// Starts runners until the daemon has ended. Standard input is the channel.
#[must_use]
pub fn run(config: &Path) -> Status {
    // A service manager tells all processes to end, and the daemon still finishes what it has begun.
    if signals::outlive_the_end().is_err() {
        return Status::Os;
    }
    let stdin = std::io::stdin();
    let mut runners: Vec<Child> = Vec::new();
    loop {
        let stream = match descriptors::receive(stdin.as_fd()) {
            Ok(Some(stream)) => stream,
            Ok(None) => return Status::Ok,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                crate::report::stderr(&format!("{NAME}: {error}; postrider serve starts this program"));
                return Status::Usage;
            }
        };
        runners.retain_mut(|runner| matches!(runner.try_wait(), Ok(None)));
        if runners.len() >= RUNNERS {
            // Its program has a time limit.
            let _ = runners.remove(0).wait();
        }
        match spawn::again(NAME, &[OsStr::new("run"), config.as_os_str()], stream) {
            Ok(runner) => runners.push(runner),
            // The daemon sees the connection closed.
            Err(error) => crate::report::stderr(&format!("{NAME}: {error}")),
        }
    }
}
