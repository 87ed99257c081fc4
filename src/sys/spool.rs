//! A message's bytes between reading and sending: in memory up to 1 MiB, beyond that in an unlinked temporary file.
//!
//! The file has no name from the start (`O_TMPFILE`, or unlinked at once), so nothing is left behind when the process
//! dies. Reading takes `&self`: several readers may stand at different places. A file larger than the process may write
//! (RLIMIT_FSIZE) is an error here, not the signal that would end the process without a word.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

/// Up to here a message stays in memory.
const MEMORY: usize = 1 << 20;

/// Append-only bytes.
#[derive(Debug)]
pub struct Spool {
    memory: Vec<u8>,
    /// So many octets stay in memory.
    limit: usize,
    file: Option<File>,
    len: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self::with_memory(MEMORY)
    }
}

impl Spool {
    /// An empty spool.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty spool that keeps at most `limit` octets in memory.
    #[must_use]
    pub fn with_memory(limit: usize) -> Self {
        Self { memory: Vec::new(), limit, file: None, len: 0 }
    }

    /// Octets written so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A reader from `start` to the end.
    #[must_use]
    pub fn reader(&self, start: u64) -> Reader<'_> {
        Reader { spool: self, at: start.min(self.len) }
    }
}

impl Write for Spool {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_all(data).map(|()| data.len())
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + data.len() > self.limit {
            let mut file = temporary()?;
            if fits(self.len) {
                file.write_all(&self.memory)?;
            }
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(_) if !fits(self.len.saturating_add(data.len() as u64)) => {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "larger than this process may write (ulimit -f)",
                ));
            }
            Some(file) => file.write_all(data)?,
            None => self.memory.extend_from_slice(data),
        }
        self.len += data.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file without a name; the error says where there is no room for it.
fn temporary() -> io::Result<File> {
    let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", std::env::temp_dir().display()));
    tempfile::tempfile().map_err(at)
}

/// Whether the process may write a file of that size.
fn fits(octets: u64) -> bool {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current.is_none_or(|limit| octets <= limit)
}

/// Reads a spool from a place of its own.
#[derive(Debug)]
pub struct Reader<'s> {
    spool: &'s Spool,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.spool.file {
            Some(file) => file.read_at(buffer, self.at)?,
            None => {
                let rest = usize::try_from(self.at).ok().and_then(|at| self.spool.memory.get(at..)).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                count
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_read_back_the_same() {
        for size in [0, 1, MEMORY - 1, MEMORY, MEMORY + 1, 3 * MEMORY + 17] {
            let data: Vec<u8> = (0..size).map(|i| (i * 31 % 251) as u8).collect();
            let mut spool = Spool::new();
            data.chunks(70_001).for_each(|chunk| spool.write_all(chunk).unwrap());
            assert_eq!(spool.len(), size as u64);
            assert_eq!(spool.file.is_some(), size > MEMORY);
            let mut back = Vec::new();
            spool.reader(0).read_to_end(&mut back).unwrap();
            assert!(back == data);
            let mut tail = Vec::new();
            spool.reader(size as u64 / 2).read_to_end(&mut tail).unwrap();
            assert!(tail == data[size / 2..]);
        }
    }
}
