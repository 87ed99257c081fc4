//! What is said on the daemon's socket. Version 1: one request, the message where there is one, one reply, the end.
//!
//! ```text
//! client  "POSTRIDER1\n"  u32 length, JSON Request   [u32 length, octets]...  u32 0   (the message, and its END)
//! daemon  u32 length, JSON Reply
//! ```
//!
//! Lengths are big-endian. A request is at most 4 MiB, a piece of a message at most 64 KiB, a reply at most 64 MiB. Only
//! the END makes a message whole: a client that dies before it leaves nothing, nor does one that closes its side before the
//! END was read. Who asks is told by the kernel
//! (SO_PEERCRED), never by the request. Octets and values only: the sockets are elsewhere.

use super::overview::{PauseLine, SenderLine};
use super::room::Room;
use crate::cli::invocation::{DeliveryMode, ErrorMode};
use crate::exit::Status;
use crate::queue::{Action, Filter, Halt, Past, Pause, Salvaged, Stats};
use serde::{Deserialize, Serialize};

/// The first octets of a connection.
pub const MAGIC: &[u8; 11] = b"POSTRIDER1\n";
/// Octets of a request.
pub const REQUEST: u32 = 4 << 20;
/// Octets of a piece of a message.
pub const PIECE: u32 = 64 << 10;
/// Octets of a reply.
pub const REPLY: u32 = 64 << 20;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Take the message that follows.
    Submit(Box<Submit>),
    /// List messages of the queue.
    List {
        /// Which.
        filter: Filter,
        /// At most so many.
        limit: usize,
    },
    /// Do something to messages of the queue.
    Act {
        /// Which.
        filter: Filter,
        /// What.
        action: Action,
    },
    /// Send messages back to where they came from.
    Bounce {
        /// Which.
        filter: Filter,
    },
    /// Try what is queued now.
    Flush {
        /// Which.
        filter: Filter,
    },
    /// Try these now, whatever keeps their senders back.
    Retry {
        /// Which.
        filter: Filter,
    },
    /// Read the configuration again.
    Reload,
    /// Paused lanes and sizes.
    Status,
    /// Final results since then, newest first.
    History {
        /// Milliseconds since 1970.
        since: i64,
        /// At most so many.
        limit: usize,
    },
    /// Senders, their limits and what they have to do.
    Senders {
        /// This one alone.
        name: Option<String>,
    },
    /// What the limits of a sender leave for a message.
    Room {
        /// The sender.
        name: String,
        /// The message's recipients.
        recipients: usize,
        /// It is bulk mail.
        bulk: bool,
    },
    /// Pause, resume or reset a sender.
    Steer {
        /// Which; for a reset also a shared limit.
        name: String,
        /// How.
        how: Steer,
    },
    /// What became of recipients.
    Stats {
        /// Since when, milliseconds since 1970.
        since: i64,
    },
    /// Bring back what was set aside, or what is left of another queue.
    Salvage {
        /// A directory, a database, or a directory of texts.
        place: std::path::PathBuf,
    },
}

/// What an operator does to a sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Steer {
    /// Nothing of it goes.
    Pause {
        /// Until then, milliseconds since 1970; `None` until it is resumed.
        until: Option<i64>,
        /// Why.
        reason: String,
    },
    /// It goes on, whoever or whatever paused it.
    Resume,
    /// Its limits are counted anew.
    Reset,
}

/// A submission: what the command line said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// Made by the client: 32 hex digits. The same id again is the same message.
    pub id: String,
    /// The program's name for the log: `sendmail` or `msmtp`.
    pub program: String,
    /// `-f`.
    pub from: Option<String>,
    /// `-F`.
    pub full_name: Option<String>,
    /// `--read-envelope-from` of msmtp.
    #[serde(default)]
    pub read_envelope_from: bool,
    /// `-t`.
    pub extract: bool,
    /// `-a`.
    pub account: Option<String>,
    /// `-od`.
    pub delivery: DeliveryMode,
    /// `-oe`.
    pub errors: ErrorMode,
    /// `-N`, `-R`, `-V`.
    pub dsn: crate::envelope::Dsn,
    /// `-L`.
    pub tag: Option<String>,
    /// The operands.
    pub recipients: Vec<String>,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A submission ended so.
    Done(Verdict),
    /// Lines of the queue.
    Messages(Vec<Line>),
    /// How many messages were touched.
    Touched(u64),
    /// Paused lanes and sizes.
    Status {
        /// Queued messages.
        messages: u64,
        /// Lanes that wait for their servers.
        paused: Vec<Pause>,
        /// Lanes that an operator paused.
        #[serde(default)]
        halted: Vec<Halt>,
        /// The daemon's process id.
        pid: u32,
        /// Since when it runs, milliseconds since 1970.
        since: i64,
        /// What was set aside in the queue's directory.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        aside: Vec<String>,
    },
    /// What came back into the queue.
    Salvaged(Salvaged),
    /// Final results.
    History(Vec<Past>),
    /// Senders, in order of their names.
    Senders(Vec<SenderLine>),
    /// What the limits of a sender leave.
    Room(Room),
    /// A sender was steered; one line for people.
    Steered(String),
    /// What became of recipients.
    Stats(Stats),
    /// The request could not be carried out; one line for people.
    Refused(String),
    /// There are too many clients. Nothing was read; ask again a little later.
    Busy(String),
}

/// How a submission ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The exit status (sysexits).
    pub status: u8,
    /// Whether the message is on disk, or delivered: what `status` 0 promises.
    pub kept: bool,
    /// The queue's number, where it was queued.
    pub queued: Option<String>,
    /// What went wrong, one line; the client adds its name.
    pub text: Option<String>,
}

impl Verdict {
    /// Of a submission that was not taken.
    #[must_use]
    pub fn refused(status: Status, what: String) -> Self {
        Self { status: status.code(), kept: false, queued: None, text: Some(what) }
    }
}

/// A message of the queue as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The number.
    pub id: String,
    /// Octets.
    pub size: u64,
    /// When it was accepted, milliseconds since 1970.
    pub created: i64,
    /// Who submitted it.
    pub uid: u32,
    /// The lane.
    pub sender: String,
    /// The envelope sender, `<>` for none.
    pub from: String,
    /// `active`, `hold`, or `deferred`.
    pub state: String,
    /// Why it is on hold.
    pub hold: Option<String>,
    /// How its sender is paused, where it is.
    pub paused: Option<PauseLine>,
    /// The sender that it was accepted for, where another one has taken it over.
    pub moved_from: Option<String>,
    /// What keeps its sender's mail back at the moment.
    #[serde(default)]
    pub waits: Option<Waits>,
    /// It is bulk mail, which single mail of its sender overtakes.
    #[serde(default)]
    pub bulk: bool,
    /// Its recipients.
    pub recipients: Vec<LineRecipient>,
    /// How many more there are than are shown here.
    pub more: u64,
    /// What `[staging]` will do with it, where it holds it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<String>,
}

/// A sending limit that is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// When there is room for the next recipient, milliseconds since 1970.
    pub until: i64,
    /// Which limit it is.
    pub why: String,
}

/// A recipient of a listed message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRecipient {
    /// The address.
    pub address: String,
    /// Attempts made.
    pub attempts: u32,
    /// When the next is due, milliseconds since 1970; `None` where it waits for the next queue run.
    pub due: Option<i64>,
    /// What the last one said.
    pub last: Option<String>,
}
