//! A server's reply: bounded reading and parsing (RFC 5321 section 4.2, RFC 2034 enhanced codes).

use std::fmt;

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
}

impl fmt::Display for Reply {
    /// Code and the lines joined by a space, for people and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.lines.iter().filter(|line| !line.is_empty()).try_for_each(|line| write!(f, " {line}"))
    }
}
