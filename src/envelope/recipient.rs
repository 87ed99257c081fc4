//! What was asked about one recipient's notifications: NOTIFY and ORCPT (RFC 3461 sections 4.1 and 4.2), and ORCPT's
//! address types `rfc822` and `utf-8` (RFC 6533 section 3).
//!
//! An original recipient is checked where it comes in, whatever way it comes: from SMTP, from the daemon's socket, from
//! the queue. So nothing in it can end a command or begin a header field.

use super::Notify;
use crate::message::address::Address;
use crate::smtp::xtext;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};

/// The longest value of ORCPT, characters (RFC 3461 section 4.2).
const LONGEST: usize = 500;
/// The longest that is read back, octets: of 500 characters beyond ASCII, each may be written with ten.
const STORED: usize = 10 * LONGEST;
/// The address type of what is not ASCII.
const UTF8: &str = "utf-8";

/// What was asked about one recipient's notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientDsn {
    /// NOTIFY of this recipient, before that of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// ORCPT: who the message was for at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orcpt: Option<OriginalRecipient>,
}

impl RecipientDsn {
    /// Whether nothing was asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notify.is_none() && self.orcpt.is_none()
    }
}

/// Who a message was for at first, as the first sender wrote it: an address type and an address of that type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OriginalRecipient {
    /// An atom: letters, digits and hyphens; `utf-8` in lower case.
    kind: String,
    /// Decoded; not empty, no control characters, ASCII unless the type is `utf-8`.
    address: String,
}

impl OriginalRecipient {
    /// Of an address: `rfc822`, or `utf-8` where it is not ASCII.
    #[must_use]
    pub fn of(address: &str) -> Self {
        let kind = if address.is_ascii() { "rfc822" } else { UTF8 };
        Self { kind: kind.to_owned(), address: address.to_owned() }
    }

    /// Reads the value of ORCPT: an atom, a semicolon, an xtext; at most 500 characters. `None` for what is none.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        if value.chars().count() > LONGEST { None } else { Self::read(value) }
    }

    fn read(value: &str) -> Option<Self> {
        let (kind, encoded) = value.split_once(';').filter(|_| value.len() <= STORED)?;
        let utf8 = kind.eq_ignore_ascii_case(UTF8);
        let decoded = xtext::decode(encoded)?;
        let address = if utf8 { unescape(&decoded)? } else { decoded };
        let atom = !kind.is_empty() && kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        let sound = !address.is_empty() && !address.chars().any(char::is_control) && (utf8 || address.is_ascii());
        let kind = if utf8 { UTF8 } else { kind };
        (atom && sound).then(|| Self { kind: kind.to_owned(), address })
    }

    /// The value of ORCPT. `unicode`: this transaction has SMTPUTF8, so that a `utf-8` address goes as it is. `None` where
    /// it became longer than the 500 characters that are allowed.
    #[must_use]
    pub fn parameter(&self, unicode: bool) -> Option<String> {
        Some(self.write(unicode)).filter(|value| value.chars().count() <= LONGEST)
    }

    /// For a delivery status (RFC 3464 section 2.3.1): `rfc822; user@example.com`, in printable ASCII.
    #[must_use]
    pub fn field(&self) -> String {
        let address = if self.kind == UTF8 { escape(&self.address, false) } else { self.address.clone() };
        format!("{}; {address}", self.kind)
    }

    fn write(&self, unicode: bool) -> String {
        let address = if self.kind == UTF8 { escape(&self.address, unicode) } else { xtext::encode(&self.address) };
        format!("{};{address}", self.kind)
    }
}

impl From<&Address> for OriginalRecipient {
    fn from(address: &Address) -> Self {
        Self::of(address.as_str())
    }
}

impl fmt::Display for OriginalRecipient {
    /// As `parameter` without SMTPUTF8, whatever the length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(false))
    }
}

impl From<OriginalRecipient> for String {
    fn from(original: OriginalRecipient) -> Self {
        original.to_string()
    }
}

impl TryFrom<String> for OriginalRecipient {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::read(&text).ok_or("an original recipient that is none")
    }
}

/// RFC 6533's utf-8-addr-xtext, or utf-8-addr-unitext for `unicode`: `\x{HEX}` for what may not stand there itself.
fn escape(text: &str, unicode: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '!'..='~' if !matches!(c, '+' | '=' | '\\') => out.push(c),
            // Other white space than the space would end the parameter for some.
            c if unicode && !c.is_ascii() && !c.is_whitespace() => out.push(c),
            c => {
                let _ = write!(out, "\\x{{{:X}}}", u32::from(c));
            }
        }
    }
    out
}

/// The other way; `None` where a backslash begins no such character.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        let (digits, after) = after.strip_prefix("x{")?.split_once('}')?;
        let hex = (2..=6).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        out.push_str(before);
        out.push(char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| hex)?)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(value: &str) -> Option<String> {
        OriginalRecipient::parse(value).map(|original| original.to_string())
    }

    #[test]
    fn what_came_goes_on() {
        for value in [
            "rfc822;Bob@Example.COM",
            "rfc822;Carol+2Bx@Ivory.EDU",
            "rfc822;\"a+20b\"@c.test",
            "X-LOCAL;no+20address",
            "utf-8;p\\x{E9}l\\x{E9}@example.com",
            "utf-8;a\\x{2B}b\\x{5C}\\x{3D}@example.com",
        ] {
            assert_eq!(through(value).as_deref(), Some(value));
        }
        let unicode = OriginalRecipient::parse("UTF-8;p\u{e9}l\\x{e9}@example.com").unwrap();
        assert_eq!(unicode.to_string(), "utf-8;p\\x{E9}l\\x{E9}@example.com");
        assert_eq!(unicode.parameter(true).as_deref(), Some("utf-8;p\u{e9}l\u{e9}@example.com"));
        assert_eq!(unicode.field(), "utf-8; p\\x{E9}l\\x{E9}@example.com");
        assert_eq!(OriginalRecipient::of("a+b@c.test").parameter(true).as_deref(), Some("rfc822;a+2Bb@c.test"));
    }

    #[test]
    fn what_is_none() {
        for bad in [
            "",
            "rfc822",
            "rfc822;",
            ";a@b.test",
            "rfc 822;a@b.test",
            "rfc822;a b",
            "rfc822;a=b",
            "rfc822;a+0D+0AQUIT",
            "rfc822;+c3",
            "rfc822;p\u{e9}l\u{e9}@example.com",
            "rfc822;p+C3+A9@example.com",
            "utf-8;a\\b",
            "utf-8;\\x{D800}",
            "utf-8;\\x{A}",
            "utf-8;\\x{0A}",
            "utf-8;\\x{110000}",
        ] {
            assert_eq!(through(bad), None, "{bad}");
        }
        assert_eq!(through(&format!("rfc822;{}", "a".repeat(494))), None);
        let long = OriginalRecipient::parse(&format!("utf-8;{}", "\u{e9}".repeat(494))).unwrap();
        assert!(long.parameter(true).is_some() && long.parameter(false).is_none());
        let stored: OriginalRecipient = serde_json::from_str(&serde_json::to_string(&long).unwrap()).unwrap();
        assert_eq!(stored, long);
        assert!(serde_json::from_str::<RecipientDsn>("{\"orcpt\":\"rfc822;a\\r\\nQUIT\"}").is_err());
    }

    proptest! {
        #[test]
        fn nothing_in_it_ends_a_command(value in "(utf-8|rfc822|x);\\PC{0,40}|[ -~\r\n]{0,40}", unicode: bool) {
            if let Some(original) = OriginalRecipient::parse(&value) {
                let written = original.write(unicode);
                prop_assert!(!written.chars().any(|c| c.is_control() || c.is_whitespace()), "{written}");
                prop_assert!(unicode || written.is_ascii());
                prop_assert!(original.field().bytes().all(|octet| (b' '..=b'~').contains(&octet)));
                prop_assert_eq!(OriginalRecipient::read(&written), Some(original));
            }
        }
    }
}
