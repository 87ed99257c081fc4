//! Who may name programs and files on msmtp's command line: a web form that reaches the arguments of PHP's mail() may not,
//! whatever terminal its server runs on; root, a person at a terminal and who was allowed to may.

use super::{MESSAGE, only, rc, script, with_login};
use crate::support::namespace::Namespace;
use crate::support::pty::Pty;
use crate::support::run::{Finished, Home};
use crate::support::server::Server;
use crate::support::skip;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

/// The user of a web server, and one that a person has.
const WEB: u32 = 33;
const PERSON: u32 = 1000;
/// An account that logs in.
const LOGIN: &str = "auth plain\nuser u\npassword tanstaaf";
/// What a refusal says.
const SENTENCE: &str = "set POSTRIDER_MSMTP_OPTIONS=all in its environment";

/// A server, and a home of that user with a `~/.msmtprc` with these lines, and its account `site`. `None` where this is
/// not run by root.
fn site(test: &str, uid: u32, lines: &str) -> Option<(Server, Home)> {
    if !skip::require(test, "root") || !skip::require(test, "setpriv") {
        return None;
    }
    let server = with_login(script()).start();
    let home = Home::new();
    let rc = home.write(".msmtprc", rc(&server, &format!("{lines}\naccount site : default")));
    for path in [home.path(""), rc] {
        chown(path, Some(uid), Some(uid)).unwrap();
    }
    std::fs::set_permissions(home.path(""), Permissions::from_mode(0o755)).unwrap();
    Some((server, home))
}

/// The words that run a command as that user.
fn as_user(uid: u32) -> Vec<String> {
    let id = uid.to_string();
    ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"].map(str::to_owned).to_vec()
}

/// Runs msmtp as that user, without a terminal.
fn run(home: &Home, uid: u32, before: &[&str], arguments: &[&str]) -> Finished {
    let msmtp = home.path("bin/msmtp").display().to_string();
    let mut words = as_user(uid)[1..].to_vec();
    words.extend(before.iter().map(|word| (*word).to_owned()));
    words.push(msmtp);
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    home.program(
        Path::new("/usr/bin/setpriv"),
        &["--pdeathsig", "KILL"].map(str::to_owned).into_iter().chain(words).collect::<Vec<_>>(),
        MESSAGE,
    )
}

#[track_caller]
fn refused(finished: Finished, option: &str) {
    let finished = finished.expect(64);
    assert!(finished.stderr.contains(SENTENCE) && finished.stderr.contains(option), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
}

/// A script of PHP that calls mail() with the fifth parameter that a visitor chose.
fn php(home: &Home, fifth: &str) -> String {
    let script = format!("<?php var_dump(mail('v@example.net', 't', 'hi', 'From: joe@h.example', {fifth:?}));");
    let path = home.write("form.php", script.replace("\\$", "$").replace('$', "\\$"));
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let msmtp = home.path("bin/msmtp").display().to_string();
    format!("php -n -d 'sendmail_path={msmtp} -t -i -a site' '{}' 2>&1", path.display())
}

/// What visitors try, and the option that is named; `OUT` is a path that they would write.
const TRIED: &[(&str, &str)] = &[
    ("-fa@x.example --passwordeval=touch${IFS}OUT --auth=plain --user=u --tls=off", "--passwordeval"),
    ("-fa@x.example -XOUT", "--logfile"),
    ("-f\"<?php(eval)?>\"@x.example --logfile=OUT", "--logfile"),
    ("-C/etc/passwd -fa@x.example --passw=touch${IFS}OUT", "--passwordeval"),
    ("-fa@x.example -tiXOUT", "--logfile"),
];

#[test]
fn a_form_reaches_nothing_through_phps_mail() {
    let test = "msmtp::rights::a_form_reaches_nothing_through_phps_mail";
    if !skip::require(test, "php-cli") {
        return;
    }
    let Some((server, home)) = site(test, WEB, LOGIN) else { return };
    let out = home.path("out").display().to_string();
    for (fifth, option) in TRIED {
        let line = php(&home, &fifth.replace("OUT", &out));
        let words = as_user(WEB)[1..].iter().cloned().chain(["sh".into(), "-c".into(), line]).collect::<Vec<_>>();
        let finished = home.program(Path::new("/usr/bin/setpriv"), &words, "").expect(0);
        let said = &finished.stdout;
        assert!(said.contains("bool(false)") && said.contains(SENTENCE) && said.contains(option), "{fifth}: {said}");
    }
    // The same from a worker that has a terminal: its server was started on it, or docker run -t gave the container one.
    // Neither the user of a web server nor a person's has more rights there.
    for uid in [WEB, PERSON] {
        chown(home.path(".msmtprc"), Some(uid), Some(uid)).unwrap();
        let line = php(&home, &TRIED[0].0.replace("OUT", &out));
        let mut terminal = Pty::start(&home, &format!("{} {line}; true", as_user(uid).join(" ")));
        terminal.ends();
        terminal.shows("bool(false)");
        assert!(terminal.shown().contains(SENTENCE), "{}", terminal.shown());
    }
    assert!(!home.path("out").exists() && server.connections().is_empty());
    chown(home.path(".msmtprc"), Some(WEB), Some(WEB)).unwrap();
    let line = php(&home, "-fa@x.example");
    let words = as_user(WEB)[1..].iter().cloned().chain(["sh".into(), "-c".into(), line]).collect::<Vec<_>>();
    let finished = home.program(Path::new("/usr/bin/setpriv"), &words, "").expect(0);
    assert!(finished.stdout.contains("bool(true)"), "{}", finished.stdout);
    assert_eq!(only(&server).from, "a@x.example");
}

#[test]
fn without_a_terminal_no_option_names_a_program_or_a_file() {
    let test = "msmtp::rights::without_a_terminal_no_option_names_a_program_or_a_file";
    for uid in [WEB, PERSON] {
        let Some((server, home)) = site(test, uid, LOGIN) else { return };
        let out = home.path("out").display().to_string();
        for (option, value) in [
            ("--passwordeval", format!("touch {out}")),
            ("--logfile", out.clone()),
            ("--aliases", "/etc/passwd".into()),
            ("--tls-trust-file", "/etc/passwd".into()),
            ("--tls-key-file", "/etc/shadow".into()),
            ("--tls-cert-file", "/etc/passwd".into()),
            ("--socket", "/run/nobody".into()),
            ("--tls", "off".into()),
            ("--tls-certcheck", "off".into()),
            ("--tls-host-override", "evil.example".into()),
            ("--tls-fingerprint", "aa".repeat(32)),
            ("--proxy-host", "192.0.2.1".into()),
        ] {
            refused(run(&home, uid, &[], &["-a", "site", &format!("{option}={value}"), "v@example.net"]), option);
            refused(run(&home, uid, &[], &["v@example.net", &format!("{option}={value}")]), option);
            refused(run(&home, uid, &[], &["-P", &format!("{option}={value}")]), option);
        }
        // With a server of one's own, no password is looked for in netrc and keyring.
        home.write(".netrc", "default login u password tanstaaf\n");
        let port = format!("--port={}", server.port);
        let own = ["--host=127.0.0.1", &port, "--from=a@example.com"];
        let auth = [&own[..], &["--auth=plain", "--user=u", "--tls=off", "v@example.net"]].concat();
        refused(run(&home, uid, &[], &auth), "--auth");
        assert!(!home.path("out").exists() && server.connections().is_empty());
        run(&home, uid, &[], &[&own[..], &["--auth=off", "--tls=off", "v@example.net"]].concat()).expect(77);
        run(&home, uid, &[], &["-a", "site", "--timeout=20", "--set-date-header=off", "v@example.net"]).expect(0);
        assert_eq!(server.messages().len(), 1);
        // Whoever the machine belongs to says so for a program.
        let arguments = ["-a", "site", "--logfile", &out, "v@example.net"];
        refused(run(&home, uid, &["env", "POSTRIDER_MSMTP_OPTIONS=yes"], &arguments), "--logfile");
        run(&home, uid, &["env", "POSTRIDER_MSMTP_OPTIONS=all"], &arguments).expect(0);
        assert!(home.path("out").exists());
    }
}

#[test]
fn a_file_of_the_callers_making_is_no_configuration() {
    let test = "msmtp::rights::a_file_of_the_callers_making_is_no_configuration";
    let Some((server, home)) = site(test, WEB, LOGIN) else { return };
    let trap = home.path("trap").display().to_string();
    let evil = rc(&server, &format!("eval touch {trap}\nauth plain\nuser u\npasswordeval touch {trap}; echo tanstaaf"));
    let put = |name: &str, owner: u32, mode: u32, text: &str| {
        let path = home.write(name, text);
        chown(&path, Some(owner), Some(owner)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    // Directories of root's, and in them what the caller may not write.
    let folder = |name: &str, owner: u32, mode: u32| {
        std::fs::create_dir_all(home.path(name)).unwrap();
        chown(home.path(name), Some(owner), Some(owner)).unwrap();
        std::fs::set_permissions(home.path(name), Permissions::from_mode(mode)).unwrap();
    };
    let good = rc(&server, &format!("{LOGIN}\ndomain theirs.example"));
    let own = put("own", WEB, 0o644, &evil);
    let below = put("below", 0, 0o644, &good);
    folder("shared", 0, 0o1777);
    let shared = put("shared/rc", 0, 0o644, &good);
    let link = home.path("link").display().to_string();
    symlink("/etc/msmtprc", &link).unwrap();
    for file in [own.as_str(), &below, &shared, &link, "/dev/stdin", "/proc/self/fd/0", "/proc/self/environ"] {
        refused(run(&home, WEB, &[], &["-C", file, "v@example.net"]), "--file");
        refused(run(&home, WEB, &[], &["v@example.net", &format!("--file={file}"), "-P"]), "--file");
    }
    assert!(!home.path("trap").exists() && server.connections().is_empty());
    run(&home, WEB, &[], &["-C", &home.path(".msmtprc").display().to_string(), "v@example.net"]).expect(0);
    // Nothing but the file's place is told of one that is no msmtprc, and of one that is not there.
    let passwd = run(&home, WEB, &[], &["-C", "/etc/passwd", "v@example.net"]).expect(78);
    assert!(passwd.stderr.contains("/etc/passwd:1") && !passwd.stderr.contains("root:"), "{}", passwd.stderr);
    run(&home, WEB, &[], &["-C", "/etc/none", "v@example.net"]).expect(74);
}

#[test]
fn a_file_of_the_systems_is_a_configuration() {
    let test = "msmtp::rights::a_file_of_the_systems_is_a_configuration";
    let server = script().start();
    let home = Home::new().config("[log]\nto = \"off\"\n[default]\nrelay = \"refuse\"\n");
    symlink("/usr/sbin/sendmail", home.path("msmtp")).unwrap();
    let Some(mut namespace) = Namespace::new(test, &home) else { return };
    let msmtp = home.path("msmtp").display().to_string();
    // In /etc, where a site may put nothing.
    let file = namespace.file("/etc/hosts", &rc(&server, ""));
    let words =
        ["setpriv", "--reuid", "33", "--regid", "33", "--groups", "100", &msmtp, "-C", "/etc/hosts", "v@example.net"];
    let send = |owner: (u32, u32), mode: u32| {
        chown(&file, Some(owner.0), Some(owner.1)).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        namespace.run(&words, MESSAGE)
    };
    send((0, 0), 0o644).expect(0);
    send((1, 1), 0o644).expect(0);
    send((0, 33), 0o640).expect(0);
    assert_eq!(server.messages().len(), 3);
    for (owner, mode) in
        [((33, 33), 0o444), ((0, 33), 0o664), ((0, 100), 0o664), ((0, 0), 0o666), ((PERSON, PERSON), 0o644)]
    {
        refused(send(owner, mode), "--file");
    }
    assert_eq!(server.messages().len(), 3);
}

/// Runs a line of sh on a terminal of its own, and gives its status and what was shown.
fn at_terminal(home: &Home, line: &str) -> (i32, String) {
    home.write("message", MESSAGE);
    std::fs::set_permissions(home.path("message"), Permissions::from_mode(0o644)).unwrap();
    // What is shown comes behind the end of the program: the last word is waited for.
    let mut terminal = Pty::start(home, &format!("({line}); echo ended: $?"));
    terminal.ends();
    terminal.shows("ended: ");
    terminal.until("a status", || terminal.shown().ends_with('\n'));
    let shown = terminal.shown();
    let (_, status) = shown.rsplit_once("ended: ").unwrap();
    (status.trim().parse().unwrap(), shown)
}

#[test]
fn a_person_at_a_terminal_may() {
    let test = "msmtp::rights::a_person_at_a_terminal_may";
    let Some((server, home)) = site(test, PERSON, "") else { return };
    let ends = |line: &str| at_terminal(&home, line);
    let send = "msmtp -t --auth=plain --user=u '--passwordeval=echo tanstaaf'";
    let person = as_user(PERSON).join(" ");
    for line in [
        format!("exec {person} {send} <message"),
        format!("{person} sh -c 'cat message | {}; exit 0'", send.replace('\'', "\"")),
        // As mutt has it: in a session of its own, in a process that the person's own one started.
        format!("{person} sh -c 'setsid sh -c \"{}; true\" <message >said 2>&1; true'", send.replace('\'', "\\\"")),
    ] {
        let before = server.messages().len();
        let (status, shown) = ends(&format!("cd {}; touch said; chmod 666 said; {line}", home.path("").display()));
        assert_eq!(status, 0, "{line}: {shown}");
        let said = std::fs::read_to_string(home.path("said")).unwrap_or_default();
        assert_eq!(server.messages().len(), before + 1, "{line}: {shown}{said}");
        assert_eq!(server.messages()[before].account.as_deref(), Some("u"));
    }
    // The same with the user of a web server, in the place of another process, and in a program that a web server runs.
    for line in [
        format!("{} {send}", as_user(WEB).join(" ")),
        format!("{} {send}", as_user(65_534).join(" ")),
        format!("{person} env GATEWAY_INTERFACE=CGI/1.1 {send}"),
        format!("{} sh -c 'setpriv --reuid {WEB} --clear-groups {}'", as_user(PERSON).join(" "), "id -u"),
    ] {
        let before = server.messages().len();
        let (status, shown) = ends(&format!("cd {}; {line} <message", home.path("").display()));
        assert_ne!(status, 0, "{line}: {shown}");
        assert!(shown.contains("POSTRIDER_MSMTP_OPTIONS") || shown.contains("setpriv"), "{line}: {shown}");
        assert_eq!(server.messages().len(), before);
    }
}

#[test]
fn a_containers_own_terminal_is_nobodys() {
    let test = "msmtp::rights::a_containers_own_terminal_is_nobodys";
    let Some((server, home)) = site(test, PERSON, "") else { return };
    if !skip::require(test, "unshare") {
        return;
    }
    // As docker run -t has it: the first process is the leader of the terminal's session.
    let send = "msmtp -t --auth=plain --user=u \"--passwordeval=echo tanstaaf\" <message";
    let line = format!("{} sh -c '{send}'; echo status $?", as_user(PERSON).join(" "));
    home.write("container", format!("cd {}\n{line}\n", home.path("").display()));
    let enter = "unshare --mount --pid --fork --mount-proc setsid --ctty sh";
    let (_, shown) = at_terminal(&home, &format!("{enter} {}", home.path("container").display()));
    if shown.contains("unshare: ") {
        skip::because(test, &format!("no process namespace here: {shown}"));
        return;
    }
    assert!(shown.contains("status 64") && shown.contains("POSTRIDER_MSMTP_OPTIONS"), "{shown}");
    assert!(server.connections().is_empty());
}

#[test]
fn the_machines_configuration_allows_it_to_everybody() {
    let test = "msmtp::rights::the_machines_configuration_allows_it_to_everybody";
    for (said, status) in [("all", 0), ("guarded", 64)] {
        let server = script().start();
        let home = Home::new()
            .config(&format!("[log]\nto = \"off\"\n[msmtp]\noptions = \"{said}\"\n[default]\nrelay = \"refuse\"\n"));
        symlink("/usr/sbin/sendmail", home.path("msmtp")).unwrap();
        let Some(namespace) = Namespace::new(test, &home) else { return };
        let msmtp = home.path("msmtp").display().to_string();
        let port = format!("--port={}", server.port);
        // The group may read the file.
        let words = ["setpriv", "--reuid", "33", "--regid", "nogroup", "--clear-groups", &msmtp];
        let rest = ["--host=127.0.0.1", &port, "--from=a@example.com", "--logfile=-", "v@example.net"];
        let finished = namespace.run(&[&words[..], &rest[..]].concat(), MESSAGE).expect(status);
        assert_eq!(server.messages().len(), usize::from(status == 0), "{}", finished.stderr);
        // Who may not read it is not allowed anything by it.
        let words = ["setpriv", "--reuid", "33", "--regid", "33", "--clear-groups", &msmtp];
        refused(namespace.run(&[&words[..], &rest[..]].concat(), MESSAGE), "--logfile");
    }
}
