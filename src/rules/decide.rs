//! The rules in their order, for one recipient of one message. Pure: the same configuration and facts give the same
//! decision, in the daemon as in `postrider explain`.

use super::condition::{Facts, Miss};
use super::{End, Kind, Rule, Rules, path};

/// The most deliveries that the rules make of one recipient.
pub const MOST: usize = 50;

/// What the rules make of a message for one recipient.
#[derive(Clone, Debug)]
pub struct Decision<'r> {
    /// Where it goes.
    pub deliveries: Vec<Delivery<'r>>,
    /// How it ended.
    pub fate: Fate<'r>,
}

/// One place that it goes to.
#[derive(Clone, Debug)]
pub struct Delivery<'r> {
    /// The rule that takes it there.
    pub rule: &'r Rule,
    /// How.
    pub kind: Kind,
    /// Fields that it gets: those of this rule and of the ones before.
    pub marks: Vec<(String, String)>,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub enum Fate<'r> {
    /// A rule has taken it.
    Taken,
    /// A rule refuses it.
    Refused(&'r Rule),
    /// None takes it.
    Nobody,
    /// More rules take it than may.
    TooMany,
    /// That cannot be told before the message is there.
    Unknown,
}

/// One rule that was asked, for `explain`.
pub type Asked<'a, 'r> = &'a mut dyn FnMut(&'r Rule, Option<&Miss>);

/// Asks the rules. `asked` is told each of them and why it does not take the message.
pub fn decide<'r>(rules: &'r Rules, facts: &Facts<'_>, asked: Asked<'_, 'r>) -> Decision<'r> {
    let mut deliveries: Vec<Delivery<'r>> = Vec::new();
    let mut marks: Vec<(String, String)> = Vec::new();
    for rule in &rules.list {
        let miss = rule.holds(facts).err();
        asked(rule, miss.as_ref());
        match miss {
            Some(Miss::Fails(_)) => continue,
            Some(Miss::Unknown) => return Decision { deliveries, fate: Fate::Unknown },
            None => {}
        }
        let fate = rule.act(&mut deliveries, &mut marks);
        if deliveries.len() > MOST {
            return Decision { deliveries, fate: Fate::TooMany };
        }
        if let Some(fate) = fate {
            return finish(rules, facts, deliveries, marks, fate, asked);
        }
    }
    finish(rules, facts, deliveries, marks, Fate::Nobody, asked)
}

/// What nobody took goes to `otherwise`.
fn finish<'r>(
    rules: &'r Rules,
    facts: &Facts<'_>,
    mut deliveries: Vec<Delivery<'r>>,
    mut marks: Vec<(String, String)>,
    fate: Fate<'r>,
    asked: Asked<'_, 'r>,
) -> Decision<'r> {
    let fate = match fate {
        Fate::Nobody if !deliveries.is_empty() => Fate::Taken,
        Fate::Nobody => match &rules.otherwise {
            Some(rule) if rule.misses_mailbox(facts) => {
                asked(rule, Some(&Miss::Fails("existing".into())));
                Fate::Nobody
            }
            Some(rule) => {
                asked(rule, None);
                rule.act(&mut deliveries, &mut marks)
                    .filter(|fate| matches!(fate, Fate::Refused(_)))
                    .unwrap_or(Fate::Taken)
            }
            None => Fate::Nobody,
        },
        fate => fate,
    };
    Decision { deliveries, fate }
}

impl Rule {
    /// Whether it takes a message.
    ///
    /// # Errors
    /// Why not.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<(), Miss> {
        let not = self.not.as_ref().map_or(Ok(()), |not| not.hold_not(facts));
        match (self.conditions.hold(facts), not) {
            (Err(Miss::Fails(why)), _) | (_, Err(Miss::Fails(why))) => Err(Miss::Fails(why)),
            // Where the mailbox is missing, it does not matter what is not known yet.
            _ if self.misses_mailbox(facts) => Err(Miss::Fails("existing".into())),
            (Ok(()), Ok(())) => Ok(()),
            _ => Err(Miss::Unknown),
        }
    }

    /// Whether it delivers into maildirs that are there alone, and this recipient has none.
    fn misses_mailbox(&self, facts: &Facts<'_>) -> bool {
        let maildir = self.actions.maildir.as_ref().filter(|maildir| maildir.existing);
        maildir.is_some_and(|maildir| !(facts.mailboxes.0)(&path::expand(&maildir.template, facts.to)))
    }

    /// Does what it does; how it ends, where no further rule is asked.
    fn act<'r>(&'r self, all: &mut Vec<Delivery<'r>>, marks: &mut Vec<(String, String)>) -> Option<Fate<'r>> {
        let actions = &self.actions;
        for (name, value) in &actions.mark {
            marks.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            marks.push((name.clone(), value.clone()));
        }
        for kind in [Kind::Maildir, Kind::Pipe, Kind::Forward, Kind::Drop] {
            if actions.has(kind) {
                all.push(Delivery { rule: self, kind, marks: marks.clone() });
            }
        }
        match &actions.end {
            End::Next => None,
            // With nothing that took it, it goes to whoever takes the rest.
            End::Stop => Some(Fate::Nobody),
            End::Drop => Some(Fate::Taken),
            End::Refuse(_) => Some(Fate::Refused(self)),
        }
    }
}
