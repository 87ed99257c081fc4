//! Postfix as the receiving server. Here only the harness: that it takes mail over both ports and shows what came.

use crate::support::postfix::Postfix;
use openssl::ssl::{SslConnector, SslMethod};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// Sends lines, each after the reply to the one before, and gives the replies' codes.
fn talk<S: std::io::Read + Write>(stream: &mut S, lines: &[&str], greeted: bool) -> Vec<String> {
    let mut codes = Vec::new();
    let mut reader = BufReader::new(stream);
    let mut lines = lines.iter();
    if greeted && let Some(line) = lines.next() {
        write!(reader.get_mut(), "{line}\r\n").unwrap();
    }
    loop {
        let mut reply = String::new();
        while reply.get(3..4) != Some(" ") {
            reply.clear();
            assert!(reader.read_line(&mut reply).unwrap() > 0, "closed after {codes:?}");
        }
        codes.push(reply[..3].to_owned());
        match lines.next() {
            Some(line) => write!(reader.get_mut(), "{line}\r\n").unwrap(),
            None => return codes,
        }
    }
}

#[test]
fn the_harness_takes_mail_over_both_ports() {
    let Some(postfix) = Postfix::start("the_harness_takes_mail_over_both_ports") else { return };
    postfix.add_account("shop@example.com", "tanstaaf");
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_ca_file(&postfix.ca_file).unwrap();
    let connector = connector.build();
    let login = openssl::base64::encode_block(b"\0shop@example.com\0tanstaaf");
    for port in [postfix.starttls_port, postfix.tls_port] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let starttls = port == postfix.starttls_port;
        if starttls {
            let codes = talk(&mut stream, &["EHLO x", "MAIL FROM:<a@example.com>", "STARTTLS"], false);
            assert_eq!(codes, ["220", "250", "530", "220"], "{}", postfix.log());
        }
        let mut stream = connector.connect("127.0.0.1", stream).unwrap();
        let dialogue = [
            "EHLO x",
            "AUTH PLAIN AGEAYg==",
            &format!("AUTH PLAIN {login}"),
            "MAIL FROM:<shop@example.com>",
            "RCPT TO:<customer@example.org>",
            "DATA",
            "Subject: hello\r\n\r\n..a dot\r\n.",
            "QUIT",
        ];
        let codes = talk(&mut stream, &dialogue, starttls);
        let codes = codes.strip_prefix(&["220".to_owned()]).unwrap_or(&codes);
        assert_eq!(codes, ["250", "535", "235", "250", "250", "354", "250", "221"], "{}", postfix.log());
    }
    for message in postfix.messages(2) {
        assert_eq!((message.from.as_str(), message.to.as_str()), ("shop@example.com", "customer@example.org"));
        assert_eq!(message.account.as_deref(), Some("shop@example.com"));
        assert!(message.tls.is_some_and(|tls| tls.starts_with("TLSv1.3")));
        let text = String::from_utf8(message.text).unwrap();
        assert!(text.starts_with("Subject: hello\n") && text.ends_with("\n\n.a dot\n"), "{text}");
    }
}
