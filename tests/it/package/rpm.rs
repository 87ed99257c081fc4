//! The RPM, where its tools are installed: what is in it, and its life in a clean tree.

use super::{debian, fine, script, source};
use crate::support::script::Script;
use crate::support::skip::require;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the RPM as some version from this build's programs, in a directory of its own.
fn build(version: &str, directory: &Path) -> PathBuf {
    let (target, profile) = super::profile();
    let own = directory.join(version);
    std::fs::create_dir_all(&own).unwrap();
    std::os::unix::fs::symlink(target.join(&profile), own.join(&profile)).unwrap();
    let output = script("config/rpm.sh")
        .args(["--nodeps", "--define", &format!("release_version {version}")])
        // Packed quickly: what comes of it is thrown away.
        .args(["--define", "_binary_payload w1.gzdio"])
        .env("CARGO_TARGET_DIR", &own)
        .output()
        .unwrap();
    fine("config/rpm.sh", &output);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let packages = String::from_utf8(output.stdout).unwrap();
    assert_eq!(packages.lines().count(), 1, "{packages}");
    PathBuf::from(packages.trim())
}

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
    let directory = tempfile::tempdir().unwrap();
    let package = &build("1.2.3", directory.path());
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

#[test]
fn its_life_in_a_clean_tree() {
    let test = "its_life_in_a_clean_tree";
    if !["rpmbuild", "root", "debootstrap", "unshare"].iter().all(|tool| require(test, tool)) {
        return;
    }
    let server = Script::new().start();
    let packages = |directory: &Path| ["1.0.0", "1.0.1"].map(|version| build(version, directory));
    let Some(said) = debian::life(test, "tests/package/rpm.sh", packages, &server) else { return };
    assert_eq!(server.messages().len(), 2, "{said}");
}
