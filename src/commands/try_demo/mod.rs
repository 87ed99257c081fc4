//! `postrider try`: the whole way of real messages, shown on this machine alone.
//!
//! It starts an SMTP server on the loopback address (STARTTLS and TLS, AUTH, several accounts), writes a configuration
//! for it into a private directory, pipes messages through the real `sendmail` as child processes, and compares what
//! the server saw and what the exit status said with what should have happened. `try -- COMMAND` runs the user's own
//! command with that sendmail first on its path, and shows what arrived. Nothing leaves the machine and nothing stays.

mod cases;
mod certificate;
mod server;
mod show;
mod workshop;

use crate::exit::Status;
use crate::report;
use cases::{CASES, Case, Evidence};
use server::{Seen, Server};
use std::ffi::OsString;
use workshop::Workshop;

/// Runs the trial, or with a command that command within the trial. `Findings` where something went otherwise than it
/// should: a case, or with a command its exit status, or no message arriving.
#[must_use]
pub fn run(command: &[OsString]) -> Status {
    let (workshop, server) = match prepare() {
        Ok(ready) => ready,
        Err(error) => {
            report::stderr(&format!("postrider try: cannot be set up: {error}"));
            return Status::Os;
        }
    };
    match command.split_first() {
        None => demonstrate(&workshop, &server),
        Some((program, arguments)) => observe(&workshop, &server, program, arguments),
    }
}

fn prepare() -> std::io::Result<(Workshop, Server)> {
    let workshop = Workshop::open()?;
    let certificate = certificate::make()?;
    let server = Server::start(&certificate, workshop.accounts()?)?;
    workshop.configure(&server, &certificate.authority)?;
    Ok((workshop, server))
}

fn demonstrate(workshop: &Workshop, server: &Server) -> Status {
    report::stdout(&show::head(server));
    let mut wrong = 0;
    for (number, case) in (1..).zip(&CASES) {
        let evidence = examine(workshop, server, case);
        let faults = case.faults(&evidence);
        wrong += usize::from(!faults.is_empty());
        report::stdout(&show::case(number, case, &evidence, &faults));
    }
    let all = CASES.len();
    match wrong {
        0 => report::stdout(&format!("\nall {all} cases went as they should\n")),
        _ => report::stdout(&format!("\n{wrong} of {all} cases went wrong\n")),
    }
    if wrong == 0 { Status::Ok } else { Status::Findings }
}

fn examine(workshop: &Workshop, server: &Server, case: &Case) -> Evidence {
    let message = case.message();
    let explained = workshop.explain(message.as_bytes()).ok().and_then(|ended| explanation(&ended.stdout));
    let ended = workshop.sendmail(&["-t", "-i"], message.as_bytes()).map_err(|error| format!("sendmail {error}"));
    Evidence { seen: server.take(), ended, explained }
}

/// The lines `sender:` and `rule:` of `postrider explain`.
fn explanation(printed: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(printed);
    let line = |key: &str| {
        let found = text.lines().find_map(|line| line.trim_start().strip_prefix(key));
        found.map(|value| value.trim().to_owned())
    };
    Some((line("sender:")?, line("rule:").unwrap_or_default()))
}

fn observe(workshop: &Workshop, server: &Server, program: &OsString, arguments: &[OsString]) -> Status {
    let status = match workshop.command(program, arguments) {
        Ok(status) => status,
        Err(error) => {
            report::stderr(&format!("postrider try: {} {error}", program.to_string_lossy()));
            return Status::NoInput;
        }
    };
    let seen = server.take();
    let arrived = seen.iter().filter(|seen| seen.message.is_some()).count();
    (1..).zip(&seen).for_each(|(number, seen): (usize, &Seen)| report::stdout(&show::arrived(number, seen)));
    report::stdout(&format!("\nthe command ended with status {status}; messages that arrived: {arrived}\n"));
    if status == 0 && arrived > 0 { Status::Ok } else { Status::Findings }
}

#[cfg(test)]
mod tests;
