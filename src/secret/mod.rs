//! Secrets: one type that is never printed, and the places that a secret may come from.
//!
//! `Secret` has no Debug, Display, Clone or PartialEq and is wiped when dropped. Only `smtp::auth` looks inside, and
//! `commands::import`, which puts passwords of other programs into files.

pub mod fetch;
mod netrc;
mod search;

pub use fetch::{FetchContext, SecretError, fetch};

use std::path::PathBuf;
use zeroize::Zeroizing;

/// A password or token. It cannot be printed, copied or compared, and is wiped from memory when dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret in clear: for `smtp::auth` and `commands::import` alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Where a secret comes from. Fetched at the moment it is needed (`fetch`), never before.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// First line of a file that only its owner (or root and one group) may read.
    File(PathBuf),
    /// First line that a program prints: an argument vector, run without a shell.
    Command(Vec<String>),
    /// First line that `sh -c` prints (msmtp's `passwordeval`).
    Shell(String),
    /// An environment variable.
    Env(String),
    /// A systemd credential below `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// Written in the configuration itself; shared so that the model can be cloned without copying the secret.
    Literal(std::sync::Arc<Literal>),
    /// Not configured: looked for in the keyring, `~/.netrc` and `/etc/netrc`, then asked for on the terminal (msmtp's
    /// order), for this host and user.
    Searched,
}

/// A secret that stands in a configuration file.
pub struct Literal(pub Secret);

impl std::fmt::Debug for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}
