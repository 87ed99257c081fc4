//! A message as bytes: header block, body, and what is changed in them before they leave.
//!
//! No IO but reading the given input and the spool, no clock, no configuration. RFC 5322, RFC 2045 to 2047, RFC 6532.

pub mod address;
pub mod body;
pub mod bulk;
mod charset;
mod encoded_word;
pub mod header;
mod list;
mod mime;
mod parts;
pub mod read;
pub mod recipients;
pub mod reencode;
pub mod reencode_error;
pub mod rewrite;
mod transfer;

#[cfg(test)]
mod tests;

use body::{Body, WireReader};
use header::Header;
use reencode::Why;
use reencode_error::ReencodeError;

/// A message: its header block and its body. A clone shares the body.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The header block.
    pub header: Header,
    /// The body.
    pub body: Body,
}

impl Message {
    /// The message as it goes over the wire: every line ends in CRLF, no CR or LF stands alone, dots are not stuffed.
    #[must_use]
    pub fn wire(&self) -> WireReader<'_> {
        WireReader::new(self)
    }

    /// How many octets `wire` yields: the SIZE of RFC 1870.
    #[must_use]
    pub fn wire_size(&self) -> u64 {
        self.header.wire_size() + 2 + self.body.len()
    }

    /// Whether the body needs a server with 8BITMIME (RFC 6152).
    #[must_use]
    pub fn needs_8bit(&self) -> bool {
        self.body.has_8bit()
    }

    /// Whether the header block holds text outside US-ASCII; strictly it needs SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn header_needs_utf8(&self) -> bool {
        self.header.has_8bit()
    }

    /// Whether a line of the body is longer than the 998 octets that every server takes.
    #[must_use]
    pub fn has_long_lines(&self) -> bool {
        self.body.longest_line() > header::LINE as u64
    }

    /// The message itself, or where a line of its body is too long, one whose lines are not (quoted-printable).
    ///
    /// # Errors
    /// See `reencode::reencode`.
    pub fn reencoded(&self) -> Result<Self, ReencodeError> {
        if self.has_long_lines() { reencode::reencode(self, Why::LongLines) } else { Ok(self.clone()) }
    }
}

/// A header value as people read it: encoded words decoded (RFC 2047), without control characters.
#[must_use]
pub fn decoded(value: &str) -> String {
    encoded_word::decode(value)
}
