//! Who gets a message: the arguments, with `-t` the header's too, local names through the aliases. Pure; the alias file
//! comes in with the request, and only where a recipient is local.

use super::RouteError;
use super::aliases::{Aliases, Expansion, Local};
use super::plan::{Request, in_header};
use crate::config::{AliasFormat, AliasSource, Config, Via};
use crate::envelope::{RecipientDsn, ReversePath};
use crate::exit::Status;
use crate::message::address::{self, Address, Mailbox};
use crate::message::{Message, recipients};
use std::collections::BTreeMap;

/// The most recipients of a message: as many as addresses in its header.
const MOST: usize = 100_000;

/// The recipients of a message.
pub(super) struct Found {
    /// In the caller's order, some perhaps twice.
    pub recipients: Vec<Mailbox>,
    /// What was asked about single ones, by `Address::canonical`.
    pub asked: BTreeMap<String, RecipientDsn>,
    /// Local names that became other recipients, in plain words.
    pub steps: Vec<String>,
    /// The owner of the list that all of them come from.
    pub owner: Option<Address>,
}

/// Everybody that the message goes to, each in the place of the name that led there. What was asked about a name holds
/// for everybody whom it stands for (RFC 3461 section 5.2.7.1).
///
/// # Errors
/// An address that is none (65), an alias that cannot be used (78).
pub(super) fn all(
    config: &Config,
    request: &Request<'_>,
    message: &Message,
    via: Option<Via<'_>>,
) -> Result<Found, RouteError> {
    let (mut all, mut asked) = (Vec::new(), Vec::new());
    for argument in &request.options.recipients {
        few(all.len())?;
        let found = address::parse_argument(argument, request.domain);
        all.extend(found.map_err(|error| RouteError::new(Status::Data, format!("recipient argument: {error}")))?);
        asked.resize(all.len(), request.options.dsn.recipients.get(argument));
    }
    if request.options.extract {
        let found = recipients::extract(&message.header, request.domain);
        all.extend(found.map_err(|error| in_header("recipient", &error))?);
        few(all.len())?;
    }
    let Expansion { recipients, from, steps, owner } = aliased(config, request, all, via)?;
    let mut by_name = BTreeMap::new();
    for (range, dsn) in from.into_iter().zip(asked) {
        let Some(dsn) = dsn else { continue };
        for mailbox in &recipients[range] {
            by_name.entry(mailbox.address.canonical()).or_insert_with(|| dsn.clone());
        }
    }
    Ok(Found { recipients, asked: by_name, steps, owner })
}

/// A message may have no more than that: it is in memory as a whole where it is planned, and where it is delivered.
fn few(recipients: usize) -> Result<(), RouteError> {
    if recipients <= MOST {
        return Ok(());
    }
    let what = format!("more than {MOST} recipients of one message: send it as several messages");
    Err(RouteError::new(Status::Usage, what))
}

/// The recipients through the aliases that hold for the account.
fn aliased(
    config: &Config,
    request: &Request<'_>,
    all: Vec<Mailbox>,
    via: Option<Via<'_>>,
) -> Result<Expansion, RouteError> {
    match via {
        Some(Via::Account(account)) if account.aliases.is_some() => {
            let path = account.aliases.clone().unwrap_or_default();
            let source = AliasSource { path, format: AliasFormat::Msmtp, required: true, strict: true };
            // msmtp asks about names without an at sign alone.
            expanded(all, Local { domain: request.domain, domains: &[], default: None }, Some(&source), request)
        }
        _ => {
            let usual = || vec!["localhost".to_owned(), request.hostname.to_owned()];
            let domains = config.local.domains.clone().unwrap_or_else(usual);
            let default = config.local.default_recipient.as_ref();
            let local = Local { domain: request.domain, domains: &domains, default };
            expanded(all, local, config.local.aliases.as_ref(), request)
        }
    }
}

fn expanded(
    all: Vec<Mailbox>,
    local: Local<'_>,
    source: Option<&AliasSource>,
    request: &Request<'_>,
) -> Result<Expansion, RouteError> {
    if !all.iter().any(|recipient| local.has(recipient)) {
        let from = (0..all.len()).map(|index| index..index + 1).collect();
        return Ok(Expansion { recipients: all, from, ..Expansion::default() });
    }
    let config = |what: String| RouteError::new(Status::Config, what);
    let parsed =
        source.map(|source| (request.aliases)(source)).transpose().map_err(|error| config(error.to_string()))?;
    match parsed.flatten() {
        Some(parsed) => parsed.aliases.expand(all, local).map_err(config),
        None => Aliases::default().expand(all, local).map_err(config),
    }
}

/// The envelope sender of a message to a list with an owner, where the account may send as the owner.
pub(super) fn owner(found: &Found, from: &ReversePath, via: Via<'_>) -> Option<Address> {
    let owner = found.owner.clone().filter(|owner| from.address().is_some_and(|from| from != owner))?;
    match via {
        Via::Sender(sender) | Via::Default(sender) => {
            (!sender.identity.must_match || sender.may_send(&owner)).then_some(owner)
        }
        // An msmtprc says itself who its messages are from.
        Via::Account(_) => None,
    }
}
