//! Accepted means kept, proved through the real programs: the daemon killed, system calls that fail, the disk full.
//!
//! Every test here holds the same account (`ledger`): a message with exit status 0 arrives, whole, at least once; one with
//! another status does not arrive, unless the caller was told that it may have been kept.

mod disk;
mod faults;
mod frozen;
mod kills;
mod ledger;
mod mixed;
mod parts;
mod power;
mod salvage;
mod start;
mod unheard;

use crate::support::run::{Finished, Home};
use ledger::{Ledger, mail};
use postrider::daemon::client;
use postrider::daemon::protocol::{Line, Reply, Request};
use postrider::queue::Filter;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_postrider");
/// How long anything may take that is to happen at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host with a daemon, and with callers that know the daemon's socket alone.
pub struct Site {
    host: Arc<Host>,
    child: Option<Child>,
}

/// What stays while the daemon comes and goes.
pub struct Host {
    pub home: Home,
    pub ledger: Ledger,
}

impl Deref for Site {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Host {
    /// Writes the configuration; without a sender where `sender` is empty.
    pub fn configure(&self, queue: &str, sender: &str) {
        let sender = match sender {
            "" => String::new(),
            lines => format!("[[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\n{lines}\n"),
        };
        let toml = format!(
            "log = {{ to = \"{}\" }}\n[queue]\ndirectory = \"{}\"\nretry = [\"1s\"]\n{queue}\n[default]\n\
             relay = \"refuse\"\n{sender}",
            self.home.path("log").display(),
            self.queue().display()
        );
        self.home.write("postrider.toml", toml);
    }

    pub fn queue(&self) -> PathBuf {
        self.home.path("queue")
    }

    pub fn socket(&self) -> PathBuf {
        self.home.path("submit.sock")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path("log")).unwrap_or_default()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.home.path("stderr")).unwrap_or_default()
    }

    /// Submits a message and notes what the caller was told.
    pub fn send(&self, id: &str) -> Finished {
        self.send_with(id, &["-t", "-i"])
    }

    pub fn send_with(&self, id: &str, arguments: &[&str]) -> Finished {
        let run = self.home.run("sendmail", arguments, mail(id));
        self.ledger.note(id, &run);
        run
    }

    /// What is queued, as far as anybody answers.
    pub fn lines(&self) -> Option<Vec<Line>> {
        match client::ask(&self.socket(), &Request::List { filter: Filter::default(), limit: 10_000 }).ok()? {
            Reply::Messages(lines) => Some(lines),
            // Who reads the queue for the answer may meet the fault, too.
            Reply::Refused(_) => None,
            other => panic!("{other:?}"),
        }
    }

    pub fn flush(&self) {
        client::ask(&self.socket(), &Request::Flush { filter: Filter::default() }).unwrap();
    }

    /// A run of the queue leaves alone what may have arrived, so it is called by its number.
    fn retry_what_is_in_doubt(&self) {
        let ids: Vec<_> = self.lines().unwrap_or_default().iter().filter_map(|line| line.id.parse().ok()).collect();
        if !ids.is_empty() {
            client::ask(&self.socket(), &Request::Retry { filter: Filter { ids, ..Filter::default() } }).unwrap();
        }
    }

    /// Everything that is queued is sent.
    #[track_caller]
    pub fn drain(&self) {
        self.flush();
        let end = Instant::now() + PATIENCE;
        while self.lines().is_none_or(|lines| !lines.is_empty()) {
            self.retry_what_is_in_doubt();
            assert!(Instant::now() < end, "still queued: {:?}\n{}", self.lines(), self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Site {
    /// With these lines in `[queue]` and in the `[[sender]]` for shop@example.com. Nothing runs yet.
    pub fn new(queue: &str, sender: &str) -> Self {
        let home = Home::new();
        let socket = home.path("submit.sock");
        let host = Host { home: home.env("POSTRIDER_SOCKET", &socket), ledger: Ledger::default() };
        host.configure(queue, sender);
        Self { host: Arc::new(host), child: None }
    }

    /// One whose sender sends to that port without TLS.
    pub fn plain(queue: &str, port: u16) -> Self {
        Self::new(queue, &plain(port))
    }

    /// Starts `postrider serve`, through another program where `through` names one; in a process group of its own.
    pub fn spawn(&mut self, through: &[String]) {
        let mut words = through.iter().map(String::as_str).chain([PROGRAM]);
        let mut command = Command::new(words.next().unwrap_or(PROGRAM));
        command.args(words).arg("--config").arg(self.home.path("postrider.toml"));
        command.arg("serve").arg("--socket").arg(self.socket());
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(self.home.path("stderr")).unwrap();
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").process_group(0);
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap());
    }

    /// Whether the daemon came to answer; not where it ended instead.
    pub fn is_up(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if UnixStream::connect(self.socket()).is_ok() {
                return true;
            }
            if self.ended().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the daemon neither answers nor ends\n{}", self.log());
    }

    /// How the daemon ended, where it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    /// Starts it and waits for it; what was just killed may have the queue for a moment longer.
    #[track_caller]
    pub fn start(&mut self, through: &[String]) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            self.spawn(through);
            if self.is_up() {
                return;
            }
            assert!(Instant::now() < end, "the daemon does not start: {}\n{}", self.stderr(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// A signal for it, and for whatever it was started through.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a daemon");
        kill_process_group(Pid::from_child(child), signal).unwrap();
    }

    /// kill -9, for it and whatever it was started through.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
            // What it was started through may be gone a moment before it.
            let end = Instant::now() + PATIENCE;
            while UnixStream::connect(self.socket()).is_ok() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill_process_group(Pid::from_child(&child), Signal::TERM);
            assert!(child.wait().unwrap().success());
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the daemon said:\n{}", self.stderr());
        }
    }
}

/// The line of a sender whose server is at that port.
pub fn plain(port: u16) -> String {
    format!("server = \"smtp+plain://127.0.0.1:{port}\"")
}

/// Whether more is wanted than a sample.
pub fn wide() -> bool {
    std::env::var("CI").is_ok_and(|is| is == "true")
}

/// Words as arguments.
pub fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}
