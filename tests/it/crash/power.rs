//! A power cut: the queue on a file system in an image, and the image copied as its disk is at the moment when the caller
//! is told. What the kernel still holds in memory is not in the copy.

use super::disk::Disk;
use super::ledger::{copies, mail};
use super::{Site, plain};
use crate::support::script::{Fault, Script};
use crate::support::skip;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The images are smaller than what is kept free elsewhere.
const SMALL: &str = "min_free = \"0\"";

/// A file of that many MiB with an empty ext4 in it; none, visibly, where it cannot be made.
fn image(test: &str, path: &Path, size: u64) -> Option<()> {
    if !skip::require(test, "mkfs.ext4") {
        return None;
    }
    std::fs::File::create(path).unwrap().set_len(size << 20).unwrap();
    let made = Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F"]).arg(path).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    Some(())
}

/// Mounts it; whatever is not synced stays in memory for as long as the test takes.
fn mount(test: &str, site: &Site, image: &Path) -> Option<Disk> {
    Disk::mounted(test, site, &format!("-o loop,commit=300 '{}'", image.display()))
}

/// The machine as it comes up again after the cut: what of its queue is left.
struct After {
    site: Site,
    disk: Disk,
}

impl After {
    fn of(test: &str, disk: &Path, port: u16) -> Self {
        let site = Site::plain(SMALL, port);
        let image = site.home.path("image");
        std::fs::copy(disk, &image).unwrap();
        let disk = mount(test, &site, &image).expect("another image was mounted before");
        Self { site, disk }
    }

    /// Starts the daemon: how many messages there are.
    fn start(&mut self) -> usize {
        self.site.start(&self.disk.through());
        self.site.lines().unwrap().len()
    }
}

#[test]
fn what_was_accepted_is_on_the_disk() {
    let test = "what_was_accepted_is_on_the_disk";
    let server = Script::new().start();
    let mut site = Site::plain(SMALL, server.port);
    let disk: PathBuf = site.home.path("image");
    let Some(()) = image(test, &disk, 48) else { return };
    let Some(mounted) = mount(test, &site, &disk) else { return };
    site.start(&mounted.through());
    // Small, one that is kept as a file, and the two again, so that nothing is new to the queue.
    for (count, id) in ["1-5", "2-8000", "3-50", "4-6000"].iter().enumerate() {
        // A new file each time: what is written over, ext4 writes out by itself.
        let other = format!("not-synced-{id}");
        std::fs::write(mounted.path(&other), id).unwrap();
        site.send_with(id, &["-odq", "-t", "-i"]).expect(0);
        let mut after = After::of(test, &disk, server.port);
        let lost = std::fs::read(after.disk.path(&other)).unwrap_or_default();
        assert_ne!(lost, id.as_bytes(), "the copy is no power cut: it has what nobody synced");
        assert_eq!(after.start(), count + 1, "after {id}: {}", after.site.log());
        if count == 3 {
            after.site.drain();
            after.site.stop();
        }
    }
    let tally = site.ledger.check(&copies(&server.connections()));
    assert_eq!((tally.accepted, tally.duplicates), (4, 0), "{tally:?}");

    // What was sent and noted does not come again, not even the file that was removed.
    site.drain();
    let mut after = After::of(test, &disk, server.port);
    assert_eq!(after.start(), 0);
    assert_eq!(server.messages().len(), 8);
}

/// The caller's own queue, without the daemon; none of its directories is there before.
#[test]
fn what_the_caller_keeps_is_on_the_disk() {
    let test = "what_the_caller_keeps_is_on_the_disk";
    let server = Script::new().on_nth("CONNECT", 1, Fault::Close).start();
    let site = Site::new(&format!("direct = \"on-failure\"\n{SMALL}"), &plain(server.port));
    let disk = site.home.path("image");
    let Some(()) = image(test, &disk, 32) else { return };
    let Some(mounted) = mount(test, &site, &disk) else { return };
    let caller = |on: (&Site, &Disk), program: &str, arguments: &[&str], input: &str| {
        let mut words = on.1.through();
        words.push("env".into());
        words.push(format!("POSTRIDER_CONFIG={}", site.home.path("postrider.toml").display()));
        words.push(format!("XDG_STATE_HOME={}", on.0.queue().display()));
        words.push(site.home.path("bin").join(program).display().to_string());
        words.extend(arguments.iter().map(ToString::to_string));
        site.home.program(Path::new("/usr/bin/nsenter"), &words[1..], input)
    };
    let run = caller((&site, &mounted), "sendmail", &["-t", "-i"], &mail("1-5")).expect(0);
    site.ledger.note("1-5", &run);
    let after = After::of(test, &disk, server.port);
    assert!(server.messages().is_empty(), "it is kept");
    for (program, arguments) in [("postrider", &["queue", "retry", "--all"][..]), ("sendmail", &["-q"])] {
        caller((&after.site, &after.disk), program, arguments, "").expect(0);
    }
    site.ledger.check(&copies(&server.connections()));
}
