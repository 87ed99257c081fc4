//! postrider.toml and its fragments as serde sees them: strict, every value with its place.
//!
//! Text in, raw values or one clear error out (TOML 1.0). No IO. An error never repeats a value, which may be a secret,
//! and names an unknown key only where `quote` allows it (not for a file named on the command line).

use super::error::{ConfigError, Place};
use super::limits::RawSenderLimits;
use super::listen::{RawListen, RawUser};
use super::rules::{RawRule, RawRules};
use super::{keys, nearest};
use crate::secret::{Literal, Secret};
use ::toml::Spanned;
use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// An optional value with its place.
pub(super) type Field<T> = Option<Spanned<T>>;

/// The main file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub enabled: Option<bool>,
    pub resent: Option<bool>,
    pub domain: Field<String>,
    pub tempfail_exit: Field<i64>,
    pub log: Option<RawLog>,
    pub queue: Option<RawQueue>,
    #[serde(default)]
    pub bulk: Vec<Spanned<RawBulk>>,
    pub brake: Field<RawBrake>,
    pub aliases: Field<String>,
    pub aliases_format: Field<String>,
    pub local_domains: Field<Strings>,
    pub default_recipient: Field<String>,
    pub staging: Field<RawStaging>,
    pub msmtp: Option<RawMsmtp>,
    pub default: Field<RawDefault>,
    pub limits: Option<RawLimits>,
    #[serde(default)]
    pub limit: Vec<Spanned<RawShared>>,
    #[serde(default)]
    pub sender: Vec<Spanned<RawSender>>,
    #[serde(default)]
    pub reply: Vec<Spanned<RawReply>>,
    #[serde(default)]
    pub listen: Vec<Spanned<RawListen>>,
    #[serde(default)]
    pub user: Vec<Spanned<RawUser>>,
    pub rules: Option<RawRules>,
    #[serde(default)]
    pub rule: Vec<Spanned<RawRule>>,
}

/// A rule for replies, in `[[reply]]` and in `replies` of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReply {
    pub code: Field<i64>,
    pub enhanced: Field<String>,
    pub text: Field<String>,
    pub phase: Field<String>,
    pub then: Field<String>,
    #[serde(rename = "for")]
    pub duration: Field<String>,
    pub advice: Field<String>,
}

/// A file of `senders.d`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFragment {
    #[serde(default)]
    pub sender: Vec<Spanned<RawSender>>,
}

/// `[log]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub to: Field<String>,
    pub format: Field<String>,
}

/// `[queue]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQueue {
    pub directory: Field<String>,
    pub direct: Field<String>,
    pub retry: Field<Strings>,
    pub warn_after: Field<String>,
    pub expire_after: Field<String>,
    pub history: Field<String>,
    pub min_free: Field<String>,
    pub postmaster: Field<String>,
    pub connections: Field<i64>,
    pub bulk_recipients: Field<i64>,
}

/// `[brake]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBrake {
    pub messages: Field<i64>,
    pub per: Field<String>,
    pub by: Field<Strings>,
    pub alert: Option<Strings>,
    pub exempt: Option<Strings>,
    #[serde(default)]
    pub except: Vec<Spanned<RawExcept>>,
}

/// `[[brake.except]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExcept {
    pub script: Field<String>,
    pub user: Field<String>,
    pub messages: Field<i64>,
}

/// `[[bulk]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBulk {
    pub header: Field<String>,
    pub matches: Field<String>,
    pub sender: Field<String>,
}

/// `[limits]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub file: Field<String>,
    pub timezone: Field<String>,
}

/// One of `limits = [{ ... }]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWindow {
    pub recipients: Field<i64>,
    pub messages: Field<i64>,
    pub per: Field<String>,
}

/// `[[limit]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShared {
    pub name: Field<String>,
    pub recipients: Field<i64>,
    pub messages: Field<i64>,
    pub per: Field<String>,
    pub timezone: Field<String>,
    pub senders: Field<Strings>,
    pub domain: Field<String>,
}

/// A number, or a text such as `10%`.
pub(super) enum Share {
    Number(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShareVisitor;
        impl Visitor<'_> for ShareVisitor {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a share such as \"10%\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Share, E> {
                Ok(Share::Number(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
                Ok(Share::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(ShareVisitor)
    }
}

/// `[msmtp]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMsmtp {
    pub options: Field<String>,
}

/// `[staging]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStaging {
    pub capture: Field<String>,
    pub redirect_to: Field<String>,
    pub allow: Field<Strings>,
}

/// `timeouts = { ... }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimeouts {
    pub connect: Field<String>,
    pub command: Field<String>,
    pub password: Field<String>,
    pub greeting: Field<String>,
    pub ehlo: Field<String>,
    pub auth: Field<String>,
    pub mail: Field<String>,
    pub rcpt: Field<String>,
    pub data: Field<String>,
    pub body: Field<String>,
    pub data_end: Field<String>,
    pub quit: Field<String>,
    pub total: Field<String>,
}

/// A table with the keys of an SMTP account next to its own: serde's `flatten` would lose strictness and places.
macro_rules! with_account {
    ($(#[$doc:meta])* $name:ident { $($own:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $(pub $own: $kind,)*
            provider: Field<String>, region: Field<String>, server: Field<Strings>, user: Field<String>,
            password: Field<RawPassword>, auth: Field<String>, allow_plaintext_password: Option<bool>,
            ehlo: Field<String>, timeouts: Option<RawTimeouts>, ca_file: Field<String>, tls_check: Option<bool>,
            fingerprint: Field<String>, tls_name: Field<String>, client_cert: Field<String>,
            client_key: Field<String>, client_password: Field<RawPassword>, proxy: Field<String>, source: Field<String>,
            from: Field<Strings>, names: Option<BTreeMap<Spanned<String>, String>>, must_match: Option<bool>,
            limits: Field<Vec<RawWindow>>, at_limit: Field<String>, reserve: Field<Share>, timezone: Field<String>,
            on_mismatch: Field<String>, debug: Option<bool>, log_file: Field<String>, bulk: Field<String>,
            dkim_selector: Field<String>,
            replies: Option<Vec<Spanned<RawReply>>>,
            connections: Field<i64>, messages_per_connection: Field<i64>, recipients_per_transaction: Field<i64>,
            pipelining: Option<bool>, pace: Field<String>, idle: Field<String>,
            reply_to: Field<String>, reply_to_always: Option<bool>, bcc: Field<Strings>,
            headers: Option<BTreeMap<Spanned<String>, RawHeader>>, remove_headers: Field<Strings>,
        }

        impl $name {
            /// Takes the account's keys out.
            pub fn take_account(&mut self) -> RawAccount {
                RawAccount {
                    provider: self.provider.take(), region: self.region.take(), server: self.server.take(),
                    user: self.user.take(), password: self.password.take(), auth: self.auth.take(),
                    allow_plaintext_password: self.allow_plaintext_password.take(), ehlo: self.ehlo.take(),
                    timeouts: self.timeouts.take(), ca_file: self.ca_file.take(), tls_check: self.tls_check.take(),
                    fingerprint: self.fingerprint.take(), tls_name: self.tls_name.take(),
                    client_cert: self.client_cert.take(), client_key: self.client_key.take(),
                    client_password: self.client_password.take(),
                    proxy: self.proxy.take(), source: self.source.take(), from: self.from.take(),
                    names: self.names.take(), must_match: self.must_match.take(),
                    on_mismatch: self.on_mismatch.take(), debug: self.debug.take(), log_file: self.log_file.take(),
                    replies: self.replies.take(),
                    limits: RawSenderLimits {
                        limits: self.limits.take(), at_limit: self.at_limit.take(),
                        reserve: self.reserve.take(), timezone: self.timezone.take(),
                    },
                    bulk: self.bulk.take(), dkim_selector: self.dkim_selector.take(),
                    flow: RawFlow {
                        connections: self.connections.take(),
                        messages_per_connection: self.messages_per_connection.take(),
                        recipients_per_transaction: self.recipients_per_transaction.take(),
                        pipelining: self.pipelining.take(),
                        pace: self.pace.take(),
                        idle: self.idle.take(),
                    },
                    reply_to: self.reply_to.take(), reply_to_always: self.reply_to_always.take(),
                    bcc: self.bcc.take(), headers: self.headers.take(), remove_headers: self.remove_headers.take(),
                }
            }
        }
    };
}

with_account! {
    /// `[default]`.
    RawDefault {
        relay: Field<String>, msmtprc: Field<String>, account: Field<String>, match_from: Option<bool>,
    }
}

with_account! {
    /// `[[sender]]`.
    RawSender {
        name: Field<String>, enabled: Option<bool>, users: Option<Strings>, groups: Option<Strings>,
        backup: Field<Strings>, backup_after: Field<String>,
    }
}

/// The keys of an SMTP account, in `[default]` and in `[[sender]]`.
pub(super) struct RawAccount {
    pub provider: Field<String>,
    pub region: Field<String>,
    pub server: Field<Strings>,
    pub user: Field<String>,
    pub password: Field<RawPassword>,
    pub auth: Field<String>,
    pub allow_plaintext_password: Option<bool>,
    pub ehlo: Field<String>,
    pub timeouts: Option<RawTimeouts>,
    pub ca_file: Field<String>,
    pub tls_check: Option<bool>,
    pub fingerprint: Field<String>,
    pub tls_name: Field<String>,
    pub client_cert: Field<String>,
    pub client_key: Field<String>,
    pub client_password: Field<RawPassword>,
    pub proxy: Field<String>,
    pub source: Field<String>,
    pub from: Field<Strings>,
    pub names: Option<BTreeMap<Spanned<String>, String>>,
    pub must_match: Option<bool>,
    pub on_mismatch: Field<String>,
    pub debug: Option<bool>,
    pub log_file: Field<String>,
    pub replies: Option<Vec<Spanned<RawReply>>>,
    pub limits: RawSenderLimits,
    pub bulk: Field<String>,
    pub dkim_selector: Field<String>,
    pub flow: RawFlow,
    pub reply_to: Field<String>,
    pub reply_to_always: Option<bool>,
    pub bcc: Field<Strings>,
    pub headers: Option<BTreeMap<Spanned<String>, RawHeader>>,
    pub remove_headers: Field<Strings>,
}

/// The keys that say how a sender's mail flows.
#[derive(Default)]
pub(super) struct RawFlow {
    pub connections: Field<i64>,
    pub messages_per_connection: Field<i64>,
    pub recipients_per_transaction: Field<i64>,
    pub pipelining: Option<bool>,
    pub pace: Field<String>,
    pub idle: Field<String>,
}

/// A field of `headers`: its value, or a table with `value` and `replace`.
pub(super) struct RawHeader {
    pub value: String,
    pub replace: bool,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeaderVisitor)
    }
}

const HEADER_KEYS: &[&str] = &["value", "replace"];

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or { value = \"...\", replace = true }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawHeader, E> {
        Ok(RawHeader { value: text.to_owned(), replace: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let (mut value, mut replace) = (String::new(), false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "value" => value = map.next_value()?,
                "replace" => replace = map.next_value()?,
                other => return Err(de::Error::unknown_field(other, HEADER_KEYS)),
            }
        }
        Ok(RawHeader { value, replace })
    }
}

/// One string or a list of them; each of a list with its place.
#[derive(Default)]
pub(super) struct Strings(pub Vec<(Option<Range<usize>>, String)>);

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringsVisitor;
        impl<'de> Visitor<'de> for StringsVisitor {
            type Value = Strings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Strings, E> {
                Ok(Strings(vec![(None, text.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strings, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element::<Spanned<String>>()? {
                    all.push((Some(one.span()), one.into_inner()));
                }
                Ok(Strings(all))
            }
        }
        deserializer.deserialize_any(StringsVisitor)
    }
}

/// `password`: a literal, or a table with one of four keys.
pub(super) enum RawPassword {
    Literal(Arc<Literal>),
    File(String),
    Command(Strings),
    Env(String),
    Credential(String),
}

impl<'de> Deserialize<'de> for RawPassword {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PasswordVisitor)
    }
}

/// The keys of `password = { ... }`.
const PASSWORD_KEYS: &[&str] = &["file", "command", "env", "credential"];

struct PasswordVisitor;

impl<'de> Visitor<'de> for PasswordVisitor {
    type Value = RawPassword;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ file = \"...\" }, { command = [...] }, { env = \"...\" }, { credential = \"...\" } or a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawPassword, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<RawPassword, E> {
        Ok(RawPassword::Literal(Arc::new(Literal(Secret::new(text)))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawPassword, A::Error> {
        let one = || de::Error::custom(ONE_SOURCE);
        let key: String = map.next_key()?.ok_or_else(one)?;
        let source = match key.as_str() {
            "file" => RawPassword::File(map.next_value()?),
            "command" => RawPassword::Command(map.next_value()?),
            "env" => RawPassword::Env(map.next_value()?),
            "credential" => RawPassword::Credential(map.next_value()?),
            other => return Err(de::Error::unknown_field(other, PASSWORD_KEYS)),
        };
        match map.next_key::<String>()? {
            None => Ok(source),
            Some(key) if PASSWORD_KEYS.contains(&key.as_str()) => Err(one()),
            Some(other) => Err(de::Error::unknown_field(&other, PASSWORD_KEYS)),
        }
    }
}

/// The one error text of our own that passes through serde.
const ONE_SOURCE: &str = "password has exactly one of file, command, env, credential";

/// A text, the file that it came from, and whether an error may repeat the names in it.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub text: &'t str,
    pub file: &'t Place,
    pub quote: bool,
}

impl Source<'_> {
    /// The place of an octet.
    pub fn at(&self, offset: usize) -> Place {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        Place { file: self.file.file.clone(), line: 1 + memchr::memchr_iter(b'\n', before).count() }
    }

    /// The place of a value.
    pub fn place<T>(&self, value: &Spanned<T>) -> Place {
        self.at(value.span().start)
    }

    /// Reads the text.
    pub fn parse<T: de::DeserializeOwned>(&self) -> Result<T, ConfigError> {
        ::toml::from_str(self.text).map_err(|error| {
            let place = error.span().map_or_else(|| self.file.clone(), |span| self.at(span.start));
            ConfigError::at(&place, self.explain(error.message(), error.span()))
        })
    }

    /// serde's and the TOML parser's words, without the values in them.
    fn explain(&self, message: &str, span: Option<Range<usize>>) -> String {
        if let Some(rest) = message.strip_prefix("unknown field `") {
            return self.unknown_key(rest);
        }
        if let Some(rest) = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: ")) {
            let found = rest.split([' ', ',']).next().unwrap_or_default();
            let found = if found == "map" { "table" } else { found };
            // From the right: the value, which may hold anything, stands before it.
            let expected = rest.rsplit_once(", expected ").map_or("another value", |(_, expected)| expected);
            let key = self.key_at(span).map_or_else(String::new, |key| format!("{key}: "));
            return format!("{key}expected {expected}, found {found}");
        }
        let message = message.lines().next().unwrap_or_default();
        if message == ONE_SOURCE || message == "duplicate key" {
            let key = self.key_at(span).filter(|_| message != ONE_SOURCE);
            return key.map_or(message.to_owned(), |key| format!("{message}: {key} stands here twice"));
        }
        format!("not valid TOML: {message}")
    }

    /// `rest` is serde's text behind the opening backtick: the key, then the known ones, each in backticks.
    fn unknown_key(&self, rest: &str) -> String {
        let (key, known) = rest.rsplit_once("`, expected ").unwrap_or((rest, ""));
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        let name = if self.quote { format!(" \"{}\"", shown(key)) } else { String::new() };
        let near = nearest::slip(key, known.iter().copied());
        let letter = known.iter().find(|name| strsim::damerau_levenshtein(key, name) <= 1);
        match (letter, keys::places(key).as_slice()) {
            // A slip of one letter is a slip; the very name of a key that stands elsewhere is more than a likeness.
            (Some(near), _) => format!("unknown key{name}; did you mean {near}?"),
            (_, [one, more @ ..]) => {
                let places = more.iter().fold((*one).to_owned(), |all, place| format!("{all} or {place}"));
                format!("unknown key{name} here; it belongs to {places}")
            }
            (None, []) => match near {
                Some(near) => format!("unknown key{name}; did you mean {near}?"),
                None => format!("unknown key{name}; known here: {}", known.join(", ")),
            },
        }
    }

    /// The key of the line that an error is in, where it may be named.
    fn key_at(&self, span: Option<Range<usize>>) -> Option<&str> {
        let start = span.filter(|_| self.quote)?.start;
        let line = self.text.get(..start)?.rsplit('\n').next()?.len();
        let key = self.text.get(start - line..)?.split(['=', '\n']).next()?.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        (!key.is_empty() && key.len() <= 40 && key.chars().all(plain)).then_some(key)
    }
}

/// A text of a file for an error: control characters made visible, at most 60 characters.
pub(super) fn shown(text: &str) -> String {
    text.escape_debug().take(60).collect()
}
