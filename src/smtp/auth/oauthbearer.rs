//! AUTH OAUTHBEARER (RFC 7628): an OAuth2 access token, with the login and the server that it is meant for.
//!
//! A refusal comes as a 334 with JSON in base64; the client answers with a control-A, and the reply proper follows.

use super::{AuthPayload, Credentials, Exchange, names, refusal_text};
use std::fmt::Write as _;
use zeroize::Zeroizing;

struct OauthBearer<'c> {
    credentials: Credentials<'c>,
    refusal: Option<String>,
}

/// Begins a run.
///
/// # Errors
/// Login or token hold the separator (control-A).
pub fn begin(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    match credentials.user.contains('\x01') || credentials.secret.expose().contains('\x01') {
        true => Err("login or token hold a control character".into()),
        false => Ok(Box::new(OauthBearer { credentials, refusal: None })),
    }
}

impl Exchange for OauthBearer<'_> {
    fn initial(&mut self) -> Option<AuthPayload> {
        let Credentials { user, secret, server, .. } = self.credentials;
        let mut head = format!("n,a={},\x01", names::escaped(user));
        if let Some((host, port)) = server {
            // Writing to a String cannot fail.
            let _ = write!(head, "host={host}\x01port={port}\x01");
        }
        let mut raw = Zeroizing::new(Vec::with_capacity(head.len() + secret.expose().len() + 16));
        for part in [head.as_str(), "auth=Bearer ", secret.expose(), "\x01\x01"] {
            raw.extend_from_slice(part.as_bytes());
        }
        Some(AuthPayload::new(&raw))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<AuthPayload, String> {
        if self.refusal.is_some() {
            return Err("the server asks again after it refused the token".into());
        }
        if challenge.is_empty() {
            return self.initial().ok_or_else(String::new);
        }
        self.refusal = Some(refusal_text(challenge));
        Ok(AuthPayload::new(b"\x01"))
    }

    fn explanation(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn example_of_rfc_7628() {
        let secret = Secret::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==".into());
        let credentials =
            Credentials { server: Some(("server.example.com", 587)), ..Credentials::new("user@example.com", &secret) };
        let mut run = begin(credentials).unwrap();
        // Section 4.2's message, in the wire form of section 4.
        let expected = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3AWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB";
        assert_eq!(run.initial().unwrap().expose(), expected);
        let refusal = br#"{"status":"invalid_token","scope":"example_scope"}"#;
        assert_eq!(run.respond(refusal).unwrap().expose(), "AQ==");
        assert!(run.explanation().unwrap().contains("invalid_token"));
        assert!(run.respond(refusal).is_err());
    }

    #[test]
    fn names_and_tokens_cannot_break_out() {
        let secret = Secret::new("t".into());
        let raw = begin(Credentials::new("a,b=c", &secret)).unwrap().initial().unwrap();
        assert_eq!(openssl::base64::decode_block(raw.expose()).unwrap(), b"n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01");
        assert!(begin(Credentials::new("a\x01b", &secret)).is_err());
    }
}
