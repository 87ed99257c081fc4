//! Another mail program as Debian ships it, run with its own configuration in its own places: its packages, fetched by
//! config/test.sh and unpacked below target/tmp, lie over /usr and /var in a mount namespace, and the files of the home's
//! `original` directory over /etc. Nothing of the machine changes.

use super::run::{Finished, Home};
use super::skip;
use std::path::{Path, PathBuf};

/// Lays everything over, then runs the rest in an environment of its own. The shell stays: the others end with it.
const ENTER: &str = r#"set -e
home=$1 below=$2
shift 2
mkdir -p "$home/over" "$home/original"
mount -t tmpfs tmpfs "$home/over"
lay() {
    mkdir -p "$home/over/$1/new" "$home/over/$1/work"
    mount -t overlay -o "lowerdir=$2/$1,upperdir=$home/over/$1/new,workdir=$home/over/$1/work" overlay "/$1"
}
lay usr "$below/usr:"
lay var "$below/var:"
lay etc "$home/original:"
cd /
/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root "$@"
exit $?"#;

/// A program to be run.
pub struct Original<'a> {
    home: &'a Home,
    below: PathBuf,
}

impl<'a> Original<'a> {
    /// The packages unpacked in `target/tmp/originals/NAME`; none, with a visible line, where that is not possible.
    pub fn new(test: &str, home: &'a Home, name: &str) -> Option<Self> {
        if !skip::require(test, "root") || !skip::require(test, "unshare") {
            return None;
        }
        let below = Path::new(env!("CARGO_TARGET_TMPDIR")).join("originals").join(name);
        if !below.join("usr").is_dir() {
            skip::because(test, &format!("{name} is absent (config/test.sh fetches it)"));
            return None;
        }
        std::fs::create_dir_all(below.join("var")).expect("a directory");
        let original = Self { home, below };
        let tried = original.run(&["true"], "");
        if tried.status != 0 {
            skip::because(test, &format!("a private mount namespace is not possible here: {}", tried.stderr.trim()));
            return None;
        }
        Some(original)
    }

    /// Writes a file that lies in /etc for it.
    pub fn etc(&self, name: &str, content: &str) {
        let path = self.home.write(&format!("original/{name}"), content);
        // Some refuse to read what only the owner may, others drop their rights first.
        use std::os::unix::fs::PermissionsExt;
        let mut at = Some(path.as_path());
        while let Some(path) = at.filter(|path| *path != self.home.path("")) {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
            at = path.parent();
        }
    }

    /// Runs a shell command in it and waits for its end.
    pub fn shell(&self, command: &str, input: &str) -> Finished {
        self.run(&["/bin/sh", "-c", command], input)
    }

    /// Runs a command in it and waits for its end.
    pub fn run(&self, command: &[&str], input: &str) -> Finished {
        self.home.program(Path::new("/usr/bin/unshare"), &self.arguments(command), input)
    }

    fn arguments(&self, command: &[&str]) -> Vec<String> {
        let unshare = ["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", ENTER, "enter"];
        let mut arguments: Vec<String> = unshare.iter().map(|word| (*word).to_owned()).collect();
        arguments.extend([self.home.path("").display().to_string(), self.below.display().to_string()]);
        arguments.extend(command.iter().map(|word| (*word).to_owned()));
        arguments
    }
}
