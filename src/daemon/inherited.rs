//! Sockets that the service manager passed (sd_listen_fds(3)), each with the name it was given there.
//!
//! Collected once, before threads start. A `[[listen]]` takes one by its name (`fd:NAME`) or by its address; the daemon's
//! own socket is the first unix socket that none of them takes.

use crate::config::ListenAddress;
use crate::sys::env;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

/// A listening socket.
#[derive(Debug)]
pub enum Passed {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// All that were passed and not yet taken.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(String, Passed)>);

/// Family and kind of a TCP socket over IPv6, for `take_custom`.
const INET6: (i32, i32) = (10, 1);

impl Inherited {
    /// Takes them from the environment.
    ///
    /// # Errors
    /// Where one of them is no listening TCP or unix socket.
    pub fn collect() -> io::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").and_then(|names| names.into_string().ok()).unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut passed = listenfd::ListenFd::from_env();
        let mut all = Vec::new();
        for at in 0..passed.len() {
            let name = names.next().unwrap_or_default();
            if let Ok(Some(listener)) = passed.take_unix_listener(at) {
                all.push((name, Passed::Unix(listener)));
            } else if let Ok(Some(listener)) = passed.take_tcp_listener(at) {
                all.push((name, Passed::Tcp(listener)));
            } else if let Some(listener) = passed.take_custom(at, INET6.0, INET6.1, "tcp or unix stream socket")? {
                all.push((name, Passed::Tcp(listener)));
            }
        }
        Ok(Self(all))
    }

    /// The one that a `[[listen]]` means, by name or by address.
    pub fn take(&mut self, wanted: &ListenAddress) -> Option<Passed> {
        let fits = |(name, passed): &(String, Passed)| match (wanted, passed) {
            (ListenAddress::Passed(wanted), _) => name == wanted,
            (ListenAddress::Ip(address), Passed::Tcp(listener)) => {
                address.port() != 0 && listener.local_addr().is_ok_and(|own| own == *address)
            }
            (ListenAddress::Unix(path), Passed::Unix(listener)) => {
                listener.local_addr().is_ok_and(|own| own.as_pathname() == Some(path))
            }
            _ => false,
        };
        let at = self.0.iter().position(fits)?;
        Some(self.0.remove(at).1)
    }

    /// The first unix socket that is left: the daemon's own.
    pub fn take_unix(&mut self) -> Option<UnixListener> {
        let at = self.0.iter().position(|(_, passed)| matches!(passed, Passed::Unix(_)))?;
        match self.0.remove(at).1 {
            Passed::Unix(listener) => Some(listener),
            Passed::Tcp(_) => None,
        }
    }

    /// The names of those that nothing took.
    #[must_use]
    pub fn left(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test binds what would be passed")]

    use super::*;

    #[test]
    fn by_name_by_address_and_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (one, two) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("[::1]:0"));
        let address = one.local_addr().unwrap();
        let unix = |name: &str| Passed::Unix(UnixListener::bind(path(name)).unwrap());
        let mut all = vec![("a".into(), unix("smtp")), ("postrider.socket".into(), unix("submit"))];
        all.push(("submission".into(), Passed::Tcp(one)));
        all.extend(two.map(|two| ("six".to_owned(), Passed::Tcp(two))));
        let mut passed = Inherited(all);
        assert!(passed.take(&ListenAddress::Passed("other".into())).is_none());
        assert!(passed.take(&ListenAddress::Ip("127.0.0.1:0".parse().unwrap())).is_none());
        assert!(passed.take(&ListenAddress::Unix(path("smtp"))).is_some());
        assert!(passed.take(&ListenAddress::Ip(address)).is_some());
        assert!(passed.take(&ListenAddress::Passed("submission".into())).is_none(), "taken by its address");
        let own = passed.take_unix().unwrap();
        assert_eq!(own.local_addr().unwrap().as_pathname(), Some(path("submit").as_path()));
        assert!(passed.take_unix().is_none() && passed.left().iter().all(|name| *name == "six"));
    }
}
