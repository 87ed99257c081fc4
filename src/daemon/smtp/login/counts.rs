//! Wrong logins that were counted: by client (an IPv4 address, an IPv6 /64, a local user) and by the name that was given.
//!
//! A client with some wrong logins behind it, and a name that was guessed at often, must wait between two checks; who has
//! logged in from a client before is not made to wait for what others do there, as long as it is wrong only now and then.
//! Names that no user has count as others do. The time is an argument; each list has a bound.

use crate::daemon::smtp::guard::Client;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

/// Entries of each list; the one whose last event is the longest ago makes room.
const ENTRIES: usize = 4096;
/// After that long without a wrong login nothing is left of them.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Wrong logins that a client has free.
const CLIENT_FREE: u32 = 3;
/// The first wait of a client, doubled with each further wrong login, and the longest.
const CLIENT_WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(1500));
/// Wrong logins that a name has free.
const NAME_FREE: u32 = 10;
/// Between two checks for one name, of whatever clients.
const NAME_WAIT: Duration = Duration::from_millis(250);
/// How often somebody who has logged in from there before may be wrong before it counts as anybody.
const TRUST: u32 = 5;

/// Who wants to log in: from where, and under which name (its hash: names that are given may be of any length).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    pub client: Client,
    pub name: u64,
}

/// What the next check has to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Wrong logins of its client.
    pub wrong: u32,
    /// Not before that time.
    pub not_before: Option<Instant>,
    /// Its client's checks are made one at a time.
    pub client_alone: bool,
    /// The checks of its name are made one at a time.
    pub name_alone: bool,
}

/// How often, and when last.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    last: Instant,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub struct Counts {
    clients: Entries<Client>,
    names: Entries<u64>,
    /// Who has logged in before, and how often it was wrong since.
    known: Entries<Who>,
    hasher: RandomState,
}

impl Counts {
    /// A name as it is counted.
    #[must_use]
    pub fn name(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Where somebody stands.
    #[must_use]
    pub fn standing(&self, who: Who, now: Instant) -> Standing {
        if self.is_known(who) {
            return Standing::default();
        }
        let (client, name) = (self.clients.recent(&who.client, now), self.names.recent(&who.name, now));
        let client_wait = client.filter(|wrong| wrong.count >= CLIENT_FREE).map(|wrong| wrong.last + wait(wrong.count));
        let name_wait = name.filter(|wrong| wrong.count >= NAME_FREE).map(|wrong| wrong.last + NAME_WAIT);
        Standing {
            wrong: client.map_or(0, |wrong| wrong.count),
            not_before: client_wait.max(name_wait),
            client_alone: client_wait.is_some(),
            name_alone: name_wait.is_some(),
        }
    }

    /// A check is over.
    pub fn note(&mut self, who: Who, good: bool, now: Instant) {
        if good {
            self.known.set(who, Wrong { count: 0, last: now });
        } else if self.is_known(who) {
            self.known.add(who, now);
        } else {
            self.clients.add(who.client, now);
            self.names.add(who.name, now);
        }
    }

    fn is_known(&self, who: Who) -> bool {
        self.known.0.get(&who).is_some_and(|wrong| wrong.count < TRUST)
    }
}

/// What a client waits after so many.
fn wait(count: u32) -> Duration {
    let (first, longest) = CLIENT_WAIT;
    first.saturating_mul(1 << count.saturating_sub(CLIENT_FREE).min(8)).min(longest)
}

#[derive(Debug)]
struct Entries<K>(HashMap<K, Wrong>);

impl<K> Default for Entries<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Copy + Eq + Hash> Entries<K> {
    fn recent(&self, key: &K, now: Instant) -> Option<Wrong> {
        self.0.get(key).copied().filter(|wrong| now.saturating_duration_since(wrong.last) < FORGET)
    }

    fn add(&mut self, key: K, now: Instant) {
        let count = self.recent(&key, now).map_or(0, |wrong| wrong.count);
        self.set(key, Wrong { count: count.saturating_add(1), last: now });
    }

    fn set(&mut self, key: K, wrong: Wrong) {
        if self.0.len() >= ENTRIES && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, wrong)| wrong.last).map(|(key, _)| *key);
            oldest.and_then(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(key, wrong);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn who(client: u8, name: u64) -> Who {
        Who { client: Client::of(IpAddr::from([192, 0, 2, client])), name }
    }

    fn wrong(counts: &mut Counts, who: Who, times: u32, now: Instant) {
        (0..times).for_each(|_| counts.note(who, false, now));
    }

    #[test]
    fn guesses_of_a_client_get_slower_and_are_forgotten() {
        let (mut counts, now) = (Counts::default(), crate::sys::clock::instant());
        wrong(&mut counts, who(1, 1), 2, now);
        assert_eq!(counts.standing(who(1, 2), now), Standing { wrong: 2, ..Standing::default() });
        let mut waits = Vec::new();
        for _ in 0..8 {
            wrong(&mut counts, who(1, 1), 1, now);
            waits.push((counts.standing(who(1, 2), now).not_before.unwrap() - now).as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 800, 1500, 1500, 1500, 1500]);
        assert!(counts.standing(who(1, 2), now).client_alone);
        assert_eq!(counts.standing(who(2, 2), now), Standing::default(), "another client");
        assert_eq!(counts.standing(who(1, 2), now + FORGET), Standing::default());
        wrong(&mut counts, who(1, 1), 1, now + FORGET);
        assert_eq!(counts.standing(who(1, 2), now + FORGET).wrong, 1);
    }

    #[test]
    fn guesses_at_a_name_are_spaced_whoever_makes_them() {
        let (mut counts, now) = (Counts::default(), crate::sys::clock::instant());
        (0..NAME_FREE).for_each(|client| wrong(&mut counts, who(client as u8, 7), 1, now));
        let stands = counts.standing(who(200, 7), now);
        assert_eq!((stands.wrong, stands.client_alone, stands.name_alone), (0, false, true));
        assert_eq!(stands.not_before, Some(now + NAME_WAIT));
    }

    #[test]
    fn who_was_let_in_before_is_not_held_up_by_others() {
        let (mut counts, now) = (Counts::default(), crate::sys::clock::instant());
        counts.note(who(1, 1), true, now);
        wrong(&mut counts, who(1, 2), 50, now);
        wrong(&mut counts, who(2, 1), 50, now);
        assert_eq!(counts.standing(who(1, 1), now), Standing::default());
        wrong(&mut counts, who(1, 1), TRUST, now);
        assert!(counts.standing(who(1, 1), now).client_alone, "unless it guesses itself");
        counts.note(who(1, 1), true, now);
        assert_eq!(counts.standing(who(1, 1), now), Standing::default());
    }

    #[test]
    fn the_lists_are_bounded() {
        let (mut counts, now) = (Counts::default(), crate::sys::clock::instant());
        for number in 0..ENTRIES as u64 + 100 {
            let client = Client::Uid(u32::try_from(number).unwrap());
            counts.note(Who { client, name: number }, number % 2 == 0, now + Duration::from_millis(number));
        }
        assert!(counts.clients.0.len() <= ENTRIES && counts.names.0.len() <= ENTRIES);
        assert!(counts.known.0.len() <= ENTRIES);
        for number in 0..ENTRIES as u64 + 100 {
            let late = now + Duration::from_secs(60) + Duration::from_millis(number);
            counts.note(Who { client: Client::Uid(9), name: number }, false, late);
        }
        assert_eq!(counts.names.0.len(), ENTRIES);
        assert!(!counts.names.0.contains_key(&99) && counts.names.0.contains_key(&(ENTRIES as u64 + 99)));
    }
}
