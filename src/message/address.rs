//! Addresses and address lists as they stand in headers, arguments and SMTP commands.
//!
//! RFC 5322 section 3.4 (groups, comments, quoted local parts, domain literals, obsolete routes and syntax), RFC 6532
//! (UTF-8), RFC 2047 (names). Bytes and values only. Never opens a file and never asks DNS.

use std::fmt;

/// A mailbox address `local@domain` that is safe to put into an SMTP command: no control character, no line end, at
/// most 64 octets before and 255 after the at sign (RFC 5321 section 4.5.3.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: String,
    at: usize,
}

impl Address {
    /// The part before the at sign, in quotes where it needs them.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The part after the at sign; a domain literal with its brackets.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The whole address, as it goes into a command between `<` and `>`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether SMTPUTF8 is not needed (RFC 6531).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// All in lower case: how senders are matched.
    #[must_use]
    pub fn key(&self) -> String {
        self.text.to_lowercase()
    }

    /// The local part to the letter, the domain in lower case: when two recipients are the same mailbox.
    #[must_use]
    pub fn canonical(&self) -> String {
        format!("{}@{}", self.local(), self.domain().to_lowercase())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// The text, control characters made visible, shortened to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no address: {}", self.text, self.why)
    }
}

impl std::error::Error for AddressError {}

impl Address {
    /// A single address without brackets, name or comment: `local@domain`.
    ///
    /// # Errors
    /// Anything else, control characters among it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let error = |why| AddressError { text: text.escape_debug().take(80).collect(), why };
        let at = text.rfind('@').ok_or(error("it has no @"))?;
        if text.chars().any(char::is_control) {
            return Err(error("it holds a control character"));
        }
        Ok(Self { text: text.to_owned(), at })
    }
}
