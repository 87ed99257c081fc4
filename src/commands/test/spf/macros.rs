//! Macros of SPF (RFC 7208 section 7): `%{d2r}` in a name becomes a part of the message at hand.

use std::net::IpAddr;

/// The longest name in DNS.
const NAME: usize = 253;

/// What macros stand for.
#[derive(Clone, Copy, Debug)]
pub struct Values<'v> {
    /// `s`: the whole sender, and with it `l` and `o`.
    pub sender: &'v str,
    /// `d`: the domain whose record it is.
    pub domain: &'v str,
    /// `i` and `v`: the address that the message comes from.
    pub ip: IpAddr,
    /// `h`: the name in HELO.
    pub helo: &'v str,
}

/// Whether a text is one with macros.
pub fn check(text: &str) -> Result<(), ()> {
    let nowhere = Values { sender: "a@b", domain: "b", ip: IpAddr::from([0, 0, 0, 0]), helo: "b" };
    replace(text, &nowhere).map(drop)
}

/// The name that a text with macros is for these values, cut at its left to what DNS takes. `None`: it is no such text.
pub fn expand(text: &str, values: &Values<'_>) -> Option<String> {
    let mut name = replace(text, values).ok()?;
    name.truncate(name.trim_end_matches('.').len());
    while name.len() > NAME {
        name = name.split_once('.')?.1.to_owned();
    }
    Some(name)
}

fn replace(text: &str, values: &Values<'_>) -> Result<String, ()> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(plain(&rest[..at])?);
        let after = rest[at + 1..].chars().next().ok_or(())?;
        rest = &rest[at + 1 + after.len_utf8()..];
        match after {
            '%' => out.push('%'),
            '_' => out.push(' '),
            '-' => out.push_str("%20"),
            '{' => {
                let (inner, behind) = rest.split_once('}').ok_or(())?;
                out.push_str(&one(inner, values)?);
                rest = behind;
            }
            _ => return Err(()),
        }
    }
    out.push_str(plain(rest)?);
    Ok(out)
}

fn plain(text: &str) -> Result<&str, ()> {
    if text.bytes().all(|octet| octet.is_ascii_graphic()) { Ok(text) } else { Err(()) }
}

/// `letter [digits] [r] [delimiters]`.
fn one(inner: &str, values: &Values<'_>) -> Result<String, ()> {
    let letter = inner.chars().next().filter(char::is_ascii_alphabetic).ok_or(())?;
    let (local, own) = values.sender.rsplit_once('@').unwrap_or(("postmaster", values.sender));
    let value = match letter.to_ascii_lowercase() {
        's' => values.sender.to_owned(),
        'l' => local.to_owned(),
        'o' => own.to_owned(),
        'd' => values.domain.to_owned(),
        'i' => dotted(values.ip),
        // Names found backwards: RFC 7208 section 7.3 allows to leave them unknown.
        'p' => "unknown".to_owned(),
        'v' => (if values.ip.is_ipv4() { "in-addr" } else { "ip6" }).to_owned(),
        'h' => values.helo.to_owned(),
        _ => return Err(()),
    };
    let rest = &inner[1..];
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, rest) = rest.split_at(digits);
    let count: Option<usize> = if count.is_empty() { None } else { Some(count.parse().unwrap_or(usize::MAX)) };
    if count == Some(0) {
        return Err(());
    }
    let (backwards, delimiters) = match rest.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
        return Err(());
    }
    let delimiters: Vec<char> = if delimiters.is_empty() { vec!['.'] } else { delimiters.chars().collect() };
    let mut parts: Vec<&str> = value.split(&delimiters[..]).collect();
    if backwards {
        parts.reverse();
    }
    let from = count.map_or(0, |count| parts.len().saturating_sub(count));
    let text = parts[from..].join(".");
    Ok(if letter.is_ascii_uppercase() { escaped(&text) } else { text })
}

/// An IPv6 address as its nibbles.
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

fn escaped(text: &str) -> String {
    let one = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7208 section 7.4.
    #[test]
    fn as_the_standard_shows() {
        let v4 = Values {
            sender: "strong-bad@email.example.com",
            domain: "email.example.com",
            ip: "192.0.2.3".parse().unwrap(),
            helo: "mx.example.org",
        };
        for (text, name) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
            ("%{S}.%%%_%-", "strong-bad%40email.example.com.% %20"),
        ] {
            assert_eq!(expand(text, &v4).as_deref(), Some(name), "{text}");
        }
        let v6 = Values { ip: "2001:db8::cb01".parse().unwrap(), ..v4 };
        let name = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com";
        assert_eq!(expand("%{ir}.%{v}._spf.%{d2}", &v6).as_deref(), Some(name));
        for text in ["%", "%x", "%{", "%{d", "%{d0}", "%{q}", "%{dx}", "a b", "%{c}"] {
            assert!(check(text).is_err(), "{text}");
        }
        assert!(expand(&"%{d}.".repeat(40), &v4).is_some_and(|name| name.len() <= NAME && name.starts_with("email.")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in "(%\\{?[a-z]?[0-9]{0,25}r?[-.+]?\\}?|\\PC){0,12}") {
            let _ = check(&text);
        }
    }
}
