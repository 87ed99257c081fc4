//! Messages whose sender is no longer configured: on hold with the reason, until it is back.

use super::types::{Action, Filter, MessageId, Queued, StoreError};
use super::{Store, lane};
use crate::config::Config;
use crate::sys::clock;
use std::collections::BTreeMap;

/// Messages listed at a time.
pub(super) const PAGE: usize = 500;

/// Puts claimed messages on hold whose lanes are not configured, and ends their claims; what to tell whoever waits.
pub(super) fn hold(store: &dyn Store, all: &[Queued]) -> Result<Vec<(MessageId, String)>, StoreError> {
    let mut lanes: BTreeMap<&str, Vec<MessageId>> = BTreeMap::new();
    all.iter().for_each(|queued| lanes.entry(&queued.lane).or_default().push(queued.id));
    let mut told = Vec::new();
    for (name, ids) in lanes {
        let reason = lane::gone(name);
        tracing::warn!(sender = name, messages = ids.len(), "on hold: {reason}");
        store.act(&Filter { ids: ids.clone(), ..Filter::default() }, &Action::Hold(reason.clone()), clock::millis())?;
        for id in ids {
            match store.release_claim(id) {
                Ok(()) | Err(StoreError::Gone) => {}
                Err(error) => return Err(error),
            }
            told.push((id, format!("kept, not yet delivered: {reason}")));
        }
    }
    Ok(told)
}

/// All messages that fit, a page at a time, so that memory does not grow with the queue.
pub(crate) fn pages(
    store: &dyn Store,
    mut filter: Filter,
    each: &mut dyn FnMut(&[Queued]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    loop {
        let page = store.list(&filter, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        filter.after = Some(last.id);
        each(&page)?;
    }
}

/// Messages go on whose sender is back: how many.
pub(super) fn release(store: &dyn Store, config: &Config) -> Result<u64, StoreError> {
    let mut count = 0;
    let held = store.loads()?.into_iter().filter(|(_, load)| load.held > 0).map(|(name, _)| name);
    for name in held.filter(|name| lane::way(config, name).is_some()) {
        let because = Some(lane::GONE.to_owned());
        let those = Filter { lane: Some(name), held: Some(true), because, ..Filter::default() };
        count += store.act(&those, &Action::Release, clock::millis())?;
    }
    if count > 0 {
        tracing::info!(messages = count, "no longer on hold: their sender is configured again");
    }
    Ok(count)
}
