//! What concerns several values of a configuration at once: claims that collide, logins without passwords, passwords
//! without protection. Every fault is reported, in the order of the files and lines.
//!
//! Values only. Never looks at a secret.

use super::error::{ConfigError, Place};
use super::model::{AuthChoice, Config, DefaultRelay, Endpoint, OnMismatch, Relay, Sender, TlsMode};
use super::pattern::Pattern;
use super::{listen, replies, server};
use crate::message::address::Address;
use std::collections::HashMap;

/// All faults of a configuration, sorted by place; none, and it can be used.
#[must_use]
pub fn validate(config: &Config) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    if let DefaultRelay::Server(server) = &config.default {
        relay(&server.relay, &server.place, "[default]", &mut errors);
        identity(server, &mut errors);
    }
    for sender in &config.senders {
        relay(&sender.relay, &sender.place, &format!("sender {}", sender.name), &mut errors);
        identity(sender, &mut errors);
    }
    claims(&config.senders, &mut errors);
    backups(&config.senders, &mut errors);
    listen::validate(config, &mut errors);
    super::rules::validate(config, &mut errors);
    super::limits::check(config, &mut errors);
    sort(&mut errors);
    errors
}

/// Sorts by file and line and drops repetitions.
pub(super) fn sort(errors: &mut Vec<ConfigError>) {
    let key = |error: &ConfigError| error.place.as_ref().map(|place| (place.file.clone(), place.line));
    errors.sort_by_key(key);
    errors.dedup();
}

/// What must hold of any SMTP account.
fn relay(relay: &Relay, place: &Place, what: &str, errors: &mut Vec<ConfigError>) {
    let mut fault = |text: String| errors.push(ConfigError::at(place, format!("{what}: {text}")));
    let external = relay.auth == AuthChoice::Only("EXTERNAL".into());
    match (&relay.user, &relay.password) {
        (Some(_), None) if relay.auth != AuthChoice::Off && !external => {
            fault("user without password; give password = { file = \"...\" }, or auth = \"off\"".into());
        }
        (None, Some(_)) => fault("password without user; give user = \"...\"".into()),
        (None, None) if relay.auth != AuthChoice::Off && !external => {
            fault("auth without user and password; give both, or leave auth out".into());
        }
        _ => {}
    }
    if relay.password.is_some() && relay.tls == TlsMode::Plain && !relay.plaintext_password {
        fault(
            "a password over a connection without TLS; use smtps:// or smtp://, or say allow_plaintext_password = true"
                .into(),
        );
    }
    if external && relay.tls_options.client.is_none() {
        fault("auth = \"external\" needs client_cert".into());
    }
    if relay.client_password.is_some() && relay.tls_options.client.is_none() {
        fault("client_password without client_cert".into());
    }
    for server in &relay.backups {
        if relay.password.is_some() && server.tls == TlsMode::Plain && !relay.plaintext_password {
            fault(
                "a password over a connection without TLS, to one of the servers; use smtps:// or smtp://, or say allow_plaintext_password = true"
                    .into(),
            );
        }
    }
    match &relay.endpoint {
        Endpoint::Tcp(host, _) => {
            if let Err(error) = server::check_host(host) {
                fault(format!("server: {error}"));
            }
        }
        Endpoint::Unix(_) if relay.proxy.is_some() || relay.source.is_some() => {
            fault("proxy and source have no meaning for a unix socket".into());
        }
        Endpoint::Unix(_) => {}
    }
}

/// Rules about From need an address that the account stands for.
fn identity(sender: &Sender, errors: &mut Vec<ConfigError>) {
    let needs = match sender.identity {
        _ if sender.own_address().is_some() => return,
        rule if rule.on_mismatch == OnMismatch::Rewrite => "on_mismatch = \"rewrite\"",
        rule if rule.must_match => "must_match",
        _ => return,
    };
    errors.push(ConfigError::at(
        &sender.place,
        format!(
            "sender {}: {needs} needs an address of its own, and neither user nor from is one; add it to from",
            sender.name
        ),
    ));
}

/// One name, one sender; one pattern, one sender: the order of definitions must never matter.
fn claims(senders: &[Sender], errors: &mut Vec<ConfigError>) {
    let mut by_name: HashMap<String, &Place> = HashMap::new();
    let mut by_pattern: HashMap<Pattern, (&Sender, &Place)> = HashMap::new();
    for sender in senders {
        match by_name.get(&sender.name.to_lowercase()) {
            Some(first) => errors.push(ConfigError::at(
                &sender.place,
                format!("two senders have the name {}; the other one is at {first}", sender.name),
            )),
            None => drop(by_name.insert(sender.name.to_lowercase(), &sender.place)),
        }
        for pattern in sender.claims() {
            let place = sender.from.iter().find(|(own, _)| *own == pattern).map_or(&sender.place, |(_, place)| place);
            match by_pattern.get(&pattern) {
                // An address may stand in from and in names of one sender, but not twice in its from.
                Some((other, _)) if other.name == sender.name && sender.names.contains_key(&pattern.to_string()) => {}
                Some((other, first)) => errors.push(ConfigError::at(
                    place,
                    format!(
                        "sender {} claims {pattern}, which sender {} claims at {first}; leave it with one of them",
                        sender.name, other.name
                    ),
                )),
                None => drop(by_pattern.insert(pattern, (sender, place))),
            }
        }
    }
}

/// A backup is another sender whose server takes what this one sends.
fn backups(senders: &[Sender], errors: &mut Vec<ConfigError>) {
    let names: Vec<&str> = senders.iter().map(|sender| sender.name.as_str()).collect();
    for sender in senders {
        for (number, (name, place)) in sender.backup.iter().enumerate() {
            let mut fault = |what: String| {
                errors.push(ConfigError::at(place, format!("sender {}: backup \"{name}\": {what}", sender.name)));
            };
            match senders.iter().find(|other| other.name == *name) {
                None => fault(replies::nearest(name, &names)),
                Some(other) if other.name == sender.name => fault("a sender is no backup of itself".into()),
                Some(_) if sender.backup[..number].iter().any(|(before, _)| before == name) => {
                    fault("it stands here twice".into());
                }
                Some(other) => {
                    if let Some(pattern) = not_covered(sender, other) {
                        fault(format!(
                            "its server (sender {} at {}) takes only its own addresses, and {pattern} of the sender at \
                             {} is none; add a pattern that covers it to its from, or set must_match = false there",
                            other.name, other.place, sender.place
                        ));
                    }
                }
            }
        }
    }
}

/// The first pattern of a sender that another one's server would not take.
fn not_covered(sender: &Sender, other: &Sender) -> Option<Pattern> {
    if !other.identity.must_match {
        return None;
    }
    let covered = |pattern: &Pattern| match pattern.exact().and_then(|address| Address::parse(address).ok()) {
        Some(address) => other.may_send(&address),
        None => other.claims().iter().any(|wider| wider.covers(pattern)),
    };
    sender.claims().into_iter().find(|pattern| !covered(pattern))
}
