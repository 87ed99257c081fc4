//! The character sets that names in mail still come in, as tables; anything else is left as it stands.
//!
//! For the names of mailboxes alone (RFC 2047): the text of a message is never converted.

/// A character set that `encoded_word` can turn into text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// UTF-8.
    Utf8,
    /// ISO 8859-1.
    Latin1,
    /// Western European, Microsoft.
    Windows1252,
    /// Cyrillic, Microsoft.
    Windows1251,
    /// Russian (RFC 1489).
    Koi8R,
    /// A superset of US-ASCII without a table here: its ASCII half is known.
    AsciiHalf,
}

/// Upper halves, 0x80 first.
const WINDOWS_1251: &str = concat!(
    "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—�™љ›њќћџ",
    "\u{a0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{ad}®Ї°±Ііґµ¶·ё№є»јЅѕї",
    "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя",
);
const KOI8_R: &str = concat!(
    "─│┌┐└┘├┤┬┴┼▀▄█▌▐░▒▓⌠■∙√≈≤≥\u{a0}⌡°²·÷",
    "═║╒ё╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡Ё╢╣╤╥╦╧╨╩╪╫╬©",
    "юабцдефгхийклмнопярстужвьызшэщчъ",
    "ЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЫЗШЭЩЧЪ",
);
/// 0x80 to 0x9F; the rest is ISO 8859-1.
const WINDOWS_1252: &str = "€�‚ƒ„…†‡ˆ‰Š‹Œ�Ž��‘’“”•–—˜™š›œ�žŸ";

impl Charset {
    /// The set of a label (RFC 2047), a language tag after `*` (RFC 2231 section 5) cut off.
    pub(super) fn from_label(label: &str) -> Option<Self> {
        let label = label.split('*').next().unwrap_or_default().to_ascii_lowercase();
        Some(match label.as_str() {
            "utf-8" | "utf8" => Self::Utf8,
            "iso-8859-1" | "latin1" => Self::Latin1,
            "windows-1252" | "cp1252" => Self::Windows1252,
            "windows-1251" | "cp1251" => Self::Windows1251,
            "koi8-r" => Self::Koi8R,
            "us-ascii" | "ascii" => Self::AsciiHalf,
            _ if label.starts_with("iso-8859-") || label.starts_with("windows-125") => Self::AsciiHalf,
            _ => return None,
        })
    }

    /// The bytes as text; `None` where this set has no table for them. Broken UTF-8 becomes U+FFFD.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<String> {
        let table = |table: &str| {
            let upper: Vec<char> = table.chars().collect();
            let one = |byte: &u8| match byte.checked_sub(0x80) {
                None => char::from(*byte),
                Some(at) => upper.get(usize::from(at)).copied().unwrap_or(char::from(*byte)),
            };
            Some(bytes.iter().map(one).collect())
        };
        match self {
            Self::Utf8 => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Latin1 => table(""),
            Self::Windows1252 => table(WINDOWS_1252),
            Self::Windows1251 => table(WINDOWS_1251),
            Self::Koi8R => table(KOI8_R),
            Self::AsciiHalf => std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_their_size_and_order() {
        assert_eq!(WINDOWS_1251.chars().count(), 128);
        assert_eq!(KOI8_R.chars().count(), 128);
        assert_eq!(WINDOWS_1252.chars().count(), 32);
        let text = |label: &str, bytes: &[u8]| Charset::from_label(label).and_then(|set| set.decode(bytes));
        assert_eq!(text("windows-1251", b"\xcf\xf0\xe8\xe2\xe5\xf2").as_deref(), Some("Привет"));
        assert_eq!(text("KOI8-R", b"\xf0\xd2\xc9\xd7\xc5\xd4").as_deref(), Some("Привет"));
        assert_eq!(text("iso-8859-1*de", b"M\xfcller").as_deref(), Some("Müller"));
        assert_eq!(text("windows-1252", b"\x80").as_deref(), Some("€"));
        assert_eq!(text("iso-8859-2", b"\xe1"), None);
        assert_eq!(text("gb2312", b"a"), None);
    }
}
