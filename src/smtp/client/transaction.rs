//! One message: MAIL, every RCPT, DATA, the message, the reply (RFC 5321 section 3.3), pipelined where the server offers
//! it (RFC 2920), with a result for every recipient.
//!
//! One refused recipient does not stop the others. After the final dot nothing is ever sent again.

use super::stuffing::Stuffing;
use super::{Cause, Failure, Session};
use crate::config::Protocol;
use crate::envelope::{Dsn, Envelope, Notify, Return};
use crate::message::Message;
use crate::message::address::Address;
use crate::net::deadline::Timed;
use crate::smtp::dialogue::Event;
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read};

/// The most commands in a flight, so that the replies to them fit the buffers between the two sides: a server that
/// waits for its replies to be read would not read on.
const FLIGHT_COMMANDS: usize = 200;
/// The most octets in a flight of commands.
const FLIGHT_OCTETS: usize = 16 * 1024;
/// Octets of the message read at once; stuffed, they are at most half again as many.
const PIECE: usize = 64 * 1024;

/// What became of one recipient: the reply after the message, or what went wrong.
pub type Answer = Result<Reply, Failure>;

impl<W: Timed> Session<'_, W> {
    /// Sends a message; one answer for every recipient, in the envelope's order. Recipients that the server puts off as
    /// too many for one transaction get another one at once. QUIT may have gone out with the message.
    pub fn send(&mut self, envelope: &Envelope, message: &Message) -> Vec<Answer> {
        let recipients = envelope.recipients();
        let mut answers: Vec<Answer> = Vec::with_capacity(recipients.len());
        if let Err(failure) = self.can_carry(envelope, message) {
            answers.resize(recipients.len(), Err(failure));
            return answers;
        }
        let mut open: Vec<usize> = (0..recipients.len()).collect();
        let unasked = Failure::new(Phase::Rcpt, Cause::Closed);
        answers.resize(recipients.len(), Err(unasked));
        while !open.is_empty() {
            let batch: Vec<&Address> = open.iter().map(|&index| &recipients[index]).collect();
            let results = Transaction::new(self, envelope, &batch, message).run();
            let went = results.iter().any(Result::is_ok);
            let mut put_off = Vec::new();
            for (&index, result) in open.iter().zip(results) {
                if went && is_put_off(&result) {
                    put_off.push(index);
                }
                answers[index] = result;
            }
            open = if self.quit_sent || self.broken { Vec::new() } else { put_off };
        }
        answers
    }

    /// Whether the server can take this message at all; asked before MAIL.
    fn can_carry(&self, envelope: &Envelope, message: &Message) -> Result<(), Failure> {
        let offered = &self.capabilities;
        let unsendable = |what: String| Err(Failure::new(Phase::Mail, Cause::Unsendable(what)));
        let addresses = envelope.from.address().into_iter().chain(envelope.recipients());
        if let Some(address) = addresses.into_iter().find(|address| !address.is_ascii() && !offered.utf8) {
            return unsendable(format!("the address {address} is not ASCII, and the server does not offer SMTPUTF8"));
        }
        if message.needs_8bit() && !offered.eight_bit {
            return unsendable("the message has 8-bit text, and the server does not offer 8BITMIME".into());
        }
        match offered.size_limit {
            Some(limit) if message.wire_size() > limit => {
                let size = message.wire_size();
                unsendable(format!("the message has {size} octets, and the server takes no more than {limit}"))
            }
            _ => Ok(()),
        }
    }
}

/// A refusal after the dot; with another code the two sides are out of step, and the real reply may yet say yes.
fn not_taken(reply: Reply) -> Failure {
    let refusal = matches!(reply.code / 100, 4 | 5);
    let failure = Failure::refused(Phase::End, reply);
    if refusal { failure } else { failure.in_doubt() }
}

fn is_put_off(answer: &Answer) -> bool {
    matches!(answer, Err(Failure { phase: Phase::Rcpt, cause: Cause::Refused(reply), .. }) if reply.too_many_recipients())
}

/// A transaction under way.
struct Transaction<'r, 's, 't, W> {
    session: &'s mut Session<'t, W>,
    envelope: &'r Envelope,
    recipients: &'r [&'r Address],
    message: &'r Message,
    /// What is known of each recipient: `Some(Ok)` the server takes it, `Some(Err)` it does not, `None` not answered.
    known: Vec<Option<Result<(), Failure>>>,
}

impl<'r, 's, 't, W: Timed> Transaction<'r, 's, 't, W> {
    fn new(
        session: &'s mut Session<'t, W>,
        envelope: &'r Envelope,
        recipients: &'r [&'r Address],
        message: &'r Message,
    ) -> Self {
        Self { session, envelope, recipients, message, known: vec![None; recipients.len()] }
    }

    fn run(mut self) -> Vec<Answer> {
        let offered = match self.session.capabilities.pipelining {
            true => self.offer_in_flights(),
            false => self.offer_in_steps(),
        };
        match offered.and_then(|data| self.carry(&data)) {
            Ok(ends) => self.settle(ends),
            Err(failure) => {
                self.session.output.clear();
                self.fail(&failure)
            }
        }
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

    fn accepted(&self) -> usize {
        self.known.iter().filter(|known| matches!(known, Some(Ok(())))).count()
    }

    /// Lock-step: one command, one reply. Returns the reply to DATA.
    fn offer_in_steps(&mut self) -> Result<Option<Reply>, Failure> {
        let mail = self.mail_command();
        let reply = self.session.command(Phase::Mail, &mail)?;
        check_mail(reply)?;
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
        while index < self.recipients.len()
            && index - first < FLIGHT_COMMANDS
            && (index == first || self.session.output.len() < FLIGHT_OCTETS)
        {
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
        self.session.transcript.event(&Event::Message(self.message.wire_size()));
        let ends = if self.session.protocol == Protocol::Lmtp { self.accepted() } else { 1 };
        match sent {
            Err(failure) if !failure.in_doubt => {
                // The server waits for the rest of the message: whatever was said now would belong to it.
                self.session.broken = true;
                Err(failure)
            }
            // The dot may have gone out, even where writing failed: a reply can still tell.
            _ => Ok(self.read_ends(ends)),
        }
    }

    /// The server wants a message though nobody is to get it: it gets an empty one (RFC 2920 section 3.1).
    fn end_empty(&mut self, data: &Reply) {
        if data.code == 354 && self.session.queue(".").is_ok() && self.session.flush(Phase::Data).is_ok() {
            let _ = self.session.reply(Phase::Data);
        }
    }

    /// The message from its store to the connection. The last piece, the dot, and QUIT where nothing else follows, go out in one write.
    fn write_message(&mut self) -> Result<(), Failure> {
        let mut source = self.message.wire();
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
        self.session.begin(self.session.limits.command);
        self.session.write_out(Phase::End).map_err(Failure::in_doubt)
    }

    fn queue_quit(&mut self) -> Result<(), Failure> {
        let more = self.known.iter().flatten().any(
            |known| matches!(known, Err(Failure { cause: Cause::Refused(reply), .. }) if reply.too_many_recipients()),
        );
        if self.session.capabilities.pipelining && !more {
            self.session.queue("QUIT")?;
            self.session.quit_sent = true;
        }
        Ok(())
    }

    /// The replies after the dot. From here on a missing one leaves the result unknown.
    fn read_ends(&mut self, count: usize) -> Vec<Answer> {
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
        let offered = &self.session.capabilities;
        let from = self.envelope.from.address().map_or("", Address::as_str);
        let mut command = format!("MAIL FROM:<{from}>");
        if offered.size {
            let _ = write!(command, " SIZE={}", self.message.wire_size());
        }
        let addresses_utf8 = !from.is_ascii() || self.recipients.iter().any(|address| !address.is_ascii());
        let utf8 = offered.utf8 && (addresses_utf8 || self.message.header_needs_utf8());
        if offered.eight_bit && (self.message.needs_8bit() || self.message.header_needs_utf8() || utf8) {
            command.push_str(" BODY=8BITMIME");
        }
        if utf8 {
            command.push_str(" SMTPUTF8");
        }
        if offered.dsn {
            dsn_of_mail(&self.envelope.dsn, &mut command);
        }
        command
    }

    fn rcpt_command(&self, index: usize) -> String {
        let address = self.recipients[index];
        let mut command = format!("RCPT TO:<{address}>");
        if let (true, Some(notify)) = (self.session.capabilities.dsn, self.envelope.dsn.notify) {
            dsn_of_rcpt(notify, address, &mut command);
        }
        command
    }
}

fn no_end() -> Answer {
    Err(Failure::new(Phase::Data, Cause::Protocol("the server took no recipient".into())))
}

fn check_mail(reply: Reply) -> Result<(), Failure> {
    if reply.is_positive() { Ok(()) } else { Err(Failure::refused(Phase::Mail, reply)) }
}

/// RET and ENVID (RFC 3461 section 4.3 and 4.4).
fn dsn_of_mail(dsn: &Dsn, command: &mut String) {
    match dsn.ret {
        Some(Return::Headers) => command.push_str(" RET=HDRS"),
        Some(Return::Full) => command.push_str(" RET=FULL"),
        None => {}
    }
    if let Some(envid) = dsn.envid.as_deref().filter(|envid| !envid.is_empty()) {
        let _ = write!(command, " ENVID={}", xtext(envid));
    }
}

/// NOTIFY and ORCPT (RFC 3461 section 4.1 and 4.2).
fn dsn_of_rcpt(notify: Notify, address: &Address, command: &mut String) {
    let events = [("SUCCESS", notify.success), ("FAILURE", notify.failure), ("DELAY", notify.delay)];
    let wanted: Vec<&str> = events.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    match (notify.never, wanted.is_empty()) {
        (true, _) => command.push_str(" NOTIFY=NEVER"),
        (false, true) => return,
        (false, false) => {
            let _ = write!(command, " NOTIFY={}", wanted.join(","));
        }
    }
    if address.is_ascii() {
        let _ = write!(command, " ORCPT=rfc822;{}", xtext(address.as_str()));
    }
}

/// xtext (RFC 3461 section 4): `+` and two upper-case hex digits for all but printable ASCII without `+` and `=`.
fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'!'..=b'~' if octet != b'+' && octet != b'=' => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "+{octet:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dsn_parameters() {
        assert_eq!(xtext("a+b=c d\te"), "a+2Bb+3Dc+20d+09e");
        let mut command = String::new();
        dsn_of_mail(&Dsn { notify: None, ret: Some(Return::Headers), envid: Some("QQ=1".into()) }, &mut command);
        assert_eq!(command, " RET=HDRS ENVID=QQ+3D1");
        command.clear();
        let notify = Notify { success: true, delay: true, ..Notify::default() };
        dsn_of_rcpt(notify, &Address::parse("a+b@c.test").unwrap(), &mut command);
        assert_eq!(command, " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.test");
        command.clear();
        dsn_of_rcpt(Notify::default(), &Address::parse("a@c.test").unwrap(), &mut command);
        assert_eq!(command, "");
    }
}
