//! Delivery from the queue, against a scripted server and a store on disk.

mod bounce;
mod lanes;
mod runner;

use super::delivery::Host;
use super::runner::Hooks;
use super::sqlite::{SqliteStore, StoreConfig};
use super::types::*;
use super::{Store, direct, runner as run};
use crate::config::Config;
use crate::config::load::{self, Sources};
use crate::envelope::{Dsn, Envelope, ReversePath};
use crate::exit::Status;
use crate::message::Message;
use crate::message::address::Address;
use crate::message::read::{self, ReadRules};
use crate::smtp::client::tests::server::{Act, Server, say};
use crate::sys::clock;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn message(text: &str) -> Message {
    read::read(&mut text.as_bytes(), ReadRules { dot_ends: false }).unwrap()
}

fn host() -> Host {
    Host { name: "host.test".into(), uid: rustix::process::getuid().as_raw(), home: None, keeper: None }
}

/// `QUEUE` and senders with their servers.
fn config(queue: &str, senders: &[(&str, &Server)]) -> Arc<Config> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "domain = \"host.test\"\nlog = {{ to = \"off\" }}\n[queue]\n{queue}").unwrap();
    for (name, server) in senders {
        let crate::config::Endpoint::Tcp(host, port) = &server.relay.endpoint else { panic!("TCP") };
        writeln!(
            file,
            "[[sender]]\nname = \"{name}\"\nfrom = [\"{name}@example.com\"]\nserver = \"smtp+plain://{host}:{port}\"\n\
             ehlo = \"client.test\""
        )
        .unwrap();
    }
    let uid = rustix::process::getuid().as_raw();
    let sources = Sources { explicit: Some(file.path().into()), home: None, uid, etc: "/nonexistent".into() };
    Arc::new(load::load(&sources).unwrap_or_else(|errors| panic!("{errors:?}")))
}

/// A message of a lane.
fn new(lane: &str, recipients: &[&str]) -> NewMessage {
    let from = format!("{lane}@example.com");
    let all = recipients.iter().map(|one| address(one)).collect();
    let now = clock::millis();
    NewMessage {
        submission: crate::sys::random::token().unwrap(),
        uid: 1000,
        lane: lane.into(),
        header_from: from.clone(),
        envelope: Envelope::new(ReversePath::Address(address(&from)), all, Dsn::default()).unwrap(),
        tag: None,
        message: message("From: shop@example.com\nSubject: a test\n\nline\n"),
        now,
        due: now,
        hold: None,
        report: false,
        bulk: false,
        counted: None,
        in_doubt: Vec::new(),
    }
}

/// What callers were told.
type Told = Arc<Mutex<Vec<(MessageId, Status, Option<String>)>>>;

/// A queue with its runner.
struct Queue {
    store: Arc<SqliteStore>,
    told: Told,
    runner: Option<run::Runner>,
    _directory: tempfile::TempDir,
}

impl Queue {
    /// A store without a runner.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig { directory: directory.path(), min_free: 0, exclusive: true };
        let store = Arc::new(SqliteStore::open(&config).unwrap());
        Self { store, told: Told::default(), runner: None, _directory: directory }
    }

    fn start(&mut self, config: Arc<Config>) {
        let told = self.told.clone();
        let hooks = Hooks {
            host: host(),
            is_enough: Box::new(|_| false),
            paused: Box::new(|_| {}),
            told: Box::new(move |id, status, text| told.lock().unwrap().push((id, status, text))),
        };
        self.runner = Some(run::start(self.store.clone(), config, hooks).unwrap());
    }

    fn runner(&self) -> &run::Runner {
        self.runner.as_ref().unwrap()
    }

    fn accept(&self, new: NewMessage) -> MessageId {
        let id = self.store.accept(new).unwrap().id;
        if let Some(runner) = &self.runner {
            runner.kick();
        }
        id
    }

    fn all(&self) -> Vec<Queued> {
        self.store.list(&Filter::default(), usize::MAX).unwrap()
    }

    fn count(&self) -> u64 {
        self.store.count().unwrap()
    }

    /// Waits until something holds; a long limit ends a test that hangs.
    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..3000 {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{what} never came: {:#?}\n{:?}\n{:?}", self.all(), self.told.lock().unwrap(), self.store.paused());
    }

    fn until_told(&self, id: MessageId) -> (Status, Option<String>) {
        let find = || self.told.lock().unwrap().iter().find(|one| one.0 == id).cloned();
        self.until("a result", || find().is_some());
        let (_, status, text) = find().unwrap();
        (status, text)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(runner) = &self.runner {
            let ended = runner.stop(Duration::from_secs(30));
            assert!(ended || std::thread::panicking(), "the runner does not end");
        }
    }
}
