//! Where a password is looked for that is not configured, in msmtp's order: the keyring, `~/.netrc`, `/etc/netrc`, and
//! where a person is there, the terminal.
//!
//! The keyring is asked through `secret-tool` and only where a session bus is named; what it does not know is no error.

use super::fetch::{FetchContext, first_line};
use super::{Secret, netrc};
use crate::report::printable;
use crate::sys::clock::Deadline;
use crate::sys::files::{self, check_secret};
use crate::sys::terminal::Terminal;
use crate::sys::{env, spawn};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// The netrc of the whole system, after the user's own.
const SYSTEM_NETRC: &str = "/etc/netrc";

/// Looks everywhere; all of it takes no longer than the context's limit.
pub(super) fn search(context: &FetchContext<'_>) -> Result<Secret, String> {
    let deadline = Deadline::after(context.limit);
    let mut looked = Vec::new();
    if let Some(secret) = in_keyring(context, &mut looked) {
        return Ok(secret);
    }
    if let Some(secret) = in_netrc(context, Path::new(SYSTEM_NETRC), &mut looked)? {
        return Ok(secret);
    }
    if let Some(terminal) = context.ask.then(Terminal::open).flatten() {
        return typed(&terminal, context, deadline);
    }
    let (host, user) = (context.host.escape_debug(), context.user.escape_debug());
    Err(format!("no password for {user} at {host} in {}; configure password or passwordeval", looked.join(", ")))
}

/// The keyring's entry with the attributes that msmtp gives it.
fn in_keyring(context: &FetchContext<'_>, looked: &mut Vec<String>) -> Option<Secret> {
    let (host, user) = (context.host, context.user);
    // The tool would take a name that begins with a hyphen for an option.
    let usable = !host.is_empty() && !user.is_empty() && !host.starts_with('-') && !user.starts_with('-');
    env::var("DBUS_SESSION_BUS_ADDRESS").filter(|_| usable)?;
    let argv = ["secret-tool", "lookup", "host", host, "service", "smtp", "user", user].map(str::to_owned);
    match spawn::output(&argv, context.limit) {
        Ok(printed) => {
            let secret = first_line(printed).ok();
            looked.extend(secret.is_none().then(|| "the keyring".to_owned()));
            secret
        }
        Err(spawn::SpawnError::Start(_)) => None,
        // It fails where it has no such entry.
        Err(spawn::SpawnError::Failed(_)) => {
            looked.push("the keyring".into());
            None
        }
        Err(error) => {
            looked.push(format!("the keyring (secret-tool {error})"));
            None
        }
    }
}

/// The user's netrc, then the system's: the first entry for this host and login.
fn in_netrc(context: &FetchContext<'_>, system: &Path, looked: &mut Vec<String>) -> Result<Option<Secret>, String> {
    let own = context.home.map(|home| home.join(".netrc"));
    for path in own.as_deref().into_iter().chain([system]) {
        match files::read(path) {
            Ok((data, guard)) => {
                let data = Zeroizing::new(data);
                if let Some(secret) = netrc::find(&data, context.host, context.user) {
                    check_secret(path, &guard, context.uid)?;
                    return Ok(Some(secret));
                }
                looked.push(path.display().to_string());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => looked.push(format!("{} (none)", path.display())),
            Err(error) => looked.push(format!("{} ({error})", path.display())),
        }
    }
    Ok(None)
}

/// What the person at the terminal types.
fn typed(terminal: &Terminal, context: &FetchContext<'_>, deadline: Deadline) -> Result<Secret, String> {
    let left = deadline.left().unwrap_or(Duration::ZERO);
    let prompt = format!("password for {} at {}: ", printable(context.user), printable(context.host));
    let answer = terminal.ask(&prompt, left).map_err(|error| match error.kind() {
        ErrorKind::TimedOut => {
            format!("was asked for on the terminal and not given within {} s", context.limit.as_secs_f32().round())
        }
        _ => format!("was asked for on the terminal: {error}"),
    })?;
    let answer = std::str::from_utf8(&answer).map_err(|_| "what was typed is not UTF-8")?;
    match answer.is_empty() {
        true => Err("was asked for on the terminal and not given".into()),
        false => Ok(Secret::new(answer.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fetch::tests::{context, file};
    use super::*;

    #[test]
    fn netrc_files() {
        let folder = tempfile::tempdir().unwrap();
        let context = context(folder.path());
        let system = file(folder.path(), "system", "default login shop password fallback", 0o600);
        let look = || {
            let mut looked = Vec::new();
            in_netrc(&context, &system, &mut looked).map(|found| (found.map(|found| found.expose().to_owned()), looked))
        };
        let (found, looked) = look().unwrap();
        assert!(found.as_deref() == Some("fallback") && looked[0].ends_with("/.netrc (none)"));
        file(folder.path(), ".netrc", "machine smtp.example.com login shop password hunter2", 0o600);
        assert_eq!(look().unwrap().0.as_deref(), Some("hunter2"));
        file(folder.path(), ".netrc", "machine smtp.example.com login shop password hunter2", 0o604);
        assert!(look().unwrap_err().contains("chmod"));
    }
}
