//! The desk: where an operator's question about the queue is answered. The daemon where one runs; without one the caller's
//! own queue, where there is one.
//!
//! A question is one connection. Nothing is cached; a listing comes in pages, so that neither side holds all of it.

use super::surroundings::Surroundings;
use super::{misconfigured, own_senders};
use crate::config::QueueConfig;
use crate::daemon::client::{self, AskError};
use crate::daemon::listen::PATH;
use crate::daemon::listing;
use crate::daemon::protocol::{Line, Reply, Request};
use crate::daemon::salvage::salvage;
use crate::limits;
use crate::queue::sqlite::{SqliteStore, StoreConfig};
use crate::queue::{Action, Filter, MessageId, Stats, Store, StoreError};
use crate::sys::users::Caller;
use crate::sys::{clock, env};
use std::path::{Path, PathBuf};

/// The file that a queue is recognised by.
pub(super) const DATABASE: &str = "queue.db";
/// Messages of the first page of a listing: enough for a screen.
const FIRST: usize = 64;
/// Messages of every further page.
const PAGE: usize = 512;

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Desk {
    /// The daemon behind this socket, and nobody else.
    Daemon(PathBuf),
    /// The caller's own queue, with the configuration that was named.
    Own(Option<PathBuf>),
    /// The daemon behind this socket; where none is, the caller's own queue.
    Usual(PathBuf),
}

impl Desk {
    /// The daemon, whether it runs or not.
    #[must_use]
    pub fn daemon() -> Self {
        Self::Daemon(client::socket())
    }

    /// Where the messages are that this caller submits: with a configuration of the caller's own that is not the daemon.
    #[must_use]
    pub fn find(config: Option<&Path>) -> Self {
        let own = config.is_some() || env::path("POSTRIDER_CONFIG").is_some();
        if own { Self::Own(config.map(Path::to_path_buf)) } else { Self::Usual(client::socket()) }
    }

    /// Whether the caller's own queue answers.
    #[must_use]
    pub fn is_own(&self) -> bool {
        match self {
            Self::Daemon(_) => false,
            Self::Own(_) => true,
            Self::Usual(socket) => {
                matches!(client::ask(socket, &Request::Status), Err(AskError::Absent(_))) && !waiting(socket)
            }
        }
    }
}

impl Ask for Desk {
    fn ask(&self, request: &Request) -> Result<Reply, AskError> {
        match self {
            Self::Daemon(socket) => client::ask(socket, request),
            Self::Own(config) => own(request, config.as_deref()),
            Self::Usual(socket) => match client::ask(socket, request) {
                Err(AskError::Absent(what)) if waiting(socket) => Err(AskError::Absent(format!(
                    "{what}; what it has in {} stays there until it runs",
                    QueueConfig::default().directory.display()
                ))),
                Err(AskError::Absent(_)) => own(request, None),
                answer => answer,
            },
        }
    }
}

/// Whether the machine's daemon has a queue while it does not run, as root and its user can tell: it would be wrong to
/// call that empty. A queue of the caller's own comes first.
fn waiting(socket: &Path) -> bool {
    let kept = |directory: PathBuf| directory.join(DATABASE).exists();
    socket == Path::new(PATH) && !own_directory().is_some_and(kept) && kept(QueueConfig::default().directory)
}

/// The caller's own queue, where temporary failures are kept without a daemon. Where there is none it is not made: it is
/// empty.
fn own(request: &Request, config: Option<&Path>) -> Result<Reply, AskError> {
    let directory = own_directory().filter(|directory| directory.join(DATABASE).exists());
    let Some(directory) = directory else {
        return match request {
            Request::List { .. } => Ok(Reply::Messages(Vec::new())),
            Request::Act { .. } | Request::Bounce { .. } | Request::Flush { .. } | Request::Retry { .. } => {
                Ok(Reply::Touched(0))
            }
            Request::Status => Ok(counted(0, Vec::new())),
            Request::Stats { since } => Ok(Reply::Stats(Stats { since: *since, ..Stats::default() })),
            Request::Senders { .. } | Request::Steer { .. } => own_senders::answer(request, None, config),
            _ => Err(needs_daemon()),
        };
    };
    let failed = |error: StoreError| AskError::Broken(format!("queue {}: {error}", directory.display()));
    let place = StoreConfig { directory: &directory, min_free: 0, exclusive: false };
    let store = SqliteStore::open(&place).map_err(failed)?;
    let now = clock::now().timestamp_millis();
    match request {
        Request::List { filter, limit } => {
            // Without a configuration that can be read nothing is sent either.
            let config = Surroundings::look().load(config.map(Path::to_path_buf)).ok();
            let staging = config.as_ref().and_then(|config| config.staging.as_ref());
            let mut lines = listing::page(&store, filter, *limit, now, staging).map_err(failed)?;
            if let Some(config) = config.as_ref().filter(|config| limits::file(config).exists()) {
                listing::add_waits(config, &mut lines);
            }
            Ok(Reply::Messages(lines))
        }
        Request::Act { filter, action } => store.act(filter, action, now).map(Reply::Touched),
        // Made due; whoever delivers from it (a queue run in this process) takes it from there.
        Request::Flush { filter } => store.act(filter, &Action::Retry, now).map(Reply::Touched),
        Request::Retry { filter } => retry(&store, filter, now).map(Reply::Touched),
        Request::Status => store.count().map(|count| counted(count, store.aside())),
        Request::Stats { since } => store.stats(*since).map(Reply::Stats),
        Request::Salvage { place } => {
            let around = Surroundings::look();
            let config = around.load(config.map(Path::to_path_buf));
            let config = config.map_err(|errors| AskError::Refused(misconfigured::line(&errors)))?;
            salvage(&store, &config, place, around.who.uid).map(Reply::Salvaged)
        }
        Request::Senders { .. } | Request::Steer { .. } => return own_senders::answer(request, Some(&store), config),
        _ => return Err(needs_daemon()),
    }
    .map_err(failed)
}

/// Made due, and the pauses of their senders ended, of whatever kind.
fn retry(store: &SqliteStore, filter: &Filter, now: i64) -> Result<u64, StoreError> {
    for pause in store.paused()? {
        let there = Filter { lane: Some(pause.lane.clone()), ..filter.clone() };
        if !store.list(&there, 1)?.is_empty() {
            store.resume(&pause.lane, now)?;
        }
    }
    store.act(filter, &Action::again(filter), now)
}

/// Where a user's own queue is: `$XDG_STATE_HOME/postrider/queue`, else `~/.local/state/postrider/queue`.
#[must_use]
pub fn own_directory() -> Option<PathBuf> {
    let state = env::own_directory("XDG_STATE_HOME");
    let state = state.or_else(|| Some(Caller::current().home?.join(".local/state")));
    state.map(|state| state.join("postrider/queue"))
}

fn counted(messages: u64, aside: Vec<String>) -> Reply {
    Reply::Status { messages, paused: Vec::new(), halted: Vec::new(), pid: std::process::id(), since: 0, aside }
}

fn needs_daemon() -> AskError {
    AskError::Absent("this needs the daemon, and none is running (postrider serve)".into())
}

/// What can be asked.
pub trait Ask {
    /// Asks one thing.
    ///
    /// # Errors
    /// Nobody is there, it was refused, or the answer did not come.
    fn ask(&self, request: &Request) -> Result<Reply, AskError>;
}

/// The messages that fit, oldest first, a page at a time. After an error it ends.
pub struct Pages<'a> {
    desk: &'a dyn Ask,
    filter: Filter,
    limit: usize,
    ended: bool,
}

impl<'a> Pages<'a> {
    /// A listing.
    #[must_use]
    pub fn new(desk: &'a dyn Ask, filter: Filter) -> Self {
        Self { desk, filter, limit: FIRST, ended: false }
    }

    fn page(&mut self) -> Result<Vec<Line>, AskError> {
        let request = Request::List { filter: self.filter.clone(), limit: self.limit };
        let lines = match self.desk.ask(&request)? {
            Reply::Messages(lines) => lines,
            other => return Err(unexpected(&other)),
        };
        self.limit = PAGE;
        // A page may be shorter than its limit (a reply has a size), so that only an empty one is the end.
        let last = lines.last().map(|line| line.id.parse::<MessageId>());
        match last {
            None => self.ended = true,
            Some(Ok(id)) if self.filter.after.is_none_or(|after| after < id) => self.filter.after = Some(id),
            Some(_) => return Err(AskError::Broken("the queue's listing goes in circles".into())),
        }
        Ok(lines)
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Vec<Line>, AskError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let page = self.page();
        self.ended |= page.is_err();
        match page {
            Ok(lines) if lines.is_empty() => None,
            page => Some(page),
        }
    }
}

/// A reply of another kind than the question.
#[must_use]
pub fn unexpected(reply: &Reply) -> AskError {
    match reply {
        Reply::Refused(what) | Reply::Busy(what) => AskError::Refused(what.clone()),
        _ => AskError::Broken("the daemon answered something else; is it of another version?".into()),
    }
}
