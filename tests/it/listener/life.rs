//! Listeners come and go: reload, the end of the daemon, ports that are taken, sockets that are passed.

use super::{TEXT, Talk, listen, ports};
use crate::daemon::{Daemon, taking, until};
use crate::support::run::Home;
use crate::support::skip;
use postrider::daemon::protocol::{Reply, Request};
use std::net::{TcpListener, TcpStream};

/// Changes the daemon's configuration and has it read again.
fn reload(daemon: &Daemon, change: impl Fn(&str) -> String) -> Result<(), String> {
    let path = daemon.path("postrider.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, change(&before)).unwrap();
    match postrider::daemon::client::ask(&daemon.socket(), &Request::Reload) {
        Ok(Reply::Touched(_)) => Ok(()),
        Ok(Reply::Refused(why)) => {
            std::fs::write(&path, before).unwrap();
            Err(why)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reload_adds_and_removes_and_leaves_who_is_there() {
    let server = taking();
    let daemon = Daemon::start(&server, &listen("hostname = \"one.example\""));
    let first = ports(&daemon, 1)[0];
    let mut there = Talk::hello(first);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.sock");
    reload(&daemon, |toml| format!("{toml}[[listen]]\naddress = \"unix:{}\"\n", path.display())).unwrap();
    assert!(path.exists());
    reload(&daemon, |toml| toml.replace("one.example", "two.example")).unwrap();
    assert!(Talk::to(first).say("EHLO x").contains("250-two.example"));
    assert!(there.say("EHLO x").contains("250-one.example"), "who is there is served as it began");
    reload(&daemon, |toml| toml.split("[[listen]]").next().unwrap().to_owned()).unwrap();
    until("nobody listens", || TcpStream::connect(("127.0.0.1", first)).is_err() && !path.exists());
    assert!(there.message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    until("it arrives", || server.messages().len() == 1);
}

#[test]
fn a_port_that_is_taken_names_who_has_it() {
    let server = taking();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::new();
    let toml = format!(
        "log = {{ to = \"off\" }}\n[queue]\ndirectory = \"{}\"\n[[listen]]\naddress = \"{address}\"\n",
        home.path("queue").display()
    );
    let home = home.config(&toml);
    let socket = home.path("s").display().to_string();
    let finished = home.run("postrider", &["serve", "--socket", &socket], "").expect(71);
    let line = format!("postrider.toml:6: listen {address}: the port is taken by process {} (", std::process::id());
    assert!(finished.stderr.contains(&line), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1);
    // A running daemon keeps what it has.
    let daemon = Daemon::start(&server, &listen(""));
    let port = ports(&daemon, 1)[0];
    let said = reload(&daemon, |toml| format!("{toml}[[listen]]\naddress = \"{address}\"\n")).unwrap_err();
    assert!(said.contains("the last good configuration is kept") && said.contains("is taken by process"), "{said}");
    assert!(Talk::hello(port).message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
}

#[test]
fn the_end_of_the_daemon_is_told_to_who_waits() {
    let server = taking();
    let daemon = Daemon::start(&server, &listen(""));
    let mut talk = Talk::hello(ports(&daemon, 1)[0]);
    talk.expect("MAIL FROM:<shop@example.com>", "250");
    daemon.signal(rustix::process::Signal::TERM);
    assert!(talk.reply().starts_with("421 4.3.2"));
    assert_eq!(talk.reply(), "");
    until("it ends in order", || daemon.log().contains("ended"));
}

#[test]
fn sockets_are_passed_by_name_and_by_address() {
    if !skip::require("listener::life::sockets_are_passed_by_name_and_by_address", "python3") {
        return;
    }
    let server = taking();
    let home = Home::new();
    let toml = format!(
        "log = {{ to = \"{0}/log\" }}\n[queue]\ndirectory = \"{0}/queue\"\n[[sender]]\nname = \"shop\"\n\
         from = \"shop@example.com\"\nserver = \"smtp+plain://127.0.0.1:{1}\"\n\
         [[listen]]\naddress = \"fd:submission\"\n[[listen]]\naddress = \"127.0.0.1:PORT\"\nhostname = \"by-address\"\n",
        home.path("").display(),
        server.port
    );
    // As the service manager does: sockets from descriptor 3 on, their names and number in the environment.
    let script = "import os, socket, sys
toml, program, control = sys.argv[1:]
def tcp():
    s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); return s
unix = socket.socket(socket.AF_UNIX); unix.bind(control); unix.listen()
all = [tcp(), tcp(), unix]
text = open(toml).read().replace('PORT', str(all[1].getsockname()[1]))
open(toml, 'w').write(text)
print(all[0].getsockname()[1], all[1].getsockname()[1], flush=True)
high = [os.dup2(s.fileno(), 20 + i) for i, s in enumerate(all)]
for i, fd in enumerate(high): os.dup2(fd, 3 + i, inheritable=True)
os.environ.update(LISTEN_FDS='3', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='submission:other:postrider.socket')
os.execv(program, [program, '--config', toml, 'serve'])
";
    let path = home.write("postrider.toml", toml);
    let control = home.path("control.sock");
    let mut child = std::process::Command::new("python3")
        .args(["-c", script])
        .args([&path, &home.path("bin/postrider"), &control])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let ports: Vec<u16> = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
    let log = || std::fs::read_to_string(home.path("log")).unwrap_or_default();
    until("it is ready", || log().contains("ready"));
    assert!(Talk::hello(ports[0]).message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    assert!(Talk::to(ports[1]).say("EHLO x").contains("by-address"));
    let asked = postrider::daemon::client::ask(&control, &Request::Status);
    assert!(matches!(asked, Ok(Reply::Status { .. })), "{asked:?}: the socket that is left is the daemon's own");
    let _ = child.kill();
    let _ = child.wait();
}
