//! The phases of a delivery, as errors, logs and time limits name them.

use std::fmt;

/// Where in a delivery something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Fetching the password.
    Secret,
    /// Looking up the server's name.
    Resolve,
    /// TCP, unix socket or proxy connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// The server's 220.
    Greeting,
    /// EHLO, HELO or LHLO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA (or BDAT) before the message.
    Data,
    /// Sending the message.
    Body,
    /// The reply after the final dot.
    End,
    /// QUIT.
    Quit,
    /// What a rule does with a message on this machine.
    Local,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "password",
            Self::Resolve => "name lookup",
            Self::Connect => "connect",
            Self::Tls => "TLS handshake",
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL FROM",
            Self::Rcpt => "RCPT TO",
            Self::Data => "DATA",
            Self::Body => "message text",
            Self::End => "end of message",
            Self::Quit => "QUIT",
            Self::Local => "delivery",
        })
    }
}
