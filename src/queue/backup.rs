//! Backup: what waits for a sender whose server is down goes over another one that may send as the same address.
//!
//! A message goes one way further at most, and never where the server that is down may have taken it already (RFC 1047).
//! A move is wholly made or not at all.

use super::types::{Filter, MessageId, Millis, Pause, Queued, StoreError};
use super::{Store, gone};
use crate::config::{Config, Sender};
use crate::envelope::ReversePath;
use crate::message::address::Address;
use std::collections::BTreeMap;

/// Most messages moved at a time, as others wait for the dispatcher: those of a page that go the same way in one commit.
const MOVED: usize = 200;

/// Whether a lane has been down so long that its backup takes over.
#[must_use]
pub fn is_due(config: &Config, pause: &Pause, now: Millis) -> bool {
    due(config, pause).is_some_and(|due| due <= now)
}

/// When the backup of a lane that is down takes over; none where it has none.
#[must_use]
pub fn due(config: &Config, pause: &Pause) -> Option<Millis> {
    let sender = sender(config, &pause.lane).filter(|sender| !sender.backup.is_empty())?;
    let after = Millis::try_from(sender.backup_after.as_millis()).unwrap_or(Millis::MAX);
    Some(pause.down?.saturating_add(after))
}

/// Moves what waits in a lane to the first of its backups that is usable and may send it. Whether that is all there is,
/// and not only as much as is moved at a time.
///
/// # Errors
/// The store's; what was moved before stays moved.
pub fn divert(
    store: &dyn Store,
    config: &Config,
    pause: &Pause,
    now: Millis,
    usable: &dyn Fn(&str) -> bool,
) -> Result<bool, StoreError> {
    let Some(own) = sender(config, &pause.lane) else { return Ok(true) };
    let backups: Vec<&Sender> = backups(config, own).filter(|other| usable(&other.name)).collect();
    if backups.is_empty() {
        return Ok(true);
    }
    let minutes = pause.down.map_or(0, |since| now.saturating_sub(since) / 60_000);
    let why = format!("sender \"{}\" has been down for {minutes} minutes: {}", own.name, pause.reason);
    let mut filter = Filter { lane: Some(own.name.clone()), held: Some(false), ..Filter::default() };
    let mut moved = 0;
    loop {
        let page = store.list(&filter, gone::PAGE)?;
        let Some(last) = page.last() else { return Ok(true) };
        filter.after = Some(last.id);
        let mut ways: BTreeMap<&str, Vec<MessageId>> = BTreeMap::new();
        for queued in page.iter().filter(|queued| may_move(queued)) {
            let Some(other) = backups.iter().find(|other| may_send(other, queued)) else { continue };
            if moved == MOVED {
                return give(store, own, ways, &why).map(|()| false);
            }
            ways.entry(&other.name).or_default().push(queued.id);
            moved += 1;
        }
        give(store, own, ways, &why)?;
    }
}

/// Moves messages of a sender to others.
fn give(store: &dyn Store, own: &Sender, ways: BTreeMap<&str, Vec<MessageId>>, why: &str) -> Result<(), StoreError> {
    for (other, ids) in ways {
        for id in store.move_all(&ids, other, why)? {
            tracing::warn!(queued = %id, sender = own.name, backup = other, "goes over the backup: {why}");
        }
    }
    Ok(())
}

/// The senders that may take over for a sender at once, without a queue; none where it is to wait first.
pub fn at_once<'c>(config: &'c Config, sender: &'c Sender) -> impl Iterator<Item = &'c Sender> {
    backups(config, sender).filter(|_| sender.backup_after.is_zero())
}

fn backups<'c>(config: &'c Config, sender: &'c Sender) -> impl Iterator<Item = &'c Sender> {
    sender.backup.iter().filter_map(|(name, _)| self::sender(config, name)).filter(|other| other.name != sender.name)
}

fn sender<'c>(config: &'c Config, name: &str) -> Option<&'c Sender> {
    config.senders.iter().find(|sender| config.enabled && sender.enabled && sender.name == name)
}

fn may_move(queued: &Queued) -> bool {
    !queued.claimed && queued.moved.is_none() && queued.recipients.iter().all(|recipient| !recipient.unknown)
}

fn may_send(other: &Sender, queued: &Queued) -> bool {
    let header = Address::parse(&queued.header_from).ok();
    allows(other, header.iter().chain(queued.from.address()))
}

/// Whether a sender's server takes mail of all these identities.
pub fn allows<'a>(other: &Sender, mut identities: impl Iterator<Item = &'a Address>) -> bool {
    !other.identity.must_match || identities.all(|address| other.may_send(address))
}

/// The identities of a message that has been planned.
pub fn identities<'a>(from: Option<&'a Address>, envelope: &'a ReversePath) -> impl Iterator<Item = &'a Address> {
    from.into_iter().chain(envelope.address())
}
