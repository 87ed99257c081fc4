//! The Received field of what comes over SMTP (RFC 5321 section 4.4, protocol names of RFC 3848 and RFC 6531), and the
//! loops that such fields reveal (RFC 5321 section 6.3).
//!
//! Values only; the time is an argument. Nothing that a client says can end the field or hide in it.

use crate::message::header::Header;
use chrono::{DateTime, FixedOffset};
use std::net::IpAddr;

/// Received fields of a message that is surely in a loop.
const HOPS: usize = 50;
/// How often a message may have come by here: from a program, back from the server it was sent through, sorted, sent on.
const VISITS: usize = 5;

/// How a message came.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// What the client called itself.
    pub hello: &'a str,
    /// It said EHLO.
    pub extended: bool,
    /// Its address; `None` on a unix socket.
    pub client: Option<IpAddr>,
    /// The user id of a client on a unix socket.
    pub uid: Option<u32>,
    /// TLS version and cipher.
    pub tls: Option<(&'a str, &'a str)>,
    /// It logged in.
    pub login: bool,
    /// SMTPUTF8 was said.
    pub smtputf8: bool,
    /// What this host calls itself here.
    pub host: &'a str,
    /// The submission's id.
    pub id: &'a str,
    /// The recipient, where there is one alone: several would learn of each other.
    pub recipient: Option<&'a str>,
}

/// The field with its line end, to stand before the message.
#[must_use]
pub fn received(arrival: &Arrival<'_>, now: DateTime<FixedOffset>) -> String {
    let from = match (arrival.client, arrival.uid) {
        (Some(IpAddr::V4(address)), _) => format!("([{address}])"),
        (Some(IpAddr::V6(address)), _) => format!("([IPv6:{address}])"),
        (None, Some(uid)) => format!("(local, user {uid})"),
        (None, None) => "(local)".into(),
    };
    let tls =
        arrival.tls.map_or_else(String::new, |(version, cipher)| format!("\r\n\t({} {})", word(version), word(cipher)));
    let recipient = arrival.recipient.map_or_else(String::new, |address| format!("\r\n\tfor <{}>", visible(address)));
    format!(
        "Received: from {} {from}\r\n\tby {} (postrider) with {}{tls}\r\n\tid {}{recipient};\r\n\t{}\r\n",
        word(arrival.hello),
        word(arrival.host),
        protocol(arrival),
        word(arrival.id),
        now.format("%a, %d %b %Y %H:%M:%S %z"),
    )
}

/// The name of the protocol: HELO knows no extensions, and so none of the longer names.
fn protocol(arrival: &Arrival<'_>) -> String {
    if !arrival.extended {
        return "SMTP".into();
    }
    let kind = if arrival.smtputf8 { "UTF8SMTP" } else { "ESMTP" };
    let tls = if arrival.tls.is_some() { "S" } else { "" };
    format!("{kind}{tls}{}", if arrival.login { "A" } else { "" })
}

/// A client's word as a name or address literal: what is neither becomes a question mark, and it is cut at 255.
fn word(text: &str) -> String {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let word: String = text.chars().take(255).map(|c| if fine(c) { c } else { '?' }).collect();
    if word.is_empty() { "unknown".into() } else { word }
}

fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Whether a message goes in circles: too many hops, or too many of them here.
#[must_use]
pub fn is_loop(header: &Header, host: &str) -> bool {
    let own = format!("by {} (postrider)", word(host));
    let (mut hops, mut visits) = (0, 0);
    for field in header.all("Received") {
        hops += 1;
        visits += usize::from(memchr::memmem::find(&field.unfolded(), own.as_bytes()).is_some());
    }
    hops > HOPS || visits > VISITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::read::{self, ReadRules};

    fn arrival() -> Arrival<'static> {
        Arrival {
            hello: "bar.com",
            extended: true,
            client: Some("192.0.2.1".parse().unwrap()),
            uid: None,
            tls: Some(("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
            login: true,
            smtputf8: false,
            host: "mx.example.com",
            id: "0123",
            recipient: Some("jones@example.com"),
        }
    }

    fn now() -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339("2026-03-09T08:07:06+01:00").unwrap()
    }

    #[test]
    fn the_field_says_how_it_came() {
        let expected = "Received: from bar.com ([192.0.2.1])\r\n\tby mx.example.com (postrider) with ESMTPSA\r\n\t\
                        (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n\tid 0123 for <jones@example.com>;\r\n\t\
                        Mon, 09 Mar 2026 08:07:06 +0100\r\n";
        assert_eq!(received(&arrival(), now()), expected.replace(" for <", "\r\n\tfor <"));
        let with = |arrival: Arrival<'_>| {
            let field = received(&arrival, now());
            field.split(" with ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned()
        };
        let plain = Arrival { tls: None, login: false, ..arrival() };
        assert_eq!(with(plain.clone()), "ESMTP");
        assert_eq!(with(Arrival { extended: false, ..plain.clone() }), "SMTP");
        assert_eq!(with(Arrival { smtputf8: true, ..plain.clone() }), "UTF8SMTP");
        assert_eq!(with(Arrival { login: false, ..arrival() }), "ESMTPS");
        assert_eq!(with(Arrival { tls: None, ..arrival() }), "ESMTPA");
        let six = Arrival { client: Some("2001:db8::1".parse().unwrap()), recipient: None, ..plain.clone() };
        assert!(received(&six, now()).contains("([IPv6:2001:db8::1])\r\n") && !received(&six, now()).contains("for <"));
        assert!(received(&Arrival { client: None, uid: Some(33), ..plain }, now()).contains("(local, user 33)"));
    }

    #[test]
    fn a_clients_name_stays_in_its_place() {
        let field = received(&Arrival { hello: "a)(;\r\nBcc:\u{202e}<x>\"", ..arrival() }, now());
        assert!(field.starts_with("Received: from a????\u{3f}Bcc:??x?? ([192.0.2.1])\r\n\tby "), "{field}");
        assert!(received(&Arrival { hello: "", ..arrival() }, now()).starts_with("Received: from unknown ("));
    }

    #[test]
    fn circles_are_found() {
        let header = |count: usize, line: &str| {
            let text = format!("{}Subject: x\r\n\r\nbody\r\n", line.repeat(count));
            read::read(&mut text.as_bytes(), ReadRules::default()).unwrap().header
        };
        let other = "Received: from a by b with SMTP; Mon, 09 Mar 2026 08:07:06 +0100\r\n";
        assert!(!is_loop(&header(50, other), "mx.example.com") && is_loop(&header(51, other), "mx.example.com"));
        let own = received(&arrival(), now());
        assert!(!is_loop(&header(5, &own), "mx.example.com") && is_loop(&header(6, &own), "mx.example.com"));
        assert!(!is_loop(&header(6, &own), "other.example.com"));
    }
}
