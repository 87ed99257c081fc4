//! The dialogue with a server, line by line: on stderr for `-v`, in a sender's `log_file` for `debug`, in the log where
//! it has no file. A sender's `log_file` also gets one line a message.
//!
//! What comes here is redacted already (`smtp::dialogue`); a file that cannot be written is let go.

use super::printable;
use crate::config::{Sender, Via};
use crate::deliver::{Attempt, Verdict};
use crate::smtp::dialogue::{Event, Transcript};
use crate::sys::{clock, files};
use std::fs::File;
use std::io::Write;

/// Where the dialogue goes.
#[derive(Debug)]
pub struct Transcripts {
    stderr: bool,
    file: Option<File>,
    debug: bool,
}

impl Transcripts {
    /// The sinks of an account and a command line.
    #[must_use]
    pub fn open(via: Via<'_>, verbose: bool) -> Self {
        let sender: Option<&Sender> = match via {
            Via::Sender(sender) | Via::Default(sender) => Some(sender),
            Via::Account(_) => None,
        };
        let file = sender.and_then(|sender| sender.log_file.as_deref()).map(files::append);
        if let Some(Err(error)) = &file {
            tracing::warn!(sender = via.name(), "log_file cannot be written: {error}");
        }
        let file = file.and_then(Result::ok);
        Self { stderr: verbose, file, debug: sender.is_some_and(|sender| sender.debug) }
    }

    /// The line of a finished message in the sender's file.
    pub fn result(&mut self, attempt: &Attempt) {
        let Some(file) = &mut self.file else { return };
        for outcome in &attempt.outcomes {
            let what = match &outcome.verdict {
                Verdict::Sent(reply) => format!("sent: {reply}"),
                Verdict::Failed(trouble) => format!("not sent: {}", trouble.line(&attempt.server, None)),
            };
            let line = printable(&format!("to {} {what}", outcome.recipient));
            let _ = file.write_all(format!("{} {line}\n", stamp()).as_bytes());
        }
    }
}

impl Transcript for Transcripts {
    fn event(&mut self, event: &Event<'_>) {
        if !self.stderr && !self.debug {
            return;
        }
        let line = printable(&words(event));
        if self.stderr {
            super::stderr(&line);
        }
        if self.debug {
            match &mut self.file {
                Some(file) => {
                    let _ = file.write_all(format!("{} {line}\n", stamp()).as_bytes());
                }
                None => tracing::info!(dialogue = line, "debug"),
            }
        }
    }
}

fn words(event: &Event<'_>) -> String {
    match event {
        Event::Connected { server, address } => format!("-- connected to {server} ({address})"),
        Event::Tls { name, certificate } => format!("-- TLS with {name}: {certificate}"),
        Event::Client(line) => format!("-> {line}"),
        Event::Server(line) => format!("<- {line}"),
        Event::Message(octets) => format!("-> (message, {octets} octets)"),
        Event::Note(text) => format!("-- {text}"),
    }
}

fn stamp() -> String {
    clock::now().format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
