//! One story per command.

mod admission;
pub mod alias_files;
pub mod check;
pub mod desk;
pub mod explain;
pub mod explain_incoming;
mod explain_limits;
pub mod handover;
pub mod import;
pub mod mailq;
mod misconfigured;
pub mod msmtp_info;
mod msmtp_rights;
pub mod newaliases;
pub mod own_queue;
mod own_senders;
pub mod passwd;
pub mod queue;
pub mod senders;
pub mod serve;
pub mod setup;
pub mod smtp_stdio;
pub mod stats;
pub mod submit;
pub mod surroundings;
pub mod test;
pub mod try_demo;
pub mod verdict;

use crate::cli::invocation::{Invocation, Mode};
use crate::deliver::as_user;
use crate::exit::Status;
use crate::queue::Filter;
use crate::report;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// `sendmail` in all of its modes; `config` is what `postrider --config` named.
#[must_use]
pub fn sendmail(invocation: &Invocation, config: Option<PathBuf>) -> Status {
    if invocation.json && invocation.mode != Mode::PrintQueue {
        report::stderr("sendmail: --json goes with -bp (sendmail --help lists the options)");
        return Status::Usage;
    }
    match invocation.mode {
        Mode::Deliver => submit::run("sendmail", invocation, config),
        Mode::Smtp => smtp_stdio::run(invocation, config),
        Mode::Verify => explain::verify(invocation, config),
        Mode::Help => {
            report::stdout(&crate::cli::sendmail::help());
            Status::Ok
        }
        Mode::PrintQueue | Mode::CountQueue | Mode::Flush => queued(invocation, config),
        Mode::NewAliases => newaliases::run(config),
        mode => other("sendmail", mode),
    }
}

/// The modes that ask about the queue or move it.
fn queued(invocation: &Invocation, config: Option<PathBuf>) -> Status {
    let desk = desk::Desk::find(config.as_deref());
    let filter = invocation.queue.clone();
    match invocation.mode {
        Mode::PrintQueue => mailq::print("mailq", &desk, filter, mailq::Form::of(invocation.json)),
        Mode::CountQueue => mailq::count("sendmail", &desk),
        _ => flush(&desk, filter, config, invocation.options.verbose),
    }
}

/// `sendmail -q`: the daemon tries everything now. A run over the caller's own queue, as cron starts it again and again,
/// keeps to the schedule, unless certain messages are asked for.
fn flush(desk: &desk::Desk, filter: Filter, config: Option<PathBuf>, verbose: bool) -> Status {
    let own = desk.is_own();
    if !own || filter != Filter::default() {
        let status = queue::flush("sendmail", desk, filter);
        if !own || status != Status::Ok {
            return status;
        }
    }
    own_queue::run("sendmail", config, verbose)
}

/// `msmtp` in all of its modes.
#[must_use]
pub fn msmtp(invocation: &Invocation) -> Status {
    if let Err(usage) = msmtp_rights::check(invocation) {
        return usage;
    }
    match invocation.mode {
        Mode::Deliver => submit::run("msmtp", invocation, None),
        Mode::Pretend => msmtp_info::pretend(invocation),
        Mode::ServerInfo => msmtp_info::server_info(invocation),
        Mode::Version => msmtp_info::version(),
        Mode::Help => {
            report::stdout(&crate::cli::msmtp::help());
            Status::Ok
        }
        mode => other("msmtp", mode),
    }
}

/// The daemon's helper, which runs programs as other users: what it is started for, and the configuration.
#[must_use]
pub fn run_as_user(arguments: &[OsString]) -> Status {
    let words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    match words[..] {
        [what, config] if what == "keep" => as_user::keeper::run(Path::new(config)),
        [what, config] if what == "run" => as_user::runner::run(Path::new(config)),
        _ => {
            report::stderr(&format!("{}: postrider serve starts this program", as_user::NAME));
            Status::Usage
        }
    }
}

/// The modes that are the same for both.
fn other(program: &str, mode: Mode) -> Status {
    match mode {
        Mode::Version => report::stdout(&format!("postrider {}\n", env!("CARGO_PKG_VERSION"))),
        Mode::Nothing => {}
        _ => {
            report::stderr(&format!("{program}: this mode is not offered ({program} --help lists the modes)"));
            return Status::Usage;
        }
    }
    Status::Ok
}
