//! postrider beside Debian's msmtp, which config/test.sh unpacks below target/tmp: the same msmtprc, the same message, the same dialogue.
//!
//! Compared are the greeting, the login, the envelope with its parameters, the names of the header fields, the body, the
//! status and the log line. Not the order of the flights: msmtp makes more of them.

use super::{MESSAGE, rc, script, with_login};
use crate::support::run::Home;
use crate::support::skip::because;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Lines of an msmtprc behind the usual ones, and arguments.
const CASES: [(&str, &str); 22] = [
    ("", "r@example.net"),
    ("domain mail.example.com", "r@example.net s@example.net"),
    ("domain %H", "r@example.net"),
    ("", "-t"),
    ("", "-t -i extra@example.net"),
    ("auth plain\nuser u\npassword tanstaaf", "r@example.net"),
    ("auth login\nuser u\npasswordeval echo tanstaaf", "r@example.net"),
    ("from %U@%H", "r@example.net"),
    ("", "-f other@example.com r@example.net"),
    ("allow_from_override off", "-f other@example.com r@example.net"),
    ("set_from_header on", "r@example.net"),
    ("set_date_header off\nset_msgid_header off", "r@example.net"),
    ("dsn_notify failure,delay\ndsn_return headers", "r@example.net"),
    ("dsn_notify never", "-R full r@example.net"),
    ("account w : default\nfrom *@h.example", "--read-envelope-from r@example.net"),
    ("account w : default\nfrom Ann@Example.com\ndomain w", "-f ann@example.com r@example.net"),
    ("defaults\ndomain late\naccount b : default\nfrom b@example.com", "-a b r@example.net"),
    ("undisclosed_recipients on", "-t"),
    ("keepbcc on", "-t"),
    ("aliases ALIASES", "root"),
    ("eval echo domain of.eval\ntimeout 10", "--domain=cli.example r@example.net"),
    ("protocol lmtp", "r@example.net s@example.net"),
];

/// Runs the original with its own libraries.
const ORIGINAL: &str = r#"#!/bin/sh
for libraries in "BELOW"/lib/*-linux-gnu; do LD_LIBRARY_PATH=$libraries; done
export LD_LIBRARY_PATH
exec "BELOW/bin/msmtp" "$@"
"#;

/// Where the original was unpacked; none, with a visible line, where it was not.
fn unpacked(test: &str) -> Option<PathBuf> {
    let below = Path::new(env!("CARGO_TARGET_TMPDIR")).join("originals/msmtp/usr");
    let there = below.join("bin/msmtp").is_file();
    if !there {
        because(test, "msmtp is absent (config/test.sh fetches it)");
    }
    there.then_some(below)
}

/// The original, as a program of this home.
fn original(home: &Home, below: &Path) -> PathBuf {
    let program = home.write("original-msmtp", ORIGINAL.replace("BELOW", &below.display().to_string()));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// What both must have in common.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: i32,
    greeting: String,
    account: Option<String>,
    from: String,
    parameters: Vec<String>,
    recipients: Vec<String>,
    notify: Vec<String>,
    fields: Vec<String>,
    body: String,
    log: Vec<String>,
}

fn seen(below: Option<&Path>, lines: &str, arguments: &str) -> Seen {
    let script = if lines.contains("lmtp") { script().lmtp() } else { script() };
    let server = if lines.contains("auth ") { with_login(script) } else { script }.start();
    let home = Home::new();
    let aliases = home.write("aliases", "root: a@example.net\n");
    let log = home.path("log");
    let lines = lines.replace("ALIASES", &aliases.display().to_string());
    home.write(".msmtprc", rc(&server, &format!("logfile {}\n{lines}", log.display())));
    let arguments: Vec<&str> = arguments.split_ascii_whitespace().collect();
    let message = MESSAGE.replacen("To:", "Bcc: b@example.net\nTo:", 1);
    let program = below.map_or_else(|| home.path("bin/msmtp"), |below| original(&home, below));
    let finished = home.program(&program, &arguments, message);
    let connection = server.connections().into_iter().next().unwrap_or_else(|| panic!("{}", finished.stderr));
    let message = connection.messages.into_iter().next().unwrap_or_default();
    let text = String::from_utf8(message.text).unwrap();
    let (header, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    // Values that each program makes for itself.
    let fields = header.lines().map(|line| if line.starts_with(['D', 'M']) { name(line) } else { line.to_owned() });
    let mut fields: Vec<String> = fields.collect();
    fields.sort();
    let parameters = message.parameters.split(' ').filter(|word| word.starts_with("RET")).map(str::to_owned).collect();
    let notify = message.recipient_parameters.iter().flat_map(|all| all.split(' '));
    // Of LMTP msmtp logs no reply, where there is one for each recipient.
    let log = if lines.contains("lmtp") { String::new() } else { std::fs::read_to_string(log).unwrap_or_default() };
    let logged = log.split(' ').skip(3).filter(|word| !word.starts_with("mailsize=")).map(str::to_owned);
    Seen {
        status: finished.status,
        greeting: connection.commands[0].clone(),
        account: message.account,
        from: message.from,
        parameters,
        recipients: message.recipients,
        notify: notify.filter(|word| word.starts_with("NOTIFY")).map(str::to_owned).collect(),
        fields,
        body: body.to_owned(),
        log: logged.collect(),
    }
}

#[test]
fn the_same_msmtprc_gives_the_same_dialogue() {
    let Some(below) = unpacked("msmtp::compare::the_same_msmtprc_gives_the_same_dialogue") else { return };
    for (lines, arguments) in CASES {
        assert_eq!(seen(None, lines, arguments), seen(Some(&below), lines, arguments), "{lines} / {arguments}");
    }
}

#[test]
fn the_same_refusal_gives_the_same_status() {
    let Some(below) = unpacked("msmtp::compare::the_same_refusal_gives_the_same_status") else { return };
    for (point, reply) in [
        ("CONNECT", "421 4.3.2 no"),
        ("CONNECT", "554 no"),
        ("MAIL", "450 4.7.1 no"),
        ("MAIL", "550 5.7.1 no"),
        ("RCPT", "450 4.2.1 no"),
        ("RCPT", "550 5.1.1 no"),
        ("DATA", "451 4.3.0 no"),
        ("DATA", "554 5.5.1 no"),
        ("DOT", "451 4.3.0 no"),
        ("DOT", "554 5.7.1 no"),
        ("AUTH", "535 5.7.8 no"),
        ("AUTH", "454 4.7.0 no"),
    ] {
        let statuses = [None, Some(&below)].map(|below| {
            let server = with_login(script()).reply(point, reply).start();
            let home = super::home(&server, "auth plain\nuser u\npassword tanstaaf");
            let program = below.map_or_else(|| home.path("bin/msmtp"), |below| original(&home, below));
            home.program(&program, &["r@example.net"], MESSAGE).status
        });
        assert_eq!(statuses[0], statuses[1], "{point} {reply}");
    }
}

#[test]
fn both_read_the_sample() {
    let sample = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/msmtprc")).unwrap();
    let home = Home::new().env("POSTRIDER_MSMTP_OPTIONS", "all");
    // msmtp runs the command even where it only pretends.
    let sample =
        home.write("sample", sample.replace("passwordeval cat /etc/postrider/shop.password", "passwordeval echo p"));
    let arguments = ["-C", sample.to_str().unwrap(), "-P", "-a", "office", "r@example.net"];
    let ours = home.run("msmtp", &arguments, "").expect(0);
    assert!(ours.stdout.contains("host = smtp.example.com"), "{}", ours.stdout);
    if let Some(below) = unpacked("msmtp::compare::both_read_the_sample") {
        let theirs = home.program(&original(&home, &below), &arguments, "").expect(0);
        assert!(theirs.stdout.contains("host = smtp.example.com"), "{}", theirs.stdout);
    }
}

#[test]
fn what_the_sample_shows_commented_out_can_be_switched_on() {
    let sample = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/msmtprc")).unwrap();
    let home = Home::new();
    // A comment without a blank is a command that is not set.
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let all: Vec<String> = sample.lines().map(on).collect();
    home.write(".msmtprc", all.join("\n"));
    let finished = home.run("msmtp", &["-P", "r@example.net"], "").expect(0);
    assert!(finished.stdout.contains("proxy_port = 1080"), "{}", finished.stdout);
}
