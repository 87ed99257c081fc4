//! What `postrider explain` says of sending limits: how much of each is used, and what they mean for the message now.
//!
//! The daemon is asked where mail goes to it: it may read the counters, and tells everybody of the senders that he may
//! use. Without it they are read with the caller's rights. Nothing is reserved.

use crate::config::{AtLimit, Config, Via};
use crate::daemon::client::{self, AskError};
use crate::daemon::protocol::{Reply, Request};
use crate::daemon::room::{self, Room};
use crate::limits::{self, Class, scope};
use crate::route::{Plan, authors};
use crate::sys::clock;
use std::path::PathBuf;

/// Who knows how much of the limits is used.
pub(super) enum Source {
    /// The daemon behind this socket, where it runs.
    Daemon(PathBuf),
    /// The counters of the configuration alone.
    Files,
}

/// The use of the sender's limits, and what they mean for this message; nothing where there are none.
pub(super) fn explain(config: &Config, plan: &Plan<'_>, source: &Source, line: &mut dyn FnMut(&'static str, String)) {
    let class = if plan.bulk.is_some() { Class::Bulk } else { Class::Single };
    for sender in authors::limiting(config, &plan.message.header, plan.via) {
        for rule in scope::rules(config, Via::Sender(sender), class) {
            let held = "holds for its address over this account too; what goes beyond is refused";
            line("limit:", format!("{}: {}: {held}", rule.whose, rule.window));
        }
    }
    let rules = scope::rules(config, plan.via, class);
    if rules.is_empty() {
        return;
    }
    match look(config, plan, source) {
        Ok(room) => {
            for one in &room.limits {
                let whose =
                    one.shared.as_ref().map_or_else(|| scope::subject(plan.via), |name| format!("limit {name}"));
                line("limit:", format!("{whose}: {}: {} used, {} left", one.limit, one.used, one.left));
            }
            let now = match &room.reached {
                Some(reached) => format!("{reached}; {}", meant(plan, true, room.over.as_deref())),
                None => format!("not reached; {}", meant(plan, false, None)),
            };
            line("at limit:", now);
        }
        Err(why) => {
            for rule in &rules {
                line("limit:", format!("{}: {}: its use is not shown", rule.whose, rule.window));
            }
            let told = match why {
                Unknown::Sends(why) => format!("it cannot be counted, so that nothing is sent ({why})"),
                Unknown::Asks(why) => format!("not known whether it is reached ({why}); {}", meant(plan, false, None)),
            };
            line("at limit:", told);
        }
    }
}

/// Why the use is not known.
enum Unknown {
    /// Whoever asks sends himself, and cannot count.
    Sends(String),
    /// The daemon sends.
    Asks(String),
}

/// What is known of the use; else why not.
fn look(config: &Config, plan: &Plan<'_>, source: &Source) -> Result<Room, Unknown> {
    let (recipients, bulk) = (plan.envelope.recipients().len(), plan.bulk.is_some());
    let read = || {
        let room = room::room(config, plan.via, recipients, bulk, clock::millis());
        room.map_err(|error| format!("{}: {}", limits::file(config).display(), error.cause))
    };
    let Source::Daemon(socket) = source else { return read().map_err(Unknown::Sends) };
    let request = Request::Room { name: plan.via.name(), recipients, bulk };
    let asks = |why: String| move |own: String| Unknown::Asks(format!("{why}; {own}"));
    match client::ask(socket, &request) {
        // The one that the caller's configuration has is another one, of the same name.
        Ok(Reply::Room(room)) if room.defined != plan.via.place().to_string() => read().map_err(Unknown::Asks),
        Ok(Reply::Room(room)) => Ok(room),
        Ok(Reply::Refused(why)) => read().map_err(asks(format!("the daemon says: {why}"))),
        Ok(_) => read().map_err(asks("the daemon answers something else".into())),
        Err(AskError::Absent(_)) => {
            read().map_err(|error| Unknown::Sends(format!("the daemon does not run, and {error}")))
        }
        Err(error) => read().map_err(asks(error.to_string())),
    }
}

/// What a sender does at its limit: would do, or does now, where `over` has room for it.
fn meant(plan: &Plan<'_>, now: bool, over: Option<&str>) -> String {
    let will = if now { "the message" } else { "a message beyond it" };
    match scope::profile(plan.via).map(|sender| &sender.limits.at_limit) {
        Some(AtLimit::Refuse) => format!("{will} is refused"),
        Some(AtLimit::Overflow(name, _)) if now => match over {
            Some(other) => format!("{will} goes over sender {other}"),
            None => format!("{will} waits, as sender {name} has no room either"),
        },
        Some(AtLimit::Overflow(name, _)) => format!("{will} goes over sender {name}"),
        _ => {
            format!("{will} waits in the daemon's queue; without the daemon it is refused, or kept with [queue] direct")
        }
    }
}
