//! What depends on the system's own files and sockets: the host's canonical name, and the system's log. In a namespace of
//! its own, as nobody may bring a /dev/log or an /etc/hosts of one's own.

use super::{MESSAGE, only, rc, script};
use crate::support::namespace::Namespace;
use crate::support::run::{Finished, Home};
use crate::support::script::Script;
use crate::support::server::Server;
use std::time::Duration;

/// A moment, for what is logged right after the sending.
const MOMENT: Duration = Duration::from_secs(20);

/// A home whose `msmtp` is what stands at the sendmail's place in the namespace.
fn start(script: Script, lines: &str) -> (Server, Home) {
    let server = script.start();
    let home = Home::new().config("[log]\nto = \"off\"\n[default]\nrelay = \"refuse\"\n");
    std::os::unix::fs::symlink("/usr/sbin/sendmail", home.path("msmtp")).unwrap();
    // HOME is /root there.
    home.write("root/.msmtprc", rc(&server, lines));
    (server, home)
}

fn send(namespace: &Namespace<'_>, home: &Home) -> Finished {
    namespace.run(&[&home.path("msmtp").display().to_string(), "r@example.net"], MESSAGE)
}

#[test]
fn the_canonical_name_of_the_host() {
    let test = "msmtp::system::the_canonical_name_of_the_host";
    let (server, home) = start(script(), "domain %C\nfrom %U@%C");
    let Some(mut namespace) = Namespace::new(test, &home) else { return };
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    namespace.file("/etc/hosts", &format!("127.0.0.1 localhost\n127.0.1.1 box.canonical.example {host}\n"));
    send(&namespace, &home).expect(0);
    assert_eq!(server.connections()[0].commands[0], "EHLO box.canonical.example");
    assert_eq!(only(&server).from, "root@box.canonical.example");
}

#[test]
fn the_systems_log_has_msmtps_line() {
    let test = "msmtp::system::the_systems_log_has_msmtps_line";
    for (setting, priority) in [("on", 14), ("LOG_MAIL", 22), ("LOG_LOCAL3", 158)] {
        let (server, home) = start(script(), &format!("syslog {setting}"));
        let Some(namespace) = Namespace::new(test, &home) else { return };
        send(&namespace, &home).expect(0);
        let line = namespace.logged(" host=127.0.0.1 ", MOMENT);
        assert!(line.starts_with(&format!("<{priority}>")) && line.contains(" msmtp["), "{line}");
        let fields = "tls=off auth=off from=joe@example.com recipients=r@example.net mailsize=";
        assert!(line.contains(fields) && line.ends_with("exitcode=EX_OK"), "{line}");
        only(&server);
    }
    let (_server, home) = start(script().reply("RCPT", "550 5.1.1 nobody here"), "syslog on");
    let Some(namespace) = Namespace::new(test, &home) else { return };
    send(&namespace, &home).expect(65);
    let line = namespace.logged(" host=127.0.0.1 ", MOMENT);
    assert!(line.contains("smtpmsg='550 5.1.1 nobody here'") && line.ends_with("exitcode=EX_DATAERR"), "{line}");
}
