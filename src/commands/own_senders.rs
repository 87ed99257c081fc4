//! Senders without the daemon: seen and steered in the caller's own queue and the file of the limits, with the caller's
//! rights.

use super::misconfigured;
use super::surroundings::Surroundings;
use crate::daemon::client::AskError;
use crate::daemon::overview::Sources;
use crate::daemon::protocol::{Reply, Request};
use crate::daemon::steer::{self, Hands};
use crate::queue::sqlite::SqliteStore;
use crate::queue::{Action, Filter, Store, StoreError};
use crate::report::log;
use crate::sys::clock;
use std::path::Path;

/// Answers a question about senders.
///
/// # Errors
/// The configuration or the queue cannot be read, or it was refused.
pub fn answer(request: &Request, store: Option<&SqliteStore>, config: Option<&Path>) -> Result<Reply, AskError> {
    let around = Surroundings::look();
    let config =
        around.load(config.map(Path::to_path_buf)).map_err(|errors| AskError::Refused(misconfigured::line(&errors)))?;
    let store = store.map(|store| -> &dyn Store { store });
    let (now, uid) = (clock::millis(), around.who.uid);
    let answered = match request {
        Request::Senders { name } => {
            let who = (uid != 0).then_some(&around.who);
            let sources = Sources { config: &config, store, connections: None, who, now };
            sources.lines(name.as_deref()).map(Reply::Senders)
        }
        Request::Steer { name, how } => {
            let _ = log::open(&config.log, "senders");
            let text = |error: StoreError| format!("the queue: {error}");
            let there = || {
                store.ok_or_else(|| {
                    "no daemon runs, and there is no queue of yours that could wait (queue.direct = \"on-failure\")"
                        .to_owned()
                })
            };
            let hands = Hands {
                config: &config,
                store,
                halt: &|halt| there()?.halt(halt).map_err(text),
                open: &|lane| open(there()?, lane, now).map_err(text),
                changed: &|lane| match store {
                    // What waits for a limit is due when that would have been over: now it is due at once.
                    Some(store) => {
                        let filter = Filter { lane: lane.map(Into::into), ..Filter::default() };
                        store.act(&filter, &Action::Retry, now).map(drop).map_err(text)
                    }
                    None => Ok(()),
                },
            };
            steer::steer(&hands, name, how, uid, now).map(Reply::Steered)
        }
        _ => Err("this is no question about senders".into()),
    };
    answered.map_err(AskError::Refused)
}

/// Ends both kinds of pause; whether there was one.
fn open(store: &dyn Store, lane: &str, now: i64) -> Result<bool, StoreError> {
    let halted = store.halted()?.iter().any(|halt| halt.lane == lane);
    let troubled = store.paused()?.iter().any(|pause| pause.lane == lane && pause.until > now);
    store.unhalt(lane, now)?;
    store.resume(lane, now)?;
    Ok(halted || troubled)
}
