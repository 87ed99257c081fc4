//! A finding of `check`: how bad, where, what, and the command that mends it. Values and their text only.

use crate::config::ConfigError;
use crate::exit::Status;
use crate::report::printable;
use serde::Serialize;
use std::fmt::Display;
use std::path::Path;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Mail goes, but not as somebody may expect.
    Warning,
    /// Some mail does not go, or a secret is open.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The part of the machine that it is about (`config`, `secrets`, `php` ...).
    pub area: &'static str,
    /// File and line, or a directory, or a program.
    pub place: Option<String>,
    /// What is so, one line.
    pub what: String,
    /// What mends it: a command, or what to write.
    pub fix: Option<String>,
    /// `fix` is a command as it stands, which root may run.
    pub command: bool,
}

impl Finding {
    /// A finding without a place.
    #[must_use]
    pub fn new(level: Level, area: &'static str, what: impl Into<String>) -> Self {
        Self { level, area, place: None, what: what.into(), fix: None, command: false }
    }

    /// As it should be.
    #[must_use]
    pub fn ok(area: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Ok, area, what)
    }

    /// A warning.
    #[must_use]
    pub fn warning(area: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Warning, area, what)
    }

    /// An error.
    #[must_use]
    pub fn error(area: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Error, area, what)
    }

    /// An error of the configuration.
    #[must_use]
    pub fn config(error: &ConfigError) -> Self {
        let finding = Self::error("config", error.what.clone()).split();
        Self { place: error.place.as_ref().map(ToString::to_string), ..finding }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(self, place: impl Display) -> Self {
        Self { place: Some(place.to_string()), ..self }
    }

    /// The same with what mends it.
    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    /// The same with the command that mends it. It changes the owner and mode of no directory that is there, and takes no
    /// content away.
    #[must_use]
    pub fn run(self, command: impl Into<String>) -> Self {
        Self { fix: Some(command.into()), command: true, ..self }
    }

    /// A text that says itself what mends it, as those of the secrets do, is taken apart.
    #[must_use]
    pub fn split(self) -> Self {
        match self.what.split_once(SEAM) {
            Some((what, fix)) => {
                let (what, fix) = (what.to_owned(), fix.to_owned());
                Self { what, ..self }.run(fix)
            }
            None => self,
        }
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let place = self.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let fix = self.fix.as_ref().map(|fix| format!("{SEAM}{fix}")).unwrap_or_default();
        printable(&format!("{level}: {place}{}{fix}", self.what))
    }

    /// One JSON object; a place that is a line of a file is told as `file` and `line` too.
    #[must_use]
    pub fn json(&self) -> String {
        let (file, line) = match self.place.as_deref().and_then(|place| place.rsplit_once(':')) {
            Some((file, line)) if line.parse::<usize>().is_ok() => (Some(file), line.parse::<usize>().ok()),
            _ => (self.place.as_deref(), None),
        };
        let Self { level, area, what, fix, command, .. } = self;
        serde_json::json!({"level": level, "area": area, "file": file, "line": line, "what": what, "fix": fix, "command": command})
            .to_string()
    }
}

/// What is to be run where this user may not look.
pub const AS_ROOT: &str = "sudo postrider check";

/// Whether this user may not look at a file, or not at the directory that it is in.
#[must_use]
pub fn is_hidden(path: &Path) -> bool {
    let access = rustix::fs::access(path, rustix::fs::Access::READ_OK);
    access == Err(rustix::io::Errno::ACCESS)
}

/// What stands between a fault and what mends it.
const SEAM: &str = "; mend it with: ";

/// The status of all of them: 0, 1 with a warning, 2 with an error.
#[must_use]
pub fn status(findings: &[Finding]) -> Status {
    match findings.iter().map(|finding| finding.level).max() {
        Some(Level::Error) => Status::Faults,
        Some(Level::Warning) => Status::Findings,
        _ => Status::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_statuses() {
        let bad = Finding::error("secrets", "mode 0644; mend it with: chmod 0600 /x").split().at("/x:1");
        assert_eq!(bad.line(), "error: /x:1: mode 0644; mend it with: chmod 0600 /x");
        assert_eq!(bad.fix.as_deref(), Some("chmod 0600 /x"));
        assert_eq!(Finding::warning("php", "a\nb").line(), "warning: a b");
        let fine = Finding::ok("queue", "empty");
        assert_eq!(
            fine.json(),
            r#"{"area":"queue","command":false,"file":null,"fix":null,"level":"ok","line":null,"what":"empty"}"#
        );
        assert_eq!(status(&[]), Status::Ok);
        assert_eq!(status(&[fine.clone(), Finding::warning("a", "b")]), Status::Findings);
        assert_eq!(status(&[bad, fine]), Status::Faults);
    }
}
