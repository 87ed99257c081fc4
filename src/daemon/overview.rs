//! Senders as an operator sees them: what each may send, has sent and has to wait for, as values that fit a reply.
//!
//! The same whether the daemon answers or the files are read. It changes nothing and holds no secret.

use crate::config::nearest;
use crate::config::{AtLimit, Config, DefaultRelay, Endpoint, Relay, Reserve, Sender, TlsMode, Via};
use crate::limits::{self, Usage};
use crate::queue::{Halt, Load, Millis, Pause, Store, StoreError, lane};
use crate::route::choose;
use crate::sys::users::Caller;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderLine {
    /// Its name: a sender's, `default relay`, or `msmtprc account NAME`.
    pub name: String,
    /// `open`, `paused` (by an operator), `trouble` (with its server, or its limits cannot be counted), `limit` (a limit is reached), `off` (not enabled), or
    /// `gone` (messages are left of one that is not configured).
    pub state: String,
    /// Why nothing goes, where an operator or the server's trouble is the reason.
    pub pause: Option<PauseLine>,
    /// Messages that wait or are under way; `None` without a queue.
    pub queued: Option<u64>,
    /// Messages on hold.
    pub held: Option<u64>,
    /// Connections that it has; `None` without the daemon.
    pub connected: Option<u64>,
    /// The use of each of its limits, its own first.
    pub limits: Vec<LimitLine>,
    /// Why the use of its limits is not known, where it is not.
    pub unknown: Option<String>,
    /// What it is set to; `None` for `gone`.
    pub settings: Option<Settings>,
}

/// Why nothing goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseLine {
    /// An operator did it, rather than the server's trouble.
    pub operator: bool,
    /// Since when, milliseconds since 1970, where that is reckoned.
    pub since: Option<i64>,
    /// Until when, milliseconds since 1970; `None` until it is resumed.
    pub until: Option<i64>,
    /// Why.
    pub reason: String,
}

impl PauseLine {
    /// An operator's.
    #[must_use]
    pub fn halted(halt: &Halt) -> Self {
        Self { operator: true, since: Some(halt.since), until: halt.until, reason: halt.reason.clone() }
    }

    /// For a trouble.
    #[must_use]
    pub fn troubled(pause: &Pause) -> Self {
        Self { operator: false, since: pause.since, until: Some(pause.until), reason: pause.reason.clone() }
    }
}

/// The use of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitLine {
    /// The limit: `500 recipients per 24h`.
    pub limit: String,
    /// The `[[limit]]` that it is, where it is shared with others.
    pub shared: Option<String>,
    /// What counts now.
    pub used: u64,
    /// The most.
    pub most: u64,
    /// What is left.
    pub left: u64,
    /// When the next one may go, milliseconds since 1970, where nothing is left.
    pub next_free: Option<i64>,
}

/// What a sender is set to, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where it is defined.
    pub defined: String,
    /// Its servers, in the order in which they are asked.
    pub servers: Vec<String>,
    /// Its login.
    pub user: Option<String>,
    /// The addresses that it claims.
    pub from: Vec<String>,
    /// Names that are shown for addresses.
    pub names: BTreeMap<String, String>,
    /// Who may use it; nobody named is everybody.
    pub users: Vec<String>,
    /// The same by group.
    pub groups: Vec<String>,
    /// `hold`, `refuse`, or the sender that it overflows to.
    pub at_limit: String,
    /// What of each limit is kept for single mail.
    pub reserve: String,
    /// The most connections at a time.
    pub connections: u64,
    /// Messages over each of them.
    pub messages_per_connection: u64,
    /// Recipients at once, where that is limited.
    pub recipients_per_transaction: Option<u64>,
    /// `10/s`.
    pub pace: Option<String>,
    /// How long a connection waits for a message, seconds.
    pub idle: u64,
    /// Senders that take over, and after how many seconds.
    pub backup: Vec<String>,
    /// See `backup`.
    pub backup_after: u64,
    /// How many rules it has for its server's replies, and the provider whose rules hold as well.
    pub replies: u64,
    /// See `replies`.
    pub provider: Option<String>,
}

/// What an overview is made of.
pub struct Sources<'s> {
    /// The configuration.
    pub config: &'s Config,
    /// The queue, where there is one.
    pub store: Option<&'s dyn Store>,
    /// How many connections a lane has, where somebody knows.
    pub connections: Option<&'s dyn Fn(&str) -> usize>,
    /// For whom: the senders that this user may use; `None` for everything.
    pub who: Option<&'s Caller>,
    /// The time.
    pub now: Millis,
}

impl Sources<'_> {
    /// The senders in order of their names; only that of this name where one is given.
    ///
    /// # Errors
    /// There is no sender of that name (the nearest is named), or the queue cannot be read. One line.
    pub fn lines(&self, name: Option<&str>) -> Result<Vec<SenderLine>, String> {
        let failed = |error: StoreError| format!("the queue: {error}");
        let (loads, halts, pauses) = match self.store {
            Some(store) => {
                (store.loads().map_err(failed)?, store.halted().map_err(failed)?, store.paused().map_err(failed)?)
            }
            None => (BTreeMap::new(), Vec::new(), Vec::new()),
        };
        let mut names = self.names();
        if self.who.is_none() {
            names.extend(loads.keys().cloned());
            names.extend(halts.iter().map(|halt| halt.lane.clone()));
        }
        names.sort_unstable();
        names.dedup();
        if let Some(name) = name {
            let found = find(name, &names)?;
            names.retain(|name| *name == found);
        }
        Ok(names.into_iter().map(|name| self.line(name, &loads, &halts, &pauses)).collect())
    }

    /// The configured names that this user may see.
    fn names(&self) -> Vec<String> {
        let mine = |sender: &&Sender| self.who.is_none_or(|who| choose::allowed(sender, who, "").is_ok());
        let senders = self.config.senders.iter().filter(mine).map(|sender| sender.name.clone());
        senders.chain(relays(self.config)).collect()
    }

    fn line(&self, name: String, loads: &BTreeMap<String, Load>, halts: &[Halt], pauses: &[Pause]) -> SenderLine {
        let settings = via(self.config, &name).map(|via| settings(self.config, via));
        let halt = halts.iter().find(|halt| halt.lane == name && halt.holds(self.now));
        let trouble = pauses.iter().find(|pause| pause.lane == name && pause.until > self.now);
        let (limits, unknown) = match limits::usage(self.config, &name, self.now) {
            Ok(usage) => (usage.iter().map(limit_line).collect(), usage.iter().find_map(|one| one.lost.clone())),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let uncounted = unknown.is_some() && limits.is_empty();
        let reached = limits.iter().any(|limit: &LimitLine| limit.left == 0);
        let state = match (&settings, halt, trouble) {
            (None, ..) => "gone",
            _ if lane::find(self.config, &name).is_none() => "off",
            (_, Some(_), _) => "paused",
            (.., Some(_)) => "trouble",
            _ if uncounted => "trouble",
            _ if reached => "limit",
            _ => "open",
        };
        let load = self.store.map(|_| loads.get(&name).cloned().unwrap_or_default());
        SenderLine {
            state: state.into(),
            pause: halt.map(PauseLine::halted).or(trouble.map(PauseLine::troubled)),
            queued: load.as_ref().map(|load| load.waiting),
            held: load.as_ref().map(|load| load.held),
            connected: self.connections.map(|connections| connections(&name) as u64),
            limits,
            unknown,
            settings,
            name,
        }
    }
}

/// The name of a lane that a person means: a sender's, or a relay's without the words before it; `[[limit]]` names are
/// none of them.
///
/// # Errors
/// There is none; the nearest is named.
pub fn find(name: &str, known: &[String]) -> Result<String, String> {
    let meant = |lane: &&String| {
        lane.as_str() == name
            || lane.strip_suffix(" relay") == Some(name)
            || lane.strip_prefix("msmtprc account ") == Some(name)
    };
    // A sender's own name comes before a relay's short one.
    let exact = known.iter().find(|lane| lane.as_str() == name);
    if let Some(lane) = exact.or_else(|| known.iter().find(meant)) {
        return Ok(lane.clone());
    }
    let shown = name.escape_debug();
    Err(match nearest::name(name, known.iter().map(String::as_str)) {
        Some(near) => format!("no sender is named \"{shown}\"; the nearest is \"{near}\""),
        None => format!("no sender is named \"{shown}\": there is none"),
    })
}

/// Everything that can be steered: the configured senders and relays, and lanes that have or had something to do.
///
/// # Errors
/// The queue cannot be read.
pub fn steerable(config: &Config, store: Option<&dyn Store>) -> Result<Vec<String>, StoreError> {
    let mut names: Vec<String> =
        config.senders.iter().map(|sender| sender.name.clone()).chain(relays(config)).collect();
    if let Some(store) = store {
        names.extend(store.loads()?.into_keys());
        names.extend(store.halted()?.into_iter().map(|halt| halt.lane));
        names.extend(store.paused()?.into_iter().map(|pause| pause.lane));
    }
    Ok(names)
}

fn relays(config: &Config) -> Vec<String> {
    match &config.default {
        DefaultRelay::Server(sender) => vec![Via::Default(sender).name()],
        DefaultRelay::Msmtprc(msmtprc) => msmtprc.accounts.iter().map(|account| Via::Account(account).name()).collect(),
        DefaultRelay::Refuse(_) | DefaultRelay::Missing => Vec::new(),
    }
}

/// The account of a name, whether it is switched on or not.
fn via<'c>(config: &'c Config, name: &str) -> Option<Via<'c>> {
    let off = || config.senders.iter().find(|sender| sender.name == name).map(Via::Sender);
    lane::find(config, name).or_else(off)
}

/// The use of a limit, for a reply.
#[must_use]
pub fn limit_line(usage: &Usage) -> LimitLine {
    let limit = usage.what.strip_prefix(&format!("{}: ", usage.whose)).unwrap_or(&usage.what);
    LimitLine {
        limit: limit.into(),
        shared: usage.whose.strip_prefix("limit ").map(Into::into),
        used: usage.used,
        most: usage.limit,
        left: usage.left,
        next_free: usage.next_free,
    }
}

fn settings(config: &Config, via: Via<'_>) -> Settings {
    let relay = via.relay();
    let portions = relay.portions;
    let bare = Settings {
        defined: via.place().to_string(),
        servers: servers(relay),
        user: relay.user.clone(),
        from: Vec::new(),
        names: BTreeMap::new(),
        users: Vec::new(),
        groups: Vec::new(),
        at_limit: "hold".into(),
        reserve: "0%".into(),
        connections: config.queue.connections as u64,
        messages_per_connection: portions.messages_per_connection.into(),
        recipients_per_transaction: portions.recipients_per_transaction.map(Into::into),
        pace: None,
        idle: crate::config::Flow::default().idle.as_secs(),
        backup: Vec::new(),
        backup_after: 0,
        replies: relay.replies.own.len() as u64,
        provider: relay.replies.provider.map(Into::into),
    };
    match via {
        Via::Account(account) => Settings { from: account.from.iter().cloned().collect(), ..bare },
        Via::Sender(sender) | Via::Default(sender) => of_sender(config, sender, bare),
    }
}

fn of_sender(config: &Config, sender: &Sender, bare: Settings) -> Settings {
    Settings {
        from: sender.from.iter().map(|(pattern, _)| pattern.to_string()).collect(),
        names: sender.names.clone(),
        users: sender.users.clone(),
        groups: sender.groups.clone(),
        at_limit: match &sender.limits.at_limit {
            AtLimit::Hold => "hold".into(),
            AtLimit::Refuse => "refuse".into(),
            AtLimit::Overflow(name, _) => format!("overflow to {name}"),
        },
        reserve: match sender.limits.reserve {
            Reserve::Percent(share) => format!("{share}%"),
            Reserve::Number(number) => number.to_string(),
        },
        connections: sender.flow.connections(config.queue.connections) as u64,
        pace: sender.flow.pace.map(|pace| pace.to_string()),
        idle: sender.flow.idle.as_secs(),
        backup: sender.backup.iter().map(|(name, _)| name.clone()).collect(),
        backup_after: sender.backup_after.as_secs(),
        provider: sender.provider.map(|preset| preset.name.into()).or(bare.provider.clone()),
        ..bare
    }
}

/// Every server of an account, in the order in which they are asked.
#[must_use]
pub fn servers(relay: &Relay) -> Vec<String> {
    relay.at_each_server().map(|relay| server(&relay)).collect()
}

/// Server, port and protection.
fn server(relay: &Relay) -> String {
    let tls = match relay.tls {
        TlsMode::Implicit => "TLS from the start",
        TlsMode::StartTls => "STARTTLS required",
        TlsMode::Plain => "no TLS",
    };
    match &relay.endpoint {
        Endpoint::Tcp(host, port) => format!("{host} port {port}, {tls}"),
        Endpoint::Unix(path) => format!("{}, {tls}", path.display()),
    }
}
