//! sSMTP: ssmtp.conf (`Key=Value`) and revaliases (`user:address[:mailhub[:port]]`).

use super::model::{
    Account, Context, Fallback, Findings, Imported, Level, Password, Refusal, Source, Tls, host_and_port, port,
    server_url,
};
use crate::config::Place;
use crate::secret::Secret;
use std::collections::HashMap;

/// Imports ssmtp.conf; revaliases beside it are read where they are not named.
pub(super) fn import(sources: &[Source], context: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let is_aliases = |source: &&Source| source.path.file_name().is_some_and(|name| name == "revaliases");
    let (aliases, settings): (Vec<&Source>, Vec<&Source>) = sources.iter().partition(is_aliases);
    let conf = settings.first().ok_or_else(|| Refusal(sources[0].at(0), "name ssmtp.conf too".into()))?;
    let keys = keys(conf, &mut imported.findings);
    let found;
    let aliases = match aliases.first() {
        Some(aliases) => Some(*aliases),
        None => {
            let path = super::beside(&conf.at(0), "revaliases");
            found = (context.read)(&path).map_err(|what| Refusal(conf.at(0), what))?;
            found.as_ref()
        }
    };
    let aliases = aliases.map(|source| revaliases(source, &mut imported.findings)).unwrap_or_default();
    let Some(mut account) = relay(conf, &keys, None, &mut imported.findings) else { return Ok(()) };
    let settings = Settings { conf, keys: &keys };
    domain(&settings, imported);
    imported.no_aliases(&conf.at(0), "ssmtp");
    from_line(&settings, &aliases, &mut account, imported);
    for alias in &aliases {
        own_hub(&settings, alias, &account, imported);
    }
    imported.default = Fallback::Server(Box::new(account));
    Ok(())
}

type Keys<'s> = HashMap<String, (Place, &'s str)>;

struct Settings<'s> {
    conf: &'s Source,
    keys: &'s Keys<'s>,
}

impl<'s> Settings<'s> {
    fn get(&self, key: &str) -> Option<&(Place, &'s str)> {
        self.keys.get(key)
    }

    fn on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|(_, value)| value.eq_ignore_ascii_case("yes"))
    }
}

/// The keys, in lower case, each with its last value.
fn keys<'s>(conf: &'s Source, findings: &mut Findings) -> Keys<'s> {
    const KNOWN: [&str; 17] = [
        "root",
        "mailhub",
        "rewritedomain",
        "hostname",
        "fromlineoverride",
        "usetls",
        "usestarttls",
        "tlscert",
        "tlskey",
        "tls_ca_file",
        "tls_ca_dir",
        "authuser",
        "authpass",
        "authmethod",
        "debug",
        "minuserid",
        "usetlscert",
    ];
    let mut keys = Keys::new();
    for (place, line) in conf.lines(findings) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(['=', ' ', '\t']).unwrap_or((line, ""));
        let key = key.trim().to_ascii_lowercase();
        let value = value.trim_start_matches(['=', ' ', '\t']).trim_end();
        if KNOWN.contains(&key.as_str()) {
            keys.insert(key, (place, value));
        } else {
            findings.lost(&place, "an unknown key; it was left out");
        }
    }
    keys
}

/// The account of ssmtp.conf, at another mailhub where one is given.
fn relay(conf: &Source, keys: &Keys<'_>, hub: Option<(&Place, &str)>, findings: &mut Findings) -> Option<Account> {
    let settings = Settings { conf, keys };
    let whole = settings.conf.at(0);
    let (place, text) =
        hub.or_else(|| settings.get("mailhub").map(|(place, value)| (place, *value))).unwrap_or((&whole, "mail"));
    let (host, given) = host_and_port(text);
    let tls = match (settings.on("usestarttls"), settings.on("usetls")) {
        (true, _) => Tls::StartTls,
        (false, true) => Tls::AtOnce,
        (false, false) => Tls::Off,
    };
    let given = given.and_then(port);
    let number = match (given, tls) {
        (None, Tls::AtOnce) => {
            findings.differs(place, "mailhub has no port: port 465 is taken for UseTLS, where ssmtp takes 25");
            465
        }
        (given, _) => given.unwrap_or(25),
    };
    let url = server_url(host, Some(number), tls, place, findings)?;
    let mut account = Account { place: Some(place.clone()), servers: vec![url], ..Account::default() };
    if let Some((place, user)) = settings.get("authuser").filter(|(_, user)| !user.is_empty()) {
        let password = settings.get("authpass").filter(|(_, password)| !password.is_empty());
        let password = password.map(|(_, password)| Password::Known(Secret::new((*password).to_owned())));
        account.login(user, password, place, findings);
        account.auth = match settings.get("authmethod").map(|(_, method)| method.to_ascii_lowercase()) {
            Some(method) if method == "login" || method == "cram-md5" => Some(method),
            _ => None,
        };
    }
    account.in_clear(place, findings);
    if tls != Tls::Off {
        certificates(&settings, &mut account, findings);
    }
    Some(account)
}

fn certificates(settings: &Settings<'_>, account: &mut Account, findings: &mut Findings) {
    if let Some((_, file)) = settings.get("tls_ca_file").filter(|(_, file)| !file.is_empty()) {
        account.text("ca_file", *file);
    } else {
        findings.once(Level::Differs, &account.place(), "ssmtp does not check the server's certificate, postrider does; for a certificate of your own: ca_file = \"...\"",
        );
    }
    if let Some((place, _)) = settings.get("tls_ca_dir") {
        findings.lost(place, "TLS_CA_Dir: a directory is not read; put its certificates into one file for ca_file");
    }
    let file = |key: &str| settings.get(key).map(|(_, file)| *file).filter(|file| !file.is_empty());
    if let Some(cert) = file("tlscert") {
        account.text("client_cert", cert);
        account.text("client_key", file("tlskey").unwrap_or(cert));
    }
}

fn domain(settings: &Settings<'_>, imported: &mut Imported) {
    let named = ["rewritedomain", "hostname"]
        .into_iter()
        .find_map(|key| settings.get(key).filter(|(_, name)| !name.is_empty()));
    if let Some((place, name)) = named {
        match crate::config::server::check_host(name) {
            Ok(()) => imported.top.push(("domain", ::toml::Value::String((*name).to_owned()))),
            Err(error) => imported.findings.lost(place, error),
        }
    }
    if let Some((place, to)) = settings.get("root").filter(|(_, to)| !to.is_empty()) {
        imported.default_recipient(to, place, "root");
    }
    if let Some((place, _)) = settings.get("debug").filter(|(_, value)| value.eq_ignore_ascii_case("yes")) {
        imported.findings.note(place, "Debug: `sendmail -v` shows the dialogue, debug = true with log_file keeps it");
    }
}

/// Without FromLineOverride the caller's revalias is the envelope's sender, whatever From says.
fn from_line(settings: &Settings<'_>, aliases: &[Alias<'_>], account: &mut Account, imported: &mut Imported) {
    let first = aliases.iter().find(|alias| alias.user == "root").or_else(|| aliases.first());
    let place = settings.get("fromlineoverride").map_or_else(|| settings.conf.at(0), |(place, _)| place.clone());
    if settings.on("fromlineoverride") {
        if first.is_some() {
            let what = "revaliases gave a message without From its address; here it gets USER@domain, or what -f says";
            imported.findings.differs(&place, what);
        }
        return;
    }
    match first {
        Some(alias) => {
            account.from.push(alias.address.to_owned());
            account.rewrite = true;
            let whose = match aliases.iter().any(|other| !other.address.eq_ignore_ascii_case(alias.address)) {
                true => "the caller's line of revaliases",
                false => alias.address,
            };
            let what = format!(
                "ssmtp's envelope sender was {whose}, and it left From as it was; here mail of other addresses has {} in \
                 both, and its own From in Reply-To",
                alias.address
            );
            imported.findings.differs(&place, what);
        }
        None => imported.findings.differs(
            &place,
            "ssmtp's envelope sender was USER@hostname, whatever From says; here it is From's address, or what -f says \
             (must_match = true with on_mismatch = \"rewrite\" in [default] makes it the login)",
        ),
    }
}

/// A sender for a revalias with an address or a mailhub of its own.
fn own_hub(settings: &Settings<'_>, alias: &Alias<'_>, default: &Account, imported: &mut Imported) {
    let default_address = default.from.first().is_some_and(|address| address.eq_ignore_ascii_case(alias.address));
    let hub = alias.hub.as_deref().map(|hub| (&alias.place, hub));
    let Some(account) = relay(settings.conf, settings.keys, hub, &mut imported.findings) else { return };
    if default_address && account.servers == default.servers {
        return;
    }
    let known = imported
        .senders
        .iter()
        .any(|(_, other)| other.from.iter().any(|from| from.eq_ignore_ascii_case(alias.address)));
    if known {
        return;
    }
    let mut account = Account { place: Some(alias.place.clone()), from: vec![alias.address.to_owned()], ..account };
    account.comments.push(format!("revaliases: {}", alias.user));
    let what = format!(
        "revaliases: what {} sent came from {}; here the message's From or -f has to say so",
        alias.user, alias.address
    );
    imported.findings.differs(&alias.place, what);
    imported.sender(alias.address, account);
}

struct Alias<'s> {
    place: Place,
    user: &'s str,
    address: &'s str,
    hub: Option<String>,
}

fn revaliases<'s>(source: &'s Source, findings: &mut Findings) -> Vec<Alias<'s>> {
    let mut aliases = Vec::new();
    for (place, line) in source.lines(findings) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.splitn(3, ':').map(str::trim);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(user), Some(address), hub) if !user.is_empty() && address.contains('@') => {
                let hub = hub.filter(|hub| !hub.is_empty()).map(str::to_owned);
                aliases.push(Alias { place, user, address, hub });
            }
            _ => findings.lost(&place, "this is no line of revaliases (user:address:mailhub)"),
        }
    }
    aliases
}
