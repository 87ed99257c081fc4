//! Delivery: one envelope and message over one account, and what became of each recipient.

pub mod attempt;
pub mod courier;
pub mod open;
pub mod outcome;
pub mod trouble;

pub use outcome::{Attempt, Outcome, Verdict};
