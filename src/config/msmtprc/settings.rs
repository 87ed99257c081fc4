//! What an msmtprc account was told, with its inheritance, and the `Account` that comes of it.
//!
//! Values were checked when their line was read (`commands`); here they only find their place in the model.

use super::super::error::{ConfigError, Place};
use super::super::model::{
    Account, AuthChoice, AutoOnOff, Endpoint, Protocol, Relay, SetTo, Timeouts, TlsMode, TlsOptions,
};
use super::super::tls;
use super::Facts;
use crate::envelope::{Dsn, Notify, Return};
use crate::secret::{Literal, Secret, SecretSource};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Settings with the line of each. No Debug: one of them may be a password.
#[derive(Clone, Default)]
pub(super) struct Settings(BTreeMap<&'static str, (Zeroizing<String>, usize)>);

impl Settings {
    /// Sets one; empty means unset, which also hides what would be inherited.
    pub fn set(&mut self, key: &'static str, value: Zeroizing<String>, line: usize) {
        self.0.insert(key, (value, line));
    }

    /// Takes over everything that the other one sets.
    pub fn overlay(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(key, value)| (*key, value.clone())));
    }

    /// Whether nothing is set or unset.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is set or unset.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn line(&self, key: &str) -> Option<usize> {
        self.0.get(key).map(|(_, line)| *line)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(str::to_owned)
    }

    /// A number, which was checked when its line was read.
    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    fn on(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, |value| value != "off")
    }
}

/// An account while the file is read.
pub(super) struct Draft {
    pub name: String,
    pub line: usize,
    /// The defaults as they were when the account began.
    pub defaults: Settings,
    /// What it and its parents set.
    pub explicit: Settings,
}

impl Draft {
    /// The finished account. A missing host is no fault yet: the account may only be there to be inherited from
    /// (`Account::check`).
    pub fn account(&self, file: &Place, facts: &Facts<'_>) -> Result<Account, ConfigError> {
        let mut all = self.defaults.clone();
        all.overlay(&self.explicit);
        let maker = Maker { place: Place { line: self.line, ..file.clone() }, all, facts };
        let all = &maker.all;
        Ok(Account {
            name: self.name.clone(),
            relay: maker.relay()?,
            from: maker.from(),
            from_full_name: all.text("from_full_name"),
            allow_from_override: all.on("allow_from_override", true),
            set_from_header: match all.get("set_from_header") {
                Some("on") => AutoOnOff::On,
                Some("off") => AutoOnOff::Off,
                _ => AutoOnOff::Auto,
            },
            set_date_header: all.on("set_date_header", true),
            set_msgid_header: all.on("set_msgid_header", true),
            set_to_header: match all.get("set_to_header") {
                Some("on") => SetTo::On,
                Some("undisclosed_recipients") => SetTo::Undisclosed,
                _ => SetTo::Off,
            },
            remove_bcc_headers: all.on("remove_bcc_headers", true),
            dsn: dsn(all),
            logfile: maker.path("logfile")?,
            logfile_time_format: all.text("logfile_time_format").unwrap_or_else(|| "%b %d %H:%M:%S".into()),
            syslog: all.text("syslog"),
            aliases: maker.path("aliases")?,
            place: maker.place,
        })
    }
}

/// An account's settings on their way into the model.
struct Maker<'w> {
    place: Place,
    all: Settings,
    facts: &'w Facts<'w>,
}

impl Maker<'_> {
    fn fault(&self, key: &str, what: &str) -> ConfigError {
        let line = self.all.line(key).unwrap_or(self.place.line);
        ConfigError::at(&Place { line, ..self.place.clone() }, format!("{key}: {what}"))
    }

    /// A path with `~` replaced.
    fn path(&self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        let Some(text) = self.all.get(key) else { return Ok(None) };
        let path = in_home(text, self.facts.home);
        path.map(Some).ok_or_else(|| self.fault(key, "~ needs a home directory, and there is none"))
    }

    /// `from`, or what the legacy `auto_from` and `maildomain` make of it.
    fn from(&self) -> Option<String> {
        let all = &self.all;
        let automatic = || {
            let domain = all.get("maildomain").map_or_else(String::new, |domain| format!("@{domain}"));
            all.on("auto_from", false).then(|| format!("%U{domain}"))
        };
        all.text("from").or_else(automatic)
    }

    fn relay(&self) -> Result<Relay, ConfigError> {
        let all = &self.all;
        let tls = match (all.on("tls", false), all.on("tls_starttls", true)) {
            (false, _) => TlsMode::Plain,
            (true, true) => TlsMode::StartTls,
            (true, false) => TlsMode::Implicit,
        };
        let protocol = if all.get("protocol") == Some("lmtp") { Protocol::Lmtp } else { Protocol::Smtp };
        let auth = match all.get("auth") {
            None | Some("off") => AuthChoice::Off,
            Some("on") => AuthChoice::Auto,
            Some(method) => tls::mechanism(method).map_err(|error| self.fault("auth", &error))?,
        };
        Ok(Relay {
            endpoint: self.endpoint(tls, protocol),
            tls,
            tls_options: self.tls_options()?,
            protocol,
            user: all.text("user"),
            password: self.password(&auth),
            // With tls off msmtp sends a password only where the method was named: said in so many words.
            plaintext_password: matches!(all.get("auth"), Some("plain" | "login")),
            auth,
            ehlo: Some(self.ehlo()),
            proxy: all.text("proxy_host").map(|host| (host, all.number("proxy_port").unwrap_or(1080))),
            source: all.number("source_ip"),
            timeouts: timeouts(all.number("timeout")),
            client_password: None,
            backups: Vec::new(),
            replies: Default::default(),
            portions: Default::default(),
        })
    }

    /// The socket, else host and port; an empty host or port 0 is what `Account::check` looks for.
    fn endpoint(&self, tls: TlsMode, protocol: Protocol) -> Endpoint {
        if let Some(socket) = self.all.get("socket") {
            return Endpoint::Unix(socket.into());
        }
        let usual = match (protocol, tls) {
            (Protocol::Lmtp, _) => 0,
            (Protocol::Smtp, TlsMode::Implicit) => 465,
            (Protocol::Smtp, _) => 25,
        };
        Endpoint::Tcp(self.all.text("host").unwrap_or_default(), self.all.number("port").unwrap_or(usual))
    }

    fn tls_options(&self) -> Result<TlsOptions, ConfigError> {
        let all = &self.all;
        let client = match (self.path("tls_cert_file")?, self.path("tls_key_file")?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(self.fault("tls_cert_file", "goes only together with tls_key_file")),
            (None, Some(_)) => return Err(self.fault("tls_key_file", "goes only together with tls_cert_file")),
        };
        let fingerprint = all.get("tls_fingerprint").map(tls::fingerprint).transpose();
        Ok(TlsOptions {
            trust_file: if all.get("tls_trust_file") == Some("system") { None } else { self.path("tls_trust_file")? },
            no_check: !all.on("tls_certcheck", true),
            fingerprint: fingerprint.map_err(|error| self.fault("tls_fingerprint", &error))?,
            host_override: all.text("tls_host_override"),
            client,
        })
    }

    /// msmtp's order: password, passwordeval, then where it is looked for at the time.
    fn password(&self, auth: &AuthChoice) -> Option<SecretSource> {
        if let Some(literal) = self.all.get("password") {
            return Some(SecretSource::Literal(Arc::new(Literal(Secret::new(literal.to_owned())))));
        }
        if let Some(command) = self.all.get("passwordeval") {
            return Some(SecretSource::Shell(command.to_owned()));
        }
        let wanted = *auth != AuthChoice::Off && *auth != AuthChoice::Only("EXTERNAL".into());
        wanted.then_some(SecretSource::Searched)
    }

    /// `domain` with its substitutions; msmtp says `localhost` where nothing is set.
    fn ehlo(&self) -> String {
        let host = self.facts.hostname;
        let domain = self.all.get("domain").unwrap_or("localhost");
        let mailname = self.facts.mailname.unwrap_or(host);
        domain.replace("%H", host).replace("%C", self.facts.canonical).replace("%M", mailname)
    }
}

/// A path with a leading `~` replaced; `None` where that needs a home and there is none.
pub(super) fn in_home(text: &str, home: Option<&Path>) -> Option<PathBuf> {
    match text.strip_prefix('~') {
        None => Some(text.into()),
        Some(rest) => home.map(|home| home.join(rest.trim_start_matches('/'))),
    }
}

/// `timeout` bounds every wait, but the wait after the final dot is not made shorter than RFC 5321 asks for: giving up
/// there means a message sent twice.
fn timeouts(seconds: Option<u64>) -> Timeouts {
    let usual = Timeouts::default();
    let Some(limit) = seconds.map(Duration::from_secs) else { return usual };
    Timeouts {
        connect: limit,
        command: limit,
        data_end: usual.data_end.max(limit),
        total: usual.total.max(limit.saturating_mul(2)),
        ..usual
    }
}

fn dsn(all: &Settings) -> Dsn {
    let notify = all.get("dsn_notify").filter(|value| *value != "off").map(|value| {
        let has = |word| value.split(',').any(|one| one.trim() == word);
        Notify { never: has("never"), success: has("success"), failure: has("failure"), delay: has("delay") }
    });
    let ret = match all.get("dsn_return") {
        Some("headers") => Some(Return::Headers),
        Some("full") => Some(Return::Full),
        _ => None,
    };
    Dsn { notify, ret, ..Dsn::default() }
}
