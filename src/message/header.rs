//! The header block: its fields byte for byte, and the few ways in which postrider writes fields of its own.
//!
//! RFC 5322 section 2.2. Reading never changes a field; writing never lets a value become a second field: line ends and
//! control characters in it are replaced, long values folded.

use super::address::{Address, is_atext, quoted};
use super::encoded_word;

/// Longest line without its line end (RFC 5322 section 2.1.1).
pub(super) const LINE: usize = 998;
/// Where a written line is folded if it can be.
const PREFERRED: usize = 78;
/// Fields whose long lines may also be folded after a comma, where white space means nothing.
const LISTS: [&str; 9] = ["To", "Cc", "Bcc", "From", "Reply-To", "Resent-To", "Resent-Cc", "Resent-Bcc", "Resent-From"];

/// One field: name, colon and value with its folds as CRLF; without the last line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    raw: Vec<u8>,
    name: usize,
    colon: usize,
}

impl Field {
    /// A field of its raw bytes, if they begin with a field name and a colon (RFC 5322 section 3.6.8; white space
    /// before the colon is obsolete but allowed, section 4.5). No bare CR or LF may be in them.
    pub(super) fn new(raw: Vec<u8>) -> Option<Self> {
        let (name, colon) = name_and_colon(&raw)?;
        Some(Self { raw, name, colon })
    }

    /// A field of our own. Nothing in `value` can begin another field, end the header or be longer than a line may be.
    fn written(name: &str, value: &str) -> Self {
        let name: String = name.chars().filter(|c| c.is_ascii_graphic() && *c != ':').take(PREFERRED).collect();
        let name = if name.is_empty() { "X-Unnamed".to_owned() } else { name };
        Self { raw: fold(&name, value).into_bytes(), colon: name.len(), name: name.len() }
    }

    /// The whole field without its last line end.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The name as written, without the white space that may stand before the colon.
    #[must_use]
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.raw[..self.name]).unwrap_or_default()
    }

    /// The value with its folds, white space around it cut off.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.raw[self.colon + 1..].trim_ascii()
    }

    /// The value on one line (RFC 5322 section 2.2.3).
    #[must_use]
    pub fn unfolded(&self) -> Vec<u8> {
        self.value().iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect()
    }

    fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }

    /// Folds every line of more than 998 octets at white space, in address lists also after a comma.
    ///
    /// # Errors
    /// `Err(())` where a line cannot be folded.
    pub(super) fn fold_long_lines(&mut self) -> Result<(), ()> {
        if self.raw.len() <= LINE {
            return Ok(());
        }
        let commas = LISTS.iter().any(|list| self.is(list));
        let mut out = Vec::with_capacity(self.raw.len() + 64);
        for (number, line) in self.raw.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if number > 0 {
                out.extend_from_slice(b"\r\n");
            }
            // White space at the end of an over-long line goes; a line of nothing else must not become an empty one.
            let line = if line.len() <= LINE { line } else { line.trim_ascii_end() };
            let line = if line.is_empty() { b" " } else { line };
            fold_line(line, if number == 0 { self.colon } else { 0 }, commas, &mut out)?;
        }
        self.raw = out;
        Ok(())
    }
}

/// Appends one line, folded as often as needed; no fold within the first `fixed` octets.
fn fold_line(line: &[u8], fixed: usize, commas: bool, out: &mut Vec<u8>) -> Result<(), ()> {
    let (mut rest, mut fixed) = (line, fixed);
    // Octets that the last fold put before the rest: the space after a comma.
    let mut added = 0;
    while rest.len() + added > LINE {
        // A fold must leave something that is no white space on both of its sides.
        let first = rest.iter().position(|byte| !is_blank(*byte)).unwrap_or(rest.len()).max(fixed);
        let last = rest.iter().rposition(|byte| !is_blank(*byte)).unwrap_or(0);
        let mut places = (first + 1..=last.min(LINE - added)).rev();
        let cut = places.find(|at| is_blank(rest[*at]) || (commas && rest[at - 1] == b',')).ok_or(())?;
        out.extend_from_slice(&rest[..cut]);
        out.extend_from_slice(b"\r\n");
        rest = &rest[cut..];
        added = usize::from(!is_blank(rest[0]));
        fixed = 0;
        if added > 0 {
            out.push(b' ');
        }
    }
    out.extend_from_slice(rest);
    Ok(())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Length of the field name and place of the colon, where a line begins with them. They cannot be folded and so must
/// fit on one line, which also bounds the search.
pub(super) fn name_and_colon(line: &[u8]) -> Option<(usize, usize)> {
    let line = &line[..line.len().min(LINE)];
    let name = line.iter().position(|byte| !byte.is_ascii_graphic() || *byte == b':').filter(|len| *len > 0)?;
    let colon = name + line[name..].iter().position(|byte| !is_blank(*byte))?;
    (line[colon] == b':').then_some((name, colon))
}

/// The header block of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    fields: Vec<Field>,
}

impl Header {
    /// A header of these fields.
    pub(super) fn of(fields: Vec<Field>) -> Self {
        Self { fields }
    }

    /// The fields in their order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The first field of a name, in whatever case and with whatever white space before its colon.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.is(name))
    }

    /// All fields of a name, in their order.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h Field> {
        self.fields.iter().filter(move |field| field.is(name))
    }

    /// Removes all fields of a name; how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.fields.len();
        self.fields.retain(|field| !field.is(name));
        before - self.fields.len()
    }

    /// Puts a field before all others, but behind the trace at the top: Received and Return-Path stay together and first
    /// (RFC 5321 section 4.4). Line ends and control characters in `value` become spaces, long values are
    /// folded; text outside ASCII goes in as UTF-8 unless it was encoded before (`format_mailbox`).
    pub fn prepend(&mut self, name: &str, value: &str) {
        let trace = |field: &&Field| field.is("Received") || field.is("Return-Path");
        let place = self.fields.iter().take_while(trace).count();
        self.fields.insert(place, Field::written(name, value));
    }

    /// Puts a field after all others; otherwise as `prepend`.
    pub fn append(&mut self, name: &str, value: &str) {
        self.fields.push(Field::written(name, value));
    }

    /// Writes a field in the place of the first of its name and removes the others; without any it is prepended.
    pub fn replace(&mut self, name: &str, value: &str) {
        let Some(place) = self.fields.iter().position(|field| field.is(name)) else { return self.prepend(name, value) };
        self.fields[place] = Field::written(name, value);
        let mut index = 0;
        self.fields.retain(|field| {
            index += 1;
            index - 1 == place || !field.is(name)
        });
    }

    /// Octets on the wire, line ends among them, the empty line after the header not.
    #[must_use]
    pub fn wire_size(&self) -> u64 {
        self.fields.iter().map(|field| field.raw.len() as u64 + 2).sum()
    }

    /// Whether an octet outside US-ASCII is in it (RFC 6532; strictly, the server must then offer SMTPUTF8).
    #[must_use]
    pub fn has_8bit(&self) -> bool {
        self.fields.iter().any(|field| !field.raw.is_ascii())
    }
}

/// A mailbox as it stands in a header field, in ASCII but for an address that is not: the name as it is, in quotes, or
/// as encoded words (RFC 2047), whichever it needs.
#[must_use]
pub fn format_mailbox(name: Option<&str>, address: &Address) -> String {
    let name: String = name.unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let name = name.trim();
    if name.is_empty() {
        return address.to_string();
    }
    let plain = name.split(' ').all(|word| !word.is_empty() && word.chars().all(is_atext));
    // What looks like an encoded word would be taken for one, and an endless word cannot be folded.
    let awkward = name.contains("=?") || name.split(' ').any(|word| word.len() > 200);
    match name {
        _ if !name.is_ascii() || awkward => format!("{} <{address}>", encoded_word::encode(name)),
        _ if plain => format!("{name} <{address}>"),
        _ => format!("{} <{address}>", quoted(name)),
    }
}

/// `Name: value`, folded before 78 characters where white space allows it and before 998 octets in any case.
fn fold(name: &str, value: &str) -> String {
    let clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    let mut out = format!("{name}:");
    let mut line = out.len();
    if clean.is_empty() {
        return out;
    }
    for (number, word) in clean.split(' ').enumerate() {
        if number > 0 && !word.is_empty() && line + 1 + word.len() > PREFERRED {
            out.truncate(out.trim_end_matches(' ').len());
            out.push_str("\r\n");
            line = 0;
        }
        if line >= LINE {
            // Only an endless run of spaces comes here.
            continue;
        }
        out.push(' ');
        line += 1;
        let mut rest = word;
        while line + rest.len() > LINE {
            let (now, later) = rest.split_at(rest.floor_char_boundary(LINE - line));
            out.push_str(now);
            out.push_str("\r\n ");
            line = 1;
            rest = later;
        }
        out.push_str(rest);
        line += rest.len();
    }
    out
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
