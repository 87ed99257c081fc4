//! Exit statuses (`sysexits.h`; README has them in words), and whose a caller knows.
//!
//! What an attempt to deliver comes to is in `deliver::status`; only `main` ends the process.

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
