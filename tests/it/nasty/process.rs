//! What the process is given instead of a good standard input, output and error, and the signals that it gets.

use super::{COMPLETE, Case, case, check, home, server};
use crate::support::certs::{Authority, Kind};
use crate::support::run::Home;
use crate::support::script::Script;
use crate::support::skip;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

fn whole() -> String {
    format!("{COMPLETE}To: a@b.test\n\nhi\n")
}

fn start(name: &'static str, script: &str) -> Case {
    case(name).argv(&["-t", "-i"]).input(whole()).shell(script)
}

fn sent(name: &'static str, script: &str) -> Case {
    start(name, script).sends(&["a@b.test"], whole())
}

#[test]
fn descriptors() {
    check(vec![
        // The runtime puts /dev/null in the place of what is closed: it is an empty message, here without a recipient.
        start("standard input closed", "exec \"$@\" <&-").fails(64, "no recipient"),
        start("all three closed", "exec \"$@\" <&- >&- 2>&-").fails(64, ""),
        start("input closed, error full", "exec \"$@\" <&- 2>/dev/full").fails(64, ""),
        case("standard input closed, a recipient named")
            .argv(&["-F", "Shop", "-f", "shop@example.com", "a@b.test"])
            .shell("exec \"$@\" <&-")
            .sends(&["a@b.test"], "Date: +\nFrom: Shop <shop@example.com>\nMessage-ID: +\n\n"),
        start("standard input is /dev/null for both", "exec \"$@\" <>/dev/null").fails(64, "no recipient"),
        start("standard input a directory", "exec \"$@\" </").fails(74, "is a directory"),
        start("standard input for writing alone", "exec \"$@\" 0>/dev/null").fails(74, "not open for reading"),
        start("standard input is /dev/null", "exec \"$@\" </dev/null").fails(64, "no recipient"),
        sent("standard output closed", "exec \"$@\" >&-"),
        sent("standard error closed", "exec \"$@\" 2>&-"),
        sent("output and error closed", "exec \"$@\" >&- 2>&-"),
        sent("output and error full", "exec \"$@\" >/dev/full 2>/dev/full"),
        start("a failure with error closed", "exec \"$@\" -bz 2>&-").fails(64, ""),
        start("a failure with error full", "exec \"$@\" -bz 2>/dev/full").fails(64, ""),
        sent("-v with error full", "exec \"$@\" -v 2>/dev/full"),
        sent("many open descriptors", "exec 3<&0 4<&0 5<&0 6<&0 7<&0 8<&0 9<&0; exec \"$@\""),
        sent("few descriptors", "ulimit -n 8; exec \"$@\""),
        sent("SIGCHLD, SIGPIPE and SIGINT ignored", "trap '' CHLD PIPE INT; exec \"$@\""),
    ]);
}

#[test]
fn an_input_that_fails() {
    if skip::require("an_input_that_fails", "root") {
        // The first page of a process is in no memory: reading it is EIO.
        let script = "\"$@\" </proc/$PPID/mem; exit $?";
        check(vec![start("an input that fails", script).fails(74, "cannot read the message")]);
    }
}

#[test]
fn broken_pipes() {
    let server = server();
    let home = home(&server);
    for (argv, status) in [(vec!["-ti", "-v"], 0), (vec!["-bp"], 0), (vec!["--help"], 0), (vec!["-bz"], 64)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = command(&home)
            .args(&argv)
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(whole().as_bytes());
        assert_eq!(child.wait().unwrap().code(), Some(status), "{argv:?}");
    }
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn output_that_cannot_be_written() {
    let home = Home::new().config("");
    let all: [(&str, &[&str]); 12] = [
        ("sendmail", &["--help"]),
        ("sendmail", &["--version"]),
        ("sendmail", &["-bp"]),
        ("sendmail", &["-bP"]),
        ("msmtp", &["--help"]),
        ("msmtp", &["--version"]),
        ("mailq", &[]),
        ("postrider", &["--help"]),
        ("postrider", &["--version"]),
        ("postrider", &["queue", "list"]),
        ("postrider", &["explain", "--help"]),
        ("postrider", &["check", "--parse-only"]),
    ];
    for (name, argv) in all {
        let run = |out: &str| {
            let program = home.path("bin").join(name).display().to_string();
            let script = format!("exec \"$@\" {out}");
            let argv = ["-c", &script, "sh", &program].iter().chain(argv).copied().collect::<Vec<_>>();
            home.program("/bin/sh".as_ref(), &argv, "")
        };
        let full = run(">/dev/full").expect(74);
        let said = full.stderr.ends_with(": standard output: No space left on device (os error 28)\n");
        assert!(said && full.stderr.lines().count() == 1, "{name} {argv:?}: {full:?}");
        let closed = run(">&-");
        assert!(closed.status != 74 && closed.stderr.is_empty(), "{name} {argv:?}: {closed:?}");
    }
}

#[test]
fn no_thread_for_a_password_command() {
    let authority = Authority::new();
    let server = Script::new().starttls(&authority.issue(Kind::Valid)).auth("shop", "word", &["PLAIN"]).start();
    // A stack that no machine has.
    let home = Home::new().env("RUST_MIN_STACK", (1_u64 << 60).to_string());
    home.write("ca.pem", authority.pem());
    let port = server.port;
    let home = home.config(&format!(
        "[[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\nserver = \"smtp://127.0.0.1:{port}\"\n\
         ca_file = \"ca.pem\"\nuser = \"shop\"\npassword = {{ command = [\"echo\", \"word\"] }}\n"
    ));
    let run = home.run("postrider", &["sendmail", "-t", "-i"], whole()).expect(78);
    assert!(run.stderr.contains("password: ") && run.stderr.contains("cannot be started: "), "{}", run.stderr);
    assert!(!run.stderr.contains("panicked") && server.messages().is_empty(), "{}", run.stderr);
}

/// The program in that home, without the help of a shell.
fn command(home: &Home) -> Command {
    let mut command = Command::new(home.path("bin/sendmail"));
    command.env_clear().env("POSTRIDER_CONFIG", home.path("postrider.toml")).env("HOME", home.path(""));
    command
}

#[test]
fn signals_while_reading_send_nothing() {
    let server = server();
    let home = home(&server);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        for argv in [&["-t", "-i"][..], &["-bs"]] {
            let mut child = command(&home).args(argv).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            let start = match argv {
                ["-bs"] => "MAIL FROM:<shop@example.com>\nRCPT TO:<a@b.test>\nDATA\n".to_owned() + &whole(),
                _ => whole(),
            };
            input.write_all(start.as_bytes()).unwrap();
            // More than a pipe holds: when it is written, the program is reading.
            input.write_all(&b"text\n".repeat(60_000)).unwrap();
            kill_process(Pid::from_child(&child), signal).unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()), "{argv:?}");
            drop(input);
        }
    }
    assert!(server.connections().is_empty(), "nothing is said before the message is whole");
}

#[test]
fn a_producer_that_dies_with_its_reader_sends_nothing() {
    let server = server();
    let script = "cd \"$HOME\"; (printf 'To: a@b.test\\n\\nhalf'; kill -TERM 0; sleep 10) | \"$@\"";
    let home = home(&server);
    let sendmail = home.path("bin/sendmail");
    let argv = ["-c", script, "sh", sendmail.to_str().unwrap(), "-t"];
    let finished = home.program(std::path::Path::new("/bin/sh"), &argv, "");
    assert_eq!(finished.status, 128 + 15);
    assert!(server.messages().is_empty());
}

#[test]
fn an_input_that_does_not_block_is_waited_for() {
    let server = server();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&reader).unwrap();
    rustix::fs::fcntl_setfl(&reader, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    let home = home(&server);
    let mut child = command(&home).args(["-t", "-i"]).stdin(reader).stderr(Stdio::piped()).spawn().unwrap();
    for piece in whole().as_bytes().chunks(20) {
        writer.write_all(piece).unwrap();
        std::thread::yield_now();
    }
    drop(writer);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
    assert_eq!(server.messages().len(), 1);
}

/// The message has gone when its line is logged: a log that may not grow must not turn that into a failure.
#[test]
fn a_log_that_may_not_grow() {
    let server = server();
    let log = Home::new();
    let config = format!(
        "[log]\nto = \"{}\"\n[default]\nserver = \"smtp+plain://{}\"\n",
        log.path("log").display(),
        server.address()
    );
    let home = Home::new().config(&config);
    let arguments = ["-c", "ulimit -f 0; exec sendmail -t -i"];
    let run = home.program(std::path::Path::new("/bin/sh"), &arguments, whole()).expect(0);
    assert_eq!((run.stderr.as_str(), server.messages().len()), ("", 1));
}

#[test]
fn a_full_disk() {
    let large = format!("{COMPLETE}To: a@b.test\n\n{}", "text\n".repeat(1 << 20));
    let case = |name, script: &str| case(name).argv(&["-t", "-i"]).input(&large).shell(script);
    check(vec![
        case("a file size limit", "ulimit -f 4000; exec \"$@\"").fails(74, "ulimit -f"),
        case("no temporary directory", "TMPDIR=/nonexistent exec \"$@\"")
            .fails(74, "temporary directory: /nonexistent: "),
    ]);
    if !skip::require("a_full_disk", "root") || !skip::require("a_full_disk", "unshare") {
        return;
    }
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED a_full_disk: no mount namespaces here");
        return;
    }
    // In a mount namespace of its own, so that the file system is gone with the process.
    let mounted = "mount -t tmpfs -o size=2m tiny tiny && TMPDIR=$HOME/tiny exec \"$@\"";
    let script = format!("mkdir tiny && unshare -m sh -c '{mounted}' sh \"$@\"; status=$?; rmdir tiny; exit $status");
    check(vec![case("a full disk", &script).fails(74, "temporary directory")]);
}
