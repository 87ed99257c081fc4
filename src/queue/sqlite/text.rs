//! The texts of messages: small ones within the database, large ones as files beside it.
//!
//! A file is written under its final name, synced, and its directory synced, before the row that names it is committed;
//! it goes after the commit that takes the row away. So after a crash a file without a row was never accepted, or is
//! delivered. Octets are streamed: memory does not grow with the message.

use super::error;
use crate::message::Message;
use crate::message::read::{ReadRules, read};
use crate::queue::StoreError;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Up to here a text is kept in the database, octets.
pub(super) const INLINE: u64 = 256 << 10;
/// How much is written at a time.
const BLOCK: usize = 64 << 10;

/// A text that is ready to be committed.
pub(super) enum Text {
    /// The octets.
    Inline(Vec<u8>),
    /// The name of a file that is on disk.
    File(String),
}

impl Text {
    /// The file, where it is one.
    pub(super) fn file(&self) -> Option<&str> {
        match self {
            Self::Inline(_) => None,
            Self::File(name) => Some(name),
        }
    }
}

/// The directory of the files.
pub(super) struct Texts {
    directory: PathBuf,
}

impl Texts {
    /// The directory, which is there.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where it is.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes a message's text in; a file is on disk then.
    pub(super) fn keep(&self, message: &Message) -> Result<Text, StoreError> {
        let size = message.wire_size();
        if size <= INLINE {
            let mut octets = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            message.wire().read_to_end(&mut octets).map_err(|error| spool(&error))?;
            return Ok(Text::Inline(octets));
        }
        let name = crate::sys::random::token().map_err(|error| error::file(&self.directory, &error))?;
        let path = self.directory.join(&name);
        let written = write(&path, message, size).and_then(|()| sync_directory(&self.directory));
        match written {
            Ok(()) => Ok(Text::File(name)),
            Err(error) => {
                self.remove(&[name]);
                Err(error::file(&path, &error))
            }
        }
    }

    /// Removes files whose rows are gone. One that stays is told of, and goes at the next start.
    pub(super) fn remove(&self, names: &[String]) {
        for name in names {
            let path = self.directory.join(name);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("{}: a text that is done with cannot be removed: {error}", path.display());
                }
                _ => {}
            }
        }
        if !names.is_empty()
            && let Err(error) = sync_directory(&self.directory)
        {
            tracing::warn!("{}: {error}", self.directory.display());
        }
    }

    /// A message from its file, which must have as many octets as were accepted.
    pub(super) fn open(&self, name: &str, size: u64) -> Result<Message, StoreError> {
        let path = self.directory.join(name);
        let fail = |error: io::Error| error::file(&path, &error);
        let mut file = OpenOptions::new().read(true).open(&path).map_err(fail)?;
        if file.metadata().map_err(fail)?.len() != size {
            return Err(StoreError::Damaged(format!("{}: the text is not as long as it was", path.display())));
        }
        parse(&mut file)
    }

    /// Whether the file is there and as long as it was.
    pub(super) fn whole(&self, name: &str, size: u64) -> bool {
        std::fs::symlink_metadata(self.directory.join(name)).is_ok_and(|file| file.is_file() && file.len() == size)
    }
}

/// A message from the octets that were kept.
pub(super) fn parse(octets: &mut dyn Read) -> Result<Message, StoreError> {
    read(octets, ReadRules::default()).map_err(|error| StoreError::Io(format!("the text of a message: {error}")))
}

/// Syncs a directory: what was created, renamed or removed in it is on disk then.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).open(path)?.sync_all()
}

fn write(path: &Path, message: &Message, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut output = BufWriter::with_capacity(BLOCK, file);
    if io::copy(&mut message.wire(), &mut output)? != size {
        return Err(io::Error::other("the message is not as long as it says"));
    }
    output.flush()?;
    let file: File = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

fn spool(error: &io::Error) -> StoreError {
    StoreError::Io(format!("the message cannot be read from the temporary directory: {error}"))
}
