//! A configuration from environment variables: one default relay that takes all mail, for containers and the like.
//!
//! Each variable is one key of postrider.toml. They become such a text, which goes the same way as a file, so that there
//! is one set of rules. Values only: `load` asks for the variables, and only where no postrider.toml is there.

use super::build::{self, FileConfig};
use super::error::{ConfigError, Place};
use super::toml::Source;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::Path;

/// A variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The table that its key stands in, as it begins in the file.
    table: &'static str,
    /// The key.
    key: &'static str,
    /// How its value is written there.
    form: Form,
    /// What it means.
    pub help: &'static str,
}

/// How a value is written as TOML.
#[derive(Clone, Copy, Debug)]
enum Form {
    Text,
    Switch,
    /// The path of the password's file.
    PasswordFile,
    /// The password itself, which stays in the environment.
    Password,
}

const fn variable(
    name: &'static str,
    table: &'static str,
    key: &'static str,
    form: Form,
    help: &'static str,
) -> Variable {
    Variable { name, table, key, form, help }
}

use Form::{Password, PasswordFile, Switch, Text};

/// Every variable, table by table.
pub static VARIABLES: &[Variable] = &[
    variable("POSTRIDER_DOMAIN", "", "domain", Text, "what is put behind a local name without a domain"),
    variable("POSTRIDER_LOG", "[log]", "to", Text, "where it goes: syslog, stderr, off, or a file"),
    variable("POSTRIDER_LOG_FORMAT", "[log]", "format", Text, "its lines: text or json"),
    variable("POSTRIDER_QUEUE_DIRECTORY", "[queue]", "directory", Text, "where the daemon keeps its queue"),
    variable("POSTRIDER_POSTMASTER", "[queue]", "postmaster", Text, "who gets what cannot be sent back to its sender"),
    variable("POSTRIDER_SERVER", "[default]", "server", Text, "the server, as in smtps://smtp.example.com"),
    variable("POSTRIDER_PROVIDER", "[default]", "provider", Text, "a known provider, in place of a server"),
    variable("POSTRIDER_REGION", "[default]", "region", Text, "its region, for ses"),
    variable("POSTRIDER_USER", "[default]", "user", Text, "the login"),
    variable("POSTRIDER_PASSWORD_FILE", "[default]", "password", PasswordFile, "the file that holds the password"),
    variable("POSTRIDER_PASSWORD", "[default]", "password", Password, "the password; a file is the better place"),
    variable("POSTRIDER_AUTH", "[default]", "auth", Text, "the method, auto, or off"),
    variable(
        "POSTRIDER_ALLOW_PLAINTEXT_PASSWORD",
        "[default]",
        "allow_plaintext_password",
        Switch,
        "with true, the password may go over a connection without TLS",
    ),
    variable("POSTRIDER_FROM", "[default]", "from", Text, "the address that the account may send as"),
    variable(
        "POSTRIDER_MUST_MATCH",
        "[default]",
        "must_match",
        Switch,
        "with true, the server takes its own From only",
    ),
    variable("POSTRIDER_ON_MISMATCH", "[default]", "on_mismatch", Text, "with any other From: refuse or rewrite"),
    variable("POSTRIDER_EHLO", "[default]", "ehlo", Text, "the host name of the EHLO command"),
    variable("POSTRIDER_CA_FILE", "[default]", "ca_file", Text, "CA certificates in PEM"),
];

/// What the errors and `explain` call it.
pub(super) const NAME: &str = "environment variables";

/// The variables as a text of postrider.toml.
struct Written {
    text: String,
    /// The variable of each line.
    lines: Vec<Option<&'static str>>,
}

/// Reads the configuration that the variables make; `None` where neither a server nor a provider is among them.
pub(super) fn read(
    variables: &dyn Fn(&str) -> Option<OsString>,
    home: Option<&Path>,
) -> Option<(FileConfig, Vec<ConfigError>)> {
    if variables("POSTRIDER_SERVER").is_none() && variables("POSTRIDER_PROVIDER").is_none() {
        return None;
    }
    let written = match write(variables) {
        Ok(written) => written,
        Err(error) => return Some((FileConfig { enabled: true, ..FileConfig::default() }, vec![error])),
    };
    let whole = Place::new(NAME, 0);
    let (mut file, errors) = build::main_file(Source { text: &written.text, file: &whole, quote: true }, home);
    if let Some(build::DefaultSpec::Server(relay)) = &mut file.default {
        relay.place = whole;
    }
    Some((file, errors.into_iter().map(|error| renamed(error, &written.lines)).collect()))
}

fn write(variables: &dyn Fn(&str) -> Option<OsString>) -> Result<Written, ConfigError> {
    let given: Vec<(&Variable, OsString)> =
        VARIABLES.iter().filter_map(|variable| Some((variable, variables(variable.name)?))).collect();
    let mut written = Written { text: String::new(), lines: Vec::new() };
    let (mut table, mut last) = ("", "");
    for (variable, value) in given {
        if variable.table != table {
            let _ = writeln!(written.text, "{}", variable.table);
            written.lines.push(None);
        } else if variable.key == last {
            return Err(fault(variable.name, "POSTRIDER_PASSWORD_FILE is set as well; unset one of them"));
        }
        (table, last) = (variable.table, variable.key);
        let _ = writeln!(written.text, "{} = {}", variable.key, variable.form.toml(variable.name, &value)?);
        written.lines.push(Some(variable.name));
    }
    Ok(written)
}

impl Form {
    fn toml(self, name: &str, value: &OsStr) -> Result<String, ConfigError> {
        if matches!(self, Password) {
            return Ok(format!("{{ env = \"{name}\" }}"));
        }
        let text = value.to_str().ok_or_else(|| fault(name, "the value is no UTF-8"))?;
        let quoted = || ::toml::Value::String(one_line(text)).to_string();
        match self {
            Text | Password => Ok(quoted()),
            PasswordFile => Ok(format!("{{ file = {} }}", quoted())),
            Switch => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok("true".into()),
                "false" | "no" | "off" | "0" => Ok("false".into()),
                _ => Err(fault(name, "true or false is needed")),
            },
        }
    }
}

/// No value holds a line end that is of use; one is kept as a character that every key refuses, so that a value is one
/// line of the text.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], "\u{7f}")
}

fn fault(variable: &str, what: &str) -> ConfigError {
    ConfigError::at(&Place::new(variable, 0), what)
}

/// The error with its variable in place of a line that nobody wrote.
fn renamed(error: ConfigError, lines: &[Option<&'static str>]) -> ConfigError {
    let line = error.place.as_ref().and_then(|place| place.line.checked_sub(1));
    let variable = line.and_then(|line| lines.get(line).copied().flatten()).unwrap_or(NAME);
    ConfigError { place: Some(Place::new(variable, 0)), what: error.what }
}

#[cfg(test)]
mod tests {
    use super::super::keys::{TABLES, keys_of};
    use super::*;
    use proptest::prelude::*;

    fn of(given: &[(&str, &str)]) -> Option<(FileConfig, Vec<String>)> {
        let find = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let (file, errors) = read(&find, None)?;
        Some((file, errors.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn the_variables_make_a_default_relay() {
        let given = [
            ("POSTRIDER_SERVER", "smtp://mx.example.com:2525"),
            ("POSTRIDER_USER", "u\"\\"),
            ("POSTRIDER_PASSWORD_FILE", "/run/secrets/mail"),
            ("POSTRIDER_FROM", "site@example.com"),
            ("POSTRIDER_MUST_MATCH", "1"),
            ("POSTRIDER_ON_MISMATCH", "rewrite"),
            ("POSTRIDER_QUEUE_DIRECTORY", "/queue"),
            ("POSTRIDER_DOMAIN", "example.com"),
            ("POSTRIDER_LOG", "stderr"),
        ];
        let (file, errors) = of(&given).unwrap();
        assert_eq!(errors, [""; 0]);
        let Some(build::DefaultSpec::Server(relay)) = file.default else { panic!("a server") };
        assert_eq!(relay.relay.user.as_deref(), Some("u\"\\"));
        assert!(relay.identity.must_match && relay.relay.password.is_some());
        assert_eq!(relay.place.to_string(), NAME);
        assert_eq!(file.queue.directory, Path::new("/queue"));
        assert_eq!(file.domain.as_deref(), Some("example.com"));
        assert!(of(&given[1..]).is_none(), "without a server the variables are no configuration");
    }

    #[test]
    fn a_fault_names_its_variable_and_no_secret() {
        let server = ("POSTRIDER_SERVER", "smtps://mx.example.com");
        for (given, expected) in [
            (vec![("POSTRIDER_SERVER", "http://hunter2")], "POSTRIDER_SERVER: server has an unknown scheme"),
            (vec![server, ("POSTRIDER_MUST_MATCH", "hunter2")], "POSTRIDER_MUST_MATCH: true or false"),
            (vec![server, ("POSTRIDER_LOG", "hunter2")], "POSTRIDER_LOG: log.to: one of"),
            (vec![server, ("POSTRIDER_USER", "u\nhunter2")], "POSTRIDER_USER: user: a login is"),
            (
                vec![server, ("POSTRIDER_PASSWORD", "hunter2"), ("POSTRIDER_PASSWORD_FILE", "/x")],
                "POSTRIDER_PASSWORD: POSTRIDER_PASSWORD_FILE is set as well",
            ),
        ] {
            let (_, errors) = of(&given).unwrap();
            assert!(errors[0].starts_with(expected), "{given:?}: {errors:?}");
            assert!(!errors[0].contains("hunter2"), "{errors:?}");
        }
    }

    #[test]
    fn every_variable_is_a_key() {
        for variable in VARIABLES {
            let table = TABLES.iter().find(|table| table.head == variable.table).unwrap();
            assert!(keys_of(table).any(|key| key.name == variable.key), "{}", variable.name);
        }
    }

    proptest! {
        #[test]
        fn any_value_stays_in_its_line(value in "\\PC{0,20}|[\\x00-\\x7f]{0,20}") {
            let given = [("POSTRIDER_SERVER", "smtps://mx.example.com"), ("POSTRIDER_USER", value.as_str())];
            let (_, errors) = of(&given).unwrap();
            for error in errors {
                prop_assert!(error.starts_with("POSTRIDER_USER: "), "{}", error);
            }
        }
    }
}
