//! Rules for what a server's replies mean: `replies` of a sender and `[[reply]]` for all become `ReplyRule`s.
//!
//! Values only. What a rule leads to is in `deliver::trouble`, and so are the rules that come with the program.

use super::account::Builder;
use super::toml::{Field, RawReply};
use crate::smtp::phase::Phase;
use ::toml::Spanned;
use std::sync::Arc;
use std::time::Duration;

/// The most rules of one table.
const RULES: usize = 200;
/// The most octets of a text pattern or an advice.
const TEXT: usize = 200;
/// The longest time that a rule may give: longer than any provider's window, and well below what the queue takes for
/// the work of a wrong clock.
pub const LONGEST: Duration = Duration::from_secs(48 * 3600);

/// What a reply means. Each condition that is given must fit; `T` is the text's type, so that tables can be static.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyRule<T = String> {
    /// The reply code, 400 to 599.
    pub code: Option<u16>,
    /// The enhanced status code (RFC 3463).
    pub enhanced: Option<Enhanced>,
    /// Part of the reply's text, upper and lower case being the same; with `*` or `?` a pattern for all of it.
    pub text: Option<T>,
    /// Where in the session.
    pub phase: Option<Phase>,
    /// What follows.
    pub then: Then,
    /// What the reader can do about it.
    pub advice: Option<T>,
}

/// An enhanced status code, or several: `None` is any number, written `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enhanced(pub Option<u8>, pub Option<u16>, pub Option<u16>);

impl Enhanced {
    /// As it is written: `5.4.5`, `x.4.5`, `5.7.x`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        fn number<N: std::str::FromStr>(part: &str) -> Option<Option<N>> {
            let digits = (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit());
            if matches!(part, "x" | "X" | "*") {
                Some(None)
            } else {
                digits.then(|| part.parse().ok()).flatten().map(Some)
            }
        }
        let mut parts = text.split('.');
        let (class, subject, detail) = (number::<u8>(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
        let fine = class.is_none_or(|class| matches!(class, 4 | 5)) && parts.next().is_none();
        fine.then_some(Self(class, subject, detail))
    }

    /// Whether a reply's code is one of these.
    #[must_use]
    pub fn fits(self, (class, subject, detail): (u8, u16, u16)) -> bool {
        self.0.is_none_or(|own| own == class)
            && self.1.is_none_or(|own| own == subject)
            && self.2.is_none_or(|own| own == detail)
    }

    /// How many numbers it gives.
    #[must_use]
    pub fn given(self) -> usize {
        usize::from(self.0.is_some()) + usize::from(self.1.is_some()) + usize::from(self.2.is_some())
    }
}

/// What follows from a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// `hold`: the sender waits as a whole. With a time nothing at all is tried before it is over; without one until the
    /// provider's window frees, which one message at a time finds out, ever more seldom.
    Hold(Option<Duration>),
    /// `back-off`: the sender waits as a whole, a growing delay, at most this one.
    BackOff(Option<Duration>),
    /// `split`: the message goes on at once in smaller transactions.
    Split,
    /// `configuration`: a person has to change something; until then the sender waits as a whole.
    Fault,
    /// `bounce`: it will not get better, for this message or recipient.
    Bounce,
    /// `retry`: later, this message or recipient alone.
    Retry,
}

/// What is known of an account's replies, besides what is true of all servers.
#[derive(Clone, Debug, Default)]
pub struct Replies {
    /// The account's own rules: they win.
    pub own: Vec<ReplyRule>,
    /// `[[reply]]`: for every account.
    pub all: Arc<[ReplyRule]>,
    /// The preset whose rules hold; `None`: the one whose server it is.
    pub provider: Option<&'static str>,
}

const THENS: [&str; 6] = ["hold", "back-off", "split", "configuration", "bounce", "retry"];
const PHASES: [(&str, Phase); 8] = [
    ("greeting", Phase::Greeting),
    ("ehlo", Phase::Ehlo),
    ("starttls", Phase::StartTls),
    ("auth", Phase::Auth),
    ("mail", Phase::Mail),
    ("rcpt", Phase::Rcpt),
    ("data", Phase::Data),
    ("end", Phase::End),
];

impl Builder<'_> {
    /// A list of rules; faulty ones are noted and left out.
    pub(super) fn replies(&mut self, raw: Vec<Spanned<RawReply>>) -> Vec<ReplyRule> {
        if let Some(beyond) = raw.get(RULES) {
            let place = self.source.place(beyond);
            self.note(&place, format!("more than {RULES} rules for replies"));
        }
        raw.into_iter().take(RULES).filter_map(|raw| self.reply_rule(raw)).collect()
    }

    fn reply_rule(&mut self, raw: Spanned<RawReply>) -> Option<ReplyRule> {
        let place = self.source.place(&raw);
        let raw = raw.into_inner();
        let given = raw.code.is_some() || raw.enhanced.is_some() || raw.text.is_some();
        let Some(then) = raw.then else {
            return self.fault(&place, format!("a rule for replies has no then; one of {}", THENS.join(", ")));
        };
        if !given {
            return self.fault(&place, "a rule for replies needs code, enhanced or text");
        }
        let code = raw.code.map(|code| self.code(&code));
        let enhanced = raw.enhanced.map(|field| {
            let what = "an enhanced code such as 5.4.5, x.4.5 or 5.7.x is needed";
            self.field("enhanced", Some(field), |text| Enhanced::parse(text).ok_or(what))
        });
        let phase = raw.phase.map(|field| self.field("phase", Some(field), phase));
        let text = raw.text.map(|field| self.field("text", Some(field), pattern));
        let advice = self.field("advice", raw.advice, |text| pattern(text).map(|_| text.to_owned()));
        let then = self.then(then, raw.duration)?;
        // What was given and is faulty must not make the rule wider.
        let sound = |given: bool| given.then_some(());
        sound(code != Some(None) && enhanced != Some(None) && phase != Some(None) && text != Some(None))?;
        let (code, enhanced, phase, text) = (code.flatten(), enhanced.flatten(), phase.flatten(), text.flatten());
        Some(ReplyRule { code, enhanced, text, phase, then, advice })
    }

    fn code(&mut self, code: &Spanned<i64>) -> Option<u16> {
        let place = self.source.place(code);
        match u16::try_from(*code.get_ref()) {
            Ok(code @ 400..=599) => Some(code),
            _ => self.fault(&place, "code is a reply code from 400 to 599"),
        }
    }

    fn then(&mut self, then: Spanned<String>, duration: Field<String>) -> Option<Then> {
        let at = duration.as_ref().map(|duration| self.source.place(duration));
        let then = self.field("then", Some(then), |text| {
            THENS.contains(&text).then(|| text.to_owned()).ok_or_else(|| nearest(text, &THENS))
        })?;
        let given = duration.is_some();
        let length = self.field("for", duration, |text| match humantime::parse_duration(text) {
            Ok(length) if length >= Duration::from_secs(1) && length <= LONGEST => Ok(length),
            Ok(_) => Err("from a second to 48h"),
            Err(_) => Err("no duration; write 10m or 24h"),
        });
        if given && length.is_none() {
            return None;
        }
        match (then.as_str(), at) {
            ("hold", _) => Some(Then::Hold(length)),
            ("back-off", _) => Some(Then::BackOff(length)),
            (_, Some(at)) => self.fault(&at, "for goes only with then = \"hold\" or \"back-off\""),
            ("split", _) => Some(Then::Split),
            ("configuration", _) => Some(Then::Fault),
            ("bounce", _) => Some(Then::Bounce),
            _ => Some(Then::Retry),
        }
    }
}

fn phase(text: &str) -> Result<Phase, String> {
    let found = PHASES.iter().find(|(name, _)| *name == text).map(|(_, phase)| *phase);
    found.ok_or_else(|| nearest(text, &PHASES.map(|(name, _)| name)))
}

fn pattern(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.len() > TEXT || text.chars().any(char::is_control) {
        return Err(format!("1 to {TEXT} octets without control characters"));
    }
    Ok(text.to_lowercase())
}

/// What is said of an unknown name.
pub(super) fn nearest(name: &str, known: &[&str]) -> String {
    match super::nearest::slip(name, known.iter().copied()) {
        Some(near) => format!("unknown; did you mean {near}?"),
        None => format!("unknown; one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use proptest::prelude::*;

    #[test]
    fn enhanced_codes_with_and_without_gaps() {
        assert_eq!(Enhanced::parse("5.4.5"), Some(Enhanced(Some(5), Some(4), Some(5))));
        assert!(
            Enhanced::parse("x.4.5").unwrap().fits((4, 4, 5)) && !Enhanced::parse("x.4.5").unwrap().fits((4, 4, 6))
        );
        assert!(Enhanced::parse("5.7.*").unwrap().fits((5, 7, 60)));
        for bad in ["", "5", "5.4", "5.4.5.6", "2.0.0", "5.4.5000", "5.-1.0", "a.b.c", "5. 4.5"] {
            assert_eq!(Enhanced::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn faults_name_the_place_and_the_nearest_word() {
        let head = "[[reply]]\n";
        for (rule, expected) in [
            ("code = 550\n", ":1: a rule for replies has no then"),
            ("then = \"hold\"\n", ":1: a rule for replies needs code, enhanced or text"),
            ("code = 250\nthen = \"hold\"\n", ":2: code is a reply code from 400 to 599"),
            ("code = 550\nthen = \"hodl\"\n", ":3: then: unknown; did you mean hold?"),
            ("code = 550\nthen = \"hold\"\nfor = \"3days\"\n", ":4: for: from a second to 48h"),
            ("code = 550\nthen = \"split\"\nfor = \"1h\"\n", ":4: for goes only with"),
            ("code = 550\nphase = \"recpt\"\nthen = \"hold\"\n", ":3: phase: unknown; did you mean rcpt?"),
            ("enhanced = \"5.4\"\nthen = \"hold\"\n", ":2: enhanced: an enhanced code"),
            ("text = \"\"\nthen = \"hold\"\n", ":2: text: 1 to 200 octets"),
            ("codes = 550\nthen = \"hold\"\n", ":2: unknown key \"codes\"; did you mean code?"),
        ] {
            let faults = parse::main_file(&format!("{head}{rule}"));
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            assert!(first.starts_with(&format!("postrider.toml{expected}")), "{rule}: {first}");
        }
        let fine = "code = 550\nenhanced = \"5.4.5\"\ntext = \"*Daily*limit*\"\nphase = \"rcpt\"\nthen = \"hold\"\nfor = \"24h\"\n";
        assert_eq!(parse::main_file(&format!("{head}{fine}")), []);
    }

    proptest! {
        #[test]
        fn any_code_is_judged(text in "\\PC{0,12}|[0-9x.*]{0,9}") {
            if let Some(Enhanced(class, ..)) = Enhanced::parse(&text) {
                prop_assert!(class.is_none_or(|class| class == 4 || class == 5));
            }
        }
    }
}
