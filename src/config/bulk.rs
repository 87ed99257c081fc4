//! `[[bulk]]`, `queue.bulk_recipients` and a sender's `bulk` become rules of `message::bulk`. Values only.

use super::account::Builder;
use super::error::{ConfigError, Place};
use super::model::Sender;
use super::toml::{Field, RawBulk};
use crate::message::bulk::{Choice, Rule, Rules};
use ::toml::Spanned;

/// The most rules: each is tried on every message.
const RULES: usize = 100;

/// A sender that something names, and where.
pub(super) type Named = (String, Place);

impl Builder<'_> {
    /// The rules, and the senders that they name.
    pub(super) fn bulk(&mut self, recipients: Field<i64>, raw: Vec<Spanned<RawBulk>>) -> (Rules, Vec<Named>) {
        let usual = Rules::default();
        let recipients = recipients.and_then(|count| {
            let place = self.source.place(&count);
            match usize::try_from(count.into_inner()) {
                Ok(count) if (1..=1_000_000).contains(&count) => Some(count),
                _ => self.fault(&place, "queue.bulk_recipients is 1 to 1000000"),
            }
        });
        if let Some(rule) = raw.get(RULES) {
            let place = self.source.place(rule);
            self.note(&place, format!("more than {RULES} [[bulk]] rules"));
        }
        let mut named = Vec::new();
        let rules = raw.into_iter().take(RULES).filter_map(|rule| self.bulk_rule(rule, &mut named)).collect();
        (Rules { recipients: recipients.unwrap_or(usual.recipients), rules }, named)
    }

    fn bulk_rule(&mut self, raw: Spanned<RawBulk>, named: &mut Vec<Named>) -> Option<Rule> {
        let place = self.source.place(&raw);
        let RawBulk { header, matches, sender } = raw.into_inner();
        if header.is_none() && sender.is_none() {
            return self.fault(&place, "[[bulk]] needs header = \"X-Mailer\" or sender = \"NAME\"");
        }
        if let (None, Some(matches)) = (&header, &matches) {
            let place = self.source.place(matches);
            return self.fault(&place, "[[bulk]]: matches goes only with header");
        }
        let header = self.field("header", header, |name| {
            let fine = |octet: u8| octet.is_ascii_graphic() && octet != b':';
            let is_name = !name.is_empty() && name.len() <= 100 && name.bytes().all(fine);
            is_name.then(|| name.to_owned()).ok_or("a header field's name, such as X-Mailer")
        });
        let matches = self.field("matches", matches, |pattern| {
            let fine = !pattern.is_empty() && pattern.len() <= 500 && !pattern.chars().any(char::is_control);
            fine.then(|| pattern.to_owned()).ok_or("a pattern such as *newsletter*, at most 500 characters")
        });
        let sender = sender.map(|sender| {
            named.push((sender.get_ref().clone(), self.source.place(&sender)));
            sender.into_inner()
        });
        Some(Rule { header, matches, sender })
    }
}

/// `bulk` of a sender.
pub(super) fn choice(text: &str) -> Result<Choice, &'static str> {
    match text {
        "auto" => Ok(Choice::Auto),
        "never" => Ok(Choice::Never),
        "always" => Ok(Choice::Always),
        _ => Err("one of \"auto\", \"never\", \"always\""),
    }
}

/// What is wrong with names of senders.
pub(super) fn unknown(named: &[Named], senders: &[Sender]) -> Vec<ConfigError> {
    let known = || senders.iter().map(|sender| sender.name.as_str()).chain(["default relay"]);
    let wrong = named.iter().filter(|(name, _)| !known().any(|known| known.eq_ignore_ascii_case(name)));
    wrong
        .map(|(name, place)| {
            let hint = super::nearest::name(name, known())
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            ConfigError::at(place, format!("there is no sender of this name{hint}"))
        })
        .collect()
}
