//! Logins that are tied to the TLS connection: SCRAM-SHA-256-PLUS by tls-exporter and by tls-server-end-point.

use super::runner::{self, Mode, PASSWORD, Scenario, USER};
use openssl::ssl::SslVersion;

const EXPORTER: &str = "tls-exporter";
const END_POINT: &str = "tls-server-end-point";
const BOTH: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];

/// Sends over a server that knows these bindings; what its connection saw: account, mechanism, bindings.
fn login(scenario: &Scenario, status: i32) -> (Option<String>, String, Vec<String>) {
    let server = scenario.script.clone().start();
    let ended =
        runner::bounded(&scenario.home(&server, "20s"), &["ann@example.org"], "From: shop@example.com\n\nhello\n");
    let ended = ended.expect(status);
    assert!(!ended.stderr.contains(PASSWORD));
    let connection = server.connections().remove(0);
    (connection.account, connection.mechanism.unwrap_or_default(), connection.bindings)
}

fn over(version: SslVersion, known: &[&str], in_words: bool, mechanisms: &[&str]) -> Scenario {
    Scenario::new("", Mode::Implicit).server(|script| {
        script.tls_versions(version, version).auth(USER, PASSWORD, mechanisms).bindings(known, in_words)
    })
}

#[test]
fn the_binding_is_that_of_the_tls_version() {
    for (version, kind) in [(SslVersion::TLS1_3, EXPORTER), (SslVersion::TLS1_2, END_POINT)] {
        let (account, mechanism, bindings) = login(&over(version, &[EXPORTER, END_POINT], true, &BOTH), 0);
        assert_eq!((account.as_deref(), mechanism.as_str()), (Some(USER), "SCRAM-SHA-256-PLUS"));
        assert_eq!(bindings, [kind]);
    }
}

#[test]
fn a_binding_that_the_server_does_not_know_is_followed_by_the_next() {
    for in_words in [true, false] {
        let (account, mechanism, bindings) = login(&over(SslVersion::TLS1_3, &[END_POINT], in_words, &BOTH), 0);
        assert_eq!((account.as_deref(), mechanism.as_str()), (Some(USER), "SCRAM-SHA-256-PLUS"), "{in_words}");
        assert_eq!(bindings, [EXPORTER, END_POINT]);
        let (account, mechanism, bindings) = login(&over(SslVersion::TLS1_3, &[], in_words, &BOTH), 0);
        assert_eq!((account.as_deref(), mechanism.as_str()), (Some(USER), "SCRAM-SHA-256"));
        assert_eq!(bindings, [EXPORTER, END_POINT], "and then without one");
    }
}

#[test]
fn a_wrong_password_is_tried_once() {
    let wrong = over(SslVersion::TLS1_3, &[EXPORTER, END_POINT], true, &BOTH).key("password = \"hunter2\"");
    let (account, _, bindings) = login(&wrong, 77);
    assert_eq!((account, bindings.len()), (None, 1));
}

#[test]
fn a_server_that_offers_no_binding_gets_none() {
    let (account, mechanism, bindings) = login(&over(SslVersion::TLS1_3, &[EXPORTER], true, &BOTH[..1]), 0);
    assert_eq!((account.as_deref(), mechanism.as_str()), (Some(USER), "SCRAM-SHA-256"));
    assert!(bindings.is_empty());
}
