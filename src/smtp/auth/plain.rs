//! AUTH PLAIN (RFC 4616): login and password in one message, separated by NUL.

use super::{AuthPayload, Credentials, Exchange};
use zeroize::Zeroizing;

struct Plain<'c> {
    credentials: Credentials<'c>,
    answered: bool,
}

/// Begins a run.
///
/// # Errors
/// Login or password hold a NUL, which the mechanism cannot carry.
pub fn begin(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    match credentials.user.contains('\0') || credentials.secret.expose().contains('\0') {
        true => Err("login or password hold a NUL character".into()),
        false => Ok(Box::new(Plain { credentials, answered: false })),
    }
}

impl Plain<'_> {
    fn message(&self) -> AuthPayload {
        let (user, password) = (self.credentials.user, self.credentials.secret.expose());
        let mut raw = Zeroizing::new(Vec::with_capacity(user.len() + password.len() + 2));
        for part in ["\0", user, "\0", password] {
            raw.extend_from_slice(part.as_bytes());
        }
        AuthPayload::new(&raw)
    }
}

impl Exchange for Plain<'_> {
    fn initial(&mut self) -> Option<AuthPayload> {
        Some(self.message())
    }

    /// A 334 comes where no initial response went along, and from servers that pass over it.
    fn respond(&mut self, _: &[u8]) -> Result<AuthPayload, String> {
        match std::mem::replace(&mut self.answered, true) {
            true => Err("the server asks again after the whole login was given".into()),
            false => Ok(self.message()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn example_of_rfc_4616() {
        let secret = Secret::new("tanstaaftanstaaf".into());
        let mut run = begin(Credentials::new("tim", &secret)).unwrap();
        let decoded = openssl::base64::decode_block(run.initial().unwrap().expose()).unwrap();
        assert_eq!(decoded, b"\0tim\0tanstaaftanstaaf");
        assert_eq!(run.respond(b"").unwrap().expose(), run.initial().unwrap().expose());
        assert!(run.respond(b"").is_err());
        assert!(begin(Credentials::new("t\0m", &secret)).is_err());
    }
}
