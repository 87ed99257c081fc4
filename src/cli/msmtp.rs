//! msmtp's own command line: options permute with operands, long options take `=VALUE` or the next argument.
//!
//! Options that are account settings keep the words of an msmtprc (`--tls-certcheck=off` is `tls_certcheck off`), so
//! that one table, the msmtprc's, knows what they mean. No IO.

use super::invocation::{Invocation, Mode, MsmtpOptions, Options, Reach, Reaches, Usage};
use super::sendmail;
use crate::config::msmtprc::check_setting;
use crate::exit::Contract;
use std::ffi::OsString;

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// An account setting under its msmtprc name.
    Setting(&'static str),
    /// As the sendmail flag of that letter.
    Flag(&'static str),
    /// `-C`.
    File,
    /// `--read-envelope-from`.
    ReadEnvelopeFrom,
    /// Another thing to do than deliver.
    Mode(Mode),
    /// `-b`: only `-bm` is msmtp's; the others are sendmail's.
    Biff,
    /// Taken, with its value, without effect.
    Ignore,
    /// Refused with the reason.
    Refuse(&'static str),
}

/// How an option takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// None.
    No,
    /// `--name` or `--name=VALUE`.
    Optional,
    /// `--name=VALUE`, `--name VALUE`, `-nVALUE`, `-n VALUE`.
    Needed,
}

/// How far an option reaches beyond the message: not everybody who may send may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It concerns the message, or how the server is spoken to.
    Message,
    /// Whatever its value is.
    Always(Reaches),
    /// With another value than that one (or an empty one).
    Unless(&'static str, Reaches),
    /// With that value.
    With(&'static str, Reaches),
}

/// A row of the table: letter (or none), long name (or none), value, meaning, help text.
#[derive(Debug)]
pub struct Row {
    /// The short option.
    pub letter: Option<char>,
    /// The long option without dashes; empty where there is none.
    pub long: &'static str,
    /// How it takes its value.
    pub value: Value,
    /// What it does.
    pub act: Act,
    /// How far it reaches.
    pub scope: Scope,
    /// The help text.
    pub help: &'static str,
}

use Reaches::{Configuration, File, Login, Program, Search};
use Scope::{Always, Unless, With};
use Value::{Needed, No, Optional};

const fn row(letter: Option<char>, long: &'static str, value: Value, act: Act, help: &'static str) -> Row {
    Row { letter, long, value, act, scope: Scope::Message, help }
}

const fn reaching(row: Row, scope: Scope) -> Row {
    Row { scope, ..row }
}

const fn setting(long: &'static str, value: Value, command: &'static str, help: &'static str) -> Row {
    row(None, long, value, Act::Setting(command), help)
}

/// Every option of msmtp.
pub static TABLE: &[Row] = &[
    row(None, "help", No, Act::Mode(Mode::Help), "print this text"),
    row(None, "version", No, Act::Mode(Mode::Version), "print the version"),
    row(Some('P'), "pretend", No, Act::Mode(Mode::Pretend), "show what would be used, send nothing"),
    row(Some('S'), "serverinfo", No, Act::Mode(Mode::ServerInfo), "show what the server offers, send nothing"),
    row(Some('d'), "debug", No, Act::Flag("v"), "show the dialogue on standard error, secrets hidden"),
    row(Some('v'), "", No, Act::Flag("v"), "the same"),
    reaching(
        row(Some('C'), "file", Needed, Act::File, "read this configuration file instead of ~/.msmtprc"),
        Always(Configuration),
    ),
    row(Some('a'), "account", Needed, Act::Flag("a"), "use this account"),
    row(Some('t'), "read-recipients", No, Act::Flag("t"), "take the recipients from To, Cc and Bcc too"),
    row(None, "read-envelope-from", No, Act::ReadEnvelopeFrom, "choose the account by the From header"),
    row(Some('f'), "from", Needed, Act::Flag("f"), "envelope sender"),
    row(Some('F'), "", Needed, Act::Flag("F"), "full name of an added From"),
    row(Some('N'), "dsn-notify", Needed, Act::Setting("dsn_notify"), "delivery notification"),
    row(Some('R'), "dsn-return", Needed, Act::Setting("dsn_return"), "how much a notification returns"),
    row(Some('V'), "", Needed, Act::Flag("V"), "envelope id for notifications"),
    reaching(row(Some('X'), "logfile", Needed, Act::Setting("logfile"), "log file"), Always(File)),
    row(Some('o'), "", Needed, Act::Flag("o"), "sendmail option"),
    row(Some('B'), "", Needed, Act::Ignore, "body type"),
    row(Some('b'), "", Needed, Act::Biff, "mode; -bm delivers"),
    row(Some('A'), "", Needed, Act::Ignore, "ignored"),
    row(Some('G'), "", No, Act::Ignore, "ignored"),
    row(Some('h'), "", Needed, Act::Ignore, "ignored"),
    row(Some('i'), "", No, Act::Flag("i"), "a lone dot does not end the message"),
    row(Some('L'), "", Needed, Act::Flag("L"), "tag in the log"),
    row(Some('m'), "", No, Act::Ignore, "ignored"),
    row(Some('n'), "", No, Act::Ignore, "ignored"),
    row(Some('O'), "", Needed, Act::Flag("O"), "sendmail long option"),
    row(Some('U'), "", No, Act::Ignore, "ignored"),
    row(Some('r'), "", Needed, Act::Flag("r"), "as -f"),
    setting("host", Needed, "host", "server"),
    setting("port", Needed, "port", "port"),
    setting("timeout", Needed, "timeout", "time limit in seconds, or off"),
    setting("connect-timeout", Needed, "connect_timeout", "the same"),
    setting("protocol", Needed, "protocol", "either smtp or lmtp"),
    setting("domain", Needed, "domain", "EHLO argument"),
    reaching(setting("auth", Optional, "auth", "a method, on, or off"), Unless("off", Search)),
    setting("user", Needed, "user", "login"),
    reaching(setting("passwordeval", Needed, "passwordeval", "command that prints the password"), Always(Program)),
    setting("ntlmdomain", Needed, "ntlmdomain", "NTLM domain"),
    reaching(setting("tls", Optional, "tls", "either on or off"), With("off", Login)),
    setting("tls-starttls", Optional, "tls_starttls", "on: STARTTLS; off: TLS at once"),
    reaching(setting("tls-trust-file", Needed, "tls_trust_file", "CA certificates"), Always(File)),
    reaching(setting("tls-crl-file", Needed, "tls_crl_file", "revocation list"), Always(File)),
    reaching(setting("tls-fingerprint", Needed, "tls_fingerprint", "certificate fingerprint"), Unless("", Login)),
    reaching(setting("tls-key-file", Needed, "tls_key_file", "client key"), Always(File)),
    reaching(setting("tls-cert-file", Needed, "tls_cert_file", "client certificate"), Always(File)),
    reaching(setting("tls-certcheck", Optional, "tls_certcheck", "either on or off"), With("off", Login)),
    setting("tls-min-dh-prime-bits", Needed, "tls_min_dh_prime_bits", "smallest DH prime"),
    setting("tls-priorities", Needed, "tls_priorities", "GnuTLS priorities"),
    reaching(
        setting("tls-host-override", Needed, "tls_host_override", "name for SNI and the certificate check"),
        Unless("", Login),
    ),
    setting("logfile-time-format", Needed, "logfile_time_format", "strftime format"),
    setting("syslog", Optional, "syslog", "facility"),
    reaching(setting("aliases", Needed, "aliases", "alias file"), Always(File)),
    setting("source-ip", Needed, "source_ip", "local address"),
    reaching(setting("proxy-host", Needed, "proxy_host", "SOCKS5 proxy"), Unless("", Login)),
    setting("proxy-port", Needed, "proxy_port", "its port"),
    reaching(setting("socket", Needed, "socket", "unix socket"), Always(File)),
    setting("set-from-header", Optional, "set_from_header", "one of auto, on, off"),
    setting("set-date-header", Optional, "set_date_header", "either auto or off"),
    setting("set-msgid-header", Optional, "set_msgid_header", "either auto or off"),
    setting("set-to-header", Optional, "set_to_header", "one of off, on, undisclosed_recipients"),
    setting("remove-bcc-headers", Optional, "remove_bcc_headers", "either on or off"),
    setting("allow-from-override", Optional, "allow_from_override", "either on or off"),
    setting("from-full-name", Needed, "from_full_name", "full name of an added From"),
    setting("auto-from", Optional, "auto_from", "obsolete"),
    setting("maildomain", Optional, "maildomain", "obsolete"),
    setting("add-missing-from-header", Optional, "add_missing_from_header", "obsolete"),
    setting("add-missing-date-header", Optional, "add_missing_date_header", "obsolete"),
    setting("undisclosed-recipients", Optional, "undisclosed_recipients", "obsolete"),
    setting("keepbcc", Optional, "keepbcc", "obsolete"),
    row(None, "rmqs", Needed, Act::Refuse("remote queue starting (ETRN) is not supported"), "not supported"),
    row(None, "configure", Needed, Act::Refuse("use: postrider setup"), "not supported"),
];

/// Reads an msmtp command line, without the program's name.
///
/// # Errors
/// An unknown option, a missing or impossible value, an argument that is no UTF-8.
pub fn parse(arguments: &[OsString]) -> Result<Invocation, Usage> {
    let start = Invocation {
        options: Options { ignore_dots: true, contract: Contract::Msmtp, ..Options::default() },
        msmtp: Some(MsmtpOptions::default()),
        ..Invocation::default()
    };
    let mut parser = Parser { invocation: start, rest: arguments.iter() };
    while let Some(argument) = parser.rest.next() {
        let argument = text(argument)?;
        match argument.strip_prefix("--") {
            Some("") => {
                for operand in parser.rest.by_ref() {
                    parser.invocation.options.recipients.push(text(operand)?.to_owned());
                }
            }
            Some(long) => parser.long(long)?,
            None if argument.len() > 1 && argument.starts_with('-') => parser.short(&argument[1..])?,
            None => parser.invocation.options.recipients.push(argument.to_owned()),
        }
    }
    contradictions(&parser.invocation)?;
    Ok(parser.invocation)
}

/// Options that exclude each other, as msmtp has it.
fn contradictions(invocation: &Invocation) -> Result<(), Usage> {
    let options = &invocation.options;
    let host = invocation.msmtp.iter().flat_map(|own| &own.settings).any(|(name, _)| name == "host");
    if host && options.account.is_some() {
        return Err(Usage::new("--host makes an account of its own; leave out --account, or --host"));
    }
    if options.read_envelope_from && options.from.is_some() {
        return Err(Usage::new("--from and --read-envelope-from exclude each other; give one of them"));
    }
    Ok(())
}

struct Parser<'a> {
    invocation: Invocation,
    rest: std::slice::Iter<'a, OsString>,
}

impl<'a> Parser<'a> {
    fn long(&mut self, argument: &str) -> Result<(), Usage> {
        let (name, value) = argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)));
        let row = by_name(name)?;
        let value = match (row.value, value) {
            (No, Some(_)) => return Err(Usage::new(format!("option --{} takes no value", row.long))),
            (Needed, None) => self.next(row)?.to_owned(),
            (_, value) => value.unwrap_or_default().to_owned(),
        };
        self.act(row, &value)
    }

    fn short(&mut self, mut letters: &'a str) -> Result<(), Usage> {
        while let Some(letter) = letters.chars().next() {
            let row = TABLE
                .iter()
                .find(|row| row.letter == Some(letter))
                .ok_or_else(|| Usage::new(format!("unknown option -{}", letter.escape_debug())))?;
            letters = &letters[letter.len_utf8()..];
            if row.value == No {
                self.act(row, "")?;
                continue;
            }
            let value = if letters.is_empty() { self.next(row)? } else { letters };
            letters = "";
            self.act(row, value)?;
        }
        Ok(())
    }

    fn next(&mut self, row: &Row) -> Result<&'a str, Usage> {
        let name = row.letter.map_or_else(|| row.name(), |letter| format!("-{letter}"));
        text(self.rest.next().ok_or_else(|| Usage::new(format!("option {name} needs a value")))?)
    }

    /// Notes an option that not everybody may use.
    fn reach(&mut self, row: &Row, value: &str) {
        let reaches = match row.scope {
            Scope::Message => None,
            Always(reaches) => Some(reaches),
            Unless(harmless, reaches) => Some(reaches).filter(|_| value != harmless),
            With(harmful, reaches) => Some(reaches).filter(|_| value == harmful),
        };
        let own = self.invocation.msmtp.get_or_insert_default();
        own.reach.extend(reaches.map(|reaches| Reach { option: row.name(), reaches }));
    }

    fn act(&mut self, row: &Row, value: &str) -> Result<(), Usage> {
        self.reach(row, value);
        let invocation = &mut self.invocation;
        let own = invocation.msmtp.get_or_insert_default();
        match row.act {
            Act::Setting(command) => {
                // sendmail's word for it is taken too.
                let value = if (command, value) == ("dsn_return", "hdrs") { "headers" } else { value };
                check_setting(command, value).map_err(|why| Usage::new(format!("option --{}: {why}", row.long)))?;
                own.settings.push((command.to_owned(), value.to_owned()));
            }
            Act::File => own.file = Some(value.into()),
            Act::ReadEnvelopeFrom => invocation.options.read_envelope_from = true,
            Act::Mode(mode) => invocation.mode = mode,
            Act::Flag(flag) => sendmail::apply(flag, invocation, value)?,
            Act::Biff => sendmail::apply("b", invocation, value)?,
            Act::Ignore => {}
            Act::Refuse(why) => return Err(Usage::new(format!("option --{}: {why}", row.long))),
        }
        Ok(())
    }
}

impl Row {
    /// Its long name, else its letter, as it is written.
    fn name(&self) -> String {
        match self.letter {
            Some(letter) if self.long.is_empty() => format!("-{letter}"),
            _ => format!("--{}", self.long),
        }
    }
}

/// The row of a long option; an unambiguous beginning serves, as getopt has it.
fn by_name(name: &str) -> Result<&'static Row, Usage> {
    let exact = TABLE.iter().find(|row| row.long == name && !name.is_empty());
    if let Some(row) = exact {
        return Ok(row);
    }
    let mut fits = TABLE.iter().filter(|row| !row.long.is_empty() && row.long.starts_with(name));
    match (fits.next(), fits.next()) {
        (Some(row), None) => Ok(row),
        (Some(_), Some(_)) => Err(Usage::new(format!("option --{} is ambiguous", name.escape_debug()))),
        _ => Err(Usage::new(format!("unknown option --{}{}", name.escape_debug(), nearest(name)))),
    }
}

/// The long option that was most likely meant, where one is near.
fn nearest(name: &str) -> String {
    let long = TABLE.iter().map(|row| row.long).filter(|long| !long.is_empty());
    crate::config::nearest::slip(name, long).map_or_else(String::new, |long| format!("; did you mean --{long}?"))
}

fn text(argument: &OsString) -> Result<&str, Usage> {
    argument.to_str().ok_or_else(|| Usage::data(format!("argument {argument:?} is no UTF-8")))
}

/// The help text, from the table.
#[must_use]
pub fn help() -> String {
    let mut text = String::from("Usage: msmtp [OPTION]... [--] [RECIPIENT]...\n\n");
    for row in TABLE {
        let short = row.letter.map(|letter| format!("-{letter}"));
        let long = (!row.long.is_empty()).then(|| {
            format!(
                "--{}{}",
                row.long,
                match row.value {
                    No => "",
                    Optional => "[=VALUE]",
                    Needed => "=VALUE",
                }
            )
        });
        let names: Vec<String> = [short, long].into_iter().flatten().collect();
        text.push_str(&format!("  {:<32} {}\n", names.join(", "), row.help));
    }
    text
}
