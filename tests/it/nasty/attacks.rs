//! What web forms have got mailers to do: write files, read others, run commands, speak to the server.

use super::{COMPLETE, Case, case, check, files, home, server};
use crate::support::skip;
use std::path::Path;

const BODY: &str = "Subject: x\n\nhi\n";
const PHP: &str = "\"<?php eval($_GET[x]);?>\"@b.test";

fn whole() -> String {
    format!("{COMPLETE}To: a@b.test\n{BODY}")
}

fn attack(name: &'static str, argv: &[&str]) -> Case {
    case(name).argv(argv).input(whole())
}

#[test]
fn files_stay_closed() {
    let sent = |name, argv: &[&str]| attack(name, argv).sends(&["a@b.test"], whole());
    check(vec![
        attack("-X writes no web shell", &["-t", "-i", "-f", PHP, "-X", "shell.php"]).sends_from(
            PHP,
            &["a@b.test"],
            whole(),
        ),
        sent("-X attached", &["-ti", "-Xshell.php"]),
        sent("-X behind other options", &["-tiX", "shell.php"]),
        sent("-C reads nothing", &["-t", "-i", "-C/etc/passwd"]),
        sent("-C of another configuration", &["-t", "-i", "-Cpostrider.toml"]),
        sent("-D writes nothing", &["-t", "-i", "-D", "shell.php", "-d0-99.9"]),
        sent("-oQ", &["-t", "-i", "-oQ/tmp", "-oQshell"]),
        sent("-OQueueDirectory", &["-t", "-i", "-OQueueDirectory=/tmp", "-O", "QueueDirectory=shell.php"]),
        sent("-O of files and programs", &["-ti", "-OAliasFile=/etc/passwd", "-OStatusFile=x.php", "-OMeToo=|id"]),
        sent("-oA -oH -oS", &["-ti", "-oA/etc/passwd", "-oHshell.php", "-oSshell.php"]),
        attack("-be runs nothing", &["-be", "${run{/usr/bin/touch shell.php}}"]).fails(64, "unknown mode -be"),
        attack("-be in a cluster", &["-tbe", "${run{/usr/bin/touch shell.php}}"]).fails(64, "unknown mode -be"),
        attack("--config is not sendmail's", &["--config", "/etc/passwd", "a@b.test"]).fails(64, "unknown option"),
        sent("-L with line ends", &["-ti", "-L", "tag\nforged line"]),
        sent("-p with a protocol", &["-ti", "-p", "SMTP:evil\r\n"]),
    ]);
}

#[test]
fn no_path_of_the_command_line_is_opened() {
    if !skip::require("no_path_of_the_command_line_is_opened", "strace") {
        return;
    }
    let server = server();
    let home = home(&server);
    let before = files(&home.path(""));
    let run = "cd \"$HOME\"; exec strace -f -qq -o trace -e trace=%file,process \"$@\"";
    let sendmail = home.path("bin/sendmail");
    let canary =
        ["-X", "canary1", "-Ccanary2", "-Dcanary3", "-oQcanary4", "-OQueueDirectory=canary5", "-OAliasFile=canary6"];
    let argv: Vec<&str> = ["-c", run, "sh", sendmail.to_str().unwrap(), "-ti"].into_iter().chain(canary).collect();
    let finished = home.program(Path::new("/bin/sh"), &argv, whole());
    let trace = std::fs::read_to_string(home.path("trace")).unwrap_or_default();
    if trace.is_empty() {
        eprintln!("strace does not work here: {}", finished.stderr);
        return;
    }
    finished.expect(0);
    let touched: Vec<&str> =
        trace.lines().filter(|line| line.contains("canary") && !line.contains("execve(")).collect();
    assert!(touched.is_empty(), "{touched:?}");
    let started: Vec<&str> = trace.lines().filter(|line| line.contains("execve(")).collect();
    let ours = |line: &&str| line.contains("/bin/sendmail\"") || line.contains("/postrider\"");
    assert!(started.len() <= 2 && started.iter().all(ours), "no other program is started: {started:?}");
    std::fs::remove_file(home.path("trace")).unwrap();
    assert_eq!(files(&home.path("")), before);
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn header_fields_stay_what_they_are() {
    let eve = "e@f.test";
    let with = |name, field: &str| case(name).argv(&["-t", "-i"]).input(format!("{COMPLETE}{field}{BODY}"));
    let many: Vec<String> = (0..2000).map(|number| format!("r{number}@b.test")).collect();
    let all: Vec<&str> = many.iter().map(String::as_str).collect();
    let folded = format!("To: {}\n", many.join(",\n "));
    check(vec![
        with("2,000 recipients in folded lines", &folded).sends(&all, format!("{COMPLETE}{folded}{BODY}")),
        with("2,000 To fields", &many.iter().map(|one| format!("To: {one}\n")).collect::<String>()).sends(
            &all,
            format!("{COMPLETE}{}{BODY}", many.iter().map(|one| format!("To: {one}\n")).collect::<String>()),
        ),
        with("a CR in To", "To: a@b.test\rBcc: e@f.test\n").fails(65, "recipient header"),
        with("a quoted CRLF in To", "To: \"a\r\n b\"@c.test\n")
            .sends(&["\"a b\"@c.test"], format!("{COMPLETE}To: \"a\n b\"@c.test\n{BODY}")),
        with("a command in To", "To: <a@b.test>\n RCPT TO:<e@f.test>\n").fails(65, "recipient header"),
        with("a dot in the header", "To: a@b.test\nX: 1\n .\n")
            .sends(&["a@b.test"], format!("{COMPLETE}To: a@b.test\nX: 1\n .\n{BODY}")),
        with("an encoded line end in the name", "To: =?utf-8?q?x=0D=0ABcc:_e@f.test?= <a@b.test>\n")
            .sends(&["a@b.test"], format!("{COMPLETE}To: =?utf-8?q?x=0D=0ABcc:_e@f.test?= <a@b.test>\n{BODY}")),
        with("an encoded line end in the address", "To: =?utf-8?q?a=0D=0A?=@b.test\n").fails(65, "encoded word"),
        case("smuggled transactions")
            .argv(&["-i", "a@b.test"])
            .input(format!(
                "{COMPLETE}\nx\n.\nMAIL FROM:<{eve}>\n\r.\r\nRCPT TO:<{eve}>\r\n.\n.\r\nDATA\r.\r\r\n.\r\rend"
            ))
            .sends(
                &["a@b.test"],
                format!("{COMPLETE}\nx\n.\nMAIL FROM:<{eve}>\n\n.\nRCPT TO:<{eve}>\n.\n.\nDATA\n.\n\n.\n\nend\n"),
            ),
    ]);
}
