//! What the queue holds, as values.

use crate::envelope::{Dsn, Envelope, RecipientDsn, ReversePath};
use crate::message::Message;
use crate::message::address::Address;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds since 1970 on the wall clock.
pub type Millis = i64;

/// When a message is due that waits for the next queue run (`-odq`): not before a flush makes it due.
pub const NEXT_RUN: Millis = i64::MAX / 2;
/// Whatever is due later than this is due at no time: `NEXT_RUN`, also where the clock was set since.
pub const NEVER: Millis = NEXT_RUN / 2;

/// A queued message's number; shown in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageId(pub i64);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", self.0)
    }
}

impl std::str::FromStr for MessageId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        i64::from_str_radix(text, 16).map(Self)
    }
}

/// A message to be kept.
#[derive(Debug)]
pub struct NewMessage {
    /// The client's own id of the submission: 32 hex digits. The same id again is the same message.
    pub submission: String,
    /// Who submitted it.
    pub uid: u32,
    /// The lane: the name of the sender, `default relay`, or `msmtprc account NAME`, as the plan shows it.
    pub lane: String,
    /// The From header's address, empty where there is none.
    pub header_from: String,
    /// The envelope.
    pub envelope: Envelope,
    /// `-L`.
    pub tag: Option<String>,
    /// The message as it will leave.
    pub message: Message,
    /// When it was accepted.
    pub now: Millis,
    /// When the first attempt is due; `now`, unless it is to wait.
    pub due: Millis,
    /// Why it is on hold, where it is.
    pub hold: Option<String>,
    /// It is a bounce or a warning: it is never bounced itself.
    pub report: bool,
    /// It is bulk mail, which single mail of its lane overtakes (`message::bulk`).
    pub bulk: bool,
    /// Recipients of which nobody knows whether the server has the message already, after an attempt before it was kept.
    pub in_doubt: Vec<Address>,
    /// What the message is counted for in the same commit (the brake's sources), if anything.
    pub counted: Option<Counted>,
}

/// What a submission is counted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The begin of the stretch of time.
    pub slot: Millis,
    /// Where the message came from: each name gets one more.
    pub names: Vec<String>,
}

/// What was submitted from one place in one stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The place.
    pub name: String,
    /// The begin of the time.
    pub slot: Millis,
    /// Messages.
    pub messages: u32,
    /// Those of them that were put on hold.
    pub held: u32,
}

/// What accepting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The number.
    pub id: MessageId,
    /// The same submission had been accepted before; nothing was added.
    pub again: bool,
}

/// A queued message without its text.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Its number.
    pub id: MessageId,
    /// Who submitted it.
    pub uid: u32,
    /// Its lane.
    pub lane: String,
    /// The From header's address.
    pub header_from: String,
    /// The envelope sender.
    pub from: ReversePath,
    /// Delivery status notification options of the message; those of its recipients are with them.
    pub dsn: Dsn,
    /// `-L`.
    pub tag: Option<String>,
    /// Octets of the text.
    pub size: u64,
    /// When it was accepted.
    pub created: Millis,
    /// Why it is on hold, where it is.
    pub hold: Option<String>,
    /// It is a bounce or a warning.
    pub report: bool,
    /// It is bulk mail.
    pub bulk: bool,
    /// The sender was told of the delay.
    pub warned: bool,
    /// An attempt is under way.
    pub claimed: bool,
    /// The lane that it was moved away from, where it was.
    pub moved: Option<Moved>,
    /// Time of its wait that does not make it older.
    pub grace: Grace,
    /// The recipients that are not done, in their order.
    pub recipients: Vec<QueuedRecipient>,
}

/// Where a message was before it was moved to another lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The lane that it was accepted for.
    pub from: String,
    /// Why it was moved, one line.
    pub why: String,
}

/// Time during which a message could not go out for a fault that was neither its own nor its recipients': its lane was
/// paused. It is not reckoned in the message's age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    /// What is over, in milliseconds.
    pub before: Millis,
    /// Since when its lane has been in trouble, where it is.
    pub since: Option<Millis>,
}

impl Grace {
    /// All of it until `now`.
    #[must_use]
    pub fn at(self, now: Millis) -> Millis {
        let running = self.since.map_or(0, |since| now.saturating_sub(since).max(0));
        self.before.saturating_add(running)
    }
}

impl Queued {
    /// The envelope for some of the recipients; `None` for none of them.
    #[must_use]
    pub fn envelope(&self, of: &[&QueuedRecipient]) -> Option<Envelope> {
        let asked = of.iter().filter(|one| !one.dsn.is_empty());
        let recipients = asked.map(|one| (one.address.canonical(), one.dsn.clone())).collect();
        let dsn = Dsn { recipients, ..self.dsn.clone() };
        Envelope::new(self.from.clone(), of.iter().map(|one| one.address.clone()).collect(), dsn)
    }

    /// When its age begins: when it was accepted, or as much later as it had to wait for troubles that were not its own.
    #[must_use]
    pub fn aged_from(&self, now: Millis) -> Millis {
        self.created.saturating_add(self.grace.at(now))
    }
}

/// A recipient that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRecipient {
    /// Its place in the message, from 0.
    pub number: u32,
    /// The address.
    pub address: Address,
    /// What was asked about its notifications.
    pub dsn: RecipientDsn,
    /// Attempts made.
    pub attempts: u32,
    /// When the next is due.
    pub due: Millis,
    /// What the last one said, one line.
    pub last: Option<String>,
    /// After one of them nobody knows whether the server took it (RFC 1047): it must not go over another lane.
    pub unknown: bool,
    /// It failed for good and is not tried again; it stays until somebody can be told.
    pub failed: Option<Failure>,
}

/// A recipient's failure for good, as its report will tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// RFC 3463.
    pub status: String,
    /// What happened, in words for people.
    pub said: String,
    /// The server, and its own words where it said any.
    pub server: Option<(String, Option<String>)>,
    /// Why, in few words for counting.
    pub reason: String,
}

/// Messages that are not to be claimed, as enough of their kind are in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// The lane.
    pub lane: String,
    /// Its single mail.
    pub single: bool,
    /// Its bulk mail.
    pub bulk: bool,
}

impl Busy {
    /// Whether it means a kind of a lane's messages.
    #[must_use]
    pub fn is(&self, lane: &str, bulk: bool) -> bool {
        self.lane == lane && if bulk { self.bulk } else { self.single }
    }
}

impl<S: Into<String>> From<S> for Busy {
    /// All messages of a lane.
    fn from(lane: S) -> Self {
        Self { lane: lane.into(), single: true, bulk: true }
    }
}

/// What became of one recipient in one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the message.
    pub number: u32,
    /// What became of it.
    pub result: Fate,
    /// The server's words or the failure, one line.
    pub said: String,
    /// The account that was used, for the history.
    pub via: String,
    /// Whether the server took it is not known (RFC 1047).
    pub unknown: bool,
    /// Why it was not sent, in few words for counting (`reason::of`); empty where nothing was tried, or it was sent.
    pub reason: String,
}

/// What became of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// The server took it.
    Sent,
    /// It will not be tried again.
    Failed,
    /// It will be tried again then.
    Retry {
        /// When.
        due: Millis,
        /// Whether this counts as an attempt of the message (a fault of ours does not make it age).
        counts: bool,
    },
}

/// What is not in the files of a queue that is brought back.
pub struct Salvage<'s> {
    /// What was accepted earlier may have been forgotten by the queue that it comes into.
    pub since: Millis,
    /// Whose messages they are of which nobody knows.
    pub uid: u32,
    /// The lane of a From.
    pub lane: &'s dyn Fn(Option<&Address>) -> String,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salvaged {
    /// Messages that are in the queue again.
    pub back: u64,
    /// Those of them that are on hold.
    pub held: u64,
    /// Messages that this queue knew already: they are in it, or done with.
    pub known: u64,
    /// Messages and files that cannot be brought back.
    pub lost: u64,
    /// Why, one line each, the first of them.
    pub notes: Vec<String>,
    /// Where the files are now that it was brought back from, where they lay beside the queue.
    pub kept: Vec<String>,
}

/// Which messages an operator means; everything that is set must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// These numbers.
    pub ids: Vec<MessageId>,
    /// Part of the sender: lane, From or envelope sender.
    pub sender: Option<String>,
    /// Of this lane, by its whole name.
    pub lane: Option<String>,
    /// Part of a recipient.
    pub recipient: Option<String>,
    /// Accepted before.
    pub before: Option<Millis>,
    /// On hold (true) or not (false).
    pub held: Option<bool>,
    /// On hold for a reason that begins so.
    #[serde(skip)]
    pub because: Option<String>,
    /// Attempted at least once (true) or never (false).
    #[serde(default)]
    pub tried: Option<bool>,
    /// With a larger number than this: where the last page of a listing ended.
    pub after: Option<MessageId>,
    /// Submitted by this user alone: what anybody but root and the service user may see and touch.
    pub uid: Option<u32>,
    /// What `uid` may touch (true), or what somebody else put on hold (false): the brake, root, the daemon.
    #[serde(default)]
    pub touchable: Option<bool>,
}

/// What an operator does to messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Due at once; where a server may have it already after an attempt that ended in doubt, when that time is over.
    Retry,
    /// Due at once, whatever is in doubt.
    Force,
    /// On hold, for this reason.
    Hold(String),
    /// No longer on hold.
    Release,
    /// Out of the queue without a word.
    Delete,
}

impl Action {
    /// Due again, as somebody says who means these messages: those that he calls by their numbers whatever is in doubt.
    #[must_use]
    pub fn again(of: &Filter) -> Self {
        if of.ids.is_empty() { Self::Retry } else { Self::Force }
    }
}

/// A paused lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The lane.
    pub lane: String,
    /// Until when.
    pub until: Millis,
    /// Why.
    pub reason: String,
    /// How many times in a row it was paused.
    pub times: u32,
    /// Since when it has been in trouble; `None` where that is not reckoned, as messages of its own may be to blame.
    pub since: Option<Millis>,
    /// Nothing is tried before it ends, whatever is read again; an operator alone can end it.
    pub firm: bool,
    /// Since when its server cannot be used at all, where that is the trouble.
    pub down: Option<Millis>,
}

/// What begins the reason of an operator's pause where pauses of both kinds are shown.
const HALTED: &str = "an operator paused it: ";

/// A lane that an operator paused. What its server says or does changes nothing about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// The lane.
    pub lane: String,
    /// Since when.
    pub since: Millis,
    /// Until when; `None` until it is resumed.
    pub until: Option<Millis>,
    /// Why, as the operator says.
    pub reason: String,
    /// The user id of who did it.
    pub uid: u32,
}

impl Halt {
    /// As a pause, for those who are told of one.
    #[must_use]
    pub fn as_pause(&self) -> Pause {
        Pause {
            lane: self.lane.clone(),
            until: self.until.unwrap_or(Millis::MAX),
            reason: format!("{HALTED}{}", self.reason),
            times: 0,
            since: Some(self.since),
            firm: true,
            down: None,
        }
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// How many messages a lane has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Those that wait or are under way.
    pub waiting: u64,
    /// Those on hold.
    pub held: u64,
}

/// A final result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The message's number.
    pub id: MessageId,
    /// When it was accepted.
    pub created: Millis,
    /// When it ended.
    pub ended: Millis,
    /// The lane.
    pub lane: String,
    /// The recipient.
    pub recipient: String,
    /// Sent rather than failed.
    pub sent: bool,
    /// The server's words or the failure.
    pub said: String,
}

/// Why the store did not do it. Nothing was changed.
#[derive(Clone, Debug)]
pub enum StoreError {
    /// No space, too many files, read-only: what the system said.
    Io(String),
    /// Below the configured floor of free space.
    NoSpace(String),
    /// The file is damaged or of another program.
    Damaged(String),
    /// Another process has the queue.
    Taken(String),
    /// A user's search that takes longer than one may; nothing was found by then.
    Search,
    /// There is no such message.
    Gone,
    /// The text of this one message is damaged or lost.
    Text(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what) | Self::NoSpace(what) | Self::Damaged(what) | Self::Taken(what) | Self::Text(what) => {
                f.write_str(what)
            }
            Self::Search => f.write_str("the search takes too long; name numbers, or ask for less"),
            Self::Gone => f.write_str("there is no such message in the queue"),
        }
    }
}

impl std::error::Error for StoreError {}
