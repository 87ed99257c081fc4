//! The configuration: a typed model, and the loaders that make it from postrider.toml, its fragments and an msmtprc.
//!
//! Only `load` reads files. Every value knows the place that it came from, so that an error names file and line.

pub mod error;
pub mod load;
pub mod model;
pub mod msmtprc;
pub mod pattern;
pub mod presets;
pub mod toml;
pub mod validate;

pub use error::{ConfigError, Place};
pub use model::*;
