//! What a session talks over: a socket with a deadline, with or without TLS.

use super::deadline::{Timed, TimedStream};
use crate::sys::clock::Deadline;
use openssl::ssl::SslStream;
use std::io::{self, Read, Write};

/// A connection to a server.
#[derive(Debug)]
pub enum Wire {
    /// In clear.
    Plain(TimedStream),
    /// Inside TLS.
    Tls(Box<SslStream<TimedStream>>),
}

impl Wire {
    /// Whether TLS protects it.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether nothing has come and the other side has not closed: what an idle connection of a healthy server looks
    /// like. Told without a round trip and without waiting; whatever can be read (an end, a 421, an alert) says no.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_quiet(),
            Self::Tls(stream) => stream.ssl().pending() == 0 && stream.get_ref().is_quiet(),
        }
    }

    /// Waits until something has come, the other side has closed, or the deadline has passed: whether it was that.
    pub fn is_silent(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_silent(),
            Self::Tls(stream) => stream.ssl().pending() == 0 && stream.get_ref().is_silent(),
        }
    }

    /// The TLS version (`TLSv1.3`) and cipher, where there is TLS.
    #[must_use]
    pub fn tls(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => {
                let cipher = stream.ssl().current_cipher().map_or("unknown", |cipher| cipher.name());
                Some((stream.ssl().version_str(), cipher))
            }
        }
    }

    /// Says good-bye to TLS, and gives the socket below where there is no TLS: there is nothing left to say within it.
    pub fn into_stream(self) -> Option<TimedStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Tls(mut stream) => {
                let _ = stream.shutdown();
                None
            }
        }
    }

    /// Says good-bye to TLS (close_notify), without waiting for the answer; errors no longer matter.
    pub fn close(self) {
        if let Self::Tls(mut stream) = self {
            let _ = stream.shutdown();
        }
    }
}

impl Timed for Wire {
    fn set_deadline(&mut self, deadline: Deadline) {
        match self {
            Self::Plain(stream) => stream.set_deadline(deadline),
            Self::Tls(stream) => stream.get_mut().set_deadline(deadline),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(data),
            Self::Tls(stream) => stream.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
