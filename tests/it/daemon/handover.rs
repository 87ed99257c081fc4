//! A message goes over the socket: kept, refused or waited for, once.

use super::{Daemon, MESSAGE, as_nobody, nobody, taking, until};
use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use postrider::daemon::client::{self, HandOver};
use postrider::daemon::protocol::{Reply, Request, Submit};
use postrider::message::read::{self, ReadRules};
use postrider::queue::{Action, Filter};
use std::path::Path;

fn submission(id: &str) -> Submit {
    serde_json::from_value(serde_json::json!({
        "id": id, "program": "sendmail", "from": null, "full_name": null, "extract": true, "account": null,
        "delivery": "Queue", "errors": "Print", "dsn": {"notify": null, "ret": null, "envid": null}, "tag": null,
        "recipients": []
    }))
    .unwrap()
}

#[test]
fn it_returns_when_the_message_is_kept() {
    // A server that never greets: whoever waited for it would never return.
    let server = Script::new().on("CONNECT", Fault::Hang).start();
    let daemon = Daemon::start(&server, "");
    let run = daemon.home().run("sendmail", &["-t", "-i"], MESSAGE).expect(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "silence on success");
    assert_eq!(daemon.queued(), 1);
    let run = daemon.home().run("sendmail", &["-v", "-t"], MESSAGE).expect(0);
    assert!(run.stderr.contains("the daemon has it as "), "{}", run.stderr);
    assert_eq!(daemon.queued(), 2);
    assert!(daemon.log().contains("queued"), "{}", daemon.log());
}

#[test]
fn it_is_delivered_as_it_was_given() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let arguments = ["-i", "-f", "shop@example.com", "--", "a@example.org", "b@example.org"];
    daemon.home().run("sendmail", &arguments, "From: shop@example.com\n\n.\nlast").expect(0);
    until("it is delivered", || server.messages().len() == 1);
    let message = &server.messages()[0];
    assert_eq!(message.recipients, ["a@example.org", "b@example.org"]);
    assert!(String::from_utf8_lossy(&message.text).ends_with("\r\n\r\n.\r\nlast\r\n"));
    let large: String = MESSAGE.to_owned() + &"0123456789abcde\n".repeat(400_000);
    daemon.home().run("sendmail", &["-t"], &large).expect(0);
    until("the large one too", || server.messages().len() == 2);
    assert_eq!(String::from_utf8_lossy(&server.messages()[1].text).matches("0123456789abcde\r\n").count(), 400_000);
}

#[test]
fn what_was_asked_of_single_recipients_goes_with_them() {
    let server = Script::new().offer("DSN").start();
    let daemon = Daemon::start(&server, "");
    let input = "EHLO me\nMAIL FROM:<shop@example.com>\nRCPT TO:<a@b.test> NOTIFY=NEVER\n\
                 RCPT TO:<c@d.test> ORCPT=rfc822;C+2Bx@D.test\nDATA\nFrom: shop@example.com\n\nhi\n.\nQUIT\n";
    daemon.home().run("sendmail", &["-bs"], input).expect(0);
    until("it is delivered", || server.messages().len() == 1);
    assert_eq!(
        server.messages()[0].recipient_parameters,
        ["NOTIFY=NEVER ORCPT=rfc822;a@b.test", "ORCPT=rfc822;C+2Bx@D.test"]
    );
}

#[test]
fn odi_waits_for_the_real_result() {
    let server = Script::new().on_nth("RCPT", 2, Fault::Reply("550 5.1.1 nobody of that name".into())).start();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    let run = home.run("sendmail", &["-odi", "-t"], MESSAGE).expect(0);
    assert_eq!((server.messages().len(), run.stderr.as_str()), (1, ""));
    let run = home.run("sendmail", &["-odi", "-t"], MESSAGE).expect(67);
    assert!(run.stderr.contains("5.1.1 nobody of that name"), "{}", run.stderr);
    home.run("sendmail", &["-odi", "-oee", "-t"], MESSAGE).expect(0);
}

#[test]
fn odq_waits_for_the_next_run() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    daemon.home().run("sendmail", &["-odq", "-t"], MESSAGE).expect(0);
    daemon.home().run("sendmail", &["-odi", "-t"], MESSAGE).expect(0);
    assert_eq!((server.messages().len(), daemon.queued()), (1, 1), "the first stays");
    let Reply::Messages(lines) = daemon.ask(&Request::List { filter: Filter::default(), limit: 10 }) else { panic!() };
    assert_eq!((lines.len(), lines[0].state.as_str(), lines[0].from.as_str()), (1, "deferred", "shop@example.com"));
    assert_eq!(daemon.ask(&Request::Flush { filter: Filter::default() }), Reply::Touched(1));
    until("the queue run delivers it", || server.messages().len() == 2);
}

#[test]
fn refusals_are_those_of_a_direct_delivery() {
    let server = taking();
    let closed = format!(
        "[[sender]]\nname = \"closed\"\nfrom = \"closed@example.com\"\nserver = \"smtp+plain://127.0.0.1:{}\"\n\
         users = [\"somebody-else\"]\n",
        server.port
    );
    let daemon = Daemon::start(&server, &closed);
    let home = daemon.home();
    let cases: [(&[&str], &str, i32, &str); 6] = [
        (&["-t"], "From: shop@example.com\n\nno recipient\n", 64, "no recipient"),
        (&["-t"], "From: shop@example.com\nTo: <broken\n\nx\n", 65, "is no address"),
        (&["-t"], "From: shop@example.com\nTo: a@b.example\n\nnul \0\n", 65, "NUL"),
        (&["-t"], &MESSAGE.replace("shop@", "closed@"), 77, "not for user"),
        (&["-t", "-a", "shpo"], MESSAGE, 78, "the nearest is \"shop\""),
        (&["-t"], "From: other@example.net\nTo: a@b.example\n\nx\n", 77, "refuses"),
    ];
    for (arguments, message, status, said) in cases {
        let direct = Home::new();
        let direct = direct.env("POSTRIDER_CONFIG", daemon.path("postrider.toml"));
        let ours = direct.run("sendmail", arguments, message).expect(status);
        let theirs = home.run("sendmail", arguments, message).expect(status);
        assert!(theirs.stderr.starts_with("sendmail: ") && theirs.stderr.contains(said), "{}", theirs.stderr);
        assert_eq!(ours.stderr, theirs.stderr);
    }
    let run = home.run("sendmail", &["-oeq", "-t", "-a", "closed"], MESSAGE).expect(77);
    assert_eq!(run.stderr, "");
    assert_eq!(daemon.queued(), 0);
}

#[test]
fn the_kernel_says_who_it_is() {
    if !nobody("the_kernel_says_who_it_is") {
        return;
    }
    let server = taking();
    let daemon = Daemon::start(&server, "users = [\"root\"]");
    let home = daemon.home().env("USER", "root").env("LOGNAME", "root");
    let setpriv = Path::new("/usr/bin/setpriv");
    let run = home.program(setpriv, &as_nobody(&home, &["-t"]), MESSAGE).expect(77);
    assert!(run.stderr.contains("not for user nobody"), "{}", run.stderr);
    home.run("sendmail", &["-t"], MESSAGE).expect(0);
    // The same configuration, closed to nobody, works for those it lets.
    let open = Daemon::start(&server, "users = [\"nobody\"]");
    let home = open.home();
    home.program(setpriv, &as_nobody(&home, &["-odq", "-t"]), MESSAGE).expect(0);
    let Reply::Messages(lines) = open.ask(&Request::List { filter: Filter::default(), limit: 9 }) else { panic!() };
    assert_eq!(lines[0].uid, 65_534);
    // Whoever may not enter the socket's directory is told so.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(open.path(""), std::fs::Permissions::from_mode(0o700)).unwrap();
    let run = home.program(setpriv, &as_nobody(&home, &["-t"]), MESSAGE).expect(77);
    assert!(run.stderr.contains("submit.sock") && run.stderr.contains("nothing was kept"), "{}", run.stderr);
}

#[test]
fn the_same_id_is_the_same_message() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let message = read::read(&mut MESSAGE.as_bytes(), ReadRules::default()).unwrap();
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let HandOver::Verdict(verdict) = client::submit(&daemon.socket(), submission(&"ab".repeat(16)), &message)
        else {
            panic!()
        };
        assert!(verdict.status == 0 && verdict.kept);
        numbers.push(verdict.queued);
    }
    numbers.dedup();
    assert_eq!((numbers.len(), daemon.queued()), (1, 1));
    for id in ["", "short", &"zz".repeat(16)] {
        let HandOver::Verdict(verdict) = client::submit(&daemon.socket(), submission(id), &message) else { panic!() };
        assert!(verdict.status == 76 && !verdict.kept, "{verdict:?}");
    }
    let mut forged = submission(&"cd".repeat(16));
    forged.dsn.envid = Some("x\r\nRCPT TO:<victim@example.org>".into());
    let HandOver::Verdict(verdict) = client::submit(&daemon.socket(), forged, &message) else { panic!() };
    assert_eq!((verdict.status, daemon.queued()), (64, 1));
    let touched = daemon.ask(&Request::Act { filter: Filter::default(), action: Action::Delete });
    assert_eq!((touched, daemon.queued()), (Reply::Touched(1), 0));
}

#[test]
fn smtp_on_standard_input_is_handed_over_too() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let dialogue = "EHLO x\nMAIL FROM:<shop@example.com>\nRCPT TO:<you@example.org>\nRCPT TO:<bare>\nDATA\n\
                    From: shop@example.com\n\nby SMTP\n.\nMAIL FROM:<a@example.net>\nRCPT TO:<you@example.org>\nDATA\n\
                    From: a@example.net\n\nrefused\n.\nQUIT\n";
    let run = daemon.home().run("sendmail", &["-bs"], dialogue).expect(0);
    assert!(run.stdout.contains("\r\n550 5.7.1 "), "{}", run.stdout);
    until("it is delivered", || server.messages().len() == 1);
    let recipients = &server.messages()[0].recipients;
    assert!(recipients[1].starts_with("bare@") && !recipients[1].contains("invalid"), "{recipients:?}");
}
