//! The network: connecting with a deadline, and TLS. The only module that opens sockets to servers.

pub mod connect;
pub mod deadline;
pub mod tls;
