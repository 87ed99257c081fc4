//! The body of a message in the form in which it goes over the wire, and what is known about it.
//!
//! Every line end is made CRLF while the body is taken in, so that no bare CR or LF can ever reach a server (RFC 5321
//! section 2.3.8); nothing else is changed, and dots are not stuffed. It lives in a `Spool`: memory does not grow with it.

use super::Message;
use super::header::Field;
use crate::sys::spool::{self, Spool};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// How much is collected before it goes to the spool.
const BLOCK: usize = 64 * 1024;

/// A message's body; a clone shares the octets.
#[derive(Clone, Debug, Default)]
pub struct Body {
    spool: Arc<Spool>,
    longest: u64,
    has_8bit: bool,
}

impl Body {
    /// Octets on the wire.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.spool.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spool.is_empty()
    }

    /// Whether an octet outside US-ASCII is in it (RFC 6152).
    #[must_use]
    pub fn has_8bit(&self) -> bool {
        self.has_8bit
    }

    /// Octets of its longest line without the line end; more than 998 no server need take (RFC 5321 section 4.5.3.1.6).
    #[must_use]
    pub fn longest_line(&self) -> u64 {
        self.longest
    }

    /// The body as it goes over the wire.
    #[must_use]
    pub fn reader(&self) -> spool::Reader<'_> {
        self.spool.reader(0)
    }
}

/// Takes a body in: LF, CRLF and bare CR become CRLF, and the last line gets one if it has none.
#[derive(Debug, Default)]
pub(super) struct BodyWriter {
    spool: Spool,
    block: Vec<u8>,
    /// Octets of the line so far.
    line: u64,
    longest: u64,
    has_8bit: bool,
    /// The last octet was a CR: an LF after it belongs to it.
    after_cr: bool,
}

impl BodyWriter {
    /// Appends octets with line ends of any kind.
    ///
    /// # Errors
    /// Where the spool cannot be written.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.has_8bit |= !data.is_ascii();
        let mut from = 0;
        for at in memchr::memchr2_iter(b'\r', b'\n', data) {
            if !(data[at] == b'\n' && self.after_cr && at == from) {
                self.text(&data[from..at])?;
                self.end_line();
            }
            self.after_cr = data[at] == b'\r';
            from = at + 1;
        }
        if from < data.len() {
            self.after_cr = false;
            self.text(&data[from..])?;
        }
        Ok(())
    }

    /// The body, complete.
    ///
    /// # Errors
    /// Where the spool cannot be written.
    pub(super) fn finish(mut self) -> io::Result<Body> {
        if self.line > 0 {
            self.end_line();
        }
        self.spool.write_all(&self.block)?;
        Ok(Body { spool: Arc::new(self.spool), longest: self.longest, has_8bit: self.has_8bit })
    }

    fn text(&mut self, text: &[u8]) -> io::Result<()> {
        if self.block.len() + text.len() > BLOCK {
            self.spool.write_all(&self.block)?;
            self.block.clear();
        }
        self.block.extend_from_slice(text);
        self.line += text.len() as u64;
        Ok(())
    }

    fn end_line(&mut self) {
        self.block.extend_from_slice(b"\r\n");
        self.longest = self.longest.max(self.line);
        self.line = 0;
    }
}

/// A whole message as it goes over the wire: header, empty line, body. Yields exactly `Message::wire_size` octets.
#[derive(Debug)]
pub struct WireReader<'m> {
    /// What of the current piece is still to go.
    pending: &'m [u8],
    fields: std::slice::Iter<'m, Field>,
    in_field: bool,
    separated: bool,
    body: spool::Reader<'m>,
}

impl<'m> WireReader<'m> {
    pub(super) fn new(message: &'m Message) -> Self {
        let fields = message.header.fields().iter();
        Self { pending: &[], fields, in_field: false, separated: false, body: message.body.reader() }
    }

    /// The next piece of the header block; `None` once the empty line is out.
    fn next_piece(&mut self) -> Option<&'m [u8]> {
        if self.in_field {
            self.in_field = false;
            return Some(b"\r\n");
        }
        if let Some(field) = self.fields.next() {
            self.in_field = true;
            return Some(field.raw());
        }
        (!std::mem::replace(&mut self.separated, true)).then_some(b"\r\n")
    }
}

impl Read for WireReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.pending.is_empty() {
                match self.next_piece() {
                    Some(piece) => self.pending = piece,
                    None => return Ok(filled + self.body.read(&mut buffer[filled..])?),
                }
            }
            let count = self.pending.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&self.pending[..count]);
            self.pending = &self.pending[count..];
            filled += count;
        }
        Ok(filled)
    }
}
