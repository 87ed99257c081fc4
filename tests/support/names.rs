//! A scripted name server on loopback (RFC 1035), which a test's program asks with `--resolver`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// A name server that knows some records: TXT, and where the name begins with `MX `, `A ` or `AAAA `, those.
pub fn name_server(records: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((count, peer)) = socket.recv_from(&mut query) {
            let _ = socket.send_to(&answer(&query[..count], records), peer);
        }
    });
    address
}

/// The answer to a query of one question (RFC 1035 section 4.1).
fn answer(query: &[u8], records: &[(&str, &str)]) -> Vec<u8> {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    let name = labels.join(".");
    let question = &query[12..at + 5];
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let own = |key: &str| match key.split_once(' ') {
        Some(("A", own)) => (1, own == name),
        Some(("MX", own)) => (15, own == name),
        Some(("AAAA", own)) => (28, own == name),
        _ => (16, key == name),
    };
    let known = records.iter().any(|(key, _)| own(key).1);
    let found: Vec<Vec<u8>> =
        records.iter().filter(|(key, _)| own(key) == (kind, true)).map(|(_, text)| data(kind, text)).collect();
    let code = if known { 0 } else { 3 };
    let mut reply =
        [&query[..2], &[0x84 | (query[2] & 1), 0x80 | code, 0, 1, 0, found.len() as u8, 0, 0, 0, 0]].concat();
    reply.extend_from_slice(question);
    for data in found {
        reply.extend_from_slice(&[0xc0, 12]);
        reply.extend_from_slice(&kind.to_be_bytes());
        reply.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        reply.extend_from_slice(&(data.len() as u16).to_be_bytes());
        reply.extend_from_slice(&data);
    }
    reply
}

/// The data of a record of that type (RFC 1035 section 3.3, RFC 3596).
fn data(kind: u16, text: &str) -> Vec<u8> {
    let string = |part: &[u8]| [&[part.len() as u8], part].concat();
    match kind {
        1 => text.parse::<Ipv4Addr>().unwrap().octets().to_vec(),
        28 => text.parse::<Ipv6Addr>().unwrap().octets().to_vec(),
        15 => {
            let (preference, name) = text.split_once(' ').unwrap();
            let labels = name.split('.').filter(|label| !label.is_empty()).flat_map(|label| string(label.as_bytes()));
            preference.parse::<u16>().unwrap().to_be_bytes().into_iter().chain(labels).chain([0]).collect()
        }
        // In two strings, which belong together.
        _ => {
            let (one, two) = text.as_bytes().split_at(text.len() / 2);
            [string(one), string(two)].concat()
        }
    }
}
