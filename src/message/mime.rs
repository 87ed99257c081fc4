//! What an entity's header says about its content: type, boundary, transfer encoding (RFC 2045 sections 5 and 6).
//!
//! Values only; just enough to find the parts of a message and to know how each is encoded.

use super::header::Header;

/// What kind of content an entity holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Lines of text.
    Text,
    /// Octets.
    Other,
    /// Parts between boundaries; `signed` where a signature covers their octets (RFC 1847).
    Multipart { boundary: Option<String>, signed: bool, digest: bool },
    /// A message with a header of its own (RFC 2046 section 5.2.1), which may not be encoded as a whole.
    Message,
    /// Another `message/` type, which may not be encoded either.
    Report,
}

/// How an entity's octets stand in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// As they are: 7bit, 8bit, binary or not said.
    Identity,
    Base64,
    QuotedPrintable,
    /// Something that RFC 2045 does not know.
    Unknown,
}

/// The content of an entity with this header; `digest` where it is a part of a multipart/digest, whose default is a
/// message (RFC 2046 section 5.1.5).
pub(super) fn content(header: &Header, digest: bool) -> Content {
    let value = header.first("Content-Type").map(|field| String::from_utf8_lossy(&field.unfolded()).into_owned());
    let Some(value) = value.filter(|value| !value.trim().is_empty()) else {
        return if digest { Content::Message } else { Content::Text };
    };
    let kind = value.split([';', '(', ' ', '\t']).next().unwrap_or_default().to_ascii_lowercase();
    match kind.split_once('/') {
        Some(("multipart", subtype)) => Content::Multipart {
            boundary: parameter(&value, "boundary"),
            signed: subtype == "signed",
            digest: subtype == "digest",
        },
        Some(("message", "rfc822" | "global")) => Content::Message,
        Some(("message", "delivery-status" | "disposition-notification" | "feedback-report")) => Content::Text,
        Some(("message", _)) => Content::Report,
        Some(("text", _)) | None => Content::Text,
        Some(_) => Content::Other,
    }
}

/// The transfer encoding of an entity with this header.
pub(super) fn transfer(header: &Header) -> Transfer {
    let Some(field) = header.first("Content-Transfer-Encoding") else { return Transfer::Identity };
    let value = String::from_utf8_lossy(field.value()).to_ascii_lowercase();
    match value.split(['(', ';', ' ', '\t', '\r']).next().unwrap_or_default() {
        "" | "7bit" | "8bit" | "binary" => Transfer::Identity,
        "base64" => Transfer::Base64,
        "quoted-printable" => Transfer::QuotedPrintable,
        _ => Transfer::Unknown,
    }
}

/// A parameter of a Content-Type value, without its quotes.
fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value;
    loop {
        rest = after_semicolon(rest)?;
        let text = rest.trim_start();
        let Some((key, tail)) = text.split_once('=').filter(|(key, _)| !key.contains(['"', ';'])) else { continue };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(unquoted(tail.trim_start())).filter(|found| !found.is_empty());
        }
    }
}

/// What follows the first semicolon outside quotes.
fn after_semicolon(text: &str) -> Option<&str> {
    let mut in_quotes = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if in_quotes => drop(chars.next()),
            '"' => in_quotes = !in_quotes,
            ';' if !in_quotes => return Some(&text[at + 1..]),
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> String {
    let Some(inside) = text.strip_prefix('"') else {
        return text.split([';', ' ', '\t', '(']).next().unwrap_or_default().to_owned();
    };
    let mut out = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(value: &str) -> Header {
        let mut header = Header::default();
        header.append("Content-Type", value);
        header
    }

    #[test]
    fn boundaries_are_found_however_they_are_written() {
        for (value, want) in [
            ("multipart/mixed; boundary=abc", Some("abc")),
            ("multipart/mixed; boundary=\"a b;c\"", Some("a b;c")),
            ("Multipart/Mixed; charset=\"x; boundary=no\"; BOUNDARY = \"yes\"; x=y", Some("yes")),
            ("multipart/mixed;boundary=abc(comment)", Some("abc")),
            ("multipart/mixed; boundary=\"a\\\"b\"", Some("a\"b")),
            ("multipart/mixed; boundary=", None),
            ("multipart/mixed", None),
        ] {
            let Content::Multipart { boundary, .. } = content(&header(value), false) else { panic!("{value}") };
            assert_eq!(boundary.as_deref(), want, "{value}");
        }
    }

    #[test]
    fn types_are_told_apart() {
        assert_eq!(content(&Header::default(), false), Content::Text);
        assert_eq!(content(&Header::default(), true), Content::Message);
        assert_eq!(content(&header("TEXT/html; charset=utf-8"), false), Content::Text);
        assert_eq!(content(&header("image/png"), false), Content::Other);
        assert_eq!(content(&header("message/rfc822"), false), Content::Message);
        assert_eq!(content(&header("message/partial; id=1"), false), Content::Report);
        assert_eq!(content(&header("nonsense"), false), Content::Text);
    }
}
