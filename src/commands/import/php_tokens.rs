//! The tokens of PHP source, as far as literals need them. Octets in, tokens out, in time linear in the source.

use zeroize::Zeroizing;

/// What is wrong with a source, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, without the text.
    pub what: String,
}

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A string literal.
    Text(Zeroizing<Vec<u8>>),
    /// A string with variables in it.
    Interpolated,
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A name, also of several parts (`Foo\Bar`).
    Word(Vec<u8>),
    /// A variable.
    Variable,
    /// `=>`.
    Arrow,
    /// Any other octet.
    Punctuation(u8),
    /// Nothing more.
    End,
}

/// Reads tokens. What stands outside `<?php ... ?>` is passed over.
pub(super) struct Tokens<'s> {
    rest: &'s [u8],
    line: usize,
    in_php: bool,
}

impl<'s> Tokens<'s> {
    pub fn new(source: &'s [u8]) -> Self {
        Self { rest: source, line: 1, in_php: false }
    }

    /// The line of the last token's end.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The next token.
    ///
    /// # Errors
    /// A string, comment or heredoc that cannot be read.
    pub fn next(&mut self) -> Result<Token, Fault> {
        self.blanks()?;
        let Some(&first) = self.rest.first() else { return Ok(Token::End) };
        if self.rest.starts_with(b"<<<") {
            return Err(self.fault("a heredoc is not read; write the value as a string in quotes"));
        }
        if self.rest.starts_with(b"=>") {
            self.take(2);
            return Ok(Token::Arrow);
        }
        match first {
            b'\'' => self.single(),
            b'"' => self.double(),
            b'0'..=b'9' => Ok(self.number()),
            b'.' if self.rest.get(1).is_some_and(u8::is_ascii_digit) => Ok(self.number()),
            b'$' => {
                self.take(1);
                self.word();
                Ok(Token::Variable)
            }
            c if is_word(c) => Ok(Token::Word(self.word().to_vec())),
            c => {
                self.take(1);
                Ok(Token::Punctuation(c))
            }
        }
    }

    fn fault(&self, what: &str) -> Fault {
        Fault { line: self.line, what: what.into() }
    }

    fn take(&mut self, count: usize) -> &'s [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.line += memchr::memchr_iter(b'\n', taken).count();
        self.rest = rest;
        taken
    }

    /// White space, comments, and everything outside of PHP.
    fn blanks(&mut self) -> Result<(), Fault> {
        loop {
            if !self.in_php {
                let at = memchr::memmem::find(self.rest, b"<?").unwrap_or(self.rest.len());
                self.take(at);
                let tag = if self.rest.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"<?php")) { 5 } else { 2 };
                self.take(tag);
                self.in_php = true;
            }
            let blank = self.rest.iter().take_while(|c| c.is_ascii_whitespace() || **c == 0x0b).count();
            self.take(blank);
            if self.rest.starts_with(b"?>") {
                self.take(2);
                self.in_php = false;
            } else if self.rest.starts_with(b"/*") {
                let Some(end) = memchr::memmem::find(&self.rest[2..], b"*/") else {
                    self.take(self.rest.len().saturating_sub(1));
                    return Err(self.fault("a comment has no end"));
                };
                self.take(end + 4);
            } else if self.rest.starts_with(b"//") || self.rest.starts_with(b"#") {
                let line = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
                // The end of PHP ends a comment of one line too.
                let end = memchr::memmem::find(&self.rest[..line], b"?>").unwrap_or(line);
                self.take(end);
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> &'s [u8] {
        let length = self.rest.iter().take_while(|c| is_word(**c) || c.is_ascii_digit()).count();
        self.take(length)
    }

    /// `'...'`: only `\'` and `\\` are escapes.
    fn single(&mut self) -> Result<Token, Fault> {
        let length = self.string_length(b'\'')?;
        let inner = &self.take(length)[1..length - 1];
        let mut text = Zeroizing::new(Vec::with_capacity(inner.len()));
        let mut octets = inner.iter().copied().peekable();
        while let Some(c) = octets.next() {
            match octets.peek() {
                Some(&escaped @ (b'\'' | b'\\')) if c == b'\\' => {
                    text.push(escaped);
                    octets.next();
                }
                _ => text.push(c),
            }
        }
        Ok(Token::Text(text))
    }

    /// `"..."` with its escapes; a variable in it makes it something that has to be evaluated.
    fn double(&mut self) -> Result<Token, Fault> {
        let length = self.string_length(b'"')?;
        let mut inner = &self.take(length)[1..length - 1];
        let mut text = Zeroizing::new(Vec::with_capacity(inner.len()));
        while let Some((&c, rest)) = inner.split_first() {
            inner = rest;
            match (c, rest.first()) {
                (b'$', Some(&next)) if is_word(next) || next == b'{' => return Ok(Token::Interpolated),
                (b'{', Some(b'$')) => return Ok(Token::Interpolated),
                (b'\\', Some(_)) => inner = escape(rest, &mut text),
                _ => text.push(c),
            }
        }
        Ok(Token::Text(text))
    }

    /// The length of a string with its quotes.
    fn string_length(&mut self, quote: u8) -> Result<usize, Fault> {
        let mut at = 1;
        while let Some(&c) = self.rest.get(at) {
            match c {
                b'\\' => at += 2,
                c if c == quote => return Ok(at + 1),
                _ => at += 1,
            }
        }
        self.take(self.rest.len());
        Err(self.fault("a string has no end"))
    }

    /// Decimal, `0x`, `0b`, octal, with `_`; a point or an exponent makes it a float, and so does too great a number.
    fn number(&mut self) -> Token {
        let digit = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.');
        let mut length = 0;
        while let Some(c) = self.rest.get(length) {
            let hex = self.rest.get(1).is_some_and(|x| x.eq_ignore_ascii_case(&b'x'));
            let sign = matches!(c, b'+' | b'-') && !hex && matches!(self.rest[length - 1], b'e' | b'E');
            if !digit(c) && !sign {
                break;
            }
            length += 1;
        }
        let text: String = self.take(length).iter().filter(|c| **c != b'_').map(|c| char::from(*c)).collect();
        let lower = text.to_ascii_lowercase();
        let radix = |prefix: &str, radix| lower.strip_prefix(prefix).map(|digits| i64::from_str_radix(digits, radix));
        let whole = radix("0x", 16).or_else(|| radix("0b", 2)).or_else(|| radix("0o", 8)).or_else(|| {
            let octal = lower.len() > 1 && lower.bytes().all(|c| c.is_ascii_digit());
            octal.then(|| radix("0", 8)).flatten()
        });
        match whole.unwrap_or_else(|| lower.parse()) {
            Ok(number) => Token::Int(number),
            Err(_) => lower.parse().map_or(Token::Punctuation(b'?'), Token::Float),
        }
    }
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphabetic() || c == b'_' || c == b'\\' || c >= 0x80
}

/// One escape of a double-quoted string, `rest` behind its backslash; what follows it.
fn escape<'r>(rest: &'r [u8], text: &mut Vec<u8>) -> &'r [u8] {
    let digits = |from: usize, most: usize, fits: fn(&u8) -> bool| {
        rest.get(from..).unwrap_or_default().iter().take(most).take_while(|c| fits(c)).count()
    };
    let number = |from: usize, count: usize, radix: u32| {
        let digits = std::str::from_utf8(&rest[from..from + count]).unwrap_or_default();
        u32::from_str_radix(digits, radix).unwrap_or_default()
    };
    let simple = match rest[0] {
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'r' => Some(b'\r'),
        b'v' => Some(0x0b),
        b'e' => Some(0x1b),
        b'f' => Some(0x0c),
        c @ (b'\\' | b'$' | b'"') => Some(c),
        _ => None,
    };
    if let Some(octet) = simple {
        text.push(octet);
        return &rest[1..];
    }
    let octal = digits(0, 3, |c| matches!(c, b'0'..=b'7'));
    if octal > 0 {
        text.push(number(0, octal, 8).to_le_bytes()[0]);
        return &rest[octal..];
    }
    let hex = digits(1, 2, u8::is_ascii_hexdigit);
    if rest[0] == b'x' && hex > 0 {
        text.push(number(1, hex, 16).to_le_bytes()[0]);
        return &rest[1 + hex..];
    }
    let code = digits(2, 6, u8::is_ascii_hexdigit);
    let braced = rest.starts_with(b"u{") && code > 0 && rest.get(2 + code) == Some(&b'}');
    if braced && let Some(c) = char::from_u32(number(2, code, 16)) {
        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        return &rest[3 + code..];
    }
    // No escape: the backslash stays.
    text.push(b'\\');
    rest
}
