//! esmtp: esmtprc, whose statements are `keyword = value`; `identity` begins a block for one sender address.

use super::model::{
    Account, Context, Fallback, Findings, Imported, Password, Refusal, Source, Tls, host_and_port, port, server_url,
};
use crate::config::{Place, server};
use crate::secret::Secret;
use zeroize::Zeroizing;

/// Imports an esmtprc; only the first is read, as esmtp does.
pub(super) fn import(sources: &[Source], _: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let source = &sources[0];
    for other in &sources[1..] {
        imported.findings.note(&other.at(0), "left out: esmtp reads one file only, and the first was taken");
    }
    let mut blocks = blocks(source, imported)?;
    let chosen = blocks.iter().position(|block| block.default).unwrap_or(0);
    let default = blocks.remove(chosen);
    if let Some(domain) = &default.domain {
        imported.top.push(("domain", ::toml::Value::String(domain.clone())));
    }
    // The default identity is a sender too where it has an address: -a finds it, and names hold no other.
    let mut account = default.account(&mut imported.findings);
    if let (Some(address), Some(account)) = (&default.identity, &mut account)
        && account.from.is_empty()
    {
        account.from.push(address.clone());
    }
    if let Some(account) = account {
        imported.default = Fallback::Server(Box::new(account));
    }
    if let Some(unused) = blocks.iter().find(|block| block.identity.is_none() && block.hostname.is_some()) {
        let place = unused.place.clone().unwrap_or_else(|| source.at(0));
        imported
            .findings
            .note(&place, "what stands before the first identity is left out: another identity is the default");
    }
    for block in blocks.into_iter().filter(|block| block.identity.is_some()) {
        if let (Some(mut account), Some(address)) = (block.account(&mut imported.findings), &block.identity) {
            if !account.from.contains(address) {
                account.from.insert(0, address.clone());
            }
            imported.sender(address, account);
        }
    }
    imported.no_aliases(&source.at(0), "esmtp");
    imported.findings.note(&source.at(0), "esmtp chooses the identity by -f; here the From address does too");
    Ok(())
}

/// An identity, or what stands before the first.
#[derive(Default)]
struct Block {
    place: Option<Place>,
    identity: Option<String>,
    default: bool,
    hostname: Option<(Place, String)>,
    username: Option<(Place, String)>,
    password: Option<Secret>,
    tls: Option<(Place, String)>,
    helo: Option<String>,
    domain: Option<String>,
    force: Option<(Place, String, bool)>,
}

fn blocks(source: &Source, imported: &mut Imported) -> Result<Vec<Block>, Refusal> {
    let mut blocks = vec![Block { place: Some(source.at(0)), ..Block::default() }];
    for (place, line) in source.lines(&mut imported.findings) {
        let mut rest = line;
        while let Some((keyword, value, after)) =
            statement(rest).map_err(|what| Refusal(place.clone(), what.to_owned()))?
        {
            rest = after;
            set(&mut blocks, &keyword, value, &place, &mut imported.findings);
        }
    }
    Ok(blocks)
}

type Statement<'l> = (String, Zeroizing<String>, &'l str);

/// The next statement of a line: the keyword (of two words after `force`), its value, and what follows.
fn statement(line: &str) -> Result<Option<Statement<'_>>, &'static str> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let word = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (first, mut rest) = line.split_at(word(line));
    if first.is_empty() {
        return Err("a keyword is missing here");
    }
    let mut keyword = first.to_ascii_lowercase();
    if keyword == "force" {
        rest = rest.trim_start();
        let (second, after) = rest.split_at(word(rest));
        keyword = format!("force_{}", second.to_ascii_lowercase());
        rest = after;
    }
    if keyword == "default" {
        return Ok(Some((keyword, Zeroizing::default(), rest)));
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let (value, rest) = value(rest)?;
    Ok(Some((keyword, value, rest)))
}

/// A word, or a text in quotes: it goes to the next quote, whatever stands before that, and then has the escapes of C.
fn value(text: &str) -> Result<(Zeroizing<String>, &str), &'static str> {
    let Some(quote @ ('"' | '\'')) = text.chars().next() else {
        let end = text.find(|c: char| c.is_whitespace() || c == '#').unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return if word.is_empty() {
            Err("a value is missing here")
        } else {
            Ok((Zeroizing::new(word.to_owned()), rest))
        };
    };
    let (inner, rest) = text[1..].split_once(quote).ok_or("a quote has no end in its line")?;
    Ok((unescaped(inner), rest))
}

/// The escapes of C, and numbers: hexadecimal behind an x, octal behind a 0, else decimal.
fn unescaped(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let Some(c) = after.chars().next() else {
            out.push('\\');
            return out;
        };
        let (from, radix) = match c {
            'x' | 'X' => (1, 16),
            '0' => (0, 8),
            '1'..='9' => (0, 10),
            _ => (0, 0),
        };
        if radix == 0 {
            out.push(match c {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                other => other,
            });
            rest = &after[c.len_utf8()..];
            continue;
        }
        let digits = &after[from..];
        let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
        if let Some(octet) = u8::from_str_radix(&digits[..end], radix).ok().filter(u8::is_ascii) {
            out.push(char::from(octet));
        }
        rest = &digits[end..];
    }
    out.push_str(rest);
    out
}

fn set(blocks: &mut Vec<Block>, keyword: &str, value: Zeroizing<String>, place: &Place, findings: &mut Findings) {
    if keyword == "identity" {
        if blocks.len() < 1_000 {
            blocks.push(Block { place: Some(place.clone()), identity: Some(value.to_string()), ..Block::default() });
        }
        return;
    }
    let Some(block) = blocks.last_mut() else { return };
    let kept = |value: &str| (place.clone(), value.to_owned());
    match keyword {
        "default" => block.default = true,
        "hostname" => block.hostname = Some(kept(&value)),
        "username" => block.username = Some(kept(&value)),
        "password" => block.password = Some(Secret::new(value.to_string())),
        "starttls" => block.tls = Some(kept(&value)),
        "helo" | "qualifydomain" => match server::check_host(&value) {
            Ok(()) if keyword == "helo" => block.helo = Some(value.to_string()),
            Ok(()) => block.domain = Some(value.to_string()),
            Err(error) => findings.lost(place, error),
        },
        "force_sender" => block.force = Some((place.clone(), value.to_string(), true)),
        "force_reverse_path" => {
            block.force.get_or_insert_with(|| (place.clone(), value.to_string(), false));
        }
        "certificate_passphrase" => {
            findings.lost(place, "certificate_passphrase: give client_cert and client_password = { file = \"...\" }");
        }
        "preconnect" | "postconnect" => {
            findings
                .lost(place, format!("{keyword}: no command is run around a delivery; set the tunnel up as a service"));
        }
        "mda" => findings.lost(place, "mda: mail for local users is not delivered locally, but sent to the server"),
        "msgid" => findings.note(place, "msgid: a Message-ID is added where there is none"),
        _ => findings.lost(place, "an unknown keyword; it was left out"),
    }
}

impl Block {
    fn account(&self, findings: &mut Findings) -> Option<Account> {
        let whole = self.place.clone().unwrap_or_else(|| Place::new("esmtprc", 0));
        let (place, host) = self.hostname.clone().unwrap_or_else(|| {
            findings.note(&whole, "no hostname: localhost, as before");
            (whole.clone(), "localhost".into())
        });
        let (name, given) = host_and_port(&host);
        let number = given.map_or(Some(587), port);
        let Some(number) = number else {
            findings.lost(&place, "the service is not known; write the port as a number");
            return None;
        };
        let mut account = Account { place: Some(whole), ..Account::default() };
        let tls = self.protection(findings);
        account.servers.push(server_url(name, Some(number), tls, &place, findings)?);
        if let Some((place, user)) = &self.username {
            let password =
                self.password.as_ref().map(|password| Password::Known(Secret::new(password.expose().to_owned())));
            account.login(user, password, place, findings);
            account.in_clear(place, findings);
        }
        if let Some(helo) = &self.helo {
            account.text("ehlo", helo);
        }
        self.forced(&mut account, findings);
        Some(account)
    }

    fn protection(&self, findings: &mut Findings) -> Tls {
        match self.tls.as_ref().map(|(place, value)| (place, value.as_str())) {
            Some((_, "required")) => Tls::StartTls,
            Some((place, "enabled")) => {
                findings.differs(
                    place,
                    "starttls enabled: esmtp goes on without TLS where the server offers none; here it is required",
                );
                Tls::StartTls
            }
            None | Some((_, "disabled")) => Tls::Off,
            Some((place, _)) => {
                findings.lost(place, "starttls is enabled, disabled or required; required is taken");
                Tls::StartTls
            }
        }
    }

    fn forced(&self, account: &mut Account, findings: &mut Findings) {
        let Some((place, address, header)) = &self.force else { return };
        account.from.push(address.clone());
        account.rewrite = true;
        let what =
            if *header { "force sender: a From" } else { "force reverse_path changed the envelope alone; here a From" };
        findings.differs(place, format!("{what} that is not {address} is replaced, and kept in Reply-To"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements() {
        let all = |line: &str| {
            let (mut rest, mut found) = (line.to_owned(), Vec::new());
            while let Some((keyword, value, after)) = statement(&rest).unwrap() {
                found.push(format!("{keyword}={}", *value));
                rest = after.to_owned();
            }
            found
        };
        assert_eq!(all("hostname=h:25 # x"), ["hostname=h:25"]);
        assert_eq!(all("  password 'a\"b#c' # x"), ["password=a\"b#c"]);
        assert_eq!(all(r#"password "a\tb\\c\x41\101\065z\" # x"#), ["password=a\tb\\cAe5z\\"]);
        assert_eq!(
            all("identity 'me@x' default starttls = required"),
            ["identity=me@x", "default=", "starttls=required"]
        );
        assert_eq!(all("force reverse_path=a@b"), ["force_reverse_path=a@b"]);
        assert!(statement("password \"x").is_err() && statement("=x").is_err() && statement("hostname").is_err());
    }

    proptest! {
        #[test]
        fn any_line_comes_to_an_end(line in "\\PC{0,60}") {
            let mut rest = line.as_str();
            while let Ok(Some((_, _, after))) = statement(rest) {
                prop_assert!(after.len() < rest.len());
                rest = after;
            }
        }
    }
}
