//! AUTH (RFC 4954): the one table of mechanisms, and the choice among them. The only place where secrets are in clear.
//!
//! A mechanism is a file with a type that implements `Exchange`, and a row in `MECHANISMS`. What it makes is an
//! `AuthPayload`, which cannot be printed: the session writes it to the server, and `[hidden]` to the transcript.

pub mod login;
pub mod plain;
pub mod xoauth2;

use crate::config::AuthChoice;
use crate::secret::Secret;
use zeroize::Zeroizing;

/// What an account logs in with.
#[derive(Clone, Copy)]
pub struct Credentials<'c> {
    /// The login.
    pub user: &'c str,
    /// Password or token.
    pub secret: &'c Secret,
}

/// One message of a mechanism, in base64. It has no Debug and no Display, and is wiped when dropped.
pub struct AuthPayload(Zeroizing<String>);

impl AuthPayload {
    /// Encodes the octets of a mechanism's message.
    #[must_use]
    pub fn new(raw: &[u8]) -> Self {
        Self(Zeroizing::new(openssl::base64::encode_block(raw)))
    }

    /// What goes to the server: for the session alone.
    pub(in crate::smtp) fn expose(&self) -> &str {
        &self.0
    }
}

/// One run of a mechanism: a machine that the session drives, without IO.
pub trait Exchange {
    /// What may go with the AUTH command; `None` where the server speaks first.
    fn initial(&mut self) -> Option<AuthPayload>;

    /// The answer to a challenge (a 334, already decoded).
    ///
    /// # Errors
    /// The challenge does not belong here; in words, without anything secret. The session then cancels.
    fn respond(&mut self, challenge: &[u8]) -> Result<AuthPayload, String>;

    /// Called when the server says 235: a mechanism that proves the server's side too can refuse here.
    ///
    /// # Errors
    /// The server did not prove what it had to.
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// What the server said about a refusal inside the mechanism, cleaned.
    fn explanation(&self) -> Option<&str> {
        None
    }
}

/// A row of the table.
pub struct Mechanism {
    /// The SASL name, in upper case.
    pub name: &'static str,
    /// `AuthChoice::Auto` may take it: its secret is a password.
    pub auto: bool,
    /// It shows the secret to whoever reads along, so the connection must be protected.
    pub needs_protection: bool,
    /// Begins a run.
    pub begin: for<'c> fn(Credentials<'c>) -> Result<Box<dyn Exchange + 'c>, String>,
}

/// All mechanisms, strongest first.
pub static MECHANISMS: [Mechanism; 3] = [
    Mechanism { name: "PLAIN", auto: true, needs_protection: true, begin: plain::begin },
    Mechanism { name: "LOGIN", auto: true, needs_protection: true, begin: login::begin },
    // Its secret is a token, which no password is: only where the configuration names it.
    Mechanism { name: "XOAUTH2", auto: false, needs_protection: true, begin: xoauth2::begin },
];

impl std::fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The mechanisms to try, in this order; never empty. `protected`: TLS stands, or the configuration allows the password in clear.
///
/// # Errors
/// None fits: why, in words, with what the server offers.
pub fn candidates(choice: &AuthChoice, offered: &[String], protected: bool) -> Result<Vec<&'static Mechanism>, String> {
    let wanted = |row: &&Mechanism| match choice {
        AuthChoice::Off => false,
        AuthChoice::Auto => row.auto,
        AuthChoice::Only(name) => row.name.eq_ignore_ascii_case(name),
    };
    let known: Vec<&Mechanism> = MECHANISMS.iter().filter(wanted).collect();
    if let (AuthChoice::Only(name), true) = (choice, known.is_empty()) {
        return Err(format!("the login method {} is not supported; these are: {}", word(name), names(&MECHANISMS)));
    }
    if offered.is_empty() {
        return Err("the server offers no login (AUTH)".into());
    }
    let common: Vec<&Mechanism> =
        known.iter().copied().filter(|row| offered.iter().any(|name| name == row.name)).collect();
    if common.is_empty() {
        let ours = known.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
        return Err(format!("the server does not offer the login method {ours}; it offers: {}", shown(offered)));
    }
    let safe: Vec<&Mechanism> = common.into_iter().filter(|row| protected || !row.needs_protection).collect();
    if safe.is_empty() {
        return Err("the login would send the password over a connection without TLS".into());
    }
    Ok(safe)
}

fn names(rows: &[Mechanism]) -> String {
    rows.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

/// The server's list, at most 20 names.
fn shown(offered: &[String]) -> String {
    offered.iter().take(20).map(|name| word(name)).collect::<Vec<_>>().join(", ")
}

fn word(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Decodes a challenge; an empty one or a lone `=` is no octets.
pub(in crate::smtp) fn decode(text: &str) -> Option<Vec<u8>> {
    match text.trim() {
        "" | "=" => Some(Vec::new()),
        text => openssl::base64::decode_block(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(choice: &AuthChoice, offered: &[&str], protected: bool) -> Result<Vec<&'static str>, String> {
        let offered: Vec<String> = offered.iter().map(|&name| name.to_owned()).collect();
        candidates(choice, &offered, protected).map(|rows| rows.iter().map(|row| row.name).collect())
    }

    #[test]
    fn choice() {
        let only = |name: &str| AuthChoice::Only(name.into());
        assert_eq!(choose(&AuthChoice::Auto, &["XOAUTH2", "LOGIN", "PLAIN"], true).unwrap(), ["PLAIN", "LOGIN"]);
        assert_eq!(choose(&AuthChoice::Auto, &["LOGIN"], true).unwrap(), ["LOGIN"]);
        assert_eq!(choose(&only("xoauth2"), &["XOAUTH2", "PLAIN"], true).unwrap(), ["XOAUTH2"]);
        let error = choose(&AuthChoice::Auto, &["XOAUTH2", "GSSAPI"], true).unwrap_err();
        assert!(error.contains("PLAIN, LOGIN") && error.ends_with("it offers: XOAUTH2, GSSAPI"), "{error}");
        assert!(choose(&only("GSSAPI"), &["GSSAPI"], true).unwrap_err().contains("not supported"));
        assert!(choose(&AuthChoice::Auto, &[], true).unwrap_err().contains("no login"));
        assert!(choose(&AuthChoice::Auto, &["PLAIN"], false).unwrap_err().contains("without TLS"));
    }

    #[test]
    fn challenges() {
        assert_eq!(decode("VXNlcm5hbWU6").unwrap(), b"Username:");
        assert_eq!(decode("").unwrap(), b"");
        assert_eq!(decode("=").unwrap(), b"");
        assert!(decode("no base64!").is_none());
    }
}
