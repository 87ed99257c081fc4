//! Reading a message as a caller pipes it in: header fields cut apart, body spooled, line ends of all kinds taken.
//!
//! RFC 5322 section 2.1, and what programs really write: CRLF headers before an LF body, an mbox line at the top, no
//! header at all, no newline at the end. The one IO it does is on the input and the spool that it is given.

use super::Message;
use super::body::BodyWriter;
use super::header::{Field, Header, name_and_colon};
use crate::exit::Status;
use memchr::memmem;
use std::fmt;
use std::io::{self, Read};

/// Octets asked for at a time.
const BLOCK: usize = 64 * 1024;
/// Largest header block in octets.
const HEADER: usize = 16 << 20;
/// Most header fields.
const FIELDS: usize = 65_536;

/// How the input is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadRules {
    /// A line that holds a lone dot (LF or CRLF after it) ends the input: `sendmail` without `-i`. A line that begins
    /// with two dots is kept as it is.
    pub dot_ends: bool,
}

/// Why the input is no message that can be sent. All but `Io` and `Spool` are faults of the message.
#[derive(Debug)]
pub enum ReadError {
    /// The input could not be read to its end.
    Io(io::Error),
    /// The spool could not be written.
    Spool(io::Error),
    /// A NUL octet (RFC 5321 section 4.5.2 forbids sending one).
    Nul,
    /// The header block is larger than 16 MiB or has more than 65536 fields.
    HeaderTooLarge,
    /// A header line of more than 998 octets that cannot be folded: the name of its field.
    HeaderLine(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read the message: {error}"),
            Self::Spool(error) => write!(f, "cannot keep the message in the temporary directory: {error}"),
            Self::Nul => f.write_str("the message holds a NUL octet, which mail cannot carry"),
            Self::HeaderTooLarge => f.write_str("the message's header is larger than 16 MiB or 65536 fields"),
            Self::HeaderLine(name) => {
                write!(
                    f,
                    "a line of the header field {name} is longer than 998 octets and has no white space to fold it at"
                )
            }
        }
    }
}

impl ReadError {
    /// How a command that meets it ends.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Io(_) | Self::Spool(_) => Status::Io,
            Self::Nul | Self::HeaderTooLarge | Self::HeaderLine(_) => Status::Data,
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) | Self::Spool(error) => Some(error),
            _ => None,
        }
    }
}

/// Reads a message to the end of the input (or to the lone dot).
///
/// # Errors
/// Where the input or the spool fails, and where the message cannot be sent.
pub fn read(input: &mut dyn Read, rules: ReadRules) -> Result<Message, ReadError> {
    let mut source = Source::new(input, rules);
    let mut block = HeaderBlock::default();
    let mut body = BodyWriter::default();
    while !block.done {
        let Some(chunk) = source.next()? else { break };
        let taken = block.take(chunk)?;
        if block.done {
            body.write(&block.line).and_then(|()| body.write(&chunk[taken..])).map_err(ReadError::Spool)?;
        }
    }
    if !block.done {
        block.end_line(false)?;
        body.write(&block.line).map_err(ReadError::Spool)?;
    }
    while let Some(chunk) = source.next()? {
        body.write(chunk).map_err(ReadError::Spool)?;
    }
    let body = body.finish().map_err(ReadError::Spool)?;
    Ok(Message { header: block.finish()?, body })
}

/// The input in chunks: interruptions retried, NUL refused, the lone dot seen.
struct Source<'i> {
    input: &'i mut dyn Read,
    buffer: Vec<u8>,
    /// Octets at the end of the buffer that may be the beginning of a lone dot line.
    held: std::ops::Range<usize>,
    line_start: bool,
    dot_ends: bool,
    ended: bool,
}

impl<'i> Source<'i> {
    fn new(input: &'i mut dyn Read, rules: ReadRules) -> Self {
        Self { input, buffer: vec![0; BLOCK], held: 0..0, line_start: true, dot_ends: rules.dot_ends, ended: false }
    }

    /// The next octets, never none; `None` at the end.
    fn next(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let mut len = 0;
        while len == 0 && !self.ended {
            let held = self.held.len();
            self.buffer.copy_within(self.held.clone(), 0);
            let count = self.fill(held)?;
            let data = &self.buffer[..held + count];
            let (keep, hold) = match self.dot_ends && count > 0 {
                true => find_lone_dot(data, self.line_start),
                false => (data.len(), Dot::None),
            };
            self.ended = count == 0 || matches!(hold, Dot::Found);
            self.held = if matches!(hold, Dot::Maybe) { keep..data.len() } else { 0..0 };
            self.line_start = if keep == 0 { self.line_start } else { data[keep - 1] == b'\n' };
            len = keep;
        }
        let chunk = &self.buffer[..len];
        match memchr::memchr(0, chunk) {
            Some(_) => Err(ReadError::Nul),
            None => Ok((len > 0).then_some(chunk)),
        }
    }

    fn fill(&mut self, from: usize) -> Result<usize, ReadError> {
        loop {
            match self.input.read(&mut self.buffer[from..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(ReadError::Io),
            }
        }
    }
}

/// Whether a chunk holds a lone dot line.
enum Dot {
    None,
    Found,
    /// The chunk ends before that is decided.
    Maybe,
}

/// Where the lone dot line is, or the end of the chunk.
fn find_lone_dot(data: &[u8], line_start: bool) -> (usize, Dot) {
    let first = (line_start && data.first() == Some(&b'.')).then_some(0);
    for at in first.into_iter().chain(memmem::find_iter(data, b"\n.").map(|at| at + 1)) {
        match &data[at + 1..] {
            [] | [b'\r'] => return (at, Dot::Maybe),
            [b'\n', ..] | [b'\r', b'\n', ..] => return (at, Dot::Found),
            _ => {}
        }
    }
    (data.len(), Dot::None)
}

/// The header block as it comes in, line by line.
#[derive(Default)]
struct HeaderBlock {
    fields: Vec<Field>,
    /// The field that a continuation line would belong to.
    current: Vec<u8>,
    /// The line that comes in; once `done`, octets that belong to the body.
    line: Vec<u8>,
    octets: usize,
    started: bool,
    done: bool,
}

impl HeaderBlock {
    /// Takes lines from a chunk until the header is over; how many octets were taken.
    fn take(&mut self, chunk: &[u8]) -> Result<usize, ReadError> {
        let mut taken = 0;
        while !self.done && taken < chunk.len() {
            let rest = &chunk[taken..];
            let (len, complete) = memchr::memchr(b'\n', rest).map_or((rest.len(), false), |at| (at + 1, true));
            self.line.extend_from_slice(&rest[..len]);
            taken += len;
            self.octets += len;
            if complete {
                self.end_line(true)?;
            } else if self.line.len() > BLOCK && !self.may_be_header() {
                self.done = true;
            }
            // Once it is the body's, its length is no matter.
            if self.octets > HEADER && !self.done {
                return Err(ReadError::HeaderTooLarge);
            }
        }
        Ok(taken)
    }

    fn may_be_header(&self) -> bool {
        (matches!(self.line[0], b' ' | b'\t') && !self.current.is_empty())
            || is_mbox(&self.line)
            || name_and_colon(&self.line).is_some()
    }

    /// Judges a line: the end of the header, a continuation, a field, an mbox line, or the first line of a body that
    /// follows without an empty line.
    fn end_line(&mut self, complete: bool) -> Result<(), ReadError> {
        let content = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let content = &content[..content.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1)];
        let first = !self.started;
        match content.first() {
            None if complete => self.done = true,
            None => {}
            Some(b' ' | b'\t') if !self.current.is_empty() => {
                self.current.extend_from_slice(b"\r\n");
                self.current.extend(content.iter().map(no_bare_cr));
            }
            Some(_) if first && is_mbox(content) => {}
            Some(_) if name_and_colon(content).is_some() => {
                let next = content.iter().map(no_bare_cr).collect();
                self.started = true;
                self.end_field(next)?;
            }
            Some(_) => {
                self.done = true;
                return Ok(());
            }
        }
        self.line.clear();
        Ok(())
    }

    fn end_field(&mut self, next: Vec<u8>) -> Result<(), ReadError> {
        let raw = std::mem::replace(&mut self.current, next);
        let Some(mut field) = Field::new(raw) else { return Ok(()) };
        field.fold_long_lines().map_err(|()| ReadError::HeaderLine(field.name().chars().take(80).collect()))?;
        self.fields.push(field);
        if self.fields.len() > FIELDS { Err(ReadError::HeaderTooLarge) } else { Ok(()) }
    }

    fn finish(mut self) -> Result<Header, ReadError> {
        self.end_field(Vec::new())?;
        Ok(Header::of(self.fields))
    }
}

/// A CR within a header line can be no line end there and becomes white space.
fn no_bare_cr(byte: &u8) -> u8 {
    if *byte == b'\r' { b' ' } else { *byte }
}

/// Whether a first line is the separator of mbox files, which is no part of the message.
fn is_mbox(line: &[u8]) -> bool {
    let line = line.strip_prefix(b">").unwrap_or(line);
    line.starts_with(b"From ") && name_and_colon(line).is_none()
}
