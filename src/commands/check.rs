//! `postrider check`: reads the whole configuration and says what keeps mail from being sent.

use super::alias_files;
use super::surroundings::Surroundings;
use crate::config::{Config, DefaultRelay, LogTarget, Place, Relay, Staging, StagingTarget};
use crate::deliver::sorted;
use crate::exit::Status;
use crate::net::acceptor::Acceptor;
use crate::report::{self, printable};
use crate::secret::SecretSource;
use crate::sys::files;
use std::path::{Path, PathBuf};

/// Checks the configuration; 0 where it is good, 2 where something is wrong, each fault on its own line.
/// `parse_only`: the files that the configuration names are not looked at.
#[must_use]
pub fn run(explicit: Option<PathBuf>, parse_only: bool) -> Status {
    let around = Surroundings::look();
    let config = match around.load(explicit) {
        Ok(config) => config,
        Err(errors) => {
            errors.iter().for_each(|error| report::stdout(&format!("error: {error}\n")));
            return Status::Faults;
        }
    };
    let faults = if parse_only { Vec::new() } else { faults(&config, around.who.uid) };
    if !parse_only {
        warnings(&config).iter().for_each(|warning| report::stdout(&format!("warning: {}\n", printable(warning))));
    }
    for fault in &faults {
        report::stdout(&format!("error: {fault}\n"));
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
    report::stdout(&format!("ok: {}; {senders}; {default}\n", files.join(", ")));
    Status::Ok
}

/// What the files that the configuration names have wrong.
fn faults(config: &Config, uid: u32) -> Vec<String> {
    let mut faults = Vec::new();
    for (relay, place) in relays(config) {
        for (name, source) in [("password", &relay.password), ("client_password", &relay.client_password)] {
            if let Some(SecretSource::File(path)) = source {
                faults.extend(secret_file(path, uid).map(|what| format!("{place}: {name}: {what}")));
            }
        }
        let tls = &relay.tls_options;
        let named = tls.trust_file.iter().chain(tls.client.iter().flat_map(|(cert, key)| [cert, key]));
        for path in named {
            faults.extend(files::read(path).err().map(|error| format!("{place}: {}: {error}", path.display())));
        }
    }
    for listener in &config.listen {
        if let Some((certificate, key)) = &listener.identity {
            faults
                .extend(Acceptor::load(certificate, key, uid).err().map(|what| format!("{}: {what}", listener.place)));
        }
    }
    // Whose rights the daemon has only root and the daemon's own user can tell.
    if uid == 0 {
        faults.extend(sorted::faults(config, uid));
    }
    if let Some(source) = &config.local.aliases {
        faults.extend(alias_files::read(source).err().map(|error| error.to_string()));
    }
    if let Some(Staging { to: StagingTarget::Maildir(path) | StagingTarget::Mbox(path), .. }) = &config.staging {
        let parent = path.parent().filter(|parent| !parent.is_dir());
        faults.extend(parent.map(|parent| format!("[staging] capture: {} is no directory", parent.display())));
    }
    if let LogTarget::File(path) = &config.log.to {
        faults.extend(files::append(path).err().map(|error| format!("log {}: {error}", path.display())));
    }
    faults
}

/// What is wrong, but keeps no mail from being sent but that to a few names; and what sends it elsewhere.
fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(source) = &config.local.aliases
        && let Ok(Some(parsed)) = alias_files::read(source)
    {
        warnings.extend(parsed.faults.iter().map(ToString::to_string));
    }
    if let Some(staging) = &config.staging {
        warnings.push(format!("[staging] is on: mail goes to {staging}, not to its recipients"));
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
