//! What is wrong with an alias, for people.

use super::shown;
use crate::config::{ConfigError, Place};
use std::fmt;
use std::path::PathBuf;

/// A fault of an alias file, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line.
    pub place: Place,
    /// The alias that it is about; empty where the line has none.
    pub name: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with an alias. Programs and files have kinds of their own, for rules that take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// `|command`: mail is piped to no program.
    Command(String),
    /// `/file`: mail is appended to no file.
    File(PathBuf),
    /// An `:include:` that cannot be used, and why.
    Include(String),
    /// It leads back to itself, by way of these names.
    Loop(Vec<String>),
    /// The line is no alias.
    Syntax(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The whole command may hold what is nobody's business.
            Self::Command(command) => {
                let program = command.split_ascii_whitespace().next().unwrap_or_default();
                write!(
                    f,
                    "mail is not piped to programs (|{}); give an address, or have a [[rule]] with pipe in its place",
                    shown(program)
                )
            }
            Self::File(path) => {
                let path = path.to_string_lossy();
                write!(
                    f,
                    "mail is not appended to files ({}); give an address, or have a [[rule]] with maildir in its place",
                    shown(&path)
                )
            }
            Self::Include(why) | Self::Syntax(why) => f.write_str(why),
            Self::Loop(names) => write!(f, "it leads back to itself: {}", names.join(" -> ")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "{}: {}", self.place, self.problem),
            name => write!(f, "{}: alias {}: {}", self.place, shown(name), self.problem),
        }
    }
}

impl From<Fault> for ConfigError {
    fn from(fault: Fault) -> Self {
        let what = match fault.name.as_str() {
            "" => fault.problem.to_string(),
            name => format!("alias {}: {}", shown(name), fault.problem),
        };
        Self { place: Some(fault.place), what }
    }
}
