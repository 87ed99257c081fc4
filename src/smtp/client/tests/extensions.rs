//! What the server offers is used: BDAT, LIMITS, re-encoding, A-labels, logins, backup servers, TLS sessions.

use super::*;
use crate::config::Server as Place;
use crate::config::{Endpoint, TlsMode};
use crate::deliver::trouble::{Kind, Permanence, Scope};
use crate::smtp::phase::Phase;
use std::time::Duration;

const CHUNKS: &str = "250-mx.test\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250 CHUNKING";

fn with_ehlo(ehlo: &'static str) -> Server {
    Server::start(script_with(ehlo, &[]))
}

fn script_with(
    ehlo: &'static str,
    answers: &'static [(&'static str, &'static str)],
) -> impl Fn(&str) -> Option<Act> + Send + Sync + 'static {
    let rest = script(answers);
    move |line| if line.starts_with("EHLO") { say(ehlo) } else { rest(line) }
}

#[test]
fn a_small_message_goes_in_one_flight() {
    let server = with_ehlo(CHUNKS);
    assert!(deliver(&server, &["a@b.test"]).all_sent());
    let record = server.record.lock().unwrap();
    assert_eq!(record.lines[1..], ["MAIL FROM:<me@mx.test> SIZE=26", "RCPT TO:<a@b.test>", "BDAT 26 LAST", "QUIT"]);
    assert_eq!(record.bodies, [BODY], "no dot is doubled");
    assert_eq!(record.flights, 2, "EHLO, everything else");
}

#[test]
fn one_flight_with_refusals() {
    let server = Server::start(script_with(
        CHUNKS,
        &[("RCPT TO:<no@", "550 5.1.1 no"), ("RCPT TO:<many@", "452 4.5.3 too many")],
    ));
    let done = deliver(&server, &["no@b.test", "a@b.test", "many@b.test"]);
    assert!(is_sent(&done, 1));
    assert_eq!(trouble(&done, 0).reply.as_ref().unwrap().code, 550);
    assert_eq!(trouble(&done, 2).permanence, Permanence::Temporary, "asked again alone, and refused again");
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("RCPT TO:<many@")).count(), 2);
    let all = Server::start(script_with(CHUNKS, &[("RCPT", "550 5.1.1 no"), ("BDAT", "554 5.5.1 no recipients")]));
    let done = deliver(&all, &["a@b.test", "c@b.test"]);
    assert_eq!((trouble(&done, 0).kind, trouble(&done, 1).kind), (Kind::RecipientRefused, Kind::RecipientRefused));
    let sender = Server::start(script_with(
        CHUNKS,
        &[("MAIL", "553 5.7.1 not yours"), ("RCPT", "503 5.5.1 no"), ("BDAT", "503 5.5.1 no")],
    ));
    let done = deliver(&sender, &["a@b.test"]);
    assert_eq!((trouble(&done, 0).phase, trouble(&done, 0).permanence), (Phase::Mail, Permanence::Permanent));
    let spam = Server::start(script_with(CHUNKS, &[("BDAT", "554 5.7.1 spam")]));
    assert_eq!((trouble(&deliver(&spam, &["a@b.test"]), 0).phase), Phase::End);
}

#[test]
fn a_connection_lost_after_the_one_flight_is_unknown() {
    for at in ["MAIL", "RCPT", "BDAT"] {
        let server = Server::start(move |line| match line {
            line if line.starts_with("EHLO") => say(CHUNKS),
            line if line.starts_with(at) => Some(Act::Close),
            _ => None,
        });
        let done = deliver(&server, &["a@b.test"]);
        assert_eq!(trouble(&done, 0).permanence, Permanence::Unknown, "{at}");
    }
    let server = Server::start(script_with(CHUNKS, &[("RCPT", "421 4.3.2 going")]));
    assert_eq!(trouble(&deliver(&server, &["a@b.test"]), 0).permanence, Permanence::Temporary, "it said so");
}

#[test]
fn large_messages_wait_for_the_servers_yes() {
    let server = with_ehlo(CHUNKS);
    let large = message(&b"0123456789\r\n".repeat(30_000));
    assert!(run(&server.relay, &envelope(&["a@b.test"]), &large).0.all_sent());
    assert!(server.said("DATA") && !server.said("BDAT"));
    assert_eq!(server.record.lock().unwrap().flights, 3, "EHLO, MAIL to DATA, the message with QUIT");
}

#[test]
fn limits_split_the_recipients() {
    let all: Vec<String> = (0..7).map(|number| format!("r{number}@d{}.test", number % 2)).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for (ehlo, mails, connections) in [
        ("250-mx.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=3", 3, 1),
        ("250-mx.test\r\n250 LIMITS RCPTMAX=3", 3, 1),
        ("250-mx.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 LIMITS RCPTDOMAINMAX=1", 2, 1),
        ("250-mx.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2 MAILMAX=1", 4, 4),
    ] {
        let server = with_ehlo(ehlo);
        assert!(deliver(&server, &all).all_sent(), "{ehlo}");
        let record = server.record.lock().unwrap();
        assert_eq!((record.bodies.len(), record.connections), (mails, connections), "{ehlo}");
    }
}

#[test]
fn a_transaction_without_a_message_is_reset() {
    for ehlo in ["250-mx.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1", "250-mx.test\r\n250 LIMITS RCPTMAX=1"] {
        let server = Server::start(script_with(ehlo, &[("RCPT TO:<no@", "550 5.1.1 no"), ("DATA", "354 go")]));
        let done = deliver(&server, &["no@b.test", "a@b.test"]);
        assert!(is_sent(&done, 1) && !is_sent(&done, 0));
        let no_data =
            Server::start(script_with(ehlo, &[("RCPT TO:<no@", "550 5.1.1 no"), ("DATA", "554 5.5.1 nobody")]));
        let done = deliver(&no_data, &["no@b.test", "no@c.test"]);
        assert!(no_data.said("RSET") && trouble(&done, 1).kind == Kind::RecipientRefused);
    }
    let refused = Server::start(script_with(
        "250-mx.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1",
        &[("MAIL", "553 5.7.1 not yours"), ("RCPT", "503 no"), ("DATA", "503 no")],
    ));
    let done = deliver(&refused, &["a@b.test", "c@b.test"]);
    assert_eq!(trouble(&done, 1).reply.as_ref().unwrap().code, 553);
    assert_eq!(refused.lines().iter().filter(|line| line.starts_with("MAIL")).count(), 1, "asked once");
}

#[test]
fn eight_bit_text_is_encoded_where_it_must_be() {
    let server = with_ehlo("250-mx.test\r\n250 PIPELINING");
    let text = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nü\r\n";
    let (done, lines) = run(&server.relay, &envelope(&["a@b.test"]), &message(text.as_bytes()));
    assert!(done.all_sent() && lines.contains("8BITMIME"));
    let record = server.record.lock().unwrap();
    let sent = String::from_utf8(record.bodies[0].clone()).unwrap();
    assert!(sent.contains("quoted-printable") && sent.contains("=C3=BC\r\n"), "{sent}");
    drop(record);
    let signed = format!("DKIM-Signature: v=1\r\n{text}");
    let (done, _) = run(&server.relay, &envelope(&["a@b.test"]), &message(signed.as_bytes()));
    let told = trouble(&done, 0);
    assert!(told.what.contains("8BITMIME") && told.what.contains("DKIM-Signature"), "{told:?}");
    assert_eq!((told.scope, told.permanence), (Scope::Message, Permanence::Permanent));
}

#[test]
fn only_a_local_part_needs_smtputf8() {
    let server = with_ehlo("250-mx.test\r\n250 PIPELINING");
    let done = deliver(&server, &["a@bücher.example", "ü@b.test"]);
    assert!(is_sent(&done, 0) && server.said("RCPT TO:<a@xn--bcher-kva.example>"));
    assert!(trouble(&done, 1).what.contains("ü@b.test"), "and the others go");
}

#[test]
fn another_server_takes_over() {
    let good = Server::start(|_| None);
    let bad = Server::start(|line| (line == "CONNECT").then_some(Act::SayAndClose("421 4.3.2 busy")));
    let place = |server: &Server| Place {
        endpoint: server.relay.endpoint.clone(),
        tls: TlsMode::Plain,
        protocol: server.relay.protocol,
    };
    let mut relay = bad.relay.clone();
    relay.backups = vec![
        Place { endpoint: Endpoint::Tcp("no-such-host.invalid".into(), 25), ..place(&bad) },
        Place { tls: TlsMode::Implicit, ..place(&good) },
        place(&good),
    ];
    let (done, lines) = run(&relay, &envelope(&["a@b.test"]), &message(BODY));
    assert!(done.all_sent() && lines.contains("the next server is asked"), "{lines}");
    assert_eq!(done.server, good.relay.endpoint.to_string());
    for (at, reply) in [("CONNECT", "554 5.7.1 blocked"), ("MAIL", "451 4.3.0 later"), ("EHLO", "550 no")] {
        let firm = Server::start(move |line| line.starts_with(at).then(|| Act::Say(reply.into())));
        let mut relay = firm.relay.clone();
        relay.backups = vec![place(&good)];
        let before = good.record.lock().unwrap().connections;
        assert!(!run(&relay, &envelope(&["a@b.test"]), &message(BODY)).0.all_sent());
        assert_eq!(good.record.lock().unwrap().connections, before, "{at}");
    }
    let mut relay = bad.relay.clone();
    relay.backups = vec![Place { endpoint: Endpoint::Tcp("no-such-host.invalid".into(), 25), ..place(&bad) }];
    let told = trouble(&run(&relay, &envelope(&["a@b.test"]), &message(BODY)).0, 0).what.clone();
    assert!(told.contains("no-such-host.invalid") && told.contains("421 4.3.2 busy"), "{told}");
}

fn secured(script: impl Fn(&str) -> Option<Act> + Send + Sync + 'static) -> Server {
    Server::with(TlsMode::Implicit, Authority::shared().identity(&["mx.test"], 30), script)
}

#[test]
fn a_tls_session_goes_on() {
    let server = secured(|_| None);
    let first = run(&server.relay, &envelope(&["a@b.test"]), &message(BODY));
    let second = run(&server.relay, &envelope(&["a@b.test"]), &message(BODY));
    assert!(first.0.all_sent() && second.0.all_sent());
    assert!(!first.1.contains("earlier TLS session") && second.1.contains("earlier TLS session"), "{}", second.1);
    assert!(second.1.contains("issued by Test Authority"), "the certificate is known all the same");
    let mut other = server.relay.clone();
    other.tls_options.host_override = Some("other.test".into());
    assert!(!run(&other, &envelope(&["a@b.test"]), &message(BODY)).0.all_sent(), "checks stay as strict");
}

#[test]
fn a_certificate_near_its_end_is_told() {
    let identity = Authority::shared().identity(&["mx.test"], 5);
    let server = Server::with(TlsMode::Implicit, identity, |_| None);
    let (done, lines) = run(&server.relay, &envelope(&["a@b.test"]), &message(BODY));
    assert!(done.all_sent() && lines.contains("the certificate of mx.test expires soon: it is valid until"), "{lines}");
}

#[test]
fn cram_md5_and_external() {
    let ehlo = "250-mx.test\r\n250 AUTH CRAM-MD5 EXTERNAL";
    let mut server = secured(script_with(
        ehlo,
        &[
            ("AUTH CRAM-MD5", "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"),
            ("dXNlckBteC50ZXN0I", "235 in"),
        ],
    ));
    server.relay.auth = AuthChoice::Auto;
    let (done, lines) = run(&server.relay, &envelope(&["a@b.test"]), &message(BODY));
    assert_eq!(done.login.as_ref().map(|login| login.0.as_str()), Some("CRAM-MD5"));
    assert!(lines.contains("334 [challenge]"), "{lines}");
    server.relay.auth = AuthChoice::Only("EXTERNAL".into());
    (server.relay.user, server.relay.password) = (None, None);
    assert!(run(&server.relay, &envelope(&["a@b.test"]), &message(BODY)).0.all_sent());
    assert!(server.said("AUTH EXTERNAL ="));
}

#[test]
fn scram_wants_the_servers_proof() {
    let mut server = secured(script_with(
        "250-mx.test\r\n250 AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS",
        &[("AUTH SCRAM-SHA-256-PLUS cD10bHMtc2VydmVyLWVuZC1wb2ludC", "235 2.7.0 come in")],
    ));
    server.relay.auth = AuthChoice::Auto;
    let done = deliver(&server, &["a@b.test"]);
    let told = trouble(&done, 0);
    assert!(told.phase == Phase::Auth && told.what.contains("without proving"), "{told:?}");
    assert!(!server.said("MAIL") && !server.said("AUTH PLAIN"));
}

#[test]
fn a_limit_for_each_phase() {
    let phases = [("CONNECT", Phase::Greeting), ("EHLO", Phase::Ehlo), ("MAIL", Phase::Mail), ("RCPT", Phase::Rcpt)];
    for (at, phase) in phases {
        let mut server = Server::start(move |line| match line {
            line if line.starts_with(at) => Some(Act::Stall),
            line if line.starts_with("EHLO") => say("250 mx.test"),
            _ => None,
        });
        let brief = Some(Duration::from_millis(100));
        let limits = &mut server.relay.timeouts.phases;
        match phase {
            Phase::Greeting => limits.greeting = brief,
            Phase::Ehlo => limits.ehlo = brief,
            Phase::Mail => limits.mail = brief,
            _ => limits.rcpt = brief,
        }
        let done = deliver(&server, &["a@b.test"]);
        assert_eq!((trouble(&done, 0).phase, trouble(&done, 0).kind), (phase, Kind::Network));
    }
}
