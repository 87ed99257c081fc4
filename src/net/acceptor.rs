//! The server's side of the TLS handshake: certificate and key from PEM files, TLS 1.2 or later (RFC 3207, RFC 8314).
//!
//! OpenSSL does the work. The key is read under the same rule as a password file: nobody but its owner, root and one
//! group may read it.

use super::certificate;
use super::deadline::TimedStream;
use super::wire::Wire;
use crate::sys::files;
use openssl::error::ErrorStack;
use openssl::ssl::{SslAcceptor, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVersion};
use std::path::Path;

/// What a listener makes handshakes with.
#[derive(Clone)]
pub struct Acceptor(SslAcceptor);

impl Acceptor {
    /// From PEM files: the certificate with those between it and its authority, and its key. `uid` is who must own the
    /// key's file, if not root.
    ///
    /// # Errors
    /// A file that cannot be read, holds something else or may be read by others; one line that names it.
    pub fn load(certificate: &Path, key: &Path, uid: u32) -> Result<Self, String> {
        let (_, guard) = files::read(key).map_err(|error| format!("key {}: {error}", key.display()))?;
        files::check_secret(key, &guard, uid).map_err(|why| format!("key {why}"))?;
        let own = certificate::identity(certificate, key, None).map_err(|why| why.replace("client ", ""))?;
        let build = || -> Result<SslAcceptor, ErrorStack> {
            let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
            protect(&mut builder)?;
            builder.set_certificate(&own.certificate)?;
            builder.set_private_key(&own.key)?;
            own.chain.into_iter().try_for_each(|one| builder.add_extra_chain_cert(one))?;
            Ok(builder.build())
        };
        build().map(Self).map_err(|error| format!("TLS cannot be set up: {error}"))
    }

    /// Makes the handshake on a connection whose deadline the caller has set.
    ///
    /// # Errors
    /// Why there is none, one line; the connection is closed then.
    pub fn accept(&self, stream: TimedStream) -> Result<Wire, String> {
        match self.0.accept(stream) {
            Ok(stream) => Ok(Wire::Tls(Box::new(stream))),
            Err(error) => Err(format!("no TLS: {error}")),
        }
    }
}

/// Versions, and buffers that an idle connection gives back: a listener has hundreds of those.
fn protect(builder: &mut SslContextBuilder) -> Result<(), ErrorStack> {
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    // Who comes again brings a ticket; strangers' sessions are not kept here, thousands of them.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::RELEASE_BUFFERS);
    Ok(())
}
