//! A socket whose reads and writes end at a point in time, however few octets trickle in.
//!
//! A socket's own time limit begins anew with every call, so that one octet every half second extends it for ever. Here
//! the limit is set to what is left before each call, and when nothing is left the answer is `TimedOut`. TLS lies on
//! top, so the same holds for its handshake.
//!
//! What had come by the time that the limit is seen to have passed can still be read: where this process stood still for
//! longer than that (a suspended machine, SIGSTOP), a reply that was in time is a reply.

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

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
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
    /// Octets that had come when the deadline was seen to have passed, and were not read yet.
    come: Option<u64>,
}

/// The limit for what needs no waiting.
const A_MOMENT: Duration = Duration::from_millis(1);
/// The most octets that are read so: those of a reply, and of the TLS around it.
const LATE: u64 = 64 << 10;

impl TimedStream {
    /// Wraps a connected socket.
    #[must_use]
    pub fn new(stream: Stream, deadline: Deadline) -> Self {
        Self { stream, deadline, come: None }
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
            // What has come is looked at even when there is no time left.
            let left = self.deadline.left();
            let Ok(limit) = Timespec::try_from(left.unwrap_or_default()) else { return false };
            let mut polled = [PollFd::from_borrowed_fd(self.fd(), PollFlags::IN)];
            match poll(&mut polled, Some(&limit)) {
                Ok(0) if left.is_none() => return true,
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

    /// How much of a buffer may be filled after the deadline: what had come by then; none of it is waited for.
    fn late(&mut self) -> io::Result<usize> {
        let come = match self.come {
            Some(come) => come,
            None => rustix::io::ioctl_fionread(self.fd())?.min(LATE),
        };
        self.come = Some(come);
        if come == 0 { Err(ErrorKind::TimedOut.into()) } else { Ok(usize::try_from(come).unwrap_or(usize::MAX)) }
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
        (self.deadline, self.come) = (deadline, None);
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let done = self.until(Stream::limit_read, |stream| stream.read(buffer));
        if !matches!(&done, Err(error) if error.kind() == ErrorKind::TimedOut) {
            return done;
        }
        let come = self.late()?;
        let most = come.min(buffer.len());
        self.stream.limit_read(A_MOMENT)?;
        let read = self.stream.read(&mut buffer[..most])?;
        self.come = Some((come - read) as u64);
        Ok(read)
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
    fn what_had_come_in_time_is_read_and_nothing_after_it() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut stream = TimedStream::new(Stream::Unix(ours), Deadline::after(Duration::ZERO));
        theirs.write_all(b"250 taken\r\n").unwrap();
        assert!(stream.is_late() && !stream.is_silent());
        let mut buffer = [0; 64];
        assert_eq!(stream.read(&mut buffer[..4]).unwrap(), 4);
        theirs.write_all(b"421 more").unwrap();
        assert_eq!((stream.read(&mut buffer).unwrap(), &buffer[..7]), (7, &b"taken\r\n"[..]));
        assert_eq!(stream.read(&mut buffer).unwrap_err().kind(), ErrorKind::TimedOut, "what came later is late");
        stream.set_deadline(Deadline::after(Duration::from_secs(60)));
        assert_eq!(stream.read(&mut buffer).unwrap(), 8);
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
