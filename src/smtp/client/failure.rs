//! What went wrong in a session, unjudged.

use crate::net::tls;
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use std::io::{self, ErrorKind};

/// A failure and where it happened.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where.
    pub phase: Phase,
    /// What.
    pub cause: Cause,
    /// The final dot may have reached the server, and no reply to it came: the message may have been taken.
    pub in_doubt: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Cause {
    /// The server said no.
    Refused(Reply),
    /// The server said no to a login, and the mechanism carried an explanation of its own.
    RefusedBecause(Reply, String),
    /// A time limit passed.
    TimedOut,
    /// The server closed the connection.
    Closed,
    /// The connection was lost: why.
    Lost(String),
    /// What came back is no SMTP, or breaks it: how.
    Protocol(String),
    /// The configuration demands what the server does not offer, or contradicts itself: what.
    Config(String),
    /// The password could not be had: why.
    Secret(String),
    /// This message cannot be sent to this server: why.
    Unsendable(String),
    /// Reading the stored message failed: why.
    Source(String),
    /// The server takes no more messages in this connection (RFC 9422): another connection goes on.
    NextSession,
    /// The result for other recipients could not be written down, and until then nothing more is sent.
    Unrecorded,
}

impl Failure {
    /// A failure before the end of the message.
    #[must_use]
    pub fn new(phase: Phase, cause: Cause) -> Self {
        Self { phase, cause, in_doubt: false }
    }

    /// A reply that says no.
    #[must_use]
    pub fn refused(phase: Phase, reply: Reply) -> Self {
        match reply.code / 100 {
            4 | 5 => Self::new(phase, Cause::Refused(reply.short())),
            _ => Self::new(phase, Cause::Protocol(format!("a reply that does not belong here: {}", reply.short()))),
        }
    }

    /// An error of the connection.
    #[must_use]
    pub fn io(phase: Phase, error: &io::Error) -> Self {
        let cause = match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Cause::TimedOut,
            ErrorKind::UnexpectedEof | ErrorKind::WriteZero => Cause::Closed,
            _ => Cause::Lost(tls::reasons(error.to_string().split(" (os error").next().unwrap_or_default())),
        };
        Self::new(phase, cause)
    }

    /// The same, after the final dot may have gone out.
    #[must_use]
    pub fn in_doubt(self) -> Self {
        Self { in_doubt: true, ..self }
    }

    /// Whether the server said that it closes the connection (RFC 5321 section 3.8).
    #[must_use]
    pub fn is_goodbye(&self) -> bool {
        matches!(&self.cause, Cause::Refused(reply) if reply.code == 421)
    }
}
