//! What is said to a child and heard from it, until it ends or its time is over.
//!
//! No pipe is ever waited for alone: a process that the child left behind may hold the other end for ever, and may be in
//! a session of its own, where no signal for the child's group reaches it.

use super::{Ended, SpawnError, number};
use crate::sys::clock::Deadline;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, channel, sync_channel};
use std::time::Duration;

/// How long the end of a child is waited for that was killed. What does not die then (its user may be another one) is
/// waited for by a thread alone.
const DEATH: Duration = Duration::from_secs(2);
/// Read at a time.
const BLOCK: usize = 16 << 10;
/// The most that is still read from a pipe once the child has ended and nothing more is waited for: more than a pipe holds.
const LEFT: usize = 2 << 20;

/// What is kept of one of a child's outputs, octets.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    /// The beginning; the rest is read and dropped, so that the child does not wait for ever.
    First(usize),
    /// The end.
    Last(usize),
    /// All of it; more than that ends the child.
    AtMost(usize),
}

/// How to deal with a child.
pub(super) struct Talk {
    /// How long it may take.
    pub(super) limit: Duration,
    /// How long others may go on printing into its pipes once it has ended.
    pub(super) rest: Duration,
    /// What is kept of standard output.
    pub(super) stdout: Keep,
    /// What is kept of standard error.
    pub(super) stderr: Keep,
    /// What it leaves behind in its process group ends with it.
    pub(super) with_group: bool,
}

/// How a child ended, and what it printed.
pub(super) struct Heard {
    pub(super) ended: io::Result<ExitStatus>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Heard {
    /// The same with a number for a status.
    pub(super) fn ended(self) -> Result<Ended, SpawnError> {
        let status = number(self.ended.map_err(SpawnError::Start)?);
        Ok(Ended { status, stdout: self.stdout, stderr: self.stderr })
    }
}

impl Talk {
    /// Hears a child out, while `write` writes what it is to read.
    pub(super) fn with(
        &self,
        mut child: Child,
        write: Option<impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static>,
    ) -> Result<Heard, SpawnError> {
        let deadline = Deadline::after(self.limit);
        let stdin = child.stdin.take();
        let stdout = Listener::new(child.stdout.take().map(OwnedFd::from), self.stdout);
        let stderr = Listener::new(child.stderr.take().map(OwnedFd::from), self.stderr);
        let child = Waited::begin(child)?;
        let fed = stdin.zip(write).map(|(stdin, write)| feed(stdin, write, deadline)).transpose();
        let started = || -> io::Result<_> { Ok(([stdout?, stderr?], fed?)) };
        let (mut both, fed) = started().map_err(|error| {
            child.kill();
            SpawnError::Start(error)
        })?;
        let end = listen(&mut both, Some(&child), deadline);
        let fault = match end {
            End::Over => None,
            End::Deadline => Some(SpawnError::TimedOut(self.limit)),
            End::TooMuch => Some(SpawnError::TooMuch),
        };
        if fault.is_some() || self.with_group {
            child.kill();
        }
        if fault.is_none() {
            if listen(&mut both, None, Deadline::after(self.rest).or_earlier(deadline)) == End::TooMuch {
                child.kill();
                return Err(SpawnError::TooMuch);
            }
            both.iter_mut().for_each(Listener::drain);
        }
        // The writer stops where nobody needs it any more.
        drop(fed);
        let ended = child.reap();
        let [stdout, stderr] = both.map(|one| one.kept);
        match (fault, ended) {
            (Some(fault), _) => Err(fault),
            (None, Some(ended)) => Ok(Heard { ended, stdout, stderr }),
            (None, None) => Err(SpawnError::TimedOut(self.limit)),
        }
    }
}

/// Why no more is listened to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The child has ended; without a child, both pipes have.
    Over,
    Deadline,
    TooMuch,
}

/// Reads what comes until the child has ended; where there is none to wait for, until nobody can write any more.
fn listen(both: &mut [Listener; 2], child: Option<&Waited>, deadline: Deadline) -> End {
    loop {
        if both.iter().any(|one| one.too_much) {
            return End::TooMuch;
        }
        if child.is_none() && both.iter().all(|one| one.pipe.is_none()) {
            return End::Over;
        }
        let Some(left) = deadline.left() else { return End::Deadline };
        let mut watched: Vec<PollFd<'_>> = Vec::new();
        watched.extend(child.map(|child| PollFd::from_borrowed_fd(child.over.as_fd(), PollFlags::IN)));
        let pipes = both.iter().filter_map(|one| one.pipe.as_ref());
        watched.extend(pipes.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        let heard = wait(&mut watched, left);
        let over = child.is_some() && heard && !watched[0].revents().is_empty();
        drop(watched);
        if over {
            return End::Over;
        }
        both.iter_mut().for_each(Listener::hear);
    }
}

/// Waits until one of them has news; false where none has.
fn wait(watched: &mut [PollFd<'_>], left: Duration) -> bool {
    let left = Timespec::try_from(left).ok();
    matches!(poll(watched, left.as_ref()), Ok(1..))
}

/// One of a child's outputs.
struct Listener {
    /// Until its end.
    pipe: Option<OwnedFd>,
    keep: Keep,
    kept: Vec<u8>,
    too_much: bool,
}

impl Listener {
    fn new(pipe: Option<OwnedFd>, keep: Keep) -> io::Result<Self> {
        pipe.as_ref().map_or(Ok(()), |pipe| nonblocking(pipe.as_fd()))?;
        Ok(Self { pipe, keep, kept: Vec::new(), too_much: false })
    }

    /// Reads once, where there is something; how much.
    fn read(&mut self) -> usize {
        let mut block = [0; BLOCK];
        let Some(pipe) = &self.pipe else { return 0 };
        match rustix::io::read(pipe, &mut block) {
            Ok(count @ 1..) => {
                self.take(&block[..count]);
                count
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Ok(_) | Err(_) => {
                self.pipe = None;
                0
            }
        }
    }

    fn hear(&mut self) {
        self.read();
    }

    /// Reads what is there, and waits for nothing.
    fn drain(&mut self) {
        let mut left = LEFT;
        while left > 0 && !self.too_much {
            match self.read() {
                0 => return,
                count => left = left.saturating_sub(count),
            }
        }
    }

    fn take(&mut self, block: &[u8]) {
        match self.keep {
            Keep::First(most) => {
                let room = most.saturating_sub(self.kept.len()).min(block.len());
                self.kept.extend_from_slice(&block[..room]);
            }
            Keep::Last(most) => {
                self.kept.extend_from_slice(block);
                let beyond = self.kept.len().saturating_sub(most);
                self.kept.drain(..beyond);
            }
            Keep::AtMost(most) => {
                self.kept.extend_from_slice(block);
                self.too_much |= self.kept.len() > most;
            }
        }
    }
}

/// A child whose end is waited for by a thread. Its number stays its own until it is reaped, so that a signal never hits
/// somebody else.
struct Waited {
    id: Pid,
    /// Readable once it has ended.
    over: OwnedFd,
    /// Dropped, the thread reaps it.
    go: std::sync::mpsc::Sender<()>,
    reaped: std::sync::mpsc::Receiver<io::Result<ExitStatus>>,
}

impl Waited {
    fn begin(mut child: Child) -> Result<Self, SpawnError> {
        let id = Pid::from_child(&child);
        let failed = |error: io::Error| {
            kill(id);
            let _ = rustix::process::waitpid(Some(id), rustix::process::WaitOptions::empty());
            SpawnError::Start(error)
        };
        let (over, ends) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
        let (go, gone) = channel::<()>();
        let (tell, reaped) = sync_channel(1);
        let waiting = std::thread::Builder::new().spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(Errno::INTR) = waitid(WaitId::Pid(id), options) {}
            drop(ends);
            let _ = gone.recv();
            let _ = tell.send(child.wait());
        });
        waiting.map_err(failed)?;
        Ok(Self { id, over, go, reaped })
    }

    /// Ends it, and all of its group.
    fn kill(&self) {
        kill(self.id);
    }

    /// How it ended; `None` where it does not die.
    fn reap(self) -> Option<io::Result<ExitStatus>> {
        drop(self.go);
        match self.reaped.recv_timeout(DEATH) {
            Ok(ended) => Some(ended),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(Errno::CHILD.into())),
        }
    }
}

/// The group, and the child itself, which may have left it.
fn kill(id: Pid) {
    let _ = kill_process_group(id, Signal::KILL);
    let _ = kill_process(id, Signal::KILL);
}

fn nonblocking(pipe: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(pipe)?;
    Ok(rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK)?)
}

/// Writes to a child in a thread of its own, which stops when what this returns is dropped.
fn feed(
    stdin: ChildStdin,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    deadline: Deadline,
) -> io::Result<OwnedFd> {
    nonblocking(stdin.as_fd())?;
    let (over, ends) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    std::thread::Builder::new().spawn(move || {
        let mut pipe = BufWriter::with_capacity(64 << 10, Fed { pipe: stdin, over, deadline });
        // What the child does not care to read is no failure. What is left in the buffer goes nowhere.
        let _ = write(&mut pipe).and_then(|()| pipe.flush());
        drop(pipe.into_parts());
    })?;
    Ok(ends)
}

/// A child's standard input, which nobody waits for once the child has ended.
struct Fed {
    pipe: ChildStdin,
    over: OwnedFd,
    deadline: Deadline,
}

impl Write for Fed {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        loop {
            match self.pipe.write(data) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            let left = self.deadline.left().ok_or(ErrorKind::TimedOut)?;
            let mut watched = [
                PollFd::from_borrowed_fd(self.over.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.pipe.as_fd(), PollFlags::OUT),
            ];
            if wait(&mut watched, left) && !watched[0].revents().is_empty() {
                return Err(ErrorKind::BrokenPipe.into());
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
