//! The dialogue with a server as it is shown to people, redacted by construction.
//!
//! The session tells its events here. Credentials never reach an event: the session itself writes `[hidden]` in their
//! place, and of a message only the size is told. Where the events go is the business of `report`.

/// Something that happened on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'e> {
    /// The connection stands.
    Connected {
        /// The server as configured.
        server: &'e str,
        /// The address that answered.
        address: &'e str,
    },
    /// TLS stands, and the certificate was checked as configured.
    Tls {
        /// The name that was asked for.
        name: &'e str,
        /// The certificate in words: names, issuer, last day.
        certificate: &'e str,
    },
    /// A line from the client, without line end.
    Client(&'e str),
    /// A line from the server, without line end, cleaned.
    Server(&'e str),
    /// The message went out: octets before dot stuffing.
    Message(u64),
    /// Something to know that neither side said.
    Note(&'e str),
}

/// Takes the events of a connection, in their order.
pub trait Transcript {
    /// One event. Must be quick, and must not fail.
    fn event(&mut self, event: &Event<'_>);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Transcript for Silent {
    fn event(&mut self, _: &Event<'_>) {}
}
