//! Account settings that a command line gives in the words of an msmtprc, and how they lie over the accounts of a file.
//!
//! Values only. They go through the same table as the lines of a file, so an option can do no more than its command.

use super::super::error::{ConfigError, Place};
use super::super::model::Account;
use super::settings::{Draft, Settings, in_home};
use super::{Facts, commands};
use std::fmt;
use std::path::{Path, PathBuf};

/// The name, and the place in errors, of an account that stands on the command line alone.
const NAME: &str = "command line";

/// Settings of a command line. Empty by default.
#[derive(Default)]
pub struct Overrides {
    pub(super) settings: Settings,
    /// The account that `-a` names: the only one that the settings concern.
    account: Option<String>,
}

impl fmt::Debug for Overrides {
    /// The names alone: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Overrides").field(&self.names()).finish()
    }
}

impl Overrides {
    /// From commands with their arguments, and the account of `-a`.
    ///
    /// # Errors
    /// The first that is no command, or whose argument is none.
    pub fn new(settings: &[(String, String)], account: Option<&str>) -> Result<Self, ConfigError> {
        let mut all = Settings::default();
        for (name, argument) in settings {
            let (key, value) = commands::find(name)
                .ok_or_else(|| commands::unknown(name))
                .and_then(|command| Ok((command.key, command.value(argument)?)))
                .map_err(|what| ConfigError::at(&Place::new(NAME, 0), format!("{name}: {what}")))?;
            all.set(key, value, 0);
        }
        Ok(Self { settings: all, account: account.map(str::to_owned) })
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// The commands, for people.
    #[must_use]
    pub fn names(&self) -> String {
        self.settings.keys().collect::<Vec<_>>().join(", ")
    }

    /// Whether it is an account of its own: a host is given, and no account is named.
    #[must_use]
    pub fn is_account(&self) -> bool {
        self.account.is_none() && self.settings.get("host").is_some()
    }

    /// The log file, where one is given.
    #[must_use]
    pub fn logfile(&self, home: Option<&Path>) -> Option<PathBuf> {
        self.settings.get("logfile").and_then(|path| in_home(path, home))
    }

    /// Whether the settings concern an account of that name.
    pub(super) fn concerns(&self, name: &str) -> bool {
        self.account.as_deref().is_none_or(|account| account == name)
    }

    /// The account that the command line makes on its own.
    pub(super) fn account(&self, facts: &Facts<'_>) -> Result<Account, ConfigError> {
        let (defaults, explicit) = (Settings::default(), self.settings.clone());
        Draft { name: NAME.into(), line: 0, defaults, explicit }.account(&Place::new(NAME, 0), facts)
    }
}

/// Whether a setting may have that argument.
///
/// # Errors
/// For people, without the argument.
pub fn check_setting(name: &str, argument: &str) -> Result<(), String> {
    let command = commands::find(name).ok_or_else(|| commands::unknown(name))?;
    command.value(argument).map(drop)
}
