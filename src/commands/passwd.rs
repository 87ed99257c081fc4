//! `postrider passwd [NAME]`: reads a password, typed or on standard input, and prints the lines of its `[[user]]`.
//!
//! The password is never an argument, and nothing but its hash is printed.

use crate::exit::Status;
use crate::report;
use crate::secret::Secret;
use crate::smtp::auth::hash;
use crate::sys::{random, terminal};

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

/// The password; one that is typed, twice.
fn read() -> Result<Secret, (Status, String)> {
    let ask = |prompt: &str| {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => (Status::Usage, "no password on standard input".to_owned()),
            _ => (Status::Io, format!("the password cannot be read: {error}")),
        };
        terminal::password(prompt).map_err(failed)
    };
    let first = ask("Password")?;
    if !terminal::is_terminal() {
        return Ok(first);
    }
    let second = ask("The same again")?;
    match hash::same(&first, &second) {
        true => Ok(first),
        false => Err((Status::Data, "the two are not the same".into())),
    }
}
