//! What is asked of the daemon besides taking a message. Root and the daemon's own user see and touch everything,
//! everybody else the messages that they submitted.

use super::overview::Sources;
use super::peer::Peer;
use super::protocol::{Reply, Request, Steer};
use super::salvage::salvage;
use super::steer::{self, Hands};
use super::{Daemon, listing, room};
use crate::queue::{Action, Filter, StoreError};
use crate::sys::users::Caller;

/// The most messages of one listing.
const LISTED: usize = 10_000;
/// Messages of a user that something is done to at once.
const PIECE: usize = 200;
/// Why a user's action touches nothing.
const OTHERS_HOLD: &str = "nothing was done: you did not put these messages on hold yourself, so that root alone ends it (mailq says why they are)";

/// Whether somebody sees and touches everything.
pub fn is_master(daemon: &Daemon, peer: Peer) -> bool {
    peer.uid == 0 || peer.uid == daemon.uid
}

/// Carries a request out.
pub fn answer(daemon: &Daemon, peer: Peer, request: Request) -> Reply {
    let master = is_master(daemon, peer);
    let own = |filter: Filter| if master { filter } else { Filter { uid: Some(peer.uid), ..filter } };
    let touched = |filter: Filter| if master { filter } else { Filter { touchable: Some(true), ..own(filter) } };
    let answered = match request {
        Request::Submit(_) => Err("a submission comes with a message".into()),
        Request::List { filter, limit } => list(daemon, &own(filter), limit),
        Request::Act { filter, action } => {
            let filter = touched(filter);
            let count = in_pieces(daemon, &filter, &|filter| act(daemon, filter, &action));
            count.and_then(|count| done(daemon, filter, count))
        }
        Request::Bounce { filter } => {
            // The reports that this makes are not meant.
            let now = crate::sys::clock::millis();
            let before = filter.before.map_or(now, |before| before.min(now));
            let filter = if master { filter } else { Filter { before: Some(before), ..touched(filter) } };
            let count = in_pieces(daemon, &filter, &|filter| daemon.host.bounce(filter));
            count.and_then(|count| done(daemon, filter, count))
        }
        Request::Flush { filter } => {
            in_pieces(daemon, &touched(filter), &|filter| daemon.host.flush(filter)).map(Reply::Touched)
        }
        Request::Retry { filter } if master => daemon.host.retry(&filter).map(Reply::Touched),
        // What keeps a sender back is not for its users to end.
        Request::Retry { filter } => {
            let (filter, action) = (touched(filter.clone()), Action::again(&filter));
            in_pieces(daemon, &filter, &|filter| act(daemon, filter, &action)).map(Reply::Touched)
        }
        Request::Reload if master => daemon.host.reload().map(|()| Reply::Touched(0)),
        Request::Reload => Err("only root and the daemon's user may have the configuration read again".into()),
        Request::Status => status(daemon, master, peer.uid),
        Request::History { since, limit } if master => {
            daemon.store.history(since, limit.min(LISTED)).map(Reply::History).map_err(text)
        }
        Request::Senders { name } => senders(daemon, peer, master, name.as_deref()),
        Request::Room { name, recipients, bulk } => {
            let (config, who) = (daemon.live.get(), (!master).then(|| Caller::of(peer.uid, peer.gid)));
            let now = crate::sys::clock::millis();
            room::told(&config, who.as_ref(), &name, recipients, bulk, now).map(Reply::Room)
        }
        Request::Steer { name, how } if master => steered(daemon, peer, &name, &how),
        Request::Steer { .. } => Err("only root and the daemon's user may pause, resume and reset senders".into()),
        Request::Stats { since } if master => daemon.store.stats(since).map(Reply::Stats).map_err(text),
        Request::Salvage { place } if master => {
            let salvaged = salvage(daemon.store.as_ref(), &daemon.live.get(), &place, daemon.uid);
            daemon.host.kick();
            salvaged.map(Reply::Salvaged).map_err(text)
        }
        Request::Salvage { .. } => Err("only root and the daemon's user may bring mail back".into()),
        Request::Stats { .. } => Err("only root and the daemon's user may see the history".into()),
        Request::History { .. } => Err("only root and the daemon's user may see the history".into()),
    };
    answered.unwrap_or_else(Reply::Refused)
}

/// Does something to the messages that fit. For a user they are looked up first, where a search is in nobody's way, and it is
/// done to a few at a time, so that messages that come in meanwhile wait for none of it.
fn in_pieces(daemon: &Daemon, filter: &Filter, deed: &dyn Fn(&Filter) -> Result<u64, String>) -> Result<u64, String> {
    if filter.uid.is_none() {
        return deed(filter);
    }
    let (mut all, mut next) = (0, filter.clone());
    loop {
        let ids = daemon.store.numbers(&next, PIECE).map_err(text)?;
        let Some(last) = ids.last().copied() else { return Ok(all) };
        // What was looked at in the texts of very many recipients is not looked at again where others wait.
        all += deed(&Filter { ids, recipient: None, sender: None, ..filter.clone() })?;
        next.after = Some(last);
    }
}

fn act(daemon: &Daemon, filter: &Filter, action: &Action) -> Result<u64, String> {
    let touched = daemon.store.act(filter, action, crate::sys::clock::now().timestamp_millis()).map_err(text)?;
    // What is due again or no longer on hold need not wait for its time to be looked at.
    if *action == Action::Release && touched > 0 {
        daemon.sorting.ask();
    }
    daemon.host.kick();
    Ok(touched)
}

/// How many messages were touched; where it was none because others hold them, that is said.
fn done(daemon: &Daemon, filter: Filter, count: u64) -> Result<Reply, String> {
    let others = Filter { touchable: Some(false), ..filter };
    if count == 0 && others.uid.is_some() && !daemon.store.numbers(&others, 1).map_err(text)?.is_empty() {
        return Err(OTHERS_HOLD.into());
    }
    Ok(Reply::Touched(count))
}

fn text(error: StoreError) -> String {
    format!("the queue: {error}")
}

fn list(daemon: &Daemon, filter: &Filter, limit: usize) -> Result<Reply, String> {
    let now = crate::sys::clock::now().timestamp_millis();
    let config = daemon.live.get();
    let page = listing::page(daemon.store.as_ref(), filter, limit.min(LISTED), now, config.staging.as_ref());
    let mut lines = page.map_err(text)?;
    listing::add_waits(&config, &mut lines);
    Ok(Reply::Messages(lines))
}

/// The senders: all for root and the daemon's user, for others those that they may use.
fn senders(daemon: &Daemon, peer: Peer, master: bool, name: Option<&str>) -> Result<Reply, String> {
    let (config, who) = (daemon.live.get(), (!master).then(|| Caller::of(peer.uid, peer.gid)));
    let sources = Sources {
        config: &config,
        store: Some(daemon.store.as_ref()),
        connections: Some(&|lane| daemon.host.connections(lane)),
        who: who.as_ref(),
        now: crate::sys::clock::millis(),
    };
    sources.lines(name).map(Reply::Senders)
}

fn steered(daemon: &Daemon, peer: Peer, name: &str, how: &Steer) -> Result<Reply, String> {
    let hands = Hands {
        config: &daemon.live.get(),
        store: Some(daemon.store.as_ref()),
        halt: &|halt| daemon.host.halt(halt),
        open: &|lane| daemon.host.open(lane),
        changed: &|lane| {
            daemon.host.limits_changed(lane);
            Ok(())
        },
    };
    steer::steer(&hands, name, how, peer.uid, crate::sys::clock::millis()).map(Reply::Steered)
}

/// How many messages there are, and for those who may see it what is paused.
fn status(daemon: &Daemon, master: bool, uid: u32) -> Result<Reply, String> {
    let (messages, paused, halted, aside) = if master {
        let store = &daemon.store;
        (store.count().map_err(text)?, store.paused().map_err(text)?, store.halted().map_err(text)?, store.aside())
    } else {
        (daemon.store.count_of(uid).map_err(text)?, Vec::new(), Vec::new(), Vec::new())
    };
    Ok(Reply::Status { messages, paused, halted, pid: std::process::id(), since: daemon.since, aside })
}
