//! Mail for this machine: what becomes of a message that a listener of `purpose = "incoming"` took in.
//!
//! The rules sort it before the client hears 250, and what they make of it is in the queue by then, in one commit: what
//! nobody takes is refused while the client is there, and nothing that was taken is lost. As long as there is no rule at
//! all, it is on hold in a lane of its own and says so, until there is one (`held`).

use super::held;
use super::policy::Refusal;
use crate::daemon::brake::Who;
use crate::daemon::{Daemon, parcels};
use crate::deliver::maildir::MAILBOXES;
use crate::envelope::Envelope;
use crate::exit::Status;
use crate::message::Message;
use crate::queue::lane::{INCOMING, NO_RULE};
use crate::queue::{Accepted, NewMessage};
use crate::rules::sort::{Mail, Part, Unsortable, Unsorted, sort};
use crate::rules::{End, Facts, Fate, NOBODY, OTHERWISE, decide};
use std::net::IpAddr;

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
    /// Whose it is for the brake: a client on this machine. What strangers send is not this machine's mail to count.
    pub who: Option<Who>,
    /// For the log.
    pub tag: String,
}

/// Whether the rules refuse a recipient, as far as that can be told before the message is there.
///
/// # Errors
/// 550 5.7.1 with the text of a rule; 550 5.1.1 where none can take it.
pub fn recipient(daemon: &Daemon, facts: &Facts<'_>) -> Result<(), Refusal> {
    let config = daemon.live.get();
    if config.rules.is_empty() {
        return Ok(());
    }
    let decision = decide(&config.rules, facts, &mut |_, _| {});
    match decision.fate {
        Fate::Nobody => Err(Refusal::new(550, (5, 1, 1), NOBODY)),
        Fate::Refused(rule) if decision.deliveries.is_empty() => Err(match &rule.actions.end {
            End::Refuse(text) if rule.name != OTHERWISE => Refusal::new(550, (5, 7, 1), text),
            _ => Refusal::new(550, (5, 1, 1), NOBODY),
        }),
        _ => Ok(()),
    }
}

/// Sorts the message and keeps it: when this returns, it is on disk.
///
/// # Errors
/// No rule takes it, or it could not be kept.
pub fn take(daemon: &Daemon, incoming: Incoming) -> Result<Accepted, Refusal> {
    let config = daemon.live.get();
    let Incoming { id, envelope, message, listener, client, who, tag } = incoming;
    let (held, tag, parts) = match config.rules.is_empty() {
        true => {
            let part =
                Part { lane: INCOMING.into(), envelope: envelope.clone(), message: message.clone(), forward: false };
            (Some(NO_RULE), held::noted(&tag, &listener), vec![part])
        }
        false => {
            let mail = Mail {
                envelope: &envelope,
                message: &message,
                listener: Some(&listener),
                client,
                mailboxes: MAILBOXES,
            };
            (None, tag, sort(&config, &mail).map_err(|why| refusal(&why))?)
        }
    };
    let lanes: Vec<&str> = parts.iter().map(|part| part.lane.as_str()).collect();
    let lanes = lanes.join(", ");
    let leaves = who.as_ref().filter(|_| parts.iter().any(|part| part.forward));
    let new = new_messages(daemon.uid, id, &tag, parts, held)?;
    let kept = parcels::keep(daemon, &config, leaves, new);
    let (accepted, braked) = kept.map_err(|error| Refusal::of(parcels::not_kept(error)))?;
    tracing::info!(
        queued = %accepted.id,
        envelope_from = %envelope.from,
        recipients = envelope.recipients().len(),
        listener,
        client = client.map_or_else(|| "local".into(), |client| client.to_string()),
        size = message.wire_size(),
        hold = braked.as_deref().or(held).unwrap_or_default(),
        lanes,
        "came in"
    );
    if held.is_some() && !daemon.live.get().rules.is_empty() {
        // The first rule appeared meanwhile, and who sorted what was held may not have seen this one.
        daemon.sorting.ask();
    }
    Ok(accepted)
}

/// What goes into the queue.
fn new_messages(
    uid: u32,
    id: String,
    tag: &str,
    parts: Vec<Part>,
    held: Option<&str>,
) -> Result<Vec<NewMessage>, Refusal> {
    let (tag, now) = (Some(tag.to_owned()), crate::sys::clock::millis());
    let new = parcels::new_messages(uid, id, tag, parts, now);
    let mut new = new.map_err(|what| Refusal::of((Status::Os, what)))?;
    new.iter_mut().for_each(|one| one.hold = held.map(str::to_owned));
    Ok(new)
}

/// Why a message is not taken, in SMTP's words.
fn refusal(why: &Unsorted) -> Refusal {
    match why {
        Unsorted::Nobody => Refusal::new(550, (5, 1, 1), NOBODY),
        Unsorted::Refused(text) => Refusal::new(550, (5, 7, 1), text),
        Unsorted::Unsortable(Unsortable::Loop(to)) => {
            Refusal::new(554, (5, 4, 6), format!("The message was forwarded for {to} before"))
        }
        Unsorted::Unsortable(Unsortable::TooMany) => {
            Refusal::new(451, (4, 3, 5), "More rules take the message than may")
        }
    }
}
