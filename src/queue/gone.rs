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
    let held = Filter { held: Some(true), ..Filter::default() };
    let back = |queued: &Queued| {
        queued.hold.as_deref().is_some_and(lane::is_gone) && lane::way(config, &queued.lane).is_some()
    };
    let mut ids: Vec<MessageId> = Vec::new();
    pages(store, held, &mut |page| {
        ids.extend(page.iter().filter(|queued| back(queued)).map(|queued| queued.id));
        Ok(())
    })?;
    if ids.is_empty() {
        return Ok(0);
    }
    let count = store.act(&Filter { ids, ..Filter::default() }, &Action::Release, clock::millis())?;
    tracing::info!(messages = count, "no longer on hold: their sender is configured again");
    Ok(count)
}
