//! The message text of DATA: dots unstuffed and its end found, however it was cut into pieces (RFC 5321 section 4.5.2).
//!
//! Only CRLF begins a line in which a dot has a meaning, and only CRLF.CRLF ends the text: what other servers take for
//! an end (LF.LF, CR.CR, CRLF.LF ...) is text here. Where the peer is a local program LF counts as CRLF does.

/// Where in a line the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Text,
    /// After a CR.
    Cr,
    /// After a dot at the start of a line, which is not part of the text.
    Dot,
    /// After that dot and a CR.
    DotCr,
}

/// Takes the dots out of a message text.
#[derive(Debug)]
pub(super) struct Unstuffer {
    at: At,
    bare_lf: bool,
    /// A CR or an LF stood alone.
    pub(super) bare_line_ends: bool,
}

impl Unstuffer {
    pub(super) fn new(bare_lf: bool) -> Self {
        Self { at: At::LineStart, bare_lf, bare_line_ends: false }
    }

    /// Appends the text found in `input` to `text`. Gives the octets used, and whether the end was reached there.
    pub(super) fn take(&mut self, input: &[u8], text: &mut Vec<u8>) -> (usize, bool) {
        let mut used = 0;
        while let Some(&octet) = input.get(used) {
            if self.at == At::Text {
                let rest = &input[used..];
                let plain = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                if plain > 0 {
                    text.extend_from_slice(&rest[..plain]);
                    used += plain;
                    continue;
                }
            }
            used += 1;
            if self.step(octet, text) {
                return (used, true);
            }
        }
        (used, false)
    }

    /// One octet; true at the end of the text.
    fn step(&mut self, octet: u8, text: &mut Vec<u8>) -> bool {
        match (self.at, octet) {
            (At::DotCr, b'\n') => return true,
            (At::Dot, b'\n') if self.bare_lf => return true,
            (At::LineStart, b'.') => self.at = At::Dot,
            (At::Dot, b'\r') => self.at = At::DotCr,
            (At::DotCr, _) => {
                text.push(b'\r');
                self.after_cr(octet, text);
            }
            (At::Cr, _) => self.after_cr(octet, text),
            _ => self.plain(octet, text),
        }
        false
    }

    fn after_cr(&mut self, octet: u8, text: &mut Vec<u8>) {
        if octet == b'\n' {
            text.push(octet);
            self.at = At::LineStart;
        } else {
            self.bare_line_ends = true;
            self.plain(octet, text);
        }
    }

    fn plain(&mut self, octet: u8, text: &mut Vec<u8>) {
        text.push(octet);
        self.at = match octet {
            b'\r' => At::Cr,
            b'\n' => {
                self.bare_line_ends = true;
                if self.bare_lf { At::LineStart } else { At::Text }
            }
            _ => At::Text,
        };
    }
}

/// Looks for a CR or LF that stands alone in octets that come in pieces (BDAT, whose end no line end marks).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineEnds {
    after_cr: bool,
    bare: bool,
}

impl LineEnds {
    /// Looks at the next piece.
    pub(super) fn look(&mut self, piece: &[u8]) {
        let Some(&last) = piece.last() else { return };
        if self.after_cr && piece.first() != Some(&b'\n') {
            self.bare = true;
        }
        for at in memchr::memchr2_iter(b'\r', b'\n', piece) {
            let before = at.checked_sub(1).and_then(|before| piece.get(before));
            self.bare |= match piece.get(at) {
                Some(b'\r') => piece.get(at + 1).is_some_and(|next| *next != b'\n'),
                _ => before.map_or(!self.after_cr, |before| *before != b'\r'),
            };
        }
        self.after_cr = last == b'\r';
    }

    /// Whether one stood alone, at the end of the text included.
    pub(super) fn bare(self) -> bool {
        self.bare || self.after_cr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(input: &[u8], bare_lf: bool) -> (Vec<u8>, usize, bool, bool) {
        let mut unstuffer = Unstuffer::new(bare_lf);
        let mut text = Vec::new();
        let (used, end) = unstuffer.take(input, &mut text);
        (text, used, end, unstuffer.bare_line_ends)
    }

    #[test]
    fn dots_are_unstuffed_and_the_end_is_found() {
        assert_eq!(whole(b".\r\nQUIT", false), (b"".to_vec(), 3, true, false));
        assert_eq!(whole(b"a\r\n..b\r\n.c\r\n.\r\n", false).0, b"a\r\n.b\r\nc\r\n");
        assert_eq!(whole(b"a\n.\n", true), (b"a\n".to_vec(), 4, true, true));
        assert_eq!(whole(b"a\r\n.\r\n", true), (b"a\r\n".to_vec(), 6, true, false));
    }

    #[test]
    fn line_ends_that_stand_alone_are_found_across_pieces() {
        let judge = |pieces: &[&[u8]]| {
            let mut ends = LineEnds::default();
            pieces.iter().for_each(|piece| ends.look(piece));
            ends.bare()
        };
        for fine in [&[&b"a\r\nb\r\n"[..]][..], &[b"a\r", b"\nb"], &[b"", b"a"], &[b"\r\n\r\n"], &[b"\r", b"", b"\n"]] {
            assert!(!judge(fine), "{fine:?}");
        }
        for bare in [&[&b"a\nb"[..]][..], &[b"a\rb"], &[b"a\r", b"b"], &[b"a", b"\n"], &[b"a\r"], &[b"\r\r\n"]] {
            assert!(judge(bare), "{bare:?}");
        }
    }

    #[test]
    fn only_crlf_dot_crlf_ends_the_text() {
        for smuggled in
            ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\n\r.\r\n", "\r\n.\0\r\n", "\r\r\n.\r"]
        {
            let mut input = b"a".to_vec();
            input.extend_from_slice(smuggled.as_bytes());
            input.extend_from_slice(b"MAIL FROM:<x@example.com>\r\n");
            assert!(!whole(&input, false).2, "{smuggled:?}");
        }
    }
}
