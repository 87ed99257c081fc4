//! `postrider passwd [NAME]`: reads a password, typed or on standard input, and prints the lines of its `[[user]]`.
//!
//! The password is never an argument, and nothing but its hash is printed.

use crate::exit::Status;
use crate::report;
use crate::secret::Secret;
use crate::smtp::auth::hash;
use crate::sys::random;
use crate::sys::terminal::Terminal;
use std::io::{self, BufRead, IsTerminal, Read};
use std::time::Duration;
use zeroize::Zeroizing;

/// The most octets of a line.
const LONGEST: usize = 4096;
/// How long somebody is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs it.
#[must_use]
pub fn run(name: Option<&str>) -> Status {
    match made(name) {
        Ok(lines) => {
            report::stdout(&lines);
            Status::Ok
        }
        Err((status, what)) => {
            report::stderr(&format!("postrider passwd: {what}"));
            status
        }
    }
}

fn made(name: Option<&str>) -> Result<String, (Status, String)> {
    let bad = |name: &str| name.is_empty() || name.len() > 255 || name.chars().any(char::is_control);
    if name.is_some_and(bad) {
        return Err((Status::Usage, "a name has 1 to 255 octets and no control character".into()));
    }
    let password = read()?;
    let salt = random::salt().map_err(|error| (Status::Os, format!("no random numbers to be had: {error}")))?;
    let hash = hash::make(&password, &salt).map_err(|what| (Status::Data, what.to_owned()))?;
    Ok(match name {
        // A TOML string: quotes and backslashes of the name are escaped.
        Some(name) => format!("[[user]]\nname = {}\npassword_hash = \"{hash}\"\n", quoted(name)),
        None => format!("password_hash = \"{hash}\"\n"),
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The password: typed twice where standard input is a terminal, else its first line.
fn read() -> Result<Secret, (Status, String)> {
    let failed = |error: io::Error| (Status::Io, format!("the password cannot be read: {error}"));
    if !io::stdin().is_terminal() {
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
        io::stdin().lock().take(LONGEST as u64).read_until(b'\n', &mut line).map_err(failed)?;
        return secret(&line);
    }
    let nobody = || (Status::Io, "there is no terminal to ask at; give the password on standard input".to_owned());
    let terminal = Terminal::open().ok_or_else(nobody)?;
    let first = secret(&terminal.ask("Password: ", PATIENCE).map_err(failed)?)?;
    let second = secret(&terminal.ask("The same again: ", PATIENCE).map_err(failed)?)?;
    match hash::same(&first, &second) {
        true => Ok(first),
        false => Err((Status::Data, "the two are not the same".into())),
    }
}

fn secret(line: &[u8]) -> Result<Secret, (Status, String)> {
    let text = std::str::from_utf8(line).map_err(|_| (Status::Data, "the password is no UTF-8".to_owned()))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    match text.strip_suffix('\r').unwrap_or(text) {
        "" => Err((Status::Usage, "no password was given".into())),
        text => Ok(Secret::new(text.to_owned())),
    }
}
