//! Happy Eyeballs (RFC 8305): the addresses of a server in turn, IPv6 and IPv4 alternating, each a quarter of a second
//! after the one before; the first that answers is taken, and the others are dropped.

use super::words::words;
use crate::sys::clock::Deadline;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long an address is waited for before the next one is tried as well (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// An address that did not answer, and why.
type Missed = (String, String);

/// A connection that is being made.
struct Runner {
    socket: TcpStream,
    address: SocketAddr,
    deadline: Deadline,
}

/// The first connection that stands. Each address may take `limit`; nothing goes on beyond `total`.
///
/// # Errors
/// No address answered: each with its error.
pub(super) fn connect(
    addresses: &[SocketAddr],
    source: Option<IpAddr>,
    limit: Duration,
    total: Deadline,
) -> Result<(TcpStream, SocketAddr), Vec<Missed>> {
    let (mut waiting, mut running, mut missed) = (alternating(addresses), Vec::new(), Vec::new());
    // `None`: the next address is due now, at the begin and whenever one has failed.
    let mut next_start: Option<Deadline> = None;
    loop {
        if next_start.is_none_or(|due| due.left().is_none())
            && let Some(address) = waiting.pop_front()
        {
            match start(address, source, Deadline::after(limit).or_earlier(total)) {
                Ok(runner) => running.push(runner),
                Err(error) => {
                    missed.push((address.to_string(), words(&error)));
                    continue;
                }
            }
            next_start = Some(Deadline::after(STAGGER));
        }
        if running.is_empty() && waiting.is_empty() {
            return Err(missed);
        }
        wait(&running, next_start.filter(|_| !waiting.is_empty()));
        let failed = missed.len();
        if let Some(winner) = look(&mut running, &mut missed) {
            return Ok(winner);
        }
        if missed.len() > failed {
            next_start = None;
        }
    }
}

/// The resolver's order, but the families in turn (RFC 8305 section 4).
fn alternating(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (VecDeque<SocketAddr>, VecDeque<SocketAddr>) =
        addresses.iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut order = VecDeque::with_capacity(addresses.len());
    while !(one.is_empty() && other.is_empty()) {
        order.extend(one.pop_front());
        order.extend(other.pop_front());
    }
    order
}

fn start(address: SocketAddr, source: Option<IpAddr>, deadline: Deadline) -> io::Result<Runner> {
    if let Some(source) = source.filter(|source| source.is_ipv4() != address.is_ipv4()) {
        return Err(io::Error::other(format!("the source address {source} is of the other address family")));
    }
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = TcpStream::from(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?);
    if let Some(source) = source {
        rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(Runner { socket, address, deadline }),
        Err(error) => Err(error.into()),
    }
}

/// Until a connection stands or fails, a limit passes, or the next address is due.
fn wait(running: &[Runner], next_start: Option<Deadline>) {
    let ends = running.iter().map(|runner| runner.deadline).chain(next_start);
    let left = ends.map(|end| end.left().unwrap_or_default()).min().unwrap_or_default();
    let mut sockets: Vec<PollFd<'_>> =
        running.iter().map(|runner| PollFd::new(&runner.socket, PollFlags::OUT)).collect();
    // An interrupted or failed wait only means that one looks sooner.
    let _ = poll(&mut sockets, Timespec::try_from(left).ok().as_ref());
}

/// The first that stands; those that failed or are late go to `missed`.
fn look(running: &mut Vec<Runner>, missed: &mut Vec<Missed>) -> Option<(TcpStream, SocketAddr)> {
    let mut index = 0;
    while index < running.len() {
        let state = match standing(&running[index].socket) {
            Ok(false) if running[index].deadline.left().is_none() => Err(ErrorKind::TimedOut.into()),
            state => state,
        };
        match state {
            Ok(false) => index += 1,
            Ok(true) => {
                let winner = running.swap_remove(index);
                return Some((winner.socket, winner.address));
            }
            Err(error) => {
                let loser = running.remove(index);
                missed.push((loser.address.to_string(), words(&error)));
            }
        }
    }
    None
}

/// Whether the connection stands; an error where it failed. One that stands is made ready for use.
fn standing(socket: &TcpStream) -> io::Result<bool> {
    let mut one = [PollFd::new(socket, PollFlags::OUT)];
    if poll(&mut one, Some(&Timespec::default()))? == 0 {
        return Ok(false);
    }
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    socket.set_nonblocking(false)?;
    // A command waits for its reply anyway: Nagle's algorithm only adds the peer's delayed ACK.
    socket.set_nodelay(true)?;
    Ok(true)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's server listens on loopback")]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_in_turn() {
        let all = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"].map(address);
        let order = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"].map(address);
        assert_eq!(alternating(&all), order);
    }

    #[test]
    fn a_dead_address_does_not_keep_from_a_live_one() {
        let live = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind(live).unwrap();
        let dead = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
        let limit = Duration::from_secs(20);
        let (_, reached) =
            connect(&[dead, listener.local_addr().unwrap()], None, limit, Deadline::after(limit)).unwrap();
        assert_eq!(reached, live);
        let missed = connect(&[dead, dead], None, limit, Deadline::after(limit)).unwrap_err();
        assert_eq!(
            missed,
            [(dead.to_string(), "connection refused".to_owned()), (dead.to_string(), "connection refused".into())]
        );
        assert_eq!(connect(&[], None, limit, Deadline::after(limit)).unwrap_err(), []);
    }
}
