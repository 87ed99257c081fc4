//! The account that takes a message, whatever kind it is of.

use super::error::Place;
use super::model::{Account, Config, DefaultRelay, Relay, Sender};
use crate::message::bulk;
use crate::rules::Rule;

/// The account that takes a message.
#[derive(Clone, Copy, Debug)]
pub enum Via<'c> {
    /// A sender.
    Sender(&'c Sender),
    /// The server of `[default]`.
    Default(&'c Sender),
    /// An account of the msmtprc.
    Account(&'c Account),
}

impl<'c> Via<'c> {
    /// The SMTP account.
    #[must_use]
    pub fn relay(self) -> &'c Relay {
        match self {
            Self::Sender(sender) | Self::Default(sender) => &sender.relay,
            Self::Account(account) => &account.relay,
        }
    }

    /// The sender's or account's name, as logs and errors show it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Sender(sender) => sender.name.clone(),
            Self::Default(_) => "default relay".into(),
            Self::Account(account) => format!("msmtprc account {}", account.name),
        }
    }

    /// What it says of bulk mail.
    #[must_use]
    pub fn bulk(self) -> bulk::Choice {
        match self {
            Self::Sender(sender) | Self::Default(sender) => sender.bulk,
            Self::Account(_) => bulk::Choice::Auto,
        }
    }

    /// Where it is defined.
    #[must_use]
    pub fn place(self) -> &'c Place {
        match self {
            Self::Sender(sender) | Self::Default(sender) => &sender.place,
            Self::Account(account) => &account.place,
        }
    }
}

impl Config {
    /// The account that forwards for a rule; `None` where there is none any more.
    #[must_use]
    pub fn via(&self, rule: &Rule) -> Option<Via<'_>> {
        self.account(rule.actions.via.as_deref().or(self.rules.via.as_deref()))
    }

    /// The sender of that name; without one, or for `default`, the default relay.
    #[must_use]
    pub fn account(&self, name: Option<&str>) -> Option<Via<'_>> {
        match name {
            Some(name) if name != "default" => self.senders.iter().find(|sender| sender.name == name).map(Via::Sender),
            _ => match &self.default {
                DefaultRelay::Server(sender) => Some(Via::Default(sender)),
                DefaultRelay::Msmtprc(msmtprc) => {
                    let name = msmtprc.account.as_deref().unwrap_or("default");
                    msmtprc.accounts.iter().find(|account| account.name == name).map(Via::Account)
                }
                DefaultRelay::Refuse(_) | DefaultRelay::Missing => None,
            },
        }
    }
}
