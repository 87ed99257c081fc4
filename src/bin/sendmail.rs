//! The small `sendmail`: hands a message to the daemon, and becomes `postrider` for everything else.
//!
//! It starts in a third of the time, because nothing of TLS, the queue or the configuration is in it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let status = postrider::cli::thin::run(std::env::args_os().collect());
    ExitCode::from(status.code())
}
