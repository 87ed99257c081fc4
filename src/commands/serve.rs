//! `postrider serve`: the daemon in the foreground, until SIGTERM or SIGINT. SIGHUP has the configuration read again.
//!
//! Only what is wrong at the start ends it: a reload that fails keeps the last good configuration. It tells the service
//! manager when it is ready (sd_notify(3)), when it ends, and that it is alive.

use super::mailq;
use crate::config::load::{self, MAIN, Sources};
use crate::config::{Config, ConfigError, QueueConfig, programs};
use crate::daemon::inherited::Inherited;
use crate::daemon::listen::{self, Socket};
use crate::daemon::smtp::{Listeners, held};
use crate::daemon::stop::Stop;
use crate::daemon::{Daemon, Host, Live, Summary, Waiters};
use crate::deliver::as_user::client::Keeper;
use crate::deliver::sorted;
use crate::exit::Status;
use crate::limits::{self, Ask, Class};
use crate::queue::runner::{self, Hooks, Runner};
use crate::queue::sqlite::{SqliteStore, StoreConfig};
use crate::queue::{Filter, Halt, Millis, Pause, Store, StoreError, delivery, drain, lane};
use crate::report::{self, log};
use crate::sys::{env, memory, rights};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long clients that are there may go on once the daemon is to end.
const CLIENTS: Duration = Duration::from_secs(8);
/// How long transactions with servers may then go on.
const TRANSACTIONS: Duration = Duration::from_secs(20);

/// A change of the queue that takes longer does not end any more.
const STUCK: Duration = Duration::from_secs(180);

/// Why the daemon does not run.
struct Fault(Status, Vec<String>);

impl Fault {
    fn new(status: Status, what: impl std::fmt::Display) -> Self {
        Self(status, vec![what.to_string()])
    }
}

/// Runs the daemon. `config` is what `--config` named, `socket` what `--socket` did; with `drain` everything that is
/// queued is tried once more before it ends, for at most that long.
#[must_use]
pub fn run(config: Option<PathBuf>, socket: Option<PathBuf>, drain: Option<Duration>) -> Status {
    match serve(config, socket, drain) {
        Ok(()) => Status::Ok,
        Err(Fault(status, lines)) => {
            for line in lines {
                report::stderr(&format!("postrider serve: {line}"));
                tracing::error!(reason = report::printable(&line), "the daemon does not run");
            }
            status
        }
    }
}

fn serve(config: Option<PathBuf>, path: Option<PathBuf>, drain: Option<Duration>) -> Result<(), Fault> {
    rights::keep_to_itself().map_err(|error| Fault::new(Status::Os, error))?;
    memory::share();
    let source = Source::new(config).map_err(|error| Fault::new(Status::Os, error))?;
    let config =
        source.load().map_err(|errors| Fault(Status::Config, errors.iter().map(ToString::to_string).collect()))?;
    if let Some(problem) = log::open(&config.log, "serve") {
        report::stderr(&format!("postrider serve: {problem}"));
    }
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(|error| Fault::new(Status::Os, error))?;
    let store = open_store(&config)?;
    let passed = Inherited::collect().map_err(|error| Fault::new(Status::Os, error))?;
    let stop = Arc::new(Stop::new().map_err(|error| Fault::new(Status::Os, error))?);
    let directory = config.queue.directory.clone();
    let (live, waiters) = (Arc::new(Live::new(config)), Arc::new(Waiters::new()));
    let started = runner::start(store.clone(), live.get(), hooks(waiters.clone(), source.keeper.clone()));
    let runner = Arc::new(started.map_err(|error| Fault::new(Status::Os, error))?);
    let listeners = OnceLock::new();
    let reload = Arc::new(Reload { source, live: live.clone(), runner: runner.clone(), listeners });
    let host = Box::new(Steering { runner: runner.clone(), reload: reload.clone() });
    let daemon = Daemon::new(live.clone(), store.clone(), waiters, host);
    let daemon = Arc::new(daemon.map_err(|error| Fault::new(Status::Unavailable, error))?);
    let listeners = reload.listeners.get_or_init(|| Listeners::new(daemon.clone(), passed));
    let socket = open_socket(listeners, &live.get(), path)?;

    let stopping = stop.clone();
    let steered = reload.clone();
    thread("signals", move || obey(&mut signals, &steered, &stopping))?;
    if let Some(period) = sd_notify::watchdog_enabled() {
        let (store, stopping) = (store.clone(), stop.clone());
        thread("watchdog", move || watchdog(store.as_ref(), period / 2, &stopping))?;
    }
    let sorts = daemon.clone();
    thread("sorting", move || held::attend(&sorts))?;
    say_staging(&daemon.live.get());
    listeners.sort_held();
    tracing::info!(pid = std::process::id(), "ready");
    tell(&[NotifyState::Ready]);
    listen::serve(&socket, &daemon, &stop, CLIENTS, || listeners.stop(CLIENTS));
    drop(socket);
    let left = drain.map(|limit| drain::drain(&runner, store.as_ref(), limit));
    if !runner.stop(TRANSACTIONS) {
        tracing::warn!("transactions are cut short; their messages stay in the queue");
    }
    tracing::info!("ended");
    left.map_or(Ok(()), |left| emptied(left, &directory))
}

/// What became of a queue that was to be emptied: the mail in it is lost where its directory is.
fn emptied(left: Result<u64, StoreError>, directory: &Path) -> Result<(), Fault> {
    let what = match left {
        Ok(0) => return Ok(()),
        Ok(1) => "1 message stays".to_owned(),
        Ok(left) => format!("{left} messages stay"),
        Err(error) => format!("what is left stays ({error})"),
    };
    let directory = directory.display();
    Err(Fault::new(
        Status::Unavailable,
        format!("{what} in the queue {directory}; keep that directory for the next start"),
    ))
}

/// What a client that waits is told of a paused lane.
fn waiting(pause: &Pause) -> String {
    if pause.until == Millis::MAX {
        return format!("kept; {}", pause.reason);
    }
    let until = mailq::time(pause.until, &chrono::Local, "%Y-%m-%d %H:%M:%S %z");
    format!("kept; the sender is paused until {until} because {}", pause.reason)
}

/// Opens the listeners, and the daemon's own socket: the one passed that no listener takes, else one bound here.
fn open_socket(listeners: &Listeners, config: &Config, path: Option<PathBuf>) -> Result<Socket, Fault> {
    let prepared = listeners.prepare(config).map_err(|errors| Fault(Status::Os, errors))?;
    let socket = match listeners.take_unix() {
        Some(socket) => Socket::passed(socket).map_err(|error| Fault::new(Status::Os, error))?,
        None => {
            let path = path.or_else(|| env::path("POSTRIDER_SOCKET")).unwrap_or_else(|| listen::PATH.into());
            Socket::bind(&path).map_err(|error| Fault::new(Status::Os, error))?
        }
    };
    listeners.commit(prepared).map_err(|error| Fault::new(Status::Os, error))?;
    for name in listeners.unused() {
        tracing::warn!(name = report::printable(&name), "a socket was passed that nothing listens at");
    }
    Ok(socket)
}

/// What delivery needs of this process.
fn hooks(waiters: Arc<Waiters>, keeper: Option<Arc<Keeper>>) -> Hooks {
    let uid = rustix::process::geteuid().as_raw();
    let (enough, lanes) = (Arc::clone(&waiters), Arc::clone(&waiters));
    Hooks {
        host: delivery::Host { name: env::hostname(), uid, home: None, keeper },
        is_enough: Box::new(move |id| enough.is_enough(id)),
        paused: Box::new(move |pause| {
            lanes.tell_lane(&pause.lane, || Summary { status: Status::Ok, text: Some(waiting(pause)) });
        }),
        told: Box::new(move |id, status, text| waiters.tell(id, || Summary { status, text })),
    }
}

fn thread(name: &str, story: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(story);
    spawned.map(drop).map_err(|error| Fault::new(Status::Os, error))
}

/// Opens the queue; large messages that come in lie beside it until they are kept, not in a `/tmp` that may be memory.
fn open_store(config: &Config) -> Result<Arc<dyn Store>, Fault> {
    let QueueConfig { directory, min_free, .. } = &config.queue;
    let opened = SqliteStore::open(&StoreConfig { directory, min_free: *min_free, exclusive: true });
    let store = opened.map_err(|error| {
        let status = match error {
            StoreError::Io(_) => Status::Io,
            StoreError::NoSpace(_)
            | StoreError::Damaged(_)
            | StoreError::Taken(_)
            | StoreError::Search
            | StoreError::Gone
            | StoreError::Text(_) => Status::Unavailable,
        };
        Fault::new(status, format!("queue {}: {error}", directory.display()))
    })?;
    let _ = tempfile::env::override_temp_dir(directory);
    Ok(Arc::new(store))
}

/// What the service manager is told; without one nothing happens.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(reason = %error, "the service manager cannot be told");
    }
}

/// Does what signals say, for as long as the process lives.
fn obey(signals: &mut Signals, reload: &Reload, stop: &Stop) {
    for signal in signals.forever() {
        if signal == SIGHUP {
            let now = NotifyState::monotonic_usec_now();
            tell(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
            // The result is in the log.
            let _ = reload.run();
            tell(&[NotifyState::Ready]);
        } else {
            tracing::info!(signal, "ending: running transactions are finished");
            tell(&[NotifyState::Stopping]);
            stop.give();
        }
    }
}

/// Nobody is to look for mail that staging keeps.
fn say_staging(config: &Config) {
    if let Some(staging) = &config.staging {
        tracing::warn!("[staging] is on: mail goes to {staging}, not to its recipients");
    }
}

/// Says that the daemon is alive as long as what is written to its queue ends. It asks nothing that somebody else could be
/// asking too: no client, however much it wants, makes the daemon look dead.
fn watchdog(store: &dyn Store, period: Duration, stop: &Stop) {
    loop {
        match store.writing() {
            Some(since) if since > STUCK => {
                tracing::error!(seconds = since.as_secs(), "the queue is stuck: a change of it does not end");
            }
            _ => tell(&[NotifyState::Watchdog]),
        }
        if stop.within(period) {
            return;
        }
    }
}

/// Where the configuration comes from, at the start and at every reload.
struct Source {
    file: Option<PathBuf>,
    /// Who runs programs as other users, where this process may have that.
    keeper: Option<Arc<Keeper>>,
}

impl Source {
    /// What was named, else the system's. Never one of a user: the daemon has no home.
    /// From here on this process cannot change its user any more, where it was not root.
    fn new(named: Option<PathBuf>) -> io::Result<Self> {
        let named = named.or_else(|| env::path("POSTRIDER_CONFIG"));
        let file = named.or_else(|| Path::new(MAIN).exists().then(|| MAIN.into()));
        let keeper = Keeper::start(file.as_deref().unwrap_or(Path::new(MAIN)))?.map(Arc::new);
        Ok(Self { file, keeper })
    }

    fn load(&self) -> Result<Config, Vec<ConfigError>> {
        let uid = rustix::process::geteuid().as_raw();
        let config = load::load(&Sources { explicit: self.file.clone(), home: None, uid, etc: "/etc".into() })?;
        // What it has no right to do is known before the first message.
        let mut faults = sorted::faults(&config, uid, self.keeper.is_some());
        if let Some(file) = self.file.as_deref().filter(|_| sorted::has_others(&config, uid)) {
            faults.extend(programs::check(file).err());
        }
        match faults.is_empty() {
            true => Ok(config),
            false => Err(faults),
        }
    }
}

struct Reload {
    source: Source,
    live: Arc<Live>,
    runner: Arc<Runner>,
    /// Set once the daemon is whole.
    listeners: OnceLock<Listeners>,
}

impl Reload {
    /// The listeners of a new configuration; a port that is taken or a bad certificate keeps the old one in force.
    fn listen(&self, config: &Config) -> Result<(), String> {
        let Some(listeners) = self.listeners.get() else { return Ok(()) };
        let kept = |errors: Vec<String>| {
            for error in &errors {
                tracing::error!(reason = report::printable(error), "the last good one is kept");
            }
            format!("the last good configuration is kept: {}", errors.first().map_or("", String::as_str))
        };
        let prepared = listeners.prepare(config).map_err(kept)?;
        listeners.commit(prepared).map_err(|error| kept(vec![error]))
    }

    /// Whatever comes of it, log files are opened anew: that is what rotates them.
    fn run(&self) -> Result<(), String> {
        let done = self.load();
        if let Some(problem) = log::open(&self.live.get().log, "serve") {
            report::stderr(&format!("postrider serve: {problem}"));
            tracing::warn!(reason = report::printable(&problem), "the log");
        }
        done
    }

    fn load(&self) -> Result<(), String> {
        match self.source.load() {
            Ok(config) => {
                self.listen(&config)?;
                if config.queue.directory != self.live.get().queue.directory {
                    tracing::warn!("another queue directory holds from the next start on");
                }
                say_staging(&config);
                self.live.replace(config);
                self.runner.reload(self.live.get());
                self.listeners.get().into_iter().for_each(Listeners::sort_held);
                tracing::info!("the configuration was read again");
                Ok(())
            }
            Err(errors) => {
                for error in &errors {
                    tracing::error!(reason = report::printable(&error.to_string()), "the last good one is kept");
                }
                let first = errors.first().map_or_else(String::new, ToString::to_string);
                Err(format!("the last good configuration is kept: {first}"))
            }
        }
    }
}

/// The daemon's hands, for its socket.
struct Steering {
    runner: Arc<Runner>,
    reload: Arc<Reload>,
}

impl Steering {
    /// Which sending limit a lane waits for, where it does.
    fn limited(&self, lane: &str) -> Option<String> {
        let config = self.reload.live.get();
        let via = lane::find(&config, lane).filter(|_| self.runner.is_limited(lane))?;
        let full =
            limits::waiting(&config, via, Ask { recipients: 1, class: Class::Single, whole: true, besides: &[] })
                .ok()??;
        Some(format!("kept, not yet delivered: {}", full.what))
    }
}

impl Host for Steering {
    fn kick(&self) {
        self.runner.kick();
    }

    fn flush(&self, filter: &Filter) -> Result<u64, String> {
        self.runner.flush(filter).map_err(|error| error.to_string())
    }

    fn retry(&self, filter: &Filter) -> Result<u64, String> {
        self.runner.retry(filter).map_err(|error| error.to_string())
    }

    fn paused(&self, lane: &str) -> Option<String> {
        self.runner.pause_of(lane).map(|pause| waiting(&pause)).or_else(|| self.limited(lane))
    }

    fn halt(&self, halt: &Halt) -> Result<(), String> {
        self.runner.halt(halt).map_err(|error| error.to_string())
    }

    fn open(&self, lane: &str) -> Result<bool, String> {
        self.runner.open(lane).map_err(|error| error.to_string())
    }

    fn limits_changed(&self, lane: Option<&str>) {
        self.runner.limits_changed(lane);
    }

    fn connections(&self, lane: &str) -> usize {
        self.runner.connections(lane)
    }

    fn bounce(&self, filter: &Filter) -> Result<u64, String> {
        self.runner.bounce(filter).map_err(|error| error.to_string())
    }

    fn reload(&self) -> Result<(), String> {
        self.reload.run()
    }
}
