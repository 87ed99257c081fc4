//! The container's entry, run as it is: configuration from the environment, flush, then exit.

use super::{fine, source};
use crate::daemon::until;
use crate::support::certs::{Authority, Kind};
use crate::support::run::Home;
use crate::support::script::Script;
use crate::support::server::Server;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

const SEND: &str = "printf 'From: site@example.com\\nTo: you@example.org\\n\\nhello\\n' | sendmail -t -i";

fn home(server: &Server) -> Home {
    let home = Home::new();
    let (socket, queue) = (home.path("run/submit.sock"), home.path("queue"));
    std::fs::create_dir(&queue).unwrap();
    home.env("POSTRIDER_SOCKET", socket)
        .env("POSTRIDER_QUEUE_DIRECTORY", queue)
        .env("POSTRIDER_SERVER", format!("smtp+plain://127.0.0.1:{}", server.port))
}

fn entry(home: &Home, command: &[&str]) -> crate::support::run::Finished {
    let script = source("config/container/entry.sh").display().to_string();
    let words: Vec<&str> = std::iter::once(script.as_str()).chain(command.iter().copied()).collect();
    home.program(Path::new("/bin/sh"), &words, "")
}

/// Whether this machine's own configuration or user would get in the way.
fn clean(test: &str) -> bool {
    let there = Path::new("/etc/postrider/postrider.toml").exists();
    if there {
        crate::support::skip::because(test, "this machine has a configuration of postrider");
    }
    !there
}

#[test]
fn a_command_sends_and_its_mail_is_delivered_before_the_end() {
    if !clean("a_command_sends_and_its_mail_is_delivered_before_the_end") {
        return;
    }
    let server = Script::new().start();
    let home = home(&server);
    // -odq: it waits for the run that the end brings.
    let run = entry(&home, &["sh", "-c", &format!("{SEND} -odq; {SEND}; exit 7")]);
    assert_eq!((run.status, server.messages().len()), (7, 2), "{run:?}");
    assert!(!home.path("run/submit.sock").exists(), "the daemon ended");
}

#[test]
fn mail_that_is_left_is_told() {
    if !clean("mail_that_is_left_is_told") {
        return;
    }
    let server = Script::new().reply("RCPT", "450 4.2.1 later").start();
    let home = home(&server);
    let run = entry(&home, &["sh", "-c", SEND]).expect(69);
    assert!(run.stderr.contains("1 message stays in the queue"), "{}", run.stderr);
    // The next container, with the same queue.
    let server = Script::new().start();
    let home = home.env("POSTRIDER_SERVER", format!("smtp+plain://127.0.0.1:{}", server.port));
    entry(&home, &["true"]).expect(0);
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn a_secret_that_everybody_may_read_is_taken_and_a_fault_ends_it() {
    if !clean("a_secret_that_everybody_may_read_is_taken_and_a_fault_ends_it") {
        return;
    }
    let authority = Authority::new();
    let identity = authority.issue(Kind::Valid);
    let server = Script::new().auth("site", "tanstaaf", &["PLAIN"]).implicit_tls(&identity).start();
    let home = home(&server);
    let secret = home.write("mounted", "tanstaaf\n");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o444)).unwrap();
    let trusted = home.write("ca.pem", authority.pem());
    let home = home
        .env("POSTRIDER_SERVER", format!("smtps://127.0.0.1:{}", server.port))
        .env("POSTRIDER_CA_FILE", trusted)
        .env("POSTRIDER_USER", "site")
        .env("POSTRIDER_PASSWORD_FILE", secret);
    entry(&home, &["sh", "-c", SEND]).expect(0);
    assert_eq!(server.messages()[0].account.as_deref(), Some("site"));
    let home = home.env("POSTRIDER_SERVER", "http://nonsense");
    let run = entry(&home, &["sh", "-c", SEND]).expect(78);
    assert!(run.stderr.contains("POSTRIDER_SERVER: server has an unknown scheme"), "{}", run.stderr);
}

#[test]
fn the_daemon_alone_drains_when_it_is_told_to_end() {
    if !clean("the_daemon_alone_drains_when_it_is_told_to_end") {
        return;
    }
    let server = Script::new().start();
    let home = home(&server);
    let mut child = Command::new("/bin/sh")
        .arg(source("config/container/entry.sh"))
        .env("PATH", format!("{}:/usr/bin:/bin", home.path("bin").display()))
        .env("POSTRIDER_SOCKET", home.path("run/submit.sock"))
        .env("POSTRIDER_QUEUE_DIRECTORY", home.path("queue"))
        .env("POSTRIDER_SERVER", format!("smtp+plain://127.0.0.1:{}", server.port))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the daemon answers", || UnixStream::connect(home.path("run/submit.sock")).is_ok());
    home.program(Path::new("/bin/sh"), &["-c", &format!("{SEND} -odq")], "").expect(0);
    assert!(server.messages().is_empty());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn the_scripts_are_shell_scripts() {
    for name in
        ["container/entry.sh", "stage.sh", "deb.sh", "rpm.sh", "debian/postinst", "debian/prerm", "debian/postrm"]
    {
        fine(name, &Command::new("sh").arg("-n").arg(source("config").join(name)).output().unwrap());
    }
}
