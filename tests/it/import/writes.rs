//! Where things are written, and what is refused.

use super::import;
use crate::support::run::Home;
use std::os::unix::fs::PermissionsExt;

const RC: &str =
    "account default\nhost smtp.example.com\ntls on\nauth on\nfrom shop@example.com\nuser shop\npassword tanstaaf\n";

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn secrets_are_in_files_of_their_own_and_nothing_is_overwritten() {
    let home = Home::new();
    home.write("source/rc", RC);
    let out = home.path("new/etc");
    let write = format!("--write={}", out.display());
    let run = import(&home, "msmtp", &["rc"], &[&write]).expect(0);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("wrote ") && run.stderr.contains("1 password"), "{}", run.stderr);
    assert_eq!((mode(&out.join("default.password")), mode(&out.join("postrider.toml"))), (0o600, 0o644));
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2);

    home.write("source/rc", RC.replace("tanstaaf", "another"));
    let run = import(&home, "msmtp", &["rc"], &[&write]).expect(73);
    assert!(run.stderr.contains("is there already; nothing was written (--force replaces it)"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(out.join("default.password")).unwrap(), "tanstaaf\n");
    import(&home, "msmtp", &["rc"], &[&write, "--force"]).expect(0);
    assert_eq!(std::fs::read_to_string(out.join("default.password")).unwrap(), "another\n");

    // A configuration alone that is there keeps the password from being written too.
    std::fs::remove_file(out.join("default.password")).unwrap();
    import(&home, "msmtp", &["rc"], &[&write]).expect(73);
    assert!(!out.join("default.password").exists());
}

#[test]
fn a_link_in_the_place_of_a_file_is_never_followed() {
    let home = Home::new();
    home.write("source/rc", RC);
    let target = home.write("target", "untouched\n");
    std::fs::create_dir(home.path("out")).unwrap();
    std::os::unix::fs::symlink(&target, home.path("out/default.password")).unwrap();
    let write = format!("--write={}", home.path("out").display());
    import(&home, "msmtp", &["rc"], &[&write]).expect(73);
    import(&home, "msmtp", &["rc"], &[&write, "--force"]).expect(0);
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "untouched\n");
}

#[test]
fn what_cannot_be_imported_says_why_in_one_line() {
    let home = Home::new();
    home.write("source/rc", "account default\nhost h\nbogus tanstaaf\n");
    home.write("source/broken.php", "<?php\nreturn [\n'smtp' => ['value' => ['host' => 'a' . 'tanstaaf']]];\n");
    home.write("source/nothing.php", "<?php\n$a = 'tanstaaf\n");
    home.write("source/rows", "ID\tEMAIL\n1\ta@example.com\n");
    home.write("source/sendmail.cf", "x");
    home.write("source/file", "");
    let file = format!("--write={}", home.path("source/file").display());
    home.write("source/good", RC);
    for (program, file, more, status, says) in [
        ("msmtp", "rc", "", 65, "rc:3: unknown command"),
        ("msmtp", "none", "", 66, "none: No such file"),
        ("msmtp", "", "", 66, "not a regular file"),
        ("bitrix", "broken.php", "", 65, "broken.php:3: smtp holds something that would have to be evaluated"),
        ("bitrix", "nothing.php", "", 65, "nothing.php:3: a string has no end"),
        ("bitrix", "rows", "", 65, "rows:1: there is no column OPTIONS"),
        ("wp-mail-smtp", "rows", "", 65, "not PHP-serialized"),
        ("nullmailer", "sendmail.cf", "", 65, "remotes is not among the files"),
        ("msmtp", "good", &file, 64, "is a file; name the directory"),
    ] {
        let more: &[&str] = if more.is_empty() { &[] } else { &[more] };
        let run = import(&home, program, &[file], more).expect(status);
        assert!(run.stderr.contains(says), "{program} {file}: {}", run.stderr);
        assert_eq!((run.stderr.lines().count(), run.stdout.as_str()), (1, ""), "{}", run.stderr);
        assert!(!run.stderr.contains("tanstaaf"), "{}", run.stderr);
    }
    home.run("postrider", &["import", "bitrix"], "").expect(66);
    home.run("postrider", &["import", "qmail", "x"], "").expect(64);
    home.run("postrider", &["import", "bitrix", "x", "--owner", "anna"], "").expect(64);
}

#[test]
fn nothing_of_a_source_is_executed() {
    let home = Home::new();
    let mark = home.path("executed");
    let touch = format!("touch {}", mark.display());
    home.write(
        "source/rc",
        format!("eval {touch}\naccount default\nhost h\ntls on\nauth on\nuser u\npasswordeval {touch}\n"),
    );
    home.write("source/esmtprc", format!("hostname=h:25\npreconnect \"{touch}\"\nmda '{touch}'\n"));
    home.write("source/x.php", format!("<?php system('{touch}'); return ['smtp' => ['value' => ['host' => 'h']]];"));
    import(&home, "msmtp", &["rc"], &[]).expect(0);
    import(&home, "esmtp", &["esmtprc"], &[]).expect(0);
    import(&home, "bitrix", &["x.php"], &[]).expect(0);
    assert!(!mark.exists());
}

#[test]
fn standard_input_and_the_usual_files_serve_too() {
    let home = Home::new();
    home.write(".msmtprc", RC);
    let rows = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/import/data/bitrix/senders.tsv")).unwrap();
    let run = home.run("postrider", &["import", "msmtp"], "").expect(0);
    assert!(run.stdout.contains("server = \"smtp://smtp.example.com:25\""), "{}", run.stdout);
    let run = home.run("postrider", &["import", "bitrix", "-"], rows).expect(0);
    assert!(run.stdout.contains("name = \"old@example.com\""), "{}", run.stdout);
    assert!(
        run.stderr.contains("-:4: not carried over: the password is encrypted; name .settings.php too"),
        "{}",
        run.stderr
    );
}
