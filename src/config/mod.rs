//! The configuration: a typed model, and the loaders that make it from postrider.toml, its fragments and an msmtprc.
//!
//! Only `load` and `msmtprc::files` read files. Every value knows the place that it came from, so that an error names
//! file and line.

mod account;
mod build;
pub mod environment;
pub mod error;
pub mod keys;
pub mod load;
#[cfg(test)]
mod load_tests;
pub mod model;
pub mod msmtprc;
pub mod parse;
pub mod pattern;
pub mod presets;
mod queue;
pub mod server;
mod tls;
mod toml;
pub mod validate;

pub use error::{ConfigError, Place};
pub use model::*;
pub use server::Server;
