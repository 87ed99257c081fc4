//! The text of an SPF record as terms (RFC 7208 sections 4.6.1, 5 and 6). A record with any fault is none: `Err` says
//! which term it is.

use std::net::IpAddr;

/// What the terms of a record are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Mechanisms with their qualifiers, in their order.
    pub directives: Vec<Directive>,
    /// `redirect=`.
    pub redirect: Option<String>,
}

/// A mechanism and what it says of who matches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// `+`, `-`, `~` or `?`.
    pub qualifier: char,
    /// The mechanism.
    pub mechanism: Mechanism,
    /// As it was written.
    pub text: String,
}

/// Who matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Everybody.
    All,
    /// Who passes another domain's record.
    Include(String),
    /// The addresses of a name (none: of the domain itself), with prefix lengths for IPv4 and IPv6.
    A(Option<String>, u8, u8),
    /// The mail servers of a name.
    Mx(Option<String>, u8, u8),
    /// Who has a name below this one.
    Ptr(Option<String>),
    /// A network.
    Net(IpAddr, u8),
    /// Everybody, where this name exists.
    Exists(String),
}

/// Whether a TXT record is an SPF record at all.
pub fn is_spf(text: &str) -> bool {
    let starts = text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("v=spf1"));
    starts && matches!(text.as_bytes().get(6), None | Some(b' '))
}

impl Record {
    /// Reads a record that `is_spf`.
    ///
    /// # Errors
    /// The first term that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut record = Self::default();
        let mut explained = false;
        for term in text.get(6..).unwrap_or_default().split(' ').filter(|term| !term.is_empty()) {
            let fault = || format!("\"{term}\" is no term of SPF");
            match modifier(term) {
                Some((name, value)) if name.eq_ignore_ascii_case("redirect") => {
                    if record.redirect.replace(domain_spec(value).ok_or_else(fault)?).is_some() {
                        return Err("redirect= stands twice".into());
                    }
                }
                Some((name, value)) if name.eq_ignore_ascii_case("exp") => {
                    if std::mem::replace(&mut explained, true) || domain_spec(value).is_none() {
                        return Err(fault());
                    }
                }
                Some((_, value)) => {
                    super::macros::check(value).map_err(|_| fault())?;
                }
                None => record.directives.push(directive(term).ok_or_else(fault)?),
            }
        }
        Ok(record)
    }
}

/// `name=value`, where the name is one: a mechanism has no `=` before its `:` or `/`.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
    is_name.then_some((name, value))
}

fn directive(term: &str) -> Option<Directive> {
    let (qualifier, rest) = match term.chars().next()? {
        sign @ ('+' | '-' | '~' | '?') => (sign, &term[1..]),
        _ => ('+', term),
    };
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(domain_spec(rest.strip_prefix(':')?)?),
        "exists" => Mechanism::Exists(domain_spec(rest.strip_prefix(':')?)?),
        "a" => with_lengths(rest).map(|(name, v4, v6)| Mechanism::A(name, v4, v6))?,
        "mx" => with_lengths(rest).map(|(name, v4, v6)| Mechanism::Mx(name, v4, v6))?,
        "ptr" if rest.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(domain_spec(rest.strip_prefix(':')?)?)),
        "ip4" => network(rest.strip_prefix(':')?, false)?,
        "ip6" => network(rest.strip_prefix(':')?, true)?,
        _ => return None,
    };
    Some(Directive { qualifier, mechanism, text: term.to_owned() })
}

/// `[:name][/n][//n]`.
fn with_lengths(rest: &str) -> Option<(Option<String>, u8, u8)> {
    let (rest, v6) = match rest.split_once("//") {
        Some((rest, digits)) => (rest, length(digits, 128)?),
        None => (rest, 128),
    };
    // A macro may hold a slash: the length is behind the last one, outside braces.
    let (rest, v4) = match rest.rsplit_once('/').filter(|(_, digits)| !digits.contains('}')) {
        Some((rest, digits)) => (rest, length(digits, 32)?),
        None => (rest, 32),
    };
    let name = match rest.strip_prefix(':') {
        Some(name) => Some(domain_spec(name)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some((name, v4, v6))
}

/// Digits without a leading zero.
fn length(digits: &str, most: u8) -> Option<u8> {
    let plain = digits.bytes().all(|octet| octet.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    digits.parse().ok().filter(|number| plain && *number <= most)
}

fn network(text: &str, v6: bool) -> Option<Mechanism> {
    let (address, digits) = text.split_once('/').map_or((text, None), |(address, digits)| (address, Some(digits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if v6 { 128 } else { 32 };
    let length = digits.map_or(Some(most), |digits| length(digits, most))?;
    (address.is_ipv6() == v6).then_some(Mechanism::Net(address, length))
}

/// A name with macros: not empty, and at its end a label or a macro (section 7.1).
fn domain_spec(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let (body, last) = text.rsplit_once('.').unwrap_or(("", text));
    let is_label = |label: &str| {
        label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().any(|octet| !octet.is_ascii_digit())
    };
    let ends = last.ends_with('}') || text.ends_with('}') || (!body.is_empty() && is_label(last));
    (ends && super::macros::check(text).is_ok()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_of_every_kind() {
        let record = Record::parse(
            "v=spf1  a -MX:mail.example.com/24//64 ~a/30 ?include:%{d2}.x.%{i} ip4:192.0.2.0/24 ip6:2001:db8::/32 \
             exists:%{ir}.sbl.example.org ptr redirect=_spf.example.com exp=e.example.com unknown=%{s}x -all",
        )
        .unwrap();
        let mechanisms: Vec<(char, Mechanism)> =
            record.directives.into_iter().map(|directive| (directive.qualifier, directive.mechanism)).collect();
        assert_eq!(mechanisms.len(), 9);
        assert_eq!(mechanisms[0], ('+', Mechanism::A(None, 32, 128)));
        assert_eq!(mechanisms[1], ('-', Mechanism::Mx(Some("mail.example.com".into()), 24, 64)));
        assert_eq!(mechanisms[2], ('~', Mechanism::A(None, 30, 128)));
        assert_eq!(mechanisms[4], ('+', Mechanism::Net("192.0.2.0".parse().unwrap(), 24)));
        assert_eq!(mechanisms[8], ('-', Mechanism::All));
        assert_eq!(record.redirect.as_deref(), Some("_spf.example.com"));
    }

    #[test]
    fn what_is_no_term() {
        for term in [
            "all:x",
            "include",
            "include:",
            "ip4:192.0.2",
            "ip4:192.0.2.1/33",
            "ip4:192.0.2.1/08",
            "ip6:192.0.2.1",
            "a:",
            "a/33",
            "mx//129",
            "foo",
            "a:%{x}.example.com",
            "include:%",
            "ip4:",
            "-",
            "a:example",
            "ptr:",
            "1x=y",
            "redirect=",
            "redirect=a.example.com redirect=b.example.com",
            "exp=a.example.com exp=a.example.com",
        ] {
            assert!(Record::parse(&format!("v=spf1 {term}")).is_err(), "{term}");
        }
        assert!(is_spf("v=spf1") && is_spf("V=SPF1 -all") && !is_spf("v=spf10 -all") && !is_spf("spf1"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "( |[+~?-]|a|mx|all|ip4:|include:|/|%\\{[sdir]2?r?\\}|[a-z.0-9=:]){0,20}") {
            let _ = Record::parse(&format!("v=spf1 {text}"));
        }
    }
}
