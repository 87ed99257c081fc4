//! A server's reply: bounded reading and parsing (RFC 5321 section 4.2, RFC 2034 enhanced codes).
//!
//! The parser takes octets in pieces of any size and gives a reply when one is complete. It never reads by itself, and
//! whatever comes in, it holds no more than `REPLY_OCTETS`.

use std::fmt;

/// The most of one line that is used; the rest of a longer line is dropped.
pub const LINE_OCTETS: usize = 4096;
/// The most that one reply may have on the wire.
pub const REPLY_OCTETS: usize = 64 * 1024;
/// The most lines that one reply may have.
pub const REPLY_LINES: usize = 200;
/// The most text that a reply keeps when it is stored with an outcome (`Reply::short`).
const SHORT_OCTETS: usize = 1024;

/// One complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// Enhanced status code (RFC 3463) as `(class, subject, detail)` where the text begins with one.
    pub enhanced: Option<(u8, u16, u16)>,
    /// The text of each line, without code; control characters replaced, invalid UTF-8 replaced.
    pub lines: Vec<String>,
}

impl Reply {
    /// Whether the code is 2xx.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether the code is 3xx: the server waits for more.
    #[must_use]
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// Whether the code is 4xx.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// Whether a reply to RCPT says that this transaction has recipients enough (RFC 5321 section 4.5.3.1.10): the
    /// others may come in another one, at once.
    #[must_use]
    pub fn too_many_recipients(&self) -> bool {
        match self.enhanced {
            Some((_, subject, detail)) => matches!(self.code, 452 | 552) && (subject, detail) == (5, 3),
            None => self.code == 452,
        }
    }

    /// The reply with no more text than is worth storing: 1 KiB. A server must not fill the memory by refusing ten
    /// thousand recipients at length.
    #[must_use]
    pub fn short(mut self) -> Self {
        let mut left = SHORT_OCTETS;
        for line in &mut self.lines {
            let end = line.floor_char_boundary(left);
            line.truncate(end);
            line.shrink_to_fit();
            left = left.saturating_sub(line.len() + 1);
        }
        while self.lines.len() > 1 && self.lines.last().is_some_and(String::is_empty) {
            self.lines.pop();
        }
        self
    }
}

impl fmt::Display for Reply {
    /// Code and the lines joined by a space, for people and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.lines.iter().filter(|line| !line.is_empty()).try_for_each(|line| write!(f, " {line}"))
    }
}

/// Why octets are no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// A line that does not begin with a code from 200 to 599 and a space, a hyphen or its end; the line, cleaned and shortened.
    NoCode(String),
    /// A line of a reply with several lines has another code than the first.
    OtherCode(u16, u16),
    /// More than `REPLY_OCTETS`.
    TooLong,
    /// More than `REPLY_LINES`.
    TooManyLines,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCode(line) => write!(f, "the server's answer is no SMTP reply: \"{line}\""),
            Self::OtherCode(first, other) => write!(f, "the server mixed the codes {first} and {other} in one reply"),
            Self::TooLong => write!(f, "the server's reply is longer than {} KiB", REPLY_OCTETS / 1024),
            Self::TooManyLines => write!(f, "the server's reply has more than {REPLY_LINES} lines"),
        }
    }
}

impl std::error::Error for ReplyError {}

/// Collects octets until a reply is complete.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    octets: usize,
    code: u16,
    lines: Vec<String>,
}

impl Parser {
    /// Takes octets up to the end of the next reply. Returns how many it took, and the reply if it is complete; what it
    /// did not take belongs to the following reply.
    ///
    /// # Errors
    /// What came is no reply. The connection is then of no more use.
    pub fn feed(&mut self, data: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut taken = 0;
        while let Some(end) = memchr::memchr(b'\n', &data[taken..]) {
            self.take(&data[taken..=taken + end])?;
            taken += end + 1;
            if let Some(reply) = self.end_of_line()? {
                return Ok((taken, Some(reply)));
            }
        }
        self.take(&data[taken..])?;
        Ok((data.len(), None))
    }

    /// Whether a reply has begun and is not complete.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        self.octets > 0
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), ReplyError> {
        self.octets += piece.len();
        if self.octets > REPLY_OCTETS {
            return Err(ReplyError::TooLong);
        }
        let room = LINE_OCTETS.saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<Option<Reply>, ReplyError> {
        let line = std::mem::take(&mut self.line);
        let (code, last, text) = parse_line(&line).ok_or_else(|| ReplyError::NoCode(shown(&line)))?;
        if !self.lines.is_empty() && code != self.code {
            return Err(ReplyError::OtherCode(self.code, code));
        }
        if self.lines.len() == REPLY_LINES {
            return Err(ReplyError::TooManyLines);
        }
        self.code = code;
        self.lines.push(clean(text));
        if !last {
            return Ok(None);
        }
        let lines = std::mem::take(&mut self.lines);
        *self = Self::default();
        let enhanced = lines.first().and_then(|line| parse_enhanced(line, code));
        Ok(Some(Reply { code, enhanced, lines }))
    }
}

/// Code, whether this is the last line, and the text.
fn parse_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3)?;
    if !(b'2'..=b'5').contains(&digits[0]) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// `class.subject.detail` at the text's begin; its class must be the code's (RFC 2034 section 4).
fn parse_enhanced(text: &str, code: u16) -> Option<(u8, u16, u16)> {
    let word = text.split(' ').next()?;
    let mut parts = word.split('.');
    let mut number = |most: usize| {
        let part = parts.next()?;
        let fits = part.len() <= most && part.bytes().all(|octet| octet.is_ascii_digit());
        fits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (class, subject, detail) = (number(1)?, number(3)?, number(3)?);
    if parts.next().is_some() || class != code / 100 {
        return None;
    }
    Some((u8::try_from(class).ok()?, subject, detail))
}

/// Text for people: no control characters, nothing that is not UTF-8.
fn clean(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().map(|c| if c == '\t' { ' ' } else { visible(c) }).collect::<String>().trim_end().to_owned()
}

/// The character, or the replacement character for one that could steer a terminal or turn the writing around.
fn visible(c: char) -> char {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { '\u{fffd}' } else { c }
}

/// The begin of a line that is no reply, for an error.
fn shown(line: &[u8]) -> String {
    clean(line.get(..line.len().min(80)).unwrap_or_default()).trim_matches('\u{fffd}').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(data: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        Parser::default().feed(data)
    }

    fn reply(data: &[u8]) -> Reply {
        parse(data).unwrap().1.unwrap()
    }

    #[test]
    fn forms_of_rfc_5321() {
        let ehlo = reply(b"250-foo.com greets bar.com\r\n250-8BITMIME\r\n250-SIZE\r\n250 HELP\r\n");
        assert_eq!((ehlo.code, ehlo.lines.len()), (250, 4));
        assert_eq!(ehlo.to_string(), "250 foo.com greets bar.com 8BITMIME SIZE HELP");
        assert_eq!(reply(b"250\r\n").lines, [""]);
        assert_eq!(reply(b"250\n").code, 250);
        assert_eq!(reply(b"250 \r\n").to_string(), "250");
        assert_eq!(reply(b"571 5.7.1 no\r\n").code, 571);
        assert_eq!(reply(b"299 x\r\n").code, 299);
        assert_eq!(parse(b"250 a\r\n250 b\r\n").unwrap().0, 7, "the second belongs to the next");
        assert_eq!(parse(b"250-a\r\n250 b"), Ok((12, None)));
    }

    #[test]
    fn enhanced_codes() {
        assert_eq!(reply(b"550 5.1.1 no such user\r\n").enhanced, Some((5, 1, 1)));
        assert_eq!(reply(b"250 2.1.5\r\n").enhanced, Some((2, 1, 5)));
        for other in [
            &b"550 4.1.1 x\r\n"[..],
            b"550 5.1 x\r\n",
            b"550 5.1.1.1 x\r\n",
            b"550 5.+1.1 x\r\n",
            b"550 192.0.2.1 x\r\n",
        ] {
            assert_eq!(reply(other).enhanced, None);
        }
    }

    #[test]
    fn no_replies() {
        for bad in [
            &b"\r\n"[..],
            b"25\r\n",
            b"150 x\r\n",
            b"650 x\r\n",
            b"2x0 x\r\n",
            b"250x\r\n",
            b"HTTP/1.1 400\r\n",
            b"\xff\xfe\n",
        ] {
            assert!(matches!(parse(bad), Err(ReplyError::NoCode(_))), "{bad:?}");
        }
        assert_eq!(parse(b"250-a\r\n251 b\r\n"), Err(ReplyError::OtherCode(250, 251)));
        assert_eq!(parse(&b"250-x\r\n".repeat(201)), Err(ReplyError::TooManyLines));
        assert_eq!(parse(&b"2".repeat(REPLY_OCTETS + 1)), Err(ReplyError::TooLong));
        assert_eq!(parse(&[b"250 ", &b"x".repeat(1 << 20)[..]].concat()), Err(ReplyError::TooLong));
    }

    #[test]
    fn long_lines_are_cut_and_text_is_cleaned() {
        let long = reply(&[b"250 ", &b"x".repeat(10_000)[..], b"\r\n"].concat());
        assert_eq!(long.lines[0].len(), LINE_OCTETS - 4);
        assert_eq!(reply(b"550 gr\xfc\xdfe\0\x1b[31m\r\n").lines, ["gr\u{fffd}\u{fffd}e\u{fffd}\u{fffd}[31m"]);
        assert_eq!(long.short().lines[0].len(), SHORT_OCTETS);
        let many = reply(&[&b"550-0123456789\r\n".repeat(199)[..], b"550 end\r\n"].concat()).short();
        assert!(many.to_string().len() < 2 * SHORT_OCTETS && many.lines.len() < 120);
    }

    #[test]
    fn too_many_recipients() {
        assert!(reply(b"452 4.5.3 too many\r\n").too_many_recipients());
        assert!(reply(b"452 too many\r\n").too_many_recipients());
        assert!(reply(b"552 5.5.3 too many\r\n").too_many_recipients());
        assert!(!reply(b"452 4.2.2 mailbox full\r\n").too_many_recipients());
        assert!(!reply(b"552 full\r\n").too_many_recipients());
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(data in "(250[- ]?[a-z]{0,9}\r?\n|5[0-9]{2} 5\\.[0-9]\\.[0-9] x\n){1,6}", cut in 1usize..9) {
            let whole = Parser::default().feed(data.as_bytes());
            let mut parser = Parser::default();
            let mut pieces = Ok((0, None));
            let mut total = 0;
            for piece in data.as_bytes().chunks(cut) {
                pieces = parser.feed(piece);
                if let Ok((taken, _)) = &pieces { total += taken; }
                if !matches!(pieces, Ok((_, None))) { break; }
            }
            prop_assert_eq!(whole.clone().map(|w| w.1), pieces.map(|p| p.1));
            if let Ok((taken, _)) = whole { prop_assert_eq!(taken, total); }
        }

        #[test]
        fn any_octets_are_bounded_and_harmless(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
            if let Ok((_, Some(reply))) = Parser::default().feed(&data) {
                prop_assert!((200..600).contains(&reply.code));
                prop_assert!(!reply.to_string().chars().any(char::is_control));
            }
        }
    }
}
