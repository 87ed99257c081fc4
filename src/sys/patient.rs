//! Writing to descriptors that may not move (a pipe, a terminal, a socket that nobody reads), for at most so long.
//!
//! Whoever gave them to this process shares them with it, so that they are never set to non-blocking: that would hold for
//! the others too.

use super::clock::Deadline;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::{Errno, ReadWriteFlags};
use rustix::net::SendFlags;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// So much is certain to fit where a pipe says that it is ready (PIPE_BUF, pipe(7)).
const PIECE: usize = 4096;

/// What a descriptor is, as far as writing without waiting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pipe,
    Socket,
    Other,
}

/// Writes all of it. It waits for at most `patience` in all.
///
/// # Errors
/// As `write`; `TimedOut` where it did not move for that long. Some of it may be written then.
pub fn write(to: BorrowedFd<'_>, data: &[u8], patience: Duration) -> io::Result<()> {
    let deadline = Deadline::after(patience);
    let kind = match FileType::from_raw_mode(rustix::fs::fstat(to)?.st_mode) {
        FileType::Fifo => Kind::Pipe,
        FileType::Socket => Kind::Socket,
        _ => Kind::Other,
    };
    let mut left = data;
    while !left.is_empty() {
        if !ready(to, deadline.left().unwrap_or_default())? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads it"));
        }
        match piece(to, &left[..left.len().min(PIECE)], kind) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => left = &left[written..],
            // Somebody else was quicker.
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether something can be written, now or within that time.
///
/// # Errors
/// As `poll`.
pub fn ready(to: BorrowedFd<'_>, within: Duration) -> io::Result<bool> {
    let deadline = Deadline::after(within);
    loop {
        let wait = Timespec::try_from(deadline.left().unwrap_or_default()).unwrap_or_default();
        match poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], Some(&wait)) {
            Err(Errno::INTR) => {}
            done => return Ok(done? > 0),
        }
    }
}

fn piece(to: BorrowedFd<'_>, data: &[u8], kind: Kind) -> rustix::io::Result<usize> {
    match kind {
        Kind::Socket => rustix::net::send(to, data, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
        // Another writer of the same pipe may have filled it since: older kernels cannot be told not to wait then.
        Kind::Pipe => match rustix::io::pwritev2(to, &[IoSlice::new(data)], u64::MAX, ReadWriteFlags::NOWAIT) {
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::SPIPE) => rustix::io::write(to, data),
            done => done,
        },
        Kind::Other => rustix::io::write(to, data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    const SOON: Duration = Duration::from_millis(30);

    #[test]
    fn a_pipe_that_nobody_reads_is_let_go() {
        let (mut reader, writer) = io::pipe().unwrap();
        let line = [b'x'; 1000];
        let mut taken = 0;
        let error = loop {
            match write(writer.as_fd(), &line, SOON) {
                Ok(()) => taken += line.len(),
                Err(error) => break error,
            }
            assert!(taken < 1 << 24);
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut some = vec![0; 8192];
        reader.read_exact(&mut some).unwrap();
        write(writer.as_fd(), &line, SOON).unwrap();
        drop(reader);
        assert_eq!(write(writer.as_fd(), &line, SOON).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_socket_that_nobody_reads_is_let_go() {
        let (_reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let error = (0..1 << 14).find_map(|_| write(writer.as_fd(), &[b'x'; 1000], SOON).err());
        assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
    }
}
