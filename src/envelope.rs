//! The envelope: who a message is from and for as the SMTP transaction says it (RFC 5321, RFC 3461).
//!
//! Values only; it never looks at the message's header.

mod recipient;

pub use recipient::{OriginalRecipient, RecipientDsn};

use crate::message::address::Address;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// NOTIFY of every recipient that has none of its own.
    pub notify: Option<Notify>,
    /// RET of the message.
    pub ret: Option<Return>,
    /// ENVID, not yet xtext-encoded, at most 100 printable ASCII characters.
    pub envid: Option<String>,
    /// What was asked about single recipients: in an envelope by `Address::canonical`, in what a caller asks by the
    /// recipient as it was written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recipients: BTreeMap<String, RecipientDsn>,
}

impl Dsn {
    /// What is asked about a recipient of the envelope: its own NOTIFY or that of all, and its ORCPT.
    #[must_use]
    pub fn of(&self, recipient: &Address) -> RecipientDsn {
        // Mostly nobody asks anything of one recipient alone, and the canonical form need not be made.
        let own = if self.recipients.is_empty() { None } else { self.recipients.get(&recipient.canonical()) };
        let own = own.cloned().unwrap_or_default();
        RecipientDsn { notify: own.notify.or(self.notify), ..own }
    }
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
    /// An envelope, or `None` where there is no recipient. Duplicates (local part to the letter, domain without regard to case) are dropped, and
    /// so is what was asked about others.
    #[must_use]
    pub fn new(from: ReversePath, recipients: Vec<Address>, mut dsn: Dsn) -> Option<Self> {
        let mut seen = std::collections::HashSet::new();
        let recipients: Vec<Address> = recipients.into_iter().filter(|one| seen.insert(one.canonical())).collect();
        dsn.recipients.retain(|recipient, _| seen.contains(recipient));
        (!recipients.is_empty()).then_some(Self { from, recipients, dsn })
    }

    /// The recipients; never empty.
    #[must_use]
    pub fn recipients(&self) -> &[Address] {
        &self.recipients
    }
}
