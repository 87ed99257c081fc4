//! The queue and who works it: is it sound, is there space, how old is the oldest message, does the daemon answer.
//!
//! The running daemon is asked over its socket; a database is only ever read.

use super::finding::{self, AS_ROOT, Finding};
use super::root::Root;
use super::{Scene, cron};
use crate::commands::desk;
use crate::config::Direct;
use crate::daemon::client::{self, AskError};
use crate::daemon::listen;
use crate::daemon::protocol::{Reply, Request};
use crate::queue::sqlite::aside;
use crate::queue::sqlite::inspect::{self, Inspection};
use crate::report::counted;
use std::path::Path;
use std::time::Duration;

const AREA: &str = "queue";
/// The user that the daemon runs as where it is installed.
pub(super) const USER: &str = "postrider";
/// A message that waits longer is told of.
const OLD: Duration = Duration::from_secs(86_400);
/// Fewer free inodes than that are told of.
const INODES: u64 = 1000;

const UNITS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
const WANTS: [&str; 2] = ["/etc/systemd/system/sockets.target.wants", "/etc/systemd/system/multi-user.target.wants"];

/// Whether a daemon is installed.
pub(super) fn installed(root: &Root) -> bool {
    let unit = UNITS.iter().any(|directory| root.exists(Path::new(directory).join("postrider.service")));
    unit || root.exists("/etc/init.d/postrider") || root.exists(listen::PATH)
}

/// Whether a systemd timer runs a queue.
fn timer(root: &Root) -> bool {
    root.exists("/etc/systemd/system/timers.target.wants/postrider.timer")
}

fn enabled(root: &Root) -> bool {
    let wanted = |name: &str| WANTS.iter().any(|directory| root.exists(Path::new(directory).join(name)));
    wanted("postrider.socket") || wanted("postrider.service") || root.exists("/etc/runlevels/default/postrider")
}

/// Whether the daemon works the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Daemon {
    Answers,
    Silent,
    /// Another machine's, which cannot be asked.
    Unknown,
}

/// The daemon's socket and service.
pub(super) fn service(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let root = scene.root;
    let start = "systemctl enable --now postrider.socket postrider.service";
    if !installed(root) {
        findings.push(Finding::ok("service", "no daemon is installed: each message is delivered by who sends it"));
    } else if !enabled(root) && root.exists("/run/systemd/system") | !scene.live {
        let what = "the daemon is installed, and nothing starts it when the machine starts";
        findings.push(Finding::warning("service", what).fix(start));
    }
    if !scene.live || !installed(root) {
        return;
    }
    let socket = client::socket();
    match client::ask(&socket, &Request::Status) {
        Ok(Reply::Status { pid, paused, .. }) => {
            findings.push(Finding::ok("service", format!("the daemon answers, process {pid}")).at(socket.display()));
            findings.extend(paused.iter().map(|pause| {
                let what = format!("the sender {} waits: {}", pause.lane, pause.reason);
                Finding::warning("service", what).fix(format!("postrider test {}", pause.lane))
            }));
        }
        Ok(_) => findings.push(Finding::ok("service", "the daemon answers").at(socket.display())),
        Err(AskError::Refused(what)) => findings.push(Finding::warning("service", what).at(socket.display())),
        Err(error) => {
            let finding = Finding::error("service", error.to_string());
            findings.push(finding.fix("systemctl restart postrider.service; journalctl -u postrider -n 20"));
        }
    }
}

/// The daemon's queue, and the caller's own.
pub(super) fn queue(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let daemon = match scene.live && scene.root.exists(client::socket()) {
        true => match client::ask(&client::socket(), &Request::Status) {
            Err(AskError::Absent(_) | AskError::Broken(_)) => Daemon::Silent,
            _ => Daemon::Answers,
        },
        false if scene.live => Daemon::Silent,
        false => Daemon::Unknown,
    };
    let worked = match daemon {
        Daemon::Answers => true,
        Daemon::Silent => false,
        Daemon::Unknown => enabled(scene.root),
    };
    let start = "systemctl enable --now postrider.socket postrider.service";
    directory(scene, &scene.root.at(&scene.config.queue.directory), worked, start, findings);
    if let Some(own) = desk::own_directory().filter(|_| scene.live && scene.config.queue.direct == Direct::OnFailure) {
        let line = "crontab -e, and add the line: */5 * * * * /usr/sbin/sendmail -q";
        directory(scene, &own, cron::flushes(scene) || timer(scene.root), line, findings);
    }
}

fn directory(scene: &Scene<'_>, directory: &Path, worked: bool, start: &str, findings: &mut Vec<Finding>) {
    for path in aside::list(directory).unwrap_or_default() {
        let what = "was set aside when the queue was damaged, and may hold mail";
        let command = format!("postrider queue salvage {}", directory.display());
        findings.push(Finding::warning(AREA, what).at(path.display()).run(command));
    }
    let found = match inspect::inspect(directory) {
        Ok(Some(found)) => found,
        Ok(None) => return,
        Err(error) => {
            let finding = Finding::error(AREA, error.to_string()).at(directory.display());
            let hidden = finding::is_hidden(directory) || finding::is_hidden(&directory.join("queue.db"));
            let fix =
                if hidden { AS_ROOT } else { "a restart of the daemon saves what can be read of a damaged queue" };
            return findings.push(finding.fix(fix));
        }
    };
    let before = findings.len();
    findings.extend(space(directory, scene.config.queue.min_free));
    findings.extend(state(&found, scene.around.now.timestamp_millis(), worked, start));
    let place = directory.display();
    findings[before..].iter_mut().for_each(|finding| finding.place = Some(place.to_string()));
    if findings.len() == before {
        findings
            .push(Finding::ok(AREA, format!("{}, sound, with space", counted(found.messages, "message"))).at(place));
    }
}

/// What the content of a queue says.
fn state(found: &Inspection, now: i64, worked: bool, start: &str) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Some(damage) = &found.damage {
        let what = format!("the database is damaged: {damage}");
        all.push(Finding::error(AREA, what).fix("systemctl restart postrider.service, which saves what can be read"));
    }
    if found.messages > found.held && !worked {
        let what = match found.messages - found.held {
            1 => "1 message waits and nobody delivers it".to_owned(),
            waiting => format!("{waiting} messages wait and nobody delivers them"),
        };
        all.push(Finding::error(AREA, what).fix(start));
    }
    let age =
        found.oldest.map(|oldest| Duration::from_millis(u64::try_from(now.saturating_sub(oldest)).unwrap_or_default()));
    if let Some(age) = age.filter(|age| *age > OLD) {
        let what = format!("the oldest message has waited for {} days", age.as_secs() / 86_400);
        all.push(Finding::warning(AREA, what).fix("postrider queue show --all tells why"));
    }
    if found.held > 0 {
        let are = if found.held == 1 { "is" } else { "are" };
        let what = format!("{} {are} on hold", counted(found.held, "message"));
        all.push(Finding::warning(AREA, what).fix("postrider queue list --held, then postrider queue release"));
    }
    all
}

/// Whether there is room for more.
fn space(directory: &Path, floor: u64) -> Option<Finding> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let fix = format!("df -h {0}; df -i {0}; remove files, or set queue.directory", directory.display());
    let what = format!("{} MiB are free, and queue.min_free keeps {} MiB", free >> 20, floor >> 20);
    if free < floor {
        return Some(Finding::error(AREA, format!("{what}: no mail is accepted")).fix(fix));
    }
    if free < floor.saturating_mul(2) {
        return Some(Finding::warning(AREA, what).fix(fix));
    }
    let short = disk.f_files > 0 && disk.f_favail < INODES;
    short.then(|| Finding::warning(AREA, format!("only {} inodes are free", disk.f_favail)).fix(fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_queue_says() {
        let quiet = Inspection { messages: 0, held: 0, oldest: None, damage: None };
        assert!(state(&quiet, 0, false, "start").is_empty());
        let waiting = Inspection { messages: 3, held: 1, oldest: Some(0), damage: Some("x".into()) };
        let found = state(&waiting, 3 * 86_400_000, false, "start");
        let said: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(
            said,
            [
                "the database is damaged: x",
                "2 messages wait and nobody delivers them",
                "the oldest message has waited for 3 days",
                "1 message is on hold"
            ]
        );
        assert_eq!(state(&waiting, 0, true, "start").len(), 2);
        let one = Inspection { messages: 1, held: 0, oldest: None, damage: None };
        assert_eq!(state(&one, 0, false, "start")[0].what, "1 message waits and nobody delivers it");
    }

    #[test]
    fn space_runs_out() {
        let here = Path::new("/");
        assert!(space(here, u64::MAX).is_some_and(|finding| finding.level == super::super::finding::Level::Error));
        assert!(space(Path::new("/nonexistent"), 0).is_none());
    }
}
