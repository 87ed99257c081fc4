//! What is changed in a header before the message leaves: missing fields added, Bcc taken out, From replaced.
//!
//! RFC 5322 section 3.6. Fields that need no change keep their octets and their place; added ones stand at the top.
//! Each function tells what it did in plain words, for `postrider explain`. The time and the token of the Message-ID
//! are arguments: there is no clock and no chance here.

use super::Message;
use super::address::{Address, Mailbox, parse_list};
use super::header::{Header, format_mailbox};
use chrono::{DateTime, FixedOffset};

/// Fields that hold address lists, for `qualify`.
const ADDRESSES: [&str; 10] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
];

/// What a message is completed with.
#[derive(Clone, Debug)]
pub struct Completion<'a> {
    /// Date, where there is none.
    pub date: DateTime<FixedOffset>,
    /// Left side of the Message-ID, where there is none: unique, of letters, digits and dots.
    pub id_token: String,
    /// Right side of the Message-ID: a domain.
    pub id_domain: String,
    /// From, where there is none.
    pub from: &'a Address,
    /// The name in an added From.
    pub from_name: Option<&'a str>,
    /// What may be added and taken out.
    pub switches: Switches,
}

/// What a message may be completed with. All of it, unless an msmtprc says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Add a missing Date.
    pub date: bool,
    /// Add a missing Message-ID.
    pub message_id: bool,
    /// Add a missing From.
    pub from: bool,
    /// Take every Bcc out.
    pub strip_bcc: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { date: true, message_id: true, from: true, strip_bcc: true }
    }
}

/// Adds Date, From and Message-ID where they are missing or empty, in this order at the top; removes Return-Path and
/// every Bcc. The switches may keep it from some of that.
pub fn complete(message: &mut Message, with: &Completion<'_>) -> Vec<String> {
    let mut notes = if with.switches.strip_bcc { strip_bcc(message) } else { Vec::new() };
    let header = &mut message.header;
    if header.remove("Return-Path") > 0 {
        notes.push("removed Return-Path: the last server writes it".to_owned());
    }
    let id =
        |text: &str| -> String { text.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).collect() };
    let domain = id(&with.id_domain);
    let domain = if domain.is_empty() { "localhost" } else { &domain };
    let fields = [
        ("Message-ID", with.switches.message_id, format!("<{}@{domain}>", id(&with.id_token))),
        ("From", with.switches.from, format_mailbox(with.from_name, with.from)),
        ("Date", with.switches.date, with.date.format("%a, %d %b %Y %H:%M:%S %z").to_string()),
    ];
    for (name, wanted, value) in fields {
        if wanted && !header.all(name).any(|field| !field.value().is_empty()) {
            header.remove(name);
            header.prepend(name, &value);
            notes.push(format!("added {name}: {value}"));
        }
    }
    notes
}

/// Removes every Bcc and Resent-Bcc, however it is spelled.
pub fn strip_bcc(message: &mut Message) -> Vec<String> {
    let removed = ["Bcc", "Resent-Bcc"].map(|name| (name, message.header.remove(name)));
    removed.iter().filter(|(_, count)| *count > 0).map(|(name, _)| format!("removed {name}")).collect()
}

/// Those of them that say who a message is from: a source route there shows somebody else's address.
const AUTHORS: [&str; 6] = ["From", "Sender", "Reply-To", "Resent-From", "Resent-Sender", "Resent-Reply-To"];

/// Qualifies local names without `@` (`To: root`) with `domain` in every address field that holds one, and drops source
/// routes (`<@a,@b:user@host>`) from those that say who the message is from. Other fields and those that do not parse keep
/// their octets, and so do local names where a field is no UTF-8 and could not be written again as it was.
pub fn qualify(message: &mut Message, domain: &str) -> Vec<String> {
    let mut notes = Vec::new();
    for name in ADDRESSES {
        let lists: Result<Vec<Vec<Mailbox>>, _> =
            message.header.all(name).map(|field| parse_list(field.value(), domain)).collect();
        let Ok(lists) = lists else { continue };
        let garbled = message.header.all(name).any(|field| std::str::from_utf8(field.raw()).is_err());
        let found: Vec<Mailbox> = lists.into_iter().flatten().collect();
        let bare = found.iter().any(|one| one.bare) && !garbled;
        let routed = found.iter().any(|one| one.routed) && AUTHORS.contains(&name);
        if bare || routed {
            message.header.replace(name, &format_list(&found));
        }
        if bare {
            notes.push(format!("qualified {name} with @{domain}"));
        }
        if routed {
            notes.push(format!("dropped the source route in {name}"));
        }
    }
    notes
}

/// Makes the message one of `address`: From is replaced, its name kept unless `name` is given, and Sender removed,
/// since the two would now be the same. The original From stays in X-Original-From, and in Reply-To unless there is one.
pub fn set_from(message: &mut Message, address: &Address, name: Option<&str>) -> Vec<String> {
    let header = &mut message.header;
    let mut notes = set_others(header, address);
    let original: Vec<u8> = header.first("From").map(super::header::Field::unfolded).unwrap_or_default();
    let mailboxes = from_mailboxes(header, address.domain());
    if let [only] = mailboxes.as_slice()
        && header.all("From").count() == 1
        && !only.bare
        && only.address.canonical() == address.canonical()
        && name.is_none_or(|name| only.name.as_deref() == Some(name))
    {
        return notes;
    }
    let kept = mailboxes.first().and_then(|one| one.name.clone());
    let value = format_mailbox(name.or(kept.as_deref()), address);
    header.replace("From", &value);
    notes.push(format!("From is now {value}"));
    // One of a local name alone would send answers to a stranger of that name.
    let others: Vec<Mailbox> =
        mailboxes.into_iter().filter(|one| !one.bare && one.address.key() != address.key()).collect();
    let answered = header.all("Reply-To").any(|field| !field.value().is_empty());
    if !answered && !others.is_empty() {
        header.replace("Reply-To", &format_list(&others));
        notes.push(format!("Reply-To is the original From: {}", format_list(&others)));
    }
    if !original.is_empty() {
        header.remove("X-Original-From");
        header.prepend("X-Original-From", &ascii(&original));
        notes.push("the original From is kept in X-Original-From".to_owned());
    }
    notes
}

/// Whoever else the message presents as its author: Sender and Resent-Sender of another go, Resent-From of another becomes
/// the address.
fn set_others(header: &mut Header, address: &Address) -> Vec<String> {
    let mut notes = Vec::new();
    for name in ["Sender", "Resent-Sender", "Resent-From"] {
        let own = |value: &[u8]| {
            let found = parse_list(value, address.domain()).unwrap_or_default();
            !found.is_empty() && found.iter().all(|one| !one.bare && one.address.canonical() == address.canonical())
        };
        if header.all(name).all(|field| own(field.value())) {
            continue;
        }
        if name == "Resent-From" {
            header.replace(name, &address.to_string());
            notes.push(format!("{name} is now {address}"));
        } else {
            header.remove(name);
            notes.push(format!("removed {name}: it is the one in From now"));
        }
    }
    notes
}

/// Sets a field to a value: where the message has none, or with `replace` in the place of what it has. Whether anything
/// was changed.
pub fn set_field(message: &mut Message, name: &str, value: &str, replace: bool) -> bool {
    let header = &mut message.header;
    let present = header.all(name).any(|field| !field.value().is_empty());
    if present && !replace {
        return false;
    }
    header.replace(name, value);
    true
}

/// The same for a text without structure: outside ASCII it becomes encoded words (RFC 2047 section 5).
pub fn set_text(message: &mut Message, name: &str, text: &str, replace: bool) -> bool {
    set_field(message, name, &ascii(text.as_bytes()), replace)
}

/// The mailboxes of From; none where it does not parse.
fn from_mailboxes(header: &Header, domain: &str) -> Vec<Mailbox> {
    let lists = header.all("From").map(|field| parse_list(field.value(), domain)).collect::<Result<Vec<_>, _>>();
    lists.map(|lists| lists.into_iter().flatten().collect()).unwrap_or_default()
}

/// Mailboxes as they stand in an address field, names in the form that each needs.
#[must_use]
pub fn format_list(mailboxes: &[Mailbox]) -> String {
    let texts: Vec<String> = mailboxes.iter().map(|one| format_mailbox(one.name.as_deref(), &one.address)).collect();
    texts.join(", ")
}

/// A value as it was, or as encoded words where it is not ASCII.
fn ascii(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if text.is_ascii() { text.into_owned() } else { super::encoded_word::encode(&text) }
}
