//! Reports, read back by another program's parser.

use super::super::bounce::*;
use super::*;
use crate::deliver::trouble::{Kind, Permanence, Scope, Trouble};
use crate::envelope::{Notify, OriginalRecipient, Return};
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;
use std::io::Read;

fn queued(from: Option<&str>, dsn: Dsn) -> Queued {
    let recipient = |number, text: &str| QueuedRecipient {
        failed: None,
        dsn: Default::default(),
        number,
        address: address(text),
        attempts: 1,
        due: 0,
        last: Some("server mx.test:25: 450 later".into()),
        unknown: false,
    };
    Queued {
        id: MessageId(0x1f),
        uid: 1000,
        lane: "shop".into(),
        header_from: "shop@example.com".into(),
        from: from.map_or(ReversePath::Null, |from| ReversePath::Address(address(from))),
        dsn,
        tag: None,
        size: 1,
        created: 1_700_000_000_000,
        hold: None,
        report: false,
        warned: false,
        bulk: false,
        claimed: true,
        moved: None,
        grace: Grace::default(),
        recipients: vec![recipient(0, "you@example.org"), recipient(1, "пример@example.org")],
    }
}

fn refused(code: u16, enhanced: Option<(u8, u16, u16)>, text: &str) -> Trouble {
    Trouble {
        scope: Scope::Recipient,
        permanence: Permanence::Permanent,
        kind: Kind::RecipientRefused,
        phase: Phase::Rcpt,
        reply: Some(Reply { code, enhanced, lines: vec![text.into()] }),
        what: "refused".into(),
        advice: None,
        wait: Default::default(),
    }
}

fn report(queued: &Queued, original: &Message, matter: Matter, troubles: &[Trouble]) -> (NewMessage, String) {
    let lines: Vec<Line> = queued
        .recipients
        .iter()
        .zip(troubles)
        .map(|(one, trouble)| Line::of(one, trouble, "mx.test:25", matter))
        .collect();
    let now = chrono::DateTime::parse_from_rfc3339("2026-01-02T03:04:05+03:00").unwrap();
    let to = address("shop@example.com");
    let route = ("shop".into(), address("login@example.com"));
    let token = "00112233445566778899aabbccddeeff".into();
    let report = Report { matter, queued, original, lines: &lines, to: &to, route, host: "host.test", now, token };
    let new = report.message().unwrap();
    let mut text = String::new();
    new.message.wire().read_to_string(&mut text).unwrap();
    (new, text)
}

#[test]
fn a_bounce_is_what_rfc_3464_says() {
    let original = message("From: shop@example.com\nSubject: =?UTF-8?Q?M=C3=A4rz?=\nX-Raw: \u{e4}\n\nsecret body\n");
    let dsn = Dsn { envid: Some("QQ314159".into()), ..Dsn::default() };
    let queued = queued(Some("shop@example.com"), dsn);
    let troubles = [refused(550, Some((5, 1, 1)), "5.1.1 no such user"), refused(554, None, "nein, пока")];
    let (new, text) = report(&queued, &original, Matter::Failed, &troubles);
    assert_eq!(new.envelope.from, ReversePath::Null);
    assert_eq!(new.envelope.recipients(), [address("shop@example.com")]);
    assert!(new.report && new.lane == "shop" && new.header_from == "login@example.com");
    assert!(!new.message.needs_8bit() && !new.message.header_needs_utf8(), "{text}");
    let parsed = MessageParser::default().parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("Mail Delivery System"));
    assert_eq!(parsed.header_raw("Auto-Submitted").unwrap().trim(), "auto-replied");
    let kind = parsed.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    assert_eq!(parsed.part(0).unwrap().sub_parts().unwrap().len(), 3);
    let words = parsed.body_text(0).unwrap();
    assert!(words.contains("<you@example.org>") && words.contains("no such user") && words.contains("пока"), "{words}");
    for line in [
        "Reporting-MTA: dns; host.test",
        "Original-Envelope-Id: QQ314159",
        "Final-Recipient: rfc822; you@example.org",
        "Action: failed",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx.test",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user",
        "Final-Recipient: utf-8; \\x{43F}\\x{440}\\x{438}\\x{43C}\\x{435}\\x{440}@example.org",
        "Status: 5.1.0",
        "Diagnostic-Code: smtp; 554 nein, ????",
        "Content-Type: text/rfc822-headers",
        "X-Raw: ??",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "{line}\n{text}");
    }
    assert!(!text.contains("secret body"), "the header only");
}

#[test]
fn the_whole_message_where_it_was_asked_for() {
    let original = message("Subject: x\n\nthe body\n");
    let full = queued(Some("shop@example.com"), Dsn { ret: Some(Return::Full), ..Dsn::default() });
    let trouble = [refused(550, None, "no")];
    let (_, text) = report(&full, &original, Matter::Failed, &trouble);
    assert!(text.contains("message/rfc822\r\n\r\nSubject: x\r\n\r\nthe body\r\n\r\n--report-"), "{text}");
    let (_, text) = report(&full, &message("Subject: x\n\n\u{e4}\n"), Matter::Failed, &trouble);
    assert!(text.contains("text/rfc822-headers"), "8 bits do not fit");
    let large = format!("Subject: x\n\n{}", "line\n".repeat(100_000));
    assert!(report(&full, &message(&large), Matter::Failed, &trouble).1.contains("text/rfc822-headers"));
}

#[test]
fn a_warning_is_no_failure() {
    let queued = queued(Some("shop@example.com"), Dsn::default());
    let (new, text) = report(
        &queued,
        &message("Subject: x\n\n"),
        Matter::Delayed(1_700_432_000_000),
        &[refused(535, Some((5, 7, 8)), "no")],
    );
    assert!(new.report);
    assert!(text.contains("Action: delayed\r\nStatus: 4.7.8\r\n"), "{text}");
    assert!(text.contains("Will-Retry-Until: ") && text.contains("NEED NOT SEND IT AGAIN"));
}

#[test]
fn who_is_told() {
    let postmaster = address("root@example.com");
    let notify = |never, success, failure, delay| Dsn {
        notify: Some(Notify { never, success, failure, delay }),
        ..Dsn::default()
    };
    let late = Matter::Delayed(0);
    let told = |queued: &Queued, matter| {
        let trouble = refused(550, None, "no");
        let line = Line::of(&queued.recipients[0], &trouble, "mx.test:25", matter);
        let told = addressee(queued, matter, Some(&postmaster)).filter(|_| !wanted(queued, &[line], matter).is_empty());
        told.map(ToString::to_string)
    };
    let plain = queued(Some("me@example.com"), Dsn::default());
    assert_eq!(told(&plain, Matter::Failed).as_deref(), Some("me@example.com"));
    assert_eq!(told(&plain, late).as_deref(), Some("me@example.com"));
    for (dsn, failed, delayed) in [
        (notify(true, false, false, false), false, false),
        (notify(false, true, false, false), false, false),
        (notify(false, true, true, false), true, false),
        (notify(false, false, false, true), false, true),
        (notify(false, false, false, false), true, true),
    ] {
        let queued = queued(Some("me@example.com"), dsn);
        assert_eq!((told(&queued, Matter::Failed).is_some(), told(&queued, late).is_some()), (failed, delayed));
    }
    let null = queued(None, Dsn::default());
    assert_eq!(told(&null, Matter::Failed).as_deref(), Some("root@example.com"));
    assert_eq!(told(&null, late), None);
    assert_eq!(addressee(&null, Matter::Failed, None), None);
    let report = Queued { report: true, ..plain.clone() };
    assert_eq!(told(&report, Matter::Failed).as_deref(), Some("root@example.com"), "never the sender of a report");
    let mut circle = report;
    circle.recipients[0].address = address("root@EXAMPLE.com");
    assert_eq!(told(&circle, Matter::Failed), None);
}

#[test]
fn each_recipient_has_wishes_of_its_own() {
    let mut queued = queued(Some("me@example.com"), Dsn::default());
    let never = Some(Notify { never: true, ..Notify::default() });
    queued.recipients[0].dsn.notify = never;
    queued.recipients[1].dsn.orcpt = OriginalRecipient::parse("rfc822;first+2Blist@example.org");
    let trouble = refused(550, None, "no");
    let lines: Vec<Line> =
        queued.recipients.iter().map(|one| Line::of(one, &trouble, "mx.test:25", Matter::Failed)).collect();
    assert_eq!(wanted(&queued, &lines, Matter::Failed), [lines[1].clone()]);
    queued.dsn.notify = never;
    assert_eq!(wanted(&queued, &lines, Matter::Failed), []);
    queued.recipients[0].dsn.notify = Some(Notify { failure: true, ..Notify::default() });
    assert_eq!(wanted(&queued, &lines, Matter::Failed), [lines[0].clone()]);
    let (_, text) = report(&queued, &message("Subject: x\n\n"), Matter::Failed, &[trouble.clone(), trouble]);
    assert!(text.contains("\r\n\r\nFinal-Recipient: rfc822; you@example.org\r\n"), "{text}");
    assert!(text.contains("\r\n\r\nOriginal-Recipient: rfc822; first+list@example.org\r\nFinal-Recipient: utf-8; "));
}

proptest! {
    #[test]
    fn nothing_said_can_break_the_report(words in "\\PC{0,300}|[\r\n\u{0}-\u{1f}a-z:-]{0,100}", subject in "[ -~\u{a0}-\u{4ff}]{0,100}", code in 400u16..600) {
        let queued = queued(Some("shop@example.com"), Dsn { envid: Some(words.clone()), ..Dsn::default() });
        let original = message(&format!("Subject: {subject}\n\nx\n"));
        let (new, text) = report(&queued, &original, Matter::Failed, &[refused(code, None, &words)]);
        prop_assert!(!new.message.has_long_lines() && !new.message.needs_8bit());
        let parsed = MessageParser::default().parse(text.as_bytes()).unwrap();
        prop_assert_eq!(parsed.part(0).unwrap().sub_parts().unwrap().len(), 3);
        prop_assert_eq!(text.matches("\r\nFinal-Recipient: ").count(), 1);
        prop_assert_eq!(text.matches("\r\nAction: ").count(), 1);
    }
}
