//! The one table from what became of an attempt to the status that a caller is told.

use super::Attempt;
use super::trouble::{Kind, Permanence, Trouble};
use crate::config::TempFailExit;
use crate::exit::{Contract, Status};
use crate::smtp::phase::Phase;

/// The status of a refusal that may be none later, with nothing kept.
#[must_use]
pub fn not_now(contract: Contract, tempfail: TempFailExit) -> Status {
    match (contract, tempfail) {
        (Contract::Sendmail, TempFailExit::TempFail) => Status::TempFail,
        _ => Status::Unavailable,
    }
}

/// The status of an attempt to deliver, as the caller knows it.
#[must_use]
pub fn of_attempt_for(contract: Contract, attempt: &Attempt, tempfail: TempFailExit) -> Status {
    let status = of_attempt(attempt, tempfail);
    if contract == Contract::Sendmail || attempt.all_sent() || attempt.troubles().count() < attempt.outcomes.len() {
        return status;
    }
    let refused = |trouble: &&Trouble| trouble.kind == Kind::RecipientRefused;
    let worst = attempt.troubles().map(|(_, trouble)| trouble).find(|trouble| !refused(trouble));
    worst.or_else(|| attempt.troubles().next().map(|(_, trouble)| trouble)).map_or(status, of_trouble_msmtp)
}

/// msmtp's status of a failure: 65 for what the server refuses for good before the text, 69 after it.
#[must_use]
pub fn of_trouble_msmtp(trouble: &Trouble) -> Status {
    let refused = trouble.reply.as_ref().map(|reply| reply.code / 100);
    match (trouble.kind, trouble.phase) {
        (Kind::Auth, _) => Status::NoPerm,
        (Kind::Config, Phase::Auth | Phase::StartTls) => Status::Unavailable,
        (_, Phase::Greeting | Phase::Ehlo) if refused.is_some() => Status::Protocol,
        (_, Phase::Mail | Phase::Rcpt | Phase::Data) if refused == Some(5) => Status::Data,
        _ => of_trouble(trouble, TempFailExit::Unavailable),
    }
}

/// The status of an attempt to deliver: 0 where every recipient was taken, otherwise what the worst of it calls for.
#[must_use]
pub fn of_attempt(attempt: &Attempt, tempfail: TempFailExit) -> Status {
    let troubles: Vec<&Trouble> = attempt.troubles().map(|(_, trouble)| trouble).collect();
    let Some(first) = troubles.first() else { return Status::Ok };
    let some_sent = troubles.len() < attempt.outcomes.len();
    if some_sent {
        return Status::Unavailable;
    }
    let refused =
        |trouble: &&Trouble| trouble.kind == Kind::RecipientRefused && trouble.permanence == Permanence::Permanent;
    if troubles.iter().all(refused) {
        return Status::NoUser;
    }
    // A recipient that was refused for good says less than what kept the rest back.
    of_trouble(troubles.iter().find(|trouble| !refused(trouble)).unwrap_or(first), tempfail)
}

/// The status of a failure that kept a message from every recipient.
#[must_use]
pub fn of_trouble(trouble: &Trouble, tempfail: TempFailExit) -> Status {
    let unavailable = match (trouble.permanence, tempfail) {
        (Permanence::Temporary, TempFailExit::TempFail) => Status::TempFail,
        _ => Status::Unavailable,
    };
    match trouble.kind {
        Kind::UnknownHost => Status::NoHost,
        Kind::Protocol => Status::Protocol,
        Kind::Auth if trouble.permanence == Permanence::Permanent => Status::NoPerm,
        Kind::Secret | Kind::Config => Status::Config,
        Kind::Io => Status::Io,
        Kind::Counters => unavailable,
        Kind::Auth | Kind::Network | Kind::Tls | Kind::Refused | Kind::RecipientRefused | Kind::Message => unavailable,
    }
}
