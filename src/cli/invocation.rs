//! What a command line asks for: values only, the same for the sendmail and the msmtp personality.

use crate::envelope::Dsn;
use crate::exit::{Contract, Status};
use crate::queue::Filter;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Deliver the message on standard input.
    #[default]
    Deliver,
    /// SMTP on standard input and output.
    Smtp,
    /// Print the queue.
    PrintQueue,
    /// Print the number of queued messages.
    CountQueue,
    /// Check the alias file.
    NewAliases,
    /// Show the route of each address.
    Verify,
    /// Deliver what is queued.
    Flush,
    /// Nothing to do, status 0.
    Nothing,
    /// msmtp's `--pretend`: show what would be used, send nothing.
    Pretend,
    /// msmtp's `--serverinfo`: show what the server offers.
    ServerInfo,
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
}

/// When the caller wants to know the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryMode {
    /// As soon as the message is safe.
    #[default]
    Background,
    /// When the server has answered.
    Wait,
    /// As soon as the message is safe; the next queue run delivers.
    Queue,
}

/// How errors are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorMode {
    /// On standard error, with the status.
    #[default]
    Print,
    /// By the status alone.
    Quiet,
    /// As print, and by a bounce where there is a queue.
    Mail,
    /// By a bounce where there is a queue, then with status 0.
    MailAndSucceed,
}

/// How a message is to be submitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-f`: the envelope sender as given.
    pub from: Option<String>,
    /// `-F`: the full name for an added From.
    pub full_name: Option<String>,
    /// `-t`: recipients from the header too.
    pub extract: bool,
    /// `-i`: a lone dot does not end the input.
    pub ignore_dots: bool,
    /// `-a`: a sender or msmtp account by name.
    pub account: Option<String>,
    /// `-od`.
    pub delivery: DeliveryMode,
    /// `-oe`.
    pub errors: ErrorMode,
    /// `-N`, `-R`, `-V`.
    pub dsn: Dsn,
    /// `-L`.
    pub log_tag: Option<String>,
    /// `-v`.
    pub verbose: bool,
    /// msmtp's `--read-envelope-from`: the From header stands for `-f`.
    pub read_envelope_from: bool,
    /// Whose exit statuses the caller knows.
    pub contract: Contract,
    /// The operands, as given.
    pub recipients: Vec<String>,
}

/// A parsed command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// What to do.
    pub mode: Mode,
    /// How.
    pub options: Options,
    /// What only msmtp's command line can say.
    pub msmtp: Option<MsmtpOptions>,
    /// `-q`: which messages a queue run or a listing means.
    pub queue: Filter,
    /// `--json`: a listing as JSON, one object a line.
    pub json: bool,
}

/// What only msmtp's command line can say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MsmtpOptions {
    /// `-C`: the user's configuration file.
    pub file: Option<PathBuf>,
    /// Account settings in the words of an msmtprc: command and argument, in order.
    pub settings: Vec<(String, String)>,
    /// The options among them that not everybody may use.
    pub reach: Vec<Reach>,
}

/// An option that reaches further than the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// As it is written.
    pub option: String,
    /// What it reaches.
    pub reaches: Reaches,
}

/// What an option reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaches {
    /// It names a program, which is run.
    Program,
    /// It names a file or a socket.
    File,
    /// It names a configuration, which can say all of this.
    Configuration,
    /// It takes the protection from an account's password, or leads it over another host.
    Login,
    /// With a server that the command line names: a password is looked for, to be sent there.
    Search,
}

impl Invocation {
    /// An invocation of a mode without options.
    #[must_use]
    pub fn of(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }
}

/// A command line that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// 64, or 65 where an argument is no text.
    pub status: Status,
    /// What is wrong, one line.
    pub what: String,
}

impl Usage {
    /// A wrong command line (64).
    pub fn new(what: impl Into<String>) -> Self {
        Self { status: Status::Usage, what: what.into() }
    }

    /// An argument that is no text (65).
    pub fn data(what: impl Into<String>) -> Self {
        Self { status: Status::Data, what: what.into() }
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Usage {}
