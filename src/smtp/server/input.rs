//! What has arrived and was not yet looked at: taken line by line or in blocks, bounded and wiped after secrets.

use zeroize::Zeroize;

/// The input of a session.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    at: usize,
    /// The line at hand was too long: all up to the next LF is dropped.
    overlong: bool,
}

/// One line, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end.
    Text(Vec<u8>),
    /// A line longer than allowed; it was dropped.
    TooLong,
    /// A line with a bare LF at its end, or a bare CR or NUL in it.
    Malformed(Vec<u8>),
}

impl Input {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// All that is there.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.at = self.bytes.len().min(self.at.saturating_add(count));
    }

    /// Forgets all, and wipes it.
    pub(super) fn clear(&mut self) {
        self.bytes.zeroize();
        self.at = 0;
        self.overlong = false;
    }

    /// The next line of at most `limit` octets with its end, or `None` until it is complete. `bare_lf`: LF alone ends
    /// it too. The octets of the line are overwritten in the buffer, as they may be a password.
    pub(super) fn line(&mut self, limit: usize, bare_lf: bool) -> Option<Line> {
        let Some(end) = memchr::memchr(b'\n', self.rest()) else {
            if self.overlong || self.rest().len() >= limit {
                self.overlong = true;
                self.bytes.zeroize();
                self.at = 0;
            }
            return None;
        };
        let start = self.at;
        let raw = self.bytes.get_mut(start..=start + end).unwrap_or_default();
        let too_long = std::mem::take(&mut self.overlong) || raw.len() > limit;
        let line = if too_long { Line::TooLong } else { Self::judge(raw, bare_lf) };
        raw.zeroize();
        self.consume(end + 1);
        Some(line)
    }

    fn judge(raw: &[u8], bare_lf: bool) -> Line {
        let text = match raw.strip_suffix(b"\r\n") {
            Some(text) => text,
            None if bare_lf => raw.strip_suffix(b"\n").unwrap_or(raw),
            None => return Line::Malformed(raw.to_vec()),
        };
        let malformed = memchr::memchr2(b'\r', 0, text).is_some();
        if malformed { Line::Malformed(text.to_vec()) } else { Line::Text(text.to_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_bounded_and_wiped() {
        let mut input = Input::default();
        input.push(b"one\r\ntwo\nthr\ree\r\nab");
        assert_eq!(input.line(10, false), Some(Line::Text(b"one".to_vec())));
        assert!(input.bytes.starts_with(&[0; 5]));
        assert_eq!(input.line(10, false), Some(Line::Malformed(b"two\n".to_vec())));
        assert_eq!(input.line(10, false), Some(Line::Malformed(b"thr\ree".to_vec())));
        assert_eq!(input.line(10, false), None);
        input.push(b"cdefghijklmn");
        assert_eq!(input.line(10, false), None);
        assert!(input.rest().is_empty(), "an endless line takes no memory");
        input.push(b"op\r\nnext\n");
        assert_eq!(input.line(10, false), Some(Line::TooLong));
        assert_eq!(input.line(10, true), Some(Line::Text(b"next".to_vec())));
    }
}
