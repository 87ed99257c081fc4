//! The SMTP listeners of the daemon (`[[listen]]`): programs submit through them as through `sendmail`, and mail for
//! this machine comes in (RFC 5321, RFC 6409).
//!
//! ```text
//! bind         sockets: bound here or passed on; `holder` names who has a port that is taken
//! listener     one address: clients admitted, a thread each
//! guard        seats: how many connections, and who makes room
//! connection   one connection: octets, time limits, TLS
//! transaction  what the session asks: answered, spooled, queued
//! policy       who may send where: never an open relay
//! login        passwords checked, few at a time, and guesses slowed down
//! trace        the Received field, and loops
//! incoming     what becomes of mail for this machine
//! held         mail that came in before there was a rule
//! ```
//!
//! The dialogue itself is `smtp::server`, the same as `sendmail -bs` has.

mod bind;
mod connection;
mod guard;
pub mod held;
mod holder;
pub mod incoming;
mod listener;
mod login;
pub mod policy;
pub mod trace;
mod transaction;

use super::Daemon;
use super::inherited::Inherited;
use super::stop::Stop;
use crate::config::{Config, ListenAddress, Listener, Purpose, User};
use crate::net::acceptor::Acceptor;
use crate::sys::clock::{self, Deadline};
use crate::sys::env;
use bind::Socket;
use guard::Seats;
use listener::Point;
use login::Turns;
use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// How often it is looked whether the last connection has ended.
const LOOK: Duration = Duration::from_millis(20);

/// How the clients of one address are served.
pub struct Service {
    listener: Listener,
    address: ListenAddress,
    host: String,
    acceptor: Option<Acceptor>,
    users: Arc<Vec<User>>,
    turns: Arc<Turns>,
}

/// An address as configured, and which of several alike (free ports).
type Key = (ListenAddress, usize);

/// All listeners of the daemon.
pub struct Listeners {
    daemon: Arc<Daemon>,
    turns: Arc<Turns>,
    seats: Arc<Seats>,
    passed: Mutex<Inherited>,
    points: Mutex<HashMap<Key, Arc<Point>>>,
}

/// A configuration's listeners with everything that can fail done: sockets bound, certificates read.
pub struct Prepared(Vec<(Key, Arc<Service>, Option<Socket>)>);

impl Listeners {
    /// None yet. `passed`: sockets of the service manager.
    #[must_use]
    pub fn new(daemon: Arc<Daemon>, passed: Inherited) -> Self {
        Self {
            daemon,
            turns: Arc::default(),
            seats: Arc::default(),
            passed: Mutex::new(passed),
            points: Mutex::default(),
        }
    }

    fn points(&self) -> MutexGuard<'_, HashMap<Key, Arc<Point>>> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what can fail of a configuration; nothing changes for anybody yet.
    ///
    /// # Errors
    /// A port that is taken, a certificate that is no good: one line each.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, Vec<String>> {
        let (mut ready, mut errors) = (Vec::new(), Vec::new());
        let users = Arc::new(config.users.clone());
        let mut alike: HashMap<&ListenAddress, usize> = HashMap::new();
        let points = self.points();
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        for listener in &config.listen {
            let acceptor = match acceptor(listener, self.daemon.uid) {
                Ok(acceptor) => acceptor,
                Err(what) => {
                    errors.push(what);
                    continue;
                }
            };
            for address in &listener.addresses {
                let nth = alike.entry(address).or_default();
                let key = (address.clone(), *nth);
                *nth += 1;
                let socket = match points.contains_key(&key) {
                    true => None,
                    false => match Socket::open(listener, address, &mut passed) {
                        Ok(socket) => Some(socket),
                        Err(what) => {
                            errors.push(what);
                            continue;
                        }
                    },
                };
                let service = Service {
                    listener: listener.clone(),
                    address: address.clone(),
                    host: listener.hostname.clone().unwrap_or_else(env::hostname),
                    acceptor: acceptor.clone(),
                    users: users.clone(),
                    turns: self.turns.clone(),
                };
                ready.push((key, Arc::new(service), socket));
            }
        }
        if errors.is_empty() { Ok(Prepared(ready)) } else { Err(errors) }
    }

    /// Puts a prepared configuration into force: new addresses are listened at, those that are gone no more.
    /// Connections that are there go on as they began.
    ///
    /// # Errors
    /// A thread cannot be started, or there is no descriptor left.
    pub fn commit(&self, prepared: Prepared) -> Result<(), String> {
        let mut points = self.points();
        let keep: Vec<Key> = prepared.0.iter().map(|(key, ..)| key.clone()).collect();
        points.retain(|key, point| {
            let kept = keep.contains(key);
            if !kept {
                point.stop.give();
                tracing::info!(address = point.socket.place(), "no longer listening");
            }
            kept
        });
        for (key, service, socket) in prepared.0 {
            if let Some(point) = points.get(&key) {
                *point.service.write().unwrap_or_else(PoisonError::into_inner) = service;
            } else if let Some(socket) = socket {
                let point = self.start(socket, service)?;
                points.insert(key, point);
            }
        }
        Ok(())
    }

    fn start(&self, socket: Socket, service: Arc<Service>) -> Result<Arc<Point>, String> {
        let purpose = match service.listener.purpose {
            Purpose::Submission => "submission",
            Purpose::Incoming => "incoming",
        };
        let stop = Stop::new().map_err(|error| format!("listen {}: {error}", service.address))?;
        let point = Arc::new(Point { socket, service: RwLock::new(service), place: self.seats.place(), stop });
        let (running, daemon) = (point.clone(), self.daemon.clone());
        let thread = std::thread::Builder::new().name("smtp-listener".into());
        thread.spawn(move || running.run(&daemon)).map_err(|error| format!("listen: {error}"))?;
        tracing::info!(address = point.socket.place(), purpose, "listening");
        Ok(point)
    }

    /// Takes no more clients, and sends home those who are there; waits for them at most so long.
    pub fn stop(&self, grace: Duration) {
        let points: Vec<Arc<Point>> = self.points().drain().map(|(_, point)| point).collect();
        for point in &points {
            point.stop.give();
        }
        self.seats.dismiss_all();
        let deadline = Deadline::after(grace);
        while deadline.left().is_some() && self.seats.taken() > 0 {
            clock::pause(LOOK);
        }
    }

    /// Sorts mail that came in before there was a rule, where there is one now; does not wait for the end.
    pub fn sort_held(&self) {
        self.daemon.sorting.ask();
    }

    /// A passed unix socket that no listener has taken: the daemon's own.
    #[must_use]
    pub fn take_unix(&self) -> Option<UnixListener> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).take_unix()
    }

    /// The names of passed sockets that nothing has taken.
    #[must_use]
    pub fn unused(&self) -> Vec<String> {
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.left().into_iter().map(str::to_owned).collect()
    }
}

/// What the handshakes of a listener are made with, where it has TLS.
fn acceptor(listener: &Listener, uid: u32) -> Result<Option<Acceptor>, String> {
    let Some((certificate, key)) = &listener.identity else { return Ok(None) };
    Acceptor::load(certificate, key, uid).map(Some).map_err(|what| format!("{}: {what}", listener.place))
}
