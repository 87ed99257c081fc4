//! msmtp's alias format: `local: a, b # comment`, keys to the letter, `default:` for every name without a line of its
//! own. Only recipients without an at sign are looked up. Bytes and values; the file is read elsewhere.

use crate::config::{ConfigError, Place};
use crate::message::address::{self, Mailbox};
use std::collections::HashMap;
use std::path::Path;

/// The deepest chain of aliases.
const DEPTH: usize = 16;

/// A parsed alias file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    entries: HashMap<String, Vec<String>>,
}

impl Aliases {
    /// Parses an alias file.
    ///
    /// # Errors
    /// The first line that is none, with its number.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut entries = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let place = Place::new(file, number + 1);
            let (name, targets) = line
                .split_once(':')
                .ok_or_else(|| ConfigError::at(&place, "an alias line is `name: address, address`"))?;
            let targets: Vec<String> = targets.split(',').map(|target| target.trim().to_owned()).collect();
            if name.trim().is_empty() || targets.iter().any(String::is_empty) {
                return Err(ConfigError::at(&place, "an alias line is `name: address, address`, none of them empty"));
            }
            if let Some(target) = targets.iter().find(|target| target.starts_with(['|', '/', ':', '"'])) {
                let what = format!("{target:?} is no address; programs and files are not delivered to");
                return Err(ConfigError::at(&place, what));
            }
            if entries.insert(name.trim().to_owned(), targets).is_some() {
                return Err(ConfigError::at(&place, format!("alias {:?} stands twice", name.trim())));
            }
        }
        Ok(Self { entries })
    }

    /// The recipients with every bare name replaced that has an alias.
    ///
    /// # Errors
    /// A target that is no address, or a chain deeper than 16.
    pub fn expand(&self, recipients: Vec<Mailbox>, domain: &str) -> Result<Vec<Mailbox>, String> {
        let mut out = Vec::new();
        for recipient in recipients {
            self.one(recipient, domain, 0, &mut out)?;
        }
        Ok(out)
    }

    fn one(&self, recipient: Mailbox, domain: &str, depth: usize, out: &mut Vec<Mailbox>) -> Result<(), String> {
        let name = recipient.address.local();
        let targets = recipient.bare.then(|| self.entries.get(name).or_else(|| self.entries.get("default"))).flatten();
        let Some(targets) = targets else {
            out.push(recipient);
            return Ok(());
        };
        if depth >= DEPTH {
            return Err(format!("alias {name:?} leads to more than {DEPTH} others in a row"));
        }
        for target in targets {
            // An alias that leads to itself is the local mailbox, not a loop.
            let found = address::parse_argument(target, domain).map_err(|error| format!("alias {name:?}: {error}"))?;
            for mailbox in found {
                if mailbox.bare && mailbox.address.local() == name {
                    out.push(mailbox);
                } else {
                    self.one(mailbox, domain, depth + 1, out)?;
                }
            }
        }
        Ok(())
    }
}
