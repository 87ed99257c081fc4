//! `server = "..."`: the URL, bare host or unix path that says where to connect, with what protocol and protection.
//!
//! Values only. TLS is never opportunistic: what is not `smtp+plain`, `lmtp` or a unix socket is protected (RFC 8314).

use super::model::{Endpoint, Protocol, TlsMode};
use std::net::Ipv6Addr;

/// What a `server` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where to connect.
    pub endpoint: Endpoint,
    /// How it is protected.
    pub tls: TlsMode,
    /// SMTP or LMTP.
    pub protocol: Protocol,
}

/// The schemes: protocol, protection (`None`: the port decides), default port (`None`: must be given).
const SCHEMES: [(&str, Protocol, Option<TlsMode>, Option<u16>); 7] = [
    ("smtps", Protocol::Smtp, Some(TlsMode::Implicit), Some(465)),
    ("ssl", Protocol::Smtp, Some(TlsMode::Implicit), Some(465)),
    ("smtp", Protocol::Smtp, Some(TlsMode::StartTls), Some(587)),
    ("smtp+plain", Protocol::Smtp, Some(TlsMode::Plain), Some(25)),
    ("lmtp", Protocol::Lmtp, Some(TlsMode::Plain), None),
    ("smtp+unix", Protocol::Smtp, Some(TlsMode::Plain), None),
    ("lmtp+unix", Protocol::Lmtp, Some(TlsMode::Plain), None),
];

/// Reads a `server`.
///
/// # Errors
/// What is wrong and what would be right, for people. The text itself is not repeated: it may hold a password.
pub fn parse(text: &str) -> Result<Server, String> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("server holds a space or a control character".into());
    }
    let Some((scheme, rest)) = split_scheme(text) else { return bare(text) };
    let scheme = scheme.to_ascii_lowercase();
    let Some((_, protocol, tls, port)) = SCHEMES.into_iter().find(|known| known.0 == scheme) else {
        return Err("server has an unknown scheme; one of smtps://, smtp:// (STARTTLS), smtp+plain://, lmtp://, \
                    smtp+unix:, lmtp+unix:"
            .into());
    };
    if scheme.ends_with("+unix") {
        return unix(rest, protocol);
    }
    let rest = rest.strip_prefix("//").ok_or_else(|| format!("server: write {scheme}://host"))?;
    let (host, given) = authority(rest.strip_suffix('/').unwrap_or(rest))?;
    let port = given.or(port).ok_or("server: lmtp has no port of its own; write lmtp://host:port")?;
    let tls = tls.unwrap_or(TlsMode::StartTls);
    Ok(Server { endpoint: Endpoint::Tcp(host, port), tls, protocol })
}

/// `scheme://rest` or `x+unix:/path`; a bare `host:port` has no scheme.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = rest.starts_with("//") || scheme.to_ascii_lowercase().ends_with("+unix");
    is_scheme.then_some((scheme, rest))
}

/// `host` or `host:port`: 465 is TLS at once, any other port STARTTLS.
fn bare(text: &str) -> Result<Server, String> {
    if text.starts_with('/') {
        return Err("server: for a unix socket write smtp+unix:/path or lmtp+unix:/path".into());
    }
    let (host, port) = authority(text)?;
    let port = port.unwrap_or(587);
    let tls = if port == 465 { TlsMode::Implicit } else { TlsMode::StartTls };
    Ok(Server { endpoint: Endpoint::Tcp(host, port), tls, protocol: Protocol::Smtp })
}

fn unix(rest: &str, protocol: Protocol) -> Result<Server, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("server: a unix socket is an absolute path, as in lmtp+unix:///run/dovecot/lmtp".into());
    }
    Ok(Server { endpoint: Endpoint::Unix(path.into()), tls: TlsMode::Plain, protocol })
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, or an IPv6 address alone.
fn authority(text: &str) -> Result<(String, Option<u16>), String> {
    if text.contains('@') {
        return Err("server holds a login; it belongs into user = \"...\" and password = { file = \"...\" }".into());
    }
    if text.contains(['/', '?', '#']) {
        return Err("server is a host and a port only, without a path behind them".into());
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text.to_owned(), None));
    }
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']').ok_or("server: a [ without its ]")?;
            host.parse::<Ipv6Addr>().map_err(|_| "server: what stands between [ and ] is no IPv6 address")?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    check_host(host)?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((host.to_owned(), Some(parse_port(port)?))),
        None if rest.is_empty() => Ok((host.to_owned(), None)),
        None => Err("server: only a port may follow the ]".into()),
    }
}

/// A port, 1 to 65535, in digits.
fn parse_port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse::<u16>().ok().filter(|port| digits && *port > 0);
    port.ok_or_else(|| "server: a port is a number from 1 to 65535".into())
}

/// `host:port` of a proxy or the like.
///
/// # Errors
/// For people, without the text.
pub fn host_port(text: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = authority(text).map_err(|error| error.replacen("server", "host", 1))?;
    Ok((host, port.unwrap_or(default)))
}

/// Whether a text may be a host name or address: letters, digits, `.`, `-`, `_` and `:` (IPv6), at most 255; letters
/// beyond ASCII for internationalized names.
///
/// # Errors
/// For people, without the text.
pub fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() || host.len() > 255 {
        return Err("the host name is empty or longer than 255 characters".into());
    }
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.starts_with(['-', '.']) || !host.chars().all(fine) {
        return Err("the host name holds a character that no host name has".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(text: &str) -> (String, u16, TlsMode) {
        match parse(text).unwrap() {
            Server { endpoint: Endpoint::Tcp(host, port), tls, .. } => (host, port, tls),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn forms() {
        use TlsMode::*;
        assert_eq!(tcp("smtps://smtp.example.com"), ("smtp.example.com".into(), 465, Implicit));
        assert_eq!(tcp("ssl://h:4465/"), ("h".into(), 4465, Implicit));
        assert_eq!(tcp("SMTP://h"), ("h".into(), 587, StartTls));
        assert_eq!(tcp("smtp://h:465"), ("h".into(), 465, StartTls));
        assert_eq!(tcp("smtp+plain://127.0.0.1"), ("127.0.0.1".into(), 25, Plain));
        assert_eq!(tcp("h"), ("h".into(), 587, StartTls));
        assert_eq!(tcp("h:465"), ("h".into(), 465, Implicit));
        assert_eq!(tcp("h:2525"), ("h".into(), 2525, StartTls));
        assert_eq!(tcp("[::1]:25"), ("::1".into(), 25, StartTls));
        assert_eq!(tcp("smtp+plain://[::1]"), ("::1".into(), 25, Plain));
        assert_eq!(tcp("lmtp://h:24"), ("h".into(), 24, Plain));
        let lmtp = parse("lmtp+unix:///run/x").unwrap();
        assert_eq!((lmtp.endpoint, lmtp.protocol), (Endpoint::Unix("/run/x".into()), Protocol::Lmtp));
        assert_eq!(parse("smtp+unix:/run/x").unwrap().protocol, Protocol::Smtp);
    }

    #[test]
    fn refused_without_repeating_it() {
        for bad in [
            "",
            "http://h",
            "smtp://u:hunter2@h",
            "hunter2@h",
            "h:0",
            "h:65536",
            "h:+25",
            "h:",
            "[::1",
            "[x]:25",
            "lmtp://h",
            "smtp://h/path",
            "/run/x",
            "lmtp+unix:run",
            "h\r\nEHLO",
            "a b",
            "smtps://",
            "-h",
            "[::1]x",
            "smtp+unix:",
        ] {
            let error = parse(bad).expect_err(bad);
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(parse("smtp://u:p@h").unwrap_err().contains("user ="));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC{0,40}|(smtps?|lmtp)(\\+unix|\\+plain)?:(//)?[\\[\\]:/@a-z0-9.]{0,20}") {
            if let Ok(Server { endpoint: Endpoint::Tcp(host, port), .. }) = parse(&text) {
                prop_assert!(!host.is_empty() && port > 0 && !host.contains(['\r', '\n', ' ']));
            }
        }
    }
}
