//! nullmailer: the control files of /etc/nullmailer, each one line or, as `remotes`, several.

use super::model::{Account, Context, Fallback, Findings, Imported, Password, Refusal, Source, Tls, port, server_url};
use crate::config::{Place, server};
use crate::secret::Secret;
use zeroize::Zeroizing;

/// The control files that are read.
pub(super) const FILES: [&str; 14] = [
    "remotes",
    "me",
    "defaultdomain",
    "defaulthost",
    "adminaddr",
    "allmailfrom",
    "helohost",
    "idhost",
    "pausetime",
    "maxpause",
    "sendtimeout",
    "queuelifetime",
    "doublebounceto",
    "bouncefrom",
];

/// Imports control files, told apart by their names.
pub(super) fn import(sources: &[Source], _: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let find = |name: &str| sources.iter().find(|source| source.path.file_name().is_some_and(|own| own == name));
    let Some(remotes) = find("remotes") else {
        return Err(Refusal(sources[0].at(0), "remotes is not among the files; name the directory".into()));
    };
    let files = Files { sources };
    domain(&files, imported);
    queue(&files, imported);
    remarks(&files, imported);
    let mut remotes = read_remotes(remotes, imported).into_iter();
    let Some(mut account) = remotes.next() else {
        imported.default = Fallback::Refuse("nullmailer's remotes named no SMTP server.".into());
        return Ok(());
    };
    for other in remotes {
        stand_in(&mut account, &other, &mut imported.findings);
    }
    let helo = files.first("helohost", &mut imported.findings).or_else(|| files.first("me", &mut imported.findings));
    if let Some((place, name)) = helo {
        match server::check_host(name) {
            Ok(()) => account.text("ehlo", name),
            Err(error) => imported.findings.lost(&place, error),
        }
    }
    imported.default = Fallback::Server(Box::new(account));
    Ok(())
}

struct Files<'s> {
    sources: &'s [Source],
}

impl<'s> Files<'s> {
    /// The first line of a control file that is not empty, with its place.
    fn first(&self, name: &str, findings: &mut Findings) -> Option<(Place, &'s str)> {
        let source = self.sources.iter().find(|source| source.path.file_name().is_some_and(|own| own == name))?;
        let lines = source.lines(findings);
        lines
            .into_iter()
            .map(|(place, line)| (place, line.trim()))
            .find(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    }

    fn seconds(&self, name: &str, findings: &mut Findings) -> Option<(Place, u64)> {
        let (place, text) = self.first(name, findings)?;
        match text.parse() {
            Ok(seconds) => Some((place, seconds)),
            Err(_) => {
                findings.lost(&place, format!("{name} is a number of seconds"));
                None
            }
        }
    }
}

/// What stands behind a bare name: defaulthost, else me; with defaultdomain where it has no dot.
fn domain(files: &Files<'_>, imported: &mut Imported) {
    let findings = &mut imported.findings;
    let Some((place, host)) = files.first("defaulthost", findings).or_else(|| files.first("me", findings)) else {
        return;
    };
    let name = match files.first("defaultdomain", findings) {
        Some((_, domain)) if !host.contains('.') => format!("{host}.{domain}"),
        _ => host.to_owned(),
    };
    match server::check_host(&name) {
        Ok(()) => imported.top.push(("domain", ::toml::Value::String(name))),
        Err(error) => imported.findings.lost(&place, error),
    }
}

/// The waits of the queue: pausetime, doubled each time up to maxpause.
fn queue(files: &Files<'_>, imported: &mut Imported) {
    let findings = &mut imported.findings;
    let (pause, most) = (files.seconds("pausetime", findings), files.seconds("maxpause", findings));
    if pause.is_some() || most.is_some() {
        let most = most.map_or(86_400, |(_, seconds)| seconds).clamp(1, 86_400);
        let first = pause.map_or(60, |(_, seconds)| seconds).clamp(1, most);
        let doubled = std::iter::successors(Some(first), |wait| (*wait < most).then(|| (wait * 2).min(most)));
        let waits = doubled.take(20).map(|wait| ::toml::Value::String(format!("{wait}s"))).collect();
        imported.queue.push(("retry", ::toml::Value::Array(waits)));
    }
    let day = 86_400;
    if let Some((_, seconds)) = files.seconds("queuelifetime", &mut imported.findings).filter(|(_, life)| *life > 0) {
        let life = seconds.clamp(60, 30 * day);
        imported.queue.push(("expire_after", ::toml::Value::String(format!("{life}s"))));
    }
    if let Some((place, to)) = files.first("doublebounceto", &mut imported.findings) {
        match crate::message::address::Address::parse(to) {
            Ok(address) => imported.queue.push(("postmaster", ::toml::Value::String(address.to_string()))),
            Err(error) => imported.findings.lost(&place, format!("doublebounceto: {error}")),
        }
    }
}

fn remarks(files: &Files<'_>, imported: &mut Imported) {
    match files.first("adminaddr", &mut imported.findings) {
        Some((place, to)) => {
            imported.default_recipient(to, &place, "adminaddr");
            let me = files.first("me", &mut imported.findings).map(|(_, name)| name);
            let hosts = std::iter::once("localhost").chain(me.filter(|name| server::check_host(name).is_ok()));
            let hosts = hosts.map(|host| ::toml::Value::String(host.to_owned())).collect();
            imported.top.push(("local_domains", ::toml::Value::Array(hosts)));
        }
        None => imported.no_aliases(&files.sources[0].at(0), "nullmailer"),
    }
    let findings = &mut imported.findings;
    if let Some((place, _)) = files.first("me", findings) {
        findings.note(
            &place,
            "me: Debian's nullmailer reads /etc/mailname in its place; if that says another name, give domain and ehlo",
        );
    }
    if files.first("allmailfrom", findings).is_none() {
        let what = "without -f the envelope sender was the caller's name at this host; here it is the From address";
        findings.differs(&files.sources[0].at(0), what);
    }
    if let Some((place, from)) = files.first("allmailfrom", findings) {
        let what = format!(
            "allmailfrom: every envelope sender was {from}; here give -f, or must_match = true with on_mismatch = \"rewrite\" in [default]"
        );
        findings.lost(&place, what);
    }
    for name in ["idhost", "bouncefrom", "sendtimeout"] {
        if let Some((place, _)) = files.first(name, findings) {
            findings.note(&place, format!("{name} has no counterpart and needs none"));
        }
    }
}

/// The SMTP servers, in order.
fn read_remotes(source: &Source, imported: &mut Imported) -> Vec<Account> {
    let mut remotes = Vec::new();
    for (place, line) in source.lines(&mut imported.findings) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || remotes.len() == 10 {
            continue;
        }
        match words(line) {
            Some(words) => remotes.extend(remote(&words, &place, &mut imported.findings)),
            None => imported.findings.lost(&place, "a quote has no end; the remote is left out"),
        }
    }
    remotes
}

/// `host [protocol] [options]`.
fn remote(words: &[Zeroizing<String>], place: &Place, findings: &mut Findings) -> Option<Account> {
    let (host, rest) = words.split_first()?;
    let (protocol, options) = match rest.split_first() {
        Some((protocol, options)) if !protocol.starts_with('-') && !protocol.contains('=') => {
            (protocol.as_str(), options)
        }
        _ => ("smtp", rest),
    };
    if protocol != "smtp" {
        findings.lost(place, "only the protocol smtp has a counterpart; the remote is left out");
        return None;
    }
    let mut account = Account { place: Some(place.clone()), ..Account::default() };
    let (mut tls, mut number, mut user, mut password) = (Tls::Off, None, None, None);
    for option in options {
        let option = option.trim_start_matches('-');
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "port" | "p" => number = port(value).or(number),
            "user" | "u" => user = Some(value),
            "pass" => password = Some(value),
            "auth-login" => account.auth = Some("login".into()),
            "ssl" => tls = Tls::AtOnce,
            "starttls" | "tls" => tls = Tls::StartTls,
            "insecure" => account.keys.push(("tls_check", ::toml::Value::Boolean(false))),
            "x509cafile" => account.text("ca_file", value),
            "x509certfile" => account.text("client_cert", value),
            "source" => account.text("source", value),
            "x509crlfile" => {
                findings.lost(place, "x509crlfile: revocation lists are not read; fingerprint pins the server")
            }
            "x509fmtder" => findings.lost(place, "x509fmtder: certificates have to be PEM or PKCS#12"),
            _ => findings.lost(place, "an option of this remote is not known and was left out"),
        }
    }
    let number = number.unwrap_or(if tls == Tls::AtOnce { 465 } else { 25 });
    account.servers.push(server_url(host, Some(number), tls, place, findings)?);
    account.keys.retain(|(key, value)| {
        *key != "source" || value.as_str().is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_ok())
    });
    if let Some(user) = user {
        let password = password.map(|password| Password::Known(Secret::new(password.to_owned())));
        account.login(user, password, place, findings);
        account.in_clear(place, findings);
    }
    Some(account)
}

/// A further remote takes over where the first is gone, if it has the same login.
fn stand_in(account: &mut Account, other: &Account, findings: &mut Findings) {
    let password = |account: &Account| match &account.password {
        Some(Password::Known(secret)) => Some(Zeroizing::new(secret.expose().to_owned())),
        _ => None,
    };
    let same = account.user == other.user && password(account) == password(other) && account.keys == other.keys;
    if !same {
        let what =
            "this remote has another login or other options than the first, so it cannot stand in for it; left out";
        return findings.lost(&other.place(), what);
    }
    for server in &other.servers {
        if !account.servers.contains(server) {
            account.servers.push(server.clone());
        }
    }
    account.plaintext_password |= other.plaintext_password;
}

/// Words as a shell splits them: blanks, single and double quotes, backslash; `None` where a quote has no end.
fn words(line: &str) -> Option<Vec<Zeroizing<String>>> {
    let mut words = Vec::new();
    let mut word: Option<Zeroizing<String>> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().push(chars.next()?),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.take());
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_and_quotes() {
        let split = |line: &str| words(line).map(|words| words.iter().map(|word| word.to_string()).collect::<Vec<_>>());
        assert_eq!(split("h smtp --pass='a b'\"c\\\"d\" \\ e ''").unwrap(), ["h", "smtp", "--pass=a bc\"d", " e", ""]);
        assert!(split("h 'x").is_none() && split("x\\").is_none());
    }

    proptest! {
        #[test]
        fn any_line_is_split(line in "\\PC{0,60}") {
            let _ = words(&line);
        }
    }
}
