//! A From pattern of a sender: exact address, wildcard or whole domain, and which of two is the more specific.
//!
//! Matching ignores case in both parts: senders are people's addresses. Values only; never looks at a message.

use crate::message::address::{Address, domain_key};
use wildmatch::WildMatch;

/// Longest pattern, octets: a local part, an at sign and a domain (RFC 5321 section 4.5.3.1).
const LONGEST: usize = 64 + 1 + 255;

/// One pattern of a sender's `from`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `shop@example.com`.
    Exact(String),
    /// `*@*.example.com`, `shop-*@example.com`: `*` any run, `?` one character.
    Wildcard(String),
    /// `@example.com` or `*@example.com`: every address of the domain.
    Domain(String),
}

/// How specific a pattern is: the greater one wins. Exact before a pattern that says something of the local part, before
/// one that takes any (`*@*.example.com`, `@example.com`); among those the one with more literal characters, then the
/// one with fewer `*`, then (so that the order is total) by their text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    kind: u8,
    literal: usize,
    stars: std::cmp::Reverse<usize>,
    text: String,
}

impl Pattern {
    /// A pattern as it is written in `from`.
    ///
    /// # Errors
    /// What is wrong with it, for people, without its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = || text.escape_debug().take(80).collect::<String>();
        if text.len() > LONGEST {
            return Err(format!("\"{}...\" is longer than {LONGEST} characters", shown()));
        }
        if let Some(bad) = text.chars().find(|c| c.is_control() || (c.is_whitespace() && !text.starts_with('"'))) {
            return Err(format!("\"{}\" holds {}, which no address may", shown(), bad.escape_debug()));
        }
        let Some((local, domain)) = text.rsplit_once('@') else {
            return Err(format!("\"{0}\" has no @; an address, a pattern like *@{0}, or @{0} for a domain", shown()));
        };
        if domain.is_empty() || domain.starts_with('.') || domain.contains("..") {
            return Err(format!("\"{}\" has no domain behind the @", shown()));
        }
        let wild = |part: &str| part.contains(['*', '?']);
        let lower = text.to_lowercase();
        if (local.is_empty() || local == "*") && !wild(domain) {
            return Ok(Self::Domain(domain_key(domain)));
        }
        if wild(local) || wild(domain) {
            return if local.is_empty() { Ok(Self::Wildcard(format!("*{lower}"))) } else { Ok(Self::Wildcard(lower)) };
        }
        let address = Address::parse(text).map_err(|error| error.to_string())?;
        Ok(Self::Exact(address.key()))
    }

    /// The address, where the pattern is one.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(address) => Some(address),
            _ => None,
        }
    }

    /// Whether an address fits. An address with `+detail` fits an exact pattern only as it stands; `route` strips it.
    #[must_use]
    pub fn matches(&self, address: &Address) -> bool {
        match self {
            Self::Exact(exact) => *exact == address.key(),
            // `*` may not reach over the at sign, or `shop*@example.com` would claim "shop@evil.test"@example.com.
            Self::Wildcard(wildcard) => wildcard.rsplit_once('@').is_some_and(|(local, domain)| {
                WildMatch::new(local).matches(&address.local().to_lowercase())
                    && WildMatch::new(domain).matches(&address.domain_key())
            }),
            Self::Domain(domain) => *domain == address.domain_key(),
        }
    }

    /// Whether every address that fits `other` fits this one, as far as that is plain to see: the same pattern, or all of
    /// the other's domain.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let domain = |text: &str| text.rsplit_once('@').map(|(_, domain)| domain.to_owned());
        match (self, other) {
            (Self::Domain(own), Self::Exact(text) | Self::Wildcard(text)) => domain(text).as_ref() == Some(own),
            _ => self == other,
        }
    }

    /// How specific it is; of all patterns that fit an address, the greatest wins.
    #[must_use]
    pub fn specificity(&self) -> Specificity {
        let text = self.to_string();
        let kind = match self {
            Self::Exact(_) => 2,
            Self::Wildcard(text) if !text.starts_with("*@") => 1,
            Self::Wildcard(_) | Self::Domain(_) => 0,
        };
        let stars = text.matches('*').count();
        let literal = text.chars().filter(|c| !matches!(c, '*' | '?')).count();
        Specificity { kind, literal, stars: std::cmp::Reverse(stars), text }
    }
}

impl Pattern {
    /// Whether this wildcard and another fit some of the same addresses, and neither is a part of the other: then it is
    /// not plain to see which of the two counts. Exact addresses and domains never cross with anything.
    #[must_use]
    pub fn crosses(&self, other: &Self) -> bool {
        let (Self::Wildcard(one), Self::Wildcard(two)) = (self, other) else { return false };
        let (Some((local, domain)), Some((local2, domain2))) = (one.rsplit_once('@'), two.rsplit_once('@')) else {
            return false;
        };
        let part = |one: &str, two: &str| WildMatch::new(two).matches(one);
        let within = |one: (&str, &str), two: (&str, &str)| part(one.0, two.0) && part(one.1, two.1);
        meet(local, local2)
            && meet(domain, domain2)
            && !within((local, domain), (local2, domain2))
            && !within((local2, domain2), (local, domain))
    }
}

/// Whether some text fits both globs: a walk over both at once, row by row.
fn meet(one: &str, two: &str) -> bool {
    let (one, two): (Vec<char>, Vec<char>) = (one.chars().collect(), two.chars().collect());
    // `below[j]`: the rest of `one` from the row below and the rest of `two` from j meet.
    let mut below = vec![false; two.len() + 1];
    for i in (0..=one.len()).rev() {
        let mut row = vec![false; two.len() + 1];
        for j in (0..=two.len()).rev() {
            row[j] = match (one.get(i), two.get(j)) {
                (None, None) => true,
                (Some('*'), _) if below[j] => true,
                (Some('*'), Some(_)) if row[j + 1] => true,
                (_, Some('*')) if row[j + 1] || (i < one.len() && below[j]) => true,
                (Some(a), Some(b)) => *a != '*' && *b != '*' && (a == b || *a == '?' || *b == '?') && below[j + 1],
                _ => false,
            };
        }
        below = row;
    }
    below[0]
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(text) | Self::Wildcard(text) => f.write_str(text),
            Self::Domain(domain) => write!(f, "@{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, address: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(&Address::parse(address).unwrap())
    }

    #[test]
    fn matching() {
        assert!(fits("Shop@Example.com", "sHOP@example.COM"));
        assert!(!fits("shop@example.com", "shop+x@example.com"));
        assert!(fits("@example.com", "anyone@EXAMPLE.com"));
        assert!(fits("*@example.com", "anyone@example.com"));
        assert!(!fits("@example.com", "a@sub.example.com"));
        assert!(fits("*@*.example.com", "a@sub.example.com"));
        assert!(fits("@*.example.com", "a@sub.example.com"));
        assert!(fits("shop-?@example.com", "shop-1@example.com"));
        assert!(!fits("shop-?@example.com", "shop-12@example.com"));
        assert!(!fits("shop*@example.com", "a@shop.test"));
    }

    #[test]
    fn a_domain_covers_its_addresses() {
        let covers = |a, b| Pattern::parse(a).unwrap().covers(&Pattern::parse(b).unwrap());
        assert!(covers("@example.com", "Shop@Example.com") && covers("*@example.com", "shop-?@example.com"));
        assert!(covers("shop-*@example.com", "shop-*@example.com"));
        assert!(!covers("@example.com", "*@*.example.com") && !covers("shop-*@example.com", "@example.com"));
        assert!(!covers("shop-??@example.com", "shop-*@example.com"));
    }

    #[test]
    fn order() {
        let rank = |text| Pattern::parse(text).unwrap().specificity();
        assert!(rank("a@b.example") > rank("aaaaaaaaaaa*@b.example"));
        assert!(rank("shop-*@b.example") > rank("*@*.example"));
        assert!(rank("a*@b.c") > rank("@long.domain.example"));
        assert!(rank("a?@b.example") > rank("*@b?.ex"));
    }

    #[test]
    fn patterns_that_cross() {
        let cross = |one: &str, two: &str| {
            let (one, two) = (Pattern::parse(one).unwrap(), Pattern::parse(two).unwrap());
            assert_eq!(one.crosses(&two), two.crosses(&one));
            one.crosses(&two)
        };
        assert!(cross("shop-*@example.com", "*-news@example.com"));
        assert!(cross("shop*@*.com", "*@example.*"));
        assert!(cross("a?@x*.com", "?b@*y.com"));
        assert!(!cross("*@*.example.com", "shop-*@a.example.com"), "a part of the other");
        assert!(!cross("shop-*@example.com", "*@example.com") && !cross("a@b.c", "*@b.?"));
        assert!(!cross("shop-*@example.com", "news-*@example.com") && !cross("a*@b.c", "a*@b.?d"));
    }

    #[test]
    fn refused() {
        for bad in ["", "shop", "shop@", "a b@example.com", "a@b\r\nMAIL", "@.example.com", "*", "a@b..c"] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC{0,40}|[*?@.a-z]{0,20}", address in "[a-z+]{1,8}@[a-z.]{1,12}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                let address = Address::parse(&address).unwrap_or_else(|_| Address::parse("a@b.example").unwrap());
                let _ = pattern.matches(&address);
                prop_assert_eq!(Pattern::parse(&pattern.to_string()).unwrap(), pattern);
            }
        }
    }
}
