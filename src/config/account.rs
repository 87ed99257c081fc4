//! The keys of an SMTP account, in `[default]` and `[[sender]]`, become a `Relay`.
//!
//! Values only. Faults are collected, not thrown at the first; a value is never repeated where it may be a secret.

use super::error::{ConfigError, Place};
use super::flow::Portions;
use super::model::{AuthChoice, Endpoint, PhaseLimits, Protocol, Relay, Timeouts, TlsOptions};
use super::nearest;
use super::presets::{self, Preset};
use super::replies::Replies;
use super::server::{self, Server};
use super::toml::{Field, RawAccount, RawPassword, RawTimeouts, Source, Strings};
use super::{presets::PRESETS, tls};
use crate::limits::zone::Zone;
use crate::secret::SecretSource;
use ::toml::Spanned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most servers of one account.
const SERVERS: usize = 10;
/// Longest time limit, a day: more is a slip of the unit.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Makes values of one file into the model and collects what is wrong with them.
pub(super) struct Builder<'t> {
    pub source: Source<'t>,
    /// The caller's home, for `~/`.
    pub home: Option<&'t Path>,
    pub errors: Vec<ConfigError>,
    /// Whether a password stands in the file itself.
    pub literal: bool,
    /// The time zone of limits that name none.
    pub zone: Zone,
}

impl<'t> Builder<'t> {
    /// Nothing is built yet.
    pub fn new(source: Source<'t>, home: Option<&'t Path>) -> Self {
        Self { source, home, errors: Vec::new(), literal: false, zone: Zone::Local }
    }
}

impl Builder<'_> {
    /// Notes a fault.
    pub fn note(&mut self, place: &Place, what: impl Into<String>) {
        self.errors.push(ConfigError::at(place, what));
    }

    /// Notes a fault at a value; `None`, so that the value counts as not given.
    pub fn fault<T>(&mut self, place: &Place, what: impl Into<String>) -> Option<T> {
        self.errors.push(ConfigError::at(place, what));
        None
    }

    /// A field through a parser; a fault is noted with the key's name.
    pub fn field<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        field: Field<String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let field = field?;
        // The line is counted only where it is told: a file may hold thousands of values.
        let noted = |error: E| {
            let place = self.source.place(&field);
            self.note(&place, format!("{key}: {error}"));
        };
        parse(field.get_ref()).map_err(noted).ok()
    }

    /// A path: absolute, `~/` in the caller's home, or beside the configuration file.
    pub fn path(&mut self, key: &str, field: Field<String>) -> Option<PathBuf> {
        let (home, beside) = (self.home.map(Path::to_owned), self.source.file.file.parent().map(Path::to_owned));
        self.field(key, field, |text| resolve(text, home.as_deref(), beside.as_deref()))
    }

    /// The account with its preset; `None` where it has no usable server (which is noted).
    pub fn account(&mut self, raw: RawAccount, place: &Place, what: &str) -> Option<(Relay, Option<&'static Preset>)> {
        let named = raw.server.is_some() || raw.provider.is_some();
        let provider = self.provider(raw.provider);
        let server = self.server(raw.server, raw.region, provider, place);
        let auth = self.field("auth", raw.auth, auth_choice);
        let user = self.user(raw.user).or_else(|| provider.and_then(|p| p.user).map(str::to_owned));
        let password = raw.password.and_then(|password| {
            let at = self.source.place(&password);
            self.password(password.into_inner(), &at)
        });
        let tls_options = TlsOptions {
            trust_file: self.path("ca_file", raw.ca_file),
            no_check: raw.tls_check == Some(false),
            fingerprint: self.field("fingerprint", raw.fingerprint, tls::fingerprint),
            host_override: self.field("tls_name", raw.tls_name, host_name),
            client: self.client_certificate(raw.client_cert, raw.client_key),
        };
        let client_password = raw.client_password.and_then(|password| {
            let at = self.source.place(&password);
            self.password(password.into_inner(), &at)
        });
        let ehlo = self.field("ehlo", raw.ehlo, ehlo_name);
        let proxy = self.field("proxy", raw.proxy, proxy_address);
        let source = self.field("source", raw.source, |text| text.parse().map_err(|_| "an IP address is needed"));
        let timeouts = self.timeouts(raw.timeouts);
        let own = self.replies(raw.replies.unwrap_or_default());
        if !named {
            return self.fault(place, format!("{what} has no server; give server = \"smtps://...\" or a provider"));
        }
        let mut servers = server?.into_iter();
        let Server { endpoint, tls, protocol } = servers.next()?;
        let auth = auth.unwrap_or_else(|| default_auth(provider, user.is_some() || password.is_some()));
        let plaintext_password = raw.allow_plaintext_password == Some(true);
        let relay = Relay {
            endpoint,
            tls,
            tls_options,
            client_password,
            protocol,
            auth,
            user,
            password,
            plaintext_password,
            ehlo,
            proxy,
            source,
            timeouts,
            backups: servers.collect(),
            replies: Replies { own, all: [].into(), provider: provider.map(|provider| provider.name) },
            portions: Portions::default(),
        };
        Some((relay, provider))
    }

    fn provider(&mut self, field: Field<String>) -> Option<&'static Preset> {
        self.field("provider", field, |name| {
            presets::find(name).ok_or_else(|| match nearest::slip(name, PRESETS.iter().map(|preset| preset.name)) {
                Some(near) => format!("unknown provider; did you mean {near}?"),
                None => format!("unknown provider; one of {}", PRESETS.each_ref().map(|p| p.name).join(", ")),
            })
        })
    }

    /// The servers that are given, else the provider's; never empty.
    fn server(
        &mut self,
        given: Field<Strings>,
        region: Field<String>,
        provider: Option<&'static Preset>,
        place: &Place,
    ) -> Option<Vec<Server>> {
        let region_place = region.as_ref().map(|region| self.source.place(region));
        let region_given = region.is_some();
        let region = self.field("region", region, |text| server::check_host(text).map(|()| text.to_owned()));
        if let Some(given) = given {
            return self.servers(given);
        }
        let host = *provider?.hosts.first()?;
        let wants_region = host.contains("{region}");
        if !wants_region && let Some(at) = region_place {
            return self.fault(&at, "region: this provider has none; leave it out, or give server");
        }
        if wants_region && !region_given {
            return self.fault(place, "provider ses needs region = \"eu-west-1\" (or the like), or a server");
        }
        let host = if wants_region { host.replace("{region}", &region?) } else { host.to_owned() };
        let port = provider?.ports.first()?;
        Some(vec![Server { endpoint: Endpoint::Tcp(host, port.port), tls: port.tls, protocol: Protocol::Smtp }])
    }

    /// One server, or a list of which the later ones stand in for the earlier.
    fn servers(&mut self, given: Spanned<Strings>) -> Option<Vec<Server>> {
        let at = self.source.place(&given);
        let list = given.into_inner().0;
        if list.is_empty() || list.len() > SERVERS {
            return self.fault(&at, format!("server is one, or a list of up to {SERVERS}"));
        }
        let mut servers = Vec::new();
        for (span, text) in list {
            let at = span.map_or_else(|| at.clone(), |span| self.source.at(span.start));
            match server::parse(&text) {
                Ok(server) if servers.contains(&server) => return self.fault(&at, "server: it stands here twice"),
                Ok(server) => servers.push(server),
                Err(error) => return self.fault(&at, error),
            }
        }
        Some(servers)
    }

    fn user(&mut self, field: Field<String>) -> Option<String> {
        self.field("user", field, |user| {
            if user.is_empty() || user.len() > 512 || user.chars().any(char::is_control) {
                return Err("a login is 1 to 512 characters without control characters");
            }
            Ok(user.to_owned())
        })
    }

    fn password(&mut self, raw: RawPassword, place: &Place) -> Option<SecretSource> {
        let empty = |text: &str| text.is_empty() || text.contains('\0');
        match raw {
            RawPassword::Literal(literal) => {
                self.literal = true;
                if literal.0.expose().is_empty() {
                    return self.fault(place, "password is empty");
                }
                Some(SecretSource::Literal(literal))
            }
            RawPassword::File(text) => {
                let beside = self.source.file.file.parent();
                match resolve(&text, self.home, beside) {
                    Ok(path) => Some(SecretSource::File(path)),
                    Err(error) => self.fault(place, format!("password file: {error}")),
                }
            }
            RawPassword::Command(words)
                if words.0.is_empty() || words.0.iter().any(|(_, word)| word.contains('\0')) =>
            {
                self.fault(place, "password command is empty")
            }
            RawPassword::Command(words) if words.0.iter().all(|(span, _)| span.is_none()) => {
                let line: String = words.0.into_iter().map(|(_, word)| word).collect();
                if line.trim().is_empty() {
                    return self.fault(place, "password command is empty");
                }
                Some(SecretSource::Shell(line))
            }
            RawPassword::Command(words) => {
                let words: Vec<String> = words.0.into_iter().map(|(_, word)| word).collect();
                if words[0].is_empty() {
                    return self.fault(place, "password command is empty");
                }
                Some(SecretSource::Command(words))
            }
            RawPassword::Env(name) if empty(&name) || name.contains('=') => {
                self.fault(place, "password env is the name of an environment variable")
            }
            RawPassword::Env(name) => Some(SecretSource::Env(name)),
            RawPassword::Credential(name) if empty(&name) || name.contains('/') || name.starts_with('.') => {
                self.fault(place, "password credential is a name without a slash (LoadCredential= of the unit)")
            }
            RawPassword::Credential(name) => Some(SecretSource::Credential(name)),
        }
    }

    fn client_certificate(&mut self, cert: Field<String>, key: Field<String>) -> Option<(PathBuf, PathBuf)> {
        let one = cert.as_ref().or(key.as_ref()).map(|one| self.source.place(one));
        match (self.path("client_cert", cert), self.path("client_key", key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (Some(both), None) => Some((both.clone(), both)),
            (None, None) => None,
            (None, Some(_)) => one.and_then(|place| self.fault(&place, "client_key goes only with client_cert")),
        }
    }

    fn timeouts(&mut self, raw: Option<RawTimeouts>) -> Timeouts {
        let usual = Timeouts::default();
        let Some(raw) = raw else { return usual };
        let mut limit = |key: &str, field| self.field(&format!("timeouts.{key}"), field, duration);
        Timeouts {
            connect: limit("connect", raw.connect).unwrap_or(usual.connect),
            command: limit("command", raw.command).unwrap_or(usual.command),
            data_end: limit("data_end", raw.data_end).unwrap_or(usual.data_end),
            total: limit("total", raw.total).unwrap_or(usual.total),
            phases: PhaseLimits {
                password: limit("password", raw.password),
                greeting: limit("greeting", raw.greeting),
                ehlo: limit("ehlo", raw.ehlo),
                auth: limit("auth", raw.auth),
                mail: limit("mail", raw.mail),
                rcpt: limit("rcpt", raw.rcpt),
                data: limit("data", raw.data),
                body: limit("body", raw.body),
                quit: limit("quit", raw.quit),
            },
        }
    }
}

/// What `auth` is where nothing is said: nothing without a login, else the preset's, else the strongest.
fn default_auth(provider: Option<&'static Preset>, login: bool) -> AuthChoice {
    match provider.and_then(|provider| provider.auth) {
        _ if !login => AuthChoice::Off,
        Some(mechanism) => AuthChoice::Only(mechanism.to_owned()),
        None => AuthChoice::Auto,
    }
}

fn auth_choice(text: &str) -> Result<AuthChoice, String> {
    match text {
        "auto" => Ok(AuthChoice::Auto),
        "off" => Ok(AuthChoice::Off),
        name => tls::mechanism(name).map_err(|error| error.replacen("one of ", "one of auto, off, ", 1)),
    }
}

/// More than nothing and at most a day, as in `30s`, `5m`, `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(limit) if !limit.is_zero() && limit <= LONGEST => Ok(limit),
        Ok(_) => Err("a time limit is more than nothing and at most a day".into()),
        Err(_) => Err("no duration; write 30s, 5m or 1h".into()),
    }
}

/// A host name or address, as it may stand on the wire.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    server::check_host(text).map(|()| text.to_owned())
}

/// An EHLO argument: a host name or an address literal in brackets (RFC 5321 section 4.1.1.1).
pub(super) fn ehlo_name(text: &str) -> Result<String, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    server::check_host(inner).map(|()| text.to_owned())
}

/// `host:port` or `socks5://host:port`, port 1080 where none is given.
fn proxy_address(text: &str) -> Result<(String, u16), String> {
    let rest = text.strip_prefix("socks5h://").or_else(|| text.strip_prefix("socks5://")).unwrap_or(text);
    if rest.contains("://") {
        return Err("only SOCKS5 proxies: socks5://host:port".into());
    }
    server::host_port(rest, 1080)
}

/// An absolute path, one in the home, or one beside the configuration file; never one beside wherever the caller stands.
fn resolve(text: &str, home: Option<&Path>, beside: Option<&Path>) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("no path".into());
    }
    if let Some(rest) = text.strip_prefix("~/") {
        return home.map(|home| home.join(rest)).ok_or_else(|| "~ needs a home directory, and there is none".into());
    }
    if text.starts_with('~') {
        return Err("only ~/ is known, not other users' homes".into());
    }
    Ok(beside.map_or_else(|| PathBuf::from(text), |beside| beside.join(text)))
}
