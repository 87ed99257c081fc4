//! The one table from what happened to a sysexits status (`sysexits.h`; README has them in words).
//!
//! Nothing else in the tree turns an error into a number, and only `main` ends the process.

use crate::config::TempFailExit;
use crate::deliver::Attempt;
use crate::deliver::trouble::{Kind, Permanence, Trouble};
use crate::smtp::phase::Phase;

/// How a command ended, as the caller's shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// 0: the next server took it, or there was nothing to do.
    Ok,
    /// 1: a check or a trial found something wrong (`check`, `try`; never a submission).
    Findings,
    /// 2: a check found something that keeps mail from being sent.
    Faults,
    /// 64: the command line is wrong, or names no recipient.
    Usage,
    /// 65: the message or an address cannot be parsed.
    Data,
    /// 66: an input file does not exist or cannot be read.
    NoInput,
    /// 67: every recipient was refused.
    NoUser,
    /// 68: the server's name does not exist.
    NoHost,
    /// 69: refused by the server for good, or a temporary failure with nothing kept (the text says which).
    Unavailable,
    /// 70: a fault of postrider itself.
    Software,
    /// 71: the operating system refused something (a process, a socket).
    Os,
    /// 73: a file could not be created.
    CantCreate,
    /// 74: reading the message or writing a file failed.
    Io,
    /// 75: temporary, nothing kept; only where `tempfail_exit = 75` asks for it.
    TempFail,
    /// 76: the server does not speak the protocol.
    Protocol,
    /// 77: not allowed: the sender is not this user's, or the server refused the login.
    NoPerm,
    /// 78: the configuration is wrong.
    Config,
}

impl Status {
    /// The number for the process's exit.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Findings => 1,
            Self::Faults => 2,
            Self::Usage => 64,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::NoUser => 67,
            Self::NoHost => 68,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::Os => 71,
            Self::CantCreate => 73,
            Self::Io => 74,
            Self::TempFail => 75,
            Self::Protocol => 76,
            Self::NoPerm => 77,
            Self::Config => 78,
        }
    }

    /// The status with that number, as the daemon sent it.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        const ALL: [Status; 17] = [
            Status::Ok,
            Status::Findings,
            Status::Faults,
            Status::Usage,
            Status::Data,
            Status::NoInput,
            Status::NoUser,
            Status::NoHost,
            Status::Unavailable,
            Status::Software,
            Status::Os,
            Status::CantCreate,
            Status::Io,
            Status::TempFail,
            Status::Protocol,
            Status::NoPerm,
            Status::Config,
        ];
        ALL.into_iter().find(|status| status.code() == code)
    }

    /// The name in `sysexits.h`, as msmtp's log writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "EX_OK",
            Self::Findings => "EX_FINDINGS",
            Self::Faults => "EX_FAULTS",
            Self::Usage => "EX_USAGE",
            Self::Data => "EX_DATAERR",
            Self::NoInput => "EX_NOINPUT",
            Self::NoUser => "EX_NOUSER",
            Self::NoHost => "EX_NOHOST",
            Self::Unavailable => "EX_UNAVAILABLE",
            Self::Software => "EX_SOFTWARE",
            Self::Os => "EX_OSERR",
            Self::CantCreate => "EX_CANTCREAT",
            Self::Io => "EX_IOERR",
            Self::TempFail => "EX_TEMPFAIL",
            Self::Protocol => "EX_PROTOCOL",
            Self::NoPerm => "EX_NOPERM",
            Self::Config => "EX_CONFIG",
        }
    }
}

/// Whose exit statuses a caller knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contract {
    /// sendmail's.
    #[default]
    Sendmail,
    /// msmtp's, except where they would lose mail: 75 is never said, since some callers take it for success.
    Msmtp,
}

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
        Kind::Auth | Kind::Network | Kind::Tls | Kind::Refused | Kind::RecipientRefused | Kind::Message => unavailable,
    }
}
