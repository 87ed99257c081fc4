//! Whole messages: read, completed, rewritten, re-encoded, and on the wire.

use super::address::{Address, parse_list};
use super::read::{ReadError, ReadRules, read};
use super::reencode::{Why, reencode};
use super::reencode_error::ReencodeError;
use super::rewrite::{Completion, Switches, complete, qualify, set_from};
use super::{Message, recipients};
use chrono::DateTime;
use proptest::prelude::*;
use std::io::{self, Read};

fn message(text: impl AsRef<[u8]>) -> Message {
    read(&mut text.as_ref(), ReadRules::default()).expect("a message")
}

fn wire(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.wire().read_to_end(&mut out).unwrap();
    assert_eq!(out.len() as u64, message.wire_size());
    out
}

fn shown(text: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(&wire(&message(text))).into_owned()
}

/// Gives its octets a few at a time and is interrupted in between.
struct Dribble<'d>(&'d [u8], usize, bool);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.2 = !self.2;
        if self.2 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = self.1.min(buffer.len()).min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn every_shape_of_input() {
    for (text, want) in [
        ("To: a\n\nhi\n", "To: a\r\n\r\nhi\r\n"),
        ("To: a\r\nCc: b\r\n\r\nhi\nyou", "To: a\r\nCc: b\r\n\r\nhi\r\nyou\r\n"),
        ("To: a\nhi there\nmore", "To: a\r\n\r\nhi there\r\nmore\r\n"),
        ("hi there\nTo: a\n", "\r\nhi there\r\nTo: a\r\n"),
        (" leading blank\n", "\r\n leading blank\r\n"),
        ("", "\r\n"),
        ("\n", "\r\n"),
        ("\n\nTo: a\n", "\r\n\r\nTo: a\r\n"),
        ("To: a", "To: a\r\n\r\n"),
        ("To: a\r\n\r\n", "To: a\r\n\r\n"),
        ("From a@b Mon Jan  1 00:00:00 2024\nTo: a\n\nx", "To: a\r\n\r\nx\r\n"),
        (">From a@b Mon Jan  1 00:00:00 2024\nTo: a\n\nx", "To: a\r\n\r\nx\r\n"),
        ("From : a@b\n\nx", "From : a@b\r\n\r\nx\r\n"),
        ("To: a\n\nFrom here\n\n\n", "To: a\r\n\r\nFrom here\r\n\r\n\r\n"),
        ("Subject: a\rBcc: e@f\n\nx", "Subject: a Bcc: e@f\r\n\r\nx\r\n"),
        ("To: a\r\r\n\r\r\nx", "To: a\r\n\r\nx\r\n"),
        ("To: a\n\nx\ry\r\rz\n.\n\r.\r\n", "To: a\r\n\r\nx\r\ny\r\n\r\nz\r\n.\r\n\r\n.\r\n"),
        ("To: a,\n b,\n\tc\n\nx\n", "To: a,\r\n b,\r\n\tc\r\n\r\nx\r\n"),
    ] {
        assert_eq!(shown(text), want, "{text:?}");
        for size in [1, 2, 3] {
            let slow = read(&mut Dribble(text.as_bytes(), size, false), ReadRules::default()).unwrap();
            assert_eq!(String::from_utf8(wire(&slow)).unwrap(), want, "{text:?}");
        }
    }
}

#[test]
fn the_lone_dot_ends_where_it_shall() {
    let rules = ReadRules { dot_ends: true };
    for (text, want) in [
        ("To: a\n\nx\n.\nrest\n", "To: a\r\n\r\nx\r\n"),
        ("To: a\r\n\r\nx\r\n.\r\nrest\n\0", "To: a\r\n\r\nx\r\n"),
        ("To: a\n\n..x\n.y\n. \n", "To: a\r\n\r\n..x\r\n.y\r\n. \r\n"),
        ("To: a\n.\nrest\n", "To: a\r\n\r\n"),
        (".\n", "\r\n"),
        ("x\n.", "\r\nx\r\n.\r\n"),
        ("x\n.\r", "\r\nx\r\n.\r\n"),
    ] {
        for size in [1, 2, 3, 1000] {
            let slow = read(&mut Dribble(text.as_bytes(), size, false), rules).unwrap();
            assert_eq!(String::from_utf8(wire(&slow)).unwrap(), want, "{text:?} by {size}");
        }
    }
}

#[test]
fn what_no_mail_can_carry_is_refused() {
    let error = |text: &[u8]| read(&mut &text[..], ReadRules::default()).unwrap_err();
    assert!(matches!(error(b"To: a\n\nx\0"), ReadError::Nul));
    assert!(matches!(error(b"To: a\0\n\nx"), ReadError::Nul));
    assert!(
        matches!(error(format!("Subject: {}\n\nx", "a".repeat(2000)).as_bytes()), ReadError::HeaderLine(name) if name == "Subject")
    );
    assert!(matches!(error(&b"a:\n".repeat(70_000)), ReadError::HeaderTooLarge));
    assert!(matches!(error(format!("a: {}", "x ".repeat(9 << 20)).as_bytes()), ReadError::HeaderTooLarge));
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("EIO"))
        }
    }
    assert!(matches!(read(&mut Broken, ReadRules::default()), Err(ReadError::Io(_))));
    let long = message("x".repeat(20 << 20));
    assert_eq!((long.body.len(), long.body.longest_line()), ((20 << 20) + 2, 20 << 20));
}

#[test]
fn facts() {
    let plain = message("Subject: x\n\nabc\nde\n");
    assert_eq!((plain.needs_8bit(), plain.header_needs_utf8(), plain.body.longest_line()), (false, false, 3));
    let eight = message("Subject: ü\n\nü\nde");
    assert_eq!((eight.needs_8bit(), eight.header_needs_utf8(), eight.body.longest_line()), (true, true, 2));
}

#[test]
fn recipients_of_the_header() {
    let of = |text: &str| {
        recipients::extract(&message(text).header, "host")
            .map(|found| found.iter().map(|one| one.address.to_string()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(
        of("To:\n a@b\nCC : c@d; e@f\nbcc: (x) g@h\nTo: root\nSubject: x@y\n\n"),
        Ok("a@b c@d e@f g@h root@host".into())
    );
    assert_eq!(of("To: a@b\nResent-Bcc: c@d\nResent-To: e@f\n\n"), Ok("c@d e@f".into()));
    assert_eq!(of("To: undisclosed-recipients:;\nBcc: a@b\n\n"), Ok("a@b".into()));
    assert_eq!(of("To: undisclosed-recipients:;\n\n"), Ok(String::new()));
    assert!(of("To: Joe a@b\n\n").is_err());
    let many: String = (0..2000).map(|i| format!("a{i}@b,\n ")).collect();
    assert_eq!(recipients::extract(&message(format!("To: {many}z@b\n\n")).header, "h").unwrap().len(), 2001);
    let cron = recipients::from(&message("From: root (Cron Daemon)\n\n").header, "host").unwrap();
    assert_eq!(
        (cron[0].name.as_deref(), cron[0].address.as_str(), cron[0].bare),
        (Some("Cron Daemon"), "root@host", true)
    );
    let resent = message("From: a@b\nSender: s@b\nResent-From: c@d\n\n").header;
    let shown = |found: Vec<crate::message::address::Mailbox>| {
        found.iter().map(|one| one.address.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown(recipients::from(&resent, "host").unwrap()), "a@b");
    assert_eq!(shown(recipients::resent(&resent, "host").unwrap().0), "c@d");
    let senders = message("Sender: s@b\nSENDER : <@x,@y:t@b>, u@b\n\n").header;
    assert_eq!(shown(recipients::sender(&senders, "host").unwrap()), "s@b t@b u@b");
}

fn completion(from: &Address) -> Completion<'_> {
    Completion {
        date: DateTime::parse_from_rfc3339("1997-11-21T09:55:06-06:00").unwrap(),
        id_token: "12>34\r\n".into(),
        id_domain: "example.com".into(),
        from,
        from_name: Some("Jörg\r\nBcc: x@y"),
        switches: Switches::default(),
    }
}

#[test]
fn missing_fields_are_added_at_the_top() {
    let from = Address::parse("a@b").unwrap();
    let mut bare = message("To: c@d\nBCC : e@f\nReturn-Path: <x@y>\nresent-bcc: e@f\nMessage-ID:\n\nx\n");
    let notes = complete(&mut bare, &completion(&from));
    let text = String::from_utf8(wire(&bare)).unwrap();
    assert_eq!(
        text,
        "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nFrom: =?utf-8?B?SsO2cmcgIEJjYzogeEB5?= <a@b>\r\nMessage-ID: <1234@example.com>\r\nTo: c@d\r\n\r\nx\r\n"
    );
    assert_eq!(notes.len(), 6, "{notes:?}");
    let whole = "Date:  x\r\nMessage-Id: <y@z>\r\nfrom:\r\n a@b\r\n\r\nx\r\n";
    let mut same = message(whole);
    assert!(complete(&mut same, &completion(&from)).is_empty());
    assert_eq!(String::from_utf8(wire(&same)).unwrap(), whole);
}

#[test]
fn bare_names_are_qualified_where_they_stand() {
    let mut cron = message("From: root (Cron Daemon)\nTo: \"A\" <a@b>\nCc: joe, c@d\n\n");
    assert_eq!(qualify(&mut cron, "host.example").len(), 2);
    assert_eq!(
        String::from_utf8(wire(&cron)).unwrap(),
        "From: Cron Daemon <root@host.example>\r\nTo: \"A\" <a@b>\r\nCc: joe@host.example, c@d\r\n\r\n"
    );
}

#[test]
fn from_is_replaced() {
    let new = Address::parse("shop@example.com").unwrap();
    let changed = |text: &str, name| {
        let mut message = message(text);
        set_from(&mut message, &new, name);
        String::from_utf8(wire(&message)).unwrap()
    };
    assert_eq!(
        changed("To: x@y\nFrom: Joe <joe@there.example>\nSender: z@y\nFROM: other@there.example\n\n", None),
        "X-Original-From: Joe <joe@there.example>\r\nReply-To: Joe <joe@there.example>, other@there.example\r\nTo: x@y\r\nFrom: Joe <shop@example.com>\r\n\r\n"
    );
    assert_eq!(
        changed("From: root (Cron Daemon)\nReply-To: q@r\n\n", Some("Shop")),
        "X-Original-From: root (Cron Daemon)\r\nFrom: Shop <shop@example.com>\r\nReply-To: q@r\r\n\r\n"
    );
    let same = "From: Joe <shop@EXAMPLE.com>\r\n\r\n";
    assert_eq!(changed(same, None), same);
    assert_eq!(changed("\n", None), "From: shop@example.com\r\n\r\n");
    assert!(!changed("From: no address at all\n\n", None).contains("Reply-To"));
}

fn parsed_body(message: &Message, part: u32) -> Vec<u8> {
    let bytes = wire(message);
    let parsed = mail_parser::MessageParser::default().parse(&bytes).unwrap();
    parsed.parts[part as usize].contents().to_vec()
}

fn assert_fits(message: &Message, why: Why) {
    assert!(!message.has_long_lines());
    assert!(why == Why::LongLines || !message.needs_8bit());
    assert_eq!(wire(message).len() as u64, message.wire_size());
}

#[test]
fn single_parts_are_reencoded() {
    let text = format!("Grüße = {} \nend \n\n", "ü ".repeat(900));
    let plain = message(format!("Subject: x\n\n{text}"));
    for why in [Why::LongLines, Why::EightBit] {
        let done = reencode(&plain, why).unwrap();
        assert_fits(&done, why);
        assert_eq!(parsed_body(&done, 0), text.replace('\n', "\r\n").as_bytes());
        let head = String::from_utf8(wire(&done)).unwrap();
        assert!(head.starts_with("Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\n\r\n"));
    }
    let mut octets = b"Content-Type: application/x; name=x\nContent-Transfer-Encoding: binary\n\n".to_vec();
    let content: Vec<u8> = (0..5000u32).map(|i| (i % 200 + 20) as u8).collect();
    octets.extend_from_slice(&content);
    let done = message(octets).reencoded().unwrap();
    assert_fits(&done, Why::EightBit);
    assert_eq!(parsed_body(&done, 0), [&content[..], b"\r\n"].concat());
}

#[test]
fn what_is_encoded_already_is_only_broken_into_lines() {
    let base64 = message(format!("Content-Transfer-Encoding: base64\n\n{}\n", "QUJD".repeat(1000)));
    let done = base64.reencoded().unwrap();
    assert_fits(&done, Why::EightBit);
    assert_eq!(parsed_body(&done, 0), "ABC".repeat(1000).as_bytes());
    let quoted = message(format!(
        "Content-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=utf-8\n\n{}=\nx\n",
        "a=C3=BC".repeat(300)
    ));
    let done = quoted.reencoded().unwrap();
    assert_fits(&done, Why::EightBit);
    assert_eq!(parsed_body(&done, 0), format!("{}x\r\n", "aü".repeat(300)).as_bytes());
}

const NESTED: &str = "Content-Type: multipart/mixed; boundary=\"o o\"\nContent-Transfer-Encoding: 8bit\n\npreamble\n--o o\nContent-Type: text/plain; charset=utf-8\n\nplain\n--o o \nContent-Type: multipart/alternative;\n boundary=in\n\n--in\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nLONG\n--in--\nafter\n--o o\nContent-Type: message/rfc822\n\nSubject: inner\n\nLONG\nx\n--o o\nX-Only: header\n--o o--\nepilogue\n";

#[test]
fn parts_are_reencoded_one_by_one() {
    let nested = message(NESTED.replace("LONG", &"ü".repeat(700)));
    let done = reencode(&nested, Why::EightBit).unwrap();
    assert_fits(&done, Why::EightBit);
    let text = String::from_utf8(wire(&done)).unwrap();
    for kept in [
        "Content-Transfer-Encoding: 7bit\r\n",
        "\r\n\r\nplain\r\n--o o \r\n",
        "\r\n--in--\r\nafter\r\n--o o\r\n",
        "X-Only: header\r\n--o o--\r\nepilogue\r\n",
    ] {
        assert!(text.contains(kept), "{kept:?} in {text}");
    }
    assert_eq!(text.matches("Content-Transfer-Encoding: quoted-printable").count(), 2);
    let parsed = mail_parser::MessageParser::default().parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.body_html(1).unwrap(), "ü".repeat(700));
    let short = message(NESTED.replace("LONG", "ü"));
    assert_eq!(wire(&reencode(&short, Why::LongLines).unwrap()), wire(&short));
}

#[test]
fn what_must_not_change_does_not() {
    let long = "x".repeat(1500);
    let signed = |text: String| matches!(message(text).reencoded(), Err(ReencodeError::Signed(_)));
    assert!(signed(format!("DKIM-Signature: v=1\n\n{long}\n")));
    assert!(signed(format!("Content-Type: multipart/signed; boundary=s\n\n--s\n\n{long}\n--s--\n")));
    let unclear = |text: String| matches!(message(text).reencoded(), Err(ReencodeError::Unparsable(_)));
    assert!(unclear(format!("Content-Type: multipart/mixed\n\n{long}\n")));
    assert!(unclear(format!("Content-Type: multipart/mixed; boundary=b\n\n{long}\n--b--\n")));
    assert!(unclear(format!("Content-Transfer-Encoding: x-uuencode\n\n{long}\n")));
    assert!(unclear(format!("Content-Type: message/partial\n\n{long}\n")));
    let deep: String = (0..100).map(|i| format!("Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n")).collect();
    assert!(unclear(format!("{deep}\n{long}\n")));
}

/// What a body is once its line ends are forgotten.
fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let text = bytes.to_vec();
    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
    text.split('\n').map(|line| line.as_bytes().to_vec()).collect()
}

proptest! {
    #[test]
    fn the_wire_has_paired_line_ends_and_nothing_is_lost(body in "([a-zü.]{0,5}(\r\n|\n|\r)?){0,20}", size in 1usize..9) {
        let input = format!("To: a\n\n{body}");
        let read = read(&mut Dribble(input.as_bytes(), size, false), ReadRules::default()).unwrap();
        let wire = wire(&read);
        let text = String::from_utf8(wire.clone()).unwrap();
        prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']));
        prop_assert!(text.ends_with("\r\n"));
        let sent = &wire["To: a\r\n\r\n".len()..];
        prop_assert_eq!(lines(sent), lines(body.as_bytes()));
    }

    #[test]
    fn any_octets_come_out_well_formed(input in "([a-zA-Z:., \t\r\n>\u{1}ü-]|From |Bcc:|\r\n){0,60}", dot_ends: bool) {
        let first = read(&mut input.as_bytes(), ReadRules { dot_ends }).unwrap();
        let bytes = wire(&first);
        prop_assert!(!String::from_utf8_lossy(&bytes).replace("\r\n", "").contains(['\r', '\n']));
        prop_assert!(bytes.ends_with(b"\r\n"));
        // What went over the wire is the same message to the next one who reads it.
        let again = read(&mut &bytes[..], ReadRules::default()).unwrap();
        prop_assert_eq!(wire(&again), bytes);
        prop_assert_eq!(again.header, first.header);
    }

    #[test]
    fn fields_agree_with_another_parser(fields in proptest::collection::vec(("[A-Za-z][A-Za-z-]{0,10}", "[a-z]{1,9}( [a-z]{1,9}){0,5}", any::<bool>()), 1..9)) {
        let text: String = fields.iter().map(|(name, value, fold)| format!("X-{name}: {}\n", if *fold { value.replace(' ', "\n\t") } else { value.clone() })).collect();
        let ours = message(format!("{text}\nbody\n"));
        let bytes = wire(&ours);
        let theirs = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        let theirs: Vec<(String, String)> = theirs.headers_raw().map(|(name, value)| (name.to_owned(), value.replace("\r\n", "").trim().to_owned())).collect();
        let ours: Vec<(String, String)> =
            ours.header.fields().iter().map(|field| (field.name().to_owned(), String::from_utf8(field.unfolded()).unwrap())).collect();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn whatever_the_parts_are_the_result_fits_or_there_is_an_error(soup in "(--[ab](--)?\n|Content-Type: (multipart/mixed; boundary=[ab]|text/plain|image/png|message/rfc822)\n|Content-Transfer-Encoding: (8bit|base64)\n|\n|[a-zü]{0,9}\n|x{1100}\n){0,25}") {
        let original = message(format!("Content-Type: multipart/mixed; boundary=a\n\n--a\n{soup}"));
        for why in [Why::LongLines, Why::EightBit] {
            if let Ok(done) = reencode(&original, why) {
                assert_fits(&done, why);
                // Done once, there is nothing left to do.
                prop_assert_eq!(wire(&reencode(&done, why).unwrap()), wire(&done));
            }
        }
    }

    #[test]
    fn quoted_printable_comes_back(text in "([ -~]|[ \t]{1,3}\n|=\n|ü|[a-z]{200}){0,60}") {
        let original = message(format!("Content-Type: text/plain; charset=utf-8\n\nü{}\n{text}\n", "y".repeat(1000)));
        let done = reencode(&original, Why::EightBit).unwrap();
        assert_fits(&done, Why::EightBit);
        prop_assert!(done.body.longest_line() <= 76);
        let mut before = Vec::new();
        original.body.reader().read_to_end(&mut before).unwrap();
        prop_assert_eq!(parsed_body(&done, 0), before);
    }
}

#[test]
fn rfc_6532_addresses_in_the_header() {
    let found = recipients::extract(&message("To: Pelé <δοκιμή@παράδειγμα.δοκιμή>\n\n").header, "h").unwrap();
    assert_eq!(found[0].address.as_str(), "δοκιμή@παράδειγμα.δοκιμή");
    assert!(!found[0].address.is_ascii());
    assert_eq!(parse_list("Pelé <a@b>".as_bytes(), "h").unwrap()[0].name.as_deref(), Some("Pelé"));
}
