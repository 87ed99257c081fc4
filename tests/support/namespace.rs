//! A private view of the file system for programs that call the fixed path /usr/sbin/sendmail: a mount namespace of
//! their own (`unshare`, as root), in which that file is the program under test.
//!
//! Nothing of the machine itself changes. There, /etc has a `postrider` directory with the home's configuration, which
//! root and nobody may read; /root and /run are empty; and /dev has a `log` socket that the test reads: what cron, at and
//! sudo tell syslog is their verdict.

use super::run::{Finished, Home};
use super::skip;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SENDMAIL: &str = "/usr/sbin/sendmail";
const DEVICES: [&str; 4] = ["null", "zero", "urandom", "full"];

/// Lays the configuration over /etc, binds pairs of source and target up to `--`, then runs the rest in an empty environment.
/// The shell stays: it is the first process, and the others end with it even where they changed their user.
const ENTER: &str = r#"set -e
home=$1
shift
mkdir -p "$home/etc"
mount -t tmpfs tmpfs "$home/etc"
mkdir -p "$home/etc/work" "$home/etc/over/postrider"
install -m 640 -g "$(id -g nobody)" "$home/postrider.toml" "$home/etc/over/postrider/postrider.toml"
mount -t overlay -o "lowerdir=/etc,upperdir=$home/etc/over,workdir=$home/etc/work" overlay /etc
while [ "$1" != -- ]; do mount --rbind "$1" "$2"; shift 2; done
shift
cd /
/usr/bin/env -i "$@"
exit $?"#;

/// The view, to be filled and then used.
pub struct Namespace<'a> {
    home: &'a Home,
    mounts: Vec<(PathBuf, PathBuf)>,
    syslog: UnixDatagram,
}

impl<'a> Namespace<'a> {
    /// A view around this home; none, with a visible line, where there may be none.
    pub fn new(test: &str, home: &'a Home) -> Option<Self> {
        if !skip::require(test, "root") || !skip::require(test, "unshare") {
            return None;
        }
        if !Path::new(SENDMAIL).is_file() {
            skip::because(test, "there is no /usr/sbin/sendmail to stand in for");
            return None;
        }
        let directory = |name: &str| {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(home.path(name)).expect("a directory");
            home.path(name)
        };
        // Other users than root go through it.
        fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o755)).expect("permissions");
        // The program comes first: its own place may be covered by what follows.
        let mut mounts = vec![(PathBuf::from(env!("CARGO_BIN_EXE_postrider")), PathBuf::from(SENDMAIL))];
        let dev = directory("dev");
        for device in DEVICES {
            fs::write(dev.join(device), "").expect("a file");
            mounts.push((Path::new("/dev").join(device), dev.join(device)));
        }
        let syslog = UnixDatagram::bind(dev.join("log")).expect("a socket");
        fs::set_permissions(dev.join("log"), fs::Permissions::from_mode(0o666)).expect("permissions");
        mounts.extend([(dev, "/dev".into()), (directory("run"), "/run".into()), (directory("root"), "/root".into())]);
        let namespace = Self { home, mounts, syslog };
        let tried = namespace.run(&["true"], "");
        if tried.status != 0 {
            skip::because(test, &format!("a private mount namespace is not possible here: {}", tried.stderr.trim()));
            return None;
        }
        Some(namespace)
    }

    /// Puts an empty directory with the target's own owner and mode in the target's place, and gives its path.
    pub fn directory(&mut self, target: &str) -> PathBuf {
        let source = self.home.path(&format!("mounts/{}", target.replace('/', "_")));
        fs::create_dir_all(&source).expect("a directory");
        let there = fs::metadata(target).expect("the place of the directory");
        self.put(source, target, &there)
    }

    /// Puts a file with this content in the target's place.
    pub fn file(&mut self, target: &str, content: &str) -> PathBuf {
        let source = self.home.write(&format!("mounts/{}", target.replace('/', "_")), content);
        let there = fs::metadata(target).expect("the place of the file");
        self.put(source, target, &there)
    }

    fn put(&mut self, source: PathBuf, target: &str, there: &fs::Metadata) -> PathBuf {
        use std::os::unix::fs::MetadataExt;
        std::os::unix::fs::chown(&source, Some(there.uid()), Some(there.gid())).expect("an owner");
        fs::set_permissions(&source, there.permissions()).expect("permissions");
        self.mounts.push((source.clone(), target.into()));
        source
    }

    fn arguments(&self, command: &[&str]) -> Vec<String> {
        let unshare = ["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", ENTER, "enter"];
        let mut arguments: Vec<String> = unshare.iter().map(|word| (*word).to_owned()).collect();
        arguments.push(self.home.path("").display().to_string());
        for (source, target) in &self.mounts {
            arguments.extend([source.display().to_string(), target.display().to_string()]);
        }
        arguments.extend(["--", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"].map(str::to_owned));
        arguments.extend(command.iter().map(|word| (*word).to_owned()));
        arguments
    }

    /// Runs a command in it and waits for its end.
    pub fn run(&self, command: &[&str], input: &str) -> Finished {
        self.home.program(Path::new("/usr/bin/unshare"), &self.arguments(command), input)
    }

    /// Starts a daemon in it, which ends when the result is dropped.
    pub fn start(&self, command: &[&str]) -> Daemon {
        let child = Command::new("/usr/bin/unshare")
            .args(self.arguments(command))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare starts");
        Daemon(child)
    }

    /// Waits for a line of syslog with this text, and gives it.
    ///
    /// # Panics
    /// When none comes in that time.
    pub fn logged(&self, text: &str, limit: Duration) -> String {
        let mut seen = Vec::new();
        let mut buffer = [0; 8192];
        self.syslog.set_read_timeout(Some(limit)).expect("a timeout");
        while let Ok(count) = self.syslog.recv(&mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("syslog without {text:?}: {seen:#?}");
    }
}

/// A daemon in its namespace.
pub struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
