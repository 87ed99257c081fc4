//! The identity guard: where a server demands that a message comes from its own account, compare envelope sender, From
//! and Sender, and who sent it on, with what the account may send, before anything connects. Pure.

use crate::config::Sender;
use crate::envelope::ReversePath;
use crate::message::address::{Address, Mailbox};
use std::fmt;

/// Which of a message's identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// MAIL FROM.
    Envelope,
    /// The From header.
    From,
    /// The Sender header.
    Sender,
    /// The Resent-From header.
    ResentFrom,
    /// The Resent-Sender header.
    ResentSender,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envelope => "envelope sender",
            Self::From => "From",
            Self::Sender => "Sender",
            Self::ResentFrom => "Resent-From",
            Self::ResentSender => "Resent-Sender",
        })
    }
}

/// The identities of a message that an account may not send; empty where the account does not mind.
#[must_use]
pub fn mismatches<'a>(
    account: &Sender,
    envelope: &ReversePath,
    header: impl Iterator<Item = (Identity, &'a Mailbox)>,
) -> Vec<(Identity, Address)> {
    if !account.identity.must_match {
        return Vec::new();
    }
    let header = header.map(|(which, mailbox)| (which, mailbox.address.clone()));
    let all = header.chain(envelope.address().map(|address| (Identity::Envelope, address.clone())));
    all.filter(|(_, address)| !account.may_send(address)).collect()
}

/// The refusal, in words: what does not fit, whom, and what mends it.
#[must_use]
pub fn refusal(account: &Sender, name: &str, found: &[(Identity, Address)]) -> String {
    let what: Vec<String> = found.iter().map(|(which, address)| format!("{which} {address}")).collect();
    let own = account.own_address().map_or_else(|| "its own addresses".to_owned(), |address| address.to_string());
    format!(
        "{} is not allowed by {name}: its server takes only mail from {own} ({}); \
         add the address to its from, or set on_mismatch = \"rewrite\" or \"route\"",
        what.join(", "),
        account.place
    )
}
