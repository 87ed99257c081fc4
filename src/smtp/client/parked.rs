//! A session between two messages: logged in, nothing under way, tied to no transcript and no time limit.
//!
//! Whether the server is still there, the connection itself must tell (`Wire::is_quiet`): nothing is said here.

use super::{Limits, Session};
use crate::config::Protocol;
use crate::net::deadline::Timed;
use crate::smtp::auth::hidden::Hidden;
use crate::smtp::dialogue::Transcript;
use crate::smtp::ehlo::Capabilities;

/// A session that waits for its next message.
#[derive(Debug)]
pub struct Parked<W> {
    wire: W,
    protocol: Protocol,
    capabilities: Capabilities,
    mails: u32,
    in_transaction: bool,
    hidden: Hidden,
}

impl<'t, W: Timed> Session<'t, W> {
    /// Another message may follow, so QUIT does not go out with the next one.
    pub fn keep_open(&mut self) {
        self.keep_open = true;
    }

    /// Lays the session aside for its next message.
    ///
    /// # Errors
    /// It can take none (the connection is lost, has ended, or the two sides are out of step): the connection, to be
    /// closed. There is no farewell, as the result of the last message is not recorded yet.
    pub fn park(self) -> Result<Parked<W>, W> {
        let idle = self.input.is_empty() && self.output.is_empty() && !self.parser.is_midway();
        if self.broken || self.quit_sent || !idle {
            return Err(self.wire);
        }
        let Self { wire, protocol, capabilities, mails, in_transaction, hidden, .. } = self;
        Ok(Parked { wire, protocol, capabilities, mails, in_transaction, hidden })
    }
}

impl<W: Timed> Parked<W> {
    /// The connection.
    #[must_use]
    pub fn wire(&self) -> &W {
        &self.wire
    }

    /// The connection, to be closed without a farewell.
    #[must_use]
    pub fn into_wire(self) -> W {
        self.wire
    }

    /// Whether it takes no further transaction.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.capabilities.limits.mails.is_some_and(|most| self.mails >= most)
    }

    /// Takes the session up again.
    pub fn resume(self, limits: Limits, transcript: &mut dyn Transcript) -> Session<'_, W> {
        let Self { wire, protocol, capabilities, mails, in_transaction, hidden } = self;
        let fresh = Session::new(wire, protocol, limits, transcript);
        Session { capabilities, mails, in_transaction, hidden, ..fresh }
    }
}
