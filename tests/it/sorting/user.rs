//! A program that runs as another user: its rights are that user's alone, and nothing of the daemon is left around it.

use super::{LISTEN, send, text};
use crate::daemon::{Daemon, until};
use crate::listener::ports;
use crate::support::script::Script;
use crate::support::skip;
use std::os::unix::fs::PermissionsExt;

const PROGRAM: &str = "#!/bin/sh\n\
    env >\"$1/environment\"\n\
    grep -E '^(Groups|CapEff|SigIgn|SigBlk):' /proc/self/status >\"$1/status\"\n\
    { id -un; id -gn; id -G; pwd; cat /etc/shadow; } >\"$1/who\" 2>\"$1/errors\"\n\
    cat >\"$1/mail\"\n";

#[test]
fn a_program_has_the_rights_of_its_user_and_no_others() {
    let test = "sorting::user::a_program_has_the_rights_of_its_user_and_no_others";
    if !skip::require(test, "root") || !skip::require(test, "setpriv") {
        return;
    }
    let server = Script::new().start();
    // The daemon itself has other groups, something in its environment, and a descriptor of whoever started it.
    let through = |place: &str| {
        let out = format!("{place}/out");
        std::fs::create_dir(&out).unwrap();
        std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o1777)).unwrap();
        std::fs::write(format!("{place}/take"), PROGRAM).unwrap();
        std::fs::set_permissions(format!("{place}/take"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let opened = ["sh", "-c", "exec 7</etc/shadow; exec \"$@\"", "sh"];
        let words = ["env", "SECRET=tanstaaf", "HOME=/root", "SSH_AUTH_SOCK=/x", "setpriv", "--groups", "4,27"];
        opened.into_iter().chain(words).map(str::to_owned).collect()
    };
    let rule = |place: &str| {
        let rule = |name: &str, pipe: &str| {
            format!("[[rule]]\nname = \"{name}\"\nto = \"{name}@example.com\"\npipe = [{pipe}]\nuser = \"nobody\"\n")
        };
        let descriptors = format!("\"/bin/sh\", \"-c\", \"exec ls -l /proc/self/fd >{place}/out/descriptors\"");
        let take = format!("\"{place}/take\", \"{place}/out\"");
        format!("{LISTEN}{}{}", rule("n", &take), rule("fd", &descriptors))
    };
    let daemon = Daemon::start_through(&server, through, rule);
    let port = ports(&daemon, 1)[0];
    assert!(send(port, "n@example.com", "hello").starts_with("250 "));
    assert!(send(port, "fd@example.com", "hello").starts_with("250 "));
    until("both are taken", || daemon.log().matches("took it").count() == 2);
    let out = |name: &str| text(&daemon.path("out").join(name));
    let who = out("who");
    let who: Vec<&str> = who.lines().collect();
    assert_eq!(who, ["nobody", "nogroup", "65534", "/"], "{}", out("errors"));
    assert!(out("errors").contains("Permission denied"));
    assert!(out("mail").starts_with("Return-Path: <ann@example.org>\n") && out("mail").ends_with("\n\nbody\n"));
    let descriptors = out("descriptors");
    let links = |name: &str| descriptors.lines().any(|line| line.contains(&format!(" {name} -> ")));
    assert!(["0", "1", "2"].into_iter().all(links), "{descriptors}");
    // The last one is the directory that is listed.
    assert_eq!(descriptors.lines().filter(|line| line.contains(" -> ")).count(), 4, "{descriptors}");
    assert!(!descriptors.contains("shadow"), "{descriptors}");
    let status = out("status");
    assert!(status.contains("Groups:\t \n") || status.contains("Groups:\t65534 \n"), "{status}");
    for zero in ["CapEff:\t0000000000000000", "SigBlk:\t0000000000000000"] {
        assert!(status.contains(zero), "{status}");
    }
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 0x1000, 0, "SIGPIPE ends it: {status}");
    let environment = out("environment");
    let mut names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    let known = [
        "CLIENT_ADDRESS",
        "DOMAIN",
        "EXTENSION",
        "HOME",
        "LOCAL",
        "LOGNAME",
        "PATH",
        "QUEUE_ID",
        "RECIPIENT",
        "RULE",
        "SENDER",
        "SHELL",
        "SIZE",
        "USER",
    ];
    assert_eq!(names, known, "{environment}");
    for line in ["USER=nobody\n", "LOGNAME=nobody\n", "HOME=/nonexistent\n", "SENDER=ann@example.org\n", "RULE=n\n"] {
        assert!(environment.contains(line), "{line}: {environment}");
    }
}

#[test]
fn only_root_may_become_another_user() {
    let test = "sorting::user::only_root_may_become_another_user";
    if !skip::require(test, "root") || !skip::require(test, "setpriv") {
        return;
    }
    let home = crate::support::run::Home::new();
    let toml =
        "[[rule]]\nname = \"n\"\npipe = [\"/bin/cat\"]\nuser = \"daemon\"\n[queue]\ndirectory = \"/nonexistent\"\n";
    let config = home.write("rules.toml", toml);
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.path("bin/postrider").display().to_string();
    let config = config.display().to_string();
    let words = ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", &program, "--config", &config, "serve"];
    let run = home.program(std::path::Path::new("/usr/bin/setpriv"), &words, "").expect(78);
    assert!(run.stderr.contains("rules.toml:1: rule n: user: only a daemon that runs as root"), "{}", run.stderr);
    // Whom nobody knows is told before the first message too.
    home.write("rules.toml", toml.replace("daemon", "no-such-user"));
    let run = home.run("postrider", &["--config", &config, "serve"], "").expect(78);
    assert!(run.stderr.contains("there is no user no-such-user"), "{}", run.stderr);
}
