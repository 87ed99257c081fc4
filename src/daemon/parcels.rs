//! What rules made of a message, as messages of the queue, and what is said where it cannot keep them.

use crate::exit::Status;
use crate::queue::{Millis, NewMessage, StoreError};
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
    for Part { lane, envelope, message } in parts {
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
        });
    }
    Ok(all)
}

/// A message that the queue could not keep.
pub(super) fn not_kept(error: StoreError) -> (Status, String) {
    let status = if matches!(error, StoreError::Io(_)) { Status::Io } else { Status::Unavailable };
    (status, format!("the queue cannot keep the message: {error}; nothing was kept"))
}
