//! The msmtprc as it stands: a parser for msmtp's configuration language that gives the accounts it defines.
//!
//! Text in, accounts or one error out; `eval` is run by whoever calls. Faithful to msmtp: any fault in any account makes
//! the whole file unusable. An error names file and line, never what stands there: the file may have been named on a
//! command line, and a line may hold a password.

mod commands;
mod files;
mod overrides;
mod settings;
pub mod show;
#[cfg(test)]
mod tests;

pub use files::{MsmtprcFiles, command_line_account, load_accounts};
pub(super) use files::{Trust, read_file};
pub use overrides::{Overrides, check_setting};

use super::error::{ConfigError, Place};
use super::model::Account;
use settings::{Draft, Settings};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The longest line, octets without its end.
const LINE: usize = 500;

/// The most accounts of a file: inheritance copies settings, and memory stays bounded.
const ACCOUNTS: usize = 1_000;

/// What a parser has to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'w> {
    /// The caller's home directory, for a leading `~`.
    pub home: Option<&'w Path>,
    /// The host name, for `%H` in `domain`.
    pub hostname: &'w str,
    /// The canonical host name, for `%C` in `domain`.
    pub canonical: &'w str,
    /// The first line of /etc/mailname, for `%M` in `domain`.
    pub mailname: Option<&'w str>,
}

/// What an msmtprc says.
#[derive(Debug)]
pub struct Parsed {
    /// Its accounts in file order.
    pub accounts: Vec<Account>,
    /// The line of the first literal `password`, so that the file's owner and mode matter.
    pub password_line: Option<usize>,
}

/// Runs the command of an `eval` line and returns what it printed.
pub type Eval<'e> = dyn FnMut(&str) -> Result<Zeroizing<Vec<u8>>, String> + 'e;

/// Reads an msmtprc.
///
/// # Errors
/// The first fault, with file and line.
pub fn parse(text: &[u8], file: &Path, facts: &Facts<'_>, eval: &mut Eval<'_>) -> Result<Parsed, ConfigError> {
    parse_with(text, file, facts, &Overrides::default(), eval)
}

/// As `parse`, with settings of a command line over those of the accounts.
///
/// # Errors
/// The first fault, with file and line.
pub fn parse_with(
    text: &[u8],
    file: &Path,
    facts: &Facts<'_>,
    overrides: &Overrides,
    eval: &mut Eval<'_>,
) -> Result<Parsed, ConfigError> {
    let mut parser = Parser {
        file: Place::new(file, 0),
        defaults: Settings::default(),
        drafts: Vec::new(),
        target: Target::None,
        password_line: None,
    };
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let place = Place { line: index + 1, ..parser.file.clone() };
        parser.line(line, &place, eval).map_err(|what| ConfigError::at(&place, what))?;
    }
    for draft in parser.drafts.iter_mut().filter(|draft| overrides.concerns(&draft.name)) {
        draft.explicit.overlay(&overrides.settings);
    }
    let accounts = parser.drafts.iter().map(|draft| draft.account(&parser.file, facts)).collect::<Result<_, _>>()?;
    Ok(Parsed { accounts, password_line: parser.password_line })
}

/// The first `logfile` of a text that need not be a good msmtprc.
#[must_use]
pub fn log_hint(text: &[u8], home: Option<&Path>) -> Option<PathBuf> {
    let mut lines = text.split(|byte| *byte == b'\n').filter_map(|line| split(line).ok().flatten());
    let (_, path) = lines.find(|(command, argument)| *command == "logfile" && !argument.is_empty())?;
    settings::in_home(path, home)
}

/// What the next command belongs to.
#[derive(Clone, Copy)]
enum Target {
    /// Neither `defaults` nor `account` was seen.
    None,
    Defaults,
    /// The last account.
    Account,
}

struct Parser {
    file: Place,
    defaults: Settings,
    drafts: Vec<Draft>,
    target: Target,
    password_line: Option<usize>,
}

impl Parser {
    /// One line as it stands in the file, without its `\n`.
    fn line(&mut self, line: &[u8], place: &Place, eval: &mut Eval<'_>) -> Result<(), String> {
        let Some((command, argument)) = split(line)? else { return Ok(()) };
        if command != "eval" {
            return self.command(command, argument, place);
        }
        let printed = eval(argument).map_err(|error| format!("eval {error}"))?;
        if printed.is_empty() {
            return Err("eval: the command printed nothing; it must print a configuration line".into());
        }
        let first = printed.split(|byte| *byte == b'\n').next().unwrap_or_default();
        match split(first).map_err(|error| format!("eval: {error}"))? {
            Some(("eval", _)) => Err("eval: the command printed another eval".into()),
            Some((command, argument)) => self.command(command, argument, place),
            None => Ok(()),
        }
    }

    fn command(&mut self, command: &str, argument: &str, place: &Place) -> Result<(), String> {
        match command {
            "account" => self.account(argument, place),
            "defaults" if argument.is_empty() => {
                self.target = Target::Defaults;
                Ok(())
            }
            "defaults" => Err("defaults takes no argument".into()),
            name => self.setting(name, argument, place),
        }
    }

    fn setting(&mut self, name: &str, argument: &str, place: &Place) -> Result<(), String> {
        let command = commands::find(name).ok_or_else(|| commands::unknown(name))?;
        let value = command.value(argument).map_err(|error| format!("{}: {error}", command.name))?;
        if command.key == "password" && !value.is_empty() {
            self.password_line.get_or_insert(place.line);
        }
        if matches!(self.target, Target::None) {
            self.open("default".into(), place, Settings::default())?;
        }
        let settings = match self.target {
            Target::Defaults => &mut self.defaults,
            Target::None | Target::Account => match self.drafts.last_mut() {
                Some(draft) => &mut draft.explicit,
                None => &mut self.defaults,
            },
        };
        settings.set(command.key, value, place.line);
        Ok(())
    }

    /// `account NAME [: PARENT [, PARENT]...]`.
    fn account(&mut self, argument: &str, place: &Place) -> Result<(), String> {
        let (name, parents) = match argument.split_once(':') {
            Some((name, parents)) => (name.trim(), Some(parents)),
            None => (argument.trim(), None),
        };
        if name.is_empty() {
            return Err("account needs a name".into());
        }
        if name.contains(',') {
            return Err("the name of an account holds no comma".into());
        }
        let mut explicit = Settings::default();
        for parent in parents.into_iter().flat_map(|parents| parents.split(',')) {
            let parent = self.drafts.iter().find(|draft| draft.name == parent.trim());
            let parent = parent.ok_or("an account after the colon is not defined, or only further down")?;
            explicit.overlay(&parent.explicit);
        }
        self.open(name.to_owned(), place, explicit)
    }

    fn open(&mut self, name: String, place: &Place, explicit: Settings) -> Result<(), String> {
        if let Some(first) = self.drafts.iter().find(|draft| draft.name == name) {
            return Err(format!("this account was already defined in line {}", first.line));
        }
        if self.drafts.len() == ACCOUNTS {
            return Err(format!("more than {ACCOUNTS} accounts"));
        }
        self.drafts.push(Draft { name, line: place.line, defaults: self.defaults.clone(), explicit });
        self.target = Target::Account;
        Ok(())
    }
}

/// Command and argument of a line; `None` for an empty line and a comment.
fn split(line: &[u8]) -> Result<Option<(&str, &str)>, String> {
    const BLANK: [char; 2] = [' ', '\t'];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > LINE {
        return Err(format!("the line is longer than {LINE} characters"));
    }
    if line.iter().find(|byte| !matches!(byte, b' ' | b'\t')).is_none_or(|byte| *byte == b'#') {
        return Ok(None);
    }
    if line.contains(&0) {
        return Err("the line holds a NUL character".into());
    }
    let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?.trim_matches(BLANK);
    let (command, argument) = line.split_once(BLANK).unwrap_or((line, ""));
    let argument = argument.trim_matches(BLANK);
    let quoted = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Ok(Some((command, quoted.unwrap_or(argument))))
}
