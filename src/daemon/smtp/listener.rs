//! The loop of one listening address: clients admitted, a seat and a thread for each.
//!
//! A thread for each connection, on a small stack: most of a connection's life is waiting, its work (TLS, the check of
//! a password, the queue's commit) blocks, and what it holds is bounded by its seat. So the number of seats bounds
//! threads and memory, and no client can hold up another; see `guard` for who gets a seat.

use super::bind::{Handle, Peer, Socket};
use super::guard::{Full, Place};
use super::{Service, connection};
use crate::config::ListenTls;
use crate::daemon::Daemon;
use crate::daemon::stop::Stop;
use crate::net::deadline::Stream;
use crate::sys::clock;
use rustix::net::SendFlags;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long the loop rests where the process can take no more connections.
const REST: Duration = Duration::from_millis(50);
/// Stack of a connection's thread, octets.
const STACK: usize = 512 << 10;

/// One listening address.
pub struct Point {
    pub socket: Socket,
    /// How its clients are served; a reload puts another in its place for those who come.
    pub service: RwLock<Arc<Service>>,
    pub place: Place,
    pub stop: Stop,
}

impl Point {
    /// Takes clients until the stop is given.
    pub fn run(&self, daemon: &Arc<Daemon>) {
        let mut told = false;
        loop {
            match self.stop.or_readable(Some(self.socket.as_fd()), None) {
                Ok(false) => {}
                Ok(true) => return,
                Err(error) => tracing::error!(reason = %error, "waiting for SMTP clients"),
            }
            match self.socket.accept() {
                Ok((stream, peer)) => {
                    told = false;
                    self.admit(daemon, stream, peer);
                }
                Err(error) if passing(error.kind()) => {}
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(reason = %error, "no SMTP client can be taken for now");
                    }
                    if self.stop.within(REST) {
                        return;
                    }
                }
            }
        }
    }

    /// Gives a client a seat and a thread.
    fn admit(&self, daemon: &Arc<Daemon>, stream: Stream, peer: Peer) {
        let service = self.service.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Ok(handle) = Handle::of(&stream) else { return };
        let limits = &service.listener.limits;
        let seat = match self.place.take(peer.client(), limits, clock::instant(), Box::new(handle)) {
            Ok(seat) => seat,
            Err(full) => return turn_away(&service, &stream, peer, full),
        };
        let daemon = daemon.clone();
        let thread = std::thread::Builder::new().name("smtp".into()).stack_size(STACK);
        let started = thread.spawn(move || connection::serve(&daemon, &service, stream, peer, &seat));
        if let Err(error) = started {
            tracing::error!(reason = %error, "an SMTP client was turned away: no thread for it");
        }
    }
}

/// What accept(2) says of one client alone.
fn passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

/// Says 421 without waiting for anybody; within implicit TLS there is nobody who could hear it.
fn turn_away(service: &Service, stream: &Stream, peer: Peer, full: Full) {
    let why = match full {
        Full::All => "Too many connections",
        Full::Client => "Too many connections from your address",
    };
    tracing::warn!(client = %peer, listener = %service.address, reason = why, "turned away");
    if service.listener.tls == ListenTls::Implicit {
        return;
    }
    let line = format!("421 4.7.0 {} {why}, try again later\r\n", service.host);
    // It fits into the socket's empty buffer; a client that is gone already needs no telling.
    let _ = match stream {
        Stream::Tcp(stream) => rustix::net::send(stream, line.as_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
        Stream::Unix(stream) => rustix::net::send(stream, line.as_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
    };
}
