//! `[brake]`: when a script or a user that sends far too much is held. Values only.

use super::account::Builder;
use super::toml::{Field, RawBrake, RawExcept, Strings};
use ::toml::Spanned;
use std::time::Duration;

/// The most messages of a brake.
const MESSAGES: i64 = 1_000_000;
/// The shortest and the longest time over which messages are counted.
const PER: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(86_400));
/// The most exceptions: each is looked at with every message.
const EXCEPTIONS: usize = 1000;

/// `[brake]`: when what comes from one script or one user is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brake {
    /// `messages`: so many go; more than none.
    pub messages: u32,
    /// `per`: in this time, from a minute to a day, rolling.
    pub per: Duration,
    /// `by` has `script`: counted for each script (PHP's `X-PHP-Originating-Script`) of each user.
    pub script: bool,
    /// `by` has `uid`: counted for each user.
    pub uid: bool,
    /// `alert`: a program and its arguments, run once when it begins to hold; empty for none.
    pub alert: Vec<String>,
    /// `exempt`: users, by name or number, that are not counted.
    pub exempt: Vec<String>,
    /// `[[brake.except]]`, the first that fits.
    pub except: Vec<BrakeExcept>,
}

/// `[[brake.except]]`: another number for a script or a user; what is given must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrakeExcept {
    /// A script's file name or PHP's whole value; `*` is any run of characters, `?` is one.
    pub script: Option<String>,
    /// A user, by name or number.
    pub user: Option<String>,
    /// So many go; `None`: as many as there are.
    pub messages: Option<u32>,
}

impl Builder<'_> {
    pub(super) fn brake(&mut self, raw: Spanned<RawBrake>) -> Option<Brake> {
        let place = self.source.place(&raw);
        let raw = raw.into_inner();
        let Some(messages) = raw.messages else {
            return self.fault(&place, "[brake] needs messages = 500 (or another number)");
        };
        let messages = self.number("brake.messages", messages)?;
        let per = self.field("brake.per", raw.per, |text| match humantime::parse_duration(text) {
            Ok(per) if (PER.0..=PER.1).contains(&per) => Ok(per),
            Ok(_) => Err("from a minute to a day"),
            Err(_) => Err("no duration; write 1h or 10m"),
        });
        let (script, uid) = self.counted(raw.by);
        let alert: Vec<String> =
            raw.alert.map(|Strings(words)| words).unwrap_or_default().into_iter().map(|(_, word)| word).collect();
        if alert.first().is_some_and(String::is_empty) || alert.iter().any(|word| word.contains('\0')) {
            self.note(&place, "brake.alert is a program and its arguments: [\"/usr/local/bin/alert\", \"postrider\"]");
        }
        let exempt =
            raw.exempt.map(|Strings(names)| names).unwrap_or_default().into_iter().map(|(_, name)| name).collect();
        if let Some(except) = raw.except.get(EXCEPTIONS) {
            let place = self.source.place(except);
            self.note(&place, format!("more than {EXCEPTIONS} [[brake.except]]"));
        }
        let except = raw.except.into_iter().take(EXCEPTIONS).filter_map(|except| self.except(except)).collect();
        Some(Brake { messages, per: per.unwrap_or(Duration::from_secs(3600)), script, uid, alert, exempt, except })
    }

    fn number(&mut self, key: &str, field: Spanned<i64>) -> Option<u32> {
        let place = self.source.place(&field);
        match u32::try_from(field.into_inner()) {
            Ok(count) if count > 0 && i64::from(count) <= MESSAGES => Some(count),
            _ => self.fault(&place, format!("{key} is 1 to {MESSAGES}")),
        }
    }

    /// `by`: scripts, users, or both, which is what it is where nothing is said.
    fn counted(&mut self, by: Field<Strings>) -> (bool, bool) {
        let Some(by) = by else { return (true, true) };
        let place = self.source.place(&by);
        let names: Vec<String> = by.into_inner().0.into_iter().map(|(_, name)| name).collect();
        if names.is_empty() || names.iter().any(|name| name != "script" && name != "uid") {
            self.note(&place, "brake.by is \"script\", \"uid\", or a list of both");
        }
        (names.iter().any(|name| name == "script"), names.iter().any(|name| name == "uid"))
    }

    fn except(&mut self, raw: Spanned<RawExcept>) -> Option<BrakeExcept> {
        let place = self.source.place(&raw);
        let RawExcept { script, user, messages } = raw.into_inner();
        if script.is_none() && user.is_none() {
            return self.fault(&place, "[[brake.except]] needs script = \"NAME\" or user = \"NAME\"");
        }
        if user.is_none() {
            let what = "[[brake.except]] with script needs user = \"www-data\" (who runs it) too: \
                        which script it was says the message, and everybody could say it";
            return self.fault(&place, what);
        }
        let messages = match messages {
            Some(messages) => Some(self.number("brake.except.messages", messages)?),
            None => None,
        };
        let name = |text: &str| match text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
            true => Err("a name of 1 to 200 characters"),
            false => Ok(text.to_owned()),
        };
        Some(BrakeExcept {
            script: self.field("brake.except.script", script, name),
            user: self.field("brake.except.user", user, name),
            messages,
        })
    }
}
