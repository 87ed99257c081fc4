//! The raw tables `[[listen]]` and `[[user]]` become `Listener`s and `User`s. Values only; files are not opened here.

use super::super::account::{Builder, ehlo_name};
use super::super::error::Place;
use super::super::toml::{Field, Strings};
use super::{
    CONNECTIONS, LARGEST, ListenAddress, ListenAuth, ListenLimits, ListenTimeouts, ListenTls, Listener, PasswordHash,
    Purpose, User,
};
use crate::message::address::Address;
use crate::secret::Secret;
use crate::smtp::auth;
use ::toml::Spanned;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Longest time limit.
const DAY: Duration = Duration::from_secs(86_400);

/// `[[listen]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawListen {
    address: Field<Strings>,
    purpose: Field<String>,
    tls: Field<String>,
    certificate: Field<String>,
    key: Field<String>,
    auth: Field<String>,
    allow_plaintext_auth: Option<bool>,
    networks: Field<Strings>,
    hostname: Field<String>,
    domains: Field<Strings>,
    addresses: Field<Strings>,
    max_connections: Field<i64>,
    max_per_client: Field<i64>,
    max_size: Field<String>,
    max_recipients: Field<i64>,
    max_errors: Field<i64>,
    max_commands: Field<i64>,
    timeouts: Option<RawListenTimeouts>,
}

/// `timeouts = { ... }` of a listener.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListenTimeouts {
    tls: Field<String>,
    ehlo: Field<String>,
    command: Field<String>,
    body: Field<String>,
    total: Field<String>,
}

/// `[[user]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUser {
    name: Field<String>,
    password_hash: Field<String>,
    senders: Field<Strings>,
}

impl Builder<'_> {
    /// A `[[listen]]`; `None` where it has no usable address (which is noted).
    pub fn listener(&mut self, raw: Spanned<RawListen>) -> Option<Listener> {
        let place = self.source.place(&raw);
        let raw = raw.into_inner();
        let purpose = self.field("purpose", raw.purpose, |text| match text {
            "submission" => Ok(Purpose::Submission),
            "incoming" => Ok(Purpose::Incoming),
            _ => Err("one of \"submission\", \"incoming\""),
        });
        let tls = self.field("tls", raw.tls, |text| match text {
            "off" => Ok(ListenTls::Off),
            "starttls" => Ok(ListenTls::StartTls),
            "implicit" => Ok(ListenTls::Implicit),
            _ => Err("one of \"off\", \"starttls\", \"implicit\""),
        });
        let auth = self.field("auth", raw.auth, |text| match text {
            "off" => Ok(ListenAuth::Off),
            "optional" => Ok(ListenAuth::Optional),
            "required" => Ok(ListenAuth::Required),
            _ => Err("one of \"required\", \"optional\", \"off\""),
        });
        let certificate = self.path("certificate", raw.certificate);
        let key = self.path("key", raw.key);
        if key.is_some() && certificate.is_none() {
            self.note(&place, "key goes only with certificate");
        }
        let limits = ListenLimits::default();
        let limits = ListenLimits {
            connections: self
                .count("max_connections", raw.max_connections, 1..=CONNECTIONS)
                .unwrap_or(limits.connections),
            per_client: self.count("max_per_client", raw.max_per_client, 1..=CONNECTIONS).unwrap_or(limits.per_client),
            size: self.field("max_size", raw.max_size, message_size).unwrap_or(limits.size),
            recipients: self.count("max_recipients", raw.max_recipients, 1..=100_000).unwrap_or(limits.recipients),
            errors: self.count("max_errors", raw.max_errors, 1..=1000).unwrap_or(limits.errors),
            commands: self.count("max_commands", raw.max_commands, 10..=1_000_000).unwrap_or(limits.commands),
        };
        Some(Listener {
            addresses: self.listen_addresses(raw.address, &place)?,
            purpose: purpose.unwrap_or_default(),
            tls: tls.unwrap_or_default(),
            identity: certificate.map(|certificate| (certificate.clone(), key.unwrap_or(certificate))),
            auth: auth.unwrap_or_default(),
            plaintext_auth: raw.allow_plaintext_auth.unwrap_or(false),
            networks: self.each("networks", raw.networks, network).unwrap_or_default(),
            hostname: self.field("hostname", raw.hostname, ehlo_name),
            domains: self.each("domains", raw.domains, domain).unwrap_or_default(),
            recipients: self.each("addresses", raw.addresses, address).unwrap_or_default(),
            limits,
            timeouts: self.listen_timeouts(raw.timeouts),
            place,
        })
    }

    /// A `[[user]]`; `None` where it cannot be used (which is noted).
    pub fn user_table(&mut self, raw: Spanned<RawUser>) -> Option<User> {
        let place = self.source.place(&raw);
        let raw = raw.into_inner();
        if raw.name.is_none() {
            self.note(&place, "this user has no name; give name = \"app\"");
        }
        let name = self.field("name", raw.name, |name| {
            let fine = !name.is_empty() && name.len() <= 255 && !name.chars().any(char::is_control);
            fine.then(|| name.to_owned()).ok_or("a login name is 1 to 255 octets without control characters")
        });
        let senders = self.each("senders", raw.senders, |name| Ok::<_, String>(name.to_owned()));
        let Some(hash) = raw.password_hash else {
            return self.fault(&place, "this user has no password_hash; `postrider passwd NAME` prints one");
        };
        // It can be guessed from: the file must be closed as one with a password.
        self.literal = true;
        let at = self.source.place(&hash);
        let hash = Secret::new(hash.into_inner());
        if let Err(what) = auth::hash::check(&hash) {
            return self.fault(&at, format!("password_hash: {what}"));
        }
        Some(User { name: name?, place, hash: Arc::new(PasswordHash(hash)), senders })
    }

    fn listen_addresses(&mut self, field: Field<Strings>, place: &Place) -> Option<Vec<ListenAddress>> {
        if field.is_none() {
            return self.fault(place, "this listen has no address; give address = \"127.0.0.1:2525\"");
        }
        self.each("address", field, listen_address).filter(|all| !all.is_empty())
    }

    fn listen_timeouts(&mut self, raw: Option<RawListenTimeouts>) -> ListenTimeouts {
        let usual = ListenTimeouts::default();
        let Some(raw) = raw else { return usual };
        let mut limit = |key: &str, field: Field<String>, usual: Duration| {
            self.field(&format!("timeouts.{key}"), field, time_limit).unwrap_or(usual)
        };
        ListenTimeouts {
            tls: limit("tls", raw.tls, usual.tls),
            ehlo: limit("ehlo", raw.ehlo, usual.ehlo),
            command: limit("command", raw.command, usual.command),
            body: limit("body", raw.body, usual.body),
            total: limit("total", raw.total, usual.total),
        }
    }

    /// A string or a list of them, each through a parser; every fault with its own line. An empty list is a fault.
    pub(in crate::config) fn each<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        field: Field<Strings>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let field = field?;
        let start = field.span().start;
        let Strings(list) = field.into_inner();
        if list.is_empty() {
            let place = self.source.at(start);
            return self.fault(&place, format!("{key} is empty; give at least one, or leave {key} out"));
        }
        let mut all = Vec::new();
        for (span, text) in list {
            match parse(&text) {
                Ok(one) => all.push(one),
                Err(error) => {
                    let at = self.source.at(span.map_or(start, |span| span.start));
                    self.note(&at, format!("{key}: {error}"));
                }
            }
        }
        Some(all)
    }

    fn count(&mut self, key: &str, field: Field<i64>, range: std::ops::RangeInclusive<usize>) -> Option<usize> {
        let field = field?;
        let place = self.source.place(&field);
        match usize::try_from(field.into_inner()) {
            Ok(count) if range.contains(&count) => Some(count),
            _ => self.fault(&place, format!("{key} is {} to {}", range.start(), range.end())),
        }
    }
}

fn listen_address(text: &str) -> Result<ListenAddress, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        let fine = path.starts_with('/') && path.len() <= 107 && !path.contains('\0');
        return fine
            .then(|| ListenAddress::Unix(path.into()))
            .ok_or("unix: takes an absolute path of at most 107 octets");
    }
    if let Some(name) = text.strip_prefix("fd:") {
        let fine = !name.is_empty() && name.len() <= 255 && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        return fine.then(|| ListenAddress::Passed(name.into())).ok_or("fd: takes the FileDescriptorName= of a socket");
    }
    text.parse()
        .map(ListenAddress::Ip)
        .map_err(|_| "an IP address and a port (127.0.0.1:2525, [::1]:587), unix:/path, or fd:NAME")
}

/// A network, or one address. The whole of the internet is refused: that would be an open relay.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match network {
        Ok(network) if network.prefix_len() == 0 => Err("that is everybody, and would make an open relay"),
        Ok(network) => Ok(network.trunc()),
        Err(_) => Err("no network; write 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1"),
    }
}

fn domain(text: &str) -> Result<String, String> {
    Address::parse(&format!("postmaster@{text}"))
        .map(|address| address.domain().to_lowercase())
        .map_err(|_| "no domain; write example.com, without an @".into())
}

fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| error.to_string())
}

fn message_size(text: &str) -> Result<u64, &'static str> {
    match super::super::queue::octets(text)? {
        size if (1024..=LARGEST).contains(&size) => Ok(size),
        _ => Err("1K to 100M"),
    }
}

fn time_limit(text: &str) -> Result<Duration, &'static str> {
    match humantime::parse_duration(text) {
        Ok(limit) if limit >= Duration::from_millis(1) && limit <= DAY => Ok(limit),
        Ok(_) => Err("a time limit is more than nothing and at most a day"),
        Err(_) => Err("no duration; write 30s, 5m or 1h"),
    }
}
