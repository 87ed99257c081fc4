//! AUTH EXTERNAL (RFC 4422 appendix A): who the client is was proven before, by its TLS certificate.
//!
//! The message is the identity to act as; empty, the server takes it from the certificate.

use super::{AuthPayload, Credentials, Exchange};

struct External<'c>(Credentials<'c>, bool);

/// Begins a run.
///
/// # Errors
/// Never.
pub fn begin(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    Ok(Box::new(External(credentials, false)))
}

impl Exchange for External<'_> {
    fn initial(&mut self) -> Option<AuthPayload> {
        Some(AuthPayload::new(self.0.user.as_bytes()))
    }

    fn respond(&mut self, _: &[u8]) -> Result<AuthPayload, String> {
        match std::mem::replace(&mut self.1, true) {
            true => Err("the server asks again after the identity was given".into()),
            false => Ok(AuthPayload::new(self.0.user.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn examples_of_rfc_4422() {
        let none = Secret::new(String::new());
        assert_eq!(begin(Credentials::new("", &none)).unwrap().initial().unwrap().expose(), "");
        let mut run = begin(Credentials::new("fred@example.com", &none)).unwrap();
        assert_eq!(run.initial().unwrap().expose(), "ZnJlZEBleGFtcGxlLmNvbQ==");
        assert_eq!(run.respond(b"").unwrap().expose(), "ZnJlZEBleGFtcGxlLmNvbQ==");
        assert!(run.respond(b"").is_err());
    }
}
