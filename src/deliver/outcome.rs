//! What became of a message, recipient by recipient. Values only.

use super::trouble::Trouble;
use crate::message::address::Address;
use crate::smtp::reply::Reply;
use std::time::Duration;

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The recipient.
    pub recipient: Address,
    /// The verdict.
    pub verdict: Verdict,
}

/// Sent, or why not.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The server took it; its reply after the message.
    Sent(Reply),
    /// It did not go, and why.
    Failed(Trouble),
}

/// One attempt to deliver: an outcome for every recipient of the envelope, in its order.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The outcomes, one a recipient.
    pub outcomes: Vec<Outcome>,
    /// Server as configured (`smtp.example.com:587`).
    pub server: String,
    /// How the connection was protected when the message went (or failed): `TLS`, `STARTTLS`, `none`.
    pub tls: &'static str,
    /// Mechanism and login that the server accepted.
    pub login: Option<(String, String)>,
    /// Octets of the message as sent, before dot stuffing.
    pub size: u64,
    /// From the start of the lookup to the last reply.
    pub elapsed: Duration,
    /// How many of those that count as sent no server was given: staging kept them back.
    pub staged: usize,
}

impl Attempt {
    /// The recipients that did not get it, and why.
    pub fn troubles(&self) -> impl Iterator<Item = (&Address, &Trouble)> {
        self.outcomes.iter().filter_map(|outcome| match &outcome.verdict {
            Verdict::Failed(trouble) => Some((&outcome.recipient, trouble)),
            Verdict::Sent(_) => None,
        })
    }

    /// Whether the server took the message for every recipient.
    #[must_use]
    pub fn all_sent(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome.verdict, Verdict::Sent(_)))
    }
}
