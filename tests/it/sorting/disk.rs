//! A maildir on a file system that is full: what does not fit waits, nothing is there in half, nothing is lost.

use super::{LISTEN, mails, send};
use crate::daemon::{Daemon, until};
use crate::listener::{Talk, ports};
use crate::support::script::Script;
use crate::support::skip;
use std::path::PathBuf;
use std::process::Command;

/// A daemon whose maildirs are on a file system of 64 KiB in a mount namespace of its own.
struct Full {
    daemon: Daemon,
    port: u16,
}

impl Full {
    /// With this for `queue.min_free`.
    fn start(test: &str, server: &crate::support::server::Server, floor: &str) -> Option<Self> {
        if !["root", "unshare", "nsenter"].iter().all(|need| skip::require(test, need)) {
            return None;
        }
        let tried =
            Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output().unwrap();
        if !tried.status.success() {
            skip::because(test, "a file system of its own cannot be mounted here");
            return None;
        }
        let script = "mkdir \"$0/mail\" && mount -t tmpfs -o size=64k,mode=0700 tmpfs \"$0/mail\" && exec \"$@\"";
        let through = |place: &str| ["unshare", "--mount", "sh", "-c", script, place].map(str::to_owned).to_vec();
        let rule = |place: &str| {
            let keys = "existing = false\n";
            format!(
                "[queue] min_free = \"{floor}\"\n{LISTEN}[[rule]]\nname = \"m\"\nmaildir = \"{place}/mail/%u\"\n{keys}"
            )
        };
        let daemon = Daemon::start_through(server, through, rule);
        let port = ports(&daemon, 1)[0];
        Some(Self { daemon, port })
    }

    /// A maildir as it is seen from outside.
    fn maildir(&self, name: &str) -> PathBuf {
        let place = self.daemon.path("mail").join(name);
        PathBuf::from(format!("/proc/{}/root{}", self.daemon.id(), place.display()))
    }

    fn files(&self, name: &str, part: &str) -> usize {
        std::fs::read_dir(self.maildir(name).join(part)).map_or(0, Iterator::count)
    }

    fn make_room(&self, size: &str) {
        let (namespace, place) = (format!("--mount=/proc/{}/ns/mnt", self.daemon.id()), self.daemon.path("mail"));
        let mut command = Command::new("nsenter");
        command.args([&namespace, "mount", "-o", &format!("remount,size={size}")]).arg(place);
        assert!(command.status().unwrap().success());
        self.daemon.home().run("sendmail", &["-q"], "").expect(0);
    }
}

#[test]
fn a_full_maildir_loses_nothing() {
    let server = Script::new().start();
    let Some(full) = Full::start("sorting::disk::a_full_maildir_loses_nothing", &server, "1") else { return };
    // One that can never fit.
    let mut talk = Talk::hello(full.port);
    talk.expect("MAIL FROM:<ann@example.org>", "250");
    talk.expect("RCPT TO:<large@example.com>", "250");
    talk.expect("DATA", "354");
    let lines = "0123456789abcdef\r\n".repeat(8000);
    talk.expect(&format!("Subject: large\r\n\r\n{lines}end\r\n."), "250");
    until("it is put off", || full.daemon.log().contains("0 MiB are free"));
    until("it waits", || full.daemon.log().contains("deferred"));
    assert_eq!((full.files("large", "new"), full.files("large", "tmp"), full.daemon.queued()), (0, 0, 1));
    // Many of which some fit.
    for number in 0..30 {
        assert!(send(full.port, "small@example.com", &format!("number {number}.")).starts_with("250 "));
    }
    let fits = || full.files("small", "new") as u64;
    until("all are in the maildir or wait", || fits() > 0 && full.daemon.log().matches("deferred").count() > 1);
    until("none is in both", || fits() + full.daemon.queued() == 31);
    assert!(mails(&full.maildir("small")).iter().all(|mail| mail.ends_with("\n\nbody\n")), "none is there in half");
    full.make_room("16m");
    until("everything is delivered", || full.daemon.queued() == 0);
    let all = mails(&full.maildir("small"));
    assert_eq!(all.len(), 30);
    for number in 0..30 {
        let subject = format!("\nSubject: number {number}.\n");
        assert_eq!(all.iter().filter(|mail| mail.contains(&subject)).count(), 1, "number {number}");
    }
    let large = mails(&full.maildir("large"));
    assert!(large.len() == 1 && large[0].ends_with("\nend\n") && large[0].len() > 8000 * 17);
    assert_eq!((full.files("large", "tmp"), full.files("small", "tmp")), (0, 0));
    assert!(server.messages().is_empty(), "nobody was told of a failure");
}

#[test]
fn the_floor_of_free_space_holds_where_rules_deliver() {
    let server = Script::new().start();
    let test = "sorting::disk::the_floor_of_free_space_holds_where_rules_deliver";
    let Some(full) = Full::start(test, &server, "32M") else { return };
    assert!(send(full.port, "ann@example.com", "x").starts_with("250 "));
    until("it is put off", || full.daemon.log().contains("queue.min_free keeps 32 MiB"));
    assert_eq!((full.files("ann", "new"), full.daemon.queued()), (0, 1));
    full.make_room("64m");
    until("it is delivered", || full.files("ann", "new") == 1);
}
