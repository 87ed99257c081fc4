//! The daemon's beginning, its reload and its end.

use super::{Daemon, MESSAGE, command, taking, until, write_config};
use crate::support::script::{Fault, Script};
use postrider::daemon::protocol::{Reply, Request};
use postrider::queue::Filter;
use rustix::process::Signal;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn it_ends_in_order() {
    let server = Script::new().on("DOT", Fault::Delay(Duration::from_millis(700))).start();
    let mut daemon = Daemon::start(&server, "");
    daemon.home().run("sendmail", &["-t"], MESSAGE).expect(0);
    until("the transaction runs", || server.connections().iter().any(|c| c.verbs().contains(&"DATA".to_owned())));
    daemon.signal(Signal::TERM);
    assert!(daemon.child.wait().unwrap().success());
    assert_eq!(server.messages().len(), 1, "the running transaction was finished");
    assert!(!daemon.socket().exists());
}

#[test]
fn what_was_kept_outlives_a_kill() {
    let server = taking();
    let mut daemon = Daemon::start(&server, "");
    daemon.home().run("sendmail", &["-odq", "-t"], MESSAGE).expect(0);
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    assert!(daemon.socket().exists(), "a stale socket, which the next one replaces");
    daemon.child = command(&daemon.path("")).spawn().unwrap();
    daemon.wait();
    assert_eq!(daemon.queued(), 1);
    assert_eq!(daemon.ask(&Request::Flush { filter: Filter::default() }), Reply::Touched(1));
    until("it is delivered", || server.messages().len() == 1);
}

#[test]
fn a_waiting_client_is_told_at_the_end() {
    let server = Script::new().on("CONNECT", Fault::Hang).start();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| home.run("sendmail", &["-v", "-odi", "-t"], MESSAGE).expect(0));
        until("it is kept", || daemon.queued() == 1);
        daemon.signal(Signal::TERM);
        assert!(waiting.join().unwrap().stderr.contains("not yet delivered"));
    });
}

#[test]
fn a_reload_keeps_the_last_good_configuration() {
    let (server, other) = (taking(), taking());
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    std::fs::write(daemon.path("postrider.toml"), "[[sender]]\nfroom = 1\n").unwrap();
    daemon.signal(Signal::HUP);
    until("the fault is logged", || daemon.log().contains("postrider.toml:2: unknown key"));
    home.run("sendmail", &["-odi", "-t"], MESSAGE).expect(0);
    let Reply::Refused(said) = daemon.ask(&Request::Reload) else { panic!() };
    assert!(said.contains("unknown key") && said.contains("last good"), "{said}");
    write_config(&daemon.path(""), other.port, "");
    assert_eq!(daemon.ask(&Request::Reload), Reply::Touched(0));
    home.run("sendmail", &["-odi", "-t"], MESSAGE).expect(0);
    assert_eq!((server.messages().len(), other.messages().len()), (1, 1));
}

#[test]
fn what_keeps_it_from_running_is_said() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let second = daemon.path("second");
    std::fs::create_dir(&second).unwrap();
    write_config(&second, server.port, "");
    let home = daemon.home();
    let config = second.join("postrider.toml").display().to_string();
    let run = |socket: &str| home.run("postrider", &["--config", &config, "serve", "--socket", socket], "");
    let said = run(&daemon.socket().display().to_string()).expect(71).stderr;
    assert!(said.contains(&format!("taken by process {}", daemon.child.id())), "{said}");
    let said = run(&format!("/tmp/{}", "x".repeat(200))).expect(71).stderr;
    assert!(said.contains("a socket's may have 107"), "{said}");
    std::fs::write(second.join("postrider.toml"), "log = 1\nx = 2\n").unwrap();
    let said = run("unused").expect(78).stderr;
    assert!(
        said.lines().all(|line| line.starts_with("postrider serve: ")) && said.contains("postrider.toml:"),
        "{said}"
    );
    let Reply::Status { pid, .. } = daemon.ask(&Request::Status) else { panic!() };
    assert_eq!(pid, daemon.child.id(), "the first goes on");
}

#[test]
fn the_service_manager_is_told_and_its_socket_taken() {
    let server = taking();
    let directory = tempfile::tempdir().unwrap();
    write_config(directory.path(), server.port, "");
    let manager = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let listener = UnixListener::bind(directory.path().join("given.sock")).unwrap();
    let plain = command(directory.path());
    let mut activated = Command::new("/bin/sh");
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec \"$0\" \"$@\"";
    activated.args(["-c", script]).arg(plain.get_program()).args(plain.get_args());
    activated.env("NOTIFY_SOCKET", directory.path().join("notify")).env("WATCHDOG_USEC", "200000");
    let mut child = activated.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null()).spawn().unwrap();
    let mut told = String::new();
    let mut hear = |word: &str| {
        let mut datagram = [0; 500];
        while !told.contains(word) {
            let count = manager.recv(&mut datagram).unwrap_or_else(|_| panic!("never {word}: {told}"));
            told.push_str(&String::from_utf8_lossy(&datagram[..count]));
        }
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    let socket = directory.path().join("given.sock");
    let reply = postrider::daemon::client::ask(&socket, &Request::Status).unwrap();
    assert!(matches!(reply, Reply::Status { messages: 0, .. }));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    hear("STOPPING=1");
    assert!(child.wait().unwrap().success());
    assert!(socket.exists(), "the service manager's own is left alone");
}
