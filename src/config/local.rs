//! `aliases`, `aliases_format`, `local_domains` and `default_recipient`: who gets the mail of local names. Values only.

use super::account::{Builder, host_name};
use super::toml::{Field, RawConfig, Strings};
use crate::message::address::Address;
use std::path::PathBuf;

/// The most domains in `local_domains`.
const DOMAINS: usize = 1000;

/// Who gets the mail of local names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalMail {
    /// The alias file; `None` where there is none to be looked at.
    pub aliases: Option<AliasSource>,
    /// `local_domains`; `None`: `localhost` and the host's name.
    pub domains: Option<Vec<String>>,
    /// `default_recipient`: gets what no alias takes.
    pub default_recipient: Option<Address>,
}

/// Which alias file is read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasSource {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: AliasFormat,
    /// Whether it must be there: it was named.
    pub required: bool,
    /// Whether any fault makes all of it unusable, as msmtp has it.
    pub strict: bool,
}

/// The format of an alias file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AliasFormat {
    /// Told by what is in it.
    #[default]
    Auto,
    /// aliases(5), as of sendmail.
    Sendmail,
    /// msmtp's.
    Msmtp,
}

/// What a configuration says about local mail. `None` in `aliases`: nothing.
#[derive(Debug, Default)]
pub(super) struct LocalSpec {
    /// `Some(None)`: off.
    pub aliases: Option<Option<PathBuf>>,
    pub format: AliasFormat,
    pub domains: Option<Vec<String>>,
    pub default_recipient: Option<Address>,
}

impl LocalSpec {
    /// With the usual file where nothing is said of one.
    pub fn or_usual(self, usual: PathBuf) -> LocalMail {
        let format = self.format;
        let source = |path, required| AliasSource { path, format, required, strict: false };
        LocalMail {
            aliases: match self.aliases {
                None => Some(source(usual, false)),
                Some(given) => given.map(|path| source(path, true)),
            },
            domains: self.domains,
            default_recipient: self.default_recipient,
        }
    }
}

impl Builder<'_> {
    /// Takes the keys of local mail out of the main file.
    pub(super) fn local(&mut self, raw: &mut RawConfig) -> LocalSpec {
        let off = raw.aliases.as_ref().is_some_and(|aliases| matches!(aliases.get_ref().as_str(), "off" | "none"));
        let given = raw.aliases.is_some();
        let path = if off { None } else { self.path("aliases", raw.aliases.take()) };
        let format = self.field("aliases_format", raw.aliases_format.take(), |text| match text {
            "auto" => Ok(AliasFormat::Auto),
            "sendmail" => Ok(AliasFormat::Sendmail),
            "msmtp" => Ok(AliasFormat::Msmtp),
            _ => Err("one of \"auto\", \"sendmail\", \"msmtp\""),
        });
        LocalSpec {
            aliases: given.then_some(path),
            format: format.unwrap_or_default(),
            domains: self.domains(raw.local_domains.take()),
            default_recipient: self.field("default_recipient", raw.default_recipient.take(), Address::parse),
        }
    }

    fn domains(&mut self, field: Field<Strings>) -> Option<Vec<String>> {
        let field = field?;
        let place = self.source.place(&field);
        let list = field.into_inner().0;
        if list.len() > DOMAINS {
            return self.fault(&place, format!("local_domains holds at most {DOMAINS}"));
        }
        let mut domains = Vec::new();
        for (span, text) in list {
            let at = span.map_or_else(|| place.clone(), |span| self.source.at(span.start));
            match host_name(&text) {
                Ok(domain) => domains.push(domain),
                Err(error) => self.note(&at, format!("local_domains: {error}")),
            }
        }
        Some(domains)
    }
}
