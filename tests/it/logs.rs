//! Logs that cannot be written, that nobody reads, that are too long or rotated: none of that ends the program, holds an
//! answer up, sends a message twice or leaves its line out.

use crate::daemon::{self, Daemon, MESSAGE};
use crate::support::namespace::Namespace;
use crate::support::run::Home;
use crate::support::server::Server;
use postrider::daemon::protocol::Request;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What no run may take that waits for nothing but a log, on a machine that is busy.
const SOON: Duration = Duration::from_secs(10);

fn home(server: &Server, log: &str) -> Home {
    let home = Home::new();
    let (queue, port) = (home.path("queue"), server.port);
    home.config(&format!(
        "log = {{ to = \"{log}\" }}\n[queue]\ndirectory = \"{}\"\n[default]\nserver = \"smtp+plain://127.0.0.1:{port}\"\n",
        queue.display()
    ))
}

/// A pipe that is full, for standard error, and its other end.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    // Filled through a description of its own: the one that is passed on stays as it is.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    let filling = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap();
    while rustix::io::write(&filling, &[b'.'; 4096]).is_ok() {}
    while rustix::io::write(&filling, b".").is_ok() {}
    (reader, writer)
}

/// Delivers by itself.
fn direct(home: &Home, arguments: &[&str], stderr: impl Into<Stdio>) -> i32 {
    sendmail(home, arguments, stderr, &home.surroundings())
}

/// Hands over to the daemon of `serve`.
fn submit(home: &Home) -> i32 {
    let environment = [("PATH".into(), "/usr/bin:/bin".into()), ("POSTRIDER_SOCKET".into(), home.path("s").into())];
    sendmail(home, &["-t"], Stdio::null(), &environment)
}

fn sendmail(home: &Home, arguments: &[&str], stderr: impl Into<Stdio>, environment: &[(OsString, OsString)]) -> i32 {
    let mut child = Command::new(home.path("bin/sendmail"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(MESSAGE.as_bytes()).unwrap();
    let end = Instant::now() + SOON;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A daemon with this standard error.
fn serve(home: &Home, stderr: impl Into<Stdio>) -> Child {
    let child = Command::new(home.path("bin/postrider"))
        .args(["serve", "--socket"])
        .arg(home.path("s"))
        .env_clear()
        .envs(home.surroundings())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    daemon::until("it listens", || std::os::unix::net::UnixStream::connect(home.path("s")).is_ok());
    child
}

#[test]
fn a_standard_error_that_cannot_be_written_is_no_failure() {
    let server = daemon::taking();
    let home = home(&server, "stderr");
    for arguments in [&["-t"][..], &["-t", "-v"], &["-t", "-odq"]] {
        let before = server.messages().len();
        assert_eq!(direct(&home, arguments, File::options().write(true).open("/dev/full").unwrap()), 0);
        assert_eq!(server.messages().len(), before + 1, "once");
        let (_reader, writer) = full_pipe();
        assert_eq!(direct(&home, arguments, writer), 0);
        assert_eq!(server.messages().len(), before + 2, "once");
    }
    // A refusal that nobody reads is one all the same.
    let (_reader, writer) = full_pipe();
    assert_eq!(direct(&home, &["-t", "--nonsense"], writer), 64);

    let mut daemon = serve(&home, File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(submit(&home), 0);
    daemon::until("it is sent", || server.messages().len() == 7);
    assert_eq!(daemon.try_wait().unwrap(), None, "it lives");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn a_daemon_whose_standard_error_nobody_reads_answers_and_loses_no_line() {
    let server = daemon::taking();
    let home = home(&server, "stderr");
    let (mut reader, writer) = full_pipe();
    let mut daemon = serve(&home, writer);
    for _ in 0..20 {
        assert_eq!(submit(&home), 0);
    }
    daemon::until("all are sent", || server.messages().len() == 20);
    let place = home.path("s");
    let home = home.env("POSTRIDER_SOCKET", place);
    home.run("postrider", &["reload"], "").expect(0);
    home.run("postrider", &["status"], "").expect(0);
    // Somebody reads again: all the lines come.
    let text = Arc::new(Mutex::new(String::new()));
    let seen = text.clone();
    std::thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut some) {
            let some = String::from_utf8_lossy(&some[..count]);
            seen.lock().unwrap().push_str(some.trim_start_matches('.'));
        }
    });
    let lines = |what: &str| text.lock().unwrap().matches(what).count();
    daemon::until("the lines come", || lines(" queued") >= 20 && lines(" sent") >= 20);
    rustix::process::kill_process(rustix::process::Pid::from_child(&daemon), rustix::process::Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    daemon::until("the last line comes", || lines(" ended") == 1);
    assert_eq!(lines(" lost"), 0);
}

#[test]
fn a_syslog_that_nobody_reads_holds_nothing_up() {
    let test = "a_syslog_that_nobody_reads_holds_nothing_up";
    let server = daemon::taking();
    let home = home(&server, "syslog");
    let Some(namespace) = Namespace::new(test, &home) else { return };
    let story = "printf 'Subject: x\\n\\nhi\\n' > /run/mail
        send() { timeout 10 sendmail -f a@example.com b@example.org < /run/mail; }
        for n in $(seq 30); do send || exit 1; done
        export POSTRIDER_SOCKET=/run/s
        (exec -a postrider /usr/sbin/sendmail serve) &
        for n in $(seq 100); do [ -S /run/s ] && break; sleep 0.1; done
        for n in $(seq 120); do send || exit 2; done
        kill %1; wait %1";
    namespace.run(&["bash", "-c", story], "").expect(0);
    daemon::until("all are sent", || server.messages().len() == 150);
}

#[test]
fn a_line_that_is_too_long_for_syslog_is_shortened() {
    let test = "a_line_that_is_too_long_for_syslog_is_shortened";
    let server = daemon::taking();
    let home = home(&server, "syslog");
    let Some(namespace) = Namespace::new(test, &home) else { return };
    let many: Vec<String> = (0..20_000).map(|number| format!("r{number}@example.org")).collect();
    let mail = format!("Subject: many\nBcc: {}\n\nhi\n", many.join(",\n "));
    let tag = "x".repeat(100_000);
    namespace.run(&["sendmail", "-i", "-t", "-L", &tag, "-f", "many@example.com"], &mail).expect(0);
    let line = namespace.logged("many@example.com", SOON);
    assert!(line.len() <= 8100, "{}", line.len());
    for part in
        ["to=\"r0@example.org,", "octets left out", "r19999@example.org\"", "uid=0", "tag=\"xxx", "exit=0", "sent"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn a_reload_opens_every_log_file_again_and_takes_the_log_up() {
    let server = daemon::taking();
    let daemon = Daemon::start_with(&server, |place| format!("log_file = \"{place}/own\"\ndebug = true\n"));
    let text = |name: &str| std::fs::read_to_string(daemon.path(name)).unwrap_or_default();
    let send = |count| {
        daemon.home().run("sendmail", &["-t"], MESSAGE).expect(0);
        daemon::until("it is sent", || server.messages().len() == count);
    };
    send(1);
    daemon::until("both have it", || text("log").contains("sent") && text("own").contains("sent: "));
    for name in ["log", "own"] {
        std::fs::rename(daemon.path(name), daemon.path(&format!("{name}.1"))).unwrap();
    }
    daemon.ask(&Request::Reload);
    send(2);
    daemon::until("the new ones have it", || text("log").contains("sent") && text("own").contains("sent: "));
    let toml = text("postrider.toml");
    let other = toml.replace("/log\" }", "/other\", format = \"json\" }");
    assert_ne!(toml, other);
    std::fs::write(daemon.path("postrider.toml"), other).unwrap();
    daemon.ask(&Request::Reload);
    send(3);
    daemon::until("the other has it", || text("other").contains("\"message\":\"sent\""));
    let size = |name: &str| std::fs::metadata(daemon.path(name)).unwrap().len();
    let before = size("log");
    // Even a faulty configuration does not keep files from being rotated.
    std::fs::write(daemon.path("postrider.toml"), "nonsense").unwrap();
    std::fs::rename(daemon.path("other"), daemon.path("other.1")).unwrap();
    daemon.ask(&Request::Reload);
    send(4);
    daemon::until("the new one has it", || text("other").contains("\"message\":\"sent\""));
    assert_eq!(size("log"), before, "nothing goes there any more");
    assert!(Path::new(&daemon.path("own")).exists());
}
