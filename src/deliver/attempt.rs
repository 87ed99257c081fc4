//! One attempt to deliver: connect, protect, greet, log in, send, take leave; an outcome for every recipient.
//!
//! The story of a delivery, and nothing of the wire. It never judges: every failure goes through `trouble`.

use super::context::Context;
use super::courier::Courier;
use super::open::{Opened, on_any_server};
use super::outcome::Attempt;
use super::trouble::{self, Rules, Trouble};
use crate::config::Relay;
use crate::envelope::Envelope;
use crate::message::Message;
use crate::message::address::Address;
use crate::net::wire::Wire;
use crate::smtp::client::Session;
use crate::sys::clock::Deadline;

/// Delivers a message over an account, in a connection of its own. Blocks no longer than `relay.timeouts.total`.
pub fn attempt(relay: &Relay, envelope: &Envelope, message: &Message, context: &mut Context<'_>) -> Attempt {
    Courier::for_one().attempt(relay, envelope, message, context)
}

/// Goes as far as a delivery would go before MAIL, then takes leave: what `check` and `try` show.
///
/// # Errors
/// What would have stopped a delivery.
pub fn probe(relay: &Relay, context: &mut Context<'_>) -> Result<Opened, Trouble> {
    let mut opened = Opened::none_yet(relay);
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
    let mut opened = Opened::none_yet(relay);
    let total = Deadline::after(relay.timeouts.total);
    let mut run = |mut session: Session<'_, Wire>| {
        let heard = parties.map_or(Ok(()), |(from, to)| session.rehearse(from, to));
        session.quit().close();
        heard.map_err(|failure| trouble::judge(&failure, &Rules::of(relay)))
    };
    let result = on_any_server(relay, context, total, &mut opened, &mut run).and_then(|heard| heard);
    (opened, result)
}
