//! What another user owns or may change: no log, mailbox or file is written through a link of his, and nothing of his decides
//! what is run. All of it as root, who gives files to another user and has the most to lose.

use crate::daemon::{self, MESSAGE};
use crate::support::run::Home;
use crate::support::script::Script;
use crate::support::server::Server;
use crate::support::skip;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// A user of no machine.
const MALLORY: u32 = 70_001;

fn home(server: &Server, keys: &str) -> Home {
    let home = Home::new();
    std::fs::set_permissions(home.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    let server = format!("[default]\nserver = \"smtp+plain://127.0.0.1:{}\"\n", server.port);
    home.config(&format!("{server}{keys}"))
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// A directory of the other user, as he could prepare it.
fn theirs(home: &Home, name: &str) -> PathBuf {
    let path = home.path(name);
    std::fs::create_dir_all(&path).unwrap();
    chown(&path, Some(MALLORY), Some(MALLORY)).unwrap();
    path
}

fn send(home: &Home) -> crate::support::run::Finished {
    home.run("sendmail", &["-t", "-L", "x $(id) y"], MESSAGE)
}

#[test]
fn no_log_goes_where_another_user_laid_a_link() {
    if !skip::require("no_log_goes_where_another_user_laid_a_link", "root") {
        return;
    }
    let server = Script::new().start();
    let home = home(&server, "");
    let (folder, victim) = (theirs(&home, "logs"), home.path("victim"));
    let second = home.write("second", "precious\n");
    std::fs::create_dir(home.path("own")).unwrap();
    std::fs::hard_link(&second, home.path("own/hard")).unwrap();
    let shown = |name: &str| folder.join(name).display().to_string();
    for name in ["all.log", "one.log", "rc.log", "box"] {
        symlink(&victim, folder.join(name)).unwrap();
    }
    let port = server.port;
    let default = format!("[default]\nserver = \"smtp+plain://127.0.0.1:{port}\"\n");
    for toml in [
        format!("[log]\nto = \"{}\"\n{default}", shown("all.log")),
        format!("[log]\nto = \"{}\"\n{default}", shown("new.log")),
        format!("{default}log_file = \"{}\"\ndebug = true\n", shown("one.log")),
        format!("[log]\nto = \"{}\"\n{default}", home.path("own/hard").display()),
    ] {
        home.write("postrider.toml", format!("aliases = \"off\"\n{toml}"));
        send(&home).expect(0);
        let found = home.run("postrider", &["check"], "").expect(2).stdout;
        assert!(found.contains("could lay a link") || found.contains("several names"), "{found}");
    }
    // A mailbox file: the mail is not lost, and its file is not another's.
    home.write(
        "postrider.toml",
        format!("aliases = \"off\"\n{default}\n[staging]\ncapture = \"mbox:{}\"\n", shown("box")),
    );
    assert_ne!(send(&home).status, 0);
    home.write("postrider.toml", format!("aliases = \"off\"\n{default}"));
    let rc = home.write(
        "rc",
        format!("account default\nhost 127.0.0.1\nport {port}\nfrom a@b.test\nlogfile {}\n", shown("rc.log")),
    );
    home.run("msmtp", &["-C", rc.to_str().unwrap(), "you@example.org"], MESSAGE).expect(0);
    assert!(!victim.exists() && !folder.join("new.log").exists());
    assert_eq!(std::fs::read_to_string(second).unwrap(), "precious\n");
}

#[test]
fn a_daemon_of_root_writes_no_log_for_another_user() {
    if !skip::require("a_daemon_of_root_writes_no_log_for_another_user", "root") {
        return;
    }
    let server = Script::new().start();
    let home = home(&server, "");
    let (folder, victim) = (theirs(&home, "logs"), home.path("victim"));
    let port = server.port;
    let toml = format!(
        "aliases = \"off\"\n[log]\nto = \"{0}/all.log\"\n[queue]\ndirectory = \"{1}\"\n[default]\n\
         server = \"smtp+plain://127.0.0.1:{port}\"\nlog_file = \"{0}/one.log\"\n",
        folder.display(),
        home.path("queue").display()
    );
    home.write("postrider.toml", toml);
    symlink(&victim, folder.join("one.log")).unwrap();
    let socket = home.path("s");
    let mut daemon = std::process::Command::new(home.path("bin/postrider"))
        .args(["serve", "--socket", socket.to_str().unwrap()])
        .env_clear()
        .envs(home.surroundings())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    daemon::until("it listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    symlink(&victim, folder.join("all.log")).unwrap();
    let client = Home::new().env("POSTRIDER_SOCKET", &socket);
    client.run("sendmail", &["-t"], MESSAGE).expect(0);
    daemon::until("it is sent", || server.messages().len() == 1);
    client.run("postrider", &["reload"], "").expect(0);
    client.run("sendmail", &["-t"], MESSAGE).expect(0);
    daemon::until("it is sent again", || server.messages().len() == 2);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(!victim.exists());
}

#[test]
fn another_user_lays_no_link_in_a_shared_directory_either() {
    let name = "another_user_lays_no_link_in_a_shared_directory_either";
    if !skip::require(name, "root") || !skip::require(name, "setpriv") {
        return;
    }
    let server = Script::new().start();
    let home = home(&server, "");
    let shared = home.path("shared");
    std::fs::create_dir(&shared).unwrap();
    mode(&shared, 0o777);
    let victim = home.write("victim", "precious\n");
    chown(&victim, Some(65534), None).unwrap();
    symlink(&victim, shared.join("link.log")).unwrap();
    mode(&home.path("postrider.toml"), 0o644);
    for (log, kept) in [("link.log", false), ("new.log", true)] {
        let toml = format!(
            "aliases = \"off\"\n[log]\nto = \"{}\"\n[default]\nserver = \"smtp+plain://127.0.0.1:{}\"\n",
            shared.join(log).display(),
            server.port
        );
        home.write("postrider.toml", toml);
        let program = home.path("bin/sendmail");
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", program.to_str().unwrap(), "-t"];
        home.program(Path::new("/usr/bin/setpriv"), &nobody, MESSAGE).expect(0);
        let written = std::fs::metadata(shared.join(log)).is_ok_and(|facts| facts.uid() == 65534 && facts.len() > 20);
        assert_eq!(written, kept, "{log}");
    }
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious\n");
}

#[test]
fn what_decides_what_is_run_is_asked_for_its_owner() {
    if !skip::require("what_decides_what_is_run_is_asked_for_its_owner", "root") {
        return;
    }
    let server = Script::new().auth("x", "pw", &["PLAIN"]).auth_in_clear().start();
    let login = "user = \"x\"\nallow_plaintext_password = true\n";
    let ran = |home: &Home| home.path("ran").exists();
    let fresh = || {
        let home = home(&server, "");
        let program = home.write("pw", format!("#!/bin/sh\ntouch {}\necho pw\n", home.path("ran").display()));
        mode(&program, 0o755);
        let command = format!("{login}password = {{ command = [\"{}\"] }}\n", program.display());
        let text = std::fs::read_to_string(home.path("postrider.toml")).unwrap();
        home.write("postrider.toml", text + &command);
        home.write("senders.d/a.toml", "");
        home
    };
    let home = fresh();
    send(&home).expect(0);
    assert!(ran(&home), "as it should be, it runs");
    type Change = fn(&Home);
    let cases: [(&str, Change, &[&str]); 9] = [
        ("config 0666", |h| mode(&h.path("postrider.toml"), 0o666), &["everybody (mode 0666)", "chmod go-w"]),
        ("config of another", |h| chown(h.path("postrider.toml"), Some(MALLORY), None).unwrap(), &["chown root"]),
        ("fragment 0646", |h| mode(&h.path("senders.d/a.toml"), 0o646), &["a.toml", "chmod go-w"]),
        ("fragment of another", |h| chown(h.path("senders.d/a.toml"), Some(MALLORY), None).unwrap(), &["chown root"]),
        ("fragments' directory of another", |h| chown(h.path("senders.d"), Some(MALLORY), None).unwrap(), &["move"]),
        ("directory 0777", |h| mode(&h.path(""), 0o777), &["the directory", "move the file"]),
        ("program 0777", |h| mode(&h.path("pw"), 0o777), &["is not run", "chmod go-w"]),
        ("program of another", |h| chown(h.path("pw"), Some(MALLORY), None).unwrap(), &["is not run", "chown root"]),
        (
            "script of another",
            |h| {
                let text = std::fs::read_to_string(h.path("postrider.toml")).unwrap();
                h.write("postrider.toml", text.replace("command = [", "command = [\"sh\", "));
                chown(h.path("pw"), Some(MALLORY), None).unwrap();
            },
            &["is not run", "chown root"],
        ),
    ];
    for (name, change, words) in cases {
        let home = fresh();
        change(&home);
        let finished = send(&home);
        assert!(
            finished.status != 0 && words.iter().all(|word| finished.stderr.contains(word)),
            "{name}: {finished:?}"
        );
        let found = home.run("postrider", &["check"], "").expect(2).stdout;
        assert!(words.iter().all(|word| found.contains(word)), "{name}: {found}");
        assert!(!ran(&home), "{name}");
    }
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn root_does_not_go_by_the_home_of_another_user() {
    if !skip::require("root_does_not_go_by_the_home_of_another_user", "root") {
        return;
    }
    let server = Script::new().auth("x", "pw", &["PLAIN"]).auth_in_clear().start();
    let home = Home::new();
    let relay = format!("server = \"smtp+plain://127.0.0.1:{}\"\nuser = \"x\"\n", server.port);
    let run = format!("touch {}; echo pw", home.path("ran").display());
    home.write(
        ".config/postrider/postrider.toml",
        format!("[default]\n{relay}allow_plaintext_password = true\npassword = {{ command = [\"sh\", \"-c\", \"{run}\"] }}\n"),
    );
    home.write(
        ".msmtprc",
        format!(
            "account default\nhost 127.0.0.1\nport {}\nauth plain\ntls off\nuser x\nfrom a@b.c\npasswordeval {run}\n",
            server.port
        ),
    );
    for path in ["", ".config", ".config/postrider", ".config/postrider/postrider.toml", ".msmtprc"] {
        chown(home.path(path), Some(MALLORY), Some(MALLORY)).unwrap();
    }
    let asked = |home: &Home| {
        for (name, arguments) in
            [("sendmail", vec!["-t"]), ("msmtp", vec!["-t"]), ("postrider", vec!["test"]), ("postrider", vec!["check"])]
        {
            home.run(name, &arguments, MESSAGE);
        }
        assert!(!home.path("ran").exists() && server.messages().is_empty());
    };
    asked(&home);
    let home = home.env("XDG_CONFIG_HOME", "/nonexistent");
    asked(&home);
    let config = home.path(".config");
    let home = home.env("HOME", "/root").env("XDG_CONFIG_HOME", config);
    asked(&home);
}

#[test]
fn a_helper_gets_no_descriptor_of_the_caller() {
    let server = Script::new().auth("x", "pw", &["PLAIN"]).auth_in_clear().start();
    let home = Home::new();
    let seen = home.path("seen");
    let program = home.write("pw", format!("#!/bin/sh\nls /proc/$$/fd >{}\necho pw\n", seen.display()));
    mode(&program, 0o755);
    let home = home.config(&format!(
        "[default]\nserver = \"smtp+plain://127.0.0.1:{}\"\nuser = \"x\"\nallow_plaintext_password = true\n\
         password = {{ command = [\"{}\"] }}\n",
        server.port,
        program.display()
    ));
    let script = "exec sendmail -t 7</etc/passwd 8>>/dev/null 33</dev/null";
    home.program(Path::new("/bin/sh"), &["-c", script], MESSAGE);
    let all = std::fs::read_to_string(seen).unwrap();
    // 10 and above are the shell's own.
    assert!(!["7", "8", "33"].iter().any(|number| all.lines().any(|line| line == *number)), "{all}");
}

#[test]
fn no_process_can_be_looked_into() {
    let server = Script::new().start();
    let home = home(&server, "");
    for (name, arguments) in [
        ("sendmail", vec!["-t"]),
        ("msmtp", vec!["--host=127.0.0.1", "--from=a@b.test", "you@example.org"]),
        ("postrider", vec!["explain", "-t"]),
        ("postrider", vec!["sendmail", "-t"]),
        ("postrider", vec!["serve", "--socket", "s"]),
    ] {
        // It waits for its input, or serves.
        let mut command = std::process::Command::new(home.path("bin").join(name));
        command.args(&arguments).env_clear().envs(home.surroundings()).current_dir(home.path(""));
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        let of = |file: &str| PathBuf::from(format!("/proc/{}/{file}", child.id()));
        let limited = || {
            let limits = std::fs::read_to_string(of("limits")).unwrap_or_default();
            let core =
                limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default().to_owned();
            core.split_ascii_whitespace().filter(|word| *word == "0").count() == 2
        };
        daemon::until(&format!("{name} {arguments:?} leaves no core"), limited);
        // What may not be dumped belongs to root in /proc, whoever runs it.
        daemon::until("it is hidden", || std::fs::metadata(of("environ")).is_ok_and(|facts| facts.uid() == 0));
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[test]
fn an_import_writes_nothing_for_another_user() {
    if !skip::require("an_import_writes_nothing_for_another_user", "root") {
        return;
    }
    let home = Home::new();
    let folder = theirs(&home, "out");
    let rc = home.write("rc", "account default\nhost smtp.example.com\nfrom a@example.com\nuser x\npassword geheim\n");
    let write = format!("--write={}", folder.display());
    let said = home.run("postrider", &["import", "msmtp", rc.to_str().unwrap(), &write], "").expect(73).stderr;
    assert!(said.contains("belongs to 70001"), "{said}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
