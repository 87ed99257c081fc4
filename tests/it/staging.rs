//! `[staging]`: nothing leaves for real recipients, whichever way a message takes.

use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const MAIL: &str = "From: shop@example.com\nTo: you@example.org\nX-Postrider-Staging: forged\nSubject: x\n\nhello\n";

/// The files of `new` in the maildir, as texts with unfolded fields, in the order of their names.
fn captured(home: &Home) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(home.path("mail/new")) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap().replace("\n ", " ")).collect()
}

fn configuration(home: &Home, server: &Server, top: &str, sender: &str) -> String {
    let place = home.path("").display().to_string();
    format!(
        "domain = \"host.example\"\naliases = \"off\"\nlog = {{ to = \"{place}/log\" }}\n{}\n[[sender]]\nname = \"shop\"\n\
         from = \"shop@example.com\"\nserver = \"smtp+plain://127.0.0.1:{}\"\n{sender}\n",
        top.replace("HOME", place.trim_end_matches('/')).replace("PORT", &server.port.to_string()),
        server.port
    )
}

fn home(server: &Server, top: &str, sender: &str) -> Home {
    let home = Home::new();
    let config = configuration(&home, server, top, sender);
    home.config(&config)
}

const CAPTURE: &str = "[default]\nserver = \"smtp+plain://127.0.0.1:PORT\"\n[staging]\ncapture = \"maildir:HOME/mail\"";

#[test]
fn a_sender_and_the_default_relay_are_captured() {
    let server = Script::new().start();
    let home = home(&server, CAPTURE, "bcc = \"archive@example.com\"");
    let run = home.run("sendmail", &["-t", "-i"], MAIL).expect(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    let text = captured(&home).pop().unwrap();
    assert!(text.starts_with("Return-Path: <shop@example.com>\nX-Postrider-Staging: would have gone to"), "{text}");
    let want = "would have gone to <you@example.org>, <archive@example.com> by sender shop\n";
    assert!(text.contains(want) && !text.contains("forged") && text.ends_with("\n\nhello\n"), "{text}");
    for arguments in [&["-t", "-i"][..], &["-t", "-a", "default"], &["-t", "-v"]] {
        home.run("sendmail", arguments, MAIL.replace("shop@", "other@")).expect(0);
    }
    assert_eq!(captured(&home).iter().filter(|text| text.contains("by default relay")).count(), 3);
    home.run("sendmail", &["-t", "-a", "shop"], MAIL).expect(0);
    let bs =
        "HELO x\r\nMAIL FROM:<shop@example.com>\r\nRCPT TO:<you@example.org>\r\nDATA\r\nx: y\r\n\r\nz\r\n.\r\nQUIT\r\n";
    let said = home.run("sendmail", &["-bs"], bs).expect(0).stdout;
    assert!(said.contains("staging: kept in maildir:"), "{said}");
    assert_eq!(captured(&home).len(), 6);
    assert!(server.connections().is_empty(), "no server is even asked");
    let log = std::fs::read_to_string(home.path("log")).unwrap();
    assert!(log.contains("staging: kept in maildir:") && log.lines().count() == 6, "{log}");
}

#[test]
fn explain_check_and_verify_say_so() {
    let server = Script::new().start();
    let home = home(&server, &format!("{CAPTURE}\nallow = [\"*@ours.example\"]"), "");
    let explained = home.run("postrider", &["explain", "-t", "me@ours.example"], MAIL).expect(0).stdout;
    let place = format!("maildir:{}", home.path("mail").display());
    for line in [
        format!("staging:       1 of the recipients are not sent to; their mail goes to {place}\n"),
        "staging:       let through: me@ours.example\n".to_owned(),
    ] {
        assert!(explained.contains(&line), "{explained}");
    }
    let verified = home.run("sendmail", &["-bv", "you@example.org", "me@ours.example"], "").expect(0).stdout;
    assert!(
        verified.lines().next().unwrap().ends_with(&format!("; staging: is kept in {place} and not sent")),
        "{verified}"
    );
    assert!(!verified.lines().nth(1).unwrap().contains("staging"), "{verified}");
    let checked = home.run("postrider", &["check"], "").expect(1).stdout;
    assert!(checked.contains(&format!("warning: [staging] is on: mail goes to {place}")), "{checked}");
    home.run("sendmail", &["-t", "-i", "me@ours.example"], MAIL).expect(0);
    let message = server.messages().pop().unwrap();
    assert_eq!(message.recipients, ["me@ours.example"]);
    assert!(!String::from_utf8_lossy(&message.text).contains("would have gone"));
    assert!(captured(&home)[0].contains("<you@example.org> by sender shop"));
}

#[test]
fn redirected_mail_goes_to_one_address_over_the_same_account() {
    let server = Script::new().on_nth("RCPT", 3, Fault::Reply("550 5.1.1 no such user".into())).start();
    let top = "[staging]\nredirect_to = \"dev@example.net\"\nallow = [\"*@ours.example\"]";
    let home = home(&server, top, "");
    home.run("sendmail", &["-t", "-i", "me@ours.example", "two@example.org"], MAIL).expect(0);
    let messages = server.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(
        (messages[0].recipients[0].as_str(), messages[1].recipients[0].as_str()),
        ("dev@example.net", "me@ours.example")
    );
    let text = String::from_utf8_lossy(&messages[0].text).replace("\r\n ", " ");
    assert!(
        text.contains("X-Postrider-Staging: would have gone to <two@example.org>, <you@example.org> by sender shop"),
        "{text}"
    );
    let run = home.run("sendmail", &["-t", "-i"], MAIL).expect(67);
    assert!(run.stderr.contains("staging, redirected to dev@example.net"), "{}", run.stderr);
}

#[test]
fn a_mailbox_file_serves_too_and_what_cannot_be_kept_is_an_error() {
    let server = Script::new().start();
    let top = "[queue]\ndirectory = \"HOME\"\n[staging]\ncapture = \"file\"";
    let one = home(&server, top, "");
    for _ in 0..2 {
        one.run("sendmail", &["-t", "-i"], MAIL).expect(0);
    }
    let text = std::fs::read_to_string(one.path("staging.mbox")).unwrap();
    assert_eq!(text.matches("From shop@example.com ").count(), 2, "{text}");
    let two = home(&server, "[staging]\ncapture = \"maildir:HOME/none/mail\"", "");
    let run = two.run("sendmail", &["-t", "-i"], MAIL).expect(74);
    assert!(run.stderr.contains("nothing was sent") && run.stderr.lines().count() == 1, "{}", run.stderr);
    assert!(two.run("postrider", &["check"], "").expect(2).stdout.contains("[staging] capture: "));
    assert!(server.connections().is_empty());
}

#[test]
fn a_slip_in_staging_lets_nothing_out() {
    let server = Script::new().start();
    for bad in [
        "[staging]",
        "[staging]\ncapture = \"maildir:relative\"",
        "[staging]\ncapture = \"maildir:/a\"\nredirect_to = \"a@b.test\"",
        "[staging]\nredirect_to = \"root\"",
        "[staging]\ncatpure = \"file\"",
        "[staging]\ncapture = \"file\"\nallow = [\"nonsense\"]",
    ] {
        let home = home(&server, bad, "");
        home.run("sendmail", &["-t", "-i"], MAIL).expect(78);
        home.write(
            ".msmtprc",
            format!("account default\nhost 127.0.0.1\nport {}\ntls off\nfrom a@b.test\n", server.port),
        );
        home.run("msmtp", &["you@example.org"], MAIL).expect(78);
    }
    assert!(server.connections().is_empty());
}

#[test]
fn an_msmtprc_is_no_way_out() {
    let server = Script::new().start();
    let rc = format!("account default\nhost 127.0.0.1\nport {}\ntls off\nfrom a@b.test\n", server.port);
    let top = "[default]\nrelay = \"msmtprc\"\nmsmtprc = \"HOME/rc\"\n[staging]\ncapture = \"maildir:HOME/mail\"";
    let home = home(&server, top, "");
    home.write("rc", &rc);
    home.run("sendmail", &["-t", "-i"], MAIL.replace("shop@", "other@")).expect(0);
    home.run("sendmail", &["-t", "-i", "-a", "default"], MAIL).expect(0);
    assert_eq!(captured(&home).iter().filter(|text| text.contains("by msmtprc account default")).count(), 2);
    // msmtp's own file, and an account on the command line.
    home.write(".msmtprc", &rc);
    home.run("msmtp", &["you@example.org"], MAIL).expect(0);
    let (host, port) = ("--host=127.0.0.1".to_owned(), format!("--port={}", server.port));
    home.run("msmtp", &[host.as_str(), &port, "--from=a@b.test", "you@example.org"], MAIL).expect(0);
    assert!(
        home.run("msmtp", &["--pretend", "you@example.org"], MAIL).expect(0).stdout.contains("staging: mail goes to")
    );
    assert_eq!(captured(&home).len(), 4);
    assert!(server.connections().is_empty());
}

#[test]
fn what_was_queued_before_is_captured_by_the_queue_run() {
    let server = Script::new().reply("RCPT", "450 4.2.1 later").start();
    let queue = "[queue]\ndirect = \"on-failure\"\nretry = [\"1s\"]";
    let home = home(&server, queue, "");
    home.run("sendmail", &["-t", "-i"], MAIL).expect(0);
    assert!(!home.run("mailq", &[] as &[&str], "").expect(0).stdout.contains("staging"));
    let asked = server.connections().len();
    let staging = format!("{queue}\n[staging]\ncapture = \"maildir:HOME/mail\"");
    home.write("postrider.toml", configuration(&home, &server, &staging, ""));
    let listed = home.run("mailq", &[] as &[&str], "").expect(0).stdout;
    assert!(listed.contains("(staging: is kept in maildir:"), "{listed}");
    std::thread::sleep(Duration::from_millis(1200));
    home.run("sendmail", &["-q"], "").expect(0);
    assert_eq!((captured(&home).len(), server.connections().len()), (1, asked));
    assert!(home.run("mailq", &[] as &[&str], "").expect(0).stdout.contains("empty"));
}

/// A daemon that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, happened: impl Fn() -> bool) {
    for _ in 0..3000 {
        if happened() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

fn daemon(home: &Home) -> Daemon {
    let socket = home.path("submit.sock");
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.arg("--config").arg(home.path("postrider.toml")).arg("serve").arg("--socket").arg(&socket);
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Daemon(command.spawn().unwrap());
    until("it answers", || UnixStream::connect(&socket).is_ok());
    daemon
}

#[test]
fn the_daemon_captures_new_mail_old_mail_and_bounces() {
    let server = Script::new().reply("RCPT", "450 4.2.1 later").start();
    let home = Home::new();
    let socket = home.path("submit.sock");
    let home = home.env("POSTRIDER_SOCKET", &socket);
    let queue = "[queue]\ndirectory = \"HOME/queue\"\nretry = [\"1h\"]";
    home.write("postrider.toml", configuration(&home, &server, queue, "bcc = \"archive@example.com\""));
    let _daemon = daemon(&home);
    home.run("sendmail", &["-t", "-i", "-odi"], MAIL).expect(0);
    until("it was asked", || home.run("mailq", &[] as &[&str], "").stdout.contains("450 4.2.1 later"));
    let asked = server.connections().len();
    // Switched on while a message waits.
    let staging = format!("{queue}\n[staging]\ncapture = \"maildir:HOME/mail\"\nallow = [\"no@refused.example\"]");
    home.write("postrider.toml", configuration(&home, &server, &staging, "bcc = \"archive@example.com\""));
    home.run("postrider", &["reload"], "").expect(0);
    let listed = home.run("mailq", &["--json"], "").expect(0).stdout;
    assert!(listed.contains("\"staging\":\"staging: is kept in maildir:"), "{listed}");
    let shown = home.run("postrider", &["queue", "show", "--recipient", "you@example.org"], "").expect(0).stdout;
    assert!(shown.contains("  staging   is kept in maildir:"), "{shown}");
    home.run("sendmail", &["-q"], "").expect(0);
    until("the old one is captured", || captured(&home).len() == 1);
    home.run("sendmail", &["-t", "-i", "-odi"], MAIL).expect(0);
    until("the new one is captured", || captured(&home).len() == 2);
    assert_eq!(server.connections().len(), asked);
    assert!(captured(&home).iter().all(|text| text.contains("<archive@example.com> by sender shop")));
    let log = std::fs::read_to_string(home.path("log")).unwrap();
    assert!(log.contains("[staging] is on: mail goes to maildir:"), "{log}");
}

#[test]
fn a_bounce_is_captured_too() {
    let server = Script::new().reply("RCPT", "550 5.1.1 no such user").start();
    let home = Home::new();
    let socket = home.path("submit.sock");
    let home = home.env("POSTRIDER_SOCKET", &socket);
    let top =
        "[queue]\ndirectory = \"HOME/queue\"\n[staging]\ncapture = \"maildir:HOME/mail\"\nallow = [\"*@let.example\"]";
    home.write("postrider.toml", configuration(&home, &server, top, ""));
    let _daemon = daemon(&home);
    home.run("sendmail", &["-i", "-odb", "no@let.example"], MAIL).expect(0);
    until("the bounce", || captured(&home).len() == 1);
    let text = captured(&home).pop().unwrap();
    assert!(text.starts_with("Return-Path: <>\n") && text.contains("<shop@example.com> by sender shop"), "{text}");
    assert!(text.contains("Status: 5.1.1"), "{text}");
    assert!(server.messages().is_empty());
}
