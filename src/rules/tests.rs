//! Conditions, order and paths, over the text of a configuration.

use super::sort::Mail;
use super::*;
use crate::config::parse;
use crate::envelope::{Dsn, Envelope, ReversePath};
use crate::message::Message;
use crate::message::address::Address;
use crate::message::read::{self, ReadRules};
use proptest::prelude::*;

fn message(text: &str) -> Message {
    read::read(&mut text.as_bytes(), ReadRules { dot_ends: false }).unwrap()
}

/// Every maildir is there.
const ALL: Mailboxes<'static> = Mailboxes(&|_| true);

const TEXT: &str = "From: Ann <ann@example.org>\r\nTo: x@example.com, Bob <bob@example.com>\r\n\
    Subject: =?utf-8?Q?Your_invoice_=E2=84=96_12?=\r\nX-Spam-Score: 7.5\r\nList-Id: <news.example.org>\r\n\r\nhello\r\n";

/// What the rules make of `TEXT` from ann@example.org at 192.0.2.7: the rules that take it there, and the end.
fn taken(rules: &str, from: &str, to: &str) -> (Vec<String>, String) {
    let rules = parse::rules(rules).unwrap();
    let from = if from.is_empty() { ReversePath::Null } else { ReversePath::Address(Address::parse(from).unwrap()) };
    let to = Address::parse(to).unwrap();
    let envelope = Envelope::new(from, vec![to.clone()], Dsn::default()).unwrap();
    let message = message(TEXT);
    let client = Some("::ffff:192.0.2.7".parse().unwrap());
    let mail = Mail { envelope: &envelope, message: &message, listener: Some("0.0.0.0:25"), client, mailboxes: ALL };
    let decision = mail.decide(&rules, &to, &mut |_, _| {});
    let lanes = decision.deliveries.iter().map(|one| lane(&one.rule.name, one.kind)).collect();
    let fate = match decision.fate {
        Fate::Taken => "taken".into(),
        Fate::Refused(rule) => format!("refused by {}", rule.name),
        Fate::Nobody => "nobody".into(),
        Fate::TooMany => "too many".into(),
        Fate::Unknown => "unknown".into(),
    };
    (lanes, fate)
}

/// Whether a rule with these conditions takes it.
fn holds(conditions: &str) -> bool {
    let rule = format!("[[rule]]\nname = \"r\"\ndrop = true\n{conditions}\n");
    taken(&rule, "ann@example.org", "bob+box@example.com").1 == "taken"
}

#[test]
fn each_condition_holds_and_fails() {
    for (yes, no) in [
        ("to = \"bob+box@example.com\"", "to = \"bob@example.com\""),
        ("to = \"@example.com\"", "to = \"@example.org\""),
        ("to = [\"a@b.example\", \"bob+*@example.com\"]", "to = [\"a@b.example\", \"b?b@example.com\"]"),
        ("from = \"*@example.org\"", "from = \"<>\""),
        ("header_from = \"ann@example.org\"", "header_from = \"@example.com\""),
        ("header_to = \"bob@example.com\"", "header_to = \"bob+box@example.com\""),
        ("subject = \"*INVOICE*\"", "subject = \"invoice\""),
        ("subject = { regex = \"^Your .* № [0-9]+$\" }", "subject = { regex = \"^invoice\" }"),
        ("subject = [\"x\", { regex = \"12\" }]", "subject = [\"x\", { regex = \"13\" }]"),
        ("header = { X-Spam-Score = { regex = \"^[5-9]\" } }", "header = { X-Spam-Score = \"9*\" }"),
        ("header = { list-id = \"*\" }", "header = { X-None = \"*\" }"),
        ("larger = \"100\"", "larger = \"1K\""),
        ("smaller = \"1K\"", "smaller = \"100\""),
        ("listener = [\"local\", \"0.0.0.0:25\"]", "listener = \"local\""),
        ("client = \"192.0.2.0/24\"", "client = [\"198.51.100.1\", \"2001:db8::/32\"]"),
        ("not = { from = \"<>\", larger = \"1M\" }", "not = { from = \"@example.org\", larger = \"1M\" }"),
        ("to = \"@example.com\"\nsubject = \"*invoice*\"", "to = \"@example.com\"\nsubject = \"no\""),
        ("", "not = { list-id-is-no-key = 1 }"),
    ] {
        assert!(holds(yes), "{yes}");
        match no.contains("no-key") {
            true => assert!(parse::rules(&format!("[[rule]]\nname = \"r\"\ndrop = true\n{no}\n")).is_err()),
            false => assert!(!holds(no), "{no}"),
        }
    }
    assert!(!holds("not = { subject = \"*invoice*\" }"));
}

#[test]
fn order_stop_and_otherwise() {
    let rules = "[[rule]]\nname = \"all\"\nmaildir = \"/a\"\n[[rule]]\nname = \"two\"\nto = \"@example.com\"\n\
        pipe = [\"/bin/true\"]\nmaildir = \"/b/%u\"\nstop = true\n[[rule]]\nname = \"late\"\nmaildir = \"/c\"\n";
    let all = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (lanes, fate) = taken(rules, "", "bob@example.com");
    assert_eq!((lanes, fate.as_str()), (all(&["rule all maildir", "rule two maildir", "rule two pipe"]), "taken"));
    assert_eq!(taken(rules, "", "bob@example.net").0, all(&["rule all maildir", "rule late maildir"]));

    let some = "[[rule]]\nname = \"r\"\nto = \"a@example.com\"\nrefuse = \"gone away\"\n";
    assert_eq!(taken(some, "", "a@example.com"), (vec![], "refused by r".into()));
    assert_eq!(taken(some, "", "b@example.com"), (vec![], "nobody".into()));
    let otherwise = format!("[rules]\notherwise = \"maildir:/rest/%d\"\n{some}");
    assert_eq!(taken(&otherwise, "", "b@example.com"), (all(&["rule otherwise maildir"]), "taken".into()));
    let refuse = format!("[rules]\notherwise = \"refuse\"\n{some}");
    assert_eq!(taken(&refuse, "", "b@example.com"), (vec![], "refused by otherwise".into()));
    // A mark alone takes nothing, and neither does a stop.
    let mark = "[[rule]]\nname = \"m\"\nmark = { X-Spam = \"yes\" }\nstop = true\n";
    assert_eq!(taken(mark, "", "b@example.com"), (vec![], "nobody".into()));
    let many: String = (0..60).map(|n| format!("[[rule]]\nname = \"r{n}\"\nmaildir = \"/m\"\n")).collect();
    assert_eq!(taken(&many, "", "b@example.com").1, "too many");
}

#[test]
fn what_is_not_known_at_rcpt_decides_nothing() {
    let decide_early = |rules: &str, to: &str| {
        let rules = parse::rules(rules).unwrap();
        let (from, to) = (ReversePath::Null, Address::parse(to).unwrap());
        let facts =
            Facts { from: &from, to: &to, listener: Some("0.0.0.0:25"), client: None, content: None, mailboxes: ALL };
        format!("{:?}", decide(&rules, &facts, &mut |_, _| {}).fate).split('(').next().unwrap().to_owned()
    };
    let early = "[[rule]]\nname = \"a\"\nto = \"a@example.com\"\nrefuse = \"no\"\n";
    let content = "[[rule]]\nname = \"s\"\nto = \"@example.com\"\nsubject = \"*x*\"\ndrop = true\n";
    assert_eq!(decide_early(early, "a@example.com"), "Refused");
    assert_eq!(decide_early(early, "b@example.com"), "Nobody");
    assert_eq!(decide_early(&format!("{content}{early}"), "a@example.com"), "Unknown");
    assert_eq!(decide_early(&format!("{content}{early}"), "a@example.net"), "Nobody");
}

#[test]
fn faults_have_their_words() {
    for (rule, why) in [
        ("drop = true", "this rule has no name"),
        ("name = \"r\"", "does nothing"),
        ("name = \"otherwise\"\ndrop = true", "1 to 64 octets"),
        ("name = \"r\"\ndrop = true\nrefuse = \"x\"", "drop and refuse"),
        ("name = \"r\"\nmaildir = \"relative/%u\"", "an absolute path"),
        ("name = \"r\"\nmaildir = \"/srv/../%u\"", "an absolute path"),
        ("name = \"r\"\nmaildir = \"/srv/%x\"", "%u is the part before the @"),
        ("name = \"r\"\npipe = [\"php\", \"x\"]", "absolute path of a program"),
        ("name = \"r\"\npipe = []", "pipe is empty"),
        ("name = \"r\"\nuser = \"nobody\"\ndrop = true", "only with pipe"),
        ("name = \"r\"\nrefuse = \"a\\nb\"", "ASCII"),
        ("name = \"r\"\ndrop = true\nsubject = { regex = \"(\" }", "unclosed group"),
        ("name = \"r\"\ndrop = true\nsubject = { regex = \"(((a{100}){100}){100})\" }", "no regular expression"),
        ("name = \"r\"\ndrop = true\nsubject = { regx = \"a\" }", "did you mean regex?"),
        ("name = \"r\"\ndrop = true\nclient = \"10.0.0.0/40\"", "no network"),
        ("name = \"r\"\nmark = { Subject = \"x\" }", "not a sender's"),
        ("name = \"r\"\nforword = \"a@b.example\"", "did you mean forward?"),
    ] {
        let errors = parse::rules(&format!("[[rule]]\n{rule}\n")).unwrap_err();
        assert!(errors.iter().any(|error| error.to_string().contains(why)), "{rule}: {errors:?}");
    }
}

#[test]
fn nothing_in_an_address_leaves_the_directory() {
    let path = |template: &str, to: &str| path::expand(template, &Address::parse(to).unwrap());
    let place = path("/srv/mail/%d/%u/Mail", "Bob+Box@Example.com");
    assert_eq!((place.base.to_str(), place.below.join("|")), (Some("/srv/mail"), "example.com|bob|Mail".into()));
    assert_eq!(path("/srv/100%%/x", "a@b.example").path().to_str(), Some("/srv/100%/x"));
    assert_eq!(path("/m/%u", "\"../../etc/cron.d/x\"@b.example").below, ["___.._etc_cron.d_x"]);
    assert_eq!(path("/m/%e", "bob@b.example").below, ["_"]);
    assert_eq!(path("/m/.%u", "\"..\"@b.example").below, [".__"]);
}

proptest! {
    #[test]
    fn any_text_is_judged_and_stays_below(
        conditions in "[a-z_]{2,11} = (\"[ -!#-\\[\\]-~]{0,30}\"|\\{ regex = '[ -&(-~]{0,40}' \\})", local in "[ -~]{1,40}", subject in "\\PC{0,60}",
    ) {
        let text = format!("[[rule]]\nname = \"r\"\nmaildir = \"/m/%u.%e/%u\"\n{conditions}\n");
        if let Ok(rules) = parse::rules(&text) {
            let message = message(&format!("Subject: {subject}\r\n\r\nx\r\n"));
            let to = Address::parse("a@b.example").unwrap();
            let envelope = Envelope::new(ReversePath::Null, vec![to.clone()], Dsn::default()).unwrap();
            let mail = Mail { envelope: &envelope, message: &message, listener: None, client: None, mailboxes: ALL };
            let _ = mail.decide(&rules, &to, &mut |_, _| {});
        }
        if let Ok(to) = Address::parse(&format!("\"{}\"@b.example", local.replace(['"', '\\'], ""))) {
            let place = path::expand("/m/%u/%e/x%u", &to);
            prop_assert_eq!(place.below.len(), 3);
            for part in place.below {
                prop_assert!(!part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0']), "{}", part);
            }
        }
    }
}
