//! The daemon and the way to it: a unix socket over which messages are handed over and the queue is steered.
//!
//! ```text
//! client      the caller's side: hand over, wait for the verdict, never lose and never double
//! listen      the socket: bound or inherited, clients admitted
//! attendants  the threads that serve them
//! session     one client: its request read under limits, its reply written
//! brake       what holds a script or a user that sends far too much
//! peer        who is on the other end
//! submit      a message that came: planned with the daemon's configuration, kept, waited for
//! parcels     what rules made of a message, for the queue
//! control     everything else that is asked
//! inherited   sockets that the service manager passed
//! smtp        the SMTP listeners
//! listing     messages of the queue as they are shown
//! overview    senders as they are shown
//! room        what the sending limits leave for a message
//! salvage     what was set aside comes back into the queue
//! turns       one at a time for each user
//! steer       senders paused, resumed, their limits reset
//! ```

mod attendants;
pub mod brake;
pub mod client;
mod control;
pub mod inherited;
pub mod listen;
pub mod listing;
mod live;
pub mod overview;
mod parcels;
mod peer;
pub mod protocol;
mod quota;
pub mod room;
pub mod salvage;
mod session;
pub mod smtp;
pub mod steer;
pub mod stop;
mod submit;
mod turns;
pub mod waiters;
pub mod wire;

pub use live::Live;
pub use waiters::{Summary, Waiters};

use crate::queue::{Filter, Halt, Millis, Store, StoreError};
use brake::Brake;
use quota::Quota;
use smtp::held::Sorting;
use std::sync::Arc;
use turns::Turns;

/// What the daemon's socket needs of those who deliver and steer. Called from many threads at once.
pub trait Host: Send + Sync {
    /// A message was accepted that is due: deliver it now.
    fn kick(&self);

    /// Makes the messages that fit due now and delivers them; how many there were.
    ///
    /// # Errors
    /// Why not, one line.
    fn flush(&self, filter: &Filter) -> Result<u64, String>;

    /// The same, as an operator says: the senders that they wait for try again, whatever keeps them back.
    ///
    /// # Errors
    /// Why not, one line.
    fn retry(&self, filter: &Filter) -> Result<u64, String>;

    /// How a lane is paused, where it is: for a client that waits, one line.
    fn paused(&self, lane: &str) -> Option<String>;

    /// Pauses a lane as an operator says.
    ///
    /// # Errors
    /// Why not, one line.
    fn halt(&self, halt: &Halt) -> Result<(), String>;

    /// Opens a lane, whoever or whatever paused it; whether it was paused.
    ///
    /// # Errors
    /// Why not, one line.
    fn open(&self, lane: &str) -> Result<bool, String>;

    /// Sending limits were reset, of a lane or of all.
    fn limits_changed(&self, lane: Option<&str>);

    /// How many connections a lane has.
    fn connections(&self, lane: &str) -> usize;

    /// Sends the messages that fit back to where they came from; how many there were.
    ///
    /// # Errors
    /// Why not, one line.
    fn bounce(&self, filter: &Filter) -> Result<u64, String>;

    /// Reads the configuration again; the last good one holds where it is faulty.
    ///
    /// # Errors
    /// What is wrong with it, one line.
    fn reload(&self) -> Result<(), String>;
}

/// What every client's thread works with.
pub struct Daemon {
    /// The configuration that holds now.
    pub live: Arc<Live>,
    /// The queue.
    pub store: Arc<dyn Store>,
    /// Who waits for a result; the runner tells them.
    pub waiters: Arc<Waiters>,
    /// Those who deliver and steer.
    pub host: Box<dyn Host>,
    /// The user id that it runs under: as root, it may see and touch everything.
    pub uid: u32,
    /// What holds a script or a user that sends far too much.
    pub brake: Brake,
    /// Since when it runs.
    pub since: Millis,
    /// Has mail sorted that was held for want of a rule.
    pub sorting: Sorting,
    limits: Limits,
    /// Held by who submits to a sender that refuses at its limit.
    refusing: Turns,
}

/// Clients at once.
const CLIENTS: u64 = 256;
/// Clients of one user at once.
const CLIENTS_EACH: u64 = 128;
/// Octets of large requests at once, for all and for one user.
const REQUESTS: (u64, u64) = (16 << 20, 4 << 20);
/// Octets of answers that were not taken yet, for all and for one user.
const ANSWERS: (u64, u64) = (16 << 20, 4 << 20);
/// Questions about the queue that are answered at once; of one user one.
const QUESTIONS: usize = 4;
/// Octets of large messages that are coming in, for all and for one user.
const SPOOL: (u64, u64) = (2 << 30, 512 << 20);

/// Octets of the recipients of messages that are coming in over SMTP, for all and for one client.
const ENVELOPES: (u64, u64) = (32 << 20, 8 << 20);

/// What all clients together may use up.
struct Limits {
    seats: Arc<Quota>,
    requests: Arc<Quota>,
    spool: Arc<Quota>,
    /// Octets of large messages that come in over SMTP, by client.
    text: Arc<Quota>,
    /// Octets of recipients that are named over SMTP, by client.
    envelopes: Arc<Quota>,
    answers: Arc<Quota>,
    questions: Turns,
    /// Whoever works on a large request or message has it: memory for one of them at a time.
    large: Turns,
}

impl Daemon {
    /// A daemon that has no clients yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn new(
        live: Arc<Live>,
        store: Arc<dyn Store>,
        waiters: Arc<Waiters>,
        host: Box<dyn Host>,
    ) -> Result<Self, StoreError> {
        let limits = Limits {
            seats: Quota::new(CLIENTS, CLIENTS_EACH),
            requests: Quota::new(REQUESTS.0, REQUESTS.1),
            spool: Quota::new(SPOOL.0, SPOOL.1),
            text: Quota::new(SPOOL.0, SPOOL.1),
            envelopes: Quota::new(ENVELOPES.0, ENVELOPES.1),
            answers: Quota::new(ANSWERS.0, ANSWERS.1),
            questions: Turns::new(QUESTIONS),
            large: Turns::new(1),
        };
        let since = crate::sys::clock::now().timestamp_millis();
        let brake = Brake::new(store.as_ref(), since)?;
        let uid = rustix::process::geteuid().as_raw();
        Ok(Self {
            live,
            store,
            waiters,
            host,
            uid,
            brake,
            since,
            sorting: Sorting::default(),
            limits,
            refusing: Turns::new(1),
        })
    }
}
