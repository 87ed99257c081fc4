//! What the domain of a sender says in DNS about who may send for it: SPF (RFC 7208), DKIM keys (RFC 6376), DMARC
//! (RFC 7489). It is read, not evaluated: whether a provider is covered, and what the policy is.
//!
//! Records come from a function, so that everything here is values.

use serde::Serialize;

/// The most lookups that SPF allows (RFC 7208 section 4.6.4).
const LOOKUPS: usize = 10;

/// The TXT records of a name, or why there is no answer.
pub(super) type Records<'r> = dyn Fn(&str) -> Result<Vec<String>, String> + 'r;

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

/// Everything about a domain; `include` is what its SPF record should include.
pub(super) fn look(domain: &str, include: Option<&str>, selector: Option<&str>, records: &Records<'_>) -> Vec<Said> {
    let mut all = vec![spf(domain, include, records)];
    all.extend(selector.map(|selector| dkim(domain, selector, records)));
    all.push(dmarc(domain, records));
    all
}

fn spf(domain: &str, include: Option<&str>, records: &Records<'_>) -> Said {
    let texts = match spf_records(domain, records) {
        Ok(texts) => texts,
        Err(why) => return said("SPF", false, why),
    };
    let wanted = include.map_or("...".into(), |include| format!("include:{include}"));
    match texts.as_slice() {
        [] => said("SPF", false, format!("{domain} has no SPF record; add TXT \"v=spf1 {wanted} ~all\"")),
        [text] => match include {
            None => said("SPF", true, format!("{text} (which include this server needs is not known)")),
            Some(include) => covered(domain, text, include, records),
        },
        more => said("SPF", false, format!("{domain} has {} SPF records, which counts as none; join them", more.len())),
    }
}

fn covered(domain: &str, text: &str, include: &str, records: &Records<'_>) -> Said {
    let mut left = LOOKUPS;
    match includes(text, include, records, &mut left) {
        Ok(true) => said("SPF", true, format!("{text} covers {include}")),
        Ok(false) if left == 0 => said(
            "SPF",
            false,
            format!("the SPF record of {domain} needs more than {LOOKUPS} lookups, which counts as none"),
        ),
        Ok(false) => {
            let mend = format!("v=spf1 include:{include}{}", text.get(6..).unwrap_or_default());
            said("SPF", false, format!("{text} does not cover {include}; make it \"{mend}\""))
        }
        Err(why) => said("SPF", false, why),
    }
}

fn spf_records(domain: &str, records: &Records<'_>) -> Result<Vec<String>, String> {
    let is_spf = |text: &String| {
        text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("v=spf1"))
            && matches!(text.as_bytes().get(6), None | Some(b' '))
    };
    Ok(records(domain)?.into_iter().filter(is_spf).collect())
}

/// Whether a record includes a domain, itself or by what it includes or redirects to.
fn includes(text: &str, wanted: &str, records: &Records<'_>, left: &mut usize) -> Result<bool, String> {
    let targets: Vec<&str> = text.split_ascii_whitespace().filter_map(target).collect();
    if targets.iter().any(|target| target.trim_end_matches('.').eq_ignore_ascii_case(wanted)) {
        return Ok(true);
    }
    // A name with macros is another one for every message.
    for target in targets.into_iter().filter(|target| !target.contains('%')) {
        let Some(fewer) = left.checked_sub(1) else { return Ok(false) };
        *left = fewer;
        for text in spf_records(target, records)? {
            if includes(&text, wanted, records, left)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The domain of `include:` and `redirect=`.
fn target(word: &str) -> Option<&str> {
    let word = word.strip_prefix('+').unwrap_or(word);
    let start = word.get(..8)?;
    let target = match () {
        () if start.eq_ignore_ascii_case("include:") => &word[8..],
        () => word.get(..9).filter(|start| start.eq_ignore_ascii_case("redirect=")).map(|_| &word[9..])?,
    };
    (!target.is_empty() && target.len() <= 255).then_some(target)
}

fn dkim(domain: &str, selector: &str, records: &Records<'_>) -> Said {
    let name = format!("{selector}._domainkey.{domain}");
    match records(&name) {
        Err(why) => said("DKIM", false, why),
        Ok(texts) => match texts.iter().find_map(|text| tag(text, "p")) {
            Some("") => said("DKIM", false, format!("the key at {name} was withdrawn (p= is empty)")),
            Some(_) => said("DKIM", true, format!("there is a key at {name}")),
            None => said("DKIM", false, format!("there is no key at {name}; add the record that the provider shows")),
        },
    }
}

/// At the domain itself, else at the nearest one above that has a policy.
fn dmarc(domain: &str, records: &Records<'_>) -> Said {
    let mut at = Some(domain);
    while let Some(name) = at.filter(|name| name.contains('.')) {
        let texts = match records(&format!("_dmarc.{name}")) {
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

    fn zone(name: &str) -> Result<Vec<String>, String> {
        let texts: &[&str] = match name {
            "good.test" => &["google=x", "v=spf1 include:mail.good.test -all"],
            "mail.good.test" => &["V=SPF1 redirect=_spf.provider.test"],
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
        let all = look(domain, Some("_spf.provider.test"), selector, &zone);
        all.into_iter().map(|said| (said.ok, said.what)).collect()
    }

    #[test]
    fn good_and_bad_domains() {
        let good = of("good.test", Some("s1"));
        assert!(good.iter().all(|(ok, _)| *ok), "{good:?}");
        assert!(good[2].1.starts_with("policy reject: "));
        assert!(!of("good.test", Some("s2"))[1].0 && !of("good.test", Some("s3"))[1].0);
        let bad = of("bad.test", None);
        assert_eq!(
            bad[0],
            (
                false,
                "v=spf1 a -all does not cover _spf.provider.test; make it \"v=spf1 include:_spf.provider.test a -all\""
                    .into()
            )
        );
        assert!(!bad[1].0);
        assert!(of("two.test", None)[0].1.contains("2 SPF records"));
        assert!(of("loop.test", None)[0].1.contains("more than 10 lookups"));
        assert_eq!(of("broken.test", None)[0], (false, "no answer".into()));
        let none = of("none.test", None);
        assert!(none[0].1.contains("no SPF record") && none[1].1.contains("_dmarc.none.test"));
        assert!(of("sub.good.test", None)[1].1.contains("policy none (of good.test)"));
    }

    proptest::proptest! {
        #[test]
        fn any_record_is_read(text in "(v=spf1 )?\\PC{0,60}", name in "[a-z.]{0,20}") {
            let records = |_: &str| Ok(vec![text.clone()]);
            proptest::prop_assert!(look(&name, Some("x.test"), Some("s"), &records).len() == 3);
        }
    }
}
