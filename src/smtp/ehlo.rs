//! What a server offers in its reply to EHLO (RFC 5321 section 4.1.1.1). Values only.
//!
//! Keywords are compared without regard to case, unknown ones are passed over, and a malformed parameter never makes
//! an offer larger than it is.

use super::reply::Reply;

/// The extensions that the client makes use of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// SIZE (RFC 1870) was offered.
    pub size: bool,
    /// The largest message the server takes, octets; `None` where it names no limit.
    pub size_limit: Option<u64>,
    /// AUTH mechanisms (RFC 4954), in upper case, in the server's order; the old form `AUTH=` too.
    pub auth: Vec<String>,
}

impl Capabilities {
    /// Reads a positive reply to EHLO or LHLO; its first line is the greeting.
    #[must_use]
    pub fn parse(reply: &Reply) -> Self {
        let mut found = Self::default();
        for line in reply.lines.iter().skip(1) {
            found.add(line);
        }
        found
    }

    fn add(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next().map(str::to_ascii_uppercase) else { return };
        match keyword.as_str() {
            "STARTTLS" => self.starttls = true,
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit = true,
            "SMTPUTF8" => self.utf8 = true,
            "DSN" => self.dsn = true,
            "CHUNKING" => self.chunking = true,
            "SIZE" => {
                self.size = true;
                // 0 means that there is no fixed limit (RFC 1870 section 4).
                self.size_limit = words.next().and_then(|word| word.parse().ok()).filter(|&limit| limit > 0);
            }
            _ => self.add_auth(&keyword, words),
        }
    }

    fn add_auth<'l>(&mut self, keyword: &str, words: impl Iterator<Item = &'l str>) {
        let first = match keyword.strip_prefix("AUTH") {
            Some("") => None,
            Some(old) if old.starts_with('=') => Some(old[1..].to_owned()),
            _ => return,
        };
        for name in first.into_iter().chain(words.map(str::to_ascii_uppercase)) {
            if !name.is_empty() && !self.auth.contains(&name) {
                self.auth.push(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Capabilities {
        let mut all = vec!["host greets you".to_owned()];
        all.extend(lines.iter().map(|&line| line.to_owned()));
        Capabilities::parse(&Reply { code: 250, enhanced: None, lines: all })
    }

    #[test]
    fn keywords_in_any_case() {
        let found = parse(&[
            "pipelining",
            "Size 1000",
            "auth plain Login",
            "AUTH=LOGIN XOAUTH2",
            "STARTTLS",
            "8bitMIME",
            "X-OTHER",
            "",
        ]);
        assert!(found.pipelining && found.starttls && found.eight_bit && found.size && !found.utf8 && !found.dsn);
        assert_eq!(found.size_limit, Some(1000));
        assert_eq!(found.auth, ["PLAIN", "LOGIN", "XOAUTH2"]);
    }

    #[test]
    fn limits_that_are_none() {
        for line in ["SIZE", "SIZE 0", "SIZE many", "SIZE -1", "SIZE 99999999999999999999"] {
            let found = parse(&[line]);
            assert!(found.size && found.size_limit.is_none(), "{line}");
        }
        assert_eq!(parse(&["AUTHENTIC PLAIN", "AUTH", "AUTH="]).auth, [""; 0]);
        let greeting = Reply { code: 250, enhanced: None, lines: vec!["PIPELINING".into()] };
        assert!(!Capabilities::parse(&greeting).pipelining, "the first line is the server's name");
    }
}
