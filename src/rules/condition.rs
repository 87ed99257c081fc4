//! What a rule asks of a message, and whether it holds. Everything that is given must hold; of a list one is enough.
//!
//! A fact that is not known yet (the header while RCPT is answered) is told from one that does not hold. Pure.

use super::path::Mailboxes;
use crate::config::pattern::Pattern;
use crate::envelope::ReversePath;
use crate::message::address::{Address, parse_list};
use crate::message::header::{Field, Header};
use ipnet::IpNet;
use regex::Regex;
use std::net::IpAddr;
use wildmatch::WildMatch;

/// Octets of a field's value that are looked at: no more than that is anybody's subject.
const VALUE: usize = 16 << 10;
/// Fields of one name that are looked at.
const FIELDS: usize = 100;

/// What is known of a message for one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// The envelope sender.
    pub from: &'f ReversePath,
    /// The recipient, as the envelope has it.
    pub to: &'f Address,
    /// The listener's address as it is configured; `None` for mail of this machine's own programs.
    pub listener: Option<&'f str>,
    /// The client's address, where it has one.
    pub client: Option<IpAddr>,
    /// The message, once it is there.
    pub content: Option<Content<'f>>,
    /// Which maildirs are there.
    pub mailboxes: Mailboxes<'f>,
}

/// A message that is there.
#[derive(Clone, Copy, Debug)]
pub struct Content<'f> {
    /// Its header.
    pub header: &'f Header,
    /// Its octets on the wire.
    pub size: u64,
}

/// A pattern of envelope senders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// `<>`.
    Null,
    /// Addresses.
    Address(Pattern),
}

/// A pattern of texts.
#[derive(Clone, Debug)]
pub enum Text {
    /// `*` is any run of characters, `?` one; the whole text, in whatever case. Kept in lower case.
    Glob(WildMatch),
    /// A regular expression, which may fit anywhere. Its time is linear in the text's length.
    Regex(Regex),
}

impl Text {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(&text.to_lowercase()),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// What must hold; an empty list asks nothing.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// `from`: the envelope sender.
    pub from: Vec<PathPattern>,
    /// `to`: the envelope recipient.
    pub to: Vec<Pattern>,
    /// `header_from`: an address of the From field.
    pub header_from: Vec<Pattern>,
    /// `header_to`: an address of To or Cc.
    pub header_to: Vec<Pattern>,
    /// `subject`, decoded (RFC 2047).
    pub subject: Vec<Text>,
    /// `header`: by name.
    pub headers: Vec<(String, Vec<Text>)>,
    /// `larger`: more octets than this.
    pub larger: Option<u64>,
    /// `smaller`: fewer octets than this.
    pub smaller: Option<u64>,
    /// `listener`: an address of a `[[listen]]`, or `local` for this machine's own programs.
    pub listener: Vec<String>,
    /// `client`: the client's address is of one of these networks.
    pub client: Vec<IpNet>,
}

/// What `listener` calls mail that came over none.
pub const LOCAL: &str = "local";

/// Whether one condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    /// The message is not there yet.
    Unknown,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Why a rule does not take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// This condition does not hold.
    Fails(String),
    /// That will be known once the message is there.
    Unknown,
}

impl Conditions {
    /// Whether all of it holds.
    ///
    /// # Errors
    /// The first that does not.
    pub fn hold(&self, facts: &Facts<'_>) -> Result<(), Miss> {
        let mut unknown = false;
        for (key, holds) in self.each(facts) {
            match holds {
                Holds::Yes => {}
                Holds::No => return Err(Miss::Fails(key)),
                Holds::Unknown => unknown = true,
            }
        }
        if unknown { Err(Miss::Unknown) } else { Ok(()) }
    }

    /// Whether none of it holds.
    ///
    /// # Errors
    /// The first that does.
    pub fn hold_not(&self, facts: &Facts<'_>) -> Result<(), Miss> {
        let mut unknown = false;
        for (key, holds) in self.each(facts) {
            match holds {
                Holds::Yes => return Err(Miss::Fails(format!("not {key}"))),
                Holds::No => {}
                Holds::Unknown => unknown = true,
            }
        }
        if unknown { Err(Miss::Unknown) } else { Ok(()) }
    }

    /// Every condition that is given, cheap ones first.
    fn each<'c>(&'c self, facts: &'c Facts<'c>) -> impl Iterator<Item = (String, Holds)> + 'c {
        let given =
            |key: &'static str, given: bool, holds: &dyn Fn() -> Holds| given.then(|| (key.to_owned(), holds()));
        let with =
            |test: &dyn Fn(Content<'_>) -> bool| facts.content.map_or(Holds::Unknown, |content| test(content).into());
        let plain = [
            given("to", !self.to.is_empty(), &|| fits(&self.to, facts.to).into()),
            given("from", !self.from.is_empty(), &|| self.from.iter().any(|one| one.matches(facts.from)).into()),
            given("listener", !self.listener.is_empty(), &|| {
                self.listener.iter().any(|one| one == facts.listener.unwrap_or(LOCAL)).into()
            }),
            given("client", !self.client.is_empty(), &|| {
                let client = facts.client.map(|client| client.to_canonical());
                client.is_some_and(|client| self.client.iter().any(|network| network.contains(&client))).into()
            }),
            given("larger", self.larger.is_some(), &|| {
                with(&|content| self.larger.is_some_and(|size| content.size > size))
            }),
            given("smaller", self.smaller.is_some(), &|| {
                with(&|content| self.smaller.is_some_and(|size| content.size < size))
            }),
            given("header_from", !self.header_from.is_empty(), &|| {
                with(&|content| names(content.header, &["From"], &self.header_from))
            }),
            given("header_to", !self.header_to.is_empty(), &|| {
                with(&|content| names(content.header, &["To", "Cc"], &self.header_to))
            }),
            given("subject", !self.subject.is_empty(), &|| {
                with(&|content| says(content.header, "Subject", &self.subject))
            }),
        ];
        let headers = self.headers.iter().map(move |(name, texts)| {
            let holds = facts.content.map_or(Holds::Unknown, |content| says(content.header, name, texts).into());
            (format!("header {name}"), holds)
        });
        plain.into_iter().flatten().chain(headers)
    }
}

impl PathPattern {
    fn matches(&self, path: &ReversePath) -> bool {
        match (self, path) {
            (Self::Null, ReversePath::Null) => true,
            (Self::Address(pattern), ReversePath::Address(address)) => pattern.matches(address),
            _ => false,
        }
    }
}

fn fits(patterns: &[Pattern], address: &Address) -> bool {
    patterns.iter().any(|pattern| pattern.matches(address))
}

/// Whether one of the addresses in these fields fits. A field that is no list of addresses names nobody.
fn names(header: &Header, fields: &[&str], patterns: &[Pattern]) -> bool {
    let all = fields.iter().flat_map(|name| header.all(name).take(FIELDS));
    all.filter_map(|field| parse_list(field.value(), "localhost").ok())
        .flatten()
        .any(|mailbox| fits(patterns, &mailbox.address))
}

/// Whether one of the fields of a name fits.
fn says(header: &Header, name: &str, texts: &[Text]) -> bool {
    header.all(name).take(FIELDS).map(value).any(|value| texts.iter().any(|text| text.matches(&value)))
}

/// A field's value as people read it, its beginning.
fn value(field: &Field) -> String {
    let octets = field.unfolded();
    let text = String::from_utf8_lossy(&octets[..octets.len().min(VALUE)]).into_owned();
    if text.contains("=?") { crate::message::decoded(&text) } else { text }
}
