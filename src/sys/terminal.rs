//! The controlling terminal: asks a person for a secret, and leaves the terminal as it was on every way out.
//!
//! Standard input is the message, so only `/dev/tty` is spoken to. A process in the background has no terminal: it would
//! be stopped for reading from it. While it asks, a signal that ends the process puts the terminal right first.

use super::clock::Deadline;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest answer, octets: what a terminal keeps of one line.
const LONGEST: usize = 4096;
/// The signals that end a process and that a person or the system sends to one that waits.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// The controlling terminal, with this process in the foreground.
#[derive(Debug)]
pub struct Terminal(File);

impl Terminal {
    /// The terminal; `None` where there is none, or other processes have it.
    #[must_use]
    pub fn open() -> Option<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let tty = rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()?;
        let foreground = rustix::termios::tcgetpgrp(&tty).is_ok_and(|group| group == rustix::process::getpgrp());
        foreground.then(|| Self(File::from(tty)))
    }

    /// Shows `prompt`, which must hold no control characters, and reads a line without showing it. The line comes without
    /// its end; it is wiped when dropped.
    ///
    /// # Errors
    /// No line within `limit` (`TimedOut`), a line of 4096 octets or more (`InvalidData`), or the terminal failed. A
    /// signal that ends the process ends it here.
    pub fn ask(&self, prompt: &str, limit: Duration) -> io::Result<Zeroizing<Vec<u8>>> {
        let deadline = Deadline::after(limit);
        let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = match &mut *watch {
            Some(watch) => watch,
            none => none.insert(Watch::new()?),
        };
        watch.idle.store(false, Ordering::SeqCst);
        let answer = self.converse(prompt, watch, deadline);
        // The terminal is as it was by now: a signal may end the process again.
        watch.idle.store(true, Ordering::SeqCst);
        if let Some(signal) = watch.came() {
            low_level::emulate_default_handler(signal)?;
        }
        answer
    }

    fn converse(&self, prompt: &str, watch: &Watch, deadline: Deadline) -> io::Result<Zeroizing<Vec<u8>>> {
        let _quiet = Quiet::on(&self.0)?;
        (&self.0).write_all(prompt.as_bytes())?;
        let answer = self.line(watch, deadline);
        // The end of the line was not shown either.
        let _ = (&self.0).write_all(b"\n");
        answer
    }

    fn line(&self, watch: &Watch, deadline: Deadline) -> io::Result<Zeroizing<Vec<u8>>> {
        // Of its full size at once: a buffer that grows leaves copies behind.
        let mut line = Zeroizing::new(vec![0; LONGEST]);
        let mut filled = 0;
        loop {
            let left = deadline.left().ok_or(io::ErrorKind::TimedOut)?;
            let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::TimedOut)?;
            let mut fds = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(&watch.seen, PollFlags::IN)];
            match poll(&mut fds, Some(&left)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if watch.came().is_some() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match (&self.0).read(&mut line[filled..]) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    let end = line[filled..filled + count].iter().position(|octet| *octet == b'\n');
                    if end.is_some() || count == 0 {
                        line.truncate(filled + end.unwrap_or(0));
                        return Ok(line);
                    }
                    filled += count;
                }
            }
            if filled == LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is longer than 4095 octets"));
            }
        }
    }
}

/// The terminal without echo, until it is dropped.
struct Quiet<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Quiet<'t> {
    fn on(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        quiet.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        quiet.input_modes.insert(InputModes::ICRNL);
        // Stopped by a key, the process would leave a terminal without echo to the shell; 0 is no key.
        quiet.special_codes[SpecialCodeIndex::VSUSP] = 0;
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// The handlers of the signals, once there are any. They stay, as the default behind them cannot be put back: outside of a
/// question they do what the default does.
static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

struct Watch {
    /// Readable once a signal came during a question.
    seen: UnixStream,
    /// Its number; 0 for none.
    came: Arc<AtomicUsize>,
    /// Nothing is asked.
    idle: Arc<AtomicBool>,
}

impl Watch {
    fn new() -> io::Result<Self> {
        let (seen, tell) = UnixStream::pair()?;
        let watch = Self { seen, came: Arc::default(), idle: Arc::new(AtomicBool::new(true)) };
        for signal in ENDING {
            flag::register_conditional_default(signal, Arc::clone(&watch.idle))?;
            flag::register_usize(signal, Arc::clone(&watch.came), usize::try_from(signal).unwrap_or_default())?;
            low_level::pipe::register(signal, tell.try_clone()?)?;
        }
        Ok(watch)
    }

    fn came(&self) -> Option<i32> {
        i32::try_from(self.came.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }
}
