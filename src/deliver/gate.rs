//! The last gate before a server: with `[staging]` nothing passes for recipients that are not allowed, whichever way the
//! message came (a sender, the default relay, an msmtprc, `-a`, the daemon, a queue of before, a bounce, an archive copy).
//!
//! It cannot be gone around: an attempt takes a `Context`, a context a `Gate`, a gate comes from the configuration alone,
//! and the courier has no other way to send.

use super::maildir::{self, Mail};
use super::mbox;
use super::outcome::{Attempt, Outcome, Verdict};
use super::trouble::{self, Trouble};
use crate::config::{Config, Staging, StagingTarget};
use crate::envelope::{Dsn, Envelope, Notify};
use crate::message::Message;
use crate::message::address::Address;
use crate::message::rewrite;
use crate::smtp::reply::Reply;
use crate::sys::clock;
use std::collections::HashMap;
use std::io;

/// The field that says what would have been.
pub const FIELD: &str = "X-Postrider-Staging";
/// The most recipients that it names.
const NAMED: usize = 100;

/// Lets messages through, or holds them back.
#[derive(Clone, Debug)]
pub struct Gate<'c> {
    staging: Option<&'c Staging>,
    /// Which sender the message takes, in words.
    sender: String,
    /// `queue.min_free`: so many octets stay free where it is kept.
    floor: u64,
}

impl<'c> Gate<'c> {
    /// The gate of a configuration, for a message of a sender: its name, as `Via::name` has it.
    #[must_use]
    pub fn of(config: &'c Config, sender: String) -> Self {
        Self { staging: config.staging.as_ref(), sender, floor: config.queue.min_free }
    }

    /// One that lets everything through.
    #[cfg(test)]
    pub(crate) fn open() -> Self {
        Self { staging: None, sender: String::new(), floor: 0 }
    }

    /// What is held back of an envelope; `None` where nothing is.
    pub(super) fn staged<'e>(&self, envelope: &'e Envelope) -> Option<Staged<'c, 'e>> {
        let staging = self.staging?;
        let (through, held): (Vec<Address>, Vec<Address>) =
            envelope.recipients().iter().cloned().partition(|recipient| staging.allows(recipient));
        (!held.is_empty()).then(|| Staged {
            staging,
            sender: self.sender.clone(),
            floor: self.floor,
            envelope,
            through,
            held,
        })
    }
}

/// What staging does with a message to these recipients, for people; `None` where it lets all of them through.
#[must_use]
pub fn note<'r>(staging: Option<&Staging>, mut recipients: impl Iterator<Item = &'r Address>) -> Option<String> {
    let staging = staging?;
    recipients.any(|recipient| !staging.allows(recipient)).then(|| match &staging.to {
        StagingTarget::Redirect(address) => format!("staging: goes to {address} instead"),
        _ => format!("staging: is kept in {staging} and not sent"),
    })
}

/// An envelope of which something is held back.
pub(super) struct Staged<'c, 'e> {
    staging: &'c Staging,
    sender: String,
    floor: u64,
    envelope: &'e Envelope,
    through: Vec<Address>,
    held: Vec<Address>,
}

impl Staged<'_, '_> {
    /// Keeps or redirects what is held back, and sends to those who are allowed; an outcome for every recipient.
    pub(super) fn attempt(
        &self,
        host: &str,
        message: &Message,
        send: &mut dyn FnMut(&Envelope, &Message) -> Attempt,
    ) -> Attempt {
        let held = match &self.staging.to {
            StagingTarget::Redirect(to) => self.redirect(to, message, send),
            _ => self.capture(host, message),
        };
        let from = self.envelope.from.clone();
        let sent = Envelope::new(from, self.through.clone(), self.envelope.dsn.clone());
        match sent.map(|envelope| send(&envelope, message)) {
            Some(sent) => self.together(sent, held),
            None => held,
        }
    }

    /// Both in the order of the envelope.
    fn together(&self, sent: Attempt, held: Attempt) -> Attempt {
        let all = sent.outcomes.into_iter().chain(held.outcomes);
        let mut all: HashMap<String, Outcome> = all.map(|outcome| (outcome.recipient.canonical(), outcome)).collect();
        let outcomes = self.envelope.recipients().iter().filter_map(|recipient| all.remove(&recipient.canonical()));
        Attempt { outcomes: outcomes.collect(), elapsed: sent.elapsed + held.elapsed, staged: held.staged, ..sent }
    }

    /// The message with what would have been in its header.
    fn marked(&self, message: &Message) -> Message {
        let shown: Vec<String> = self.held.iter().take(NAMED).map(|address| format!("<{address}>")).collect();
        let more = self.held.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let by = match self.sender.as_str() {
            name if name == "default relay" || name.starts_with("msmtprc account ") => name.to_owned(),
            name => format!("sender {name}"),
        };
        let mut marked = message.clone();
        marked.header.remove(FIELD);
        let text = format!("would have gone to {}{more} by {by}", shown.join(", "));
        rewrite::set_text(&mut marked, FIELD, &text, true);
        marked
    }

    fn redirect(
        &self,
        to: &Address,
        message: &Message,
        send: &mut dyn FnMut(&Envelope, &Message) -> Attempt,
    ) -> Attempt {
        // No server is to write to the sender about it.
        let dsn = Dsn { notify: Some(Notify { never: true, ..Notify::default() }), ..Dsn::default() };
        let Some(envelope) = Envelope::new(self.envelope.from.clone(), vec![to.clone()], dsn) else {
            return self.all(Verdict::Failed(trouble::judge_capture(&io::Error::other("no address"))), message);
        };
        let attempt = send(&envelope, &self.marked(message));
        let verdict = match attempt.outcomes.first().map(|outcome| outcome.verdict.clone()) {
            Some(Verdict::Failed(trouble)) => {
                let what = format!("staging, redirected to {to}: {}", trouble.what);
                Verdict::Failed(Trouble { what, ..trouble })
            }
            Some(Verdict::Sent(reply)) => {
                let lines = std::iter::once(format!("staging: redirected to {to}:")).chain(reply.lines).collect();
                Verdict::Sent(Reply { lines, ..reply })
            }
            None => Verdict::Failed(trouble::judge_capture(&io::Error::other("no answer"))),
        };
        // The server took one message for one recipient, however many are meant.
        let staged = if matches!(verdict, Verdict::Sent(_)) { self.held.len() - 1 } else { 0 };
        Attempt { outcomes: self.outcomes(&verdict), staged, ..attempt }
    }

    fn capture(&self, host: &str, message: &Message) -> Attempt {
        let marked = self.marked(message);
        let mail = Mail { from: &self.envelope.from, message: &marked, host, floor: self.floor };
        let kept = match &self.staging.to {
            StagingTarget::Maildir(path) => maildir::deliver(path, &mail).map(drop),
            StagingTarget::Mbox(path) => mbox::append(path, &mail, clock::now()),
            StagingTarget::Redirect(_) => Err(io::Error::other("it is redirected")),
        };
        let verdict = match kept {
            Ok(()) => {
                let text = format!("2.0.0 staging: kept in {}, not sent", self.staging);
                Verdict::Sent(Reply { code: 250, enhanced: Some((2, 0, 0)), lines: vec![text] })
            }
            Err(error) => Verdict::Failed(trouble::judge_capture(&error)),
        };
        self.all(verdict, &marked)
    }

    fn outcomes(&self, verdict: &Verdict) -> Vec<Outcome> {
        self.held.iter().map(|to| Outcome { recipient: to.clone(), verdict: verdict.clone() }).collect()
    }

    /// An attempt that met no server.
    fn all(&self, verdict: Verdict, message: &Message) -> Attempt {
        Attempt {
            outcomes: self.outcomes(&verdict),
            server: format!("staging {}", self.staging),
            tls: "none",
            login: None,
            size: message.wire_size(),
            elapsed: std::time::Duration::ZERO,
            staged: if matches!(verdict, Verdict::Sent(_)) { self.held.len() } else { 0 },
        }
    }
}
