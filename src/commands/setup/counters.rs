//! The counters of a sender's limits for programs that send without the daemon: a directory that their group may write, and
//! the configuration's word for it. All who send count in one place, so that a limit holds for all of them together.

#![expect(clippy::disallowed_methods, reason = "the configuration is written here")]

use super::Failed;
use super::write::Plan;
use crate::commands::check::installed;
use crate::config::{Config, Sender, Via};
use crate::exit::Status;
use crate::limits::{self, Class, counters, scope};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where is counted.
#[derive(Debug)]
pub(super) struct Counters {
    file: PathBuf,
    /// The configuration says so already.
    said: bool,
    group: String,
}

/// Where the group counts; `None` where the sender has no limit, nobody but the caller sends over it, or the daemon does.
pub(super) fn needed(config: &Config, sender: &Sender, plan: &Plan) -> Option<Counters> {
    let group = plan.group.clone()?;
    if scope::rules(config, Via::Sender(sender), Class::Single).is_empty() || installed() {
        return None;
    }
    let beside = || config.queue.directory.with_file_name("limits").join("limits.db");
    // Beside the queue, which is for its owner alone, not in it.
    let (file, said) = match &config.limits.file {
        Some(_) => (limits::file(config), true),
        None => (beside(), false),
    };
    Some(Counters { file, said, group })
}

impl Counters {
    fn table(&self) -> String {
        format!("\n[limits]\nfile = {}\n", toml::Value::String(self.file.display().to_string()))
    }

    /// What would be written.
    pub(super) fn shown(&self) -> String {
        let table = if self.said { String::new() } else { self.table() };
        format!("# {}: what the group {} sends is counted there{table}\n", self.file.display(), self.group)
    }

    /// What was written.
    pub(super) fn done(&self) -> String {
        format!("{}: what the group {} sends is counted there\n", self.file.display(), self.group)
    }

    /// Makes directory and file, and has the configuration name them.
    pub(super) fn make(&self, main: &Path, group: u32) -> Result<(), Failed> {
        let failed = |what: String| (Status::CantCreate, format!("{}: {what}", self.file.display()));
        self.directory(group).map_err(|error| failed(error.to_string()))?;
        counters::Counters::open(&self.file).map_err(failed)?;
        self.check(group).map_err(failed)?;
        if self.said {
            return Ok(());
        }
        self.say(main).map_err(|error| (Status::CantCreate, format!("{}: {error}", main.display())))
    }

    /// What is made in it is the group's, whoever makes it. A directory that is there stays as it is.
    fn directory(&self, group: u32) -> io::Result<()> {
        let directory = self.file.parent().unwrap_or(Path::new("/"));
        if directory.is_dir() {
            return Ok(());
        }
        if let Some(above) = directory.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(above)?;
        }
        std::fs::DirBuilder::new().mode(0o700).create(directory)?;
        let opened = std::fs::File::open(directory)?;
        std::os::unix::fs::fchown(&opened, None, Some(group))?;
        opened.set_permissions(std::fs::Permissions::from_mode(0o2770))
    }

    /// Whether the group may count there.
    fn check(&self, group: u32) -> Result<(), String> {
        let facts = |path: &Path| std::fs::metadata(path).map_err(|error| error.to_string());
        let directory = self.file.parent().unwrap_or(Path::new("/"));
        let open = |facts: &std::fs::Metadata| facts.gid() == group && facts.mode() & 0o060 == 0o060;
        match open(&facts(directory)?) && open(&facts(&self.file)?) {
            true => Ok(()),
            false => Err(format!(
                "the group {} cannot count there; choose another [limits] file, in a directory that setup makes",
                self.group
            )),
        }
    }

    /// The main file with the table at its end, in its place.
    fn say(&self, main: &Path) -> io::Result<()> {
        let (text, facts) = (std::fs::read_to_string(main)?, std::fs::metadata(main)?);
        if text.lines().any(|line| line.trim_start().starts_with("[limits]")) {
            let what = format!("write file = \"{}\" into its [limits]", self.file.display());
            return Err(io::Error::other(what));
        }
        let mut part = tempfile::NamedTempFile::new_in(main.parent().unwrap_or(Path::new("/")))?;
        part.write_all(format!("{}{}", text, self.table()).as_bytes())?;
        std::os::unix::fs::fchown(part.as_file(), Some(facts.uid()), Some(facts.gid()))?;
        part.as_file().set_permissions(facts.permissions())?;
        part.as_file().sync_all()?;
        part.persist(main).map(drop).map_err(|error| error.error)
    }
}
