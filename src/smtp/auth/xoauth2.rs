//! AUTH XOAUTH2: login and an OAuth2 access token, as Google and Microsoft describe it.
//!
//! A refusal comes as a 334 with JSON in base64; the client answers with an empty line, and the reply proper follows.

use super::{AuthPayload, Credentials, Exchange, refusal_text};
use zeroize::Zeroizing;

struct Xoauth2<'c> {
    credentials: Credentials<'c>,
    sent: bool,
    refusal: Option<String>,
}

/// Begins a run.
///
/// # Errors
/// Login or token hold the separator (control-A).
pub fn begin(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    match credentials.user.contains('\x01') || credentials.secret.expose().contains('\x01') {
        true => Err("login or token hold a control character".into()),
        false => Ok(Box::new(Xoauth2 { credentials, sent: false, refusal: None })),
    }
}

impl Exchange for Xoauth2<'_> {
    fn initial(&mut self) -> Option<AuthPayload> {
        self.sent = true;
        let (user, token) = (self.credentials.user, self.credentials.secret.expose());
        let mut raw = Zeroizing::new(Vec::with_capacity(user.len() + token.len() + 32));
        for part in ["user=", user, "\x01auth=Bearer ", token, "\x01\x01"] {
            raw.extend_from_slice(part.as_bytes());
        }
        Some(AuthPayload::new(&raw))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<AuthPayload, String> {
        if self.refusal.is_some() {
            return Err("the server asks again after it refused the token".into());
        }
        if !self.sent || challenge.is_empty() {
            return self.initial().ok_or_else(String::new);
        }
        self.refusal = Some(refusal_text(challenge));
        Ok(AuthPayload::new(b""))
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
    fn example_of_google_and_a_refusal() {
        let secret = Secret::new("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg".into());
        let mut run = begin(Credentials::new("someuser@example.com", &secret)).unwrap();
        let expected = "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==";
        assert_eq!(run.initial().unwrap().expose(), expected);
        assert_eq!(run.respond(br#"{"status":"401"}"#).unwrap().expose(), "");
        assert_eq!(run.explanation(), Some(r#"{"status":"401"}"#));
        assert!(run.respond(b"{}").is_err());
    }
}
