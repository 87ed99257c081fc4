//! One client of the daemon: its request and message read under limits of time and memory, its reply written.
//!
//! Whatever a client does wrong costs that client alone. Who it is says the kernel.

use super::peer::Peer;
use super::protocol::{PIECE, REPLY, REQUEST, Reply, Request, Submit, Verdict};
use super::quota::Share;
use super::turns::Large;
use super::wire::{self, WireError};
use super::{Daemon, control, submit};
use crate::config::listen::LARGEST;
use crate::exit::Status;
use crate::net::deadline::{Stream, Timed, TimedStream};
use crate::sys::clock::{self, Deadline};
use crate::sys::spool::Spool;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Until the first octets have come.
const FIRST: Duration = Duration::from_secs(5);
/// Until a frame has come, or the reply is taken.
const FRAME: Duration = Duration::from_secs(30);
/// Until a whole message has come.
const MESSAGE: Duration = Duration::from_secs(15 * 60);
/// Of that, until the first octets of it have come, and how many come in a second from then on: whoever has the message
/// sends it at once, and who trickles keeps a place from others.
const PACE: (Duration, u64) = (Duration::from_secs(10), 16 << 10);
/// How long a user's question waits until the one before it is answered.
const TURN: Duration = Duration::from_secs(30);
/// Octets of an answer that needs no room: as much as an empty socket takes at once.
const SHORT: usize = 16 << 10;
/// Octets of a message in memory, and of a request that needs no leave.
const MEMORY: usize = 64 << 10;

/// Serves a client.
pub fn run(daemon: &Daemon, peer: Peer, stream: UnixStream) {
    let stream = TimedStream::new(Stream::Unix(stream), Deadline::after(FIRST));
    let mut conversation = Conversation { daemon, peer, input: BufReader::new(stream) };
    let answer = match conversation.converse() {
        // It went away, or stalls: there is nobody to tell.
        Err(WireError::Io(error)) => {
            tracing::debug!(reason = %error, uid = peer.uid, "a client was given up");
            return;
        }
        Err(error) => Answer::of(&Reply::Refused(error.to_string())),
        Ok(answer) => Ok(answer),
    };
    if let Err(error) = answer.and_then(|answer| conversation.answer(answer)) {
        tracing::debug!(reason = %error, uid = peer.uid, "a reply was not taken");
    }
}

/// What kind of a request it is, without its values.
#[derive(Deserialize)]
struct Kind {
    submit: Option<IgnoredAny>,
}

/// A reply as it goes out.
struct Answer {
    frame: Vec<u8>,
    /// A message was kept that is to be delivered.
    kept: bool,
}

impl Answer {
    fn of(reply: &Reply) -> Result<Self, WireError> {
        let mut frame = Vec::new();
        match wire::write_value(&mut frame, reply, REPLY) {
            Err(WireError::TooLong(..)) => {
                let what = "the answer is too long; ask for fewer messages".to_owned();
                wire::write_value(&mut frame, &Reply::Refused(what), REPLY)?;
            }
            written => written?,
        }
        Ok(Self { frame, kept: matches!(reply, Reply::Done(verdict) if verdict.kept) })
    }
}

/// When the next piece of a message has come of which there are so many octets, from its begin on.
fn due(octets: u64) -> Duration {
    PACE.0 + Duration::from_secs(octets / PACE.1)
}

struct Conversation<'d> {
    daemon: &'d Daemon,
    peer: Peer,
    input: BufReader<TimedStream>,
}

impl Conversation<'_> {
    fn converse(&mut self) -> Result<Answer, WireError> {
        wire::read_magic(&mut self.input)?;
        // Held until all is done: as long as what it is for is in memory.
        let mut share = self.daemon.limits.requests.share(self.peer.uid);
        let Some(frame) = self.request(&mut share)? else {
            return Answer::of(&Reply::Busy("the daemon has too many large requests".into()));
        };
        // A large one stays octets, which are a fraction of the value, until it is its turn.
        let large = frame.len() > MEMORY;
        if large && wire::value::<Kind>(&frame).is_ok_and(|kind| kind.submit.is_some()) {
            return match self.message()? {
                Ok(text) => self.submission(&frame, text),
                Err(verdict) => Answer::of(&Reply::Done(verdict)),
            };
        }
        let _large = large.then(|| submit::large(self.daemon, self.peer.uid));
        match wire::value(&frame)? {
            Request::Submit(asked) => match self.message()? {
                Ok(text) => self.submitted(*asked, text, None),
                Err(verdict) => Answer::of(&Reply::Done(verdict)),
            },
            _ if self.is_withdrawn() => {
                Answer::of(&Reply::Busy("the request was taken back before it was read".into()))
            }
            request => self.question(request),
        }
    }

    /// A large submission whose message is there, once it is its turn.
    fn submission(&self, frame: &[u8], text: Spool) -> Result<Answer, WireError> {
        let Some(turn) = submit::large(self.daemon, self.peer.uid) else {
            return Answer::of(&Reply::Busy("the daemon has too many large requests".into()));
        };
        match wire::value(frame)? {
            Request::Submit(asked) => self.submitted(*asked, text, Some(turn)),
            _ => Err(WireError::Content("a submission and something else".into())),
        }
    }

    fn submitted(&self, asked: Submit, text: Spool, turn: Option<Large<'_>>) -> Result<Answer, WireError> {
        if self.is_withdrawn() {
            let what = "the message was taken back before it was read; nothing was kept";
            return Answer::of(&Reply::Busy(what.into()));
        }
        Answer::of(&Reply::Done(submit::submit(self.daemon, self.peer, asked, text, turn)))
    }

    /// Answers anything but a submission. A user has one turn at a time, root and the daemon's user need none; once the
    /// answer is octets, whether anybody takes them is no longer the next one's concern.
    fn question(&self, request: Request) -> Result<Answer, WireError> {
        let (daemon, peer) = (self.daemon, self.peer);
        let _turn = match control::is_master(daemon, peer) {
            true => None,
            false => match daemon.limits.questions.take(peer.uid, Deadline::after(TURN)) {
                Some(turn) => Some(turn),
                None => return Answer::of(&Reply::Busy("your other questions are not answered yet".into())),
            },
        };
        Answer::of(&control::answer(daemon, peer, request))
    }

    /// The request's octets; none where there is no room for so many.
    fn request(&mut self, share: &mut Share) -> Result<Option<Vec<u8>>, WireError> {
        self.limit(FRAME);
        let length = wire::read_length(&mut self.input, REQUEST)?;
        let large = length as usize > MEMORY;
        if large && !share.grow(length.into()) {
            return Ok(None);
        }
        let mut frame = Vec::new();
        wire::read_octets(&mut self.input, length, &mut frame)?;
        Ok(Some(frame))
    }

    /// The message up to its END, or why it is not taken.
    fn message(&mut self) -> Result<Result<Spool, Verdict>, WireError> {
        let (begun, whole) = (clock::instant(), Deadline::after(MESSAGE));
        let mut spool = Spool::with_memory(MEMORY);
        let mut share = self.daemon.limits.spool.share(self.peer.uid);
        let mut piece = Vec::new();
        loop {
            let left = due(spool.len()).saturating_sub(clock::instant().saturating_duration_since(begun));
            self.input.get_mut().set_deadline(Deadline::after(left).or_earlier(whole));
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

    /// Sends an answer, if there is room for it among those that wait to be taken.
    fn answer(&mut self, answer: Answer) -> Result<(), WireError> {
        self.limit(FRAME);
        let mut share = self.daemon.limits.answers.share(self.peer.uid);
        let Answer { mut frame, kept } = answer;
        // The verdict on a message is short, and is never kept back.
        if frame.len() > SHORT && !share.grow(frame.len() as u64) {
            frame = Answer::of(&Reply::Busy("you have too many answers that you did not take".into()))?.frame;
        }
        let sent = self.input.get_mut().write_all(&frame);
        // Not before: who delivers would take the processor from the client.
        if kept {
            self.daemon.host.kick();
        }
        Ok(sent?)
    }

    fn limit(&mut self, limit: Duration) {
        self.input.get_mut().set_deadline(Deadline::after(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_trickles_has_little_time_and_who_sends_has_all_that_it_takes() {
        assert_eq!(due(0), Duration::from_secs(10));
        // An octet a second keeps a place no longer than none.
        assert_eq!(due(100), Duration::from_secs(10));
        assert!(due(LARGEST) > MESSAGE, "the largest message has the whole time");
    }
}
