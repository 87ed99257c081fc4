//! DragonFly Mail Agent: dma.conf (`KEY value`, or a key alone for yes) and auth.conf (`user|host:password`).

use super::model::{Account, Context, Fallback, Findings, Imported, Password, Refusal, Source, Tls, port, server_url};
use crate::config::{Place, server};
use crate::secret::Secret;
use std::collections::HashMap;
use std::path::Path;

const KNOWN: [&str; 18] = [
    "SMARTHOST",
    "PORT",
    "ALIASES",
    "SPOOLDIR",
    "VIRTPATH",
    "AUTHPATH",
    "VIRTUAL",
    "SECURETRANSFER",
    "STARTTLS",
    "FINGERPRINT",
    "OPPORTUNISTIC_TLS",
    "CERTFILE",
    "SECURE",
    "INSECURE",
    "DEFER",
    "FULLBOUNCE",
    "MAILNAME",
    "MASQUERADE",
];
const KNOWN_TOO: [&str; 2] = ["NULLCLIENT", "VERIFYCERT"];

type Keys<'s> = HashMap<&'s str, (Place, &'s str)>;

/// Imports dma.conf; the auth.conf that it names, or the second file, has the logins.
pub(super) fn import(sources: &[Source], context: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let is_auth = |source: &&Source| source.path.file_name().is_some_and(|name| name == "auth.conf");
    let (auth, conf): (Vec<&Source>, Vec<&Source>) = sources.iter().partition(is_auth);
    let conf = conf.first().ok_or_else(|| Refusal(sources[0].at(0), "name dma.conf too".into()))?;
    let keys = keys(conf, &mut imported.findings);
    names(&keys, context, imported)?;
    aliases(&keys, conf, imported);
    remarks(&keys, &mut imported.findings);
    if !keys.contains_key("MASQUERADE") {
        let what = "without -f the envelope sender was the caller's name at this host; here it is the From address";
        imported.findings.differs(&conf.at(0), what);
    }
    let Some((place, host)) = keys.get("SMARTHOST").filter(|(_, host)| !host.is_empty()) else {
        let what = "there is no SMARTHOST: dma brings mail to each domain's own server, which postrider does not; it needs an account";
        imported.findings.lost(&conf.at(0), what);
        imported.default = Fallback::Refuse("dma had no SMARTHOST: no server to send to.".into());
        return Ok(());
    };
    let Some(mut account) = relay(&keys, place, host, &mut imported.findings) else { return Ok(()) };
    let found;
    let auth = match (auth.first(), keys.get("AUTHPATH")) {
        (Some(auth), _) => Some(*auth),
        (None, Some((at, path))) => {
            found = (context.read)(&super::beside(&conf.at(0), path)).map_err(|what| Refusal(at.clone(), what))?;
            if found.is_none() {
                imported.findings.lost(at, format!("AUTHPATH {path} is not there"));
            }
            found.as_ref()
        }
        (None, None) => None,
    };
    if let Some(auth) = auth {
        login(auth, host, &mut account, &mut imported.findings);
    }
    in_clear(&keys, place, &mut account, &mut imported.findings);
    masquerade(&keys, &mut account, imported);
    imported.default = Fallback::Server(Box::new(account));
    Ok(())
}

fn keys<'s>(conf: &'s Source, findings: &mut Findings) -> Keys<'s> {
    let mut keys = Keys::new();
    for (place, line) in conf.lines(findings) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        if KNOWN.contains(&key) || KNOWN_TOO.contains(&key) {
            keys.insert(key, (place, value.trim()));
        } else {
            findings.lost(&place, "an unknown key; it was left out");
        }
    }
    keys
}

fn relay(keys: &Keys<'_>, place: &Place, host: &str, findings: &mut Findings) -> Option<Account> {
    let tls = match (keys.contains_key("SECURETRANSFER"), keys.contains_key("STARTTLS")) {
        (false, _) => Tls::Off,
        (true, true) => Tls::StartTls,
        (true, false) => Tls::AtOnce,
    };
    let number = match keys.get("PORT") {
        Some((at, text)) => port(text).or_else(|| {
            findings.lost(at, "PORT is a number from 1 to 65535; 25 is taken");
            None
        }),
        None => None,
    };
    let url = server_url(host, Some(number.unwrap_or(25)), tls, place, findings)?;
    let mut account = Account { place: Some(place.clone()), servers: vec![url], ..Account::default() };
    if let Some((at, _)) = keys.get("OPPORTUNISTIC_TLS").filter(|_| tls == Tls::StartTls) {
        findings.differs(at, "OPPORTUNISTIC_TLS: dma goes on without TLS where STARTTLS fails; here it is required");
    }
    if tls == Tls::Off {
        return Some(account);
    }
    if let Some((at, digest)) = keys.get("FINGERPRINT") {
        let digits = digest.chars().filter(|c| *c != ':').count();
        if digits == 64 && digest.chars().all(|c| c == ':' || c.is_ascii_hexdigit()) {
            account.text("fingerprint", *digest);
        } else {
            findings.lost(at, "FINGERPRINT is not 64 hex digits (SHA-256)");
        }
    } else if !keys.contains_key("VERIFYCERT") {
        let what = "dma does not check the server's certificate, postrider does; for a certificate of your own: ca_file = \"...\"";
        findings.differs(place, what);
    }
    if let Some((_, file)) = keys.get("CERTFILE").filter(|(_, file)| !file.is_empty()) {
        account.text("client_cert", *file);
    }
    Some(account)
}

/// The line of auth.conf for the smart host.
fn login(auth: &Source, host: &str, account: &mut Account, findings: &mut Findings) {
    let bare = |text: &str| text.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    for (place, line) in auth.lines(findings) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The password may hold anything, the login no bar.
        let parts = line.split_once('|').and_then(|(user, rest)| Some((user, rest.split_once(':')?)));
        let Some((user, (for_host, password))) = parts else {
            findings.lost(&place, "this is no line of auth.conf (user|host:password)");
            continue;
        };
        if bare(for_host) != bare(host) {
            findings.note(&place, format!("a login for {}, which is not the SMARTHOST, was left out", bare(for_host)));
        } else if account.user.is_none() {
            let password = (!password.is_empty()).then(|| Password::Known(Secret::new(password.to_owned())));
            account.login(user, password, &place, findings);
        }
    }
}

/// Without TLS dma sends the password in clear only where INSECURE says so.
fn in_clear(keys: &Keys<'_>, place: &Place, account: &mut Account, findings: &mut Findings) {
    if account.servers.iter().any(|server| server.starts_with("smtp+plain:"))
        && account.password.is_some()
        && !keys.contains_key("INSECURE")
    {
        account.plaintext_password = true;
        account.auth = Some("cram-md5".into());
        return findings
            .differs(place, "there is no TLS: the login is CRAM-MD5 alone, as before; ask for a port with TLS");
    }
    account.in_clear(place, findings);
}

/// MAILNAME: a name, or a file that has it.
fn names(keys: &Keys<'_>, context: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let Some((place, text)) = keys.get("MAILNAME").filter(|(_, text)| !text.is_empty()) else { return Ok(()) };
    let name = if text.starts_with('/') {
        let found = (context.read)(Path::new(text)).map_err(|what| Refusal(place.clone(), what))?;
        found.and_then(|file| {
            let line = file.data.split(|byte| *byte == b'\n').next().unwrap_or_default();
            std::str::from_utf8(line).ok().map(|line| line.trim().to_owned())
        })
    } else {
        Some((*text).to_owned())
    };
    match name.filter(|name| server::check_host(name).is_ok()) {
        Some(name) => imported.top.push(("domain", ::toml::Value::String(name))),
        None => imported.findings.lost(place, "MAILNAME gives no host name"),
    }
    Ok(())
}

/// MASQUERADE: `user@host`, `@host`, `user@`.
fn masquerade(keys: &Keys<'_>, account: &mut Account, imported: &mut Imported) {
    let Some((place, text)) = keys.get("MASQUERADE").filter(|(_, text)| !text.is_empty()) else { return };
    let (local, host) = text.rsplit_once('@').unwrap_or(("", text));
    if !host.is_empty() && server::check_host(host).is_err() {
        return imported.findings.lost(place, "MASQUERADE gives no host name");
    }
    if !host.is_empty() {
        imported.top.retain(|(key, _)| *key != "domain");
        imported.top.push(("domain", ::toml::Value::String(host.to_owned())));
    }
    if !local.is_empty() && !host.is_empty() {
        account.from.push((*text).to_owned());
        account.rewrite = true;
        let what = format!(
            "MASQUERADE changed the envelope sender alone; here a From that is not {text} is replaced too, and kept in Reply-To"
        );
        imported.findings.differs(place, what);
    } else if local.is_empty() {
        let what = "MASQUERADE changed the host of every envelope sender; here it is put behind bare names, and full addresses stay";
        imported.findings.differs(place, what);
    } else {
        imported.findings.lost(place, "MASQUERADE with a user and no host has no counterpart");
    }
}

/// A null client sends local names to the smart host too; else they go through the aliases and into /var/mail.
fn aliases(keys: &Keys<'_>, conf: &Source, imported: &mut Imported) {
    if keys.contains_key("NULLCLIENT") {
        return imported.set("aliases", "off");
    }
    if let Some((_, path)) = keys.get("ALIASES").filter(|(_, path)| path.starts_with('/') && *path != "/etc/aliases") {
        imported.set("aliases", *path);
    }
    let what = "dma delivers mail for local users into /var/mail; postrider sends what no alias takes to the server, as USER@domain";
    imported.findings.lost(&conf.at(0), what);
}

fn remarks(keys: &Keys<'_>, findings: &mut Findings) {
    for (key, what) in [
        ("DEFER", "DEFER: [queue] keeps what could not be sent; with the daemon nothing needs to be flushed by hand"),
        ("FULLBOUNCE", "FULLBOUNCE: a bounce holds what the report format (RFC 3464) calls for"),
        ("VIRTUAL", "VIRTUAL is of no use any more"),
    ] {
        if let Some((place, _)) = keys.get(key) {
            findings.note(place, what);
        }
    }
}
