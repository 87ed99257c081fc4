//! `postrider setup`: by options, and by a person at a terminal.

use crate::daemon::{as_nobody, nobody};
use crate::support::certs::{Authority, Kind};
use crate::support::pty::Pty;
use crate::support::run::{Finished, Home};
use crate::support::script::Script;
use crate::support::server::Server;
use std::os::unix::fs::PermissionsExt;

const PASSWORD: &str = "tans \"taaf";

fn server(authority: &Authority) -> Server {
    let identity = authority.issue(Kind::Valid);
    Script::new().starttls(&identity).auth("shop@example.com", PASSWORD, &["PLAIN"]).start()
}

fn home(authority: &Authority) -> Home {
    let home = Home::new();
    home.write("ca.pem", authority.pem());
    std::fs::create_dir(home.path("etc")).unwrap();
    home
}

fn setup(home: &Home, server: &Server, options: &[&str], password: &str) -> Finished {
    let (config, ca) = (home.path("etc/postrider.toml"), home.path("ca.pem"));
    let server = format!("smtp://127.0.0.1:{}", server.port);
    let mut all = vec!["--config", config.to_str().unwrap(), "setup", "--password-stdin", "--server", &server];
    all.extend(["--ca-file", ca.to_str().unwrap()]);
    all.extend(options);
    home.run("postrider", &all, password)
}

fn mode(home: &Home, name: &str) -> u32 {
    std::fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777
}

/// Every file below the configuration's directory.
fn files(home: &Home) -> Vec<String> {
    let list = |name: &str| {
        let entries = std::fs::read_dir(home.path(name)).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    let mut all = [list("etc"), list("etc/senders.d")].concat();
    all.sort();
    all
}

#[test]
fn a_sender_by_options_sends() {
    let authority = Authority::new();
    let server = server(&authority);
    let home = home(&authority);
    let options = ["--address", "shop@example.com", "--name", "Shop \"one\""];
    let shown = setup(&home, &server, &[&options[..], &["--dry-run"]].concat(), PASSWORD).expect(0).stdout;
    assert!(
        shown.contains("[[sender]]") && shown.contains("may log in (PLAIN)") && !shown.contains(PASSWORD),
        "{shown}"
    );
    assert!(files(&home).is_empty());
    let run = setup(&home, &server, &options, &format!("{PASSWORD}\r\nmore")).expect(0);
    assert!(run.stdout.contains("postrider reload") && !run.stdout.contains(PASSWORD), "{}", run.stdout);
    assert_eq!(files(&home), ["postrider.toml", "shop--one-.password", "shop--one-.toml"]);
    assert_eq!((mode(&home, "etc/shop--one-.password"), mode(&home, "etc/senders.d/shop--one-.toml")), (0o600, 0o644));
    let config = home.path("etc/postrider.toml");
    let config = config.to_str().unwrap();
    home.run("postrider", &["--config", config, "check", "--parse-only"], "").expect(0);
    let mail = "From: shop@example.com\nTo: you@example.org\n\nhello\n";
    home.run("postrider", &["--config", config, "sendmail", "-t"], mail).expect(0);
    assert_eq!(server.messages()[0].account.as_deref(), Some("shop@example.com"));
    // Nothing is overwritten, nothing is claimed twice.
    let again = setup(&home, &server, &options, PASSWORD).expect(73);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    let twice = setup(&home, &server, &["--address", "SHOP@example.com", "--name", "two"], PASSWORD).expect(78);
    assert!(twice.stderr.contains("shop--one-.toml:1") && twice.stderr.lines().count() == 1, "{}", twice.stderr);
    assert_eq!(files(&home).len(), 3);
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let authority = Authority::new();
    let server = server(&authority);
    let home = home(&authority);
    let run = setup(&home, &server, &["--address", "shop@example.com"], "wrong-hunter2").expect(77);
    assert!(run.stderr.contains("535") && run.stderr.contains("nothing was written"), "{}", run.stderr);
    assert!(!run.stderr.contains("hunter2") && files(&home).is_empty());
    for (options, status, words) in [
        (vec![], 64, "--address is missing"),
        (vec!["--address", "nobody"], 64, "--address: "),
        (vec!["--address", "a@b.test", "--provider", "yandxe"], 64, "did you mean yandex?"),
        (vec!["--address", "a@b.test", "--group", "no-such-group", "--no-test"], 64, "no group"),
        (vec!["--address", "a@b.test", "--password-file", "x"], 64, "cannot be used with"),
    ] {
        let run = setup(&home, &server, &options, PASSWORD).expect(status);
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    setup(&home, &server, &["--address", "a@b.test", "--no-test"], "").expect(64);
    assert!(files(&home).is_empty());
    setup(&home, &server, &["--address", "a@b.test", "--no-test"], "never-tried").expect(0);
    assert_eq!(files(&home), ["a@b.test.password", "a@b.test.toml", "postrider.toml"]);
}

#[test]
fn a_person_is_asked() {
    let authority = Authority::new();
    let server = server(&authority);
    let home = home(&authority);
    let line = "exec postrider --config \"$HOME/etc/postrider.toml\" setup --ca-file \"$HOME/ca.pem\" --name shop";
    let mut terminal = Pty::start(&home, line);
    terminal.shows("1  yandex");
    terminal.shows("Provider (number or name): ");
    terminal.types("gmial\n");
    terminal.shows("did you mean gmail?");
    terminal.types("0\n");
    terminal.shows("Server ");
    terminal.types(&format!("smtp://127.0.0.1:{}\n", server.port));
    terminal.shows("From address: ");
    terminal.types("shop@example.com\n");
    terminal.shows("Login [shop@example.com]: ");
    terminal.types("\n");
    terminal.shows("Password: ");
    terminal.until("no echo", || !terminal.echoes());
    terminal.types(&format!("{PASSWORD}\n"));
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    assert!(terminal.echoes() && !terminal.shown().contains(PASSWORD), "{}", terminal.shown());
    assert_eq!(files(&home), ["postrider.toml", "shop.password", "shop.toml"]);
    assert_eq!(mode(&home, "etc/shop.password"), 0o600);
    assert_eq!(std::fs::read_to_string(home.path("etc/shop.password")).unwrap(), format!("{PASSWORD}\n"));
}

#[test]
fn a_group_that_sends_without_the_daemon_can_count_and_is_told_the_truth() {
    let test = "setup::a_group_that_sends_without_the_daemon_can_count_and_is_told_the_truth";
    if !nobody(test) {
        return;
    }
    let authority = Authority::new();
    let server = server(&authority);
    let home = home(&authority);
    let state = home.path("state/queue");
    let main = format!("log = {{ to = \"off\" }}\naliases = \"off\"\n[queue]\ndirectory = \"{}\"\n", state.display());
    let main = home.write("etc/postrider.toml", main);
    for (path, mode) in [(home.path("etc"), 0o755), (main.clone(), 0o644), (home.path("ca.pem"), 0o644)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let options = ["--provider", "yandex", "--address", "shop@example.com", "--group", "nogroup"];
    let run = setup(&home, &server, &options, PASSWORD).expect(0);
    assert!(run.stdout.contains("state/limits/limits.db: what the group nogroup sends"), "{}", run.stdout);
    assert!(std::fs::read_to_string(&main).unwrap().ends_with("state/limits/limits.db\"\n"));
    let home = home.env("POSTRIDER_CONFIG", &main);
    let mail = "From: shop@example.com\nTo: you@example.org\n\nhello\n";
    let as_other = |name: &str, arguments: &[&str]| {
        let mut all = as_nobody(&home, arguments);
        all[3] = home.path(&format!("bin/{name}")).display().to_string();
        home.program(std::path::Path::new("/usr/bin/setpriv"), &all, mail)
    };
    as_other("sendmail", &["-t"]).expect(0);
    home.run("sendmail", &["-t"], mail).expect(0);
    as_other("sendmail", &["-t"]).expect(0);
    let explained = as_other("postrider", &["explain", "-t"]).expect(0).stdout;
    assert!(explained.contains("3 used, 497 left"), "{explained}");
    let check = home.run("postrider", &["check"], "").stdout;
    let line = check.lines().find(|line| line.contains("counters of sending limits")).unwrap_or_default();
    assert!(line.starts_with("ok: ") && line.contains("nobody"), "{check}");

    // What was counted is there, and out of reach; then not even that.
    let directory = home.path("state/limits");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
    for gone in [false, true] {
        if gone {
            std::fs::remove_dir_all(&directory).unwrap();
        }
        as_other("sendmail", &["-t"]).expect(69);
        let explained = as_other("postrider", &["explain", "-t"]).expect(0).stdout;
        assert!(explained.contains("it cannot be counted, so that nothing is sent"), "{explained}");
        let check = home.run("postrider", &["check"], "").expect(2).stdout;
        assert!(check.contains("nobody cannot make the counters of sending limits"), "{check}");
    }
    assert_eq!(server.messages().len(), 3);
}
