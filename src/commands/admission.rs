//! May the message go now? What the sending limits say to a message that this process delivers itself.
//!
//! All of it goes, over its own sender or the one that it overflows to; or, where what must wait is kept in the caller's own
//! queue, a part of it; or nothing, and the caller is told until when.

use super::own_queue;
use crate::config::{Config, Direct};
use crate::deliver::{Attempt, Outcome, Verdict, trouble};
use crate::envelope::Envelope;
use crate::limits::{self, Ask, Class, Full, Lease, Leave, LimitError, scope};
use crate::message::address::Address;
use crate::route::{Plan, authors};
use std::time::Duration;

/// What may go.
#[derive(Debug)]
pub enum Admission {
    /// All of it, or the first of its recipients.
    Go(Lease),
    /// Nothing now.
    Full(Full),
}

/// Asks for leave, and gives the plan to another sender where its own has no room.
///
/// # Errors
/// The counters cannot be used.
pub fn ask<'c>(config: &'c Config, plan: &mut Plan<'c>) -> Result<Admission, LimitError> {
    let recipients = plan.envelope.recipients().len();
    let class = if plan.bulk.is_some() { Class::Bulk } else { Class::Single };
    let mut first = None;
    // What has been given to another sender already goes no further.
    for via in scope::chain(config, plan.via).into_iter().take(if plan.moved { 1 } else { usize::MAX }) {
        // What its user paused takes nothing over.
        if first.is_some() && own_queue::halted(config, &via.name()).is_some() {
            continue;
        }
        let besides = authors::limiting(config, &plan.message.header, via);
        match limits::reserve(config, via, Ask { recipients, class, whole: true, besides: &besides })? {
            Leave::Go(lease) => {
                if let Some(Full { what, .. }) = first {
                    tracing::info!(sender = plan.via.name(), via = via.name(), reason = what, "overflow");
                    (plan.via, plan.moved) = (via, true);
                }
                return Ok(Admission::Go(lease));
            }
            Leave::Full(full) => drop(first.get_or_insert(full)),
        }
    }
    // A caller that is told of a refusal must be able to send all of it again.
    if let Some(full) = first.filter(|_| !keeps(config, plan)) {
        return Ok(Admission::Full(full));
    }
    Ok(match limits::reserve(config, plan.via, Ask { recipients, class, whole: false, besides: &[] })? {
        Leave::Go(lease) => Admission::Go(lease),
        Leave::Full(full) => Admission::Full(full),
    })
}

/// Whether what has to wait is kept.
#[must_use]
pub fn keeps(config: &Config, plan: &Plan<'_>) -> bool {
    let refuses = limits::refuses(plan.via) || !authors::limiting(config, &plan.message.header, plan.via).is_empty();
    config.queue.direct == Direct::OnFailure && !refuses
}

/// The part of an envelope that may go, and the recipients that have to wait; `None` where none may go.
#[must_use]
pub fn parts(envelope: &Envelope, count: usize) -> (Option<Envelope>, Vec<Address>) {
    let (go, wait) = envelope.recipients().split_at(count.min(envelope.recipients().len()));
    (Envelope::new(envelope.from.clone(), go.to_vec(), envelope.dsn.clone()), wait.to_vec())
}

/// An attempt in which nothing was tried.
#[must_use]
pub fn untried(plan: &Plan<'_>) -> Attempt {
    Attempt {
        outcomes: Vec::new(),
        server: plan.via.relay().endpoint.to_string(),
        tls: "none",
        login: None,
        size: plan.message.wire_size(),
        elapsed: Duration::ZERO,
        staged: 0,
    }
}

/// Adds those that have to wait.
pub fn add_waiting(attempt: &mut Attempt, waiting: Vec<Address>, full: &Full) {
    let outcome = |recipient| Outcome { recipient, verdict: Verdict::Failed(trouble::at_limit(&full.what)) };
    attempt.outcomes.extend(waiting.into_iter().map(outcome));
}
