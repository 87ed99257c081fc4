//! Descriptors that go from one process to another over a channel between the two.

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Both ends of a channel, which no other process can reach.
///
/// # Errors
/// As `socketpair`.
pub fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a descriptor to the other end.
///
/// # Errors
/// There is no other end any more.
pub fn send(channel: impl AsFd, descriptor: impl AsFd) -> io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    loop {
        match sendmsg(&channel, &[IoSlice::new(b"1")], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            done => return Ok(done.map(drop)?),
        }
    }
}

/// The next descriptor that comes; `None` once the other end is closed. What comes without one is passed over.
///
/// # Errors
/// As `recvmsg`.
pub fn receive(channel: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    loop {
        let (mut space, mut octet) = ([MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))], [0]);
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(channel, &mut [IoSliceMut::new(&mut octet)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if got.bytes == 0 {
            return Ok(None);
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = message
                && let Some(descriptor) = descriptors.next()
            {
                return Ok(Some(descriptor));
            }
        }
    }
}

/// Standard input as the stream that it is.
///
/// # Errors
/// It cannot be had a second time.
pub fn stdin_stream() -> io::Result<UnixStream> {
    Ok(UnixStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_descriptor_arrives() {
        let (near, far) = channel().unwrap();
        let (mut one, other) = UnixStream::pair().unwrap();
        rustix::net::send(&near, b"x", SendFlags::empty()).unwrap();
        send(&near, &other).unwrap();
        drop(other);
        let mut arrived = UnixStream::from(receive(far.as_fd()).unwrap().unwrap());
        arrived.write_all(b"there").unwrap();
        drop(arrived);
        let mut text = String::new();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "there");
        drop(near);
        assert!(receive(far.as_fd()).unwrap().is_none());
        let (near, far) = channel().unwrap();
        drop(far);
        assert!(send(&near, &one).is_err());
    }
}
