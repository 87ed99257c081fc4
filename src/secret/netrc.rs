//! The netrc format: `machine NAME login USER password SECRET`, `default`, quotes, `macdef`.
//!
//! Bytes in, a secret out. What it looks at stays in the caller's buffer, which the caller wipes.

use super::Secret;
use zeroize::Zeroizing;

/// The password of the first entry for this host (without regard to case) and login; `default` fits every host.
pub(super) fn find(data: &[u8], host: &str, user: &str) -> Option<Secret> {
    let text = std::str::from_utf8(data).ok()?;
    let mut words = Words { rest: text };
    let mut entry = Entry::default();
    while let Some(word) = words.next_keyword() {
        match word.as_str() {
            "machine" => {
                if let Some(found) = std::mem::take(&mut entry).password_for(user) {
                    return Some(found);
                }
                entry.fits = words.next_word()?.eq_ignore_ascii_case(host);
            }
            "default" => {
                if let Some(found) = std::mem::take(&mut entry).password_for(user) {
                    return Some(found);
                }
                entry.fits = true;
            }
            "login" => entry.login = words.next_word(),
            "password" => entry.password = words.next_word(),
            "account" => drop(words.next_word()),
            "macdef" => words.skip_macro(),
            // A word that nobody knows: the rest of its line is left alone.
            _ => words.skip_line(),
        }
    }
    entry.password_for(user)
}

#[derive(Default)]
struct Entry {
    fits: bool,
    login: Option<Zeroizing<String>>,
    password: Option<Zeroizing<String>>,
}

impl Entry {
    fn password_for(self, user: &str) -> Option<Secret> {
        let fits = self.fits && self.login.is_some_and(|login| *login == user);
        let password = self.password.filter(|password| fits && !password.is_empty())?;
        Some(Secret::new(password.as_str().to_owned()))
    }
}

/// Words between blanks and line ends; in double quotes a backslash takes the next character as it stands.
struct Words<'t> {
    rest: &'t str,
}

impl Words<'_> {
    /// The next word where a keyword stands: there `#` begins a comment.
    fn next_keyword(&mut self) -> Option<Zeroizing<String>> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return self.next_word();
            }
            self.skip_line();
        }
    }

    fn next_word(&mut self) -> Option<Zeroizing<String>> {
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return None;
        }
        // Room for all of it at once: a buffer that grows leaves copies behind.
        let mut word = Zeroizing::new(String::with_capacity(self.rest.len().min(16 * 1024)));
        let quoted = self.rest.starts_with('"');
        let mut letters = self.rest.char_indices().skip(usize::from(quoted));
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' if quoted => {
                    end = at + 1;
                    break;
                }
                '\\' => word.extend(letters.next().map(|(_, escaped)| escaped)),
                blank if !quoted && blank.is_whitespace() => {
                    end = at;
                    break;
                }
                other => word.push(other),
            }
        }
        self.rest = &self.rest[end..];
        Some(word)
    }

    fn skip_line(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
    }

    /// A macro ends at an empty line.
    fn skip_macro(&mut self) {
        self.rest = self.rest.split_once("\n\n").map_or("", |(_, rest)| rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn look(text: &str, host: &str, user: &str) -> Option<String> {
        find(text.as_bytes(), host, user).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn entries() {
        let text = "# comment\nmachine a.example login joe password one\nmacdef init\nmachine x login joe password no\n\n\
                    machine a.example login ann password \"tw o\\\"\"\nmachine b.example\n\tlogin joe\n\taccount z\n\t\
                    password #three\ndefault login joe password four";
        assert_eq!(look(text, "A.example", "joe").as_deref(), Some("one"));
        assert_eq!(look(text, "a.example", "ann").as_deref(), Some("tw o\""));
        assert_eq!(look(text, "b.example", "joe").as_deref(), Some("#three"));
        assert_eq!(look(text, "c.example", "joe").as_deref(), Some("four"));
        assert_eq!(look(text, "x", "joe").as_deref(), Some("four"));
        assert_eq!(look(text, "c.example", "ann"), None);
        assert_eq!(look("machine", "c", "ann"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = find(&data, "h", "u");
        }

        #[test]
        fn any_words_are_read(text in "((machine|default|login|password|macdef|\"|\\\\|#|[a-z]| |\n){0,3}){0,10}") {
            let _ = find(text.as_bytes(), "h", "u");
        }
    }
}
