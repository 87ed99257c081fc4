//! What the system itself sends: Debian's cron, busybox crond, at, anacron, sudo. All call a fixed path, have no From of
//! a domain, and tell syslog how it went; so they run in a namespace of their own.

use super::{Arrived, CUSTOMER, Site, fetched, said};
use crate::support::namespace::{Daemon, Namespace};
use crate::support::skip;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// root, qualified by the configuration's `domain`.
const ROOT: &str = "root@host.example.com";
/// The same of another user.
const NOBODY: &str = "nobody@host.example.com";
/// A job, and its output.
const JOB: &str = "echo first line; echo .; echo ..two; echo; echo last line";
const OUTPUT: &str = "first line\n.\n..two\n\nlast line\n";
/// A moment, for what is logged right after the sending.
const MOMENT: Duration = Duration::from_secs(20);

/// cron with this line in its only table, mail to this address.
fn cron(namespace: &mut Namespace<'_>, mailto: &str, schedule: &str) -> Daemon {
    namespace.directory("/etc/cron.d");
    namespace.directory("/var/spool/cron/crontabs");
    namespace.file("/etc/crontab", &format!("MAILTO={mailto}\n{schedule} root {JOB}\n"));
    namespace.start(&["/usr/sbin/cron", "-f"])
}

fn cron_arrived(arrived: Arrived, account: &str) {
    arrived
        .envelope(account, ROOT, &[CUSTOMER])
        .header(&[
            "From: Cron Daemon <root@host.example.com>",
            "To: customer@example.org",
            "Subject: Cron <root@*> echo *",
        ])
        .body(OUTPUT);
}

#[test]
fn debian_cron_at_its_start() {
    let test = "clients::cron::debian_cron_at_its_start";
    let site = Site::taking();
    let Some(mut namespace) = Namespace::new(test, &site.home).filter(|_| skip::require(test, "cron")) else { return };
    let _daemon = cron(&mut namespace, CUSTOMER, "@reboot");
    cron_arrived(site.arrives(20), "server");
}

#[test]
fn debian_cron_by_the_minute() {
    let test = "clients::cron::debian_cron_by_the_minute";
    if !skip::slow(test) {
        return;
    }
    let site = Site::taking();
    let Some(mut namespace) = Namespace::new(test, &site.home).filter(|_| skip::require(test, "cron")) else { return };
    let daemon = cron(&mut namespace, CUSTOMER, "* * * * *");
    let arrived = site.arrives(90);
    drop(daemon);
    cron_arrived(arrived, "server");
}

#[test]
fn debian_cron_refused() {
    let test = "clients::cron::debian_cron_refused";
    let site = Site::refusing();
    let Some(mut namespace) = Namespace::new(test, &site.home).filter(|_| skip::require(test, "cron")) else { return };
    let _daemon = cron(&mut namespace, CUSTOMER, "@reboot");
    // 67 in hexadecimal.
    let line = namespace.logged("MAIL (mailed", MOMENT);
    assert!(line.contains("status 0x0043"), "{line}");
    site.refused();
}

#[test]
fn busybox_crond() {
    let test = "clients::cron::busybox_crond";
    if !skip::slow(test) {
        return;
    }
    let busybox = fetched("busybox/bin/busybox");
    if !busybox.is_file() {
        return skip::because(test, "busybox-static is absent (config/test.sh fetches it)");
    }
    let site = Site::taking();
    let Some(namespace) = Namespace::new(test, &site.home) else { return };
    let tables = site.home.path("tables");
    std::fs::create_dir(&tables).unwrap();
    site.home.write("tables/root", format!("MAILTO={CUSTOMER}\n* * * * * {JOB}\n"));
    let (busybox, tables) = (busybox.display().to_string(), tables.display().to_string());
    let daemon = namespace.start(&[&busybox, "crond", "-f", "-c", &tables]);
    let arrived = site.arrives(90);
    drop(daemon);
    arrived
        .envelope("server", ROOT, &[CUSTOMER])
        .header(&["From: *root@host.example.com*", "To: customer@example.org", "Subject: cron: echo *"])
        .body(OUTPUT);
}

#[test]
fn at() {
    let test = "clients::cron::at";
    for taken in [true, false] {
        let site = if taken { Site::taking() } else { Site::refusing() };
        let Some(mut namespace) = Namespace::new(test, &site.home).filter(|_| skip::require(test, "atd")) else {
            return;
        };
        let jobs = namespace.directory("/var/spool/cron/atjobs");
        let number = std::fs::File::create(jobs.join(".SEQ")).unwrap();
        let owner = std::fs::metadata(&jobs).unwrap();
        std::os::unix::fs::fchown(number, Some(owner.uid()), Some(owner.gid())).unwrap();
        namespace.directory("/var/spool/cron/atspool");
        site.home.write("job", JOB);
        let job = format!("at -f {} now && atd -f", site.home.path("job").display());
        let _daemon = namespace.start(&["/bin/sh", "-c", &job]);
        if taken {
            site.arrives(20)
                .envelope("server", ROOT, &[ROOT])
                .header(&["From: *root@host.example.com*", "To: root*", "Subject: Output from your job *"])
                .body(OUTPUT);
        } else {
            // atd does not ask what became of it.
            site.refuses(20);
        }
    }
}

#[test]
fn anacron() {
    let test = "clients::cron::anacron";
    for taken in [true, false] {
        let site = if taken { Site::taking() } else { Site::refusing() };
        let Some(namespace) = Namespace::new(test, &site.home).filter(|_| skip::require(test, "anacron")) else {
            return;
        };
        std::fs::create_dir(site.home.path("spool")).unwrap();
        // Without a lone dot: anacron gives no -i, so it would end the mail, as with every sendmail.
        let table = format!("MAILTO={CUSTOMER}\n1 0 daily {}\n", JOB.replace("echo .; ", ""));
        let table = site.home.write("anacrontab", table).display().to_string();
        let spool = site.home.path("spool").display().to_string();
        let finished =
            namespace.run(&["/usr/sbin/anacron", "-d", "-f", "-n", "-t", &table, "-S", &spool], "").expect(0);
        if taken {
            site.arrived()
                .envelope("server", ROOT, &[CUSTOMER])
                .header(&[
                    "From: *root@host.example.com*",
                    "To: customer@example.org",
                    "Subject: Anacron job 'daily' on *",
                ])
                .body(&OUTPUT.replace("\n.\n", "\n"));
        } else {
            assert!(said(&finished).contains("exited with status 67"), "{}", said(&finished));
            site.refused();
        }
    }
}

#[test]
fn sudo() {
    let test = "clients::cron::sudo";
    for taken in [true, false] {
        let site = if taken { Site::taking() } else { Site::refusing() };
        let Some(mut namespace) = Namespace::new(test, &site.home).filter(|_| skip::require(test, "sudo")) else {
            return;
        };
        let policy = format!("Defaults mailto=\"{CUSTOMER}\", !authenticate\nroot ALL=(ALL:ALL) ALL\n");
        namespace.file("/etc/sudoers", &policy);
        // Debian's sudo calls sendmail as the user who called sudo.
        // It does not wait for it and ignores what becomes of it; the namespace ends with its first process.
        let sudo = "setpriv --reuid=65534 --regid=65534 --clear-groups sudo -n true 2>/run/said; exec sleep 60";
        let _daemon = namespace.start(&["/bin/sh", "-c", sudo]);
        if taken {
            site.arrives(20)
                .envelope("server", NOBODY, &[CUSTOMER])
                .header(&[
                    "From: *nobody@host.example.com*",
                    "To: customer@example.org",
                    "Subject: *SECURITY information for *",
                ])
                .body_like("*: nobody : user NOT in sudoers ; *COMMAND=/usr/bin/true\n\n");
        } else {
            site.refuses(20);
        }
        let said = std::fs::read_to_string(site.home.path("run/said")).unwrap();
        assert!(said.contains("nobody is not in the sudoers file"), "{said}");
    }
}
