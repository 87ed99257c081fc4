//! postrider: a drop-in `sendmail` that gives every From address its own SMTP account.
//!
//! The way of a message, and the module that has each step:
//!
//! ```text
//! argv   -> cli            personality by basename, flag table -> Invocation
//! stdin  -> message        raw bytes -> header fields + body, kept in a sys::spool
//!           commands::submit   one story: read, complete, route, deliver, report
//!           config         TOML or msmtprc -> Config (senders, default relay)
//!           route          From -> sender, else the default relay; identity guard -> Plan
//!           limits         may it go now: reserved before MAIL, settled to what the server took
//!           rules          mail for this machine: which rules take it -> lanes of the queue
//!           deliver        a Plan's part -> smtp over net -> Outcome per recipient
//!           report, exit   one log line, one line on stderr, one status
//! ```
//!
//! Who may do what: `cli`, `message`, `envelope`, `route` and the parsers of `smtp` work on bytes and values, without
//! IO and without a clock. Files belong to `config::load`, `secret`, `report` and `sys`; the network to `net`; child
//! processes to `sys::spawn`; secrets in clear to `smtp::auth`. `.clippy.toml` holds the rest of the tree to that.

pub mod cli;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod deliver;
pub mod envelope;
pub mod exit;
pub mod limits;
pub mod message;
pub mod net;
pub mod queue;
pub mod report;
pub mod route;
pub mod rules;
pub mod secret;
pub mod smtp;
pub mod sys;

pub use cli::run;
