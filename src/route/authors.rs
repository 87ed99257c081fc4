//! Whose addresses a message presents as its author's, and what holds of them whatever account carries it: who may use an
//! address that a sender claims, and the limits of a sender that refuses beyond them. Pure.

use super::RouteError;
use super::choose;
use crate::config::{AtLimit, Config, Sender, Via};
use crate::message::address::Address;
use crate::message::header::Header;
use crate::message::recipients;
use crate::sys::users::Caller;

/// Whether the caller may send as all of these addresses.
///
/// # Errors
/// A sender that is not this user's claims one (77).
pub fn allowed<'a>(
    config: &Config,
    who: &Caller,
    addresses: impl Iterator<Item = &'a Address>,
) -> Result<(), RouteError> {
    let for_all = |sender: &Sender| sender.users.is_empty() && sender.groups.is_empty();
    let any = who.remote.as_ref().is_none_or(|remote| remote.senders.is_none());
    if !config.enabled || any && config.senders.iter().all(for_all) {
        return Ok(());
    }
    for address in addresses {
        if let Some((sender, _)) = choose::claimed(config, address) {
            choose::allowed(sender, who, address.as_str())?;
        }
    }
    Ok(())
}

/// The senders whose limits hold for a message although another account carries it: From has an address of theirs, and
/// they refuse what goes beyond.
#[must_use]
pub fn limiting<'c>(config: &'c Config, header: &Header, via: Via<'_>) -> Vec<&'c Sender> {
    let refuses = |sender: &Sender| sender.enabled && sender.limits.at_limit == AtLimit::Refuse;
    if !config.enabled || !config.senders.iter().any(refuses) {
        return Vec::new();
    }
    let mut found: Vec<&Sender> = Vec::new();
    for mailbox in recipients::from(header, "localhost").unwrap_or_default() {
        let Some((sender, _)) = choose::claimed(config, &mailbox.address).filter(|(sender, _)| refuses(sender)) else {
            continue;
        };
        let carries = matches!(via, Via::Sender(own) if own.name == sender.name);
        if !carries && found.iter().all(|other| other.name != sender.name) {
            found.push(sender);
        }
    }
    found
}
