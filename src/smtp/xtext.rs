//! xtext (RFC 3461 section 4): how a value of any characters becomes one word of printable ASCII in an SMTP parameter.
//!
//! Octets in, octets out; what a value means is for others to say.

use std::fmt::Write as _;

/// Encodes: `+` and two upper-case hex digits for every octet but printable ASCII without `+` and `=`.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'!'..=b'~' if octet != b'+' && octet != b'=' => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "+{octet:02X}");
            }
        }
    }
    out
}

/// Decodes; `None` for what is no xtext. UTF-8 that is not encoded is left alone (RFC 6533).
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'+' => octets.push(hex(rest.next()?)? * 16 + hex(rest.next()?)?),
            b'=' | 0..=32 | 127 => return None,
            _ => octets.push(octet),
        }
    }
    String::from_utf8(octets).ok()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples() {
        assert_eq!(encode("a+b=c d\te"), "a+2Bb+3Dc+20d+09e");
        assert_eq!(decode("Carol+2Bx@Ivory.EDU").as_deref(), Some("Carol+x@Ivory.EDU"));
        for bad in ["+2", "+", "+2b", "+GG", "a=b", "a b", "a\tb", "+FF"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(text in "\\PC{0,60}|[\\x00-\\x7f]{0,60}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|octet| (b'!'..=b'~').contains(&octet) && octet != b'='));
            prop_assert_eq!(decode(&encoded), Some(text));
        }
    }
}
