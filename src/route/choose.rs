//! Which account takes a message: the sender named by `-a`, else the sender that claims its From, else the default
//! relay.
//!
//! Exact address, then the address without `+detail`, then the most specific pattern, then the domain. The order of
//! definitions never matters.

use super::RouteError;
use crate::config::nearest;
use crate::config::pattern::{Pattern, Specificity};
use crate::config::{Account, Config, ConfigError, DefaultRelay, MatchFrom, Msmtprc, Place, Sender, Via};
use crate::exit::Status;
use crate::message::address::Address;
use crate::sys::users::{Caller, Remote};
use std::fmt;

/// Why an account was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `-a NAME`.
    Named,
    /// Its `from` has the very address.
    Exact(String),
    /// Its `names` has the very address.
    Alias(String),
    /// Its `from` has the address without `+detail`.
    WithoutDetail(String),
    /// The most specific of the patterns that match.
    Wildcard(String),
    /// The whole domain is its.
    Domain(String),
    /// No sender claims the address (shown where one is known).
    NoMatch(Option<String>),
    /// Only a sender that is switched off claims the address: its name.
    SenderOff(String),
    /// `enabled = false`: senders are switched off as a whole.
    SendersOff,
    /// The account's `from` fits the message's From.
    AccountFrom(String),
    /// The identity guard (`on_mismatch = "route"`) sent it to the sender of this address.
    Owner(String),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("named with -a"),
            Self::Exact(address) => write!(f, "exact address {address}"),
            Self::Alias(address) => write!(f, "alias {address} (names)"),
            Self::WithoutDetail(address) => write!(f, "address without +detail, {address}"),
            Self::Wildcard(pattern) => write!(f, "pattern {pattern}"),
            Self::Domain(pattern) => write!(f, "domain {pattern}"),
            Self::NoMatch(Some(address)) => write!(f, "no sender claims {address}: default relay"),
            Self::NoMatch(None) => f.write_str("no address to choose by: default relay"),
            Self::SenderOff(name) => write!(f, "sender {name} is switched off (enabled = false): default relay"),
            Self::SendersOff => f.write_str("senders are switched off (enabled = false): default relay"),
            Self::AccountFrom(pattern) => write!(f, "msmtprc account whose from is {pattern}"),
            Self::Owner(address) => write!(f, "owner of {address} (on_mismatch = \"route\")"),
        }
    }
}

/// The account and the reason.
#[derive(Clone, Debug)]
pub struct Choice<'c> {
    /// The account.
    pub via: Via<'c>,
    /// The reason.
    pub rule: Rule,
}

/// Chooses the account for the identities of a message, in the order of their weight (From header first).
///
/// # Errors
/// An unknown or disabled name, a sender that is not this user's, no default relay.
pub fn choose<'c>(
    config: &'c Config,
    named: Option<&str>,
    identities: &[&Address],
    who: &Caller,
) -> Result<Choice<'c>, RouteError> {
    if let Some(name) = named {
        return by_name(config, name, who);
    }
    if !config.enabled {
        may_default(who)?;
        return default(config, identities, Rule::SendersOff);
    }
    match identities.iter().find_map(|address| claimed(config, address).map(|found| (*address, found))) {
        Some((address, (sender, rule))) => {
            allowed(sender, who, &address.to_string())?;
            Ok(Choice { via: Via::Sender(sender), rule })
        }
        None => {
            may_default(who)?;
            default(config, identities, no_match(config, identities))
        }
    }
}

/// Why no sender takes the message.
fn no_match(config: &Config, identities: &[&Address]) -> Rule {
    let off = |address: &&Address| strongest(config.senders.iter().filter(|sender| !sender.enabled), address);
    match identities.iter().find_map(off) {
        Some((sender, _)) => Rule::SenderOff(sender.name.clone()),
        None => Rule::NoMatch(identities.first().map(ToString::to_string)),
    }
}

/// The sender that claims an address, with the strongest of its patterns. Disabled senders claim nothing.
#[must_use]
pub fn claimed<'c>(config: &'c Config, address: &Address) -> Option<(&'c Sender, Rule)> {
    strongest(config.senders.iter().filter(|sender| sender.enabled), address)
}

fn strongest<'c>(senders: impl Iterator<Item = &'c Sender>, address: &Address) -> Option<(&'c Sender, Rule)> {
    let plain = address.without_detail();
    let claims = senders.flat_map(|sender| {
        let patterns = sender.claims().into_iter();
        patterns.filter_map(|pattern| Some((strength(&pattern, address, plain.as_ref())?, sender))).collect::<Vec<_>>()
    });
    let ((_, rule), sender) = claims.max_by(|((a, _), _), ((b, _), _)| a.cmp(b))?;
    match rule {
        Rule::Exact(claim) if sender.from.iter().all(|(own, _)| own.exact() != Some(&claim)) => {
            Some((sender, Rule::Alias(claim)))
        }
        rule => Some((sender, rule)),
    }
}

/// How strongly a pattern claims an address. Never the same for two patterns, so the order of definitions never matters.
fn strength(pattern: &Pattern, address: &Address, plain: Option<&Address>) -> Option<((u8, Specificity), Rule)> {
    let text = pattern.to_string();
    if pattern.matches(address) {
        let (rank, rule) = match pattern {
            Pattern::Exact(_) => (2, Rule::Exact(text)),
            Pattern::Wildcard(_) => (0, Rule::Wildcard(text)),
            Pattern::Domain(_) => (0, Rule::Domain(text)),
        };
        return Some(((rank, pattern.specificity()), rule));
    }
    let plain = plain.filter(|plain| pattern.exact().is_some() && pattern.matches(plain));
    plain.map(|_| ((1, pattern.specificity()), Rule::WithoutDetail(text)))
}

fn by_name<'c>(config: &'c Config, name: &str, who: &Caller) -> Result<Choice<'c>, RouteError> {
    if let Some(sender) = config.senders.iter().find(|sender| sender.name == name) {
        if !sender.enabled || !config.enabled {
            let what = format!("{}: sender \"{name}\" is switched off (enabled = false)", sender.place);
            return Err(RouteError::new(Status::Config, what));
        }
        allowed(sender, who, name)?;
        return Ok(Choice { via: Via::Sender(sender), rule: Rule::Named });
    }
    if let DefaultRelay::Msmtprc(msmtprc) = &config.default
        && let Some(account) = msmtprc.accounts.iter().find(|account| account.name == name)
    {
        return Ok(Choice { via: Via::Account(account), rule: Rule::Named });
    }
    if let DefaultRelay::Server(relay) = &config.default
        && name == "default"
    {
        return Ok(Choice { via: Via::Default(relay), rule: Rule::Named });
    }
    Err(RouteError::new(Status::Config, unknown_name(config, name)))
}

/// Names the nearest known sender or account.
fn unknown_name(config: &Config, name: &str) -> String {
    let mut known: Vec<&str> = config.senders.iter().map(|sender| sender.name.as_str()).collect();
    if let DefaultRelay::Msmtprc(msmtprc) = &config.default {
        known.extend(msmtprc.accounts.iter().map(|account| account.name.as_str()));
    }
    let shown = name.escape_debug();
    match nearest::name(name, known.iter().copied()) {
        Some(near) => format!("no sender and no account is named \"{shown}\"; the nearest is \"{near}\""),
        None => format!("no sender and no account is named \"{shown}\": none is configured"),
    }
}

/// Whether a caller may use a sender. In-process this is advice; the daemon asks it for the peer's uid.
///
/// # Errors
/// Not this user's (77).
pub fn allowed(sender: &Sender, who: &Caller, what: &str) -> Result<(), RouteError> {
    let open = sender.users.is_empty() && sender.groups.is_empty();
    if let Some(remote) = &who.remote {
        let listed = |names: &Vec<String>| names.contains(&sender.name);
        return if remote.senders.as_ref().map_or(open, listed) { Ok(()) } else { Err(not_for(remote, &sender.name)) };
    }
    let numeric = who.uid.to_string();
    let user = sender.users.iter().any(|user| *user == who.name || *user == numeric);
    if open || user || sender.groups.iter().any(|group| who.is_in(group)) {
        return Ok(());
    }
    let text = format!(
        "{what}: sender \"{}\" is not for user {}; add the user to its users or groups ({})",
        sender.name, who.name, sender.place
    );
    Err(RouteError::new(Status::NoPerm, text))
}

/// A sender, or the default relay, that one over the network may not use.
fn not_for(remote: &Remote, name: &str) -> RouteError {
    RouteError::new(Status::NoPerm, format!("sender \"{name}\" is not for {}", remote.name))
}

/// Whether a caller may use the default relay: everybody may, but a login that is for certain senders only.
fn may_default(who: &Caller) -> Result<(), RouteError> {
    match &who.remote {
        Some(remote) if remote.senders.as_ref().is_some_and(|names| names.iter().all(|name| name != "default")) => {
            Err(not_for(remote, "default"))
        }
        _ => Ok(()),
    }
}

fn default<'c>(config: &'c Config, identities: &[&Address], rule: Rule) -> Result<Choice<'c>, RouteError> {
    match &config.default {
        DefaultRelay::Server(relay) => Ok(Choice { via: Via::Default(relay), rule }),
        DefaultRelay::Msmtprc(msmtprc) => account(msmtprc, identities, rule),
        DefaultRelay::Refuse(place) => Err(RouteError::new(
            Status::NoPerm,
            format!(
                "{rule} refuses ({place}); add a [[sender]] with this address in its from, or give [default] a server"
            ),
        )),
        DefaultRelay::Missing => Err(RouteError::new(
            Status::Config,
            format!("{rule} is not configured; add [default] with a server, or a [[sender]]"),
        )),
    }
}

/// The msmtprc account: the configured one, with `match_from` the first whose `from` fits, else `default`.
fn account<'c>(msmtprc: &'c Msmtprc, identities: &[&Address], rule: Rule) -> Result<Choice<'c>, RouteError> {
    if msmtprc.match_from != MatchFrom::Never
        && let Some((account, from)) = identities.iter().find_map(|address| account_from(&msmtprc.accounts, address))
    {
        return Ok(Choice { via: Via::Account(account), rule: Rule::AccountFrom(from.to_owned()) });
    }
    let name = msmtprc.account.as_deref().unwrap_or("default");
    match msmtprc.accounts.iter().find(|account| account.name == name) {
        Some(account) => Ok(Choice { via: Via::Account(account), rule }),
        None => {
            let known: Vec<&str> = msmtprc.accounts.iter().map(|account| account.name.as_str()).collect();
            let place = msmtprc.accounts.first().map(|account| account.place.clone());
            let what = match known.as_slice() {
                [] => "the msmtprc defines no account; add one with at least: host SERVER".to_owned(),
                known => format!(
                    "no account \"{name}\" in the msmtprc (it has {}); add: account {name} : {}",
                    known.join(", "),
                    known[0]
                ),
            };
            let place = place.map(|place| Place { line: 0, ..place });
            Err(RouteError::new(Status::Config, ConfigError { place, what }.to_string()))
        }
    }
}

/// The msmtprc account that a message without a route would most likely have taken, for a log line about it: the named
/// one, else the configured one, else `default`, else the first.
#[must_use]
pub fn probable_account<'c>(config: &'c Config, named: Option<&str>) -> Option<&'c Account> {
    let DefaultRelay::Msmtprc(msmtprc) = &config.default else { return None };
    let by_name = |name: &str| msmtprc.accounts.iter().find(|account| account.name == name);
    let account = named.and_then(by_name).or_else(|| by_name(msmtprc.account.as_deref().unwrap_or("default")));
    account.or(msmtprc.accounts.first())
}

/// The first account whose `from` fits an address (msmtp's rule): a pattern with `?*[` to the letter, otherwise without
/// regard to case, and then again without `+detail`.
#[must_use]
pub fn account_from<'c>(accounts: &'c [Account], address: &Address) -> Option<(&'c Account, &'c str)> {
    let plain = address.without_detail();
    accounts.iter().find_map(|account| {
        let from = account.from.as_deref()?;
        let fits = if is_pattern(from) {
            super::substitute::fnmatch(from, address.as_str())
        } else {
            from.eq_ignore_ascii_case(address.as_str())
                || plain.as_ref().is_some_and(|plain| from.eq_ignore_ascii_case(plain.as_str()))
        };
        fits.then_some((account, from))
    })
}

/// Whether msmtp reads a `from` as a pattern.
#[must_use]
pub fn is_pattern(from: &str) -> bool {
    from.contains(['?', '*', '['])
}
