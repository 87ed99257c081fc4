//! The configuration: a typed model, and the loaders that make it from postrider.toml, its fragments and an msmtprc.
//!
//! Only `load` and `msmtprc::files` read files. Every value knows the place that it came from, so that an error names
//! file and line.

mod account;
mod brake;
mod build;
mod bulk;
pub mod environment;
pub mod error;
mod flow;
#[cfg(test)]
mod flow_tests;
pub mod keys;
pub mod limits;
pub mod listen;
pub mod load;
#[cfg(test)]
mod load_tests;
pub mod local;
pub mod model;
pub mod msmtp;
pub mod msmtprc;
pub(crate) mod nearest;
pub mod outgoing;
pub mod parse;
pub mod pattern;
pub mod presets;
pub mod programs;
mod queue;
pub mod replies;
mod rules;
pub mod server;
pub mod staging;
mod tls;
mod toml;
pub mod validate;
pub mod via;

pub use brake::{Brake, BrakeExcept};
pub use error::{ConfigError, Place};
pub use flow::{Flow, Pace, Portions};
pub use limits::{AtLimit, LimitsConfig, Members, Reserve, SenderLimits, SharedLimit};
pub use listen::{ListenAddress, ListenAuth, ListenTls, Listener, Purpose, User};
pub use local::{AliasFormat, AliasSource, LocalMail};
pub use model::*;
pub use msmtp::MsmtpOptions;
pub use outgoing::{AddedHeader, Outgoing};
pub use replies::{Replies, ReplyRule};
pub use server::Server;
pub use staging::{Staging, StagingTarget};
pub use via::Via;
