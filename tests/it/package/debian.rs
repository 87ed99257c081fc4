//! The Debian package: what is in it, and its life in a clean tree.

use super::{fine, profile, script, source};
use crate::support::script::Script;
use crate::support::server::Server;
use crate::support::skip::{because, require};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Runs a script in a private mount namespace, with a file system in memory at the first argument: an overlay on an overlay
/// may be refused. 90: there is no such namespace here.
pub(super) const ENTER: &str = "mount -t tmpfs tmpfs \"$1\" || exit 90; shift; exec sh \"$@\"";

/// The clean tree, made once; or why there is none.
pub(super) fn tree() -> Result<PathBuf, String> {
    static TREE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let make = || {
        let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-tree");
        let made = Command::new("sh").arg(source("tests/package/tree.sh")).arg(&tree).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        if made.status.success() { Ok(tree) } else { Err(said.trim().to_owned()) }
    };
    TREE.get_or_init(make).clone()
}

/// Builds the package as some version from this build's programs, in a directory of its own.
pub(super) fn build(version: &str, directory: &Path) -> PathBuf {
    // The package lands below the target directory, so that each test has one; the programs are where they are.
    let (target, profile) = profile();
    let own = directory.join(version);
    std::fs::create_dir_all(&own).unwrap();
    std::os::unix::fs::symlink(target.join(&profile), own.join(&profile)).unwrap();
    let output = script("config/deb.sh").env("CARGO_TARGET_DIR", &own).env("VERSION", version).output().unwrap();
    fine("config/deb.sh", &output);
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn tools(test: &str) -> bool {
    ["dpkg-deb", "dpkg-shlibdeps", "root"].iter().all(|tool| require(test, tool))
}

#[test]
fn it_holds_every_asset_and_says_what_it_is() {
    if !tools("it_holds_every_asset_and_says_what_it_is") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let package = build("1.2.3", directory.path());
    let dpkg = |flag: &str| fine("dpkg-deb", &Command::new("dpkg-deb").arg(flag).arg(&package).output().unwrap());
    let control = dpkg("-f");
    for line in [
        "Package: postrider",
        "Version: 1.2.3-1",
        "Provides: mail-transport-agent",
        "Conflicts: mail-transport-agent",
        "Replaces: mail-transport-agent",
        "Description: drop-in sendmail",
    ] {
        assert!(control.contains(&format!("\n{line}")) || control.starts_with(line), "{line}: {control}");
    }
    assert!(control.contains("libc6") && control.contains(", adduser\n"), "{control}");
    let manifest: toml::Table = std::fs::read_to_string(source("Cargo.toml")).unwrap().parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let content = dpkg("-c");
    let assets = deb["assets"].as_array().unwrap();
    assert!(assets.len() > 20);
    for asset in assets {
        let target = asset[1].as_str().unwrap();
        assert!(source(asset[0].as_str().unwrap()).symlink_metadata().is_ok() || target.contains("bin/"), "{asset}");
        let compressed =
            if target.starts_with("usr/share/man/") || target.ends_with("/changelog") { ".gz" } else { "" };
        assert!(
            content.contains(&format!(" ./{target}{compressed}\n")) || content.contains(&format!(" ./{target} ->")),
            "{target}"
        );
    }
    let conffiles =
        fine("dpkg-deb", &Command::new("dpkg-deb").args(["-I"]).arg(&package).arg("conffiles").output().unwrap());
    for asset in assets.iter().filter_map(|asset| asset[1].as_str()).filter(|target| target.starts_with("etc/")) {
        assert!(conffiles.lines().any(|line| line == format!("/{asset}")), "{asset} in {conffiles}");
    }
    // Every sample and page is part of it.
    for folder in ["man", "completions"] {
        for file in std::fs::read_dir(source("config").join(folder)).unwrap() {
            let name = format!("config/{folder}/{}", file.unwrap().file_name().to_string_lossy());
            assert!(assets.iter().any(|asset| asset[0].as_str() == Some(name.as_str())), "{name} is no asset");
        }
    }
}

/// The life of two versions of a package in a clean tree, as a script goes through it; what it said. `None` where that
/// cannot be done here.
pub(super) fn life(
    test: &str,
    script: &str,
    packages: impl FnOnce(&Path) -> [PathBuf; 2],
    server: &Server,
) -> Option<String> {
    let tree = match tree() {
        Ok(tree) => tree,
        Err(why) => {
            because(test, &format!("no clean tree: {why}"));
            return None;
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let packages = packages(directory.path());
    let work = directory.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let life = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "enter"])
        .arg(&work)
        .args([&source(script), &tree, &work])
        .args(&packages)
        .arg(server.port.to_string())
        .output()
        .unwrap();
    if life.status.code() == Some(90) {
        because(test, "a private mount namespace is not possible here");
        return None;
    }
    let said = fine(script, &life);
    assert!(said.ends_with("all steps done\n"), "{said}");
    Some(said)
}

#[test]
fn its_life_in_a_clean_tree() {
    let test = "its_life_in_a_clean_tree";
    if !tools(test) || !require(test, "debootstrap") || !require(test, "unshare") {
        return;
    }
    let server = Script::new().start();
    let packages = |directory: &Path| ["1.0.0", "1.0.1"].map(|version| build(version, directory));
    let Some(said) = life(test, "tests/package/debian.sh", packages, &server) else { return };
    let messages = server.messages();
    assert_eq!(messages.len(), 6, "{said}");
    let subject =
        |text: &str| messages.iter().filter(|message| String::from_utf8_lossy(&message.text).contains(text)).count();
    assert_eq!(
        (subject("Subject: from PHP"), subject("Subject: Cron <root@host>"), subject("Subject: waits")),
        (2, 2, 2)
    );
    assert!(messages.iter().any(|message| message.recipients == ["root@host.example"]));
}
