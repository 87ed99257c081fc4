//! Delivery by `postrider serve`: retries, bounces, warm connections, lanes in trouble, senders that come and go.

use crate::support::run::{Finished, Home};
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use postrider::daemon::client;
use postrider::daemon::protocol::{Line, Reply, Request};
use postrider::queue::Filter;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A daemon, and a home whose `sendmail` finds it.
pub struct Daemon {
    pub home: Home,
    child: Child,
}

impl Daemon {
    pub fn start(queue: &str, senders: &str) -> Self {
        let home = Home::new();
        let socket = home.path("submit.sock");
        let home = home.env("POSTRIDER_SOCKET", &socket);
        configure(&home, queue, senders);
        let child = serve(&home);
        let daemon = Self { home, child };
        daemon.until("it answers", || UnixStream::connect(&socket).is_ok());
        daemon
    }

    /// Kills it and starts it again.
    pub fn restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = serve(&self.home);
        self.until("it answers", || UnixStream::connect(self.socket()).is_ok());
    }

    fn socket(&self) -> PathBuf {
        self.home.path("submit.sock")
    }

    pub fn ask(&self, request: &Request) -> Reply {
        client::ask(&self.socket(), request).unwrap()
    }

    pub fn lines(&self) -> Vec<Line> {
        match self.ask(&Request::List { filter: Filter::default(), limit: 1000 }) {
            Reply::Messages(lines) => lines,
            other => panic!("{other:?}"),
        }
    }

    pub fn flush(&self) {
        self.ask(&Request::Flush { filter: Filter::default() });
    }

    pub fn send(&self, sender: &str, how: &str, to: &str) -> Finished {
        let mail = format!("From: {sender}@example.com\nSubject: a message\n\nhello\n");
        self.home.run("sendmail", &[how, "-i", to], mail)
    }

    #[track_caller]
    pub fn until(&self, what: &str, happened: impl Fn() -> bool) {
        for _ in 0..3000 {
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
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(home: &Home) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.arg("--config").arg(home.path("postrider.toml")).arg("serve").arg("--socket").arg(home.path("submit.sock"));
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).spawn().unwrap()
}

pub fn configure(home: &Home, queue: &str, senders: &str) {
    let log = home.path("log");
    let directory = home.path("queue");
    let toml = format!(
        "domain = \"host.example\"\nlog = {{ to = \"{}\" }}\n[queue]\ndirectory = \"{}\"\n{queue}\n{senders}",
        log.display(),
        directory.display()
    );
    home.write("postrider.toml", toml);
}

pub fn sender(name: &str, server: &Server) -> String {
    format!(
        "[[sender]]\nname = \"{name}\"\nfrom = \"{name}@example.com\"\nserver = \"smtp+plain://127.0.0.1:{}\"\n",
        server.port
    )
}

#[test]
fn a_short_delay_is_kept() {
    let server = Script::new().on_nth("RCPT", 1, Fault::Reply("450 4.2.1 later".into())).start();
    let daemon = Daemon::start("retry = [\"1s\"]", &sender("shop", &server));
    let begun = std::time::Instant::now();
    daemon.send("shop", "-odb", "you@example.org").expect(0);
    daemon.until("the second attempt", || server.messages().len() == 1);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_deferred_message_is_tried_again() {
    let server = Script::new().on_nth("RCPT", 1, Fault::Reply("450 4.2.1 later".into())).start();
    let daemon = Daemon::start("retry = [\"1s\"]", &sender("shop", &server));
    let run = daemon.send("shop", "-odi", "you@example.org").expect(0);
    assert_eq!(run.stdout, "");
    daemon.until("delivery", || server.messages().len() == 1 && daemon.lines().is_empty());
}

#[test]
fn a_refusal_is_told_to_who_waits_and_bounced_to_who_does_not() {
    let server = Script::new().on_nth("RCPT", 1, Fault::Reply("550 5.1.1 no such user".into()));
    let server = server.on_nth("RCPT", 2, Fault::Reply("550 5.1.1 no such user".into())).start();
    let daemon = Daemon::start("", &sender("shop", &server));
    let run = daemon.send("shop", "-odi", "no@example.org");
    assert_eq!(run.status, 67, "{}", run.stderr);
    assert!(run.stderr.contains("no such user"));
    assert!(daemon.lines().is_empty() && server.messages().is_empty(), "told, and not by mail as well");

    daemon.send("shop", "-odb", "no@example.org").expect(0);
    daemon.until("the bounce", || server.messages().len() == 1 && daemon.lines().is_empty());
    let bounce = server.messages().pop().unwrap();
    assert_eq!((bounce.from.as_str(), bounce.recipients), ("", vec!["shop@example.com".to_owned()]));
    assert!(String::from_utf8_lossy(&bounce.text).contains("Diagnostic-Code: smtp; 550 5.1.1 no such user"));
}

#[test]
fn who_waits_and_wants_errors_by_mail_gets_both() {
    let server = Script::new().on_nth("RCPT", 1, Fault::Reply("550 5.1.1 no such user".into())).start();
    let daemon = Daemon::start("", &sender("shop", &server));
    let mail = "From: shop@example.com\n\nhello\n";
    daemon.home.run("sendmail", &["-odi", "-oem", "-i", "no@example.org"], mail).expect(67);
    daemon.until("the bounce", || server.messages().len() == 1 && daemon.lines().is_empty());
}

#[test]
fn one_connection_for_many_callers() {
    let server = Script::new().offer("PIPELINING").start();
    let daemon = Daemon::start("connections = 1", &sender("shop", &server));
    for _ in 0..50 {
        daemon.send("shop", "-odb", "you@example.org").expect(0);
    }
    daemon.until("delivery", || server.messages().len() == 50);
    assert_eq!(server.connections().len(), 1);
    daemon.send("shop", "-odi", "you@example.org").expect(0);
    assert_eq!(server.connections().len(), 1, "still warm");
}

#[test]
fn a_refused_login_stops_one_sender_alone_until_it_is_mended() {
    let server = Script::new().auth("shop", "right", &["PLAIN"]).auth_in_clear().start();
    let fine = Script::new().start();
    let login = "user = \"shop\"\npassword = { file = \"password\" }\nallow_plaintext_password = true\n";
    let senders = format!("{}{login}{}", sender("shop", &server), sender("news", &fine));
    let daemon = Daemon::start("", &senders);
    daemon.home.write("password", "wrong\n");
    let run = daemon.send("shop", "-odi", "you@example.org").expect(0);
    assert!(run.stderr.is_empty() || run.stderr.contains("login was refused"), "{}", run.stderr);
    for _ in 0..10 {
        daemon.send("shop", "-odb", "you@example.org").expect(0);
    }
    daemon.send("news", "-odi", "you@example.org").expect(0);
    assert_eq!(fine.messages().len(), 1, "the other sender goes on");
    assert_eq!(server.connections().len(), 1, "one refused login for all");
    let Reply::Status { paused, messages, .. } = daemon.ask(&Request::Status) else { panic!("no status") };
    assert_eq!((paused.len(), messages), (1, 11));
    assert!(paused[0].lane == "shop" && paused[0].reason.contains("login was refused"), "{paused:?}");
    daemon.home.write("password", "right\n");
    daemon.flush();
    daemon.until("delivery", || server.messages().len() == 11 && daemon.lines().is_empty());
    let Reply::Status { paused, .. } = daemon.ask(&Request::Status) else { panic!("no status") };
    assert!(paused.is_empty(), "{paused:?}");
}

#[test]
fn a_slow_sender_delays_no_other() {
    let slow = Script::new().on("CONNECT", Fault::Hang).start();
    let fine = Script::new().start();
    let daemon = Daemon::start("connections = 2", &format!("{}{}", sender("slow", &slow), sender("news", &fine)));
    for _ in 0..10 {
        daemon.send("slow", "-odb", "you@example.org").expect(0);
    }
    for _ in 0..5 {
        daemon.send("news", "-odi", "you@example.org").expect(0);
    }
    assert_eq!(fine.messages().len(), 5);
    assert_eq!(daemon.lines().len(), 10);
}

#[test]
fn a_sender_that_is_gone_holds_its_messages() {
    let server = Script::new().on_nth("RCPT", 1, Fault::Reply("450 4.2.1 later".into())).start();
    let both = format!("{}{}", sender("shop", &server), sender("news", &server));
    let daemon = Daemon::start("retry = [\"1s\"]", &both);
    daemon.send("shop", "-odi", "you@example.org").expect(0);
    configure(&daemon.home, "retry = [\"1s\"]", &sender("news", &server));
    daemon.ask(&Request::Reload);
    daemon.until("a hold", || daemon.lines().iter().any(|line| line.hold.is_some()));
    let hold = daemon.lines()[0].hold.clone().unwrap();
    assert!(hold.contains("\"shop\" is not configured any more"), "{hold}");
    configure(&daemon.home, "retry = [\"1s\"]", &both);
    daemon.ask(&Request::Reload);
    daemon.until("delivery", || server.messages().len() == 1 && daemon.lines().is_empty());
}
