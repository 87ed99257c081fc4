//! Nasty command lines: line ends, missing values, impossible values, no text.

use super::{ADDED, COMPLETE, Case, case, check};

const MESSAGE: &str = "Subject: x\n\nhi\n";

/// A complete message.
fn whole() -> String {
    format!("{COMPLETE}{MESSAGE}")
}

/// A case that is sent as it stands.
fn good(name: &'static str, argv: &[&str], to: &[&str]) -> Case {
    case(name).argv(argv).input(whole()).sends(to, whole())
}

/// A case that is refused.
fn bad(name: &'static str, argv: &[&str], status: i32, says: &'static str) -> Case {
    case(name).argv(argv).input(whole()).fails(status, says)
}

#[test]
fn senders() {
    let named =
        |name, full_name| case(name).argv(&["-f", "shop@example.com", "-F", full_name, "a@b.test"]).input(MESSAGE);
    check(vec![
        bad("-f with LF and a second address", &["-f", "a@b.test\nc@d.test", "x@y.test"], 65, "control character"),
        bad("-f with CRLF and a command", &["-fa@b.test>\r\nRCPT TO:<e@f.test", "x@y.test"], 65, "control character"),
        bad("-f with a line end behind it", &["-f", "shop@example.com\n", "a@b.test"], 65, "control character"),
        bad("-f with CRLF in quotes", &["-f", "\"a\r\nb\"@c.test", "x@y.test"], 65, "control character"),
        bad("-f with two addresses", &["-f", "a@b.test,c@d.test", "x@y.test"], 65, "one address is expected"),
        bad("-f that is no address", &["-f", "a b@c", "x@y.test"], 65, "is no address"),
        bad("-f with a local part of 65 octets", &["-f", &format!("{}@b.test", "a".repeat(65)), "x@y.test"], 65, "64"),
        bad("-f of 100 KB", &["-f", &"a".repeat(100_000), "x@y.test"], 65, "is no address"),
        bad("-f at the end", &["-f"], 64, "-f needs ADDRESS"),
        good("-f of nothing", &["-f", "", "a@b.test"], &["a@b.test"]).sends_from("", &["a@b.test"], whole()),
        good("-f <>", &["-f", "<>", "a@b.test"], &["a@b.test"]).sends_from("", &["a@b.test"], whole()),
        good("the last -f wins", &["-f", "x@y.test", "-rlast@y.test", "a@b.test"], &[]).sends_from(
            "last@y.test",
            &["a@b.test"],
            whole(),
        ),
        good("-f with a name", &["-f", "Joe (x) <joe@y.test>", "a@b.test"], &[]).sends_from(
            "joe@y.test",
            &["a@b.test"],
            whole(),
        ),
        named("-F with CRLF and a header", "x\r\nBcc: e@f.test")
            .sends(&["a@b.test"], format!("{}{MESSAGE}", ADDED.replace("Shop", "\"x  Bcc: e@f.test\""))),
        named("-F with LF LF and a body", "x\n\nbody")
            .sends(&["a@b.test"], format!("{}{MESSAGE}", ADDED.replace("Shop", "\"x  body\""))),
        named("-F with quotes and brackets", "a\" <e@f.test>, \\")
            .sends(&["a@b.test"], format!("{}{MESSAGE}", ADDED.replace("Shop", r#""a\" <e@f.test>, \\""#))),
        named("-F with an escape sequence", "\x1b[31mred")
            .sends(&["a@b.test"], format!("{}{MESSAGE}", ADDED.replace("Shop", "\"[31mred\""))),
        case("-F that is no UTF-8")
            .argv(&["-F"])
            .raw(b"J\xfcrgen")
            .raw(b"a@b.test")
            .input(MESSAGE)
            .fails(65, "is no UTF-8"),
    ]);
}

#[test]
fn recipients() {
    check(vec![
        bad("none", &[], 64, "no recipient"),
        bad("an empty one", &[""], 65, "it is empty"),
        bad("with LF and a second one", &["a@b.test\nc@d.test"], 65, "control character"),
        bad("with CRLF and a command", &["a@b.test>\r\nDATA"], 65, "control character"),
        bad("with CRLF in quotes", &["\"a\r\nRCPT TO:<e@f.test>\"@b.test"], 65, "control character"),
        bad("with > and parameters", &["a@b.test> NOTIFY=NEVER"], 65, "is no address"),
        bad("with a space and parameters", &["a@b.test SIZE=1"], 65, "is no address"),
        bad("with a tab", &["a@b.test\t"], 65, "control character"),
        bad("one good, one bad", &["a@b.test", "c d@e.test"], 65, "is no address"),
        bad("a lone @", &["@"], 65, "is no address"),
        bad("invisible characters", &["a\u{200b}@b.test"], 65, "is no address"),
        bad("UTF-8 where the server takes none", &["почта@пример.test"], 69, "SMTPUTF8"),
        case("no UTF-8").argv(&["-i"]).raw(b"\xff\xfe@b.test").input(whole()).fails(65, "is no UTF-8"),
        good("lists and names", &["a@b.test, c@d.test", "Joe <e@f.test>"], &["a@b.test", "c@d.test", "e@f.test"]),
        good("twice the same", &["a@b.test", "a@B.TEST", "<a@b.test>"], &["a@b.test"]),
        good("a pipe", &["|/bin/sh"], &["|/bin/sh@local.example"]),
        good("a file", &["/etc/passwd"], &["/etc/passwd@local.example"]),
        good("shell words", &["$(id)`id`@b.test"], &[]).fails(65, "is no address"),
        good("a quoted local part", &["\"a b\"@c.test"], &["\"a b\"@c.test"]),
        good("options behind --", &["--", "-X", "-bp"], &["-X@local.example", "-bp@local.example"]),
        good(
            "options behind a recipient",
            &["a@b.test", "-bs", "-t"],
            &["a@b.test", "-bs@local.example", "-t@local.example"],
        ),
        good("a dash alone", &["-"], &["-@local.example"]),
    ]);
}

#[test]
fn options() {
    check(vec![
        bad("unknown", &["-Z", "a@b.test"], 64, "unknown option -Z"),
        bad("unknown in a cluster", &["-tiZ"], 64, "unknown option -Z"),
        bad("unknown, a control character", &["-\x1b", "a@b.test"], 64, "unknown option"),
        bad("unknown, long", &["--frobnicate"], 64, "unknown option"),
        bad("unknown, not ASCII", &["-ü"], 64, "unknown option"),
        bad("unknown mode", &["-bz"], 64, "unknown mode"),
        bad("a mode of another program", &["-bt"], 64, "-bt"),
        bad("the daemon", &["-bd"], 64, "daemon"),
        bad("-b at the end", &["-b"], 64, "needs"),
        bad("-N of nonsense", &["-N", "always", "a@b.test"], 64, "-N"),
        bad("-N never and success", &["-N", "never,success", "a@b.test"], 64, "-N"),
        bad("-R of nonsense", &["-R", "all", "a@b.test"], 64, "-R"),
        bad("-V with a line end", &["-V", "x\r\nRCPT", "a@b.test"], 64, "-V"),
        bad("-V of 1000 characters", &["-V", &"x".repeat(1000), "a@b.test"], 64, "-V"),
        bad("-B of nonsense", &["-B", "9BIT", "a@b.test"], 64, "-B"),
        bad("error mode of nonsense", &["-oez", "a@b.test"], 64, "error mode"),
        bad("an account that is none", &["-a", "nobody\n", "a@b.test"], 78, "nobody"),
        bad("-oeq says nothing", &["-oeq"], 64, ""),
        case("an option that is no UTF-8").raw(b"-\xff").input(whole()).fails(65, "is no UTF-8"),
        case("500 options").argv(&vec!["-i"; 500]).raw(b"a@b.test").input(whole()).sends(&["a@b.test"], whole()),
        good("a letter a thousand times", &[&format!("-{}", "i".repeat(1000)), "a@b.test"], &["a@b.test"]),
        good(
            "-o of nothing known",
            &["-oZ9", "-o", "7", "-O", "Foo=bar", "-OTimeout.queuereturn=5d", "a@b.test"],
            &["a@b.test"],
        ),
    ]);
}
