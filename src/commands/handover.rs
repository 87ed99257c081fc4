//! The thin path: a message goes to the daemon as it came, before any configuration is looked for.
//!
//! Which way is taken is decided here. It asks no user database and reads no file, except for `msmtp`, whose own files
//! come first.

use super::surroundings::Surroundings;
use crate::cli::invocation::{Invocation, Options};
use crate::daemon::client::{self, HandOver};
use crate::daemon::protocol::{Submit, Verdict};
use crate::exit::Status;
use crate::message::Message;
use crate::report;
use crate::sys::{env, random};
use std::path::PathBuf;

/// How a submission ended without this process having delivered anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The status for the caller.
    pub status: Status,
    /// What went wrong, one line.
    pub line: Option<String>,
}

/// The way to the daemon, for the messages of one process.
#[derive(Debug)]
pub struct Way {
    /// The socket; `None` where the caller asked for a configuration of his own.
    socket: Option<PathBuf>,
    /// Why the daemon did not take the last message, where one was to be expected.
    pub absent: Option<String>,
}

impl Way {
    /// The way that an invocation takes; `config` is what `postrider --config` named.
    #[must_use]
    pub fn of(invocation: &Invocation, config: Option<&PathBuf>) -> Self {
        let own = config.is_some() || has_accounts(invocation);
        if own { Self { socket: None, absent: None } } else { Self::of_sendmail() }
    }

    /// The way that `sendmail` takes where its arguments cannot name a configuration.
    #[must_use]
    pub fn of_sendmail() -> Self {
        let own = env::path("POSTRIDER_CONFIG").is_some();
        Self { socket: (!own).then(client::socket), absent: None }
    }

    /// Whether there is a socket to go to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.exists())
    }

    /// Hands a message over; `None` where it is to be delivered by this process.
    pub fn hand_over(&mut self, program: &str, options: &Options, message: &Message) -> Option<Handed> {
        let socket = self.socket.as_ref()?;
        // Without an id a resend could not be told from a second message.
        let id = match random::token() {
            Ok(id) => id,
            Err(error) => {
                self.absent = Some(format!("the daemon was not asked, for want of a random id: {error}"));
                return None;
            }
        };
        match client::submit(socket, submission(program, id, options), message) {
            HandOver::Verdict(verdict) => Some(handed(program, options, verdict)),
            HandOver::Failed(status, line) => Some(Handed { status, line: Some(line) }),
            HandOver::Absent(why) => {
                self.absent = why;
                None
            }
        }
    }

    /// Adds to a refusal why the daemon did not take the message either.
    #[must_use]
    pub fn explain(&self, line: String) -> String {
        match &self.absent {
            Some(why) => format!("{line} ({why}; nothing was kept)"),
            None => line,
        }
    }
}

/// Whether `msmtp` has an account of its own, or a file that it must complain of.
fn has_accounts(invocation: &Invocation) -> bool {
    invocation.msmtp.is_some() && !matches!(Surroundings::look().own_msmtp(invocation), Ok(None))
}

/// The request that hands a message over.
#[must_use]
pub fn submission(program: &str, id: String, options: &Options) -> Submit {
    Submit {
        id,
        program: program.to_owned(),
        from: options.from.clone(),
        full_name: options.full_name.clone(),
        read_envelope_from: options.read_envelope_from,
        extract: options.extract,
        account: options.account.clone(),
        delivery: options.delivery,
        errors: options.errors,
        dsn: options.dsn.clone(),
        tag: options.log_tag.clone(),
        recipients: options.recipients.clone(),
    }
}

/// The verdict for the caller. Success is silent, but for `-v`.
fn handed(program: &str, options: &Options, verdict: Verdict) -> Handed {
    let status = Status::of_code(verdict.status).unwrap_or(Status::Unavailable);
    if status != Status::Ok {
        return Handed { status, line: verdict.text };
    }
    if options.verbose {
        let number = verdict.queued.unwrap_or_default();
        let more = verdict.text.map_or_else(String::new, |text| format!(": {text}"));
        report::stderr(&format!("{program}: the daemon has it as {number}{more}"));
    }
    Handed { status, line: None }
}
