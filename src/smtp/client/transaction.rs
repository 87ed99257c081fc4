//! One transaction: MAIL, every RCPT, DATA, the message, the reply (RFC 5321 section 3.3), pipelined where the server offers
//! it (RFC 2920), a small message all at once with BDAT (RFC 3030), with a result for every recipient.
//!
//! One refused recipient does not stop the others. After the final dot nothing is ever sent again.

use super::job::{Answer, Job, To};
use super::stuffing::Stuffing;
use super::{Cause, Failure, Session, commands};
use crate::config::Protocol;
use crate::net::deadline::Timed;
use crate::smtp::dialogue::Event;
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use std::io::{ErrorKind, Read};

/// The most commands in a flight that a message follows at once: a server that waits for its replies to be read does not
/// read on, so the replies must fit the buffers between the two sides.
const CHUNK_COMMANDS: usize = 200;
/// The octets after which a flight of commands ends. It fits our own send buffer, so that writing it never waits for a
/// server that waits for its replies to be read (RFC 2920 section 3.1), however many these are.
const FLIGHT_OCTETS: usize = 32 * 1024;
/// Octets of the message read at once; stuffed, they are at most half again as many.
const PIECE: usize = 64 * 1024;
/// The largest message that goes out before the server has taken sender and recipients, octets: refused, it went in vain.
/// A larger one waits for the yes to its recipients; then BDAT saves nothing over DATA, whose 354 comes in the same flight
/// as that yes.
const CHUNK: u64 = 256 * 1024;

/// A refusal after the dot; with another code the two sides are out of step, and the real reply may yet say yes.
fn not_taken(reply: Reply) -> Failure {
    let refusal = matches!(reply.code / 100, 4 | 5);
    let failure = Failure::refused(Phase::End, reply);
    if refusal { failure } else { failure.in_doubt() }
}

/// A transaction under way.
pub(super) struct Transaction<'r, 's, 't, W> {
    session: &'s mut Session<'t, W>,
    job: Job<'r>,
    recipients: &'r [&'r To],
    /// Nothing follows it in this session, unless the server puts recipients off.
    last: bool,
    /// What is known of each recipient: `Some(Ok)` the server takes it, `Some(Err)` it does not, `None` not answered.
    known: Vec<Option<Result<(), Failure>>>,
}

impl<'r, 's, 't, W: Timed> Transaction<'r, 's, 't, W> {
    pub(super) fn new(session: &'s mut Session<'t, W>, job: Job<'r>, recipients: &'r [&'r To], last: bool) -> Self {
        Self { session, job, recipients, last, known: vec![None; recipients.len()] }
    }

    /// An answer for every recipient.
    pub(super) fn run(mut self) -> Vec<Answer> {
        self.session.mails = self.session.mails.saturating_add(1);
        let ends = if self.fits_one_flight() {
            self.send_in_one_flight()
        } else {
            let offered = match self.session.capabilities.pipelining {
                true => self.offer_in_flights(),
                false => self.offer_in_steps(),
            };
            offered.and_then(|data| self.carry(&data))
        };
        match ends {
            Ok(ends) => self.settle(ends),
            Err(failure) => {
                self.session.output.clear();
                self.fail(&failure)
            }
        }
    }

    /// Whether BDAT saves a flight (RFC 3030): everything, the message too, goes out at once.
    fn fits_one_flight(&self) -> bool {
        let offered = &self.session.capabilities;
        let octets = || (0..self.recipients.len()).map(|index| self.rcpt_command(index).len() + 2).sum::<usize>();
        offered.chunking
            && offered.pipelining
            && self.job.message.wire_size() <= CHUNK
            && self.recipients.len() <= CHUNK_COMMANDS
            && octets() <= FLIGHT_OCTETS
    }

    /// MAIL, RCPTs, BDAT LAST with the message, and QUIT where nobody can be put off. Once it is written, a missing reply
    /// leaves the result unknown.
    fn send_in_one_flight(&mut self) -> Result<Vec<Answer>, Failure> {
        self.queue_chunk()?;
        let flushed = self.session.flush(Phase::Mail);
        self.session.transcript.event(&Event::Message(self.job.message.wire_size()));
        let doubt = |failure: Failure| match failure.cause {
            Cause::Refused(_) => failure,
            _ => failure.in_doubt(),
        };
        flushed.map_err(doubt)?;
        let reply = self.session.reply(Phase::Mail).map_err(doubt)?;
        if let Err(failure) = check_mail(reply) {
            self.pass_over_chunk(&failure);
            return Err(doubt(failure));
        }
        for index in 0..self.recipients.len() {
            let reply = self.session.reply(Phase::Rcpt).map_err(doubt)?;
            self.note_rcpt(index, reply).map_err(doubt)?;
        }
        // A chunk for nobody has no reply then (RFC 2033 section 4.3); some servers give one all the same.
        self.session.broken |= self.ends() == 0;
        let end = self.read_ends(self.ends());
        if let Some(Err(Failure { cause: Cause::Refused(reply), .. })) = end.first() {
            // A server that does not know BDAT after all takes the message for commands: nothing more is said to it.
            self.session.broken |= matches!(reply.code, 500..=502);
            self.session.in_transaction = true;
        }
        if self.accepted() == 0 { Ok(Vec::new()) } else { Ok(end) }
    }

    fn queue_chunk(&mut self) -> Result<(), Failure> {
        let mail = self.mail_command();
        self.session.queue(&mail)?;
        for index in 0..self.recipients.len() {
            let command = self.rcpt_command(index);
            self.session.queue(&command)?;
        }
        let size = self.job.message.wire_size();
        self.session.queue(&format!("BDAT {size} LAST"))?;
        let before = self.session.output.len() as u64;
        let read = self.job.message.wire().take(size + 1).read_to_end(&mut self.session.output);
        let fault = |what: String| Failure::new(Phase::Body, Cause::Source(what));
        read.map_err(|error| fault(error.to_string()))?;
        if self.session.output.len() as u64 - before != size {
            return Err(fault("it has not the size that it had".into()));
        }
        if self.is_farewell() && self.recipients.len() == 1 {
            self.session.queue("QUIT")?;
            self.session.quit_sent = true;
        }
        Ok(())
    }

    /// After a refused MAIL: the replies to the rest of the flight, which only say the same.
    fn pass_over_chunk(&mut self, refusal: &Failure) {
        let over = refusal.is_goodbye() || !matches!(refusal.cause, Cause::Refused(_));
        let unsure = self.session.protocol == Protocol::Lmtp;
        self.session.broken |=
            over || unsure || (0..=self.recipients.len()).any(|_| self.session.reply(Phase::Rcpt).is_err());
    }

    /// Everybody who was not refused shares the failure of the whole.
    fn fail(self, failure: &Failure) -> Vec<Answer> {
        let shared = |known| match known {
            Some(Err(own)) => Err(own),
            _ => Err(failure.clone()),
        };
        self.known.into_iter().map(shared).collect()
    }

    /// Who was taken gets the reply after the message: one for all, or one each in LMTP.
    fn settle(self, ends: Vec<Answer>) -> Vec<Answer> {
        let mut ends = ends.into_iter();
        let mut common = None;
        let one = self.session.protocol == Protocol::Smtp;
        let mut end = || match one {
            true => common.get_or_insert_with(|| ends.next().unwrap_or_else(no_end)).clone(),
            false => ends.next().unwrap_or_else(no_end),
        };
        let known = self.known.into_iter();
        known.map(|known| if let Some(Err(own)) = known { Err(own) } else { end() }).collect()
    }

    /// How many replies follow the message: LMTP has one for each recipient that was taken (RFC 2033 section 4.2).
    fn ends(&self) -> usize {
        if self.session.protocol == Protocol::Lmtp { self.accepted() } else { 1 }
    }

    fn accepted(&self) -> usize {
        self.known.iter().filter(|known| matches!(known, Some(Ok(())))).count()
    }

    /// Lock-step: one command, one reply. Returns the reply to DATA.
    fn offer_in_steps(&mut self) -> Result<Option<Reply>, Failure> {
        let mail = self.mail_command();
        let reply = self.session.command(Phase::Mail, &mail)?;
        check_mail(reply)?;
        self.session.in_transaction = true;
        for index in 0..self.recipients.len() {
            let command = self.rcpt_command(index);
            let reply = self.session.command(Phase::Rcpt, &command)?;
            self.note_rcpt(index, reply)?;
        }
        match self.accepted() {
            0 => Ok(None),
            _ => self.session.command(Phase::Data, "DATA").map(Some),
        }
    }

    /// Pipelined: MAIL and RCPTs in flights of bounded size, DATA with the last. Returns the reply to DATA.
    fn offer_in_flights(&mut self) -> Result<Option<Reply>, Failure> {
        let mail = self.mail_command();
        self.session.queue(&mail)?;
        let mut next = 0;
        loop {
            let first = next;
            next = self.queue_flight(first)?;
            let last = next == self.recipients.len();
            if last {
                self.session.queue("DATA")?;
            }
            self.session.flush(if first == 0 { Phase::Mail } else { Phase::Rcpt })?;
            if first == 0 {
                let reply = self.session.reply(Phase::Mail)?;
                check_mail(reply).inspect_err(|failure| self.pass_over(failure, next, last))?;
                self.session.in_transaction = true;
            }
            for index in first..next {
                let reply = self.session.reply(Phase::Rcpt)?;
                self.note_rcpt(index, reply)?;
            }
            if last {
                return self.session.reply(Phase::Data).map(Some);
            }
        }
    }

    /// After a refused MAIL the replies to the rest of the flight say nothing about the recipients, but a 354 among
    /// them needs its answer. Whatever goes wrong here, the refusal stays the reason.
    fn pass_over(&mut self, refusal: &Failure, rcpts: usize, data: bool) {
        if refusal.is_goodbye() || !matches!(refusal.cause, Cause::Refused(_)) {
            self.session.broken = true;
            return;
        }
        if (0..rcpts).any(|_| self.session.reply(Phase::Rcpt).is_err()) || !data {
            return;
        }
        if let Ok(reply) = self.session.reply(Phase::Data) {
            self.end_empty(&reply);
        }
    }

    fn queue_flight(&mut self, first: usize) -> Result<usize, Failure> {
        let mut index = first;
        while index < self.recipients.len() && (index == first || self.session.output.len() < FLIGHT_OCTETS) {
            let command = self.rcpt_command(index);
            self.session.queue(&command)?;
            index += 1;
        }
        Ok(index)
    }

    fn note_rcpt(&mut self, index: usize, reply: Reply) -> Result<(), Failure> {
        let answer = match reply.code / 100 {
            2 => Ok(()),
            _ => Err(Failure::refused(Phase::Rcpt, reply)),
        };
        match answer {
            // The server goes away, or has lost the thread: nobody else will get an answer.
            Err(failure) if failure.is_goodbye() || !matches!(failure.cause, Cause::Refused(_)) => Err(failure),
            answer => {
                self.known[index] = Some(answer);
                Ok(())
            }
        }
    }

    /// After the reply to DATA: the message, or nothing where nobody is there to get it.
    fn carry(&mut self, data: &Option<Reply>) -> Result<Vec<Answer>, Failure> {
        let Some(data) = data else { return Ok(Vec::new()) };
        if self.accepted() == 0 {
            self.end_empty(data);
            return Ok(Vec::new());
        }
        if data.code != 354 {
            return Err(Failure::refused(Phase::Data, data.clone()));
        }
        let sent = self.write_message();
        self.session.transcript.event(&Event::Message(self.job.message.wire_size()));
        match sent {
            Err(failure) if !failure.in_doubt => {
                // The server waits for the rest of the message: whatever was said now would belong to it.
                self.session.broken = true;
                Err(failure)
            }
            // The dot may have gone out, even where writing failed: a reply can still tell.
            _ => Ok(self.read_ends(self.ends())),
        }
    }

    /// The server wants a message though nobody is to get it: it gets an empty one (RFC 2920 section 3.1).
    fn end_empty(&mut self, data: &Reply) {
        if data.code == 354 && self.session.queue(".").is_ok() && self.session.flush(Phase::Data).is_ok() {
            self.session.in_transaction = false;
            let _ = self.session.reply(Phase::Data);
        }
    }

    /// The message from its store to the connection. The last piece, the dot, and QUIT where nothing else follows, go out in one write.
    fn write_message(&mut self) -> Result<(), Failure> {
        let mut source = self.job.message.wire();
        let mut piece = vec![0; PIECE];
        let mut stuffing = Stuffing::default();
        self.session.output.clear();
        loop {
            let count = match source.read(&mut piece) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::new(Phase::Body, Cause::Source(error.to_string()))),
            };
            if count == 0 {
                break;
            }
            if self.session.output.len() + count > PIECE {
                self.session.flush(Phase::Body)?;
            }
            stuffing.add(&piece[..count], &mut self.session.output);
        }
        stuffing.end(&mut self.session.output);
        self.queue_quit()?;
        self.session.begin(Phase::Body);
        self.session.write_out(Phase::End).map_err(Failure::in_doubt)
    }

    /// Whether the session ends with this message.
    fn is_farewell(&self) -> bool {
        self.last && !self.session.keep_open
    }

    fn queue_quit(&mut self) -> Result<(), Failure> {
        let more = self.job.splits.late && self.recipients.len() > 1
            || self.known.iter().flatten().any(|known| self.job.splits.asked_by(known).is_some());
        if self.session.capabilities.pipelining && self.is_farewell() && !more {
            self.session.queue("QUIT")?;
            self.session.quit_sent = true;
        }
        Ok(())
    }

    /// The replies after the dot. From here on a missing one leaves the result unknown.
    fn read_ends(&mut self, count: usize) -> Vec<Answer> {
        self.session.in_transaction = false;
        let mut ends = Vec::new();
        while ends.len() < count {
            let end = self.session.reply(Phase::End).map_err(Failure::in_doubt);
            let lost = end.is_err();
            ends.push(end.and_then(|reply| match reply.is_positive() {
                true => Ok(reply.short()),
                false => Err(not_taken(reply)),
            }));
            if lost {
                let last = ends[ends.len() - 1].clone();
                ends.resize(count, last);
            }
        }
        ends
    }

    fn mail_command(&self) -> String {
        let Job { from, message, dsn, .. } = self.job;
        let utf8 = !from.as_str().is_ascii() || self.recipients.iter().any(|to| !to.path.as_str().is_ascii());
        commands::mail(&self.session.capabilities, from, utf8, message, dsn)
    }

    fn rcpt_command(&self, index: usize) -> String {
        let To { path, dsn, .. } = self.recipients[index];
        commands::rcpt(&self.session.capabilities, path, dsn)
    }
}

fn no_end() -> Answer {
    Err(Failure::new(Phase::Data, Cause::Protocol("the server took no recipient".into())))
}

fn check_mail(reply: Reply) -> Result<(), Failure> {
    if reply.is_positive() { Ok(()) } else { Err(Failure::refused(Phase::Mail, reply)) }
}
