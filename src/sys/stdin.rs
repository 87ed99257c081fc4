//! Standard input as the caller left it: what cannot be read is an error and never an empty message.
//!
//! The standard library takes a closed or write-only standard input for an empty one; a message sent from that would be
//! lost with status 0. Here it is an error, interruptions are retried, and an input that does not block is waited for.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::io::Errno;
use rustix::stdio;
use std::io::{self, Read};

/// Standard input.
#[derive(Debug)]
pub struct Stdin(());

impl Stdin {
    /// Standard input, to be read from.
    ///
    /// # Errors
    /// Where it was closed when the program started.
    pub fn open() -> io::Result<Self> {
        if is_substitute() { Err(io::Error::other("standard input is closed")) } else { Ok(Self(())) }
    }
}

/// Whether it is what a closed one is replaced with before `main`: `/dev/null`, open for reading and writing. Redirected
/// to it by a shell or a service manager it is open for reading alone, and an empty message.
fn is_substitute() -> bool {
    let input = stdio::stdin();
    let (Ok(stat), Ok(flags)) = (fstat(input), fcntl_getfl(input)) else { return true };
    let null = rustix::fs::stat("/dev/null").is_ok_and(|null| null.st_rdev == stat.st_rdev);
    let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    device && null && flags & OFlags::RWMODE == OFlags::RDWR
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(stdio::stdin(), &mut *buffer) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait()?,
                Err(Errno::ISDIR) => return Err(io::Error::other("standard input is a directory")),
                Err(Errno::BADF) => return Err(io::Error::other("standard input is not open for reading")),
                result => return Ok(result?),
            }
        }
    }
}

/// Waits until there is something to read, or the end.
fn wait() -> io::Result<()> {
    let input = stdio::stdin();
    match poll(&mut [PollFd::new(&input, PollFlags::IN)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
