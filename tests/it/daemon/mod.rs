//! The daemon through its real processes: hand-over, hostile clients, life and end.

mod handover;
mod hostile;
mod life;
mod thin;

use crate::support::run::Home;
use crate::support::script::Script;
use crate::support::server::Server;
use crate::support::skip;
use postrider::daemon::client;
use postrider::daemon::protocol::{Reply, Request};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const MESSAGE: &str = "From: shop@example.com\nTo: you@example.org\nSubject: hello\n\nbody text\n";
const PROGRAM: &str = env!("CARGO_BIN_EXE_postrider");

/// A running `postrider serve` with its socket, configuration and log in a directory that everybody may enter.
pub struct Daemon {
    directory: tempfile::TempDir,
    child: Child,
}

impl Daemon {
    /// Starts one that sends for shop@example.com to that server. `sender` goes into the `[[sender]]`.
    pub fn start(server: &Server, sender: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("postrider-daemon-").tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        write_config(directory.path(), server.port, sender);
        let child = command(directory.path()).spawn().unwrap();
        let daemon = Self { directory, child };
        daemon.wait();
        daemon
    }

    /// The same; what goes into the configuration may name its directory.
    pub fn start_with(server: &Server, sender: impl FnOnce(&str) -> String) -> Self {
        let directory = tempfile::Builder::new().prefix("postrider-daemon-").tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let more = sender(&directory.path().display().to_string());
        write_config(directory.path(), server.port, &more);
        let child = command(directory.path()).spawn().unwrap();
        let daemon = Self { directory, child };
        daemon.wait();
        daemon
    }

    /// The same, started by other programs: `through` are the words before its own, which may name its directory. They
    /// must become it, so that its number is theirs.
    pub fn start_through(
        server: &Server,
        through: impl FnOnce(&str) -> Vec<String>,
        sender: impl FnOnce(&str) -> String,
    ) -> Self {
        let directory = tempfile::Builder::new().prefix("postrider-daemon-").tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let place = directory.path().display().to_string();
        write_config(directory.path(), server.port, &sender(&place));
        let own = command(directory.path());
        let words = through(&place);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(own.get_program()).args(own.get_args());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(directory.path().join("stderr")).unwrap());
        let daemon = Self { directory, child: command.spawn().unwrap() };
        daemon.wait();
        daemon
    }

    /// Starts it again once it has ended; its log goes on.
    pub fn restart(&mut self) {
        let _ = self.child.wait();
        self.child = command(self.directory.path()).spawn().unwrap();
        self.wait();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("submit.sock")
    }

    /// Until it answers.
    #[track_caller]
    fn wait(&self) {
        until("the daemon answers", || UnixStream::connect(self.socket()).is_ok());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A home whose programs find the daemon.
    pub fn home(&self) -> Home {
        Home::new().env("POSTRIDER_SOCKET", self.socket())
    }

    pub fn ask(&self, request: &Request) -> Reply {
        client::ask(&self.socket(), request).unwrap()
    }

    /// How many messages are queued.
    pub fn queued(&self) -> u64 {
        match self.ask(&Request::Status) {
            Reply::Status { messages, .. } => messages,
            other => panic!("{other:?}"),
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Peak memory in KiB.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
    }
}

/// Lines of `sender` that begin with `[queue] ` are keys of that table.
fn write_config(directory: &Path, port: u16, sender: &str) {
    let place = directory.display();
    let (queue, sender): (Vec<&str>, Vec<&str>) = sender.lines().partition(|line| line.starts_with("[queue] "));
    let queue: String = queue.iter().map(|line| line.replace("[queue] ", "") + "\n").collect();
    let sender = sender.join("\n");
    let toml = format!(
        "log = {{ to = \"{place}/log\" }}\n[queue]\ndirectory = \"{place}/queue\"\n{queue}[default]\nrelay = \"refuse\"\n\
         [[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\nserver = \"smtp+plain://127.0.0.1:{port}\"\n{sender}\n"
    );
    let path = directory.join("postrider.toml");
    std::fs::write(&path, toml).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// `postrider serve` with what `write_config` wrote.
fn command(directory: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--config").arg(directory.join("postrider.toml"));
    command.arg("serve").arg("--socket").arg(directory.join("submit.sock"));
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(directory.join("stderr")).unwrap());
    command
}

/// Waits for something that happens soon.
#[track_caller]
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !happened() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether programs can be run as nobody here; if not, the test is skipped, visibly.
pub fn nobody(test: &str) -> bool {
    if !skip::require(test, "root") || !skip::require(test, "setpriv") {
        return false;
    }
    let reachable = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", PROGRAM, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !reachable {
        skip::because(test, "the program lies where nobody may not go");
    }
    reachable
}

/// Arguments for setpriv to run a name of the program as nobody; the home is opened for it.
pub fn as_nobody(home: &Home, arguments: &[&str]) -> Vec<String> {
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.path("bin/sendmail").display().to_string();
    let all = ["--reuid=65534", "--regid=65534", "--clear-groups", &program];
    all.iter().chain(arguments).map(ToString::to_string).collect()
}

pub fn taking() -> Server {
    Script::new().start()
}
