//! The rules of headers and input, one by one: the examples of RFC 5322 appendix A through the real program, and
//! properties of the parser beside another one.

use crate::nasty::{COMPLETE, crlf, home, normal, server};
use crate::support::script::{Fault, Script};
use crate::support::server::Message;
use mail_parser::{Address as Other, MessageParser};
use postrider::message::read::{ReadRules, read};
use postrider::message::{self, recipients};
use proptest::prelude::*;
use std::io::Read;

/// Sends that; the one message, its text with LF and without what changes from run to run.
#[track_caller]
fn send(argv: &[&str], input: impl AsRef<[u8]>) -> (Message, String) {
    let server = server();
    let finished = home(&server).run("sendmail", argv, input).expect(0);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    let mut messages = server.messages();
    assert_eq!(messages.len(), 1);
    let message = messages.remove(0);
    let text = String::from_utf8_lossy(&normal(&message.text)).replace("\r\n", "\n");
    (message, text)
}

/// RFC 5322 appendix A: what each example is, who `-t` sends it to, and what is added at its top.
const APPENDIX: &[(&str, &str, &str, &[&str])] = &[
    (
        "A.1.1",
        "From: John Doe <jdoe@machine.example>\nTo: Mary Smith <mary@example.net>\nSubject: Saying Hello\n\
         Date: Fri, 21 Nov 1997 09:55:06 -0600\nMessage-ID: <1234@local.machine.example>\n\n\
         This is a message just to say hello.\nSo, \"Hello\".\n",
        "",
        &["mary@example.net"],
    ),
    (
        "A.1.1 with Sender",
        "From: John Doe <jdoe@machine.example>\nSender: Michael Jones <mjones@machine.example>\n\
         To: Mary Smith <mary@example.net>\nSubject: Saying Hello\nDate: Fri, 21 Nov 1997 09:55:06 -0600\n\
         Message-ID: <1234@local.machine.example>\n\nThis is a message just to say hello.\nSo, \"Hello\".\n",
        "",
        &["mary@example.net"],
    ),
    (
        "A.1.2",
        "From: \"Joe Q. Public\" <john.q.public@example.com>\n\
         To: Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>\n\
         Cc: <boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>\n\
         Date: Tue, 1 Jul 2003 10:52:37 +0200\nMessage-ID: <5678.21-Nov-1997@example.com>\n\nHi everyone.\n",
        "",
        &["mary@x.test", "jdoe@example.org", "one@y.test", "boss@nil.test", "sysservices@example.net"],
    ),
    (
        "A.1.3",
        "From: Pete <pete@silly.example>\nTo: A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;\n\
         Cc: Undisclosed recipients:;\nDate: Thu, 13 Feb 1969 23:32:54 -0330\n\
         Message-ID: <testabcd.1234@silly.example>\n\nTesting.\n",
        "",
        &["c@a.test", "joe@where.test", "jdoe@one.test"],
    ),
    (
        "A.2",
        "From: Mary Smith <mary@example.net>\nTo: John Doe <jdoe@machine.example>\n\
         Reply-To: \"Mary Smith: Personal Account\" <smith@home.example>\nSubject: Re: Saying Hello\n\
         Date: Fri, 21 Nov 1997 10:01:10 -0600\nMessage-ID: <3456@example.net>\n\
         In-Reply-To: <1234@local.machine.example>\nReferences: <1234@local.machine.example>\n\n\
         This is a reply to your hello.\n",
        "",
        &["jdoe@machine.example"],
    ),
    (
        "A.3",
        "Resent-From: Mary Smith <mary@example.net>\nResent-To: Jane Brown <j-brown@other.example>\n\
         Resent-Date: Mon, 24 Nov 1997 14:22:01 -0800\nResent-Message-ID: <78910@example.net>\n\
         From: John Doe <jdoe@machine.example>\nTo: Mary Smith <mary@example.net>\nSubject: Saying Hello\n\
         Date: Fri, 21 Nov 1997 09:55:06 -0600\nMessage-ID: <1234@local.machine.example>\n\n\
         This is a message just to say hello.\nSo, \"Hello\".\n",
        "",
        &["j-brown@other.example"],
    ),
    (
        "A.4",
        "Received: from x.y.test\n  by example.net\n  via TCP\n  with ESMTP\n  id ABC12345\n\
        \x20 for <mary@example.net>;  21 Nov 1997 10:05:43 -0600\n\
         Received: from node.example by x.y.test; 21 Nov 1997 10:01:22 -0600\n\
         From: John Doe <jdoe@node.example>\nTo: Mary Smith <mary@example.net>\nSubject: Saying Hello\n\
         Date: Fri, 21 Nov 1997 09:55:06 -0600\nMessage-ID: <1234@local.node.example>\n\n\
         This is a message just to say hello.\nSo, \"Hello\".\n",
        "",
        &["mary@example.net"],
    ),
    (
        "A.5",
        "From: Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>\n\
         To:A Group(Some people)\n     :Chris Jones <c@(Chris's host.)public.example>,\n         joe@example.org,\n\
        \x20 John <jdoe@one.test> (my dear friend); (the end of the group)\n\
         Cc:(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;\n\
         Date: Thu,\n      13\n        Feb\n          1969\n      23:32\n               -0330 (Newfoundland Time)\n\
         Message-ID:              <testabcd.1234@silly.test>\n\nTesting.\n",
        "",
        &["c@public.example", "joe@example.org", "jdoe@one.test"],
    ),
    (
        "A.6.1",
        "From: Joe Q. Public <john.q.public@example.com>\n\
         To: Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example\n\
         Date: Tue, 1 Jul 2003 10:52:37 +0200\nMessage-ID: <5678.21-Nov-1997@example.com>\n\nHi everyone.\n",
        "",
        &["mary@example.net", "jdoe@test.example"],
    ),
    (
        "A.6.2",
        "From: John Doe <jdoe@machine.example>\nTo: Mary Smith <mary@example.net>\nSubject: Saying Hello\n\
         Date: 21 Nov 97 09:55:06 GMT\nMessage-ID: <1234@local.machine.example>\n\n\
         This is a message just to say hello.\nSo, \"Hello\".\n",
        "",
        &["mary@example.net"],
    ),
    (
        "A.6.3",
        "From  : John Doe <jdoe@machine(comment).  example>\nTo    : Mary Smith\n  \n          <mary@example.net>\n\
         Subject     : Saying Hello\nDate  : Fri, 21 Nov 1997 09(comment):   55  :  06 -0600\n\
         Message-ID  : <1234   @   local(blah)  .machine .example>\n\n\
         This is a message just to say hello.\nSo, \"Hello\".\n",
        "",
        &["mary@example.net"],
    ),
];

#[test]
fn the_examples_of_rfc_5322_appendix_a() {
    let mut senders = Vec::new();
    for (name, input, added, to) in APPENDIX {
        for input in [(*input).to_owned(), input.replace('\n', "\r\n")] {
            let server = server();
            home(&server).run("sendmail", &["-t", "-i"], &input).expect(0);
            let message = server.messages().remove(0);
            assert_eq!(message.recipients, *to, "{name}");
            let want = crlf(format!("{added}{}", input.replace("\r\n", "\n")).as_bytes());
            assert_eq!(String::from_utf8_lossy(&message.text), String::from_utf8_lossy(&want), "{name}");
            senders.push(message.from);
        }
    }
    assert_eq!(senders[0], "jdoe@machine.example");
    assert_eq!(senders[10], "mary@example.net", "the one who sends it on");
    assert_eq!(senders[14], "pete@silly.test", "comments in the address");
}

#[test]
fn arguments_are_added_to_the_header() {
    let input = format!("{COMPLETE}To: a@b.test\nCc: c@d.test\nBcc: e@f.test\n\nhi\n");
    let (message, text) = send(&["-t", "x@y.test", "a@B.test"], &input);
    assert_eq!(message.recipients, ["x@y.test", "a@B.test", "c@d.test", "e@f.test"]);
    assert_eq!(text, input.replace("Bcc: e@f.test\n", ""));
    let (message, text) = send(&["x@y.test"], &input);
    assert_eq!(message.recipients, ["x@y.test"]);
    assert_eq!(text, input.replace("Bcc: e@f.test\n", ""), "Bcc goes without -t too");
}

#[test]
fn crlf_header_and_lf_body_come_out_right() {
    let input = format!("{}To: a@b.test\r\n\r\none\ntwo\r\nthree", COMPLETE.replace('\n', "\r\n"));
    assert_eq!(send(&["-t", "-i"], input).1, format!("{COMPLETE}To: a@b.test\n\none\ntwo\nthree\n"));
}

#[test]
fn what_is_there_is_kept_and_what_is_missing_added() {
    let kept = "date :  Thu,  1 Jan 2026 00:00:00 +0000 (odd  spacing)\nMESSAGE-ID:<odd>\nfrom: \"Shop\"  <shop@example.com>(x)\nX-Empty:\n";
    let input = format!("{kept}To: a@b.test\n\n");
    assert_eq!(send(&["-t"], &input).1, input);
    let (message, text) = send(&["-t", "-f", "shop@example.com", "-F", "The Shop"], "To: a@b.test\nSubject: x");
    assert_eq!(text, "Date: +\nFrom: The Shop <shop@example.com>\nMessage-ID: +\nTo: a@b.test\nSubject: x\n\n");
    let wire = String::from_utf8(message.text).unwrap();
    let parsed = MessageParser::default().parse(wire.as_bytes()).unwrap();
    assert!(parsed.date().is_some_and(|date| date.is_valid()) && parsed.message_id().is_some(), "{wire}");
    let (_, text) = send(&["-t", "-f", "shop@example.com", "-F", "Ä, Ö"], "To: a@b.test\n\n");
    assert!(text.contains("\nFrom: =?utf-8?") && text.contains("<shop@example.com>\n"), "{text}");
    let (_, text) = send(&["-t", "-F", "Not me"], format!("{COMPLETE}To: a@b.test\n\n"));
    assert_eq!(text, format!("{COMPLETE}To: a@b.test\n\n"), "-F names an added From only");
}

#[test]
fn bare_names_are_qualified() {
    let from_cron = "From: root (Cron Daemon)\nTo: root, Joe <joe>, a@b.test\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-ID: <1@example.com>\n\nhi\n";
    let (message, text) = send(&["-i", "-t", "-FCronDaemon", "mail"], from_cron);
    assert_eq!(message.from, "root@local.example");
    assert_eq!(message.recipients, ["mail@local.example", "root@local.example", "joe@local.example", "a@b.test"]);
    assert!(
        text.starts_with(
            "From: Cron Daemon <root@local.example>\nTo: root@local.example, Joe <joe@local.example>, a@b.test\n"
        ),
        "{text}"
    );
    let latin = [b"To: J\xfcrgen <root>\n", COMPLETE.as_bytes(), b"\nhi\n"].concat();
    let (message, _) = send(&["-t"], &latin);
    assert_eq!(message.recipients, ["root@local.example"]);
    assert_eq!(message.text, crlf(&latin), "no octet is lost of what could not be written again");
}

#[test]
fn three_hundred_recipients_by_all_ways() {
    let all: Vec<String> = (0..300).map(|number| format!("r{number}@b.test")).collect();
    let (some, rest) = all.split_at(100);
    let argv: Vec<&str> = ["-t", "-i"].into_iter().chain(some.iter().map(String::as_str)).collect();
    let input = format!("{COMPLETE}To: {}\nCc:\n {}\n\nhi\n", rest[..100].join(", "), rest[100..].join(";\n\t"));
    assert_eq!(send(&argv, input).0.recipients, all);
}

#[test]
fn one_of_two_refused() {
    let script = Script::new().offer("PIPELINING").on_nth("RCPT", 1, Fault::Reply("550 5.1.1 nobody".into()));
    let server = script.start();
    let finished = home(&server).run("sendmail", &["a@b.test", "c@d.test"], format!("{COMPLETE}\nhi\n")).expect(69);
    assert!(
        finished.stderr.contains("a@b.test") && finished.stderr.contains("550 5.1.1 nobody"),
        "{}",
        finished.stderr
    );
    assert!(finished.stderr.contains("sent to c@d.test") && finished.stderr.lines().count() == 1);
    assert_eq!(server.messages()[0].recipients, ["c@d.test"]);
}

#[test]
fn statuses_of_refusals() {
    let temporary = "nothing";
    for (script, status, says) in [
        (Script::new().reply("RCPT", "550 5.1.1 nobody"), 67, "nobody"),
        (Script::new().reply("DOT", "554 5.6.0 no"), 69, "554 5.6.0 no"),
        (Script::new().reply("RCPT", "451 4.3.0 later"), 69, "451 4.3.0 later"),
        (Script::new().on("CONNECT", Fault::Close), 69, temporary),
        (Script::new().reply("MAIL", "553 5.1.8 not yours"), 69, "553 5.1.8 not yours"),
    ] {
        let server = script.start();
        let finished = home(&server).run("sendmail", &["a@b.test"], format!("{COMPLETE}\nhi\n")).expect(status);
        let clear = says == temporary || finished.stderr.contains(says);
        assert!(clear && finished.stderr.lines().count() == 1 && finished.stdout.is_empty(), "{}", finished.stderr);
        assert!(server.messages().is_empty());
    }
}

fn parsed(input: &[u8]) -> message::Message {
    read(&mut &input[..], ReadRules::default()).unwrap()
}

fn wire(message: &message::Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.wire().read_to_end(&mut out).unwrap();
    out
}

/// The addresses that another parser finds in the recipient fields, in the order of the header.
fn others(input: &[u8]) -> Vec<String> {
    let message = MessageParser::default().parse(input).unwrap();
    let mut found = Vec::new();
    for header in message.headers() {
        if let (true, Some(list)) = (
            ["To", "Cc", "Bcc"].iter().any(|name| header.name().eq_ignore_ascii_case(name)),
            header.value().as_address(),
        ) {
            match list {
                Other::List(list) => found.extend(list.iter().filter_map(|one| one.address().map(str::to_owned))),
                Other::Group(groups) => found.extend(
                    groups.iter().flat_map(|group| &group.addresses).filter_map(|one| one.address().map(str::to_owned)),
                ),
            }
        }
    }
    found
}

/// A mailbox as people and programs write it.
fn mailbox() -> impl Strategy<Value = String> {
    let address = "[a-z]{1,6}(\\.[a-z]{1,4}|\\+[a-z]{1,3}){0,2}@[a-z]{1,6}(\\.[a-z]{2,4}){1,2}";
    let name = prop_oneof![
        "[A-Z][a-z]{0,6}( [A-Z][a-z]{0,6}){0,3}",
        "\"[A-Z][a-z,;:@<>. ]{0,12}[a-z]\"",
        "=\\?utf-8\\?[qQ]\\?[A-Za-z_]{1,12}\\?=",
        "[ÄÖü][a-zé]{1,5}",
    ];
    prop_oneof![
        address.prop_map(|address| address),
        (name, address, "( |\n |\n\t)?").prop_map(|(name, address, space)| format!("{name} {space}<{address}>")),
        (address, "[a-z ]{1,9}").prop_map(|(address, comment)| format!("{address} ({comment}x)")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn recipients_agree_with_another_parser(
        fields in proptest::collection::vec((
            "To|Cc|Bcc|to|CC|bCc",
            proptest::collection::vec(mailbox(), 1..6),
            ", ?|,\n |,\n\t ",
        ), 1..5),
        group in proptest::option::of("[A-Z][a-z]{1,5}"),
    ) {
        let mut input = String::new();
        for (name, list, comma) in &fields {
            let list = list.join(comma);
            // A group alone in its field: the two differ on what may follow one.
            let value = group.as_ref().map_or(list.clone(), |group| format!("{group}: {list};"));
            input += &format!("{name}: {value}\n");
        }
        input += "\nhi\n";
        let own = recipients::extract(&parsed(input.as_bytes()).header, "host").unwrap();
        let own: Vec<String> = own.iter().map(|one| one.address.to_string()).collect();
        prop_assert_eq!(own, others(&crlf(input.as_bytes())), "{}", input);
    }

    #[test]
    fn no_octet_is_lost(
        fields in proptest::collection::vec(("[!-9;-~]{1,20}", "[ \t]{0,2}", proptest::collection::vec(any::<u8>(), 0..60)), 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let text = |octets: &[u8]| -> Vec<u8> { octets.iter().copied().filter(|octet| !matches!(octet, 0 | b'\r' | b'\n')).collect() };
        let mut input = Vec::new();
        for (name, space, value) in &fields {
            input.extend([name.as_bytes(), space.as_bytes(), b":", &text(value), b"\n"].concat());
        }
        input.push(b'\n');
        let body: Vec<u8> = body.into_iter().filter(|octet| !matches!(octet, 0 | b'\r')).collect();
        input.extend_from_slice(&body);
        let mut want = crlf(&input);
        if !body.is_empty() && !body.ends_with(b"\n") {
            want.extend_from_slice(b"\r\n");
        }
        let message = parsed(&input);
        prop_assert_eq!(wire(&message), want.clone());
        prop_assert_eq!(message.wire_size(), want.len() as u64);
        prop_assert_eq!(wire(&parsed(&want)), want, "what went out comes in the same");
    }

    #[test]
    fn nothing_becomes_a_field_that_was_none(
        soup in "(Subject|Bcc|To|X)?( ?: ?| )(\\PC|\r|\n|\r\n|\n |\t|\u{1}|Bcc: e@f\\.test|RCPT TO:<e@f\\.test>|\\.){0,40}",
    ) {
        let Ok(message) = read(&mut soup.as_bytes(), ReadRules::default()) else { return Ok(()) };
        let out = wire(&message);
        let end = if out.starts_with(b"\r\n") { 0 } else { memchr::memmem::find(&out, b"\r\n\r\n").unwrap() + 2 };
        // Only a line end of the input begins a line of the output; a CR alone begins one of the body at most.
        let lines = |text: &[u8]| text.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).count();
        let fields = message.header.fields().len();
        prop_assert!(lines(&out[..end]) <= lines(soup.as_bytes()), "{:?}", String::from_utf8_lossy(&out));
        let starts = out[..end].split(|octet| *octet == b'\n').filter(|line| !line.is_empty() && !matches!(line[0], b' ' | b'\t'));
        prop_assert_eq!(starts.count(), fields);
        for line in out.split_inclusive(|octet| *octet == b'\n') {
            prop_assert!(line.ends_with(b"\r\n") && memchr::memchr_iter(b'\r', line).count() == 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever is in the header block and the arguments, the server hears of what was asked for and of nothing else.
    #[test]
    fn nothing_in_a_message_becomes_a_command(
        header in "((Subject|X|Bcc|Cc)(: |:\n |:)(\\PC|\r|\r\n|\n\\.\n|\r\n\\.\r\n|\nRCPT TO:<e@f\\.test>|\nDATA|\n){0,20}\n){0,4}",
        body in "((\r|\n|\r\n)?\\.?(\r|\n|\r\n)|QUIT|MAIL FROM:<e@f\\.test>|[a-z]{1,5}){0,12}",
        name in "(\\PC|[\r\n\t]){1,20}",
    ) {
        let server = server();
        let input = format!("{header}\n{body}");
        let name = name.replace('\0', "");
        let finished = home(&server).run("sendmail", &["-i", "-f", "shop@example.com", "-F", &name, "a@b.test"], input);
        prop_assert!([0, 65].contains(&finished.status), "{finished:?}");
        prop_assert!(finished.stderr.lines().count() == usize::from(finished.status != 0));
        let connections = server.connections();
        let sent = usize::from(finished.status == 0);
        prop_assert_eq!(connections.len(), sent);
        for connection in connections {
            prop_assert_eq!(connection.verbs(), ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]);
            prop_assert_eq!(&connection.commands[2], "RCPT TO:<a@b.test>");
            let text = String::from_utf8_lossy(&connection.messages[0].text).into_owned();
            let head = text.split("\r\n\r\n").next().unwrap_or_default();
            prop_assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{text}");
            prop_assert_eq!(head.lines().filter(|line| line.starts_with("From:")).count(), 1, "{}", text);
        }
    }
}
