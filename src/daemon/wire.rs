//! The protocol's frames on any stream: lengths checked before anything is read, memory grown only as octets arrive.
//!
//! It knows no sockets and no time limits; whoever owns the stream sets those.

use super::protocol::{MAGIC, PIECE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io::{self, Read, Write};

/// What is wrong with what came, or with the stream.
#[derive(Debug)]
pub enum WireError {
    /// The stream failed, ended in the middle, or was too slow.
    Io(io::Error),
    /// The message's own text could not be read while it was sent.
    Text(io::Error),
    /// The other side does not speak this protocol.
    Magic,
    /// A frame longer than allowed: its octets, and the most there may be.
    TooLong(u64, u32),
    /// A frame that is not what was expected: why.
    Content(String),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the connection was closed in the middle")
            }
            Self::Io(error) if error.kind() == io::ErrorKind::TimedOut => f.write_str("no answer in time"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Text(error) => write!(f, "the message cannot be read back: {error}"),
            Self::Magic => f.write_str("the other side does not speak version 1 of this protocol"),
            Self::TooLong(octets, most) => write!(f, "{octets} octets at once, more than {most}"),
            Self::Content(why) => write!(f, "not understood: {why}"),
        }
    }
}

impl std::error::Error for WireError {}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the first octets of a connection.
///
/// # Errors
/// Where they are others, or do not come.
pub fn read_magic(input: &mut impl Read) -> Result<(), WireError> {
    let mut first = [0; MAGIC.len()];
    input.read_exact(&mut first)?;
    if &first == MAGIC { Ok(()) } else { Err(WireError::Magic) }
}

/// Reads a frame's length, at most `most`.
///
/// # Errors
/// Where it is larger, or does not come.
pub fn read_length(input: &mut impl Read, most: u32) -> Result<u32, WireError> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > most { Err(WireError::TooLong(length.into(), most)) } else { Ok(length) }
}

/// Reads a frame's octets into `frame`, which is emptied first. Grows as they come, not as they were announced.
///
/// # Errors
/// Where they do not come.
pub fn read_octets(input: &mut impl Read, length: u32, frame: &mut Vec<u8>) -> Result<(), WireError> {
    frame.clear();
    let count = input.take(length.into()).read_to_end(frame)?;
    if count < length as usize { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) } else { Ok(()) }
}

/// Takes a frame's octets as a value.
///
/// # Errors
/// Where they are none.
pub fn value<T: DeserializeOwned>(frame: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(frame).map_err(|error| WireError::Content(error.to_string()))
}

/// Reads a frame with a value.
///
/// # Errors
/// Where it is longer than `most`, no such value, or does not come.
pub fn read_value<T: DeserializeOwned>(input: &mut impl Read, most: u32) -> Result<T, WireError> {
    let length = read_length(input, most)?;
    let mut frame = Vec::new();
    read_octets(input, length, &mut frame)?;
    value(&frame)
}

/// Writes a frame with a value.
///
/// # Errors
/// Where it would be longer than `most` (nothing is written then), or the stream fails.
pub fn write_value(out: &mut impl Write, value: &impl Serialize, most: u32) -> Result<(), WireError> {
    let frame = serde_json::to_vec(value).map_err(|error| WireError::Content(error.to_string()))?;
    match u32::try_from(frame.len()) {
        Ok(length) if length <= most => out.write_all(&length.to_be_bytes())?,
        _ => return Err(WireError::TooLong(frame.len() as u64, most)),
    }
    Ok(out.write_all(&frame)?)
}

/// Writes a message in pieces, without its END.
///
/// # Errors
/// Where the stream fails, or `text` cannot be read.
pub fn write_text(out: &mut impl Write, text: &mut impl Read) -> Result<(), WireError> {
    let mut piece = vec![0; PIECE as usize];
    loop {
        let mut filled = 0;
        while filled < piece.len() {
            match text.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(WireError::Text(error)),
            }
        }
        if filled == 0 {
            return Ok(());
        }
        out.write_all(&(filled as u32).to_be_bytes())?;
        out.write_all(&piece[..filled])?;
    }
}

/// Writes the END, which makes the message whole.
///
/// # Errors
/// Where the stream fails: then it may have arrived or not.
pub fn write_end(out: &mut impl Write) -> Result<(), WireError> {
    out.write_all(&0u32.to_be_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{REQUEST, Request};
    use super::*;
    use crate::queue::Filter;
    use proptest::prelude::*;

    #[test]
    fn values_and_texts_come_back() {
        let request = Request::List { filter: Filter { held: Some(true), ..Filter::default() }, limit: 7 };
        let text: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let mut sent = MAGIC.to_vec();
        write_value(&mut sent, &request, REQUEST).unwrap();
        write_text(&mut sent, &mut text.as_slice()).unwrap();
        write_end(&mut sent).unwrap();
        let mut input = sent.as_slice();
        read_magic(&mut input).unwrap();
        assert_eq!(read_value::<Request>(&mut input, REQUEST).unwrap(), request);
        let (mut frame, mut back) = (Vec::new(), Vec::new());
        loop {
            let length = read_length(&mut input, PIECE).unwrap();
            if length == 0 {
                break;
            }
            read_octets(&mut input, length, &mut frame).unwrap();
            back.extend_from_slice(&frame);
        }
        assert!(back == text && input.is_empty());
    }

    #[test]
    fn an_announced_length_costs_nothing() {
        let mut frame = Vec::new();
        let announced = 64 << 20;
        let mut input: &[u8] = &u32::to_be_bytes(announced);
        assert!(matches!(read_length(&mut input, REQUEST), Err(WireError::TooLong(..))));
        assert!(read_octets(&mut b"only this".as_slice(), announced, &mut frame).is_err());
        assert!(frame.capacity() < 1 << 16, "{}", frame.capacity());
        let long = Request::Bounce { filter: Filter { sender: Some("x".repeat(100)), ..Filter::default() } };
        let mut out = Vec::new();
        assert!(matches!(write_value(&mut out, &long, 10), Err(WireError::TooLong(..))) && out.is_empty());
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_never_a_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut input = octets.as_slice();
            let _ = read_magic(&mut input);
            let _ = read_value::<Request>(&mut input, REQUEST);
            let _ = value::<Request>(&octets);
        }
    }
}
