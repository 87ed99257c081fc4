//! What an attempt needs of the world around it.

use super::gate::Gate;
use crate::secret::{Secret, SecretSource};
use crate::smtp::client::Taken;
use crate::smtp::dialogue::Transcript;
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
