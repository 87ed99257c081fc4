//! What a server may repeat of a login, found again in its words and hidden: the secret itself, and every encoded form in
//! which it is likely to come back. It holds for as long as the session, as a server may say it at any time.
//!
//! Looked for are six octets in a row of any form, so that pieces are hidden too, without regard to case and to which of
//! the two alphabets of base64 it is. Kept are keyed hashes of these pieces, not the secret.

use super::{AuthPayload, Credentials};
use openssl::base64::encode_block;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// What a server repeats in shorter pieces than this gives nothing away, octets.
const PIECE: usize = 6;
/// The shortest secret that is looked for in what the server says: a shorter one is in every other word, octets.
const SHORTEST: usize = 3;
/// What stands in the place of what is hidden.
const MARK: &str = "[hidden]";

/// The most accounts of which it is remembered over sessions.
const MOST: usize = 1000;

/// By account: a server may repeat in the greeting of one session what it learned in another.
static KNOWN: Mutex<BTreeMap<String, Hidden>> = Mutex::new(BTreeMap::new());

fn known() -> MutexGuard<'static, BTreeMap<String, Hidden>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What must not be shown.
#[derive(Clone, Debug, Default)]
pub struct Hidden {
    key: RandomState,
    /// Hashes of every `PIECE` octets in a row, sorted.
    pieces: Vec<u64>,
    /// Secrets that are shorter: length and hash.
    short: Vec<(usize, u64)>,
}

impl Hidden {
    /// Whether there is nothing to hide.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.short.is_empty()
    }

    /// What this process has last logged in with to an account.
    #[must_use]
    pub fn of_account(account: &str) -> Self {
        known().get(account).cloned().unwrap_or_default()
    }

    /// Remembers it for the sessions to come.
    pub fn remember(&self, account: &str) {
        let mut known = known();
        if known.len() < MOST || known.contains_key(account) {
            known.insert(account.to_owned(), self.clone());
        }
    }

    /// Hides what an account logs in with.
    pub fn add(&mut self, credentials: &Credentials<'_>) {
        let (user, secret) = (credentials.user, credentials.secret.expose());
        self.add_form(secret.as_bytes(), SHORTEST);
        for form in forms(user, secret) {
            self.add_form(form.as_bytes(), SHORTEST + 1);
        }
        self.sort();
    }

    /// Hides a message of a mechanism in the form that the server gets it.
    pub fn add_payload(&mut self, payload: &AuthPayload) {
        self.add_form(payload.expose().as_bytes(), SHORTEST + 1);
        self.sort();
    }

    /// A form of which nothing is looked for where it is shorter than `least`.
    fn add_form(&mut self, form: &[u8], least: usize) {
        let form = folded(form);
        let key = &self.key;
        self.pieces.extend(form.windows(PIECE).map(|piece| key.hash_one(piece)));
        if (least..PIECE).contains(&form.len()) {
            self.short.push((form.len(), key.hash_one(form.as_slice())));
        }
    }

    fn sort(&mut self) {
        self.pieces.sort_unstable();
        self.pieces.dedup();
        self.short.sort_unstable();
        self.short.dedup();
    }

    fn hash(&self, octets: &[u8]) -> u64 {
        self.key.hash_one(octets)
    }

    /// The text without what must not be shown.
    #[must_use]
    pub fn redacted(&self, text: &str) -> String {
        let mut lines = [text.to_owned()];
        self.redact(&mut lines);
        let [text] = lines;
        text
    }

    /// The same for the lines of a reply, where what must not be shown may be spread over several.
    pub fn redact(&self, lines: &mut [String]) {
        if self.is_empty() {
            return;
        }
        let text: Vec<u8> = lines.iter().flat_map(|line| line.bytes().map(fold)).collect();
        let mut hide = vec![false; text.len()];
        let mut mark = |at: usize, len: usize| hide[at..at + len].fill(true);
        for (at, piece) in text.windows(PIECE).enumerate() {
            if self.pieces.binary_search(&self.hash(piece)).is_ok() {
                mark(at, PIECE);
            }
        }
        for &(len, hash) in &self.short {
            for (at, _) in text.windows(len).enumerate().filter(|(_, piece)| self.hash(piece) == hash) {
                mark(at, len);
            }
        }
        let mut rest = hide.as_slice();
        for line in lines {
            let (own, others) = rest.split_at(line.len());
            rest = others;
            if own.contains(&true) {
                *line = masked(line, own);
            }
        }
    }
}

/// A line with a mark in the place of every run of octets that are to be hidden.
fn masked(line: &str, hide: &[bool]) -> String {
    let mut out = String::with_capacity(line.len());
    let mut hidden = false;
    for (at, c) in line.char_indices() {
        let hide = hide[at..at + c.len_utf8()].contains(&true);
        match (hide, hidden) {
            (false, _) => out.push(c),
            (true, false) => out.push_str(MARK),
            (true, true) => {}
        }
        hidden = hide;
    }
    out
}

/// The other forms in which a secret may come back: as it looks once control characters are gone, in base64 alone,
/// with the login before it, and in the middle of anything else; in hexadecimal digits, with percent signs, and as xtext.
fn forms(user: &str, secret: &str) -> Vec<Zeroizing<String>> {
    let octets = secret.as_bytes();
    let escaped = |mark: char| -> String {
        let one = |octet: &u8| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => char::from(*octet).to_string(),
            octet => format!("{mark}{octet:02x}"),
        };
        octets.iter().map(one).collect()
    };
    let mut forms = vec![
        secret.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        octets.iter().map(|octet| format!("{octet:02x}")).collect(),
        escaped('%'),
        escaped('+'),
    ];
    if octets.len() < SHORTEST {
        forms.clear();
    }
    forms.extend([
        encode_block(octets),
        encode_block(format!("{user}:{secret}").as_bytes()),
        encode_block(format!("\0{user}\0{secret}").as_bytes()),
        encode_block(format!("{user}\0{user}\0{secret}").as_bytes()),
    ]);
    forms.extend((0..3).map(|before| within(before, octets)));
    forms.into_iter().map(Zeroizing::new).collect()
}

/// The characters of base64 that hang on a secret alone, with so many octets before it and whatever after it.
fn within(before: usize, secret: &[u8]) -> String {
    let mut octets = Zeroizing::new(vec![0; before]);
    octets.extend_from_slice(secret);
    let encoded = encode_block(&octets);
    let (first, end) = ((before * 8).div_ceil(6), octets.len() * 8 / 6);
    encoded.get(first..end).unwrap_or_default().to_owned()
}

fn folded(octets: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(octets.iter().copied().map(fold).collect())
}

/// One case, and one of the two alphabets of base64 (RFC 4648 section 5).
fn fold(octet: u8) -> u8 {
    match octet {
        b'-' => b'+',
        b'_' => b'/',
        octet => octet.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn hidden(user: &str, secret: &str) -> Hidden {
        let secret = Secret::new(secret.into());
        let mut hidden = Hidden::default();
        hidden.add(&Credentials::new(user, &secret));
        hidden
    }

    #[test]
    fn every_form_of_a_secret() {
        let hidden = hidden("shop@example.com", "S3cret-Pass\u{e4}?>x");
        let forms = [
            "S3cret-Pass\u{e4}?>x".to_owned(),
            "s3CRET-pass\u{e4}?>X".to_owned(),
            encode_block("S3cret-Pass\u{e4}?>x".as_bytes()),
            encode_block("\0shop@example.com\0S3cret-Pass\u{e4}?>x".as_bytes()),
            encode_block("shop@example.com:S3cret-Pass\u{e4}?>x".as_bytes()).replace('+', "-").replace('/', "_"),
            "53336372 65742d5061".replace(' ', ""),
            "S3cret-Pass%C3%A4%3F%3Ex".to_owned(),
        ];
        for form in forms {
            let said = hidden.redacted(&format!("550 5.7.1 no {form} here"));
            assert!(said.starts_with("550 5.7.1 no [hidden]") && said.ends_with(" here"), "{form}: {said}");
        }
        for others in ["somebody:S3cret-Pass\u{e4}?>x:1", "xS3cret-Pass\u{e4}?>x", "xyzzS3cret-Pass\u{e4}?>x?!"] {
            let encoded = encode_block(others.as_bytes());
            let said = hidden.redacted(&encoded);
            let longest = said.split(MARK).map(str::len).max().unwrap_or_default();
            assert!(said.contains(MARK) && longest < encoded.len() / 2, "{others}: {said}");
        }
        let plain = "550 5.1.1 <nobody@example.org>: user shop@example.com may not send there";
        assert_eq!(hidden.redacted(plain), plain);
    }

    #[test]
    fn pieces_and_lines() {
        let hidden = hidden("u", "correcthorse");
        let mut lines = vec!["it is corr".to_owned(), "ecthorse".to_owned(), "ok".to_owned()];
        hidden.redact(&mut lines);
        assert_eq!(lines, ["it is [hidden]", "[hidden]", "ok"]);
        assert_eq!(hidden.redacted("a horse, correct"), "a horse, [hidden]");
        assert_eq!(Hidden::default().redacted("correcthorse"), "correcthorse");
    }

    #[test]
    fn short_secrets() {
        assert_eq!(
            hidden("user", "abc").redacted("no ABC, nor YWJj? dXNlcjphYmM="),
            "no [hidden], nor [hidden]? [hidden]"
        );
        assert_eq!(hidden("user", "ab").redacted("a cab; AHVzZXIAYWI="), "a cab; [hidden]");
        assert_eq!(hidden("user", "").redacted("nothing"), "nothing");
    }

    #[test]
    fn what_is_kept_does_not_show_it() {
        assert!(!format!("{:?}", hidden("user", "correcthorse")).contains("correct"));
    }
}
