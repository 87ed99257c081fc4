//! Recipients through the aliases: every local one is replaced by where its alias leads, until none has an alias.

use super::{Aliases, DEFAULT, Entry, Target, mailbox, shown};
use crate::message::address::{Address, Mailbox};
use std::collections::HashSet;
use std::ops::Range;

/// The longest chain of aliases.
const DEPTH: usize = 16;
/// The most recipients that the aliases of one message may lead to.
const RECIPIENTS: usize = 10_000;
/// The most steps that are told.
const STEPS: usize = 100;

/// What is local, and what becomes of local recipients that no alias takes.
#[derive(Clone, Copy, Debug)]
pub struct Local<'l> {
    /// What is put behind a bare name.
    pub domain: &'l str,
    /// Domains whose addresses are local too.
    pub domains: &'l [String],
    /// Takes what no alias takes.
    pub default: Option<&'l Address>,
}

impl Local<'_> {
    /// Whether aliases are asked about a recipient.
    #[must_use]
    pub fn has(&self, recipient: &Mailbox) -> bool {
        recipient.bare || self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(recipient.address.domain()))
    }
}

/// What became of the recipients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// Who gets the message; the same one may be there twice.
    pub recipients: Vec<Mailbox>,
    /// For each name that was given, in order, which of `recipients` it led to.
    pub from: Vec<Range<usize>>,
    /// What was replaced by what, in plain words.
    pub steps: Vec<String>,
    /// `owner-LIST`, where all recipients come from one alias that has an owner: who hears of failures.
    pub owner: Option<Address>,
}

impl Aliases {
    /// The recipients with every local one replaced that has an alias.
    ///
    /// # Errors
    /// A name that leads to a program or a file, in a circle, through more than 16 aliases in a row, or to more than
    /// 10,000 recipients: what and where, one line.
    pub fn expand(&self, recipients: Vec<Mailbox>, local: Local<'_>) -> Result<Expansion, String> {
        let mut work =
            Work { aliases: self, local, path: Vec::new(), done: HashSet::new(), added: 0, out: Expansion::default() };
        let mut owners = HashSet::new();
        for recipient in recipients {
            owners.insert(self.owner(&recipient, local));
            let first = work.out.recipients.len();
            work.one(recipient, false)?;
            work.out.from.push(first..work.out.recipients.len());
        }
        let mut out = work.out;
        // Failures go to one address: where several would have to hear of them, the sender does.
        let mut owners = owners.into_iter();
        out.owner = owners.next().flatten().filter(|_| owners.next().is_none());
        Ok(out)
    }

    /// The entry of a name: its own, that of the name without `+detail`, else the default.
    fn find(&self, key: &str) -> Option<(&Entry, bool)> {
        let plain = key.split_once('+').map(|(name, _)| name).filter(|name| !name.is_empty());
        let own = self.entries.get(key).or_else(|| self.entries.get(plain?));
        own.map(|entry| (entry, false)).or_else(|| self.entries.get(DEFAULT).map(|entry| (entry, true)))
    }

    /// Who hears of failures of a recipient that is a list with an `owner-`: where that is one address, it; otherwise the
    /// owner's name at the domain of local names.
    fn owner(&self, recipient: &Mailbox, local: Local<'_>) -> Option<Address> {
        let key = self.key(recipient.address.local());
        if !local.has(recipient) || !self.entries.contains_key(&key) || key.starts_with("owner-") {
            return None;
        }
        let name = format!("owner-{key}");
        match self.entries.get(&name)?.targets.as_slice() {
            [Target::Address(address)] => Some(address.clone()),
            _ => mailbox(&name, local.domain).ok().map(|mailbox| mailbox.address),
        }
    }
}

struct Work<'a> {
    aliases: &'a Aliases,
    local: Local<'a>,
    /// The names that are being expanded, outermost first.
    path: Vec<String>,
    /// Names that were expanded whole: where they lead is in `out`.
    done: HashSet<String>,
    /// Recipients that came from aliases.
    added: usize,
    out: Expansion,
}

impl Work<'_> {
    /// `by_default`: the default's own line led here, so that it is not asked again.
    fn one(&mut self, recipient: Mailbox, by_default: bool) -> Result<(), String> {
        if !self.local.has(&recipient) {
            return self.leaf(recipient);
        }
        let key = self.aliases.key(recipient.address.local());
        let found = self.aliases.find(&key).filter(|(_, is_default)| !(*is_default && by_default));
        // An alias that leads to itself is the local mailbox, not a loop.
        let Some((entry, is_default)) = found.filter(|_| self.path.last() != Some(&key)) else {
            return self.mailbox(recipient);
        };
        if self.done.contains(&key) {
            return Ok(());
        }
        let at = |what: String| format!("{}: alias {}: {what}", entry.place, shown(&key));
        if self.path.contains(&key) {
            return Err(at(format!("it leads back to itself: {} -> {key}", self.path.join(" -> "))));
        }
        if self.path.len() >= DEPTH {
            return Err(at(format!("it is behind more than {DEPTH} others in a row")));
        }
        self.told(&recipient, entry, is_default);
        self.path.push(key.clone());
        for target in &entry.targets {
            self.target(target, is_default, &at)?;
        }
        self.path.pop();
        self.done.insert(key);
        Ok(())
    }

    fn target(&mut self, target: &Target, by_default: bool, at: &dyn Fn(String) -> String) -> Result<(), String> {
        let domain = self.local.domain;
        let named = |name: &str| mailbox(name, domain).map_err(|error| at(error.to_string()));
        match target {
            Target::Address(address) => {
                self.one(Mailbox { name: None, address: address.clone(), bare: false, routed: false }, by_default)
            }
            Target::Name(name) => self.one(named(name)?, by_default),
            Target::Literal(name) => self.mailbox(named(name)?),
            Target::Refused(problem) => Err(at(problem.to_string())),
        }
    }

    /// A local recipient that no alias takes.
    fn mailbox(&mut self, recipient: Mailbox) -> Result<(), String> {
        let Some(default) = self.local.default else { return self.leaf(recipient) };
        self.step(format!("{recipient} -> {default} (default_recipient)", recipient = shown_name(&recipient)));
        self.leaf(Mailbox { name: None, address: default.clone(), bare: false, routed: false })
    }

    fn leaf(&mut self, recipient: Mailbox) -> Result<(), String> {
        self.added += usize::from(!self.path.is_empty());
        if self.added > RECIPIENTS {
            let name = self.path.first().map(String::as_str).unwrap_or_default();
            return Err(format!("alias {}: it leads to more than {RECIPIENTS} recipients", shown(name)));
        }
        self.out.recipients.push(recipient);
        Ok(())
    }

    fn told(&mut self, recipient: &Mailbox, entry: &Entry, is_default: bool) {
        if self.out.steps.len() >= STEPS {
            return;
        }
        let targets: Vec<String> = entry.targets.iter().take(STEPS).map(shown_target).collect();
        let by = if is_default { ", default" } else { "" };
        self.step(format!("{} -> {} ({}{by})", shown_name(recipient), targets.join(", "), entry.place));
    }

    fn step(&mut self, what: String) {
        if self.out.steps.len() < STEPS {
            self.out.steps.push(what);
        }
    }
}

fn shown_name(recipient: &Mailbox) -> String {
    if recipient.bare { recipient.address.local().to_owned() } else { recipient.address.to_string() }
}

fn shown_target(target: &Target) -> String {
    match target {
        Target::Address(address) => address.to_string(),
        Target::Name(name) => name.clone(),
        Target::Literal(name) => format!("\\{name}"),
        Target::Refused(_) => "(refused)".into(),
    }
}
