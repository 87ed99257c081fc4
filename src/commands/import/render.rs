//! The imported configuration as a commented postrider.toml. Values only; a password never stands in it.

use super::model::{Account, Fallback, Imported, Level, Password, slug};
use crate::report::printable;
use crate::secret::Secret;
use ::toml::Value;
use openssl::sha::sha256;
use std::collections::{HashMap, HashSet};

/// The text, and the secrets that go into files beside it.
pub struct Rendered<'i> {
    /// postrider.toml.
    pub toml: String,
    /// File names and what goes into them.
    pub secrets: Vec<(String, &'i Secret)>,
    /// Names of files that a person has to make.
    pub by_hand: Vec<String>,
}

/// Writes the configuration. `what` says what was imported from where.
#[must_use]
pub fn render<'i>(imported: &'i Imported, what: &str) -> Rendered<'i> {
    let mut text = Text {
        rendered: Rendered { toml: String::new(), secrets: Vec::new(), by_hand: Vec::new() },
        files: HashSet::new(),
        logins: HashMap::new(),
    };
    text.comment(what);
    text.findings(imported);
    imported.top.iter().for_each(|(key, value)| text.key(key, value));
    if !imported.queue.is_empty() {
        text.line("\n[queue]");
        imported.queue.iter().for_each(|(key, value)| text.key(key, value));
    }
    text.fallback(&imported.default);
    for (name, account) in &imported.senders {
        text.line("");
        account.comments.iter().for_each(|line| text.comment(line));
        text.line("[[sender]]");
        text.key("name", &Value::String(name.clone()));
        text.account(account, name);
    }
    let head = text.head();
    let mut rendered = text.rendered;
    rendered.toml.insert_str(0, &head);
    rendered
}

/// Servers, login, digest of the password.
type Login = (Vec<String>, Option<String>, [u8; 32]);

struct Text<'i> {
    rendered: Rendered<'i>,
    files: HashSet<String>,
    /// The file of each login: the same login at the same server has one.
    logins: HashMap<Login, String>,
}

impl<'i> Text<'i> {
    fn line(&mut self, line: &str) {
        self.rendered.toml.push_str(line);
        self.rendered.toml.push('\n');
    }

    fn comment(&mut self, text: &str) {
        self.line(format!("# {}", printable(text)).trim_end());
    }

    fn key(&mut self, key: &str, value: &Value) {
        self.line(&format!("{key} = {}", written(value)));
    }

    /// The lines before everything: how the files with secrets come to be.
    fn head(&self) -> String {
        if self.rendered.secrets.is_empty() && self.rendered.by_hand.is_empty() {
            return String::new();
        }
        "# Passwords are in files beside this one, mode 0600; `postrider import ... --write DIR` writes them.\n\
         # By hand, for each file that is named below:\n\
         #   (umask 077; cat >>FILE)            then the password as its first line\n\
         # For the daemon:\n\
         #   chown root:postrider *.password; chmod 640 *.password\n"
            .into()
    }

    fn findings(&mut self, imported: &Imported) {
        let titles =
            [(Level::Lost, "Not carried over:"), (Level::Differs, "Acts differently:"), (Level::Note, "Good to know:")];
        for (level, title) in titles {
            let found: Vec<_> = imported.findings.all().iter().filter(|finding| finding.level == level).collect();
            if !found.is_empty() {
                self.line("#");
                self.comment(title);
                found.iter().for_each(|finding| self.comment(&format!("  {}: {}", finding.place, finding.what)));
            }
        }
        if !imported.top.is_empty() {
            self.line("");
        }
    }

    fn fallback(&mut self, default: &'i Fallback) {
        match default {
            Fallback::Unsaid => {
                self.line("\n# Mail that no sender claims: without [default] an msmtprc is used where there is one; otherwise");
                self.line("# such mail is refused.");
            }
            Fallback::Refuse(why) => {
                self.line("");
                self.comment(why);
                self.line("[default]\nrelay = \"refuse\"");
            }
            Fallback::Server(account) => {
                self.line("");
                account.comments.iter().for_each(|line| self.comment(line));
                self.line("[default]");
                self.account(account, "default");
            }
        }
    }

    fn account(&mut self, account: &'i Account, name: &str) {
        self.strings("from", &account.from);
        if let Some(provider) = account.provider {
            self.key("provider", &Value::String(provider.into()));
        }
        self.strings("server", &account.servers);
        if let Some(user) = &account.user {
            self.key("user", &Value::String(user.clone()));
        }
        if let Some(password) = &account.password {
            self.password(account, password, name);
        }
        if let Some(auth) = &account.auth {
            self.key("auth", &Value::String(auth.clone()));
        }
        if account.plaintext_password {
            self.line("allow_plaintext_password = true");
        }
        if account.rewrite {
            self.line("must_match = true\non_mismatch = \"rewrite\"");
        }
        if !account.names.is_empty() {
            let pairs: Vec<String> =
                account.names.iter().map(|(a, n)| format!("{} = {}", string(a), string(n))).collect();
            self.line(&format!("names = {{ {} }}", pairs.join(", ")));
        }
        if let Some(most) = account.per_day {
            self.line(&format!("limits = [{{ recipients = {most}, per = \"day\" }}]"));
        }
        if !account.users.is_empty() {
            let users: Vec<String> = account.users.iter().map(|user| string(user)).collect();
            self.line(&format!("users = [{}]", users.join(", ")));
        }
        account.keys.iter().for_each(|(key, value)| self.key(key, value));
    }

    /// One text, or a list of several.
    fn strings(&mut self, key: &str, all: &[String]) {
        match all {
            [] => {}
            [one] => self.line(&format!("{key} = {}", string(one))),
            more => {
                let all: Vec<String> = more.iter().map(|one| string(one)).collect();
                self.line(&format!("{key} = [{}]", all.join(", ")));
            }
        }
    }

    fn password(&mut self, account: &Account, password: &'i Password, name: &str) {
        let file = match password {
            Password::Command(command) => {
                return self.line(&format!("password = {{ command = {} }}", string(command)));
            }
            Password::Known(secret) => {
                let login = (account.servers.clone(), account.user.clone(), sha256(secret.expose().as_bytes()));
                match self.logins.get(&login) {
                    Some(file) => file.clone(),
                    None => {
                        let file = self.file(name);
                        self.rendered.secrets.push((file.clone(), secret));
                        self.logins.insert(login, file.clone());
                        file
                    }
                }
            }
            Password::ByHand(how) => {
                let file = self.file(name);
                self.comment(&format!("This file has to be made by hand: {how}"));
                self.rendered.by_hand.push(file.clone());
                file
            }
        };
        self.line(&format!("password = {{ file = {} }}", string(&file)));
    }

    /// A file name that no other account has.
    fn file(&mut self, name: &str) -> String {
        let base = slug(name);
        let numbered = |number: usize| match number {
            1 => format!("{base}.password"),
            more => format!("{base}-{more}.password"),
        };
        let file = (1..).map(numbered).find(|file| !self.files.contains(file)).unwrap_or_default();
        self.files.insert(file.clone());
        file
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Table(table) => {
            let pairs: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", written(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// A basic string of TOML 1.0, on one line.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Place;
    use proptest::prelude::*;

    #[test]
    fn nothing_breaks_out_of_a_comment_or_a_string() {
        let mut imported = Imported::default();
        imported.findings.lost(&Place::new("f\nenabled = false", 1), "x\r\n[default]");
        let hostile = "a\"\\\n[default]\nrelay=\"refuse\"";
        imported.sender(
            hostile,
            Account {
                from: vec!["a@example.com".into()],
                servers: vec!["smtps://h".into()],
                user: Some(hostile.into()),
                password: Some(Password::Known(Secret::new("hunter2".into()))),
                comments: vec![hostile.into()],
                ..Account::default()
            },
        );
        let rendered = render(&imported, "from\nx");
        let value: ::toml::Table = rendered.toml.parse().unwrap();
        assert_eq!(value.keys().collect::<Vec<_>>(), ["sender"], "{}", rendered.toml);
        assert_eq!(value["sender"][0]["user"].as_str(), Some(hostile));
        assert!(!rendered.toml.contains("hunter2"));
        assert_eq!(rendered.secrets[0].0, "a----default--relay--refuse.password");
    }

    proptest! {
        #[test]
        fn any_text_is_one_toml_string(text in "\\PC{0,20}|[\\x00-\\x7f]{0,20}") {
            let table: ::toml::Table = format!("a = {}", string(&text)).parse().unwrap();
            prop_assert_eq!(table["a"].as_str(), Some(text.as_str()));
        }
    }
}
