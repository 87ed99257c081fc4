//! One attempt to deliver: connect, protect, greet, log in, send, take leave; an outcome for every recipient.
//!
//! The story of a delivery, and nothing of the wire. It never judges: every failure goes through `trouble`.

use super::courier::Courier;
use super::gate::Gate;
use super::open::{Opened, on_any_server};
use super::outcome::{Attempt, Outcome, Verdict};
use super::trouble::{self, Rules, Trouble};
use crate::config::{Endpoint, Relay};
use crate::envelope::Envelope;
use crate::message::Message;
use crate::message::address::Address;
use crate::net::wire::Wire;
use crate::secret::{Secret, SecretSource};
use crate::smtp::client::{Answer, Cause, Failure, Session, Taken};
use crate::smtp::dialogue::Transcript;
use crate::smtp::phase::Phase;
use crate::sys::clock::Deadline;
use std::time::Duration;

/// Fetches a secret within a time limit; the error is for people.
pub type FetchSecret<'c> = dyn Fn(&SecretSource, Duration) -> Result<Secret, String> + 'c;

/// What an attempt needs of the world around it.
pub struct Context<'c> {
    /// For EHLO where the relay names none: the host's name.
    pub host: &'c str,
    /// Is told the dialogue, without secrets.
    pub transcript: &'c mut dyn Transcript,
    /// Fetches the password; called only when the server is ready for the login.
    pub secret: &'c FetchSecret<'c>,
    /// Holds back what may not leave.
    pub gate: Gate<'c>,
    /// Is told before each MAIL: from here on the server may have the message.
    pub before_mail: &'c dyn Fn(),
    /// Is told whom the server took where more is to be sent.
    pub taken: &'c Taken<'c>,
}

/// Delivers a message over an account, in a connection of its own. Blocks no longer than `relay.timeouts.total`.
pub fn attempt(relay: &Relay, envelope: &Envelope, message: &Message, context: &mut Context<'_>) -> Attempt {
    Courier::for_one().attempt(relay, envelope, message, context)
}

/// One connection after the other, as long as the server says that the rest of the recipients wants another one.
/// `rules` say what refusals mean; `carry` takes a part of the envelope to the server.
pub(super) fn to_everybody(
    envelope: &Envelope,
    rules: &Rules<'_>,
    carry: &mut dyn FnMut(&Envelope) -> Result<Vec<Answer>, Trouble>,
) -> Vec<Outcome> {
    let mut verdicts: Vec<Option<Verdict>> = vec![None; envelope.recipients().len()];
    let mut open: Vec<usize> = (0..verdicts.len()).collect();
    loop {
        let recipients: Vec<Address> = open.iter().map(|&index| envelope.recipients()[index].clone()).collect();
        let Some(part) = Envelope::new(envelope.from.clone(), recipients, envelope.dsn.clone()) else { break };
        let mut next = Vec::new();
        match carry(&part) {
            Err(trouble) => open.iter().for_each(|&index| verdicts[index] = Some(Verdict::Failed(trouble.clone()))),
            Ok(answers) => {
                for (&index, answer) in open.iter().zip(answers) {
                    if wants_another_session(&answer) {
                        next.push(index);
                    }
                    verdicts[index] = Some(match answer {
                        Ok(reply) => Verdict::Sent(reply),
                        Err(failure) => Verdict::Failed(trouble::judge(&failure, rules)),
                    });
                }
            }
        }
        // Each connection must bring the matter forward, or there is no end.
        if next.is_empty() || next.len() == open.len() {
            break;
        }
        open = next;
    }
    let unknown = || Verdict::Failed(trouble::judge(&Failure::new(Phase::Rcpt, Cause::NextSession), rules));
    let all = envelope.recipients().iter().cloned().zip(verdicts);
    all.map(|(recipient, verdict)| Outcome { recipient, verdict: verdict.unwrap_or_else(unknown) }).collect()
}

fn wants_another_session(answer: &Answer) -> bool {
    matches!(answer, Err(Failure { cause: Cause::NextSession, .. }))
}

/// Goes as far as a delivery would go before MAIL, then takes leave: what `check` and `try` show.
///
/// # Errors
/// What would have stopped a delivery.
pub fn probe(relay: &Relay, context: &mut Context<'_>) -> Result<Opened, Trouble> {
    let mut opened = Opened { server: server(&relay.endpoint), tls: "none", ..Opened::default() };
    let total = Deadline::after(relay.timeouts.total);
    on_any_server(relay, context, total, &mut opened, &mut |session| session.quit().close())?;
    Ok(opened)
}

/// Goes as far as a delivery would go before the message: MAIL and RCPT with these addresses (sender, recipient) where they
/// are given, then RSET and QUIT. What was learned comes with the result, whatever that is.
pub fn rehearse(
    relay: &Relay,
    parties: Option<(&Address, &Address)>,
    context: &mut Context<'_>,
) -> (Opened, Result<(), Trouble>) {
    let mut opened = Opened { server: server(&relay.endpoint), tls: "none", ..Opened::default() };
    let total = Deadline::after(relay.timeouts.total);
    let mut run = |mut session: Session<'_, Wire>| {
        let heard = parties.map_or(Ok(()), |(from, to)| session.rehearse(from, to));
        session.quit().close();
        heard.map_err(|failure| trouble::judge(&failure, &Rules::of(relay)))
    };
    let result = on_any_server(relay, context, total, &mut opened, &mut run).and_then(|heard| heard);
    (opened, result)
}

/// The server as people know it: `host:port` or the socket's path.
#[must_use]
pub fn server(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(host, port) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        Endpoint::Tcp(host, port) => format!("{host}:{port}"),
        Endpoint::Unix(path) => path.display().to_string(),
    }
}
