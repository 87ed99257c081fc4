//! The finished plan of a message: the account, the envelope, the message as it will leave, and what was changed.
//!
//! One function for every way in (`sendmail`, `msmtp`, `explain`): what `explain` shows is what is sent. Pure: time,
//! token and alias files come in with the request.

use super::choose::{self, Choice, Rule, Via};
use super::{RouteError, aliases::Aliases, guard, msmtprc};
use crate::cli::invocation::Options;
use crate::config::{Config, ConfigError, DefaultRelay, MatchFrom, Msmtprc, OnMismatch, Sender};
use crate::envelope::{Dsn, Envelope, RecipientDsn, ReversePath};
use crate::exit::Status;
use crate::message::address::{self, Address, AddressError, Mailbox};
use crate::message::rewrite::{self, Completion, Switches};
use crate::message::{Message, recipients};
use crate::sys::users::Caller;
use chrono::{DateTime, FixedOffset};
use std::collections::BTreeMap;
use std::path::Path;

/// Everything that a plan depends on besides configuration and message.
pub struct Request<'a> {
    /// The command line.
    pub options: &'a Options,
    /// Who submits.
    pub who: &'a Caller,
    /// What a bare name is qualified with.
    pub domain: &'a str,
    /// The host's name.
    pub hostname: &'a str,
    /// Gives the host's canonical name.
    pub canonical: &'a dyn Fn() -> String,
    /// The first line of /etc/mailname.
    pub mailname: Option<&'a str>,
    /// The time of submission.
    pub now: DateTime<FixedOffset>,
    /// Random hex digits for an added Message-ID.
    pub token: &'a str,
    /// Reads an alias file.
    pub aliases: &'a dyn Fn(&Path) -> Result<Aliases, ConfigError>,
}

/// What will be sent, how, and why.
#[derive(Debug)]
pub struct Plan<'c> {
    /// The account.
    pub via: Via<'c>,
    /// Why it was chosen.
    pub rule: Rule,
    /// The envelope.
    pub envelope: Envelope,
    /// The message as it will leave.
    pub message: Message,
    /// The address of the From header as the caller wrote it, if it wrote one.
    pub from: Option<Address>,
    /// What is changed in the message and the envelope, in plain words.
    pub changes: Vec<String>,
}

/// What a message and its command line say about who it is from.
pub(super) struct Said {
    /// The From header's mailboxes.
    pub from: Vec<Mailbox>,
    /// The Sender header's.
    pub sender: Option<Mailbox>,
    /// `-f`.
    pub envelope: Option<ReversePath>,
    /// The calling user at the local domain.
    pub caller: Address,
}

impl Said {
    fn of(request: &Request<'_>, message: &Message) -> Result<Self, RouteError> {
        let domain = request.domain;
        let envelope = request.options.from.as_deref().map(|text| address::parse_reverse_path(text, domain));
        let caller = Address::parse(&format!("{}@{domain}", request.who.name)).map_err(|error| {
            RouteError::new(Status::Config, format!("{error}; set domain = \"example.com\" in postrider.toml"))
        })?;
        let from = recipients::from(&message.header, domain).map_err(|error| in_header("From", &error))?;
        let envelope = match from.first().filter(|_| request.options.read_envelope_from) {
            Some(mailbox) => Some(ReversePath::Address(mailbox.address.clone())),
            None => envelope.transpose().map_err(|error| RouteError::new(Status::Data, format!("-f: {error}")))?,
        };
        let sender = recipients::sender(&message.header, domain).map_err(|error| in_header("Sender", &error))?;
        Ok(Self { from, sender, envelope, caller })
    }

    /// The addresses that may choose the sender, the From header before `-f`, that before the caller. As msmtp has it,
    /// the envelope alone.
    fn identities(&self, config: &Config) -> Vec<&Address> {
        if let DefaultRelay::Msmtprc(Msmtprc { match_from: MatchFrom::Envelope, .. }) = &config.default {
            return self.envelope.as_ref().and_then(ReversePath::address).into_iter().collect();
        }
        let header: Vec<&Address> = self.from.iter().map(|mailbox| &mailbox.address).collect();
        if !header.is_empty() {
            return header;
        }
        vec![self.envelope.as_ref().and_then(ReversePath::address).unwrap_or(&self.caller)]
    }
}

/// Makes the plan.
///
/// # Errors
/// No recipient (64), an address that is none (65), not allowed (77), no route (78).
pub fn plan<'c>(config: &'c Config, request: &Request<'_>, mut message: Message) -> Result<Plan<'c>, RouteError> {
    let said = Said::of(request, &message)?;
    let choice = choose::choose(config, request.options.account.as_deref(), &said.identities(config), request.who)?;
    let (choice, as_account) = guarded(config, request, &said, choice)?;
    if let Via::Account(account) = choice.via {
        account.check().map_err(|error| RouteError::new(Status::Config, error.to_string()))?;
    }
    let Recipients { all: recipients, asked } = all_recipients(request, &message, choice.via)?;
    let mut changes = Vec::new();

    let mut from = reverse_path(request, &said, choice.via)?;
    changes.extend(complete(request, &said, choice.via, &from, &recipients, &mut message));
    if let Some(own) = as_account {
        changes.extend(rewrite::set_from(&mut message, &own, None));
        if from.address().is_some_and(|address| *address != own) {
            changes.push(format!("envelope sender {from} becomes {own}"));
            from = ReversePath::Address(own);
        }
    }
    if let Via::Sender(sender) | Via::Default(sender) = choice.via {
        show_name(sender, &mut message, request.domain, &mut changes);
    }
    if message.has_long_lines() {
        message = message.reencoded().map_err(|error| RouteError::new(Status::Data, error.to_string()))?;
        changes.push("lines of more than 998 octets are sent encoded".to_owned());
    }
    let dsn = Dsn { recipients: asked, ..notifications(&request.options.dsn, choice.via) };
    let recipients = recipients.into_iter().map(|mailbox| mailbox.address).collect();
    let envelope = Envelope::new(from, recipients, dsn).ok_or_else(|| {
        let how = if request.options.extract {
            "neither the arguments nor To, Cc and Bcc name one"
        } else {
            "give one, or -t"
        };
        RouteError::new(Status::Usage, format!("no recipient: {how}"))
    })?;
    let from = said.from.into_iter().next().map(|mailbox| mailbox.address);
    Ok(Plan { via: choice.via, rule: choice.rule, envelope, message, from, changes })
}

/// The choice after the identity guard, and the address to send as where it rewrites.
fn guarded<'c>(
    config: &'c Config,
    request: &Request<'_>,
    said: &Said,
    choice: Choice<'c>,
) -> Result<(Choice<'c>, Option<Address>), RouteError> {
    let (Via::Sender(account) | Via::Default(account)) = choice.via else { return Ok((choice, None)) };
    let envelope = reverse_path(request, said, choice.via)?;
    let found = guard::mismatches(account, &envelope, &said.from, said.sender.as_ref());
    let Some((_, first)) = found.first() else { return Ok((choice, None)) };
    let refused = || RouteError::new(Status::NoPerm, guard::refusal(account, &choice.via.name(), &found));
    match account.identity.on_mismatch {
        OnMismatch::Refuse => Err(refused()),
        OnMismatch::Rewrite => {
            // An envelope alone that does not fit is sent as the From that does.
            let own =
                said.from.iter().map(|mailbox| &mailbox.address).find(|address| guard::may_send(account, address));
            let own = own.cloned().or_else(|| account.own_address()).ok_or_else(refused)?;
            Ok((choice, Some(own)))
        }
        OnMismatch::Route => {
            let (owner, _) = choose::claimed(config, first).ok_or_else(refused)?;
            choose::allowed(owner, request.who, first.as_str())?;
            let via = Via::Sender(owner);
            let envelope = reverse_path(request, said, via)?;
            if !guard::mismatches(owner, &envelope, &said.from, said.sender.as_ref()).is_empty() {
                return Err(refused());
            }
            Ok((Choice { via, rule: Rule::Owner(first.to_string()) }, None))
        }
    }
}

/// The recipients of a message.
struct Recipients {
    /// In the caller's order, some perhaps twice.
    all: Vec<Mailbox>,
    /// What was asked about single ones, by `Address::canonical`.
    asked: BTreeMap<String, RecipientDsn>,
}

/// Arguments, with `-t` those of the header too; bare names through the account's alias file. What was asked about a name
/// holds for everybody whom it stands for (RFC 3461 section 5.2.7.1).
fn all_recipients(request: &Request<'_>, message: &Message, via: Via<'_>) -> Result<Recipients, RouteError> {
    let account = if let Via::Account(account) = via { Some(account) } else { None };
    let file = account.and_then(|account| account.aliases.as_deref());
    let aliases = file.map(|file| (request.aliases)(file)).transpose();
    let aliases = aliases.map_err(|error| RouteError::new(Status::Config, error.to_string()))?;
    let expand = |found: Vec<Mailbox>| match (&aliases, file) {
        (Some(aliases), Some(file)) => aliases
            .expand(found, request.domain)
            .map_err(|what| RouteError::new(Status::Data, format!("{}: {what}", file.display()))),
        _ => Ok(found),
    };
    let (mut all, mut asked) = (Vec::new(), BTreeMap::new());
    for argument in &request.options.recipients {
        let found = address::parse_argument(argument, request.domain);
        let found =
            expand(found.map_err(|error| RouteError::new(Status::Data, format!("recipient argument: {error}")))?)?;
        if let Some(dsn) = request.options.dsn.recipients.get(argument) {
            for mailbox in &found {
                asked.entry(mailbox.address.canonical()).or_insert_with(|| dsn.clone());
            }
        }
        all.extend(found);
    }
    if request.options.extract {
        let found = recipients::extract(&message.header, request.domain);
        all.extend(expand(found.map_err(|error| in_header("recipient", &error))?)?);
    }
    Ok(Recipients { all, asked })
}

/// MAIL FROM: `-f`, else the From header, else the account's own address, else the caller.
fn reverse_path(request: &Request<'_>, said: &Said, via: Via<'_>) -> Result<ReversePath, RouteError> {
    let header =
        said.from.iter().find(|mailbox| !mailbox.bare).or(said.from.first()).map(|mailbox| mailbox.address.clone());
    match via {
        Via::Account(account) => msmtprc::reverse_path(request, said, account, header),
        Via::Sender(sender) | Via::Default(sender) => Ok(match &said.envelope {
            Some(path) => path.clone(),
            None => {
                let claimed =
                    said.from.iter().map(|mailbox| &mailbox.address).find(|address| guard::may_send(sender, address));
                let own = claimed.cloned().or(header).or_else(|| sender.own_address());
                ReversePath::Address(own.unwrap_or_else(|| said.caller.clone()))
            }
        }),
    }
}

/// Adds what is missing in the header and takes out what must not leave.
fn complete(
    request: &Request<'_>,
    said: &Said,
    via: Via<'_>,
    from: &ReversePath,
    recipients: &[Mailbox],
    message: &mut Message,
) -> Vec<String> {
    let mut changes = Vec::new();
    let added = from.address().unwrap_or(&said.caller);
    let names = match via {
        Via::Account(account) => account.from_full_name.as_deref(),
        Via::Sender(sender) | Via::Default(sender) => sender.shown_name(added),
    };
    // An msmtprc account shows no name that nobody gave it.
    let own = if matches!(via, Via::Account(_)) { None } else { request.who.full_name.as_deref() };
    let name = request.options.full_name.as_deref().or(names).or(own);
    let mut completion = Completion {
        date: request.now,
        id_token: request.token.to_owned(),
        id_domain: added.domain().to_owned(),
        from: added,
        from_name: name,
        switches: Switches::default(),
    };
    if let Via::Account(account) = via {
        changes.extend(msmtprc::header(account, message, &mut completion, recipients));
    }
    changes.extend(rewrite::complete(message, &completion));
    changes.extend(rewrite::qualify(message, request.domain));
    changes
}

/// Puts the sender's name for an address before a From that shows none.
fn show_name(sender: &Sender, message: &mut Message, domain: &str, changes: &mut Vec<String>) {
    let Ok(shown) = recipients::from(&message.header, domain) else { return };
    let [mailbox] = shown.as_slice() else { return };
    let Some(name) = sender.shown_name(&mailbox.address).filter(|_| mailbox.name.is_none()) else { return };
    message.header.replace("From", &crate::message::header::format_mailbox(Some(name), &mailbox.address));
    changes.push(format!("From {} shows the name {name}", mailbox.address));
}

/// The command line's wishes for notifications before the account's.
fn notifications(asked: &Dsn, via: Via<'_>) -> Dsn {
    let own = if let Via::Account(account) = via { &account.dsn } else { &Dsn::default() };
    let envid = asked.envid.clone();
    Dsn { notify: asked.notify.or(own.notify), ret: asked.ret.or(own.ret), envid, ..Dsn::default() }
}

fn in_header(field: &str, error: &AddressError) -> RouteError {
    RouteError::new(Status::Data, format!("{field} header: {error}"))
}
