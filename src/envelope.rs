//! The envelope: who a message is from and for as the SMTP transaction says it (RFC 5321, RFC 3461).
//!
//! Values only; it never looks at the message's header.

use crate::message::address::Address;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The path of MAIL FROM (RFC 5321 section 4.1.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: no answer may come back (bounces, vacation replies).
    Null,
    /// An address that bounces go to.
    Address(Address),
}

impl ReversePath {
    /// The address, unless it is the null path.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    /// The address without angle brackets; `<>` for the null path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => f.write_str(address.as_str()),
        }
    }
}

/// When the server is asked to send a delivery status notification (RFC 3461 section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// NEVER: excludes the others.
    pub never: bool,
    /// SUCCESS.
    pub success: bool,
    /// FAILURE.
    pub failure: bool,
    /// DELAY.
    pub delay: bool,
}

/// How much of the message a notification returns (RFC 3461 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Return {
    /// RET=HDRS.
    Headers,
    /// RET=FULL.
    Full,
}

/// What the caller asked about delivery status notifications; used where the server offers DSN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dsn {
    /// NOTIFY of every recipient.
    pub notify: Option<Notify>,
    /// RET of the message.
    pub ret: Option<Return>,
    /// ENVID, not yet xtext-encoded, at most 100 printable ASCII characters.
    pub envid: Option<String>,
}

/// A message's envelope. Holds at least one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub from: ReversePath,
    /// RCPT TO, in the caller's order, each once.
    recipients: Vec<Address>,
    /// Delivery status notification options.
    pub dsn: Dsn,
}

impl Envelope {
    /// An envelope, or `None` where there is no recipient. Duplicates (local part to the letter, domain without regard to case) are dropped.
    #[must_use]
    pub fn new(from: ReversePath, recipients: Vec<Address>, dsn: Dsn) -> Option<Self> {
        let mut seen = std::collections::HashSet::new();
        let recipients: Vec<Address> = recipients.into_iter().filter(|one| seen.insert(one.canonical())).collect();
        (!recipients.is_empty()).then_some(Self { from, recipients, dsn })
    }

    /// The recipients; never empty.
    #[must_use]
    pub fn recipients(&self) -> &[Address] {
        &self.recipients
    }
}
