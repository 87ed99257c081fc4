//! Many listeners, and clients that take all they can get: one pool, and a part of it for each.

use super::{TEXT, Talk, listen, ports};
use crate::daemon::{Daemon, taking, until};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

/// Listeners that are flooded.
const FLOODED: usize = 15;

fn client(from: [u8; 4], port: u16) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::from(from), 0))).unwrap();
    connect(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
    TcpStream::from(socket)
}

#[test]
fn four_clients_at_all_listeners_stay_within_the_units_limits_and_shut_none() {
    let server = taking();
    let daemon = Daemon::start(&server, &listen("").repeat(FLOODED + 1));
    let ports = ports(&daemon, FLOODED + 1);
    let (quiet, flooded) = ports.split_last().unwrap();
    let mut held = Vec::new();
    for port in flooded {
        for number in 0..120_u8 {
            let mut stream = client([127, 0, 3, number % 4 + 1], *port);
            let _ = stream.write_all(b"EHLO flood.example\r\n");
            held.push(stream);
            // Those that were turned away need no descriptor here.
            if held.len() > 600 {
                held.retain(|stream| !closed(stream));
            }
        }
    }
    until("those who were turned away are gone", || {
        held.retain(|stream| !closed(stream));
        held.len() <= 400
    });
    assert!(held.len() > 100, "{}", held.len());
    // Of those who come from there, and of others, the quiet listener still takes some, at once.
    for from in [[127, 0, 3, 1], [127, 0, 0, 1]] {
        let mut talk = Talk::new(client(from, *quiet));
        assert!(talk.reply().starts_with("220 "));
        talk.expect("EHLO good.example", "250-");
        assert!(talk.message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    }
    until("both arrive", || server.messages().len() == 2);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap().count();
    assert!(tasks < 600, "{tasks} threads");
    assert!(daemon.peak() < 128 << 10, "{} KiB", daemon.peak());
}

/// Whether the other side has ended it, with all that it said before taken away.
fn closed(stream: &TcpStream) -> bool {
    use std::io::Read;
    stream.set_nonblocking(true).unwrap();
    let mut octets = [0; 4096];
    loop {
        match (&*stream).read(&mut octets) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn recipients_have_a_bound_for_all_connections_of_a_client() {
    let server = taking();
    let daemon = Daemon::start(&server, &listen("max_recipients = 20000\nmax_commands = 100000"));
    let port = ports(&daemon, 1)[0];
    let long = format!("{}@{}.example.org", "l".repeat(60), ["d".repeat(60), "e".repeat(60)].join("."));
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<shop@example.com>", "250");
    let name = |number: usize| format!("RCPT TO:<{number}{long}> ORCPT=rfc822;{}\r\n", "o".repeat(400));
    let mut refused = false;
    for batch in 0..200 {
        talk.send((0..100).map(|number| name(batch * 100 + number)).collect::<String>());
        let replies: Vec<String> = (0..100).map(|_| talk.reply()).collect();
        refused = replies.iter().any(|reply| reply.starts_with("452 4.5.3 Too many recipients at once"));
        if refused {
            break;
        }
    }
    assert!(refused);
    // When it is over there is room again.
    talk.expect("RSET", "250");
    assert!(talk.message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    assert!(daemon.peak() < 128 << 10, "{} KiB", daemon.peak());
}
