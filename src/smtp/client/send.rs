//! One message for all of its recipients: as many transactions as the server's limits ask for (RFC 9422, and RFC 5321
//! section 4.5.3.1.10), with an answer for every recipient.

use super::adapt::Path;
use super::job::{Answer, Job, Splits, TAKEN, Taken, To};
use super::transaction::Transaction;
use super::{Cause, Failure, Session};
use crate::envelope::Envelope;
use crate::message::Message;
use crate::message::address::Address;
use crate::net::deadline::Timed;
use crate::smtp::ehlo::Limits;
use crate::smtp::phase::Phase;
use std::collections::{HashSet, VecDeque};

impl<W: Timed> Session<'_, W> {
    /// Sends a message; one answer for every recipient, in the envelope's order. Recipients beyond what the server takes
    /// in one transaction get another one at once; those beyond one session `Cause::NextSession`. QUIT may have gone out
    /// with the message.
    pub fn send(&mut self, envelope: &Envelope, message: &Message) -> Vec<Answer> {
        self.send_split(envelope, message, Splits::USUAL, TAKEN)
    }

    /// The same with the server's own ways to ask for smaller transactions. `taken` hears of every transaction but the
    /// last before the next one begins.
    pub fn send_split(
        &mut self,
        envelope: &Envelope,
        message: &Message,
        splits: Splits<'_>,
        taken: &Taken<'_>,
    ) -> Vec<Answer> {
        let recipients = envelope.recipients();
        let utf8 = self.capabilities.utf8;
        let ready = Path::of_sender(&envelope.from, utf8).and_then(|from| Ok((from, self.adapted(message)?)));
        let (from, message) = match ready {
            Ok(ready) => ready,
            Err(failure) => return vec![Err(failure); recipients.len()],
        };
        let job = Job { from: &from, message: &message, dsn: &envelope.dsn, splits };
        let unasked = Failure::new(Phase::Rcpt, Cause::Closed);
        let mut answers: Vec<Answer> = vec![Err(unasked); recipients.len()];
        let mut open: VecDeque<To> = VecDeque::new();
        for (index, recipient) in recipients.iter().enumerate() {
            match Path::of(recipient, utf8) {
                Ok(path) => open.push_back(To { index, path, dsn: envelope.dsn.of(recipient) }),
                Err(failure) => answers[index] = Err(failure),
            }
        }
        let mut most = usize::MAX;
        let mut told = vec![false; recipients.len()];
        while !open.is_empty() {
            let mut stop = self.next_transaction(&job, &mut open, &mut most, &mut answers);
            if stop.is_ok() && !open.is_empty() && !tell(recipients, &answers, &mut told, taken) {
                stop = Err(Failure::new(Phase::Mail, Cause::Unrecorded));
            }
            if let Err(failure) = stop {
                open.drain(..).for_each(|to| answers[to.index] = Err(failure.clone()));
            }
        }
        answers
    }

    /// One transaction for the next of the recipients; those that are put off come back into `open`.
    ///
    /// # Errors
    /// What keeps everybody back who is still in `open`.
    fn next_transaction(
        &mut self,
        job: &Job<'_>,
        open: &mut VecDeque<To>,
        most: &mut usize,
        answers: &mut [Answer],
    ) -> Result<(), Failure> {
        if self.capabilities.limits.mails.is_some_and(|most| self.mails >= most) {
            return Err(Failure::new(Phase::Mail, Cause::NextSession));
        }
        self.end_transaction()?;
        let batch = batch(open, self.capabilities.limits, *most);
        let to: Vec<&To> = batch.iter().collect();
        let results = Transaction::new(self, *job, &to, open.is_empty()).run();
        let went = results.iter().any(Result::is_ok);
        // Nobody was taken, and fewer at a time may be.
        let halved = !went && batch.len() > 1 && !self.quit_sent && !self.broken && {
            let asked = |result: &Answer| job.splits.asked_by(result).is_some();
            results.iter().any(asked) && results.iter().all(|result| asked(result) || refused_alone(result))
        };
        if halved {
            *most = batch.len().div_ceil(2);
        }
        let whole =
            results.iter().find_map(|result| result.as_ref().err().filter(|failure| is_of_all(failure))).cloned();
        let (mut again, mut put_off_reason) = (Vec::new(), None);
        for (to, result) in batch.into_iter().zip(results) {
            let index = to.index;
            if (went || halved) && job.splits.asked_by(&result).is_some() {
                put_off_reason = result.as_ref().err().cloned();
                again.push(to);
            }
            answers[index] = result;
        }
        again.into_iter().rev().for_each(|one| open.push_front(one));
        match (whole.filter(|_| !went && !halved), self.quit_sent || self.broken) {
            // Of these nobody was in a message that may have arrived.
            (Some(failure), _) => Err(Failure { in_doubt: false, ..failure }),
            (None, true) => Err(put_off_reason.unwrap_or_else(|| Failure::new(Phase::Rcpt, Cause::Closed))),
            (None, false) => Ok(()),
        }
    }

    /// RSET where the last transaction was begun and came to no message: the server would refuse another MAIL.
    fn end_transaction(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.in_transaction) {
            return Ok(());
        }
        let reply = self.command(Phase::Mail, "RSET")?;
        if reply.is_positive() { Ok(()) } else { Err(Failure::refused(Phase::Mail, reply)) }
    }
}

/// Tells of those whom the server took since it was told last; whether the others are to be asked.
fn tell(recipients: &[Address], answers: &[Answer], told: &mut [bool], taken: &Taken<'_>) -> bool {
    let mut new = Vec::new();
    for ((recipient, answer), told) in recipients.iter().zip(answers).zip(told) {
        if let Ok(reply) = answer
            && !std::mem::replace(told, true)
        {
            new.push((recipient, reply));
        }
    }
    new.is_empty() || taken(&new)
}

/// Whether a failure says something of all recipients, not of its own only.
fn is_of_all(failure: &Failure) -> bool {
    failure.phase != Phase::Rcpt || failure.is_goodbye() || !matches!(failure.cause, Cause::Refused(_))
}

/// Whether a recipient was refused for itself.
fn refused_alone(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(|failure| !is_of_all(failure))
}

/// The next recipients that fit one transaction; at least one. Those of too many domains wait for another.
fn batch(open: &mut VecDeque<To>, limits: Limits, at_most: usize) -> Vec<To> {
    let most = |limit: Option<u32>| limit.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let (recipients, domains) = (most(limits.recipients).min(at_most), most(limits.domains));
    if recipients >= open.len() && limits.domains.is_none() {
        return open.drain(..).collect();
    }
    let (mut seen, mut taken) = (HashSet::new(), Vec::new());
    let mut rest = VecDeque::new();
    for one in open.drain(..) {
        let domain = one.path.domain();
        if taken.len() < recipients && (seen.contains(&domain) || seen.len() < domains) {
            seen.insert(domain);
            taken.push(one);
        } else {
            rest.push_back(one);
        }
    }
    *open = rest;
    taken
}
