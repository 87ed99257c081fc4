//! `postrider queue salvage`: what was set aside, or what is left of another queue, comes back into this one.

use crate::config::Config;
use crate::message::address::Address;
use crate::queue::{Salvage, Salvaged, Store, StoreError};
use crate::route::choose;
use crate::sys::clock;
use std::path::Path;

/// Brings it back; `uid` is whose the messages are of which nobody knows.
///
/// # Errors
/// The store's.
pub fn salvage(store: &dyn Store, config: &Config, place: &Path, uid: u32) -> Result<Salvaged, StoreError> {
    let history = i64::try_from(config.queue.history.as_millis()).unwrap_or(i64::MAX);
    let lane = |from: Option<&Address>| lane(config, from);
    let how = Salvage { since: clock::millis().saturating_sub(history), uid, lane: &lane };
    store.salvage(place, &how)
}

/// Where mail of an address goes by the present configuration.
fn lane(config: &Config, from: Option<&Address>) -> String {
    let claimed = from.and_then(|from| choose::claimed(config, from));
    let sender = claimed.map(|(sender, _)| sender.name.clone());
    let relay = || config.account(None).map(|via| via.name());
    sender.or_else(relay).unwrap_or_else(|| "default relay".into())
}
