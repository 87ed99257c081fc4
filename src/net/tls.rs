//! The TLS handshake: TLS 1.2 or later, the certificate checked for chain, time and name, or by its fingerprint.
//!
//! OpenSSL does the work; this file turns the configuration into a context and a failure into words that say which check
//! failed, and for which name. It never falls back to anything weaker.

use super::binding::{self, ChannelBinding};
use super::certificate::{self, Presented};
use super::deadline::TimedStream;
use super::resume::{Key, Sessions};
use super::trust;
use super::wire::Wire;
use crate::config::TlsOptions;
use crate::secret::Secret;
use openssl::error::ErrorStack;
use openssl::ssl::{
    HandshakeError, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslVerifyMode, SslVersion,
};
use openssl::x509::verify::X509CheckFlags;
use openssl::x509::{X509Ref, X509StoreContextRef};
use std::fmt;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// A file that the configuration names is no good.
    Setup(String),
    /// The certificate did not pass.
    Certificate(Check, String),
    /// The two sides found no common ground, or the other side does not speak TLS.
    Handshake(String),
    /// The deadline passed.
    TimedOut,
    /// The connection was lost.
    Lost(String),
}

/// Which check a certificate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is its own issuer, or its chain ends in such a one that is not trusted.
    SelfSigned,
    /// Its issuer is not known.
    Issuer,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYet,
    /// It is for other names.
    Name,
    /// It has another fingerprint.
    Fingerprint,
    /// Something else.
    Other,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(why) | Self::Certificate(_, why) | Self::Handshake(why) => f.write_str(why),
            Self::TimedOut => f.write_str("the TLS handshake was not done in time"),
            Self::Lost(why) => write!(f, "the connection was lost in the TLS handshake: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// A protected connection, and the certificate that was accepted.
#[derive(Debug)]
pub struct Secured {
    /// The connection.
    pub wire: Wire,
    /// The server's certificate.
    pub certificate: Option<Presented>,
    /// What a login can be tied to it by, the preferred one first.
    pub bindings: Vec<ChannelBinding>,
    /// An earlier session of this process went on: its certificate was checked then.
    pub resumed: bool,
}

/// Whom to do a handshake with, and how.
#[derive(Clone, Copy)]
pub struct Target<'r> {
    /// The server's name, for SNI and the check, unless the options name another.
    pub host: &'r str,
    /// The server as configured: a session is taken up only with the same one.
    pub server: &'r str,
    /// What the handshake must prove and offer.
    pub options: &'r TlsOptions,
    /// Opens the client's key.
    pub passphrase: Option<&'r Secret>,
}

/// Does the handshake on a connection whose deadline the caller has set.
///
/// # Errors
/// When any check fails; the connection is closed then.
pub fn handshake(stream: TimedStream, target: Target<'_>) -> Result<Secured, TlsError> {
    let Target { options, .. } = target;
    let name = server_name(target.host, options);
    let key = Key::new(target.server, &name, options);
    let sessions = Sessions::of(&key, || context(options, target.passphrase))?;
    let failed = Arc::new(Mutex::new(None));
    let ssl = prepare(&sessions, &name, options, &failed).map_err(|error| setup(&error))?;
    let stream = match ssl.connect(stream) {
        Ok(stream) => stream,
        Err(HandshakeError::WouldBlock(_)) => return Err(TlsError::TimedOut),
        Err(HandshakeError::SetupFailure(error)) => return Err(setup(&error)),
        Err(HandshakeError::Failure(stream)) => {
            let refused = failed.lock().ok().and_then(|mut failed| failed.take());
            return Err(refused.unwrap_or_else(|| explain(stream.error())));
        }
    };
    let (shown, resumed) = (stream.ssl().peer_certificate(), stream.ssl().session_reused());
    let certificate = shown.as_ref().and_then(|shown| Presented::read(shown));
    if let Some(wanted) = &options.fingerprint {
        check_fingerprint(shown.as_deref(), wanted)?;
    }
    let bindings = binding::of(stream.ssl(), shown.as_deref());
    Ok(Secured { wire: Wire::Tls(Box::new(stream)), certificate, bindings, resumed })
}

/// The name that the certificate must be for, an internationalised one in its ASCII form.
#[must_use]
pub fn server_name(host: &str, options: &TlsOptions) -> String {
    super::connect::bare(options.host_override.as_deref().unwrap_or(host)).into_owned()
}

fn setup(error: &ErrorStack) -> TlsError {
    TlsError::Setup(format!("TLS cannot be set up: {}", reasons(&error.to_string())))
}

fn is_unchecked(options: &TlsOptions) -> bool {
    options.no_check || options.fingerprint.is_some()
}

/// What all connections with these options share: versions, ciphers, trust, the client's certificate.
fn context(options: &TlsOptions, passphrase: Option<&Secret>) -> Result<SslContextBuilder, TlsError> {
    let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(|error| setup(&error))?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(|error| setup(&error))?;
    builder.set_cipher_list(CIPHERS).map_err(|error| setup(&error))?;
    builder.set_options(SslOptions::ALL | SslOptions::NO_COMPRESSION);
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
    if is_unchecked(options) {
        builder.set_verify(SslVerifyMode::NONE);
    } else {
        builder.set_verify(SslVerifyMode::PEER);
        builder.set_cert_store(trust::store(options.trust_file.as_deref()).map_err(TlsError::Setup)?);
    }
    if let Some((certificate, key)) = &options.client {
        let own = certificate::identity(certificate, key, passphrase).map_err(TlsError::Setup)?;
        let put_in = || {
            builder.set_certificate(&own.certificate)?;
            builder.set_private_key(&own.key)?;
            own.chain.into_iter().try_for_each(|one| builder.add_extra_chain_cert(one))
        };
        put_in().map_err(|error: ErrorStack| setup(&error))?;
    }
    Ok(builder)
}

/// TLS 1.2 without what is broken or proves nobody, and with forward secrecy alone: who gets the server's key later can read
/// nothing that was recorded before. TLS 1.3 has no other ciphers.
const CIPHERS: &str = "DEFAULT:!kRSA:!aNULL:!eNULL:!MD5:!3DES:!DES:!RC4:!IDEA:!SEED:!aDSS:!SRP:!PSK";

/// One connection: SNI, the name to check, and an earlier session where there is one. What the check of the certificate
/// finds goes to `failed`.
fn prepare(
    sessions: &Sessions,
    name: &str,
    options: &TlsOptions,
    failed: &Arc<Mutex<Option<TlsError>>>,
) -> Result<Ssl, ErrorStack> {
    let mut ssl = sessions.connection()?;
    let address = name.parse::<IpAddr>().ok();
    if address.is_none() {
        ssl.set_hostname(name)?;
    }
    if is_unchecked(options) {
        return Ok(ssl);
    }
    let param = ssl.param_mut();
    // The common name of a certificate is no host name (RFC 9525 section 2).
    param.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT);
    match address {
        Some(address) => param.set_ip(address)?,
        None => param.set_host(name)?,
    }
    let (failed, name) = (Arc::clone(failed), name.to_owned());
    ssl.set_verify_callback(SslVerifyMode::PEER, move |passed, context| {
        if let (false, Ok(mut failed)) = (passed, failed.lock()) {
            *failed = Some(refused(context, &name));
        }
        passed
    });
    Ok(ssl)
}

/// Which check failed, for which name, and what stands in the certificate about it.
fn refused(context: &X509StoreContextRef, name: &str) -> TlsError {
    let (check, what) = failed_check(context.error().error_string(), name);
    let leaf = context.chain().and_then(|chain| chain.get(0)).or_else(|| context.current_cert());
    let seen = leaf.and_then(Presented::read).map(|seen| match check {
        Check::Expired => format!("; it was valid until {}", seen.until),
        Check::NotYet => format!("; it is valid from {}", seen.from),
        Check::Name if seen.by_subject => {
            format!(
                "; it names no host: it has no subjectAltName, and the common name {} does not count",
                seen.names.join(", ")
            )
        }
        Check::Name => format!("; it is for {}", seen.names.join(", ")),
        _ => format!("; it was issued by {}, its SHA-256 is {}", seen.issuer, seen.sha256),
    });
    TlsError::Certificate(check, what + &seen.unwrap_or_default())
}

fn check_fingerprint(certificate: Option<&X509Ref>, wanted: &crate::config::Fingerprint) -> Result<(), TlsError> {
    if certificate.is_some_and(|certificate| certificate::has_fingerprint(certificate, wanted)) {
        return Ok(());
    }
    let found = certificate.and_then(Presented::read);
    let found = found.map_or("it shows none".into(), |found| format!("its SHA-256 is {}", found.sha256));
    let what = format!("the server's certificate has not the fingerprint that is configured: {found}");
    Err(TlsError::Certificate(Check::Fingerprint, what))
}

/// A handshake that failed for another reason than the certificate.
fn explain(error: &openssl::ssl::Error) -> TlsError {
    if let Some(io) = error.io_error() {
        return match io.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => TlsError::TimedOut,
            _ => TlsError::Lost(super::words::words(io)),
        };
    }
    match error.ssl_error() {
        Some(stack) if !stack.errors().is_empty() => explain_text(&stack.to_string()),
        _ => TlsError::Lost("the server closed it".into()),
    }
}

fn explain_text(text: &str) -> TlsError {
    let text_has = |part: &str| text.contains(part);
    if text_has("unexpected EOF") || text_has("unexpected eof") {
        return TlsError::Lost("the server closed it".into());
    }
    if text_has("unsupported protocol") || text_has("protocol version") || text_has("version too low") {
        return TlsError::Handshake("the server speaks no TLS 1.2 or later".into());
    }
    if text_has("wrong version number") || text_has("packet length too long") || text_has("record layer failure") {
        return TlsError::Handshake("what the server sent is no TLS".into());
    }
    if text_has("certificate required") || text_has("bad certificate") || text_has("unknown ca") {
        return TlsError::Handshake(format!("the server refuses our client certificate: {}", reasons(text)));
    }
    if text_has("alert handshake failure") || text_has("no shared cipher") {
        let why = "no cipher in common; TLS 1.2 needs one with forward secrecy (ECDHE or DHE)";
        return TlsError::Handshake(format!("the TLS handshake failed: {} ({why})", reasons(text)));
    }
    TlsError::Handshake(format!("the TLS handshake failed: {}", reasons(text)))
}

/// OpenSSL's reasons without its codes, functions and source files: `error:CODE:LIBRARY:FUNCTION:REASON:FILE:LINE:...`.
/// Other texts stay as they are.
pub(crate) fn reasons(text: &str) -> String {
    let reason = |one| str::strip_prefix(one, "error:")?.split(':').nth(3).filter(|reason| !reason.is_empty());
    let all = text.split(", ").map(|one| reason(one).unwrap_or(one));
    all.map(str::trim).collect::<Vec<_>>().join(", ").chars().filter(|c| !c.is_control()).take(300).collect()
}

/// X509_verify_cert_error_string, by the words that OpenSSL 1.1 and 3 have in common.
fn failed_check(reason: &str, name: &str) -> (Check, String) {
    let lower = reason.to_ascii_lowercase();
    let has = |part: &str| lower.contains(part);
    let (check, what) = if has("self-signed") || has("self signed") {
        (Check::SelfSigned, "is signed by itself or by an authority that is not trusted")
    } else if has("issuer certificate") || has("verify the first certificate") {
        (Check::Issuer, "comes from an issuer that is not known here")
    } else if has("has expired") {
        (Check::Expired, "has expired")
    } else if has("not yet valid") {
        (Check::NotYet, "is not valid yet")
    } else if has("hostname mismatch") || has("ip address mismatch") {
        (Check::Name, "is not for this name")
    } else {
        (Check::Other, "did not pass")
    };
    (check, format!("the certificate shown for {name} {what} ({reason})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssl_texts_in_words() {
        for (reason, check) in [
            ("self-signed certificate", Check::SelfSigned),
            ("self signed certificate in certificate chain", Check::SelfSigned),
            ("unable to get local issuer certificate", Check::Issuer),
            ("certificate has expired", Check::Expired),
            ("certificate is not yet valid", Check::NotYet),
            ("hostname mismatch", Check::Name),
            ("IP address mismatch", Check::Name),
            ("unsuitable certificate purpose", Check::Other),
        ] {
            let (found, what) = failed_check(reason, "mx.test");
            assert!(found == check && what.contains("mx.test") && what.contains(reason), "{what}");
        }
        let version = explain_text("error:0A000102:SSL routines:ssl_choose_client_version:unsupported protocol:x.c:1:");
        assert!(version.to_string().contains("1.2"));
        let other = explain_text(
            "error:0A000410:SSL routines:ssl3_read_bytes:ssl/tls alert handshake failure:x.c:1:SSL alert number 40",
        );
        let said = other.to_string();
        assert!(
            said.starts_with("the TLS handshake failed: ssl/tls alert handshake failure (no cipher in common"),
            "{said}"
        );
    }

    #[test]
    fn names() {
        let options = TlsOptions::default();
        assert_eq!(server_name("mx.test.", &options), "mx.test");
        assert_eq!(server_name("[::1]", &options), "::1");
        assert_eq!(server_name("почта.рф", &options), "xn--80a1acny.xn--p1ai");
        let options = TlsOptions { host_override: Some("other.test".into()), ..options };
        assert_eq!(server_name("mx.test", &options), "other.test");
    }
}
