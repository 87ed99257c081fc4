//! One attempt to deliver: connect, protect, greet, log in, send, take leave; an outcome for every recipient.
//!
//! The story of a connection, and nothing of the wire. It never judges: every failure goes through `trouble`.

use super::outcome::{Attempt, Outcome, Verdict};
use super::trouble::{self, Trouble};
use crate::config::{AuthChoice, Endpoint, Relay, TlsMode, TlsOptions};
use crate::envelope::Envelope;
use crate::message::Message;
use crate::net::certificate::Presented;
use crate::net::connect::connect;
use crate::net::deadline::{Timed, TimedStream};
use crate::net::tls::{self, Check, Secured, TlsError};
use crate::net::wire::Wire;
use crate::secret::{Secret, SecretSource};
use crate::smtp::auth::{self, Credentials};
use crate::smtp::client::{Cause, Failure, Limits, Session};
use crate::smtp::dialogue::{Event, Silent, Transcript};
use crate::smtp::ehlo::Capabilities;
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use crate::sys::clock::{self, Deadline};
use std::time::Duration;

/// How long a second look at a refused certificate may take.
const LOOK: Duration = Duration::from_secs(5);

/// What an attempt needs of the world around it.
pub struct Context<'c> {
    /// For EHLO where the relay names none: the host's name.
    pub host: &'c str,
    /// Is told the dialogue, without secrets.
    pub transcript: &'c mut dyn Transcript,
    /// Fetches the password; called only when the server is ready for the login. The error is for people.
    pub secret: &'c dyn Fn(&SecretSource) -> Result<Secret, String>,
}

/// What was learned of a server on the way to a ready session.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// The server's 220.
    pub greeting: Option<Reply>,
    /// What it offers, after TLS where there is TLS.
    pub capabilities: Capabilities,
    /// `TLS`, `STARTTLS`, `none`.
    pub tls: &'static str,
    /// Its certificate.
    pub certificate: Option<Presented>,
    /// Mechanism and login that it accepted.
    pub login: Option<(String, String)>,
}

/// Delivers a message over an account. Blocks no longer than `relay.timeouts.total` and what fetching the password takes.
pub fn attempt(relay: &Relay, envelope: &Envelope, message: &Message, context: &mut Context<'_>) -> Attempt {
    let started = clock::instant();
    let mut opened = Opened { tls: "none", ..Opened::default() };
    let total = Deadline::after(relay.timeouts.total);
    let verdicts: Vec<Verdict> = match open(relay, context, total, &mut opened) {
        Err(trouble) => envelope.recipients().iter().map(|_| Verdict::Failed(trouble.clone())).collect(),
        Ok(mut session) => {
            let answers = session.send(envelope, message);
            session.quit().close();
            answers.into_iter().map(verdict).collect()
        }
    };
    let outcomes = envelope.recipients().iter().cloned().zip(verdicts);
    Attempt {
        outcomes: outcomes.map(|(recipient, verdict)| Outcome { recipient, verdict }).collect(),
        server: server(&relay.endpoint),
        tls: opened.tls,
        login: opened.login,
        size: message.wire_size(),
        elapsed: clock::instant().saturating_duration_since(started),
    }
}

/// Goes as far as a delivery would go before MAIL, then takes leave: what `check` and `try` show.
///
/// # Errors
/// What would have stopped a delivery.
pub fn probe(relay: &Relay, context: &mut Context<'_>) -> Result<Opened, Trouble> {
    let mut opened = Opened { tls: "none", ..Opened::default() };
    open(relay, context, Deadline::after(relay.timeouts.total), &mut opened)?.quit().close();
    Ok(opened)
}

/// The server as people know it: `host:port` or the socket's path.
#[must_use]
pub fn server(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(host, port) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        Endpoint::Tcp(host, port) => format!("{host}:{port}"),
        Endpoint::Unix(path) => path.display().to_string(),
    }
}

fn verdict(answer: Result<Reply, Failure>) -> Verdict {
    match answer {
        Ok(reply) => Verdict::Sent(reply),
        Err(failure) => Verdict::Failed(trouble::judge(&failure)),
    }
}

/// From nothing to a session that is ready for MAIL.
fn open<'t>(
    relay: &Relay,
    context: &'t mut Context<'_>,
    total: Deadline,
    opened: &mut Opened,
) -> Result<Session<'t, Wire>, Trouble> {
    let Context { host, transcript, secret } = context;
    let host = relay.ehlo.as_deref().unwrap_or(host);
    let limits = Limits::new(&relay.timeouts, total);
    let connected = connect(relay, total).map_err(|error| trouble::judge_connect(&error))?;
    let name = server(&relay.endpoint);
    transcript.event(&Event::Connected { server: &name, address: &connected.address });
    let wire = protect(relay, connected.stream, host, limits, &mut **transcript, opened)?;
    let protected = wire.is_protected();
    let mut session = Session::new(wire, relay.protocol, limits, &mut **transcript);
    let ready = || -> Result<Session<'t, Wire>, Failure> {
        if opened.greeting.is_none() {
            opened.greeting = Some(session.greeting()?);
        }
        session.ehlo(host, relay.tls == TlsMode::Plain && relay.auth == AuthChoice::Off)?;
        opened.capabilities = session.capabilities().clone();
        opened.login = login(relay, &mut session, protected, *secret)?;
        Ok(session)
    };
    ready_or_judge(ready)
}

fn ready_or_judge<T>(ready: impl FnOnce() -> Result<T, Failure>) -> Result<T, Trouble> {
    ready().map_err(|failure| trouble::judge(&failure))
}

/// TLS as the configuration demands it, or the bare connection where it says so.
fn protect(
    relay: &Relay,
    stream: TimedStream,
    host: &str,
    limits: Limits,
    transcript: &mut dyn Transcript,
    opened: &mut Opened,
) -> Result<Wire, Trouble> {
    let stream = match relay.tls {
        TlsMode::Plain => return Ok(Wire::Plain(stream)),
        TlsMode::Implicit => stream,
        TlsMode::StartTls => {
            let (greeting, stream) = starttls(relay, stream, host, limits, transcript)?;
            opened.greeting = Some(greeting);
            stream
        }
    };
    let name = tls_name(relay).map_err(|failure| trouble::judge(&failure))?;
    let secured = tls::handshake(stream, name, &relay.tls_options);
    let secured = secured.map_err(|error| trouble::judge_tls(&explained(error, relay, host, limits.total)))?;
    let words = secured.certificate.as_ref().map_or("without a certificate".into(), Presented::line);
    transcript.event(&Event::Tls { name: tls::server_name(name, &relay.tls_options), certificate: &words });
    opened.certificate = secured.certificate;
    opened.tls = if relay.tls == TlsMode::Implicit { "TLS" } else { "STARTTLS" };
    Ok(secured.wire)
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
    ready_or_judge(|| {
        let greeting = session.greeting()?;
        session.ehlo(host, false)?;
        let mut stream = session.starttls()?;
        stream.set_deadline(Deadline::after(relay.timeouts.connect).or_earlier(limits.total));
        Ok((greeting, stream))
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

/// Adds to a refused certificate what stands in it, by a second connection that asks for nothing else: the failed
/// handshake does not give it out. Where that does not work, the error stays as it is.
fn explained(error: TlsError, relay: &Relay, host: &str, total: Deadline) -> TlsError {
    match error {
        TlsError::Certificate(check, what) if check != Check::Fingerprint => {
            let seen = look(relay, host, Deadline::after(LOOK).or_earlier(total)).map(|seen| match check {
                Check::Expired => format!("; it was valid until {}", seen.until),
                Check::NotYet => format!("; it is valid from {}", seen.from),
                Check::Name => format!("; it is for {}", seen.names.join(", ")),
                _ => format!("; it was issued by {}, its SHA-256 is {}", seen.issuer, seen.sha256),
            });
            TlsError::Certificate(check, what + &seen.unwrap_or_default())
        }
        other => other,
    }
}

fn look(relay: &Relay, host: &str, total: Deadline) -> Option<Presented> {
    let name = relay.tls_options.host_override.clone();
    let tls_options = TlsOptions { no_check: true, host_override: name, ..TlsOptions::default() };
    let relay = Relay { tls_options, ..relay.clone() };
    let mut stream = connect(&relay, total).ok()?.stream;
    if relay.tls == TlsMode::StartTls {
        let limits = Limits::new(&relay.timeouts, total);
        stream = starttls(&relay, stream, host, limits, &mut Silent).ok()?.1;
    }
    let Secured { certificate, wire } = tls::handshake(stream, tls_name(&relay).ok()?, &relay.tls_options).ok()?;
    wire.close();
    certificate
}

/// The login, where one is configured. The secret is fetched when the server is known to take it, and wiped after.
fn login(
    relay: &Relay,
    session: &mut Session<'_, Wire>,
    protected: bool,
    fetch: &dyn Fn(&SecretSource) -> Result<Secret, String>,
) -> Result<Option<(String, String)>, Failure> {
    if relay.auth == AuthChoice::Off {
        return Ok(None);
    }
    let config = |what: String| Failure::new(Phase::Auth, Cause::Config(what));
    let user = relay.user.as_deref().ok_or_else(|| config("a login is configured, but no user".into()))?;
    let source = relay.password.as_ref();
    let source = source.ok_or_else(|| config(format!("no password is configured for the login {user}")))?;
    let offered = &session.capabilities().auth;
    let mechanisms =
        auth::candidates(&relay.auth, offered, protected || relay.plaintext_password, false).map_err(config)?;
    let secret = fetch(source).map_err(|why| Failure::new(Phase::Secret, Cause::Secret(why)))?;
    let mechanism = session.login(&mechanisms, Credentials::new(user, &secret))?;
    Ok(Some((mechanism.to_owned(), user.to_owned())))
}
