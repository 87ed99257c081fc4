//! From a configured endpoint to a connected socket: name lookup, each address in turn, source address, unix socket.
//!
//! The lookup runs in a helper thread, because the resolver knows no time limit. Nothing is sent here but what a SOCKS5
//! proxy needs.

use super::deadline::{Stream, TimedStream};
use super::words::words;
use super::{race, socks};
use crate::config::{Endpoint, Relay};
use crate::sys::clock::{self, Deadline};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// The most addresses of one name that are tried.
const ADDRESSES: usize = 16;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The name does not exist, or has no address.
    UnknownHost(String),
    /// The lookup failed for now: the name, and the resolver's words.
    Lookup(String, String),
    /// The lookup took longer than the limit: the name.
    LookupLate(String),
    /// No address took the connection: each address with its error.
    Failed(Vec<(String, String)>),
    /// The proxy refused or does not speak SOCKS5: why.
    Proxy(String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHost(host) => write!(f, "the name {host} does not exist or has no address"),
            Self::Lookup(host, why) => write!(f, "the name {host} could not be looked up: {why}"),
            Self::LookupLate(host) => write!(f, "looking up the name {host} took too long"),
            Self::Failed(tried) => {
                f.write_str("no connection")?;
                tried.iter().try_for_each(|(address, why)| write!(f, "; {address}: {why}"))
            }
            Self::Proxy(why) => write!(f, "SOCKS5 proxy: {why}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// A connection, and the address that answered.
#[derive(Debug)]
pub struct Connected {
    /// The socket; its deadline is the connect limit, which also holds for a TLS handshake that follows at once.
    pub stream: TimedStream,
    /// Address and port, or the socket's path.
    pub address: String,
    /// How long the lookup of the name took.
    pub lookup: Duration,
}

/// Connects to the relay's endpoint, by its proxy and from its source address where they are given.
///
/// Each address may take `timeouts.connect`; nothing goes on beyond `total`.
///
/// # Errors
/// When no address takes the connection in time.
pub fn connect(relay: &Relay, total: Deadline) -> Result<Connected, ConnectError> {
    let limit = relay.timeouts.connect;
    match (&relay.endpoint, &relay.proxy) {
        (Endpoint::Unix(path), _) => unix(path, Deadline::after(limit).or_earlier(total)),
        (Endpoint::Tcp(host, port), None) => tcp(host, *port, relay.source, limit, total),
        (Endpoint::Tcp(host, port), Some((proxy, proxy_port))) => {
            let mut connected = tcp(proxy, *proxy_port, relay.source, limit, total)?;
            socks::connect(&mut connected.stream, &bare(host), *port).map_err(ConnectError::Proxy)?;
            connected.address = format!("{host}:{port} by {}", connected.address);
            Ok(connected)
        }
    }
}

fn tcp(
    host: &str,
    port: u16,
    source: Option<IpAddr>,
    limit: Duration,
    total: Deadline,
) -> Result<Connected, ConnectError> {
    let begun = clock::instant();
    let addresses = resolve(&bare(host), port, Deadline::after(limit).or_earlier(total))?;
    let lookup = clock::instant().saturating_duration_since(begun);
    let (socket, address) = race::connect(&addresses, source, limit, total).map_err(ConnectError::Failed)?;
    let stream = TimedStream::new(Stream::Tcp(socket), Deadline::after(limit).or_earlier(total));
    Ok(Connected { stream, address: address.to_string(), lookup })
}

/// The host without the brackets of an IPv6 address and without the root's dot; an internationalised name in its ASCII
/// form (RFC 5891), or as it is where it has none.
pub(super) fn bare(host: &str) -> Cow<'_, str> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let inner = inner.strip_suffix('.').unwrap_or(inner);
    match inner.is_ascii() {
        true => Cow::Borrowed(inner),
        false => idna::domain_to_ascii(inner).map_or(Cow::Borrowed(inner), Cow::Owned),
    }
}

/// Whether a name has an address.
///
/// # Errors
/// It has none, or that could not be found out in time.
pub fn lookup(host: &str, deadline: Deadline) -> Result<(), ConnectError> {
    resolve(&bare(host), 0, deadline).map(drop)
}

fn resolve(host: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (tell, told) = mpsc::channel();
    let name = host.to_owned();
    // A lookup that outlives its limit is left behind; it holds nothing but its own name.
    let helper = std::thread::Builder::new().name("lookup".into()).spawn(move || {
        let _ = tell.send((name.as_str(), port).to_socket_addrs().map(|all| all.take(ADDRESSES).collect::<Vec<_>>()));
    });
    helper.map_err(|error| ConnectError::Lookup(host.to_owned(), words(&error)))?;
    match told.recv_timeout(deadline.left().unwrap_or_default()) {
        Err(_) => Err(ConnectError::LookupLate(host.to_owned())),
        Ok(Ok(addresses)) if addresses.is_empty() => Err(ConnectError::UnknownHost(host.to_owned())),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(lookup_error(host, &error.to_string())),
    }
}

/// Whether an address is one of this machine: the kernel lets a socket have that address and no other. Nothing is sent.
#[must_use]
pub fn is_own(address: IpAddr) -> bool {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::DGRAM, None);
    !address.is_unspecified()
        && socket.is_ok_and(|socket| rustix::net::bind(&socket, &SocketAddr::new(address, 0)).is_ok())
}

/// The standard library keeps only the text of the resolver's error: these are glibc's and musl's for EAI_NONAME and
/// EAI_NODATA.
fn lookup_error(host: &str, text: &str) -> ConnectError {
    const ABSENT: [&str; 5] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    let why = text.rsplit_once("information: ").map_or(text, |(_, why)| why);
    match ABSENT.iter().any(|absent| why.contains(absent)) {
        true => ConnectError::UnknownHost(host.to_owned()),
        false => ConnectError::Lookup(host.to_owned(), why.to_owned()),
    }
}

/// Connects to a unix socket.
///
/// # Errors
/// As `connect`; `TimedOut` where nobody takes the connection by the deadline.
pub fn unix_socket(path: &Path, deadline: Deadline) -> io::Result<TimedStream> {
    let socket = UnixStream::from(new_socket(AddressFamily::UNIX)?);
    socket.set_write_timeout(Some(deadline.left().ok_or(ErrorKind::TimedOut)?))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?).map_err(late)?;
    Ok(TimedStream::new(Stream::Unix(socket), deadline))
}

fn unix(path: &Path, deadline: Deadline) -> Result<Connected, ConnectError> {
    let address = path.display().to_string();
    match unix_socket(path, deadline) {
        Ok(stream) => Ok(Connected { stream, address, lookup: Duration::ZERO }),
        Err(error) => Err(ConnectError::Failed(vec![(address, words(&error))])),
    }
}

fn new_socket(family: AddressFamily) -> rustix::io::Result<rustix::fd::OwnedFd> {
    rustix::net::socket_with(family, SocketType::STREAM, rustix::net::SocketFlags::CLOEXEC, None)
}

fn late(error: rustix::io::Errno) -> io::Error {
    match error {
        rustix::io::Errno::INPROGRESS | rustix::io::Errno::AGAIN => ErrorKind::TimedOut.into(),
        other => other.into(),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's server listens on loopback")]
mod tests {
    use super::*;

    #[test]
    fn lookups_tell_absent_from_not_now() {
        let error = |why: &str| lookup_error("a.example", &format!("failed to lookup address information: {why}"));
        for absent in ["Name or service not known", "No address associated with hostname", "Name does not resolve"] {
            assert_eq!(error(absent), ConnectError::UnknownHost("a.example".into()));
        }
        for now in ["Temporary failure in name resolution", "Try again", "Non-recoverable failure in name resolution"] {
            assert_eq!(error(now), ConnectError::Lookup("a.example".into(), now.into()));
        }
    }

    #[test]
    fn literal_addresses_need_no_lookup() {
        let soon = Deadline::after(Duration::from_secs(5));
        assert_eq!(resolve(&bare("[::1]"), 25, soon).unwrap(), ["[::1]:25".parse().unwrap()]);
        assert_eq!(resolve(&bare("192.0.2.1"), 25, soon).unwrap(), ["192.0.2.1:25".parse().unwrap()]);
        assert_eq!(bare("mail.example.com."), "mail.example.com");
        assert_eq!(bare("bücher.example"), "xn--bcher-kva.example");
    }

    #[test]
    fn each_address_is_named_with_its_error() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let limit = Duration::from_secs(5);
        let error = tcp("127.0.0.1", port, None, limit, Deadline::after(limit)).unwrap_err();
        assert_eq!(error.to_string(), format!("no connection; 127.0.0.1:{port}: connection refused"));
        let error = tcp("127.0.0.1", port, Some("::1".parse().unwrap()), limit, Deadline::after(limit)).unwrap_err();
        assert!(error.to_string().contains("other address family"), "{error}");
    }

    #[test]
    fn from_a_source_address_and_to_a_unix_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let limit = Duration::from_secs(5);
        let port = listener.local_addr().unwrap().port();
        let source = Some("127.0.0.2".parse().unwrap());
        let connected = tcp("127.0.0.1", port, source, limit, Deadline::after(limit)).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip().to_string(), "127.0.0.2");
        drop(connected);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        assert!(unix(&path, Deadline::after(limit)).unwrap_err().to_string().contains("No such file"));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(unix(&path, Deadline::after(limit)).is_ok());
    }
}
