//! `[rules]` and `[[rule]]` become rules (`crate::rules`). Values only: no path is looked at, no program, no user.

use super::account::Builder;
use super::error::{ConfigError, Place};
use super::model::Config;
use super::outgoing;
use super::pattern::Pattern;
use super::toml::{Field, Strings};
use crate::message::address::Address;
use crate::rules::condition::{LOCAL, PathPattern, Text};
use crate::rules::{Actions, Conditions, End, Maildir, NOBODY, OTHERWISE, Pipe, Rule, Rules, path};
use ::toml::Spanned;
use ipnet::IpNet;
use regex::RegexBuilder;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use wildmatch::WildMatch;

/// The most rules.
const RULES: usize = 10_000;
/// Octets of a pattern of texts.
const PATTERN: usize = 500;
/// Octets that one regular expression may take up once it is compiled.
const REGEX: usize = 256 << 10;
/// Octets of what a program is called with.
const ARGUMENTS: usize = 64 << 10;
/// How long a program may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// `[rules]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRules {
    otherwise: Field<String>,
    via: Field<String>,
}

/// `[[rule]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    name: Field<String>,
    to: Field<Strings>,
    from: Field<Strings>,
    header_to: Field<Strings>,
    header_from: Field<Strings>,
    subject: Field<RawTexts>,
    header: Option<BTreeMap<Spanned<String>, RawTexts>>,
    larger: Field<String>,
    smaller: Field<String>,
    listener: Field<Strings>,
    client: Field<Strings>,
    not: Option<RawConditions>,
    mark: Option<BTreeMap<Spanned<String>, String>>,
    maildir: Field<String>,
    existing: Option<bool>,
    pipe: Field<Strings>,
    user: Field<String>,
    timeout: Field<String>,
    forward: Field<Strings>,
    via: Field<String>,
    drop: Option<bool>,
    refuse: Field<String>,
    stop: Option<bool>,
}

/// `not = { ... }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConditions {
    to: Field<Strings>,
    from: Field<Strings>,
    header_to: Field<Strings>,
    header_from: Field<Strings>,
    subject: Field<RawTexts>,
    header: Option<BTreeMap<Spanned<String>, RawTexts>>,
    larger: Field<String>,
    smaller: Field<String>,
    listener: Field<Strings>,
    client: Field<Strings>,
}

/// A glob, `{ regex = "..." }`, or a list of them.
struct RawTexts(Vec<RawText>);

enum RawText {
    Glob(String),
    Regex(String),
}

/// Reads one of them, or with `LIST` several.
struct TextVisitor<const LIST: bool>;

impl<'de, const LIST: bool> Visitor<'de> for TextVisitor<LIST> {
    type Value = Vec<RawText>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pattern such as \"*invoice*\", { regex = \"...\" }, or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![RawText::Glob(text.to_owned())])
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "regex" => all.push(RawText::Regex(map.next_value()?)),
                other => return Err(de::Error::unknown_field(other, &["regex"])),
            }
        }
        Ok(all)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if !LIST {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let mut all = Vec::new();
        while let Some(One(mut one)) = list.next_element()? {
            all.append(&mut one);
        }
        Ok(all)
    }
}

struct One(Vec<RawText>);

impl<'de> Deserialize<'de> for One {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor::<false>).map(Self)
    }
}

impl<'de> Deserialize<'de> for RawTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor::<true>).map(Self)
    }
}

impl Builder<'_> {
    /// The rules, each fault with its line.
    pub(super) fn rules(&mut self, raw: RawRules, list: Vec<Spanned<RawRule>>) -> Rules {
        if let Some(rule) = list.get(RULES) {
            let place = self.source.place(rule);
            self.note(&place, format!("more than {RULES} [[rule]]"));
        }
        let otherwise = raw.otherwise.as_ref().map(|field| self.source.place(field));
        let actions = self.field("rules.otherwise", raw.otherwise, otherwise_does);
        let rule = |(place, actions)| {
            let conditions = Conditions::default();
            Rule { name: OTHERWISE.into(), place, conditions, not: None, actions }
        };
        Rules {
            list: self.list(list),
            otherwise: otherwise.zip(actions).map(rule),
            via: raw.via.map(Spanned::into_inner),
        }
    }

    fn list(&mut self, list: Vec<Spanned<RawRule>>) -> Vec<Rule> {
        // Lines are counted on from rule to rule: counted from the beginning each time, thousands take minutes.
        let (text, mut place, mut seen) = (self.source.text.as_bytes(), self.source.at(0), 0);
        let mut rules = Vec::new();
        for raw in list.into_iter().take(RULES) {
            let start = raw.span().start;
            place.line += text.get(seen..start).map_or(0, |between| memchr::memchr_iter(b'\n', between).count());
            seen = start.max(seen);
            rules.extend(self.rule(raw, place.clone()));
        }
        rules
    }

    fn rule(&mut self, raw: Spanned<RawRule>, place: Place) -> Option<Rule> {
        let mut raw = raw.into_inner();
        if raw.name.is_none() {
            return self.fault(&place, "this rule has no name; give name = \"tickets\"");
        }
        let name = self.field("name", raw.name.take(), rule_name);
        let conditions = self.conditions(RawConditions {
            to: raw.to.take(),
            from: raw.from.take(),
            header_to: raw.header_to.take(),
            header_from: raw.header_from.take(),
            subject: raw.subject.take(),
            header: raw.header.take(),
            larger: raw.larger.take(),
            smaller: raw.smaller.take(),
            listener: raw.listener.take(),
            client: raw.client.take(),
        });
        let not = raw.not.take().map(|not| self.conditions(not));
        let actions = self.actions(raw, &place);
        Some(Rule { name: name?, place, conditions, not, actions: actions? })
    }

    fn conditions(&mut self, raw: RawConditions) -> Conditions {
        let subject = raw.subject.map(|field| (self.source.place(&field), field.into_inner()));
        Conditions {
            to: self.each("to", raw.to, Pattern::parse).unwrap_or_default(),
            from: self.each("from", raw.from, path_pattern).unwrap_or_default(),
            header_to: self.each("header_to", raw.header_to, Pattern::parse).unwrap_or_default(),
            header_from: self.each("header_from", raw.header_from, Pattern::parse).unwrap_or_default(),
            subject: subject.map(|(place, texts)| self.texts("subject", &place, texts)).unwrap_or_default(),
            headers: self.headers(raw.header.unwrap_or_default()),
            larger: self.field("larger", raw.larger, super::queue::octets),
            smaller: self.field("smaller", raw.smaller, super::queue::octets),
            listener: self.each("listener", raw.listener, |text| Ok::<_, String>(text.to_owned())).unwrap_or_default(),
            client: self.each("client", raw.client, network).unwrap_or_default(),
        }
    }

    fn headers(&mut self, raw: BTreeMap<Spanned<String>, RawTexts>) -> Vec<(String, Vec<Text>)> {
        let mut all = Vec::new();
        for (name, texts) in raw {
            let place = self.source.place(&name);
            let name = name.into_inner();
            let fine = |octet: u8| octet.is_ascii_graphic() && octet != b':';
            if name.is_empty() || name.len() > 100 || !name.bytes().all(fine) {
                self.note(&place, "header: a header field's name, such as X-Mailer");
            }
            let texts = self.texts(&format!("header {name}"), &place, texts);
            all.push((name, texts));
        }
        all
    }

    fn texts(&mut self, key: &str, place: &Place, texts: RawTexts) -> Vec<Text> {
        if texts.0.is_empty() {
            self.note(place, format!("{key} is empty; give at least one, or leave {key} out"));
        }
        let mut all = Vec::new();
        for raw in texts.0 {
            match text(raw) {
                Ok(text) => all.push(text),
                Err(error) => self.note(place, format!("{key}: {error}")),
            }
        }
        all
    }

    fn actions(&mut self, raw: RawRule, place: &Place) -> Option<Actions> {
        let pipe = self.pipe(raw.pipe, raw.user, raw.timeout, place);
        let refuse = self.field("refuse", raw.refuse, |text| {
            let fine =
                !text.trim().is_empty() && text.len() <= 400 && text.is_ascii() && !text.chars().any(char::is_control);
            fine.then(|| text.trim().to_owned()).ok_or("1 to 400 ASCII characters: it is said in an SMTP reply")
        });
        let end = match (refuse, raw.drop.unwrap_or(false), raw.stop.unwrap_or(false)) {
            (Some(text), false, _) => End::Refuse(text),
            (None, true, _) => End::Drop,
            (None, false, true) => End::Stop,
            (None, false, false) => End::Next,
            (Some(_), true, _) => return self.fault(place, "this rule has drop and refuse; leave one of them out"),
        };
        if raw.existing.is_some() && raw.maildir.is_none() {
            return self.fault(place, "existing goes only with maildir");
        }
        let maildir = self.field("maildir", raw.maildir, |text| path::check(text).map(|()| Maildir::new(text)));
        let existing = raw.existing;
        let actions = Actions {
            mark: self.marks(raw.mark.unwrap_or_default()),
            maildir: maildir.map(|usual| Maildir { existing: existing.unwrap_or(usual.existing), ..usual }),
            pipe,
            forward: self.each("forward", raw.forward, Address::parse).unwrap_or_default(),
            via: raw.via.map(Spanned::into_inner),
            end,
        };
        let delivers = actions.maildir.is_some() || actions.pipe.is_some() || !actions.forward.is_empty();
        match &actions {
            Actions { end: End::Drop | End::Refuse(_), .. } if delivers => {
                self.fault(place, "drop and refuse go without maildir, pipe and forward")
            }
            Actions { via: Some(_), forward, .. } if forward.is_empty() => self.fault(place, "via goes only with forward"),
            Actions { end: End::Next, mark, .. } if !delivers && mark.is_empty() => self.fault(
                place,
                "this rule does nothing; give maildir, pipe, forward, mark, drop, refuse or stop (or what is wrong above)",
            ),
            _ => Some(actions),
        }
    }

    fn pipe(
        &mut self,
        argv: Field<Strings>,
        user: Field<String>,
        timeout: Field<String>,
        place: &Place,
    ) -> Option<Pipe> {
        if argv.is_none() && (user.is_some() || timeout.is_some()) {
            return self.fault(place, "user and timeout go only with pipe");
        }
        let user = self.field("user", user, |name| {
            let fine = !name.is_empty() && name.len() <= 64 && !name.chars().any(|c| c.is_control() || c == ':');
            fine.then(|| name.to_owned()).ok_or("a user's name")
        });
        let timeout = self.field("timeout", timeout, |text| match humantime::parse_duration(text) {
            Ok(limit) if limit >= Duration::from_millis(100) && limit <= Duration::from_secs(3600) => Ok(limit),
            Ok(_) => Err("100ms to 1h"),
            Err(_) => Err("no duration; write 30s, 5m or 1h"),
        });
        let at = argv.as_ref().map(|field| field.span().start);
        let argv = self.each("pipe", argv, |text| {
            (!text.contains('\0')).then(|| text.to_owned()).ok_or("an argument holds no NUL")
        })?;
        let fine = argv.first().is_some_and(|program| program.starts_with('/'))
            && argv.iter().map(String::len).sum::<usize>() <= ARGUMENTS;
        if let Some(at) = at.filter(|_| !fine) {
            let at = self.source.at(at);
            let what =
                "pipe is the absolute path of a program and its arguments: [\"/usr/bin/php\", \"/srv/mail.php\"]";
            return self.fault(&at, what);
        }
        Some(Pipe { argv, user, timeout: timeout.unwrap_or(TIMEOUT) })
    }

    fn marks(&mut self, raw: BTreeMap<Spanned<String>, String>) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (name, value) in raw {
            let place = self.source.place(&name);
            let name = name.into_inner();
            let fine = !value.trim().is_empty() && value.len() <= 900 && !value.chars().any(char::is_control);
            match outgoing::field_name(&name) {
                Ok(()) if fine => all.push((name, value.trim().to_owned())),
                Ok(()) => self.note(&place, format!("mark {name}: 1 to 900 octets without control characters")),
                Err(error) => self.note(&place, format!("mark: {error}")),
            }
        }
        all
    }
}

fn rule_name(name: &str) -> Result<String, &'static str> {
    let fine =
        !name.trim().is_empty() && name.trim() == name && name.len() <= 64 && !name.chars().any(char::is_control);
    match fine && name != OTHERWISE {
        true => Ok(name.to_owned()),
        false => Err("1 to 64 octets without control characters, and not \"otherwise\""),
    }
}

/// `otherwise`: `refuse`, or a maildir.
fn otherwise_does(text: &str) -> Result<Actions, &'static str> {
    const FORM: &str = "\"refuse\", \"drop\" or \"maildir:/path\"";
    match text {
        "refuse" => Ok(Actions { end: End::Refuse(NOBODY.into()), ..Actions::default() }),
        "drop" => Ok(Actions { end: End::Drop, ..Actions::default() }),
        _ => {
            let path = text.strip_prefix("maildir:").ok_or(FORM)?;
            path::check(path)?;
            Ok(Actions { maildir: Some(Maildir::new(path)), ..Actions::default() })
        }
    }
}

fn path_pattern(text: &str) -> Result<PathPattern, String> {
    if text == "<>" { Ok(PathPattern::Null) } else { Pattern::parse(text).map(PathPattern::Address) }
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(|network| network.trunc()).map_err(|_| "no network; write 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1")
}

fn text(raw: RawText) -> Result<Text, String> {
    match raw {
        RawText::Glob(glob) => {
            let fine = !glob.is_empty() && glob.len() <= PATTERN && !glob.chars().any(char::is_control);
            let glob = fine.then(|| WildMatch::new(&glob.to_lowercase()));
            glob.map(Text::Glob).ok_or_else(|| format!("a pattern such as *invoice*, at most {PATTERN} octets"))
        }
        RawText::Regex(regex) if regex.len() > PATTERN => {
            Err(format!("a regular expression has at most {PATTERN} octets"))
        }
        RawText::Regex(regex) => {
            let built = RegexBuilder::new(&regex).size_limit(REGEX).dfa_size_limit(REGEX).build();
            built.map(Text::Regex).map_err(|error| {
                // The library shows the place on lines of its own; the last one says what it is.
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                format!("no regular expression: {last}")
            })
        }
    }
}

/// What concerns several values: names that are there twice, senders and listeners that rules name.
pub(super) fn validate(config: &Config, errors: &mut Vec<ConfigError>) {
    let mut names: HashMap<&str, &Place> = HashMap::new();
    let addresses: Vec<String> =
        config.listen.iter().flat_map(|listener| &listener.addresses).map(ToString::to_string).collect();
    for rule in config.rules.list.iter().chain(&config.rules.otherwise) {
        let mut fault = |what: String| errors.push(ConfigError::at(&rule.place, format!("rule {}: {what}", rule.name)));
        if let Some(first) = names.insert(&rule.name, &rule.place) {
            fault(format!("two rules have the name; the other one is at {first}"));
        }
        let named = rule.actions.via.as_ref().or(config.rules.via.as_ref());
        if !rule.actions.forward.is_empty() && config.via(rule).is_none() {
            fault(match named {
                Some(name) => format!("via: no sender is named \"{}\"{}", name.escape_debug(), near(config, name)),
                None => "forward needs via = \"SENDER\", here or in [rules], or a [default] server".into(),
            });
        }
        let listeners = rule.conditions.listener.iter().chain(rule.not.iter().flat_map(|not| &not.listener));
        for listener in listeners.filter(|one| *one != LOCAL && !addresses.contains(one)) {
            let all = addresses.iter().map(String::as_str).chain([LOCAL]).collect::<Vec<_>>().join(", ");
            fault(format!("listener: no [[listen]] has the address \"{}\"; there are {all}", listener.escape_debug()));
        }
    }
}

fn near(config: &Config, name: &str) -> String {
    let near = super::nearest::name(name, config.senders.iter().map(|sender| sender.name.as_str()));
    near.map_or(String::new(), |near| format!("; did you mean \"{}\"?", near.escape_debug()))
}
