use super::*;
use proptest::prelude::*;

fn parse_with(text: &str, format: AliasFormat, files: &[(&str, &str)]) -> Parsed {
    Aliases::parse(text, Path::new("/a"), format, &mut |path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    })
}

fn parse(text: &str) -> Parsed {
    parse_with(text, AliasFormat::Auto, &[])
}

const LOCAL: Local<'static> = Local { domain: "d.test", domains: &[], default: None };

fn expand_with(parsed: &Parsed, names: &[&str], local: Local<'_>) -> Result<Vec<String>, String> {
    let all = names.iter().flat_map(|name| address::parse_argument(name, "d.test").unwrap()).collect();
    let found = parsed.aliases.expand(all, local)?;
    Ok(found.recipients.into_iter().map(|mailbox| mailbox.address.to_string()).collect())
}

fn expand(text: &str, names: &[&str]) -> Result<Vec<String>, String> {
    expand_with(&parse(text), names, LOCAL)
}

fn faults(text: &str) -> Vec<String> {
    parse(text).faults.iter().map(ToString::to_string).collect()
}

#[test]
fn sendmails_format() {
    let text = "# comment\nRoot: admin@example.com, \\root, # both\n  ops,\n\n# within\n\tbob@example.org\n\
                \"two words\": \"Joe, the\" <joe@example.com>\nops : \"a b\"@example.com,c@example.com # d\n\
                long: one@example.com,\\\ntwo@example.com\nself: self, x@example.com\n";
    let parsed = parse(text);
    assert_eq!((parsed.faults.clone(), parsed.aliases.len()), (vec![], 5));
    let found = expand_with(&parsed, &["ROOT"], LOCAL).unwrap();
    // The comment ends the line that it is on, not those that go on with it.
    let ops = ["\"a b\"@example.com", "c@example.com"];
    assert_eq!(found, ["admin@example.com", "root@d.test", ops[0], ops[1], "bob@example.org"]);
    assert_eq!(expand_with(&parsed, &["ops"], LOCAL).unwrap(), ["\"a b\"@example.com", "c@example.com"]);
    assert_eq!(expand_with(&parsed, &["\"two words\""], LOCAL).unwrap(), ["joe@example.com"]);
    assert_eq!(expand_with(&parsed, &["long"], LOCAL).unwrap(), ["one@example.com", "two@example.com"]);
    assert_eq!(expand_with(&parsed, &["self"], LOCAL).unwrap(), ["self@d.test", "x@example.com"]);
    assert_eq!(
        expand_with(&parsed, &["other", "root@example.com"], LOCAL).unwrap(),
        ["other@d.test", "root@example.com"]
    );
}

#[test]
fn nested_names_details_and_local_domains() {
    let text = "root: ops\nops: Boss, a@example.com\nboss: b@example.com\nlist: root, ops, b@example.com\n";
    assert_eq!(expand(text, &["root"]).unwrap(), ["b@example.com", "a@example.com"]);
    assert_eq!(expand(text, &["root+cron"]).unwrap(), ["b@example.com", "a@example.com"]);
    assert_eq!(expand(text, &["list", "root"]).unwrap(), ["b@example.com", "a@example.com", "b@example.com"]);
    let domains = ["host.test".to_owned()];
    let default = Address::parse("all@example.com").unwrap();
    let local = Local { domains: &domains, default: Some(&default), ..LOCAL };
    let all = ["ops@HOST.test", "ops@other.test", "nobody", "nobody@host.test"];
    let found = expand_with(&parse(text), &all, local).unwrap();
    assert_eq!(found, ["b@example.com", "a@example.com", "ops@other.test", "all@example.com", "all@example.com"]);
}

#[test]
fn a_default_entry_takes_what_has_none() {
    for text in ["root: a@x.test\ndefault: b@x.test\n", "root: a@x.test\n  \ndefault: b@x.test, \\default\n"] {
        assert_eq!(expand(text, &["root", "bob"]).unwrap()[..2], ["a@x.test", "b@x.test"]);
    }
    assert_eq!(expand("default: a, b\n", &["x"]).unwrap(), ["a@d.test", "b@d.test"]);
}

#[test]
fn msmtps_format_is_to_the_letter_and_told_by_its_content() {
    let msmtp = "Root: a@x.test # c\ndefault: b@x.test\n";
    assert_eq!(parse(msmtp).aliases.format, AliasFormat::Msmtp);
    assert_eq!(expand(msmtp, &["Root", "root"]).unwrap(), ["a@x.test", "b@x.test"]);
    assert_eq!(parse("Root: \\root\ndefault: b@x.test\n").aliases.format, AliasFormat::Sendmail);
    assert_eq!(parse("root: a@x.test\n").aliases.format, AliasFormat::Sendmail);
    for bad in ["root a@x.test", "root:", ": a@x.test", "root: a@x.test,", "root: |x", "root: a b@x.test"] {
        let error = parse_with(bad, AliasFormat::Msmtp, &[]).strict().unwrap_err();
        assert!(error.to_string().starts_with("/a:1: "), "{error}");
    }
}

#[test]
fn includes_are_read_and_bounded() {
    let files = [
        ("/list", "# members\na@x.test\nb@x.test, c@x.test # two\n\n:include:/more\n"),
        ("/more", "\"d d\"@x.test\nroot\n"),
        ("/self", ":include:/self\n"),
        ("/bad", "|program\n"),
    ];
    let parsed = parse_with("list: :include:/list\nroot: r@x.test\n", AliasFormat::Auto, &files);
    assert_eq!(parsed.faults, []);
    let found = expand_with(&parsed, &["list"], LOCAL).unwrap();
    assert_eq!(found, ["a@x.test", "b@x.test", "c@x.test", "\"d d\"@x.test", "r@x.test"]);
    for (text, why) in [
        ("l: :include:/none", "/a:1: alias l: :include:/none: no such file"),
        ("l: \":include:relative\"", "absolute path"),
        ("l: :include:/self", "include one another"),
        ("l: :include:/bad", "not piped to programs (|program)"),
    ] {
        let parsed = parse_with(text, AliasFormat::Auto, &files);
        assert!(parsed.faults[0].to_string().contains(why), "{:?}", parsed.faults);
        assert!(expand_with(&parsed, &["l"], LOCAL).unwrap_err().contains("alias l: "));
    }
}

#[test]
fn what_is_wrong_is_named_and_the_rest_used() {
    let text = "good: a@x.test\nsales: \"|/usr/bin/filter a,b --key secret\", s@x.test\nbox: /var/mail/box\n  \nno colon\n\
                good: b@x.test\na@b.test: c@x.test\nempty:\nodd: :fail: no\nbad: a b@x.test\n";
    let said = faults(text);
    for (number, why) in [
        (
            2,
            "alias sales: mail is not piped to programs (|/usr/bin/filter); give an address, or have a [[rule]] with pipe in its place",
        ),
        (
            3,
            "alias box: mail is not appended to files (/var/mail/box); give an address, or have a [[rule]] with maildir in its place",
        ),
        (5, "an alias line is `name: address, address`"),
        (6, "alias good: it stands twice; the line that counts is 1"),
        (7, "one local name, without a domain"),
        (8, "alias empty: it leads to nobody"),
        (9, "alias odd: \":fail: no\" is no address and no :include:"),
        (10, "alias bad: "),
    ] {
        let line = format!("/a:{number}: ");
        let found = said.iter().find(|fault| fault.starts_with(&line)).unwrap_or_else(|| panic!("{line}{said:?}"));
        assert!(found.contains(why) && !found.contains("secret"), "{found}");
    }
    assert_eq!(said.len(), 8);
    assert_eq!(expand(text, &["good"]).unwrap(), ["a@x.test"]);
    assert!(expand(text, &["sales"]).unwrap_err().starts_with("/a:2: alias sales: mail is not piped"));
    assert_eq!(faults("  x: y@z.test\n"), ["/a:1: the line goes on with one before it, and there is none"]);
}

#[test]
fn loops_are_found_when_the_file_is_read_and_refused() {
    let text = "a: b\nb: c, x@x.test\nc: a\nme: me, x@x.test\ntwo: two2\ntwo2: two\n";
    let said = faults(text);
    assert_eq!(
        said,
        [
            "/a:1: alias a: it leads back to itself: a -> b -> c -> a",
            "/a:5: alias two: it leads back to itself: two -> two2 -> two"
        ]
    );
    assert!(expand(text, &["b"]).unwrap_err().contains("it leads back to itself"));
    assert_eq!(expand(text, &["me"]).unwrap(), ["me@d.test", "x@x.test"]);
}

#[test]
fn chains_and_results_are_bounded() {
    let chain: String = (0..100).map(|n| format!("a{n}: a{}\n", n + 1)).collect();
    assert!(expand(&chain, &["a0"]).unwrap_err().contains("more than 16 others"));
    assert!(expand(&chain, &["a90"]).is_ok());
    // Each leads to the next one often: without a memory this would never end.
    let wide: String = (0..15).map(|n| format!("a{n}: {}\n", vec![format!("a{}", n + 1); 100].join(","))).collect();
    assert_eq!(expand(&wide, &["a0"]).unwrap().len(), 100);
    let many: Vec<String> = (0..10_001).map(|n| format!("u{n}@x.test")).collect();
    let error = expand(&format!("all: {}\n", many.join(",")), &["all"]).unwrap_err();
    assert!(error.contains("more than 10000 recipients"), "{error}");
    assert_eq!(expand(&format!("all: {}\n", many[1..].join(",")), &["all"]).unwrap().len(), 10_000);
}

#[test]
fn a_lists_owner_hears_of_failures() {
    let text =
        "list: a@x.test\nowner-list: boss@x.test\nother: b@x.test\nthird: c@x.test\nowner-third: d@x.test, e@x.test\n";
    let owner = |names: &[&str]| {
        let all = names.iter().flat_map(|name| address::parse_argument(name, "d.test").unwrap()).collect();
        parse(text).aliases.expand(all, LOCAL).unwrap().owner.map(|owner| owner.to_string())
    };
    assert_eq!(owner(&["List"]).as_deref(), Some("boss@x.test"));
    assert_eq!(owner(&["third"]).as_deref(), Some("owner-third@d.test"));
    for others in [&["list", "other"][..], &["list", "x@y.test"], &["other"], &["owner-list"], &["list", "third"]] {
        assert_eq!(owner(others), None, "{others:?}");
    }
}

#[test]
fn the_steps_are_told() {
    let all = address::parse_argument("root", "d.test").unwrap();
    let parsed = parse("root: ops, \\root\nops: a@x.test\n");
    let found = parsed.aliases.expand(all, LOCAL).unwrap();
    assert_eq!(found.steps, ["root -> ops, \\root (/a:1)", "ops -> a@x.test (/a:2)"]);
}

proptest! {
    #[test]
    fn whatever_the_file_says_it_ends(
        text in "((a|b|c|d|default|owner-a|\"x y\"|#| |)(:|)( ?(a|b|c|d|\\\\a|x@y.test|:include:/i|\\|p|/f|\"|,|#|\\\\)){0,5}\n){0,8}",
        name in "a|b|c|d|e",
    ) {
        for format in [AliasFormat::Auto, AliasFormat::Sendmail, AliasFormat::Msmtp] {
            let parsed = parse_with(&text, format, &[("/i", "b, c\n:include:/i\n")]);
            match expand_with(&parsed, &[&name], LOCAL) {
                Ok(found) => prop_assert!(found.iter().all(|to| Address::parse(to).is_ok())),
                // What the expansion meets, reading the file has told.
                Err(error) => prop_assert!(!parsed.faults.is_empty(), "{error}"),
            }
        }
    }

    #[test]
    fn any_text_is_read(text in "\\PC{0,200}|(.|\n){0,200}") {
        parse(&text);
    }
}
