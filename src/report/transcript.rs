//! The dialogue with a server, line by line: on stderr for `-v`, in a sender's `log_file` for `debug`, in the log where
//! it has no file. A sender's `log_file` also gets one line a message.
//!
//! What comes here is redacted already (`smtp::dialogue`); a file that cannot be written is let go.

use super::{files, printable};
use crate::config::Via;
use crate::deliver::{Attempt, Verdict};
use crate::smtp::dialogue::{Event, Transcript};
use crate::sys::clock;
use std::path::PathBuf;

/// Where the dialogue goes.
#[derive(Debug)]
pub struct Transcripts {
    stderr: bool,
    file: Option<PathBuf>,
    sender: String,
    debug: bool,
}

impl Transcripts {
    /// The sinks of an account and a command line.
    #[must_use]
    pub fn open(via: Via<'_>, verbose: bool) -> Self {
        let (Via::Sender(sender) | Via::Default(sender)) = via else {
            return Self { stderr: verbose, file: None, sender: String::new(), debug: false };
        };
        Self { stderr: verbose, file: sender.log_file.clone(), sender: via.name(), debug: sender.debug }
    }

    /// The line of a finished message in the sender's file.
    pub fn result(&mut self, attempt: &Attempt) {
        let Some(file) = &self.file else { return };
        for outcome in &attempt.outcomes {
            let what = match &outcome.verdict {
                Verdict::Sent(reply) => format!("sent: {reply}"),
                Verdict::Failed(trouble) => format!("not sent: {}", trouble.line(&attempt.server, None)),
            };
            let line = printable(&format!("to {} {what}", outcome.recipient));
            files::line(file, &self.sender, format!("{} {line}\n", stamp()));
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
            match &self.file {
                Some(file) => files::line(file, &self.sender, format!("{} {line}\n", stamp())),
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
