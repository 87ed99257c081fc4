//! The texts of messages: small ones within the database, large ones as files beside it.
//!
//! A file is written under its final name, synced, and its directory synced, before the row that names it is committed;
//! it goes after the commit that takes the row away. So after a crash a file without a row was never accepted, or is
//! delivered. Octets are streamed: memory does not grow with the message. Behind the text such a file says what it belongs
//! to (`about`), for the day on which the database is lost. Every text has a checksum in its row.

use super::{about, error};
use crate::message::Message;
use crate::message::read::{ReadRules, read};
use crate::queue::{NewMessage, StoreError};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Up to here a text is kept in the database, octets.
pub(super) const INLINE: u64 = 256 << 10;
/// How much is written at a time.
const BLOCK: usize = 64 << 10;

/// A checksum of a text: the first octets of its SHA-256. It finds what a disk does to it.
pub(super) type Digest = [u8; 16];

/// A text that is ready to be committed.
pub(super) struct Text {
    pub(super) kept: Kept,
    pub(super) digest: Digest,
}

/// Where a text is kept.
pub(super) enum Kept {
    /// The octets.
    Inline(Vec<u8>),
    /// The name of a file that is on disk.
    File(String),
}

impl Text {
    /// The file, where it is one.
    pub(super) fn file(&self) -> Option<&str> {
        match &self.kept {
            Kept::Inline(_) => None,
            Kept::File(name) => Some(name),
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
    pub(super) fn keep(&self, new: &NewMessage) -> Result<Text, StoreError> {
        let size = new.message.wire_size();
        if size <= INLINE {
            let mut octets = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            new.message.wire().read_to_end(&mut octets).map_err(|error| spool(&error))?;
            let digest = digest(&octets);
            return Ok(Text { kept: Kept::Inline(octets), digest });
        }
        let name = crate::sys::random::token().map_err(|error| error::file(&self.directory, &error))?;
        let name = format!("{name}{}", about::SUFFIX);
        let path = self.directory.join(&name);
        let written = write(&path, new, size).and_then(|digest| sync_directory(&self.directory).map(|()| digest));
        match written {
            Ok(digest) => Ok(Text { kept: Kept::File(name), digest }),
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

    /// A message from its file, which must hold what was accepted.
    pub(super) fn open(&self, name: &str, size: u64, digest: Option<Digest>) -> Result<Message, StoreError> {
        let path = self.directory.join(name);
        let fail = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Text(format!("{}: the text is gone", path.display())),
            _ => error::file(&path, &error),
        };
        let mut file = OpenOptions::new().read(true).open(&path).map_err(fail)?;
        if !about::fits(&mut file, size).map_err(fail)? {
            return Err(StoreError::Text(format!("{}: the text is not as long as it was", path.display())));
        }
        let mut hashed = Hashed::new(file.take(size));
        let message = parse(&mut hashed)?;
        match digest.is_none_or(|digest| hashed.digest() == digest) {
            true => Ok(message),
            false => Err(StoreError::Text(format!("{}: {CHANGED}", path.display()))),
        }
    }

    /// Whether the file is there and as long as it was.
    pub(super) fn whole(&self, name: &str, size: u64) -> bool {
        let path = self.directory.join(name);
        let regular = std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_file());
        let file = || OpenOptions::new().read(true).open(&path);
        regular && file().and_then(|mut file| about::fits(&mut file, size)).unwrap_or(false)
    }
}

/// What is said of a text that is another one than was accepted.
const CHANGED: &str = "the text was damaged on the disk: it is not what was accepted";

/// A message from the octets of the database, which must be those that were accepted.
pub(super) fn checked(octets: &[u8], digest: Option<Digest>) -> Result<Message, StoreError> {
    match digest.is_none_or(|wanted| self::digest(octets) == wanted) {
        true => parse(&mut &*octets),
        false => Err(StoreError::Text(CHANGED.into())),
    }
}

pub(super) fn digest(octets: &[u8]) -> Digest {
    cut(openssl::sha::sha256(octets))
}

fn cut(whole: [u8; 32]) -> Digest {
    let mut digest = Digest::default();
    let kept = digest.len();
    digest.copy_from_slice(&whole[..kept]);
    digest
}

/// Reads on, and knows the checksum of what was read.
pub(super) struct Hashed<R> {
    input: R,
    hash: openssl::sha::Sha256,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, hash: openssl::sha::Sha256::new() }
    }

    /// Of everything that was read, to the end of the input.
    pub(super) fn digest(mut self) -> Digest {
        // Whoever read it may have had enough before the end.
        let _ = io::copy(&mut self, &mut io::sink());
        cut(self.hash.finish())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
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

fn write(path: &Path, new: &NewMessage, size: u64) -> io::Result<Digest> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut output = BufWriter::with_capacity(BLOCK, file);
    let mut hashed = Hashed::new(new.message.wire());
    if io::copy(&mut hashed, &mut output)? != size {
        return Err(io::Error::other("the message is not as long as it says"));
    }
    let digest = hashed.digest();
    about::write(&mut output, new, digest)?;
    output.flush()?;
    let file: File = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(digest)
}

fn spool(error: &io::Error) -> StoreError {
    StoreError::Io(format!("the message cannot be read from the temporary directory: {error}"))
}
