//! What msmtp is known to do wrong is not done wrong here: a test each.

use super::{MESSAGE, home, only, rc, script, send, text, with_login};
use crate::support::certs::{Authority, Kind};
use crate::support::run::Home;
use crate::support::script::Fault;
use std::path::Path;

#[test]
fn the_timeout_holds_inside_tls() {
    let authority = Authority::new();
    let server = script().implicit_tls(&authority.issue(Kind::Valid)).on("EHLO", Fault::Hang).start();
    let home = home(&server, "tls on\ntls_starttls off\ntls_trust_file ~/ca.pem\ntimeout 1");
    home.write("ca.pem", authority.pem());
    let finished = home.run("msmtp", &["r@example.net"], MESSAGE).expect(69);
    assert!(finished.stderr.contains("EHLO") && finished.stderr.contains("in time"), "{}", finished.stderr);
}

#[test]
fn a_stalled_quit_does_not_hang_what_was_sent() {
    let server = script().on("QUIT", Fault::Hang).start();
    send(&server, "", &["r@example.net"]).expect(0);
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn nothing_is_sent_before_the_input_has_ended() {
    let server = script().start();
    let home = home(&server, "");
    let story = "{ printf 'Subject: x\\n\\nhalf of i'; sleep 0.5; kill -TERM $(cat pid); sleep 0.2; } | \
                 sh -c 'echo $$ > pid; exec msmtp r@example.net'";
    let finished = home.program(Path::new("/bin/sh"), &["-c", &format!("cd {}; {story}", home.path("").display())], "");
    assert_ne!(finished.status, 0);
    assert!(server.connections().is_empty(), "{:?}", server.connections());
}

#[test]
fn a_passwordeval_does_not_eat_the_message() {
    let server = with_login(script()).start();
    send(&server, "auth plain\nuser u\npasswordeval cat; echo tanstaaf", &["r@example.net"]).expect(0);
    assert!(text(&only(&server)).ends_with("\r\n\r\nhello\r\n"));
}

#[test]
fn the_transcript_hides_the_login() {
    for mechanism in ["plain", "login"] {
        for option in ["-v", "-d", "--debug"] {
            let server = with_login(script()).start();
            let lines = format!("auth {mechanism}\nuser u\npassword tanstaaf");
            let finished = send(&server, &lines, &[option, "r@example.net"]).expect(0);
            let shown = finished.stderr + &finished.stdout;
            assert!(shown.contains("AUTH") && shown.contains("[hidden]"), "{shown}");
            // The password, its base64 form, and that of PLAIN's message.
            for secret in ["tanstaaf", "dGFuc3RhYWY=", "AHUAdGFuc3RhYWY="] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
}

#[test]
fn no_spelling_of_bcc_leaves() {
    let server = script().start();
    let message =
        "From: joe@example.com\nTo: v@example.net\nBcc : hidden@example.net\nbCC:\n folded@example.net\n\nhello\n";
    home(&server, "").run("msmtp", &["-t"], message).expect(0);
    let taken = only(&server);
    assert_eq!(taken.recipients, ["v@example.net", "hidden@example.net", "folded@example.net"]);
    assert!(!text(&taken).to_lowercase().contains("bcc") && !text(&taken).contains("hidden"), "{}", text(&taken));
    let server = script().start();
    let message = "Resent-To: v@example.net\nResent-Bcc: hidden@example.net\nFrom: joe@example.com\n\nhello\n";
    home(&server, "").run("msmtp", &["-t"], message).expect(0);
    assert_eq!(only(&server).recipients, ["v@example.net", "hidden@example.net"]);
    assert!(!text(&only(&server)).contains("hidden"));
}

#[test]
fn one_refused_recipient_does_not_stop_the_others() {
    let server = script().on_nth("RCPT", 2, Fault::Reply("550 5.1.1 no such user".into())).start();
    let finished = send(&server, "", &["a@example.net", "b@example.net", "c@example.net"]).expect(69);
    assert_eq!(only(&server).recipients, ["a@example.net", "c@example.net"]);
    assert!(finished.stderr.contains("b@example.net") && finished.stderr.contains("550 5.1.1"), "{}", finished.stderr);
    assert!(finished.stderr.contains("sent to a@example.net, c@example.net"), "{}", finished.stderr);
}

#[test]
fn a_message_without_header_gets_a_blank_line() {
    for input in ["hello world\n", "hello world", "\n\nhello world\n"] {
        let server = script().start();
        home(&server, "").run("msmtp", &["r@example.net"], input).expect(0);
        let text = text(&only(&server));
        let (header, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(header.contains("From: ") && body.trim_start() == "hello world\r\n", "{text}");
    }
}

#[test]
fn the_recipient_after_an_alias_is_not_skipped() {
    let server = script().start();
    let home = home(&server, "aliases ~/aliases");
    home.write("aliases", "root: a@example.net, b@example.net # both\nops: root\ndefault: all@example.net\n");
    home.run("msmtp", &["x@example.net", "ops", "unknown", "y@example.net"], MESSAGE).expect(0);
    let recipients = ["x@example.net", "a@example.net", "b@example.net", "all@example.net", "y@example.net"];
    assert_eq!(only(&server).recipients, recipients);
}

#[test]
fn a_wildcard_from_is_no_envelope() {
    let server = script().start();
    let home = Home::new();
    home.write(".msmtprc", rc(&server, "").replace("from joe@", "from *@"));
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
    home.run("msmtp", &["-f", "ann@example.com", "r@example.net"], MESSAGE).expect(0);
    let from: Vec<String> = server.messages().into_iter().map(|message| message.from).collect();
    assert_eq!(from, ["joe@h.example", "ann@example.com"]);
}

#[test]
fn for_now_and_for_good_are_told_apart() {
    for (reply, words) in [("451 4.3.0 later", "for now"), ("550 5.7.1 never", "was refused:")] {
        let server = script().reply("DOT", reply).start();
        let finished = send(&server, "", &["r@example.net"]).expect(69);
        assert!(finished.stderr.contains(words) && finished.stderr.contains(reply), "{}", finished.stderr);
    }
}

#[test]
fn configuration_errors_are_logged() {
    let server = script().start();
    for (lines, arguments, status, why) in [
        ("logfile ~/log\nhots x", &["r@example.net"][..], 78, ".msmtprc:6: unknown command; did you mean host?"),
        ("logfile ~/log", &["-a", "shop", "r@example.net"], 78, "shop"),
        ("logfile ~/log\naliases ~/none", &["root"], 78, "none"),
        ("logfile ~/log", &["r@@example.net"], 65, "r@@example.net"),
        ("logfile ~/log", &[], 64, "no recipient"),
    ] {
        let home = home(&server, lines);
        home.run("msmtp", arguments, MESSAGE).expect(status);
        let log = std::fs::read_to_string(home.path("log")).unwrap();
        assert!(log.contains(why) && log.contains(" exitcode=EX_") && log.lines().count() == 1, "{log}");
    }
}

#[test]
fn a_message_takes_three_flights() {
    let server = script().start();
    send(&server, "", &["a@example.net", "b@example.net"]).expect(0);
    assert_eq!(server.connections()[0].flights, 3, "{:?}", server.connections());
}
