//! What a scripted server does: its offers, its logins, and where it misbehaves.

use super::certs::Identity;
use super::server::Server;
use std::time::Duration;

/// One misbehaviour, in place of a proper reply.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This reply (without the last CRLF; further lines with CRLF between them). A refused DATA is not followed by text.
    Reply(String),
    /// These octets, whatever they are.
    Raw(Vec<u8>),
    /// Nothing, with the connection left open until the client goes.
    Hang,
    /// The connection is closed, without TLS's own end.
    Close,
    /// The connection is reset.
    Reset,
    /// The proper reply and the end of the connection.
    CloseAfter,
    /// The proper reply, octet by octet, with that pause between them.
    Bytewise(Duration),
    /// The proper reply, and these octets in the same write.
    Inject(Vec<u8>),
    /// The proper reply, after that time.
    Delay(Duration),
    /// Continuation lines without end, as long as the client takes them.
    Endless,
    /// Nothing is said or read any more.
    Deaf,
    /// The message is taken, and the connection closed without a reply (`DOT` only).
    Lose,
}

/// A server to be. Points at which faults can be set: `CONNECT` (the greeting), `EHLO`, `HELO`, `LHLO`, `STARTTLS`,
/// `HANDSHAKE` (with `Hang`, `Close`, `Reset`, `Raw`, or `Bytewise` for a TLS record without end in place of it), `AUTH` (the final reply), `CHALLENGE` (each 334),
/// `MAIL`, `RCPT`, `DATA`, `BODY` (when the first octets of the text come), `DOT` (the reply to the text; under LMTP
/// once a recipient), `BDAT`, `RSET`, `NOOP`, `QUIT`.
#[derive(Clone, Default)]
pub struct Script {
    pub(super) starttls: bool,
    pub(super) implicit: bool,
    pub(super) identity: Option<Identity>,
    pub(super) version: Option<(openssl::ssl::SslVersion, openssl::ssl::SslVersion)>,
    pub(super) ciphers: Option<String>,
    pub(super) client_authority: Option<Vec<u8>>,
    pub(super) logins: Vec<(String, String)>,
    pub(super) mechanisms: Vec<String>,
    pub(super) bindings: Option<(Vec<String>, bool)>,
    pub(super) auth_in_clear: bool,
    pub(super) no_auth_in_tls: bool,
    pub(super) flushes: bool,
    pub(super) careless: bool,
    pub(super) require_auth: bool,
    pub(super) offers: Vec<String>,
    pub(super) lmtp: bool,
    pub(super) faults: Vec<(String, Option<usize>, Fault)>,
}

impl Script {
    /// A server that offers nothing and takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// STARTTLS, with this certificate.
    pub fn starttls(self, identity: &Identity) -> Self {
        Self { starttls: true, identity: Some(identity.clone()), ..self }
    }

    /// TLS from the start, with this certificate.
    pub fn implicit_tls(self, identity: &Identity) -> Self {
        Self { implicit: true, identity: Some(identity.clone()), ..self }
    }

    /// TLS versions from and to.
    pub fn tls_versions(self, from: openssl::ssl::SslVersion, to: openssl::ssl::SslVersion) -> Self {
        Self { version: Some((from, to)), ..self }
    }

    /// TLS 1.2 with these ciphers alone, as OpenSSL names them.
    pub fn ciphers(self, list: &str) -> Self {
        let version = openssl::ssl::SslVersion::TLS1_2;
        Self { ciphers: Some(list.into()), ..self.tls_versions(version, version) }
    }

    /// The client must show a certificate of this authority (PEM).
    pub fn client_certificate(self, authority: Vec<u8>) -> Self {
        Self { client_authority: Some(authority), ..self }
    }

    /// A login, and the mechanisms offered (`PLAIN`, `LOGIN`, `XOAUTH2`, `SCRAM-SHA-256` and its `-PLUS`; others are
    /// offered, and refused). Mail is taken after a login only.
    pub fn auth(mut self, user: &str, password: &str, mechanisms: &[&str]) -> Self {
        self.logins.push((user.into(), password.into()));
        self.mechanisms = mechanisms.iter().map(|name| (*name).into()).collect();
        Self { require_auth: true, ..self }
    }

    /// The channel bindings that are known, of tls-exporter and tls-server-end-point; whether another one is refused in
    /// SCRAM's own words, or else with a plain 535.
    pub fn bindings(self, known: &[&str], in_words: bool) -> Self {
        Self { bindings: Some((known.iter().map(|kind| (*kind).into()).collect(), in_words)), ..self }
    }

    /// AUTH is offered without TLS too.
    pub fn auth_in_clear(self) -> Self {
        Self { auth_in_clear: true, ..self }
    }

    /// AUTH is offered without TLS, and no more inside it.
    pub fn auth_in_clear_only(self) -> Self {
        Self { auth_in_clear: true, no_auth_in_tls: true, ..self }
    }

    /// What came with a command is thrown away when it has been answered, as servers do that know no pipelining.
    pub fn flushes_input(self) -> Self {
        Self { flushes: true, ..self }
    }

    /// DATA is taken though no recipient was.
    pub fn careless(self) -> Self {
        Self { careless: true, ..self }
    }

    /// A further line of the EHLO reply (`PIPELINING`, `SIZE 1000`, `8BITMIME` ...).
    pub fn offer(mut self, line: &str) -> Self {
        self.offers.push(line.into());
        self
    }

    /// LMTP: LHLO, and a reply for each recipient after the text.
    pub fn lmtp(self) -> Self {
        Self { lmtp: true, ..self }
    }

    /// A fault each time that this point is reached.
    pub fn on(mut self, point: &str, fault: Fault) -> Self {
        self.faults.push((point.into(), None, fault));
        self
    }

    /// A fault the n-th time (from 1) that this point is reached, counted over all connections.
    pub fn on_nth(mut self, point: &str, nth: usize, fault: Fault) -> Self {
        self.faults.push((point.into(), Some(nth), fault));
        self
    }

    /// This reply at that point.
    pub fn reply(self, point: &str, reply: &str) -> Self {
        self.on(point, Fault::Reply(reply.into()))
    }

    /// Starts it on a free port of 127.0.0.1.
    pub fn start(self) -> Server {
        Server::start(self)
    }
}
