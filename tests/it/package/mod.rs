//! What is installed: the Debian package in a clean tree, the guides done there, the RPM's description, the container's entry.

mod container;
mod debian;
mod guides;
mod rpm;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the source tree.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Where this build's programs are: `target/debug`, which the scripts call a profile.
fn profile() -> (PathBuf, String) {
    let built = Path::new(env!("CARGO_BIN_EXE_postrider")).parent().unwrap();
    (built.parent().unwrap().to_owned(), built.file_name().unwrap().to_string_lossy().into_owned())
}

/// A script of config/, with this build's programs.
fn script(name: &str) -> Command {
    let (target, profile) = profile();
    let mut command = Command::new("sh");
    command.arg(source(name)).env("CARGO_TARGET_DIR", target).env("PROFILE", profile).env("BUILT", "1");
    command
}

#[track_caller]
fn fine(what: &str, output: &Output) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {said}");
    said
}
