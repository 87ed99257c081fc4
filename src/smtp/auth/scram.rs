//! AUTH SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677), each also as -PLUS: bound to the TLS channel (RFC 9266 and RFC
//! 5929).
//!
//! The password never crosses the wire, and the server proves that it knows it too: a 235 without that proof is refused.

use super::hmac::hmac;
use super::{AuthPayload, Binding, Credentials, Exchange, names, refusal_text};
use crate::sys::random;
use openssl::hash::MessageDigest;
use zeroize::Zeroizing;

/// The fewest rounds a server may ask for (RFC 7677 section 4): with fewer, a false server could try passwords cheaply.
const FEWEST: usize = 4096;
/// The most rounds: about a second of work, so that no server can hold the client busy.
const MOST: usize = 2_000_000;
/// The most octets of a server's message, and so of nonce and salt.
const LONGEST: usize = 4096;

/// The digest, and whether the run is bound to the channel.
#[derive(Clone, Copy)]
struct Kind {
    digest: fn() -> MessageDigest,
    plus: bool,
}

/// Begins a run of SCRAM-SHA-1.
///
/// # Errors
/// Login or password hold what SASLprep forbids, or there is no random source.
pub fn sha1(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    begin(Kind { digest: MessageDigest::sha1, plus: false }, credentials)
}

/// Begins a run of SCRAM-SHA-1-PLUS.
///
/// # Errors
/// As `sha1`; and where there is no channel binding.
pub fn sha1_plus(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    begin(Kind { digest: MessageDigest::sha1, plus: true }, credentials)
}

/// Begins a run of SCRAM-SHA-256.
///
/// # Errors
/// As `sha1`.
pub fn sha256(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    begin(Kind { digest: MessageDigest::sha256, plus: false }, credentials)
}

/// Begins a run of SCRAM-SHA-256-PLUS.
///
/// # Errors
/// As `sha1_plus`.
pub fn sha256_plus(credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    begin(Kind { digest: MessageDigest::sha256, plus: true }, credentials)
}

fn begin(kind: Kind, credentials: Credentials<'_>) -> Result<Box<dyn Exchange + '_>, String> {
    let nonce = random::nonce().map_err(|_| "there are no random numbers on this host")?;
    Ok(Box::new(Scram::new(kind, credentials, nonce)?))
}

enum State {
    /// Nothing came from the server yet.
    Begun,
    /// The proof is out; what the server must prove.
    Proven(Zeroizing<Vec<u8>>),
    /// The server proved it.
    Done,
}

struct Scram<'c> {
    digest: MessageDigest,
    credentials: Credentials<'c>,
    /// GS2 header: whether and how the channel is bound.
    gs2: String,
    /// GS2 header and channel binding data, as the last message repeats them.
    bound: Vec<u8>,
    /// client-first-message-bare.
    first: String,
    nonce: String,
    state: State,
    refusal: Option<String>,
}

impl<'c> Scram<'c> {
    fn new(kind: Kind, credentials: Credentials<'c>, nonce: String) -> Result<Self, String> {
        let user = names::prepared(credentials.user, "login")?;
        let (gs2, data): (_, &[u8]) = match (kind.plus, credentials.binding) {
            (true, Binding::Offered([one, ..])) => (format!("p={},,", one.kind), &one.data),
            (true, _) => return Err("this login method needs TLS with a channel binding".into()),
            // The server offers no -PLUS: it refuses if that list was tampered with.
            (false, Binding::NotOffered) => ("y,,".into(), b""),
            (false, _) => ("n,,".into(), b""),
        };
        let bound = [gs2.as_bytes(), data].concat();
        let first = format!("n={},r={nonce}", names::escaped(&user));
        let digest = (kind.digest)();
        Ok(Self { digest, credentials, gs2, bound, first, nonce, state: State::Begun, refusal: None })
    }

    /// The answer to the server's first message: the proof, and what the server has to prove then.
    fn prove(&mut self, server_first: &str) -> Result<AuthPayload, String> {
        let Challenge { nonce, salt, rounds } = Challenge::parse(server_first)?;
        if !(nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce)) {
            return Err("the server's nonce does not go on from ours".into());
        }
        let password = names::prepared(self.credentials.secret.expose(), "password")?;
        let mut salted = Zeroizing::new(vec![0; self.digest.size()]);
        openssl::pkcs5::pbkdf2_hmac(password.as_bytes(), &salt, rounds, self.digest, &mut salted)
            .map_err(|_| "OpenSSL cannot derive the key of this login")?;
        let last = format!("c={},r={nonce}", openssl::base64::encode_block(&self.bound));
        let all = format!("{},{server_first},{last}", self.first);
        let client_key = hmac(self.digest, &salted, b"Client Key")?;
        let stored = openssl::hash::hash(self.digest, &client_key).map_err(|_| "OpenSSL cannot make the digest")?;
        let signature = hmac(self.digest, &stored, all.as_bytes())?;
        let proof: Zeroizing<Vec<u8>> =
            Zeroizing::new(client_key.iter().zip(signature.iter()).map(|(key, sign)| key ^ sign).collect());
        let server_key = hmac(self.digest, &salted, b"Server Key")?;
        self.state = State::Proven(hmac(self.digest, &server_key, all.as_bytes())?);
        let proof = Zeroizing::new(openssl::base64::encode_block(&proof));
        let message = Zeroizing::new([last.as_str(), ",p=", &proof].concat());
        Ok(AuthPayload::new(message.as_bytes()))
    }

    /// Keeps why the server refuses; the answer to that is empty.
    fn refused(&mut self, error: &str) -> Result<AuthPayload, String> {
        let why = error.split(',').next().and_then(|value| value.strip_prefix("e=")).unwrap_or_default();
        self.refusal = Some(refusal_text(why.as_bytes()));
        Ok(AuthPayload::new(b""))
    }

    /// The server's last message: its proof, or why it refuses. The answer to it is empty.
    fn verify(&mut self, server_final: &str, wanted: &[u8]) -> Result<AuthPayload, String> {
        if server_final.starts_with("e=") {
            return self.refused(server_final);
        }
        let value = server_final.split(',').next().unwrap_or_default();
        let shown = value.strip_prefix("v=").and_then(|text| openssl::base64::decode_block(text).ok());
        match shown {
            Some(shown) if shown.len() == wanted.len() && openssl::memcmp::eq(&shown, wanted) => {
                self.state = State::Done;
                Ok(AuthPayload::new(b""))
            }
            Some(_) => Err("the server's proof is wrong: it does not know the password, and may be another".into()),
            None => Err("the server's last message in the login makes no sense".into()),
        }
    }
}

impl Exchange for Scram<'_> {
    fn initial(&mut self) -> Option<AuthPayload> {
        Some(AuthPayload::new([self.gs2.as_str(), &self.first].concat().as_bytes()))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<AuthPayload, String> {
        if challenge.is_empty() && matches!(self.state, State::Begun) {
            return self.initial().ok_or_else(String::new);
        }
        let text = std::str::from_utf8(challenge).ok().filter(|text| text.len() <= LONGEST);
        let text = text.ok_or("the server's challenge makes no sense")?;
        match std::mem::replace(&mut self.state, State::Begun) {
            _ if self.refusal.is_some() => Err("the server asks again after it refused the login".into()),
            // Some servers say at once what RFC 5802 has them say at the end.
            State::Begun if text.starts_with("e=") => self.refused(text),
            State::Begun => self.prove(text),
            State::Proven(wanted) => self.verify(text, &wanted),
            State::Done => Err("the server asks again after the login was done".into()),
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        match self.state {
            State::Done => Ok(()),
            _ => Err("the server took the login without proving that it knows the password".into()),
        }
    }

    fn explanation(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}

/// server-first-message (RFC 5802 section 7).
struct Challenge<'t> {
    nonce: &'t str,
    salt: Vec<u8>,
    rounds: usize,
}

impl<'t> Challenge<'t> {
    fn parse(text: &'t str) -> Result<Self, String> {
        if text.starts_with("m=") {
            return Err("the server wants an extension of the login that is not known".into());
        }
        let mut parts = text.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name));
        let (nonce, salt, rounds) = (part("r="), part("s="), part("i="));
        let salt = salt.and_then(|salt| openssl::base64::decode_block(salt).ok()).filter(|salt| !salt.is_empty());
        let rounds = rounds.and_then(|rounds| rounds.parse().ok());
        match (nonce, salt, rounds) {
            (Some(_), Some(_), Some(rounds)) if !(FEWEST..=MOST).contains(&rounds) => {
                Err(format!("the server asks for {rounds} rounds of hashing; {FEWEST} to {MOST} are safe"))
            }
            (Some(nonce), Some(salt), Some(rounds)) => Ok(Self { nonce, salt, rounds }),
            _ => Err("the server's challenge makes no sense".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::binding::ChannelBinding;
    use crate::secret::Secret;
    use proptest::prelude::*;

    const SHA1: Kind = Kind { digest: MessageDigest::sha1, plus: false };
    const SHA256: Kind = Kind { digest: MessageDigest::sha256, plus: false };
    const RFC_5802: (&str, &str) =
        ("fyko+d2lbbFgONRv9qkxdawL", "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096");

    fn text(payload: &AuthPayload) -> String {
        String::from_utf8(openssl::base64::decode_block(payload.expose()).unwrap()).unwrap()
    }

    #[test]
    fn example_of_rfc_5802() {
        let secret = Secret::new("pencil".into());
        let mut run = Scram::new(SHA1, Credentials::new("user", &secret), RFC_5802.0.into()).unwrap();
        assert_eq!(text(&run.initial().unwrap()), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
        assert_eq!(
            text(&run.respond(RFC_5802.1.as_bytes()).unwrap()),
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
        );
        assert!(run.finish().is_err(), "235 before the server's proof");
        assert_eq!(run.respond(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").unwrap().expose(), "");
        assert!(run.finish().is_ok());
        assert!(run.respond(b"v=x").is_err());
    }

    #[test]
    fn example_of_rfc_7677() {
        let secret = Secret::new("pencil".into());
        let mut run = Scram::new(SHA256, Credentials::new("user", &secret), "rOprNGfwEbeRWgbNEkqO".into()).unwrap();
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(
            text(&run.respond(first.as_bytes()).unwrap()),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        run.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
        assert!(run.finish().is_ok());
    }

    #[test]
    fn channel_binding() {
        let secret = Secret::new("pencil".into());
        let bound = |binding| Credentials { binding, ..Credentials::new("user", &secret) };
        let plus = Kind { plus: true, ..SHA256 };
        let both = [("tls-exporter", vec![3]), ("tls-server-end-point", vec![1, 2])]
            .map(|(kind, data)| ChannelBinding { kind, data });
        let ways = bound(Binding::Offered(&both)).ways(&super::super::MECHANISMS[0]);
        assert_eq!(ways.len(), 2);
        for (way, ChannelBinding { kind, data }) in ways.into_iter().zip(&both) {
            let mut run = Scram::new(plus, way, RFC_5802.0.into()).unwrap();
            assert!(text(&run.initial().unwrap()).starts_with(&format!("p={kind},,n=user")));
            let last = text(&run.respond(RFC_5802.1.as_bytes()).unwrap());
            let wanted = openssl::base64::encode_block(&[b"p=", kind.as_bytes(), b",,", data].concat());
            assert!(last.starts_with(&format!("c={wanted},")), "{last}");
        }
        assert!(Scram::new(plus, bound(Binding::NotOffered), "x".into()).is_err());
        let mut run = Scram::new(SHA256, bound(Binding::NotOffered), "x".into()).unwrap();
        assert!(text(&run.initial().unwrap()).starts_with("y,,"));
        let mut run = Scram::new(SHA256, bound(Binding::Offered(&both)), "x".into()).unwrap();
        assert!(text(&run.initial().unwrap()).starts_with("n,,"), "y would be taken for an attack");
    }

    #[test]
    fn servers_that_are_not_to_be_trusted() {
        let secret = Secret::new("pencil".into());
        let run = || Scram::new(SHA1, Credentials::new("user", &secret), RFC_5802.0.into()).unwrap();
        for bad in [
            "",
            "r=other,s=QSXCR+Q6sek8bf92,i=4096",
            "r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",
            "r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=1",
            "r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=99999999999",
            "r=fyko+d2lbbFgONRv9qkxdawLx,s=,i=4096",
            "r=fyko+d2lbbFgONRv9qkxdawLx,i=4096",
            "m=x,r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4096",
        ] {
            let mut run = run();
            assert!(bad.is_empty() || run.respond(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in ["v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "v=", "x"] {
            let mut run = run();
            run.respond(RFC_5802.1.as_bytes()).unwrap();
            assert!(run.respond(bad.as_bytes()).is_err() && run.finish().is_err());
        }
        let mut refused = run();
        refused.respond(RFC_5802.1.as_bytes()).unwrap();
        refused.respond(b"e=invalid-proof").unwrap();
        assert_eq!(refused.explanation(), Some("invalid-proof"));
        assert!(refused.finish().is_err());
    }

    proptest! {
        #[test]
        fn no_challenge_panics(text in "\\PC{0,60}|[rsi=,0-9a-zA-Z+/]{0,60}", prefix in prop::bool::ANY) {
            let secret = Secret::new("pencil".into());
            let mut run = Scram::new(SHA1, Credentials::new("ü", &secret), "n".into()).unwrap();
            let text = if prefix { format!("r=nx{text}") } else { text };
            let _ = run.respond(text.as_bytes());
            let _ = run.respond(text.as_bytes());
            prop_assert!(run.finish().is_err());
        }
    }
}
