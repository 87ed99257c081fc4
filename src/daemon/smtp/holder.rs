//! Who has a TCP port, from /proc (proc(5)): for the error about a port that is taken. Best effort; a process of another
//! user can be named by root alone, its user always.

use crate::sys::files;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The state of a listening socket in /proc/net/tcp.
const LISTEN: &str = "0A";

/// A listening socket of /proc/net/tcp: where, whose, and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    address: SocketAddr,
    uid: u32,
    inode: u64,
}

/// Who listens at an address, in words: `process 123 (master) of user root`.
#[must_use]
pub fn of(wanted: SocketAddr) -> Option<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| files::read_proc(Path::new(table)).unwrap_or_default());
    let entries: Vec<Entry> = tables.iter().flat_map(|table| parse(table)).collect();
    let entry = entries.iter().find(|entry| collides(entry.address, wanted))?;
    let user = uzers::get_user_by_uid(entry.uid);
    let user = user.map_or_else(|| entry.uid.to_string(), |user| user.name().to_string_lossy().into_owned());
    Some(match process(entry.inode) {
        Some((id, name)) => format!("process {id} ({}) of user {user}", crate::report::printable(&name)),
        None => format!("a process of user {user}"),
    })
}

/// Whether two sockets cannot listen beside each other.
fn collides(theirs: SocketAddr, wanted: SocketAddr) -> bool {
    let any = theirs.ip().is_unspecified() || wanted.ip().is_unspecified();
    theirs.port() == wanted.port() && (any || theirs.ip().to_canonical() == wanted.ip().to_canonical())
}

/// The listening sockets of a table.
fn parse(table: &str) -> Vec<Entry> {
    table.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let words: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
    let [_, local, _, state, _, _, _, uid, _, inode] = words.as_slice() else { return None };
    if *state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let address = SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?);
    Some(Entry { address, uid: uid.parse().ok()?, inode: inode.parse().ok()? })
}

/// An address as the kernel writes it: words of 32 bits in the machine's order.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let octets = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

/// The process that has a socket open.
fn process(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    for (id, entry) in processes.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry))) {
        let Ok(descriptors) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        let has = |path: &Path| std::fs::read_link(path).is_ok_and(|link| link.as_os_str() == wanted.as_str());
        if descriptors.flatten().any(|descriptor| has(&descriptor.path())) {
            let name = files::read_proc(&entry.path().join("comm")).unwrap_or_default();
            return Some((id, name.trim_end().to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test takes a port")]

    use super::*;

    #[test]
    fn the_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:0A29 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8713 1 0 100 0 0 10 0\n   \
            1: 0100007F:0019 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 8714 1 0 100 0 0 10 0\n   \
            2: 00000000000000000000000001000000:0019 00000000000000000000000000000000:0000 0A 0:0 00:0 0 101 0 8715 1 0\n\
            nonsense\n   3: 0100:19 x 0A\n";
        if cfg!(target_endian = "little") {
            let expected = [("127.0.0.1:2601", 0, 8713), ("[::1]:25", 101, 8715)];
            let expected =
                expected.map(|(address, uid, inode)| Entry { address: address.parse().unwrap(), uid, inode });
            assert_eq!(parse(table), expected);
        }
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(collides(at("0.0.0.0:25"), at("127.0.0.1:25")) && collides(at("[::]:25"), at("127.0.0.1:25")));
        assert!(!collides(at("127.0.0.2:25"), at("127.0.0.1:25")) && !collides(at("0.0.0.0:26"), at("127.0.0.1:25")));
    }

    #[test]
    fn our_own_port_is_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let said = of(listener.local_addr().unwrap()).unwrap();
        assert!(said.starts_with(&format!("process {} (", std::process::id())), "{said}");
    }
}
