//! Content transfer encodings, written piece by piece so that memory does not grow with the message.
//!
//! RFC 2045 sections 6.7 (quoted-printable) and 6.8 (base64).

use super::body::BodyWriter;
use std::io;

/// Longest encoded line (RFC 2045 sections 6.7 and 6.8).
const LINE: usize = 76;
/// Octets in a full base64 line.
const GROUP: usize = 57;

/// Turns the octets of one entity into what a line-bound 7-bit path carries.
#[derive(Debug)]
pub(super) enum Encoder {
    /// As they are.
    Verbatim,
    /// Quoted-printable. `again` where the text is quoted-printable already and only its lines are too long.
    Quoted { line: usize, blank: Option<u8>, again: bool },
    /// Base64 of the octets.
    Base64(Vec<u8>),
    /// Base64 already, in lines that are too long.
    Rewrap(Vec<u8>),
}

impl Encoder {
    /// Appends octets of a line, without its line end.
    pub(super) fn text(&mut self, text: &[u8], out: &mut BodyWriter) -> io::Result<()> {
        let mut encoded = Vec::with_capacity(text.len() * 2);
        match self {
            Self::Verbatim => return out.write(text),
            Self::Quoted { line, blank, again } => quote(text, line, blank, *again, &mut encoded),
            Self::Base64(pending) => base64(text, pending, &mut encoded),
            Self::Rewrap(pending) => rewrap(text, pending, &mut encoded),
        }
        out.write(&encoded)
    }

    /// A line end within the content.
    pub(super) fn end_line(&mut self, out: &mut BodyWriter) -> io::Result<()> {
        let mut encoded = Vec::new();
        match self {
            Self::Verbatim => encoded.extend_from_slice(b"\r\n"),
            Self::Quoted { line, blank, .. } => {
                close_line(line, blank, &mut encoded);
                encoded.extend_from_slice(b"\r\n");
            }
            Self::Base64(pending) => base64(b"\r\n", pending, &mut encoded),
            Self::Rewrap(_) => {}
        }
        out.write(&encoded)
    }

    /// The end of the content; what is still held goes out, without a line end after it.
    pub(super) fn finish(&mut self, out: &mut BodyWriter) -> io::Result<()> {
        let mut encoded = Vec::new();
        match self {
            Self::Verbatim => {}
            Self::Quoted { line, blank, .. } => close_line(line, blank, &mut encoded),
            Self::Base64(pending) => encoded = openssl::base64::encode_block(pending).into_bytes(),
            Self::Rewrap(pending) => encoded = std::mem::take(pending),
        }
        out.write(&encoded)
    }
}

/// White space at the end of a line must be encoded: the last octet of white space is held until it is known.
fn close_line(line: &mut usize, blank: &mut Option<u8>, out: &mut Vec<u8>) {
    if let Some(byte) = blank.take() {
        put(&escape(byte), line, out);
    }
    *line = 0;
}

fn quote(text: &[u8], line: &mut usize, blank: &mut Option<u8>, again: bool, out: &mut Vec<u8>) {
    for byte in text {
        if let Some(held) = blank.take() {
            put(&[held], line, out);
        }
        match byte {
            b' ' | b'\t' => *blank = Some(*byte),
            // A soft line break must not stand within an escape that is there already.
            b'=' if again => {
                if *line + 3 > LINE - 1 {
                    soft_break(line, out);
                }
                put(b"=", line, out);
            }
            b'!'..=b'<' | b'>'..=b'~' => put(&[*byte], line, out),
            _ => put(&escape(*byte), line, out),
        }
    }
}

/// One octet or escape, on a new line where this one is full; a place is left for the `=` of the soft line break.
fn put(piece: &[u8], line: &mut usize, out: &mut Vec<u8>) {
    if *line + piece.len() > LINE - 1 {
        soft_break(line, out);
    }
    *line += piece.len();
    out.extend_from_slice(piece);
}

fn soft_break(line: &mut usize, out: &mut Vec<u8>) {
    *line = 0;
    out.extend_from_slice(b"=\r\n");
}

fn escape(byte: u8) -> [u8; 3] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [b'=', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

fn base64(mut data: &[u8], pending: &mut Vec<u8>, out: &mut Vec<u8>) {
    while pending.len() + data.len() > GROUP {
        let (now, later) = data.split_at(GROUP - pending.len());
        pending.extend_from_slice(now);
        out.extend_from_slice(openssl::base64::encode_block(pending).as_bytes());
        out.extend_from_slice(b"\r\n");
        pending.clear();
        data = later;
    }
    pending.extend_from_slice(data);
}

fn rewrap(text: &[u8], pending: &mut Vec<u8>, out: &mut Vec<u8>) {
    for byte in text.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        if pending.len() == LINE {
            out.append(pending);
            out.extend_from_slice(b"\r\n");
        }
        pending.push(*byte);
    }
}
