//! Nasty message texts: nothing, NUL, line ends of all kinds, dots, octets that are no text.

use super::{ADDED, COMPLETE, Case, case, check};

/// To `a@b.test`, whatever the message says.
fn to_a(name: &'static str, input: impl AsRef<[u8]>) -> Case {
    case(name).argv(&["-i", "-f", "shop@example.com", "-F", "Shop", "a@b.test"]).input(input)
}

/// A complete header before this body, which arrives as `want`.
fn body(name: &'static str, body: impl AsRef<[u8]>, want: impl AsRef<[u8]>) -> Case {
    let header = format!("{COMPLETE}\n");
    to_a(name, [header.as_bytes(), body.as_ref()].concat())
        .sends(&["a@b.test"], [header.as_bytes(), want.as_ref()].concat())
}

fn added(name: &'static str, input: impl AsRef<[u8]>, want: &str) -> Case {
    to_a(name, input).sends(&["a@b.test"], format!("{ADDED}{want}"))
}

#[test]
fn shapes() {
    check(vec![
        added("nothing", "", "\n"),
        added("a line end", "\n", "\n"),
        added("a CR", "\r", "\n"),
        added("a hundred line ends", "\n".repeat(100), &"\n".repeat(100)),
        added("headers alone, no line end", "Subject: x", "Subject: x\n\n"),
        added("no header", "hi there\nSubject: x\n", "\nhi there\nSubject: x\n"),
        added("a colon alone", ": x\n", "\n: x\n"),
        added("a space before the header", " Subject: x\n\nhi\n", "\n Subject: x\n\nhi\n"),
        added(
            "an mbox line",
            "From a@b Mon Jan  1 00:00:00 2024\nSubject: x\n\nFrom here\n",
            "Subject: x\n\nFrom here\n",
        ),
        added(
            "a quoted mbox line",
            ">From a@b Mon Jan  1 00:00:00 2024\nSubject: x\n\n>From y",
            "Subject: x\n\n>From y\n",
        ),
        added("an mbox line alone", "From a@b Mon Jan  1 00:00:00 2024", "\n"),
        added("text in the header", "Subject: x\nhi there\nTo: e@f.test\n", "Subject: x\n\nhi there\nTo: e@f.test\n"),
        added("CRLF header, LF body", "Subject: x\r\nX: 1\r\n\r\nhi\nyou\n", "Subject: x\nX: 1\n\nhi\nyou\n"),
        added("CR CR LF", "Subject: x\r\r\n\r\r\nhi\r\r\n", "Subject: x\n\nhi\n\n"),
        added("an empty Date, From and Message-ID", "Date:\nFrom:  \nMessage-ID:\nSubject: x\n\n", "Subject: x\n\n"),
        body("trailing blank lines", "hi\n\n\n\n", "hi\n\n\n\n"),
        body("no line end", "hi", "hi\n"),
        body("white space at the ends of lines", " a \t\n\t\n", " a \t\n\t\n"),
    ]);
}

#[test]
fn octets() {
    check(vec![
        to_a("NUL in the header", b"Subject: a\0b\n\nhi\n").fails(65, "NUL"),
        to_a("NUL in the body", b"Subject: x\n\nhi\0there\n").fails(65, "NUL"),
        to_a("NUL alone", b"\0").fails(65, "NUL"),
        to_a("NUL after a megabyte", [vec![b'\n'; 2 << 20], vec![0]].concat()).fails(65, "NUL"),
        to_a("NUL in From", b"From: shop@example.com\0@evil.test\n\n").fails(65, "NUL"),
        body("all octets but NUL", (1..=255).collect::<Vec<u8>>(), {
            let all: Vec<u8> = (1..=255).collect();
            [&all[..12], b"\n", &all[13..], b"\n"].concat()
        }),
        body("octets that are no UTF-8", b"\xff\xfe\xc3\n\x80", b"\xff\xfe\xc3\n\x80\n"),
        body("bare CR", "a\rb\rMAIL FROM:<e@f.test>\r\rc", "a\nb\nMAIL FROM:<e@f.test>\n\nc\n"),
        body("CR at the end", "a\r", "a\n"),
        body("control characters", "\x01\x08\x0b\x0c\x1b[31m\x7f\x1a\x04", "\x01\x08\x0b\x0c\x1b[31m\x7f\x1a\x04\n"),
        body("a byte order mark", "\u{feff}hi", "\u{feff}hi\n"),
    ]);
}

#[test]
fn dots() {
    let input = format!("{COMPLETE}\nx\n.\nrest\n");
    let short = format!("{COMPLETE}\nx\n");
    let without_i =
        |name, input: &str, want: &str| case(name).argv(&["a@b.test"]).input(input).sends(&["a@b.test"], want);
    check(vec![
        body("LF . LF with -i", "x\n.\ny\n", "x\n.\ny\n"),
        body("a dot alone with -i", ".\n", ".\n"),
        body("a dot at the end with -i", "x\n.", "x\n.\n"),
        body("dots at the starts of lines", ".x\n..y\n...\n. \n", ".x\n..y\n...\n. \n"),
        without_i("a lone dot ends", &input, &short),
        without_i("a lone dot with CRLF ends", &input.replace('\n', "\r\n"), &short),
        without_i("-oi is not said by -oit", &input, &short).argv(&["-oem", "a@b.test"]),
        without_i("two dots stay", &format!("{COMPLETE}\n..\n..x\n.y\n"), &format!("{COMPLETE}\n..\n..x\n.y\n")),
        without_i("a dot ends the header", &format!("{COMPLETE}.\nTo: e@f.test\n"), &format!("{COMPLETE}\n")),
        without_i("a dot without a line end is text", &format!("{COMPLETE}\nx\n."), &format!("{COMPLETE}\nx\n.\n")),
        case("a dot and nothing else")
            .argv(&["-f", "shop@example.com", "-F", "Shop", "a@b.test"])
            .input(".\n")
            .sends(&["a@b.test"], format!("{ADDED}\n")),
    ]);
}
