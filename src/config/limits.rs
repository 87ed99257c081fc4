//! Limits as they are configured: a sender's own windows, what happens at the limit, limits that senders share, and where
//! they are counted.
//!
//! Values only, but for a named time zone, whose rules are the machine's. What concerns several senders is checked in
//! `check`.

use super::account::Builder;
use super::error::{ConfigError, Place};
use super::model::{Config, DefaultRelay, Sender};
use super::pattern::Pattern;
use super::presets::Preset;
use super::toml::{Field, RawLimits, RawShared, RawWindow, Share, Strings};
use crate::limits::window::{Measure, Span, Window};
use crate::limits::zone::{Named, Zone};
use crate::message::address::Address;
use crate::sys::zoneinfo;
use ::toml::Spanned;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wildmatch::WildMatch;

/// The shortest and the longest rolling window.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// The most limits of one sender.
const WINDOWS: usize = 20;

/// `[limits]` and `[[limit]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsConfig {
    /// `file`: where everything is counted; `limits.db` beside the queue where it is not given.
    pub file: Option<PathBuf>,
    /// Limits that senders share.
    pub shared: Vec<SharedLimit>,
}

/// `[[limit]]`: one limit for several senders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedLimit {
    /// Its unique name.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// The limit.
    pub window: Window,
    /// Whose it is.
    pub members: Members,
}

/// Who shares a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// The senders of these names, each with its place.
    Senders(Vec<(String, Place)>),
    /// All whose own address is in this domain (lower case).
    Domain(String),
}

/// What a sender says of its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderLimits {
    /// `limits`, else the preset's.
    pub windows: Vec<Window>,
    /// `at_limit`.
    pub at_limit: AtLimit,
    /// `reserve`.
    pub reserve: Reserve,
}

/// What becomes of a message for which there is no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AtLimit {
    /// It waits in the queue until there is.
    #[default]
    Hold,
    /// It is refused at submission.
    Refuse,
    /// Another sender takes it.
    Overflow(String, Place),
}

/// The share of each limit that bulk mail may not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// Hundredths, 0 to 99.
    Percent(u32),
    /// So many recipients or messages.
    Number(u32),
}

impl Default for Reserve {
    fn default() -> Self {
        Self::Percent(0)
    }
}

impl Reserve {
    /// What of a limit is there for bulk mail: never less than 1, so that it is late and not stuck.
    #[must_use]
    pub fn for_bulk(self, most: u32) -> u64 {
        let most = u64::from(most);
        let kept = match self {
            Self::Percent(share) => (most * u64::from(share)).div_ceil(100),
            Self::Number(number) => number.into(),
        };
        most.saturating_sub(kept).max(1)
    }
}

/// The keys of a sender about limits.
#[derive(Default)]
pub(super) struct RawSenderLimits {
    pub limits: Field<Vec<RawWindow>>,
    pub at_limit: Field<String>,
    pub reserve: Field<Share>,
    pub timezone: Field<String>,
}

impl Builder<'_> {
    /// `[limits]` and all `[[limit]]`, and the zone for senders that give none.
    pub(super) fn limits(&mut self, raw: RawLimits, shared: Vec<Spanned<RawShared>>) -> (LimitsConfig, Zone) {
        let zone = self.field("limits.timezone", raw.timezone, zone).unwrap_or_default();
        let file = self.field("limits.file", raw.file, |text| match text.starts_with('/') && !text.contains('\0') {
            true => Ok(PathBuf::from(text)),
            false => Err("an absolute path is needed"),
        });
        let shared = shared.into_iter().filter_map(|one| self.shared_limit(one, &zone)).collect();
        (LimitsConfig { file, shared }, zone)
    }

    fn shared_limit(&mut self, raw: Spanned<RawShared>, usual: &Zone) -> Option<SharedLimit> {
        let place = self.source.place(&raw);
        let raw = raw.into_inner();
        let zone = self.field("timezone", raw.timezone, zone).unwrap_or_else(|| usual.clone());
        let name = self.field("name", raw.name, |name| {
            let fine = !name.trim().is_empty() && name.len() <= 200 && !name.chars().any(char::is_control);
            fine.then(|| name.to_owned()).ok_or("a name is 1 to 200 characters without control characters")
        });
        let window = RawWindow { recipients: raw.recipients, messages: raw.messages, per: raw.per };
        let window = self.window(window, &place, &zone);
        let domain =
            self.field("domain", raw.domain, |text| super::server::check_host(text).map(|()| text.to_lowercase()));
        let members = match (raw.senders, domain) {
            (Some(senders), None) => Members::Senders(self.names_of(senders)),
            (None, Some(domain)) => Members::Domain(domain),
            _ => return self.fault(&place, "a [[limit]] has senders = [\"...\"] or domain = \"...\", one of the two"),
        };
        let Some(name) = name else { return self.fault(&place, "this [[limit]] has no name; give name = \"...\"") };
        Some(SharedLimit { name, place, window: window?, members })
    }

    fn names_of(&mut self, senders: Spanned<Strings>) -> Vec<(String, Place)> {
        let whole = self.source.place(&senders);
        let list = senders.into_inner().0;
        if list.is_empty() {
            self.note(&whole, "senders is empty; name at least one sender");
        }
        let place = |span: Option<std::ops::Range<usize>>| {
            span.map_or_else(|| whole.clone(), |span| self.source.at(span.start))
        };
        list.into_iter().map(|(span, name)| (name, place(span))).collect()
    }

    /// A sender's own limits. Those of the preset where it gives none.
    pub(super) fn sender_limits(
        &mut self,
        raw: RawSenderLimits,
        preset: Option<&'static Preset>,
        usual: &Zone,
    ) -> SenderLimits {
        let at_place = raw.at_limit.as_ref().map(|at_limit| self.source.place(at_limit));
        let at_limit = match (raw.at_limit.map(Spanned::into_inner), at_place) {
            (Some(text), Some(place)) => match text.as_str() {
                "hold" => AtLimit::Hold,
                "refuse" => AtLimit::Refuse,
                _ => AtLimit::Overflow(text, place),
            },
            _ => AtLimit::Hold,
        };
        let zone = self.field("timezone", raw.timezone, zone).unwrap_or_else(|| usual.clone());
        let windows = match raw.limits {
            None => preset.map(|preset| preset.limits.windows.to_vec()).unwrap_or_default(),
            Some(given) => {
                let place = self.source.place(&given);
                let given = given.into_inner();
                if given.len() > WINDOWS {
                    self.note(&place, format!("limits: at most {WINDOWS} of them"));
                }
                given.into_iter().filter_map(|one| self.window(one, &place, &zone)).collect()
            }
        };
        let reserve = self.reserve(raw.reserve, &windows).unwrap_or_default();
        SenderLimits { windows, at_limit, reserve }
    }

    fn window(&mut self, raw: RawWindow, place: &Place, zone: &Zone) -> Option<Window> {
        let Some(per) = raw.per else {
            return self.fault(place, "a limit needs per = \"24h\", \"1m\" or the like, or per = \"day\"");
        };
        let per = self.field("per", Some(per), |text| match text {
            "day" => Ok(Span::Day(zone.clone())),
            _ => match humantime::parse_duration(text) {
                Ok(length) if length >= SHORTEST && length <= LONGEST => Ok(Span::Rolling(length)),
                Ok(_) => Err("from a second to 366 days"),
                Err(_) => Err("no duration; write 1m, 1h, 24h, or day"),
            },
        });
        let (measure, count) = match (raw.recipients, raw.messages) {
            (Some(count), None) => (Measure::Recipients, count),
            (None, Some(count)) => (Measure::Messages, count),
            _ => return self.fault(place, "a limit has recipients = N or messages = N, one of the two"),
        };
        let at = self.source.place(&count);
        match u32::try_from(count.into_inner()) {
            Ok(most) if most > 0 => Some(Window { measure, most, per: per? }),
            _ => self.fault(&at, format!("{measure}: a number from 1 to {}; limits = [] for none", u32::MAX)),
        }
    }

    fn reserve(&mut self, field: Field<Share>, windows: &[Window]) -> Option<Reserve> {
        const FORMS: &str = "reserve is a share from \"0%\" to \"99%\", or a number less than each of the limits";
        let field = field?;
        let place = self.source.place(&field);
        let reserve = match field.into_inner() {
            Share::Number(number) => u32::try_from(number).ok().map(Reserve::Number),
            Share::Text(text) => {
                let share = text.strip_suffix('%').and_then(|share| share.trim().parse().ok());
                share.filter(|share| *share < 100).map(Reserve::Percent)
            }
        };
        let all = |number: u32| windows.iter().any(|window| window.most <= number);
        match reserve {
            Some(Reserve::Number(number)) if all(number) => self.fault(&place, FORMS),
            None => self.fault(&place, FORMS),
            reserve => reserve,
        }
    }
}

/// A zone of the IANA database, by its name; the nearest where there is none.
fn zone(text: &str) -> Result<Zone, String> {
    match zoneinfo::read(text) {
        Ok(data) => match Named::parse(text, &data) {
            Ok(zone) => Ok(Zone::Named(Arc::new(zone))),
            Err(error) => Err(format!("the machine's file of this time zone is damaged ({error}); reinstall tzdata")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unknown_zone(text)),
        Err(error) => Err(format!("the time zone cannot be read: {error}")),
    }
}

fn unknown_zone(text: &str) -> String {
    let names = zoneinfo::names();
    if names.is_empty() {
        return "this machine has no time zones; install the package tzdata".into();
    }
    match super::nearest::slip(text, names.iter().map(String::as_str)) {
        Some(near) => format!("no such time zone; did you mean {near}?"),
        None => "no such time zone; write Europe/Moscow, UTC or the like".into(),
    }
}

/// The nearest of some names, for an error.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    super::nearest::name(name, known)
        .map_or_else(|| "there is none".into(), |near| format!("the nearest is \"{near}\""))
}

/// What concerns several senders: names that are not there, and overflow to where the identity is not allowed.
pub(super) fn check(config: &Config, errors: &mut Vec<ConfigError>) {
    let names = || config.senders.iter().map(|sender| sender.name.as_str());
    for (index, limit) in config.limits.shared.iter().enumerate() {
        if let Some(first) = config.limits.shared[..index].iter().find(|first| first.name == limit.name) {
            let what = format!("two limits have the name {}; the other one is at {}", limit.name, first.place);
            errors.push(ConfigError::at(&limit.place, what));
        }
        let Members::Senders(members) = &limit.members else { continue };
        for (name, place) in members.iter().filter(|(name, _)| names().all(|known| known != name)) {
            let what = format!("limit {}: no sender is named \"{name}\"; {}", limit.name, nearest(name, names()));
            errors.push(ConfigError::at(place, what));
        }
    }
    let default = match &config.default {
        DefaultRelay::Server(relay) => Some(relay.as_ref()),
        _ => None,
    };
    for sender in config.senders.iter().chain(default) {
        let AtLimit::Overflow(name, place) = &sender.limits.at_limit else { continue };
        match config.senders.iter().find(|other| other.name == *name) {
            None => {
                let what = format!(
                    "at_limit is \"hold\", \"refuse\" or the name of a sender; no sender is named \"{}\", {}",
                    name.escape_debug(),
                    nearest(name, names())
                );
                errors.push(ConfigError::at(place, what));
            }
            Some(other) if std::ptr::eq(other, sender) => {
                errors.push(ConfigError::at(place, "at_limit names the sender itself"));
            }
            Some(other) => errors.extend(stranger(sender, other, place)),
        }
    }
}

/// An address of a sender that the one which is to take over may not send.
fn stranger(sender: &Sender, other: &Sender, place: &Place) -> Option<ConfigError> {
    if !other.identity.must_match {
        return None;
    }
    let own = other.claims();
    let login = other.relay.user.as_deref().map(str::to_lowercase);
    let allowed = |claim: &Pattern| {
        claim.exact().is_some_and(|exact| login.as_deref() == Some(exact))
            || own.iter().any(|pattern| covers(pattern, claim))
    };
    let claim = sender.claims().into_iter().find(|claim| !allowed(claim))?;
    let what = format!(
        "at_limit: sender {} takes only its own addresses (must_match), and {claim} of sender {} is none of them ({}); \
         name a sender that may send it, or \"hold\"",
        other.name, sender.name, other.place
    );
    Some(ConfigError::at(place, what))
}

/// Whether every address of a claim is one of the pattern's.
fn covers(pattern: &Pattern, claim: &Pattern) -> bool {
    if pattern == claim {
        return true;
    }
    if let Some(address) = claim.exact().and_then(|exact| Address::parse(exact).ok()) {
        return pattern.matches(&address);
    }
    let (wide, narrow) = (pattern.to_string(), claim.to_string());
    let (Some((local, domain)), Some((of, at))) = (wide.rsplit_once('@'), narrow.rsplit_once('@')) else {
        return false;
    };
    // A star of the claim is met by nothing but a star; a question mark could take it for one character.
    let any = |text: &str| if text.is_empty() { "*".to_owned() } else { text.to_owned() };
    !wide.contains('?') && WildMatch::new(&any(local)).matches(&any(of)) && WildMatch::new(domain).matches(at)
}
