//! What the integration tests share: running the program, servers to talk to, certificates, and visible skipping.

// Not every test needs every part.
#![allow(dead_code)]

pub mod certs;
pub mod names;
pub mod namespace;
pub mod original;
pub mod postfix;
pub mod postfix_client;
mod postfix_instance;
pub mod pty;
pub mod run;
pub mod scram;
pub mod script;
pub mod server;
pub mod skip;
