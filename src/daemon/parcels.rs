//! The messages of the queue that one submission came to: what rules made of it, kept together under the brake, and what is
//! said where the queue cannot keep them.

use super::Daemon;
use super::brake::{About, Who};
use crate::config::Config;
use crate::envelope::Envelope;
use crate::exit::Status;
use crate::queue::{Accepted, Millis, NewMessage, StoreError};
use crate::rules::sort::Part;
use crate::sys::random;

/// What rules made of a message, for the queue; `id` is the submission's.
///
/// # Errors
/// There is no random number.
pub(super) fn new_messages(
    uid: u32,
    id: String,
    tag: Option<String>,
    parts: Vec<Part>,
    now: Millis,
) -> Result<Vec<NewMessage>, String> {
    let mut first = Some(id);
    let mut all = Vec::new();
    for Part { lane, envelope, message, .. } in parts {
        let submission = match first.take() {
            Some(id) => id,
            None => random::token().map_err(|error| format!("no random number: {error}"))?,
        };
        let from = crate::message::recipients::from(&message.header, "localhost").ok();
        let from = from.and_then(|from| from.into_iter().next());
        let header_from = from.map_or_else(String::new, |from| from.address.to_string());
        let (tag, hold) = (tag.clone(), None);
        let (report, bulk) = (false, false);
        let due = now;
        all.push(NewMessage {
            submission,
            uid,
            lane,
            header_from,
            envelope,
            tag,
            message,
            now,
            due,
            hold,
            report,
            bulk,
            counted: None,
            in_doubt: Vec::new(),
        });
    }
    Ok(all)
}

/// A message of the queue with at most so many recipients: it is in memory as a whole where it is delivered.
const TOGETHER: usize = 5000;

/// A message as it is kept: where it has very many recipients, as several that have some of them each.
///
/// # Errors
/// There is no random number.
pub(super) fn split(new: NewMessage) -> Result<Vec<NewMessage>, String> {
    if new.envelope.recipients().len() <= TOGETHER {
        return Ok(vec![new]);
    }
    let mut first = Some(new.submission);
    let mut all = Vec::new();
    for some in new.envelope.recipients().chunks(TOGETHER) {
        let submission = match first.take() {
            Some(id) => id,
            None => random::token().map_err(|error| format!("no random number: {error}"))?,
        };
        let envelope = Envelope::new(new.envelope.from.clone(), some.to_vec(), new.envelope.dsn.clone());
        all.extend(envelope.map(|envelope| NewMessage {
            submission,
            uid: new.uid,
            lane: new.lane.clone(),
            header_from: new.header_from.clone(),
            envelope,
            tag: new.tag.clone(),
            message: new.message.clone(),
            now: new.now,
            due: new.due,
            hold: new.hold.clone(),
            report: new.report,
            bulk: new.bulk,
            counted: None,
            in_doubt: Vec::new(),
        }));
    }
    Ok(all)
}

/// Keeps what a submission came to in one commit; with the reason where the brake holds it. `leaves`: whose, where some of it
/// leaves this machine, so that it counts. What is over the number is held whole.
///
/// # Errors
/// Nothing was kept, and nothing counted.
pub(super) fn keep(
    daemon: &Daemon,
    config: &Config,
    leaves: Option<&Who>,
    mut new: Vec<NewMessage>,
) -> Result<(Accepted, Option<String>), StoreError> {
    let rules = config.brake.as_ref().filter(|_| leaves.is_some());
    let (Some(rules), Some(who), Some(first)) = (rules, leaves, new.first_mut()) else {
        return daemon.store.accept_all(new).map(|accepted| (accepted, None));
    };
    let said = daemon.brake.submit(Some(rules), who, first.now);
    first.counted.clone_from(&said.counted);
    let (sender, from) = (first.lane.clone(), first.header_from.clone());
    if said.hold.is_some() {
        new.iter_mut().for_each(|one| one.hold.clone_from(&said.hold));
    }
    let accepted = daemon.store.accept_all(new);
    if !matches!(accepted, Ok(Accepted { again: false, .. })) {
        daemon.brake.take_back(&said);
        return accepted.map(|accepted| (accepted, None));
    }
    let accepted = accepted?;
    let id = accepted.id.to_string();
    daemon.brake.kept(Some(rules), &said, who, About { id: &id, sender: &sender, from: &from });
    Ok((accepted, said.hold))
}

/// A message that the queue could not keep.
pub(super) fn not_kept(error: StoreError) -> (Status, String) {
    let status = if matches!(error, StoreError::Io(_)) { Status::Io } else { Status::Unavailable };
    (status, format!("the queue cannot keep the message: {error}; nothing was kept"))
}
