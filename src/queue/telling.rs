//! Telling senders what failed: a report is as durable as the message that it is about.
//!
//! Where a report cannot be kept (there is no space, or it cannot be composed), the failure itself is written down with the
//! recipient, which stays in the queue and is not tried again. The report is composed anew until it is kept, whatever
//! process does that. A warning of a delay that cannot be kept is due again with the next attempt.

use super::Store;
use super::bounce::{Line, Matter};
use super::delivery::{self, Host};
use super::types::{Failure, Fate, MessageId, Millis, NewMessage, Queued, QueuedRecipient, Recorded, StoreError};
use crate::config::Config;
use crate::message::Message;
use crate::sys::clock;

/// When a report that could not be kept is composed again.
const AGAIN: Millis = 60_000;

/// What somebody is to be told.
#[derive(Debug)]
pub struct Telling {
    /// The report; none where it could not be composed.
    pub mail: Option<NewMessage>,
    /// The failures that it is about; none where it is a warning.
    pub failed: Vec<(u32, Failure)>,
}

/// Writes results down with the report about them; without it where `later` says so: then the failures stay.
///
/// # Errors
/// The store's; nothing was recorded.
pub(super) fn record(
    store: &dyn Store,
    id: MessageId,
    results: &[Recorded],
    telling: Option<&Telling>,
    later: bool,
) -> Result<(), StoreError> {
    let now = clock::millis();
    let Some(Telling { mail, failed }) = telling else { return store.record(id, now, results, None) };
    match mail {
        // The report is given away, so that another try needs another one.
        Some(mail) if !later => store.record(id, now, results, Some(again(mail))),
        _ => {
            let is_owed = |one: &Recorded| failed.iter().any(|(number, _)| *number == one.number);
            let results: Vec<Recorded> = results.iter().filter(|one| !is_owed(one)).cloned().collect();
            store.owe(id, now, &results, now.saturating_add(AGAIN), failed)
        }
    }
}

/// The recipients that failed before, of which somebody is to be told now.
pub(super) fn owed(queued: &Queued, now: Millis) -> Vec<(&QueuedRecipient, &Failure)> {
    let due = queued.recipients.iter().filter(|one| one.due <= now);
    due.filter_map(|one| Some((one, one.failed.as_ref()?))).collect()
}

/// Results that are final, and the report about them where somebody is told.
pub(super) type Composed = (Vec<Recorded>, Option<Telling>);

/// The report about failures of before, and the results that it makes final; `None` where the message is gone.
///
/// # Errors
/// The store's: the text cannot be read for now.
pub(super) fn compose(
    store: &dyn Store,
    config: &Config,
    host: &Host,
    queued: &Queued,
    owed: &[(&QueuedRecipient, &Failure)],
    usable: &dyn Fn(&str) -> bool,
) -> Result<Option<Composed>, StoreError> {
    let text = match store.text(queued.id) {
        Err(StoreError::Gone) => return Ok(None),
        // That it failed can be told without it.
        Err(StoreError::Text(_)) => Message::default(),
        text => text?,
    };
    let lines: Vec<Line> = owed.iter().map(|(recipient, failure)| line(recipient, failure)).collect();
    let results = owed.iter().map(|(recipient, failure)| Recorded {
        number: recipient.number,
        result: Fate::Failed,
        said: failure.said.clone(),
        via: queued.lane.clone(),
        unknown: false,
        reason: failure.reason.clone(),
    });
    let mail = delivery::report(config, host, queued, &text, Matter::Failed, &lines, usable);
    let failed = owed.iter().map(|(recipient, failure)| (recipient.number, (*failure).clone()));
    let telling = match mail {
        Ok(None) => None,
        mail => Some(Telling { mail: mail.ok().flatten(), failed: failed.collect() }),
    };
    Ok(Some((results.collect(), telling)))
}

/// The same without a worker, in one go: what cannot be kept now is composed at the next run.
///
/// # Errors
/// The store's; nothing was changed.
pub(super) fn tell(
    store: &dyn Store,
    config: &Config,
    host: &Host,
    queued: &Queued,
    owed: &[(&QueuedRecipient, &Failure)],
    usable: &dyn Fn(&str) -> bool,
) -> Result<(), StoreError> {
    match compose(store, config, host, queued, owed, usable)? {
        None => Ok(()),
        Some((results, telling)) => settled(store, queued.id, &results, telling.as_ref()),
    }
}

/// Writes results down with their report; where that cannot be kept, without it.
///
/// # Errors
/// The store's; nothing was recorded.
pub(super) fn settled(
    store: &dyn Store,
    id: MessageId,
    results: &[Recorded],
    telling: Option<&Telling>,
) -> Result<(), StoreError> {
    let recorded = match record(store, id, results, telling, false) {
        Err(error) if telling.is_some() && !matches!(error, StoreError::Gone) => {
            postponed(id, &error);
            record(store, id, results, telling, true)
        }
        recorded => recorded,
    };
    match recorded {
        Err(StoreError::Gone) => Ok(()),
        recorded => recorded,
    }
}

/// Logs that a report waits.
pub(super) fn postponed(id: MessageId, error: &StoreError) {
    tracing::error!(queued = %id, "its report cannot be kept: {error}; the message stays until it can");
}

/// A failure as it is kept.
pub(super) fn failure(line: &Line, reason: &str) -> Failure {
    Failure { status: line.status.clone(), said: line.said.clone(), server: line.server.clone(), reason: reason.into() }
}

fn line(recipient: &QueuedRecipient, failure: &Failure) -> Line {
    Line {
        address: recipient.address.clone(),
        original: recipient.dsn.orcpt.clone(),
        status: failure.status.clone(),
        said: failure.said.clone(),
        server: failure.server.clone(),
    }
}

/// The same report once more: its submission id makes it one message however often it is offered.
fn again(report: &NewMessage) -> NewMessage {
    NewMessage {
        submission: report.submission.clone(),
        lane: report.lane.clone(),
        header_from: report.header_from.clone(),
        envelope: report.envelope.clone(),
        tag: report.tag.clone(),
        message: report.message.clone(),
        hold: report.hold.clone(),
        counted: report.counted.clone(),
        in_doubt: Vec::new(),
        ..*report
    }
}
