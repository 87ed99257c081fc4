//! What an importer makes of another program's configuration: accounts, and findings about what does not carry over.
//!
//! Values only. A password is a `Secret` here and nothing of this prints one.

use crate::config::pattern::Pattern;
use crate::config::{Place, server};
use crate::message::address::Address;
use crate::report::printable;
use crate::secret::Secret;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The most senders that are made of one source: memory stays bounded.
const SENDERS: usize = 10_000;
/// The most findings that are kept.
const FINDINGS: usize = 10_000;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not carried over: a person has to do something.
    Lost,
    /// Carried over, but it acts differently.
    Differs,
    /// Good to know.
    Note,
}

/// One thing that a person must know of the import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// Where it stands in the source.
    pub place: Place,
    /// What it is, one line, without a secret.
    pub what: String,
}

/// The findings, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Notes something that was not carried over.
    pub fn lost(&mut self, place: &Place, what: impl Into<String>) {
        self.push(Level::Lost, place, what.into());
    }

    /// Notes something that acts differently.
    pub fn differs(&mut self, place: &Place, what: impl Into<String>) {
        self.push(Level::Differs, place, what.into());
    }

    /// Notes something that is good to know.
    pub fn note(&mut self, place: &Place, what: impl Into<String>) {
        self.push(Level::Note, place, what.into());
    }

    /// Notes something that holds of the whole source, at the first place that shows it.
    pub fn once(&mut self, level: Level, place: &Place, what: impl Into<String>) {
        let what = printable(&what.into());
        if !self.0.iter().any(|known| known.what == what && known.level == level) {
            self.push(level, place, what);
        }
    }

    fn push(&mut self, level: Level, place: &Place, what: String) {
        let finding = Finding { level, place: place.clone(), what: printable(&what) };
        if self.0.len() < FINDINGS && !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Finding] {
        &self.0
    }
}

/// Where the password of an account is to come from.
pub enum Password {
    /// It stood in the source: it goes into a file of its own.
    Known(Secret),
    /// A command for `sh -c` prints it.
    Command(String),
    /// It could not be read; a person makes the file, as this text says.
    ByHand(String),
}

/// An SMTP account to be, as `[default]` or as a `[[sender]]`.
#[derive(Default)]
pub struct Account {
    /// Where it stands in the source.
    pub place: Option<Place>,
    /// Patterns that it claims.
    pub from: Vec<String>,
    /// Addresses and the names shown with them.
    pub names: Vec<(String, String)>,
    /// `server` URLs; none where `provider` has it.
    pub servers: Vec<String>,
    /// `provider`.
    pub provider: Option<&'static str>,
    /// The login.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Password>,
    /// `auth`.
    pub auth: Option<String>,
    /// `allow_plaintext_password`.
    pub plaintext_password: bool,
    /// `must_match = true` with `on_mismatch = "rewrite"`.
    pub rewrite: bool,
    /// Recipients a calendar day.
    pub per_day: Option<u32>,
    /// `users`.
    pub users: Vec<String>,
    /// Further keys with their values.
    pub keys: Vec<(&'static str, ::toml::Value)>,
    /// Lines of comment above it.
    pub comments: Vec<String>,
}

impl Account {
    /// Adds a key with a text.
    pub fn text(&mut self, key: &'static str, value: impl Into<String>) {
        self.keys.push((key, ::toml::Value::String(value.into())));
    }

    /// The place in the source, for findings.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place.clone().unwrap_or_else(|| Place::new("", 0))
    }

    /// Sets login and password. A password that no file of one line can hold has to be made by hand.
    pub fn login(&mut self, user: &str, password: Option<Password>, place: &Place, findings: &mut Findings) {
        if user.is_empty() || user.len() > 512 || user.chars().any(char::is_control) {
            findings.lost(place, "the login is empty, longer than 512 characters or holds control characters");
            return;
        }
        self.user = Some(user.to_owned());
        self.password = Some(match password {
            Some(Password::Known(secret)) if !fits_a_line(secret.expose()) => {
                findings
                    .lost(place, "the password is empty, too long or has more than one line; write its file by hand");
                Password::ByHand("the source has none that could be used".into())
            }
            Some(password) => password,
            None => {
                findings.lost(place, "there is a login but no password; write its file by hand");
                Password::ByHand("the source has none".into())
            }
        });
    }

    /// Leaves out what the rest does not carry: paths that are none, a key without its certificate, and
    /// `on_mismatch = "rewrite"` without an address to rewrite to.
    fn settle(&mut self, findings: &mut Findings) {
        let place = self.place();
        let is_path = |key: &str| matches!(key, "ca_file" | "client_cert" | "client_key" | "log_file");
        let sound = |path: &str| !path.is_empty() && (!path.starts_with('~') || path.starts_with("~/"));
        self.keys.retain(|(key, value)| {
            let keep = !is_path(key) || value.as_str().is_some_and(sound);
            if !keep {
                findings.lost(&place, format!("{key}: there is no usable path"));
            }
            keep
        });
        if !self.keys.iter().any(|(key, _)| *key == "client_cert") {
            self.keys.retain(|(key, _)| *key != "client_key");
        }
        let exact = |pattern: &String| Pattern::parse(pattern).is_ok_and(|pattern| pattern.exact().is_some());
        let own = self.user.as_deref().is_some_and(|user| Address::parse(user).is_ok())
            || self.from.iter().any(exact)
            || !self.names.is_empty();
        if self.rewrite && !own {
            self.rewrite = false;
            findings.lost(&place, "From was replaced by what is no address; the message's own stays");
        }
    }

    /// Says that a password goes over a connection without TLS, where that is so.
    pub fn in_clear(&mut self, place: &Place, findings: &mut Findings) {
        if self.password.is_some() && self.servers.iter().any(|server| server.starts_with("smtp+plain:")) {
            self.plaintext_password = true;
            findings.differs(
                place,
                "the password goes over a connection without TLS, as before (allow_plaintext_password = true); \
                 ask the provider for a port with TLS",
            );
        }
    }
}

/// Whether a password can stand on the first line of a file.
fn fits_a_line(password: &str) -> bool {
    !password.is_empty() && password.len() <= 16 * 1024 && !password.contains(['\n', '\r', '\0'])
}

/// What becomes of mail that no sender claims.
#[derive(Default)]
pub enum Fallback {
    /// The source says nothing: `[default]` is left out.
    #[default]
    Unsaid,
    /// It is refused; why.
    Refuse(String),
    /// An account.
    Server(Box<Account>),
}

/// The configuration to be.
#[derive(Default)]
pub struct Imported {
    /// Top-level keys.
    pub top: Vec<(&'static str, ::toml::Value)>,
    /// Keys of `[queue]`.
    pub queue: Vec<(&'static str, ::toml::Value)>,
    /// `[default]`.
    pub default: Fallback,
    /// The senders with their names.
    pub senders: Vec<(String, Account)>,
    /// What a person must know.
    pub findings: Findings,
}

impl Imported {
    /// Sets a top-level key to a text.
    pub fn set(&mut self, key: &'static str, value: impl Into<String>) {
        self.top.retain(|(known, _)| *known != key);
        self.top.push((key, ::toml::Value::String(value.into())));
    }

    /// Who gets mail of local names. Of several addresses, or of what is none, only a finding is made.
    pub fn default_recipient(&mut self, to: &str, place: &Place, key: &str) {
        match Address::parse(to) {
            Ok(address) => {
                self.set("default_recipient", address.to_string());
                let what = format!("{key}: mail of local names goes to {address}, but for those that /etc/aliases has");
                self.findings.differs(place, what);
            }
            Err(_) => self.findings.lost(place, format!("{key}: one address is needed; give default_recipient")),
        }
    }

    /// Says that the program knew no aliases of recipients, where postrider does.
    pub fn no_aliases(&mut self, place: &Place, program: &str) {
        let what = format!(
            "{program} has no aliases; here local names go where /etc/aliases says (aliases = \"off\": nowhere)"
        );
        self.findings.note(place, what);
    }

    /// Adds a sender. Patterns that it may not have are left out; what is left decides whether it makes sense.
    pub fn sender(&mut self, name: &str, account: Account) {
        if self.senders.len() == SENDERS {
            let place = account.place();
            self.findings.lost(&place, format!("more than {SENDERS} senders; the rest is left out"));
        } else if self.senders.len() < SENDERS {
            self.senders.push((name.to_owned(), account));
        }
    }

    /// Puts right what concerns several senders: each name once, each pattern once. A sender that is left without a
    /// pattern is reached by its name alone.
    pub fn finish(&mut self) {
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut claimed: HashMap<String, String> = HashMap::new();
        if let Fallback::Server(account) = &mut self.default {
            let place = account.place();
            let mut own = HashMap::new();
            account.from.retain(|pattern| claim(pattern, "default", &mut own, &place, &mut self.findings));
            account.names.retain(|(address, _)| Address::parse(address).is_ok());
            account.settle(&mut self.findings);
        }
        for (name, account) in &mut self.senders {
            *name = unique(&clean_name(name), &mut names);
            let place = account.place();
            account.from.retain(|pattern| claim(pattern, name, &mut claimed, &place, &mut self.findings));
            account.names.retain(|(address, _)| {
                account.from.contains(&address.to_lowercase())
                    || claim(address, name, &mut claimed, &place, &mut self.findings)
            });
            account.settle(&mut self.findings);
            if account.from.is_empty() && account.names.is_empty() {
                account.from.push(placeholder(name, &mut claimed));
                account.comments.push(format!("No From address leads here; it is reached with: sendmail -a '{name}'"));
            }
        }
    }
}

/// An address that no message has (RFC 2606), for a sender that is reached by its name alone.
fn placeholder(name: &str, claimed: &mut HashMap<String, String>) -> String {
    let local: String = slug(name).chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let local = if local.is_empty() { "account" } else { &local };
    let numbered = |number: usize| match number {
        1 => format!("{local}@account.invalid"),
        more => format!("{local}-{more}@account.invalid"),
    };
    let address = (1..).map(numbered).find(|address| !claimed.contains_key(address)).unwrap_or_default();
    claimed.insert(address.clone(), name.to_owned());
    address
}

/// Takes a pattern for a sender; `false` where it is none, or another sender's already.
fn claim(
    pattern: &str,
    name: &str,
    claimed: &mut HashMap<String, String>,
    place: &Place,
    findings: &mut Findings,
) -> bool {
    let parsed = match Pattern::parse(pattern) {
        Ok(parsed) => parsed.to_string(),
        Err(error) => {
            findings.lost(place, format!("From pattern: {error}"));
            return false;
        }
    };
    match claimed.get(&parsed) {
        Some(first) if first == name => false,
        Some(first) => {
            findings.differs(place, format!("{parsed} belongs to sender {first} already and stays there"));
            false
        }
        None => {
            claimed.insert(parsed, name.to_owned());
            true
        }
    }
}

/// A sender's name: without control characters, not empty, at most 100 characters.
fn clean_name(name: &str) -> String {
    let name: String = printable(name).trim().chars().take(100).collect();
    if name.is_empty() { "sender".into() } else { name }
}

fn unique(name: &str, names: &mut HashMap<String, usize>) -> String {
    let mut candidate = name.to_owned();
    loop {
        let count = names.entry(candidate.to_lowercase()).or_insert(0);
        *count += 1;
        if *count == 1 {
            return candidate;
        }
        candidate = format!("{name}-{count}");
    }
}

/// A name as a file may have it: lower-case letters, digits, `.`, `-`, `_`, `@`; no leading dot, at most 60 octets.
#[must_use]
pub fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_@.".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let text: String = name.chars().map(plain).take(60).collect();
    let text = text.trim_matches(['.', '-', '@']);
    if text.is_empty() { "account".into() } else { text.into() }
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first octet.
    AtOnce,
    /// STARTTLS, required.
    StartTls,
    /// None.
    Off,
}

/// A `server` URL; a host that cannot be one is a finding.
pub fn server_url(host: &str, port: Option<u16>, tls: Tls, place: &Place, findings: &mut Findings) -> Option<String> {
    let scheme = match tls {
        Tls::AtOnce => "smtps",
        Tls::StartTls => "smtp",
        Tls::Off => "smtp+plain",
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let url = port.map_or_else(|| format!("{scheme}://{shown}"), |port| format!("{scheme}://{shown}:{port}"));
    match server::parse(&url) {
        Ok(_) => Some(url),
        Err(error) => {
            findings.lost(place, error);
            None
        }
    }
}

/// A port in digits, 1 to 65535, or one of the three service names of mail.
#[must_use]
pub fn port(text: &str) -> Option<u16> {
    match text.trim() {
        "smtp" => Some(25),
        "smtps" | "submissions" => Some(465),
        "submission" => Some(587),
        digits => digits.parse().ok().filter(|port| *port > 0),
    }
}

/// `host` or `host:port`, with or without brackets around the host.
#[must_use]
pub fn host_and_port(text: &str) -> (&str, Option<&str>) {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('[')
        && let Some((host, rest)) = rest.split_once(']')
    {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// A file that is imported.
pub struct Source {
    /// Its path as it is shown.
    pub path: PathBuf,
    /// What stands in it; wiped, as it may hold passwords.
    pub data: Zeroizing<Vec<u8>>,
}

impl Source {
    /// A line of it, from 1; 0 is the file as a whole.
    #[must_use]
    pub fn at(&self, line: usize) -> Place {
        Place::new(self.path.as_path(), line)
    }

    /// Its lines with their places, without line ends. What is no UTF-8 is a finding and left out.
    pub fn lines<'s>(&'s self, findings: &mut Findings) -> Vec<(Place, &'s str)> {
        let mut lines = Vec::new();
        for (index, line) in self.data.split(|byte| *byte == b'\n').enumerate() {
            let place = self.at(index + 1);
            match std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)) {
                Ok(line) if !line.contains('\0') => lines.push((place, line)),
                _ => findings.lost(&place, "this line is no text (UTF-8) and was left out"),
            }
        }
        lines
    }
}

/// What an importer knows of the world.
pub struct Context<'c> {
    /// The caller's home.
    pub home: Option<&'c Path>,
    /// The host's name.
    pub hostname: &'c str,
    /// The host's canonical name.
    pub canonical: &'c str,
    /// The first line of /etc/mailname.
    pub mailname: Option<&'c str>,
    /// `--owner`: the Unix user of a product's user number.
    pub owners: &'c BTreeMap<u64, String>,
    /// Reads another file that the source names; `None` where it is not there.
    pub read: &'c dyn Fn(&Path) -> Result<Option<Source>, String>,
}

/// Why a source cannot be imported at all: the place and what is wrong.
#[derive(Debug)]
pub struct Refusal(pub Place, pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_stand_once() {
        let mut imported = Imported::default();
        for (name, from) in [("Shop", "a@example.com"), ("shop", "A@example.com"), ("", "no address")] {
            imported.sender(name, Account { from: vec![from.into()], ..Account::default() });
        }
        imported.finish();
        let names: Vec<&str> = imported.senders.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Shop", "shop-2", "sender"]);
        assert_eq!(imported.senders[1].1.from, ["shop-2@account.invalid"]);
        assert_eq!(imported.senders[2].1.from, ["sender@account.invalid"]);
        assert_eq!(imported.findings.all().len(), 2);
    }

    #[test]
    fn slugs_are_file_names() {
        for (name, want) in
            [("Shop 1", "shop-1"), ("../etc", "etc"), ("a@b.c", "a@b.c"), ("Ж", "account"), ("", "account")]
        {
            assert_eq!(slug(name), want);
        }
    }

    #[test]
    fn urls_and_ports() {
        let mut findings = Findings::default();
        let place = Place::new("f", 3);
        let mut url = |host: &str, port, tls| server_url(host, port, tls, &place, &mut findings);
        assert_eq!(url("h", Some(25), Tls::StartTls).as_deref(), Some("smtp://h:25"));
        assert_eq!(url("[::1]", None, Tls::AtOnce).as_deref(), Some("smtps://[::1]"));
        assert_eq!(url("h\nx", None, Tls::Off), None);
        assert_eq!(findings.all()[0].place.to_string(), "f:3");
        assert_eq!(host_and_port("[::1]:25"), ("::1", Some("25")));
        assert_eq!(host_and_port("::1"), ("::1", None));
        assert_eq!(host_and_port("h:submission"), ("h", Some("submission")));
        assert_eq!((port("submission"), port("0"), port("x")), (Some(587), None, None));
    }
}
