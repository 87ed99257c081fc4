//! TLS: certificates bad in every way, old versions, plaintext injected, STARTTLS and AUTH missing where they are due.

use super::runner::{self, AUTHORITY, Mode, PASSWORD, Scenario, USER};
use crate::support::certs::Kind;
use crate::support::script::{Fault, Script};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use std::net::TcpStream;
use std::time::Duration;

/// All of them.
pub fn table() -> Vec<Scenario> {
    let mut table = Vec::new();
    for mode in [Mode::StartTls, Mode::Implicit] {
        table.extend(certificates(mode));
        table.extend(versions(mode));
        table.extend(without_forward_secrecy(mode));
        table.extend(pins(mode));
        table.extend(logins(mode));
    }
    table.extend(starttls());
    table.extend(mismatched());
    table
}

/// A server with this certificate.
fn with(name: String, mode: Mode, kind: Kind) -> Scenario {
    let identity = AUTHORITY.issue(kind);
    Scenario::new(name, mode).server(|script| match mode {
        Mode::StartTls => script.starttls(&identity),
        _ => script.implicit_tls(&identity),
    })
}

fn certificates(mode: Mode) -> Vec<Scenario> {
    [
        (Kind::WrongName, 69, "is not for this name"),
        (Kind::Expired, 75, "has expired"),
        (Kind::NotYetValid, 75, "is not valid yet"),
        (Kind::SelfSigned, 69, "signed by itself"),
        (Kind::ClientOnly, 69, "purpose"),
        (Kind::UnknownAuthority, 69, "certificate shown for 127.0.0.1"),
    ]
    .map(|(kind, status, said)| {
        let scenario = with(format!("certificate {kind:?}, {mode:?}"), mode, kind);
        scenario.ends(status, &[", TLS handshake: ", "127.0.0.1", said]).unseen(&["AUTH", "MAIL"])
    })
    .into_iter()
    .chain([
        with(format!("common name alone, {mode:?}"), mode, Kind::CommonName)
            .key("tls_name = \"localhost\"")
            .ends(69, &["is not for this name", "it has no subjectAltName"])
            .unseen(&["AUTH", "MAIL"]),
        with(format!("its names, {mode:?}"), mode, Kind::Valid).key("tls_name = \"localhost\""),
    ])
    .collect()
}

fn versions(mode: Mode) -> Vec<Scenario> {
    let only = |name: &str, version: SslVersion| {
        Scenario::new(format!("{name} only, {mode:?}"), mode).server(|script| script.tls_versions(version, version))
    };
    let old = |scenario: Scenario| scenario.ends(75, &[", TLS handshake: ", "TLS 1.2"]).unseen(&["AUTH", "MAIL"]);
    let mut unchecked = only("TLS 1.1 unchecked", SslVersion::TLS1_1).key("tls_check = false");
    unchecked.name += ", tls_check = false";
    vec![
        old(only("TLS 1.0", SslVersion::TLS1)),
        old(only("TLS 1.1", SslVersion::TLS1_1)),
        old(unchecked),
        only("TLS 1.2", SslVersion::TLS1_2),
        only("TLS 1.3", SslVersion::TLS1_3),
    ]
}

/// The ciphers of TLS 1.2 whose recorded traffic the server's key opens later.
const STATIC_RSA: &str = "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA";

/// A server without forward secrecy is not spoken to, checked or not; the same one with it is.
fn without_forward_secrecy(mode: Mode) -> Vec<Scenario> {
    let server = |name: &str, ciphers: &str| {
        let scenario = with(format!("{name}, {mode:?}"), mode, Kind::Rsa);
        scenario.server(|script| script.ciphers(ciphers))
    };
    let refused =
        |scenario: Scenario| scenario.ends(75, &[", TLS handshake: ", "forward secrecy"]).unseen(&["AUTH", "MAIL"]);
    vec![
        refused(server("static RSA", STATIC_RSA)),
        refused(server("static RSA, unchecked", STATIC_RSA).key("tls_check = false")),
        server("ECDHE with RSA", "ECDHE-RSA-AES128-GCM-SHA256"),
    ]
}

fn pins(mode: Mode) -> Vec<Scenario> {
    let pinned = |name: &str, kind: Kind| with(format!("{name}, {mode:?}"), mode, kind);
    let identity = AUTHORITY.issue(Kind::SelfSigned);
    let right = Scenario::new(format!("the right fingerprint, {mode:?}"), mode)
        .server(|script| match mode {
            Mode::StartTls => script.starttls(&identity),
            _ => script.implicit_tls(&identity),
        })
        .key(format!("fingerprint = \"{}\"", identity.fingerprint()));
    let zeros = "00".repeat(32);
    vec![
        right,
        pinned("another fingerprint", Kind::Valid)
            .key(format!("fingerprint = \"{zeros}\""))
            .ends(69, &[", TLS handshake: ", "fingerprint"])
            .unseen(&["AUTH", "MAIL"]),
        pinned("tls_name fits", Kind::WrongName).key("tls_name = \"other.example.com\""),
        pinned("tls_name does not fit", Kind::Valid)
            .key("tls_name = \"other.example.com\"")
            .ends(69, &[", TLS handshake: ", "other.example.com"])
            .unseen(&["AUTH", "MAIL"]),
        pinned("a client certificate is demanded", Kind::Valid)
            .server(|script| script.client_certificate(AUTHORITY.pem()))
            .ends(75, &[": the connection was lost: tlsv13 alert certificate required"])
            .unseen(&["AUTH", "MAIL"]),
        pinned("tls_check is off", Kind::Expired).key("tls_check = false"),
    ]
}

fn logins(mode: Mode) -> Vec<Scenario> {
    let login = |name: &str, change: fn(Script) -> Script| {
        Scenario::new(format!("{name}, {mode:?}"), mode).server(change).unseen(&["MAIL"])
    };
    vec![
        login("no AUTH offered", |script| script.auth(USER, PASSWORD, &[]))
            .ends(78, &[", AUTH: ", "the server offers no login"]),
        login("only foreign mechanisms", |script| script.auth(USER, PASSWORD, &["GSSAPI", "NTLM"]))
            .ends(78, &[", AUTH: ", "GSSAPI, NTLM"]),
        login("a wrong password", |script| script)
            .key("password = \"hunter2\"")
            .ends(77, &[", AUTH: ", "535 5.7.8 bad login"]),
        login("the login fails for now", |script| script.reply("AUTH", "454 4.7.0 later"))
            .ends(75, &[", AUTH: ", "454 4.7.0 later"]),
        login("a server that repeats the password", |script| {
            let encoded = openssl::base64::encode_block(format!("\0{USER}\0{PASSWORD}").as_bytes());
            script.reply("AUTH", &format!("535 5.7.8 {PASSWORD} {encoded} is wrong"))
        })
        .ends(77, &[", AUTH: ", "535 5.7.8", "is wrong"]),
        Scenario::new(format!("a login is wanted and none configured, {mode:?}"), mode)
            .key("auth = \"off\"")
            .ends(77, &["530 5.7.0 log in first"]),
        Scenario::new(format!("EHLO refused after TLS, {mode:?}"), mode)
            .server(|script| {
                script.on_nth("EHLO", if mode == Mode::StartTls { 2 } else { 1 }, Fault::Reply("502 no".into()))
            })
            .ends(69, &[", EHLO: ", "502 no"])
            .unseen(&["HELO", "AUTH"]),
        Scenario::new(format!("a handshake octet by octet, {mode:?}"), mode)
            .server(|script| script.on("HANDSHAKE", Fault::Bytewise(Duration::from_millis(100))))
            .stalls()
            .ends(75, &[", TLS handshake: ", "in time"]),
    ]
}

fn starttls() -> Vec<Scenario> {
    let inject = |name: &str, octets: &[u8]| {
        let octets = octets.to_vec();
        Scenario::new(name, Mode::StartTls)
            .server(|script| script.on("STARTTLS", Fault::Inject(octets)))
            .ends(76, &[", STARTTLS: ", "injection"])
            .unseen(&["AUTH", "MAIL"])
    };
    let plain = |name: &str| {
        let scenario = Scenario::new(name, Mode::Plain).key("server = \"smtp://{server}\"");
        scenario.unseen(&["AUTH", "MAIL", "STARTTLS"])
    };
    vec![
        inject("a reply in clear after STARTTLS' 220", b"250 AUTH PLAIN\r\n"),
        inject("half a reply in clear after STARTTLS' 220", b"250-AUTH"),
        inject("one octet in clear after STARTTLS' 220", b"\n"),
        Scenario::new("a reply in clear before the handshake", Mode::StartTls)
            .server(|script| script.on("HANDSHAKE", Fault::Raw(b"250 AUTH PLAIN\r\n".to_vec())))
            .ends(75, &[", TLS handshake: "])
            .unseen(&["AUTH", "MAIL"]),
        plain("no STARTTLS").ends(78, &[", STARTTLS: ", "does not offer STARTTLS", "nothing was sent in clear"]),
        Scenario::new("AUTH only before TLS", Mode::StartTls)
            .server(Script::auth_in_clear_only)
            .ends(78, &[", AUTH: ", "offers no login"])
            .unseen(&["AUTH", "MAIL"]),
        Scenario::new("250 in place of STARTTLS' 220", Mode::StartTls)
            .server(|script| script.on("STARTTLS", Fault::Raw(b"250 ok\r\n".to_vec())))
            .ends(76, &[", STARTTLS: "])
            .unseen(&["AUTH", "MAIL"]),
    ]
}

/// The two sides do not mean the same port.
fn mismatched() -> Vec<Scenario> {
    vec![
        Scenario::new("TLS at once where the server waits for STARTTLS", Mode::StartTls)
            .key("server = \"smtps://{server}\"")
            .ends(75, &[", TLS handshake: ", "no TLS", "465"]),
        Scenario::new("STARTTLS where the server waits for TLS", Mode::Implicit)
            .key("server = \"smtp://{server}\"")
            .stalls()
            .ends(75, &[", greeting: ", "in time", "465"]),
        Scenario::new("a password in clear that nobody allowed", Mode::Plain)
            .key("allow_plaintext_password = false")
            .elsewhere()
            .ends(78, &["without TLS"])
            .unseen(&["AUTH", "MAIL"]),
    ]
}

#[test]
fn protection_that_is_missing_or_wrong() {
    runner::run(table());
}

/// The servers of the table do speak the old versions, to whoever asks for them.
#[test]
fn old_versions_are_spoken_to_old_clients() {
    for (version, name) in [(SslVersion::TLS1, "TLSv1"), (SslVersion::TLS1_1, "TLSv1.1")] {
        let scenario = Scenario::new("", Mode::Implicit).server(|script| script.tls_versions(version, version));
        let server = scenario.script.start();
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        connector.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        connector.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        let stream = connector.build().connect("localhost", stream).unwrap();
        assert_eq!(stream.ssl().version_str(), name);
    }
}

/// The server of the table without forward secrecy does speak to whoever takes that.
#[test]
fn static_rsa_is_spoken_to_those_who_take_it() {
    let server = with(String::new(), Mode::Implicit, Kind::Rsa).script.ciphers(STATIC_RSA).start();
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    connector.set_cipher_list("kRSA").unwrap();
    let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let stream = connector.build().connect("localhost", stream).unwrap();
    assert_eq!(stream.ssl().version_str(), "TLSv1.2");
}
