//! What the sending limits leave for one message, as a value that fits a reply: the same whether the daemon tells it or the
//! counters are read. Nothing is reserved.

use super::overview::{LimitLine, limit_line};
use crate::config::{Config, Via};
use crate::limits::{self, Ask, Class, LimitError};
use crate::queue::{Millis, lane};
use crate::route::choose;
use crate::sys::users::Caller;
use serde::{Deserialize, Serialize};

/// Room for a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Where its sender is defined: who asks sees by it that both mean the same one.
    pub defined: String,
    /// The use of the sender's limits, its own first.
    pub limits: Vec<LimitLine>,
    /// Which limit is reached for the message, and until when, where one is.
    pub reached: Option<String>,
    /// The sender that would take it over then.
    pub over: Option<String>,
}

/// Room for a message of that many recipients over an account.
///
/// # Errors
/// The counters cannot be used.
pub fn room(config: &Config, via: Via<'_>, recipients: usize, bulk: bool, now: Millis) -> Result<Room, LimitError> {
    let class = if bulk { Class::Bulk } else { Class::Single };
    let usage = limits::usage(config, &via.name(), now)?;
    // Who looks makes no file.
    let counted = !usage.is_empty() && limits::file(config).exists();
    let ask = Ask { recipients, class, whole: true, besides: &[] };
    let full = if counted { limits::waiting(config, via, ask)? } else { None };
    let over = if full.is_some() { limits::overflow(config, via, class)? } else { None };
    Ok(Room {
        defined: via.place().to_string(),
        limits: usage.iter().map(limit_line).collect(),
        reached: full.map(|full| full.what),
        over: over.map(|other| other.name.clone()),
    })
}

/// The same for somebody who asks: of senders that he may use; `None` for who may ask of all.
///
/// # Errors
/// There is no such sender, it is not his, or the counters cannot be used. One line.
pub fn told(
    config: &Config,
    who: Option<&Caller>,
    name: &str,
    recipients: usize,
    bulk: bool,
    now: Millis,
) -> Result<Room, String> {
    let shown = name.escape_debug();
    let via = lane::find(config, name).ok_or_else(|| format!("no sender is named \"{shown}\""))?;
    if let (Via::Sender(sender), Some(who)) = (via, who) {
        choose::allowed(sender, who, "its limits").map_err(|error| error.what)?;
    }
    room(config, via, recipients, bulk, now).map_err(|error| error.to_string())
}
