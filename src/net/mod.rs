//! The network: connecting with a deadline, and TLS. The only module that opens sockets to servers.
//!
//! It knows nothing of SMTP. Every wait in it ends at a `sys::clock::Deadline`, inside TLS as well.

pub mod acceptor;
pub mod binding;
pub mod certificate;
pub mod connect;
pub mod deadline;
pub mod dns;
mod race;
pub mod resume;
pub mod socks;
pub mod tls;
pub mod trust;
pub mod wire;
pub(crate) mod words;

pub use wire::Wire;
