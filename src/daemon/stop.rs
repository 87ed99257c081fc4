//! A signal to stop that can be polled beside sockets, and waited for.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Given once, it stays given.
#[derive(Debug)]
pub struct Stop {
    /// Readable once the other end is shut.
    seen: UnixStream,
    given: UnixStream,
}

impl Stop {
    /// Not given yet.
    ///
    /// # Errors
    /// Where the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let (seen, given) = UnixStream::pair()?;
        Ok(Self { seen, given })
    }

    /// Gives it.
    pub fn give(&self) {
        let _ = self.given.shutdown(std::net::Shutdown::Write);
    }

    /// Waits until it is given (true), `other` is readable, or the time is over.
    ///
    /// # Errors
    /// As `poll`.
    pub fn or_readable(&self, other: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> io::Result<bool> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut descriptors = vec![PollFd::new(&self.seen, PollFlags::IN)];
        descriptors.extend(other.map(|other| PollFd::from_borrowed_fd(other, PollFlags::IN)));
        match poll(&mut descriptors, limit.as_ref()) {
            Ok(_) => Ok(!descriptors[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is given within that time.
    #[must_use]
    pub fn within(&self, limit: Duration) -> bool {
        let deadline = crate::sys::clock::Deadline::after(limit);
        while let Some(left) = deadline.left() {
            if self.or_readable(None, Some(left)).unwrap_or(true) {
                return true;
            }
        }
        false
    }

    /// For those who poll themselves: readable once it is given.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.seen.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_given() {
        let stop = Stop::new().unwrap();
        assert!(!stop.within(Duration::from_millis(1)));
        stop.give();
        assert!(stop.within(Duration::from_secs(60)) && stop.within(Duration::from_secs(60)));
    }
}
