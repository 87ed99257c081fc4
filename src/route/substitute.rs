//! msmtp's `from` substitutions and its shell-like pattern match.

use crate::message::address::Address;

/// What the substitutions of `from` and `domain` stand for.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// `%U`: the calling user.
    pub user: &'a str,
    /// `%H`: the host's name.
    pub host: &'a str,
    /// `%C`: the host's canonical name.
    pub canonical: &'a str,
    /// `%M`: the first line of /etc/mailname, or the host's name.
    pub mailname: &'a str,
    /// `%F`: the From header's address.
    pub from: Option<&'a Address>,
}

/// Replaces `%U %H %C %M %F`; other percent signs stay.
#[must_use]
pub fn substitute(text: &str, facts: &Facts<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('U') => out.push_str(facts.user),
            Some('H') => out.push_str(facts.host),
            Some('C') => out.push_str(facts.canonical),
            Some('M') => out.push_str(facts.mailname),
            Some('F') => out.push_str(facts.from.map_or("", Address::as_str)),
            other => {
                out.push('%');
                out.extend(other);
            }
        }
    }
    out
}

/// Shell pattern match of a whole text: `*`, `?`, `[a-z]`, `[!a]`, backslash (POSIX fnmatch without flags).
#[must_use]
pub fn fnmatch(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Greedy with one place to come back to: linear in practice, never exponential.
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            back = Some((p + 1, t));
            p += 1;
        } else if let Some(width) = one(&pattern[p.min(pattern.len())..], text[t]) {
            p += width;
            t += 1;
        } else if let Some((after, from)) = back {
            back = Some((after, from + 1));
            (p, t) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|c| *c == '*')
}

/// Matches one character; how many pattern characters that took.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == c).then_some(2),
        ['[', set @ ..] => match bracket(set, c) {
            Some((true, width)) => Some(width + 1),
            Some((false, _)) => None,
            None => (c == '[').then_some(1),
        },
        [first, ..] => (*first == c).then_some(1),
        [] => None,
    }
}

/// A bracket expression: whether it has the character and how long it is, or `None` where it is not closed.
fn bracket(set: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(set.first(), Some('!' | '^'));
    let mut at = usize::from(negated);
    let mut found = false;
    let first = at;
    loop {
        match set.get(at..)? {
            [']', ..] if at > first => return Some((found != negated, at + 1)),
            [low, '-', high, ..] if *high != ']' => {
                found |= (*low..=*high).contains(&c);
                at += 3;
            }
            [only, ..] => {
                found |= *only == c;
                at += 1;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnmatch_has_the_shell_meaning() {
        for (pattern, text, fits) in [
            ("*@example.com", "joe@example.com", true),
            ("*@example.com", "joe@example.org", false),
            ("j?e@*", "joe@x", true),
            ("j[a-o]e@x", "joe@x", true),
            ("j[!o]e@x", "joe@x", false),
            ("j[]o]e@x", "joe@x", true),
            ("j[oe@x", "j[oe@x", true),
            ("a*b*c", "aXbYbZc", true),
            ("*", "", true),
            ("?", "", false),
            ("\\*", "*", true),
            ("*@Example.com", "joe@example.com", false),
        ] {
            assert_eq!(fnmatch(pattern, text), fits, "{pattern} {text}");
        }
        assert!(!fnmatch(&"*a".repeat(50), &"b".repeat(5000)));
    }

    #[test]
    fn substitutions() {
        let from = Address::parse("joe@example.com").unwrap();
        let facts = Facts { user: "u", host: "h", canonical: "h.x", mailname: "m", from: Some(&from) };
        assert_eq!(substitute("%U@%H %C %M %F %% %x %", &facts), "u@h h.x m joe@example.com %% %x %");
    }
}
