//! A message and its addresses made fit for what the server offers, before MAIL: 8-bit text re-encoded (RFC 6152),
//! internationalised domains in their ASCII form (RFC 5891), and refused what cannot be carried. Values only.

use super::{Cause, Failure, Session};
use crate::envelope::ReversePath;
use crate::message::Message;
use crate::message::address::Address;
use crate::message::reencode::{self, Why};
use crate::message::reencode_error::ReencodeError;
use crate::net::deadline::Timed;
use crate::smtp::dialogue::Event;
use crate::smtp::phase::Phase;
use std::borrow::Cow;

/// An address as it goes between the angle brackets of MAIL and RCPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// Only a local part beyond ASCII needs SMTPUTF8 (`utf8`: the server offers it); a domain has an ASCII form.
    ///
    /// # Errors
    /// Why the address cannot be said to this server; it names the address.
    pub fn of(address: &Address, utf8: bool) -> Result<Self, Failure> {
        let fault = |why: &str| Failure::new(Phase::Rcpt, Cause::Unsendable(format!("the address {address} {why}")));
        match (address.local().is_ascii(), address.domain().is_ascii()) {
            (true, true) => Ok(Self(address.as_str().into())),
            (true, false) => match idna::domain_to_ascii(address.domain()) {
                Ok(domain) if !domain.is_empty() && domain.len() <= 255 => {
                    Ok(Self(format!("{}@{domain}", address.local())))
                }
                _ => Err(fault("has a domain that is no internationalised domain name")),
            },
            (false, _) if utf8 => Ok(Self(address.as_str().into())),
            (false, _) => Err(fault("is not ASCII before the @, and the server does not offer SMTPUTF8")),
        }
    }

    /// The path of MAIL; empty for the null path.
    ///
    /// # Errors
    /// As `of`, in the phase of MAIL.
    pub fn of_sender(from: &ReversePath, utf8: bool) -> Result<Self, Failure> {
        let path = from.address().map_or(Ok(Self(String::new())), |address| Self::of(address, utf8));
        path.map_err(|failure| Failure { phase: Phase::Mail, ..failure })
    }

    /// As it stands between the brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain, in lower case.
    #[must_use]
    pub fn domain(&self) -> String {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain).to_lowercase()
    }
}

impl<W: Timed> Session<'_, W> {
    /// The message as this server can take it.
    ///
    /// # Errors
    /// It is too big, or cannot become 7-bit without breaking a signature.
    pub(super) fn adapted<'m>(&mut self, message: &'m Message) -> Result<Cow<'m, Message>, Failure> {
        let message = match message.needs_8bit() && !self.capabilities.eight_bit {
            true => Cow::Owned(self.seven_bit(message)?),
            false => Cow::Borrowed(message),
        };
        match self.capabilities.size_limit {
            Some(limit) if message.wire_size() > limit => {
                let what = format!(
                    "the message has {} octets, and the server takes no more than {limit}",
                    message.wire_size()
                );
                Err(Failure::new(Phase::Mail, Cause::Unsendable(what)))
            }
            _ => Ok(message),
        }
    }

    fn seven_bit(&mut self, message: &Message) -> Result<Message, Failure> {
        let note = "the server does not offer 8BITMIME: 8-bit parts go as quoted-printable or base64";
        self.transcript.event(&Event::Note(note));
        reencode::reencode(message, Why::EightBit).map_err(|error| {
            let cause = match &error {
                ReencodeError::Io(_) => Cause::Source(error.to_string()),
                _ => Cause::Unsendable(format!("the server does not offer 8BITMIME: {error}")),
            };
            Failure::new(Phase::Mail, cause)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let path = |text: &str, utf8| Path::of(&Address::parse(text).unwrap(), utf8).map(|path| path.0);
        assert_eq!(path("a@b.test", false).unwrap(), "a@b.test");
        assert_eq!(path("a@bücher.example", false).unwrap(), "a@xn--bcher-kva.example");
        assert_eq!(path("a@bücher.example", true).unwrap(), "a@xn--bcher-kva.example");
        assert_eq!(path("ü@bücher.example", true).unwrap(), "ü@bücher.example");
        let Err(Failure { cause: Cause::Unsendable(why), .. }) = path("ü@b.test", false) else { panic!() };
        assert!(why.contains("ü@b.test") && why.contains("SMTPUTF8"), "{why}");
        assert_eq!(Path::of_sender(&ReversePath::Null, false).unwrap().as_str(), "");
        assert_eq!(Path("\"a@b\"@C.test".into()).domain(), "c.test");
    }
}
