//! The raw tables of postrider.toml and its fragments become senders, the default relay and the general settings.
//!
//! Values only: `load` reads the files. What concerns one value is checked here, what concerns several in `validate`.

use super::account::{Builder, host_name};
use super::brake::Brake;
use super::bulk::{Named, choice as bulk_choice};
use super::error::{ConfigError, Place};
use super::limits::LimitsConfig;
use super::listen::{Listener, User};
use super::local::LocalSpec;
use super::model::{IdentityRule, LogConfig, LogTarget, OnMismatch, QueueConfig, Sender, TempFailExit};
use super::msmtp::MsmtpOptions;
use super::pattern::Pattern;
use super::replies::ReplyRule;
use super::staging::Staging;
use super::toml::{Field, RawAccount, RawConfig, RawDefault, RawFragment, RawLog, RawSender, Source, Strings};
use crate::limits::zone::Zone;
use crate::message::address::Address;
use crate::message::bulk;
use crate::rules::{self, Rules};
use ::toml::Spanned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What one file says.
#[derive(Debug, Default)]
pub(super) struct FileConfig {
    pub enabled: bool,
    pub resent: bool,
    pub domain: Option<String>,
    pub tempfail_exit: TempFailExit,
    pub log: LogConfig,
    pub queue: QueueConfig,
    pub limits: LimitsConfig,
    /// `limits.timezone`.
    pub zone: Zone,
    pub bulk: bulk::Rules,
    pub brake: Option<Brake>,
    /// Senders that rules name.
    pub named: Vec<Named>,
    pub local: LocalSpec,
    pub staging: Option<Staging>,
    pub msmtp: MsmtpOptions,
    /// `None` where there is no `[default]`.
    pub default: Option<DefaultSpec>,
    pub senders: Vec<Sender>,
    /// `[[reply]]`.
    pub replies: Vec<ReplyRule>,
    pub listen: Vec<Listener>,
    pub users: Vec<User>,
    pub rules: Rules,
    /// Whether a password stands in the file itself, so that its owner and mode matter.
    pub literal: bool,
}

/// What `[default]` says; the msmtprc is not read yet.
#[derive(Debug)]
pub(super) enum DefaultSpec {
    Server(Box<Sender>),
    Msmtprc { path: Option<PathBuf>, account: Option<String>, match_from: bool, place: Place },
    Refuse(Place),
}

/// Reads the main file. What is usable comes back even with errors, so that `validate` can look at it too.
pub(super) fn main_file(source: Source<'_>, home: Option<&Path>) -> (FileConfig, Vec<ConfigError>) {
    let mut raw: RawConfig = match source.parse() {
        Ok(raw) => raw,
        Err(error) => return (FileConfig { enabled: true, ..FileConfig::default() }, vec![error]),
    };
    let mut build = Builder::new(source, home);
    let local = build.local(&mut raw);
    let (limits, zone) = build.limits(raw.limits.unwrap_or_default(), raw.limit);
    build.zone = zone.clone();
    let mut queue = raw.queue.unwrap_or_default();
    let (bulk, named) = build.bulk(queue.bulk_recipients.take(), raw.bulk);
    let queue = build.queue(queue);
    let file = FileConfig {
        enabled: raw.enabled.unwrap_or(true),
        resent: raw.resent.unwrap_or(false),
        domain: build.field("domain", raw.domain, host_name),
        tempfail_exit: build.tempfail_exit(raw.tempfail_exit),
        log: build.log(raw.log.unwrap_or_default()),
        limits,
        zone,
        bulk,
        named,
        local,
        staging: build.staging(raw.staging, &queue.directory),
        msmtp: build.msmtp(raw.msmtp.unwrap_or_default()),
        queue,
        brake: raw.brake.and_then(|brake| build.brake(brake)),
        default: raw.default.and_then(|default| build.default_relay(default)),
        replies: build.replies(raw.reply),
        senders: raw.sender.into_iter().filter_map(|sender| build.sender(sender)).collect(),
        listen: raw.listen.into_iter().filter_map(|listener| build.listener(listener)).collect(),
        rules: build.rules(raw.rules.unwrap_or_default(), raw.rule),
        users: raw.user.into_iter().filter_map(|user| build.user_table(user)).collect(),
        literal: build.literal,
    };
    (file, build.errors)
}

/// Reads a file of `senders.d`.
pub(super) fn fragment(source: Source<'_>, home: Option<&Path>, zone: &Zone) -> (FileConfig, Vec<ConfigError>) {
    let raw: RawFragment = match source.parse() {
        Ok(raw) => raw,
        Err(error) => return (FileConfig::default(), vec![error]),
    };
    let mut build = Builder { zone: zone.clone(), ..Builder::new(source, home) };
    let senders = raw.sender.into_iter().filter_map(|sender| build.sender(sender)).collect();
    (FileConfig { senders, literal: build.literal, ..FileConfig::default() }, build.errors)
}

impl Builder<'_> {
    fn tempfail_exit(&mut self, field: Field<i64>) -> TempFailExit {
        let Some(field) = field else { return TempFailExit::default() };
        match field.get_ref() {
            69 => TempFailExit::Unavailable,
            75 => TempFailExit::TempFail,
            _ => {
                let place = self.source.place(&field);
                self.note(&place, "tempfail_exit is 69 or 75");
                TempFailExit::default()
            }
        }
    }

    fn log(&mut self, raw: RawLog) -> LogConfig {
        let to = self.field("log.to", raw.to, |to| match to {
            "syslog" => Ok(LogTarget::Syslog),
            "stderr" => Ok(LogTarget::Stderr),
            "off" => Ok(LogTarget::Off),
            path if path.starts_with('/') && !path.contains('\0') => Ok(LogTarget::File(path.into())),
            _ => Err("one of \"syslog\", \"stderr\", \"off\" or an absolute path"),
        });
        let json = self.field("log.format", raw.format, |format| match format {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err("one of \"text\", \"json\""),
        });
        LogConfig { to: to.unwrap_or_default(), json: json.unwrap_or_default() }
    }

    fn default_relay(&mut self, raw: Spanned<RawDefault>) -> Option<DefaultSpec> {
        let place = self.source.place(&raw);
        let mut raw = raw.into_inner();
        let smtp = raw.take_account();
        let of_msmtprc = raw.msmtprc.is_some() || raw.account.is_some() || raw.match_from.is_some();
        let has_server = smtp.server.is_some() || smtp.provider.is_some();
        let relay = raw.relay.map(|relay| (self.source.place(&relay), relay.into_inner()));
        match relay.as_ref().map(|(at, relay)| (at, relay.as_str())) {
            Some((at, "msmtprc" | "refuse")) if has_server => {
                return self.fault(at, "[default] has both relay and server; leave one of them out");
            }
            Some((_, "refuse")) if !of_msmtprc => return Some(DefaultSpec::Refuse(place)),
            Some((at, "refuse")) => {
                return self.fault(at, "relay = \"refuse\" goes without msmtprc, account and match_from");
            }
            Some((_, "msmtprc")) => {}
            Some((at, _)) => {
                return self.fault(at, "relay is \"msmtprc\" or \"refuse\"; a server is given as server = \"...\"");
            }
            None if has_server && of_msmtprc => {
                return self.fault(&place, "[default] has a server; msmtprc, account and match_from go without one");
            }
            None if of_msmtprc => {}
            None => {
                let name = Some("default".to_owned());
                return self.profile(name, smtp, &place, "[default]").map(|relay| DefaultSpec::Server(Box::new(relay)));
            }
        }
        self.msmtprc(raw.msmtprc, raw.account, raw.match_from, place)
    }

    fn msmtprc(
        &mut self,
        path: Field<String>,
        account: Field<String>,
        match_from: Option<bool>,
        place: Place,
    ) -> Option<DefaultSpec> {
        Some(DefaultSpec::Msmtprc {
            path: self.path("msmtprc", path),
            account: account.map(Spanned::into_inner),
            match_from: match_from.unwrap_or(false),
            place,
        })
    }

    fn sender(&mut self, raw: Spanned<RawSender>) -> Option<Sender> {
        let place = self.source.place(&raw);
        let mut raw = raw.into_inner();
        let smtp = raw.take_account();
        if smtp.from.is_none() {
            self.note(&place, "this sender has no from; give from = \"shop@example.com\"");
        }
        let name = raw.name.is_some().then(|| self.sender_name(raw.name)).flatten();
        let users = self.principals("users", raw.users, &place);
        let groups = self.principals("groups", raw.groups, &place);
        let backup = self.backup(raw.backup);
        let backup_after = self.period("backup_after", raw.backup_after).unwrap_or(Sender::BACKUP_AFTER);
        let sender = self.profile(name, smtp, &place, "this sender")?;
        Some(Sender { enabled: raw.enabled.unwrap_or(true), users, groups, backup, backup_after, ..sender })
    }

    /// Names of other senders, each with its place.
    fn backup(&mut self, field: Field<Strings>) -> Vec<(String, Place)> {
        let Some(field) = field else { return Vec::new() };
        let at = self.source.place(&field);
        let list = field.into_inner().0;
        list.into_iter()
            .map(|(span, name)| (name, span.map_or_else(|| at.clone(), |s| self.source.at(s.start))))
            .collect()
    }

    /// What `[default]` with a server and a `[[sender]]` have in common. Without a name it is the first `from`.
    fn profile(&mut self, name: Option<String>, mut smtp: RawAccount, place: &Place, what: &str) -> Option<Sender> {
        let from = self.patterns(smtp.from.take());
        let names = self.names(smtp.names.take().unwrap_or_default());
        let on_mismatch = self.field("on_mismatch", smtp.on_mismatch.take(), |text| match text {
            "refuse" => Ok(OnMismatch::Refuse),
            "rewrite" => Ok(OnMismatch::Rewrite),
            "route" => Ok(OnMismatch::Route),
            _ => Err("one of \"refuse\", \"rewrite\", \"route\""),
        });
        let log_file = self.path("log_file", smtp.log_file.take());
        let bulk = self.field("bulk", smtp.bulk.take(), bulk_choice);
        let dkim_selector = self.field("dkim_selector", smtp.dkim_selector.take(), dkim_selector);
        let outgoing = self.outgoing(&mut smtp);
        let (must_match, debug) = (smtp.must_match, smtp.debug.unwrap_or(false));
        let (flow, limits) = (std::mem::take(&mut smtp.flow), std::mem::take(&mut smtp.limits));
        let (mut relay, provider) = self.account(smtp, place, what)?;
        let (flow, portions) = self.flow(flow, provider);
        relay.portions = portions;
        let usual = self.zone.clone();
        let limits = self.sender_limits(limits, provider, &usual);
        let must_match = must_match.unwrap_or_else(|| provider.is_some_and(|provider| provider.must_match));
        Some(Sender {
            name: name.or_else(|| from.first().map(|(pattern, _)| pattern.to_string()))?,
            place: place.clone(),
            enabled: true,
            provider,
            from,
            relay,
            names,
            outgoing,
            users: Vec::new(),
            groups: Vec::new(),
            identity: IdentityRule { must_match, on_mismatch: on_mismatch.unwrap_or_default() },
            debug,
            log_file,
            backup: Vec::new(),
            backup_after: Sender::BACKUP_AFTER,
            limits,
            bulk: bulk.unwrap_or_default(),
            dkim_selector,
            flow,
        })
    }

    fn patterns(&mut self, field: Field<Strings>) -> Vec<(Pattern, Place)> {
        let Some(field) = field else { return Vec::new() };
        let place = self.source.place(&field);
        let list = field.into_inner().0;
        if list.is_empty() {
            self.note(&place, "from is empty; give at least one address or pattern");
        }
        let mut patterns = Vec::new();
        for (span, text) in list {
            let at = span.map_or_else(|| place.clone(), |span| self.source.at(span.start));
            match Pattern::parse(&text) {
                Ok(pattern) => patterns.push((pattern, at)),
                Err(error) if self.source.quote => self.note(&at, format!("from: {error}")),
                Err(_) => self.note(&at, "from: neither an address nor a pattern such as *@example.com"),
            }
        }
        patterns
    }

    fn sender_name(&mut self, name: Field<String>) -> Option<String> {
        self.field("name", name, |name| {
            let fine = !name.trim().is_empty() && name.len() <= 200 && !name.chars().any(char::is_control);
            if !fine {
                return Err("a name is 1 to 200 characters without control characters");
            }
            // The queue has lanes of these names for mail of the rules.
            if name.eq_ignore_ascii_case(rules::INCOMING) || name.starts_with(rules::LANE) {
                return Err(
                    "\"incoming\" and names that begin with \"rule \" are taken by the rules; choose another one",
                );
            }
            Ok(name.to_owned())
        })
    }

    fn names(&mut self, raw: BTreeMap<Spanned<String>, String>) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        for (address, shown) in raw {
            let place = self.source.place(&address);
            match Address::parse(address.get_ref()) {
                Err(error) => self.note(&place, format!("names: {error}")),
                Ok(_) if shown.chars().any(char::is_control) || shown.len() > 500 => {
                    self.note(&place, "names: a name has no control character and at most 500 octets");
                }
                Ok(address) if names.contains_key(&address.key()) => {
                    self.note(&place, format!("names: {address} stands here twice"));
                }
                Ok(address) => drop(names.insert(address.key(), shown)),
            }
        }
        names
    }

    /// Users or groups. An empty list would mean everybody, which nobody expects of `users = []`.
    fn principals(&mut self, key: &str, raw: Option<Strings>, place: &Place) -> Vec<String> {
        let Some(Strings(list)) = raw else { return Vec::new() };
        if list.is_empty() {
            self.note(place, format!("{key} = [] would let everybody in; leave {key} out, or enabled = false"));
        }
        let bad = |name: &str| name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace());
        if list.iter().any(|(_, name)| bad(name)) {
            self.note(place, format!("{key}: an empty name, or one with a space in it"));
        }
        list.into_iter().map(|(_, name)| name).collect()
    }
}

/// Labels of a DNS name (RFC 6376 section 3.1).
fn dkim_selector(text: &str) -> Result<String, &'static str> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    };
    match text.len() <= 200 && text.split('.').all(label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("the labels of a DNS name, such as mail or s1"),
    }
}
