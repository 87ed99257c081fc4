//! ALL failure policy in one place: what an SMTP, TLS or network failure means, for whom, and for how long.
//!
//! Everything else in the tree carries failures here unjudged.

use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The account or server as a whole: other messages would meet it too.
    Site,
    /// This message, for all of its recipients.
    Message,
    /// This recipient.
    Recipient,
}

/// Whether trying again later can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permanence {
    /// Later may be different.
    Temporary,
    /// It will not get better by itself.
    Permanent,
    /// The message went out, but its reply did not come: it may have been delivered (RFC 1047). Never resend at once.
    Unknown,
}

/// What kind of failure it is; `exit` maps it to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server's name does not exist.
    UnknownHost,
    /// No connection, a lost connection, or a time limit.
    Network,
    /// The certificate or the handshake was no good.
    Tls,
    /// What came back is no SMTP, or breaks it.
    Protocol,
    /// The login was refused.
    Auth,
    /// The password could not be had (file, command ...).
    Secret,
    /// The configuration demands what the server does not offer, or contradicts itself.
    Config,
    /// The server refused the sender or the message.
    Refused,
    /// The server refused this recipient.
    RecipientRefused,
    /// The message cannot be sent as it is (8-bit, UTF-8 address, line length, size).
    Message,
    /// Reading the stored message failed.
    Io,
}

/// A judged failure.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// How far it reaches.
    pub scope: Scope,
    /// Whether later may be different.
    pub permanence: Permanence,
    /// What kind it is.
    pub kind: Kind,
    /// Where it happened.
    pub phase: Phase,
    /// The server's reply, where there was one.
    pub reply: Option<Reply>,
    /// What happened, in plain words, one line, without the server's name and without the reply.
    pub what: String,
    /// What the reader can do about it, where that is known.
    pub advice: Option<String>,
}
