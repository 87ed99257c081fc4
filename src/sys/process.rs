//! Processes told apart, so that one can leave its name behind and another can see that it is gone.

use super::{clock, files};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::path::Path;
use std::sync::OnceLock;

/// The name of this process: the machine's start, the namespace of process ids, the id and when it started. Empty where
/// the system does not say all of it.
#[must_use]
pub fn own_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let pid = std::process::id();
        match (place(), started(pid)) {
            (Some(place), Some(Life::Started(at))) => format!("{place} {pid} {at}"),
            _ => String::new(),
        }
    })
}

/// Whether the process of that name has certainly ended. Of one in another container, or of another user whose processes
/// are hidden from this one, that cannot be told; neither over a restart of the machine.
#[must_use]
pub fn is_gone(name: &str) -> bool {
    let Some(rest) = place().and_then(|place| name.strip_prefix(&place)?.strip_prefix(' ').map(str::to_owned)) else {
        return false;
    };
    let Some((pid, at)) = rest.split_once(' ') else { return false };
    let Some((number, id)) = pid.parse().ok().and_then(|pid: u32| Some((pid, Pid::from_raw(pid.cast_signed())?)))
    else {
        return false;
    };
    if test_kill_process(id) == Err(Errno::SRCH) {
        return true;
    }
    // The number may be another process's by now.
    started(number).is_some_and(|life| life != Life::Started(at.to_owned()))
}

/// Where process ids mean the same.
fn place() -> Option<String> {
    let (boot, namespace) = (clock::boot(), std::fs::read_link("/proc/self/ns/pid").ok()?);
    (!boot.is_empty()).then(|| format!("{boot} {}", namespace.display()))
}

#[derive(Debug, PartialEq, Eq)]
enum Life {
    /// It runs, since then (clock ticks after the machine's start).
    Started(String),
    /// It has ended, and its parent has not noticed yet.
    Over,
}

fn started(pid: u32) -> Option<Life> {
    life(&files::read_proc(Path::new(&format!("/proc/{pid}/stat"))).ok()?)
}

/// The third and the 22nd field of `/proc/PID/stat`; the second is a name in parentheses, which may hold anything.
fn life(stat: &str) -> Option<Life> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => Some(Life::Over),
        _ => Some(Life::Started(fields.nth(18)?.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_a_process() {
        let stat =
            |state: &str| format!("7 (a) b (c) {state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 9\n");
        assert_eq!(life(&stat("S")), Some(Life::Started("123456".into())));
        assert_eq!(life(&stat("Z")), Some(Life::Over));
        assert_eq!(life("7 (a"), None);
    }

    #[test]
    fn only_what_is_certain_is_gone() {
        let name = own_name();
        assert!(!name.is_empty() && !is_gone(name));
        let [boot, namespace, pid, at] = name.split(' ').collect::<Vec<_>>()[..] else { panic!("{name}") };
        assert!(is_gone(&format!("{boot} {namespace} {pid} {at}0")), "the number is another process's");
        assert!(is_gone(&format!("{boot} {namespace} {} 1", i32::MAX)), "no such process");
        for unknown in [
            String::new(),
            format!("other {namespace} {pid} 1"),
            format!("{boot} pid:[1] {pid} 1"),
            format!("{boot} {namespace} 0 1"),
            format!("{boot} {namespace} -1 1"),
            format!("{boot} {namespace} x"),
        ] {
            assert!(!is_gone(&unknown), "{unknown}");
        }
    }
}
