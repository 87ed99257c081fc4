//! Counters that cannot be used: made by another user, damaged, in the way. Nothing goes beyond a limit, and nobody has to
//! guess why nothing goes.

use super::served::Daemon;
use super::{home, mail, sender, taken};
use crate::daemon::{as_nobody, nobody, until};
use crate::support::run::Home;
use crate::support::script::Script;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

const NOBODY: u32 = 65_534;

fn aside(home: &Home) -> Vec<String> {
    let names = fs::read_dir(home.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("limits.db.damaged-") && !name.ends_with("-wal")).collect()
}

#[test]
fn damaged_counters_are_set_aside_and_every_limit_counts_as_reached() {
    let server = Script::new().start();
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("no database", |file| fs::write(file, "garbage ".repeat(2000)).unwrap()),
        ("empty", |file| fs::write(file, "").unwrap()),
        ("cut off", |file| fs::File::options().write(true).open(file).unwrap().set_len(4096).unwrap()),
        ("overwritten pages", |file| {
            fs::File::options().write(true).open(file).unwrap().write_all_at(&[0x5a; 16_384], 4096).unwrap();
        }),
        ("gone, but for its log", |file| {
            fs::rename(file, file.with_extension("db-wal")).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let home = home("", &sender("shop", &server, "limits = [{ messages = 5, per = \"1h\" }]"));
        let before = taken(&server);
        home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(0);
        if !what.starts_with("gone") {
            // All of it is in the file: what is still in the log is not lost with it.
            let open = rusqlite::Connection::open(home.path("limits.db")).unwrap();
            open.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            open.close().unwrap();
        }
        damage(&home.path("limits.db"));
        let run = home.run("sendmail", &["-i", "a@example.org"], mail("shop"));
        assert_eq!(run.status, 69, "{what}");
        assert!(run.stderr.contains("counts as reached, as its counters were damaged"), "{what}: {}", run.stderr);
        assert_eq!(aside(&home).len(), usize::from(what != "gone, but for its log"), "{what}: it is kept");
        let explained = home.run("postrider", &["explain", "a@example.org"], mail("shop")).stdout;
        assert!(explained.contains("5 used, 0 left"), "{what}: {explained}");
        let shown = home.run("postrider", &["senders"], "").expect(0).stdout;
        assert!(shown.contains(" limit ") && shown.contains("damaged"), "{what}: {shown}");
        let check = home.run("postrider", &["check"], "").stdout;
        assert!(check.contains("counters of sending limits were damaged"), "{what}: {check}");
        assert_eq!(taken(&server), before + 1, "{what}");
        home.run("postrider", &["senders", "reset", "shop"], "").expect(0);
        (0..5).for_each(|_| drop(home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(0)));
        home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(69);
        assert_eq!(taken(&server), before + 6, "{what}");
    }
}

#[test]
fn a_window_of_damaged_counters_frees_by_itself() {
    let server = Script::new().start();
    let home = home("", &sender("shop", &server, "limits = [{ messages = 5, per = \"1s\" }]"));
    fs::write(home.path("limits.db"), "x").unwrap();
    home.run("sendmail", &["-i", "a@example.org"], mail("shop"));
    until("the window is over", || home.run("sendmail", &["-i", "a@example.org"], mail("shop")).status == 0);
}

#[test]
fn another_programs_file_is_no_damage() {
    let server = Script::new().start();
    let home = Home::new();
    let file = home.write("notes", "what somebody wrote\n");
    let limit = sender("shop", &server, "limits = [{ messages = 5, per = \"1h\" }]");
    let home = home.config(&format!("log = {{ to = \"off\" }}\n[limits]\nfile = \"{}\"\n{limit}", file.display()));
    let run = home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(69);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), "what somebody wrote\n");
}

#[test]
fn counters_that_cannot_be_used_are_told_of_everywhere_and_their_mail_bounces_in_time() {
    let server = Script::new().start();
    let senders = format!(
        "expire_after = \"1s\"\n[default]\nserver = \"smtp+plain://127.0.0.1:{}\"\n\
         user = \"root@example.com\"\nauth = \"off\"\n{}",
        server.port,
        sender("shop", &server, "limits = [{ messages = 5, per = \"1h\" }]")
    );
    let daemon = Daemon::start("", &senders);
    let file = daemon.home.path("queue/limits.db");
    fs::create_dir(&file).unwrap();
    daemon.home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(0);
    let why = "the limits of sender shop cannot be counted in";
    let run = |arguments: &[&str]| daemon.home.run("postrider", arguments, "").stdout;
    until("mailq says why", || daemon.home.run("mailq", &[] as &[&str], "").stdout.contains(why));
    let status = run(&["status"]);
    assert!(status.contains(why), "{status}");
    let senders = run(&["senders"]);
    assert!(senders.contains(" trouble ") && senders.contains("limits.db"), "{senders}");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    run(&["queue", "retry", "--all"]);
    until("it comes back", || server.messages().iter().any(|message| message.recipients == ["shop@example.com"]));
    let text = String::from_utf8_lossy(&server.messages()[0].text).into_owned();
    assert!(text.contains("cannot be counted in"), "{text}");
    // Once it is mended mail goes.
    fs::remove_dir(&file).unwrap();
    run(&["senders", "resume", "shop"]);
    daemon.home.run("sendmail", &["-i", "b@example.org"], mail("shop")).expect(0);
    until("it is sent", || server.messages().iter().any(|message| message.recipients == ["b@example.org"]));
}

#[test]
fn counters_belong_to_the_owner_of_their_directory_whoever_makes_them() {
    let test = "limits::damaged::counters_belong_to_the_owner_of_their_directory_whoever_makes_them";
    if !nobody(test) {
        return;
    }
    let server = Script::new().start();
    let home = Home::new();
    let directory = home.path("state");
    fs::create_dir(&directory).unwrap();
    chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
    let file = directory.join("limits.db");
    let limit = sender("shop", &server, "limits = [{ messages = 50, per = \"1h\" }]");
    let home = home.config(&format!("log = {{ to = \"off\" }}\n[limits]\nfile = \"{}\"\n{limit}", file.display()));
    fs::set_permissions(home.path("postrider.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let as_root = || home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(0);
    let as_other = || {
        let arguments = as_nobody(&home, &["-i", "a@example.org"]);
        home.program(Path::new("/usr/bin/setpriv"), &arguments, mail("shop")).expect(0)
    };
    as_root();
    as_other();
    as_root();
    for entry in fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), NOBODY, "{:?}", entry.file_name());
    }
    // What an earlier version left, and a damaged one.
    chown(&file, Some(0), Some(0)).unwrap();
    as_root();
    as_other();
    fs::write(&file, "x").unwrap();
    home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(69);
    for entry in fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), NOBODY, "{:?}", entry.file_name());
    }
    // A link that leads root elsewhere is not followed.
    fs::remove_file(&file).unwrap();
    let target = home.path("target.db");
    std::os::unix::fs::symlink(&target, &file).unwrap();
    home.run("sendmail", &["-i", "a@example.org"], mail("shop")).expect(69);
    assert!(!target.exists());
}
