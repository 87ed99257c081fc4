//! Clients that mean harm, or fall over: the listener stays up, in bounds, and open to the good ones.

use super::{TEXT, Talk, listening};
use crate::daemon::{taking, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

/// Memory that the daemon may have had at its peak, KiB; the build has no optimisation.
const MEMORY: u64 = 128 << 10;

#[test]
fn half_commands_and_broken_connections() {
    let server = taking();
    let (daemon, port) = listening(&server, "");
    let message = format!("MAIL FROM:<shop@example.com>\r\nRCPT TO:<you@example.org>\r\nDATA\r\n{TEXT}\r\n.\r\n");
    let begin = "EHLO client.example\r\n";
    for cut in (0..message.len()).step_by(3) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _ = stream.write_all(format!("{begin}{}", &message[..cut]).as_bytes());
        let _ = stream.shutdown(Shutdown::Both);
    }
    assert!(Talk::hello(port).message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    until("the whole one arrives", || !server.messages().is_empty());
    assert_eq!((server.messages().len(), daemon.queued()), (1, 0), "what is cut off is not sent");
}

#[test]
fn long_lines_floods_and_nonsense_end_with_421() {
    let server = taking();
    let (daemon, port) = listening(&server, "max_errors = 5\nmax_commands = 50");
    let mut talk = Talk::hello(port);
    talk.send(format!("NOOP {}\r\n", "x".repeat(1 << 20)));
    assert!(talk.reply().starts_with("500 5.5.2 Line too long"));
    for at in 0.. {
        let said = talk.say("\0\u{1}WIBBLE");
        if said.starts_with("421 4.7.0 Too many errors") {
            break;
        }
        assert!(said.starts_with("500") && at < 10, "{said}");
    }
    assert_eq!(talk.reply(), "", "closed");
    let mut talk = Talk::hello(port);
    talk.send("NOOP\r\n".repeat(1000));
    let replies: Vec<String> = std::iter::from_fn(|| Some(talk.reply()).filter(|reply| !reply.is_empty())).collect();
    assert_eq!(replies.len(), 50, "{replies:?}");
    assert!(replies[49].starts_with("421 4.7.0 Too many commands"), "{}", replies[49]);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let _ = stream.write_all(&vec![b'x'; 8 << 20]);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(Talk::hello(port).message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    assert!(daemon.peak() < MEMORY, "{} KiB", daemon.peak());
}

#[test]
fn a_hundred_thousand_recipients() {
    let server = taking();
    let (daemon, port) = listening(&server, "max_recipients = 1000");
    let talk = Talk::hello(port);
    let mut out = talk.stream.get_ref().try_clone().unwrap();
    let feeder = std::thread::spawn(move || {
        let _ = out.write_all(b"MAIL FROM:<shop@example.com>\r\n");
        for number in 0..100_000 {
            if out.write_all(format!("RCPT TO:<r{number}@example.org>\r\n").as_bytes()).is_err() {
                return;
            }
        }
    });
    let mut talk = talk;
    let replies: Vec<String> = std::iter::from_fn(|| Some(talk.reply()).filter(|reply| !reply.is_empty())).collect();
    feeder.join().unwrap();
    let count = |begin: &str| replies.iter().filter(|reply| reply.starts_with(begin)).count();
    assert_eq!((count("250 2.1.5"), count("452 4.5.3"), count("421 4.7.0")), (1000, 998, 1), "{:?}", replies.last());
    assert!(daemon.peak() < MEMORY, "{} KiB", daemon.peak());
    // Those who send to a few more than are taken at once get the rest through afterwards.
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<shop@example.com>", "250");
    let taken =
        (0..1100).filter(|number| talk.say(&format!("RCPT TO:<r{number}@example.org>")).starts_with("250")).count();
    assert_eq!(taken, 1000);
    talk.expect("DATA", "354");
    talk.expect(&format!("{TEXT}\r\n."), "250");
}

#[test]
fn too_large_a_message() {
    let server = taking();
    let (daemon, port) = listening(&server, "max_size = \"1M\"");
    let mut talk = Talk::hello(port);
    let line = format!("{}\r\n", "x".repeat(98));
    let said = talk.message("shop@example.com", "you@example.org", format!("{TEXT}\r\n{}", line.repeat(300_000)));
    assert!(said.starts_with("552 5.3.4"), "{said}");
    assert!(talk.message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    assert!(daemon.peak() < MEMORY, "{} KiB", daemon.peak());
}

#[test]
fn who_is_too_slow_hears_421() {
    let server = taking();
    let limits = "timeouts = { ehlo = \"200ms\", command = \"300ms\", body = \"300ms\" }";
    let (daemon, port) = listening(&server, limits);
    let mut silent = Talk::to(port);
    assert!(silent.reply().starts_with("421 4.4.2"));
    // One octet now and then is no command.
    let mut trickling = Talk::hello(port);
    let mut stream = trickling.stream.get_ref().try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(trickling.reply().starts_with("421 4.4.2"));
    trickling.stream.get_ref().shutdown(Shutdown::Both).unwrap();
    trickle.join().unwrap();
    let mut stuck = Talk::hello(port);
    stuck.expect("MAIL FROM:<shop@example.com>", "250");
    stuck.expect("RCPT TO:<you@example.org>", "250");
    stuck.expect("DATA", "354");
    stuck.send("Subject: never\r\n");
    assert!(stuck.reply().starts_with("421 4.4.2"));
    assert_eq!(daemon.queued(), 0);
}

#[test]
fn a_client_has_its_share_and_no_more() {
    let server = taking();
    let (_daemon, port) = listening(&server, "max_connections = 4\nmax_per_client = 2");
    let (_one, _two) = (Talk::hello(port), Talk::hello(port));
    let mut third = Talk::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let said = third.reply();
    assert!(said.starts_with("421 4.7.0 ") && said.contains("Too many connections from your address"), "{said}");
    assert_eq!(third.reply(), "");
}

/// Connections of 1,000 clients with addresses of their own, which say nothing, or half of something.
fn slow(port: u16, count: u32) -> Vec<TcpStream> {
    let one = |number: u32| {
        let from = Ipv4Addr::from(0x7f01_0001 + number % 250);
        let socket =
            rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &std::net::SocketAddr::from((from, 0))).unwrap();
        rustix::net::connect(&socket, &std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
        let mut stream = TcpStream::from(socket);
        let begin = ["", "EH", "EHLO slow.example\r\nMAIL FR"][number as usize % 3];
        let _ = stream.write_all(begin.as_bytes());
        stream
    };
    (0..count).map(one).collect()
}

#[test]
fn a_thousand_slow_clients_leave_a_good_one_through() {
    let wanted = Rlimit { current: Some(4096), maximum: getrlimit(Resource::Nofile).maximum };
    let enough = getrlimit(Resource::Nofile).current.is_none_or(|now| now >= 4096)
        || setrlimit(Resource::Nofile, wanted).is_ok();
    if !enough {
        return crate::support::skip::because("listener::hostile::a_thousand_slow_clients", "too few descriptors");
    }
    let server = taking();
    let (daemon, port) = listening(&server, "");
    let held = slow(port, 1000);
    // Every seat is taken, and for a moment by somebody who has only just come.
    let mut talk = None;
    until("a good one gets through", || {
        let mut one = Talk::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
        let in_time = one.reply().starts_with("220 ");
        talk = in_time.then_some(one);
        in_time
    });
    let mut talk = talk.unwrap();
    talk.expect("EHLO good.example", "250");
    assert!(talk.message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    until("it arrives", || server.messages().len() == 1);
    assert!(daemon.peak() < MEMORY, "{} KiB", daemon.peak());
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap().count();
    assert!(threads < 300, "{threads} threads");
    drop(held);
}
