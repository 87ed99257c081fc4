//! `postrider explain` for a user who may not read the counters.

use super::sender;
use crate::daemon::{as_nobody, nobody, until};
use crate::support::run::{Finished, Home};
use crate::support::script::Script;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A daemon whose configuration everybody may read, and whose counters nobody else may.
struct Open {
    home: Home,
    child: Child,
}

impl Open {
    fn start(senders: &str) -> Self {
        let home = Home::new();
        let socket = home.path("submit.sock");
        let home = home.env("POSTRIDER_SOCKET", &socket);
        let toml = format!(
            "domain = \"host.example\"\naliases = \"off\"\nlog = {{ to = \"off\" }}\n[queue]\ndirectory = \"{}\"\n{senders}",
            home.path("queue").display()
        );
        let config = home.write(".config/postrider/postrider.toml", toml);
        for path in [&config, &home.path(".config/postrider"), &home.path(".config"), &home.path("")] {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let child = Self::serve(&config, &socket);
        until("it answers", || UnixStream::connect(&socket).is_ok());
        Self { home, child }
    }

    fn serve(config: &Path, socket: &PathBuf) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.arg("--config").arg(config).arg("serve").arg("--socket").arg(socket);
        command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    fn explain(&self, from: &str) -> Finished {
        let mut arguments = as_nobody(&self.home, &["explain", "-t"]);
        let program = self.home.path("bin/postrider").display().to_string();
        let sendmail = self.home.path("bin/sendmail").display().to_string();
        arguments
            .iter_mut()
            .filter(|argument| **argument == sendmail)
            .for_each(|argument| argument.clone_from(&program));
        let mail = format!("From: {from}@example.com\nTo: you@example.org\n\nhello\n");
        self.home.program(Path::new("/usr/bin/setpriv"), &arguments, mail)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_daemon_tells_everybody_of_his_senders() {
    if !nobody("the_daemon_tells_everybody_of_his_senders") {
        return;
    }
    let server = Script::new().start();
    let limits = "limits = [{ recipients = 2, per = \"24h\" }]\nat_limit = \"news\"";
    let mut open = Open::start(&format!("{}{}", sender("shop", &server, limits), sender("news", &server, "")));
    let explained = open.explain("shop").expect(0).stdout;
    assert!(explained.contains("limit:         sender shop: 2 recipients per 24h: 0 used, 2 left\n"), "{explained}");
    assert!(
        explained.contains("at limit:      not reached; a message beyond it goes over sender news\n"),
        "{explained}"
    );
    for _ in 0..2 {
        let mail = "From: shop@example.com\nTo: you@example.org\n\nhello\n";
        open.home.run("sendmail", &["-odi", "-t"], mail).expect(0);
    }
    let explained = open.explain("shop").expect(0).stdout;
    assert!(explained.contains("limit:         sender shop: 2 recipients per 24h: 2 used, 0 left\n"), "{explained}");
    assert!(explained.contains("is reached; the next may go at "), "{explained}");
    assert!(explained.contains("; the message goes over sender news\n"), "{explained}");
    assert!(!open.explain("news").expect(0).stdout.contains("limit:"), "it has none");

    // Without the daemon nobody can tell, and that is said.
    let _ = open.child.kill();
    let _ = open.child.wait();
    let explained = open.explain("shop").expect(0).stdout;
    assert!(
        explained.contains("limit:         sender shop: 2 recipients per 24h: its use is not shown\n"),
        "{explained}"
    );
    let file = open.home.path("queue/limits.db");
    let why = format!(
        "it cannot be counted, so that nothing is sent (the daemon does not run, and {}: Permission denied",
        file.display()
    );
    assert!(explained.contains(&why), "{explained}");
}

#[test]
fn the_daemon_tells_nobody_of_senders_that_are_not_his() {
    if !nobody("the_daemon_tells_nobody_of_senders_that_are_not_his") {
        return;
    }
    use postrider::daemon::client;
    use postrider::daemon::protocol::{Reply, Request};
    let server = Script::new().start();
    let limits = "limits = [{ recipients = 2, per = \"24h\" }]\nusers = [\"root\"]";
    let open = Open::start(&sender("shop", &server, limits));
    let ask = |name: &str| {
        let request = Request::Room { name: name.into(), recipients: 1, bulk: false };
        client::ask(&open.home.path("submit.sock"), &request).unwrap()
    };
    assert!(matches!(ask("shop"), Reply::Room(room) if room.limits.len() == 1), "root may");
    assert!(matches!(ask("shpo"), Reply::Refused(_)));
    // In this process root asks; nobody's own explanation ends before, with the route.
    let run = open.explain("shop").expect(77);
    assert!(!run.stdout.contains("used") && run.stderr.contains("not for user nobody"), "{}", run.stderr);
}
