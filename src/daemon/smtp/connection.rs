//! One connection of a listener: octets between the socket and the session, every wait bounded, TLS where it is asked for.
//!
//! A limit holds for a whole phase (until the next command is there, the next 64 KiB of text), however few octets
//! trickle in. A client that is too slow hears 421 4.4.2, one that must go because the daemon ends or others need its
//! seat 421 4.3.2.

use super::Service;
use super::bind::Peer;
use super::guard::Seat;
use super::transaction::Host;
use crate::config::{ListenAuth, ListenTls};
use crate::daemon::Daemon;
use crate::net::Wire;
use crate::net::deadline::{Stream, Timed, TimedStream};
use crate::smtp::server::{Action, Features, Intruder, Limits, Session, Waiting};
use crate::sys::clock::{self, Deadline};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

/// Octets read at once: of a message, and of commands, which hundreds may wait for.
const CHUNK: (usize, usize) = (16 << 10, 2 << 10);
/// Octets of text for which a client has `timeouts.body`.
const BODY: usize = 64 << 10;
/// Octets of text that show that a client is not still.
const STIR: usize = 4 << 10;
/// Octets that are still read, and thrown away, of a client that was told good-bye.
const LEFT: usize = 1 << 20;
/// How long a stranger must keep silent before it is greeted: whoever speaks first is no mail client. Long enough for what
/// was sent along with the connection, and nothing beside the time that mail takes between machines.
const SILENCE: Duration = Duration::from_millis(100);
/// How long somebody who must go may take to hear it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves a client to its end.
pub fn serve(daemon: &Daemon, service: &Service, stream: Stream, peer: Peer, seat: &Seat) {
    let total = Deadline::after(service.listener.timeouts.total);
    let stream = TimedStream::new(stream, Deadline::after(service.listener.timeouts.tls).or_earlier(total));
    let mut host = Host::new(daemon, service, seat, peer, total);
    let wire = match (&service.acceptor, service.listener.tls) {
        (Some(acceptor), ListenTls::Implicit) => acceptor.accept(stream),
        _ => Ok(Wire::Plain(stream)),
    };
    let wire = match wire {
        Ok(wire) => wire,
        Err(reason) => return tracing::debug!(client = %peer, reason, "no handshake"),
    };
    host.tls = wire.tls();
    let session = Session::new(limits(service), features(service), wire.is_protected());
    let mut connection =
        Connection { service, seat, session, wire: Some(wire), host, total, text: 0, stir: 0, ended: false };
    if let Err(error) = connection.await_silence(peer).and_then(|()| connection.converse()) {
        tracing::debug!(client = %peer, reason = %error, "a client went away");
    }
    if let Some(intruder) = connection.session.intruder() {
        let reason = match intruder {
            Intruder::OtherProtocol => "it does not speak SMTP",
            Intruder::TooEarly => "it spoke before its turn",
        };
        tracing::warn!(client = %peer, reason, "turned away");
    }
    if let Some(wire) = connection.wire.take() {
        seat.reading();
        linger(wire);
    }
}

/// Ends a connection so that the client can still read what was said last: what it sent and nobody reads any more would
/// otherwise have the kernel throw that away.
fn linger(mut wire: Wire) {
    wire.set_deadline(Deadline::after(GOODBYE));
    let Some(mut stream) = wire.into_stream() else { return };
    stream.shut_write();
    let (mut dropped, mut left) = ([0; 4096], LEFT);
    while let Ok(count @ 1..) = stream.read(&mut dropped) {
        left = left.saturating_sub(count);
        if left == 0 {
            break;
        }
    }
}

/// What the session may use up.
fn limits(service: &Service) -> Limits {
    let limits = &service.listener.limits;
    Limits {
        message: limits.size,
        recipients: limits.recipients,
        errors: limits.errors,
        commands: limits.commands,
        ..Limits::default()
    }
}

/// What the session offers.
fn features(service: &Service) -> Features {
    let listener = &service.listener;
    Features {
        starttls: listener.tls == ListenTls::StartTls,
        auth: listener.auth != ListenAuth::Off,
        auth_in_clear: listener.plaintext_auth,
        require_auth: listener.auth == ListenAuth::Required,
        in_turn: true,
        ..Features::named(service.host.clone())
    }
}

struct Connection<'c> {
    service: &'c Service,
    seat: &'c Seat,
    session: Session,
    /// `None` once a handshake has failed.
    wire: Option<Wire>,
    host: Host<'c>,
    total: Deadline,
    /// Octets of text since the limit was set.
    text: usize,
    /// Octets of text since the seat was told that it moves.
    stir: usize,
    /// It was told that it is over.
    ended: bool,
}

impl Connection<'_> {
    /// Sees that the client waits for the greeting. This machine and its networks are not made to wait.
    fn await_silence(&mut self, peer: Peer) -> io::Result<()> {
        let quiet = if self.service.listener.trusts(peer.address) {
            self.wire()?.is_quiet()
        } else {
            let limit = Deadline::after(SILENCE).or_earlier(self.total);
            self.wire()?.set_deadline(limit);
            self.wire()?.is_silent()
        };
        if !quiet {
            self.session.spoken_too_early();
        }
        Ok(())
    }

    fn converse(&mut self) -> io::Result<()> {
        let mut chunk = Vec::new();
        loop {
            if self.perform_all()? {
                return Ok(());
            }
            if self.ended {
                return Ok(());
            }
            self.seat.reading();
            if self.seat.is_dismissed() {
                self.dismiss();
                continue;
            }
            let octets = if self.session.waiting() == Waiting::Text { CHUNK.0 } else { CHUNK.1 };
            if chunk.len() != octets {
                chunk = vec![0; octets];
            }
            // TLS takes a buffer as soon as it is asked for octets: not before there are some.
            if self.wire()?.is_protected() {
                self.wire()?.is_silent();
            }
            match self.wire()?.read(&mut chunk) {
                Ok(count) if count > 0 => {
                    self.session.feed(chunk.get(..count).unwrap_or_default());
                    if self.session.waiting() == Waiting::Text {
                        self.count(count);
                    }
                }
                // Its seat is needed: that is how it is woken.
                _ if self.seat.is_dismissed() => self.dismiss(),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    self.say_goodbye((4, 4, 2), "You took too long");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// So much text has come.
    fn count(&mut self, octets: usize) {
        self.text += octets;
        self.stir += octets;
        if self.text >= BODY {
            self.allow();
        } else if self.stir >= STIR {
            self.stir = 0;
            self.seat.moved(clock::instant());
        }
    }

    fn wire(&mut self) -> io::Result<&mut Wire> {
        self.wire.as_mut().ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Does what the session says until it wants more; true when it is over.
    fn perform_all(&mut self) -> io::Result<bool> {
        let mut replies = Vec::new();
        let mut over = false;
        while let Some(action) = self.session.poll() {
            match action {
                Action::Reply(octets) => replies.extend(octets),
                Action::Quit => over = true,
                Action::StartTls => {
                    self.write(&mut replies)?;
                    self.start_tls()?;
                }
                other => self.host.perform(&mut self.session, other),
            }
        }
        if !replies.is_empty() {
            self.write(&mut replies)?;
            if !self.ended {
                self.allow();
            }
        }
        Ok(over)
    }

    fn write(&mut self, replies: &mut Vec<u8>) -> io::Result<()> {
        if replies.is_empty() {
            return Ok(());
        }
        self.seat.writing();
        if !self.ended {
            let limit = Deadline::after(self.service.listener.timeouts.command).or_earlier(self.total);
            self.wire()?.set_deadline(limit);
        }
        let wire = self.wire()?;
        wire.write_all(replies)?;
        wire.flush()?;
        replies.clear();
        Ok(())
    }

    /// The client has brought the session forward: the time for the next phase begins.
    fn allow(&mut self) {
        let timeouts = &self.service.listener.timeouts;
        let limit = match self.session.waiting() {
            Waiting::Hello => timeouts.ehlo,
            Waiting::Text => timeouts.body,
            Waiting::Handshake => timeouts.tls,
            Waiting::Command | Waiting::Nothing => timeouts.command,
        };
        (self.text, self.stir) = (0, 0);
        self.seat.moved(clock::instant());
        let limit = Deadline::after(limit).or_earlier(self.total);
        if let Some(wire) = &mut self.wire {
            wire.set_deadline(limit);
        }
    }

    /// The handshake after STARTTLS. What the client sent before it is gone with the session's input (RFC 3207).
    fn start_tls(&mut self) -> io::Result<()> {
        let limit = Deadline::after(self.service.listener.timeouts.tls).or_earlier(self.total);
        self.seat.reading();
        let (Some(Wire::Plain(mut stream)), Some(acceptor)) = (self.wire.take(), &self.service.acceptor) else {
            return Err(ErrorKind::NotConnected.into());
        };
        stream.set_deadline(limit);
        let wire = acceptor.accept(stream).map_err(io::Error::other)?;
        self.host.begin_anew(wire.tls());
        self.wire = Some(wire);
        self.session.tls_started();
        self.allow();
        Ok(())
    }

    fn dismiss(&mut self) {
        self.say_goodbye((4, 3, 2), "The connection is needed for others, or the server ends; try again");
    }

    /// Ends the session; there is a moment for its last words.
    fn say_goodbye(&mut self, enhanced: (u8, u16, u16), text: &str) {
        if let Some(wire) = &mut self.wire {
            wire.set_deadline(Deadline::after(GOODBYE));
        }
        self.session.end(enhanced, text);
        // Set here, as the session has nothing more to say where it was over.
        let _ = self.last_words();
        self.ended = true;
    }

    fn last_words(&mut self) -> io::Result<()> {
        self.ended = true;
        self.perform_all().map(drop)
    }
}
