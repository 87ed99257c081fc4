//! Decisions become messages of the queue: one for each lane and set of marks, and one for each forward of a recipient.
//!
//! All of them are kept in one commit, so that nothing is lost or doubled between them. Pure.
//!
//! A forwarded message has `Delivered-To` with the recipient whom it came for; one that has that already goes in circles
//! and is refused. Its envelope sender is the forwarding account's own address, because a server takes no other: a failure
//! is told there. The null sender stays one, so that a report makes no reports.

use super::decide::{Asked, Decision, Delivery, Fate, decide};
use super::{Content, End, Facts, Kind, Mailboxes, NOBODY, OTHERWISE, Rule, Rules, lane};
use crate::config::{Config, Sender, Via};
use crate::envelope::{Dsn, Envelope, ReversePath};
use crate::message::Message;
use crate::message::address::{Address, parse_list};
use crate::message::header::Header;
use crate::message::{recipients, rewrite};
use std::net::IpAddr;

/// A message that the rules are asked about.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'m> {
    /// The envelope.
    pub envelope: &'m Envelope,
    /// The message.
    pub message: &'m Message,
    /// The listener's address as it is configured; `None` for this machine's own programs.
    pub listener: Option<&'m str>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// Which maildirs are there.
    pub mailboxes: Mailboxes<'m>,
}

/// One message of the queue.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its lane: a rule's, or that of the sender who forwards it.
    pub lane: String,
    /// Its envelope.
    pub envelope: Envelope,
    /// The message with its marks.
    pub message: Message,
    /// It leaves this machine again.
    pub forward: bool,
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsorted {
    /// No rule takes it, for any recipient.
    Nobody,
    /// A rule refuses it, for all recipients: its text.
    Refused(String),
    /// It may not be taken, whoever would take it.
    Unsortable(Unsortable),
}

/// What is wrong with a message that rules may not sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsortable {
    /// It has been forwarded by here before.
    Loop(Address),
    /// More than `decide::MOST` rules take it; their names would be a mistake of the configuration.
    TooMany,
}

impl Mail<'_> {
    /// What the rules can know, for one recipient.
    #[must_use]
    pub fn facts<'f>(&'f self, to: &'f Address) -> Facts<'f> {
        let content = Content { header: &self.message.header, size: self.message.wire_size() };
        let Self { listener, client, mailboxes, .. } = *self;
        Facts { from: &self.envelope.from, to, listener, client, content: Some(content), mailboxes }
    }

    /// What the rules make of it for one recipient.
    pub fn decide<'r>(&self, rules: &'r Rules, to: &Address, asked: Asked<'_, 'r>) -> Decision<'r> {
        decide(rules, &self.facts(to), asked)
    }
}

/// Sorts a message for all of its recipients. Where one is taken and another refused, the other is sent back.
///
/// # Errors
/// Nobody takes it, or it may not be taken.
pub fn sort(config: &Config, mail: &Mail<'_>) -> Result<Vec<Part>, Unsorted> {
    match sorted(config, mail).map_err(Unsorted::Unsortable)? {
        (parts, None) => Ok(parts),
        (_, Some(refusal)) => Err(refusal),
    }
}

/// Sorts a message that was taken in before: whom no rule takes, that is sent back, even where it is everybody.
///
/// # Errors
/// It may not be taken.
pub fn sort_kept(config: &Config, mail: &Mail<'_>) -> Result<Vec<Part>, Unsortable> {
    sorted(config, mail).map(|(parts, _)| parts)
}

/// The parts, and where no recipient is taken, why.
fn sorted(config: &Config, mail: &Mail<'_>) -> Result<(Vec<Part>, Option<Unsorted>), Unsortable> {
    let mut groups = Groups { config, mail, forwards: Vec::new(), groups: Vec::new() };
    let (mut taken, mut refusal) = (false, None);
    let mut away: Vec<(&str, &Address)> = Vec::new();
    for to in mail.envelope.recipients() {
        let Decision { deliveries, fate } = mail.decide(&config.rules, to, &mut |_, _| {});
        match fate {
            Fate::TooMany => return Err(Unsortable::TooMany),
            Fate::Refused(rule) => {
                refusal.get_or_insert_with(|| refused(rule));
                away.push((&rule.name, to));
            }
            Fate::Nobody => {
                refusal.get_or_insert(Unsorted::Nobody);
                away.push((OTHERWISE, to));
            }
            // With the message there nothing is unknown.
            Fate::Taken | Fate::Unknown => {}
        }
        taken |= !deliveries.is_empty();
        for delivery in &deliveries {
            groups.add(delivery, to)?;
        }
    }
    away.into_iter().for_each(|(rule, to)| groups.group(rule, Kind::Refuse, &[], to));
    Ok((groups.finish(), refusal.filter(|_| !taken)))
}

/// What a rule that refuses says.
fn refused(rule: &Rule) -> Unsorted {
    match &rule.actions.end {
        _ if rule.name == OTHERWISE => Unsorted::Nobody,
        End::Refuse(text) => Unsorted::Refused(text.clone()),
        _ => Unsorted::Refused(NOBODY.into()),
    }
}

struct Groups<'g> {
    config: &'g Config,
    mail: &'g Mail<'g>,
    /// Parts of one recipient each.
    forwards: Vec<Part>,
    groups: Vec<Group>,
}

/// Recipients whose message goes into one lane with the same marks.
struct Group {
    lane: String,
    kind: Kind,
    marks: Vec<(String, String)>,
    to: Vec<Address>,
}

impl Groups<'_> {
    fn add(&mut self, delivery: &Delivery<'_>, to: &Address) -> Result<(), Unsortable> {
        if delivery.kind == Kind::Forward {
            if came_for(self.mail.message, to) {
                return Err(Unsortable::Loop(to.clone()));
            }
            if let Some(part) = forwarded(self.config, self.mail, delivery, to) {
                self.forwards.push(part);
                return Ok(());
            }
            // Such a rule is a fault of the configuration; what was read before waits in the rule's lane, on hold.
        }
        self.group(&delivery.rule.name, delivery.kind, &delivery.marks, to);
        Ok(())
    }

    fn group(&mut self, rule: &str, kind: Kind, marks: &[(String, String)], to: &Address) {
        let lane = lane(rule, kind);
        match self.groups.iter_mut().find(|group| group.lane == lane && group.marks == marks) {
            Some(group) => group.to.push(to.clone()),
            None => self.groups.push(Group { lane, kind, marks: marks.to_vec(), to: vec![to.clone()] }),
        }
    }

    fn finish(self) -> Vec<Part> {
        let Mail { envelope, message, .. } = self.mail;
        let part = |Group { lane, kind, marks, to }| {
            let mut message = marked(message, &marks);
            // The files of several recipients are one file with several names, so that none of them is in it.
            if let (Kind::Maildir, [only]) = (kind, to.as_slice()) {
                message.header.prepend("Delivered-To", only.as_str());
            }
            let envelope = Envelope::new(envelope.from.clone(), to, envelope.dsn.clone())?;
            Some(Part { lane, envelope, message, forward: false })
        };
        self.groups.into_iter().filter_map(part).chain(self.forwards).collect()
    }
}

/// The message with its marks; what somebody else wrote under these names goes.
fn marked(message: &Message, marks: &[(String, String)]) -> Message {
    let mut message = message.clone();
    for (name, value) in marks {
        message.header.remove(name);
        rewrite::set_text(&mut message, name, value, true);
    }
    message
}

/// Whether a message has been forwarded for a recipient before.
fn came_for(message: &Message, to: &Address) -> bool {
    let before = message.header.all("Delivered-To").filter_map(|field| parse_list(field.value(), "localhost").ok());
    before.flatten().any(|mailbox| mailbox.address.key() == to.key())
}

/// Whether everybody whom a message presents as its author is the sender's own.
fn may_send(sender: &Sender, header: &Header) -> bool {
    let from = recipients::from(header, "localhost").unwrap_or_default();
    let sender_fields = recipients::sender(header, "localhost");
    let resent = recipients::resent(header, "localhost");
    let (Ok(others), Ok((resent_from, resent_sender))) = (sender_fields, resent) else { return false };
    let mut all = from.iter().chain(&others).chain(&resent_from).chain(&resent_sender);
    !from.is_empty() && all.all(|mailbox| sender.may_send(&mailbox.address))
}

fn forwarded(config: &Config, mail: &Mail<'_>, delivery: &Delivery<'_>, to: &Address) -> Option<Part> {
    let via = config.via(delivery.rule)?;
    let mut message = marked(mail.message, &delivery.marks);
    let own = match via {
        Via::Sender(sender) | Via::Default(sender) => sender.own_address(),
        Via::Account(account) => account.from.as_deref().and_then(|from| Address::parse(from).ok()),
    };
    if let (Via::Sender(sender) | Via::Default(sender), Some(own)) = (via, &own) {
        let fine = may_send(sender, &message.header);
        if sender.identity.must_match && !fine {
            rewrite::set_from(&mut message, own, None);
        }
    }
    message.header.remove("Return-Path");
    rewrite::set_text(&mut message, "Delivered-To", to.as_str(), false);
    if !came_for(&message, to) {
        message.header.prepend("Delivered-To", to.as_str());
    }
    let message = message.reencoded().unwrap_or(message);
    let from = match (&mail.envelope.from, own) {
        (ReversePath::Null, _) => ReversePath::Null,
        (_, Some(own)) => ReversePath::Address(own),
        (from, None) => from.clone(),
    };
    let envelope = Envelope::new(from, delivery.rule.actions.forward.clone(), Dsn::default())?;
    Some(Part { lane: via.name(), envelope, message, forward: true })
}
