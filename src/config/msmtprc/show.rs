//! An account in the words of an msmtprc, as `msmtp --pretend` shows it. Values only; a password is a star.

use super::super::model::{
    Account, AuthChoice, AutoOnOff, Endpoint, Fingerprint, Protocol, Relay, SetTo, TlsMode, TlsOptions,
};
use crate::envelope::Return;
use crate::secret::SecretSource;
use std::path::Path;

/// Command and argument of everything that is set or has a default, in the order of the manual.
#[must_use]
pub fn account(account: &Account) -> Vec<(&'static str, String)> {
    let mut lines = relay(&account.relay);
    lines.extend([
        ("from", or_unset(account.from.clone())),
        ("from_full_name", or_unset(account.from_full_name.clone())),
        ("allow_from_override", switch(account.allow_from_override)),
        ("set_from_header", auto_on_off(account.set_from_header)),
        ("set_date_header", auto(account.set_date_header)),
        ("set_msgid_header", auto(account.set_msgid_header)),
        ("set_to_header", set_to(account.set_to_header)),
        ("remove_bcc_headers", switch(account.remove_bcc_headers)),
        ("dsn_notify", notify(account)),
        ("dsn_return", ret(account)),
        ("logfile", path(account.logfile.as_deref())),
        ("logfile_time_format", account.logfile_time_format.clone()),
        ("syslog", account.syslog.clone().unwrap_or_else(|| "off".into())),
        ("aliases", path(account.aliases.as_deref())),
    ]);
    lines
}

/// The same of an SMTP account alone.
#[must_use]
pub fn relay(relay: &Relay) -> Vec<(&'static str, String)> {
    let (host, port, socket) = match &relay.endpoint {
        Endpoint::Tcp(host, port) => (Some(host.clone()), Some(port.to_string()), None),
        Endpoint::Unix(path) => (None, None, Some(path.display().to_string())),
    };
    let (proxy_host, proxy_port) = relay.proxy.clone().map(|(host, port)| (host, port.to_string())).unzip();
    let mut lines = vec![
        ("host", or_unset(host)),
        ("port", or_unset(port)),
        ("source_ip", or_unset(relay.source.map(|source| source.to_string()))),
        ("proxy_host", or_unset(proxy_host)),
        ("proxy_port", or_unset(proxy_port)),
        ("socket", or_unset(socket)),
        (
            "timeout",
            format!(
                "{} s to connect, {} s a reply",
                relay.timeouts.connect.as_secs(),
                relay.timeouts.command.as_secs()
            ),
        ),
        ("protocol", if relay.protocol == Protocol::Lmtp { "lmtp" } else { "smtp" }.into()),
        ("domain", relay.ehlo.clone().unwrap_or_else(|| "the host's name".into())),
        ("auth", auth(&relay.auth)),
        ("user", or_unset(relay.user.clone())),
        ("password", password(relay.password.as_ref())),
        ("tls", switch(relay.tls != TlsMode::Plain)),
        ("tls_starttls", switch(relay.tls != TlsMode::Implicit)),
    ];
    lines.extend(tls(&relay.tls_options));
    lines
}

fn tls(options: &TlsOptions) -> [(&'static str, String); 6] {
    let (cert, key) = options.client.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path())).unzip();
    [
        ("tls_trust_file", options.trust_file.as_ref().map_or("system".into(), |file| file.display().to_string())),
        ("tls_fingerprint", or_unset(options.fingerprint.as_ref().map(fingerprint))),
        ("tls_cert_file", path(cert)),
        ("tls_key_file", path(key)),
        ("tls_certcheck", switch(!options.no_check)),
        ("tls_host_override", or_unset(options.host_override.clone())),
    ]
}

fn or_unset(value: Option<String>) -> String {
    value.filter(|value| !value.is_empty()).unwrap_or_else(|| "(not set)".into())
}

fn path(value: Option<&Path>) -> String {
    or_unset(value.map(|path| path.display().to_string()))
}

fn switch(on: bool) -> String {
    if on { "on" } else { "off" }.into()
}

fn auto(auto: bool) -> String {
    if auto { "auto" } else { "off" }.into()
}

fn auto_on_off(value: AutoOnOff) -> String {
    match value {
        AutoOnOff::Auto => "auto",
        AutoOnOff::On => "on",
        AutoOnOff::Off => "off",
    }
    .into()
}

fn set_to(value: SetTo) -> String {
    match value {
        SetTo::Off => "off",
        SetTo::On => "on",
        SetTo::Undisclosed => "undisclosed_recipients",
    }
    .into()
}

fn auth(choice: &AuthChoice) -> String {
    match choice {
        AuthChoice::Off => "off".into(),
        AuthChoice::Auto => "on".into(),
        AuthChoice::Only(mechanism) => mechanism.to_ascii_lowercase(),
    }
}

/// Where the password comes from; what a command says may itself be a secret.
fn password(source: Option<&SecretSource>) -> String {
    match source {
        None => "(not set)".into(),
        Some(SecretSource::Literal(_)) => "*".into(),
        Some(SecretSource::Shell(_) | SecretSource::Command(_)) => "* (passwordeval)".into(),
        Some(SecretSource::Searched) => "* (keyring, ~/.netrc, /etc/netrc, terminal)".into(),
        Some(_) => "* (postrider.toml)".into(),
    }
}

fn fingerprint(digest: &Fingerprint) -> String {
    let (Fingerprint::Sha256(octets) | Fingerprint::Sha1(octets) | Fingerprint::Md5(octets)) = digest;
    octets.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

fn notify(account: &Account) -> String {
    let Some(notify) = account.dsn.notify else { return "off".into() };
    let named =
        [(notify.never, "never"), (notify.failure, "failure"), (notify.delay, "delay"), (notify.success, "success")];
    named.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}

fn ret(account: &Account) -> String {
    match account.dsn.ret {
        None => "off",
        Some(Return::Headers) => "headers",
        Some(Return::Full) => "full",
    }
    .into()
}
