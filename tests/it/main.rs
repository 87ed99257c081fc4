//! The integration target: every test drives the real binary.

#![allow(clippy::disallowed_methods, reason = "tests may do what the program may not")]

#[path = "../support/mod.rs"]
mod support;

mod authors;
mod bs;
mod check;
mod clients;
mod crash;
mod daemon;
mod faults;
mod flags;
mod habits;
mod harness;
mod import;
mod limits;
mod listener;
mod local;
mod logs;
mod msmtp;
mod nasty;
mod operator;
mod outgoing;
mod ownership;
mod package;
mod postfix;
mod queue;
mod real;
mod rules;
mod senders;
mod setup;
mod sorting;
mod staging;
mod test;
mod told;
