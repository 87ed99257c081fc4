//! A Postfix of the distribution as the receiving server: its own configuration, queue and ports, in a temporary
//! directory, started by the test and stopped by it. It needs root, and the packages postfix and sasl2-bin.

use super::certs::{Authority, Kind};
use super::postfix_instance::{self, Instance, OWNER, SERVICES, write};
use super::skip;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A running Postfix.
pub struct Postfix {
    /// The port that demands STARTTLS and a login.
    pub starttls_port: u16,
    /// The port with TLS from the start, which demands a login.
    pub tls_port: u16,
    /// The certificate authority, a PEM file.
    pub ca_file: PathBuf,
    instance: Instance,
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
        let directory = Instance::directory();
        let root = directory.path();
        let authority = Authority::new();
        let identity = authority.issue(Kind::Valid);
        write(root, "ca.pem", &authority.pem(), 0o644);
        write(root, "server.pem", &[identity.key_pem(), identity.certificate_pem()].concat(), 0o600);
        let (starttls_port, tls_port) = free_ports();
        write(root, "etc/main.cf", main_cf(root).as_bytes(), 0o644);
        write(root, "etc/master.cf", master_cf(starttls_port, tls_port).as_bytes(), 0o644);
        let sasl = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN LOGIN\n",
            root.join("sasldb2").display()
        );
        write(root, "etc/sasl/smtpd.conf", sasl.as_bytes(), 0o644);
        let ca_file = root.join("ca.pem");
        let mut postfix = Self { starttls_port, tls_port, ca_file, instance: Instance::start(directory, 600) };
        postfix.wait();
        Some(postfix)
    }

    /// Makes a login; `user` is `name@realm`.
    pub fn add_account(&self, user: &str, password: &str) {
        let (name, realm) = user.split_once('@').expect("name@realm");
        let database = self.instance.path().join("sasldb2");
        let mut child = Command::new("saslpasswd2")
            .args(["-p", "-c", "-f"])
            .arg(&database)
            .args(["-u", realm, name])
            .stdin(Stdio::piped())
            .spawn()
            .expect("saslpasswd2 starts");
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        std::fs::set_permissions(&database, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
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
        let new = self.instance.path().join("mail/new");
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
        self.instance.log()
    }

    fn wait(&mut self) {
        for _ in 0..200 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.tls_port)).is_ok() {
                return;
            }
            if let Ok(Some(status)) = self.instance.master.try_wait() {
                panic!("Postfix ended with {status}:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("Postfix does not listen:\n{}", self.log());
    }
}

fn free_ports() -> (u16, u16) {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (one, other) = (bind(), bind());
    (one.local_addr().unwrap().port(), other.local_addr().unwrap().port())
}

fn main_cf(root: &Path) -> String {
    let place = root.display();
    format!(
        "{}\
         myhostname = mx.example.com\n\
         mynetworks =\n\
         local_recipient_maps =\n\
         virtual_mailbox_domains = static:all\n\
         virtual_mailbox_maps = static:mail/\n\
         virtual_mailbox_base = {place}\n\
         virtual_uid_maps = static:{OWNER}\n\
         virtual_gid_maps = static:{OWNER}\n\
         smtpd_tls_chain_files = {place}/server.pem\n\
         smtpd_tls_security_level = encrypt\n\
         smtpd_tls_received_header = yes\n\
         smtpd_tls_auth_only = yes\n\
         smtpd_sasl_auth_enable = yes\n\
         smtpd_sasl_path = smtpd\n\
         cyrus_sasl_config_path = {place}/etc/sasl\n\
         smtpd_sasl_authenticated_header = yes\n\
         smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
         smtpd_recipient_restrictions = permit_sasl_authenticated, reject\n",
        postfix_instance::main_cf(root)
    )
}

fn master_cf(starttls_port: u16, tls_port: u16) -> String {
    format!(
        "127.0.0.1:{starttls_port} inet n - n - - smtpd\n\
         127.0.0.1:{tls_port} inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\n{SERVICES}\
         anvil unix - - n - 1 anvil\nvirtual unix - n n - - virtual\n"
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
