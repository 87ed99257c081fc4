//! The RPM, where its tools are installed.

use super::{fine, script, source};
use crate::support::skip::require;
use std::path::Path;
use std::process::Command;

#[test]
fn its_description_is_one() {
    if !require("its_description_is_one", "rpmspec") {
        return;
    }
    let spec = source("config/rpm/postrider.spec");
    let read = Command::new("rpmspec").arg("-P").arg(&spec).current_dir(source("")).output().unwrap();
    let said = fine("rpmspec", &read);
    assert!(said.contains(&format!("Version:        {}\n", env!("CARGO_PKG_VERSION"))), "{said}");
    assert!(!said.contains("warning:"), "{said}");
}

#[test]
fn it_holds_what_the_spec_names() {
    if !require("it_holds_what_the_spec_names", "rpmbuild") {
        return;
    }
    // Its own place for what is built; the programs are this build's.
    let directory = tempfile::tempdir().unwrap();
    let (target, profile) = super::profile();
    std::os::unix::fs::symlink(target.join(&profile), directory.path().join(&profile)).unwrap();
    let built = script("config/rpm.sh").arg("--nodeps").env("CARGO_TARGET_DIR", directory.path()).output().unwrap();
    fine("config/rpm.sh", &built);
    let package = String::from_utf8(built.stdout).unwrap();
    let package = Path::new(package.lines().last().unwrap());
    let list = fine("rpm", &Command::new("rpm").args(["-qpl", "--nodigest"]).arg(package).output().unwrap());
    for file in [
        "/usr/bin/postrider",
        "/usr/sbin/sendmail.postrider",
        "/usr/share/man/man1/postrider.1.gz",
        "/var/lib/postrider",
    ] {
        assert!(list.lines().any(|line| line == file), "{file}: {list}");
    }
    let scripts = fine("rpm", &Command::new("rpm").args(["-qp", "--scripts"]).arg(package).output().unwrap());
    assert!(scripts.contains("alternatives --install /usr/sbin/sendmail mta"), "{scripts}");
    let kept = fine("rpm", &Command::new("rpm").args(["-qpc"]).arg(package).output().unwrap());
    assert!(kept.contains("/etc/postrider/postrider.toml"), "{kept}");
}
