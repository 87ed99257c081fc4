//! The scripted server and the runner themselves: a test tool that is wrong proves nothing.

use crate::support::certs::{Authority, Kind};
use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use openssl::ssl::{SslConnector, SslMethod, SslStream};
use openssl::x509::X509;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream
}

/// Writes, and gives what comes back until the server is silent or gone.
fn exchange(stream: &mut (impl Read + Write), text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    String::from_utf8_lossy(&back).into_owned()
}

fn tls(authority: &Authority, stream: TcpStream) -> Result<SslStream<TcpStream>, String> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.cert_store_mut().add_cert(X509::from_pem(&authority.pem()).unwrap()).unwrap();
    connector.build().connect("127.0.0.1", stream).map_err(|error| error.to_string())
}

#[test]
fn a_message_is_recorded_as_it_came() {
    let server = Script::new()
        .offer("PIPELINING")
        .reply("RCPT", "250 ok")
        .on_nth("RCPT", 2, Fault::Reply("550 no".into()))
        .start();
    let mut stream = connect(&server);
    exchange(&mut stream, "EHLO x\r\n");
    let back =
        exchange(&mut stream, "MAIL FROM:<a@b> SIZE=5\r\nRCPT TO:<c@d> NOTIFY=NEVER\r\nRCPT TO:<e@f>\r\nDATA\r\n");
    assert!(back.contains("354"), "{back}");
    exchange(&mut stream, "..x\r\n\ny\r\n.\r\nQUIT\r\n");
    let connections = server.connections();
    let connection = &connections[0];
    // The first rule that fits counts, so the second recipient is taken too.
    assert_eq!(connection.messages[0].recipients, ["c@d", "e@f"]);
    assert_eq!(connection.messages[0].text, b".x\r\n\ny\r\n");
    assert_eq!(connection.messages[0].parameters, "SIZE=5");
    assert_eq!((connection.flights, connection.quit, connection.ended), (3, true, true));
    assert_eq!(connection.verbs(), ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]);
}

#[test]
fn faults_come_where_they_were_set() {
    let server = Script::new()
        .on("EHLO", Fault::Bytewise(Duration::from_millis(1)))
        .on("NOOP", Fault::Inject(b"250 more\r\n".to_vec()))
        .on("RSET", Fault::Hang)
        .on_nth("CONNECT", 2, Fault::Reset)
        .on_nth("CONNECT", 3, Fault::Raw(b"\0\0".to_vec()))
        .start();
    let mut stream = connect(&server);
    assert_eq!(exchange(&mut stream, ""), "220 scripted.example.com ESMTP\r\n");
    assert_eq!(exchange(&mut stream, "EHLO x\r\n"), "250 scripted.example.com\r\n");
    assert_eq!(exchange(&mut stream, "NOOP\r\n"), "250 2.0.0 ok\r\n250 more\r\n");
    assert_eq!(exchange(&mut stream, "RSET\r\nNOOP\r\n"), "");
    let mut octet = [0];
    let reset = connect(&server).read(&mut octet).unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(exchange(&mut connect(&server), ""), "\0\0");
}

#[test]
fn tls_and_logins_by_all_ways() {
    let authority = Authority::new();
    let identity = authority.issue(Kind::Valid);
    let script = Script::new().auth("tim", "tanstaaf", &["PLAIN", "LOGIN", "XOAUTH2"]);
    let plain = openssl::base64::encode_block(b"\0tim\0tanstaaf");
    let bearer = openssl::base64::encode_block(b"user=tim\x01auth=Bearer tanstaaf\x01\x01");
    let ways = [
        format!("AUTH PLAIN {plain}\r\n"),
        "AUTH LOGIN\r\ndGlt\r\ndGFuc3RhYWY=\r\n".into(),
        format!("AUTH XOAUTH2 {bearer}\r\n"),
    ];
    for way in &ways {
        let server = script.clone().implicit_tls(&identity).start();
        let mut stream = tls(&authority, connect(&server)).unwrap();
        assert!(exchange(&mut stream, &format!("EHLO x\r\n{way}")).contains("235 "), "{way}");
        drop(stream);
        let connection = &server.connections()[0];
        assert_eq!((connection.account.as_deref(), connection.tls.as_deref()), (Some("tim"), Some("TLSv1.3")));
    }
    let server = script.starttls(&identity).start();
    let mut stream = connect(&server);
    let back = exchange(&mut stream, "EHLO x\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n");
    assert!(!back.contains("AUTH") && back.contains("530 ") && back.ends_with("220 2.0.0 go on\r\n"), "{back}");
    let mut stream = tls(&authority, stream).unwrap();
    assert!(exchange(&mut stream, "EHLO x\r\n").contains("AUTH PLAIN LOGIN XOAUTH2"));
}

#[test]
fn bad_certificates_are_bad() {
    let authority = Authority::new();
    for kind in
        [Kind::Expired, Kind::NotYetValid, Kind::WrongName, Kind::SelfSigned, Kind::ClientOnly, Kind::UnknownAuthority]
    {
        let server = Script::new().implicit_tls(&authority.issue(kind)).start();
        let error = tls(&authority, connect(&server)).err();
        assert!(error.is_some_and(|error| error.contains("certificate verify failed")), "{kind:?}");
    }
}

#[test]
fn lmtp_answers_once_a_recipient() {
    let server = Script::new().lmtp().on_nth("DOT", 2, Fault::Reply("550 5.2.2 full".into())).start();
    let mut stream = connect(&server);
    let back = exchange(
        &mut stream,
        "LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n",
    );
    assert!(back.contains("250 2.0.0 taken\r\n550 5.2.2 full\r\n221"), "{back}");
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn runs_have_an_environment_of_their_own() {
    let home = Home::new().config("# empty\n").env("WORD", "here");
    let script = "cat; echo $WORD $(command -v sendmail) >&2; test -r $POSTRIDER_CONFIG && exit 3";
    let finished = home.program(Path::new("/bin/sh"), &["-c", script], "in").expect(3);
    assert_eq!(finished.stdout, "in");
    assert_eq!(finished.stderr, format!("here {}\n", home.path("bin/sendmail").display()));
    let finished = home.program(Path::new("/usr/bin/env"), &[] as &[&str], "");
    assert_eq!(finished.stdout.lines().count(), 5, "{}", finished.stdout);
}
