//! The manual pages and completions in config/ are the ones that the tables make, and the programs that read them do.
//!
//! `POSTRIDER_WRITE_PAGES=1 cargo test --test it habits::pages` writes them anew.

use super::manual;
use crate::support::skip::require;
use clap_complete::{Shell, generate};
use postrider::cli::{admin, msmtp, sendmail};
use postrider::config::keys::{TABLES, keys_of};
use std::path::{Path, PathBuf};
use std::process::Command;

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// The files that are made, with their text.
fn files() -> Vec<(PathBuf, String)> {
    let pages = manual::pages().into_iter().map(|(name, text)| (config("man").join(name), text));
    let shells = [(Shell::Bash, "postrider.bash"), (Shell::Zsh, "_postrider"), (Shell::Fish, "postrider.fish")];
    let completions = shells.map(|(shell, name)| {
        let mut text = Vec::new();
        generate(shell, &mut admin::command(), "postrider", &mut text);
        (config("completions").join(name), String::from_utf8(text).unwrap())
    });
    pages.chain(completions).collect()
}

#[test]
fn they_are_what_the_tables_make() {
    let write = std::env::var_os("POSTRIDER_WRITE_PAGES").is_some();
    for (path, text) in files() {
        if write {
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        let command = "POSTRIDER_WRITE_PAGES=1 cargo test --test it habits::pages";
        assert!(there == text, "{} is not what the tables make; write it anew with: {command}", path.display());
    }
}

/// A page as its reader sees it, on lines without end.
fn read(name: &str) -> String {
    let page = config("man").join(name);
    let output = Command::new("groff")
        .args(["-man", "-Tutf8", "-P-c", "-P-b", "-P-o", "-P-u", "-rLL=2000n", "-rHY=0"])
        .arg(page)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    String::from_utf8(output.stdout).unwrap().replace(['‐', '−'], "-")
}

#[test]
fn every_flag_and_key_is_in_them() {
    if !require("every_flag_and_key_is_in_them", "groff") {
        return;
    }
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = words(&read("sendmail.8"));
    for flag in sendmail::TABLE {
        assert!(page.contains(&format!(" -{}", flag.name)) && page.contains(&words(&flag.help[1..])), "-{}", flag.name);
    }
    let page = words(&read("postrider-msmtp.1"));
    for row in msmtp::TABLE {
        assert!(page.contains(&format!("--{}", row.long)) && page.contains(&words(&row.help[1..])), "{row:?}");
        assert!(row.letter.is_none_or(|letter| page.contains(&format!(" -{letter}"))), "{row:?}");
    }
    let page = words(&read("postrider.toml.5"));
    for key in TABLES.iter().flat_map(keys_of) {
        assert!(page.contains(&format!(" {} = {}", key.name, key.takes)), "{}", key.name);
    }
    let page = words(&read("postrider.1"));
    every_option(&mut admin::command(), &page);
}

fn every_option(command: &mut clap::Command, page: &str) {
    command.build();
    for one in command.get_subcommands_mut().filter(|one| !one.is_hide_set()) {
        assert!(page.contains(&format!(" {}", one.get_name())), "{}", one.get_name());
        for long in one.get_arguments().filter_map(|arg| arg.get_long()).filter(|long| *long != "help") {
            assert!(page.contains(&format!("--{long}")), "{} --{long}", one.get_name());
        }
        every_option(one, page);
    }
}

#[test]
fn groff_finds_nothing_to_say_about_them() {
    if !require("groff_finds_nothing_to_say_about_them", "groff") {
        return;
    }
    for (name, _) in manual::pages().into_iter().filter(|(name, _)| *name != "newaliases.1") {
        let lint = ["-man", "-ww", "-rCHECKSTYLE=3", "-z", "-Tutf8"];
        let lint = Command::new("groff").args(lint).arg(config("man").join(name)).output().unwrap();
        let said = String::from_utf8_lossy(&lint.stderr);
        assert!(lint.status.success() && said.is_empty(), "{name}: {said}");
    }
}

#[test]
fn the_shells_take_the_completions() {
    let test = "the_shells_take_the_completions";
    let run = |shell: &str, script: &str| {
        let output = Command::new(shell).args(["-c", script]).current_dir(config("completions")).output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let bash = ". ./postrider.bash; COMP_WORDS=(postrider queue del); COMP_CWORD=2; COMP_LINE='postrider queue del'; \
                _postrider postrider del queue; echo \"${COMPREPLY[@]}\"";
    assert_eq!(run("bash", bash), "delete\n");
    if require(test, "fish") {
        assert!(run("fish", "source postrider.fish; complete -C 'postrider queue del'").starts_with("delete"));
    }
    if require(test, "zsh") {
        run("zsh", "autoload -Uz compinit; compinit -u -D; source ./_postrider; whence _postrider >/dev/null");
    }
}
