//! The command line: which personality the program was called as, and its flags.
//!
//! The personality is the exact basename of argv[0]; a name that merely ends alike is `postrider`.

pub mod admin;
pub mod invocation;
pub mod msmtp;
pub mod queue;
pub mod senders;
pub mod sendmail;
#[cfg(test)]
mod tests;
pub mod thin;

use crate::commands;
use crate::deliver::as_user;
use crate::exit::Status;
use invocation::{Invocation, Mode, Usage};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Runs the program with its arguments (the first is the name that it was called by).
#[must_use]
pub fn run(arguments: Vec<OsString>) -> Status {
    crate::sys::signals::outlive_file_limit();
    crate::sys::rights::hide();
    crate::report::scribe::use_threads();
    let status = called(arguments);
    crate::report::finish();
    status
}

fn called(arguments: Vec<OsString>) -> Status {
    let mut arguments = arguments.into_iter();
    let called = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let name = Path::new(&called).file_name().and_then(OsStr::to_str).unwrap_or("postrider");
    let status = match name {
        "sendmail" => as_sendmail(&arguments, None),
        "msmtp" => as_msmtp(&arguments),
        "mailq" => with_mode(&arguments, Mode::PrintQueue),
        "newaliases" => with_mode(&arguments, Mode::NewAliases),
        as_user::NAME => commands::run_as_user(&arguments),
        _ => admin::run(&arguments),
    };
    let Some(error) = crate::report::lost_output() else { return status };
    crate::report::stderr(&format!("{name}: standard output: {error}"));
    Status::Io
}

/// The sendmail personality; `config` is what `postrider --config` named.
pub(crate) fn as_sendmail(arguments: &[OsString], config: Option<PathBuf>) -> Status {
    match sendmail::parse(arguments) {
        Ok(invocation) => commands::sendmail(&invocation, config),
        Err(usage) => refuse("sendmail", &usage),
    }
}

fn as_msmtp(arguments: &[OsString]) -> Status {
    match msmtp::parse(arguments) {
        Ok(invocation) => commands::msmtp(&invocation),
        Err(usage) => refuse("msmtp", &usage),
    }
}

/// `mailq` and `newaliases`: sendmail with a mode. Their flags are read, so that `mailq -Ac` works.
fn with_mode(arguments: &[OsString], mode: Mode) -> Status {
    match sendmail::parse(arguments) {
        Ok(invocation) if matches!(invocation.mode, Mode::Help | Mode::Version) => {
            commands::sendmail(&invocation, None)
        }
        Ok(invocation) => commands::sendmail(&Invocation { mode, ..invocation }, None),
        Err(usage) => refuse("sendmail", &usage),
    }
}

fn refuse(program: &str, usage: &Usage) -> Status {
    crate::report::stderr(&format!("{program}: {usage} ({program} --help lists the options)"));
    usage.status
}
