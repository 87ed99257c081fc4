//! The TLS handshake: TLS 1.2 or later, the certificate checked for chain, time and name, or by its fingerprint.
//!
//! native-tls does the work; this file turns the configuration into a connector and a failure into words that say which
//! check failed, and for which name. It never falls back to anything weaker.

use super::certificate::{self, Presented};
use super::deadline::TimedStream;
use super::trust;
pub use super::trust::prepare_environment;
use super::wire::Wire;
use crate::config::TlsOptions;
use native_tls::{HandshakeError, Protocol, TlsConnector, TlsStream};
use std::error::Error as _;
use std::fmt;
use std::io::{self, ErrorKind};

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
}

/// Does the handshake on a connection whose deadline the caller has set. `host` is the server's name, for SNI and the
/// check, unless the options name another.
///
/// # Errors
/// When any check fails; the connection is closed then.
pub fn handshake(stream: TimedStream, host: &str, options: &TlsOptions) -> Result<Secured, TlsError> {
    let connector = connector(options)?;
    let name = server_name(host, options);
    let stream = match connector.connect(name, stream) {
        Ok(stream) => stream,
        Err(HandshakeError::WouldBlock(_)) => return Err(TlsError::TimedOut),
        Err(HandshakeError::Failure(error)) => return Err(explain(&error, name)),
    };
    let certificate = stream.peer_certificate().ok().flatten();
    if let Some(wanted) = &options.fingerprint {
        check_fingerprint(&stream, wanted)?;
    }
    let certificate = certificate.as_ref().and_then(Presented::read);
    Ok(Secured { wire: Wire::Tls(Box::new(stream)), certificate })
}

/// The name that the certificate must be for.
#[must_use]
pub fn server_name<'n>(host: &'n str, options: &'n TlsOptions) -> &'n str {
    let name = options.host_override.as_deref().unwrap_or(host);
    let name = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.strip_suffix('.').unwrap_or(name)
}

fn connector(options: &TlsOptions) -> Result<TlsConnector, TlsError> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    let unchecked = options.no_check || options.fingerprint.is_some();
    if unchecked {
        builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true);
        builder.disable_built_in_roots(true);
    } else if let Some(path) = &options.trust_file {
        trust::use_file(&mut builder, path).map_err(TlsError::Setup)?;
    }
    if let Some((certificate, key)) = &options.client {
        builder.identity(certificate::identity(certificate, key).map_err(TlsError::Setup)?);
    }
    builder.build().map_err(|error| TlsError::Setup(format!("TLS cannot be set up: {error}")))
}

fn check_fingerprint(stream: &TlsStream<TimedStream>, wanted: &crate::config::Fingerprint) -> Result<(), TlsError> {
    let certificate = stream.peer_certificate().ok().flatten();
    if certificate.as_ref().is_some_and(|certificate| certificate::has_fingerprint(certificate, wanted)) {
        return Ok(());
    }
    let found = certificate.as_ref().and_then(Presented::read);
    let found = found.map_or("it shows none".into(), |found| format!("its SHA-256 is {}", found.sha256));
    let what = format!("the server's certificate has not the fingerprint that is configured: {found}");
    Err(TlsError::Certificate(Check::Fingerprint, what))
}

/// native-tls keeps OpenSSL's texts and, as a source, the socket's own error.
fn explain(error: &native_tls::Error, name: &str) -> TlsError {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(io) = io {
        return match io.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => TlsError::TimedOut,
            _ => TlsError::Lost(super::connect::words(io)),
        };
    }
    explain_text(&error.to_string(), name)
}

fn explain_text(text: &str, name: &str) -> TlsError {
    if text.contains("certificate verify failed") {
        let reason = text.rsplit_once('(').map_or(text, |(_, reason)| reason.trim_end_matches(')'));
        let (check, what) = failed_check(reason, name);
        return TlsError::Certificate(check, what);
    }
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
        let verify =
            "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:ssl.c:1889:";
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
            let found = explain_text(&format!("{verify} ({reason})"), "mx.test");
            assert!(
                matches!(&found, TlsError::Certificate(is, what) if *is == check && what.contains("mx.test") && what.contains(reason)),
                "{found:?}"
            );
        }
        let version =
            explain_text("error:0A000102:SSL routines:ssl_choose_client_version:unsupported protocol:x.c:1:", "a");
        assert!(version.to_string().contains("1.2"));
        let other = explain_text(
            "error:0A000410:SSL routines:ssl3_read_bytes:ssl/tls alert handshake failure:x.c:1:SSL alert number 40",
            "a",
        );
        assert_eq!(other.to_string(), "the TLS handshake failed: ssl/tls alert handshake failure");
    }

    #[test]
    fn names() {
        let options = TlsOptions::default();
        assert_eq!(server_name("mx.test.", &options), "mx.test");
        assert_eq!(server_name("[::1]", &options), "::1");
        let options = TlsOptions { host_override: Some("other.test".into()), ..options };
        assert_eq!(server_name("mx.test", &options), "other.test");
    }
}
