//! The finished plan of a message: the account, the envelope, the message as it will leave, and what was changed.
//!
//! One function for every way in (`sendmail`, `msmtp`, `explain`): what `explain` shows is what is sent. Pure: time,
//! token and alias files come in with the request.

use super::choose::{self, Choice, Rule};
use super::guard::{self, Identity};
use super::{RouteError, aliases::Parsed, authors, msmtprc, outgoing, recipients};
use crate::cli::invocation::Options;
use crate::config::{AliasSource, Config, ConfigError, DefaultRelay, MatchFrom, Msmtprc, OnMismatch, Sender, Via};
use crate::envelope::{Dsn, Envelope, ReversePath};
use crate::exit::Status;
use crate::message::address::{self, Address, AddressError, Mailbox};
use crate::message::bulk;
use crate::message::rewrite::{self, Completion, Switches};
use crate::message::{Message, recipients as named};
use crate::rules::Mailboxes;
use crate::sys::users::Caller;
use chrono::{DateTime, FixedOffset};
use std::sync::Arc;

/// Reads an alias file, or remembers it; `None` where it need not be there and is not.
pub type ReadAliases = dyn Fn(&AliasSource) -> Result<Option<Arc<Parsed>>, ConfigError>;

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
    pub aliases: &'a ReadAliases,
    /// Which maildirs of rules are there.
    pub mailboxes: Mailboxes<'a>,
}

/// What will be sent, how, and why.
#[derive(Clone, Debug)]
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
    /// Why it is bulk mail, where it is; by the message as the caller wrote it.
    pub bulk: Option<bulk::Why>,
    /// Local names that became other recipients, and by which line.
    pub expanded: Vec<String>,
    /// Recipients that nobody named: the sender's archive copies.
    pub archive: Vec<Address>,
    /// The account stands in for the one that was chosen.
    pub moved: bool,
}

impl<'c> Plan<'c> {
    /// The same over another account, which stands in for the one that was chosen.
    #[must_use]
    pub fn over(&self, via: Via<'c>) -> Self {
        Self { via, moved: true, ..self.clone() }
    }
}

/// What a message and its command line say about who it is from.
pub(super) struct Said {
    /// The mailboxes of From.
    pub from: Vec<Mailbox>,
    /// Those of Sender.
    sender: Vec<Mailbox>,
    /// Those of Resent-From: who sends the message on.
    resent_from: Vec<Mailbox>,
    /// Those of Resent-Sender.
    resent_sender: Vec<Mailbox>,
    /// `-f`.
    pub envelope: Option<ReversePath>,
    /// The calling user at the local domain.
    pub caller: Address,
}

impl Said {
    pub(super) fn of(request: &Request<'_>, message: &Message) -> Result<Self, RouteError> {
        let domain = request.domain;
        let envelope = request.options.from.as_deref().map(|text| address::parse_reverse_path(text, domain));
        let caller = Address::parse(&format!("{}@{domain}", request.who.name)).map_err(|error| {
            RouteError::new(Status::Config, format!("{error}; set domain = \"example.com\" in postrider.toml"))
        })?;
        let from = named::from(&message.header, domain).map_err(|error| in_header("From", &error))?;
        let envelope = match from.first().filter(|_| request.options.read_envelope_from) {
            Some(mailbox) => Some(ReversePath::Address(mailbox.address.clone())),
            None => envelope.transpose().map_err(|error| RouteError::new(Status::Data, format!("-f: {error}")))?,
        };
        let sender = named::sender(&message.header, domain).map_err(|error| in_header("Sender", &error))?;
        let resent = named::resent(&message.header, domain);
        let (resent_from, resent_sender) = resent.map_err(|error| in_header("Resent-From or Resent-Sender", &error))?;
        Ok(Self { from, sender, resent_from, resent_sender, envelope, caller })
    }

    /// Every mailbox of the header that the message presents as its author's.
    fn presented(&self) -> impl Iterator<Item = (Identity, &Mailbox)> {
        let fields = [
            (Identity::From, &self.from),
            (Identity::Sender, &self.sender),
            (Identity::ResentFrom, &self.resent_from),
            (Identity::ResentSender, &self.resent_sender),
        ];
        fields.into_iter().flat_map(|(which, all)| all.iter().map(move |mailbox| (which, mailbox)))
    }

    /// Whether the caller may send as everybody whom the message presents as its author: the header and the envelope that
    /// was asked for, or the caller, where neither names anybody.
    ///
    /// # Errors
    /// A sender that is not this user's claims an address (77).
    pub(super) fn allowed(&self, config: &Config, who: &Caller) -> Result<(), RouteError> {
        let header = self.presented().map(|(_, mailbox)| &mailbox.address);
        let envelope = self.envelope.as_ref().and_then(ReversePath::address);
        let nobody = self.from.is_empty() && self.envelope.is_none();
        authors::allowed(config, who, header.chain(envelope).chain(nobody.then_some(&self.caller)))
    }

    /// MAIL FROM where nothing else says it: who sends the message on, else its author, one that `may_send` before others.
    fn header_path(&self, may_send: &dyn Fn(&Address) -> bool) -> Option<Address> {
        let all = || self.resent_from.iter().chain(&self.from);
        let own = all().find(|mailbox| may_send(&mailbox.address));
        own.or_else(|| all().find(|mailbox| !mailbox.bare)).or_else(|| all().next()).map(|found| found.address.clone())
    }

    /// The addresses that may choose the sender, the From header before `-f`, that before the caller; with `resent` who
    /// sends the message on before all of them. As msmtp has it, the envelope alone.
    fn identities(&self, config: &Config) -> Vec<&Address> {
        if let DefaultRelay::Msmtprc(Msmtprc { match_from: MatchFrom::Envelope, .. }) = &config.default {
            return self.envelope.as_ref().and_then(ReversePath::address).into_iter().collect();
        }
        let resent = config.resent && !self.resent_from.is_empty();
        let header = if resent { &self.resent_from } else { &self.from };
        let header: Vec<&Address> = header.iter().map(|mailbox| &mailbox.address).collect();
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
    said.allowed(config, request.who)?;
    let (choice, as_account) = guarded(config, request, &said, choice)?;
    if let Via::Account(account) = choice.via {
        account.check().map_err(|error| RouteError::new(Status::Config, error.to_string()))?;
    }
    let found = recipients::all(config, request, &message, Some(choice.via))?;
    let via = choice.via;
    let bulk = bulk::bulk(&message.header, found.recipients.len(), &via.name(), via.bulk(), &config.bulk);
    let mut from = reverse_path(request, &said, choice.via)?;
    let archive = outgoing::archive(choice.via, &from, &message, &found.recipients);
    let mut changes = rewritten(request, &said, &choice, &found, &mut from, &mut message)?;
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
    let dsn = outgoing::quietly(notifications(&request.options.dsn, choice.via), found.asked, &archive);
    let all = found.recipients.into_iter().map(|mailbox| mailbox.address).chain(archive.iter().cloned()).collect();
    let envelope = Envelope::new(from, all, dsn).ok_or_else(|| {
        let how = if request.options.extract {
            "neither the arguments nor To, Cc and Bcc name one"
        } else {
            "give one, or -t"
        };
        RouteError::new(Status::Usage, format!("no recipient: {how}"))
    })?;
    let from = said.from.into_iter().next().map(|mailbox| mailbox.address);
    let (expanded, rule) = (found.steps, choice.rule);
    Ok(Plan { via, rule, envelope, message, from, changes, bulk, expanded, archive, moved: false })
}

/// Everything that is changed before the identity guard has its word, told in plain words.
fn rewritten(
    request: &Request<'_>,
    said: &Said,
    choice: &Choice<'_>,
    found: &recipients::Found,
    from: &mut ReversePath,
    message: &mut Message,
) -> Result<Vec<String>, RouteError> {
    let mut changes = Vec::new();
    if let Some(owner) = recipients::owner(found, from, choice.via) {
        changes.push(format!("envelope sender {from} becomes {owner}, the owner of the list"));
        *from = ReversePath::Address(owner);
    }
    changes.extend(complete(request, said, choice.via, from, &found.recipients, message));
    changes.extend(outgoing::fields(choice.via, message));
    if message.has_long_lines() {
        *message = message.reencoded().map_err(|error| RouteError::new(Status::Data, error.to_string()))?;
        changes.push("lines of more than 998 octets are sent encoded".to_owned());
    }
    Ok(changes)
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
    let found = guard::mismatches(account, &envelope, said.presented());
    let Some((_, first)) = found.first() else { return Ok((choice, None)) };
    let refused = || RouteError::new(Status::NoPerm, guard::refusal(account, &choice.via.name(), &found));
    match account.identity.on_mismatch {
        OnMismatch::Refuse => Err(refused()),
        OnMismatch::Rewrite => {
            // An envelope alone that does not fit is sent as the From that does.
            let own = said.from.iter().map(|mailbox| &mailbox.address).find(|address| account.may_send(address));
            let own = own.cloned().or_else(|| account.own_address()).ok_or_else(refused)?;
            Ok((choice, Some(own)))
        }
        OnMismatch::Route => {
            let (owner, _) = choose::claimed(config, first).ok_or_else(refused)?;
            choose::allowed(owner, request.who, first.as_str())?;
            let via = Via::Sender(owner);
            let envelope = reverse_path(request, said, via)?;
            if !guard::mismatches(owner, &envelope, said.presented()).is_empty() {
                return Err(refused());
            }
            Ok((Choice { via, rule: Rule::Owner(first.to_string()) }, None))
        }
    }
}

/// MAIL FROM: `-f`, else the From header, else the account's own address, else the caller.
fn reverse_path(request: &Request<'_>, said: &Said, via: Via<'_>) -> Result<ReversePath, RouteError> {
    match via {
        Via::Account(account) => msmtprc::reverse_path(request, said, account, said.header_path(&|_| false)),
        Via::Sender(sender) | Via::Default(sender) => Ok(match &said.envelope {
            Some(path) => path.clone(),
            None => {
                let header = said.header_path(&|address| sender.may_send(address));
                let own = header.or_else(|| sender.own_address());
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
    let Ok(shown) = named::from(&message.header, domain) else { return };
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

pub(super) fn in_header(field: &str, error: &AddressError) -> RouteError {
    RouteError::new(Status::Data, format!("{field} header: {error}"))
}
