//! What a rule does with a message that it takes. Plain values.

use crate::message::address::Address;
use std::fmt;
use std::time::Duration;

/// What a rule does; several at once, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// `mark`: fields that the message gets, for everything from here on.
    pub mark: Vec<(String, String)>,
    /// `maildir`.
    pub maildir: Option<Maildir>,
    /// `pipe`.
    pub pipe: Option<Pipe>,
    /// `forward`: on to these addresses.
    pub forward: Vec<Address>,
    /// `via`: the sender that forwards.
    pub via: Option<String>,
    /// `drop`, `refuse`, `stop`: whether the next rule goes on.
    pub end: End,
}

/// What comes after a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The next rule goes on.
    #[default]
    Next,
    /// `stop = true`: no further rule is asked.
    Stop,
    /// `drop = true`: the message is taken and thrown away.
    Drop,
    /// `refuse = "text"`.
    Refuse(String),
}

/// A maildir that gets the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maildir {
    /// The path, with `%u` and the like (`rules::path`).
    pub template: String,
    /// `existing`: only where it is there. Otherwise it is made.
    pub existing: bool,
}

impl Maildir {
    /// As it is where nothing is said: one for each recipient is not made, as whoever writes invents the names.
    #[must_use]
    pub fn new(template: &str) -> Self {
        Self { existing: super::path::varies(template), template: template.to_owned() }
    }
}

/// A program that gets the message on its standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// The program, an absolute path, and its arguments. No shell.
    pub argv: Vec<String>,
    /// `user`: whose rights it has; the daemon's own where none is given.
    pub user: Option<String>,
    /// `timeout`: how long it may take.
    pub timeout: Duration,
}

/// What is done with a message in a lane of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It is written into a maildir.
    Maildir,
    /// A program gets it.
    Pipe,
    /// It goes on to other addresses: that is in the lane of a sender.
    Forward,
    /// It is thrown away.
    Drop,
    /// It is sent back.
    Refuse,
}

impl Kind {
    /// By its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Maildir, Self::Pipe, Self::Forward, Self::Drop, Self::Refuse]
            .into_iter()
            .find(|kind| kind.to_string() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Maildir => "maildir",
            Self::Pipe => "pipe",
            Self::Forward => "forward",
            Self::Drop => "drop",
            Self::Refuse => "refuse",
        })
    }
}

impl Actions {
    /// Whether it does that.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Maildir => self.maildir.is_some(),
            Kind::Pipe => self.pipe.is_some(),
            Kind::Forward => !self.forward.is_empty(),
            Kind::Drop => self.end == End::Drop,
            Kind::Refuse => matches!(self.end, End::Refuse(_)),
        }
    }
}

impl fmt::Display for Actions {
    /// In words: `maildir /srv/%u, stop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = self.mark.iter().map(|(name, value)| format!("mark {name}: {value}")).collect();
        words.extend(self.maildir.iter().map(|maildir| format!("maildir {}", maildir.template)));
        words.extend(self.pipe.iter().map(|pipe| match &pipe.user {
            Some(user) => format!("pipe {} as {user}", pipe.argv.join(" ")),
            None => format!("pipe {}", pipe.argv.join(" ")),
        }));
        if !self.forward.is_empty() {
            let to: Vec<&str> = self.forward.iter().map(Address::as_str).collect();
            let via = self.via.as_ref().map_or_else(String::new, |via| format!(" via {via}"));
            words.push(format!("forward to {}{via}", to.join(", ")));
        }
        match &self.end {
            End::Next => {}
            End::Stop => words.push("stop".into()),
            End::Drop => words.push("drop".into()),
            End::Refuse(text) => words.push(format!("refuse: {text}")),
        }
        f.write_str(&words.join("; "))
    }
}
