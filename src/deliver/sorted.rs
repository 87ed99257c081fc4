//! What rules do with a message on this machine: one recipient in one lane of a rule.
//!
//! Maildir and program; what was dropped or refused is finished here too, so that it is in the history as everything else.

use super::maildir;
use super::outcome::{Attempt, Outcome, Verdict};
use super::pipe::{self, Letter};
use super::trouble::{self, Trouble};
use crate::config::{Config, ConfigError};
use crate::message::Message;
use crate::queue::{Queued, QueuedRecipient};
use crate::report::printable;
use crate::rules::{LANE, Order, path};
use crate::smtp::reply::Reply;
use crate::sys::clock;
use std::net::IpAddr;

/// Delivers to one recipient as a rule orders.
#[must_use]
pub fn attempt(order: Order<'_>, host: &str, queued: &Queued, to: &QueuedRecipient, message: &Message) -> Attempt {
    let begun = clock::instant();
    let (server, done) = carry_out(order, host, queued, to, message);
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
    host: &str,
    queued: &Queued,
    to: &QueuedRecipient,
    message: &Message,
) -> (String, Result<String, Trouble>) {
    let rule = name(&queued.lane);
    match order {
        Order::Maildir(template) => {
            let place = path::expand(template, &to.address);
            let shown = printable(&place.path().display().to_string());
            let mut message = message.clone();
            message.header.prepend("Delivered-To", to.address.as_str());
            let done = maildir::deliver_below(&place.base, &place.below, &queued.from, &message, host);
            let done = done.map(|_| format!("in {shown}"));
            (
                format!("rule {rule}, maildir {shown}"),
                done.map_err(|error| trouble::judge_local(error.to_string(), None)),
            )
        }
        Order::Pipe(order) => {
            let number = queued.id.to_string();
            let client = client(queued);
            let letter = Letter { from: &queued.from, to: &to.address, queued: number, rule, client, message };
            let shown = order.argv.first().map_or("", String::as_str);
            let done = pipe::deliver(order, &letter).map(|last| match last.as_str() {
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

/// Programs that could not be run with the rights of the daemon: one line each.
#[must_use]
pub fn faults(config: &Config, own: u32) -> Vec<ConfigError> {
    let rules = config.rules.list.iter();
    let fault = |rule: &crate::rules::Rule| {
        let user = rule.actions.pipe.as_ref()?.user.as_deref();
        pipe::rights(user, own)
            .err()
            .map(|what| ConfigError::at(&rule.place, format!("rule {}: user: {what}", rule.name)))
    };
    rules.filter_map(fault).collect()
}
