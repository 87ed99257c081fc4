//! Nasty header fields: addresses, comments, groups, Bcc in every spelling, Resent-, octets that are no ASCII.

use super::{COMPLETE, Case, case, check};

const BODY: &str = "\nhi\n";

/// With `-t`, these fields before the complete ones; what arrives has `want` in their place.
fn fields(name: &'static str, fields: impl AsRef<[u8]>, to: &[&str], want: impl AsRef<[u8]>) -> Case {
    let message = |fields: &[u8]| [fields, COMPLETE.as_bytes(), BODY.as_bytes()].concat();
    case(name).argv(&["-t", "-i"]).input(message(fields.as_ref())).sends(to, message(want.as_ref()))
}

/// Sent as it stands.
fn same(name: &'static str, text: &str, to: &[&str]) -> Case {
    fields(name, text, to, text)
}

fn bad(name: &'static str, text: impl AsRef<[u8]>, says: &'static str) -> Case {
    fields(name, text, &[], "").fails(65, says)
}

#[test]
fn recipients() {
    let comments = |depth: usize| format!("To: {}x{} a@b.test\n", "( ".repeat(depth), " )".repeat(depth));
    let groups = |depth: usize| format!("To: {}a@b.test{}\n", "g:".repeat(depth), ";".repeat(depth));
    check(vec![
        same("a space before the colon", "To : a@b.test\n", &["a@b.test"]),
        same("an address in the fold", "To:\n a@b.test\n", &["a@b.test"]),
        same("a field of white space", "To: \n\t\n a@b.test\n", &["a@b.test"]),
        same("several fields", "To: a@b.test\ncc: c@d.test\nTO: e@f.test\n", &["a@b.test", "c@d.test", "e@f.test"]),
        same("semicolons and empty elements", "To: ,a@b.test;;c@d.test,,;\n", &["a@b.test", "c@d.test"]),
        same("a group", "To: all: a@b.test, \"J, D\" <c@d.test>;, e@f.test\n", &["a@b.test", "c@d.test", "e@f.test"]),
        same("comments", "To: (a) a(b)@(c)b.test(d (e\\)) \"), (<e@f.test>)\n", &["a@b.test"]),
        same("comments 60 deep", &comments(60), &["a@b.test"]),
        bad("comments 1,000 deep", comments(1000), "nested too deeply"),
        bad("comments 100,000 deep, never closed", format!("To: {}\n", "( ".repeat(100_000)), "nested too deeply"),
        bad("groups 100 deep", groups(100), "nested too deeply"),
        bad("a group and no recipient", "To: undisclosed-recipients:;\n", "").fails(64, "no recipient"),
        bad("a quote not closed", "To: \"a@b.test\n", "not closed"),
        bad("a bracket not closed", "To: <a@b.test\n", "missing"),
        bad("two addresses without a comma", "To: a@b.test c@d.test\n", "is no address"),
        bad("a name of 10,000 words", format!("To: {} <a@b.test>\n", "x ".repeat(10_000)), "1000 words"),
        bad("octets that are no UTF-8 in an address", b"To: a\xff@b.test\n", "is no address"),
        same("a source route", "To: <@x.test,@y.test:a@b.test>\n", &["a@b.test"]),
        same("a source route alone", "Cc: @x.test:a@b.test, c@d.test\n", &["a@b.test", "c@d.test"]),
        fields(
            "a source route of the author",
            "Reply-To: J <@x.test,@y.test:e@f.test>\nTo: a@b.test\n",
            &["a@b.test"],
            "Reply-To: J <e@f.test>\nTo: a@b.test\n",
        ),
        bad("a source route to nobody", "To: <@x.test,@y.test:>\n", "is no address"),
        bad("a source route without end", "To: <@x.test,@y.test>\n", "is no address"),
        same("a name of two kinds", "To: =?iso-8859-1?q?J=FCrgen?= \"x, y\" <a@b.test>\n", &["a@b.test"]),
        same(
            "an address literal",
            "To: a@[192.0.2.1], b@[IPv6:2001:db8::1]\n",
            &["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"],
        ),
    ]);
}

#[test]
fn bcc_and_resent() {
    let every = "Bcc: a@b.test\nBCC : c@d.test\nbcc:\n e@f.test\nbCc:g@h.test\nBcc\t:i@j.test\nBcc: list: k@l.test;\n";
    let all = ["a@b.test", "c@d.test", "e@f.test", "g@h.test", "i@j.test", "k@l.test"];
    let plain = |name, text: &str, to: &[&str], want: &str| fields(name, text, to, want);
    check(vec![
        plain("Bcc in every spelling", every, &all, ""),
        plain("Bcc without -t", every, &["x@y.test"], "").argv(&["-i", "x@y.test"]),
        plain(
            "Resent-Bcc",
            "Resent-To: a@b.test\nRESENT-BCC : c@d.test\n",
            &["a@b.test", "c@d.test"],
            "Resent-To: a@b.test\n",
        ),
        plain(
            "Resent-To alone counts",
            "To: x@y.test\nBcc: z@y.test\nResent-To: a@b.test\n",
            &["a@b.test"],
            "To: x@y.test\nResent-To: a@b.test\n",
        ),
        plain("an empty Bcc", "To: a@b.test\nBcc:\nBcc: \n \n", &["a@b.test"], "To: a@b.test\n"),
        plain("Bcc with commas alone", "To: a@b.test\nBcc: ,,,\n", &["a@b.test"], "To: a@b.test\n"),
        same("what only looks like Bcc", "To: a@b.test\nX-Bcc: x@y.test\nBcc-: x\nNot-Bcc: y\n", &["a@b.test"]),
        plain(
            "Return-Path",
            "Return-Path: <x@y.test>\nTo: a@b.test\nreturn-path : <>\n",
            &["a@b.test"],
            "To: a@b.test\n",
        ),
        fields(
            "arguments are added",
            "To: a@b.test\nCc: a@B.TEST\n",
            &["x@y.test", "a@b.test"],
            "To: a@b.test\nCc: a@B.TEST\n",
        )
        .argv(&["-t", "-i", "x@y.test"]),
    ]);
}

#[test]
fn octets() {
    check(vec![
        same("UTF-8 in the header", "To: Jürgen <a@b.test>\nSubject: grüß\n", &["a@b.test"]),
        fields(
            "Latin-1 in the header",
            b"To: J\xfcrgen <a@b.test>\nSubject: gr\xfc\xdf\n",
            &["a@b.test"],
            b"To: J\xfcrgen <a@b.test>\nSubject: gr\xfc\xdf\n",
        ),
        fields(
            "bare CR in the header",
            "To: a@b.test\nSubject: x\rBcc: e@f.test\r\r y\n",
            &["a@b.test"],
            "To: a@b.test\nSubject: x Bcc: e@f.test   y\n",
        ),
        same("control characters", "To: a@b.test\nSubject: \x01\x0b\x0c\x1b[31m\x7f\n", &["a@b.test"]),
        same("names of odd characters", "To: a@b.test\n!#$%&'*: x\n{}: y\n", &["a@b.test"]),
        bad("an address in From that is none", "To: a@b.test\nFrom: nobody at all <>\n", "From header"),
    ]);
}
