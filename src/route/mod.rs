//! The route of a message: From -> sender, else the default relay; the identity guard; the finished plan.
//!
//! Pure: no IO, no clock; the time and the random token come in with the request.

pub mod aliases;
pub mod authors;
pub mod choose;
pub mod guard;
pub mod local;
mod msmtprc;
mod outgoing;
pub mod plan;
mod recipients;
pub mod substitute;

pub use choose::{Choice, Rule};
pub use plan::{Plan, Request, plan};

use crate::exit::Status;

/// Why a message has no route. The text is one line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// How the command ends.
    pub status: Status,
    /// What is wrong and what to do.
    pub what: String,
}

impl RouteError {
    pub(crate) fn new(status: Status, what: impl Into<String>) -> Self {
        Self { status, what: what.into() }
    }
}

impl std::fmt::Display for RouteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for RouteError {}
