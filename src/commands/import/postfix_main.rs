//! Postfix's main.cf (postconf(5)): logical lines, and `$name` in values. Pure.

use super::model::{Findings, Source};
use crate::config::Place;
use std::cell::Cell;
use std::collections::HashMap;

/// The deepest chain of `$name` that is followed.
const DEPTH: usize = 20;
/// The most substitutions of one value, and its longest result in octets: names that double each other stay bounded.
const SUBSTITUTIONS: usize = 1_000;
const LONGEST: usize = 64 * 1024;

/// The parameters of a main.cf, each with its last value.
#[derive(Clone)]
pub(super) struct Main<'s> {
    values: HashMap<&'s str, (Place, String)>,
    hostname: String,
    /// $config_directory.
    folder: String,
    /// Substitutions that the value at hand may still make.
    left: Cell<usize>,
}

impl<'s> Main<'s> {
    /// Reads a main.cf; `hostname` is what $myhostname is without one.
    pub fn parse(source: &'s Source, hostname: &str, findings: &mut Findings) -> Self {
        let folder = source.path.parent().map(|folder| folder.display().to_string());
        let folder = folder.filter(|folder| !folder.is_empty()).unwrap_or_else(|| ".".into());
        let mut main = Self { values: HashMap::new(), hostname: hostname.to_owned(), folder, left: Cell::new(0) };
        let mut last: Option<&str> = None;
        for (place, line) in source.lines(findings) {
            if line.trim().is_empty() || line.starts_with('#') || line.trim_start().starts_with('#') {
                continue;
            }
            if line.starts_with([' ', '\t']) {
                match last.and_then(|name| main.values.get_mut(name)) {
                    Some((_, value)) => {
                        value.push(' ');
                        value.push_str(line.trim());
                    }
                    None => findings.lost(&place, "this line goes on with nothing; it was left out"),
                }
                continue;
            }
            last = None;
            match line.split_once('=') {
                Some((name, value)) => {
                    let name = name.trim();
                    main.values.insert(name, (place, value.trim().to_owned()));
                    last = Some(name);
                }
                None => findings.lost(&place, "this is no parameter (name = value); it was left out"),
            }
        }
        main
    }

    /// The same with some parameters set otherwise.
    pub fn with(&self, settings: impl IntoIterator<Item = (&'s str, Place, String)>) -> Self {
        let mut main = self.clone();
        main.values.extend(settings.into_iter().map(|(name, place, value)| (name, (place, value))));
        main
    }

    /// Where a parameter stands.
    pub fn place(&self, name: &str) -> Option<&Place> {
        self.values.get(name).map(|(place, _)| place)
    }

    /// A value with its substitutions made; `None` where it is not set or empty.
    pub fn get(&self, name: &str) -> Option<String> {
        self.left.set(SUBSTITUTIONS);
        let value = self.value(name, 0);
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Whether a switch is on.
    pub fn on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("yes"))
    }

    fn value(&self, name: &str, depth: usize) -> String {
        match self.values.get(name) {
            Some((_, raw)) => self.expand(raw, depth),
            None => match name {
                "myhostname" => self.hostname.clone(),
                "mydomain" => {
                    let host = self.value("myhostname", depth + 1);
                    host.split_once('.')
                        .filter(|(_, rest)| rest.contains('.'))
                        .map_or(host.clone(), |(_, rest)| rest.to_owned())
                }
                "config_directory" => self.folder.clone(),
                "myorigin" | "smtp_helo_name" => self.value("myhostname", depth + 1),
                _ => String::new(),
            },
        }
    }

    /// `$name`, `${name}`, `$(name)`, `${name?text}`, `${name:text}`, `${name?{text}:{text}}`, `$$`.
    fn expand(&self, raw: &str, depth: usize) -> String {
        let mut out = String::new();
        let mut rest = raw;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if depth >= DEPTH || out.len() > LONGEST || self.left.get() == 0 {
                return cut(out);
            }
            self.left.set(self.left.get() - 1);
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((inner, after)) = braced(rest) {
                out.push_str(&self.conditional(inner, depth + 1));
                rest = after;
            } else {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                out.push_str(&self.value(&rest[..end], depth + 1));
                rest = &rest[end..];
            }
        }
        out.push_str(rest);
        cut(out)
    }

    fn conditional(&self, inner: &str, depth: usize) -> String {
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        let value = self.value(name, depth);
        let text = |text: &str| {
            let text = text.trim();
            let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
            self.expand(inner, depth)
        };
        match rest.split_at_checked(1) {
            Some(("?", rest)) => {
                let (yes, no) = match rest.trim_start().starts_with('{').then(|| braced(rest.trim_start())).flatten() {
                    Some((yes, after)) => (yes, after.trim_start().strip_prefix(':').unwrap_or_default()),
                    None => (rest, ""),
                };
                if value.is_empty() { text(no) } else { text(yes) }
            }
            Some((":", rest)) if value.is_empty() => text(rest),
            Some((":", _)) => String::new(),
            _ => value,
        }
    }
}

/// No more than the longest value.
fn cut(mut text: String) -> String {
    let end = (0..=text.len().min(LONGEST)).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

/// `{...}` or `(...)` at the beginning: what is inside, and what follows.
fn braced(text: &str) -> Option<(&str, &str)> {
    let (open, close) = match text.as_bytes().first()? {
        b'{' => ('{', '}'),
        b'(' => ('(', ')'),
        _ => return None,
    };
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == open) - i32::from(c == close);
        if depth == 0 {
            return Some((&text[1..at], &text[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn main_cf(text: &str) -> Source {
        Source { path: "main.cf".into(), data: zeroize::Zeroizing::new(text.as_bytes().to_vec()) }
    }

    fn get(text: &str, name: &str) -> Option<String> {
        Main::parse(&main_cf(text), "box.example.com", &mut Findings::default()).get(name)
    }

    #[test]
    fn lines_and_substitutions() {
        let text = "# x\nrelayhost = [smtp.$mydomain]:587\n a = no line of its own\nmaps = hash:/a\n  # a comment between\n\thash:/b\n\
                    relayhost=[${mydomain}]:25\nloop = $loop x\nq = ${maps?yes}${none?no}${none:else}${maps?{a}:{b}}${none?{a}:{b}} $$\nempty =\n";
        assert_eq!(get(text, "relayhost").as_deref(), Some("[example.com]:25"));
        assert_eq!(get(text, "maps").as_deref(), Some("hash:/a hash:/b"));
        assert_eq!(get(text, "q").as_deref(), Some("yeselseab $"));
        assert_eq!((get(text, "empty"), get(text, "unset")), (None, None));
        assert_eq!(get(text, "myorigin").as_deref(), Some("box.example.com"));
        assert!(get(text, "loop").is_some());
    }

    proptest! {
        #[test]
        fn any_text_stays_bounded(text in "([ab] ?= ?|[$\\{\\}\\(\\)?: \n]|a|b){0,60}") {
            let value = get(&text.replace("a}", "a = $a$a$a${a}${b}x"), "a").unwrap_or_default();
            prop_assert!(value.len() <= LONGEST);
        }
    }
}
