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
    let said = "rules.toml:1: rule n: user: this daemon may not run a program as daemon: it lacks CAP_SETUID";
    assert!(run.stderr.contains(said) && run.stderr.contains("pipe-users.conf"), "{}", run.stderr);
    // Whom nobody knows is told before the first message too.
    home.write("rules.toml", toml.replace("daemon", "no-such-user"));
    let run = home.run("postrider", &["--config", &config, "serve"], "").expect(78);
    assert!(run.stderr.contains("there is no user no-such-user"), "{}", run.stderr);
}

/// The drop-in that gives them.
const DROP_IN: &str = include_str!("../../../config/systemd/pipe-users.conf");

/// The words that start the daemon as its unit does, as a user of its own, with what the drop-in gives or without.
fn as_the_unit(with: bool) -> Vec<String> {
    let said = |key: &str| DROP_IN.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    assert_eq!(said("AmbientCapabilities="), said("CapabilityBoundingSet="));
    let each = said("AmbientCapabilities=").split(' ').map(|name| name.replace("CAP_", "+").to_lowercase());
    let caps = each.collect::<Vec<_>>().join(",");
    let bounding = format!("-all,{caps}");
    let given = ["--inh-caps", &caps, "--ambient-caps", &caps, "--bounding-set", &bounding];
    let none = ["--bounding-set", "-all"];
    let caps: &[&str] = if with { &given } else { &none };
    let words = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", "4", "--no-new-privs"];
    words.iter().chain(caps).map(|word| (*word).to_owned()).collect()
}

/// A directory in which the daemon's user may keep what it writes, while the configuration stays root's.
fn open_place(place: &str) {
    for name in ["queue", "out"] {
        std::fs::create_dir_all(format!("{place}/{name}")).unwrap();
    }
    std::fs::set_permissions(format!("{place}/out"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::os::unix::fs::chown(format!("{place}/queue"), Some(65_534), Some(65_534)).unwrap();
    std::fs::set_permissions(format!("{place}/postrider.toml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    // Its socket and its log are in it; what root has there nobody else exchanges.
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o1777)).unwrap();
}

/// The capabilities of a process, by the names of /proc.
fn capabilities(id: u32) -> Vec<(String, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let lines = status.lines().filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"));
    lines.map(|(name, value)| (name.to_owned(), u64::from_str_radix(value, 16).unwrap())).collect()
}

/// The only child of a process.
fn child(id: u32) -> u32 {
    let text = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let children: Vec<u32> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!(children.len(), 1, "{children:?}");
    children[0]
}

#[test]
fn a_daemon_without_root_runs_programs_as_others() {
    let test = "sorting::user::a_daemon_without_root_runs_programs_as_others";
    if !skip::require(test, "root") || !skip::require(test, "setpriv") {
        return;
    }
    let server = Script::new().start();
    let through = |place: &str| {
        open_place(place);
        as_the_unit(true)
    };
    let rule = |place: &str| {
        let rule = |name: &str, pipe: &str, user: &str| {
            format!("[[rule]]\nname = \"{name}\"\nto = \"{name}@example.com\"\npipe = [{pipe}]\n{user}\n")
        };
        let script = |name: &str, end: &str| {
            let status = "grep -E '^(Cap|Uid|Gid|Groups|NoNewPrivs)' /proc/self/status";
            format!(
                "\"/bin/sh\", \"-c\", \"{{ {status}; env; }} >{place}/out/{name}; cat >{place}/out/{name}.mail; {end}\""
            )
        };
        let www = "user = \"www-data\"\ntimeout = \"2s\"";
        let rules = [
            rule("tickets", &script("tickets", "echo kept"), "user = \"uucp\""),
            rule("own", &script("own", ":"), ""),
            rule("no", &script("no", "echo no such ticket >&2; exit 67"), www),
            rule("hangs", &script("hangs", "sleep 600"), www),
        ];
        format!("{LISTEN}{}", rules.concat())
    };
    let daemon = Daemon::start_through(&server, through, rule);
    // The daemon itself has nothing of it any more, in none of its sets; the helper has those two.
    let both = 1 << 6 | 1 << 7;
    for (name, value) in capabilities(daemon.id()) {
        assert_eq!(value, if name == "Bnd" { both } else { 0 }, "Cap{name}");
    }
    let keeper = child(daemon.id());
    for (name, value) in capabilities(keeper) {
        assert_eq!(value, both, "Cap{name} of the helper");
    }
    let port = ports(&daemon, 1)[0];
    for to in ["tickets", "own", "no", "hangs"] {
        assert!(send(port, &format!("{to}@example.com"), "hello").starts_with("250 "));
    }
    until("all have had it", || {
        let log = daemon.log();
        log.matches("took it").count() == 2 && log.contains("no such ticket") && log.contains("no answer within 2 s")
    });
    assert!(daemon.log().contains("took it: kept"), "{}", daemon.log());
    let out = |name: &str| text(&daemon.path("out").join(name));
    let line = |text: &str, name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:\t")).map(str::to_owned));
        found.unwrap_or_else(|| panic!("{name}: {text}"))
    };
    let said = out("tickets");
    assert_eq!(line(&said, "Uid"), "10\t10\t10\t10");
    assert_eq!(line(&said, "Gid"), "10\t10\t10\t10");
    assert_eq!(line(&said, "Groups").trim(), "10", "the daemon's own group 4 is gone");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(line(&said, set), "0000000000000000", "{set}");
    }
    assert!(said.contains("\nUSER=uucp\n") && said.contains("\nRULE=tickets\n") && said.contains("\nSHELL=/bin/sh\n"));
    assert!(out("tickets.mail").starts_with("Return-Path: <ann@example.org>\nDelivered-To: tickets@example.com\n"));
    assert!(out("tickets.mail").ends_with("\n\nbody\n"), "{}", out("tickets.mail"));
    assert_eq!(line(&out("own"), "Uid").split('\t').next(), Some("65534"));
    // The time limit ended the program too, whom the daemon has no right to end.
    until("the program has ended", || !processes_of(33));
    // What root changes holds from then on, and what somebody else could change is nothing.
    let config = daemon.path("postrider.toml");
    let whole = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, whole.replace("echo kept", "echo more")).unwrap();
    assert!(send(port, "tickets@example.com", "hello").starts_with("250 "));
    until("another program is refused", || daemon.log().contains("no rule tickets with this program and user"));
    std::os::unix::fs::chown(&config, Some(65_534), None).unwrap();
    let reload = daemon.home().run("postrider", &["reload"], "").expect(78);
    assert!(reload.stderr.contains("only what root alone may change"), "{}", reload.stderr);
    std::os::unix::fs::chown(&config, Some(0), None).unwrap();
    daemon.home().run("postrider", &["reload"], "").expect(0);
    daemon.home().run("postrider", &["queue", "retry", "--all"], "");
    until("the new program has it", || daemon.log().contains("took it: more"));
    assert_eq!(child(daemon.id()), keeper, "nobody else was started");
    drop(daemon);
    until("the helper ends with the daemon", || !std::path::Path::new(&format!("/proc/{keeper}")).exists());
}

/// Whether a process of that user runs a `sleep 600`.
fn processes_of(uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt;
    let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    all.filter(|path| std::fs::metadata(path).is_ok_and(|facts| facts.uid() == uid))
        .any(|path| std::fs::read_to_string(path.join("cmdline")).is_ok_and(|line| line == "sleep\x00600\0"))
}

/// Speaks to a runner as a daemon does that somebody has taken over, and gives its answer.
fn ask_runner(home: &crate::support::run::Home, config: &str, request: &str) -> String {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    let (mut near, far) = UnixStream::pair().unwrap();
    let words = as_the_unit(true);
    let program = home.path("runner/postrider-as-user").display().to_string();
    let child = std::process::Command::new(&words[0])
        .args(&words[1..])
        .args([program.as_str(), "run", config])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(OwnedFd::from(far))
        .spawn();
    near.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    near.write_all(request.as_bytes()).unwrap();
    near.write_all(b"text\n").unwrap();
    near.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    // Behind the answer of one that did not read the text comes that the connection was cut off.
    let _ = near.read_to_end(&mut answer);
    child.unwrap().wait().unwrap();
    String::from_utf8_lossy(answer.get(4..).unwrap_or_default()).into_owned()
}

#[test]
fn a_daemon_that_was_taken_over_gains_no_other_program_or_user() {
    let test = "sorting::user::a_daemon_that_was_taken_over_gains_no_other_program_or_user";
    if !skip::require(test, "root") || !skip::require(test, "setpriv") {
        return;
    }
    let home = crate::support::run::Home::new();
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir_all(home.path("runner")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_postrider"), home.path("runner/postrider-as-user")).unwrap();
    let rule = |name: &str, pipe: &str, user: &str| {
        format!("[[rule]]\nname = \"{name}\"\npipe = [{pipe}]\nuser = \"{user}\"\n")
    };
    let theirs = home.path("theirs");
    std::fs::write(&theirs, "#!/bin/sh\nid -u\n").unwrap();
    std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&theirs, Some(65_534), None).unwrap();
    let toml = [
        rule("id", "\"/bin/sh\", \"-c\", \"id -u; env | tr '\\\\n' ' '\"", "www-data"),
        rule("root", "\"/usr/bin/id\", \"-u\"", "root"),
        rule("theirs", &format!("\"{}\"", theirs.display()), "www-data"),
    ];
    let config = home.write("rules.toml", toml.concat());
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = config.display().to_string();
    let request = |rule: &str, user: &str, argv: &str, facts: &str| {
        format!("{{\"rule\":\"{rule}\",\"user\":\"{user}\",\"argv\":[{argv}],\"facts\":[{facts}]}}")
    };
    let ask = |request: &str| ask_runner(&home, &config, request);
    let (argv, fact) = (r#""/bin/sh","-c","id -u; env | tr '\\n' ' '""#, r#"["SENDER","a@b.test"]"#);
    let good = ask(&request("id", "www-data", argv, fact));
    assert!(good.contains("\"status\":0"), "{good}");
    for (asked, why) in [
        (request("id", "uucp", argv, fact), "no rule id with this program and user"),
        (request("id", "root", argv, fact), "no rule id with this program and user"),
        (request("id", "www-data", r#""/bin/sh","-c","id""#, fact), "no rule id with this program and user"),
        (request("other", "www-data", argv, fact), "no rule other with this program and user"),
        (request("root", "root", r#""/usr/bin/id","-u""#, fact), "as root"),
        (request("id", "www-data", argv, r#"["LD_PRELOAD","/tmp/x.so"]"#), "LD_PRELOAD"),
        (request("id", "www-data", argv, r#"["PATH","/tmp"]"#), "PATH"),
        (request("id", "www-data", argv, r#"["SENDER","a\u0000b"]"#), "SENDER"),
        (request("theirs", "www-data", &format!("\"{}\"", theirs.display()), fact), "belongs to"),
        ("{}".into(), "missing field"),
    ] {
        let answer = ask(&asked);
        assert!(answer.contains("Not") && answer.contains(why), "{asked}: {answer}");
    }
    // A configuration that the daemon's user, or anybody else but root, could have written.
    std::os::unix::fs::chown(&config, Some(65_534), None).unwrap();
    assert!(ask(&request("id", "www-data", argv, fact)).contains("only what root alone may change"));
    std::os::unix::fs::chown(&config, Some(0), None).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(ask(&request("id", "www-data", argv, fact)).contains("only what root alone may change"));
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::chown(home.path(""), Some(65_534), None).unwrap();
    assert!(ask(&request("id", "www-data", argv, fact)).contains("only what root alone may change"));
}
