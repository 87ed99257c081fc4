//! One line to the system's log under a facility of its own (RFC 3164 section 4.1, as local daemons take it).
//!
//! The program's own log is `log`; the library that it goes through knows one facility a process, and an msmtprc names
//! one an account. A log that does not listen is an error for the caller to mention, never a failed delivery.

use chrono::{DateTime, FixedOffset};
use std::os::unix::net::UnixDatagram;

/// Where the system's log listens.
const SOCKET: &str = "/dev/log";

/// Severity `info` (RFC 3164 section 4.1.1).
const INFO: u8 = 6;

/// Sends a line, which must hold no control character, under a facility by its C name (`LOG_MAIL`).
///
/// # Errors
/// For people: an unknown facility, or nobody listens.
pub fn send(facility: &str, program: &str, line: &str, now: DateTime<FixedOffset>) -> Result<(), String> {
    let number = number(facility).ok_or_else(|| format!("syslog: unknown facility {facility}"))?;
    let text = text(number, program, std::process::id(), line, now);
    let sent = UnixDatagram::unbound().and_then(|socket| {
        // A log that does not read must not hold the delivery up.
        socket.set_nonblocking(true)?;
        socket.send_to(text.as_bytes(), SOCKET)
    });
    sent.map(drop).map_err(|error| format!("syslog: {SOCKET}: {error}"))
}

fn text(facility: u8, program: &str, process: u32, line: &str, now: DateTime<FixedOffset>) -> String {
    format!("<{}>{} {program}[{process}]: {line}", facility * 8 + INFO, now.format("%b %e %H:%M:%S"))
}

/// The number of a facility (RFC 3164 section 4.1.1).
fn number(facility: &str) -> Option<u8> {
    match facility {
        "LOG_USER" => Some(1),
        "LOG_MAIL" => Some(2),
        local => match local.strip_prefix("LOG_LOCAL")?.as_bytes() {
            [digit @ b'0'..=b'7'] => Some(16 + digit - b'0'),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_and_form() {
        let now = DateTime::parse_from_rfc3339("2025-11-02T21:19:19+01:00").unwrap();
        assert_eq!(text(2, "msmtp", 7, "host=h", now), "<22>Nov  2 21:19:19 msmtp[7]: host=h");
        assert_eq!((number("LOG_USER"), number("LOG_LOCAL7"), number("LOG_LOCAL8")), (Some(1), Some(23), None));
        assert_eq!((number("LOG_DAEMON"), number("LOG_LOCAL")), (None, None));
    }
}
