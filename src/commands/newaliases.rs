//! `newaliases` and `sendmail -bi`: checks the alias file that local mail goes through, names the lines that are wrong, and
//! counts the rest. Nothing is compiled: the file is read as it stands.

use super::alias_files;
use super::surroundings::Surroundings;
use crate::config::{AliasFormat, AliasSource, Config, ConfigError};
use crate::exit::Status;
use crate::report::{self, printable};
use std::path::{Path, PathBuf};

/// Checks the file; 0 where it is good, 78 with a line for each fault.
#[must_use]
pub fn run(explicit: Option<PathBuf>) -> Status {
    let source = match Surroundings::look().load(explicit) {
        Ok(Config { local, .. }) => local.aliases,
        // Nothing is configured yet, as when packages are installed: the usual file is checked all the same.
        Err(errors) if matches!(errors.as_slice(), [ConfigError { place: None, .. }]) => Some(usual()),
        Err(errors) => return told(errors.iter().map(ToString::to_string)),
    };
    let Some(source) = source else { return Status::Ok };
    let path = source.path.display();
    match alias_files::read(&source) {
        Ok(None) => report::stdout(&format!("{path} does not exist; there are no aliases\n")),
        Ok(Some(parsed)) => {
            report::stdout(&format!("{path}: {}\n", parsed.counted()));
            if !parsed.faults.is_empty() {
                return told(parsed.faults.iter().map(ToString::to_string));
            }
        }
        Err(error) => return told([error.to_string()]),
    }
    Status::Ok
}

fn told(lines: impl IntoIterator<Item = String>) -> Status {
    lines.into_iter().for_each(|line| report::stderr(&format!("newaliases: {}", printable(&line))));
    Status::Config
}

fn usual() -> AliasSource {
    let path = Path::new("/etc/aliases").to_owned();
    AliasSource { path, format: AliasFormat::Auto, required: false, strict: false }
}
