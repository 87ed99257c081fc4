//! Who a message is for and from, as its header says it: the recipients of `-t`, the addresses of From and
//! Sender and of who sent it on.
//!
//! RFC 5322 sections 3.6.2, 3.6.3 and 3.6.6. Values only; what to do about a missing or second From is for the caller.

use super::address::{AddressError, Mailbox, parse_list};
use super::header::Header;

/// Recipient fields, and those of a message that is sent on.
const FIELDS: [&str; 3] = ["To", "Cc", "Bcc"];
const RESENT: [&str; 3] = ["Resent-To", "Resent-Cc", "Resent-Bcc"];

/// The recipients of `-t`: those of To, Cc and Bcc, or where any of the Resent- fields is there, of these alone. In
/// the order of the header, duplicates among them; a group without members gives none.
///
/// # Errors
/// The first element of a field that is no address.
pub fn extract(header: &Header, domain: &str) -> Result<Vec<Mailbox>, AddressError> {
    let names = if RESENT.iter().any(|name| header.first(name).is_some()) { RESENT } else { FIELDS };
    let fields =
        header.fields().iter().filter(|field| names.iter().any(|name| field.name().eq_ignore_ascii_case(name)));
    let mut found = Vec::new();
    for field in fields {
        found.extend(parse_list(field.value(), domain)?);
    }
    Ok(found)
}

/// The mailboxes of every From field; none where there is no such field.
///
/// # Errors
/// The first element that is no address.
pub fn from(header: &Header, domain: &str) -> Result<Vec<Mailbox>, AddressError> {
    all(header, "From", domain)
}

/// The mailboxes of every Sender field: there may be one, and it may hold one, but nobody is held to that.
///
/// # Errors
/// The first element that is no address.
pub fn sender(header: &Header, domain: &str) -> Result<Vec<Mailbox>, AddressError> {
    all(header, "Sender", domain)
}

/// Who has sent the message on: the mailboxes of every Resent-From, and those of every Resent-Sender.
///
/// # Errors
/// The first element that is no address.
pub fn resent(header: &Header, domain: &str) -> Result<(Vec<Mailbox>, Vec<Mailbox>), AddressError> {
    Ok((all(header, "Resent-From", domain)?, all(header, "Resent-Sender", domain)?))
}

fn all(header: &Header, name: &str, domain: &str) -> Result<Vec<Mailbox>, AddressError> {
    let mut found = Vec::new();
    for field in header.all(name) {
        found.extend(parse_list(field.value(), domain)?);
    }
    Ok(found)
}
