//! `sendmail -bs`: SMTP on standard input and output, as Symfony Mailer, Alpine and nmh speak it.

use crate::nasty::{COMPLETE, crlf, files, home, normal, server};
use crate::support::run::{Finished, Home};
use crate::support::script::{Fault, Script};
use crate::support::server::{Message, Server};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const TEXT: &str = "Subject: x\n\nhi\n";

/// A whole dialogue, with LF.
fn dialogue(recipients: &[&str], text: &str) -> String {
    let recipients: String = recipients.iter().map(|one| format!("RCPT TO:<{one}>\n")).collect();
    format!("EHLO me\nMAIL FROM:<shop@example.com>\n{recipients}DATA\n{COMPLETE}{text}.\n")
}

fn run(home: &Home, input: &str) -> Finished {
    home.run("sendmail", &["-bs"], input)
}

/// The codes of the replies; of those of several lines, the last.
fn codes(finished: &Finished) -> Vec<&str> {
    let last = |line: &&str| line.get(3..4) == Some(" ");
    finished.stdout.lines().filter(last).map(|line| &line[..3]).collect()
}

fn scripted(script: Script) -> (Server, Home) {
    let server = ["PIPELINING", "8BITMIME", "DSN"].iter().fold(script, |all, line| all.offer(line)).start();
    let home = home(&server);
    (server, home)
}

#[test]
fn bare_lf_and_crlf_say_the_same() {
    let text = format!("{COMPLETE}{TEXT}");
    let whole = dialogue(&["a@b.test", "c@d.test"], TEXT) + "QUIT\n";
    for input in [whole.clone(), whole.replace('\n', "\r\n"), whole.replace("QUIT\n", "QUIT\r\n")] {
        let server = server();
        let finished = run(&home(&server), &input).expect(0);
        assert_eq!(codes(&finished), ["220", "250", "250", "250", "250", "354", "250", "221"], "{}", finished.stdout);
        assert!(finished.stdout.lines().all(|line| !line.is_empty()) && finished.stdout.ends_with("\r\n"));
        assert_eq!(finished.stdout.matches('\n').count(), finished.stdout.matches("\r\n").count());
        assert_eq!(finished.stderr, "");
        let messages = server.messages();
        assert_eq!((messages.len(), messages[0].from.as_str()), (1, "shop@example.com"));
        assert_eq!(messages[0].recipients, ["a@b.test", "c@d.test"]);
        assert_eq!(messages[0].text, crlf(text.as_bytes()));
    }
}

#[test]
fn dots_and_line_ends_in_the_text() {
    let server = server();
    let text = "X: 1\n\n..\n..x\n.y\na\rb\nlong\n\n\n";
    let finished = run(&home(&server), &(dialogue(&["a@b.test"], text) + "QUIT\n")).expect(0);
    assert_eq!(codes(&finished).last(), Some(&"221"), "{}", finished.stdout);
    let want = format!("{COMPLETE}X: 1\n\n.\n.x\ny\na\nb\nlong\n\n\n");
    assert_eq!(String::from_utf8_lossy(&server.messages()[0].text), String::from_utf8_lossy(&crlf(want.as_bytes())));
}

#[test]
fn the_small_commands() {
    let server = server();
    let input = "HELO me\nNOOP\nNOOP with words\nVRFY root\nEXPN staff\nHELP\nHELP DATA\nRSET\nRSET x\nSTARTTLS\nAUTH PLAIN AGEAYg==\n\
        FROB\n\nDATA\nRCPT TO:<a@b.test>\nMAIL FROM nonsense\nMAIL FROM:<a@b.test>\nMAIL FROM:<a@b.test>\nDATA\nRSET\nDATA\nQUIT x\nQUIT\nNOOP\n";
    let finished = run(&home(&server), input).expect(0);
    let want = [
        "220", "250", "250", "250", "252", "502", "214", "214", "250", "501", "502", "502", "500", "500", "503", "503",
        "501", "250", "503", "554", "250", "503", "501", "221",
    ];
    assert_eq!(codes(&finished), want, "{}", finished.stdout);
    assert_eq!(finished.stderr, "");
    assert!(server.connections().is_empty(), "nothing is said to a server without a message");
}

#[test]
fn several_messages_in_one_session() {
    let server = server();
    let one = |to: &str, text: &str| dialogue(&[to], text).replace("EHLO me\n", "");
    let input = format!(
        "{}{}RSET\nMAIL FROM:<>\nRCPT TO:<root>\nRSET\n{}QUIT\n",
        one("a@b.test", "\nfirst\n"),
        one("c@d.test", "\nsecond\n"),
        one("e@f.test", "\nthird\n"),
    );
    let finished = run(&home(&server), &input).expect(0);
    let done = ["250", "250", "354", "250"];
    let want = [&["220"][..], &done, &done, &["250", "250", "250", "250"], &done, &["221"]].concat();
    assert_eq!(codes(&finished), want, "{}", finished.stdout);
    let messages = server.messages();
    let texts: Vec<_> = messages.iter().map(|one| (one.recipients[0].as_str(), one.text.clone())).collect();
    let text = |body: &str| crlf(format!("{COMPLETE}\n{body}\n").as_bytes());
    assert_eq!(texts, [("a@b.test", text("first")), ("c@d.test", text("second")), ("e@f.test", text("third"))]);
}

#[test]
fn messages_of_one_session_have_identifiers_of_their_own() {
    let server = server();
    let one = "MAIL FROM:<shop@example.com>\nRCPT TO:<a@b.test>\nDATA\nFrom: shop@example.com\n\nhi\n.\n";
    run(&home(&server), &format!("{one}{one}QUIT\n")).expect(0);
    let messages = server.messages();
    let want = "Date: +\r\nMessage-ID: +\r\nFrom: shop@example.com\r\n\r\nhi\r\n";
    assert!(messages.iter().all(|one| String::from_utf8_lossy(&normal(&one.text)) == want), "{messages:?}");
    let identifier = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        text.lines().find(|line| line.starts_with("Message-ID")).map(str::to_owned)
    };
    assert_ne!(identifier(&messages[0].text), identifier(&messages[1].text));
}

#[test]
fn an_end_without_quit() {
    let server = server();
    let home = home(&server);
    let whole = dialogue(&["a@b.test"], TEXT);
    let finished = run(&home, &whole).expect(0);
    assert_eq!((codes(&finished).last(), finished.stderr.as_str()), (Some(&"250"), ""));
    assert_eq!(server.messages().len(), 1);
    for (end, status) in
        [("", 0), ("EHLO", 0), ("EHLO me\n", 0), ("EHLO me\nMAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\n", 0)]
    {
        assert_eq!(run(&home, end).expect(status).stderr, "", "{end:?}");
    }
    for cut in ["DATA\n", "Subject: x\n", "hi\n", "\nhi\n."] {
        let end = whole.find(cut).unwrap() + cut.len();
        let finished = run(&home, &whole[..end]).expect(74);
        assert_eq!(
            finished.stderr,
            "sendmail: standard input ended in the middle of a message; nothing of it was sent\n"
        );
    }
    assert_eq!(server.messages().len(), 1, "half a message is none");
}

#[test]
fn half_a_chunk_is_no_message() {
    let server = server();
    let home = home(&server);
    let start = "MAIL FROM:<shop@example.com>\nRCPT TO:<a@b.test>\n";
    let whole = format!("{start}BDAT 12\nSubject: x\n\nBDAT 3 LAST\nhi\nQUIT\n");
    let finished = run(&home, &whole).expect(0);
    assert_eq!(codes(&finished), ["220", "250", "250", "250", "250", "221"], "{}", finished.stdout);
    assert!(server.messages()[0].text.ends_with(b"Subject: x\r\n\r\nhi\r\n"));
    run(&home, &format!("{start}BDAT 12\nSubject: x\n\n")).expect(74);
    run(&home, &format!("{start}BDAT 1000 LAST\nSubject: x\n\n")).expect(74);
    assert_eq!(server.messages().len(), 1);
}

/// Talks before it listens, then in turns, as a client on a pipe may.
#[test]
fn early_talkers_and_turns() {
    let server = server();
    let home = home(&server);
    let mut child = Command::new(home.path("bin/sendmail"))
        .args(["-bs", "-i"])
        .env_clear()
        .env("POSTRIDER_CONFIG", home.path("postrider.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut reply = || {
        let mut line = String::new();
        while line.get(3..4) != Some(" ") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0);
        }
        line[..3].to_owned()
    };
    input.write_all(b"EHLO early\n").unwrap();
    assert_eq!((reply(), reply()), ("220".to_owned(), "250".to_owned()));
    let text = format!("{COMPLETE}{TEXT}.");
    for (line, code) in
        [("MAIL FROM:<shop@example.com>", "250"), ("RCPT TO:<a@b.test>", "250"), ("DATA", "354"), (&text, "250")]
    {
        writeln!(input, "{line}").unwrap();
        assert_eq!(reply(), code, "{line}");
    }
    assert_eq!(server.messages().len(), 1, "the reply after the dot comes when the server has answered");
    writeln!(input, "QUIT").unwrap();
    assert_eq!(reply(), "221");
    // It ends by itself, with its input still open.
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn refusals_come_in_the_servers_words() {
    let answer = |script: Script, recipients: &[&str]| {
        let (server, home) = scripted(script);
        let finished = run(&home, &(dialogue(recipients, TEXT) + "QUIT\n")).expect(0);
        assert_eq!(finished.stderr, "");
        let lines: Vec<String> = finished.stdout.lines().map(str::to_owned).collect();
        (lines[lines.len() - 2].clone(), server.messages().len())
    };
    let no_such_user = Script::new().reply("RCPT", "550 5.1.1 no such user here");
    let (line, sent) = answer(no_such_user, &["a@b.test"]);
    assert!(
        line.starts_with("550 5.1.1 ") && line.contains("no such user here") && line.contains("a@b.test"),
        "{line}"
    );
    assert_eq!(sent, 0);
    let (line, _) = answer(Script::new().reply("MAIL", "553 5.7.1 not your address"), &["a@b.test"]);
    assert!(line.starts_with("553 5.7.1 ") && line.contains("not your address"), "{line}");
    let (line, _) = answer(Script::new().reply("DOT", "554 5.7.1 spam, we think"), &["a@b.test"]);
    assert!(line.starts_with("554 5.7.1 ") && line.contains("spam, we think"), "{line}");
    let (line, _) = answer(Script::new().reply("RCPT", "451 4.7.1 greylisted"), &["a@b.test"]);
    assert!(line.starts_with("451 4.7.1 ") && line.contains("greylisted"), "{line}");
    let (line, _) = answer(Script::new().on("CONNECT", Fault::Close), &["a@b.test"]);
    assert!(line.starts_with("451 4.3.0 ") && line.contains("127.0.0.1"), "{line}");
    // One of two: the reply says who was sent the message, and never that trying again would help.
    let one_of_two = Script::new().on_nth("RCPT", 2, Fault::Reply("451 4.7.1 greylisted".into()));
    let (line, sent) = answer(one_of_two, &["a@b.test", "c@d.test"]);
    assert!(line.starts_with("554 ") && line.contains("c@d.test") && line.contains("sent to a@b.test"), "{line}");
    assert_eq!(sent, 1);
}

#[test]
fn a_message_that_cannot_be_sent_ends_neither_session_nor_the_next_message() {
    let server = server();
    let home = home(&server);
    let bad = dialogue(&["a@b.test"], "\nhi\0there\n");
    let good = dialogue(&["c@d.test"], TEXT);
    let finished = run(&home, &format!("{bad}{good}QUIT\n")).expect(0);
    let replies = codes(&finished);
    assert_eq!(replies[4..6], ["354", "554"], "{}", finished.stdout);
    assert_eq!(replies.last(), Some(&"221"));
    assert_eq!(server.messages().len(), 1);
    let finished = run(&home.config("[default]\nserver = 7\n"), &format!("{good}QUIT\n")).expect(0);
    assert!(finished.stdout.contains("\r\n451 4.3.0 "), "{}", finished.stdout);
}

#[test]
fn bcc_goes_and_what_is_missing_is_added() {
    let server = server();
    let home = home(&server);
    let input = "MAIL FROM:<shop@example.com>\nRCPT TO:<root>\nDATA\nFrom: shop@example.com\nBcc : x@y.test\nTo: root\n\nhi\n.\n";
    run(&home, input).expect(0);
    let message = server.messages().remove(0);
    assert_eq!(message.recipients, ["root@local.example"], "-bs takes its recipients from RCPT alone");
    let want = "Date: +\r\nMessage-ID: +\r\nFrom: shop@example.com\r\nTo: root@local.example\r\n\r\nhi\r\n";
    assert_eq!(String::from_utf8_lossy(&normal(&message.text)), want);
}

/// A dialogue with two recipients that want different things, one that wants none of its own, and their parameters at
/// the next server.
const WISHES: [(&str, &str); 4] = [
    ("<a@b.test> NOTIFY=SUCCESS,DELAY", "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.test"),
    ("<c@d.test> ORCPT=rfc822;C+2Bx@D.test NOTIFY=NEVER", "NOTIFY=NEVER ORCPT=rfc822;C+2Bx@D.test"),
    ("<e@f.test>", ""),
    ("<g@h.test> orcpt=UTF-8;p\\x{E9}l\\x{e9}@f.test", "ORCPT=utf-8;p\\x{E9}l\\x{E9}@f.test"),
];

fn wishes() -> String {
    let recipients: String = WISHES.iter().map(|(said, _)| format!("RCPT TO:{said}\n")).collect();
    format!("EHLO me\nMAIL FROM:<shop@example.com> RET=HDRS ENVID=QQ+3D7\n{recipients}DATA\n{COMPLETE}{TEXT}.\nQUIT\n")
}

#[track_caller]
fn expect_wishes(message: &Message) {
    assert!(message.parameters.contains("RET=HDRS ENVID=QQ+3D7"), "{}", message.parameters);
    assert_eq!(message.recipient_parameters, WISHES.map(|(_, sent)| sent));
}

#[test]
fn notifications_are_passed_on_for_each_recipient() {
    let (server, home) = scripted(Script::new());
    run(&home, &wishes()).expect(0);
    expect_wishes(&server.messages().remove(0));
    // What the command line says holds for those who say nothing.
    home.run("sendmail", &["-bs", "-N", "delay"], wishes()).expect(0);
    let message = server.messages().remove(1);
    assert_eq!(message.recipient_parameters[2], "NOTIFY=DELAY ORCPT=rfc822;e@f.test");
    assert_eq!(message.recipient_parameters[1], WISHES[1].1);
}

#[test]
fn notifications_survive_the_queue() {
    let (server, home) = scripted(Script::new().on_nth("MAIL", 1, Fault::Reply("451 later".into())));
    let toml = std::fs::read_to_string(home.path("postrider.toml")).unwrap();
    home.write("postrider.toml", format!("{toml}\n[queue]\ndirect = \"on-failure\"\nretry = [\"1s\"]\n"));
    let finished = run(&home, &wishes()).expect(0);
    assert_eq!(codes(&finished).last(), Some(&"221"), "{}", finished.stdout);
    assert!(server.messages().is_empty() && finished.stdout.contains("\n250 2.0.0 "), "{}", finished.stdout);
    for _ in 0..50 {
        home.run("sendmail", &["-q"], "").expect(0);
        if !server.messages().is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    expect_wishes(&server.messages().remove(0));
}

#[test]
fn beyond_ascii_where_it_was_asked_for() {
    let (server, home) = scripted(Script::new().offer("SMTPUTF8"));
    let input = |asked: &str, rcpt: &str| {
        format!("EHLO me\nMAIL FROM:<shop@example.com>{asked}\nRCPT TO:{rcpt}\nDATA\n{COMPLETE}{TEXT}.\nQUIT\n")
    };
    let finished = run(&home, &input("", "<a@b.test> ORCPT=utf-8;p\u{e9}l\u{e9}@f.test")).expect(0);
    assert_eq!(codes(&finished)[3], "553", "{}", finished.stdout);
    let finished = run(&home, &input(" SMTPUTF8", "<a@b.test> ORCPT=rfc822;p\u{e9}l\u{e9}@f.test")).expect(0);
    assert_eq!(codes(&finished)[3], "501", "{}", finished.stdout);
    run(&home, &input(" SMTPUTF8", "<p\u{e9}@b.test> ORCPT=utf-8;p\u{e9}l\u{e9}@f.test")).expect(0);
    run(&home, &input(" SMTPUTF8", "<p\u{e9}@b.test> NOTIFY=FAILURE")).expect(0);
    let sent: Vec<String> = server.messages().into_iter().flat_map(|message| message.recipient_parameters).collect();
    assert_eq!(sent, ["ORCPT=utf-8;p\u{e9}l\u{e9}@f.test", "NOTIFY=FAILURE ORCPT=utf-8;p\u{e9}@b.test"]);
}

#[test]
fn the_next_servers_words_come_back_with_one_code() {
    let server = Script::new().reply("DOT", "250 2.0.0 queued as ABC123").start();
    let finished = run(&home(&server), &(dialogue(&["a@b.test"], TEXT) + "QUIT\n")).expect(0);
    assert!(finished.stdout.contains("\r\n250 2.0.0 queued as ABC123\r\n"), "{}", finished.stdout);
}

#[test]
fn without_an_input_there_is_only_a_greeting() {
    let server = server();
    let home = home(&server);
    for script in ["exec sendmail -bs <&-", "exec sendmail -bs </dev/null", "exec sendmail -bs <>/dev/null"] {
        let finished = home.program(Path::new("/bin/sh"), &["-c", script], "").expect(0);
        assert_eq!((codes(&finished), finished.stderr.as_str()), (vec!["220"], ""), "{script}");
    }
    assert!(server.connections().is_empty());
}

#[test]
fn hostile_dialogues_are_bounded() {
    let server = server();
    let home = home(&server);
    let before = files(&home.path(""));
    let finished = run(&home, &"FROB\n".repeat(1000)).expect(0);
    assert_eq!(codes(&finished).last(), Some(&"421"), "{}", finished.stdout);
    let finished = run(&home, &format!("{}\nQUIT\n", "x".repeat(10 << 20))).expect(0);
    assert_eq!(codes(&finished), ["220", "500", "221"]);
    let finished = run(&home, "MAIL FROM:<a@b.test>\rRCPT TO:<c@d.test>\nNOOP\0\nQUIT\n").expect(0);
    assert_eq!(codes(&finished), ["220", "500", "500", "221"]);
    let finished = run(&home, "MAIL FROM:<a@b.test> X=1\nRCPT TO:<c@d.test>\nQUIT\n").expect(0);
    assert_eq!(codes(&finished), ["220", "555", "503", "221"]);
    assert!(server.connections().is_empty());
    assert_eq!(files(&home.path("")), before);
}
