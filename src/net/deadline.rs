//! A socket whose reads and writes end at a point in time, however few octets trickle in.
//!
//! A socket's own time limit begins anew with every call, so that one octet every half second extends it for ever. Here
//! the limit is set to what is left before each call, and when nothing is left the answer is `TimedOut`. TLS lies on
//! top, so the same holds for its handshake.

use crate::sys::clock::Deadline;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::RecvFlags;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A stream with a deadline that can be moved.
pub trait Timed: Read + Write {
    /// From now on, reads and writes fail with `TimedOut` when this has passed.
    fn set_deadline(&mut self, deadline: Deadline);
}

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    fn limit_read(&self, left: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_read_timeout(Some(left)),
            Self::Unix(socket) => socket.set_read_timeout(Some(left)),
        }
    }

    fn limit_write(&self, left: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_write_timeout(Some(left)),
            Self::Unix(socket) => socket.set_write_timeout(Some(left)),
        }
    }
}

/// A socket with a deadline.
#[derive(Debug)]
pub struct TimedStream {
    stream: Stream,
    deadline: Deadline,
}

impl TimedStream {
    /// Wraps a connected socket.
    #[must_use]
    pub fn new(stream: Stream, deadline: Deadline) -> Self {
        Self { stream, deadline }
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline.left().is_none()
    }

    /// Whether nothing can be read and the other side has not closed. Does not wait.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let mut octet = [0u8; 1];
        let peeked = rustix::net::recv(self.fd(), &mut octet, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }

    /// Waits until something can be read, the other side has closed, or the deadline has passed: whether it was that.
    pub fn is_silent(&self) -> bool {
        loop {
            let Some(left) = self.deadline.left() else { return true };
            let Ok(limit) = Timespec::try_from(left) else { return false };
            let mut polled = [PollFd::from_borrowed_fd(self.fd(), PollFlags::IN)];
            match poll(&mut polled, Some(&limit)) {
                Err(rustix::io::Errno::INTR) | Ok(0) => {}
                _ => return false,
            }
        }
    }

    /// Whether a unix socket's other side has not read all that was sent; false where that cannot be told.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        matches!(&self.stream, Stream::Unix(socket) if unread(socket).is_ok_and(|octets| octets > 0))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(socket) => socket.as_fd(),
            Stream::Unix(socket) => socket.as_fd(),
        }
    }

    /// Sends nothing more: the other side reads to its end.
    pub fn shut_write(&mut self) {
        // Where it is gone already there is nothing to shut.
        let _ = match &self.stream {
            Stream::Tcp(socket) => socket.shutdown(std::net::Shutdown::Write),
            Stream::Unix(socket) => socket.shutdown(std::net::Shutdown::Write),
        };
    }

    /// Calls until something happens or the deadline has passed. A socket that says WouldBlock has reached the limit
    /// just set; that it is asked once more only covers the kernel's rounding.
    fn until<T>(
        &mut self,
        limit: fn(&Stream, Duration) -> io::Result<()>,
        mut call: impl FnMut(&mut Stream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let left = self.deadline.left().ok_or(ErrorKind::TimedOut)?;
            limit(&self.stream, left)?;
            match call(&mut self.stream) {
                Err(error) if again(error.kind()) => {}
                done => return done,
            }
        }
    }
}

/// SIOCOUTQ (unix(7)), which has this number on most machines.
#[cfg(not(any(target_arch = "mips", target_arch = "mips64", target_arch = "powerpc", target_arch = "powerpc64")))]
const UNREAD: rustix::ioctl::Opcode = 0x5411;
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
const UNREAD: rustix::ioctl::Opcode = 0x7472;
#[cfg(any(target_arch = "powerpc", target_arch = "powerpc64"))]
const UNREAD: rustix::ioctl::Opcode = 0x4004_7473;

/// How much of what was sent the other side has not read, in memory of the kernel; 0 for nothing.
#[expect(unsafe_code, reason = "rustix has no name for this request")]
fn unread(socket: &UnixStream) -> rustix::io::Result<i32> {
    // SAFETY: the request writes one int and reads nothing.
    unsafe { rustix::ioctl::ioctl(socket, rustix::ioctl::Getter::<UNREAD, i32>::new()) }
}

fn again(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Timed for TimedStream {
    fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.until(Stream::limit_read, |stream| match stream {
            Stream::Tcp(socket) => socket.read(buffer),
            Stream::Unix(socket) => socket.read(buffer),
        })
    }
}

impl Write for TimedStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.until(Stream::limit_write, |stream| match stream {
            Stream::Tcp(socket) => socket.write(data),
            Stream::Unix(socket) => socket.write(data),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_to_its_end_is_known() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut stream = TimedStream::new(Stream::Unix(ours), Deadline::after(Duration::from_millis(20)));
        assert!(!stream.is_unread() && stream.is_silent());
        stream.set_deadline(Deadline::after(Duration::from_secs(60)));
        stream.write_all(&[b'x'; 1000]).unwrap();
        theirs.read_exact(&mut [0; 999]).unwrap();
        stream.shut_write();
        assert!(stream.is_unread(), "all but the last octet");
        theirs.read_exact(&mut [0; 1]).unwrap();
        assert!(!stream.is_unread());
        drop(theirs);
        assert!(!stream.is_silent(), "closed");
    }

    #[test]
    fn a_trickle_does_not_extend_the_limit() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let feeder = std::thread::spawn(move || {
            while theirs.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let mut stream = TimedStream::new(Stream::Unix(ours), Deadline::after(Duration::from_millis(60)));
        let mut all = Vec::new();
        assert_eq!(stream.read_to_end(&mut all).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(stream.is_late() && !all.is_empty());
        assert_eq!(stream.write(b"x").unwrap_err().kind(), ErrorKind::TimedOut);
        stream.set_deadline(Deadline::after(Duration::from_secs(60)));
        assert_eq!(stream.read(&mut [0]).unwrap(), 1, "a moved deadline gives time again");
        drop(stream);
        feeder.join().unwrap();
    }

    #[test]
    fn an_idle_connection_is_quiet_until_something_comes() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stream = TimedStream::new(Stream::Unix(ours), Deadline::after(Duration::from_secs(60)));
        assert!(stream.is_quiet());
        theirs.write_all(b"421 bye\r\n").unwrap();
        assert!(!stream.is_quiet());
        assert!(!stream.is_quiet(), "a look takes nothing away");
        let (ours, theirs) = UnixStream::pair().unwrap();
        let stream = TimedStream::new(Stream::Unix(ours), Deadline::after(Duration::from_secs(60)));
        drop(theirs);
        assert!(!stream.is_quiet(), "closed");
    }

    #[test]
    fn a_full_socket_times_out() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut stream = TimedStream::new(Stream::Unix(ours), Deadline::after(Duration::from_millis(60)));
        assert_eq!(stream.write_all(&vec![0; 8 << 20]).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
