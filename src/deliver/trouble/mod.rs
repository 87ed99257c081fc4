//! ALL failure policy in one place: what an SMTP, TLS or network failure means, for whom, and for how long.
//!
//! ```text
//! reply      what a 4xx or 5xx means, by rule, else by phase and code
//! rules      which of the rules for replies fits: the account's, `[[reply]]`, the provider's, those for all servers
//! providers  the rules that come with the program
//! ```
//!
//! Everything else in the tree carries failures here unjudged.

mod providers;
mod reply;
mod rules;

pub use rules::Rules;

use crate::message::address::Address;
use crate::net::connect::ConnectError;
use crate::net::tls::{Check, TlsError};
use crate::smtp::client::{Cause, Failure};
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use Permanence::{Permanent, Temporary, Unknown};
use std::time::Duration;

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The account or server as a whole: other messages would meet it too.
    Site,
    /// This message, for all of its recipients.
    Message,
    /// This recipient.
    Recipient,
}

/// Whether trying again later can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permanence {
    /// Later may be different.
    Temporary,
    /// It will not get better by itself.
    Permanent,
    /// The message went out, but its reply did not come: it may have been delivered (RFC 1047). Never resend at once.
    Unknown,
}

/// What kind of failure it is; `exit` maps it to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server's name does not exist.
    UnknownHost,
    /// No connection, a lost connection, or a time limit.
    Network,
    /// The certificate or the handshake was no good.
    Tls,
    /// What came back is no SMTP, or breaks it.
    Protocol,
    /// The login was refused.
    Auth,
    /// The password could not be had (file, command ...).
    Secret,
    /// The configuration demands what the server does not offer, or contradicts itself.
    Config,
    /// The server refused the sender or the message.
    Refused,
    /// The server refused this recipient.
    RecipientRefused,
    /// The message cannot be sent as it is (8-bit, UTF-8 address, line length, size).
    Message,
    /// Reading the stored message failed.
    Io,
    /// What was sent cannot be counted, so that a limit might be broken.
    Counters,
}

/// A judged failure.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// How far it reaches.
    pub scope: Scope,
    /// Whether later may be different.
    pub permanence: Permanence,
    /// What kind it is.
    pub kind: Kind,
    /// Where it happened.
    pub phase: Phase,
    /// The server's reply, where there was one.
    pub reply: Option<Reply>,
    /// What happened, in plain words, one line, without the server's name and without the reply.
    pub what: String,
    /// What the reader can do about it, where that is known.
    pub advice: Option<String>,
    /// How long the account waits, where the failure is the account's.
    pub wait: Wait,
}

/// How long an account waits after a failure that other messages would meet too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// A delay that grows from a minute to an hour.
    #[default]
    Growing,
    /// A rule said so: a growing delay, at most this one.
    UpTo(Duration),
    /// The provider's window is used up, and frees nobody knows when: a growing delay from five minutes to an hour.
    Window,
    /// So long, and nothing is tried before.
    Firm(Duration),
}

/// The longest pause of an account whose counters cannot be used.
const COUNTERS: Duration = Duration::from_secs(300);

/// The most of a reply that goes into one line, characters.
const REPLY_SHOWN: usize = 500;

impl Trouble {
    /// The one line for people: `server mx.test:587, RCPT TO, recipient a@b.test: refused: 550 5.1.1 no such user; advice`.
    #[must_use]
    pub fn line(&self, server: &str, recipient: Option<&Address>) -> String {
        let mut line = match self.phase {
            // What a rule does has no server: its own words are there.
            Phase::Local => server.to_owned(),
            phase => format!("server {server}, {phase}"),
        };
        if let Some(recipient) = recipient {
            line.push_str(&format!(", recipient {recipient}"));
        }
        line.push_str(&format!(": {}", self.what));
        if let Some(reply) = &self.reply {
            line.push_str(": ");
            line.extend(reply.to_string().chars().take(REPLY_SHOWN));
        }
        if let Some(advice) = &self.advice {
            line.push_str(&format!("; {advice}"));
        }
        line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }

    fn new(scope: Scope, permanence: Permanence, kind: Kind, phase: Phase, what: impl Into<String>) -> Self {
        Self { scope, permanence, kind, phase, reply: None, what: what.into(), advice: None, wait: Wait::default() }
    }

    /// Whether the server could not be used at all: no connection, no service for this host, no login. A rule that has the
    /// account wait is another matter, as a login that is refused for too many tries will be again.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let asked =
            matches!(self.phase, Phase::Mail | Phase::Rcpt | Phase::Data | Phase::Body | Phase::End | Phase::Quit);
        self.scope == Scope::Site && !asked && self.wait == Wait::Growing
    }

    /// Advice where there is none yet.
    fn or_advise(self, advice: &str) -> Self {
        if self.advice.is_some() { self } else { self.advise(advice) }
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// What a failed session means, by the rules of its account.
#[must_use]
pub fn judge(failure: &Failure, rules: &Rules<'_>) -> Trouble {
    let phase = failure.phase;
    if failure.in_doubt {
        return judge_doubt(failure);
    }
    match &failure.cause {
        Cause::Refused(reply) => reply::judge(phase, reply, rules),
        Cause::RefusedBecause(reply, why) => {
            let trouble = reply::judge(phase, reply, rules);
            Trouble { what: format!("{} ({why})", trouble.what), ..trouble }
        }
        Cause::TimedOut => {
            let trouble = Trouble::new(Scope::Site, Temporary, Kind::Network, phase, late(phase));
            match phase {
                Phase::Greeting => trouble.advise("a server on port 465 waits for TLS at once"),
                _ => trouble,
            }
        }
        Cause::Closed => Trouble::new(Scope::Site, Temporary, Kind::Network, phase, "the server closed the connection"),
        Cause::Lost(why) => {
            Trouble::new(Scope::Site, Temporary, Kind::Network, phase, format!("the connection was lost: {why}"))
        }
        Cause::Protocol(what) => Trouble::new(Scope::Site, Temporary, Kind::Protocol, phase, what.as_str()),
        Cause::Config(what) => Trouble::new(Scope::Site, Permanent, Kind::Config, phase, what.as_str())
            .advise("compare the account's settings with what the provider says, or ask the provider"),
        Cause::Secret(why) => Trouble::new(Scope::Site, Permanent, Kind::Secret, phase, why.as_str()),
        Cause::Unsendable(what) => Trouble::new(Scope::Message, Permanent, Kind::Message, phase, what.as_str()),
        Cause::NextSession => {
            let what = "the server takes no more messages in one connection";
            Trouble::new(Scope::Message, Temporary, Kind::Refused, phase, what)
        }
        Cause::Unrecorded => {
            let what = "the queue could not write down who has it already; the others are tried later";
            Trouble::new(Scope::Message, Temporary, Kind::Io, phase, what)
        }
        Cause::Source(why) => {
            let what = format!("the message could not be read to its end: {why}; nothing was delivered");
            Trouble::new(Scope::Message, Temporary, Kind::Io, phase, what)
        }
    }
}

/// The final dot may have gone out, and no reply came (RFC 1047).
fn judge_doubt(failure: &Failure) -> Trouble {
    let (kind, why) = match &failure.cause {
        Cause::TimedOut => (Kind::Network, "no answer came in time".to_owned()),
        Cause::Closed => (Kind::Network, "the server closed the connection".to_owned()),
        Cause::Lost(why) => (Kind::Network, why.clone()),
        Cause::Protocol(why) => (Kind::Protocol, why.clone()),
        _ => (Kind::Network, "no answer came".to_owned()),
    };
    let what = format!("the message went out, but whether the server took it is not known: {why}");
    Trouble::new(Scope::Message, Unknown, kind, failure.phase, what)
        .advise("it may have been delivered; sent again, it may arrive twice")
}

fn late(phase: Phase) -> &'static str {
    match phase {
        Phase::Body => "the server stopped taking the message",
        Phase::Greeting => "the server did not greet in time",
        _ => "the server did not answer in time",
    }
}

/// A recipient for whom a sending limit leaves no room now; nothing was tried.
#[must_use]
pub fn at_limit(what: &str) -> Trouble {
    Trouble::new(Scope::Site, Temporary, Kind::Refused, Phase::Mail, what)
}

/// A recipient that nothing was sent to, as the account's sending limits cannot be counted. A fault of this machine that is
/// looked at again soon: nobody but its operator can mend it, and mail does not wait for that for ever.
#[must_use]
pub fn judge_counters(what: &str) -> Trouble {
    let trouble = Trouble::new(Scope::Site, Temporary, Kind::Counters, Phase::Local, what);
    Trouble { wait: Wait::UpTo(COUNTERS), ..trouble }
}

/// Whether another server of the same account may do better: the connection, TLS, or a greeting that sends everybody away
/// for now. What the server says later it says of the account or the message.
#[must_use]
pub fn another_server_may_help(trouble: &Trouble) -> bool {
    let early =
        matches!(trouble.phase, Phase::Resolve | Phase::Connect | Phase::Tls | Phase::StartTls | Phase::Greeting);
    let refused = trouble.reply.as_ref().is_some_and(|reply| !reply.is_transient());
    trouble.scope == Scope::Site && early && !refused && trouble.kind != Kind::Config
}

/// Whether the server may have lost the thread because commands came together (RFC 2920), so that one at a time may go
/// better: after its yes to MAIL a later command has no answer or one that says it came out of turn, or it says so itself.
#[must_use]
pub fn may_be_lost_in_pipeline(failure: &Failure) -> bool {
    let later = matches!(failure.phase, Phase::Rcpt | Phase::Data);
    match &failure.cause {
        Cause::TimedOut | Cause::Closed | Cause::Lost(_) | Cause::Protocol(_) => later,
        Cause::Refused(reply) => reply::wants_lockstep(reply, failure.phase),
        _ => false,
    }
}

/// What a failed connect means: always the whole server.
#[must_use]
pub fn judge_connect(error: &ConnectError) -> Trouble {
    let (permanence, kind, phase) = match error {
        ConnectError::UnknownHost(_) => (Permanent, Kind::UnknownHost, Phase::Resolve),
        ConnectError::Lookup(..) | ConnectError::LookupLate(_) => (Temporary, Kind::Network, Phase::Resolve),
        ConnectError::Failed(_) | ConnectError::Proxy(_) => (Temporary, Kind::Network, Phase::Connect),
    };
    let trouble = Trouble::new(Scope::Site, permanence, kind, phase, error.to_string());
    match error {
        ConnectError::UnknownHost(_) => trouble.advise("check how the server's name is written"),
        ConnectError::Lookup(..) | ConnectError::LookupLate(_) => trouble.advise("check this host's DNS"),
        _ => trouble,
    }
}

/// What a failed handshake means: always the whole server.
#[must_use]
pub fn judge_tls(error: &TlsError) -> Trouble {
    let (permanence, kind) = match error {
        TlsError::Setup(_) => (Permanent, Kind::Config),
        TlsError::Certificate(Check::Expired | Check::NotYet, _) => (Temporary, Kind::Tls),
        TlsError::Certificate(..) => (Permanent, Kind::Tls),
        TlsError::Handshake(_) => (Temporary, Kind::Tls),
        TlsError::TimedOut | TlsError::Lost(_) => (Temporary, Kind::Network),
    };
    let trouble = Trouble::new(Scope::Site, permanence, kind, Phase::Tls, error.to_string());
    match error {
        TlsError::Certificate(Check::SelfSigned | Check::Issuer, _) => {
            trouble.advise("if this is the right server, give its authority as a trust file, or pin its fingerprint")
        }
        TlsError::Certificate(Check::Name, _) => {
            trouble.advise("use one of these names as the server, if it is one of yours")
        }
        TlsError::Certificate(Check::Expired, _) => {
            trouble.advise("the server's operator has to renew it; check this host's clock too")
        }
        TlsError::Certificate(Check::NotYet, _) => trouble.advise("check this host's clock"),
        TlsError::Certificate(Check::Fingerprint, _) => trouble
            .advise("the server's certificate was renewed, or this is another server: find out before changing it"),
        TlsError::Handshake(_) => trouble.advise("TLS at once is mostly port 465, STARTTLS mostly port 587"),
        _ => trouble,
    }
}

/// What it means that a rule could not deliver here: a program's or a directory's fault may be mended, and its message is
/// then delivered. With `status` (RFC 3463) it is over.
#[must_use]
pub fn judge_local(what: String, status: Option<((u8, u16, u16), String)>) -> Trouble {
    let Some((enhanced, text)) = status else {
        return Trouble::new(Scope::Recipient, Temporary, Kind::Io, Phase::Local, what);
    };
    let (class, subject, detail) = enhanced;
    let lines = vec![format!("{class}.{subject}.{detail} {text}")];
    let reply = Some(Reply { code: 550, enhanced: Some(enhanced), lines });
    Trouble { reply, ..Trouble::new(Scope::Recipient, Permanent, Kind::RecipientRefused, Phase::Local, what) }
}

/// What it means that staging cannot keep a message: nothing left, and nothing is lost.
#[must_use]
pub fn judge_capture(error: &std::io::Error) -> Trouble {
    let what = format!("staging: the message cannot be kept: {error}; nothing was sent");
    Trouble::new(Scope::Message, Temporary, Kind::Io, Phase::Data, what)
        .advise("mend the directory of [staging] capture, or take [staging] out")
}

#[cfg(test)]
mod tests;
