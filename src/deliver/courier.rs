//! Carries messages over one account, and keeps the connection warm between them.
//!
//! A courier belongs to one account for as long as its connection is open: whoever has it closes it before it serves
//! another. A kept connection that died is replaced and the message sent again only where the server cannot have taken it:
//! before the final dot (RFC 5321 section 4.5.4.1, RFC 1047).

use super::context::Context;
use super::everybody::to_everybody;
use super::lockstep;
use super::open::{Opened, on_any_server};
use super::outcome::Attempt;
use super::trouble::{Rules, Trouble};
use crate::config::Relay;
use crate::envelope::Envelope;
use crate::message::Message;
use crate::net::wire::Wire;
use crate::smtp::client::{Answer, Cause, Failure, Limits, Parked, Session, Splits, Taken};
use crate::smtp::dialogue::{Event, Silent};
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use crate::sys::clock::{self, Deadline};
use std::time::Duration;

/// How long taking leave may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Carries messages to the servers of one account.
#[derive(Debug, Default)]
pub struct Courier {
    keep: bool,
    kept: Option<Kept>,
}

/// A connection between two messages.
#[derive(Debug)]
struct Kept {
    session: Parked<Wire>,
    opened: Opened,
    messages: u32,
}

impl Courier {
    /// For one message: the connection ends with it, in the fewest round trips.
    #[must_use]
    pub fn for_one() -> Self {
        Self::default()
    }

    /// For many messages: the connection stays open after each.
    #[must_use]
    pub fn for_many() -> Self {
        Self { keep: true, kept: None }
    }

    /// Whether a connection is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.kept.is_some()
    }

    /// Takes leave of the server, where a connection is open.
    pub fn close(&mut self) {
        if let Some(kept) = self.kept.take().filter(|kept| kept.session.wire().is_quiet()) {
            let limits = Limits { timeouts: crate::config::Timeouts::default(), total: Deadline::after(FAREWELL) };
            kept.session.resume(limits, &mut Silent).quit().close();
        }
    }

    /// Delivers a message over an account, as far as the gate lets it. Blocks no longer than `relay.timeouts.total` (with
    /// recipients of both kinds, twice that).
    pub fn attempt(
        &mut self,
        relay: &Relay,
        envelope: &Envelope,
        message: &Message,
        context: &mut Context<'_>,
    ) -> Attempt {
        let gate = context.gate.clone();
        match gate.staged(envelope) {
            None => self.send(relay, envelope, message, context),
            Some(staged) => staged
                .attempt(context.host, message, &mut |envelope, message| self.send(relay, envelope, message, context)),
        }
    }

    /// To the server. Only `attempt` may come here.
    fn send(&mut self, relay: &Relay, envelope: &Envelope, message: &Message, context: &mut Context<'_>) -> Attempt {
        let started = clock::instant();
        let mut opened = Opened::none_yet(relay);
        let total = Deadline::after(relay.timeouts.total);
        let rules = Rules::of(relay);
        let outcomes = to_everybody(envelope, &rules, &mut |part| {
            let answers = match self.over_kept(relay, part, message, context, total, &mut opened) {
                Some(answers) => answers,
                None => self.over_new(relay, part, message, context, total, &mut opened)?,
            };
            if !opened.pipelined {
                return Ok(answers);
            }
            let server = opened.server.clone();
            Ok(lockstep::again(&server, part, answers, context.taken, &mut |rest| {
                self.close();
                let note = "commands that went out together were lost: once more, one at a time";
                context.transcript.event(&Event::Note(note));
                self.over_new(relay, rest, message, context, total, &mut opened)
            }))
        });
        Attempt {
            outcomes,
            server: opened.server,
            tls: opened.tls,
            login: opened.login,
            size: message.wire_size(),
            elapsed: clock::instant().saturating_duration_since(started),
            staged: 0,
        }
    }

    /// Over the kept connection. `None` where there is none that lives, or it died before the server could have taken
    /// anything.
    fn over_kept(
        &mut self,
        relay: &Relay,
        part: &Envelope,
        message: &Message,
        context: &mut Context<'_>,
        total: Deadline,
        opened: &mut Opened,
    ) -> Option<Vec<Answer>> {
        if self.kept.as_ref().is_some_and(|kept| kept.session.is_spent()) {
            // Only now: the result of the last message is recorded, which no farewell may delay.
            self.close();
        }
        let Kept { session, opened: known, messages } = self.kept.take()?;
        if !session.wire().is_quiet() {
            context.transcript.event(&Event::Note("the open connection was closed by the server; a new one is made"));
            return None;
        }
        context.transcript.event(&Event::Note(&format!("message {} over the open connection", messages + 1)));
        *opened = known;
        let session = session.resume(Limits::new(&relay.timeouts, total), &mut *context.transcript);
        (context.before_mail)();
        let (answers, session) = send(session, part, message, &Rules::of(relay), (true, context.taken));
        if answers.iter().all(died_early) {
            context.transcript.event(&Event::Note("the open connection was lost; a new one is made"));
            return None;
        }
        self.kept = session.map(|session| Kept { session, opened: opened.clone(), messages: messages + 1 });
        Some(answers)
    }

    /// Over a new connection.
    fn over_new(
        &mut self,
        relay: &Relay,
        part: &Envelope,
        message: &Message,
        context: &mut Context<'_>,
        total: Deadline,
        opened: &mut Opened,
    ) -> Result<Vec<Answer>, Trouble> {
        let (way, before_mail) = ((self.keep, context.taken), context.before_mail);
        let (answers, session) = on_any_server(relay, context, total, opened, &mut |session| {
            before_mail();
            send(session, part, message, &Rules::of(relay), way)
        })?;
        self.kept = session.map(|session| Kept { session, opened: opened.clone(), messages: 1 });
        Ok(answers)
    }
}

/// Sends a message, then lays the session aside or takes leave. Of one that may be kept leave is taken later, when the
/// result is recorded.
fn send(
    mut session: Session<'_, Wire>,
    part: &Envelope,
    message: &Message,
    rules: &Rules<'_>,
    (keep, taken): (bool, &Taken<'_>),
) -> (Vec<Answer>, Option<Parked<Wire>>) {
    if keep {
        session.keep_open();
    }
    let wanted = |phase, reply: &Reply| rules.splits(phase, reply);
    let answers = session.send_split(part, message, Splits { wanted: &wanted, late: rules.splits_late() }, taken);
    if !keep {
        session.quit().close();
        return (answers, None);
    }
    // A server that says good-bye closes at once.
    let over = answers.iter().any(|answer| answer.as_ref().is_err_and(Failure::is_goodbye));
    match session.park() {
        Ok(parked) if over => {
            parked.into_wire().close();
            (answers, None)
        }
        Ok(parked) => (answers, Some(parked)),
        Err(wire) => {
            wire.close();
            (answers, None)
        }
    }
}

/// Whether the connection ended before the server can have taken the message.
fn died_early(answer: &Answer) -> bool {
    let Err(failure) = answer else { return false };
    let lost = matches!(failure.cause, Cause::Closed | Cause::Lost(_) | Cause::NextSession) || failure.is_goodbye();
    lost && !failure.in_doubt && failure.phase != Phase::End
}
