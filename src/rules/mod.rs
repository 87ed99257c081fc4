//! The rules that sort mail for this machine (`[[rule]]`): which of them take a message, and where it goes then.
//!
//! ```text
//! condition  what a rule asks of a message: addresses, header, size, where it came from
//! action     what a rule does: maildir, pipe, forward, mark, drop, refuse, stop
//! decide     the rules in their order, for one recipient
//! sort       decisions become messages of the queue, one for each lane
//! path       the path of a maildir, with parts of the recipient's address in it
//! ```
//!
//! Values only: no file, no clock, no process. A rule's delivery has a lane of its own in the queue, named after rule and
//! kind (`lane`); what it does is looked up in the configuration that holds at that moment (`deliver::sorted`).

pub mod action;
pub mod condition;
pub mod decide;
pub mod path;
pub mod sort;

pub use action::{Actions, End, Kind, Maildir, Pipe};
pub use condition::{Conditions, Content, Facts};
pub use decide::{Decision, Fate, decide};
pub use path::Mailboxes;

use crate::config::error::Place;

/// The name of the rule that `[rules] otherwise` makes; no `[[rule]]` may have it.
pub const OTHERWISE: &str = "otherwise";

/// The lane of messages that came in while there was no rule: nothing delivers them until there is one that sorts them.
pub const INCOMING: &str = "incoming";
/// Begins the names of lanes that are rules'.
pub const LANE: &str = "rule ";

/// `[rules]` and every `[[rule]]`.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// `[[rule]]`, in their order.
    pub list: Vec<Rule>,
    /// `otherwise`: what becomes of mail that no rule takes. `None`: where it came in over SMTP it is refused, and mail of
    /// this machine's own programs goes the way that it would go without rules.
    pub otherwise: Option<Rule>,
    /// `via`: the sender that forwarded mail takes where its rule names none, and that reports about sorted mail take.
    pub via: Option<String>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its unique name.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// What must hold of a message.
    pub conditions: Conditions,
    /// None of these may hold.
    pub not: Option<Conditions>,
    /// What it does then.
    pub actions: Actions,
}

impl Rules {
    /// Whether there is nothing that could take a message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.otherwise.is_none()
    }

    /// What is done in a lane of a rule; `None` where the rule is not configured any more, or does something else. What was
    /// refused or dropped was so by the rules of its time, and stays so.
    #[must_use]
    pub fn of_lane<'r>(&'r self, lane: &str) -> Option<Order<'r>> {
        let (name, kind) = lane.strip_prefix(LANE)?.rsplit_once(' ')?;
        let kind = Kind::parse(kind)?;
        let actions = self.list.iter().chain(&self.otherwise).find(|rule| rule.name == name).map(|rule| &rule.actions);
        match kind {
            Kind::Maildir => actions?.maildir.as_ref().map(Order::Maildir),
            Kind::Pipe => actions?.pipe.as_ref().map(Order::Pipe),
            Kind::Drop => Some(Order::Drop),
            Kind::Refuse => Some(match actions.map(|actions| &actions.end) {
                Some(End::Refuse(text)) => Order::Refuse(text),
                _ => Order::Refuse(NOBODY),
            }),
            Kind::Forward => None,
        }
    }
}

/// What is to be done with a message in a lane of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'r> {
    /// Into this maildir.
    Maildir(&'r Maildir),
    /// To this program.
    Pipe(&'r Pipe),
    /// Away with it.
    Drop,
    /// Back with it, and why.
    Refuse(&'r str),
}

/// What is said of mail that no rule takes.
pub const NOBODY: &str = "No mailbox here by that name";

/// The lane of what a rule does with messages.
#[must_use]
pub fn lane(rule: &str, kind: Kind) -> String {
    format!("{LANE}{rule} {kind}")
}

#[cfg(test)]
mod tests;
