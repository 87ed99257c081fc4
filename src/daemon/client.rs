//! The caller's side of the socket: a message handed over and its verdict, or any other request and its reply.
//!
//! It reads no configuration, opens nothing but the socket, starts no thread. The rule that everything here serves:
//! before the END is sent nothing can have been kept, so another way may be taken; after it the message may be kept,
//! so only the same id may ask again, and no other way is ever taken.

use super::protocol::{MAGIC, REPLY, REQUEST, Reply, Request, Submit, Verdict};
use super::wire::{self, WireError};
use crate::cli::invocation::DeliveryMode;
use crate::exit::Status;
use crate::message::Message;
use crate::net::connect::unix_socket;
use crate::net::deadline::{Timed, TimedStream};
use crate::net::words::words;
use crate::sys::clock::{self, Deadline};
use crate::sys::env;
use std::fmt;
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Until the daemon takes the connection.
const CONNECT: Duration = Duration::from_millis(900);
/// Until it begins to read: one that the service manager starts looks through its queue first.
const ACCEPT: Duration = Duration::from_secs(3);
/// Until it takes a further piece of what is sent.
const SEND: Duration = Duration::from_secs(10);
/// More than the kernel takes for a daemon that does not read.
const UNREAD: u64 = 4 << 20;
/// Until it answers; it syncs to disk in between.
const ANSWER: Duration = Duration::from_secs(120);
/// The same where the result is waited for: a little longer than the daemon waits.
const RESULT: Duration = Duration::from_secs(6 * 60);
/// Until it says why, where it did not take all that was sent: a refusal is on its way by then.
const REFUSAL: Duration = Duration::from_secs(2);
/// How long a daemon that is gone, or has too many clients, is asked again.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause before it is asked again; the first is a sixteenth.
const PAUSE: Duration = Duration::from_millis(400);
/// Octets that are sent at once: a usual message is one write.
const BLOCK: usize = 80 << 10;
/// Octets that are read at once: a verdict is one read.
const READ: usize = 4 << 10;

/// What handing over came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// The daemon's verdict.
    Verdict(Verdict),
    /// Nobody took it and nothing was kept: another way may be taken. Why, where a daemon was to be expected.
    Absent(Option<String>),
    /// There is no verdict and no other way may be taken: the status and one line for people.
    Failed(Status, String),
}

/// Where the daemon's socket is: `$POSTRIDER_SOCKET`, else the usual place.
#[must_use]
pub fn socket() -> PathBuf {
    env::path("POSTRIDER_SOCKET").unwrap_or_else(|| super::listen::PATH.into())
}

/// Hands a message over.
#[must_use]
pub fn submit(path: &Path, submit: Submit, message: &Message) -> HandOver {
    let wait = if submit.delivery == DeliveryMode::Wait { RESULT } else { ANSWER };
    let mut attempt = Attempt { path, wait, whole: false, pause: PAUSE / 16, broken: 0 };
    let request = Request::Submit(Box::new(submit));
    let patience = Deadline::after(PATIENCE);
    loop {
        let told = attempt.once(&request, message);
        if let Some(end) = attempt.judge(told, patience) {
            return end;
        }
        attempt.rest();
    }
}

/// Why there is no answer, one line that names the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// Nobody listens there.
    Absent(String),
    /// It refused; its own words.
    Refused(String),
    /// It could not be reached, or its answer made no sense.
    Broken(String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(what) | Self::Refused(what) | Self::Broken(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for AskError {}

/// Asks anything but to take a message.
///
/// # Errors
/// Why there is no answer.
pub fn ask(path: &Path, request: &Request) -> Result<Reply, AskError> {
    let at = path.display();
    let failed = |error: WireError| AskError::Broken(format!("the daemon at {at}: {}", plain(&error)));
    let absent = |error: io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            AskError::Absent(format!("no daemon listens at {at} ({}); postrider serve runs it", words(&error)))
        }
        _ => failed(error.into()),
    };
    let patience = Deadline::after(PATIENCE);
    loop {
        let stream = unix_socket(path, Deadline::after(CONNECT)).map_err(absent)?;
        let mut out = BufWriter::new(stream);
        let sent = begin(&mut out, request).and_then(|()| Ok(out.flush()?));
        let mut stream = out.into_parts().0;
        if sent.is_ok() && !is_answered(&mut stream) && withdraw(&mut stream) {
            return Err(failed(io::Error::from(ErrorKind::TimedOut).into()));
        }
        let wait = if sent.is_ok() { ANSWER } else { REFUSAL };
        match (read_reply(&mut stream, wait), sent) {
            (Ok(Reply::Busy(_)), _) if patience.left().is_some() => clock::pause(PAUSE),
            (Ok(reply), _) => return Ok(reply),
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(failed(error)),
        }
    }
}

/// What one connection came to.
enum Told {
    Reply(Reply),
    /// There is no connection.
    NoConnection(io::Error),
    /// It broke.
    Broken(WireError),
}

struct Attempt<'p> {
    path: &'p Path,
    wait: Duration,
    /// The END was sent once: the message may be kept.
    whole: bool,
    pause: Duration,
    /// Connections that broke before the END.
    broken: u32,
}

impl Attempt<'_> {
    fn once(&mut self, request: &Request, message: &Message) -> Told {
        let stream = match unix_socket(self.path, Deadline::after(CONNECT)) {
            Ok(stream) => stream,
            Err(error) => return Told::NoConnection(error),
        };
        let before = self.whole;
        let mut out = BufWriter::with_capacity(BLOCK, Paced { stream, sent: 0 });
        let sent = begin(&mut out, request)
            .and_then(|()| wire::write_text(&mut out, &mut message.wire()))
            .and_then(|()| wire::write_end(&mut out));
        // What could not be written whole has no END, so that nothing is kept of it.
        self.whole |= sent.is_ok();
        let mut stream = out.into_parts().0.stream;
        if sent.is_ok() && !is_answered(&mut stream) && withdraw(&mut stream) {
            self.whole = before;
            return Told::NoConnection(ErrorKind::TimedOut.into());
        }
        // A daemon that refuses closes before everything is sent: what it said is still there to be read.
        let wait = if sent.is_ok() { self.wait } else { REFUSAL };
        match (read_reply(&mut stream, wait), sent) {
            (Ok(reply), _) => {
                // This time nothing was kept, in so many words; another time it may have been.
                if matches!(reply, Reply::Busy(_) | Reply::Refused(_)) {
                    self.whole = before;
                }
                Told::Reply(reply)
            }
            (Err(_), Err(error)) | (Err(error), Ok(())) => Told::Broken(error),
        }
    }

    /// The end of the matter, or `None` where it is to be tried again.
    fn judge(&mut self, told: Told, patience: Deadline) -> Option<HandOver> {
        let again = patience.left().is_some();
        let at = self.path.display().to_string();
        match told {
            Told::Reply(Reply::Done(verdict)) => Some(HandOver::Verdict(verdict)),
            // It was sent to a daemon before: this one may have the message, and must be asked for its verdict.
            Told::Reply(Reply::Busy(_)) if again => None,
            Told::Reply(Reply::Busy(why) | Reply::Refused(why)) => Some(self.failed(&format!("{why} ({at})"))),
            Told::Reply(_) => Some(self.failed(&format!("the daemon at {at} answered something else"))),
            Told::Broken(WireError::Text(error)) => {
                let what = format!("{}; nothing was kept", WireError::Text(error));
                Some(HandOver::Failed(Status::Io, what))
            }
            Told::NoConnection(error) if error.kind() == ErrorKind::PermissionDenied && !self.whole => {
                let what = format!("the daemon's socket {at} may not be used: {}; nothing was kept", words(&error));
                Some(HandOver::Failed(Status::NoPerm, what))
            }
            Told::NoConnection(_) | Told::Broken(_) if self.whole && again => None,
            Told::NoConnection(error) if self.whole => Some(self.failed(&format!("{at}: {}", words(&error)))),
            Told::Broken(error) if self.whole => Some(self.failed(&format!("{at}: {}", plain(&error)))),
            Told::NoConnection(error) if error.kind() == ErrorKind::NotFound => Some(HandOver::Absent(None)),
            Told::NoConnection(error) => Some(absent(&at, &words(&error))),
            // It takes nothing: it would take no more at the second time.
            Told::Broken(WireError::Io(error)) if error.kind() == ErrorKind::TimedOut => {
                Some(absent(&at, &words(&error)))
            }
            Told::Broken(_) if std::mem::replace(&mut self.broken, 1) == 0 => None,
            Told::Broken(error) => Some(absent(&at, &plain(&error))),
        }
    }

    fn failed(&self, why: &str) -> HandOver {
        let what = if self.whole {
            format!("the daemon's answer was lost and the message may have been kept: {why}; look for it with mailq")
        } else {
            format!("{why}; nothing was kept, try again later")
        };
        HandOver::Failed(Status::Unavailable, what)
    }

    fn rest(&mut self) {
        clock::pause(self.pause);
        self.pause = (self.pause * 2).min(PAUSE);
    }
}

/// Whether there is an answer within the time in which a daemon begins to read.
fn is_answered(stream: &mut TimedStream) -> bool {
    stream.set_deadline(Deadline::after(ACCEPT));
    !stream.is_silent()
}

/// Takes back what was sent to a daemon that has not read it; false where it has. What is closed before the END was read
/// the daemon drops (`session`), so that nothing is kept of it, whenever it comes to be read.
fn withdraw(stream: &mut TimedStream) -> bool {
    stream.shut_write();
    stream.is_unread()
}

fn absent(at: &str, why: &str) -> HandOver {
    HandOver::Absent(Some(format!("the daemon at {at} took nothing: {why}")))
}

fn begin(out: &mut impl Write, request: &Request) -> Result<(), WireError> {
    out.write_all(MAGIC)?;
    wire::write_value(out, request, REQUEST)
}

fn read_reply(stream: &mut TimedStream, limit: Duration) -> Result<Reply, WireError> {
    stream.set_deadline(Deadline::after(limit));
    // Nothing follows the reply, so that reading ahead takes nothing from anybody.
    wire::read_value(&mut BufReader::with_capacity(READ, stream), REPLY)
}

/// An error in plain words, without the number.
fn plain(error: &WireError) -> String {
    match error {
        WireError::Io(error) => words(error),
        other => other.to_string(),
    }
}

/// A stream that has `SEND` for every write, and `ACCEPT` where it may be that nobody reads.
struct Paced {
    stream: TimedStream,
    sent: u64,
}

impl Write for Paced {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let limit = if self.sent < UNREAD { ACCEPT } else { SEND };
        self.stream.set_deadline(Deadline::after(limit));
        let count = self.stream.write(data)?;
        self.sent += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
