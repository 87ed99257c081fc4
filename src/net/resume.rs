//! TLS sessions that go on (RFC 8446 section 2.2, RFC 5077): the next connection of this process to the same server, with
//! the same demands, saves the certificate's check and half of the arithmetic.
//!
//! Only a connection whose certificate passed leaves a session behind, and only one with the same server, name, trust,
//! fingerprint and client certificate takes it up. Nothing goes to disk, and everything is forgotten after a while, so
//! that a changed file or an expired certificate is seen.

use crate::config::TlsOptions;
use crate::sys::clock;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslSession, SslSessionCacheMode};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a context and its sessions are used.
const AGE: Duration = Duration::from_secs(600);
/// The most servers that are remembered.
const SERVERS: usize = 64;

/// What two connections must have in common for one to go on where the other was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    server: String,
    name: String,
    options: TlsOptions,
}

impl Key {
    /// The server as configured, the name that its certificate must be for, and everything that is demanded of it.
    #[must_use]
    pub fn new(server: &str, name: &str, options: &TlsOptions) -> Self {
        Self { server: server.into(), name: name.into(), options: options.clone() }
    }
}

/// The context for a key, and the session that its last connection left.
#[derive(Clone)]
pub struct Sessions {
    context: SslContext,
    last: Arc<Mutex<Option<SslSession>>>,
    made: Instant,
}

static KNOWN: LazyLock<Mutex<HashMap<Key, Sessions>>> = LazyLock::new(Mutex::default);

impl Sessions {
    /// What is known for the key, or else a new context.
    ///
    /// # Errors
    /// The context cannot be made.
    pub fn of<E>(key: &Key, make: impl FnOnce() -> Result<SslContextBuilder, E>) -> Result<Self, E> {
        let now = clock::instant();
        let is_young = |one: &Self| now.saturating_duration_since(one.made) < AGE;
        if let Some(found) = known().get(key).filter(|one| is_young(one)) {
            return Ok(found.clone());
        }
        let made = Self::new(make()?, now);
        let mut known = known();
        known.retain(|_, one| is_young(one));
        if known.len() < SERVERS {
            known.insert(key.clone(), made.clone());
        }
        Ok(made)
    }

    fn new(mut builder: SslContextBuilder, made: Instant) -> Self {
        let last = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&last);
        builder.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
        builder.set_new_session_callback(move |_, session| {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        });
        Self { context: builder.build(), last, made }
    }

    /// A new connection, which goes on with the last session where there is one. A session is used once: in TLS 1.3 the
    /// same ticket twice would let an onlooker link the two (RFC 8446 appendix C.4).
    ///
    /// # Errors
    /// OpenSSL has no memory.
    pub fn connection(&self) -> Result<Ssl, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(session) = last {
            take_up(&mut ssl, &session)?;
        }
        Ok(ssl)
    }
}

#[expect(unsafe_code, reason = "the openssl crate has no other way to go on with a session")]
fn take_up(ssl: &mut Ssl, session: &SslSession) -> Result<(), ErrorStack> {
    // SAFETY: the session must come from the same SslContext: `Sessions` keeps the two together, and `last` is written
    // by this context's own callback alone.
    unsafe { ssl.set_session(session) }
}

fn known() -> std::sync::MutexGuard<'static, HashMap<Key, Sessions>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
