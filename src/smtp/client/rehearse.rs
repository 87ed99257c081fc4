//! A transaction that is not meant: MAIL and RCPT as for a message, then RSET (RFC 5321 section 4.1.1.5). What `test` asks.

use super::adapt::Path;
use super::{Failure, Session};
use crate::message::address::Address;
use crate::net::deadline::Timed;
use crate::smtp::phase::Phase;

impl<W: Timed> Session<'_, W> {
    /// Whether the server would take a message from this sender to this recipient.
    ///
    /// # Errors
    /// It refuses one of them, or the connection is lost.
    pub fn rehearse(&mut self, from: &Address, to: &Address) -> Result<(), Failure> {
        let utf8 = self.capabilities.utf8;
        let from = Path::of(from, utf8).map_err(|failure| Failure { phase: Phase::Mail, ..failure })?;
        let to = Path::of(to, utf8)?;
        let parameter = if from.as_str().is_ascii() && to.as_str().is_ascii() { "" } else { " SMTPUTF8" };
        self.in_transaction = true;
        self.step(Phase::Mail, &format!("MAIL FROM:<{}>{parameter}", from.as_str()))?;
        self.step(Phase::Rcpt, &format!("RCPT TO:<{}>", to.as_str()))?;
        self.step(Phase::Mail, "RSET")?;
        self.in_transaction = false;
        Ok(())
    }

    fn step(&mut self, phase: Phase, line: &str) -> Result<(), Failure> {
        let reply = self.command(phase, line)?;
        if reply.is_positive() { Ok(()) } else { Err(Failure::refused(phase, reply)) }
    }
}
