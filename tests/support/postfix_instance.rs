//! A Postfix of the distribution in a temporary directory: what one that receives and one that sends have in common. It
//! needs root.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The program that starts all others.
const MASTER: &str = "/usr/lib/postfix/sbin/master";
/// The user that mailboxes belong to: nobody.
pub(super) const OWNER: u32 = 65_534;
/// The services that every Postfix needs.
pub(super) const SERVICES: &str = "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
                                   tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n\
                                   bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
                                   trace unix - - n - 0 bounce\nverify unix - - n - 1 verify\n\
                                   proxymap unix - - n - - proxymap\nerror unix - - n - - error\n\
                                   retry unix - - n - - error\npostlog unix-dgram n - n - 1 postlogd\n";

/// A running one; it is stopped when dropped.
pub(super) struct Instance {
    directory: TempDir,
    /// Its first process.
    pub(super) master: Child,
}

impl Instance {
    /// A directory for one, without its main.cf and master.cf.
    pub(super) fn directory() -> TempDir {
        // Postfix's own user must reach into it.
        let open = std::fs::Permissions::from_mode(0o755);
        let directory = tempfile::Builder::new().prefix("postrider-postfix-").permissions(open).tempdir().unwrap();
        directories(directory.path());
        write(directory.path(), "etc/dynamicmaps.cf", b"", 0o644);
        directory
    }

    /// Starts it. It ends by itself after so many seconds, should the test be killed and leave it behind.
    pub(super) fn start(directory: TempDir, seconds: u32) -> Self {
        let etc = directory.path().join("etc");
        let master = Command::new(MASTER)
            .args(["-d", "-e", &seconds.to_string(), "-c"])
            .arg(&etc)
            .env("MAIL_CONFIG", &etc)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { directory, master }
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its log.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log/mail.log")).unwrap_or_default()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Postfix said:\n{}", self.log());
        }
        // The master takes its children with it on SIGTERM.
        let master = rustix::process::Pid::from_child(&self.master);
        let _ = rustix::process::kill_process(master, rustix::process::Signal::TERM);
        let _ = self.master.wait();
    }
}

/// The begin of a main.cf: where everything is, and nothing of this machine's own. Short queue ids would be used again
/// within a second, and who reads the log takes one message for another.
pub(super) fn main_cf(root: &Path) -> String {
    let root = root.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {root}/queue\ndata_directory = {root}/data\nmeta_directory = {root}/etc\n\
         maillog_file = {root}/log/mail.log\nmaillog_file_prefixes = {root}\nenable_long_queue_ids = yes\ninet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\nmydestination =\nalias_maps =\nalias_database =\n"
    )
}

pub(super) fn write(root: &Path, name: &str, content: &[u8], mode: u32) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The queue as Postfix wants it: owners and modes of its own table of files.
fn directories(root: &Path) {
    use uzers::{get_group_by_name, get_user_by_name};
    let user = get_user_by_name("postfix").expect("the user postfix").uid();
    let drop_group = get_group_by_name("postdrop").expect("the group postdrop").gid();
    let make = |name: &str, owner: Option<u32>, group: Option<u32>, mode: u32| {
        let path = root.join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::os::unix::fs::chown(&path, owner, group).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    ["queue", "queue/pid", "etc", "etc/sasl", "log"].iter().for_each(|name| make(name, None, None, 0o755));
    for name in
        ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"]
    {
        make(&format!("queue/{name}"), Some(user), None, 0o700);
    }
    make("queue/maildrop", Some(user), Some(drop_group), 0o730);
    make("queue/public", Some(user), Some(drop_group), 0o710);
    make("data", Some(user), None, 0o700);
    make("mail", Some(OWNER), None, 0o700);
}
