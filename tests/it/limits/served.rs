//! With the daemon: what has to wait waits, where everybody can see it, and a kill changes nothing.

use super::{mail, sender, taken};
use crate::support::run::{Finished, Home};
use crate::support::script::{Fault, Script};
use postrider::daemon::client;
use postrider::daemon::protocol::{Line, Reply, Request};
use postrider::queue::Filter;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon, and a home whose `sendmail` finds it.
pub(super) struct Daemon {
    pub(super) home: Home,
    child: Child,
    patience: Duration,
}

impl Daemon {
    pub(super) fn start(general: &str, senders: &str) -> Self {
        let home = Home::new();
        let socket = home.path("submit.sock");
        let home = home.env("POSTRIDER_SOCKET", &socket);
        let daemon = Self { child: Self::spawn(&home), home, patience: Duration::from_secs(30) };
        daemon.configure(general, senders);
        let mut daemon = daemon;
        daemon.kill();
        daemon.again();
        daemon
    }

    /// Waits longer, and lets programs run longer.
    pub(super) fn be_patient(&mut self, patience: Duration) {
        self.home.allow(patience);
        self.patience = patience;
    }

    pub(super) fn configure(&self, general: &str, senders: &str) {
        let (log, directory) = (self.home.path("log"), self.home.path("queue"));
        let toml = format!(
            "domain = \"host.example\"\nlog = {{ to = \"{}\" }}\n[queue]\ndirectory = \"{}\"\n{general}\n{senders}",
            log.display(),
            directory.display()
        );
        self.home.write("postrider.toml", toml);
    }

    fn spawn(home: &Home) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.arg("--config").arg(home.path("postrider.toml")).arg("serve");
        command.arg("--socket").arg(home.path("submit.sock"));
        command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    pub(super) fn again(&mut self) {
        self.child = Self::spawn(&self.home);
        let socket = self.home.path("submit.sock");
        self.until("it answers", || UnixStream::connect(&socket).is_ok());
    }

    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(super) fn ask(&self, request: &Request) -> Reply {
        client::ask(&self.home.path("submit.sock"), request).unwrap()
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        match self.ask(&Request::List { filter: Filter::default(), limit: 1000 }) {
            Reply::Messages(lines) => lines,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn send(&self, sender: &str, how: &str, to: &[&str]) -> Finished {
        let arguments: Vec<&str> = [how, "-i"].into_iter().chain(to.iter().copied()).collect();
        self.home.run("sendmail", &arguments, mail(sender))
    }

    #[track_caller]
    pub(super) fn until(&self, what: &str, happened: impl Fn() -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < self.patience {
            if happened() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("never: {what}\n{}", std::fs::read_to_string(self.home.path("log")).unwrap_or_default());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn what_has_to_wait_waits_and_says_until_when() {
    let (server, fine) = (Script::new().start(), Script::new().start());
    let limited = sender("shop", &server, "limits = [{ recipients = 3, per = \"24h\" }]");
    let daemon = Daemon::start("retry = [\"1s\"]", &format!("{limited}{}", sender("news", &fine, "")));
    daemon.send("shop", "-odi", &["a@example.org"]).expect(0);
    let many = ["b@example.org", "c@example.org", "d@example.org", "e@example.org"];
    daemon.send("shop", "-odi", &many).expect(0);
    for _ in 0..5 {
        daemon.send("shop", "-odb", &["f@example.org"]).expect(0);
    }
    daemon.send("news", "-odi", &["a@example.org"]).expect(0);
    // Whoever waits for the result is told at once that there is none yet.
    let run = daemon.home.run("sendmail", &["-odi", "-v", "-i", "f@example.org"], mail("shop")).expect(0);
    assert!(run.stderr.contains("kept, not yet delivered: the limit of 3 recipients per 24h"), "{}", run.stderr);
    assert_eq!((taken(&server), taken(&fine)), (3, 1), "what fits goes now, and other senders go on");
    daemon.until("nothing is under way", || daemon.lines().iter().all(|line| line.state == "active"));

    let lines = daemon.lines();
    assert_eq!(lines.len(), 7);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    for line in &lines {
        let waits = line.waits.as_ref().unwrap_or_else(|| panic!("{line:?}"));
        assert!((now + 23 * 3_600_000..now + 25 * 3_600_000).contains(&waits.until), "{waits:?}");
        assert!(waits.why.contains("the limit of 3 recipients per 24h of sender shop is reached; the next may go at"));
        assert!(line.recipients.iter().all(|one| one.attempts == 0), "waiting is no attempt");
    }
    assert_eq!(lines[0].recipients.len(), 2, "two of the four have gone");
    let json = daemon.home.run("postrider", &["queue", "list", "--json"], "").expect(0).stdout;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let until = first["waits"]["until"].as_i64().unwrap();
    assert!((until - lines[0].waits.as_ref().unwrap().until).abs() < 100, "{first}");
    let table = daemon.home.run("sendmail", &["-bp"], "").expect(0).stdout;
    assert!(table.contains("waits: the limit of 3 recipients per 24h of sender shop is reached"), "{table}");
    let shown = daemon.home.run("postrider", &["queue", "show", &lines[0].id], "").expect(0).stdout;
    assert!(shown.contains("  waits     20"), "{shown}");
    let Reply::Status { paused, .. } = daemon.ask(&Request::Status) else { panic!("no status") };
    assert!(paused.is_empty(), "the sender is in no trouble: {paused:?}");

    // A higher limit, read again, and they go in their order.
    daemon.configure("", &sender("shop", &server, "limits = [{ recipients = 30, per = \"24h\" }]"));
    daemon.ask(&Request::Reload);
    daemon.until("delivery", || daemon.lines().is_empty());
    assert_eq!(taken(&server), 11);
}

#[test]
fn a_window_that_frees_lets_the_next_go() {
    let server = Script::new().start();
    let daemon = Daemon::start("", &sender("shop", &server, "limits = [{ recipients = 2, per = \"2s\" }]"));
    daemon.send("shop", "-odb", &["a@example.org", "b@example.org", "c@example.org"]).expect(0);
    daemon.send("shop", "-odb", &["d@example.org"]).expect(0);
    daemon.until("all of them", || taken(&server) == 4 && daemon.lines().is_empty());
}

#[test]
fn kills_send_no_more_than_the_limit() {
    let server = Script::new().on("DOT", Fault::Delay(Duration::from_millis(30))).start();
    let limited = sender("shop", &server, "limits = [{ messages = 12, per = \"24h\" }]");
    let mut daemon = Daemon::start("connections = 3", &limited);
    for _ in 0..30 {
        daemon.send("shop", "-odb", &["a@example.org"]).expect(0);
    }
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(20 + 15 * round));
        daemon.kill();
        daemon.again();
    }
    daemon.until("the limit is reached", || {
        let lines = daemon.lines();
        !lines.is_empty() && lines.iter().all(|line| line.waits.is_some())
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(taken(&server) <= 12 && !daemon.lines().is_empty(), "{}", taken(&server));
}

#[test]
fn refuse_says_so_at_submission() {
    let server = Script::new().start();
    let keys = "at_limit = \"refuse\"\nlimits = [{ recipients = 4, per = \"1h\" }]";
    let daemon = Daemon::start("", &sender("shop", &server, keys));
    // Waits in the queue: it counts as well.
    daemon.send("shop", "-odq", &["q@example.org"]).expect(0);
    daemon.send("shop", "-odi", &["a@example.org", "b@example.org"]).expect(0);
    let run = daemon.send("shop", "-odb", &["c@example.org", "d@example.org"]).expect(69);
    assert!(run.stderr.contains("the limit of 4 recipients per 1h of sender shop is reached"), "{}", run.stderr);
    assert!(run.stderr.contains("the next may go at ") && run.stderr.contains("nothing was kept"), "{}", run.stderr);
    daemon.send("shop", "-odi", &["c@example.org"]).expect(0);
    daemon.send("shop", "-odb", &["d@example.org"]).expect(69);
    let dialogue = format!(
        "EHLO me\r\nMAIL FROM:<shop@example.com>\r\nRCPT TO:<d@example.org>\r\nDATA\r\n{}.\r\nQUIT\r\n",
        mail("shop")
    );
    let run = daemon.home.run("sendmail", &["-bs"], dialogue).expect(0);
    assert!(run.stdout.contains("\n451 4.3.0 shop: the limit of 4 recipients"), "{}", run.stdout);
    assert_eq!((taken(&server), daemon.lines().len()), (3, 1));
}

#[test]
fn overflow_goes_over_the_other_sender() {
    let (server, spare) = (Script::new().start(), Script::new().start());
    let first = sender("shop", &server, "at_limit = \"spare\"\nlimits = [{ messages = 1, per = \"24h\" }]");
    let second = sender("spare", &spare, "at_limit = \"shop\"\nlimits = [{ messages = 2, per = \"24h\" }]");
    let daemon = Daemon::start("", &format!("{first}{second}"));
    for _ in 0..5 {
        daemon.send("shop", "-odb", &["a@example.org"]).expect(0);
    }
    daemon.until("both are full", || {
        let lines = daemon.lines();
        lines.len() == 2 && lines.iter().all(|line| line.waits.is_some())
    });
    assert_eq!((taken(&server), taken(&spare)), (1, 2));
    let Reply::History(past) = daemon.ask(&Request::History { since: 0, limit: 10 }) else { panic!("no history") };
    let mut lanes: Vec<&str> = past.iter().map(|one| one.lane.as_str()).collect();
    lanes.sort_unstable();
    assert_eq!(lanes.len(), 3, "{past:?}");
    let log = std::fs::read_to_string(daemon.home.path("log")).unwrap();
    assert!(log.contains("overflow") && log.contains("via=\"spare\""), "{log}");
}
