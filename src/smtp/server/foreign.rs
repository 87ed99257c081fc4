//! Lines that no mail client says: another protocol's, which somebody leads to an SMTP server so that what follows is
//! taken for commands (a form of a web page that a browser sends, a proxy, a script that fetches any address).

/// Commands of HTTP (RFC 9110, RFC 5789, RFC 9113) that a line without a version begins with.
const METHODS: [&str; 10] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PRI", "PUT", "TRACE"];
/// What the first line of HTTP and its relatives ends with, before a number.
const PROTOCOLS: [&str; 4] = ["HTTP/", "ICAP/", "RTSP/", "SIP/"];

/// Whether a line is of another protocol: a request of HTTP, whatever its method, or a field of a header.
pub(super) fn is_foreign(line: &[u8]) -> bool {
    let blank = |octet: &u8| octet.is_ascii_whitespace();
    let mut words = line.split(blank).filter(|word| !word.is_empty());
    let Some(first) = words.next() else { return false };
    let last = words.next_back();
    METHODS.iter().any(|method| first.eq_ignore_ascii_case(method.as_bytes()))
        || last.is_some_and(|last| PROTOCOLS.iter().any(|name| is_version(last, name)))
        || is_field(first)
}

/// `HTTP/1.1`.
fn is_version(word: &[u8], name: &str) -> bool {
    let (begin, number) = word.split_at_checked(name.len()).unwrap_or_default();
    begin.eq_ignore_ascii_case(name.as_bytes()) && number.first().is_some_and(u8::is_ascii_digit)
}

/// `Host:`. A command whose blank was forgotten (`MAILFROM:<a@b>`) is a fault like others.
fn is_field(word: &[u8]) -> bool {
    let Some(colon) = word.iter().position(|octet| *octet == b':') else { return false };
    let name = word.get(..colon).unwrap_or_default();
    let token = !name.is_empty() && name.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
    let command = ["MAIL", "RCPT", "FROM", "TO"];
    let is = |begin: &&str| name.get(..begin.len()).is_some_and(|start| start.eq_ignore_ascii_case(begin.as_bytes()));
    token && !command.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_and_proxies_say() {
        for foreign in [
            "POST / HTTP/1.1",
            "get /",
            "GET",
            "CONNECT 192.0.2.1:25 HTTP/1.0",
            "MAIL / HTTP/1.1",
            "NOOP /x HTTP/2",
            "EHLO / http/1.1",
            "DATA\t/\tHTTP/1.1 ",
            "PRI * HTTP/2.0",
            "REGISTER sip:a@b SIP/2.0",
            "DESCRIBE rtsp://x RTSP/1.0",
            "Host: mail.example.com",
            "Host:mail.example.com",
            "X-Forwarded-For: 127.0.0.1",
            "Content-Length: 12",
        ] {
            assert!(is_foreign(foreign.as_bytes()), "{foreign}");
        }
    }

    #[test]
    fn what_mail_clients_say() {
        for own in [
            "",
            " ",
            "EHLO client.example",
            "EHLO [IPv6:2001:db8::1]",
            "HELO post",
            "MAIL FROM:<get@example.com> ENVID=HTTP/1.1",
            "mail from: <a@b>",
            "MAILFROM:<a@b>",
            "RCPT TO:<a@b> ORCPT=rfc822;HTTP/x",
            "rcptto:<a@b>",
            "NOOP post",
            "VRFY HTTP/",
            "AUTH PLAIN AAAA",
            "FROM:<a@b>",
            "WIBBLE",
            ":",
        ] {
            assert!(!is_foreign(own.as_bytes()), "{own}");
        }
    }
}
