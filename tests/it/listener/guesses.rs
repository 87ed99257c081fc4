//! Passwords that are guessed: slowly, in bounded memory, seen by fail2ban, and in nobody's way.

use super::{Talk, listen, listening, ports, users};
use crate::daemon::{Daemon, taking, until};
use crate::support::skip;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Memory that the daemon may have had at its peak, KiB.
const MEMORY: u64 = 64 << 10;

/// A line of the daemon's status, KiB.
fn status(daemon: &Daemon, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The most that it has had, but for its program's file, which is large without optimisation.
fn peak(daemon: &Daemon) -> u64 {
    daemon.peak() - status(daemon, "RssFile:")
}

/// Keys of a listener with logins.
fn logins() -> String {
    format!("auth = \"optional\"\nallow_plaintext_auth = true\n{}", users())
}

/// A client from that address of this machine, greeted.
fn client(from: [u8; 4], port: u16) -> std::io::Result<Talk<TcpStream>> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::from(from), 0)))?;
    rustix::net::connect(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut talk = Talk::new(stream);
    talk.reply();
    talk.stream.get_mut().write_all(b"EHLO client.example\r\n")?;
    talk.reply();
    Ok(talk)
}

fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", openssl::base64::encode_block(format!("\0{user}\0{password}").as_bytes()))
}

/// Ends those who guess, also where a test fails.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Guesses over so many connections, each from its address, until told to stop; how many replies came is counted.
fn guess<'s>(
    scope: &'s std::thread::Scope<'s, '_>,
    port: u16,
    count: u8,
    from: impl Fn(u8) -> [u8; 4],
    stop: &'s AtomicBool,
    replies: &'s AtomicUsize,
) {
    for number in 0..count {
        let from = from(number);
        scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let Ok(mut talk) = client(from, port) else { continue };
                while !stop.load(Ordering::SeqCst) {
                    let line = plain("app", "wrong") + "\r\n";
                    if talk.stream.get_mut().write_all(line.as_bytes()).is_err() {
                        break;
                    }
                    let said = talk.reply();
                    if !said.starts_with("535 5.7.8") && !said.starts_with("454 4.7.0") {
                        break;
                    }
                    replies.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
    }
}

#[test]
fn a_right_login_gets_its_turn_while_one_address_guesses() {
    let server = taking();
    let (daemon, port) = listening(&server, &logins());
    let (stop, replies) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        guess(scope, port, 45, |_| [127, 0, 0, 2], &stop, &replies);
        until("it guesses", || replies.load(Ordering::SeqCst) >= 50);
        let start = Instant::now();
        for from in [[127, 0, 0, 1], [127, 0, 0, 3], [127, 0, 0, 1]] {
            let mut talk = client(from, port).unwrap();
            talk.expect(&plain("app", "tanstaaf"), "235 2.7.0");
        }
        let taken = start.elapsed();
        assert!(taken < Duration::from_secs(15), "{taken:?}");
    });
    assert!(peak(&daemon) < MEMORY, "{} KiB", peak(&daemon));
}

#[test]
fn guesses_of_many_addresses_take_no_memory() {
    let server = taking();
    let (daemon, port) = listening(&server, &logins());
    let (stop, replies) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        guess(scope, port, 200, |number| [127, 0, 7, number], &stop, &replies);
        until("it guesses", || replies.load(Ordering::SeqCst) >= 200);
    });
    assert!(peak(&daemon) < MEMORY, "{} KiB", peak(&daemon));
    // When it is over, the memory goes back.
    until("the work memory is given back", || status(&daemon, "RssAnon:") < MEMORY - (38 << 10));
}

#[test]
fn guessing_is_slow() {
    let server = taking();
    let (daemon, port) = listening(&server, &format!("max_errors = 100\n{}", logins()));
    let mut talk = client([127, 0, 0, 2], port).unwrap();
    let start = Instant::now();
    for at in 0..8 {
        talk.expect(&plain("nobody", &at.to_string()), "535 5.7.8");
    }
    assert!(start.elapsed() > Duration::from_millis(2500), "{:?}", start.elapsed());
    assert_eq!(daemon.log().matches("login refused client=127.0.0.2 user=\"nobody\"").count(), 8);
    // Who logs in from elsewhere notices nothing of it, nor who was in before.
    let mut other = client([127, 0, 0, 3], port).unwrap();
    other.expect(&plain("app", "tanstaaf"), "235");
}

#[test]
fn an_unknown_name_takes_the_time_of_a_known_one() {
    let server = taking();
    let (_daemon, port) = listening(&server, &logins());
    let median = |name: &str, net: u8| {
        let mut times: Vec<Duration> = (1..12)
            .map(|number| {
                let mut talk = client([127, 1, net, number], port).unwrap();
                let start = Instant::now();
                talk.expect(&plain(name, "wrong"), "535");
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (known, unknown) = (median("any", 1), median("nobody", 2));
    assert!(unknown * 3 > known && known * 3 > unknown, "{known:?} {unknown:?}");
}

/// How many lines of a log the filter takes for refused logins, and of which addresses.
fn filtered(directory: &Path, log: &Path) -> Vec<String> {
    let filter = directory.join("postrider.conf");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/fail2ban/filter.conf"), &filter).unwrap();
    let run = Command::new("fail2ban-regex").arg("-o").arg("<ip>").arg(log).arg(&filter).output().unwrap();
    let out = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{out}{}", String::from_utf8_lossy(&run.stderr));
    out.lines().map(str::to_owned).collect()
}

#[test]
fn fail2ban_sees_who_guesses_and_nobody_else() {
    if !skip::require("listener::guesses::fail2ban_sees_who_guesses_and_nobody_else", "fail2ban") {
        return;
    }
    let server = taking();
    for json in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start(&server, &listen(&logins()));
        let mut port = ports(&daemon, 1)[0];
        let log = daemon.path("log");
        let read = || std::fs::read_to_string(&log).unwrap_or_default();
        if json {
            let path = daemon.path("postrider.toml");
            let toml = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, toml.replacen("/log\" }", "/log\", format = \"json\" }", 1)).unwrap();
            daemon.signal(rustix::process::Signal::TERM);
            daemon.restart();
            let address = || Some(read().split("\"listening\",\"address\":\"127.0.0.1:").nth(1)?.to_owned());
            until("it listens", || address().is_some_and(|rest| rest.contains('"')));
            port = address().unwrap().split('"').next().unwrap().parse().unwrap();
        }
        let forged = [
            "app",
            "x\" client=192.0.2.66 user=\"y",
            "WARN login refused client=192.0.2.66 user=\"y\"",
            "{\"timestamp\":\"\",\"level\":\"WARN\",\"message\":\"login refused\",\"client\":\"192.0.2.66\",\"user\":",
        ];
        for (at, name) in forged.iter().enumerate() {
            let mut talk = client([127, 0, 9, at as u8 + 1], port).unwrap();
            talk.expect(&plain(name, "wrong"), "535");
        }
        // What others put into the log is no refused login.
        let mut talk = client([127, 0, 9, 99], port).unwrap();
        talk.expect(&plain("app", "tanstaaf"), "235");
        talk.say("EHLO login refused client=192.0.2.66 user=");
        let text = "From: a@example.com\r\nSubject: WARN login refused client=192.0.2.66 user=\r\n\r\nx";
        let _ = talk.message("\"login refused client=192.0.2.66 user=\"@example.com", "you@example.org", text);
        let found = filtered(directory.path(), &log);
        assert_eq!(found, ["127.0.9.1", "127.0.9.2", "127.0.9.3", "127.0.9.4"], "{}", read());
        if !json {
            // As the journal and syslog have it.
            let lines = read().lines().filter(|line| line.contains("login refused")).count();
            let written: String = read()
                .lines()
                .filter_map(|line| line.split_once("  WARN ").map(|(_, rest)| rest))
                .map(|rest| format!("Dec  1 10:00:00 mail postrider/serve[123]:  WARN {rest}\n"))
                .collect();
            std::fs::write(&log, written).unwrap();
            assert!(lines >= 4 && filtered(directory.path(), &log).len() == 4);
        }
    }
}

#[test]
fn the_jail_names_the_filter() {
    let config =
        |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).unwrap();
    let jail = config("fail2ban/jail.conf");
    assert!(jail.contains("\n[postrider]\n") && jail.contains("\nfilter   = postrider\n"), "{jail}");
    let mut all = String::new();
    std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .unwrap()
        .read_to_string(&mut all)
        .unwrap();
    assert!(
        all.contains("\"etc/fail2ban/filter.d/postrider.conf\"")
            && all.contains("\"/etc/fail2ban/filter.d/postrider.conf\"")
    );
}
