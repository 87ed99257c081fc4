//! postrider: a drop-in `sendmail` that gives every From address its own SMTP account.
//!
//! The way of a message, and the module that has each step:
//!
//! ```text
//! argv   -> cli            personality by basename, flag table -> Invocation
//! stdin  -> message        raw bytes -> header fields + body, kept in a sys::spool; the addresses -> envelope
//!           commands       one story each; submit: read, hand over or route and deliver, report
//!           daemon         where it runs: takes messages over its socket or SMTP, and does the rest in its own process
//!           config         TOML, msmtprc or the environment -> Config (senders, default relay)
//!           route          From -> sender, else the default relay; identity guard -> Plan
//!           rules          mail for this machine: which rules take it -> lanes of the queue
//!           queue          kept on disk (the daemon, or the caller's own queue); when and over which lane it goes
//!           limits         may it go now: reserved before MAIL, settled to what the server took
//!           deliver        a Plan's part -> smtp over net, with a password of secret -> Outcome per recipient
//!           report, exit   one log line, one line on stderr, one status
//! ```
//!
//! `postrider-sendmail` is `cli::thin`: it hands a message to the daemon, and becomes `postrider` for everything else.
//!
//! Who may do what: `cli`, `message`, `envelope`, `route` and the parsers of `smtp` work on bytes and values, without
//! IO and without a clock. Files belong to `config::load`, `secret`, `report`, `sys`, the stores (`queue::sqlite`,
//! `limits::counters`) and the boxes (`deliver::maildir`, `deliver::mbox`); the network to `net` and `daemon`; child
//! processes to `sys::spawn`; secrets in clear to `smtp::auth`. `.clippy.toml` holds the tree to that as far as it can.

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
