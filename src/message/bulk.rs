//! Whether a message is bulk mail, which single mail overtakes. Pure: header, number of recipients and rules in.
//!
//! By what a message says of itself: `Precedence` (RFC 2076 section 3.9), `List-Unsubscribe` and the other fields of
//! RFC 2369, `List-Id` (RFC 2919); by how many it is for; and by rules of the administrator.

use super::header::Header;
use std::fmt;
use wildmatch::WildMatch;

/// Octets of a field's value that a rule is compared with: more is no value that anybody would write a rule for.
const VALUE: usize = 4096;

/// What a sender says of all of its mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Message and rules decide.
    #[default]
    Auto,
    /// None of it is bulk.
    Never,
    /// All of it is.
    Always,
}

/// What makes a message bulk besides its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A message for more recipients than this is bulk.
    pub recipients: usize,
    /// Further rules; one that fits is enough.
    pub rules: Vec<Rule>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { recipients: 10, rules: Vec::new() }
    }
}

/// A rule of the administrator; all that it says must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// A header field that the message must have.
    pub header: Option<String>,
    /// What its value must look like: `*` is any run of characters, `?` is one; case makes no difference.
    pub matches: Option<String>,
    /// The sender (its name) that the message goes over.
    pub sender: Option<String>,
}

/// Why a message is bulk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// `bulk = "always"` of the sender.
    Sender,
    /// A header field says so: its name.
    Header(&'static str),
    /// It is for so many recipients.
    Recipients(usize),
    /// A rule, counted from 1 in the order of the configuration.
    Rule(usize),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender => f.write_str("the sender says bulk = \"always\""),
            Self::Header(name) => write!(f, "it has the header field {name}"),
            Self::Recipients(count) => write!(f, "it has {count} recipients"),
            Self::Rule(number) => write!(f, "[[bulk]] rule {number} fits"),
        }
    }
}

/// Why a message is bulk; `None` where it is single mail. `sender` is the name of the sender that it goes over.
#[must_use]
pub fn bulk(header: &Header, recipients: usize, sender: &str, choice: Choice, rules: &Rules) -> Option<Why> {
    match choice {
        Choice::Never => return None,
        Choice::Always => return Some(Why::Sender),
        Choice::Auto => {}
    }
    if let Some(name) = own_word(header) {
        return Some(Why::Header(name));
    }
    if recipients > rules.recipients {
        return Some(Why::Recipients(recipients));
    }
    let place = rules.rules.iter().position(|rule| rule.fits(header, sender))?;
    Some(Why::Rule(place + 1))
}

/// The field by which a message says that it is bulk.
fn own_word(header: &Header) -> Option<&'static str> {
    let precedence = |value: Vec<u8>| {
        let value = value.trim_ascii().to_ascii_lowercase();
        [b"bulk".as_slice(), b"list", b"junk"].contains(&value.as_slice())
    };
    if header.first("Precedence").is_some_and(|field| precedence(field.unfolded())) {
        return Some("Precedence");
    }
    ["List-Unsubscribe", "List-Id"].into_iter().find(|name| header.first(name).is_some())
}

impl Rule {
    fn fits(&self, header: &Header, sender: &str) -> bool {
        if self.sender.as_ref().is_some_and(|own| !own.eq_ignore_ascii_case(sender)) {
            return false;
        }
        match (&self.header, &self.matches) {
            (None, _) => self.sender.is_some(),
            (Some(name), None) => header.first(name).is_some(),
            (Some(name), Some(pattern)) => {
                let pattern = WildMatch::new(&pattern.to_lowercase());
                header.all(name).any(|field| pattern.matches(&text(&field.unfolded())))
            }
        }
    }
}

/// A value in lower case, as far as rules look at it.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(VALUE)]).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::read::{self, ReadRules};
    use proptest::prelude::*;

    fn header(text: &str) -> Header {
        let text = format!("{text}\n\nbody\n");
        read::read(&mut text.as_bytes(), ReadRules { dot_ends: false }).unwrap().header
    }

    fn why(text: &str, recipients: usize) -> Option<Why> {
        bulk(&header(text), recipients, "shop", Choice::Auto, &Rules::default())
    }

    #[test]
    fn what_a_message_says_of_itself() {
        for (text, expected) in [
            ("Subject: hello", None),
            ("Precedence: bulk", Some(Why::Header("Precedence"))),
            ("precedence:  LIST ", Some(Why::Header("Precedence"))),
            ("Precedence: junk", Some(Why::Header("Precedence"))),
            ("Precedence:\n bulk", Some(Why::Header("Precedence"))),
            ("Precedence: first-class", None),
            ("Precedence: special-delivery", None),
            ("Precedence: bulky", None),
            ("List-Unsubscribe: <mailto:off@example.com>", Some(Why::Header("List-Unsubscribe"))),
            ("List-ID: The list <list.example.com>", Some(Why::Header("List-Id"))),
            ("List-Help: <mailto:help@example.com>", None),
            ("Auto-Submitted: auto-generated", None),
            ("X-Precedence: bulk", None),
        ] {
            assert_eq!(why(text, 1), expected, "{text}");
        }
        assert_eq!((why("A: b", 10), why("A: b", 11)), (None, Some(Why::Recipients(11))));
    }

    #[test]
    fn the_sender_has_the_last_word() {
        let (list, rules) = (header("Precedence: bulk"), Rules::default());
        assert_eq!(bulk(&list, 99, "shop", Choice::Never, &rules), None);
        assert_eq!(bulk(&header("A: b"), 1, "shop", Choice::Always, &rules), Some(Why::Sender));
    }

    #[test]
    fn rules_of_the_administrator() {
        let rule = |header: Option<&str>, matches: Option<&str>, sender: Option<&str>| Rule {
            header: header.map(Into::into),
            matches: matches.map(Into::into),
            sender: sender.map(Into::into),
        };
        for (rule, text, fits) in [
            (rule(Some("X-Mailer"), Some("*newsletter*"), None), "X-Mailer: The Newsletter 2", true),
            (rule(Some("X-Mailer"), Some("*newsletter*"), None), "X-Mailer: mutt", false),
            (rule(Some("X-Mailer"), Some("newsletter"), None), "X-Mailer: newsletter 2", false),
            (rule(Some("X-Mailer"), Some("*two"), None), "X-Mailer: one\nX-Mailer: two", true),
            (rule(Some("X-Campaign"), None, None), "X-Campaign:", true),
            (rule(Some("X-Campaign"), None, None), "Subject: X-Campaign", false),
            (rule(None, None, Some("Shop")), "A: b", true),
            (rule(None, None, Some("news")), "A: b", false),
            (rule(Some("X-Mailer"), Some("*"), Some("news")), "X-Mailer: a", false),
            (rule(None, None, None), "A: b", false),
        ] {
            let rules = Rules { rules: vec![Rule::default(), rule], ..Rules::default() };
            let found = bulk(&header(text), 1, "shop", Choice::Auto, &rules);
            assert_eq!(found, fits.then_some(Why::Rule(2)), "{text} {rules:?}");
        }
    }

    proptest! {
        #[test]
        fn any_value_is_judged(value in "\\PC{0,60}", pattern in "[*?a-c]{0,8}") {
            let rule = Rule { header: Some("X".into()), matches: Some(pattern), sender: None };
            let mut header = Header::default();
            header.prepend("X", &value);
            let _ = bulk(&header, 1, "shop", Choice::Auto, &Rules { rules: vec![rule], ..Rules::default() });
        }
    }
}
