//! Lists: the examples of RFC 5322 appendix A, what programs write, attacks, and properties.

use super::*;
use crate::message::header::format_mailbox;
use proptest::prelude::*;

fn shown(text: &str) -> Result<Vec<String>, &'static str> {
    parse_list(text.as_bytes(), "host")
        .map(|found| {
            let show = |one: Mailbox| match one.name {
                Some(name) => format!("{name}|{}{}", one.address, if one.bare { "!" } else { "" }),
                None => format!("{}{}", one.address, if one.bare { "!" } else { "" }),
            };
            found.into_iter().map(show).collect()
        })
        .map_err(|error| error.why)
}

#[test]
fn the_examples_of_rfc_5322_appendix_a() {
    for (text, want) in [
        ("John Doe <jdoe@machine.example>", vec!["John Doe|jdoe@machine.example"]),
        ("\"Joe Q. Public\" <john.q.public@example.com>", vec!["Joe Q. Public|john.q.public@example.com"]),
        (
            "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            vec!["Mary Smith|mary@x.test", "jdoe@example.org", "Who?|one@y.test"],
        ),
        (
            "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
            vec!["boss@nil.test", "Giant; \"Big\" Box|sysservices@example.net"],
        ),
        (
            "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
            vec!["Ed Jones|c@a.test", "joe@where.test", "John|jdoe@one.test"],
        ),
        ("Undisclosed recipients:;", vec![]),
        ("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", vec![]),
        ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", vec!["Pete|pete@silly.test"]),
        (
            "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
            vec!["Chris Jones|c@public.example", "joe@example.org", "John|jdoe@one.test"],
        ),
        ("Joe Q. Public <john.q.public@example.com>", vec!["Joe Q. Public|john.q.public@example.com"]),
        (
            "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
            vec!["Mary Smith|mary@example.net", "jdoe@test.example"],
        ),
        ("John Doe <jdoe@machine(comment).  example>", vec!["John Doe|jdoe@machine.example"]),
    ] {
        assert_eq!(shown(text), Ok(want.into_iter().map(str::to_owned).collect()), "{text}");
    }
}

#[test]
fn what_programs_write() {
    for (text, want) in [
        ("root (Cron Daemon)", vec!["Cron Daemon|root@host!"]),
        ("root", vec!["root@host!"]),
        ("\"root\" <root>", vec!["root|root@host!"]),
        ("a@b; c@d;e@f", vec!["a@b", "c@d", "e@f"]),
        ("a@b,\r\n\tc@d,\r\n e@f", vec!["a@b", "c@d", "e@f"]),
        ("undisclosed-recipients:;", vec![]),
        ("undisclosed-recipients:", vec![]),
        ("", vec![]),
        (" ,, ", vec![]),
        ("shop@example.com <shop@example.com>", vec!["shop@example.com|shop@example.com"]),
        ("=?UTF-8?Q?Smith,_J=C3=B6rg?= <a@b>", vec!["Smith, Jörg|a@b"]),
        ("=?utf-8?B?0J/RgNC40LLQtdGC?= =?utf-8?B?IQ==?= <a@b>", vec!["Привет!|a@b"]),
        ("Jörg <почта@пример.рф>", vec!["Jörg|почта@пример.рф"]),
        ("\"a b\"@x.com, \"a,b\"@x.com", vec!["\"a b\"@x.com", "\"a,b\"@x.com"]),
        ("a@[IPv6:::1], b@[192.0.2.1]", vec!["a@[IPv6:::1]", "b@[192.0.2.1]"]),
        ("<@a.test,@b.test:c@d.test>", vec!["c@d.test"]),
        ("< a@b >", vec!["a@b"]),
        ("a@b (Joe (the (third)))", vec!["Joe (the (third))|a@b"]),
        ("One: a@b, c@d; e@f", vec!["a@b", "c@d", "e@f"]),
    ] {
        assert_eq!(shown(text), Ok(want.into_iter().map(str::to_owned).collect()), "{text}");
    }
    let latin = parse_list(b"J\xf6rg <a@b>", "host").unwrap();
    assert_eq!(latin[0].address.as_str(), "a@b");
    assert!(parse_list(b"j\xf6rg@b", "host").is_err());
}

#[test]
fn garbage_is_an_error() {
    for text in [
        "Doe\\, <a@b>",
        "Joe a@b",
        "Doe\\, <a@b>",
        "a@b c@d",
        "a b",
        "<a@b",
        "a@b>",
        "<<a@b>>",
        "<>",
        "Joe <>",
        "<a@b> c",
        "<a@b> <c@d>",
        "<a@b, c@d>",
        "(a@b",
        "\"a@b",
        "a@b (",
        "a@[1.2.3.4",
        ":a@b",
        "a@b@c",
        "@b",
        "a@",
        "=?utf-8?Q?a?=@b",
        "=?utf-8?Q?a?=",
        ".",
        "a@b\0",
        "a\u{7}@b",
        "'a@b'",
        "a\\@b",
        "<a:b@c>",
        "\"a\"b@c",
        "[1.2.3.4]",
        "a@b [x]",
        "\"a\r\nb\"c@d",
        "a@\"b\"",
        "<@a:>",
        "<@a@b>",
        "a@b Bcc: c@d",
        "a@b: c@d;",
    ] {
        assert!(shown(text).is_err(), "{text:?}: {:?}", shown(text));
    }
}

#[test]
fn depth_and_size_are_bounded() {
    assert!(shown(&format!("{}{} a@b", "(".repeat(100_000), ")".repeat(100_000))).is_err());
    assert!(shown(&format!("{}a@b;", "x:".repeat(100))).is_err());
    assert!(shown(&format!("{}<a@b>", "x ".repeat(100_000))).is_err());
    assert!(shown(&"a,".repeat(200_000)).is_err());
    assert_eq!(shown(&"a,".repeat(50_000)).map(|found| found.len()), Ok(50_000));
    assert!(shown(&"=?".repeat(500_000)).is_err());
    assert!(shown(&"=?a?q?".repeat(200_000)).is_err());
    assert!(shown(&"<@".repeat(500_000)).is_err());
    assert!(shown(&"\"\\".repeat(500_000)).is_err());
}

#[test]
fn arguments() {
    let shown = |text| {
        parse_argument(text, "host").map(|found| found.iter().map(|one| one.address.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(shown("a@b,c@d"), Ok(vec!["a@b".into(), "c@d".into()]));
    assert_eq!(shown("Joe <a@b>"), Ok(vec!["a@b".into()]));
    assert_eq!(shown("root"), Ok(vec!["root@host".into()]));
    assert_eq!(shown("-x"), Ok(vec!["-x@host".into()]));
    for text in ["", " ", "a@b\nc@d", "a@b\r", "a:b@c;", "list:;", "\"<?php ?>\n\"@x", "a@b\0", ","] {
        assert!(shown(text).is_err(), "{text:?}");
    }
    let error = parse_argument("a@b\r\nBcc: e@f", "host").unwrap_err().to_string();
    assert!(error.contains("line end") && !error.contains('\n'), "{error}");
}

#[test]
fn reverse_paths() {
    for text in ["", "<>", " <> ", "< >"] {
        assert_eq!(parse_reverse_path(text, "host"), Ok(ReversePath::Null), "{text}");
    }
    for (text, want) in [
        ("a@b", "a@b"),
        ("<a@b>", "a@b"),
        ("Joe <a@b>", "a@b"),
        ("www-data", "www-data@host"),
        ("\"a b\"@c", "\"a b\"@c"),
    ] {
        assert_eq!(parse_reverse_path(text, "host").unwrap().to_string(), want);
    }
    for text in ["a@b,c@d", "x\nRCPT TO:<e@f>", "a@b\r", "\"a\r\nb\"@c", "a b", "<a@b", "\n"] {
        assert!(parse_reverse_path(text, "host").is_err(), "{text:?}");
    }
}

fn a_mailbox() -> impl Strategy<Value = (Option<String>, Address)> {
    let local = prop_oneof!["[a-z]{1,8}(\\.[a-z0-9+]{1,5})?", "[ -~]{1,12}", "[а-я]{1,6}"];
    let domain = prop_oneof![
        "[a-z]{1,8}\\.[a-z]{2,3}",
        Just("[192.0.2.1]".to_owned()),
        Just("[IPv6:::1]".to_owned()),
        "[а-я]{1,6}\\.рф"
    ];
    let name =
        prop_oneof!["[A-Za-z]{1,8} [A-Za-z.,]{1,8}", "[ -~]{0,30}", "\\PC{0,60}", Just("=?utf-8?Q?x?=".to_owned())];
    (proptest::option::of(name), local, domain).prop_map(|(name, local, domain)| {
        let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        (name, Address::from_parts(&local, &domain).expect("a good address"))
    })
}

proptest! {
    #[test]
    fn what_is_formatted_parses_back(list in proptest::collection::vec(a_mailbox(), 0..6)) {
        let text: Vec<String> = list.iter().map(|(name, address)| format_mailbox(name.as_deref(), address)).collect();
        let back = parse_list(text.join(", ").as_bytes(), "host").unwrap();
        let back: Vec<(Option<String>, Address)> = back.into_iter().map(|one| (one.name, one.address)).collect();
        prop_assert_eq!(back, list);
    }

    #[test]
    fn anything_parses_or_fails_but_never_lets_a_control_through(value in proptest::collection::vec(any::<u8>(), 0..80)) {
        for one in parse_list(&value, "host").unwrap_or_default() {
            prop_assert!(!one.address.as_str().chars().any(char::is_control));
            prop_assert!(!one.name.unwrap_or_default().chars().any(char::is_control));
        }
    }

    #[test]
    fn syntax_soup(text in "([a-c]|[@<>(),;:.\"\\\\ \\[\\]]|=\\?utf-8\\?q\\?x\\?=|\r\n ){0,30}") {
        for one in parse_list(text.as_bytes(), "host").unwrap_or_default() {
            prop_assert_eq!(Address::parse(one.address.as_str()).unwrap(), one.address);
        }
    }

    #[test]
    fn simple_lists_agree_with_another_parser(list in proptest::collection::vec(("[A-Z][a-z]{0,6}( [A-Z][a-z]{0,6})?", "[a-z]{1,6}@[a-z]{1,6}\\.test"), 1..6), folded: bool) {
        let glue = if folded { ",\r\n " } else { ", " };
        let text = list.iter().map(|(name, address)| format!("{name} <{address}>")).collect::<Vec<_>>().join(glue);
        let ours: Vec<(Option<String>, String)> =
            parse_list(text.as_bytes(), "host").unwrap().into_iter().map(|one| (one.name, one.address.to_string())).collect();
        let message = format!("To: {text}\r\n\r\n");
        let parsed = mail_parser::MessageParser::default().parse(message.as_bytes()).unwrap();
        let theirs: Vec<(Option<String>, String)> = parsed.to().unwrap().iter()
            .map(|one| (one.name().map(str::to_owned), one.address().unwrap_or_default().to_owned())).collect();
        prop_assert_eq!(ours, theirs);
    }
}
