//! The small program's story: a message for a daemon that is there is handed over; anything else is for `postrider`, which
//! this process becomes.
//!
//! It must not name what the small program is to be free of: TLS, the queue's store, the configuration's files.

use super::invocation::{ErrorMode, Invocation, Mode};
use super::{refuse, sendmail};
use crate::commands::handover::Way;
use crate::config::LogConfig;
use crate::exit::Status;
use crate::message::Message;
use crate::message::read::{self, ReadError, ReadRules};
use crate::report::{self, log};
use crate::sys::exec;
use crate::sys::stdin::Stdin;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

const PROGRAM: &str = "sendmail";

/// Runs the small program with its arguments (the first is the name that it was called by).
#[must_use]
pub fn run(arguments: Vec<OsString>) -> Status {
    let status = called(arguments);
    report::finish();
    status
}

fn called(arguments: Vec<OsString>) -> Status {
    let mut arguments = arguments.into_iter();
    let called = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let name = match Path::new(&called).file_name() {
        Some(name) if name == "mailq" || name == "newaliases" || name == "msmtp" => name.to_owned(),
        _ => PROGRAM.into(),
    };
    let invocation = match sendmail::parse(&arguments) {
        _ if name != PROGRAM => return become_postrider(&name, &arguments, None),
        Ok(invocation) => invocation,
        Err(usage) => return refuse(PROGRAM, &usage),
    };
    let mut way = Way::of_sendmail();
    if invocation.mode != Mode::Deliver || invocation.json || !way.is_open() {
        return become_postrider(&name, &arguments, None);
    }
    submit(&invocation, &mut way).unwrap_or_else(|message| match spooled(&message) {
        Ok(input) => become_postrider(&name, &arguments, Some(input)),
        Err(error) => failed(&invocation, &ReadError::Spool(error)),
    })
}

/// Reads the message and hands it over; the message comes back where the daemon did not take it.
fn submit(invocation: &Invocation, way: &mut Way) -> Result<Status, Message> {
    let options = &invocation.options;
    let rules = ReadRules { dot_ends: !options.ignore_dots };
    let message = match read::read(&mut Stdin, rules) {
        Ok(message) => message,
        Err(error) => return Ok(failed(invocation, &error)),
    };
    let Some(handed) = way.hand_over(PROGRAM, options, &message) else { return Err(message) };
    tell(invocation, handed.line);
    Ok(handed.status)
}

fn failed(invocation: &Invocation, error: &ReadError) -> Status {
    let (what, status) = (error.to_string(), error.status());
    let _ = log::open(&LogConfig::default(), PROGRAM);
    log::refused(&what, status, invocation.options.log_tag.as_deref(), rustix::process::getuid().as_raw());
    tell(invocation, Some(what));
    status
}

fn tell(invocation: &Invocation, line: Option<String>) {
    if let Some(line) = line.filter(|_| invocation.options.errors != ErrorMode::Quiet) {
        report::stderr(&format!("{PROGRAM}: {line}"));
    }
}

/// The message as a file to be read again. A line with a lone dot is in it only where the arguments say that none ends it.
fn spooled(message: &Message) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut message.wire(), &mut file)?;
    file.rewind()?;
    Ok(file)
}

fn become_postrider(name: &OsStr, arguments: &[OsString], input: Option<File>) -> Status {
    let what = exec::postrider(name, arguments, input);
    report::stderr(&format!("{PROGRAM}: {what}; install postrider beside this program"));
    Status::Os
}
