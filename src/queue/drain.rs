//! The end of a daemon whose queue goes with it: everything is tried once more before it stops.

use super::Store;
use super::runner::Runner;
use super::types::{Filter, Queued, StoreError};
use crate::sys::clock::{self, Deadline};
use std::collections::HashSet;
use std::time::Duration;

/// How often is looked whether it is done.
const LOOK: Duration = Duration::from_millis(100);
/// Messages looked at in one go.
const PAGE: usize = 512;

/// Tries everything that is queued at once, and waits so long until each message is gone or waits for a later attempt.
/// How many are left, those on hold included.
///
/// # Errors
/// The store's; the rest stays in it.
pub fn drain(runner: &Runner, store: &dyn Store, limit: Duration) -> Result<u64, StoreError> {
    let deadline = Deadline::after(limit);
    runner.flush(&Filter::default())?;
    while is_under_way(store)? && deadline.left().is_some() {
        std::thread::sleep(LOOK);
    }
    store.count()
}

/// Whether a message is being tried, or is about to be.
fn is_under_way(store: &dyn Store) -> Result<bool, StoreError> {
    let now = clock::millis();
    let paused: HashSet<String> =
        store.paused()?.into_iter().filter(|pause| pause.until > now).map(|pause| pause.lane).collect();
    let is_due = |queued: &Queued| {
        queued.hold.is_none()
            && !paused.contains(&queued.lane)
            && queued.recipients.iter().any(|recipient| recipient.due <= now)
    };
    let mut filter = Filter::default();
    loop {
        let page = store.list(&filter, PAGE)?;
        let Some(last) = page.last() else { return Ok(false) };
        filter.after = Some(last.id);
        if page.iter().any(|queued| queued.claimed || is_due(queued)) {
            return Ok(true);
        }
    }
}
