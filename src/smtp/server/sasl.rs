//! AUTH on the server's side: the exchanges of PLAIN (RFC 4616) and LOGIN, as far as the client's name and password.
//!
//! Whether they are good is the host's to say. What was decoded is wiped when it is dropped.

use crate::secret::Secret;
use zeroize::Zeroizing;

/// What a client logs in with.
pub struct Credentials {
    /// The mechanism: `PLAIN` or `LOGIN`.
    pub mechanism: &'static str,
    /// The login name; never empty.
    pub user: String,
    /// The identity to act as (PLAIN's authorization identity), where the client named one.
    pub act_as: Option<String>,
    /// The password.
    pub password: Secret,
}

impl Credentials {
    /// Whether name and password are these, compared in constant time, and no other identity is asked for.
    #[must_use]
    pub fn are(&self, user: &str, password: &Secret) -> bool {
        let (given, wanted) = (self.password.expose().as_bytes(), password.expose().as_bytes());
        let same = given.len() == wanted.len() && openssl::memcmp::eq(given, wanted);
        same && self.user == user && self.act_as.as_deref().is_none_or(|identity| identity == user)
    }
}

impl std::fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} login of {:?} as {:?}", self.mechanism, self.user, self.act_as)
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.mechanism == other.mechanism && self.act_as == other.act_as && self.are(&other.user, &other.password)
    }
}

impl Eq for Credentials {}

/// An AUTH exchange that waits for the client's next line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    Plain,
    LoginUser,
    LoginPassword { user: String },
}

/// What comes next in an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send 334 with this (already encoded) challenge.
    Challenge(&'static str, Exchange),
    /// The client has said all.
    Complete(Credentials),
    /// The client cancelled with `*`.
    Cancelled,
    /// No base64, no UTF-8, or not what the mechanism says.
    Malformed,
    /// No such mechanism.
    Unknown,
}

impl Exchange {
    /// Begins with the arguments of AUTH: mechanism and, where given, the initial response (`=` is an empty one).
    pub(super) fn begin(mechanism: &str, initial: Option<&str>) -> Step {
        let (first, challenge) = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => (Self::Plain, ""),
            "LOGIN" => (Self::LoginUser, "VXNlcm5hbWU6"),
            _ => return Step::Unknown,
        };
        match initial {
            None => Step::Challenge(challenge, first),
            Some("=") => first.decoded(""),
            Some(response) => first.answer(response.as_bytes()),
        }
    }

    /// Goes on with a line of the client.
    pub(super) fn answer(self, line: &[u8]) -> Step {
        if line == b"*" {
            return Step::Cancelled;
        }
        let Ok(text) = std::str::from_utf8(line) else { return Step::Malformed };
        // The library skips white space; the protocol has none here.
        if text.contains(char::is_whitespace) {
            return Step::Malformed;
        }
        let Some(octets) = openssl::base64::decode_block(text).ok().map(Zeroizing::new) else { return Step::Malformed };
        std::str::from_utf8(&octets).map_or(Step::Malformed, |text| self.decoded(text))
    }

    fn decoded(self, text: &str) -> Step {
        match self {
            Self::Plain => {
                let mut parts = text.split('\0');
                match (parts.next(), parts.next(), parts.next(), parts.next()) {
                    (Some(act_as), Some(user), Some(password), None) => complete("PLAIN", act_as, user, password),
                    _ => Step::Malformed,
                }
            }
            Self::LoginUser if text.is_empty() => Step::Malformed,
            Self::LoginUser => Step::Challenge("UGFzc3dvcmQ6", Self::LoginPassword { user: text.to_owned() }),
            Self::LoginPassword { user } => complete("LOGIN", "", &user, text),
        }
    }
}

fn complete(mechanism: &'static str, act_as: &str, user: &str, password: &str) -> Step {
    if user.is_empty() || user.chars().chain(act_as.chars()).any(char::is_control) {
        return Step::Malformed;
    }
    Step::Complete(Credentials {
        mechanism,
        user: user.to_owned(),
        act_as: Some(act_as).filter(|identity| !identity.is_empty()).map(str::to_owned),
        password: Secret::new(password.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(mechanism: &'static str, user: &str, act_as: Option<&str>, password: &str) -> Step {
        let (user, password) = (user.to_owned(), Secret::new(password.to_owned()));
        Step::Complete(Credentials { mechanism, user, act_as: act_as.map(str::to_owned), password })
    }

    #[test]
    fn plain_of_rfc_4616_and_login() {
        let initial = openssl::base64::encode_block(b"\0tim\0tanstaaftanstaaf");
        assert_eq!(Exchange::begin("plain", Some(&initial)), credentials("PLAIN", "tim", None, "tanstaaftanstaaf"));
        let step = Exchange::begin("LOGIN", None);
        assert_eq!(step, Step::Challenge("VXNlcm5hbWU6", Exchange::LoginUser));
        let step = Exchange::LoginUser.answer(b"dGlt");
        assert_eq!(step, Step::Challenge("UGFzc3dvcmQ6", Exchange::LoginPassword { user: "tim".into() }));
        let step = Exchange::LoginPassword { user: "tim".into() }.answer(b"");
        assert_eq!(step, credentials("LOGIN", "tim", None, ""));
    }

    #[test]
    fn cancelled_and_malformed() {
        assert_eq!(Exchange::Plain.answer(b"*"), Step::Cancelled);
        for bad in [&b"!!"[..], b"dG lt", b"dGlt", b"AAAA", b"\xff\xfe", b"AGE=", b"="] {
            assert_eq!(Exchange::Plain.answer(bad), Step::Malformed, "{bad:?}");
        }
        assert_eq!(Exchange::begin("PLAIN", Some("=")), Step::Malformed);
        assert_eq!(Exchange::begin("CRAM-MD5", None), Step::Unknown);
    }

    #[test]
    fn no_password_in_debug_and_no_acting_as_others() {
        let Step::Complete(login) = credentials("PLAIN", "tim", Some("eve"), "hidden") else { panic!("complete") };
        assert!(!format!("{login:?}").contains("hidden"));
        assert!(!login.are("tim", &Secret::new("hidden".into())));
    }
}
