//! Local recipients: aliases, includes, the default recipient, and what `newaliases`, `explain` and `-bv` say of them.

use crate::support::run::{Finished, Home};
use crate::support::script::Script;
use crate::support::server::Server;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What cron writes.
const CRON: &str = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> echo hello\n\nhello\n";

/// A home with an alias file; `keys` go to the top of the configuration.
fn home(server: &Server, aliases: &str, keys: &str) -> Home {
    let home = Home::new();
    let file = home.write("aliases", aliases);
    let config = format!(
        "domain = \"host.example\"\naliases = \"{}\"\nlog = {{ to = \"off\" }}\n{keys}\n[default]\n\
         server = \"smtp+plain://127.0.0.1:{}\"\n[[sender]]\nname = \"cron\"\nfrom = \"root@host.example\"\n\
         server = \"smtp+plain://127.0.0.1:{}\"\nnames = {{ \"root@host.example\" = \"The Machine\" }}\n",
        file.display(),
        server.port,
        server.port
    );
    home.config(&config)
}

fn recipients(server: &Server) -> Vec<String> {
    server.messages().pop().map(|message| message.recipients).unwrap_or_default()
}

#[test]
fn crons_mail_to_root_reaches_the_administrator() {
    let server = Script::new().start();
    let home = home(&server, "# system\nroot: admin@example.com\npostmaster: root\n", "");
    // Debian's cron calls exactly so.
    let run = home.run("sendmail", &["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"], CRON).expect(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    let message = server.messages().pop().unwrap();
    assert_eq!(message.recipients, ["admin@example.com"]);
    // Its From still finds its sender.
    assert_eq!(message.from, "root@host.example");
    let text = String::from_utf8_lossy(&message.text).into_owned();
    assert!(text.contains("To: root@host.example\r\n"), "{text}");
    let explained = home.run("postrider", &["explain", "-i", "root"], CRON).expect(0).stdout;
    assert!(explained.contains("sender:        cron\n"), "{explained}");
    assert!(explained.contains("alias:         root -> admin@example.com ("), "{explained}");
    assert!(
        explained.contains("aliases:2)\n") && explained.contains("recipient:     admin@example.com\n"),
        "{explained}"
    );
    for name in ["postmaster", "ROOT", "root+job", "root@localhost", "Root@LOCALHOST"] {
        home.run("sendmail", &["-i", name], CRON).expect(0);
        assert_eq!(recipients(&server), ["admin@example.com"], "{name}");
    }
    // An address of a real domain is nobody's alias.
    home.run("sendmail", &["-i", "root@example.org"], CRON).expect(0);
    assert_eq!(recipients(&server), ["root@example.org"]);
    home.run("sendmail", &["-i", "nobody"], CRON).expect(0);
    assert_eq!(recipients(&server), ["nobody@host.example"]);
}

#[test]
fn duplicates_are_one_and_recipients_of_the_header_count() {
    let server = Script::new().start();
    let aliases = "root: admin@example.com, ops\nops: admin@Example.com,\n\tbob@example.com, \\root\n";
    let home = home(&server, aliases, "");
    let mail = "From: root\nTo: root, ops, bob@example.com\nCc: admin@example.com\n\nx\n";
    home.run("sendmail", &["-t", "-i"], mail).expect(0);
    assert_eq!(recipients(&server), ["admin@example.com", "bob@example.com", "root@host.example"]);
}

#[test]
fn what_no_alias_takes_goes_to_the_default_recipient() {
    let server = Script::new().start();
    let keys = "default_recipient = \"all@example.com\"\nlocal_domains = [\"here.example\"]";
    let home = home(&server, "root: admin@example.com, \\root\n", keys);
    for (to, want) in [
        ("bob", &["all@example.com"][..]),
        ("bob@here.example", &["all@example.com"]),
        ("root@here.example", &["admin@example.com", "all@example.com"]),
        ("bob@localhost", &["bob@localhost"]),
        ("bob@example.org", &["bob@example.org"]),
    ] {
        home.run("sendmail", &["-i", to], CRON).expect(0);
        assert_eq!(recipients(&server), want, "{to}");
    }
    let verified = home.run("sendmail", &["-bv", "root", "bob"], "").expect(0).stdout;
    assert!(verified.contains("aliased: root -> admin@example.com, \\root ("), "{verified}");
    assert!(verified.contains("aliased: bob -> all@example.com (default_recipient)\n"), "{verified}");
    assert_eq!(verified.matches("all@example.com... deliverable by cron").count(), 1, "{verified}");
}

#[test]
fn includes_are_followed_where_nobody_else_can_write_them() {
    let server = Script::new().start();
    let home = home(&server, "", "");
    let list = home.write("list", "# members\na@example.com\nb@example.com, root\n");
    home.write(
        "aliases",
        format!("root: admin@example.com\nlist: :include:{}\nowner-list: boss@example.com\n", list.display()),
    );
    home.run("sendmail", &["-i", "-f", "shop@example.org", "list"], CRON).expect(0);
    let message = server.messages().pop().unwrap();
    assert_eq!(message.recipients, ["a@example.com", "b@example.com", "admin@example.com"]);
    assert_eq!(message.from, "boss@example.com", "failures go to the list's owner");
    home.run("newaliases", &[] as &[&str], "").expect(0);

    std::fs::set_permissions(&list, std::fs::Permissions::from_mode(0o666)).unwrap();
    let run = home.run("sendmail", &["-i", "list"], CRON).expect(78);
    assert!(run.stderr.contains("chmod go-w") && run.stderr.contains("aliases:2: alias list: "), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1);
    home.run("sendmail", &["-i", "root"], CRON).expect(0);
    std::fs::set_permissions(home.path("aliases"), std::fs::Permissions::from_mode(0o666)).unwrap();
    home.run("sendmail", &["-i", "root"], CRON).expect(78);
}

#[test]
fn loops_programs_and_files_are_refused_by_name() {
    let server = Script::new().start();
    let home = home(&server, "a: b\nb: a\nprog: |/usr/bin/id\nfile: /tmp/canary\nroot: admin@example.com\n", "");
    for (name, why) in [
        ("a", "it leads back to itself: a -> b -> a"),
        (
            "prog",
            "aliases:3: alias prog: mail is not piped to programs (|/usr/bin/id); give an address, or have a [[rule]] with pipe in its place",
        ),
        (
            "file",
            "aliases:4: alias file: mail is not appended to files (/tmp/canary); give an address, or have a [[rule]] with maildir in its place",
        ),
    ] {
        let run = home.run("sendmail", &["-i", "x@example.org", name], CRON).expect(78);
        assert!(run.stderr.contains(why) && run.stderr.lines().count() == 1, "{}", run.stderr);
    }
    assert!(server.connections().is_empty(), "nobody gets a message of which a part cannot go");
    home.run("sendmail", &["-i", "root"], CRON).expect(0);
    let checked = home.run("postrider", &["check"], "").expect(1).stdout;
    assert!(checked.contains("warning: ") && checked.contains("aliases:3: alias prog: "), "{checked}");
    assert!(checked.contains("aliases:4: alias file: ") && checked.contains("[[rule]] with maildir"), "{checked}");
}

fn newaliases(home: &Home) -> Finished {
    home.run("newaliases", &[] as &[&str], "")
}

#[test]
fn newaliases_counts_and_names_lines() {
    let server = Script::new().start();
    let home = home(&server, "root: admin@example.com\n\"a b\": root\n", "");
    let file = home.path("aliases").display().to_string();
    for run in [newaliases(&home), home.run("sendmail", &["-bi"], "")] {
        assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (0, &*format!("{file}: 2 aliases\n"), ""));
    }
    home.write("aliases", "root: admin@example.com\nno colon\nx: |/bin/id -a secret\n");
    let run = newaliases(&home);
    let want = format!(
        "newaliases: {file}:2: an alias line is `name: address, address`\n\
         newaliases: {file}:3: alias x: mail is not piped to programs (|/bin/id); give an address, or have a [[rule]] with pipe in its place\n"
    );
    assert_eq!((run.status, run.stderr.as_str()), (78, want.as_str()));
    assert_eq!(run.stdout, format!("{file}: 2 aliases\n"));
    std::fs::remove_file(home.path("aliases")).unwrap();
    let run = newaliases(&home);
    assert!(run.status == 78 && run.stderr.contains(&file), "{run:?}");
    assert!(!home.path("aliases.db").exists(), "nothing is compiled");
}

#[test]
fn msmtps_format_serves_too() {
    let server = Script::new().start();
    let home = home(&server, "root: admin@example.com # c\ndefault: all@example.com\n", "aliases_format = \"msmtp\"");
    for (name, want) in [("root", "admin@example.com"), ("Root", "all@example.com")] {
        home.run("sendmail", &["-i", name], CRON).expect(0);
        assert_eq!(recipients(&server), [want]);
    }
    home.write("aliases", "root: admin@example.com\ndefault: \\root\n");
    assert_eq!(newaliases(&home).status, 78);
}

#[test]
fn the_daemon_reads_the_file_and_sees_that_it_changed() {
    let server = Script::new().start();
    let home = home(&server, "", "");
    let list = home.write("list", "one@example.com\n");
    home.write("aliases", format!("root: admin@example.com\nlist: :include:{}\n", list.display()));
    let config = std::fs::read_to_string(home.path("postrider.toml")).unwrap();
    let queue = home.path("queue").display().to_string();
    home.write("daemon.toml", format!("{config}\n[queue]\ndirectory = \"{queue}\"\n"));
    std::fs::remove_file(home.path("postrider.toml")).unwrap();
    let socket = home.path("submit.sock");
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.arg("--config").arg(home.path("daemon.toml")).arg("serve").arg("--socket").arg(&socket);
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let answers = (0..3000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        UnixStream::connect(&socket).is_ok()
    });
    // The caller has no configuration: what it says of local names, the daemon says.
    let home = home.env("POSTRIDER_CONFIG", "").env("POSTRIDER_SOCKET", &socket);
    let reached = |name: &str| {
        let status = home.run("sendmail", &["-i", "-odi", name], CRON).status;
        (status, recipients(&server).join(","))
    };
    let mut seen = Vec::new();
    for (file, text) in [
        ("list", "one@example.com\n"),
        ("list", "two@example.com\n"),
        ("list", "|program\n"),
        ("aliases", "root: admin@example.com\nlist: three@example.com\n"),
        ("aliases", "root: other@example.com\nlist: root\n"),
    ] {
        home.write(file, text);
        seen.push(reached("list"));
    }
    std::fs::remove_file(home.path("aliases")).unwrap();
    seen.push(reached("list"));
    let _ = child.kill();
    let _ = child.wait();
    assert!(answers);
    let at = |status, to: &str| (status, format!("{to}@example.com"));
    let want = [at(0, "one"), at(0, "two"), at(78, "two"), at(0, "three"), at(0, "other"), at(78, "other")];
    assert_eq!(seen, want);
}
