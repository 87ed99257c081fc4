//! Whether a person sits at a terminal behind this process, as far as a system can tell.
//!
//! A controlling terminal alone says little: a server that runs in the foreground of a terminal, or in a container that
//! was given one, leaves it to all its workers. So each sign can only take away: who is no user of a person's, whose
//! terminal is the container's own, and who was started by a server, is none. /proc is read; nothing is opened that
//! waits.

use super::users::Ids;
use super::{env, files};
use std::path::Path;

/// The first user id of a person where /etc/login.defs says nothing.
const USUAL: u32 = 1000;
/// What it may say at least: below are a system's own users everywhere.
const LEAST: u32 = 500;
/// Users that a service manager makes up for its services, and `nobody`.
const SERVICES: std::ops::RangeInclusive<u32> = 61_184..=65_535;
/// Variables that a web server gives the programs that it runs.
const CGI: [&str; 3] = ["GATEWAY_INTERFACE", "REQUEST_METHOD", "SERVER_SOFTWARE"];
/// How the names of programs begin that work for strangers.
const SERVERS: [&str; 21] = [
    "php",
    "lsphp",
    "hhvm",
    "apache",
    "httpd",
    "nginx",
    "lighttpd",
    "litespeed",
    "lshttpd",
    "openlitespeed",
    "caddy",
    "frankenphp",
    "uwsgi",
    "gunicorn",
    "unicorn",
    "puma",
    "passenger",
    "fcgiwrap",
    "spawn-fcgi",
    "thttpd",
    "hiawatha",
];
/// How many processes are looked at on the way up.
const ANCESTORS: usize = 64;

/// A process as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    name: String,
    parent: u32,
    group: i64,
    session: i64,
    /// The device number of the controlling terminal; 0 for none.
    terminal: i64,
    /// The process group in the terminal's foreground.
    foreground: i64,
    /// Real and effective user id.
    users: (u32, u32),
}

impl Process {
    /// In the foreground of a terminal that is not the first process's own: that one is a container's.
    fn is_at_terminal(&self) -> bool {
        self.terminal != 0 && self.foreground == self.group && self.session != 1
    }

    fn is_server(&self) -> bool {
        SERVERS.iter().any(|server| self.name.starts_with(server))
    }
}

/// Whether that user is a person rather than one of the system's own.
#[must_use]
pub fn is(uid: u32) -> bool {
    is_person(uid, &defs())
}

/// What /etc/login.defs says; nothing where it cannot be read.
fn defs() -> String {
    let read = files::read(Path::new("/etc/login.defs")).ok();
    read.map(|(text, _)| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

/// Whether the user of this process is a person who sits at a terminal: the process's own, or that of a process of the
/// same user that started it (a mail program starts it in a session of its own).
#[must_use]
pub fn is_at_terminal(ids: Ids) -> bool {
    let by_web_server = || CGI.iter().any(|name| env::var(name).is_some());
    ids.only().is_some_and(is) && !by_web_server() && sits(&line())
}

/// Whether a user id is that of a person, by what /etc/login.defs says.
fn is_person(uid: u32, defs: &str) -> bool {
    let least = defs.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next().filter(|word| *word == "UID_MIN")?;
        words.next()?.parse().ok()
    });
    uid >= least.unwrap_or(USUAL).max(LEAST) && !SERVICES.contains(&uid)
}

/// This process, then who started it, and so on.
fn line() -> Vec<Process> {
    let mut line: Vec<Process> = Vec::new();
    let mut next = std::process::id();
    while next > 0 && line.len() < ANCESTORS {
        let read = |name: &str| files::read_proc(Path::new(&format!("/proc/{next}/{name}"))).ok();
        let process = read("stat").zip(read("status")).and_then(|(stat, status)| process(&stat, &status));
        // Another user's may be hidden.
        let Some(process) = process else { break };
        next = process.parent;
        line.push(process);
    }
    line
}

/// What the signs say of a process and those that started it.
fn sits(line: &[Process]) -> bool {
    let Some(own) = line.first() else { return false };
    let mut same = line.iter().take_while(|process| process.users == own.users);
    same.any(Process::is_at_terminal) && !line.iter().any(Process::is_server)
}

/// From `/proc/PID/stat`, whose second field is a name in parentheses that may hold anything, and `/proc/PID/status`.
fn process(stat: &str, status: &str) -> Option<Process> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace().skip(1);
    let mut number = || fields.next()?.parse::<i64>().ok();
    let (parent, group, session, terminal, foreground) = (number()?, number()?, number()?, number()?, number()?);
    let mut users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace();
    let mut user = || users.next()?.parse().ok();
    Some(Process {
        name: name.to_owned(),
        parent: parent.try_into().ok()?,
        group,
        session,
        terminal,
        foreground,
        users: (user()?, user()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, uid: u32, terminal: i64, foreground: i64) -> Process {
        let (parent, group, session) = (1, 70, 60);
        Process { name: name.into(), parent, group, session, terminal, foreground, users: (uid, uid) }
    }

    #[test]
    fn who_is_a_person() {
        assert!(is_person(1000, "") && !is_person(999, "") && !is_person(33, ""));
        let defs = "# UID_MIN 5\nUID_MIN\t\t 2000\nUID_MAX 60000\n";
        assert!(is_person(2000, defs) && !is_person(1999, defs));
        assert!(!is_person(33, "UID_MIN 0\n") && is_person(500, "UID_MIN 500\n"), "below 500 is nobody's choice");
        assert!(
            !is_person(65_534, "") && !is_person(61_200, "") && is_person(1_234_500, ""),
            "services, a directory's"
        );
    }

    #[test]
    fn who_sits_at_a_terminal() {
        let person = at("msmtp", 1000, 34_816, 70);
        assert!(sits(std::slice::from_ref(&person)));
        assert!(!sits(&[]));
        assert!(!sits(&[at("msmtp", 1000, 0, -1)]), "cron");
        assert!(!sits(&[at("msmtp", 1000, 34_816, 71)]), "another process group has the terminal");
        assert!(!sits(&[Process { session: 1, ..person.clone() }]), "a container's own terminal");
        // mutt starts it in a session of its own.
        let gone = at("msmtp", 1000, 0, -1);
        assert!(sits(&[gone.clone(), at("mutt", 1000, 0, -1), at("mutt", 1000, 34_816, 70)]));
        assert!(!sits(&[gone.clone(), at("sh", 0, 34_816, 70)]), "the terminal of another user");
        assert!(!sits(&[gone, at("sh", 0, 0, -1), at("sh", 1000, 34_816, 70)]), "nor one beyond another user");
        for server in ["php-fpm8.2", "php", "apache2", "nginx"] {
            assert!(!sits(&[person.clone(), at("sh", 1000, 34_816, 70), at(server, 0, 34_816, 70)]), "{server}");
        }
    }

    #[test]
    fn what_the_system_says() {
        let stat = "7 (a) b (c) S 5 70 60 34816 70 4194560 1 2 3\n";
        let status = "Name:\ta\nUid:\t1000\t1001\t0\t0\n";
        let read = process(stat, status).unwrap();
        assert_eq!((read.name.as_str(), read.parent, read.users), ("a) b (c", 5, (1000, 1001)));
        assert_eq!((read.group, read.session, read.terminal, read.foreground), (70, 60, 34_816, 70));
        assert_eq!(process("7 (a", status), None);
        assert_eq!(process(stat, "Name:\ta\n"), None);
    }

    #[test]
    fn this_process_has_a_line_of_its_own() {
        let line = line();
        assert!(line.len() > 1 && line[0].users.0 == rustix::process::getuid().as_raw(), "{line:?}");
    }
}
