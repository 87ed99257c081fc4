//! Dot stuffing (RFC 5321 section 4.5.2), piece by piece: a dot at the begin of a line is doubled.

use memchr::memmem;

/// Doubles dots; remembers across pieces where a line begins.
pub struct Stuffing {
    /// The last octet taken, a line feed before the first.
    last: u8,
    /// Whether the one before it was a carriage return.
    ends_line: bool,
}

impl Default for Stuffing {
    fn default() -> Self {
        Self { last: b'\n', ends_line: true }
    }
}

impl Stuffing {
    /// Appends a piece of the message to `out`, at most half again as long.
    ///
    /// A dot is doubled after every line feed, so that a bare one can never end the message at a lenient server.
    pub fn add(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(&last) = piece.last() else { return };
        if self.last == b'\n' && piece[0] == b'.' {
            out.push(b'.');
        }
        let mut from = 0;
        for at in memmem::find_iter(piece, b"\n.") {
            out.extend_from_slice(&piece[from..=at]);
            out.push(b'.');
            from = at + 1;
        }
        out.extend_from_slice(&piece[from..]);
        let before = if piece.len() > 1 { piece[piece.len() - 2] } else { self.last };
        self.ends_line = last == b'\n' && before == b'\r';
        self.last = last;
    }

    /// Appends the end of the message: the dot alone on its line.
    pub fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.ends_line { b".\r\n" } else { b"\r\n.\r\n" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuffed(data: &[u8], size: usize) -> Vec<u8> {
        let (mut stuffing, mut out) = (Stuffing::default(), Vec::new());
        data.chunks(size).for_each(|piece| stuffing.add(piece, &mut out));
        stuffing.end(&mut out);
        out
    }

    #[test]
    fn dots() {
        assert_eq!(stuffed(b".\r\n..a\r\nb.\r\n", 99), b"..\r\n...a\r\nb.\r\n.\r\n");
        assert_eq!(stuffed(b"", 9), b".\r\n");
        assert_eq!(stuffed(b"a", 9), b"a\r\n.\r\n");
        assert_eq!(stuffed(b"a\n.\n", 9), b"a\n..\n\r\n.\r\n");
    }

    proptest! {
        #[test]
        fn the_server_reads_back_what_was_sent(data in "[.\r\na]{0,40}", size in 1usize..6) {
            let data = data.into_bytes();
            let whole = stuffed(&data, size);
            prop_assert_eq!(&whole, &stuffed(&data, 1000));
            let end = memmem::find(&whole, b"\r\n.\r\n").map_or(0, |at| at + 2);
            prop_assert_eq!(end + 3, whole.len(), "the only end is the last");
            let mut back = Vec::new();
            for line in whole[..end].split_inclusive(|&octet| octet == b'\n') {
                back.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            }
            prop_assert!(back == data || back == [&data[..], b"\r\n"].concat());
        }
    }
}
