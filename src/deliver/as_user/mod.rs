//! A rule's program as another user, without a daemon that is root.
//!
//! ```text
//! serve            has CAP_SETUID and CAP_SETGID for a moment: starts the keeper, then gives them up for good
//!   client         hands the keeper one end of a connection for each program, and speaks with whoever is at the other
//! keeper           has the two capabilities; takes connections and starts a runner on each, and reads nothing of them
//!   runner         one program: looks it up in the configuration, which root alone may change, becomes the user, gives
//!                  every capability up, and runs it
//! ```
//!
//! So whoever takes the daemon over can have those programs run that root has written down, each as its own user, and no
//! other; and of what is said around a program only the facts of a letter, by name. Both are this program, started by the
//! name `NAME`.

pub mod client;
pub mod keeper;
pub mod runner;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// The name that keeper and runner are called by.
pub const NAME: &str = "postrider-as-user";
/// The most octets of a request or an answer.
const MOST: u32 = 512 << 10;

/// The variables that a daemon may set around a program; all others come from the runner.
pub const FACTS: [&str; 9] =
    ["SENDER", "RECIPIENT", "LOCAL", "DOMAIN", "EXTENSION", "CLIENT_ADDRESS", "QUEUE_ID", "RULE", "SIZE"];

/// What a program is to be run for. The message follows, up to the end of the stream.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    /// The rule's name.
    rule: String,
    /// Its `user`.
    user: String,
    /// Its `pipe`.
    argv: Vec<String>,
    /// Variables, each one of `FACTS`.
    facts: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// It ran.
    Ended {
        /// Its exit status; 128 and the signal's number where a signal ended it.
        status: i32,
        /// The end of what it printed.
        stdout: Vec<u8>,
        /// The same of its errors.
        stderr: Vec<u8>,
    },
    /// It was not run, or not to its end: why.
    Not(String),
}

/// Writes one of them.
fn put(output: &mut impl Write, frame: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(frame)?;
    let length = u32::try_from(text.len()).ok().filter(|length| *length <= MOST);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "more than may be said at once"))?;
    output.write_all(&length.to_be_bytes())?;
    output.write_all(&text)
}

/// Reads one of them; memory grows as octets come.
fn take<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more than may be said at once"));
    }
    let mut text = Vec::new();
    input.take(length.into()).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_arrives_and_is_bounded() {
        let facts = vec![("RULE".into(), "r".into())];
        let request = Request { rule: "r".into(), user: "u".into(), argv: vec!["/bin/true".into()], facts };
        let mut wire = Vec::new();
        put(&mut wire, &request).unwrap();
        wire.extend_from_slice(b"text");
        let mut rest = wire.as_slice();
        let read: Request = take(&mut rest).unwrap();
        assert_eq!((read.rule.as_str(), read.argv.len(), rest), ("r", 1, b"text".as_slice()));
        assert!(take::<Request>(&mut &wire[..9]).is_err() && take::<Request>(&mut [255; 9].as_slice()).is_err());
        let long = Request { argv: vec!["x".repeat(600 << 10)], ..request };
        assert!(put(&mut Vec::new(), &long).is_err());
    }
}
