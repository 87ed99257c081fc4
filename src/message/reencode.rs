//! Making a message fit for a server that cannot take it as it is: lines over 998 octets, or 8-bit text where there is
//! no 8BITMIME (RFC 6152 section 3, RFC 2045 section 6).
//!
//! Only the parts that need it change: text becomes quoted-printable, other content base64, each with its
//! Content-Transfer-Encoding; every other octet stays. What a signature covers is never changed: that is an error.

use super::Message;
use super::body::BodyWriter;
use super::header::{Header, LINE};
use super::mime::{Content, Transfer, transfer};
use super::parts::{Part, Visitor, walk};
use super::reencode_error::ReencodeError;
use super::transfer::Encoder;

/// Why the message must change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Lines of the body are longer than 998 octets.
    LongLines,
    /// The server takes 7-bit text alone; lines that are too long are mended as well.
    EightBit,
}

/// The message with those parts encoded that need it; without any, the message as it is.
///
/// # Errors
/// Where a signature would break, where the structure is not clear, and where the spool fails.
pub fn reencode(message: &Message, why: Why) -> Result<Message, ReencodeError> {
    let mut survey = Survey { why, leaves: Vec::new(), signed: false, kind: None, changes: false, line: 0 };
    walk(&message.header, &message.body, &mut survey)?;
    if !survey.changes && !survey.leaves.iter().any(|leaf| leaf.needed(why)) {
        return Ok(message.clone());
    }
    if message.header.first("DKIM-Signature").is_some() {
        return Err(ReencodeError::Signed("DKIM-Signature"));
    }
    let leaves = survey.leaves.into_iter();
    let mut writer =
        Writer { why, leaves, header: Header::default(), out: BodyWriter::default(), encoder: Encoder::Verbatim };
    walk(&message.header, &message.body, &mut writer)?;
    let Writer { header, out, .. } = writer;
    Ok(Message { header, body: out.finish().map_err(ReencodeError::Io)? })
}

/// What was seen of the content of one part.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    long: bool,
    eight_bit: bool,
    utf8: bool,
}

impl Leaf {
    fn needed(self, why: Why) -> bool {
        self.long || (why == Why::EightBit && self.eight_bit)
    }
}

/// First pass: which parts must change, and whether they may.
struct Survey {
    why: Why,
    leaves: Vec<Leaf>,
    signed: bool,
    kind: Option<(Content, Transfer)>,
    /// A header line of a part was folded.
    changes: bool,
    line: usize,
}

impl Visitor for Survey {
    fn entity(&mut self, part: Part) -> Result<(), ReencodeError> {
        if !part.top && self.why == Why::EightBit && part.header.has_8bit() {
            return Err(ReencodeError::Unparsable("the header of a part holds 8-bit text"));
        }
        if part.folded && part.signed {
            return Err(ReencodeError::Signed("multipart/signed"));
        }
        self.changes |= part.folded;
        let how = transfer(&part.header);
        match part.content {
            Content::Multipart { .. } | Content::Message if how != Transfer::Identity => {
                Err(ReencodeError::Unparsable("a multipart or message part has an encoding of its own"))
            }
            Content::Multipart { .. } | Content::Message => Ok(()),
            content => {
                self.kind = Some((content, how));
                self.signed = part.signed;
                self.line = 0;
                self.leaves.push(Leaf { long: false, eight_bit: false, utf8: true });
                Ok(())
            }
        }
    }

    fn outside(&mut self, text: &[u8], ends: bool) -> Result<(), ReencodeError> {
        self.line += text.len();
        if self.line > LINE || (self.why == Why::EightBit && !text.is_ascii()) {
            return Err(ReencodeError::Unparsable("they stand outside of its parts"));
        }
        if ends {
            self.line = 0;
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8]) -> Result<(), ReencodeError> {
        self.line += text.len();
        if let Some(leaf) = self.leaves.last_mut() {
            leaf.long |= self.line > LINE;
            leaf.eight_bit |= !text.is_ascii();
            leaf.utf8 &= std::str::from_utf8(text).is_ok();
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), ReencodeError> {
        self.line = 0;
        Ok(())
    }

    fn finish(&mut self, _line: bool) -> Result<(), ReencodeError> {
        self.line = 0;
        let Some(leaf) = self.leaves.last().copied().filter(|leaf| leaf.needed(self.why)) else { return Ok(()) };
        match &self.kind {
            _ if self.signed => Err(ReencodeError::Signed("multipart/signed")),
            Some((Content::Report, _)) => Err(ReencodeError::Unparsable("a message/ part may not be encoded")),
            Some((_, Transfer::Unknown)) => {
                Err(ReencodeError::Unparsable("a part has an unknown Content-Transfer-Encoding"))
            }
            Some((_, Transfer::Base64)) if leaf.eight_bit => {
                Err(ReencodeError::Unparsable("a base64 part holds 8-bit text"))
            }
            _ => Ok(()),
        }
    }
}

/// Second pass: the message as it goes out.
struct Writer {
    why: Why,
    leaves: std::vec::IntoIter<Leaf>,
    /// The message's own header.
    header: Header,
    out: BodyWriter,
    encoder: Encoder,
}

impl Writer {
    fn write(&mut self, data: &[u8]) -> Result<(), ReencodeError> {
        self.out.write(data).map_err(ReencodeError::Io)
    }

    /// Chooses the encoding of a part's content and says so in its header.
    fn encode(&mut self, header: &mut Header, content: &Content, leaf: Leaf) {
        const FIELD: &str = "Content-Transfer-Encoding";
        self.encoder = match (transfer(header), content) {
            (Transfer::Base64, _) => Encoder::Rewrap(Vec::new()),
            (Transfer::QuotedPrintable, _) => Encoder::Quoted { line: 0, blank: None, again: true },
            (_, Content::Text) => {
                set(header, FIELD, "quoted-printable");
                Encoder::Quoted { line: 0, blank: None, again: false }
            }
            _ => {
                set(header, FIELD, "base64");
                Encoder::Base64(Vec::new())
            }
        };
        if header.first("Content-Type").is_none() && leaf.eight_bit && leaf.utf8 {
            set(header, "Content-Type", "text/plain; charset=utf-8");
        }
    }
}

/// Replaces a field, or adds it after the others.
fn set(header: &mut Header, name: &str, value: &str) {
    match header.first(name) {
        Some(_) => header.replace(name, value),
        None => header.append(name, value),
    }
}

/// A multipart must not claim more than its parts need now.
fn lower(header: &mut Header, why: Why) {
    const FIELD: &str = "Content-Transfer-Encoding";
    let value = header.first(FIELD).map(|field| String::from_utf8_lossy(field.value()).to_ascii_lowercase());
    match (value.as_deref(), why) {
        (Some("8bit" | "binary"), Why::EightBit) => header.replace(FIELD, "7bit"),
        (Some("binary"), Why::LongLines) => header.replace(FIELD, "8bit"),
        _ => {}
    }
}

impl Visitor for Writer {
    fn entity(&mut self, part: Part) -> Result<(), ReencodeError> {
        let Part { mut header, content, top, signed, separated, .. } = part;
        self.encoder = Encoder::Verbatim;
        match &content {
            Content::Multipart { .. } | Content::Message if signed => {}
            Content::Multipart { .. } | Content::Message => lower(&mut header, self.why),
            _ => {
                if let Some(leaf) = self.leaves.next().filter(|leaf| leaf.needed(self.why)) {
                    self.encode(&mut header, &content, leaf);
                }
            }
        }
        if top {
            if header.first("MIME-Version").is_none() {
                set(&mut header, "MIME-Version", "1.0");
            }
            self.header = header;
            return Ok(());
        }
        for field in header.fields() {
            self.out.write(field.raw()).and_then(|()| self.out.write(b"\r\n")).map_err(ReencodeError::Io)?;
        }
        if separated { self.write(b"\r\n") } else { Ok(()) }
    }

    fn outside(&mut self, text: &[u8], ends: bool) -> Result<(), ReencodeError> {
        self.write(text)?;
        if ends { self.write(b"\r\n") } else { Ok(()) }
    }

    fn text(&mut self, text: &[u8]) -> Result<(), ReencodeError> {
        self.encoder.text(text, &mut self.out).map_err(ReencodeError::Io)
    }

    fn end_line(&mut self) -> Result<(), ReencodeError> {
        self.encoder.end_line(&mut self.out).map_err(ReencodeError::Io)
    }

    fn finish(&mut self, line: bool) -> Result<(), ReencodeError> {
        self.encoder.finish(&mut self.out).map_err(ReencodeError::Io)?;
        if line { self.write(b"\r\n") } else { Ok(()) }
    }
}
