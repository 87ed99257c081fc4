//! msmtp: its own parser reads the files, the account `default` becomes `[default]`, every other a sender.
//!
//! `eval` and `passwordeval` are never run.

use super::model::{Account, Context, Fallback, Findings, Imported, Level, Password, Refusal, Source};
use crate::config::msmtprc::{Facts, parse};
use crate::config::{
    self, AuthChoice, AutoOnOff, Endpoint, Fingerprint, Place, Protocol, Relay, SetTo, Timeouts, TlsMode, TlsOptions,
};
use crate::secret::{Secret, SecretSource};
use zeroize::Zeroizing;

/// Imports msmtprc files; a same-named account of a later file wins, as the user's does in msmtp.
pub(super) fn import(sources: &[Source], context: &Context<'_>, imported: &mut Imported) -> Result<(), Refusal> {
    let mut accounts: Vec<config::Account> = Vec::new();
    for source in sources {
        evals(source, &mut imported.findings);
        let own = read(source, context)?;
        accounts.retain(|account| own.iter().all(|other| other.name != account.name));
        accounts.extend(own);
    }
    imported.findings.note(
        &sources[0].at(0),
        format!(
            "msmtp chooses the account by -a and -f; here the From address does too. To change nothing at all: \
             [default] with relay = \"msmtprc\" and msmtprc = \"{}\"",
            std::path::absolute(&sources[0].path).unwrap_or_else(|_| sources[0].path.clone()).display()
        ),
    );
    for account in &accounts {
        if account.check().is_err() {
            imported.findings.note(
                &account.place,
                format!("account {} has no host, so it is only there to be inherited from", account.name),
            );
            continue;
        }
        let Some(made) = convert(account, &mut imported.findings) else { continue };
        if account.name == "default" {
            imported.default = Fallback::Server(Box::new(made));
        } else {
            imported.sender(&account.name, made);
        }
    }
    aliases(&accounts, sources, imported);
    if matches!(imported.default, Fallback::Unsaid) {
        imported.default = Fallback::Refuse("There was no account default: msmtp refused such mail too.".into());
    }
    Ok(())
}

fn read(source: &Source, context: &Context<'_>) -> Result<Vec<config::Account>, Refusal> {
    let facts = Facts {
        home: context.home,
        hostname: context.hostname,
        canonical: context.canonical,
        mailname: context.mailname,
    };
    // A comment in the place of what the command would print.
    let mut eval = |_: &str| Ok(Zeroizing::new(b"#".to_vec()));
    let parsed = parse(&source.data, &source.path, &facts, &mut eval);
    parsed
        .map(|parsed| parsed.accounts)
        .map_err(|error| Refusal(error.place.unwrap_or_else(|| source.at(0)), error.what))
}

/// `aliases` is a matter of the account in msmtp, of the whole configuration here.
fn aliases(accounts: &[config::Account], sources: &[Source], imported: &mut Imported) {
    let named = |account: &&config::Account| account.aliases.is_some();
    let default = accounts.iter().filter(named).find(|account| account.name == "default");
    let Some(first) = default.or_else(|| accounts.iter().find(named)) else {
        return imported.no_aliases(&sources[0].at(0), "an msmtprc without `aliases`");
    };
    let Some(file) = &first.aliases else { return };
    imported.set("aliases", file.display().to_string());
    imported.set("aliases_format", "msmtp");
    if let Some(other) = accounts.iter().find(|account| account.aliases != first.aliases) {
        let what = format!("accounts have different aliases; here those of account {} hold for all", first.name);
        imported.findings.differs(&other.place, what);
    }
}

fn evals(source: &Source, findings: &mut Findings) {
    for (place, line) in source.lines(findings) {
        if line.split_ascii_whitespace().next() == Some("eval") {
            findings.lost(&place, "eval is a command, and an import runs none; put in what it prints by hand");
        }
    }
}

fn convert(from: &config::Account, findings: &mut Findings) -> Option<Account> {
    let place = &from.place;
    let relay = &from.relay;
    let mut account =
        Account { place: Some(place.clone()), servers: vec![url(relay, place, findings)?], ..Account::default() };
    login(relay, &mut account, place, findings);
    addresses(from, &mut account, findings);
    if relay.tls != TlsMode::Plain {
        tls(&relay.tls_options, &mut account);
    }
    connection(relay, &mut account);
    if let Some(file) = &from.logfile {
        if file.as_os_str() == "-" {
            findings.lost(place, "logfile - (standard output): [log] to = \"stderr\" is what comes near");
        } else {
            account.text("log_file", file.display().to_string());
        }
    }
    remarks(from, findings);
    Some(account)
}

fn url(relay: &Relay, place: &Place, findings: &mut Findings) -> Option<String> {
    let lmtp = relay.protocol == Protocol::Lmtp;
    let url = match &relay.endpoint {
        Endpoint::Unix(path) => format!("{}+unix:{}", if lmtp { "lmtp" } else { "smtp" }, path.display()),
        Endpoint::Tcp(host, port) => {
            let scheme = match (relay.tls, lmtp) {
                (TlsMode::Plain, true) => "lmtp",
                (_, true) => {
                    findings.lost(place, "LMTP with TLS has no counterpart; the account is left out");
                    return None;
                }
                (TlsMode::Implicit, _) => "smtps",
                (TlsMode::StartTls, _) => "smtp",
                (TlsMode::Plain, _) => "smtp+plain",
            };
            if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
        }
    };
    match config::server::parse(&url) {
        Ok(_) => Some(url),
        Err(error) => {
            findings.lost(place, format!("{error}; the account is left out"));
            None
        }
    }
}

fn login(relay: &Relay, account: &mut Account, place: &Place, findings: &mut Findings) {
    if relay.auth == AuthChoice::Off {
        return;
    }
    if let AuthChoice::Only(mechanism) = &relay.auth {
        account.auth = Some(mechanism.to_ascii_lowercase());
        if mechanism == "EXTERNAL" {
            account.user.clone_from(&relay.user);
            return;
        }
    }
    let Some(user) = &relay.user else {
        account.auth = None;
        return findings.lost(place, "auth without user: the login is left out");
    };
    let password = match &relay.password {
        Some(SecretSource::Literal(literal)) => Some(Password::Known(Secret::new(literal.0.expose().to_owned()))),
        Some(SecretSource::Shell(command)) if prints_itself(command) => {
            findings.lost(place, "passwordeval holds the password itself; it was not copied");
            Some(Password::ByHand("what passwordeval prints".into()))
        }
        Some(SecretSource::Shell(command)) => Some(Password::Command(command.clone())),
        _ => {
            findings.lost(place, "the password is in ~/.netrc or a keyring; give it a file");
            Some(Password::ByHand("as in ~/.netrc or the keyring".into()))
        }
    };
    account.login(user, password, place, findings);
    if relay.tls == TlsMode::Plain {
        in_clear(relay, account, place, findings);
    }
}

/// A command that has the password among its words.
fn prints_itself(command: &str) -> bool {
    let first = command.split_ascii_whitespace().next().unwrap_or_default();
    matches!(first.rsplit('/').next(), Some("echo" | "printf"))
}

/// Without TLS msmtp logs in by SCRAM alone, unless a method is named.
fn in_clear(relay: &Relay, account: &mut Account, place: &Place, findings: &mut Findings) {
    if account.password.is_none() {
        return;
    }
    account.plaintext_password = true;
    if relay.auth == AuthChoice::Auto {
        account.auth = Some("scram-sha-256".into());
        return findings.differs(
            place,
            "there is no TLS: msmtp then logs in by SCRAM alone, and so does auth = \"scram-sha-256\"",
        );
    }
    findings
        .differs(place, "the login goes over a connection without TLS, as before (allow_plaintext_password = true)");
}

/// `from`, `from_full_name` and what becomes of the From header.
fn addresses(from: &config::Account, account: &mut Account, findings: &mut Findings) {
    let place = &from.place;
    let Some(pattern) = from.from.as_deref() else {
        if let Some(user) = account.user.as_deref().filter(|user| user.contains('@')) {
            account.from.push(user.to_owned());
        }
        return;
    };
    if pattern.contains('%') {
        return findings
            .lost(place, format!("from {pattern}: substitutions are made by nobody here; name the address"));
    }
    if pattern.contains('[') {
        return findings.lost(place, format!("from {pattern}: only * and ? are known in patterns; name the addresses"));
    }
    account.from.push(pattern.to_owned());
    if pattern.contains(['*', '?']) {
        return;
    }
    if let Some(name) = &from.from_full_name {
        account.names.push((pattern.to_lowercase(), name.clone()));
    }
    if from.set_from_header == AutoOnOff::On {
        account.rewrite = true;
        findings
            .differs(place, "set_from_header on: a From that is not the account's is replaced, and kept in Reply-To");
    } else {
        findings.once(Level::Differs, place, format!("msmtp sends with envelope sender {pattern} whatever From says; here it is From's address, or what -f says"),
        );
    }
    if !from.allow_from_override {
        findings.lost(place, "allow_from_override off: -f is honoured; must_match = true refuses other addresses");
    }
}

fn tls(options: &TlsOptions, account: &mut Account) {
    if let Some(file) = &options.trust_file {
        account.text("ca_file", file.display().to_string());
    }
    if options.no_check {
        account.keys.push(("tls_check", ::toml::Value::Boolean(false)));
    }
    if let Some(Fingerprint::Sha256(octets) | Fingerprint::Sha1(octets) | Fingerprint::Md5(octets)) =
        &options.fingerprint
    {
        account.text("fingerprint", octets.iter().map(|octet| format!("{octet:02X}")).collect::<String>());
    }
    if let Some(name) = &options.host_override {
        account.text("tls_name", name);
    }
    if let Some((cert, key)) = &options.client {
        account.text("client_cert", cert.display().to_string());
        account.text("client_key", key.display().to_string());
    }
}

fn connection(relay: &Relay, account: &mut Account) {
    // localhost is what msmtp says where nothing is set; the host's name is better.
    if let Some(name) = relay.ehlo.as_deref().filter(|name| *name != "localhost") {
        account.text("ehlo", name);
    }
    if let Some((host, port)) = &relay.proxy {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        account.text("proxy", format!("socks5://{host}:{port}"));
    }
    if let Some(source) = relay.source {
        account.text("source", source.to_string());
    }
    if relay.timeouts != Timeouts::default() {
        let limit = ::toml::Value::String(format!("{}s", relay.timeouts.connect.as_secs().clamp(1, 86_400)));
        let pairs = [("connect".to_owned(), limit.clone()), ("command".to_owned(), limit)];
        account.keys.push(("timeouts", ::toml::Value::Table(pairs.into_iter().collect())));
    }
}

/// Settings that have no counterpart.
fn remarks(from: &config::Account, findings: &mut Findings) {
    let default_log = from.logfile.is_some();
    let lost = [
        (!from.remove_bcc_headers, "remove_bcc_headers off (keepbcc): Bcc is always taken out"),
        (from.set_to_header != SetTo::Off, "set_to_header: a To header is never made"),
        (from.dsn.notify.is_some() || from.dsn.ret.is_some(), "dsn_notify, dsn_return: give sendmail -N and -R"),
        (
            !from.set_date_header || !from.set_msgid_header,
            "set_date_header, set_msgid_header off: missing ones are added",
        ),
        (from.set_from_header == AutoOnOff::Off, "set_from_header off: a missing From is added"),
    ];
    lost.iter().filter(|(is, _)| *is).for_each(|(_, what)| findings.once(Level::Lost, &from.place, *what));
    if default_log {
        findings.once(Level::Differs, &from.place, "logfile: the lines are postrider's own, not msmtp's");
    }
    if from.syslog.is_some() {
        findings.once(Level::Note, &from.place, "syslog: [log] to = \"syslog\" is the default, facility mail");
    }
}
