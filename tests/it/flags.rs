//! Every row of the sendmail flag table through the real program, and the modes that send nothing.

use crate::nasty::{COMPLETE, crlf, home, server};
use crate::support::run::{Finished, Home};
use crate::support::script::Script;
use crate::support::server::{Message, Server};
use postrider::cli::sendmail::{Disposition, TABLE};
use std::collections::HashSet;

fn whole() -> String {
    format!("{COMPLETE}To: a@b.test\n\nhi\n")
}

/// Command lines that send the message to `a@b.test` and to nobody else, in silence, by the row that they exercise.
const SENDING: &[(&str, &[&str])] = &[
    ("A", &["-Ac", "-A", "m", "-t"]),
    ("B", &["-B8BITMIME", "-B", "7BIT", "a@b.test"]),
    ("b", &["-b", "m", "a@b.test"]),
    ("bm", &["-bm", "a@b.test"]),
    ("bm", &["-bmit"]),
    ("ba", &["-ba", "a@b.test"]),
    ("C", &["-C", "a@b.test"]),
    ("C", &["-Cfile", "-t"]),
    ("c", &["-c", "-t"]),
    ("D", &["-D", "file", "-Dfile", "-t"]),
    ("d", &["-d", "-d0-99.100", "-t"]),
    ("e", &["-em", "-ep", "-ew", "-ee", "-e", "q", "-t"]),
    ("F", &["-FCronDaemon", "-F", "Cron Daemon", "-t"]),
    ("f", &["-fshop@example.com", "-t"]),
    ("f", &["-tf", "shop@example.com"]),
    ("f", &["-tif<shop@example.com>"]),
    ("G", &["-G", "-t"]),
    ("h", &["-h", "7", "-h7", "-t"]),
    ("i", &["-i", "-t"]),
    ("i", &["-it"]),
    ("L", &["-L", "tag", "-Ltag", "-t"]),
    ("M", &["-M", "id", "-Mid", "-t"]),
    ("m", &["-m", "-t"]),
    ("N", &["-N", "success,delay", "-Nnever", "-t"]),
    ("n", &["-n", "-t"]),
    ("O", &["-O", "DeliveryMode=b", "-OErrorMode=m", "-OIgnoreDots=True", "-OTimeout=1h", "-t"]),
    ("o", &["-o", "i", "-oit", "-o7", "-oX", "-t"]),
    ("oi", &["-oi", "-t"]),
    ("od", &["-odb", "-odi", "-odq", "-odd", "-od", "-t"]),
    ("oe", &["-oem", "-oep", "-oew", "-oee", "-oeq", "-oe", "-t"]),
    ("oQ", &["-oQ/nowhere", "-oQ", "-t"]),
    ("om", &["-om", "-t"]),
    ("p", &["-p", "SMTP", "-pSMTP:host", "-t"]),
    ("Q", &["-Q", "-Qreason", "-t"]),
    ("R", &["-R", "hdrs", "-Rfull", "-t"]),
    ("r", &["-rshop@example.com", "-r", "shop@example.com", "-t"]),
    ("s", &["-s", "-t"]),
    ("T", &["-T", "-t"]),
    ("t", &["-t"]),
    ("t", &["-t", "a@b.test", "a@B.test"]),
    ("U", &["-U", "-t"]),
    ("V", &["-V", "id", "-Vid", "-t"]),
    ("X", &["-X", "file", "-Xfile", "-t"]),
    ("x", &["-x", "-t"]),
];

/// The rows that send nothing: what they are called with, the status, standard output, words of standard error.
const OTHERS: &[(&str, &[&str], i32, &str, &str)] = &[
    ("a", &["-a", "nowhere", "-t"], 78, "", "nowhere"),
    ("bp", &["-bp"], 0, "Mail queue is empty\n", ""),
    ("bP", &["-bP"], 0, "0\n", ""),
    ("bi", &["-bi"], 0, "", ""),
    ("I", &["-I"], 0, "", ""),
    ("bh", &["-bh"], 0, "", ""),
    ("bH", &["-bH"], 0, "", ""),
    ("bt", &["-bt"], 64, "", "-bt"),
    ("bd", &["-bd"], 64, "", "daemon"),
    ("bD", &["-bD"], 64, "", "daemon"),
    ("q", &["-q"], 0, "", ""),
    ("q", &["-q15m"], 0, "", ""),
    ("q", &["-qIabc"], 0, "", ""),
    ("q", &["-qRexample.com"], 0, "", ""),
    ("q", &["-qSshop"], 0, "", ""),
    ("q", &["-q", "-v"], 0, "", ""),
    ("q", &["-q", "-t"], 64, "", "-t takes a message"),
];

#[test]
fn every_row_has_a_case() {
    let mut cased: HashSet<&str> =
        SENDING.iter().map(|(row, _)| *row).chain(OTHERS.iter().map(|(row, ..)| *row)).collect();
    // Those of their own tests below and in `bs`.
    cased.extend(["bs", "bv", "v"]);
    let missing: Vec<&str> = TABLE.iter().map(|flag| flag.name).filter(|name| !cased.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let unknown: Vec<&&str> = cased.iter().filter(|name| TABLE.iter().all(|flag| flag.name != **name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn rows_that_send_do_so_in_silence() {
    for (row, argv) in SENDING {
        let server = server();
        let finished = home(&server).run("sendmail", argv, whole()).expect(0);
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""), "-{row}: {argv:?}");
        let messages = server.messages();
        assert_eq!(messages.len(), 1, "-{row}: {argv:?}");
        assert_eq!(
            (messages[0].from.as_str(), &messages[0].recipients[..]),
            ("shop@example.com", &["a@b.test".to_owned()][..]),
            "{argv:?}"
        );
        assert_eq!(messages[0].text, crlf(whole().as_bytes()), "{argv:?}");
    }
}

#[test]
fn rows_that_send_nothing() {
    let server = server();
    let home = home(&server);
    for (row, argv, status, stdout, stderr) in OTHERS {
        let finished = home.run("sendmail", argv, whole()).expect(*status);
        assert_eq!(finished.stdout, *stdout, "-{row}");
        assert_eq!(
            (finished.stderr.is_empty(), finished.stderr.contains(stderr)),
            (stderr.is_empty(), true),
            "-{row}: {}",
            finished.stderr
        );
        assert!(finished.stderr.lines().count() <= 1, "-{row}");
    }
    let refused = TABLE.iter().filter(|flag| flag.disposition == Disposition::Refused).map(|flag| flag.name);
    assert!(refused.eq(["bt", "bd", "bD"]));
    assert!(server.connections().is_empty());
}

#[test]
fn the_queue_and_the_aliases_by_their_names() {
    let server = server();
    let home = home(&server);
    for (name, argv, stdout) in [
        ("mailq", &[][..], "Mail queue is empty\n"),
        ("mailq", &["-Ac", "-v"], "Mail queue is empty\n"),
        ("mailq", &["-q"], "Mail queue is empty\n"),
        ("newaliases", &[], ""),
        ("newaliases", &["-oA/etc/passwd"], ""),
    ] {
        let finished = home.run(name, argv, "").expect(0);
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), (stdout, ""), "{name} {argv:?}");
    }
}

#[test]
fn help_names_every_row_and_version_the_program() {
    let server = server();
    let home = home(&server);
    let help = home.run("sendmail", &["--help"], "").expect(0);
    for flag in TABLE {
        let line = help.stdout.lines().any(|line| line.trim_start().starts_with(&format!("-{}", flag.name)));
        assert!(line && help.stdout.contains(flag.help), "-{}", flag.name);
    }
    assert!(home.run("sendmail", &["--version"], "").expect(0).stdout.starts_with("postrider "));
}

#[test]
fn verify_shows_routes_and_sends_nothing() {
    let server = server();
    let home = home(&server);
    let finished = home.run("sendmail", &["-bv", "a@b.test", "root"], "").expect(0);
    for word in ["default", "127.0.0.1", "a@b.test", "root@local.example"] {
        assert!(finished.stdout.contains(word), "{word}: {}", finished.stdout);
    }
    assert_eq!(finished.stderr, "");
    let finished = home.run("sendmail", &["-bv", "not an address"], "").expect(65);
    assert!(finished.stderr.contains("is no address") && finished.stdout.is_empty());
    let finished = home.run("sendmail", &["-bv", "a@b.test", "joe@", "root"], "").expect(65);
    assert!(finished.stderr.contains("\"joe@\"") && finished.stderr.lines().count() == 1, "{}", finished.stderr);
    assert!(finished.stdout.contains("a@b.test... deliverable") && finished.stdout.contains("root@local.example..."));
    home.run("sendmail", &["-bv"], "").expect(64);
    assert!(server.connections().is_empty());
}

fn message_of(server: &Server) -> Message {
    let mut messages = server.messages();
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

#[test]
fn notifications_reach_the_server() {
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &["-N", "success,failure,delay", "-R", "hdrs", "-V", "id=1+2 3"],
            "RET=HDRS ENVID=id+3D1+2B2+203",
            "NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+2Bx@b.test",
        ),
        (&["-Nnever", "-Rfull"], "RET=FULL", "NOTIFY=NEVER ORCPT=rfc822;a+2Bx@b.test"),
        (&["-N", "SUCCESS", "-Ndelay"], "", "NOTIFY=DELAY ORCPT=rfc822;a+2Bx@b.test"),
        (&[], "", ""),
    ];
    for (argv, mail, rcpt) in cases {
        let server = Script::new().offer("DSN").start();
        let argv: Vec<&str> = argv.iter().copied().chain(["-i", "a+x@b.test"]).collect();
        home(&server).run("sendmail", &argv, whole()).expect(0);
        let message = message_of(&server);
        assert_eq!((message.parameters.as_str(), message.recipient_parameters[0].as_str()), (*mail, *rcpt), "{argv:?}");
        // Where the server does not offer it, nothing is asked.
        let server = Script::new().start();
        home(&server).run("sendmail", &argv, whole()).expect(0);
        let message = message_of(&server);
        assert_eq!((message.parameters.as_str(), message.recipient_parameters[0].as_str()), ("", ""), "{argv:?}");
    }
}

#[test]
fn errors_are_told_as_asked() {
    let refusing = || Script::new().reply("RCPT", "550 5.1.1 no such user").start();
    for (argv, silent) in [
        (&["-oep"][..], false),
        (&["-oew"], false),
        (&["-oem"], false),
        (&["-oee"], false),
        (&["-em"], false),
        (&["-OErrorMode=p"], false),
        (&["-oeq"], true),
        (&["-eq"], true),
        (&["-OErrorMode=q"], true),
        (&["-oem", "-oeq"], true),
    ] {
        let server = refusing();
        let argv: Vec<&str> = argv.iter().copied().chain(["-t"]).collect();
        let Finished { stdout, stderr, .. } = home(&server).run("sendmail", &argv, whole()).expect(67);
        assert_eq!((stdout.as_str(), stderr.is_empty()), ("", silent), "{argv:?}: {stderr}");
        let clear = stderr.contains("550 5.1.1 no such user") && stderr.contains("a@b.test");
        assert!((silent || clear) && stderr.lines().count() <= 1, "{stderr}");
        assert!(server.messages().is_empty());
    }
}

#[test]
fn verbose_shows_the_dialogue_and_no_secret() {
    let script = Script::new().auth("tim", "tanstaaf", &["PLAIN", "LOGIN"]).auth_in_clear();
    let server = script.start();
    let home = Home::new();
    home.write("password", "tanstaaf\n");
    let password = home.path("password");
    let home = home.config(&format!(
        "[log]\nto = \"off\"\n[default]\nserver = \"smtp+plain://127.0.0.1:{}\"\nuser = \"tim\"\nallow_plaintext_password = true\npassword = {{ file = {password:?} }}\n",
        server.port
    ));
    let finished = home.run("sendmail", &["-v", "-t"], whole()).expect(0);
    assert_eq!(finished.stdout, "");
    for word in ["EHLO", "AUTH PLAIN", "MAIL FROM:<shop@example.com>", "RCPT TO:<a@b.test>", "250 2.0.0"] {
        assert!(finished.stderr.contains(word), "{word}: {}", finished.stderr);
    }
    for secret in ["tanstaaf", &openssl::base64::encode_block(b"\0tim\0tanstaaf")] {
        assert!(!finished.stderr.contains(secret), "{}", finished.stderr);
    }
    assert_eq!(message_of(&server).account.as_deref(), Some("tim"));
}

#[test]
fn an_account_is_taken_by_its_name() {
    let (one, other) = (server(), server());
    let sender = |name: &str, port: u16| {
        format!(
            "[[sender]]\nname = \"{name}\"\nfrom = [\"{name}@x.test\"]\nserver = \"smtp+plain://127.0.0.1:{port}\"\n"
        )
    };
    let config = format!("[log]\nto = \"off\"\n{}{}", sender("one", one.port), sender("other", other.port));
    let home = Home::new().config(&config);
    for argv in [&["-aother", "-t"][..], &["-a", "other", "-t"]] {
        assert_eq!(home.run("sendmail", argv, whole()).expect(0).stderr, "");
    }
    assert_eq!((one.messages().len(), other.messages().len()), (0, 2));
}
