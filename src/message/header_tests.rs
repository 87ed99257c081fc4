//! Fields: nothing written makes a second one, nothing is longer than a line may be, nothing read is changed.

use super::*;
use proptest::prelude::*;

fn text(header: &Header) -> String {
    header.fields().iter().map(|field| format!("{}\r\n", String::from_utf8_lossy(field.raw()))).collect()
}

#[test]
fn a_value_cannot_make_a_field() {
    let mut header = Header::default();
    header.prepend("Subject", "x\r\nBcc: e@f\n\nbody\0\r");
    header.append("X-\r\nBcc", "y");
    header.replace("From", "a\rb");
    assert_eq!(text(&header), "From: a b\r\nSubject: x  Bcc: e@f  body\r\nX-Bcc: y\r\n");
}

#[test]
fn names_are_found_in_every_spelling() {
    let raw = |text: &str| Field::new(text.as_bytes().to_vec()).unwrap();
    let mut header =
        Header::of(vec![raw("BCC \t: a@b"), raw("To: x"), raw("bcc:c@d"), raw("Subject:\r\n two\r\n\tlines ")]);
    assert_eq!(header.first("Bcc").map(Field::name), Some("BCC"));
    assert_eq!(header.all("bCC").count(), 2);
    assert_eq!(header.first("subject").unwrap().unfolded(), b"two\tlines");
    assert_eq!(header.remove("Bcc"), 2);
    header.replace("to", "y");
    assert_eq!(text(&header), "to: y\r\nSubject:\r\n two\r\n\tlines \r\n");
}

#[test]
fn replace_takes_the_place_of_the_first() {
    let raw = |text: &str| Field::new(text.as_bytes().to_vec()).unwrap();
    let mut header = Header::of(vec![raw("A: 1"), raw("From: x"), raw("B: 2"), raw("FROM: y"), raw("C: 3")]);
    header.replace("From", "z");
    assert_eq!(text(&header), "A: 1\r\nFrom: z\r\nB: 2\r\nC: 3\r\n");
}

#[test]
fn names_get_what_they_need() {
    let address = Address::parse("a@b").unwrap();
    for (name, want) in [
        (None, "a@b"),
        (Some(""), "a@b"),
        (Some("Joe Doe"), "Joe Doe <a@b>"),
        (Some("Doe, Joe \"x\""), "\"Doe, Joe \\\"x\\\"\" <a@b>"),
        (Some("Jörg"), "=?utf-8?B?SsO2cmc=?= <a@b>"),
        (Some("x\r\nBcc: e@f"), "\"x  Bcc: e@f\" <a@b>"),
    ] {
        assert_eq!(format_mailbox(name, &address), want);
    }
}

#[test]
fn long_lines_fold_where_they_can() {
    let long = |value: String| Field::new(format!("To: {value}").into_bytes()).unwrap();
    let mut spaces = long("abcd ".repeat(1000));
    spaces.fold_long_lines().unwrap();
    let mut commas = long(vec!["a@b.example"; 500].join(","));
    commas.fold_long_lines().unwrap();
    for field in [&spaces, &commas] {
        assert!(
            field
                .raw()
                .split(|byte| *byte == b'\n')
                .all(|line| line.len() <= LINE + 1 && !line.trim_ascii().is_empty())
        );
    }
    assert_eq!(String::from_utf8(spaces.unfolded()).unwrap(), "abcd ".repeat(1000).trim());
    assert_eq!(super::super::address::parse_list(commas.value(), "host").unwrap().len(), 500);
    assert!(long("a".repeat(2000)).fold_long_lines().is_err());
    let mut exact = long("a".repeat(994));
    exact.fold_long_lines().unwrap();
    assert_eq!(exact.raw().len(), 998);
    let mut blanks = long(format!("x{0}\r\n{0}\r\n y", " ".repeat(1 << 20)));
    blanks.fold_long_lines().unwrap();
    assert_eq!(blanks.raw(), b"To: x\r\n \r\n y");
    let mut token = long("a".repeat(996));
    token.fold_long_lines().unwrap();
    assert!(token.raw().starts_with(b"To:\r\n aaa"));
}

proptest! {
    #[test]
    fn whatever_is_written_is_one_field_of_lines_short_enough(name in "\\PC{0,20}|[\r\n:A-Z]{0,9}", value in "(\\PC|[\r\n\0\t ]|[a-z]{1,400}| {1,1200}){0,30}", how in 0..3) {
        let mut header = Header::default();
        header.append("First", "1");
        match how {
            0 => header.prepend(&name, &value),
            1 => header.append(&name, &value),
            _ => header.replace(&name, &value),
        }
        let bytes = format!("{}\r\n", text(&header));
        let message = crate::message::read::read(&mut bytes.as_bytes(), Default::default()).unwrap();
        prop_assert_eq!(&message.header, &header);
        prop_assert!(message.header.fields().len() <= 2 && message.body.is_empty());
        prop_assert!(bytes.split("\r\n").all(|line| line.len() <= LINE && !line.contains(['\r', '\n', '\0'])));
        let same = |text: &str| text.chars().filter(|c| !c.is_control() && *c != ' ').collect::<String>();
        // Controls become spaces before the ends are trimmed, so that a wide space before one is an end too.
        let spaced = value.replace(char::is_control, " ");
        let written = header.fields().iter().find(|field| field.name() != "First");
        if let Some(field) = written {
            prop_assert_eq!(same(&String::from_utf8(field.unfolded()).unwrap()), same(spaced.trim()));
        }
    }
}
