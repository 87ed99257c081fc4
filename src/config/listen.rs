//! `[[listen]]` and `[[user]]` as the daemon's SMTP listeners see them (RFC 5321, RFC 6409). Plain values.

mod build;
#[cfg(test)]
mod tests;
mod validate;

pub(super) use build::{RawListen, RawUser};
pub(super) use validate::validate;

use super::error::Place;
use crate::message::address::Address;
use crate::secret::Secret;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The most octets that a message may have: what the daemon takes, by whatever way.
pub const LARGEST: u64 = 100 << 20;

/// The most connections at once, of all listeners together: each has a thread and some memory, of which the unit allows so
/// much (TasksMax=, MemoryMax=).
pub const CONNECTIONS: usize = 400;
/// The most addresses that are listened at.
pub(super) const ADDRESSES: usize = 64;

/// One `[[listen]]`.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where it is defined.
    pub place: Place,
    /// `address`: where it listens; at least one.
    pub addresses: Vec<ListenAddress>,
    /// `purpose`.
    pub purpose: Purpose,
    /// `tls`.
    pub tls: ListenTls,
    /// `certificate` and `key`: PEM files; one file with both stands in both places. Always there unless TLS is off.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// `auth`.
    pub auth: ListenAuth,
    /// `allow_plaintext_auth`: logins are taken outside TLS too. Every address is one of this machine then.
    pub plaintext_auth: bool,
    /// `networks`: clients that may submit without a login, besides this machine itself.
    pub networks: Vec<IpNet>,
    /// `hostname`: what it calls itself; the host's name where it is not given.
    pub hostname: Option<String>,
    /// `domains`: every address of these is taken in, in lower case. For `Purpose::Incoming` alone.
    pub domains: Vec<String>,
    /// `addresses`: these are taken in. For `Purpose::Incoming` alone.
    pub recipients: Vec<Address>,
    /// What one client and all together may use up.
    pub limits: ListenLimits,
    /// `timeouts`.
    pub timeouts: ListenTimeouts,
}

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An IP address and a port; port 0 is a free one, which the log names.
    Ip(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
    /// `fd:NAME`: a socket that the service manager passes by that name (FileDescriptorName=).
    Passed(String),
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Programs send through it as through `sendmail` (RFC 6409).
    #[default]
    Submission,
    /// Mail for this machine comes in (RFC 5321).
    Incoming,
}

/// How connections are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenTls {
    /// Not at all.
    #[default]
    Off,
    /// STARTTLS is offered (RFC 3207).
    StartTls,
    /// From the first octet (RFC 8314).
    Implicit,
}

/// Whether clients log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenAuth {
    /// AUTH is not offered.
    #[default]
    Off,
    /// AUTH is offered; this machine and `networks` need none.
    Optional,
    /// Nothing is taken without a login.
    Required,
}

/// What one client and all together may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenLimits {
    /// `max_connections`: connections at once at one address, 1 to 400, which all addresses share.
    pub connections: usize,
    /// `max_per_client`: of these, from one client address (IPv6: one /64), 1 to 400.
    pub per_client: usize,
    /// `max_size`: octets of a message, at most 100 MiB.
    pub size: u64,
    /// `max_recipients`: recipients of a message, 1 to 100,000.
    pub recipients: usize,
    /// `max_errors`: faulty commands and refused logins of a connection, from 1.
    pub errors: usize,
    /// `max_commands`: commands of a connection that bring no message nearer, from 10.
    pub commands: usize,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self { connections: 200, per_client: 50, size: 50 << 20, recipients: 1000, errors: 20, commands: 1000 }
    }
}

/// How long a client may take (RFC 5321 section 4.5.3.2.7 asks for five minutes between commands).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenTimeouts {
    /// `tls`: the handshake.
    pub tls: Duration,
    /// `ehlo`: until the client has given its name.
    pub ehlo: Duration,
    /// `command`: until the next command has come whole, and until a reply is taken.
    pub command: Duration,
    /// `body`: each 64 KiB of a message.
    pub body: Duration,
    /// `total`: a whole connection.
    pub total: Duration,
}

impl Default for ListenTimeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { tls: seconds(30), ehlo: seconds(60), command: seconds(300), body: seconds(180), total: seconds(7200) }
    }
}

/// One `[[user]]`: who may log in to a submission listener.
#[derive(Clone, Debug)]
pub struct User {
    /// The login name.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// `password_hash`, in the PHC string form of Argon2; shared so that a clone copies no secret.
    pub hash: Arc<PasswordHash>,
    /// `senders`: the senders that it may use, by name; `default` is the default relay. `None`: all that have neither
    /// `users` nor `groups`, and the default relay.
    pub senders: Option<Vec<String>>,
}

/// The hash of a password. Not the password, but what it can be guessed from, so it is never printed either.
pub struct PasswordHash(pub Secret);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Listener {
    /// Whether a client may submit without a login: this machine, and the listed networks. `None` is a unix socket.
    #[must_use]
    pub fn trusts(&self, client: Option<IpAddr>) -> bool {
        let Some(client) = client.map(|address| address.to_canonical()) else { return true };
        client.is_loopback() || self.networks.iter().any(|network| network.contains(&client))
    }

    /// Whether mail for an address is taken in: its domain is listed, or the address itself.
    #[must_use]
    pub fn takes(&self, recipient: &Address) -> bool {
        self.serves(recipient) || self.recipients.iter().any(|known| known.key() == recipient.key())
    }

    /// Whether the whole domain of an address is listed.
    fn serves(&self, recipient: &Address) -> bool {
        self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(recipient.domain()))
    }

    /// Whether any listed address is of the domain of this one: then the refusal is about the mailbox, not about relaying.
    #[must_use]
    pub fn knows_domain(&self, recipient: &Address) -> bool {
        self.recipients.iter().any(|known| known.domain().eq_ignore_ascii_case(recipient.domain()))
    }
}

impl ListenAddress {
    /// Whether only this machine can connect there.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
            Self::Passed(_) => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Passed(name) => write!(f, "fd:{name}"),
        }
    }
}
