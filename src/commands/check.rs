//! `postrider check`: reads the whole configuration and says what keeps mail from being sent.

use super::alias_files;
use super::surroundings::Surroundings;
use crate::config::{Config, ConfigError, DefaultRelay, LogTarget, Place, Relay, Staging, StagingTarget};
use crate::deliver::sorted;
use crate::exit::Status;
use crate::net::acceptor::Acceptor;
use crate::report::{self, printable};
use crate::secret::SecretSource;
use crate::sys::files;
use std::path::{Path, PathBuf};

/// Checks the configuration; 0 where it is good, 2 where something is wrong, each fault on its own line.
/// `parse_only`: the files that the configuration names are not looked at. `json`: one object a line.
#[must_use]
pub fn run(explicit: Option<PathBuf>, parse_only: bool, json: bool) -> Status {
    let around = Surroundings::look();
    let config = match around.load(explicit) {
        Ok(config) => config,
        Err(errors) => {
            errors.iter().for_each(|error| report::stdout(&finding("error", error, json)));
            return Status::Faults;
        }
    };
    let faults = if parse_only { Vec::new() } else { faults(&config, around.who.uid) };
    if !parse_only {
        warnings(&config).iter().for_each(|warning| report::stdout(&finding("warning", warning, json)));
    }
    for fault in &faults {
        report::stdout(&finding("error", fault, json));
    }
    if !faults.is_empty() {
        return Status::Faults;
    }
    let files: Vec<String> = config.files.iter().map(|file| file.display().to_string()).collect();
    let default = match &config.default {
        DefaultRelay::Server(_) => "default relay: its own server".to_owned(),
        DefaultRelay::Msmtprc(msmtprc) => format!("default relay: msmtprc with {} accounts", msmtprc.accounts.len()),
        DefaultRelay::Refuse(_) => "default relay: refuses".to_owned(),
        DefaultRelay::Missing => "no default relay: mail of unknown senders is refused".to_owned(),
    };
    let senders = match config.senders.len() {
        1 => "1 sender".to_owned(),
        count => format!("{count} senders"),
    };
    let line = if json {
        let count = config.senders.len();
        format!("{}\n", serde_json::json!({"level": "ok", "files": files, "senders": count, "default": default}))
    } else {
        format!("ok: {}; {senders}; {default}\n", files.join(", "))
    };
    report::stdout(&line);
    Status::Ok
}

/// A fault as a line: for people, or as JSON with `level`, `file`, `line` and `what`.
fn finding(level: &str, error: &ConfigError, json: bool) -> String {
    if !json {
        return format!("{level}: {}\n", printable(&error.to_string()));
    }
    let file = error.place.as_ref().map(|place| place.file.display().to_string());
    let line = error.place.as_ref().map(|place| place.line).filter(|line| *line > 0);
    format!("{}\n", serde_json::json!({"level": level, "file": file, "line": line, "what": error.what}))
}

/// What the files that the configuration names have wrong.
fn faults(config: &Config, uid: u32) -> Vec<ConfigError> {
    let mut faults = Vec::new();
    for (relay, place) in relays(config) {
        for (name, source) in [("password", &relay.password), ("client_password", &relay.client_password)] {
            if let Some(SecretSource::File(path)) = source {
                faults.extend(secret_file(path, uid).map(|what| ConfigError::at(place, format!("{name}: {what}"))));
            }
        }
        let tls = &relay.tls_options;
        let named = tls.trust_file.iter().chain(tls.client.iter().flat_map(|(cert, key)| [cert, key]));
        for path in named {
            let failed = files::read(path).err();
            faults.extend(failed.map(|error| ConfigError::at(place, format!("{}: {error}", path.display()))));
        }
    }
    for listener in &config.listen {
        if let Some((certificate, key)) = &listener.identity {
            let failed = Acceptor::load(certificate, key, uid).err();
            faults.extend(failed.map(|what| ConfigError::at(&listener.place, what.to_string())));
        }
    }
    // Whose rights the daemon has only root and the daemon's own user can tell.
    if uid == 0 {
        faults.extend(sorted::faults(config, uid));
    }
    if let Some(source) = &config.local.aliases {
        faults.extend(alias_files::read(source).err());
    }
    if let Some(Staging { to: StagingTarget::Maildir(path) | StagingTarget::Mbox(path), .. }) = &config.staging {
        let parent = path.parent().filter(|parent| !parent.is_dir());
        let what = parent.map(|parent| format!("[staging] capture: {} is no directory", parent.display()));
        faults.extend(what.map(|what| ConfigError { place: None, what }));
    }
    if let LogTarget::File(path) = &config.log.to {
        faults.extend(log_file(path).map(|what| ConfigError { place: None, what }));
    }
    faults
}

/// What is wrong with a log file. It is not made here: root's would be closed to the daemon.
fn log_file(path: &Path) -> Option<String> {
    let directory = path.parent().filter(|parent| !parent.is_dir());
    match directory {
        Some(directory) => Some(format!("log {}: there is no directory {}", path.display(), directory.display())),
        None if path.exists() => files::append(path).err().map(|error| format!("log {}: {error}", path.display())),
        None => None,
    }
}

/// What is wrong, but keeps no mail from being sent but that to a few names; and what sends it elsewhere.
fn warnings(config: &Config) -> Vec<ConfigError> {
    let mut warnings = Vec::new();
    if let Some(source) = &config.local.aliases
        && let Ok(Some(parsed)) = alias_files::read(source)
    {
        warnings.extend(parsed.faults.iter().cloned().map(ConfigError::from));
    }
    if let Some(staging) = &config.staging {
        let what = format!("[staging] is on: mail goes to {staging}, not to its recipients");
        warnings.push(ConfigError { place: None, what });
    }
    warnings
}

/// Every account with its place.
fn relays(config: &Config) -> Vec<(&Relay, &Place)> {
    let mut all: Vec<(&Relay, &Place)> = config.senders.iter().map(|sender| (&sender.relay, &sender.place)).collect();
    match &config.default {
        DefaultRelay::Server(sender) => all.push((&sender.relay, &sender.place)),
        DefaultRelay::Msmtprc(msmtprc) => {
            all.extend(msmtprc.accounts.iter().map(|account| (&account.relay, &account.place)));
        }
        DefaultRelay::Refuse(_) | DefaultRelay::Missing => {}
    }
    all
}

fn secret_file(path: &Path, uid: u32) -> Option<String> {
    match files::read(path) {
        Ok((_, guard)) => files::check_secret(path, guard, uid).err(),
        Err(error) => Some(format!("{}: {error}", path.display())),
    }
}
