//! SOCKS5 (RFC 1928), without authentication: asks a proxy to connect to a server. The name is the proxy's to look up.

use super::words::words;
use std::io::{Read, Write};
use std::net::IpAddr;

/// Asks the proxy at the other end for a connection; afterwards the stream leads to the server.
///
/// # Errors
/// Why the proxy did not connect, in words.
pub fn connect(stream: &mut (impl Read + Write), host: &str, port: u16) -> Result<(), String> {
    let failed = |error: std::io::Error| words(&error);
    stream.write_all(&[5, 1, 0]).map_err(failed)?;
    let mut choice = [0; 2];
    stream.read_exact(&mut choice).map_err(failed)?;
    match choice {
        [5, 0] => {}
        [5, _] => return Err("it wants a login, which is not supported".into()),
        _ => return Err("it does not speak SOCKS5".into()),
    }
    stream.write_all(&request(host, port)?).map_err(failed)?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).map_err(failed)?;
    if answer[0] != 5 {
        return Err("it does not speak SOCKS5".into());
    }
    if answer[1] != 0 {
        return Err(refusal(answer[1]).into());
    }
    skip_bound_address(stream, answer[3])
}

fn request(host: &str, port: u16) -> Result<Vec<u8>, String> {
    let mut octets = vec![5, 1, 0];
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            octets.push(1);
            octets.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            octets.push(4);
            octets.extend(address.octets());
        }
        Err(_) => {
            octets.push(3);
            octets.push(u8::try_from(host.len()).map_err(|_| "the server's name is too long for it")?);
            octets.extend(host.bytes());
        }
    }
    octets.extend(port.to_be_bytes());
    Ok(octets)
}

fn skip_bound_address(stream: &mut impl Read, kind: u8) -> Result<(), String> {
    let mut rest = [0; 255 + 2];
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => {
            stream.read_exact(&mut rest[..1]).map_err(|error| words(&error))?;
            usize::from(rest[0])
        }
        _ => return Err("its answer makes no sense".into()),
    };
    stream.read_exact(&mut rest[..length + 2]).map_err(|error| words(&error))
}

/// RFC 1928 section 6.
fn refusal(code: u8) -> &'static str {
    match code {
        2 => "its rules do not allow this connection",
        3 => "the server's network cannot be reached",
        4 => "the server cannot be reached, or its name does not exist",
        5 => "the server refused the connection",
        6 => "the server did not answer in time",
        7 | 8 => "it cannot make such a connection",
        _ => "it failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Cursor};

    struct Proxy(Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Proxy {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Proxy {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.1.extend(data);
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn ask(answer: &[u8], host: &str) -> (Result<(), String>, Vec<u8>) {
        let mut proxy = Proxy(Cursor::new(answer.to_vec()), Vec::new());
        let result = connect(&mut proxy, host, 587);
        (result, proxy.1)
    }

    #[test]
    fn names_and_addresses() {
        let (result, sent) = ask(b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38", "mx.test");
        assert_eq!(result, Ok(()));
        assert_eq!(sent, b"\x05\x01\x00\x05\x01\x00\x03\x07mx.test\x02\x4b");
        let (result, sent) = ask(b"\x05\x00\x05\x00\x00\x03\x02ab\x04\x38", "192.0.2.1");
        assert_eq!(result, Ok(()));
        assert_eq!(sent[3..], *b"\x05\x01\x00\x01\xc0\x00\x02\x01\x02\x4b");
    }

    #[test]
    fn refusals_and_nonsense() {
        assert!(ask(b"\x05\x00\x05\x05\x00\x01", "a").0.unwrap_err().contains("refused"));
        assert!(ask(b"\x05\xff", "a").0.unwrap_err().contains("login"));
        assert!(ask(b"HTTP/1.1", "a").0.unwrap_err().contains("SOCKS5"));
        assert!(ask(b"\x05\x00\x05\x00\x00\x09", "a").0.unwrap_err().contains("sense"));
        assert!(ask(b"\x05\x00\x05", "a").0.unwrap_err().contains("closed"));
        assert!(ask(b"\x05\x00", &"a".repeat(256)).0.unwrap_err().contains("too long"));
    }
}
