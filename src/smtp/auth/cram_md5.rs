//! AUTH CRAM-MD5 (RFC 2195): the login and the HMAC-MD5 of the server's challenge, keyed with the password.
//!
//! The password does not cross the wire, but who reads along can guess it at leisure.

use super::hmac::hmac;
use super::{AuthPayload, Credentials, Exchange};
use openssl::hash::MessageDigest;

struct CramMd5<'c> {
    credentials: Credentials<'c>,
    answered: bool,
}

/// Begins a run.
///
/// # Errors
/// Never.
pub fn begin(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    Ok(Box::new(CramMd5 { credentials, answered: false }))
}

impl Exchange for CramMd5<'_> {
    fn initial(&mut self) -> Option<AuthPayload> {
        None
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<AuthPayload, String> {
        if std::mem::replace(&mut self.answered, true) {
            return Err("the server asks again after its challenge was answered".into());
        }
        if challenge.is_empty() {
            return Err("the server's challenge is empty".into());
        }
        let digest = hmac(MessageDigest::md5(), self.credentials.secret.expose().as_bytes(), challenge)?;
        let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        Ok(AuthPayload::new(format!("{} {hex}", self.credentials.user).as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn example_of_rfc_2195() {
        let secret = Secret::new("tanstaaftanstaaf".into());
        let mut run = begin(Credentials::new("tim", &secret)).unwrap();
        assert!(run.initial().is_none());
        let answer = run.respond(b"<1896.697170952@postoffice.reston.mci.net>").unwrap();
        assert_eq!(answer.expose(), "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
        assert!(run.respond(b"<x>").is_err());
        assert!(begin(Credentials::new("tim", &secret)).unwrap().respond(b"").is_err());
    }
}
