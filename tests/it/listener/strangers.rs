//! Who does not speak SMTP, or not when it is its turn: closed at once, nothing queued.

use super::{TEXT, Talk, certificate, listen, listening, ports};
use crate::daemon::{Daemon, taking, until};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// What a browser can be made to send: a request whose body is a dialogue.
fn request(method: &str) -> String {
    let mail = format!(
        "EHLO x\r\nMAIL FROM:<shop@example.com>\r\nRCPT TO:<you@example.org>\r\nDATA\r\n{TEXT}\r\n.\r\nQUIT\r\n"
    );
    format!(
        "{method} / HTTP/1.1\r\nHost: mail.example.com\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{mail}",
        mail.len()
    )
}

fn connect(to: impl ToSocketAddrs) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// All that the server says after this was sent, to its end.
fn told(stream: &mut (impl Read + Write), text: &str) -> String {
    let _ = stream.write_all(text.as_bytes());
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8(all).unwrap()
}

#[test]
fn http_is_closed_at_once_before_and_after_the_greeting() {
    let server = taking();
    let (daemon, port) = listening(&server, "");
    for method in ["POST", "GET", "CONNECT", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "MAIL", "NOOP", "post"] {
        // Greeted, as who waits, and at once, as browsers do.
        let mut greeted = Talk::to(port);
        greeted.send(request(method));
        let said = greeted.reply();
        assert!(said.starts_with("554 5.5.2 "), "{method}: {said}");
        assert_eq!(greeted.reply(), "", "{method}: closed");
        let said = told(&mut connect(("127.0.0.1", port)), &request(method));
        assert!(said.contains("554 5.5.") && !said.contains("250"), "{method}: {said}");
    }
    // A first line that is longer than any command is none.
    let mut greeted = Talk::to(port);
    greeted.send(request(&format!("POST /{}", "x".repeat(9000))));
    assert!(greeted.reply().starts_with("554 5.5.2 "));
    // After a hello it is no better.
    let mut talk = Talk::hello(port);
    talk.expect("POST / HTTP/1.1", "554 5.5.2");
    assert_eq!(talk.reply(), "");
    assert_eq!(daemon.queued(), 0);
    assert!(server.messages().is_empty());
    until("it is logged", || daemon.log().contains("turned away client=127.0.0.1 reason=\"it does not speak SMTP\""));
}

#[test]
fn within_tls_too() {
    let server = taking();
    let directory = tempfile::tempdir().unwrap();
    let (_, tls) = certificate(directory.path());
    let keys =
        format!("{}{}", listen(&format!("tls = \"implicit\"\n{tls}")), listen(&format!("tls = \"starttls\"\n{tls}")));
    let daemon = Daemon::start(&server, &keys);
    let [implicit, starttls] = ports(&daemon, 2)[..] else { panic!("two") };
    let protect = |stream: TcpStream| {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        connector.build().connect("127.0.0.1", stream).unwrap()
    };
    for method in ["POST", "GET", "CONNECT"] {
        let said = told(&mut protect(connect(("127.0.0.1", implicit))), &request(method));
        assert!(said.contains("554 5.5.") && !said.contains("250"), "{method}: {said}");
        let mut talk = Talk::hello(starttls);
        talk.expect("STARTTLS", "220");
        let said = told(&mut protect(talk.stream.into_inner()), &request(method));
        assert!(said.contains("554 5.5.2 ") && !said.contains("250"), "{method}: {said}");
    }
    // HTTP in clear to a port that wants a handshake.
    let said = told(&mut connect(("127.0.0.1", implicit)), &request("POST"));
    assert!(!said.contains("250"), "{said}");
    assert_eq!(daemon.queued(), 0);
}

#[test]
fn who_speaks_before_its_turn_gets_nothing_in() {
    let server = taking();
    let (daemon, port) = listening(&server, "");
    let mail = |hello: &str| {
        format!("{hello}MAIL FROM:<shop@example.com>\r\nRCPT TO:<you@example.org>\r\nDATA\r\n{TEXT}\r\n.\r\nQUIT\r\n")
    };
    for hello in ["EHLO x\r\n", "HELO x\r\n", "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nEHLO x\r\n"] {
        let said = told(&mut connect(("127.0.0.1", port)), &mail(hello));
        assert!(said.contains("554 5.5.1 You spoke before your turn\r\n") && !said.contains("250"), "{said}");
        let mut talk = Talk::to(port);
        let said = told(talk.stream.get_mut(), &mail(hello));
        assert!(said.contains("554 5.5.1 ") && !said.contains("queued"), "{said}");
    }
    assert_eq!(daemon.queued(), 0);
    until("it is logged", || daemon.log().contains("turned away client=127.0.0.1 reason=\"it spoke before its turn\""));
    // A client that waits for the reply to its hello pipelines all the rest.
    let mut talk = Talk::hello(port);
    talk.send(mail(""));
    let replies: Vec<String> = (0..5).map(|_| talk.reply()).collect();
    assert!(replies[3].starts_with("250 2.0.0 Ok, queued"), "{replies:?}");
    until("it arrives", || server.messages().len() == 1);
}

/// Somebody of another machine is watched for a moment before the greeting, so that no race lets it through.
#[test]
fn a_stranger_who_speaks_first_is_found_out() {
    let server = taking();
    let Some(address) = own_address() else {
        return crate::support::skip::because(
            "listener::strangers::a_stranger_who_speaks_first",
            "no address but loopback",
        );
    };
    let daemon = Daemon::start(&server, &format!("[[listen]]\naddress = \"{address}:0\"\n"));
    let port = ports(&daemon, 1)[0];
    for _ in 0..20 {
        let said = told(&mut connect((address, port)), "EHLO x\r\n");
        assert_eq!(said, "554 5.5.1 You spoke before your turn\r\n");
    }
    let mut talk = Talk::new(connect((address, port)));
    assert!(talk.reply().starts_with("220 "));
    talk.expect("EHLO x", "250-");
}

/// An address of this machine that others see.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: it is only asked which way it would take.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}
