//! Lists of mailboxes as they stand in address fields and in recipient arguments.
//!
//! RFC 5322 section 3.4 with the obsolete syntax of section 4.4: groups, nested comments, folding, quoted local parts,
//! domain literals, routes, empty elements; semicolons between addresses as people write them; RFC 2047 names; UTF-8
//! (RFC 6532). One pass, no recursion, every count bounded. What is not clearly an address is an error, never a guess.

use super::address::{Address, AddressError, is_atext};
use super::encoded_word;
use crate::envelope::ReversePath;
use std::borrow::Cow;

/// Deepest comment within comments.
const COMMENTS: usize = 64;
/// Deepest group within groups (RFC 5322 allows none).
const GROUPS: usize = 4;
/// Most words in one element: a name of that many is an attack.
const WORDS: usize = 1000;
/// Most mailboxes in one list.
const MAILBOXES: usize = 100_000;

/// One mailbox of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name, or the comment where there is no name; decoded, without control characters.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
    /// Whether it was a local name without `@`, qualified with the local domain.
    pub bare: bool,
    /// Whether a source route stood before it, which means nothing any more (RFC 5321 appendix C).
    pub routed: bool,
}

/// The mailboxes of an address field's value, folded or not; those of groups are among them.
///
/// Local names without `@` are qualified with `domain`.
///
/// # Errors
/// The first element that is no address. An empty list is none.
pub fn parse_list(value: &[u8], domain: &str) -> Result<Vec<Mailbox>, AddressError> {
    Parser::new(&String::from_utf8_lossy(value), domain, true).run()
}

/// The mailboxes of one recipient argument: `a@b`, `a@b,c@d`, `Joe <a@b>`, `root`.
///
/// # Errors
/// Anything that is no address, a control character among it, and an argument without any.
pub fn parse_argument(text: &str, domain: &str) -> Result<Vec<Mailbox>, AddressError> {
    if text.chars().any(char::is_control) {
        return Err(AddressError::new(text, "it holds a control character or a line end"));
    }
    let found = Parser::new(text, domain, false).run()?;
    if found.is_empty() { Err(AddressError::new(text, "it is empty")) } else { Ok(found) }
}

/// The argument of `-f`: empty and `<>` are the null path; `<a@b>` and `Name <a@b>` are stripped.
///
/// # Errors
/// Anything that is not one address, a control character among it.
pub fn parse_reverse_path(text: &str, domain: &str) -> Result<ReversePath, AddressError> {
    let trimmed = text.trim_matches(' ');
    let inside = trimmed.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(trimmed);
    if inside.trim_matches(' ').is_empty() {
        return Ok(ReversePath::Null);
    }
    let mut found = parse_argument(text, domain)?;
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(ReversePath::Address(one.address)),
        _ => Err(AddressError::new(text, "one address is expected")),
    }
}

/// What a list is made of.
#[derive(Debug, PartialEq)]
enum Kind {
    /// A run of atom characters.
    Atom,
    /// An encoded word.
    Encoded,
    /// The inside of a quoted string.
    Quoted,
    /// A domain literal with its brackets.
    Literal,
    /// The inside of a comment.
    Comment,
    /// One of `. @ , ; : < >`.
    Mark(char),
}

/// A token, and whether white space or a comment stood before it.
struct Token<'t> {
    kind: Kind,
    text: Cow<'t, str>,
    spaced: bool,
}

impl Token<'_> {
    fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// Cuts a list into tokens.
struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn next(&mut self) -> Result<Option<Token<'t>>, &'static str> {
        let rest = &self.text[self.at..];
        let body = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let spaced = body.len() < rest.len();
        self.at = self.text.len() - body.len();
        let Some(first) = body.chars().next() else { return Ok(None) };
        let (kind, text, len) = match first {
            '(' => delimited(body, Some('('), ')', "a comment is not closed")
                .map(|(text, len)| (Kind::Comment, text, len))?,
            '"' => {
                delimited(body, None, '"', "the quotes are not closed").map(|(text, len)| (Kind::Quoted, text, len))?
            }
            '[' => delimited(body, None, ']', "a domain literal is not closed")
                .map(|(text, len)| (Kind::Literal, Cow::from(format!("[{}]", text.trim())), len))?,
            '.' | '@' | ',' | ';' | ':' | '<' | '>' => (Kind::Mark(first), Cow::from(""), 1),
            _ => atom(body)?,
        };
        self.at += len;
        Ok(Some(Token { kind, text, spaced }))
    }
}

/// An atom or encoded word at the beginning of `text`, and its length.
fn atom(text: &str) -> Result<(Kind, Cow<'_, str>, usize), &'static str> {
    if let Some(len) = encoded_word::scan(text) {
        return Ok((Kind::Encoded, Cow::from(&text[..len]), len));
    }
    // A name may hold letters that an address may not: U+FFFD, where the field was no UTF-8, is the usual one.
    let len = text.find(|c: char| !(is_atext(c) || (!c.is_ascii() && !c.is_control()))).unwrap_or(text.len());
    match len {
        0 => Err("it holds a character that needs quotes, or none may hold"),
        _ => Ok((Kind::Atom, Cow::from(&text[..len]), len)),
    }
}

/// The inside of what begins at the first character and ends with `close`, backslashes resolved and folds undone, and
/// the length of the whole. With `open` it nests.
fn delimited<'t>(
    text: &'t str,
    open: Option<char>,
    close: char,
    why: &'static str,
) -> Result<(Cow<'t, str>, usize), &'static str> {
    let mut inside = String::new();
    let mut depth = 0;
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => inside.push(chars.next().ok_or(why)?.1),
            '\r' | '\n' => {}
            _ if c == close && depth == 0 => return Ok((Cow::from(inside), at + c.len_utf8())),
            _ => {
                if c == close {
                    depth -= 1;
                } else if Some(c) == open {
                    depth += 1;
                }
                if depth > COMMENTS {
                    return Err("comments are nested too deeply");
                }
                inside.push(c);
            }
        }
    }
    Err(why)
}

/// What stands between two commas.
#[derive(Default)]
struct Element<'t> {
    words: Vec<Token<'t>>,
    comment: Option<String>,
    angle: Option<(Address, bool)>,
    routed: bool,
}

/// Puts mailboxes together.
struct Parser<'t> {
    lexer: Lexer<'t>,
    domain: &'t str,
    /// Whether groups are allowed.
    grouping: bool,
    depth: usize,
    element: Element<'t>,
    /// Where the element begins, for the error.
    start: usize,
    found: Vec<Mailbox>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, domain: &'t str, grouping: bool) -> Self {
        let lexer = Lexer { text, at: 0 };
        Self { lexer, domain, grouping, depth: 0, element: Element::default(), start: 0, found: Vec::new() }
    }

    fn run(mut self) -> Result<Vec<Mailbox>, AddressError> {
        match self.elements() {
            Ok(()) => Ok(self.found),
            Err(why) => Err(AddressError::new(self.lexer.text.get(self.start..).unwrap_or_default(), why)),
        }
    }

    fn elements(&mut self) -> Result<(), &'static str> {
        while let Some(token) = self.lexer.next()? {
            match token.kind {
                Kind::Mark(',') => self.finish()?,
                Kind::Mark('@') if self.element.words.is_empty() && self.element.angle.is_none() => self.route()?,
                Kind::Mark(';') => {
                    self.finish()?;
                    self.depth = self.depth.saturating_sub(1);
                }
                Kind::Mark(':') => self.group()?,
                Kind::Mark('<') if self.element.angle.is_none() => self.element.angle = Some(self.angle()?),
                Kind::Comment => self.comment(&token.text),
                Kind::Mark('<' | '>') => return Err("< or > stands where none belongs"),
                _ if self.element.angle.is_some() => return Err("there is text after the >"),
                _ => push(&mut self.element.words, token)?,
            }
        }
        self.finish()
    }

    /// A colon: what came before it is the name of a group (RFC 5322 section 3.4). One that is never closed ends with
    /// the list. An address before the colon is no name: there was a line end once, or somebody would have one.
    fn group(&mut self) -> Result<(), &'static str> {
        let named = !self.element.words.is_empty() && !self.element.words.iter().any(|word| word.is('@'));
        if !self.grouping || self.element.angle.is_some() || !named {
            return Err("a colon stands where none belongs");
        }
        self.depth += 1;
        self.element = Element::default();
        self.start = self.lexer.at;
        if self.depth > GROUPS { Err("groups are nested too deeply") } else { Ok(()) }
    }

    /// A source route (RFC 5322 section 4.4), behind its first at sign and up to its colon; what it says is dropped.
    fn route(&mut self) -> Result<(), &'static str> {
        self.element.routed = true;
        while let Some(token) = self.lexer.next()? {
            match token.kind {
                Kind::Mark(':') => return Ok(()),
                Kind::Mark('@' | ',' | '.') | Kind::Atom | Kind::Literal | Kind::Comment => {}
                _ => break,
            }
        }
        Err("a source route has no end")
    }

    fn comment(&mut self, text: &str) {
        let text = encoded_word::decode(text.trim());
        if self.element.comment.is_none() && !text.is_empty() {
            self.element.comment = Some(text);
        }
    }

    /// What stands between `<` and `>`: an address, after an obsolete route that means nothing any more (RFC 5321
    /// appendix C).
    fn angle(&mut self) -> Result<(Address, bool), &'static str> {
        let mut words = Vec::new();
        while let Some(token) = self.lexer.next()? {
            match token.kind {
                Kind::Mark('>') if words.is_empty() => return Err("there is no address between < and >"),
                Kind::Mark('>') => return address(&words, self.domain),
                Kind::Mark('@') if words.is_empty() => self.route()?,
                Kind::Comment => self.comment(&token.text),
                Kind::Mark(',' | ';' | ':' | '<') => return Err("there is more than an address between < and >"),
                _ => push(&mut words, token)?,
            }
        }
        Err("the > is missing")
    }

    /// Ends an element; an empty one is nothing (RFC 5322 section 4.4).
    fn finish(&mut self) -> Result<(), &'static str> {
        let Element { words, comment, angle, routed } = std::mem::take(&mut self.element);
        let (name, (address, bare)) = match angle {
            Some(found) => (phrase(&words), found),
            None if !words.is_empty() => (None, address(&words, self.domain)?),
            None if routed => return Err("there is no address behind the source route"),
            None => return Ok(()),
        };
        if self.found.len() >= MAILBOXES {
            return Err("the list holds more than 100000 addresses");
        }
        self.found.push(Mailbox { name: name.or(comment), address, bare, routed });
        self.start = self.lexer.at;
        Ok(())
    }
}

fn push<'t>(words: &mut Vec<Token<'t>>, token: Token<'t>) -> Result<(), &'static str> {
    if words.len() >= WORDS {
        return Err("it has more than 1000 words");
    }
    words.push(token);
    Ok(())
}

/// An address from its words, and whether it was a bare local name.
fn address(words: &[Token<'_>], domain: &str) -> Result<(Address, bool), &'static str> {
    let Some(at) = words.iter().position(|word| word.is('@')) else {
        return Ok((Address::from_parts(&dotted(words, true)?, domain)?, true));
    };
    let (local, host) = (&words[..at], &words[at + 1..]);
    let host = match host {
        [Token { kind: Kind::Literal, text, .. }] => text.to_string(),
        _ => dotted(host, false)?,
    };
    Ok((Address::from_parts(&dotted(local, true)?, &host)?, false))
}

/// Words with dots between them, white space around the dots forgotten (RFC 5322 section 4.4).
fn dotted(words: &[Token<'_>], quotes: bool) -> Result<String, &'static str> {
    let mut text = String::new();
    let mut after_word = false;
    for word in words {
        match word.kind {
            Kind::Mark('.') => text.push('.'),
            Kind::Atom | Kind::Quoted if after_word => {
                return Err("words stand side by side with no comma or < between them");
            }
            Kind::Atom => text.push_str(&word.text),
            Kind::Quoted if quotes => text.push_str(&word.text),
            Kind::Encoded => return Err("an encoded word stands in the place of an address"),
            _ => return Err("it is not of the form name@domain"),
        }
        after_word = !word.is('.');
    }
    if words.iter().all(|word| word.is('.')) { Err("there is no name in it") } else { Ok(text) }
}

/// A display name from its words. Marks that belong in quotes (`a@b.com <a@b.com>`, `J. Doe`) are taken as they stand.
fn phrase(words: &[Token<'_>]) -> Option<String> {
    let mut name = String::new();
    let mut rest = words;
    while let Some((word, tail)) = rest.split_first() {
        if word.spaced && !name.is_empty() {
            name.push(' ');
        }
        rest = tail;
        match word.kind {
            Kind::Mark(mark) => name.push(mark),
            Kind::Encoded => {
                let more = tail.iter().take_while(|next| next.kind == Kind::Encoded).count();
                let run: Vec<&str> = std::iter::once(word).chain(&tail[..more]).map(|one| one.text.as_ref()).collect();
                name.push_str(&encoded_word::decode(&run.join(" ")));
                rest = &tail[more..];
            }
            _ => name.push_str(&word.text),
        }
    }
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    (!name.trim().is_empty()).then(|| name.trim().to_owned())
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
