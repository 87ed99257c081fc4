//! The questions of `setup`: on the terminal, a line each; the password without showing it, or from standard input.

use super::Failed;
use crate::config::presets::{PRESETS, Preset};
use crate::exit::Status;
use crate::report::{self, printable};
use crate::secret::Secret;
use crate::sys::terminal::Terminal;
use std::io::{self, BufRead, IsTerminal, Read};
use std::time::Duration;
use zeroize::Zeroizing;

/// The most octets of an answer.
const LONGEST: u64 = 4096;
/// How long somebody is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often the same is asked again.
const TIMES: usize = 3;

/// Asks a person, where there is one.
pub(super) struct Asker {
    person: bool,
}

impl Asker {
    /// A person is there where standard input is a terminal and nothing else is read from it.
    pub(super) fn new(free: bool) -> Self {
        Self { person: free && io::stdin().is_terminal() }
    }

    /// Whether there is a person.
    pub(super) fn is_person(&self) -> bool {
        self.person
    }

    /// One line; an empty one is the usual answer, where there is one.
    pub(super) fn line(&self, question: &str, option: &str, usual: Option<&str>) -> Result<String, Failed> {
        if !self.person {
            return Err((Status::Usage, format!("{option} is missing (without a terminal nobody can be asked)")));
        }
        for _ in 0..TIMES {
            let shown = usual.map_or_else(String::new, |usual| format!(" [{}]", printable(usual)));
            report::stdout(&format!("{question}{shown}: "));
            let mut line = String::new();
            let read = io::stdin().lock().take(LONGEST).read_line(&mut line);
            if read.map_err(|error| (Status::Io, format!("the answer cannot be read: {error}")))? == 0 {
                break;
            }
            match (line.trim(), usual) {
                ("", None) => {}
                ("", Some(usual)) => return Ok(usual.to_owned()),
                (answer, _) => return Ok(answer.to_owned()),
            }
        }
        Err((Status::Usage, format!("{option}: no answer was given")))
    }

    /// One of the list, by number or name.
    pub(super) fn provider(&self) -> Result<Option<&'static Preset>, Failed> {
        if self.person {
            let list = PRESETS.iter().enumerate().map(|(number, one)| format!("{:>4}  {}\n", number + 1, one.name));
            report::stdout(&format!("{}   0  other\n", list.collect::<String>()));
        }
        for _ in 0..TIMES {
            let answer = self.line("Provider (number or name)", "--provider", None)?;
            let chosen = match answer.parse::<usize>() {
                Ok(0) => Ok(None),
                Ok(number) => PRESETS.get(number - 1).map(Some).ok_or_else(|| format!("there is no number {number}")),
                Err(_) => super::provider(&answer),
            };
            match chosen {
                Ok(chosen) => return Ok(chosen),
                Err(what) => report::stdout(&format!("{what}\n")),
            }
        }
        Err((Status::Usage, "--provider: no provider was chosen".into()))
    }
}

/// The password.
pub(super) fn password(stdin: bool, notes: &str) -> Result<Secret, Failed> {
    let failed = |error: io::Error| (Status::Io, format!("the password cannot be read: {error}"));
    if stdin {
        let mut line = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST).unwrap_or_default()));
        io::stdin().lock().take(LONGEST).read_until(b'\n', &mut line).map_err(failed)?;
        return secret(&line);
    }
    let nobody = || {
        let what = "there is no terminal to ask for the password at; give --password-file or --password-stdin";
        (Status::Usage, what.to_owned())
    };
    let terminal = Terminal::open().ok_or_else(nobody)?;
    if !notes.is_empty() {
        report::stdout(&format!("({notes})\n"));
    }
    secret(&terminal.ask("Password: ", PATIENCE).map_err(failed)?)
}

fn secret(line: &[u8]) -> Result<Secret, Failed> {
    let text = std::str::from_utf8(line).map_err(|_| (Status::Data, "the password is no UTF-8".to_owned()))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err((Status::Usage, "no password was given".into())),
        text if text.contains('\0') => Err((Status::Data, "the password holds a NUL".into())),
        text => Ok(Secret::new(text.to_owned())),
    }
}
