//! A message as bytes: header block, body, and what is changed in them before they leave.
//!
//! No IO but reading the given input, no clock, no configuration. RFC 5322, RFC 2045 to 2047, RFC 6532.

pub mod address;
pub mod body;
pub mod header;
pub mod read;
pub mod recipients;
pub mod rewrite;
