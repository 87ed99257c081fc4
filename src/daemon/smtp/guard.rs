//! Seats for connections: so many at one address in all, so many for one client, and none kept by who does nothing.
//!
//! When no seat is free, the connection that has been still for the longest gives its own up, if it has been so for a
//! few seconds: of the same client where that client has its share, of anybody where all are taken. So a thousand clients
//! that say nothing hold a good one up for moments, and never more than the seats there are. A connection whose message
//! is being kept, or whose password is being checked, is never taken away.
//!
//! The time is an argument. Never sends anything: a connection that is dismissed has its socket shut for reading, and its
//! own thread says good-bye; one whose client takes no replies either is shut whole.

use crate::config::listen::ListenLimits;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection must have been still before its seat may be given away.
const STILL: Duration = Duration::from_secs(3);

/// Who counts as one client: an IPv4 address, an IPv6 /64 (what one customer has), a local user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// By its address.
    Ip(IpAddr),
    /// On a unix socket.
    Uid(u32),
}

impl Client {
    /// The client of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self::Ip(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        })
    }

    /// A number for quotas by number; never that of root, who is exempt there.
    #[must_use]
    pub fn number(self) -> u32 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        (hasher.finish() as u32) | 1
    }
}

/// A connection's socket, as far as its end can be brought about from outside.
pub trait Shut: Send {
    /// Ends it in that direction.
    fn shut(&self, how: Shutdown);
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// It waits for its client.
    Reading,
    /// Its client does not take a reply.
    Writing,
    /// It works: not to be disturbed.
    Busy,
}

struct Seated {
    client: Client,
    at: At,
    since: Instant,
    socket: Box<dyn Shut>,
    dismissed: Arc<AtomicBool>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    seated: HashMap<u64, Seated>,
}

/// The seats of one listening address.
#[derive(Default)]
pub struct Seats(Mutex<Inner>);

/// A connection's seat; dropped, it is free.
pub struct Seat {
    seats: Arc<Seats>,
    number: u64,
    dismissed: Arc<AtomicBool>,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// This client has its share.
    Client,
}

impl Seats {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat, another's if need be.
    ///
    /// # Errors
    /// Nobody has been still for long enough to give theirs up.
    pub fn take(
        self: &Arc<Self>,
        client: Client,
        limits: &ListenLimits,
        now: Instant,
        socket: Box<dyn Shut>,
    ) -> Result<Seat, Full> {
        let mut inner = self.lock();
        let own = inner.seated.values().filter(|seated| seated.client == client).count();
        if own >= limits.per_client && !inner.dismiss_one(now, Some(client)) {
            return Err(Full::Client);
        }
        if inner.seated.len() >= limits.connections && !inner.dismiss_one(now, None) {
            return Err(Full::All);
        }
        let number = inner.next;
        inner.next += 1;
        let dismissed = Arc::new(AtomicBool::new(false));
        let seated = Seated { client, at: At::Reading, since: now, socket, dismissed: dismissed.clone() };
        inner.seated.insert(number, seated);
        Ok(Seat { seats: self.clone(), number, dismissed })
    }

    /// Sends everybody home: those who wait at once, those who work or are being answered when that is done.
    pub fn dismiss_all(&self) {
        for seated in self.lock().seated.values() {
            seated.dismiss(Shutdown::Read);
        }
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().seated.len()
    }
}

impl Inner {
    /// Frees the seat of whoever has been still the longest; whether there was one.
    fn dismiss_one(&mut self, now: Instant, of: Option<Client>) -> bool {
        let still = |seated: &Seated| {
            let patient = now.saturating_duration_since(seated.since) >= STILL;
            seated.at != At::Busy && patient && of.is_none_or(|client| seated.client == client)
        };
        let longest = self.seated.iter().filter(|(_, seated)| still(seated)).min_by_key(|(_, seated)| seated.since);
        let Some(number) = longest.map(|(number, _)| *number) else { return false };
        if let Some(seated) = self.seated.remove(&number) {
            // A reply that its client does not take has had its time.
            seated.dismiss(Shutdown::Both);
        }
        true
    }
}

impl Seated {
    /// `answered` is what is shut of a connection on which a reply is being written.
    fn dismiss(&self, answered: Shutdown) {
        self.dismissed.store(true, Ordering::SeqCst);
        match self.at {
            At::Reading => self.socket.shut(Shutdown::Read),
            At::Writing => self.socket.shut(answered),
            At::Busy => {}
        }
    }
}

impl Seat {
    /// The client has brought its session forward.
    pub fn moved(&self, now: Instant) {
        self.update(|seated| seated.since = now);
    }

    /// A reply is being written from now on.
    pub fn writing(&self) {
        self.update(|seated| seated.at = At::Writing);
    }

    /// The client is waited for from now on.
    pub fn reading(&self) {
        self.update(|seated| seated.at = At::Reading);
    }

    /// What its client asked for is being done from now on.
    pub fn busy(&self) {
        self.update(|seated| seated.at = At::Busy);
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::SeqCst)
    }

    fn update(&self, change: impl FnOnce(&mut Seated)) {
        if let Some(seated) = self.seats.lock().seated.get_mut(&self.number) {
            change(seated);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().seated.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Socket(Arc<Mutex<Vec<Shutdown>>>);

    impl Shut for Socket {
        fn shut(&self, how: Shutdown) {
            self.0.lock().unwrap().push(how);
        }
    }

    const LIMITS: ListenLimits =
        ListenLimits { connections: 3, per_client: 2, size: 0, recipients: 0, errors: 0, commands: 0 };

    fn client(number: u8) -> Client {
        Client::of(IpAddr::from([192, 0, 2, number]))
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn who_is_still_makes_room_and_who_works_does_not() {
        let (seats, start, shut) = (Arc::new(Seats::default()), crate::sys::clock::instant(), Arc::default());
        let take = |from: u8, at: u64| {
            seats.take(client(from), &LIMITS, after(start, at), Box::new(Socket(Arc::clone(&shut))))
        };
        let (first, second) = (take(1, 0).ok().unwrap(), take(1, 1).ok().unwrap());
        assert_eq!(take(1, 2).err(), Some(Full::Client), "nobody has been still for long");
        let third = take(2, 2).ok().unwrap();
        assert_eq!(take(3, 2).err(), Some(Full::All));
        first.busy();
        second.writing();
        let fourth = take(3, 5).ok().unwrap();
        assert!(second.is_dismissed() && !first.is_dismissed() && !third.is_dismissed());
        assert_eq!(*shut.lock().unwrap(), [Shutdown::Both], "one that takes no reply is shut whole");
        drop(second);
        assert_eq!(seats.taken(), 3, "a seat given away is not freed twice");
        third.moved(after(start, 6));
        assert_eq!(take(4, 7).err(), Some(Full::All), "the others work, moved or have just come");
        seats.dismiss_all();
        assert!(first.is_dismissed() && third.is_dismissed() && fourth.is_dismissed());
        assert_eq!(shut.lock().unwrap().len(), 3, "one that works is left to end");
        drop((first, third, fourth));
        assert_eq!(seats.taken(), 0);
    }

    #[test]
    fn a_client_makes_room_for_itself_before_others_do() {
        let (seats, start, shut) = (Arc::new(Seats::default()), crate::sys::clock::instant(), Arc::default());
        let take = |from: u8, at: u64| {
            seats.take(client(from), &LIMITS, after(start, at), Box::new(Socket(Arc::clone(&shut)))).ok()
        };
        let (other, one, two) = (take(1, 0).unwrap(), take(2, 1).unwrap(), take(2, 2).unwrap());
        let three = take(2, 9).unwrap();
        assert!(one.is_dismissed() && !other.is_dismissed() && !two.is_dismissed() && !three.is_dismissed());
        assert_eq!(*shut.lock().unwrap(), [Shutdown::Read]);
    }

    #[test]
    fn one_customer_is_one_client() {
        let six = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(six("2001:db8:1:2::1"), six("2001:db8:1:2:ffff::9"));
        assert_ne!(six("2001:db8:1:2::1"), six("2001:db8:1:3::1"));
        assert_eq!(six("::ffff:192.0.2.7"), client(7));
        assert_ne!(client(1).number(), 0);
    }
}
