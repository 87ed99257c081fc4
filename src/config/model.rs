//! The typed configuration that the rest of the tree works with. Plain values: nothing here reads a file or a clock.

use super::brake::Brake;
use super::error::{ConfigError, Place};
use super::flow::{Flow, Portions};
use super::limits::{LimitsConfig, SenderLimits};
use super::listen::{Listener, User};
use super::local::LocalMail;
use super::msmtp::MsmtpOptions;
use super::outgoing::Outgoing;
use super::pattern::Pattern;
use super::server::Server;
use super::staging::Staging;
use crate::message::address::Address;
use crate::message::bulk;
use crate::rules::Rules;
use crate::secret::SecretSource;
use crate::smtp::phase::Phase;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that was configured.
#[derive(Debug)]
pub struct Config {
    /// The files it was read from, in order; empty only in tests.
    pub files: Vec<PathBuf>,
    /// `enabled`: off, and no sender is used; all mail takes the default relay.
    pub enabled: bool,
    /// `resent`: Resent-From chooses the sender of a message that is sent on, before From.
    pub resent: bool,
    /// Where mail goes that no sender claims.
    pub default: DefaultRelay,
    /// The senders, in no meaningful order.
    pub senders: Vec<Sender>,
    /// `domain`: what is put behind a bare local name; the host name where it is not given.
    pub domain: Option<String>,
    /// `tempfail_exit`: 69 (default) or 75 for a temporary failure with nothing kept.
    pub tempfail_exit: TempFailExit,
    /// Where the log goes.
    pub log: LogConfig,
    /// `[queue]`.
    pub queue: QueueConfig,
    /// `[[listen]]`: where the daemon takes mail over SMTP.
    pub listen: Vec<Listener>,
    /// `[[user]]`: who may log in there.
    pub users: Vec<User>,
    /// `[rules]` and `[[rule]]`: where mail for this machine goes.
    pub rules: Rules,
    /// `[limits]` and `[[limit]]`.
    pub limits: LimitsConfig,
    /// `queue.bulk_recipients` and `[[bulk]]`: what makes a message bulk.
    pub bulk: bulk::Rules,
    /// `[brake]`, where it is given.
    pub brake: Option<Brake>,
    /// Who gets the mail of local names.
    pub local: LocalMail,
    /// `[staging]`: nothing leaves for real recipients.
    pub staging: Option<Staging>,
    /// `[msmtp] options`; that of the machine's own file holds.
    pub msmtp: MsmtpOptions,
}

impl Config {
    /// A configuration in which nothing was said.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            files: Vec::new(),
            enabled: true,
            resent: false,
            default: DefaultRelay::Missing,
            senders: Vec::new(),
            domain: None,
            tempfail_exit: TempFailExit::default(),
            log: LogConfig::default(),
            queue: QueueConfig::default(),
            listen: Vec::new(),
            users: Vec::new(),
            limits: LimitsConfig::default(),
            brake: None,
            bulk: bulk::Rules::default(),
            local: LocalMail::default(),
            staging: None,
            msmtp: MsmtpOptions::default(),
            rules: Rules::default(),
        }
    }
}

/// `[queue]`: what is kept, for how long, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// `directory`: where the daemon keeps its queue.
    pub directory: PathBuf,
    /// `direct`: what becomes of a temporary failure without the daemon.
    pub direct: Direct,
    /// `retry`: the waits before the second, third ... attempt; the last one repeats. Each from a second to a day.
    pub retry: Vec<Duration>,
    /// `warn_after`: the sender is told of the delay once; zero is never.
    pub warn_after: Duration,
    /// `expire_after`: what is not delivered by then is sent back.
    pub expire_after: Duration,
    /// `history`: how long final results are remembered.
    pub history: Duration,
    /// `min_free`: below so many free octets nothing is accepted.
    pub min_free: u64,
    /// `postmaster`: gets what cannot be sent back to its sender.
    pub postmaster: Option<Address>,
    /// `connections`: at most so many to one sender's server at a time, 1 to 100.
    pub connections: usize,
}

/// What becomes of a temporary failure without the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direct {
    /// The caller is told, nothing is kept.
    #[default]
    Off,
    /// It is kept in the caller's own queue, for `sendmail -q`.
    OnFailure,
}

impl Default for QueueConfig {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            directory: "/var/lib/postrider".into(),
            direct: Direct::Off,
            retry: [1, 5, 15, 30, 60, 120, 240].map(minutes).to_vec(),
            warn_after: minutes(4 * 60),
            expire_after: minutes(5 * 24 * 60),
            history: minutes(30 * 24 * 60),
            min_free: 64 << 20,
            postmaster: None,
            connections: 4,
        }
    }
}

/// What a temporary failure with nothing kept exits with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TempFailExit {
    /// 69, which every caller takes for a failure.
    #[default]
    Unavailable,
    /// 75, for those who know their callers (PHP 8.5's `mail()` takes it for success).
    TempFail,
}

/// Where mail goes that no sender claims.
#[derive(Debug)]
pub enum DefaultRelay {
    /// An SMTP account given in `[default]`: a sender that claims nothing; its `from` only says what it may send.
    Server(Box<Sender>),
    /// An msmtprc as it stands.
    Msmtprc(Msmtprc),
    /// `relay = "refuse"`: a clear error.
    Refuse(Place),
    /// Nothing was said about it.
    Missing,
}

/// The accounts of an msmtprc that serve as the default relay.
#[derive(Debug)]
pub struct Msmtprc {
    /// The accounts of the system file and the user's, a same-named one of the user's file winning; in file order.
    pub accounts: Vec<Account>,
    /// The account that `[default]` names, else msmtp's own choice (`default`).
    pub account: Option<String>,
    /// Which address chooses the account by its `from`, before `account` does.
    pub match_from: MatchFrom,
}

/// Which address is compared with the `from` of msmtprc accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchFrom {
    /// None: the named account, or `default`.
    #[default]
    Never,
    /// `match_from = true`: the message's From.
    Header,
    /// As msmtp itself: the `-f` address alone, or the From header where `--read-envelope-from` makes it one.
    Envelope,
}

/// One msmtprc account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name; `default` for the commands before any account line.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// Its SMTP settings.
    pub relay: Relay,
    /// `from` as written, substitutions not yet made; may be a pattern.
    pub from: Option<String>,
    /// `from_full_name`.
    pub from_full_name: Option<String>,
    /// `allow_from_override`: off, and `-f` does not change the envelope.
    pub allow_from_override: bool,
    /// `set_from_header`.
    pub set_from_header: AutoOnOff,
    /// `set_date_header` is `auto` (true) or `off`.
    pub set_date_header: bool,
    /// `set_msgid_header` is `auto` (true) or `off`.
    pub set_msgid_header: bool,
    /// `set_to_header`.
    pub set_to_header: SetTo,
    /// `remove_bcc_headers`.
    pub remove_bcc_headers: bool,
    /// `dsn_notify`, `dsn_return`.
    pub dsn: crate::envelope::Dsn,
    /// `logfile` in msmtp's line format; `-` is standard output.
    pub logfile: Option<PathBuf>,
    /// `logfile_time_format` (strftime).
    pub logfile_time_format: String,
    /// `syslog`: the facility's name (`LOG_USER`, `LOG_MAIL`, `LOG_LOCAL0` ...).
    pub syslog: Option<String>,
    /// `aliases`: msmtp's alias file.
    pub aliases: Option<PathBuf>,
}

/// A three-way switch of msmtp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoOnOff {
    /// Where it is missing.
    Auto,
    /// Always, replacing what is there.
    On,
    /// Never.
    Off,
}

/// `set_to_header` of msmtp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTo {
    /// Leave it.
    Off,
    /// Add a To header with the recipients where there is none.
    On,
    /// Add `To: undisclosed-recipients:;` where there is none.
    Undisclosed,
}

/// A sender: an SMTP profile and the From addresses that it serves.
#[derive(Debug)]
pub struct Sender {
    /// Its unique name.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// `enabled`: off, and it is as if it were not there, but mail of its addresses says so.
    pub enabled: bool,
    /// The provider preset it builds on.
    pub provider: Option<&'static super::presets::Preset>,
    /// The From patterns it claims, each with its place.
    pub from: Vec<(Pattern, Place)>,
    /// Its SMTP account.
    pub relay: Relay,
    /// Aliases of this sender and the names shown for them.
    pub names: BTreeMap<String, String>,
    /// What it changes in its messages.
    pub outgoing: Outgoing,
    /// `users`: who may use it; with `groups` both empty, everybody.
    pub users: Vec<String>,
    /// `groups`: members may use it.
    pub groups: Vec<String>,
    /// What the server demands of From, and what happens to a message that does not keep to it.
    pub identity: IdentityRule,
    /// `debug`: the dialogue goes to `log_file`, or to the log where there is none.
    pub debug: bool,
    /// `log_file`: one line a message, and with `debug` the dialogue.
    pub log_file: Option<PathBuf>,
    /// `backup`: names of the senders that take its mail over while its server is down, each with its place.
    pub backup: Vec<(String, Place)>,
    /// `backup_after`: after it was down for so long; zero is at once.
    pub backup_after: Duration,
    /// `limits`, `at_limit`, `reserve`: its own limits, or its preset's.
    pub limits: SenderLimits,
    /// `bulk`: whether its mail is bulk.
    pub bulk: bulk::Choice,
    /// `dkim_selector`: which key of the domain the provider signs with, for `test --dns` to look at.
    pub dkim_selector: Option<String>,
    /// How its mail flows out of the queue.
    pub flow: Flow,
}

/// What the server demands of a message's identities (envelope sender, From, Sender).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityRule {
    /// `must_match`: each must be one of the sender's own addresses (its `from`, `names`, and the login).
    pub must_match: bool,
    /// `on_mismatch`.
    pub on_mismatch: OnMismatch,
}

/// What happens to a message whose identities the account may not send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMismatch {
    /// Refuse with a reason (status 77) before connecting.
    #[default]
    Refuse,
    /// Send as the account: From and Sender replaced, Reply-To and the original From kept.
    Rewrite,
    /// Take the sender that the message's own From belongs to.
    Route,
}

/// One SMTP account at one server: all that a connection needs.
#[derive(Clone, Debug)]
pub struct Relay {
    /// Where to connect.
    pub endpoint: Endpoint,
    /// How the connection is protected.
    pub tls: TlsMode,
    /// What the TLS handshake must prove and offer.
    pub tls_options: TlsOptions,
    /// Where the passphrase of the client's key comes from.
    pub client_password: Option<SecretSource>,
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// Which AUTH mechanisms may be used.
    pub auth: AuthChoice,
    /// The login.
    pub user: Option<String>,
    /// Where the password (or OAuth2 token) comes from.
    pub password: Option<SecretSource>,
    /// `allow_plaintext_password`: said in so many words.
    pub plaintext_password: bool,
    /// The EHLO argument; the host's name where none is given.
    pub ehlo: Option<String>,
    /// SOCKS5 proxy, host and port.
    pub proxy: Option<(String, u16)>,
    /// Local address to connect from.
    pub source: Option<IpAddr>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Servers that take over, in this order, where the ones before cannot be reached or do not serve.
    pub backups: Vec<Server>,
    /// What its servers' replies mean, where that is not what they mean everywhere.
    pub replies: super::replies::Replies,
    /// What goes over one connection, and at once.
    pub portions: Portions,
}

impl Relay {
    /// The account at each of its servers, the first one first.
    pub fn at_each_server(&self) -> impl Iterator<Item = std::borrow::Cow<'_, Self>> {
        use std::borrow::Cow;
        let others = self.backups.iter().map(|server| {
            let Server { endpoint, tls, protocol } = server.clone();
            Cow::Owned(Self { endpoint, tls, protocol, backups: Vec::new(), ..self.clone() })
        });
        std::iter::once(Cow::Borrowed(self)).chain(others)
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A name or address, and a port.
    Tcp(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    /// As people know it: `host:port` or the socket's path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') && !host.starts_with('[') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// How the connection is protected. Never opportunistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first octet (RFC 8314).
    Implicit,
    /// STARTTLS required (RFC 3207).
    StartTls,
    /// None, said in so many words.
    Plain,
}

/// What the TLS handshake must prove and offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// A file of CA certificates in PEM; the system's store where none is given.
    pub trust_file: Option<PathBuf>,
    /// Off: neither chain nor name is checked (said in so many words).
    pub no_check: bool,
    /// The certificate's fingerprint, which then replaces the checks of chain and name.
    pub fingerprint: Option<Fingerprint>,
    /// The name for SNI and the certificate check, where it is not the host's.
    pub host_override: Option<String>,
    /// Client certificate file and key file, PEM; one file with both (PEM or PKCS#12) stands in both places.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A certificate's digest over its DER form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fingerprint {
    /// 32 octets.
    Sha256(Vec<u8>),
    /// 20 octets.
    Sha1(Vec<u8>),
    /// 16 octets.
    Md5(Vec<u8>),
}

/// The protocol spoken to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321.
    #[default]
    Smtp,
    /// RFC 2033.
    Lmtp,
}

/// Which AUTH mechanisms may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthChoice {
    /// No login.
    #[default]
    Off,
    /// The strongest that both sides know and the connection's protection allows.
    Auto,
    /// Only this one, by its SASL name in upper case (`PLAIN`, `LOGIN`, `XOAUTH2` ...).
    Only(String),
}

/// Time limits of one delivery (RFC 5321 section 4.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name lookup, TCP connect and TLS handshake, each address.
    pub connect: Duration,
    /// A reply to any command, and any 64 KiB of the message, where `phases` says nothing else.
    pub command: Duration,
    /// The reply after the final dot.
    pub data_end: Duration,
    /// The whole delivery, from lookup to the last reply.
    pub total: Duration,
    /// Limits of single phases in place of `command`.
    pub phases: PhaseLimits,
}

/// Limits of single phases; `None`: `Timeouts::command`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseLimits {
    /// Fetching the password.
    pub password: Option<Duration>,
    /// The server's 220.
    pub greeting: Option<Duration>,
    /// EHLO, HELO, LHLO and STARTTLS.
    pub ehlo: Option<Duration>,
    /// Each step of AUTH.
    pub auth: Option<Duration>,
    /// MAIL.
    pub mail: Option<Duration>,
    /// RCPT.
    pub rcpt: Option<Duration>,
    /// DATA before the message.
    pub data: Option<Duration>,
    /// Each 64 KiB of the message.
    pub body: Option<Duration>,
    /// QUIT; never more than two seconds, as it changes nothing any more.
    pub quit: Option<Duration>,
}

impl Timeouts {
    /// The limit of a phase.
    #[must_use]
    pub fn of(&self, phase: Phase) -> Duration {
        let phases = &self.phases;
        let given = match phase {
            Phase::Resolve | Phase::Connect | Phase::Tls | Phase::Local => return self.connect,
            Phase::End => return self.data_end,
            Phase::Secret => return phases.password.unwrap_or(Self::PASSWORD),
            Phase::Quit => return phases.quit.unwrap_or(self.command).min(Self::QUIT),
            Phase::Greeting => phases.greeting,
            Phase::Ehlo | Phase::StartTls => phases.ehlo,
            Phase::Auth => phases.auth,
            Phase::Mail => phases.mail,
            Phase::Rcpt => phases.rcpt,
            Phase::Data => phases.data,
            Phase::Body => phases.body,
        };
        given.unwrap_or(self.command)
    }

    /// How long fetching a password may take where nothing else is said.
    const PASSWORD: Duration = Duration::from_secs(30);
    /// How long QUIT's reply is waited for at most.
    const QUIT: Duration = Duration::from_secs(2);
}

impl Default for Timeouts {
    /// No more than RFC 5321 asks of a client with a queue, as somebody may be waiting; but its ten minutes after the
    /// message, where giving up early makes duplicates.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            command: Duration::from_secs(60),
            data_end: Duration::from_secs(600),
            total: Duration::from_secs(900),
            phases: PhaseLimits::default(),
        }
    }
}

/// Where the log goes and how it looks.
#[derive(Clone, Debug, Default)]
pub struct LogConfig {
    /// `to`.
    pub to: LogTarget,
    /// `format = "json"`.
    pub json: bool,
}

/// Where the log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// syslog, facility mail.
    #[default]
    Syslog,
    /// A file, appended to.
    File(PathBuf),
    /// Standard error.
    Stderr,
    /// Nowhere.
    Off,
}

impl Sender {
    /// How long a sender is down before its backup takes over, where nothing else is said.
    pub const BACKUP_AFTER: Duration = Duration::from_secs(600);

    /// The address that the account itself stands for: the login where it is an address, else the first exact `from`.
    #[must_use]
    pub fn own_address(&self) -> Option<Address> {
        let login = self.relay.user.as_deref().and_then(|user| Address::parse(user).ok());
        login.or_else(|| self.claims().iter().find_map(|pattern| pattern.exact().and_then(|a| Address::parse(a).ok())))
    }
}

impl Sender {
    /// Every pattern that it claims: its `from`, and each address of its `names`.
    #[must_use]
    pub fn claims(&self) -> Vec<Pattern> {
        let names = self.names.keys().map(|address| Pattern::Exact(address.clone()));
        self.from.iter().map(|(pattern, _)| pattern.clone()).chain(names).collect()
    }

    /// Whether an address is one of its own: its login, its `from`, its `names`.
    #[must_use]
    pub fn may_send(&self, address: &Address) -> bool {
        let login = self.relay.user.as_deref().is_some_and(|user| user.eq_ignore_ascii_case(address.as_str()));
        let plain = address.without_detail();
        login
            || self.claims().iter().any(|pattern| {
                pattern.matches(address)
                    || pattern.exact().is_some() && plain.as_ref().is_some_and(|plain| pattern.matches(plain))
            })
    }

    /// The name to show for an address, where `names` has one.
    #[must_use]
    pub fn shown_name(&self, address: &Address) -> Option<&str> {
        self.names.get(&address.key()).map(String::as_str)
    }
}

impl Account {
    /// Whether the account can be used. msmtp complains of these only when an account is chosen (one without a host may
    /// be there to be inherited from), so whoever has chosen one calls this.
    ///
    /// # Errors
    /// What is missing, with the account's place.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fault = |what: String| Err(ConfigError::at(&self.place, format!("account {}: {what}", self.name)));
        match &self.relay.endpoint {
            Endpoint::Tcp(host, _) if host.is_empty() => return fault("host is not set".into()),
            Endpoint::Tcp(_, 0) => return fault("LMTP has no port of its own; set port or socket".into()),
            _ => {}
        }
        let login = match &self.relay.auth {
            AuthChoice::Off => false,
            AuthChoice::Only(mechanism) => mechanism != "EXTERNAL",
            AuthChoice::Auto => true,
        };
        if login && self.relay.user.is_none() {
            return fault("auth needs a user; set user, or auth off".into());
        }
        Ok(())
    }
}
