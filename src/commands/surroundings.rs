//! What a command finds around it: caller, host names, configuration. Gathered once, so that the rest gets values.

use super::alias_files;
use crate::cli::invocation::{Invocation, MsmtpOptions, Options};
use crate::config::load::{self, Sources};
use crate::config::msmtprc::Overrides;
use crate::config::{Config, ConfigError, DefaultRelay};
use crate::deliver::maildir;
use crate::route::Request;
use crate::sys::users::Caller;
use crate::sys::{clock, env, files, random};
use chrono::{DateTime, FixedOffset};
use std::path::{Path, PathBuf};

/// Where system-wide configuration lives.
pub(super) const ETC: &str = "/etc";

/// The caller, the host and the moment.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Who called.
    pub who: Caller,
    /// The host's name.
    pub hostname: String,
    /// The first line of /etc/mailname.
    pub mailname: Option<String>,
    /// The time of the call.
    pub now: DateTime<FixedOffset>,
    /// Random hex digits.
    pub token: String,
}

impl Surroundings {
    /// Looks around.
    #[must_use]
    pub fn look() -> Self {
        Self::of(Caller::current())
    }

    /// The same for somebody else's message: what the daemon sees of a caller on its socket.
    #[must_use]
    pub fn of(who: Caller) -> Self {
        let mailname = files::read(&Path::new(ETC).join("mailname")).ok();
        let mailname = mailname.and_then(|(text, _)| {
            let line = String::from_utf8(text).ok()?.lines().next()?.trim().to_owned();
            (!line.is_empty()).then_some(line)
        });
        let (now, token) = moment();
        Self { who, hostname: env::hostname(), mailname, now, token }
    }

    /// The same at a later moment, for the next message of one process.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let (now, token) = moment();
        Self { now, token, ..self.clone() }
    }

    /// Loads the configuration: what `--config` or `$POSTRIDER_CONFIG` names, else the usual files.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self, explicit: Option<PathBuf>) -> Result<Config, Vec<ConfigError>> {
        load::load(&self.sources(explicit))
    }

    fn sources(&self, explicit: Option<PathBuf>) -> Sources {
        Sources {
            explicit: explicit.or_else(|| env::path("POSTRIDER_CONFIG")),
            home: self.who.home.clone(),
            uid: self.who.uid,
            etc: ETC.into(),
        }
    }

    /// Loads the configuration for an invocation. For `msmtp` its own files and options decide, unless they name no
    /// account of theirs; then it is as for `sendmail`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load_for(&self, invocation: &Invocation, explicit: Option<PathBuf>) -> Result<Config, Vec<ConfigError>> {
        match self.own_msmtp(invocation)? {
            Some(config) => Ok(config),
            None => self.load(explicit),
        }
    }

    /// What `msmtp`'s own files and options say, where they name an account; `None` where the invocation goes on as
    /// `sendmail`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn own_msmtp(&self, invocation: &Invocation) -> Result<Option<Config>, Vec<ConfigError>> {
        let Some(own) = &invocation.msmtp else { return Ok(None) };
        let named = invocation.options.account.as_deref();
        let overrides = Overrides::new(&own.settings, named).map_err(|error| vec![error])?;
        let mut config = load::load_msmtp(&self.msmtp_sources(own), &overrides).map_err(|error| vec![error])?;
        config.staging = load::staging_of(&self.sources(None))?;
        let theirs = match &config.default {
            DefaultRelay::Msmtprc(msmtprc) => {
                msmtprc.accounts.iter().any(|account| named.is_none_or(|name| account.name == name))
            }
            _ => false,
        };
        if theirs || own.file.is_some() {
            return Ok(Some(config));
        }
        if !overrides.is_empty() {
            let what = format!(
                "no msmtprc account that {} could apply to; give --host, or write ~/.msmtprc",
                overrides.names()
            );
            return Err(vec![ConfigError { place: None, what }]);
        }
        Ok(None)
    }

    /// The log file for a fault of the msmtp personality's own configuration, where one can be made out.
    #[must_use]
    pub fn msmtp_log_hint(&self, invocation: &Invocation) -> Option<PathBuf> {
        let own = invocation.msmtp.as_ref()?;
        let overrides = Overrides::new(&own.settings, None).unwrap_or_default();
        load::msmtp_log_hint(&self.msmtp_sources(own), &overrides)
    }

    fn msmtp_sources(&self, own: &MsmtpOptions) -> Sources {
        Sources { explicit: own.file.clone(), home: self.who.home.clone(), uid: self.who.uid, etc: ETC.into() }
    }

    /// What a bare name is qualified with: `domain` of the configuration, else /etc/mailname, else the host's name.
    #[must_use]
    pub fn domain<'a>(&'a self, config: &'a Config) -> &'a str {
        config.domain.as_deref().or(self.mailname.as_deref()).unwrap_or(&self.hostname)
    }

    /// The request that the plan of a message is made for.
    #[must_use]
    pub fn request<'a>(&'a self, config: &'a Config, options: &'a Options) -> Request<'a> {
        Request {
            options,
            who: &self.who,
            domain: self.domain(config),
            hostname: &self.hostname,
            canonical: &env::canonical_hostname,
            mailname: self.mailname.as_deref(),
            now: self.now,
            token: &self.token,
            aliases: &alias_files::read,
            mailboxes: maildir::MAILBOXES,
        }
    }
}

/// The time, and random digits. Without a random source, time and process id still make an identifier of its own.
fn moment() -> (DateTime<FixedOffset>, String) {
    let now = clock::now();
    let token = random::token().unwrap_or_else(|_| format!("{:x}.{:x}", now.timestamp_micros(), std::process::id()));
    (now, token)
}
