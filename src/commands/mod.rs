//! One story per command.

pub mod check;
pub mod explain;
pub mod handover;
pub mod msmtp_info;
pub mod serve;
pub mod smtp_stdio;
pub mod submit;
pub mod surroundings;
pub mod try_demo;
pub mod verdict;

use crate::cli::invocation::{Invocation, Mode};
use crate::exit::Status;
use crate::report;
use std::path::PathBuf;

/// `sendmail` in all of its modes; `config` is what `postrider --config` named.
#[must_use]
pub fn sendmail(invocation: &Invocation, config: Option<PathBuf>) -> Status {
    match invocation.mode {
        Mode::Deliver => submit::run("sendmail", invocation, config),
        Mode::Smtp => smtp_stdio::run(invocation, config),
        Mode::Verify => explain::verify(invocation, config),
        Mode::Help => {
            report::stdout(&crate::cli::sendmail::help());
            Status::Ok
        }
        mode => other("sendmail", mode),
    }
}

/// `msmtp` in all of its modes.
#[must_use]
pub fn msmtp(invocation: &Invocation) -> Status {
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

/// The modes that are the same for both.
fn other(program: &str, mode: Mode) -> Status {
    match mode {
        Mode::PrintQueue => report::stdout("Mail queue is empty\n"),
        Mode::CountQueue => report::stdout("0\n"),
        Mode::Version => report::stdout(&format!("postrider {}\n", env!("CARGO_PKG_VERSION"))),
        Mode::NewAliases | Mode::Flush | Mode::Nothing => {}
        _ => {
            report::stderr(&format!("{program}: this mode is not offered ({program} --help lists the modes)"));
            return Status::Usage;
        }
    }
    Status::Ok
}
