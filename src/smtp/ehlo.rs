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
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced: bool,
    /// LIMITS (RFC 9422); none where nothing is said.
    pub limits: Limits,
    /// SIZE (RFC 1870) was offered.
    pub size: bool,
    /// The largest message the server takes, octets; `None` where it names no limit.
    pub size_limit: Option<u64>,
    /// AUTH mechanisms (RFC 4954), in upper case, in the server's order; the old form `AUTH=` too.
    pub auth: Vec<String>,
}

/// What the server takes in one session and one transaction (RFC 9422 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// MAILMAX: transactions in one session.
    pub mails: Option<u32>,
    /// RCPTMAX: recipients of one transaction.
    pub recipients: Option<u32>,
    /// RCPTDOMAINMAX: different domains of one transaction's recipients.
    pub domains: Option<u32>,
}

impl Limits {
    /// `NAME=value`; a value is 1 to 999999, and anything else says nothing.
    fn add(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let digits = value.len() <= 6 && value.bytes().all(|octet| octet.is_ascii_digit());
        let value = value.parse().ok().filter(|&value: &u32| digits && value > 0);
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.mails = value,
            "RCPTMAX" => self.recipients = value,
            "RCPTDOMAINMAX" => self.domains = value,
            _ => {}
        }
    }
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
            "ENHANCEDSTATUSCODES" => self.enhanced = true,
            "LIMITS" => words.for_each(|word| self.limits.add(word)),
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
    fn limits_of_rfc_9422() {
        let found = parse(&["limits MAILMAX=5 rcptmax=100 RCPTDOMAINMAX=1 OTHER=x", "ENHANCEDSTATUSCODES"]);
        assert_eq!(found.limits, Limits { mails: Some(5), recipients: Some(100), domains: Some(1) });
        assert!(found.enhanced);
        for none in ["LIMITS", "LIMITS MAILMAX", "LIMITS MAILMAX=0 RCPTMAX=1000000", "LIMITS RCPTMAX=-1 MAILMAX=+1"] {
            assert_eq!(parse(&[none]).limits, Limits::default(), "{none}");
        }
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
