//! The client's side of an SMTP or LMTP session (RFC 5321, RFC 2033): one connection, from greeting to QUIT.
//!
//! It speaks over any stream with a deadline, reads every reply within bounds, and gathers commands so that each flight
//! is one write. It judges nothing: a `Failure` says what happened and where, and `deliver::trouble` what that means.

mod adapt;
mod commands;
mod failure;
mod job;
mod login;
mod parked;
mod rehearse;
mod send;
mod stuffing;
mod transaction;

pub use failure::{Cause, Failure};
pub use job::{Answer, Splits, TAKEN, Taken};
pub use parked::Parked;

#[cfg(test)]
pub(crate) mod tests;

use super::auth::hidden::Hidden;
use super::dialogue::{Event, Transcript};
use super::ehlo::Capabilities;
use super::phase::Phase;
use super::reply::{Parser, Reply};
use crate::config::{Portions, Protocol, Timeouts};
use crate::net::deadline::Timed;
use crate::sys::clock::Deadline;

/// Octets read from the connection at once.
const READ: usize = 16 * 1024;

/// The time limits of a session.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Each phase.
    pub timeouts: Timeouts,
    /// All of it.
    pub total: Deadline,
}

impl Limits {
    /// The configured limits, with the point at which the whole delivery must be over.
    #[must_use]
    pub fn new(timeouts: &Timeouts, total: Deadline) -> Self {
        Self { timeouts: *timeouts, total }
    }

    /// When what begins now in a phase must be over.
    #[must_use]
    pub fn from_now(&self, phase: Phase) -> Deadline {
        Deadline::after(self.timeouts.of(phase)).or_earlier(self.total)
    }
}

/// A session over a connection.
pub struct Session<'t, W> {
    wire: W,
    protocol: Protocol,
    limits: Limits,
    transcript: &'t mut dyn Transcript,
    /// Octets that were read and belong to no reply yet.
    input: Vec<u8>,
    parser: Parser,
    /// Commands that wait to be written.
    output: Vec<u8>,
    capabilities: Capabilities,
    /// What must not be shown, should the server repeat it: what was logged in with, as long as the connection lasts.
    hidden: Hidden,
    /// A login runs: its challenges are returned as they came.
    in_login: bool,
    /// MAIL commands of this session (MAILMAX of RFC 9422 counts them).
    mails: u32,
    /// A transaction was begun and has not ended: another MAIL needs RSET first.
    in_transaction: bool,
    /// Another message may follow: QUIT does not go out with this one.
    keep_open: bool,
    quit_sent: bool,
    /// Nothing can be said any more: the connection is lost, or the server is left in the middle of a message.
    broken: bool,
}

impl<'t, W: Timed> Session<'t, W> {
    /// A session at its begin. After a TLS handshake there is always a new one, so that nothing read before survives it.
    pub fn new(wire: W, protocol: Protocol, limits: Limits, transcript: &'t mut dyn Transcript) -> Self {
        Self {
            wire,
            protocol,
            limits,
            transcript,
            input: Vec::new(),
            parser: Parser::default(),
            output: Vec::new(),
            capabilities: Capabilities::default(),
            hidden: Hidden::default(),
            in_login: false,
            mails: 0,
            in_transaction: false,
            keep_open: false,
            quit_sent: false,
            broken: false,
        }
    }

    /// What the server offered at the last EHLO.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Takes no more recipients at once, and no more transactions in the session, than these, and pipelines only where they
    /// allow it; the server's own limits hold as well.
    pub fn limit(&mut self, portions: Portions) {
        let least = |own: Option<u32>, server: Option<u32>| own.into_iter().chain(server).min();
        let limits = &mut self.capabilities.limits;
        limits.recipients = least(portions.recipients_per_transaction, limits.recipients);
        limits.mails = least(Some(portions.messages_per_connection), limits.mails);
        self.capabilities.pipelining &= portions.pipelining;
    }

    /// One command at a time from here on, whatever the server offers.
    pub fn in_steps(&mut self) {
        self.capabilities.pipelining = false;
    }

    /// Hides from the start what the server may have learned in another session.
    pub fn hide(&mut self, hidden: Hidden) {
        self.hidden = hidden;
    }

    /// What it hides.
    #[must_use]
    pub fn hidden(&self) -> &Hidden {
        &self.hidden
    }

    /// Waits for the server's 220.
    ///
    /// # Errors
    /// Another reply, or none.
    pub fn greeting(&mut self) -> Result<Reply, Failure> {
        let reply = self.reply(Phase::Greeting)?;
        match reply.code {
            220 => Ok(reply),
            _ => Err(Failure::refused(Phase::Greeting, reply)),
        }
    }

    /// EHLO, or LHLO in LMTP. Where `helo` allows it, a server that does not know EHLO is greeted with HELO and offers nothing.
    ///
    /// # Errors
    /// The server refuses both, or the connection is lost; `host` that cannot be said is replaced by `localhost`.
    pub fn ehlo(&mut self, host: &str, helo: bool) -> Result<(), Failure> {
        let host = if is_ehlo_word(host) { host } else { "localhost" };
        let verb = if self.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
        let reply = self.command(Phase::Ehlo, &format!("{verb} {host}"))?;
        if reply.is_positive() {
            self.capabilities = Capabilities::parse(&reply);
            return Ok(());
        }
        if !(helo && self.protocol == Protocol::Smtp && matches!(reply.code, 500 | 501 | 502 | 504 | 550)) {
            return Err(Failure::refused(Phase::Ehlo, reply));
        }
        let reply = self.command(Phase::Ehlo, &format!("HELO {host}"))?;
        self.capabilities = Capabilities::default();
        if reply.is_positive() { Ok(()) } else { Err(Failure::refused(Phase::Ehlo, reply)) }
    }

    /// STARTTLS (RFC 3207). Gives the bare connection back for the handshake; the session ends here.
    ///
    /// # Errors
    /// It is not offered or refused, or something came in clear after the 220: an attack, or a broken server.
    pub fn starttls(mut self) -> Result<W, Failure> {
        if !self.capabilities.starttls {
            let what = "the server does not offer STARTTLS, which the configuration demands; nothing was sent in clear";
            return Err(Failure::new(Phase::StartTls, Cause::Config(what.into())));
        }
        let reply = self.command(Phase::StartTls, "STARTTLS")?;
        if reply.code != 220 {
            return Err(Failure::refused(Phase::StartTls, reply));
        }
        if !self.input.is_empty() || self.parser.is_midway() {
            let what = "the server sent more in clear after its answer to STARTTLS (response injection?)";
            return Err(Failure::new(Phase::StartTls, Cause::Protocol(what.into())));
        }
        Ok(self.wire)
    }

    /// Takes leave: QUIT where it was not yet sent, and a short wait for its reply; neither where the connection is of no
    /// more use. Gives the connection back to be closed.
    pub fn quit(mut self) -> W {
        if self.broken {
            return self.wire;
        }
        self.begin(Phase::Quit);
        let sent = self.quit_sent || (self.queue("QUIT").is_ok() && self.write_out(Phase::Quit).is_ok());
        if sent {
            let _ = self.read_reply(Phase::Quit);
        }
        self.wire
    }

    /// One command and its reply, of whatever code.
    fn command(&mut self, phase: Phase, line: &str) -> Result<Reply, Failure> {
        self.queue(line)?;
        self.flush(phase)?;
        self.reply(phase)
    }

    /// Puts a command into the next flight. No line end can be in it, wherever its words come from.
    fn queue(&mut self, line: &str) -> Result<(), Failure> {
        if line.bytes().any(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            let what = "a value for an SMTP command holds a line end or NUL";
            return Err(Failure::new(Phase::Mail, Cause::Unsendable(what.into())));
        }
        self.transcript.event(&Event::Client(line));
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Writes what is queued, in one flight, with a time limit of its own. A server that goes away often says why
    /// first: its words count more than the broken pipe.
    fn flush(&mut self, phase: Phase) -> Result<(), Failure> {
        self.begin(phase);
        let failure = match self.write_out(phase) {
            Err(failure) if matches!(failure.cause, Cause::Closed | Cause::Lost(_)) => failure,
            done => return done,
        };
        match self.read_reply(phase) {
            Ok(reply) if matches!(reply.code / 100, 4 | 5) => Err(Failure::refused(phase, reply)),
            // TLS has an alert that says why (no client certificate, as TLS 1.3 tells after the handshake).
            Err(Failure { cause: Cause::Lost(why), .. }) => Err(self.lost(phase, Cause::Lost(why))),
            _ => Err(failure),
        }
    }

    fn write_out(&mut self, phase: Phase) -> Result<(), Failure> {
        let written = self.wire.write_all(&self.output).and_then(|()| self.wire.flush());
        self.output.clear();
        written.map_err(|error| self.lost(phase, Failure::io(phase, &error).cause))
    }

    /// Sets the deadline of what comes next.
    fn begin(&mut self, phase: Phase) {
        self.wire.set_deadline(self.limits.from_now(phase));
    }

    /// The next reply, with a time limit of its own.
    fn reply(&mut self, phase: Phase) -> Result<Reply, Failure> {
        self.begin(phase);
        self.read_reply(phase)
    }

    fn read_reply(&mut self, phase: Phase) -> Result<Reply, Failure> {
        loop {
            let fed = self.parser.feed(&self.input);
            let (taken, reply) = fed.map_err(|error| {
                // It quotes the server.
                let what = self.hidden.redacted(&error.to_string());
                self.lost(phase, Cause::Protocol(what))
            })?;
            self.input.drain(..taken);
            if let Some(reply) = reply {
                return Ok(self.tell(reply));
            }
            self.input.resize(READ, 0);
            let read = self.wire.read(&mut self.input);
            self.input.truncate(*read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(self.lost(phase, Cause::Closed)),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(phase, Failure::io(phase, &error).cause)),
            }
        }
    }

    /// The connection is of no more use.
    fn lost(&mut self, phase: Phase, cause: Cause) -> Failure {
        self.broken = true;
        Failure::new(phase, cause)
    }

    /// Shows a reply in the transcript, without what must not be shown. A challenge of a login is returned as it came, for
    /// the mechanism alone; everything else as it was shown.
    fn tell(&mut self, reply: Reply) -> Reply {
        let challenge = self.in_login && reply.code == 334;
        let mut shown = reply.clone();
        self.hidden.redact(&mut shown.lines);
        if challenge && !self.hidden.is_empty() && !reply.lines.iter().all(String::is_empty) {
            // Challenge and proof of a SCRAM login together would do to try passwords.
            shown.lines = vec!["[challenge]".into()];
        }
        let last = shown.lines.len().saturating_sub(1);
        for (number, line) in shown.lines.iter().enumerate() {
            let mark = if number == last { ' ' } else { '-' };
            self.transcript.event(&Event::Server(format!("{}{mark}{line}", reply.code).trim_end()));
        }
        if challenge { reply } else { shown }
    }
}

/// Whether a text can stand after EHLO: a domain or an address literal, printable ASCII without spaces.
fn is_ehlo_word(host: &str) -> bool {
    !host.is_empty() && host.len() <= 255 && host.bytes().all(|octet| octet.is_ascii_graphic())
}
