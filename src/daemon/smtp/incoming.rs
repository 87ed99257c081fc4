//! Mail for this machine: what becomes of a message that a listener of `purpose = "incoming"` took in.
//!
//! It is in the queue before the client hears 250, in the lane [`LANE`]. As long as no rule takes it, it is on hold there
//! and says so: seen with `mailq`, sent back when its time is over, never lost.

use super::super::Daemon;
use super::super::submit::not_kept;
use crate::envelope::Envelope;
use crate::exit::Status;
use crate::message::Message;
use crate::queue::{Accepted, NewMessage};
use std::net::IpAddr;

/// The lane of messages that came in.
pub const LANE: &str = "incoming";
/// Why such a message is on hold.
const NO_RULE: &str = "no rule takes it";

/// A message that came in, whole: its Received field is in it.
#[derive(Debug)]
pub struct Incoming {
    /// The submission's id, 32 hex digits.
    pub id: String,
    /// Who from and for whom.
    pub envelope: Envelope,
    /// The message.
    pub message: Message,
    /// The listener's address, as it is configured.
    pub listener: String,
    /// The client's address; `None` on a unix socket.
    pub client: Option<IpAddr>,
    /// For the log.
    pub tag: String,
}

/// Keeps the message: when this returns, it is on disk.
///
/// # Errors
/// It could not be kept; the status and one line.
pub fn take(daemon: &Daemon, incoming: Incoming) -> Result<Accepted, (Status, String)> {
    let Incoming { id, envelope, message, listener, client, tag } = incoming;
    let now = crate::sys::clock::millis();
    let from = crate::message::recipients::from(&message.header, "localhost").ok();
    let from = from.and_then(|from| from.into_iter().next()).map_or_else(String::new, |from| from.address.to_string());
    let (size, to) = (message.wire_size(), envelope.recipients().len());
    let sender = envelope.from.to_string();
    let new = NewMessage {
        submission: id,
        uid: daemon.uid,
        lane: LANE.into(),
        header_from: from,
        envelope,
        tag: Some(tag),
        message,
        now,
        due: now,
        hold: Some(NO_RULE.into()),
        report: false,
        bulk: false,
        counted: None,
    };
    let accepted = daemon.store.accept(new).map_err(not_kept)?;
    tracing::info!(
        queued = %accepted.id,
        envelope_from = sender,
        recipients = to,
        listener,
        client = client.map_or_else(|| "local".into(), |client| client.to_string()),
        size,
        hold = NO_RULE,
        "came in"
    );
    Ok(accepted)
}
