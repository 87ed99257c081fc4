//! Never an open relay: who is neither of this machine, nor of a listed network, nor logged in, sends nothing.

use super::{TEXT, Talk, certificate, listening, ports, users};
use crate::daemon::{Daemon, taking, until};
use crate::support::skip;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

/// An address of this machine that is not loopback: connections to it come from it.
fn outside(test: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let address = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()).map(|address| address.ip());
    let address = address.ok().filter(|address| !address.is_loopback() && !address.is_unspecified());
    if address.is_none() {
        skip::because(test, "this machine has only loopback");
    }
    address
}

fn from_outside(address: IpAddr, port: u16) -> Talk<TcpStream> {
    let mut talk = Talk::new(TcpStream::connect(SocketAddr::new(address, port)).unwrap());
    assert!(talk.reply().starts_with("220 "));
    talk.expect("EHLO outside.example", "250");
    talk
}

#[test]
fn strangers_send_nothing() {
    let Some(address) = outside("listener::relay::strangers_send_nothing") else { return };
    let server = taking();
    let any = "[[listen]]\naddress = \"0.0.0.0:0\"\n";
    let daemon = Daemon::start(&server, &format!("{any}{any}networks = [\"{address}\"]\n"));
    let ports = ports(&daemon, 2);
    let mut stranger = from_outside(address, ports[0]);
    for attempt in
        ["<shop@example.com>", "<>", "<spammer@example.org>", "<shop@[127.0.0.1]>", "<@example.com:shop@example.com>"]
    {
        stranger.expect(&format!("MAIL FROM:{attempt}"), "550 5.7.1");
        stranger.expect("RCPT TO:<victim@example.org>", "503");
    }
    let mut own = from_outside(address, ports[1]);
    assert!(own.message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    let mut local = Talk::hello(ports[0]);
    assert!(local.message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    until("both arrive", || server.messages().len() == 2);
}

#[test]
fn a_login_is_asked_for_where_it_helps() {
    let Some(address) = outside("listener::relay::a_login_is_asked_for_where_it_helps") else { return };
    let server = taking();
    let directory = tempfile::tempdir().unwrap();
    let (_, tls) = certificate(directory.path());
    let any = "[[listen]]\naddress = \"0.0.0.0:0\"\ntls = \"starttls\"\nauth = \"optional\"\n";
    let daemon = Daemon::start(&server, &format!("{any}{tls}{}", users()));
    let port = ports(&daemon, 1)[0];
    let mut stranger = from_outside(address, port);
    stranger.expect("MAIL FROM:<shop@example.com>", "530 5.7.0");
    stranger.expect("AUTH PLAIN AGFwcAB0YW5zdGFhZg==", "538 5.7.11");
    assert!(Talk::hello(port).message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
}

#[test]
fn a_sender_with_users_is_for_them_alone() {
    let server = taking();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("smtp.sock");
    let me = rustix::process::getuid().as_raw();
    let keys = format!("users = [\"{me}\"]\n[[listen]]\naddress = [\"127.0.0.1:0\", \"unix:{}\"]\n", path.display());
    let daemon = Daemon::start(&server, &keys);
    let port = ports(&daemon, 1)[0];
    // Over TCP nobody knows who it is; on a unix socket the kernel does.
    let said = Talk::hello(port).message("shop@example.com", "you@example.org", TEXT);
    assert!(said.starts_with("550 5.7.1 sender \"shop\" is not for 127.0.0.1"), "{said}");
    let mut talk = Talk::new(UnixStream::connect(&path).unwrap());
    assert!(talk.reply().starts_with("220 "));
    talk.expect("EHLO local", "250");
    let said = talk.message("shop@example.com", "you@example.org", TEXT);
    assert!(said.starts_with("250"), "{said}");
    // What no sender claims goes nowhere here: the default relay refuses.
    let said = talk.message("other@example.com", "you@example.org", TEXT.replace("shop@", "other@"));
    assert!(said.starts_with("550 5.7.1"), "{said}");
    until("one arrives", || server.messages().len() == 1);
    let text = String::from_utf8(server.messages()[0].text.clone()).unwrap();
    assert!(text.contains(&format!("(local, user {me})")), "{text}");
}

#[test]
fn incoming_takes_its_own_alone() {
    let server = taking();
    let (daemon, port) = listening(&server, "purpose = \"incoming\"\ndomains = [\"example.net\"]");
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<shop@example.com>", "250");
    for other in [
        "you@example.org",
        "you%example.org@example.com",
        "you@example.org@example.net.evil.example",
        "\"you@example.net\"@example.org",
        "@example.net:you@example.org",
        "you@sub.example.net",
        "you@[127.0.0.1]",
    ] {
        let said = talk.say(&format!("RCPT TO:<{other}>"));
        assert!(said.starts_with("550 5.7.1") || said.starts_with("501"), "{other}: {said}");
    }
    talk.expect("DATA", "554 5.5.1");
    assert_eq!(daemon.queued(), 0);
}
