//! One mailbox address, checked to be safe in an SMTP command and in a header.
//!
//! RFC 5321 section 4.1.2 (local part, domain, address literals) and 4.5.3.1 (lengths), RFC 5322 section 3.4.1, RFC 6532
//! (UTF-8). Lists, names and comments are the business of `list`. Values only: never opens a file, never asks DNS, and
//! leaves internationalised domains in the UTF-8 they came in.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

pub use super::list::{Mailbox, parse_argument, parse_list, parse_reverse_path};

/// Longest local part in octets, its quotes among them (RFC 5321 section 4.5.3.1.1).
const LOCAL: usize = 64;
/// Longest domain in octets (RFC 5321 section 4.5.3.1.2).
const DOMAIN: usize = 255;
/// Longest label of an ASCII domain in octets (RFC 1035 section 2.3.4).
const LABEL: usize = 63;

/// A mailbox address `local@domain` that is safe to put into an SMTP command: no control character, no line end, at
/// most 64 octets before and 255 after the at sign (RFC 5321 section 4.5.3.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: String,
    at: usize,
}

impl Address {
    /// A single address without brackets, name or comment: `local@domain`, `"quoted local"@domain`, `local@[192.0.2.1]`.
    ///
    /// Quotes are kept only where the local part needs them, and set where it does (`a..b`), so that one mailbox has
    /// one spelling.
    ///
    /// # Errors
    /// Anything else: white space and control characters outside quotes, no or two at signs, a domain that is neither a
    /// host name nor an address literal, a part that is too long.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        split(text)
            .and_then(|(local, domain)| Self::from_parts(&local, domain))
            .map_err(|why| AddressError::new(text, why))
    }

    /// An address from a local part as it is meant (without quotes and backslashes) and a domain.
    ///
    /// # Errors
    /// What is wrong with either, in plain words.
    pub(super) fn from_parts(local: &str, domain: &str) -> Result<Self, &'static str> {
        if local.is_empty() {
            return Err("there is nothing before the @");
        }
        if local.chars().any(|c| is_unsafe(c) || (c.is_whitespace() && c != ' ')) {
            return Err("it holds a control character or an invisible one");
        }
        let local = if is_dot_atom(local) { local.to_owned() } else { quoted(local) };
        let domain = checked_domain(domain)?;
        if local.len() > LOCAL {
            return Err("the part before the @ is longer than 64 octets");
        }
        Ok(Self { at: local.len(), text: format!("{local}@{domain}") })
    }

    /// The part before the at sign, in quotes where it needs them.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The part after the at sign; a domain literal with its brackets.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The whole address, as it goes into a command between `<` and `>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether SMTPUTF8 is not needed (RFC 6531).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// All in lower case, the domain in its one form: how senders are matched.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}@{}", self.local().to_lowercase(), self.domain_key())
    }

    /// The domain in the one form that all of its spellings have: lower case, Unicode as IDNA maps it. What a server gets
    /// is the ASCII form, which is the same for `example.com` written in other letters of the same look.
    #[must_use]
    pub fn domain_key(&self) -> String {
        domain_key(self.domain())
    }

    /// The local part to the letter, the domain in lower case: when two recipients are the same mailbox.
    #[must_use]
    pub fn canonical(&self) -> String {
        format!("{}@{}", self.local(), self.domain().to_lowercase())
    }

    /// `user+detail@domain` as `user@domain`.
    #[must_use]
    pub fn without_detail(&self) -> Option<Self> {
        let (user, _) = self.local().split_once('+').filter(|(user, _)| !user.is_empty())?;
        Self::parse(&format!("{user}@{}", self.domain())).ok()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// The text, control characters made visible, shortened to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl AddressError {
    /// An error about `text`, of which only the beginning is kept.
    pub(super) fn new(text: &str, why: &'static str) -> Self {
        Self { text: text.trim().chars().take(80).flat_map(char::escape_debug).take(80).collect(), why }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no address: {}", self.text, self.why)
    }
}

impl std::error::Error for AddressError {}

/// As `Address::domain_key`, of a domain alone.
#[must_use]
pub fn domain_key(domain: &str) -> String {
    let lower = domain.to_lowercase();
    if lower.is_ascii() && !lower.contains("xn--") {
        return lower;
    }
    match idna::domain_to_unicode(&lower) {
        (mapped, Ok(())) if !mapped.is_empty() => mapped,
        _ => lower,
    }
}

/// Whether a character may stand in an atom (RFC 5322 `atext`, widened by RFC 6532).
pub(super) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_whitespace() && !is_unsafe(c))
}

/// Text in double quotes, with backslashes where the quotes need them (RFC 5322 section 3.2.4).
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Characters that no address may hold, quoted or not: controls, what cannot be seen and turns text around, and the
/// mark of bytes that were no UTF-8.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffd}')
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// Cuts an address at its at sign; the local part comes without quotes.
fn split(text: &str) -> Result<(String, &str), &'static str> {
    let Some(inside) = text.strip_prefix('"') else {
        let (local, domain) = text.split_once('@').ok_or("it has no @")?;
        if !local.chars().all(|c| c == '.' || is_atext(c)) {
            return Err("the part before the @ holds a character that needs quotes, or none may hold");
        }
        return Ok((local.to_owned(), domain));
    };
    let mut local = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                return inside[at + 1..].strip_prefix('@').map(|domain| (local, domain)).ok_or("no @ after the quotes");
            }
            '\\' => local.push(chars.next().ok_or("the quotes are not closed")?.1),
            _ => local.push(c),
        }
    }
    Err("the quotes are not closed")
}

/// The domain without the dot of the root, if it is a host name or an address literal.
fn checked_domain(domain: &str) -> Result<&str, &'static str> {
    if let Some(literal) = domain.strip_prefix('[') {
        let literal = literal.strip_suffix(']').ok_or("the domain literal is not closed")?;
        return if is_address_literal(literal) {
            Ok(domain)
        } else {
            Err("the domain literal is no IPv4 or IPv6: address")
        };
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.is_empty() {
        return Err("there is nothing after the @");
    }
    if domain.len() > DOMAIN {
        return Err("the domain is longer than 255 octets");
    }
    if domain.split('.').all(is_label) { Ok(domain) } else { Err("the part after the @ is no domain") }
}

fn is_address_literal(text: &str) -> bool {
    match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => text[5..].parse::<Ipv6Addr>().is_ok(),
        _ => text.parse::<Ipv4Addr>().is_ok(),
    }
}

/// One label. The underscore is in no RFC's host names but in many real ones.
fn is_label(label: &str) -> bool {
    let fits = !label.is_empty() && (label.len() <= LABEL || !label.is_ascii());
    let letter = |c: char| matches!(c, '-' | '_') || c.is_ascii_alphanumeric() || (!c.is_ascii() && is_atext(c));
    fits && label.chars().all(letter) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_addresses_get_one_spelling() {
        for (text, want) in [
            ("a@b", "a@b"),
            ("john.q.public@example.com", "john.q.public@example.com"),
            ("\"john\"@example.com", "john@example.com"),
            ("\"j\\ohn\"@example.com", "john@example.com"),
            ("\"john smith\"@example.com", "\"john smith\"@example.com"),
            ("\"a@b\"@example.com", "\"a@b\"@example.com"),
            ("\"q\\\"\\\\\"@example.com", "\"q\\\"\\\\\"@example.com"),
            ("john..doe@example.com", "\"john..doe\"@example.com"),
            ("-rf@example.com", "-rf@example.com"),
            ("a@[192.0.2.1]", "a@[192.0.2.1]"),
            ("a@[ipv6:::1]", "a@[ipv6:::1]"),
            ("a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"),
            ("почта@пример.рф", "почта@пример.рф"),
            ("a@example.com.", "a@example.com"),
            ("a@my_host.lan", "a@my_host.lan"),
            ("o'neil+tag@example.com", "o'neil+tag@example.com"),
        ] {
            assert_eq!(Address::parse(text).map(|a| a.to_string()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn bad_addresses_are_refused() {
        let long_local = format!("{}@b", "a".repeat(65));
        let long_domain = format!("a@{}com", "abcdefg.".repeat(32));
        for text in [
            "",
            "a",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a@b c",
            "<a@b>",
            "a@b>",
            "a@b@c",
            "a@b,c@d",
            "a\n@b",
            "a@b\r\nRCPT",
            "a@b\0",
            "\"a\nb\"@c",
            "\"a\\\nb\"@c",
            "\"a\"b@c",
            "\"a@b",
            "\"\"@b",
            "a@-b",
            "a@b-",
            "a@b..c",
            "a@.b",
            "a@[1.2.3]",
            "a@[IPv6:z]",
            "a@[x]",
            "a@[1.2.3.4",
            "a@b(c)",
            "a\u{a0}@b",
            "a@b\u{200b}",
            "a\u{85}@b",
            "a@b;c",
            "a:b@c",
            "a\\b@c",
            "Joe a@b",
            "a@\"b\"",
            &long_local,
            &long_domain,
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_error_is_short_and_on_one_line() {
        let error = Address::parse(&"\n".repeat(10_000)).unwrap_err().to_string();
        assert!(error.len() < 200 && !error.contains('\n'), "{error}");
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_safe_and_parses_to_itself(text in "\\PC{0,12}@?[a-z\"@. \\[\\]\r\n\\\\-]{0,12}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert!(!address.as_str().chars().any(char::is_control));
                prop_assert_eq!(Address::parse(address.as_str()).unwrap(), address.clone());
                prop_assert_eq!(format!("{}@{}", address.local(), address.domain()), address.to_string());
            }
        }
    }
}
