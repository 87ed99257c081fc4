//! SMTP on the wire: the client session, the server session, and the parsers both use. RFC 5321 and its extensions.
//!
//! It speaks over any `Read + Write`; it opens no connection and no file.

pub mod auth;
pub mod client;
pub mod dialogue;
pub mod ehlo;
pub mod phase;
pub mod reply;
pub mod server;
pub mod xtext;
