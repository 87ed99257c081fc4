//! Where a password is looked for that is not configured: the keyring, netrc, the terminal; in that order.

use super::{MESSAGE, home, only, rc, script, with_login};
use crate::support::pty::Pty;
use crate::support::run::Home;
use crate::support::server::Server;
use crate::support::skip;
use rustix::process::{Signal, kill_process};
use std::os::unix::fs::PermissionsExt;

const RC: &str = "auth plain\nuser u";
const QUESTION: &str = "password for u at 127.0.0.1: ";

fn server() -> Server {
    with_login(script()).start()
}

/// A terminal on which one of the program's names gets MESSAGE on its standard input.
fn asked(home: &Home, command: &str) -> Pty {
    home.write("message", MESSAGE);
    Pty::start(home, &format!("exec {command} <\"$HOME/message\""))
}

#[test]
fn a_person_at_the_terminal_is_asked() {
    let server = server();
    let home = home(&server, RC);
    for (count, command) in ["msmtp r@example.net", "sendmail -i r@example.net"].into_iter().enumerate() {
        let mut terminal = asked(&home, command);
        terminal.shows(QUESTION);
        assert!(!terminal.echoes());
        terminal.types("tanstaaf\n");
        assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
        assert!(terminal.echoes());
        assert!(!terminal.shown().contains("tanstaaf"), "{}", terminal.shown());
        assert_eq!(terminal.shown().matches(QUESTION).count(), 1);
        assert_eq!(server.messages().len(), count + 1);
        assert_eq!(server.messages()[count].account.as_deref(), Some("u"));
    }
}

#[test]
fn an_answer_that_is_none() {
    let server = server();
    let home = home(&server, RC);
    for (typed, said, status) in [
        ("\n", "not given", 78),
        ("\x04", "not given", 78),
        ("wrong\n", "535", 77),
        ("\x1a\x1atanstaa\x7faf\n", "535", 77),
    ] {
        let mut terminal = asked(&home, "msmtp r@example.net");
        terminal.shows(QUESTION);
        terminal.types(typed);
        // What was said last may be on its way still when the program has ended.
        terminal.shows(said);
        assert_eq!(terminal.ends(), status, "{}", terminal.shown());
        assert!(terminal.echoes());
    }
    assert!(server.messages().is_empty());
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let server = server();
    let home = home(&server, RC);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let mut terminal = asked(&home, "sh -c 'ulimit -c 0; exec msmtp r@example.net'");
        terminal.shows(QUESTION);
        assert!(!terminal.echoes());
        match signal {
            Signal::INT => terminal.types("\x03"),
            signal => kill_process(terminal.process(), signal).unwrap(),
        }
        assert_eq!(terminal.ends(), 128 + signal.as_raw(), "{}", terminal.shown());
        assert!(terminal.echoes());
    }
    assert!(server.messages().is_empty());
}

#[test]
fn nobody_is_waited_for_without_end() {
    if !skip::slow("nobody_is_waited_for_without_end") {
        return;
    }
    let server = server();
    let home = home(&server, RC);
    let mut terminal = asked(&home, "msmtp r@example.net");
    terminal.shows(QUESTION);
    terminal.shows("not given within 30 s");
    assert_eq!(terminal.ends(), 78);
    assert!(terminal.echoes() && server.messages().is_empty());
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let server = server();
    let home = home(&server, RC);
    // In the harness a run has no terminal, or is in its background.
    let finished = home.run("msmtp", &["r@example.net"], MESSAGE).expect(78);
    assert!(
        finished.stderr.contains("no password for u at 127.0.0.1 in ") && finished.stderr.contains(".netrc (none)"),
        "{}",
        finished.stderr
    );
    home.write("message", MESSAGE);
    let script = "setsid --wait msmtp r@example.net <\"$HOME/message\"; exit $?";
    let mut terminal = Pty::start(&home, script);
    assert_eq!(terminal.ends(), 78, "{}", terminal.shown());
    assert!(!terminal.shown().contains(QUESTION), "{}", terminal.shown());
    assert!(server.messages().is_empty());
}

#[test]
fn the_daemon_asks_nobody() {
    let server = server();
    let home = Home::new();
    let place = home.path("");
    let place = place.display();
    home.write("rc", rc(&server, RC));
    home.write(
        "served.toml",
        format!(
            "log = {{ to = \"{place}/log\" }}\n[queue]\ndirectory = \"{place}/queue\"\n[default]\nrelay = \"msmtprc\"\n\
             msmtprc = \"{place}/rc\"\n"
        ),
    );
    let socket = home.path("socket");
    let home = home.env("POSTRIDER_SOCKET", &socket);
    // In the foreground of a terminal of its own, as one that is being tried out.
    let terminal = Pty::start(&home, "exec postrider --config \"$HOME/served.toml\" serve --socket \"$HOME/socket\"");
    terminal.until("it listens", || socket.exists());
    home.run("sendmail", &["-i", "r@example.net"], MESSAGE).expect(0);
    let log = || std::fs::read_to_string(home.path("log")).unwrap_or_default();
    terminal.until("it tried", || log().contains("no password for u at 127.0.0.1 in "));
    assert!(!terminal.shown().contains(QUESTION), "{}", terminal.shown());
    assert!(terminal.echoes() && server.messages().is_empty());
}

/// A keyring that knows one entry and writes its arguments down.
fn keyring(home: &Home, script: &str) {
    let path = home.write("bin/secret-tool", format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$HOME/asked\"\n{script}\n"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn the_keyring_comes_before_netrc() {
    let server = server();
    let home = home(&server, RC).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    home.write(".netrc", "machine 127.0.0.1 login u password wrong\n");
    keyring(&home, "cat >>\"$HOME/asked\"; printf tanstaaf");
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
    assert_eq!(only(&server).account.as_deref(), Some("u"));
    let asked = std::fs::read_to_string(home.path("asked")).unwrap();
    assert_eq!(asked, "lookup\nhost\n127.0.0.1\nservice\nsmtp\nuser\nu\n", "and it gets none of the message");
}

#[test]
fn a_keyring_that_knows_nothing_is_passed_over() {
    let server = server();
    let home = home(&server, RC).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    home.write(".netrc", "machine 127.0.0.1 login u password tanstaaf\n");
    for (count, script) in ["exit 1", ":", "echo no bus >&2; exit 1"].into_iter().enumerate() {
        keyring(&home, script);
        let finished = home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
        assert_eq!((finished.stderr.as_str(), server.messages().len()), ("", count + 1), "{script}");
    }
    std::fs::remove_file(home.path("asked")).unwrap();
    std::fs::remove_file(home.path("bin/secret-tool")).unwrap();
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
    keyring(&home, "exit 1");
    std::fs::remove_file(home.path(".netrc")).unwrap();
    let finished = home.run("msmtp", &["r@example.net"], MESSAGE).expect(78);
    assert!(finished.stderr.contains(" in the keyring, "), "{}", finished.stderr);
}

#[test]
fn without_a_session_bus_the_keyring_is_not_asked() {
    let server = server();
    let home = home(&server, RC);
    keyring(&home, "printf tanstaaf");
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(78);
    assert!(!home.path("asked").exists());
}
