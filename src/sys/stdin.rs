//! Standard input as the caller left it: what cannot be read is an error and never an empty message.
//!
//! The standard library takes a write-only standard input for an empty one; here it is an error, interruptions are
//! retried, and an input that does not block is waited for.
//!
//! A closed standard input is an empty message, as it is for other sendmails: the runtime opens `/dev/null` in its place
//! before `main`, in the very way in which many programs give `/dev/null` on purpose.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio;
use std::io::{self, Read};

/// Standard input, unbuffered.
#[derive(Debug)]
pub struct Stdin;

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
