//! What the domain of a sender says in DNS about who may send for it: SPF (RFC 7208), evaluated for an address that the
//! mail comes from, DKIM keys (RFC 6376), DMARC (RFC 7489).
//!
//! Records come from a `Zone`, so that everything here is values.

use super::spf::{self, Outcome, Sending, Verdict, Zone};
use serde::Serialize;
use std::net::IpAddr;

/// Where mail of the domain comes from, as receivers see it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'s> {
    /// From a provider whose servers this name lists: one of them stands for all.
    Include(&'s str),
    /// From this provider, with a domain of its own in MAIL.
    ProvidersDomain(&'s str),
    /// From this address, as somebody said.
    Address(IpAddr),
    /// From the server that takes it, perhaps: at this address.
    Server(IpAddr),
    /// That is not known.
    Unknown,
}

/// One line about a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Said {
    /// `SPF`, `DKIM` or `DMARC`.
    pub about: &'static str,
    /// As it should be.
    pub ok: bool,
    /// What is so, and what mends it.
    pub what: String,
}

fn said(about: &'static str, ok: bool, what: impl Into<String>) -> Said {
    Said { about, ok, what: what.into() }
}

/// Everything about a domain.
pub(super) fn look(domain: &str, source: &Source<'_>, selector: Option<&str>, zone: &dyn Zone) -> Vec<Said> {
    let mut all = vec![spf(domain, source, zone)];
    all.extend(selector.map(|selector| dkim(domain, selector, zone)));
    all.push(dmarc(domain, zone));
    all
}

fn spf(domain: &str, source: &Source<'_>, zone: &dyn Zone) -> Said {
    match source {
        Source::ProvidersDomain(provider) => said(
            "SPF",
            true,
            format!("not looked at: {provider} puts a domain of its own into MAIL, and DKIM speaks for {domain}"),
        ),
        Source::Include(include) => match spf::some_address(zone, include) {
            Err(why) => said("SPF", false, why),
            Ok(None) => said(
                "SPF",
                false,
                format!("{include} names no address here, so that nothing can be said: is the name server right?"),
            ),
            Ok(Some(ip)) => judged(domain, ip, &format!("{ip} of {include}"), &format!("include:{include}"), zone),
        },
        Source::Address(ip) => {
            judged(domain, *ip, &ip.to_string(), &format!("ip{}:{ip}", if ip.is_ipv4() { 4 } else { 6 }), zone)
        }
        Source::Server(ip) if is_public(*ip) => {
            let mut said = judged(
                domain,
                *ip,
                &format!("{ip}, the server's own address"),
                &format!("ip{}:{ip}", if ip.is_ipv4() { 4 } else { 6 }),
                zone,
            );
            if !said.ok {
                said.what.push_str("; if it sends from another address, --sends-from ADDRESS asks for that one");
            }
            said
        }
        Source::Server(_) | Source::Unknown => sound(domain, zone),
    }
}

/// What a receiver of mail from that address says, and the term that would mend it.
fn judged(domain: &str, ip: IpAddr, of: &str, term: &str, zone: &dyn Zone) -> Said {
    let Outcome { verdict, why } = spf::check_host(zone, domain, sending(ip, domain, &sender(domain)));
    let text = text(domain, zone);
    match verdict {
        Verdict::Pass => said("SPF", true, format!("pass for {of} by {why}, of {text}")),
        Verdict::None => said("SPF", false, format!("{why}; add TXT \"v=spf1 {term} ~all\"")),
        Verdict::TempError | Verdict::PermError => said("SPF", false, format!("{verdict}: {why}")),
        Verdict::Fail | Verdict::SoftFail | Verdict::Neutral => {
            let mend = format!("v=spf1 {term}{}", text.get(6..).unwrap_or_default());
            said("SPF", false, format!("{verdict} for {of} ({why}); make it \"{mend}\""))
        }
    }
}

/// Whether there is a record that can be evaluated, where it is not known who sends.
fn sound(domain: &str, zone: &dyn Zone) -> Said {
    let nobody = IpAddr::from([127, 0, 0, 1]);
    let Outcome { verdict, why } = spf::check_host(zone, domain, sending(nobody, domain, &sender(domain)));
    match verdict {
        Verdict::None => said("SPF", false, format!("{why}; add TXT \"v=spf1 ... ~all\" with the addresses that send")),
        Verdict::TempError | Verdict::PermError => said("SPF", false, format!("{verdict}: {why}")),
        _ => {
            let what = "which address receivers see is not known; --sends-from ADDRESS asks for it";
            said("SPF", true, format!("{} ({what})", text(domain, zone)))
        }
    }
}

fn sender(domain: &str) -> String {
    format!("postmaster@{domain}")
}

fn sending<'s>(ip: IpAddr, helo: &'s str, sender: &'s str) -> Sending<'s> {
    Sending { ip, sender, helo }
}

/// The record itself, to be shown.
fn text(domain: &str, zone: &dyn Zone) -> String {
    let texts = zone.texts(domain).unwrap_or_default();
    texts.into_iter().find(|text| spf::record::is_spf(text)).unwrap_or_default()
}

/// Whether others than this network see the address.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified())
        }
    }
}

fn dkim(domain: &str, selector: &str, zone: &dyn Zone) -> Said {
    let name = format!("{selector}._domainkey.{domain}");
    match zone.texts(&name) {
        Err(why) => said("DKIM", false, why),
        Ok(texts) => match texts.iter().find_map(|text| tag(text, "p")) {
            Some("") => said("DKIM", false, format!("the key at {name} was withdrawn (p= is empty)")),
            Some(_) => said("DKIM", true, format!("there is a key at {name}")),
            None => said("DKIM", false, format!("there is no key at {name}; add the record that the provider shows")),
        },
    }
}

/// At the domain itself, else at the nearest one above that has a policy.
fn dmarc(domain: &str, zone: &dyn Zone) -> Said {
    let mut at = Some(domain);
    while let Some(name) = at.filter(|name| name.contains('.')) {
        let texts = match zone.texts(&format!("_dmarc.{name}")) {
            Ok(texts) => texts,
            Err(why) => return said("DMARC", false, why),
        };
        let found =
            texts.iter().find(|text| tag(text, "v").is_some_and(|version| version.eq_ignore_ascii_case("DMARC1")));
        if let Some(text) = found {
            let above = if name == domain { String::new() } else { format!(" (of {name})") };
            let policy = tag(text, "sp").filter(|_| name != domain).or_else(|| tag(text, "p"));
            return match policy {
                Some("none") => {
                    said("DMARC", true, format!("policy none{above}: what fails is delivered and reported"))
                }
                Some(policy @ ("quarantine" | "reject")) => {
                    said("DMARC", true, format!("policy {policy}{above}: mail must pass SPF or DKIM for {domain}"))
                }
                _ => said("DMARC", false, format!("the record of {name} has no policy; add p=none")),
            };
        }
        at = name.split_once('.').map(|(_, above)| above);
    }
    let what = format!(
        "{domain} has no DMARC record, which large receivers ask for; add TXT _dmarc.{domain} \"v=DMARC1; p=none\""
    );
    said("DMARC", false, what)
}

/// The value of a tag in `a=b; c=d`.
fn tag<'t>(text: &'t str, wanted: &str) -> Option<&'t str> {
    let mut tags = text.split(';').filter_map(|part| part.split_once('='));
    tags.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TXT records alone: every name has them by this function.
    struct Texts<F>(F);

    impl<F: Fn(&str) -> Result<Vec<String>, String>> Zone for Texts<F> {
        fn texts(&self, name: &str) -> Result<Vec<String>, String> {
            (self.0)(name)
        }

        fn addresses(&self, _: &str, _: bool) -> Result<Vec<IpAddr>, String> {
            Ok(Vec::new())
        }

        fn exchanges(&self, _: &str) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }

        fn names(&self, _: IpAddr) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }
    }

    fn zone(name: &str) -> Result<Vec<String>, String> {
        let texts: &[&str] = match name {
            "good.test" => &["google=x", "v=spf1 include:mail.good.test -all"],
            "mail.good.test" => &["V=SPF1 redirect=_spf.provider.test"],
            "_spf.provider.test" => &["v=spf1 ip4:203.0.113.0/24 ~all"],
            "bad.test" => &["v=spf1 a -all"],
            "two.test" => &["v=spf1 -all", "v=spf1 ~all"],
            "loop.test" => &["v=spf1 include:loop.test"],
            "_dmarc.good.test" => &["v=DMARC1; p=reject; sp=none"],
            "_dmarc.bad.test" => &["v=DMARC1"],
            "s1._domainkey.good.test" => &["v=DKIM1; k=rsa; p=MIIB"],
            "s2._domainkey.good.test" => &["v=DKIM1; p="],
            "broken.test" => return Err("no answer".into()),
            _ => &[],
        };
        Ok(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    fn of(domain: &str, selector: Option<&str>) -> Vec<(bool, String)> {
        from(domain, Source::Include("_spf.provider.test"), selector)
    }

    fn from(domain: &str, source: Source<'_>, selector: Option<&str>) -> Vec<(bool, String)> {
        look(domain, &source, selector, &Texts(zone)).into_iter().map(|said| (said.ok, said.what)).collect()
    }

    #[test]
    fn good_and_bad_domains() {
        let good = of("good.test", Some("s1"));
        assert!(good.iter().all(|(ok, _)| *ok), "{good:?}");
        assert_eq!(
            good[0].1,
            "pass for 203.0.113.0 of _spf.provider.test by include:mail.good.test, redirect=_spf.provider.test, \
             ip4:203.0.113.0/24, of v=spf1 include:mail.good.test -all"
        );
        assert!(good[2].1.starts_with("policy reject: "));
        assert!(!of("good.test", Some("s2"))[1].0 && !of("good.test", Some("s3"))[1].0);
        let bad = of("bad.test", None);
        assert_eq!(
            bad[0],
            (
                false,
                "fail for 203.0.113.0 of _spf.provider.test (-all); make it \"v=spf1 include:_spf.provider.test a -all\""
                    .into()
            )
        );
        assert!(!bad[1].0);
        assert!(of("two.test", None)[0].1.contains("more than one SPF record"));
        assert!(of("loop.test", None)[0].1.contains("more than 10 lookups"));
        assert_eq!(of("broken.test", None)[0], (false, "temperror: no answer".into()));
        let none = of("none.test", None);
        assert!(none[0].1.contains("no SPF record") && none[1].1.contains("_dmarc.none.test"));
        assert!(of("sub.good.test", None)[1].1.contains("policy none (of good.test)"));
    }

    #[test]
    fn where_mail_comes_from() {
        let first = |domain, source| from(domain, source, None).swap_remove(0);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(first("good.test", Source::Address(ip("203.0.113.9"))).0);
        let other = first("good.test", Source::Address(ip("2001:db8::1")));
        assert!(!other.0 && other.1.contains("make it \"v=spf1 ip6:2001:db8::1 include:"), "{other:?}");
        let server = first("good.test", Source::Server(ip("198.51.100.1")));
        assert!(!server.0 && server.1.contains("--sends-from"), "{server:?}");
        let inside = first("good.test", Source::Server(ip("10.0.0.1")));
        assert!(inside.0 && inside.1.contains("not known"), "{inside:?}");
        assert!(!first("loop.test", Source::Unknown).0 && !first("none.test", Source::Unknown).0);
        assert!(first("none.test", Source::ProvidersDomain("ses")).0);
        assert!(!first("good.test", Source::Include("none.test")).0);
    }

    proptest::proptest! {
        #[test]
        fn any_record_is_read(text in "(v=spf1 )?\\PC{0,60}", name in "[a-z.]{0,20}") {
            let zone = Texts(|_: &str| Ok(vec![text.clone()]));
            proptest::prop_assert!(look(&name, &Source::Include("x.test"), Some("s"), &zone).len() == 3);
        }
    }
}
