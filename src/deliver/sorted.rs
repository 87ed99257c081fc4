//! What rules do with a message on this machine: one recipient in one lane of a rule.
//!
//! Maildir and program; what was dropped or refused is finished here too, so that it is in the history as everything else.

use super::as_user::client::Keeper;
use super::maildir::{self, Fault, Mail};
use super::outcome::{Attempt, Outcome, Verdict};
use super::pipe::{self, Letter, RunsAs};
use super::trouble::{self, Trouble};
use crate::config::{Config, ConfigError};
use crate::message::Message;
use crate::queue::{Queued, QueuedRecipient};
use crate::report::printable;
use crate::rules::{LANE, NOBODY, Order, path};
use crate::smtp::reply::Reply;
use crate::sys::clock;
use std::net::IpAddr;

/// The place where rules are carried out.
#[derive(Clone, Copy, Debug)]
pub struct Here<'h> {
    /// The host's name.
    pub host: &'h str,
    /// `queue.min_free`: so many octets stay free.
    pub floor: u64,
    /// Who runs programs as other users.
    pub keeper: Option<&'h Keeper>,
}

/// Delivers to one recipient as a rule orders.
#[must_use]
pub fn attempt(order: Order<'_>, here: Here<'_>, queued: &Queued, to: &QueuedRecipient, message: &Message) -> Attempt {
    let begun = clock::instant();
    let (server, done) = carry_out(order, here, queued, to, message);
    let verdict = match done {
        Ok(text) => Verdict::Sent(Reply { code: 250, enhanced: Some((2, 0, 0)), lines: vec![format!("2.0.0 {text}")] }),
        Err(trouble) => Verdict::Failed(trouble),
    };
    Attempt {
        outcomes: vec![Outcome { recipient: to.address.clone(), verdict }],
        server,
        tls: "none",
        login: None,
        size: message.wire_size(),
        elapsed: clock::instant().saturating_duration_since(begun),
        staged: 0,
    }
}

/// In whose words it is told, and what came of it.
fn carry_out(
    order: Order<'_>,
    here: Here<'_>,
    queued: &Queued,
    to: &QueuedRecipient,
    message: &Message,
) -> (String, Result<String, Trouble>) {
    let rule = name(&queued.lane);
    match order {
        Order::Maildir(order) => {
            let place = path::expand(&order.template, &to.address);
            let shown = printable(&place.path().display().to_string());
            let mail = Mail { from: &queued.from, message, host: here.host, floor: here.floor };
            let done = match maildir::deliver_at(&place, order.existing, &mail) {
                Ok(_) => Ok(format!("in {shown}")),
                Err(Fault::Io(error)) => Err(trouble::judge_local(error.to_string(), None)),
                // It was there when the message came.
                Err(Fault::Absent) => {
                    let status = ((5, 1, 1), NOBODY.to_owned());
                    Err(trouble::judge_local("it is not there".into(), Some(status)))
                }
            };
            (format!("rule {rule}, maildir {shown}"), done)
        }
        Order::Pipe(order) => {
            let number = queued.id.to_string();
            let client = client(queued);
            let letter = Letter { from: &queued.from, to: &to.address, queued: number, rule, client, message };
            let shown = order.argv.first().map_or("", String::as_str);
            let done = pipe::deliver(order, &letter, here.keeper).map(|last| match last.as_str() {
                "" => format!("{shown} took it"),
                last => format!("{shown} took it: {last}"),
            });
            (format!("rule {rule}, {shown}"), done)
        }
        Order::Drop => (format!("rule {rule}"), Ok("dropped".into())),
        Order::Refuse(text) => {
            let enhanced = if rule == crate::rules::OTHERWISE { (5, 1, 1) } else { (5, 7, 1) };
            (format!("rule {rule}"), Err(trouble::judge_local("refused".into(), Some((enhanced, text.to_owned())))))
        }
    }
}

/// The rule's name in the name of its lane.
fn name(lane: &str) -> &str {
    let name = lane.strip_prefix(LANE).unwrap_or(lane);
    name.rsplit_once(' ').map_or(name, |(name, _)| name)
}

/// The client that brought a message, as the listener has noted it. What a program of this machine's users says of itself
/// counts for nothing.
fn client(queued: &Queued) -> Option<IpAddr> {
    let own = rustix::process::geteuid().as_raw() == queued.uid;
    queued.tag.as_deref().filter(|_| own)?.strip_prefix("smtp:")?.parse().ok()
}

/// Programs that could not be run by a daemon with that id, and a keeper or none: one line each.
#[must_use]
pub fn faults(config: &Config, own: u32, keeper: bool) -> Vec<ConfigError> {
    let rules = config.rules.list.iter();
    let fault = |rule: &crate::rules::Rule| {
        let user = rule.actions.pipe.as_ref()?.user.as_deref();
        pipe::user_of(user, own, keeper)
            .err()
            .map(|what| ConfigError::at(&rule.place, format!("rule {}: user: {what}", rule.name)))
    };
    rules.filter_map(fault).collect()
}

/// Whether a rule has a program that runs as another user than this one.
#[must_use]
pub fn has_others(config: &Config, own: u32) -> bool {
    let users = config.rules.list.iter().filter_map(|rule| rule.actions.pipe.as_ref()?.user.as_deref());
    users.into_iter().any(|user| pipe::user_of(Some(user), own, true) == Ok(RunsAs::Another))
}
