//! AUTH (RFC 4954): the one table of mechanisms, and the choice among them. The only place where secrets are in clear.
//!
//! A mechanism is a file with a type that implements `Exchange`, and a row in `MECHANISMS`. What it makes is an
//! `AuthPayload`, which cannot be printed: the session writes it to the server, and `[hidden]` to the transcript.

pub mod cram_md5;
pub mod external;
pub mod hash;
pub mod hidden;
mod hmac;
pub mod login;
mod memory;
mod names;
pub mod oauthbearer;
pub mod plain;
pub mod scram;
pub mod xoauth2;

pub use memory::WorkMemory;

use crate::config::AuthChoice;
use crate::net::binding::ChannelBinding;
use crate::secret::Secret;
use zeroize::Zeroizing;

/// What an account logs in with.
#[derive(Clone, Copy)]
pub struct Credentials<'c> {
    /// The login.
    pub user: &'c str,
    /// Password or token; empty where the mechanism needs none.
    pub secret: &'c Secret,
    /// The server's host and port as configured, for mechanisms that name it.
    pub server: Option<(&'c str, u16)>,
    /// What ties the login to the TLS connection.
    pub binding: Binding<'c>,
}

impl<'c> Credentials<'c> {
    /// The same for each way that a mechanism can use them: one binding at a time, where it binds.
    #[must_use]
    pub fn ways(self, mechanism: &Mechanism) -> Vec<Self> {
        match self.binding {
            Binding::Offered(all) if mechanism.binds => {
                all.chunks(1).map(|one| Self { binding: Binding::Offered(one), ..self }).collect()
            }
            _ => vec![self],
        }
    }

    /// A login and its secret, with no server named and no channel bound.
    #[must_use]
    pub fn new(user: &'c str, secret: &'c Secret) -> Self {
        Self { user, secret, server: None, binding: Binding::None }
    }
}

/// The channel bindings of the connection, and whether the server takes part in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding<'c> {
    /// There is none: no TLS, or none that has a binding.
    None,
    /// There is one, but the server offers no mechanism with it.
    NotOffered,
    /// The server offers mechanisms with a binding, and does not say which: the preferred one first.
    Offered(&'c [ChannelBinding]),
}

/// What a login shows to whoever reads along on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The secret itself: only on a protected connection.
    Secret,
    /// Enough to try passwords at leisure: on an unprotected connection only where the configuration names it.
    Digest,
    /// Nothing of use.
    Nothing,
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
    /// What it gives away on the wire.
    pub shows: Shows,
    /// It is bound to the TLS channel.
    pub binds: bool,
    /// Begins a run.
    pub begin: Begin,
}

impl Mechanism {
    /// Whether it needs a password or token: EXTERNAL has the client's certificate.
    #[must_use]
    pub fn takes_secret(&self) -> bool {
        self.name != "EXTERNAL"
    }
}

/// Begins a run of a mechanism; the error says in words why it cannot.
pub type Begin = for<'c> fn(Credentials<'c>) -> Result<Box<dyn Exchange + 'c>, String>;

const fn row(name: &'static str, auto: bool, shows: Shows, binds: bool, begin: Begin) -> Mechanism {
    Mechanism { name, auto, shows, binds, begin }
}

/// All mechanisms, strongest first. CRAM-MD5 comes after PLAIN: inside TLS it protects nothing, and servers that still
/// name it often cannot check it. Those whose secret is a token or a certificate run only where the configuration names
/// them.
pub static MECHANISMS: [Mechanism; 10] = [
    row("SCRAM-SHA-256-PLUS", true, Shows::Nothing, true, scram::sha256_plus),
    row("SCRAM-SHA-1-PLUS", true, Shows::Nothing, true, scram::sha1_plus),
    row("SCRAM-SHA-256", true, Shows::Nothing, false, scram::sha256),
    row("SCRAM-SHA-1", true, Shows::Nothing, false, scram::sha1),
    row("PLAIN", true, Shows::Secret, false, plain::begin),
    row("CRAM-MD5", true, Shows::Digest, false, cram_md5::begin),
    row("LOGIN", true, Shows::Secret, false, login::begin),
    row("OAUTHBEARER", false, Shows::Secret, false, oauthbearer::begin),
    row("XOAUTH2", false, Shows::Secret, false, xoauth2::begin),
    row("EXTERNAL", false, Shows::Nothing, false, external::begin),
];

impl std::fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The mechanisms to try, in this order; never empty. `protected`: TLS stands, or the configuration allows the password
/// in clear. `bound`: the connection has a channel binding.
///
/// # Errors
/// None fits: why, in words, with what the server offers.
pub fn candidates(
    choice: &AuthChoice,
    offered: &[String],
    protected: bool,
    bound: bool,
) -> Result<Vec<&'static Mechanism>, String> {
    let wanted = |row: &&Mechanism| match choice {
        AuthChoice::Off => false,
        AuthChoice::Auto => row.auto,
        AuthChoice::Only(name) => row.name.eq_ignore_ascii_case(name),
    };
    let known: Vec<&Mechanism> = MECHANISMS.iter().filter(wanted).collect();
    if let (AuthChoice::Only(name), true) = (choice, known.is_empty()) {
        return Err(format!("the login method {} is not supported; these are: {}", word(name), listed(&MECHANISMS)));
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
    let possible: Vec<&Mechanism> = common.into_iter().filter(|row| bound || !row.binds).collect();
    if possible.is_empty() {
        return Err("the login method needs TLS with a channel binding, and this connection has none".into());
    }
    let named = matches!(choice, AuthChoice::Only(_));
    let safe = |row: &&Mechanism| match row.shows {
        Shows::Nothing => true,
        Shows::Digest => protected || named,
        Shows::Secret => protected,
    };
    let safe: Vec<&Mechanism> = possible.into_iter().filter(safe).collect();
    if safe.is_empty() {
        return Err("the login would show the password on a connection without TLS".into());
    }
    Ok(safe)
}

/// Whether a server offers a mechanism that is bound to the channel.
#[must_use]
pub fn offers_binding(offered: &[String]) -> bool {
    offered.iter().any(|name| MECHANISMS.iter().any(|row| row.binds && row.name == name))
}

/// What a server says about a refused token, made fit for one line.
fn refusal_text(challenge: &[u8]) -> String {
    /// Characters.
    const SHOWN: usize = 300;
    let text = String::from_utf8_lossy(challenge);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

fn listed(rows: &[Mechanism]) -> String {
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
        candidates(choice, &offered, protected, false).map(|rows| rows.iter().map(|row| row.name).collect())
    }

    #[test]
    fn choice() {
        let only = |name: &str| AuthChoice::Only(name.into());
        assert_eq!(choose(&AuthChoice::Auto, &["XOAUTH2", "LOGIN", "PLAIN"], true).unwrap(), ["PLAIN", "LOGIN"]);
        assert_eq!(choose(&AuthChoice::Auto, &["LOGIN"], true).unwrap(), ["LOGIN"]);
        assert_eq!(choose(&only("xoauth2"), &["XOAUTH2", "PLAIN"], true).unwrap(), ["XOAUTH2"]);
        let error = choose(&AuthChoice::Auto, &["XOAUTH2", "GSSAPI"], true).unwrap_err();
        assert!(error.contains("PLAIN, CRAM-MD5, LOGIN") && error.ends_with("it offers: XOAUTH2, GSSAPI"), "{error}");
        assert!(choose(&only("GSSAPI"), &["GSSAPI"], true).unwrap_err().contains("not supported"));
        assert!(choose(&AuthChoice::Auto, &[], true).unwrap_err().contains("no login"));
        assert!(choose(&AuthChoice::Auto, &["PLAIN", "CRAM-MD5"], false).unwrap_err().contains("without TLS"));
    }

    #[test]
    fn strongest_first_and_what_needs_no_protection() {
        let all: Vec<String> = MECHANISMS.iter().rev().map(|row| row.name.to_owned()).collect();
        let names = |rows: Vec<&Mechanism>| rows.iter().map(|row| row.name).collect::<Vec<_>>();
        let bound = names(candidates(&AuthChoice::Auto, &all, true, true).unwrap());
        assert_eq!(bound[..4], ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"]);
        assert_eq!(bound[4..], ["PLAIN", "CRAM-MD5", "LOGIN"]);
        let clear = names(candidates(&AuthChoice::Auto, &all, false, false).unwrap());
        assert_eq!(clear, ["SCRAM-SHA-256", "SCRAM-SHA-1"]);
        let only = |name: &str| AuthChoice::Only(name.into());
        assert_eq!(names(candidates(&only("CRAM-MD5"), &all, false, false).unwrap()), ["CRAM-MD5"]);
        assert_eq!(names(candidates(&only("SCRAM-SHA-256"), &all, true, true).unwrap()), ["SCRAM-SHA-256"]);
        let error = candidates(&only("SCRAM-SHA-256-PLUS"), &all, true, false).unwrap_err();
        assert!(error.contains("channel binding"));
        assert!(offers_binding(&all) && !offers_binding(&["SCRAM-SHA-256".into()]));
    }

    #[test]
    fn challenges() {
        assert_eq!(decode("VXNlcm5hbWU6").unwrap(), b"Username:");
        assert_eq!(decode("").unwrap(), b"");
        assert_eq!(decode("=").unwrap(), b"");
        assert!(decode("no base64!").is_none());
    }
}
