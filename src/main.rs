//! The program's entry: the name it was called by and its arguments go to the library, the status comes back.
//!
//! The only place that may end the process with a status.

use std::process::ExitCode;

fn main() -> ExitCode {
    let status = postrider::run(std::env::args_os().collect());
    ExitCode::from(status.code())
}
