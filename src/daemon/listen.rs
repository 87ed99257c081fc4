//! The daemon's socket: inherited from the service manager or bound here, and the clients that are admitted there, each
//! given to an attendant.
//!
//! A socket that a dead daemon left is replaced; one that answers, or anything else in its place, never.

#![expect(clippy::disallowed_methods, reason = "the daemon's socket is bound, and its holder looked for, here")]

use super::attendants::Attendants;
use super::peer::Peer;
use super::protocol::Reply;
use super::quota::Share;
use super::stop::Stop;
use super::{Daemon, protocol, session, wire};
use crate::sys::clock::Deadline;
use crate::sys::install;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Where the daemon listens, unless it is told otherwise.
pub const PATH: &str = "/run/postrider/submit.sock";

/// The longest path of a socket (unix(7)), without its end.
const LONGEST: usize = 107;
/// How long the loop rests where the process can take no connection at all.
const REST: Duration = Duration::from_millis(50);

/// Why there is no socket, one line for people.
#[derive(Debug)]
pub struct ListenError {
    path: PathBuf,
    what: String,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket {}: {}", self.path.display(), self.what)
    }
}

impl std::error::Error for ListenError {}

/// A listening socket. One bound here is removed at the end, if it is still the same.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    /// Path, device and inode, where it was bound here.
    own: Option<(PathBuf, u64, u64)>,
}

impl Socket {
    /// A socket that the service manager passed on.
    ///
    /// # Errors
    /// As fcntl(2).
    pub fn passed(listener: UnixListener) -> io::Result<Self> {
        Self::of(listener, None)
    }

    /// The listening socket itself.
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    fn of(listener: UnixListener, own: Option<(PathBuf, u64, u64)>) -> io::Result<Self> {
        // Between poll and accept a client may be gone again.
        listener.set_nonblocking(true)?;
        Ok(Self { listener, own })
    }

    /// Binds a socket that everybody may connect to (mode 0666). Its directory is made (0755) where it is missing.
    ///
    /// # Errors
    /// A path too long, a directory that others may write, a socket that is taken: by whom.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let fault = |what: String| ListenError { path: path.to_owned(), what };
        let octets = path.as_os_str().len();
        if octets > LONGEST {
            return Err(fault(format!("the path has {octets} octets, and a socket's may have {LONGEST}")));
        }
        directory(path).map_err(fault)?;
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                replace(path).map_err(fault)?;
                UnixListener::bind(path)
            }
            bound => bound,
        };
        let bound = || -> io::Result<Self> {
            let listener = listener?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
            let facts = std::fs::symlink_metadata(path)?;
            Self::of(listener, Some((path.to_owned(), facts.dev(), facts.ino())))
        };
        bound().map_err(|error| fault(error.to_string()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some((path, device, inode)) = &self.own else { return };
        if std::fs::symlink_metadata(path).is_ok_and(|facts| (facts.dev(), facts.ino()) == (*device, *inode)) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Makes the socket's directory, or sees that nobody else can put another socket in its place.
fn directory(path: &Path) -> Result<(), String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    install::directory(parent).map_err(|error| match error.kind() {
        // Who else may change it, and which directory that is.
        ErrorKind::PermissionDenied if error.get_ref().is_some() => {
            format!("{error}; name a path in a directory of its own, such as {PATH}")
        }
        _ => format!("the directory {}: {error}", parent.display()),
    })?;
    let facts = std::fs::metadata(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    let own = rustix::process::geteuid().as_raw();
    if facts.uid() != own && facts.uid() != 0 {
        return Err(format!("the directory {} belongs to user {}", parent.display(), facts.uid()));
    }
    if facts.mode() & 0o022 != 0 && facts.mode() & 0o1000 == 0 {
        return Err(format!(
            "others may write the directory {}; name a path in a directory of its own, such as {PATH}",
            parent.display()
        ));
    }
    Ok(())
}

/// Removes a socket that nobody answers on; names who has it otherwise.
fn replace(path: &Path) -> Result<(), String> {
    let facts = std::fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !facts.file_type().is_socket() {
        return Err("there is something else of that name, which is no socket".into());
    }
    match UnixStream::connect(path) {
        Ok(stream) => Err(match rustix::net::sockopt::socket_peercred(&stream) {
            Ok(holder) => {
                format!("taken by process {} of user {}", holder.pid.as_raw_nonzero(), holder.uid.as_raw())
            }
            Err(_) => format!("taken by a process of user {}", facts.uid()),
        }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| format!("an old one cannot be removed: {error}"))
        }
        Err(error) => Err(format!("taken by user {}: {error}", facts.uid())),
    }
}

/// The clients that are being served.
#[derive(Debug, Default)]
struct Served {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// One of them; dropped, it is over.
struct Serving(Arc<Served>, #[expect(dead_code, reason = "given back when the client is gone")] Share);

/// A client that was admitted.
struct Client {
    daemon: Arc<Daemon>,
    peer: Peer,
    stream: UnixStream,
    _serving: Serving,
}

impl Drop for Serving {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_all();
    }
}

impl Served {
    fn begin(self: &Arc<Self>, seat: Share) -> Serving {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Serving(self.clone(), seat)
    }

    fn wait(&self, deadline: Deadline) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(left) = deadline.left().filter(|_| *count > 0) {
            count = self.fewer.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Serves clients until the stop is given, then those that are there for at most `grace`, while `meanwhile` ends what else
/// serves clients.
pub fn serve(socket: &Socket, daemon: &Arc<Daemon>, stop: &Stop, grace: Duration, meanwhile: impl FnOnce()) {
    let served = Arc::new(Served::default());
    let attendants = Attendants::new(|client: Client| session::run(&client.daemon, client.peer, client.stream));
    let mut spare = Spare::new();
    let mut told = false;
    loop {
        match stop.or_readable(Some(socket.listener.as_fd()), None) {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => {
                tracing::error!(reason = %error, "waiting for clients");
                if stop.within(REST) {
                    break;
                }
            }
        }
        match socket.listener.accept() {
            Ok((stream, _)) => {
                told = false;
                admit(stream, daemon, &served, &attendants);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(reason = %error, "no client can be taken for now");
                }
                if !spare.turn_away(socket, &error) && stop.within(REST) {
                    break;
                }
            }
        }
    }
    daemon.waiters.close();
    let end = Deadline::after(grace);
    meanwhile();
    served.wait(end);
}

/// A descriptor that is given up for a moment where the process may open no more, so that a client hears at once that
/// nothing was kept, and does not wait to be taken.
struct Spare(Option<std::fs::File>);

impl Spare {
    fn new() -> Self {
        Self(std::fs::File::open("/dev/null").ok())
    }

    /// Tells the next client to come again. Whether there was one.
    fn turn_away(&mut self, socket: &Socket, error: &io::Error) -> bool {
        let full = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(rustix::io::Errno::raw_os_error);
        if !error.raw_os_error().is_some_and(|code| full.contains(&code)) {
            return false;
        }
        let spared = self.0.take().is_some();
        let accepted = spared.then(|| socket.listener.accept());
        if let Some(Ok((stream, _))) = &accepted {
            busy(stream, "the daemon has no descriptor to spare".into());
        }
        let turned = matches!(accepted, Some(Ok(_)));
        drop(accepted);
        *self = Self::new();
        turned
    }
}

/// Tells a client to ask again a little later; nothing was read.
fn busy(stream: &UnixStream, why: String) {
    let _ = stream.set_nonblocking(true);
    let _ = wire::write_value(&mut &*stream, &Reply::Busy(why), protocol::REPLY);
}

/// Gives a client to somebody who serves it, if there is a seat for its user.
fn admit(stream: UnixStream, daemon: &Arc<Daemon>, served: &Arc<Served>, attendants: &Arc<Attendants<Client>>) {
    let Ok(credentials) = rustix::net::sockopt::socket_peercred(&stream) else { return };
    let peer = Peer { uid: credentials.uid.as_raw(), gid: credentials.gid.as_raw() };
    let mut seat = daemon.limits.seats.share(peer.uid);
    if stream.set_nonblocking(false).is_err() {
        return;
    }
    if !seat.grow(1) {
        busy(&stream, format!("the daemon has too many clients, {} of them yours at most", super::CLIENTS_EACH));
        return;
    }
    let client = Client { daemon: daemon.clone(), peer, stream, _serving: served.begin(seat) };
    if let Err(error) = attendants.serve(client) {
        tracing::error!(reason = %error, "a client was turned away: no thread for it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_taken_names_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sub/submit.sock");
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        let said = Socket::bind(&path).unwrap_err().to_string();
        assert!(said.contains(&format!("taken by process {}", std::process::id())), "{said}");
        drop(socket);
        assert!(!path.exists(), "it is removed at the end");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a stale one");
        drop(Socket::bind(&path).unwrap());
        std::fs::write(&path, "precious").unwrap();
        let said = Socket::bind(&path).unwrap_err().to_string();
        assert!(said.contains("no socket") && path.exists(), "{said}");
    }

    #[test]
    fn bad_places_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let long = directory.path().join("x".repeat(120));
        assert!(Socket::bind(&long).unwrap_err().to_string().contains("107"));
        let open = directory.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        let said = Socket::bind(&open.join("s")).unwrap_err().to_string();
        assert!(said.contains("a directory of its own"), "{said}");
        assert!(Socket::bind(Path::new("/proc/nowhere/s")).is_err());
    }
}
