//! Why a message cannot be made fit for a server.

use std::fmt;
use std::io;

/// Why the message cannot be changed. All but `Io` are faults of the message.
#[derive(Debug)]
pub enum ReencodeError {
    /// The spool could not be read or written.
    Io(io::Error),
    /// A signature covers what would have to change: DKIM-Signature or multipart/signed.
    Signed(&'static str),
    /// The structure of the message is not clear, or a part may not be encoded: what it is.
    Unparsable(&'static str),
}

impl fmt::Display for ReencodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot re-encode the message: {error}"),
            Self::Signed(what) => write!(
                f,
                "the message has lines over 998 octets or 8-bit text that the server does not take, and cannot be re-encoded without breaking its {what}"
            ),
            Self::Unparsable(what) => write!(
                f,
                "the message has lines over 998 octets or 8-bit text that the server does not take, and cannot be re-encoded: {what}"
            ),
        }
    }
}

impl std::error::Error for ReencodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}
