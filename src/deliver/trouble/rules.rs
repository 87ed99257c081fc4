//! Which rule fits a reply: those of the account before `[[reply]]`, these before the provider's, and those before the rules
//! for all servers. Within each of these tables the most specific one wins, whatever the order it is written in.

use super::providers::{self, Row};
use crate::config::replies::{ReplyRule, Then};
use crate::config::{Endpoint, Relay, presets};
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use wildmatch::WildMatch;

/// The rules of one account.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'r> {
    own: &'r [ReplyRule],
    all: &'r [ReplyRule],
    provider: &'static [Row],
}

/// The rule that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'r> {
    pub then: Then,
    pub advice: Option<&'r str>,
}

/// How specific a rule is: by the number of its conditions, then by what they say.
type Rank = (usize, usize, usize);

impl<'r> Rules<'r> {
    /// Those of an account; the provider is the one that it names, else the one whose server it is.
    #[must_use]
    pub fn of(relay: &'r Relay) -> Self {
        let by_host = || match &relay.endpoint {
            Endpoint::Tcp(host, _) => presets::of_host(host).map(|preset| preset.name),
            Endpoint::Unix(_) => None,
        };
        let provider = relay.replies.provider.or_else(by_host).map_or(&[][..], providers::of);
        Self { own: &relay.replies.own, all: &relay.replies.all, provider }
    }

    /// Those for all servers alone.
    #[must_use]
    pub fn general() -> Self {
        Self { own: &[], all: &[], provider: &[] }
    }

    /// Whether what a reply refuses may go on at once in smaller transactions.
    #[must_use]
    pub fn splits(&self, phase: Phase, reply: &Reply) -> bool {
        match self.find(phase, reply) {
            Some(found) => found.then == Then::Split,
            None => phase == Phase::Rcpt && reply.too_many_recipients(),
        }
    }

    /// Whether a message as a whole may have to be split, so that the connection must outlast it.
    #[must_use]
    pub fn splits_late(&self) -> bool {
        fn late<T>(rules: &[ReplyRule<T>]) -> bool {
            rules.iter().any(|rule| rule.then == Then::Split && rule.phase != Some(Phase::Rcpt))
        }
        late(self.own) || late(self.all) || late(self.provider) || late(providers::ALL)
    }

    /// The rule that fits a reply best.
    pub(super) fn find(&self, phase: Phase, reply: &Reply) -> Option<Found<'r>> {
        let text = reply.to_string().to_lowercase();
        // The code stands in front of it.
        let text = text.split_once(' ').map_or("", |(_, text)| text);
        best(self.own, phase, reply, text)
            .or_else(|| best(self.all, phase, reply, text))
            .or_else(|| best(self.provider, phase, reply, text))
            .or_else(|| best(providers::ALL, phase, reply, text))
    }
}

fn best<'r, T: AsRef<str>>(rules: &'r [ReplyRule<T>], phase: Phase, reply: &Reply, text: &str) -> Option<Found<'r>> {
    let mut best: Option<(Rank, &ReplyRule<T>)> = None;
    for rule in rules.iter().filter(|rule| fits(rule, phase, reply, text)) {
        let rank = rank(rule);
        // Of equals the first.
        if best.as_ref().is_none_or(|(known, _)| rank > *known) {
            best = Some((rank, rule));
        }
    }
    best.map(|(_, rule)| Found { then: rule.then, advice: rule.advice.as_ref().map(T::as_ref) })
}

fn fits<T: AsRef<str>>(rule: &ReplyRule<T>, phase: Phase, reply: &Reply, text: &str) -> bool {
    rule.code.is_none_or(|code| code == reply.code)
        && rule.phase.is_none_or(|own| own == phase)
        && rule.enhanced.is_none_or(|own| reply.enhanced.is_some_and(|code| own.fits(code)))
        && rule.text.as_ref().is_none_or(|pattern| holds(text, pattern.as_ref()))
}

/// Both in lower case.
fn holds(text: &str, pattern: &str) -> bool {
    match pattern.contains(['*', '?']) {
        true => WildMatch::new(pattern).matches(text),
        false => text.contains(pattern),
    }
}

fn rank<T: AsRef<str>>(rule: &ReplyRule<T>) -> Rank {
    let given = [rule.code.is_some(), rule.enhanced.is_some(), rule.text.is_some(), rule.phase.is_some()];
    let literal = |text: &T| text.as_ref().chars().filter(|c| !matches!(c, '*' | '?')).count();
    let conditions = given.into_iter().filter(|given| *given).count();
    (conditions, rule.text.as_ref().map_or(0, literal), rule.enhanced.map_or(0, |enhanced| enhanced.given()))
}
