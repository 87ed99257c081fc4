//! How much all clients together and each user may use up at once: connections, memory, spool.
//!
//! Nobody gets more than is left for all the others: of 256, one user has at most 128, the next 64, and so on, so that there
//! is something for a third whatever two do. Counts alone; root (uid 0) is never refused and takes nothing away from
//! others, so that an operator gets in however many there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A bound for all and for each user.
#[derive(Debug)]
pub struct Quota {
    all: u64,
    each: u64,
    used: Mutex<HashMap<u32, u64>>,
}

/// What one client has of a quota; dropped, it is given back.
#[derive(Debug)]
pub struct Share {
    quota: Arc<Quota>,
    uid: u32,
    amount: u64,
}

impl Quota {
    /// At most `all` for everybody together and `each` for one user.
    #[must_use]
    pub fn new(all: u64, each: u64) -> Arc<Self> {
        Arc::new(Self { all, each, used: Mutex::default() })
    }

    /// An empty share of a user.
    #[must_use]
    pub fn share(self: &Arc<Self>, uid: u32) -> Share {
        Share { quota: self.clone(), uid, amount: 0 }
    }
}

impl Share {
    /// Makes it larger, if there is so much left.
    #[must_use]
    pub fn grow(&mut self, more: u64) -> bool {
        let mut used = self.quota.used.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u64 = used.iter().filter(|(uid, _)| **uid != 0).map(|(_, used)| used).sum();
        let own = used.get(&self.uid).copied().unwrap_or_default();
        let left = self.quota.all.saturating_sub(all);
        let fits = own.checked_add(more).is_some_and(|sum| sum <= self.quota.each.min(left.saturating_sub(more)));
        if self.uid != 0 && !fits {
            return false;
        }
        used.insert(self.uid, own.saturating_add(more));
        self.amount = self.amount.saturating_add(more);
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self.quota.used.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = used.get(&self.uid).copied().unwrap_or_default().saturating_sub(self.amount);
        if rest == 0 {
            used.remove(&self.uid);
        } else {
            used.insert(self.uid, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_everything() {
        let quota = Quota::new(16, 6);
        let (mut ours, mut theirs, mut third, mut root) =
            (quota.share(7), quota.share(8), quota.share(9), quota.share(0));
        assert!(root.grow(100), "root is exempt");
        assert!(ours.grow(6) && !ours.grow(1));
        assert!(theirs.grow(5) && !theirs.grow(1), "something is left");
        assert!(third.grow(2) && !third.grow(1), "for a third");
        drop((ours, third, root));
        assert!(theirs.grow(1) && !theirs.grow(u64::MAX));
        drop(theirs);
        assert!(quota.used.lock().unwrap().is_empty());
    }
}
