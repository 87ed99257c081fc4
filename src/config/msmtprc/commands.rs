//! The table of msmtprc commands: name, what it sets, what its argument may be.
//!
//! Every command of msmtp is here, those too that cannot be done: they are an error that names the alternative, never
//! silently dropped. Legacy commands set what their successors set.

use super::super::{account, nearest, tls};
use std::net::IpAddr;
use zeroize::Zeroizing;

/// One command.
pub(super) struct Command {
    /// As it is written.
    pub name: &'static str,
    /// The setting that it changes: the name, but for legacy commands.
    pub key: &'static str,
    kind: Kind,
}

/// What an argument may be.
enum Kind {
    /// Any text; empty unsets.
    Text,
    /// A path; empty unsets.
    Path,
    /// A host name or address; empty unsets.
    Host,
    /// A host name or address, at least one character.
    NeededHost,
    /// EHLO argument, with substitutions.
    Domain,
    /// An IP address; empty unsets.
    Ip,
    /// 1 to 65535; empty unsets.
    Port,
    /// `off` or seconds from 1.
    Seconds,
    /// One of these words; the second of each pair is what is kept.
    Words(&'static [(&'static str, &'static str)]),
    /// `off`, `on` or a mechanism.
    Auth,
    /// Hex digits; empty unsets.
    Fingerprint,
    /// `off`, `never` or a list of `failure`, `delay`, `success`.
    Notify,
    /// Checked by msmtp, of no effect here.
    Ignored,
    /// Cannot be done; the alternative. Empty (unset) is fine.
    Unsupported(&'static str),
}

const SWITCH: Kind = Kind::Words(&[("on", "on"), ("off", "off"), ("", "on")]);
/// A legacy switch that turns its successor off.
const INVERSE: Kind = Kind::Words(&[("on", "off"), ("off", "on"), ("", "off")]);
/// A legacy switch whose successor knows `auto` and `off`.
const ADD_MISSING: Kind = Kind::Words(&[("on", "auto"), ("off", "off"), ("", "auto")]);
const AUTO_OFF: Kind = Kind::Words(&[("auto", "auto"), ("off", "off"), ("", "auto")]);
const FACILITIES: Kind = Kind::Words(&[
    ("on", "LOG_USER"),
    ("", "LOG_USER"),
    ("off", ""),
    ("LOG_USER", "LOG_USER"),
    ("LOG_MAIL", "LOG_MAIL"),
    ("LOG_LOCAL0", "LOG_LOCAL0"),
    ("LOG_LOCAL1", "LOG_LOCAL1"),
    ("LOG_LOCAL2", "LOG_LOCAL2"),
    ("LOG_LOCAL3", "LOG_LOCAL3"),
    ("LOG_LOCAL4", "LOG_LOCAL4"),
    ("LOG_LOCAL5", "LOG_LOCAL5"),
    ("LOG_LOCAL6", "LOG_LOCAL6"),
    ("LOG_LOCAL7", "LOG_LOCAL7"),
]);

const fn same(name: &'static str, kind: Kind) -> Command {
    Command { name, key: name, kind }
}

const fn sets(name: &'static str, key: &'static str, kind: Kind) -> Command {
    Command { name, key, kind }
}

/// All commands but `account`, `defaults` and `eval`, which are the language itself.
static COMMANDS: [Command; 49] = [
    same("host", Kind::NeededHost),
    same("port", Kind::Port),
    same("timeout", Kind::Seconds),
    sets("connect_timeout", "timeout", Kind::Seconds),
    same("protocol", Kind::Words(&[("smtp", "smtp"), ("lmtp", "lmtp")])),
    same("domain", Kind::Domain),
    same("source_ip", Kind::Ip),
    same("proxy_host", Kind::Host),
    same("proxy_port", Kind::Port),
    same("socket", Kind::Text),
    same("auth", Kind::Auth),
    same("user", Kind::Text),
    same("password", Kind::Text),
    same("passwordeval", Kind::Text),
    same("ntlmdomain", Kind::Ignored),
    same("tls", SWITCH),
    same("tls_starttls", SWITCH),
    same("tls_certcheck", SWITCH),
    same("tls_trust_file", Kind::Path),
    same("tls_crl_file", Kind::Unsupported("revocation lists are not read; pin the server with tls_fingerprint")),
    same("tls_key_file", Kind::Path),
    same("tls_cert_file", Kind::Path),
    same("tls_fingerprint", Kind::Fingerprint),
    same(
        "tls_priorities",
        Kind::Unsupported("GnuTLS strings have no meaning here; remove it, or set MinProtocol in openssl.cnf"),
    ),
    same(
        "tls_min_dh_prime_bits",
        Kind::Unsupported("has no meaning here; remove it, or set a SECLEVEL in openssl.cnf's CipherString"),
    ),
    same("tls_host_override", Kind::Host),
    same("from", Kind::Text),
    same("from_full_name", Kind::Text),
    same("allow_from_override", Kind::Words(&[("on", "on"), ("off", "off")])),
    same("set_from_header", Kind::Words(&[("auto", "auto"), ("on", "on"), ("off", "off"), ("", "on")])),
    same("set_date_header", AUTO_OFF),
    same("set_msgid_header", AUTO_OFF),
    same(
        "set_to_header",
        Kind::Words(&[("off", "off"), ("on", "on"), ("", "on"), ("undisclosed_recipients", "undisclosed_recipients")]),
    ),
    same("remove_bcc_headers", SWITCH),
    same("dsn_notify", Kind::Notify),
    same("dsn_return", Kind::Words(&[("off", "off"), ("headers", "headers"), ("full", "full")])),
    same("logfile", Kind::Path),
    same("logfile_time_format", Kind::Text),
    same("syslog", FACILITIES),
    same("aliases", Kind::Path),
    same("auto_from", SWITCH),
    same("maildomain", Kind::Text),
    sets(
        "undisclosed_recipients",
        "set_to_header",
        Kind::Words(&[("on", "undisclosed_recipients"), ("", "undisclosed_recipients"), ("off", "off")]),
    ),
    sets("add_missing_from_header", "set_from_header", ADD_MISSING),
    sets("add_missing_date_header", "set_date_header", ADD_MISSING),
    sets("keepbcc", "remove_bcc_headers", INVERSE),
    sets("tls_nocertcheck", "tls_certcheck", INVERSE),
    sets("tls_nostarttls", "tls_starttls", INVERSE),
    same("tls_force_sslv3", Kind::Ignored),
];

/// The command of that name, to the letter.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// What to say of an unknown command: a known one that is close, never the word itself.
pub(super) fn unknown(name: &str) -> String {
    if name.contains('=') {
        return "unknown command; between a command and its argument stand blanks, no =".into();
    }
    let known = COMMANDS.iter().map(|command| command.name).chain(["account", "defaults", "eval"]);
    match nearest::slip(name, known) {
        Some(near) => format!("unknown command; did you mean {near}?"),
        None => "unknown command".into(),
    }
}

impl Command {
    /// The argument as it is kept; empty means unset.
    ///
    /// # Errors
    /// For people, without the argument.
    pub(super) fn value(&self, argument: &str) -> Result<Zeroizing<String>, String> {
        let keep = |text: &str| Ok(Zeroizing::new(text.to_owned()));
        let empty = argument.is_empty();
        match &self.kind {
            Kind::Text | Kind::Path | Kind::Ignored => keep(argument),
            Kind::NeededHost | Kind::Seconds | Kind::Notify if empty => Err("needs an argument".into()),
            Kind::Host | Kind::Domain | Kind::Ip | Kind::Port | Kind::Fingerprint if empty => keep(""),
            Kind::Host | Kind::NeededHost => Ok(Zeroizing::new(account::host_name(argument)?)),
            Kind::Domain => {
                // Checked without the substitutions, which `settings` makes.
                let plain = argument.replace("%H", "h").replace("%C", "c").replace("%M", "m");
                account::ehlo_name(&plain)?;
                keep(argument)
            }
            Kind::Ip => {
                argument.parse::<IpAddr>().map_err(|_| "an IP address is needed".into()).and_then(|_| keep(argument))
            }
            Kind::Port => {
                let port = integer(argument).filter(|port| (1..=65_535).contains(port));
                Ok(Zeroizing::new(port.ok_or("a port is a number from 1 to 65535, not a name")?.to_string()))
            }
            Kind::Seconds if argument == "off" => keep(""),
            Kind::Seconds => {
                let seconds = integer(argument).filter(|seconds| (1..=i64::from(i32::MAX)).contains(seconds));
                Ok(Zeroizing::new(seconds.ok_or("off or a number of seconds from 1")?.to_string()))
            }
            Kind::Words(words) => match words.iter().find(|(word, _)| *word == argument) {
                Some((_, kept)) => keep(kept),
                None => {
                    let words: Vec<&str> =
                        words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
                    Err(format!("one of {}", words.join(", ")))
                }
            },
            Kind::Auth => match argument {
                "" | "on" => keep("on"),
                "off" => keep("off"),
                // Keywords are case-sensitive in this language.
                method if method.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                    Err("methods are in lower case".into())
                }
                method => tls::mechanism(method).and_then(|_| keep(method)),
            },
            Kind::Fingerprint => tls::fingerprint(argument).and_then(|_| keep(argument)),
            Kind::Notify => {
                let fine = |word: &str| matches!(word, "failure" | "delay" | "success");
                let known = matches!(argument, "off" | "never") || argument.split(',').map(str::trim).all(fine);
                known
                    .then(|| Zeroizing::new(argument.to_owned()))
                    .ok_or_else(|| "off, never, or a list of failure, delay, success with commas between them".into())
            }
            Kind::Unsupported(_) if empty => keep(""),
            Kind::Unsupported(why) => Err(format!("is not supported: {why}")),
        }
    }
}

/// An integer as C's strtol reads it: `0x19` is 25, `010` is 8.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    // from_str_radix takes a sign of its own.
    digits.chars().all(|c| c.is_digit(radix)).then(|| i64::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_in_c() {
        assert_eq!(integer("0x19"), Some(25));
        assert_eq!(integer("010"), Some(8));
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("587"), Some(587));
        for bad in ["", "25 # x", "smtp", "09", "0x", "--1", "99999999999999999999", "0x-1", "0é"] {
            assert_eq!(integer(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_unique_and_keys_are_commands() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..index].iter().all(|other| other.name != command.name), "{}", command.name);
            assert!(find(command.key).is_some(), "{}", command.key);
        }
    }
}
