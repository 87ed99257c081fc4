//! STARTTLS, implicit TLS and logins.

use super::{HASH, TEXT, Talk, certificate, certificate_of, listen, listening, ports, users};
use crate::daemon::{Daemon, taking, until};
use crate::support::certs::{Authority, Kind};
use crate::support::skip;
use openssl::ssl::{SslConnector, SslMethod, SslStream};
use openssl::x509::X509;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn protect(authority: &Authority, stream: TcpStream) -> Talk<SslStream<TcpStream>> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.cert_store_mut().add_cert(X509::from_pem(&authority.pem()).unwrap()).unwrap();
    Talk::new(connector.build().connect("127.0.0.1", stream).unwrap())
}

fn base64(text: &str) -> String {
    openssl::base64::encode_block(text.as_bytes())
}

#[test]
fn nothing_said_before_starttls_survives_it() {
    let server = taking();
    let directory = tempfile::tempdir().unwrap();
    let (authority, tls) = certificate(directory.path());
    let (_daemon, port) = listening(&server, &format!("tls = \"starttls\"\n{tls}"));
    let mut talk = Talk::to(port);
    assert!(talk.say("EHLO client.example").contains("STARTTLS"));
    talk.send("STARTTLS\r\nMAIL FROM:<injected@example.com>\r\nRCPT TO:<you@example.org>\r\n");
    assert!(talk.reply().starts_with("220 2.0.0"));
    let mut talk = protect(&authority, talk.stream.into_inner());
    talk.expect("MAIL FROM:<shop@example.com>", "503 5.5.1 Say EHLO");
    let offers = talk.say("EHLO client.example");
    assert!(offers.starts_with("250-") && !offers.contains("STARTTLS"), "{offers}");
    talk.expect("STARTTLS", "503 5.5.1");
    talk.expect("RCPT TO:<you@example.org>", "503 5.5.1");
    assert!(talk.message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    until("it arrives", || server.messages().len() == 1);
    let text = String::from_utf8(server.messages()[0].text.clone()).unwrap();
    assert!(text.contains(" with ESMTPS\r\n\t(TLSv1.3 TLS_"), "{text}");
    let mut cut = Talk::hello(port);
    cut.expect("STARTTLS", "220");
    cut.send("EHLO in.clear\r\nMAIL FROM:<shop@example.com>\r\n");
    let said = cut.reply();
    assert!(!said.starts_with("250"), "{said}");
}

#[test]
fn forward_secrecy_is_all_that_is_taken() {
    use openssl::ssl::{SslVerifyMode, SslVersion};
    let server = taking();
    let directory = tempfile::tempdir().unwrap();
    let (_, tls) = certificate_of(directory.path(), Kind::Rsa);
    let (_daemon, port) = listening(&server, &format!("tls = \"implicit\"\n{tls}"));
    let shake = |ciphers: &str| {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        connector.set_cipher_list(ciphers).unwrap();
        connector.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        connector.build().connect("127.0.0.1", stream).map(drop)
    };
    assert!(shake("kRSA").is_err(), "static RSA");
    shake("ECDHE").unwrap();
}

#[test]
fn logins_by_every_way() {
    let server = taking();
    let directory = tempfile::tempdir().unwrap();
    let (authority, tls) = certificate(directory.path());
    let keys = format!("tls = \"implicit\"\nauth = \"required\"\n{tls}{}", users());
    let (daemon, port) = listening(&server, &keys);
    let connect = || {
        let mut talk = protect(&authority, TcpStream::connect(("127.0.0.1", port)).unwrap());
        assert!(talk.reply().starts_with("220 "));
        assert!(talk.say("EHLO client.example").contains("AUTH PLAIN LOGIN"));
        talk
    };
    let (plain, user, password) = (base64("\0app\0tanstaaf"), base64("app"), base64("tanstaaf"));
    let ways: [&[(&str, &str)]; 4] = [
        &[(&format!("AUTH PLAIN {plain}"), "235 2.7.0")],
        &[("AUTH PLAIN", "334"), (&plain, "235 2.7.0")],
        &[("AUTH LOGIN", "334 VXNlcm5hbWU6"), (&user, "334 UGFzc3dvcmQ6"), (&password, "235 2.7.0")],
        &[(&format!("auth login {user}"), "334 UGFzc3dvcmQ6"), (&password, "235 2.7.0")],
    ];
    for way in ways {
        let mut talk = connect();
        talk.expect("MAIL FROM:<shop@example.com>", "530 5.7.0");
        way.iter().for_each(|(line, reply)| talk.expect(line, reply));
        talk.expect(&format!("AUTH PLAIN {plain}"), "503");
        assert!(talk.message("shop@example.com", "you@example.org", TEXT).starts_with("250"));
    }
    until("they arrive", || server.messages().len() == 4);
    let text = String::from_utf8(server.messages()[0].text.clone()).unwrap();
    assert!(text.contains(" with ESMTPSA\r\n"), "{text}");
    let mut talk = connect();
    for bad in ["\0app\0wrong", "\0nobody\0tanstaaf", "any\0app\0tanstaaf", "\0\0tanstaaf"] {
        let said = talk.say(&format!("AUTH PLAIN {}", base64(bad)));
        assert!(said.starts_with("535 5.7.8") || said.starts_with("501"), "{bad:?}: {said}");
    }
    talk.expect("AUTH LOGIN", "334");
    talk.expect("*", "501 5.7.0");
    talk.expect("AUTH PLAIN", "334");
    talk.expect("not base64!", "501");
    talk.expect("AUTH CRAM-MD5", "504");
    talk.expect("MAIL FROM:<shop@example.com>", "530");
    until("refusals are logged", || daemon.log().contains("login refused"));
    assert!(!daemon.log().contains("tanstaaf") && !daemon.log().contains(&password));
}

#[test]
fn a_user_sends_for_its_senders_alone() {
    let server = taking();
    let extra = format!(
        "users = [\"nobody-here\"]\n[[sender]]\nname = \"open\"\nfrom = \"open@example.com\"\n\
         server = \"smtp+plain://127.0.0.1:{}\"\n{}{}",
        server.port,
        listen("auth = \"required\"\nallow_plaintext_auth = true"),
        users()
    );
    let daemon = Daemon::start(&server, &extra);
    let port = ports(&daemon, 1)[0];
    for (user, from, reply) in [
        ("app", "shop", "250"),
        ("app", "open", "550 5.7.1 sender \"open\" is not for user app of 127.0.0.1"),
        ("any", "open", "250"),
        ("any", "shop", "550 5.7.1 sender \"shop\" is not for user any of 127.0.0.1"),
        ("app", "unclaimed", "550 5.7.1 sender \"default\" is not for user app"),
        ("any", "unclaimed", "550 5.7.1"),
    ] {
        let mut talk = Talk::hello(port);
        talk.expect(&format!("AUTH PLAIN {}", base64(&format!("\0{user}\0tanstaaf"))), "235");
        let text = TEXT.replace("shop@", &format!("{from}@"));
        let said = talk.message(&format!("{from}@example.com"), "you@example.org", text);
        assert!(said.starts_with(reply), "{user}, {from}: {said}");
    }
    // Nor as another one beside its own.
    for (user, from, header) in [
        ("app", "shop", "From: shop@example.com\r\nSender: open@example.com"),
        ("app", "open", "From: shop@example.com"),
        ("any", "open", "From: open@example.com, shop@example.com"),
        ("any", "open", "Resent-From: open@example.com\r\nFrom: shop@example.com"),
        ("any", "shop", "From: open@example.com"),
    ] {
        let mut talk = Talk::hello(port);
        talk.expect(&format!("AUTH PLAIN {}", base64(&format!("\0{user}\0tanstaaf"))), "235");
        let said = talk.message(&format!("{from}@example.com"), "you@example.org", format!("{header}\r\n\r\nhi"));
        assert!(said.starts_with("550 5.7.1 sender"), "{user}, {header}: {said}");
    }
    until("two arrive", || server.messages().len() == 2);
}

#[test]
fn openssl_s_client_speaks_starttls() {
    if !skip::require("listener::secure::openssl_s_client_speaks_starttls", "openssl") {
        return;
    }
    let server = taking();
    let directory = tempfile::tempdir().unwrap();
    let (_, tls) = certificate(directory.path());
    let (daemon, port) = listening(&server, &format!("tls = \"starttls\"\n{tls}"));
    let ca = directory.path().join("ca.pem").display().to_string();
    let connect = format!("127.0.0.1:{port}");
    let run = |more: &[&str]| {
        let arguments = ["s_client", "-starttls", "smtp", "-connect", &connect, "-CAfile", &ca, "-verify_return_error"];
        let arguments = [&arguments[..], &["-crlf", "-quiet", "-ign_eof"], more].concat();
        daemon.home().program(Path::new("/usr/bin/openssl"), &arguments, "EHLO s-client\nNOOP\nQUIT\n")
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let finished = run(&[version]).expect(0);
        assert!(
            finished.stdout.contains("250 2.0.0 Ok") && finished.stdout.contains("221 2.0.0"),
            "{}",
            finished.stdout
        );
    }
    assert_ne!(run(&["-tls1_1"]).status, 0, "TLS 1.1 is over");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_, tls) = certificate(directory.path());
    let key = directory.path().join("k.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let place = directory.path().display();
    let toml = format!(
        "log = {{ to = \"off\" }}\n[queue]\ndirectory = \"{place}/queue\"\n{}",
        listen(&format!("tls = \"implicit\"\n{tls}"))
    );
    let home = crate::support::run::Home::new().config(&toml);
    let socket = home.path("s").display().to_string();
    let finished = home.run("postrider", &["serve", "--socket", &socket], "").expect(71);
    assert!(
        finished.stderr.contains("postrider.toml:6: key ") && finished.stderr.contains("chmod 0640"),
        "{}",
        finished.stderr
    );
    let finished = home.run("postrider", &["check"], "").expect(2);
    assert!(finished.stdout.contains("chmod 0640"), "{}", finished.stdout);
}

#[test]
fn passwd_prints_a_user() {
    let home = crate::support::run::Home::new();
    let finished = home.run("postrider", &["passwd", "app"], "tanstaaf\nsecond line\n").expect(0);
    let printed = finished.stdout;
    assert!(
        printed.starts_with("[[user]]\nname = \"app\"\npassword_hash = \"$argon2id$v=19$m=19456,t=2,p=1$"),
        "{printed}"
    );
    assert!(!printed.contains("tanstaaf") && finished.stderr.is_empty());
    assert_ne!(home.run("postrider", &["passwd", "app"], "tanstaaf\n").stdout, printed, "every hash has its own salt");
    home.run("postrider", &["passwd"], "").expect(64);
    // What it printed lets the user in.
    let server = taking();
    let keys = format!("auth = \"required\"\nallow_plaintext_auth = true\n{printed}");
    let (_daemon, port) = listening(&server, &keys);
    let mut talk = Talk::hello(port);
    talk.expect(&format!("AUTH PLAIN {}", base64("\0app\0second line")), "535");
    talk.expect(&format!("AUTH PLAIN {}", base64("\0app\0tanstaaf")), "235");
    assert!(HASH.len() > 60);
}
