//! Encoded words: names outside ASCII in header fields, both ways (RFC 2047, RFC 2231 section 5).
//!
//! Values only. A word that cannot be decoded stays as it is; what comes out never holds a control character.

use super::charset::Charset;

/// Longest encoded word looked for, in octets. RFC 2047 says 75; real ones are longer.
const LONGEST: usize = 1000;
/// Octets of text in one word that is written: base64 makes 60 of 45, and the frame brings it to 72 of the 75 allowed.
const CHUNK: usize = 45;

/// The length of the encoded word at the beginning of `text`, if one stands there.
pub(super) fn scan(text: &str) -> Option<usize> {
    let bytes = &text.as_bytes()[..text.len().min(LONGEST)];
    let inside = bytes.strip_prefix(b"=?")?;
    let charset = inside.iter().position(|byte| !is_token(*byte)).filter(|len| *len > 0)?;
    let [b'?', b'Q' | b'q' | b'B' | b'b', b'?', data @ ..] = &inside[charset..] else { return None };
    let len = data.iter().position(|byte| *byte == b'?' || byte.is_ascii_whitespace())?;
    data[len..].starts_with(b"?=").then_some(2 + charset + 3 + len + 2)
}

/// Text with its encoded words decoded. White space between two of them is dropped (RFC 2047 section 6.2); an octet
/// sequence that a writer cut between two words of one character set is put together again.
pub(super) fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run: Option<(Charset, Vec<u8>, String)> = None;
    let mut rest = text;
    while !rest.is_empty() {
        let space_len = rest.find(|c: char| !c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (space, tail) = rest.split_at(space_len);
        let (word, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_whitespace()).unwrap_or(tail.len()));
        rest = tail;
        match (word_octets(word), &mut run) {
            (Some((charset, octets)), Some((same, pending, raw))) if *same == charset => {
                pending.extend(octets);
                raw.push_str(space);
                raw.push_str(word);
            }
            (Some((charset, octets)), _) => {
                if !flush(&mut out, &mut run) {
                    out.push_str(space);
                }
                run = Some((charset, octets, word.to_owned()));
            }
            (None, _) => {
                flush(&mut out, &mut run);
                out.push_str(space);
                out.push_str(word);
            }
        }
    }
    flush(&mut out, &mut run);
    out.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Ends a run of words; false where there was none.
fn flush(out: &mut String, run: &mut Option<(Charset, Vec<u8>, String)>) -> bool {
    let Some((charset, octets, raw)) = run.take() else { return false };
    out.push_str(&charset.decode(&octets).unwrap_or(raw));
    true
}

/// Text as encoded words, UTF-8 in base64, one space between them.
pub(super) fn encode(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.floor_char_boundary(CHUNK));
        words.push(format!("=?utf-8?B?{}?=", openssl::base64::encode_block(now.as_bytes())));
        rest = later;
    }
    words.join(" ")
}

/// Character set and octets of a text that is one encoded word from end to end.
fn word_octets(word: &str) -> Option<(Charset, Vec<u8>)> {
    if scan(word)? != word.len() {
        return None;
    }
    let mut parts = word.get(2..word.len() - 2)?.splitn(3, '?');
    let charset = Charset::from_label(parts.next()?)?;
    let base64 = parts.next()?.eq_ignore_ascii_case("B");
    let data = parts.next()?;
    Some((charset, if base64 { from_base64(data)? } else { from_q(data)? }))
}

/// Base64, with or without its padding.
fn from_base64(data: &str) -> Option<Vec<u8>> {
    let data = data.trim_end_matches('=');
    let padding = ["", "", "==", "="][data.len() % 4];
    openssl::base64::decode_block(&format!("{data}{padding}")).ok()
}

/// The Q encoding (RFC 2047 section 4.2).
fn from_q(data: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(data.len());
    let mut bytes = data.bytes();
    while let Some(byte) = bytes.next() {
        octets.push(match byte {
            b'_' => b' ',
            b'=' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => other,
        });
    }
    Some(octets)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_+.*:".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_rfc_2047_section_8() {
        for (text, want) in [
            ("=?US-ASCII?Q?Keith_Moore?=", "Keith Moore"),
            ("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"),
            ("=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"),
            ("=?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?=", "Patrik Fältström"),
            ("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=", "If you can read this yo"),
            ("=?ISO-8859-1?Q?a?=", "a"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=\r\n =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
        ] {
            assert_eq!(decode(text), want, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_stays() {
        for text in [
            "=?gb2312?B?yAo=?=",
            "=?utf-8?X?a?=",
            "=?utf-8?Q?a",
            "=?utf-8?Q?=Z?=",
            "=??Q?a?=",
            "=?utf-8?B?!!!?=",
            "plain text",
            "=?iso-8859-2?Q?=E1?=",
        ] {
            assert_eq!(decode(text), text);
        }
    }

    #[test]
    fn a_character_cut_between_two_words_is_whole_again() {
        assert_eq!(decode("=?utf-8?Q?=D0?= =?utf-8?Q?=9F?="), "П");
        assert_eq!(decode("=?utf-8?B?0J8?= =?UTF-8?B?0J8?="), "ПП");
    }

    #[test]
    fn nothing_decodes_to_a_control_character() {
        assert_eq!(decode("=?utf-8?Q?a=0D=0ABcc:_x=00?="), "a  Bcc: x ");
    }

    proptest! {
        #[test]
        fn encoding_comes_back(text in "\\PC{0,200}") {
            let encoded = encode(&text);
            prop_assert!(encoded.is_ascii());
            prop_assert!(encoded.split(' ').all(|word| word.len() <= 75));
            prop_assert_eq!(decode(&encoded), text);
        }

        #[test]
        fn decoding_anything_is_safe(text in "(=\\?|utf-8|\\?[qb]\\?|\\?=|[ =?A-F0-9_\r\n]|\\PC){0,40}") {
            prop_assert!(!decode(&text).chars().any(char::is_control));
        }
    }
}
