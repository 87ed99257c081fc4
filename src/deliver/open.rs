//! From an account to a session that is ready for MAIL: connect, protect, greet, log in; at the first of its servers that
//! serves.
//!
//! It never judges: every failure goes through `trouble`.

use super::context::{Context, FetchSecret};
use super::lockstep;
use super::trouble::{self, Rules, Trouble};
use crate::config::{AuthChoice, Endpoint, Relay, TlsMode};
use crate::net::binding::ChannelBinding;
use crate::net::certificate::Presented;
use crate::net::connect::connect;
use crate::net::deadline::{Timed, TimedStream};
use crate::net::tls::{self, Secured, Target};
use crate::net::wire::Wire;
use crate::secret::{Secret, SecretSource};
use crate::smtp::auth::hidden::Hidden;
use crate::smtp::auth::{self, Binding, Credentials};
use crate::smtp::client::{Cause, Failure, Limits, Session};
use crate::smtp::dialogue::{Event, Transcript};
use crate::smtp::ehlo::Capabilities;
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use crate::sys::clock::{self, Deadline};
use std::time::Duration;

/// A certificate that is valid for fewer days is reported.
const EXPIRY_DAYS: i64 = 14;

/// What was learned of a server on the way to a ready session.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// The server, as configured.
    pub server: String,
    /// The server's 220.
    pub greeting: Option<Reply>,
    /// What it offers, after TLS where there is TLS.
    pub capabilities: Capabilities,
    /// `TLS`, `STARTTLS`, `none`.
    pub tls: &'static str,
    /// TLS version (`TLSv1.3`) and cipher, where there is TLS.
    pub cipher: Option<(&'static str, &'static str)>,
    /// Its certificate.
    pub certificate: Option<Presented>,
    /// Commands go out together (RFC 2920).
    pub pipelined: bool,
    /// How long the lookup of its name took.
    pub lookup: Duration,
    /// Mechanism and login that it accepted.
    pub login: Option<(String, String)>,
}

impl Opened {
    /// Of this server nothing is known yet.
    pub(super) fn none_yet(relay: &Relay) -> Self {
        Self { server: relay.endpoint.to_string(), tls: "none", ..Self::default() }
    }
}

/// Runs something with a session at the first of the account's servers that serves. The next one is asked only where the
/// one before cannot be reached, fails TLS, or sends everybody away for now.
///
/// # Errors
/// Why the last one that was asked does not serve, with what kept off the others before.
pub(super) fn on_any_server<T>(
    relay: &Relay,
    context: &mut Context<'_>,
    total: Deadline,
    opened: &mut Opened,
    run: &mut dyn FnMut(Session<'_, Wire>) -> T,
) -> Result<T, Trouble> {
    let mut before = String::new();
    let mut servers = relay.at_each_server().peekable();
    while let Some(relay) = servers.next() {
        *opened = Opened::none_yet(&relay);
        let name = opened.server.clone();
        let trouble = match open(&relay, context, total, opened).map(&mut *run) {
            Ok(done) => return Ok(done),
            Err(trouble) => trouble,
        };
        if servers.peek().is_none() || !trouble::another_server_may_help(&trouble) || total.left().is_none() {
            return Err(Trouble { what: format!("{}{before}", trouble.what), ..trouble });
        }
        let line = trouble.line(&name, None);
        context.transcript.event(&Event::Note(&format!("{line}; the next server is asked")));
        before.push_str(&format!("; before that: {line}"));
    }
    // `at_each_server` has at least one.
    Err(trouble::judge(
        &Failure::new(Phase::Connect, Cause::Config("no server is configured".into())),
        &Rules::of(relay),
    ))
}

/// How a connection came to be protected.
struct Protected {
    wire: Wire,
    bindings: Vec<ChannelBinding>,
}

/// From nothing to a session that is ready for MAIL.
fn open<'t>(
    relay: &Relay,
    context: &'t mut Context<'_>,
    total: Deadline,
    opened: &mut Opened,
) -> Result<Session<'t, Wire>, Trouble> {
    let Context { host, transcript, secret, .. } = context;
    let host = relay.ehlo.as_deref().unwrap_or(host);
    let fetch = Fetch { secret: *secret, limits: Limits::new(&relay.timeouts, total) };
    let connected = connect(relay, total).map_err(|error| trouble::judge_connect(&error))?;
    opened.lookup = connected.lookup;
    transcript.event(&Event::Connected { server: &opened.server, address: &connected.address });
    let Protected { wire, bindings } = protect(relay, connected.stream, host, &fetch, &mut **transcript, opened)?;
    let mut session = Session::new(wire, relay.protocol, fetch.limits, &mut **transcript);
    let account = account(relay);
    session.hide(Hidden::of_account(&account));
    judged(relay, || {
        if opened.greeting.is_none() {
            opened.greeting = Some(session.greeting()?);
        }
        session.ehlo(host, relay.tls == TlsMode::Plain && relay.auth == AuthChoice::Off)?;
        opened.capabilities = session.capabilities().clone();
        let login = login(relay, &mut session, opened.tls != "none", &bindings, &fetch);
        session.hidden().remember(&account);
        opened.login = login?;
        session.limit(relay.portions);
        if lockstep::is_known(&opened.server) {
            session.in_steps();
        }
        opened.pipelined = session.capabilities().pipelining;
        Ok(session)
    })
}

/// The account as the server knows it.
fn account(relay: &Relay) -> String {
    format!("{} {}", relay.endpoint, relay.user.as_deref().unwrap_or_default())
}

fn judged<T>(relay: &Relay, ready: impl FnOnce() -> Result<T, Failure>) -> Result<T, Trouble> {
    ready().map_err(|failure| trouble::judge(&failure, &Rules::of(relay)))
}

/// TLS as the configuration demands it, or the bare connection where it says so.
fn protect(
    relay: &Relay,
    stream: TimedStream,
    host: &str,
    fetch: &Fetch<'_>,
    transcript: &mut dyn Transcript,
    opened: &mut Opened,
) -> Result<Protected, Trouble> {
    let mut stream = match relay.tls {
        TlsMode::Plain => return Ok(Protected { wire: Wire::Plain(stream), bindings: Vec::new() }),
        TlsMode::Implicit => stream,
        TlsMode::StartTls => {
            let (greeting, stream) = starttls(relay, stream, host, fetch.limits, transcript)?;
            opened.greeting = Some(greeting);
            stream
        }
    };
    let passphrase = relay.client_password.as_ref().map(|source| fetch.run(source)).transpose();
    let (host, passphrase) = judged(relay, || Ok((tls_name(relay)?, passphrase?)))?;
    stream.set_deadline(fetch.limits.from_now(Phase::Tls));
    let target = Target { host, server: &opened.server, options: &relay.tls_options, passphrase: passphrase.as_ref() };
    let secured = tls::handshake(stream, target).map_err(|error| trouble::judge_tls(&error))?;
    opened.tls = if relay.tls == TlsMode::Implicit { "TLS" } else { "STARTTLS" };
    tell_tls(&tls::server_name(host, &relay.tls_options), &secured, transcript);
    opened.cipher = secured.wire.tls();
    opened.certificate = secured.certificate;
    Ok(Protected { wire: secured.wire, bindings: secured.bindings })
}

/// Tells of the certificate, and of its end where that is near: soon nothing would go over this account.
fn tell_tls(name: &str, secured: &Secured, transcript: &mut dyn Transcript) {
    let words = secured.certificate.as_ref().map_or("without a certificate".into(), Presented::line);
    transcript.event(&Event::Tls { name, certificate: &words });
    if secured.resumed {
        transcript.event(&Event::Note("an earlier TLS session goes on; its certificate was checked then"));
    }
    let now = clock::now().timestamp();
    if let Some(seen) = secured.certificate.as_ref().filter(|seen| seen.days_left(now) < EXPIRY_DAYS) {
        let state = if seen.days_left(now) < 0 { "has expired" } else { "expires soon" };
        let note = format!("the certificate of {name} {state}: it is valid until {}", seen.until);
        transcript.event(&Event::Note(&note));
        tracing::warn!("{note}");
    }
}

/// Greeting, EHLO and STARTTLS in clear; the connection comes back ready for the handshake.
fn starttls(
    relay: &Relay,
    stream: TimedStream,
    host: &str,
    limits: Limits,
    transcript: &mut dyn Transcript,
) -> Result<(Reply, TimedStream), Trouble> {
    let mut session = Session::new(stream, relay.protocol, limits, transcript);
    session.hide(Hidden::of_account(&account(relay)));
    judged(relay, || {
        let greeting = session.greeting()?;
        session.ehlo(host, false)?;
        Ok((greeting, session.starttls()?))
    })
}

/// The name that the certificate is checked for.
fn tls_name(relay: &Relay) -> Result<&str, Failure> {
    match (&relay.endpoint, relay.tls_options.host_override.as_deref()) {
        (_, Some(name)) => Ok(name),
        (Endpoint::Tcp(host, _), None) => Ok(host),
        (Endpoint::Unix(_), None) if relay.tls_options.no_check => Ok("localhost"),
        (Endpoint::Unix(_), None) => {
            let what = "TLS over a unix socket needs the name that the certificate is for";
            Err(Failure::new(Phase::Tls, Cause::Config(what.into())))
        }
    }
}

/// Fetches secrets within the limits.
struct Fetch<'c> {
    secret: &'c FetchSecret<'c>,
    limits: Limits,
}

impl Fetch<'_> {
    fn run(&self, source: &SecretSource) -> Result<Secret, Failure> {
        let left = self.limits.from_now(Phase::Secret).left();
        let left = left.ok_or_else(|| Failure::new(Phase::Secret, Cause::TimedOut))?;
        (self.secret)(source, left).map_err(|why| Failure::new(Phase::Secret, Cause::Secret(why)))
    }
}

/// The login, where one is configured. The secret is fetched when the server is known to take it, and wiped after.
fn login(
    relay: &Relay,
    session: &mut Session<'_, Wire>,
    protected: bool,
    bindings: &[ChannelBinding],
    fetch: &Fetch<'_>,
) -> Result<Option<(String, String)>, Failure> {
    if relay.auth == AuthChoice::Off {
        return Ok(None);
    }
    let config = |what: String| Failure::new(Phase::Auth, Cause::Config(what));
    let offered = &session.capabilities().auth;
    let protected = protected || relay.plaintext_password;
    let mechanisms = auth::candidates(&relay.auth, offered, protected, !bindings.is_empty()).map_err(config)?;
    let binding = match bindings {
        [] => Binding::None,
        all if auth::offers_binding(offered) => Binding::Offered(all),
        _ => Binding::NotOffered,
    };
    // EXTERNAL has its proof in the client's certificate.
    let bare = mechanisms.iter().all(|mechanism| !mechanism.takes_secret());
    let user = match relay.user.as_deref() {
        None if bare => "",
        user => user.ok_or_else(|| config("a login is configured, but no user".into()))?,
    };
    let secret = match &relay.password {
        _ if bare => Secret::new(String::new()),
        None => return Err(config(format!("no password is configured for the login {user}"))),
        Some(source) => fetch.run(source)?,
    };
    let server = match &relay.endpoint {
        Endpoint::Tcp(host, port) => Some((host.as_str(), *port)),
        Endpoint::Unix(_) => None,
    };
    let mechanism = session.login(&mechanisms, Credentials { user, secret: &secret, server, binding })?;
    Ok(Some((mechanism.to_owned(), user.to_owned())))
}
