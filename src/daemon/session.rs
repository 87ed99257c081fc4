//! One client of the daemon: its request and message read under limits of time and memory, its reply written.
//!
//! Whatever a client does wrong costs that client alone. Who it is says the kernel.

use super::peer::Peer;
use super::protocol::{PIECE, REPLY, REQUEST, Reply, Request, Verdict};
use super::wire::{self, WireError};
use super::{Daemon, control, submit};
use crate::config::listen::LARGEST;
use crate::exit::Status;
use crate::net::deadline::{Stream, Timed, TimedStream};
use crate::sys::clock::Deadline;
use crate::sys::spool::Spool;
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::PoisonError;
use std::time::Duration;

/// Until the first octets have come.
const FIRST: Duration = Duration::from_secs(5);
/// Until a frame has come, or the reply is taken.
const FRAME: Duration = Duration::from_secs(30);
/// Until a whole message has come.
const MESSAGE: Duration = Duration::from_secs(15 * 60);
/// Octets of a message in memory, and of a request that needs no leave.
const MEMORY: usize = 64 << 10;

/// Serves a client.
pub fn run(daemon: &Daemon, peer: Peer, stream: UnixStream) {
    let stream = TimedStream::new(Stream::Unix(stream), Deadline::after(FIRST));
    let mut conversation = Conversation { daemon, peer, input: BufReader::new(stream) };
    let reply = match conversation.converse() {
        Ok(reply) => reply,
        // It went away, or stalls: there is nobody to tell.
        Err(WireError::Io(error)) => {
            tracing::debug!(reason = %error, uid = peer.uid, "a client was given up");
            return;
        }
        Err(error) => Reply::Refused(error.to_string()),
    };
    if let Err(error) = conversation.answer(&reply) {
        tracing::debug!(reason = %error, uid = peer.uid, "a reply was not taken");
    }
    // Not before: who delivers would take the processor from the client.
    if matches!(&reply, Reply::Done(verdict) if verdict.kept) {
        daemon.host.kick();
    }
}

struct Conversation<'d> {
    daemon: &'d Daemon,
    peer: Peer,
    input: BufReader<TimedStream>,
}

impl Conversation<'_> {
    fn converse(&mut self) -> Result<Reply, WireError> {
        wire::read_magic(&mut self.input)?;
        match self.request()? {
            Err(reply) => Ok(reply),
            Ok(Request::Submit(asked)) => Ok(match self.message()? {
                Ok(_) if self.is_withdrawn() => {
                    let what = "the message was taken back before it was read; nothing was kept";
                    Reply::Busy(what.into())
                }
                Ok(text) => Reply::Done(submit::submit(self.daemon, self.peer, *asked, text)),
                Err(verdict) => Reply::Done(verdict),
            }),
            Ok(_) if self.is_withdrawn() => Ok(Reply::Busy("the request was taken back before it was read".into())),
            Ok(request) => Ok(control::answer(self.daemon, self.peer, request)),
        }
    }

    /// The request. A large one is read with the user's leave and made a value one at a time.
    fn request(&mut self) -> Result<Result<Request, Reply>, WireError> {
        self.limit(FRAME);
        let length = wire::read_length(&mut self.input, REQUEST)?;
        let large = length as usize > MEMORY;
        let mut share = self.daemon.limits.requests.share(self.peer.uid);
        if large && !share.grow(length.into()) {
            return Ok(Err(Reply::Busy("the daemon has too many large requests".into())));
        }
        let mut frame = Vec::new();
        wire::read_octets(&mut self.input, length, &mut frame)?;
        let _alone = large.then(|| self.daemon.limits.large.lock().unwrap_or_else(PoisonError::into_inner));
        wire::value(&frame).map(Ok)
    }

    /// The message up to its END, or why it is not taken.
    fn message(&mut self) -> Result<Result<Spool, Verdict>, WireError> {
        let whole = Deadline::after(MESSAGE);
        let mut spool = Spool::with_memory(MEMORY);
        let mut share = self.daemon.limits.spool.share(self.peer.uid);
        let mut piece = Vec::new();
        loop {
            self.input.get_mut().set_deadline(Deadline::after(FRAME).or_earlier(whole));
            let length = wire::read_length(&mut self.input, PIECE)?;
            if length == 0 {
                return Ok(Ok(spool));
            }
            let octets = spool.len() + u64::from(length);
            if octets > LARGEST {
                let what = format!("the message is larger than {} MiB; nothing was kept", LARGEST >> 20);
                return Ok(Err(Verdict::refused(Status::Unavailable, what)));
            }
            if octets > MEMORY as u64 && !share.grow(length.into()) {
                let what = "too many large messages are coming in at once; nothing was kept, try again later";
                return Ok(Err(Verdict::refused(Status::Unavailable, what.into())));
            }
            wire::read_octets(&mut self.input, length, &mut piece)?;
            if let Err(error) = spool.write_all(&piece) {
                let what = format!("the daemon cannot take the message in: {error}; nothing was kept");
                return Ok(Err(Verdict::refused(Status::Io, what)));
            }
        }
    }

    /// Whether the client has closed its side: it no longer waited for this message to be read, and takes another way.
    /// Asked after the END was read and before anything is kept, which is what the client relies on.
    fn is_withdrawn(&self) -> bool {
        !self.input.buffer().is_empty() || !self.input.get_ref().is_quiet()
    }

    fn answer(&mut self, reply: &Reply) -> Result<(), WireError> {
        self.limit(FRAME);
        let mut frame = Vec::new();
        match wire::write_value(&mut frame, reply, REPLY) {
            Err(WireError::TooLong(..)) => {
                let what = "the answer is too long; ask for fewer messages".to_owned();
                wire::write_value(&mut frame, &Reply::Refused(what), REPLY)?;
            }
            written => written?,
        }
        Ok(self.input.get_mut().write_all(&frame)?)
    }

    fn limit(&mut self, limit: Duration) {
        self.input.get_mut().set_deadline(Deadline::after(limit));
    }
}
