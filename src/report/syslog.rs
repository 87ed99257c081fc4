//! Lines to the system's log (RFC 3164 section 4.1, as local daemons take it), under whatever facility and name.
//!
//! The C library's `syslog` waits for as long as nobody reads /dev/log; this never waits longer than it is told. A line
//! that is too long for the socket is shortened in its middle, as what matters stands at both ends.

use crate::sys::patient;
use chrono::{DateTime, FixedOffset};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Where the system's log listens.
const SOCKET: &str = "/dev/log";

/// The longest line, octets: more is cut by usual receivers (rsyslog's maxMessageSize), and at the end.
pub const LONGEST: usize = 8000;
/// What is not tried to be shortened any further.
const SHORTEST: usize = 400;

/// Severities (RFC 3164 section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// An error.
    Error = 3,
    /// A warning.
    Warning = 4,
    /// What happens, and somebody may want to know.
    Notice = 5,
    /// What happens.
    Info = 6,
}

/// Facility `mail` (RFC 3164 section 4.1.1).
pub const MAIL: u8 = 2;

/// The system's log, once it was reached.
#[derive(Debug, Default)]
pub struct Syslog {
    socket: Option<(OwnedFd, SocketType)>,
}

impl Syslog {
    /// Sends a line, which must hold no control character.
    ///
    /// # Errors
    /// Nobody listens, or nobody reads for that long.
    pub fn send(
        &mut self,
        (facility, severity): (u8, Severity),
        program: &str,
        line: &str,
        (now, patience): (DateTime<FixedOffset>, Duration),
    ) -> io::Result<()> {
        let head = head(facility, severity, program, std::process::id(), now);
        let mut most = LONGEST;
        loop {
            let text = head.clone() + &shortened(line, most);
            match self.text(&text, patience) {
                Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) && most > SHORTEST => {
                    most /= 2;
                }
                done => return done,
            }
        }
    }

    /// Once more where whoever listened has been started anew since.
    fn text(&mut self, text: &str, patience: Duration) -> io::Result<()> {
        let known = self.socket.is_some();
        let done = self.offer(text, patience);
        let kept = |error: &io::Error| {
            let kept = [Errno::MSGSIZE, Errno::AGAIN, Errno::NOBUFS].map(|kept| kept.raw_os_error());
            error.kind() == io::ErrorKind::TimedOut || error.raw_os_error().is_some_and(|code| kept.contains(&code))
        };
        match done {
            Err(error) if !kept(&error) => {
                self.socket = None;
                if known { self.offer(text, patience) } else { Err(error) }
            }
            done => done,
        }
    }

    fn offer(&mut self, text: &str, patience: Duration) -> io::Result<()> {
        let (socket, kind) = match self.socket.take() {
            Some(known) => known,
            None => connect()?,
        };
        let (socket, kind) = self.socket.insert((socket, kind));
        // Where the log is a stream, a NUL ends a line.
        let text = if *kind == SocketType::STREAM { format!("{text}\0") } else { text.to_owned() };
        if !patient::ready(socket.as_fd(), patience)? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads it"));
        }
        match *kind == SocketType::STREAM {
            true => patient::write(socket.as_fd(), text.as_bytes(), patience),
            false => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(rustix::net::send(socket.as_fd(), text.as_bytes(), flags).map(drop)?)
            }
        }
    }
}

fn connect() -> io::Result<(OwnedFd, SocketType)> {
    let place = SocketAddrUnix::new(SOCKET)?;
    let open = |kind| -> rustix::io::Result<_> {
        // A stream whose queue of callers is full is not waited for.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
        rustix::net::connect(&socket, &place)?;
        Ok((socket, kind))
    };
    match open(SocketType::DGRAM) {
        Err(Errno::PROTOTYPE) => Ok(open(SocketType::STREAM)?),
        done => Ok(done?),
    }
}

fn head(facility: u8, severity: Severity, program: &str, process: u32, now: DateTime<FixedOffset>) -> String {
    format!("<{}>{} {program}[{process}]: ", facility * 8 + severity as u8, now.format("%b %e %H:%M:%S"))
}

/// A text of at most so many octets: what is too much is left out of its middle, and told.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    // Room for what is told.
    let kept = most.saturating_sub(40);
    let head = text.floor_char_boundary(kept / 3 * 2);
    let tail = text.ceil_char_boundary(text.len() - kept / 3);
    format!("{} ...({} octets left out)... {}", &text[..head], tail - head, &text[tail..])
}

/// The number of a facility by its C name, `LOG_MAIL` (RFC 3164 section 4.1.1).
#[must_use]
pub fn number(facility: &str) -> Option<u8> {
    match facility {
        "LOG_USER" => Some(1),
        "LOG_MAIL" => Some(MAIL),
        local => match local.strip_prefix("LOG_LOCAL")?.as_bytes() {
            [digit @ b'0'..=b'7'] => Some(16 + digit - b'0'),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_and_form() {
        let now = DateTime::parse_from_rfc3339("2025-11-02T21:19:19+01:00").unwrap();
        assert_eq!(head(2, Severity::Info, "msmtp", 7, now), "<22>Nov  2 21:19:19 msmtp[7]: ");
        assert_eq!(head(2, Severity::Error, "x", 7, now), "<19>Nov  2 21:19:19 x[7]: ");
        assert_eq!((number("LOG_USER"), number("LOG_LOCAL7"), number("LOG_LOCAL8")), (Some(1), Some(23), None));
        assert_eq!((number("LOG_DAEMON"), number("LOG_LOCAL")), (None, None));
    }

    #[test]
    fn both_ends_of_a_long_line_stay() {
        assert_eq!(shortened("short", 100), "short");
        let long = format!("from{}exit", "é".repeat(9000));
        let text = shortened(&long, 400);
        assert!(text.len() <= 400, "{}", text.len());
        assert!(text.starts_with("fromé") && text.ends_with("éexit"), "{text}");
        assert!(text.contains(" octets left out)..."), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,300}", most in 60usize..200) {
            proptest::prop_assert!(shortened(&text, most).len() <= most);
        }
    }
}
