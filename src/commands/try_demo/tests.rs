//! The trial's server against a client of another make, and its judgement.

#![expect(clippy::disallowed_methods, reason = "the test connects to the trial's server")]

use super::*;
use crate::secret::Secret;
use crate::sys::spawn::Ended;
use openssl::ssl::{SslConnector, SslMethod, SslStream};
use openssl::x509::X509;
use server::Account;
use std::io::{Read, Write};
use std::net::TcpStream;

fn trial() -> (Server, SslConnector) {
    let certificate = certificate::make().unwrap();
    let account = Account { user: "tim".into(), password: Secret::new("tanstaaf".into()) };
    let server = Server::start(&certificate, vec![account]).unwrap();
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.cert_store_mut().add_cert(X509::from_pem(&certificate.authority).unwrap()).unwrap();
    (server, connector.build())
}

/// Reads up to the end of a reply of that code.
fn expect(stream: &mut impl Read, code: &str) {
    let mut text = Vec::new();
    loop {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        text.push(octet[0]);
        let line = String::from_utf8_lossy(&text).lines().last().unwrap_or_default().to_owned();
        if text.ends_with(b"\r\n") && line.get(3..4) == Some(" ") {
            assert!(line.starts_with(code), "{line}");
            return;
        }
    }
}

fn submit(stream: &mut SslStream<TcpStream>, login: &[u8]) {
    let login = openssl::base64::encode_block(login);
    write!(stream, "EHLO x\r\nAUTH PLAIN {login}\r\n").unwrap();
    expect(stream, "250");
}

#[test]
fn both_ports_take_a_message_and_record_it() {
    let (server, connector) = trial();
    for implicit in [false, true] {
        let port = if implicit { server.tls_port } else { server.starttls_port };
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        if !implicit {
            expect(&mut stream, "220");
            stream.write_all(b"EHLO x\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n").unwrap();
            ["250", "530", "220"].iter().for_each(|code| expect(&mut stream, code));
        }
        let mut stream = connector.connect(if implicit { "127.0.0.1" } else { "localhost" }, stream).unwrap();
        if implicit {
            expect(&mut stream, "220");
        }
        submit(&mut stream, b"\0tim\0tanstaaf");
        expect(&mut stream, "235");
        stream.write_all(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<refused@d>\r\nDATA\r\n").unwrap();
        ["250", "250", "550", "354"].iter().for_each(|code| expect(&mut stream, code));
        stream.write_all(b"hi\r\n.\r\nQUIT\r\n").unwrap();
        ["250", "221"].iter().for_each(|code| expect(&mut stream, code));
        let seen = server.take();
        assert_eq!((seen.len(), seen[0].implicit, seen[0].account.as_deref()), (1, implicit, Some("tim")));
        assert_eq!((seen[0].taken.join(","), seen[0].refused.join(",")), ("c@d".into(), "refused@d".into()));
        assert_eq!(seen[0].message.as_deref(), Some(&b"hi\r\n"[..]));
        assert!(seen[0].tls.starts_with("TLSv1.") && seen[0].replies.len() == 2, "{seen:?}");
    }
}

#[test]
fn a_wrong_password_is_refused_and_recorded() {
    let (server, connector) = trial();
    let stream = TcpStream::connect(("127.0.0.1", server.tls_port)).unwrap();
    let mut stream = connector.connect("localhost", stream).unwrap();
    expect(&mut stream, "220");
    submit(&mut stream, b"\0tim\0wrong");
    expect(&mut stream, "535");
    assert_eq!(server.take()[0].refused_login.as_deref(), Some("tim"));
}

#[test]
fn the_configuration_written_is_toml_and_private() {
    use std::os::unix::fs::MetadataExt;
    let (workshop, _server) = prepare().unwrap();
    let ended =
        workshop.command(&"sh".into(), &["-c".into(), "test $(command -v sendmail) -ef /proc/$PPID/exe".into()]);
    assert_eq!(ended.unwrap(), 0, "this sendmail is the first on the path");
    let ended =
        workshop.command(&"sh".into(), &["-c".into(), "exit $(stat -c %a \"$POSTRIDER_CONFIG\" | cut -c3)".into()]);
    assert_eq!(ended.unwrap(), 0);
    let (text, guard) = crate::sys::files::read(&workshop.path("postrider.toml")).unwrap();
    let table: toml::Table = toml::from_str(std::str::from_utf8(&text).unwrap()).unwrap();
    assert_eq!((table["sender"].as_array().unwrap().len(), guard.mode), (3, 0o600));
    assert_eq!(std::fs::metadata(workshop.path("")).unwrap().mode() & 0o777, 0o700);
}

fn evidence(case: &Case) -> Evidence {
    let strings = |addresses: &[&str]| addresses.iter().map(|address| (*address).to_owned()).collect::<Vec<_>>();
    let text = case.message().replace('\n', "\r\n").into_bytes();
    let refused_login = (case.status == Status::NoPerm).then(|| case.account.to_owned());
    let seen = Seen {
        implicit: case.implicit,
        account: refused_login.is_none().then(|| case.account.to_owned()),
        refused_login,
        from: case.from.into(),
        taken: strings(case.taken),
        refused: strings(case.refused),
        message: (!case.taken.is_empty()).then_some(text),
        ..Seen::default()
    };
    let status = i32::from(case.status.code());
    let explained = Some((case.sender.unwrap_or("default relay").to_owned(), "a rule".to_owned()));
    Evidence { seen: vec![seen], ended: Ok(Ended { status, stdout: Vec::new(), stderr: Vec::new() }), explained }
}

#[test]
fn what_should_be_is_no_fault_and_everything_else_is() {
    for case in &CASES {
        assert_eq!(case.faults(&evidence(case)), [""; 0], "{}", case.title);
        let mut other = evidence(case);
        other.seen[0].account = Some("eve".into());
        assert!(!case.faults(&other).is_empty(), "{}", case.title);
        let mut other = evidence(case);
        other.explained = Some(("another".into(), String::new()));
        other.ended = Err("sendmail gave no answer".into());
        assert_eq!(case.faults(&other).len(), 2, "{}", case.title);
        let mut other = evidence(case);
        other.seen.push(other.seen[0].clone());
        assert!(!case.faults(&other).is_empty() || case.refused.is_empty() && case.taken.is_empty(), "{}", case.title);
    }
}

#[test]
fn what_explain_prints_is_read() {
    let printed = b"from: shop@example.com\nsender: shop\nrule: exact address, postrider.toml:12\nserver: x\n";
    assert_eq!(explanation(printed), Some(("shop".into(), "exact address, postrider.toml:12".into())));
    assert_eq!(explanation(b"usage"), None);
}
