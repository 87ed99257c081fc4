//! A lane's name and the account behind it, as the configuration has it now. Values only.

use super::types::Queued;
use crate::config::{Account, Config, DefaultRelay, Flow, Pace, QueueConfig, Via};
use crate::message::address::Address;
pub use crate::rules::INCOMING;
use crate::rules::{self, Order};
use std::time::Duration;

/// What the configuration says of a lane's connections, pace and idle time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Messages under way at once, each over a connection of its own.
    pub(super) connections: usize,
    /// How quickly messages go.
    pub(super) pace: Option<Pace>,
    /// How long a worker keeps its connection without a message.
    pub(super) idle: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self::of(&Flow::default(), QueueConfig::default().connections)
    }
}

impl Rules {
    fn of(flow: &Flow, usual: usize) -> Self {
        Self { connections: flow.connections(usual), pace: flow.pace, idle: flow.idle }
    }

    /// The rules of an account.
    pub(super) fn new(config: &Config, way: Way<'_>) -> Self {
        match way {
            Way::Account(Via::Sender(sender) | Via::Default(sender)) => {
                Self::of(&sender.flow, config.queue.connections)
            }
            Way::Account(Via::Account(_)) | Way::Rule(_) => Self::of(&Flow::default(), config.queue.connections),
        }
    }
}

/// Begins the reason of a hold that ends by itself when the sender is there again.
pub const GONE: &str = "sender gone: ";
const ACCOUNT: &str = "msmtprc account ";

/// What delivers the messages of a lane.
#[derive(Clone, Copy, Debug)]
pub enum Way<'c> {
    /// An SMTP account.
    Account(Via<'c>),
    /// A rule, on this machine.
    Rule(Order<'c>),
}

/// What delivers the messages of a lane; `None` where it is no longer configured, or switched off.
#[must_use]
pub fn way<'c>(config: &'c Config, lane: &str) -> Option<Way<'c>> {
    find(config, lane).map(Way::Account).or_else(|| config.rules.of_lane(lane).map(Way::Rule))
}

/// The account of a lane; `None` where it is no longer configured, or switched off.
#[must_use]
pub fn find<'c>(config: &'c Config, lane: &str) -> Option<Via<'c>> {
    match &config.default {
        DefaultRelay::Server(sender) if lane == Via::Default(sender).name() => return Some(Via::Default(sender)),
        DefaultRelay::Msmtprc(msmtprc) => {
            let account = lane.strip_prefix(ACCOUNT).and_then(|name| msmtprc.accounts.iter().find(|a| a.name == name));
            if let Some(account) = account {
                return Some(Via::Account(account));
            }
        }
        _ => {}
    }
    let sender = config.senders.iter().filter(|sender| config.enabled && sender.enabled);
    sender.into_iter().find(|sender| sender.name == lane).map(Via::Sender)
}

/// Why a message of the lane `INCOMING` is on hold.
pub const NO_RULE: &str = "no rule takes it";

/// Why messages of a lane that is not configured are on hold.
#[must_use]
pub fn gone(lane: &str) -> String {
    if lane == INCOMING {
        return NO_RULE.into();
    }
    format!("{GONE}\"{lane}\" is not configured any more, or switched off; they go on when it is back")
}

/// The lane that a report about a message takes, and the address that it may be from: the message's own, unless that
/// cannot be used at the moment (`usable`) and the default relay can.
#[must_use]
pub fn for_report(config: &Config, queued: &Queued, usable: &dyn Fn(&str) -> bool) -> Option<(String, Address)> {
    let own = find(config, &queued.lane);
    let sorted = config.rules.via.as_deref().filter(|_| queued.lane.starts_with(rules::LANE));
    let relay = config.account(sorted);
    let fits = |via: &Via<'_>| usable(&via.name()) && own_address(*via).is_some();
    if let Some(via) = own.filter(|via| usable(&via.name())) {
        // The lane has sent as this address before.
        let header = || Address::parse(&queued.header_from).ok();
        let from = own_address(via).or_else(header).or_else(|| queued.from.address().cloned());
        return from.map(|from| (via.name(), from));
    }
    let via = relay.filter(fits).or(own)?;
    own_address(via).or_else(|| queued.from.address().cloned()).map(|from| (via.name(), from))
}

/// The address that an account itself stands for.
fn own_address(via: Via<'_>) -> Option<Address> {
    match via {
        Via::Sender(sender) | Via::Default(sender) => sender.own_address(),
        Via::Account(Account { from, relay, .. }) => {
            let from = from.as_deref().and_then(|from| Address::parse(from).ok());
            from.or_else(|| relay.user.as_deref().and_then(|user| Address::parse(user).ok()))
        }
    }
}
