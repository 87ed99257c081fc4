//! Delivery: one envelope and message over one account, and what became of each recipient. Every way out leads through the
//! gate (`[staging]`).

pub mod as_user;
pub mod attempt;
pub mod context;
pub mod courier;
mod everybody;
pub mod gate;
pub mod lockstep;
pub mod maildir;
pub mod mbox;
pub mod open;
pub mod outcome;
pub mod pipe;
pub mod sorted;
pub mod status;
pub mod trouble;

pub use outcome::{Attempt, Outcome, Verdict};
