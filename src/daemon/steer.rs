//! Senders paused, resumed, their limits counted anew: the same whether the daemon does it or the caller's own queue.
//!
//! Who may is decided by who calls this. Each deed is in the log, with who did it.

use super::overview;
use super::protocol::Steer;
use crate::config::Config;
use crate::limits;
use crate::queue::{Halt, Millis, Store};
use chrono::{DateTime, Local};

/// What carries it out.
pub struct Hands<'h> {
    /// The configuration.
    pub config: &'h Config,
    /// The queue, where there is one.
    pub store: Option<&'h dyn Store>,
    /// Pauses a lane.
    pub halt: &'h dyn Fn(&Halt) -> Result<(), String>,
    /// Opens a lane; whether it was paused.
    pub open: &'h dyn Fn(&str) -> Result<bool, String>,
    /// The limits of a lane were reset, or shared ones.
    pub changed: &'h dyn Fn(Option<&str>) -> Result<(), String>,
}

/// Does it; what was done, one line.
///
/// # Errors
/// There is no such sender (the nearest is named), or it could not be done. One line.
pub fn steer(hands: &Hands<'_>, name: &str, how: &Steer, uid: u32, now: Millis) -> Result<String, String> {
    if *how == Steer::Reset {
        return reset(hands, name, uid);
    }
    let known = overview::steerable(hands.config, hands.store).map_err(|error| format!("the queue: {error}"))?;
    let lane = overview::find(name, &known)?;
    match how {
        Steer::Pause { until, .. } if until.is_some_and(|until| until <= now) => {
            Err("a pause ends later than now".into())
        }
        Steer::Pause { until, reason } => {
            let halt = Halt { lane: lane.clone(), since: now, until: *until, reason: reason.clone(), uid };
            (hands.halt)(&halt)?;
            tracing::warn!(sender = lane, uid, until, reason, "an operator paused the sender");
            let until = until.map_or_else(|| "until it is resumed".into(), |until| format!("until {}", moment(until)));
            Ok(format!("sender {lane} is paused {until}"))
        }
        _ => {
            let was = (hands.open)(&lane)?;
            tracing::warn!(sender = lane, uid, was, "an operator resumed the sender");
            Ok(match was {
                true => format!("sender {lane} goes on"),
                false => format!("sender {lane} was not paused"),
            })
        }
    }
}

/// Counts anew: the limits of a sender, or a shared one.
fn reset(hands: &Hands<'_>, name: &str, uid: u32) -> Result<String, String> {
    let config = hands.config;
    let mut known = overview::steerable(config, None).map_err(|error| error.to_string())?;
    known.extend(config.limits.shared.iter().map(|limit| limit.name.clone()));
    let found = overview::find(name, &known)?;
    let done = limits::reset(config, &found).map_err(|error| error.to_string())?;
    if !done {
        return Err(format!("sender {found} is switched off (enabled = false); nothing was reset"));
    }
    let shared = config.limits.shared.iter().any(|limit| limit.name == found);
    (hands.changed)(Some(found.as_str()).filter(|_| !shared))?;
    tracing::warn!(sender = found, uid, "an operator reset the limits");
    let kind = if shared { "limit" } else { "sender" };
    Ok(format!("{kind} {found}: counted from 0 again"))
}

fn moment(at: Millis) -> String {
    let at_utc = DateTime::from_timestamp_millis(at);
    at_utc.map_or_else(|| at.to_string(), |utc| utc.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %z").to_string())
}
