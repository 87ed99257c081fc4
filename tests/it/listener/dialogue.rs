//! What is said, line by line, and what becomes of the message.

use super::{TEXT, Talk, listening};
use crate::daemon::{taking, until};
use postrider::daemon::protocol::{Reply, Request};
use postrider::queue::Filter;

#[test]
fn a_message_goes_through_the_queue_with_its_trace() {
    let server = taking();
    let (daemon, port) = listening(&server, "hostname = \"mail.example.com\"");
    let mut talk = Talk::to(port);
    let offers = talk.say("EHLO client.example");
    for offer in ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 52428800", "SMTPUTF8", "CHUNKING", "DSN"] {
        assert!(offers.contains(&format!("250-{offer}")) || offers.ends_with(&format!("250 {offer}")), "{offers}");
    }
    assert!(!offers.contains("AUTH") && !offers.contains("STARTTLS"), "{offers}");
    let said = talk.message("shop@example.com", "you@example.org", TEXT);
    assert!(said.starts_with("250 2.0.0 Ok, queued as "), "{said}");
    talk.expect("QUIT", "221 2.0.0");
    until("it arrives", || server.messages().len() == 1);
    let message = &server.messages()[0];
    let text = String::from_utf8(message.text.clone()).unwrap();
    assert_eq!(
        (message.from.as_str(), message.recipients.as_slice()),
        ("shop@example.com", &["you@example.org".to_owned()][..])
    );
    let trace = "Received: from client.example ([127.0.0.1])\r\n\tby mail.example.com (postrider) with ESMTP\r\n\tid ";
    assert!(text.starts_with(trace) && text.contains("for <you@example.org>;"), "{text}");
    assert!(
        text.contains("\r\nMessage-ID: ") && text.contains("\r\nDate: ") && text.ends_with("\r\n\r\nbody text\r\n"),
        "{text}"
    );
    until("the log", || daemon.log().contains("tag=\"smtp:127.0.0.1\""));
}

#[test]
fn every_command_is_answered() {
    let server = taking();
    let (_daemon, port) = listening(&server, "max_size = \"1M\"\nmax_recipients = 2");
    let mut talk = Talk::to(port);
    for (line, reply) in [
        ("MAIL FROM:<shop@example.com>", "503 5.5.1"),
        ("HELO client.example", "250 "),
        ("EHLO client.example", "250-"),
        ("NOOP", "250 2.0.0"),
        ("HELP", "214 2.0.0"),
        ("VRFY postmaster", "252 2.1.5"),
        ("EXPN list", "502 5.5.1"),
        ("RSET", "250 2.0.0"),
        ("AUTH PLAIN AHRpbQB0YW5zdGFhZg==", "502 5.5.1"),
        ("STARTTLS", "502 5.5.1"),
        ("RCPT TO:<you@example.org>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("MAIL FROM:<shop@example.com> SIZE=1048577", "552 5.3.4"),
        ("MAIL FROM:<shop@example.com> SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=abc", "250 2.1.0"),
        ("MAIL FROM:<shop@example.com>", "503 5.5.1"),
        ("RCPT TO:<you@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;you@example.org", "250 2.1.5"),
        ("RCPT TO:<>", "501"),
        ("RCPT TO:<no domain>", "501"),
        ("RCPT TO:<two@example.org>", "250 2.1.5"),
        ("RCPT TO:<three@example.org>", "452 4.5.3"),
        ("RSET", "250 2.0.0"),
        ("MAIL FROM:<>", "250 2.1.0"),
        ("RCPT TO:<shop@example.com>", "250 2.1.5"),
        ("DATA", "354"),
        ("From: shop@example.com\r\n\r\na report\r\n.", "250 2.0.0"),
        ("WIBBLE", "500 5.5.2"),
        ("QUIT", "221 2.0.0"),
    ] {
        talk.expect(line, reply);
    }
    assert_eq!(talk.reply(), "", "closed");
    until("the message without a sender arrives", || server.messages().len() == 1);
    assert_eq!(server.messages()[0].from, "");
}

#[test]
fn pipelined_and_in_chunks() {
    let server = taking();
    let (_daemon, port) = listening(&server, "");
    let mut talk = Talk::hello(port);
    let begin = "MAIL FROM:<shop@example.com>\r\nRCPT TO:<you@example.org>\r\n";
    talk.send(format!("{begin}DATA\r\n"));
    let replies: Vec<String> = (0..3).map(|_| talk.reply()).collect();
    assert!(
        replies[0].starts_with("250") && replies[1].starts_with("250") && replies[2].starts_with("354"),
        "{replies:?}"
    );
    talk.send(format!("{TEXT}\r\n.\r\n{begin}BDAT {}\r\n{TEXT}BDAT 2 LAST\r\n\r\nQUIT\r\n", TEXT.len()));
    let replies: Vec<String> = (0..6).map(|_| talk.reply()).collect();
    assert!(replies[..5].iter().all(|reply| reply.starts_with("250 ")) && replies[5].starts_with("221"), "{replies:?}");
    until("both arrive", || server.messages().len() == 2);
    let text = |at: usize| String::from_utf8(server.messages()[at].text.clone()).unwrap();
    assert!(text(0).ends_with("\r\nbody text\r\n") && text(1).ends_with("\r\nbody text\r\n"));
}

#[test]
fn smuggled_ends_and_what_no_mail_may_hold() {
    let server = taking();
    let (daemon, port) = listening(&server, "");
    let second =
        "MAIL FROM:<shop@example.com>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nFrom: shop@example.com\r\n\r\nforged";
    for end in
        ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\n\r.\r\n", "\r\r\n.\r\r\n", "\r\n.\0\r\n"]
    {
        let mut talk = Talk::hello(port);
        let said = talk.message("shop@example.com", "you@example.org", format!("{TEXT}{end}{second}"));
        assert!(
            said.starts_with("554 5.6.11") || (end.contains('\0') && said.starts_with("554 5.6.0")),
            "{end:?}: {said}"
        );
        talk.expect("NOOP", "250");
    }
    let mut talk = Talk::hello(port);
    for (text, reply) in [
        ("Subject: a\0b\r\n\r\nbody".to_owned(), "554 5.6.0"),
        (format!("X-Long: {}\r\n\r\nbody", "x".repeat(2000)), "554 5.6.0"),
        (format!("{}{TEXT}", "Received: from a by b; x\r\n".repeat(51)), "554 5.4.6"),
    ] {
        let said = talk.message("shop@example.com", "you@example.org", &text);
        assert!(said.starts_with(reply), "{said}");
    }
    let bare = "From: shop@example.com\r\n\r\na\nb\r\n";
    talk.expect("MAIL FROM:<shop@example.com>", "250");
    talk.expect("RCPT TO:<you@example.org>", "250");
    talk.send(format!("BDAT {} LAST\r\n{bare}", bare.len()));
    assert!(talk.reply().starts_with("554 5.6.11"));
    for line in ["NOOP\n", "NO\rOP\r\n", "NOOP\0\r\n"] {
        talk.send(line);
        assert!(talk.reply().starts_with("500 5.5.2"), "{line:?}");
    }
    assert_eq!(daemon.queued(), 0);
    assert!(server.messages().is_empty());
    // A text without a header cannot add to our trace field.
    let said = talk.message("shop@example.com", "you@example.org", " by forged with ESMTPSA\r\nX: y\r\n");
    assert!(said.starts_with("250"), "{said}");
    until("it arrives", || server.messages().len() == 1);
    let text = String::from_utf8(server.messages()[0].text.clone()).unwrap();
    assert!(text.contains("\r\n\r\n by forged with ESMTPSA\r\nX: y\r\n"), "{text}");
    // A long line of the body is no fault: it is sent encoded.
    let said = talk.message("shop@example.com", "you@example.org", format!("{TEXT}{}", "y".repeat(1 << 20)));
    assert!(said.starts_with("250"), "{said}");
    until("it arrives", || server.messages().len() == 2);
    let text = server.messages()[1].text.clone();
    assert!(text.split(|octet| *octet == b'\n').all(|line| line.len() <= 1000));
}

#[test]
fn what_came_in_waits_for_a_rule() {
    let server = taking();
    let (daemon, port) =
        listening(&server, "purpose = \"incoming\"\ndomains = [\"example.net\"]\naddresses = [\"me@example.com\"]");
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<>", "250");
    talk.expect("RCPT TO:<relay@example.org>", "550 5.7.1");
    talk.expect("RCPT TO:<nobody@example.com>", "550 5.1.1");
    talk.expect("RCPT TO:<me%example.org@example.org>", "550 5.7.1");
    talk.expect("DATA", "554 5.5.1");
    talk.expect("RCPT TO:<ME@example.com>", "250");
    talk.expect("RCPT TO:<any@example.net>", "250");
    talk.expect("DATA", "354");
    talk.send(format!("{TEXT}\r\n.\r\n"));
    let said = talk.reply();
    assert!(said.starts_with("250 2.0.0 Ok, queued as "), "{said}");
    let Reply::Messages(lines) = daemon.ask(&Request::List { filter: Filter::default(), limit: 10 }) else {
        panic!("lines")
    };
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(
        (line.sender.as_str(), line.hold.as_deref(), line.from.as_str()),
        ("incoming", Some("no rule takes it"), "<>")
    );
    assert_eq!(line.recipients.len(), 2);
    assert!(server.messages().is_empty());
}

#[test]
fn wishes_for_reports_reach_the_server() {
    let server = crate::support::script::Script::new().offer("DSN").start();
    let (_daemon, port) = listening(&server, "");
    let mut talk = Talk::hello(port);
    talk.expect("MAIL FROM:<shop@example.com> RET=HDRS ENVID=QQ314159", "250");
    talk.expect("RCPT TO:<you@example.org> NOTIFY=SUCCESS", "250");
    talk.expect("RCPT TO:<two@example.org> NOTIFY=DELAY", "250");
    talk.expect("DATA", "354");
    talk.expect(&format!("{TEXT}\r\n."), "250");
    until("it arrives", || server.messages().len() == 1);
    let commands = server.connections()[0].commands.join("\n");
    assert!(commands.contains("RCPT TO:<you@example.org> NOTIFY=SUCCESS"), "{commands}");
    assert!(commands.contains("RCPT TO:<two@example.org> NOTIFY=DELAY"), "{commands}");
    assert!(server.messages()[0].parameters.contains("RET=HDRS ENVID=QQ314159"), "{}", server.messages()[0].parameters);
}
