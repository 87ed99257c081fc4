//! A Postfix of the distribution as the receiving server: its own configuration, queue and ports, in a temporary
//! directory, started by the test and stopped by it. It needs root, and the packages postfix and sasl2-bin.

use super::certs::{Authority, Kind};
use super::skip;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The programs that start all others.
pub(super) const MASTER: &str = "/usr/lib/postfix/sbin/master";
/// The user that mailboxes belong to: nobody.
const OWNER: u32 = 65_534;

/// A running Postfix.
pub struct Postfix {
    /// The port that demands STARTTLS and a login.
    pub starttls_port: u16,
    /// The port with TLS from the start, which demands a login.
    pub tls_port: u16,
    /// The certificate authority, a PEM file.
    pub ca_file: PathBuf,
    directory: TempDir,
    master: Child,
}

/// A message that Postfix delivered, once a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The envelope sender; empty for the null sender.
    pub from: String,
    /// The recipient.
    pub to: String,
    /// The account that logged in.
    pub account: Option<String>,
    /// The TLS version and cipher, as Postfix's Received field names them.
    pub tls: Option<String>,
    /// The message as it came, without the fields that Postfix put before it; line ends are LF.
    pub text: Vec<u8>,
}

impl Postfix {
    /// Starts one, or says that the test is skipped and why.
    pub fn start(test: &str) -> Option<Self> {
        if !["root", "postfix", "sasl2-bin"].iter().all(|package| skip::require(test, package)) {
            return None;
        }
        // Postfix's own user must reach into it.
        let open = std::fs::Permissions::from_mode(0o755);
        let directory = tempfile::Builder::new().prefix("postrider-postfix-").permissions(open).tempdir().unwrap();
        let root = directory.path();
        let authority = Authority::new();
        let identity = authority.issue(Kind::Valid);
        write(root, "ca.pem", &authority.pem(), 0o644);
        write(root, "server.pem", &[identity.key_pem(), identity.certificate_pem()].concat(), 0o600);
        let (starttls_port, tls_port) = free_ports();
        directories(root);
        write(root, "etc/main.cf", main_cf(root).as_bytes(), 0o644);
        write(root, "etc/master.cf", master_cf(starttls_port, tls_port).as_bytes(), 0o644);
        write(root, "etc/dynamicmaps.cf", b"", 0o644);
        let sasl = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN LOGIN\n",
            root.join("sasldb2").display()
        );
        write(root, "etc/sasl/smtpd.conf", sasl.as_bytes(), 0o644);
        // Ends by itself after ten minutes, should the test be killed and leave it behind.
        let master = Command::new(MASTER)
            .args(["-d", "-e", "600", "-c"])
            .arg(root.join("etc"))
            .env("MAIL_CONFIG", root.join("etc"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let ca_file = root.join("ca.pem");
        let mut postfix = Self { starttls_port, tls_port, ca_file, directory, master };
        postfix.wait();
        Some(postfix)
    }

    /// Makes a login; `user` is `name@realm`.
    pub fn add_account(&self, user: &str, password: &str) {
        let (name, realm) = user.split_once('@').expect("name@realm");
        let database = self.directory.path().join("sasldb2");
        let mut child = Command::new("saslpasswd2")
            .args(["-p", "-c", "-f"])
            .arg(&database)
            .args(["-u", realm, name])
            .stdin(Stdio::piped())
            .spawn()
            .expect("saslpasswd2 starts");
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// All that was delivered, once `count` messages are there.
    ///
    /// # Panics
    /// With Postfix's own log, when they do not come within 20 seconds.
    pub fn messages(&self, count: usize) -> Vec<Delivered> {
        self.messages_within(count, Duration::from_secs(20))
    }

    /// The same, where many are to come.
    ///
    /// # Panics
    /// With Postfix's own log, when they do not come within that time.
    pub fn messages_within(&self, count: usize, limit: Duration) -> Vec<Delivered> {
        let new = self.directory.path().join("mail/new");
        let begun = Instant::now();
        while begun.elapsed() < limit {
            let mut files: Vec<PathBuf> =
                std::fs::read_dir(&new).into_iter().flatten().flatten().map(|f| f.path()).collect();
            if files.len() >= count {
                files.sort();
                return files.iter().map(|file| delivered(&std::fs::read(file).unwrap())).collect();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{count} messages did not arrive; Postfix said:\n{}", self.log());
    }

    /// Postfix's log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log/mail.log")).unwrap_or_default()
    }

    fn wait(&mut self) {
        for _ in 0..200 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.tls_port)).is_ok() {
                return;
            }
            if let Ok(Some(status)) = self.master.try_wait() {
                panic!("Postfix ended with {status}:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("Postfix does not listen:\n{}", self.log());
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Postfix said:\n{}", self.log());
        }
        // The master takes its children with it on SIGTERM.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.master),
            rustix::process::Signal::TERM,
        );
        let _ = self.master.wait();
    }
}

pub(super) fn write(root: &Path, name: &str, content: &[u8], mode: u32) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn free_ports() -> (u16, u16) {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (one, other) = (bind(), bind());
    (one.local_addr().unwrap().port(), other.local_addr().unwrap().port())
}

/// The queue as Postfix wants it: owners and modes of its own table of files.
pub(super) fn directories(root: &Path) {
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

fn main_cf(root: &Path) -> String {
    let root = root.display();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {root}/queue\n\
         data_directory = {root}/data\n\
         meta_directory = {root}/etc\n\
         maillog_file = {root}/log/mail.log\n\
         maillog_file_prefixes = {root}\n\
         myhostname = mx.example.com\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         mynetworks =\n\
         mydestination =\n\
         alias_maps =\n\
         alias_database =\n\
         local_recipient_maps =\n\
         virtual_mailbox_domains = static:all\n\
         virtual_mailbox_maps = static:mail/\n\
         virtual_mailbox_base = {root}\n\
         virtual_uid_maps = static:{OWNER}\n\
         virtual_gid_maps = static:{OWNER}\n\
         smtpd_tls_chain_files = {root}/server.pem\n\
         smtpd_tls_security_level = encrypt\n\
         smtpd_tls_received_header = yes\n\
         smtpd_tls_auth_only = yes\n\
         smtpd_sasl_auth_enable = yes\n\
         smtpd_sasl_path = smtpd\n\
         cyrus_sasl_config_path = {root}/etc/sasl\n\
         smtpd_sasl_authenticated_header = yes\n\
         smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
         smtpd_recipient_restrictions = permit_sasl_authenticated, reject\n"
    )
}

fn master_cf(starttls_port: u16, tls_port: u16) -> String {
    let daemons = [
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "verify unix - - n - 1 verify",
        "proxymap unix - - n - - proxymap",
        "anvil unix - - n - 1 anvil",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "virtual unix - n n - - virtual",
        "postlog unix-dgram n - n - 1 postlogd",
    ];
    format!(
        "127.0.0.1:{starttls_port} inet n - n - - smtpd\n\
         127.0.0.1:{tls_port} inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\n{}\n",
        daemons.join("\n")
    )
}

/// Takes off what Postfix put before the message: Return-Path, X-Original-To, Delivered-To and its Received.
fn delivered(file: &[u8]) -> Delivered {
    let text = String::from_utf8_lossy(file);
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_matches([' ', '<', '>']).to_owned()
    };
    let start = memchr::memmem::find(file, b"Received: from").expect("Postfix's Received field");
    let lines = file[start..].split_inclusive(|octet| *octet == b'\n');
    let mut received = Vec::new();
    for line in lines {
        if !received.is_empty() && !line.starts_with(b"\t") {
            break;
        }
        received.extend_from_slice(line);
    }
    let rest = file[start + received.len()..].to_vec();
    let received = String::from_utf8_lossy(&received).into_owned();
    let between = |from: &str, to: &str| Some(received.split_once(from)?.1.split_once(to)?.0.to_owned());
    Delivered {
        from: field("Return-Path:"),
        to: field("X-Original-To:"),
        account: between("(Authenticated sender: ", ")"),
        tls: between("(using ", " ("),
        text: rest,
    }
}
