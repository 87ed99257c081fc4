//! TLS and logins.

use super::*;
use crate::config::{Fingerprint, TlsMode};
use crate::deliver::trouble::{Kind, Permanence, Scope};
use crate::smtp::phase::Phase;
use std::time::Duration;

fn identity() -> native_tls::Identity {
    Authority::shared().identity(&["mx.test", "alias.test"], 30)
}

fn starttls(script: impl Fn(&str) -> Option<Act> + Send + Sync + 'static) -> Server {
    Server::with(TlsMode::StartTls, identity(), script)
}

fn with_login(mut server: Server, choice: AuthChoice) -> Server {
    server.relay.auth = choice;
    server
}

fn only(name: &str) -> AuthChoice {
    AuthChoice::Only(name.into())
}

#[test]
fn starttls_login_and_message_in_seven_flights() {
    let server = with_login(starttls(|_| None), AuthChoice::Auto);
    let (done, lines) = run(&server.relay, &envelope(&["a@b.test"]), &message(BODY));
    assert!(done.all_sent() && done.tls == "STARTTLS");
    assert_eq!(done.login, Some(("PLAIN".into(), "user@mx.test".into())));
    assert!(lines.contains("Client(\"AUTH PLAIN [hidden]\")") && lines.contains("mx.test, alias.test"), "{lines}");
    let record = server.record.lock().unwrap();
    assert_eq!(record.lines.iter().filter(|line| line.starts_with("EHLO")).count(), 2);
    // The handshake itself is one more.
    assert_eq!((record.flights, record.connections), (6, 1));
}

#[test]
fn implicit_tls() {
    let server = Server::with(TlsMode::Implicit, identity(), |_| None);
    let done = deliver(&server, &["a@b.test"]);
    assert!(done.all_sent() && done.tls == "TLS");
}

#[test]
fn injection_after_starttls() {
    let server = with_login(
        starttls(|line| (line == "STARTTLS").then_some(Act::Tls(b"220 go\r\n250 injected\r\n"))),
        AuthChoice::Auto,
    );
    let done = deliver(&server, &["a@b.test"]);
    assert_eq!((trouble(&done, 0).kind, trouble(&done, 0).phase), (Kind::Protocol, Phase::StartTls));
    assert!(!server.said("AUTH") && !server.said("MAIL"));
}

#[test]
fn starttls_missing_or_refused() {
    let server = starttls(script(&[("EHLO", "250-mx.test\r\n250 AUTH PLAIN")]));
    let done = deliver(&server, &["a@b.test"]);
    assert_eq!((trouble(&done, 0).kind, trouble(&done, 0).phase), (Kind::Config, Phase::StartTls));
    let server = starttls(script(&[("STARTTLS", "454 4.3.0 not now")]));
    assert_eq!(trouble(&deliver(&server, &["a@b.test"]), 0).permanence, Permanence::Temporary);
    let server = starttls(|line| (line == "STARTTLS").then(|| Act::Say("220 go".into())));
    assert_eq!(trouble(&deliver(&server, &["a@b.test"]), 0).phase, Phase::Tls, "no TLS behind the 220");
    assert!(!server.said("MAIL"));
}

#[test]
fn certificates_that_do_not_pass() {
    let name = |words: &[&str], server: Server| {
        let done = deliver(&server, &["a@b.test"]);
        let told = trouble(&done, 0);
        assert_eq!((told.kind, told.scope, told.phase), (Kind::Tls, Scope::Site, Phase::Tls), "{told:?}");
        words.iter().for_each(|word| assert!(told.what.contains(word), "{told:?}"));
        assert!(!server.said("MAIL"));
    };
    let with = |mode, identity| Server::with(mode, identity, |_| None);
    let authority = Authority::shared();
    for mode in [TlsMode::Implicit, TlsMode::StartTls] {
        name(
            &["shown for mx.test", "not for this name", "other.test, more.test"],
            with(mode, authority.identity(&["other.test", "more.test"], 30)),
        );
    }
    name(&["expired", "valid until"], with(TlsMode::Implicit, authority.identity(&["mx.test"], -1)));
    name(&["signed by itself", "SHA-256"], with(TlsMode::Implicit, server::self_signed("mx.test").0));
    let mut unknown = with(TlsMode::Implicit, identity());
    unknown.relay.tls_options.trust_file = None;
    name(&["issuer", "Test Authority"], unknown);
}

#[test]
fn fingerprints_and_no_check() {
    let (identity, digest) = server::self_signed("whatever.test");
    let mut server = Server::with(TlsMode::Implicit, identity, |_| None);
    server.relay.tls_options.trust_file = None;
    server.relay.tls_options.fingerprint = Some(Fingerprint::Sha256(digest.clone()));
    assert!(deliver(&server, &["a@b.test"]).all_sent());
    let mut wrong = digest;
    wrong[31] ^= 1;
    server.relay.tls_options.fingerprint = Some(Fingerprint::Sha256(wrong));
    let done = deliver(&server, &["a@b.test"]);
    assert!(trouble(&done, 0).what.contains("fingerprint"));
    server.relay.tls_options.fingerprint = None;
    server.relay.tls_options.no_check = true;
    assert!(deliver(&server, &["a@b.test"]).all_sent());
}

#[test]
fn stalls_inside_tls_end() {
    for at in ["CONNECT", "EHLO", "AUTH", "MAIL"] {
        let script = move |line: &str| {
            line.starts_with(at)
                .then(|| Act::Drip("220-0000000000000000000000000000000000000000000000000", Duration::from_millis(20)))
        };
        let mut server = with_login(Server::with(TlsMode::Implicit, identity(), script), AuthChoice::Auto);
        server.relay.timeouts.command = Duration::from_millis(300);
        let done = deliver(&server, &["a@b.test"]);
        assert_eq!(
            (trouble(&done, 0).kind, trouble(&done, 0).permanence),
            (Kind::Network, Permanence::Temporary),
            "{at}"
        );
    }
    // A handshake that never ends: the server speaks no TLS and waits.
    let mut server = Server::start(|line| (line == "CONNECT").then_some(Act::Stall));
    server.relay.tls = TlsMode::Implicit;
    server.relay.timeouts.connect = Duration::from_millis(300);
    let done = deliver(&server, &["a@b.test"]);
    assert_eq!((trouble(&done, 0).kind, trouble(&done, 0).phase), (Kind::Network, Phase::Tls));
}

#[test]
fn the_other_side_speaks_no_tls() {
    let mut server = Server::start(|_| None);
    server.relay.tls = TlsMode::Implicit;
    let done = deliver(&server, &["a@b.test"]);
    assert_eq!(trouble(&done, 0).kind, Kind::Tls);
    assert!(trouble(&done, 0).what.contains("no TLS"), "{:?}", trouble(&done, 0));
}

#[test]
fn no_password_without_tls() {
    let mut server = with_login(Server::start(|_| None), AuthChoice::Auto);
    let done = deliver(&server, &["a@b.test"]);
    assert_eq!(trouble(&done, 0).kind, Kind::Config);
    assert!(!server.said("AUTH"));
    server.relay.plaintext_password = true;
    assert!(deliver(&server, &["a@b.test"]).all_sent());
}

#[test]
fn login_in_steps() {
    let server = with_login(
        starttls(script(&[
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            ("dXNlckBteC50ZXN0", "334 Password:"),
            ("dGFuc3RhYWZ0YW5zdGFhZg==", "235 in"),
        ])),
        only("LOGIN"),
    );
    let (done, lines) = run(&server.relay, &envelope(&["a@b.test"]), &message(BODY));
    assert!(done.all_sent(), "{done:?}");
    assert!(!lines.contains("dGFuc3RhYWZ0YW5zdGFhZg"));
}

#[test]
fn a_refused_login_is_not_tried_in_another_way() {
    let server = with_login(starttls(script(&[("AUTH", "535 5.7.8 bad credentials")])), AuthChoice::Auto);
    let done = deliver(&server, &["a@b.test"]);
    let told = trouble(&done, 0);
    assert_eq!((told.kind, told.scope, told.permanence), (Kind::Auth, Scope::Site, Permanence::Permanent));
    assert!(told.line("s", None).contains("535 5.7.8 bad credentials; check user and password"));
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("AUTH")).count(), 1);
}

#[test]
fn a_refused_mechanism_is() {
    let server = with_login(
        starttls(script(&[
            ("AUTH PLAIN", "504 5.5.4 no"),
            ("AUTH LOGIN", "334 "),
            ("dXNl", "334 "),
            ("dGFu", "235 in"),
        ])),
        AuthChoice::Auto,
    );
    let done = deliver(&server, &["a@b.test"]);
    assert_eq!(done.login.as_ref().unwrap().0, "LOGIN");
    let server = with_login(starttls(script(&[("AUTH", "504 5.5.4 no")])), AuthChoice::Auto);
    assert_eq!(trouble(&deliver(&server, &["a@b.test"]), 0).kind, Kind::Auth);
}

#[test]
fn mechanisms_that_are_not_offered() {
    let server =
        with_login(starttls(script(&[("EHLO", "250-mx.test\r\n250-STARTTLS\r\n250 AUTH GSSAPI")])), AuthChoice::Auto);
    let done = deliver(&server, &["a@b.test"]);
    assert!(trouble(&done, 0).kind == Kind::Config && trouble(&done, 0).what.contains("GSSAPI"));
}

#[test]
fn xoauth2_says_why() {
    let server = with_login(
        starttls(|line| match line {
            "" => say("535 5.7.8 no"),
            line if line.starts_with("AUTH XOAUTH2 ") => say("334 eyJzdGF0dXMiOiI0MDEifQ=="),
            _ => None,
        }),
        only("XOAUTH2"),
    );
    let (done, lines) = run(&server.relay, &envelope(&["a@b.test"]), &message(BODY));
    assert!(trouble(&done, 0).what.contains(r#"{"status":"401"}"#) && lines.contains("401"));
    assert_eq!(trouble(&done, 0).kind, Kind::Auth);
}

#[test]
fn long_secrets_do_not_go_with_the_command_and_echoes_are_hidden() {
    let server = with_login(
        starttls(|line| match line {
            "AUTH PLAIN" => say("334 "),
            line if line.len() > 12_288 => say("235 in"),
            line if line.starts_with("AUTH PLAIN ") => say(&format!("535 unknown: {line}, {PASSWORD}")),
            _ => None,
        }),
        AuthChoice::Auto,
    );
    let (done, lines) = run(&server.relay, &envelope(&["a@b.test"]), &message(BODY));
    let line = trouble(&done, 0).line("s", None);
    assert!(line.contains("unknown: AUTH PLAIN [hidden], [hidden]"), "{line}");
    assert!(!lines.contains("dGFuc3RhYW"));
    let mut lines = Lines::default();
    let secret = |_: &_, _| Ok(Secret::new("x".repeat(20_000)));
    let mut context = context(&mut lines, &secret);
    assert!(attempt(&server.relay, &envelope(&["a@b.test"]), &message(BODY), &mut context).all_sent());
    assert!(!lines.0.contains("xxxx"));
}

#[test]
fn a_password_that_cannot_be_had() {
    let server = with_login(starttls(|_| None), AuthChoice::Auto);
    let mut lines = Lines::default();
    let secret = |_: &_, _| Err("the password file /x is not there".to_owned());
    let mut context = context(&mut lines, &secret);
    let done = attempt(&server.relay, &envelope(&["a@b.test"]), &message(BODY), &mut context);
    assert_eq!((trouble(&done, 0).kind, trouble(&done, 0).phase), (Kind::Secret, Phase::Secret));
}
