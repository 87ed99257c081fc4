//! Appendix A of RFC 7208, and the limits of its section 4.6.4.

use super::*;
use std::cell::RefCell;

/// The zone of Appendix A, with one record for the domain that is asked.
struct Example<'z> {
    texts: &'z [(&'z str, &'z str)],
    asked: RefCell<Vec<String>>,
}

impl Zone for Example<'_> {
    fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        if name == "silent.example.com" {
            return Err("no answer".into());
        }
        let own = self.texts.iter().filter(|(domain, _)| *domain == name);
        Ok(own.map(|(_, text)| (*text).to_owned()).collect())
    }

    fn addresses(&self, name: &str, v6: bool) -> Result<Vec<IpAddr>, String> {
        self.asked.borrow_mut().push(name.to_owned());
        let all: &[&str] = match name {
            "example.com" | "www.example.com" => &["192.0.2.10", "192.0.2.11", "2001:db8::10"],
            "amy.example.com" => &["192.0.2.65"],
            "bob.example.com" => &["192.0.2.66"],
            "mail-a.example.com" => &["192.0.2.129"],
            "mail-b.example.com" => &["192.0.2.130"],
            "mail-c.example.org" => &["192.0.2.140"],
            "mary.mobile-users._spf.example.com" => &["127.0.0.2"],
            _ => &[],
        };
        let all = all.iter().map(|text| text.parse::<IpAddr>().unwrap());
        Ok(all.filter(|address| address.is_ipv6() == v6).collect())
    }

    fn exchanges(&self, name: &str) -> Result<Vec<String>, String> {
        Ok(match name {
            "example.com" => vec!["mail-a.example.com.".into(), "mail-b.example.com.".into()],
            "example.org" => vec!["mail-c.example.org.".into()],
            "many.example.com" => (0..11).map(|number| format!("mx{number}.example.com.")).collect(),
            _ => Vec::new(),
        })
    }

    fn names(&self, address: IpAddr) -> Result<Vec<String>, String> {
        let name = match address.to_string().as_str() {
            "192.0.2.10" | "192.0.2.11" => "example.com.",
            "192.0.2.65" => "amy.example.com.",
            "192.0.2.140" => "mail-c.example.org.",
            // Its name does not lead back to it.
            "10.0.0.4" => "bob.example.com.",
            _ => return Ok(Vec::new()),
        };
        Ok(vec![name.into()])
    }
}

fn example<'z>(texts: &'z [(&'z str, &'z str)]) -> Example<'z> {
    Example { texts, asked: RefCell::default() }
}

fn outcome(texts: &[(&str, &str)], ip: &str) -> Outcome {
    let sending = Sending { ip: ip.parse().unwrap(), sender: "mary@example.com", helo: "mx.example.com" };
    check_host(&example(texts), texts[0].0, sending)
}

fn verdict(record: &str, ip: &str) -> Verdict {
    outcome(&[("example.com", record)], ip).verdict
}

#[test]
fn simple_examples() {
    let cases: [(&str, &[&str], &[&str]); 10] = [
        ("v=spf1 +all", &["192.0.2.1", "10.0.0.1", "2001:db8::1"], &[]),
        ("v=spf1 a -all", &["192.0.2.10", "192.0.2.11", "2001:db8::10"], &["192.0.2.65", "2001:db8::11"]),
        ("v=spf1 a:example.org -all", &[], &["192.0.2.10", "192.0.2.140"]),
        ("v=spf1 mx -all", &["192.0.2.129", "192.0.2.130", "::ffff:192.0.2.129"], &["192.0.2.10", "192.0.2.140"]),
        ("v=spf1 mx:example.org -all", &["192.0.2.140"], &["192.0.2.129"]),
        ("v=spf1 mx mx:example.org -all", &["192.0.2.129", "192.0.2.130", "192.0.2.140"], &["192.0.2.65"]),
        ("v=spf1 mx/30 mx:example.org/30 -all", &["192.0.2.131", "192.0.2.143"], &["192.0.2.132", "192.0.2.144"]),
        ("v=spf1 ptr -all", &["192.0.2.65", "192.0.2.10"], &["192.0.2.140", "10.0.0.4"]),
        ("v=spf1 ip4:192.0.2.128/28 -all", &["192.0.2.129"], &["192.0.2.65", "2001:db8::1"]),
        ("v=spf1 ip6:2001:db8::/32 -all", &["2001:db8:1::1"], &["192.0.2.65", "2001:db9::1"]),
    ];
    for (record, passing, failing) in cases {
        passing.iter().for_each(|ip| assert_eq!(verdict(record, ip), Verdict::Pass, "{record} {ip}"));
        failing.iter().for_each(|ip| assert_eq!(verdict(record, ip), Verdict::Fail, "{record} {ip}"));
    }
    assert_eq!(verdict("v=spf1 ~all", "192.0.2.1"), Verdict::SoftFail);
    assert_eq!(verdict("v=spf1 ?all", "192.0.2.1"), Verdict::Neutral);
    assert_eq!(verdict("v=spf1", "192.0.2.1"), Verdict::Neutral);
    assert_eq!(verdict("something else", "192.0.2.1"), Verdict::None);
}

#[test]
fn several_domains() {
    let texts = [
        ("example.org", "v=spf1 include:example.com include:example.net -all"),
        ("example.com", "v=spf1 a -all"),
        ("example.net", "v=spf1 ip4:203.0.113.0/24 ?all"),
        ("la.example.org", "v=spf1 redirect=example.org"),
    ];
    let pass = outcome(&texts, "192.0.2.10");
    assert_eq!((pass.verdict, pass.why.as_str()), (Verdict::Pass, "include:example.com, a"));
    assert_eq!(outcome(&texts, "203.0.113.9").verdict, Verdict::Pass);
    assert_eq!(outcome(&texts, "192.0.2.65"), Outcome { verdict: Verdict::Fail, why: "-all".into() });
    let redirected = outcome(&[texts[3], texts[0], texts[1], texts[2]], "192.0.2.10");
    assert_eq!(redirected.why, "redirect=example.org, include:example.com, a");
    // What an `all` leaves to a redirect is nothing.
    assert_eq!(
        outcome(&[("example.com", "v=spf1 redirect=none.example.org -all")], "192.0.2.1").verdict,
        Verdict::Fail
    );
    for record in ["v=spf1 include:none.example.org -all", "v=spf1 redirect=none.example.org"] {
        assert_eq!(verdict(record, "192.0.2.1"), Verdict::PermError, "{record}");
    }
    assert_eq!(verdict("v=spf1 include:silent.example.com -all", "192.0.2.1"), Verdict::TempError);
}

#[test]
fn names_by_macros() {
    let record = "v=spf1 mx -exists:%{ir}.sbl.example.org exists:%{l}.mobile-users._spf.%{d} -all";
    let texts = [("example.com", record)];
    let zone = example(&texts);
    let sending = Sending { ip: "192.0.2.1".parse().unwrap(), sender: "mary@example.com", helo: "mx.example.com" };
    assert_eq!(check_host(&zone, "example.com", sending).verdict, Verdict::Pass);
    assert!(zone.asked.borrow().contains(&"1.2.0.192.sbl.example.org".to_owned()));
    let other = Sending { sender: "fred@example.com", ..sending };
    assert_eq!(check_host(&zone, "example.com", other).verdict, Verdict::Fail);
}

#[test]
fn limits_and_faults() {
    let texts = [("example.com", "v=spf1 -all"), ("example.com", "v=spf1 ~all")];
    assert!(outcome(&texts, "192.0.2.1").why.contains("more than one SPF record"));
    let ten = "v=spf1 a a a a a a a a a a -all";
    assert_eq!(verdict(ten, "192.0.2.1"), Verdict::Fail);
    let eleven = outcome(&[("example.com", "v=spf1 a a a a a a a a a a a -all")], "192.0.2.1");
    assert!(eleven.verdict == Verdict::PermError && eleven.why.contains("more than 10 lookups"), "{eleven:?}");
    // A match before the limit is one.
    assert_eq!(verdict("v=spf1 a a a a a a a a a a a -all", "192.0.2.10"), Verdict::Pass);
    assert_eq!(verdict("v=spf1 include:example.com -all", "192.0.2.1"), Verdict::PermError);
    assert_eq!(verdict("v=spf1 a:v1.example.com a:v2.example.com -all", "192.0.2.1"), Verdict::Fail);
    let voids =
        outcome(&[("example.com", "v=spf1 a:v1.example.com a:v2.example.com a:v3.example.com -all")], "192.0.2.1");
    assert!(voids.why.contains("find nothing, the last one v3.example.com"), "{voids:?}");
    assert_eq!(verdict("v=spf1 mx:many.example.com -all", "192.0.2.1"), Verdict::PermError);
    // A fault counts wherever it stands.
    let fault = outcome(&[("example.com", "v=spf1 +all foo")], "192.0.2.1");
    assert_eq!(fault, Outcome { verdict: Verdict::PermError, why: "example.com: \"foo\" is no term of SPF".into() });
    assert_eq!(outcome(&[("localhost", "v=spf1 +all")], "192.0.2.1").verdict, Verdict::None);
}

#[test]
fn an_address_of_a_provider() {
    let texts = [
        ("provider.example", "v=spf1 -ip4:198.51.100.1 include:a.provider.example ~all"),
        ("a.provider.example", "v=spf1 exists:%{i}.x.example ip4:203.0.113.0/24 ip6:2001:db8::/32 ~all"),
        ("loop.example", "v=spf1 include:loop.example -all"),
    ];
    let zone = example(&texts);
    assert!(some_address(&zone, "provider.example").unwrap().is_some_and(|ip| verdict_of(&texts, ip) == Verdict::Pass));
    assert_eq!(some_address(&zone, "loop.example"), Ok(None));
    assert_eq!(some_address(&zone, "none.example"), Ok(None));
}

fn verdict_of(texts: &[(&str, &str)], ip: IpAddr) -> Verdict {
    outcome(texts, &ip.to_string()).verdict
}
