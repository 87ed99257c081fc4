//! How many messages came from where, and what is held. Pure: the time is an argument.
//!
//! Counted in slots, a sixtieth of the configured time each, and rounded so that the time is rather a little longer. What
//! is held counts too: whoever goes on at that rate is held until it stops. An incident is over once nothing was held for
//! the configured time.

use super::Said;
use crate::config::{Brake, BrakeExcept};
use crate::message::header::Header;
use crate::queue::{Counted, Millis, Source};
use crate::report::counted;
use crate::sys::users::Caller;
use std::collections::{HashMap, VecDeque};
use wildmatch::WildMatch;

/// The longest time over which messages are counted, and slots are kept: a day and a slot.
pub(super) const LONGEST: Millis = 25 * 3_600_000;
/// The most sources that are remembered; the one that was quiet for longest is forgotten.
const SOURCES: usize = 10_000;
/// Characters of a script's name.
const NAME: usize = 200;

/// Who submits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The user id, from the kernel; none of a client from elsewhere.
    pub uid: Option<u32>,
    /// The user's name, or who the client counts as.
    pub user: String,
    /// What the message says of the script.
    pub script: Script,
}

/// The script that wrote a message, as its header says: PHP writes it, and so can everybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// Nothing is said.
    Unsaid,
    /// `X-PHP-Originating-Script`: the owner's user id, a colon, the file's name.
    Named(String),
    /// It is said more than once: one of them is forged, and none is believed.
    Doubtful,
}

impl Script {
    /// What a message says.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        let mut fields = header.all("X-PHP-Originating-Script");
        match (fields.next(), fields.next()) {
            (None, _) => Self::Unsaid,
            (Some(field), None) => Self::Named(shown(&String::from_utf8_lossy(&field.unfolded()))),
            _ => Self::Doubtful,
        }
    }

    /// For people; empty where nothing is said.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Unsaid => "",
            Self::Named(name) => name,
            Self::Doubtful => "of several names",
        }
    }
}

impl Who {
    /// Who a message is submitted for.
    #[must_use]
    pub fn of(caller: &Caller, header: &Header) -> Self {
        let script = Script::of(header);
        match &caller.remote {
            Some(remote) => Self { uid: None, user: remote.counted.clone(), script },
            None => Self { uid: Some(caller.uid), user: caller.name.clone(), script },
        }
    }
}

/// Somebody is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What sends too much.
    pub source: String,
    /// How many messages are allowed.
    pub messages: u32,
    /// The whole reason.
    pub reason: String,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
struct Slot {
    start: Millis,
    messages: u32,
    held: u32,
}

/// All sources.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sources: HashMap<String, VecDeque<Slot>>,
}

impl Counts {
    /// What an earlier process counted; times in the future are those of a clock that was wrong.
    pub(super) fn restore(&mut self, source: Source, now: Millis) {
        let Source { name, slot, messages, held } = source;
        let slots = self.of(&name);
        slots.push_back(Slot { start: slot.min(now), messages, held });
        slots.make_contiguous().sort_unstable_by_key(|slot| slot.start);
    }

    /// Counts a submission and decides on it.
    pub(super) fn submit(&mut self, rules: &Brake, who: &Who, now: Millis) -> Said {
        if is_listed(&rules.exempt, who) {
            return Said::default();
        }
        let per = i64::try_from(rules.per.as_millis()).unwrap_or(LONGEST);
        let length = (per / 60).max(1000);
        let slot = now - now.rem_euclid(length);
        let counted = sources(rules, who);
        let mut over: Vec<(String, u32)> = Vec::new();
        let mut fresh = true;
        for (name, most) in &counted {
            let slots = self.of(name);
            expire(slots, now, per + length);
            let before: u64 = slots.iter().map(|slot| u64::from(slot.messages)).sum();
            if before >= u64::from(*most) {
                fresh &= slots.iter().all(|slot| slot.held == 0);
                over.push((name.clone(), *most));
            }
        }
        let hold = over.first().map(|(name, most)| reason(name, *most, rules));
        for (name, _) in &counted {
            let slots = self.of(name);
            match slots.back_mut().filter(|last| last.start >= slot) {
                Some(last) => last.messages = last.messages.saturating_add(1),
                None => slots.push_back(Slot { start: slot, messages: 1, held: 0 }),
            }
            if let Some(last) = slots.back_mut() {
                last.held += u32::from(hold.is_some());
            }
        }
        let incident = over.into_iter().next().zip(hold.clone()).filter(|_| fresh);
        Said {
            counted: (!counted.is_empty())
                .then(|| Counted { slot, names: counted.into_iter().map(|(name, _)| name).collect() }),
            hold,
            incident: incident.map(|((source, messages), reason)| Incident { source, messages, reason }),
        }
    }

    /// A submission did not count after all. Where it began an incident, the next one that is held does.
    pub(super) fn take_back(&mut self, counted: &Counted, held: bool, began: bool) {
        for name in &counted.names {
            let Some(slots) = self.sources.get_mut(name) else { continue };
            let slot = slots.iter_mut().rfind(|slot| slot.start <= counted.slot);
            if let Some(slot) = slot {
                slot.messages = slot.messages.saturating_sub(1);
                slot.held = slot.held.saturating_sub(u32::from(held));
            }
            if began {
                slots.iter_mut().for_each(|slot| slot.held = 0);
            }
        }
    }

    fn of(&mut self, name: &str) -> &mut VecDeque<Slot> {
        if self.sources.len() >= SOURCES && !self.sources.contains_key(name) {
            let quiet = self.sources.iter().min_by_key(|(_, slots)| slots.back().map(|slot| slot.start));
            if let Some(quiet) = quiet.map(|(name, _)| name.clone()) {
                self.sources.remove(&quiet);
            }
        }
        self.sources.entry(name.to_owned()).or_default()
    }
}

/// Forgets what is too old; what is in the future, of a clock that was set back, is of now.
fn expire(slots: &mut VecDeque<Slot>, now: Millis, length: Millis) {
    slots.iter_mut().for_each(|slot| slot.start = slot.start.min(now));
    while slots.front().is_some_and(|slot| slot.start <= now - length) {
        slots.pop_front();
    }
}

/// What a submission is counted for, each with how many are allowed. A script with a number of its own counts for that
/// alone and not for its user.
fn sources(rules: &Brake, who: &Who) -> Vec<(String, u32)> {
    let mut counted = Vec::new();
    if rules.script && who.script != Script::Unsaid {
        let script = who.script.name();
        let own = rules.except.iter().find(|except| is_own(except, who));
        let name = format!("script {script} (user {})", who.user);
        match own {
            Some(BrakeExcept { messages, .. }) => return messages.iter().map(|most| (name.clone(), *most)).collect(),
            None => counted.push((name, rules.messages)),
        }
    }
    if rules.uid {
        let own = rules.except.iter().find(|except| except.script.is_none() && is_for(except, who));
        if let Some(most) = own.map_or(Some(rules.messages), |own| own.messages) {
            let name = if who.uid.is_some() { format!("user {}", who.user) } else { who.user.clone() };
            counted.push((name, most));
        }
    }
    counted
}

/// Whether an exception means this script (with or without the user id that PHP puts before it) of this user. Which user
/// it is says the kernel; which script, whoever wrote the message: one without a user would be everybody's.
fn is_own(except: &BrakeExcept, who: &Who) -> bool {
    let (Some(pattern), Script::Named(script)) = (&except.script, &who.script) else { return false };
    let pattern = WildMatch::new(pattern);
    let named = pattern.matches(script) || script.split_once(':').is_some_and(|(_, file)| pattern.matches(file));
    named && except.user.is_some() && is_for(except, who)
}

fn is_for(except: &BrakeExcept, who: &Who) -> bool {
    except.user.as_ref().is_none_or(|user| is_user(user, who))
}

fn is_listed(users: &[String], who: &Who) -> bool {
    users.iter().any(|user| is_user(user, who))
}

/// By name, or by number.
fn is_user(user: &str, who: &Who) -> bool {
    *user == who.user || who.uid.is_some_and(|uid| user.parse() == Ok(uid))
}

fn reason(name: &str, most: u32, rules: &Brake) -> String {
    let per = humantime::format_duration(rules.per);
    let most = counted(most, "message");
    format!("brake: more than {most} within {per} from {name}; they wait for postrider queue release")
}

/// A name that fits a line.
fn shown(script: &str) -> String {
    script.chars().map(|c| if c.is_control() { ' ' } else { c }).take(NAME).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
