//! AUTH LOGIN (draft-murchison-sasl-login): the server asks twice; login first, then password.
//!
//! The prompts' texts differ between servers, so only their order counts.

use super::{AuthPayload, Credentials, Exchange};

struct Login<'c> {
    credentials: Credentials<'c>,
    asked: u8,
}

/// Begins a run.
///
/// # Errors
/// Never.
pub fn begin(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    Ok(Box::new(Login { credentials, asked: 0 }))
}

impl Exchange for Login<'_> {
    fn initial(&mut self) -> Option<AuthPayload> {
        None
    }

    fn respond(&mut self, _: &[u8]) -> Result<AuthPayload, String> {
        self.asked = self.asked.saturating_add(1);
        match self.asked {
            1 => Ok(AuthPayload::new(self.credentials.user.as_bytes())),
            2 => Ok(AuthPayload::new(self.credentials.secret.expose().as_bytes())),
            _ => Err("the server asks a third time after login and password were given".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn login_then_password() {
        let secret = Secret::new("pass".into());
        let mut run = begin(Credentials::new("user", &secret)).unwrap();
        assert!(run.initial().is_none());
        assert_eq!(run.respond(b"Username:").unwrap().expose(), "dXNlcg==");
        assert_eq!(run.respond(b"Password:").unwrap().expose(), "cGFzcw==");
        assert!(run.respond(b"").is_err());
    }
}
