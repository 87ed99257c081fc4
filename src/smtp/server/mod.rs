//! The server side of an SMTP session (RFC 5321), without IO: bytes in, actions out.
//!
//! It serves whoever speaks SMTP to postrider: the trial's own server, `sendmail -bs`, a listener. The host reads from
//! the peer, calls [`Session::feed`], takes [`Action`]s from [`Session::poll`] until there are none, does what they
//! say, and reads again. Some actions are questions: nothing further comes until [`Session::accept`] or
//! [`Session::reject`] answers. Replies may be gathered and written at once when `poll` has nothing more (PIPELINING,
//! RFC 2920).
//!
//! It never opens anything, never looks at a clock (time limits are the host's), never judges addresses or passwords.
//! Memory: one line and what the last `feed` brought; message text is handed on, never gathered. The text ends with
//! CRLF.CRLF alone; a bare LF ends a line only where the peer is a local program ([`Features::local`]).
//!
//! Also followed: RFC 1870 SIZE, 2034 enhanced codes, 3030 CHUNKING, 3207 STARTTLS, 3461 DSN, 4954 AUTH, 6152
//! 8BITMIME, 6531 SMTPUTF8. Not offered: BINARYMIME, LMTP.

pub mod command;
mod data;
mod foreign;
mod input;
mod sasl;
mod session;
#[cfg(test)]
mod tests;

pub use command::{Body, MailFrom, RcptTo};
pub use sasl::Credentials;
pub use session::Session;

/// What one session may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a command line with its line end; at least 512 are always allowed (RFC 5321 section 4.5.3.1.4).
    pub command_line: usize,
    /// Octets of a line within AUTH (RFC 4954 section 4: 12288).
    pub auth_line: usize,
    /// Octets of a message; told to the client by SIZE.
    pub message: u64,
    /// Recipients of one message; at least 100 by RFC 5321 section 4.5.3.1.8.
    pub recipients: usize,
    /// Faulty commands and refused logins after which the session is closed with 421.
    pub errors: usize,
    /// Commands that bring no message nearer (NOOP, RSET, VRFY, refused recipients ...) after which the session is
    /// closed with 421; counted anew with every message that is taken.
    pub commands: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line: 4096,
            auth_line: 12_288,
            message: 50 << 20,
            recipients: 1000,
            errors: 20,
            commands: usize::MAX,
        }
    }
}

/// What a session offers and demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// The server's name in the greeting and the EHLO reply.
    pub host: String,
    /// What is put behind a recipient or sender without a domain; without it only `postmaster` needs none.
    pub domain: Option<String>,
    /// STARTTLS is offered as long as the session is not in TLS.
    pub starttls: bool,
    /// No mail is taken outside TLS.
    pub require_tls: bool,
    /// AUTH PLAIN and LOGIN are offered within TLS.
    pub auth: bool,
    /// AUTH is offered outside TLS too.
    pub auth_in_clear: bool,
    /// No mail is taken without a login.
    pub require_auth: bool,
    /// SMTPUTF8.
    pub smtputf8: bool,
    /// CHUNKING: BDAT.
    pub chunking: bool,
    /// DSN: RET, ENVID, NOTIFY, ORCPT.
    pub dsn: bool,
    /// The client has no reason to speak before its turn: what it sends behind its first EHLO or HELO, before the reply, ends
    /// the session (RFC 2920 section 3.1: only that reply tells that more may come at once).
    pub in_turn: bool,
    /// The peer is a local program on a pipe (`sendmail -bs`): bare LF ends a line, and mail may come without a HELO.
    pub local: bool,
}

impl Features {
    /// Plain SMTP by that name: DSN, SMTPUTF8 and CHUNKING, no TLS, no login.
    #[must_use]
    pub fn named(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            domain: None,
            starttls: false,
            require_tls: false,
            auth: false,
            auth_in_clear: false,
            require_auth: false,
            smtputf8: true,
            chunking: true,
            dsn: true,
            in_turn: false,
            local: false,
        }
    }
}

/// What the session waits for from the client: what a host's time limits depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// EHLO or HELO.
    Hello,
    /// A command, or a line of AUTH.
    Command,
    /// The text of a message.
    Text,
    /// The TLS handshake.
    Handshake,
    /// Nothing: the host is to answer, or the session is over.
    Nothing,
}

/// Why a session was ended that no mail client would have begun so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intruder {
    /// It speaks another protocol, HTTP as a rule: a browser or a proxy that somebody leads here.
    OtherProtocol,
    /// It spoke before the greeting, or before the reply to its first EHLO.
    TooEarly,
}

/// What the host is to do, in the order of the session.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send these octets to the peer.
    Reply(Vec<u8>),
    /// The client gave its name. For the record: it proves nothing.
    Hello {
        /// The argument of EHLO or HELO.
        name: String,
        /// EHLO rather than HELO.
        extended: bool,
    },
    /// Send what was replied, make the TLS handshake, then call [`Session::tls_started`]. All input up to then is lost,
    /// so that nothing which came in clear is taken for protected.
    StartTls,
    /// A question: is this login good? (`reject(535, (5, 7, 8), ..)`)
    Auth(Credentials),
    /// A question: may a message come from there?
    Mail(Box<MailFrom>),
    /// A question: is this recipient taken?
    Rcpt(Box<RcptTo>),
    /// A question: may the message's text come now?
    DataBegin,
    /// The next octets of the message, dots unstuffed, line ends as they came.
    Data(Vec<u8>),
    /// A question: is the whole message, which is now complete, taken?
    DataEnd(Received),
    /// The transaction is over with nothing sent: forget sender, recipients and text.
    Reset,
    /// Send what was replied and close.
    Quit,
}

/// What the session can say about a complete message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its octets, after unstuffing.
    pub octets: u64,
    /// Whether a CR or LF stood alone in it. Passed on as it is, another server may take it for a line end and be
    /// smuggled a second message: normalise or refuse (`reject(550, (5, 6, 11), ..)`).
    pub bare_line_ends: bool,
}
