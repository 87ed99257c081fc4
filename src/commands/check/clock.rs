//! The clock: certificates, limits and the dates of messages hang on it. Is it plainly wrong, and does something keep it right?

use super::Scene;
use super::finding::Finding;
use crate::sys::{env, spawn};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

const AREA: &str = "clock";
const FIX: &str = "timedatectl set-ntp true";
/// When this program was not yet written: 2026-11-01. A clock before that has lost its battery.
const WRITTEN: i64 = 1_793_491_200;
/// How far a file may be ahead of the clock, seconds: other machines write to shared disks.
const AHEAD: i64 = 86_400;
/// How long the question for the kernel's state may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Looks at it.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    findings.push(behind(scene).unwrap_or_else(|| kept(scene)));
}

/// Where it is plainly wrong: before this program was written or installed, or before a file was changed.
fn behind(scene: &Scene<'_>) -> Option<Finding> {
    let now = scene.around.now.timestamp();
    if now < WRITTEN {
        let what = format!("the clock says {}, which is long past", scene.around.now.format("%Y-%m-%d"));
        return Some(Finding::error(AREA, what).fix(FIX));
    }
    let machine = ["/var/lib/dpkg/status", "/etc/passwd"].map(|file| scene.root.at(file));
    let program = env::program().filter(|_| scene.live);
    let files = scene.config.files.iter().cloned().chain(machine).chain(program);
    let (changed, file) = files.filter_map(|file| Some((file.metadata().ok()?.mtime(), file))).max()?;
    let what = format!(
        "the clock is behind: it says {}, and this file was changed later",
        scene.around.now.format("%Y-%m-%d %H:%M")
    );
    (changed > now + AHEAD).then(|| Finding::error(AREA, what).at(file.display()).fix(FIX))
}

/// Whether something keeps it right: what the kernel says, else what time services leave behind.
fn kept(scene: &Scene<'_>) -> Finding {
    let trace = trace(scene);
    match scene.live.then(kernel).flatten() {
        Some(true) => Finding::ok(AREA, "the clock is synchronized, as the kernel says"),
        Some(false) if scene.root.exists("/run/systemd/container") => {
            Finding::ok(AREA, "the clock is that of the host, and not behind the files")
        }
        Some(false) => {
            let what = match trace {
                Some(_) => "the clock is not synchronized, as the kernel says, though a time service runs",
                None => "nothing keeps the clock right: it is not synchronized, as the kernel says",
            };
            Finding::warning(AREA, what).fix(FIX)
        }
        None if trace.is_none() && scene.root.exists("/run/systemd/system") => {
            Finding::warning(AREA, "nothing keeps the clock right (no NTP client has set it)").fix(FIX)
        }
        None => Finding::ok(AREA, "the clock is not behind the files"),
    }
}

/// Whether the kernel counts the clock as synchronized (adjtimex); `None` where nobody here can tell.
fn kernel() -> Option<bool> {
    let argv = ["timedatectl", "show", "--property=NTPSynchronized", "--value"].map(str::to_owned);
    match spawn::output(&argv, ANSWER).ok()?.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// What a time service leaves behind; a container has its host's clock.
fn trace(scene: &Scene<'_>) -> Option<&'static str> {
    const TRACES: [&str; 7] = [
        "/run/systemd/timesync/synchronized",
        "/run/chrony",
        "/run/chrony/chronyd.pid",
        "/run/ntpd.pid",
        "/run/ntpsec",
        "/run/openntpd.pid",
        "/run/systemd/container",
    ];
    TRACES.into_iter().find(|trace| scene.root.exists(trace))
}
