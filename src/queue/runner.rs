//! STAND-IN for the runner: one thread, one attempt at a time, no bounces. To be replaced as a whole.

use super::{Action, Fate, Filter, Queued, Recorded, Store};
use crate::config::{Config, DefaultRelay, Relay};
use crate::daemon::{Live, Summary, Waiters};
use crate::deliver::Verdict;
use crate::deliver::attempt::{self, Context};
use crate::deliver::trouble::Permanence;
use crate::envelope::Envelope;
use crate::secret::fetch::{self, FetchContext};
use crate::sys::{clock, env};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// The running runner.
pub struct Runner {
    kick: Sender<bool>,
    ended: std::sync::Mutex<Receiver<()>>,
    store: Arc<dyn Store>,
}

/// Starts it.
///
/// # Errors
/// Where there is no thread for it.
pub fn start(store: Arc<dyn Store>, live: Arc<Live>, waiters: Arc<Waiters>) -> io::Result<Runner> {
    let (kick, kicked) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let runner = Runner { kick, ended: std::sync::Mutex::new(ended), store: store.clone() };
    std::thread::Builder::new().name("runner".into()).spawn(move || {
        while !matches!(kicked.recv_timeout(Duration::from_secs(1)), Ok(false)) {
            while let Some(queued) = store.claim(now(), &[], 1).ok().and_then(|mut found| found.pop()) {
                deliver(store.as_ref(), &live.get(), &waiters, &queued);
            }
        }
        let _ = end.send(());
    })?;
    Ok(runner)
}

fn now() -> i64 {
    clock::now().timestamp_millis()
}

impl Runner {
    /// There is something new.
    pub fn kick(&self) {
        let _ = self.kick.send(true);
    }

    /// Makes messages due.
    ///
    /// # Errors
    /// The store's.
    pub fn flush(&self, filter: &Filter) -> Result<u64, String> {
        let touched = self.store.act(filter, &Action::Retry, now()).map_err(|error| error.to_string());
        self.kick();
        touched
    }

    /// Not offered here.
    ///
    /// # Errors
    /// Always.
    pub fn bounce(&self, _: &Filter) -> Result<u64, String> {
        Err("not offered".into())
    }

    /// Finishes what runs.
    pub fn stop(&self, grace: Duration) {
        let _ = self.kick.send(false);
        if let Ok(ended) = self.ended.lock() {
            let _ = ended.recv_timeout(grace);
        }
    }
}

fn relay<'c>(config: &'c Config, lane: &str) -> Option<&'c Relay> {
    let sender = config.senders.iter().find(|sender| sender.name == lane).map(|sender| &sender.relay);
    sender.or(match &config.default {
        DefaultRelay::Server(sender) => Some(&sender.relay),
        DefaultRelay::Msmtprc(all) => {
            let name = lane.strip_prefix("msmtprc account ")?;
            all.accounts.iter().find(|account| account.name == name).map(|account| &account.relay)
        }
        _ => None,
    })
}

fn deliver(store: &dyn Store, config: &Config, waiters: &Waiters, queued: &Queued) {
    let Some(relay) = relay(config, &queued.lane) else { return };
    let addresses = queued.recipients.iter().map(|recipient| recipient.address.clone()).collect();
    let Some(envelope) = Envelope::new(queued.from.clone(), addresses, queued.dsn.clone()) else { return };
    let Ok(message) = store.text(queued.id) else { return };
    let uid = rustix::process::geteuid().as_raw();
    let user = relay.user.as_deref().unwrap_or_default();
    let fetching = FetchContext { uid, home: None, host: "", user, limit: Duration::from_secs(30) };
    let host = env::hostname();
    let mut context = Context {
        host: &host,
        transcript: &mut crate::smtp::dialogue::Silent,
        secret: &|source, limit| {
            fetch::fetch(source, &FetchContext { limit, ..fetching }).map_err(|error| error.to_string())
        },
    };
    let attempt = attempt::attempt(relay, &envelope, &message, &mut context);
    let results = attempt.outcomes.iter().zip(&queued.recipients).map(|(outcome, recipient)| {
        let (result, said) = match &outcome.verdict {
            Verdict::Sent(reply) => (Fate::Sent, reply.to_string()),
            Verdict::Failed(trouble) if trouble.permanence == Permanence::Permanent => {
                (Fate::Failed, trouble.what.clone())
            }
            Verdict::Failed(trouble) => (Fate::Retry { due: now() + 60_000, counts: true }, trouble.what.clone()),
        };
        Recorded { number: recipient.number, result, said, via: String::new() }
    });
    let results: Vec<Recorded> = results.collect();
    let _ = store.record(queued.id, now(), &results, None);
    let retried = results.iter().any(|one| matches!(one.result, Fate::Retry { .. }));
    waiters.tell(queued.id, || {
        Summary::of(&attempt, crate::commands::verdict::line(&attempt), retried, config.tempfail_exit)
    });
}
