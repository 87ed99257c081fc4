//! A listener's socket: bound here, or passed by the service manager; and the clients that come to it.
//!
//! A port that is taken is an error that names who has it, one below 1024 an error that names the ways to get it.

use super::guard::{Client, Shut};
use super::holder;
use crate::config::{ListenAddress, Listener};
use crate::daemon::inherited::{Inherited, Passed};
use crate::daemon::listen::Socket as UnixSocket;
use crate::net::deadline::Stream;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 511;
/// Octets that the kernel keeps of what a client sends, and of replies that it does not take; it doubles them. Left to
/// itself it keeps megabytes for each, which count as the daemon's.
const BUFFERS: (usize, usize) = (128 << 10, 16 << 10);

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixSocket),
}

/// Who has connected.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address; `None` on a unix socket.
    pub address: Option<IpAddr>,
    /// User and group of a local one, from the kernel.
    pub local: Option<(u32, u32)>,
}

impl Peer {
    /// Who it counts as.
    #[must_use]
    pub fn client(&self) -> Client {
        match (self.address, self.local) {
            (Some(address), _) => Client::of(address),
            (None, local) => Client::Uid(local.map_or(u32::MAX, |(uid, _)| uid)),
        }
    }
}

impl Peer {
    /// Whether it is on this machine.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.address.is_none_or(|address| address.to_canonical().is_loopback())
    }

    /// Who it counts as where it did not log in. All of loopback is one: whoever is here has 16 million addresses there.
    #[must_use]
    pub fn counted(&self) -> String {
        match self.client() {
            _ if self.is_here() => "clients on this machine".into(),
            Client::Ip(IpAddr::V6(network)) => format!("{network}/64"),
            Client::Ip(address) => address.to_string(),
            Client::Uid(uid) => format!("local user {uid}"),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.local) {
            (Some(address), _) => write!(f, "{address}"),
            (None, Some((uid, _))) => write!(f, "local user {uid}"),
            (None, None) => f.write_str("local"),
        }
    }
}

impl Socket {
    /// The socket for one of a listener's addresses.
    ///
    /// # Errors
    /// Why there is none: one line with the place of the `[[listen]]`, and who has the port.
    pub fn open(listener: &Listener, address: &ListenAddress, passed: &mut Inherited) -> Result<Self, String> {
        let fault = |what: String| format!("{}: listen {address}: {what}", listener.place);
        let made = match (passed.take(address), address) {
            (Some(Passed::Tcp(socket)), _) => {
                keep_little(&socket);
                socket.set_nonblocking(true).map(|()| Self::Tcp(socket))
            }
            (Some(Passed::Unix(socket)), _) => UnixSocket::passed(socket).map(Self::Unix),
            (None, ListenAddress::Ip(wanted)) => {
                return tcp(*wanted).map(Self::Tcp).map_err(|error| fault(explain(*wanted, &error)));
            }
            (None, ListenAddress::Unix(path)) => {
                return UnixSocket::bind(path).map(Self::Unix).map_err(|error| fault(error.to_string()));
            }
            (None, ListenAddress::Passed(name)) => {
                return Err(fault(format!(
                    "the service manager passed no socket of that name; a .socket unit with FileDescriptorName={name} does"
                )));
            }
        };
        made.map_err(|error| fault(error.to_string()))
    }

    /// Where it listens, as the log names it.
    #[must_use]
    pub fn place(&self) -> String {
        let of_unix = |socket: &UnixSocket| {
            let address = socket.listener().local_addr().ok();
            address.and_then(|address| address.as_pathname().map(|path| format!("unix:{}", path.display())))
        };
        match self {
            Self::Tcp(socket) => socket.local_addr().map_or_else(|_| "unknown".into(), |address| address.to_string()),
            Self::Unix(socket) => of_unix(socket).unwrap_or_else(|| "unix".into()),
        }
    }

    /// The next client. Does not wait.
    ///
    /// # Errors
    /// `WouldBlock` where there is none, and whatever else accept(2) says.
    pub fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept()?;
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer { address: Some(peer.ip().to_canonical()), local: None }))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.listener().accept()?;
                stream.set_nonblocking(false)?;
                let who = sockopt::socket_peercred(&stream)?;
                Ok((Stream::Unix(stream), Peer { address: None, local: Some((who.uid.as_raw(), who.gid.as_raw())) }))
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.listener().as_fd(),
        }
    }
}

/// A second handle of a connection's socket, to end it by.
pub struct Handle(OwnedFd);

impl Handle {
    /// Of a connection.
    ///
    /// # Errors
    /// Where the process has no descriptor left.
    pub fn of(stream: &Stream) -> io::Result<Self> {
        match stream {
            Stream::Tcp(socket) => Ok(Self(rustix::io::fcntl_dupfd_cloexec(socket, 0)?)),
            Stream::Unix(socket) => Ok(Self(rustix::io::fcntl_dupfd_cloexec(socket, 0)?)),
        }
    }
}

impl Shut for Handle {
    fn shut(&self, how: Shutdown) {
        let how = if how == Shutdown::Read { rustix::net::Shutdown::Read } else { rustix::net::Shutdown::Both };
        // It may have ended by itself.
        let _ = rustix::net::shutdown(&self.0, how);
    }
}

/// Binds a port, an IPv6 one for IPv6 alone, so that `[::]` and `0.0.0.0` can stand side by side. By way of the C library,
/// because authbind(1) has its hand on that and not on the kernel.
fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    keep_little(&socket);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Bounds what the kernel keeps for each connection that comes to a socket.
fn keep_little(socket: &impl AsFd) {
    // Where it cannot be set, it is as much as the system has it.
    let _ = sockopt::set_socket_recv_buffer_size(socket, BUFFERS.0);
    let _ = sockopt::set_socket_send_buffer_size(socket, BUFFERS.1);
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let who = holder::of(address).unwrap_or_else(|| "another process".into());
            format!("the port is taken by {who}; stop it, or choose another port")
        }
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "ports below 1024 are root's; let the service manager pass the socket, or give CAP_NET_BIND_SERVICE (README: Ports below 1024)".into()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
        _ => error.to_string(),
    }
}
