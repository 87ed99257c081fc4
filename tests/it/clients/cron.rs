//! What the system itself sends: Debian's cron, busybox crond, at, anacron, sudo. All call a fixed path, have no From of
//! a domain, and tell syslog how it went; so they run in a namespace of their own.

use super::{Arrived, CUSTOMER, REFUSAL, Site, configuration, fetched, said, script};
use crate::support::namespace::{Daemon, Namespace};
use crate::support::run::Home;
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

/// busybox's crond with one table, in which this job runs every minute; none where it cannot be had.
fn busybox_crond(test: &str, namespace: &mut Namespace<'_>, site: &Site, job: &str) -> Option<Daemon> {
    let busybox = fetched("busybox/bin/busybox");
    if !busybox.is_file() {
        skip::because(test, "busybox-static is absent (config/test.sh fetches it)");
        return None;
    }
    // It keeps a mail there by its process's number, which another test's crond has too.
    if std::path::Path::new("/var/spool/cron").is_dir() {
        namespace.directory("/var/spool/cron");
    }
    let tables = site.home.path("tables");
    std::fs::create_dir(&tables).unwrap();
    site.home.write("tables/root", format!("MAILTO={CUSTOMER}\n* * * * * {job}\n"));
    let (busybox, tables) = (busybox.display().to_string(), tables.display().to_string());
    Some(namespace.start(&[&busybox, "crond", "-f", "-c", &tables]))
}

#[test]
fn busybox_crond_taken() {
    let test = "clients::cron::busybox_crond_taken";
    if !skip::slow(test) {
        return;
    }
    let site = Site::taking();
    let Some(mut namespace) = Namespace::new(test, &site.home) else { return };
    let Some(daemon) = busybox_crond(test, &mut namespace, &site, JOB) else { return };
    let arrived = site.arrives(90);
    drop(daemon);
    arrived
        .envelope("server", ROOT, &[CUSTOMER])
        .header(&["From: *root@host.example.com*", "To: customer@example.org", "Subject: cron: echo *"])
        .body(OUTPUT);
}

#[test]
fn busybox_crond_refused() {
    let test = "clients::cron::busybox_crond_refused";
    if !skip::slow(test) {
        return;
    }
    let server = script().reply("RCPT", REFUSAL).start();
    let toml = configuration(server.port).replace("to = \"off\"", "to = \"syslog\"");
    let site = Site { home: Home::new().config(&toml), server };
    let Some(mut namespace) = Namespace::new(test, &site.home) else { return };
    let job = format!("echo again; echo ran >>{}", site.home.path("ran").display());
    let Some(_daemon) = busybox_crond(test, &mut namespace, &site, &job) else { return };
    // It asks nobody what became of a mail: postrider's log has the verdict, and the next minute comes all the same.
    for _ in 0..2 {
        let line = namespace.logged(REFUSAL, Duration::from_secs(90));
        assert!(line.contains("exit=67") && line.contains(CUSTOMER), "{line}");
    }
    let ran = std::fs::read_to_string(site.home.path("ran")).unwrap();
    assert_eq!(ran, "ran\nran\n");
    let verbs: Vec<_> = site.server.connections().iter().flat_map(|connection| connection.verbs()).collect();
    assert_eq!(verbs.iter().filter(|verb| *verb == "MAIL").count(), 2, "{verbs:?}");
    assert!(site.server.messages().is_empty());
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
