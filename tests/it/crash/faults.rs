//! A system call that fails in the daemon or in the client (`strace -e inject`): every message ends refused
//! and absent, or accepted and present.
//!
//! strace counts the calls of each thread by itself, so that `when=3` is the third of every thread that makes so many;
//! `3+` is that one and all after it, as on a disk that stays full.

use super::ledger::{copies, mail};
use super::{Site, wide, words};
use crate::support::script::Script;
use crate::support::skip;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Calls of the daemon, how they fail, and which of them.
const DAEMON: &[(&str, &[&str], &[&str])] = &[
    ("fdatasync", &["EIO", "ENOSPC"], &["1", "2", "3", "4", "6", "1+", "3+"]),
    ("fsync", &["EIO"], &["1", "2", "3", "1+"]),
    ("pwrite64", &["EIO", "ENOSPC", "EROFS"], &["1", "2", "3", "5", "8", "13", "21", "34", "2+", "13+"]),
    ("write", &["EIO", "ENOSPC"], &["1", "2", "3", "4", "6", "2+"]),
    ("openat", &["EMFILE", "EIO", "ENOSPC"], &["1", "8", "12", "14", "16", "18", "20", "22", "25", "28", "32", "40"]),
    ("pread64", &["EIO"], &["1", "3", "5", "8", "13", "21", "3+"]),
    ("ftruncate", &["EIO", "ENOSPC"], &["1", "2"]),
    ("unlink", &["EIO"], &["1", "1+"]),
    ("rename", &["EIO", "ENOSPC"], &["1"]),
    ("mkdir", &["ENOSPC"], &["1", "2"]),
    ("sendto", &["EPIPE"], &["1", "2", "3", "4"]),
    // The second of a thread that waits for signals is within its own process, where nothing can fail.
    ("recvfrom", &["ECONNRESET"], &["1", "3", "4", "5", "6", "7", "9"]),
    ("accept4", &["EMFILE"], &["1", "2", "3"]),
    ("clone3", &["EAGAIN"], &["2", "3", "5", "7"]),
    ("mmap", &["ENOMEM"], &["30", "34", "38"]),
];

/// The same for the client.
const CLIENT: &[(&str, &[&str], &[&str])] = &[
    ("openat", &["EMFILE", "EIO"], &["1", "2", "3", "4", "5", "6", "1+"]),
    ("read", &["EIO"], &["1", "2", "3", "4", "5", "6", "7", "8"]),
    ("recvfrom", &["EIO", "ECONNRESET"], &["1", "2", "3", "1+"]),
    ("write", &["EIO", "ENOSPC", "EPIPE"], &["1", "2", "3", "1+"]),
    ("sendto", &["EIO", "EPIPE"], &["1", "2", "1+"]),
    ("connect", &["EMFILE", "EACCES", "EAGAIN"], &["1", "1+"]),
    ("socket", &["EMFILE"], &["1"]),
    ("getrandom", &["EIO"], &["1", "1+"]),
    ("mmap", &["ENOMEM"], &["10", "20", "24", "26"]),
    ("poll", &["ENOMEM"], &["1", "2"]),
];

/// strace with one fault, as words before a command.
fn inject(call: &str, error: &str, when: &str) -> Vec<String> {
    words(&format!("strace -f -qqq -o /dev/null -e trace={call} -e inject={call}:error={error}:when={when} --"))
}

/// All faults of a table, or with `step` each so-manieth.
fn faults(table: &[(&'static str, &[&'static str], &[&'static str])], step: usize) -> Vec<[&'static str; 3]> {
    let mut all = Vec::new();
    for (call, errors, whens) in table {
        errors.iter().for_each(|error| all.extend(whens.iter().map(|when| [*call, *error, *when])));
    }
    all.into_iter().step_by(step).collect()
}

/// Whether calls can be made to fail here.
pub fn possible(test: &str) -> bool {
    if !skip::require(test, "strace") {
        return false;
    }
    let tried = std::process::Command::new("strace").args(["-qqq", "-o", "/dev/null", "true"]).output();
    let works = tried.is_ok_and(|output| output.status.success());
    if !works {
        skip::because(test, "strace may not trace here");
    }
    works
}

/// What became of a run.
#[derive(Debug, Default)]
struct Counts {
    runs: usize,
    not_started: usize,
    accepted: usize,
    refused: usize,
}

#[test]
fn of_the_daemon() {
    if !possible("of_the_daemon") {
        return;
    }
    let all = Mutex::new(faults(DAEMON, if wide() { 1 } else { 5 }));
    let (counts, failed) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some([call, error, when]) = all.lock().unwrap().pop() else { return };
                    // With a queue that is there, and, for the calls that make one, with one that is not.
                    let makes = ["fsync", "rename", "mkdir", "pwrite64"].contains(&call);
                    for is_new in [false, true].into_iter().take(1 + usize::from(wide() && makes)) {
                        let run = std::panic::catch_unwind(|| daemon_with(call, error, when, is_new, &counts));
                        if run.is_err() {
                            failed.lock().unwrap().push((call, error, when, is_new));
                        }
                    }
                }
            });
        }
    });
    let line = format!("faults of the daemon: {:?}\n", counts.into_inner().unwrap());
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
}

/// A daemon with that fault takes messages, is killed, and another one without it does the rest.
fn daemon_with(call: &str, error: &str, when: &str, is_new: bool, counts: &Mutex<Counts>) {
    let server = Script::new().start();
    let mut site = Site::plain("", server.port);
    if !is_new {
        site.start(&[]);
        site.stop();
    }
    site.spawn(&inject(call, error, when));
    let up = site.is_up();
    for id in ["1-5", "2-6000", "3-5", "4-300"] {
        site.send(id);
    }
    if up {
        settle(&site);
        site.send("5-5");
    } else {
        assert!(!site.stderr().is_empty(), "it ended without a word");
    }
    site.kill();
    site.start(&[]);
    site.send("6-5").expect(0);
    site.drain();
    site.stop();
    assert!(!site.stderr().contains("panicked"), "{}", site.stderr());
    let tally = site.ledger.settle(&copies(&server.connections()));
    assert_eq!((tally.lost, tally.damaged, tally.untold), (0, 0, 0), "{tally:?}\n{}", site.log());
    // Where every note of a result fails, the kill leaves them all unrecorded.
    assert!(tally.unexplained == 0 || when.ends_with('+'), "{tally:?}\n{}", site.log());
    let mut counts = counts.lock().unwrap();
    counts.runs += 1;
    counts.not_started += usize::from(!up);
    counts.accepted += tally.accepted - 1;
    counts.refused += tally.refused;
}

/// Gives the daemon a moment for deliveries that the fault may keep from ending.
fn settle(site: &Site) {
    let end = Instant::now() + Duration::from_millis(800);
    while Instant::now() < end && site.lines().is_none_or(|lines| !lines.is_empty()) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn of_the_client() {
    if !possible("of_the_client") {
        return;
    }
    let server = Script::new().start();
    let mut site = Site::plain("", server.port);
    site.start(&[]);
    let sendmail = site.home.path("bin/sendmail").display().to_string();
    let all = faults(CLIENT, if wide() { 1 } else { 2 });
    for (number, [call, error, when]) in all.iter().enumerate() {
        for (size, lines) in [("small", 5), ("large", 30_000)] {
            let mut arguments = inject(call, error, when);
            arguments.extend([sendmail.clone(), "-t".into(), "-i".into()]);
            let id = format!("{size}-{number}-{lines}");
            let run = site.home.program(Path::new("/usr/bin/strace"), &arguments[1..], mail(&id));
            assert!(run.status < 128, "{call} {error} {when}: {run:?}");
            // Where standard error itself cannot be written to, there are no words.
            let silent = run.status != 0 && run.stderr.is_empty() && *call != "write";
            assert!(!silent, "{call} {error} {when}: refused without a word");
            site.ledger.note(&id, &run);
        }
    }
    site.drain();
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    let line = format!("faults of the client: {} runs, {tally:?}\n", all.len() * 2);
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
    assert_eq!(tally.duplicates, 0, "{tally:?}");
    assert!(tally.accepted > 0 && tally.refused > 0, "{tally:?}");
}
