//! Seats for connections: so many of all listeners together, so many at one address, so many for one client, and none kept
//! by who does nothing.
//!
//! All addresses draw on one pool, so that threads and memory have a bound however many there are. Half of it is divided
//! among them: of that each has its part whatever happens at the others. The other half goes to whoever comes first.
//!
//! When no seat is free, the connection that has been still for the longest gives its own up, if it has been so for a
//! few seconds: of the same client where that client has its share, of anybody where all are taken. So a thousand clients
//! that say nothing hold a good one up for moments, and never more than the seats there are. A connection whose message
//! is being kept, or whose password is being checked, is never taken away.
//!
//! The time is an argument. Never sends anything: a connection that is dismissed has its socket shut for reading, and its
//! own thread says good-bye; one whose client takes no replies either is shut whole.

use crate::config::listen::{CONNECTIONS, ListenLimits};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection must have been still before its seat may be given away.
const STILL: Duration = Duration::from_secs(3);

/// Seats that are divided among the addresses.
const DIVIDED: usize = CONNECTIONS / 2;
/// Seats of one client at all addresses, beyond their parts; more where a listener gives it more.
const EACH: usize = CONNECTIONS / 8;
/// Connections that were sent home, and still hear so.
const ENDING: usize = 64;

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
    /// At which address.
    place: u64,
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
    /// Addresses that there are.
    places: usize,
    /// Connections that there are, with those that were sent home.
    alive: usize,
}

/// The seats of all listening addresses.
#[derive(Default)]
pub struct Seats(Mutex<Inner>);

/// One listening address; dropped, its part is divided among the others.
pub struct Place {
    seats: Arc<Seats>,
    number: u64,
}

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
    /// A further listening address.
    #[must_use]
    pub fn place(self: &Arc<Self>) -> Place {
        let mut inner = self.lock();
        inner.places += 1;
        Place { seats: self.clone(), number: inner.number() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends everybody home: those who wait at once, those who work or are being answered when that is done.
    pub fn dismiss_all(&self) {
        for seated in self.lock().seated.values() {
            seated.dismiss(Shutdown::Read);
        }
    }

    /// How many connections there are.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().alive
    }
}

impl Place {
    /// Takes a seat, another's if need be.
    ///
    /// # Errors
    /// Nobody has been still for long enough to give theirs up.
    pub fn take(
        &self,
        client: Client,
        limits: &ListenLimits,
        now: Instant,
        socket: Box<dyn Shut>,
    ) -> Result<Seat, Full> {
        let (mut inner, place) = (self.seats.lock(), self.number);
        let here = |seated: &Seated| seated.place == place;
        let its = |seated: &Seated| seated.client == client;
        inner.make_room(limits.per_client, now, Full::Client, |seated| here(seated) && its(seated))?;
        inner.make_room(limits.connections, now, Full::All, here)?;
        let part = inner.part();
        if inner.count(here) >= part {
            inner.make_room(limits.per_client.max(EACH), now, Full::Client, its)?;
            inner.make_shared_room(part, now)?;
        }
        if inner.alive >= CONNECTIONS + ENDING {
            return Err(Full::All);
        }
        inner.alive += 1;
        let number = inner.number();
        let dismissed = Arc::new(AtomicBool::new(false));
        let seated = Seated { place, client, at: At::Reading, since: now, socket, dismissed: dismissed.clone() };
        inner.seated.insert(number, seated);
        Ok(Seat { seats: self.seats.clone(), number, dismissed })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seats.lock().places -= 1;
    }
}

impl Inner {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn count(&self, of: impl Fn(&Seated) -> bool) -> usize {
        self.seated.values().filter(|seated| of(seated)).count()
    }

    /// What each address has for itself.
    fn part(&self) -> usize {
        (DIVIDED / self.places.max(1)).max(1)
    }

    /// Room for one more where those may be so many.
    fn make_room(&mut self, most: usize, now: Instant, full: Full, of: impl Fn(&Seated) -> bool) -> Result<(), Full> {
        let room = self.count(&of) < most || self.dismiss_one(now, of);
        room.then_some(()).ok_or(full)
    }

    /// Room for one more of those that addresses have beyond their parts.
    fn make_shared_room(&mut self, part: usize, now: Instant) -> Result<(), Full> {
        let mut counts: HashMap<u64, usize> = HashMap::new();
        self.seated.values().for_each(|seated| *counts.entry(seated.place).or_default() += 1);
        let shared: usize = counts.values().map(|count| count.saturating_sub(part)).sum();
        let most = CONNECTIONS.saturating_sub(part * self.places);
        let beyond = |seated: &Seated| counts.get(&seated.place).is_some_and(|count| *count > part);
        let room = shared < most || self.dismiss_one(now, beyond);
        room.then_some(()).ok_or(Full::All)
    }

    /// Frees the seat of whoever of them has been still the longest; whether there was one.
    fn dismiss_one(&mut self, now: Instant, of: impl Fn(&Seated) -> bool) -> bool {
        let still = |seated: &Seated| {
            let patient = now.saturating_duration_since(seated.since) >= STILL;
            seated.at != At::Busy && patient && of(seated)
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
        let mut inner = self.seats.lock();
        inner.seated.remove(&self.number);
        inner.alive -= 1;
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
        let place = seats.place();
        let take = |from: u8, at: u64| {
            place.take(client(from), &LIMITS, after(start, at), Box::new(Socket(Arc::clone(&shut))))
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
        let place = seats.place();
        let take = |from: u8, at: u64| {
            place.take(client(from), &LIMITS, after(start, at), Box::new(Socket(Arc::clone(&shut)))).ok()
        };
        let (other, one, two) = (take(1, 0).unwrap(), take(2, 1).unwrap(), take(2, 2).unwrap());
        let three = take(2, 9).unwrap();
        assert!(one.is_dismissed() && !other.is_dismissed() && !two.is_dismissed() && !three.is_dismissed());
        assert_eq!(*shut.lock().unwrap(), [Shutdown::Read]);
    }

    #[test]
    fn all_addresses_share_one_pool_and_none_shuts_another() {
        let (seats, start) = (Arc::new(Seats::default()), crate::sys::clock::instant());
        let limits = ListenLimits { connections: 400, per_client: 50, ..LIMITS };
        let places: Vec<Place> = (0..10).map(|_| seats.place()).collect();
        let take = |place: &Place, from: u8, at: u64| {
            place.take(client(from), &limits, after(start, at), Box::new(Socket(Arc::default())))
        };
        // Four clients take all they can get at nine of the addresses.
        let mut held: Vec<Seat> = Vec::new();
        for place in &places[..9] {
            held.extend((0..400).filter_map(|number| take(place, number as u8 % 4, 0).ok()));
        }
        assert!(held.len() <= CONNECTIONS - DIVIDED / 10, "{}", held.len());
        let good: Vec<Seat> = (0..DIVIDED / 10).map(|_| take(&places[9], 9, 0).ok().unwrap()).collect();
        // However many clients come, the pool has its bound, and who is sent home counts until it is gone.
        for from in 10..250 {
            held.extend((0..5).filter_map(|number| take(&places[0], from, 1 + number).ok()));
        }
        assert!(seats.taken() <= CONNECTIONS + ENDING, "{}", seats.taken());
        assert!(good.iter().all(|seat| !seat.is_dismissed()), "its part is not taken from it");
        for from in 10..250 {
            held.extend((0..5).filter_map(|_| take(&places[0], from, 100).ok()));
        }
        assert!(seats.taken() <= CONNECTIONS + ENDING, "{}", seats.taken());
        assert!(good.iter().all(|seat| !seat.is_dismissed()));
        drop((held, good));
        assert_eq!(seats.taken(), 0);
        drop(places);
        assert_eq!(seats.lock().places, 0);
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
