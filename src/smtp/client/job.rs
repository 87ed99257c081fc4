//! What is to be sent and for whom, and what became of each recipient. Values only.

use super::adapt::Path;
use super::{Cause, Failure};
use crate::envelope::{Dsn, RecipientDsn};
use crate::message::Message;
use crate::message::address::Address;
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;

/// What became of one recipient: the reply after the message, or what went wrong.
pub type Answer = Result<Reply, Failure>;

/// Is told which recipients the server took, before anything else is said to it: whoever keeps account writes that down
/// now. False ends the matter for the others.
pub type Taken<'t> = dyn Fn(&[(&Address, &Reply)]) -> bool + 't;

/// For those who keep no account, or only at the end.
pub const TAKEN: &Taken<'static> = &|_| true;

/// A recipient that is still to be asked.
#[derive(Clone, Debug)]
pub(super) struct To {
    /// Its index in the envelope.
    pub index: usize,
    /// The path of RCPT.
    pub path: Path,
    /// What was asked about its notifications.
    pub dsn: RecipientDsn,
}

/// Which refusals ask for smaller transactions, in which what was refused goes on at once.
#[derive(Clone, Copy)]
pub struct Splits<'r> {
    /// Whether a reply in a phase (RCPT, DATA, end of the message) does.
    pub wanted: &'r dyn Fn(Phase, &Reply) -> bool,
    /// Whether one after RCPT may: then the connection is kept until a message for several is taken.
    pub late: bool,
}

impl Splits<'_> {
    /// As RFC 5321 section 4.5.3.1.10 has it.
    pub const USUAL: Splits<'static> =
        Splits { wanted: &|phase, reply| phase == Phase::Rcpt && reply.too_many_recipients(), late: false };

    /// The phase of a refusal that asks for it.
    pub(super) fn asked_by<T>(&self, result: &Result<T, Failure>) -> Option<Phase> {
        match result {
            Err(Failure { phase, cause: Cause::Refused(reply), in_doubt: false }) => {
                (reply.code != 421 && (self.wanted)(*phase, reply)).then_some(*phase)
            }
            _ => None,
        }
    }
}

/// What a transaction is about, for whomever it is.
#[derive(Clone, Copy)]
pub(super) struct Job<'r> {
    /// The path of MAIL.
    pub from: &'r Path,
    /// The message as this server can take it.
    pub message: &'r Message,
    /// What notifications are asked for.
    pub dsn: &'r Dsn,
    /// Which refusals ask for smaller transactions.
    pub splits: Splits<'r>,
}
