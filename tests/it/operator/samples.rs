//! What config/ offers for running the daemon is read by the programs that it is for.

use crate::support::skip::require;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(sample(name)).unwrap()
}

#[track_caller]
fn fine(program: &str, output: Output) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {said}");
    for word in ["error", "warning", "Unknown", "ignoring"] {
        assert!(!said.contains(word), "{program}: {said}");
    }
}

#[test]
fn the_units_are_what_systemd_reads() {
    if !require("the_units_are_what_systemd_reads", "systemd") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let files = ["postrider.service", "postrider.socket"].map(|name| {
        let path = home.path().join(name);
        // The program is not installed on a machine that only tests.
        let unit = text(&format!("systemd/{name}")).replace("=postrider ", "=/bin/true ");
        std::fs::write(&path, unit).unwrap();
        path
    });
    let verify = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&files).output();
    fine("systemd-analyze", verify.unwrap());
}

#[test]
fn every_place_is_the_same_in_all_of_them() {
    let unit = text("systemd/postrider.service");
    assert!(unit.contains("\nStartLimitIntervalSec=0\n"), "a daemon that is given up takes its socket down");
    assert!(unit.contains("\nStateDirectory=postrider\n") && unit.contains("\nUser=postrider\n"));
    assert!(text("systemd/postrider.socket").contains("\nListenStream=/run/postrider/submit.sock\n"));
    assert!(text("postrider.toml").contains("\n#directory = \"/var/lib/postrider\"\n"));
    for file in ["tmpfiles.d/postrider.conf", "openrc/postrider", "apparmor/postrider", "sysusers.d/postrider.conf"] {
        assert!(text(file).contains("/var/lib/postrider"), "{file}");
    }
}

#[test]
fn users_and_directories_are_made() {
    if !require("users_and_directories_are_made", "root") || !require("users_and_directories_are_made", "systemd") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let root = format!("--root={}", home.path().display());
    std::fs::create_dir(home.path().join("etc")).unwrap();
    let run = |program: &str, arguments: &[&str], file: &str| {
        let output = Command::new(program).arg(&root).args(arguments).arg(sample(file)).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("systemd-sysusers", &[], "sysusers.d/postrider.conf");
    run("systemd-tmpfiles", &["--create"], "tmpfiles.d/postrider.conf");
    use std::os::unix::fs::MetadataExt;
    let facts = std::fs::metadata(home.path().join("var/lib/postrider")).unwrap();
    assert_eq!((facts.mode() & 0o777, facts.uid() != 0), (0o700, true));
}

#[test]
fn the_init_script_is_a_shell_script() {
    fine("sh", Command::new("sh").arg("-n").arg(sample("openrc/postrider")).output().unwrap());
}

#[test]
fn the_profile_is_what_apparmor_reads() {
    if !require("the_profile_is_what_apparmor_reads", "apparmor") {
        return;
    }
    // Parsed and compiled, not loaded: no kernel is needed for that.
    let parsed = Command::new("apparmor_parser").args(["-Q", "-K", "-S"]).arg(sample("apparmor/postrider")).output();
    let output = parsed.unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_rotation_is_what_logrotate_reads() {
    if !require("the_rotation_is_what_logrotate_reads", "logrotate") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("rotation");
    let user = me();
    let here = text("logrotate/postrider")
        .replace("su postrider postrider", &format!("su {user}"))
        .replace("/var/log/postrider", &home.path().display().to_string());
    std::fs::write(&path, here).unwrap();
    let state = home.path().join("state");
    std::fs::write(home.path().join("shop.log"), "a line\n").unwrap();
    let read = Command::new("logrotate").arg("-s").arg(state).arg(path).output().unwrap();
    fine("logrotate", read);
}

/// This user and group, by name.
fn me() -> String {
    let of = |flag: &str| {
        let output = Command::new("id").arg(flag).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    format!("{} {}", of("-un"), of("-gn"))
}
