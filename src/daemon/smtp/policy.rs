//! Who may send where: the rules that keep a listener from being an open relay (RFC 5321 section 7.9, RFC 6409).
//!
//! Values only: the client's address and login in, a decision out.

use crate::config::{ListenAuth, Listener, Purpose};
use crate::exit::Status;
use crate::message::address::Address;
use std::net::IpAddr;

/// A refusal as it goes to the client: reply code, enhanced status code (RFC 3463), text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400 to 599.
    pub code: u16,
    /// RFC 3463.
    pub enhanced: (u8, u16, u16),
    /// For people.
    pub text: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<String>) -> Self {
        Self { code, enhanced, text: text.into() }
    }

    /// A status in SMTP's words. What is wrong on our side is told as temporary, so that the client keeps the message.
    #[must_use]
    pub fn of((status, what): (Status, String)) -> Self {
        let (code, enhanced) = match status {
            Status::Usage | Status::Data => (554, (5, 6, 0)),
            Status::NoPerm => (550, (5, 7, 1)),
            Status::NoUser => (550, (5, 1, 1)),
            Status::Config => (451, (4, 3, 5)),
            _ => (451, (4, 3, 0)),
        };
        Self::new(code, enhanced, what)
    }
}

/// Whether a client may begin a message: `None` for a client on a unix socket.
///
/// # Errors
/// 530 where a login would help, 550 where nothing does.
pub fn mail(listener: &Listener, client: Option<IpAddr>, logged_in: bool) -> Result<(), Refusal> {
    let trusted = listener.trusts(client) && listener.auth != ListenAuth::Required;
    match listener.purpose {
        _ if logged_in || trusted => Ok(()),
        Purpose::Incoming => Ok(()),
        Purpose::Submission if listener.auth == ListenAuth::Off => {
            Err(Refusal::new(550, (5, 7, 1), "Sending from your address is not allowed here"))
        }
        Purpose::Submission => Err(Refusal::new(530, (5, 7, 0), "Authentication required")),
    }
}

/// Whether a recipient is taken. Submission takes all: who may submit was asked before. The postmaster of this host and
/// of every domain that mail is taken in for is always there (RFC 5321 section 4.5.1).
///
/// # Errors
/// 550 5.1.1 where the domain is ours and the mailbox is not, 550 5.7.1 for everybody else's domains.
pub fn recipient(listener: &Listener, host: &str, address: &Address) -> Result<(), Refusal> {
    let ours = listener.knows_domain(address) || address.domain().eq_ignore_ascii_case(host);
    let postmaster = ours && address.local().eq_ignore_ascii_case("postmaster");
    match listener.purpose {
        Purpose::Submission => Ok(()),
        Purpose::Incoming if listener.takes(address) || postmaster => Ok(()),
        Purpose::Incoming if ours => Err(Refusal::new(550, (5, 1, 1), format!("No mailbox {address} here"))),
        Purpose::Incoming => Err(Refusal::new(550, (5, 7, 1), format!("Mail for {address} is not taken in here"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn listener(toml: &str) -> Listener {
        parse::listeners(&format!("[[listen]]\naddress = \"0.0.0.0:25\"\n{toml}")).unwrap().remove(0)
    }

    fn code(decision: Result<(), Refusal>) -> (u16, (u8, u16, u16)) {
        decision.map_or_else(|refusal| (refusal.code, refusal.enhanced), |()| (250, (2, 0, 0)))
    }

    const YES: (u16, (u8, u16, u16)) = (250, (2, 0, 0));

    #[test]
    fn nobody_relays_who_is_not_of_here() {
        let open = listener("networks = [\"10.0.0.0/8\", \"2001:db8::/32\"]");
        let from = |listener: &Listener, client: &str| code(mail(listener, Some(client.parse().unwrap()), false));
        for own in ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "::ffff:10.1.2.3", "::ffff:127.0.0.1", "2001:db8::7"] {
            assert_eq!(from(&open, own), YES, "{own}");
        }
        for other in ["11.0.0.1", "192.0.2.1", "2001:db9::1", "::ffff:11.0.0.1", "::", "0.0.0.0"] {
            assert_eq!(from(&open, other), (550, (5, 7, 1)), "{other}");
        }
        assert_eq!(code(mail(&open, None, false)), YES, "a unix socket");
        let optional = Listener { auth: ListenAuth::Optional, ..open.clone() };
        assert_eq!(from(&optional, "192.0.2.1"), (530, (5, 7, 0)));
        assert_eq!(from(&optional, "10.1.1.1"), YES);
        let required = Listener { auth: ListenAuth::Required, ..open };
        for all in ["127.0.0.1", "10.1.1.1", "192.0.2.1"] {
            assert_eq!(from(&required, all), (530, (5, 7, 0)));
            assert_eq!(code(mail(&required, Some(all.parse().unwrap()), true)), YES);
        }
        assert_eq!(code(mail(&required, None, false)), (530, (5, 7, 0)));
    }

    #[test]
    fn only_listed_domains_and_addresses_come_in() {
        let incoming = listener(
            "purpose = \"incoming\"\ndomains = [\"Example.com\"]\naddresses = [\"info@example.net\", \"Sales@example.net\"]",
        );
        let to = |address: &str| code(recipient(&incoming, "mx.example.org", &Address::parse(address).unwrap()));
        for ours in [
            "any@example.com",
            "any@EXAMPLE.COM",
            "info@example.net",
            "sales@EXAMPLE.net",
            "postmaster@example.net",
            "Postmaster@mx.example.org",
        ] {
            assert_eq!(to(ours), YES, "{ours}");
        }
        assert_eq!(to("other@example.net"), (550, (5, 1, 1)));
        assert_eq!(to("root@mx.example.org"), (550, (5, 1, 1)));
        for others in ["a@example.org", "a@sub.example.com", "postmaster@example.org", "\"a@example.com\"@example.org"]
        {
            assert_eq!(to(others), (550, (5, 7, 1)), "{others}");
        }
        assert_eq!(code(mail(&incoming, Some("192.0.2.1".parse().unwrap()), false)), YES);
        let submission = listener("");
        let anybody = Address::parse("a@anywhere.example").unwrap();
        assert_eq!(recipient(&submission, "mx.example.org", &anybody), Ok(()));
    }
}
