//! The server's name: unknown is 68, a lookup that fails for now is temporary, a silent resolver ends with the limit.
//!
//! Each run has a resolv.conf of its own (in a mount namespace) that points to a resolver of the test.

use super::runner::{Mode, Scenario, bounded};
use crate::support::run::{Finished, Home};
use crate::support::skip;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// What the resolver answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Silence,
    /// No answers, with this response code (RFC 1035 section 4.1.1).
    Code(u8),
    /// 127.0.0.1 to A, nothing to AAAA.
    Address,
    Garbage,
}

/// Answers on port 53 of a loopback address; false where the port cannot be had.
fn resolver(address: Ipv4Addr, answer: Answer) -> bool {
    let Ok(socket) = UdpSocket::bind((address, 53)) else { return false };
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((count, peer)) = socket.recv_from(&mut query) {
            if let Some(reply) = reply(&query[..count], answer) {
                let _ = socket.send_to(&reply, peer);
            }
        }
    });
    true
}

fn reply(query: &[u8], answer: Answer) -> Option<Vec<u8>> {
    // The question's name ends with a zero octet; type and class follow.
    let end = 12 + query.get(12..)?.iter().position(|octet| *octet == 0)? + 5;
    let mut reply = query.get(..end)?.to_vec();
    let is_a = reply[end - 3] == 1;
    let (code, answers) = match answer {
        Answer::Silence => return None,
        Answer::Garbage => return Some(b"no DNS at all".to_vec()),
        Answer::Code(code) => (code, 0),
        Answer::Address => (0, u8::from(is_a)),
    };
    (reply[2], reply[3]) = (0x81, 0x80 | code);
    reply[4..12].copy_from_slice(&[0, 1, 0, answers, 0, 0, 0, 0]);
    if answers == 1 {
        reply.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(reply)
}

/// Whether a run can have a resolv.conf of its own.
fn isolated(test: &str) -> bool {
    let can = || Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|output| output.status.success());
    let there = skip::require(test, "root") && skip::require(test, "unshare");
    if there && !can() {
        skip::because(test, "mount namespaces are not allowed here");
    }
    there && can()
}

/// A run of sendmail that sees this resolver and no hosts file.
fn with_resolver(home: &Home, address: Ipv4Addr) -> Finished {
    home.write("resolv.conf", format!("nameserver {address}\noptions timeout:1 attempts:1\n"));
    home.write("nsswitch.conf", "hosts: dns\n");
    let path = |name: &str| home.path(name).display().to_string();
    let line = format!(
        "mount --bind {} /etc/resolv.conf && mount --bind {} /etc/nsswitch.conf && exec sendmail -i -f shop@example.com -- ann@example.org",
        path("resolv.conf"),
        path("nsswitch.conf")
    );
    let input = "From: shop@example.com\n\nhello\n";
    home.program(std::path::Path::new("/usr/bin/unshare"), &["-m", "/bin/sh", "-c", &line], input)
}

#[test]
fn names_and_resolvers() {
    if !isolated("names_and_resolvers") {
        return;
    }
    let cases = [
        (Answer::Code(3), 68, "does not exist"),
        (Answer::Code(0), 68, "has no address"),
        (Answer::Code(2), 75, "could not be looked up"),
        (Answer::Code(5), 75, "could not be looked up"),
        (Answer::Silence, 75, "took too long"),
        (Answer::Garbage, 75, "look"),
        (Answer::Address, 0, ""),
    ];
    for (number, (answer, status, said)) in (1..).zip(cases) {
        let address = Ipv4Addr::new(127, 0, 53, number);
        if !resolver(address, answer) {
            return skip::because("names_and_resolvers", "port 53 of loopback cannot be had");
        }
        let scenario = Scenario::new("", Mode::Plain);
        let server = scenario.script.clone().start();
        let limit = if answer == Answer::Silence { "500ms" } else { "20s" };
        let scenario = scenario.key(format!("server = \"smtp+plain://mx.example.com:{}\"", server.port));
        let ended = with_resolver(&scenario.home(&server, limit), address).expect(status);
        assert_eq!(server.messages().len(), usize::from(status == 0));
        let begin = format!("sendmail: server mx.example.com:{}, name lookup: ", server.port);
        assert!(status == 0 || ended.stderr.starts_with(&begin), "{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

/// No namespace is needed for a name that cannot be one (RFC 6761 section 6.4): unknown, or not now where there is no DNS.
#[test]
fn an_invalid_name() {
    let scenario = Scenario::new("", Mode::Plain).key("server = \"smtp+plain://mx.invalid:25\"");
    let server = scenario.script.clone().start();
    let home = scenario.home(&server, "5s").limit(Duration::from_secs(60));
    let ended = bounded(&home, &["ann@example.org"], "From: shop@example.com\n\nhello\n");
    assert!([68, 75].contains(&ended.status), "{} {}", ended.status, ended.stderr);
    assert!(ended.stderr.starts_with("sendmail: server mx.invalid:25, name lookup: "), "{}", ended.stderr);
}
