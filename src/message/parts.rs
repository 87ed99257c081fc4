//! Walks through the entities of a message: header, content, boundaries, whatever is nested in them.
//!
//! RFC 2046 section 5.1. One pass over the body in pieces of bounded size, without recursion; what is found goes to a
//! `Visitor`, which sees every octet exactly once and in order.

use super::body::Body;
use super::header::{Field, Header};
use super::mime::{Content, content};
use super::reencode_error::ReencodeError;
use std::io::{self, Read};

/// Largest piece of a line.
const BLOCK: usize = 64 * 1024;
/// Largest header of a part.
const HEADER: usize = 1 << 20;
/// Deepest nesting of multiparts.
const LEVELS: usize = 32;

/// What is told about a message's entities.
pub(super) trait Visitor {
    /// An entity begins. `signed`: its octets are covered by a signature; `folded`: a line of its header was too long.
    fn entity(&mut self, part: Part) -> Result<(), ReencodeError>;
    /// A line that belongs to no content: boundaries, and what stands before, between and after the parts.
    fn outside(&mut self, text: &[u8], ends: bool) -> Result<(), ReencodeError>;
    /// Octets of a line of content.
    fn text(&mut self, text: &[u8]) -> Result<(), ReencodeError>;
    /// A line end within the content.
    fn end_line(&mut self) -> Result<(), ReencodeError>;
    /// The content ends; `line` where a line end that belongs to the boundary after it must follow.
    fn finish(&mut self, line: bool) -> Result<(), ReencodeError>;
}

/// The head of an entity.
pub(super) struct Part {
    /// Its header; for the message itself the message's.
    pub(super) header: Header,
    /// What it holds.
    pub(super) content: Content,
    /// Whether it is the message itself, whose header is not in the body.
    pub(super) top: bool,
    /// Whether a signature covers its octets.
    pub(super) signed: bool,
    /// Whether a line of its header was too long and is folded now.
    pub(super) folded: bool,
    /// Whether the empty line after its header is there.
    pub(super) separated: bool,
}

struct Level {
    boundary: String,
    signed: bool,
    digest: bool,
}

enum Place {
    /// Before, between or after the parts of a multipart.
    Outside,
    /// In the header of a part, collected here; `digest` as in `mime::content`.
    Header { raw: Vec<u8>, digest: bool },
    /// In content that is no multipart; `lines` tells whether a line of it was there already.
    Leaf { lines: bool },
}

/// Shows the whole message to the visitor.
pub(super) fn walk(header: &Header, body: &Body, visitor: &mut dyn Visitor) -> Result<(), ReencodeError> {
    let mut walker = Walker { levels: Vec::new(), place: Place::Outside, visitor };
    walker.begin(header.clone(), false, true, true)?;
    let mut lines = Lines::new(body.reader());
    while let Some(piece) = lines.next().map_err(ReencodeError::Io)? {
        walker.piece(&piece)?;
    }
    match walker.place {
        Place::Leaf { lines } => {
            if lines {
                walker.visitor.end_line()?;
            }
            walker.visitor.finish(false)
        }
        Place::Header { .. } => walker.end_header(false),
        Place::Outside => Ok(()),
    }
}

struct Walker<'v> {
    levels: Vec<Level>,
    place: Place,
    visitor: &'v mut dyn Visitor,
}

impl Walker<'_> {
    fn piece(&mut self, piece: &Piece<'_>) -> Result<(), ReencodeError> {
        if piece.first
            && piece.last
            && let Some((level, closes)) = self.boundary(piece.text)
        {
            return self.at_boundary(piece.text, level, closes);
        }
        match &mut self.place {
            Place::Outside => self.visitor.outside(piece.text, piece.last),
            Place::Header { .. } if piece.text.is_empty() && piece.first => self.end_header(true),
            Place::Header { raw, .. } => {
                if raw.len() + piece.text.len() > HEADER {
                    return Err(ReencodeError::Unparsable("the header of a part is larger than 1 MiB"));
                }
                raw.extend_from_slice(piece.text);
                if piece.last {
                    raw.push(b'\n');
                }
                Ok(())
            }
            Place::Leaf { lines } => {
                if piece.first && std::mem::replace(lines, true) {
                    self.visitor.end_line()?;
                }
                self.visitor.text(piece.text)
            }
        }
    }

    /// The level whose boundary a line is, and whether it is the closing one.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.strip_prefix(b"--")?.trim_ascii_end();
        self.levels.iter().enumerate().rev().find_map(|(index, level)| {
            match line.strip_prefix(level.boundary.as_bytes())? {
                b"" => Some((index, false)),
                b"--" => Some((index, true)),
                _ => None,
            }
        })
    }

    fn at_boundary(&mut self, line: &[u8], level: usize, closes: bool) -> Result<(), ReencodeError> {
        match &self.place {
            Place::Leaf { lines } => self.visitor.finish(*lines)?,
            Place::Header { .. } => {
                self.end_header(false)?;
                if matches!(self.place, Place::Leaf { .. }) {
                    self.visitor.finish(false)?;
                }
            }
            Place::Outside => {}
        }
        self.visitor.outside(line, true)?;
        self.levels.truncate(level + 1);
        let digest = self.levels[level].digest;
        self.place = if closes { Place::Outside } else { Place::Header { raw: Vec::new(), digest } };
        if closes {
            self.levels.pop();
        }
        Ok(())
    }

    /// The header of a part is complete.
    fn end_header(&mut self, separated: bool) -> Result<(), ReencodeError> {
        let Place::Header { raw, digest } = std::mem::replace(&mut self.place, Place::Outside) else { return Ok(()) };
        let mut fields: Vec<Vec<u8>> = Vec::new();
        for line in raw.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match fields.last_mut().filter(|_| matches!(line[0], b' ' | b'\t')) {
                Some(field) => {
                    field.extend_from_slice(b"\r\n");
                    field.extend_from_slice(line);
                }
                None => fields.push(line.to_vec()),
            }
        }
        let mut folded = false;
        let mut parsed = Vec::with_capacity(fields.len());
        for raw in fields {
            let length = raw.len();
            let mut field = Field::new(raw).ok_or(ReencodeError::Unparsable("the header of a part is malformed"))?;
            field
                .fold_long_lines()
                .map_err(|()| ReencodeError::Unparsable("a header line of a part is too long and cannot be folded"))?;
            folded |= field.raw().len() != length;
            parsed.push(field);
        }
        let header = Header::of(parsed);
        let content = content(&header, digest);
        self.begin_with(Part { header, content, top: false, signed: false, folded, separated })
    }

    fn begin(&mut self, header: Header, digest: bool, top: bool, separated: bool) -> Result<(), ReencodeError> {
        let content = content(&header, digest);
        self.begin_with(Part { header, content, top, signed: false, folded: false, separated })
    }

    fn begin_with(&mut self, mut part: Part) -> Result<(), ReencodeError> {
        part.signed = self.levels.last().is_some_and(|level| level.signed);
        self.place = match &part.content {
            Content::Multipart { boundary, signed, digest } => {
                let boundary = boundary.clone().ok_or(ReencodeError::Unparsable("a multipart has no boundary"))?;
                if self.levels.len() >= LEVELS {
                    return Err(ReencodeError::Unparsable("its parts are nested too deeply"));
                }
                self.levels.push(Level { boundary, signed: *signed || part.signed, digest: *digest });
                Place::Outside
            }
            Content::Message => Place::Header { raw: Vec::new(), digest: false },
            _ => Place::Leaf { lines: false },
        };
        self.visitor.entity(part)
    }
}

/// A line, or a piece of a long one, without its line end.
struct Piece<'l> {
    text: &'l [u8],
    first: bool,
    last: bool,
}

/// Cuts a body, whose line ends are all CRLF, into lines.
struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    within: bool,
}

impl<R: Read> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, buffer: vec![0; BLOCK], at: 0, end: 0, within: false }
    }

    fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        let mut seen = self.at;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[seen..self.end]) {
                let (start, newline) = (self.at, seen + found);
                self.at = newline + 1;
                let text = &self.buffer[start..newline];
                let first = !std::mem::replace(&mut self.within, false);
                return Ok(Some(Piece { text: text.strip_suffix(b"\r").unwrap_or(text), first, last: true }));
            }
            if self.at > 0 {
                self.buffer.copy_within(self.at..self.end, 0);
                self.end -= self.at;
                self.at = 0;
            }
            seen = self.end;
            if self.end == self.buffer.len() {
                break;
            }
            let count = self.input.read(&mut self.buffer[self.end..])?;
            if count == 0 {
                break;
            }
            self.end += count;
        }
        // The buffer is full without a line end in it, or the input ended; the CR of a CRLF waits for its LF.
        let held = usize::from(self.buffer[..self.end].ends_with(b"\r"));
        self.at = self.end - held;
        let first = !std::mem::replace(&mut self.within, true);
        let text = &self.buffer[..self.at];
        Ok((!text.is_empty()).then_some(Piece { text, first, last: false }))
    }
}
