//! A disk that is full or read-only: the queue on a small file system of its own, in a private mount namespace.

use super::ledger::copies;
use super::{Site, words};
use crate::support::script::{Fault, Script};
use crate::support::skip;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A mount namespace with a small file system at one place; it goes when this is dropped.
pub struct Disk {
    holder: Child,
    place: String,
}

impl Disk {
    /// So many KiB at the site's queue; none, with a visible line, where there may be none.
    fn new(test: &str, site: &Site, size: u32) -> Option<Self> {
        Self::mounted(test, site, &format!("-t tmpfs -o size={size}k,mode=0700 tmpfs"))
    }

    /// What mount(8) mounts with these words.
    pub fn mounted(test: &str, site: &Site, words: &str) -> Option<Self> {
        if !skip::require(test, "root") || !skip::require(test, "unshare") || !skip::require(test, "nsenter") {
            return None;
        }
        let place = site.queue().display().to_string();
        std::fs::create_dir(&place).unwrap();
        let script = format!("mount {words} '{place}' && chmod 700 '{place}' && exec sleep 600");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::null());
        let disk = Self { holder: command.stderr(Stdio::null()).spawn().unwrap(), place };
        let end = Instant::now() + Duration::from_secs(5);
        while !disk.run(&["mountpoint", "-q", &disk.place]).status.success() {
            if Instant::now() > end {
                skip::because(test, "a file system of its own cannot be mounted here");
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(disk)
    }

    /// Words before a command that is to see it.
    pub fn through(&self) -> Vec<String> {
        words(&format!("nsenter --mount=/proc/{}/ns/mnt --", self.holder.id()))
    }

    fn run(&self, command: &[&str]) -> Output {
        let through = self.through();
        Command::new(&through[0]).args(&through[1..]).args(command).output().unwrap()
    }

    #[track_caller]
    fn must(&self, command: &[&str]) {
        let output = self.run(command);
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A file on it, as it is seen from outside.
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}/{name}", self.holder.id(), self.place))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Submits, for a later run of the queue, until six in a row were refused; the last refusal.
fn fill(site: &Site, round: &str) -> String {
    let mut refused = 0;
    for number in 0..1000 {
        // Small, middling, and one that is kept as a file.
        let lines = [5, 500, 5, 100, 8000][number % 5];
        let run = site.send_with(&format!("{round}-{number}-{lines}"), &["-odq", "-t", "-i"]);
        if run.status == 0 {
            refused = 0;
            continue;
        }
        assert!(run.stderr.contains("nothing was kept") || run.stderr.contains("was not kept"), "{}", run.stderr);
        refused += 1;
        if refused == 6 {
            return run.stderr;
        }
    }
    panic!("the disk is never full");
}

#[test]
fn the_floor_leaves_room_to_deliver() {
    let server = Script::new().start();
    let mut site = Site::plain("min_free = \"1M\"", server.port);
    let Some(disk) = Disk::new("the_floor_leaves_room_to_deliver", &site, 4096) else { return };
    site.start(&disk.through());
    for round in ["a", "b"] {
        let said = fill(&site, round);
        assert!(said.contains("queue.min_free keeps 1 MiB"), "{said}");
        if round == "b" {
            site.kill();
            site.start(&disk.through());
        }
        site.drain();
    }
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    assert!(tally.accepted > 20, "{tally:?}");
    assert_eq!(tally.duplicates, 0, "{tally:?}");
}

#[test]
fn a_disk_without_an_octet_left_loses_nothing() {
    let server = Script::new().start();
    let mut site = Site::plain("min_free = \"0\"", server.port);
    let Some(disk) = Disk::new("a_disk_without_an_octet_left_loses_nothing", &site, 3072) else { return };
    let ballast = disk.path("ballast");
    site.start(&disk.through());
    std::fs::write(&ballast, vec![0; 512 << 10]).unwrap();
    fill(&site, "a");
    // Not an octet is left now, not even for what the kernel had promised.
    let _ = std::fs::write(disk.path("rest"), vec![0; 4 << 20]);
    site.send("full-5");
    site.kill();
    site.spawn(&disk.through());
    if site.is_up() {
        site.flush();
        std::thread::sleep(Duration::from_secs(1));
        site.kill();
    } else {
        assert!(site.stderr().contains("/queue"), "{}", site.stderr());
    }
    std::fs::remove_file(disk.path("rest")).unwrap();
    std::fs::remove_file(&ballast).unwrap();
    site.start(&disk.through());
    site.drain();
    site.send("after-5").expect(0);
    site.drain();
    site.stop();
    // While nothing could be written down, a kill left results unrecorded: each message may come twice.
    let tally = site.ledger.settle(&copies(&server.connections()));
    assert_eq!((tally.lost, tally.damaged, tally.untold), (0, 0, 0), "{tally:?}");
    assert!(tally.accepted > 10 && tally.refused >= 6, "{tally:?}");
}

#[test]
fn a_disk_that_turns_read_only() {
    let server = Script::new().start();
    let mut site = Site::plain("min_free = \"0\"", server.port);
    let Some(disk) = Disk::new("a_disk_that_turns_read_only", &site, 8192) else { return };
    site.start(&disk.through());
    site.send("1-5").expect(0);
    let place = disk.place.clone();
    // Another view of it is laid over it, since what is open for writing forbids the first to change.
    disk.must(&["mount", "--bind", &place, &place]);
    disk.must(&["mount", "-o", "remount,bind,ro", &place]);
    // What is open stays writable to the process; a new file cannot be made.
    site.send("2-5");
    let said = site.send("3-8000").stderr;
    assert!(said.contains("Read-only file system") && said.contains("nothing was kept"), "{said}");
    site.kill();
    site.spawn(&disk.through());
    assert!(!site.is_up());
    assert!(site.stderr().contains("Read-only file system"), "{}", site.stderr());
    site.send("4-5");
    disk.must(&["umount", "--lazy", &place]);
    site.start(&disk.through());
    site.send("5-8000").expect(0);
    site.drain();
    site.stop();
    let tally = site.ledger.check(&copies(&server.connections()));
    assert!(tally.refused >= 2, "{tally:?}");
}

/// A message whose report is larger than the room that is left, and which the server refuses for good.
fn refused_mail() -> String {
    let text = "x".repeat(70) + "\n";
    format!("From: shop@example.com\nTo: nobody@example.org\nSubject: returned\n\n{}", text.repeat(2000))
}

#[test]
fn a_report_waits_for_room_and_is_never_given_up() {
    // The first recipient is refused for good; reports are taken.
    let server = Script::new().on_nth("RCPT", 1, Fault::Reply("550 5.1.1 no such user".into())).start();
    let mut site = Site::plain("min_free = \"0\"", server.port);
    let Some(disk) = Disk::new("a_report_waits_for_room_and_is_never_given_up", &site, 8192) else { return };
    site.start(&disk.through());
    site.home.run("sendmail", &["-odq", "-i", "-R", "full", "nobody@example.org"], refused_mail()).expect(0);
    // What was in the log goes into the database, so that there is no room left in it.
    site.stop();
    site.start(&disk.through());
    let filled = disk.run(&["sh", "-c", &format!("head -c 16M /dev/zero > {}/ballast", disk.place)]);
    assert!(!filled.status.success(), "the disk is full");
    let length = std::fs::metadata(disk.path("ballast")).unwrap().len();
    // Enough for the failure, and not for the report.
    std::fs::OpenOptions::new().write(true).open(disk.path("ballast")).unwrap().set_len(length - (100 << 10)).unwrap();
    site.flush();
    let waits = |site: &Site| {
        let lines = site.lines().unwrap_or_default();
        let last = lines.first().and_then(|line| line.recipients.first()?.last.clone());
        last.is_some_and(|last| last.contains("the report waits") && last.contains("550 5.1.1 no such user"))
    };
    crate::daemon::until("the failure is kept without its report", || waits(&site));
    assert!(site.log().contains("the message stays until it can"), "{}", site.log());
    // A run while there is still no room changes nothing, nor does a restart.
    site.flush();
    site.kill();
    std::fs::remove_file(disk.path("ballast")).unwrap();
    site.start(&disk.through());
    assert!(waits(&site), "{:?}", site.lines());
    site.drain();
    site.stop();
    let commands: Vec<String> = server.connections().into_iter().flat_map(|one| one.commands).collect();
    let rcpts = commands.iter().filter(|line| line.starts_with("RCPT")).count();
    assert_eq!(rcpts, 2, "what failed for good is not tried again: {commands:?}");
    let arrived = server.messages();
    assert_eq!(arrived.len(), 1);
    let text = String::from_utf8_lossy(&arrived[0].text).into_owned();
    assert!(text.contains("Undelivered mail") && text.contains("550 5.1.1 no such user"), "{text}");
    assert!(text.contains("Subject: returned") && text.matches("xxxxx").count() > 1000);
}
