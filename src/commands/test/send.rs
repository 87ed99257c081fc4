//! `test --send-to`: a real message over one sender, followed to the server's reply: through the daemon where it runs,
//! else by this process.

use crate::cli::invocation::{DeliveryMode, Options};
use crate::commands::handover;
use crate::commands::submit::Submitter;
use crate::commands::surroundings::Surroundings;
use crate::config::Config;
use crate::daemon::client::{self, HandOver};
use crate::daemon::protocol::{Reply, Request, Verdict};
use crate::exit::Status;
use crate::message::Message;
use crate::message::address::Address;
use crate::message::read::{self, ReadRules};
use crate::sys::{clock, random};

const PROGRAM: &str = "postrider test";
/// The most results that are looked through for the message's own.
const RESULTS: usize = 200;

/// A message to be sent for a test.
pub(super) struct Trial<'t> {
    /// Its configuration.
    pub config: &'t Config,
    /// Who sends.
    pub around: &'t Surroundings,
    /// The sender or account by name; none for the default relay.
    pub account: Option<String>,
    /// The address that it comes from.
    pub from: &'t Address,
    /// Where it goes.
    pub to: &'t Address,
    /// Whether the daemon may have it: not with a configuration of the caller's own.
    pub daemon: bool,
}

impl Trial<'_> {
    /// Sends it: the status, and what became of it in one line.
    pub(super) fn send(&self) -> (Status, String) {
        let text = format!(
            "From: {}\nTo: {}\nSubject: postrider test\nAuto-Submitted: auto-generated\n\n\
             This message shows that the sender {} works.\n",
            self.from,
            self.to,
            self.account.as_deref().unwrap_or("default relay")
        );
        let message = match read::read(&mut text.as_bytes(), ReadRules::default()) {
            Ok(message) => message,
            Err(error) => return (error.status(), error.to_string()),
        };
        let options = Options {
            from: Some(self.from.to_string()),
            account: self.account.clone(),
            ignore_dots: true,
            delivery: DeliveryMode::Wait,
            recipients: vec![self.to.to_string()],
            ..Options::default()
        };
        if let Some(told) = self.by_daemon(&options, &message) {
            return told;
        }
        let submitter = Submitter { program: PROGRAM, around: self.around, options: &options };
        let done = submitter.submit(self.config, message);
        let reply = done.reply.map(|reply| reply.to_string()).unwrap_or_default();
        (done.status, done.line.unwrap_or_else(|| format!("sent to {}: {reply}", self.to)))
    }

    /// `None` where no daemon takes it.
    fn by_daemon(&self, options: &Options, message: &Message) -> Option<(Status, String)> {
        if !self.daemon {
            return None;
        }
        let (socket, since) = (client::socket(), clock::millis());
        let submit = handover::submission("sendmail", random::token().ok()?, options);
        match client::submit(&socket, submit, message) {
            HandOver::Absent(_) => None,
            HandOver::Failed(status, line) => Some((status, line)),
            HandOver::Verdict(verdict) => Some(self.followed(verdict, since)),
        }
    }

    /// What the queue says of it in the end.
    fn followed(&self, verdict: Verdict, since: i64) -> (Status, String) {
        let status = Status::of_code(verdict.status).unwrap_or(Status::Unavailable);
        let id = verdict.queued.unwrap_or_default();
        if let Some(text) = verdict.text {
            let more = if id.is_empty() { String::new() } else { format!(" (postrider queue show {id})") };
            return (status, format!("{text}{more}"));
        }
        let history = client::ask(&client::socket(), &Request::History { since: since - 1000, limit: RESULTS });
        let said = match history {
            Ok(Reply::History(all)) => all.into_iter().find(|one| one.id.to_string() == id).map(|one| one.said),
            _ => None,
        };
        (status, format!("sent to {} as {id}: {}", self.to, said.unwrap_or_else(|| "the server took it".into())))
    }
}
