//! Local recipients whom a rule takes: they need no account. What is left goes the usual way. Pure.
//!
//! Aliases come first. Without a rule that takes them, local recipients go as they would without rules, unless
//! `[rules] otherwise` says what becomes of them.

use super::aliases::Local;
use super::plan::{Request, Said};
use super::{RouteError, recipients};
use crate::cli::invocation::Options;
use crate::config::Config;
use crate::envelope::{Dsn, Envelope, RecipientDsn, ReversePath};
use crate::exit::Status;
use crate::message::Message;
use crate::message::address::{Address, Mailbox};
use crate::message::rewrite::{self, Completion, Switches};
use crate::rules::sort::{self, Mail, Part, Unsortable, Unsorted};
use crate::rules::{Fate, NOBODY};
use std::collections::BTreeMap;

/// What the rules take of a message.
#[derive(Debug, Default)]
pub struct Sorted {
    /// For the queue.
    pub parts: Vec<Part>,
    /// Their lanes.
    pub lanes: Vec<String>,
    /// The recipients that they take.
    pub taken: Vec<Address>,
    /// What is asked for the others; `None` where there are none.
    pub rest: Option<Options>,
}

/// Sorts what is for local recipients.
///
/// # Errors
/// As the plan's; a rule that refuses (77), or nobody who takes the only recipients (67).
pub fn sort(config: &Config, request: &Request<'_>, message: &Message) -> Result<Sorted, RouteError> {
    let usual = Sorted { rest: Some(request.options.clone()), ..Sorted::default() };
    if config.rules.is_empty() {
        return Ok(usual);
    }
    let found = recipients::all(config, request, message, None)?;
    let domains = domains(config, request);
    let local = Local { domain: request.domain, domains: &domains, default: None };
    let (said, mailboxes) = (Said::of(request, message)?, request.mailboxes);
    let from = reverse_path(&said);
    let completed = completed(request, &said, &from, message);
    let (mut taken, mut rest) = (Vec::new(), Vec::new());
    for mailbox in found.recipients {
        let envelope = envelope(&from, vec![mailbox.address.clone()], request, BTreeMap::new())?;
        let mail = Mail { envelope: &envelope, message: &completed, listener: None, client: None, mailboxes };
        let is_taken = local.has(&mailbox)
            && !matches!(mail.decide(&config.rules, &mailbox.address, &mut |_, _| {}).fate, Fate::Nobody);
        if is_taken { taken.push(mailbox.address) } else { rest.push(mailbox) }
    }
    if taken.is_empty() {
        return Ok(usual);
    }
    said.allowed(config, request.who)?;
    let rest = (!rest.is_empty()).then(|| others(request.options, rest, &found.asked));
    let envelope = envelope(&from, taken.clone(), request, found.asked)?;
    let mail = Mail { envelope: &envelope, message: &completed, listener: None, client: None, mailboxes };
    let parts = self::sorted(config, &mail)?;
    let lanes = parts.iter().map(|part| part.lane.clone()).collect();
    Ok(Sorted { parts, lanes, taken, rest })
}

fn sorted(config: &Config, mail: &Mail<'_>) -> Result<Vec<Part>, RouteError> {
    sort::sort(config, mail).map_err(|why| match why {
        Unsorted::Nobody => RouteError::new(Status::NoUser, NOBODY),
        Unsorted::Refused(text) => RouteError::new(Status::NoPerm, text),
        Unsorted::Unsortable(Unsortable::Loop(to)) => {
            RouteError::new(Status::Data, format!("the message was forwarded for {to} before"))
        }
        Unsorted::Unsortable(Unsortable::TooMany) => {
            RouteError::new(Status::Config, "more rules take the message than may")
        }
    })
}

/// Domains whose addresses are local.
fn domains(config: &Config, request: &Request<'_>) -> Vec<String> {
    let usual = || vec!["localhost".to_owned(), request.hostname.to_owned()];
    config.local.domains.clone().unwrap_or_else(usual)
}

/// The envelope of some of the recipients, with what was `asked` about them.
fn envelope(
    from: &ReversePath,
    to: Vec<Address>,
    request: &Request<'_>,
    asked: BTreeMap<String, RecipientDsn>,
) -> Result<Envelope, RouteError> {
    let dsn = &request.options.dsn;
    let dsn = Dsn { notify: dsn.notify, ret: dsn.ret, envid: dsn.envid.clone(), recipients: asked };
    Envelope::new(from.clone(), to, dsn).ok_or_else(|| RouteError::new(Status::Usage, "no recipient"))
}

/// `-f`, else the From header, else the caller.
fn reverse_path(said: &Said) -> ReversePath {
    let header = said.from.first().map(|mailbox| ReversePath::Address(mailbox.address.clone()));
    said.envelope.clone().or(header).unwrap_or_else(|| ReversePath::Address(said.caller.clone()))
}

/// The message with what is missing in it.
fn completed(request: &Request<'_>, said: &Said, from: &ReversePath, message: &Message) -> Message {
    let mut message = message.clone();
    let added = from.address().unwrap_or(&said.caller);
    let completion = Completion {
        date: request.now,
        id_token: request.token.to_owned(),
        id_domain: added.domain().to_owned(),
        from: added,
        from_name: request.options.full_name.as_deref().or(request.who.full_name.as_deref()),
        switches: Switches::default(),
    };
    rewrite::complete(&mut message, &completion);
    rewrite::qualify(&mut message, request.domain);
    message
}

/// The options of a message for these recipients alone; their aliases have been followed, and what was asked about a name
/// is asked about those whom it led to.
fn others(options: &Options, rest: Vec<Mailbox>, asked: &BTreeMap<String, RecipientDsn>) -> Options {
    let own = |address: &Address| Some((address.to_string(), asked.get(&address.canonical())?.clone()));
    let recipients = rest.iter().filter_map(|mailbox| own(&mailbox.address)).collect();
    let dsn = Dsn { recipients, ..options.dsn.clone() };
    let recipients = rest.into_iter().map(|mailbox| mailbox.address.to_string()).collect();
    Options { recipients, extract: false, dsn, ..options.clone() }
}
