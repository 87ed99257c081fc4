//! How many messages came from where, and what is held. Pure: the time is an argument.
//!
//! Counted in slots, a sixtieth of the configured time each, and rounded so that the time is rather a little longer. What
//! is held counts too: whoever goes on at that rate is held until it stops. An incident is over once nothing was held for
//! the configured time.

use super::Said;
use crate::config::{Brake, BrakeExcept};
use crate::queue::{Counted, Millis, Source};
use crate::report::counted;
use std::collections::{HashMap, VecDeque};
use wildmatch::WildMatch;

/// The longest time over which messages are counted, and slots are kept: a day and a slot.
pub(super) const LONGEST: Millis = 25 * 3_600_000;
/// The most sources that are remembered; the one that was quiet for longest is forgotten.
const SOURCES: usize = 10_000;
/// Characters of a script's name.
const NAME: usize = 200;

/// Who submits.
#[derive(Clone, Copy, Debug)]
pub struct Who<'w> {
    /// The user id, from the kernel; none of a client from elsewhere.
    pub uid: Option<u32>,
    /// The user's name, or who the client is.
    pub user: &'w str,
    /// `X-PHP-Originating-Script` as PHP wrote it: the owner's user id, a colon, the file's name.
    pub script: Option<&'w str>,
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
    pub(super) fn submit(&mut self, rules: &Brake, who: &Who<'_>, now: Millis) -> Said {
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
fn sources(rules: &Brake, who: &Who<'_>) -> Vec<(String, u32)> {
    let mut counted = Vec::new();
    if let Some(script) = who.script.filter(|_| rules.script) {
        let script = shown(script);
        let own = rules.except.iter().find(|except| except.script.is_some() && fits(except, who, &script));
        let name = format!("script {script} (user {})", who.user);
        match own {
            Some(BrakeExcept { messages, .. }) => return messages.iter().map(|most| (name.clone(), *most)).collect(),
            None => counted.push((name, rules.messages)),
        }
    }
    if rules.uid {
        let own = rules.except.iter().find(|except| except.script.is_none() && fits(except, who, ""));
        if let Some(most) = own.map_or(Some(rules.messages), |own| own.messages) {
            let name = if who.uid.is_some() { format!("user {}", who.user) } else { who.user.to_owned() };
            counted.push((name, most));
        }
    }
    counted
}

/// Whether an exception means this script (with or without the user id that PHP puts before it) of this user.
fn fits(except: &BrakeExcept, who: &Who<'_>, script: &str) -> bool {
    let named = |pattern: &String| {
        let pattern = WildMatch::new(pattern);
        pattern.matches(script) || script.split_once(':').is_some_and(|(_, file)| pattern.matches(file))
    };
    except.script.as_ref().is_none_or(named) && except.user.as_ref().is_none_or(|user| is_user(user, who))
}

fn is_listed(users: &[String], who: &Who<'_>) -> bool {
    users.iter().any(|user| is_user(user, who))
}

/// By name, or by number.
fn is_user(user: &str, who: &Who<'_>) -> bool {
    user == who.user || who.uid.is_some_and(|uid| user.parse() == Ok(uid))
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
