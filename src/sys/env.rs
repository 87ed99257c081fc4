//! The environment and the host's names: what the process was started with, asked in one place.

#![expect(clippy::disallowed_methods, reason = "the environment is read here")]

use super::files;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `$NAME`, unless it is empty.
#[must_use]
pub fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// `$NAME` as a path, unless it is empty.
#[must_use]
pub fn path(name: &str) -> Option<PathBuf> {
    var(name).map(PathBuf::from)
}

/// `$NAME` as an absolute path, unless it is another user's directory: `su` and `sudo -E` keep that of whoever was before,
/// and what lies in it is not this user's to go by. One that is not there, or cannot be seen, is nobody's.
#[must_use]
pub fn own_directory(name: &str) -> Option<PathBuf> {
    let own = rustix::process::geteuid().as_raw();
    let named = path(name).filter(|path| path.is_absolute());
    named.filter(|path| std::fs::metadata(path).map_or(true, |facts| [0, own].contains(&facts.uid())))
}

/// The kernel's host name; `localhost` where it is empty or no text.
#[must_use]
pub fn hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}

/// The file of this program.
#[must_use]
pub fn program() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// The host's canonical name as `/etc/hosts` has it: the first name of the line on which the host name stands; the host
/// name where it stands on none. DNS is not asked.
#[must_use]
pub fn canonical_hostname() -> String {
    let name = hostname();
    let hosts = files::read(Path::new("/etc/hosts")).map(|(hosts, _)| String::from_utf8_lossy(&hosts).into_owned());
    hosts.ok().and_then(|hosts| canonical(&hosts, &name)).unwrap_or(name)
}

fn canonical(hosts: &str, name: &str) -> Option<String> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut names = line.split_ascii_whitespace().skip(1);
        let first = names.next()?;
        let named = std::iter::once(first).chain(names).any(|one| one.eq_ignore_ascii_case(name));
        (named && !first.eq_ignore_ascii_case("localhost")).then(|| first.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_name_is_the_first_of_its_line() {
        let hosts = "127.0.0.1 localhost box\n# 127.0.1.1 no box\n127.0.1.1\tbox.example.com Box # box\n";
        assert_eq!(canonical(hosts, "box").as_deref(), Some("box.example.com"));
        assert_eq!(canonical(hosts, "other"), None);
    }
}
