//! Aliases: local names and the addresses that take their mail, from `/etc/aliases` as sendmail has it or from an alias
//! file of msmtp.
//!
//! Values only: the text of the file and of what it includes comes in, recipients come out. Nothing is ever delivered to
//! a program or a file; such a target is a fault that is told when the file is read, and mail to its name is refused.
//! Whatever a file says, expanding it ends: a name is expanded once a message, chains and results are bounded.

mod expand;
mod fault;
mod loops;
mod msmtp;
mod sendmail;
#[cfg(test)]
mod tests;

pub use expand::{Expansion, Local};
pub use fault::{Fault, Problem};

use crate::config::{AliasFormat, ConfigError, Place};
use crate::message::address::{self, Address, AddressError, Mailbox};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The name whose line takes every local name without a line of its own.
const DEFAULT: &str = "default";
/// Behind a bare name while a file is read (RFC 2606 section 2); never seen outside.
const NOWHERE: &str = "alias.invalid";

/// Where an alias leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// An address with a domain.
    Address(Address),
    /// A local name, which may be an alias itself.
    Name(String),
    /// `\name`: a local name that no alias takes any more.
    Literal(String),
    /// A program, a file or a directive: not delivered to.
    Refused(Problem),
}

/// One alias.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Its line.
    place: Place,
    /// Where it leads; never empty.
    targets: Vec<Target>,
}

/// The aliases of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    entries: HashMap<String, Entry>,
    format: AliasFormat,
}

/// What reading a file came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What can be used.
    pub aliases: Aliases,
    /// What is wrong with the file, in the order of its lines.
    pub faults: Vec<Fault>,
}

impl Parsed {
    /// How many there are, for people: `1 alias`, `2 aliases`.
    #[must_use]
    pub fn counted(&self) -> String {
        match self.aliases.len() {
            1 => "1 alias".into(),
            count => format!("{count} aliases"),
        }
    }
}

/// Gives the text of an `:include:` file, or why it is not used.
pub type Include<'i> = dyn FnMut(&Path) -> Result<String, String> + 'i;

impl Aliases {
    /// Reads the text of an alias file. What is wrong is told, and the rest used; loops are found.
    #[must_use]
    pub fn parse(text: &str, file: &Path, format: AliasFormat, include: &mut Include<'_>) -> Parsed {
        let format = match format {
            AliasFormat::Auto => guess(text),
            given => given,
        };
        let (entries, mut faults) = match format {
            AliasFormat::Msmtp => msmtp::parse(text, file),
            _ => sendmail::parse(text, file, include),
        };
        let aliases = Self { entries, format };
        faults.extend(loops::find(&aliases));
        faults.sort_by_key(|fault| fault.place.line);
        Parsed { aliases, faults }
    }

    /// How many names have a line of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no alias.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A local part as the entries have it: msmtp's names are taken to the letter.
    fn key(&self, local: &str) -> String {
        if self.format == AliasFormat::Msmtp { local.to_owned() } else { local.to_lowercase() }
    }
}

impl Parsed {
    /// The aliases of a file without any fault, as msmtp has it.
    ///
    /// # Errors
    /// The first fault.
    pub fn strict(self) -> Result<Aliases, ConfigError> {
        match self.faults.into_iter().next() {
            Some(fault) => Err(fault.into()),
            None => Ok(self.aliases),
        }
    }
}

/// Which format a text is: sendmail's has what msmtp's does not, and msmtp's a `default`.
fn guess(text: &str) -> AliasFormat {
    let lines = || text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let only_sendmail = |line: &str| {
        let rest = line.split_once(':').map_or("", |(_, rest)| rest);
        line.starts_with([' ', '\t', '"'])
            || rest.split(',').any(|target| target.trim_start().starts_with(['|', '/', ':', '\\', '"']))
    };
    let default = |line: &str| line.split(':').next().is_some_and(|name| name.trim() == DEFAULT);
    match lines().any(default) && !lines().any(only_sendmail) {
        true => AliasFormat::Msmtp,
        false => AliasFormat::Sendmail,
    }
}

/// One target as both formats have it: an address, or a local name.
fn address(text: &str) -> Result<Target, String> {
    let found = address::parse_argument(text, NOWHERE).map_err(|error| error.to_string())?;
    let [mailbox] = found.as_slice() else { return Err("one address is expected between two commas".into()) };
    Ok(if mailbox.bare {
        Target::Name(mailbox.address.local().to_owned())
    } else {
        Target::Address(mailbox.address.clone())
    })
}

/// The local part that an alias is for.
fn name(text: &str) -> Result<String, String> {
    let found = address::parse_argument(text, NOWHERE).map_err(|error| error.to_string())?;
    match found.as_slice() {
        [Mailbox { address, bare: true, .. }] => Ok(address.local().to_owned()),
        _ => Err("the name of an alias is one local name, without a domain".into()),
    }
}

/// A local name at the domain that bare names get.
fn mailbox(local: &str, domain: &str) -> Result<Mailbox, AddressError> {
    Address::parse(&format!("{local}@{domain}")).map(|address| Mailbox {
        name: None,
        address,
        bare: true,
        routed: false,
    })
}

/// A target that no address is: what rules of their own may take one day, and what nothing takes.
fn refused(text: &str) -> Option<Target> {
    let problem = match text.chars().next()? {
        '|' => Problem::Command(text[1..].trim().to_owned()),
        '/' => Problem::File(PathBuf::from(text)),
        ':' => Problem::Syntax(format!("\"{}\" is no address and no :include:", shown(text))),
        _ => return None,
    };
    Some(Target::Refused(problem))
}

/// A text of the file for an error.
fn shown(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}
