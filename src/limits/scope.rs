//! Which limits an account is under: a sender's own, and those that it shares with others. Pure.

use super::counters::Series;
use super::decision::{Class, Entry, Tally};
use super::ledger::Mark;
use super::window::{Span, Window};
use crate::config::{AtLimit, Config, Members, Sender, Via};

/// A limit that an account is under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it is counted.
    pub series: Series,
    /// The limit.
    pub window: Window,
    /// What of it is there for the mail in question.
    pub ceiling: u64,
    /// Whose it is: `sender shop`, `default relay`, `limit yandex-account`.
    pub whose: String,
}

impl Rule {
    /// With what counts towards it.
    #[must_use]
    pub fn tally(&self, mark: &Mark, entries: Vec<Entry>) -> Tally {
        let day = match &self.window.per {
            Span::Rolling(_) => (0, 0),
            Span::Day(zone) => {
                let (start, end) = zone.day(mark.read.wall);
                (mark.of_wall(start), mark.of_wall(end))
            }
        };
        Tally { window: self.window.clone(), ceiling: self.ceiling, day, entries }
    }
}

/// The settings of an account that may have limits; msmtprc accounts have none.
#[must_use]
pub fn profile(via: Via<'_>) -> Option<&Sender> {
    match via {
        Via::Sender(sender) | Via::Default(sender) => Some(sender),
        Via::Account(_) => None,
    }
}

/// Whose counters an account's own limits are.
#[must_use]
pub fn subject(via: Via<'_>) -> String {
    match via {
        Via::Sender(sender) => format!("sender {}", sender.name),
        Via::Default(_) | Via::Account(_) => via.name(),
    }
}

/// All limits of an account for mail of that class; empty where it has none.
#[must_use]
pub fn rules(config: &Config, via: Via<'_>, class: Class) -> Vec<Rule> {
    let Some(sender) = profile(via) else { return Vec::new() };
    let rule = |window: &Window, whose: String| Rule {
        series: (whose.clone(), window.per.length()),
        window: window.clone(),
        ceiling: match class {
            Class::Single => window.most.into(),
            Class::Bulk => sender.limits.reserve.for_bulk(window.most),
        },
        whose,
    };
    let own = sender.limits.windows.iter().map(|window| rule(window, subject(via)));
    let shared = config.limits.shared.iter().filter(|limit| match &limit.members {
        Members::Senders(names) => matches!(via, Via::Sender(_)) && names.iter().any(|(name, _)| *name == sender.name),
        Members::Domain(domain) => {
            sender.own_address().is_some_and(|address| address.domain().eq_ignore_ascii_case(domain))
        }
    });
    own.chain(shared.map(|limit| rule(&limit.window, format!("limit {}", limit.name)))).collect()
}

/// The same with the limits of other senders that hold as well; one that is shared counts once.
#[must_use]
pub fn rules_besides(config: &Config, via: Via<'_>, besides: &[&Sender], class: Class) -> Vec<Rule> {
    let mut all = rules(config, via, class);
    for sender in besides {
        for rule in rules(config, Via::Sender(sender), class) {
            if all.iter().all(|known| known.series != rule.series || known.window != rule.window) {
                all.push(rule);
            }
        }
    }
    all
}

/// An account, and those that its mail overflows to, in this order; each once.
#[must_use]
pub fn chain<'c>(config: &'c Config, via: Via<'c>) -> Vec<Via<'c>> {
    let mut chain = vec![via];
    while let Some(AtLimit::Overflow(name, _)) = chain.last().and_then(|last| Some(&profile(*last)?.limits.at_limit)) {
        let next = config.senders.iter().find(|sender| sender.name == *name && sender.enabled && config.enabled);
        let known =
            |sender: &Sender| chain.iter().any(|via| matches!(via, Via::Sender(one) if std::ptr::eq(*one, sender)));
        match next.filter(|sender| !known(sender)) {
            Some(sender) => chain.push(Via::Sender(sender)),
            None => break,
        }
    }
    chain
}
