//! What a sender changes in the messages that it sends: `reply_to`, `bcc`, `headers`, `remove_headers`. Values only.

use super::account::Builder;
use super::error::Place;
use super::toml::{Field, RawAccount, RawHeader, Strings};
use crate::message::address::{self, Address};
use ::toml::Spanned;
use std::collections::BTreeMap;

/// The most addresses in `bcc`, and fields in `headers` and in `remove_headers`.
const MOST: usize = 50;
/// Octets of an added field's value.
const VALUE: usize = 900;
/// Octets of a field's name.
const NAME: usize = 76;
/// Fields that say whose a message is, where it goes, what it is made of and which way it came: they are the business of
/// `from`, `names`, `reply_to`, `bcc` and of the program that wrote the message.
const STRUCTURAL: &[&str] = &[
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Date",
    "Message-ID",
    "Subject",
    "Return-Path",
    "Received",
    "Delivered-To",
    "MIME-Version",
    "DKIM-Signature",
    "Authentication-Results",
    "X-Original-From",
];
/// Beginnings of such names.
const FAMILIES: &[&str] = &["Resent-", "Content-", "ARC-", "X-Postrider-"];

/// What a sender changes in its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// `reply_to`, as it stands in the field.
    pub reply_to: Option<String>,
    /// `reply_to_always`: one that the message has is replaced.
    pub reply_to_always: bool,
    /// `bcc`: each message goes to these too.
    pub bcc: Vec<Address>,
    /// `headers`, by name.
    pub headers: Vec<AddedHeader>,
    /// `remove_headers`.
    pub remove: Vec<String>,
}

/// A field that is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedHeader {
    /// Its name.
    pub name: String,
    /// Its value, as text.
    pub value: String,
    /// Whether those that the message has are replaced; otherwise they stay, and nothing is added.
    pub replace: bool,
}

impl Builder<'_> {
    /// Takes the keys out of an account.
    pub(super) fn outgoing(&mut self, raw: &mut RawAccount) -> Outgoing {
        let at = raw.reply_to.as_ref().map(|field| self.source.place(field));
        let reply_to = self.field("reply_to", raw.reply_to.take(), reply_to);
        if let (None, Some(true)) = (&at, raw.reply_to_always) {
            let place = self.source.file.clone();
            self.note(&place, "reply_to_always = true needs a reply_to");
        }
        Outgoing {
            reply_to,
            reply_to_always: raw.reply_to_always.take().unwrap_or(false),
            bcc: self.archive(raw.bcc.take()),
            headers: self.added(raw.headers.take().unwrap_or_default()),
            remove: self.removed(raw.remove_headers.take()),
        }
    }

    fn archive(&mut self, field: Field<Strings>) -> Vec<Address> {
        self.few("bcc", field, |text| Address::parse(text).map_err(|error| error.to_string()))
    }

    fn removed(&mut self, field: Field<Strings>) -> Vec<String> {
        self.few("remove_headers", field, |text| field_name(text).map(|()| text.to_owned()))
    }

    /// Each string of a list through a parser.
    /// As `each`, of at most `MOST`; none is a list too.
    fn few<T>(&mut self, key: &str, field: Field<Strings>, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let count = field.as_ref().map_or(0, |field| field.get_ref().0.len());
        if count > MOST
            && let Some(field) = &field
        {
            let place = self.source.place(field);
            self.note(&place, format!("{key} holds at most {MOST}"));
        }
        if count == 0 || count > MOST { Vec::new() } else { self.each(key, field, parse).unwrap_or_default() }
    }

    fn added(&mut self, raw: BTreeMap<Spanned<String>, RawHeader>) -> Vec<AddedHeader> {
        let mut all: Vec<AddedHeader> = Vec::new();
        if let Some(first) = raw.keys().next().filter(|_| raw.len() > MOST) {
            let place = self.source.place(first);
            self.note(&place, format!("headers holds at most {MOST}"));
            return all;
        }
        for (name, RawHeader { value, replace }) in raw {
            let place = self.source.place(&name);
            let name = name.into_inner();
            match added(&name, &value, &all) {
                Ok(()) => all.push(AddedHeader { name, value: value.trim().to_owned(), replace }),
                Err(error) => self.header_fault(&place, &error),
            }
        }
        all
    }

    fn header_fault(&mut self, place: &Place, error: &str) {
        self.note(place, format!("headers: {error}"));
    }
}

fn added(name: &str, value: &str, before: &[AddedHeader]) -> Result<(), String> {
    field_name(name)?;
    if before.iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
        return Err(format!("{name} stands here twice"));
    }
    if value.chars().any(char::is_control) {
        return Err(format!("the value of {name} holds a line end or another control character"));
    }
    if value.trim().is_empty() || value.len() > VALUE {
        return Err(format!("the value of {name} is 1 to {VALUE} octets"));
    }
    Ok(())
}

/// RFC 5322 section 3.6.8, and none of the structural fields.
pub(super) fn field_name(name: &str) -> Result<(), String> {
    let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    if name.is_empty() || name.len() > NAME || !name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':') {
        return Err(format!("\"{shown}\" is no field name: 1 to {NAME} visible ASCII characters without a colon"));
    }
    let structural = STRUCTURAL.iter().any(|field| field.eq_ignore_ascii_case(name));
    let family = |start: &&str| name.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start));
    match structural || FAMILIES.iter().any(family) {
        true => Err(format!("{shown} is not a sender's to add or remove; see names, reply_to, bcc and on_mismatch")),
        false => Ok(()),
    }
}

/// One address or several, names allowed, as they stand in a header field.
fn reply_to(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) || text.len() > VALUE {
        return Err(format!("at most {VALUE} octets without control characters"));
    }
    let found = address::parse_list(text.as_bytes(), "localhost").map_err(|error| error.to_string())?;
    match found.iter().find(|mailbox| mailbox.bare) {
        _ if found.is_empty() => Err("an address is needed".into()),
        Some(bare) => Err(format!("\"{}\" has no domain", bare.address.local())),
        None => Ok(crate::message::rewrite::format_list(&found)),
    }
}
