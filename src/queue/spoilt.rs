//! A message whose text is damaged or lost: it is never sent, and waits on hold for a person.

use super::Store;
use super::types::{Action, Filter, Queued, StoreError};
use crate::sys::clock;

/// Puts it on hold, which says why; its claim ends.
///
/// # Errors
/// The store's.
pub(super) fn spoilt(store: &dyn Store, queued: &Queued, why: &str) -> Result<(), StoreError> {
    tracing::error!(queued = %queued.id, sender = queued.lane, reason = why, "not sent: it is on hold");
    let filter = Filter { ids: vec![queued.id], ..Filter::default() };
    store.act(&filter, &Action::Hold(why.to_owned()), clock::millis())?;
    store.release_claim(queued.id)
}
