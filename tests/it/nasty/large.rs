//! Too much of everything: header, recipients, lines, parts.

use super::{COMPLETE, Case, case, check, crlf, home, server};
use std::fmt::Write as _;

fn to_a(name: &'static str, input: impl AsRef<[u8]>) -> Case {
    case(name).argv(&["-i", "a@b.test"]).input(input)
}

fn with_body(body: &str) -> String {
    format!("{COMPLETE}\n{body}")
}

#[test]
fn headers() {
    let folded: String = (0..40_000).fold("X-Long:".to_owned(), |mut all, number| {
        write!(all, "\n part {number} of a value that is very long indeed").unwrap();
        all
    });
    let two_megabytes = format!("{COMPLETE}{folded}\n\nhi\n");
    let words = |count: usize| format!("{COMPLETE}X-Words:{}\n\nhi\n", " wörd".repeat(count));
    let line_998 = format!("{COMPLETE}X: {}\n\nhi\n", "x".repeat(995));
    check(vec![
        to_a("2 MB in one folded field", &two_megabytes).sends(&["a@b.test"], &two_megabytes),
        to_a("10,000 fields", format!("{COMPLETE}{}\nhi\n", "X: y\n".repeat(10_000)))
            .sends(&["a@b.test"], format!("{COMPLETE}{}\nhi\n", "X: y\n".repeat(10_000))),
        to_a("70,000 fields", "X: y\n".repeat(70_000)).fails(65, "16 MiB or 65536 fields"),
        to_a("17 MB in one field", format!("X: {}", "x ".repeat(9 << 20))).fails(65, "16 MiB"),
        to_a("17 MB in one field, cut off", format!("X: {}", "x".repeat(17 << 20))).fails(65, "16 MiB"),
        to_a("998 octets without a space", &line_998).sends(&["a@b.test"], &line_998),
        to_a("a value of 997 octets goes to the next line", format!("{COMPLETE}X: {}\n\n", "x".repeat(997)))
            .sends(&["a@b.test"], format!("{COMPLETE}X:\n {}\n\n", "x".repeat(997))),
        to_a("a value of 998 octets without a space", format!("X: {}\n\n", "x".repeat(998)))
            .fails(65, "longer than 998"),
        to_a("2 MB without a space", format!("X-Blob: {}\n\n", "x".repeat(2 << 20))).fails(65, "header field X-Blob"),
        to_a("a name of 2 MB", format!("{}: x\n\nhi\n", "x".repeat(2 << 20))).argv(&["-t"]).fails(64, "no recipient"),
        to_a("a long line of words is folded", words(300)).sends(&["a@b.test"], {
            let mut lines = vec!["X-Words:".to_owned()];
            for _ in 0..300 {
                if lines.last().is_some_and(|line| line.len() + 6 > 998) {
                    lines.push(String::new());
                }
                lines.last_mut().unwrap().push_str(" wörd");
            }
            format!("{COMPLETE}{}\n\nhi\n", lines.join("\n"))
        }),
    ]);
}

#[test]
fn a_hundred_thousand_recipients() {
    let many: Vec<String> = (0..100_000).map(|number| format!("r{number}@b.test")).collect();
    let header = format!("{COMPLETE}Bcc: {}\n\nhi\n", many.join(",\n "));
    let server = server();
    let finished = home(&server).run("sendmail", &["-t", "-i"], header).expect(0);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].recipients == many, "{} recipients", messages[0].recipients.len());
    assert_eq!(messages[0].text, crlf(format!("{COMPLETE}\nhi\n").as_bytes()));
    let more = format!("{COMPLETE}Bcc: {}, x@y.test\n\nhi\n", many.join(",\n "));
    let finished = home(&server).run("sendmail", &["-t", "-i"], more).expect(65);
    assert!(finished.stderr.contains("more than 100000 addresses"), "{}", finished.stderr);
    assert_eq!(server.messages().len(), 1);
}

/// What quoted-printable text stands for (RFC 2045 section 6.7).
fn unquoted(text: &[u8]) -> Vec<u8> {
    let hex = |octet: u8| char::from(octet).to_digit(16).expect("a hex digit") as u8;
    let mut out = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'=', [b'\r', b'\n', tail @ ..]) => tail,
            (b'=', [high, low, tail @ ..]) => {
                out.push(hex(*high) * 16 + hex(*low));
                tail
            }
            _ => {
                out.push(*first);
                tail
            }
        };
    }
    out
}

/// What arrives has no line over 998 octets and, decoded, every octet of the body that was given.
#[track_caller]
fn arrives_whole(header: &str, body: &[u8]) {
    let server = server();
    let input = [COMPLETE.as_bytes(), header.as_bytes(), b"\n", body].concat();
    let finished = home(&server).run("sendmail", &["-i", "a@b.test"], &input).expect(0);
    assert_eq!(finished.stderr, "");
    let text = server.messages().remove(0).text;
    let longest = text.split(|octet| *octet == b'\n').map(|line| line.len() - usize::from(line.ends_with(b"\r"))).max();
    assert!(longest <= Some(998), "{longest:?}");
    let start = memchr::memmem::find(&text, b"\r\n\r\n").expect("a body");
    let shown = String::from_utf8_lossy(&text[..text.len().min(600)]);
    assert!(shown.contains("Content-Transfer-Encoding: quoted-printable\r\n"), "{shown}");
    assert!(unquoted(&text[start + 4..]) == crlf(body), "{shown}");
    if body.is_ascii() {
        let parsed = mail_parser::MessageParser::default().parse(&text).expect("a message");
        assert!(parsed.part(0).expect("a part").contents() == crlf(body), "another parser agrees: {shown}");
    }
}

#[test]
fn long_lines_of_the_body_arrive_octet_for_octet() {
    arrives_whole("", format!("{}\n", "x".repeat(10 << 20)).as_bytes());
    arrives_whole("", format!("{}\nshort = \t\n.\n..\n", "x".repeat(999)).as_bytes());
    arrives_whole(
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n",
        format!("{}\n\nFrom here\n", "grüße ".repeat(500)).as_bytes(),
    );
    arrives_whole(
        "MIME-Version: 1.0\nContent-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n",
        &[&b"\xfc\xdf".repeat(1000)[..], b"\n"].concat(),
    );
}

#[test]
fn lines_that_fit_stay() {
    let fits = with_body(&format!("{}\n", "x".repeat(998)));
    let eight = with_body("grüße\n");
    let large =
        with_body(&"0123456789 012345678901234567890 1234567890123456789 0123456789012345678\n".repeat(120_000));
    check(vec![
        to_a("998 octets in the body", &fits).sends(&["a@b.test"], &fits),
        to_a("8-bit text", &eight).sends(&["a@b.test"], &eight),
        to_a("8 MiB", &large).sends(&["a@b.test"], &large),
        to_a(
            "a boundary that is missing, and long lines",
            format!("{COMPLETE}Content-Type: multipart/mixed\n\n{}\n", "x".repeat(2000)),
        )
        .fails(65, "boundary"),
    ]);
}

#[test]
fn a_thousand_nested_multiparts() {
    let nested = |depth: usize, leaf: &str| {
        let mut text = format!("{COMPLETE}MIME-Version: 1.0\n");
        for level in 0..depth {
            writeln!(text, "Content-Type: multipart/mixed; boundary=\"b{level}\"\n\n--b{level}").unwrap();
        }
        write!(text, "Content-Type: text/plain\n\n{leaf}\n").unwrap();
        (0..depth).rev().for_each(|level| writeln!(text, "--b{level}--").unwrap());
        text
    };
    let deep = nested(1000, "hi");
    check(vec![
        to_a("1,000 deep, short lines", &deep).sends(&["a@b.test"], &deep),
        to_a("1,000 deep, a long line", nested(1000, &"x".repeat(2000))).fails(65, "nested too deeply"),
    ]);
}
