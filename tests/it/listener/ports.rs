//! Ports below 1024 without root's rights, each way that README names, in a network namespace of its own: the daemon runs
//! as nobody there.

use crate::support::run::Home;
use crate::support::skip;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const NOBODY: u32 = 65534;
/// `$0` is the directory; what comes before the daemon's own start.
const LOOPBACK: &str = "ip link set lo up";
const AS_NOBODY: [&str; 6] = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"];

/// A place for a daemon that nobody runs, with a copy of the program.
struct Site {
    home: Home,
}

/// The running daemon.
struct Daemon {
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Site {
    fn new(test: &str, needs: &[&str], port: u16) -> Option<Self> {
        let all = ["root", "unshare", "nsenter", "setpriv", "ip", "python3"];
        if !all.iter().chain(needs).all(|need| skip::require(test, need)) {
            return None;
        }
        if !Command::new("unshare").args(["--net", "--mount", "true"]).status().is_ok_and(|status| status.success()) {
            skip::because(test, "there are no network namespaces here");
            return None;
        }
        let home = Home::new();
        let place = home.path("").display().to_string();
        let toml = format!(
            "log = {{ to = \"{place}/log\" }}\n[queue]\ndirectory = \"{place}/queue\"\n[default]\nrelay = \"refuse\"\n\
             [[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\nserver = \"smtp+plain://127.0.0.1:9\"\n\
             [[listen]]\naddress = \"0.0.0.0:{port}\"\nnetworks = [\"192.0.2.0/24\"]\n"
        );
        let site = Self { home };
        std::fs::copy(env!("CARGO_BIN_EXE_postrider"), site.home.path("daemon")).unwrap();
        std::fs::create_dir(site.home.path("queue")).unwrap();
        site.home.write("log", "");
        site.home.write("low.toml", toml);
        std::fs::set_permissions(site.home.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["queue", "log", "low.toml"] {
            chown(site.home.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Some(site)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path("log")).unwrap()
    }

    /// Root does `before`, then `words` start the daemon.
    fn command(&self, before: &str, words: &[&str]) -> Command {
        let path = |name: &str| self.home.path(name).display().to_string();
        let script = format!("set -e; {LOOPBACK}; {before}\nexec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", &script, &path("")]).args(words);
        command.args([path("daemon"), "--config".into(), path("low.toml")]);
        command.args(["serve".into(), "--socket".into(), path("queue/control")]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(std::fs::File::create(self.home.path("stderr")).unwrap());
        command
    }

    /// Until it listens; fails with what it said where it ends.
    #[track_caller]
    fn start(&self, before: &str, words: &[&str]) -> Daemon {
        let child = self.command(before, words).spawn().unwrap();
        let mut daemon = Daemon { child };
        let end = Instant::now() + Duration::from_secs(30);
        while !self.log().contains("ready") {
            let said = || std::fs::read_to_string(self.home.path("stderr")).unwrap();
            assert!(daemon.child.try_wait().unwrap().is_none(), "{}{}", said(), self.log());
            assert!(Instant::now() < end, "never ready: {}{}", said(), self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }
}

impl Daemon {
    /// Something in the daemon's network.
    fn inside(&self, words: &[&str]) -> Output {
        let namespace = format!("--net=/proc/{}/ns/net", self.child.id());
        Command::new("nsenter").arg(namespace).args(words).output().unwrap()
    }

    /// A message is taken at that address, which Python's smtplib says by ending well.
    #[track_caller]
    fn takes(&self, through: &[&str], address: &str, port: u16) {
        let script = "import smtplib, sys\n\
            with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=20) as s:\n    \
            s.sendmail('shop@example.com', ['you@example.org'], 'From: shop@example.com\\n\\nhello\\n')\n";
        let port = port.to_string();
        let words = [through, &["python3", "-c", script, address, &port]].concat();
        let output = self.inside(&words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn without_the_right_the_error_names_the_ways() {
    let Some(site) = Site::new("listener::ports::without_the_right_the_error_names_the_ways", &[], 587) else { return };
    let status = site.command("", &AS_NOBODY).status().unwrap();
    let said = std::fs::read_to_string(site.home.path("stderr")).unwrap();
    assert_eq!(status.code(), Some(71), "{said}");
    assert!(said.contains("low.toml:10: listen 0.0.0.0:587: ports below 1024 are root's"), "{said}");
    assert!(said.contains("CAP_NET_BIND_SERVICE") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_capability_of_the_file() {
    let test = "listener::ports::a_capability_of_the_file";
    let Some(site) = Site::new(test, &["setcap"], 587) else { return };
    let set = Command::new("setcap").arg("cap_net_bind_service=+ep").arg(site.home.path("daemon")).output().unwrap();
    if !set.status.success() {
        return skip::because(test, "files have no capabilities here");
    }
    site.start("", &AS_NOBODY).takes(&[], "127.0.0.1", 587);
}

#[test]
fn a_capability_of_the_unit() {
    let Some(site) = Site::new("listener::ports::a_capability_of_the_unit", &[], 25) else { return };
    // What AmbientCapabilities=CAP_NET_BIND_SERVICE comes to.
    let capability = ["--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"];
    let daemon = site.start("", &[&AS_NOBODY[..], &capability].concat());
    daemon.takes(&[], "127.0.0.1", 25);
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    for line in ["CapEff:\t0000000000000400\n", "CapAmb:\t0000000000000000\n"] {
        assert!(status.contains(line), "the right is the daemon's, and none of its children's: {status}");
    }
}

#[test]
fn authbind_lends_a_port() {
    let test = "listener::ports::authbind_lends_a_port";
    let Some(site) = Site::new(test, &["authbind"], 587) else { return };
    site.home.write("authbind/byport/!587", "");
    let port = site.home.path("authbind/byport/!587");
    std::fs::set_permissions(&port, std::fs::Permissions::from_mode(0o500)).unwrap();
    chown(&port, Some(NOBODY), Some(NOBODY)).unwrap();
    for name in ["authbind", "authbind/byport"] {
        std::fs::set_permissions(site.home.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let own = "mount --bind \"$0/authbind\" /etc/authbind";
    let words = [&AS_NOBODY[..], &["authbind", "--deep"]].concat();
    site.start(own, &words).takes(&[], "127.0.0.1", 587);
}

#[test]
fn a_service_manager_passes_the_socket() {
    let Some(site) = Site::new("listener::ports::a_service_manager_passes_the_socket", &[], 587) else { return };
    // As systemd does: bound by root, then the user, then the program with the socket as descriptor 3.
    let script = "import os, socket, sys\n\
        s = socket.socket(); s.bind(('0.0.0.0', 587)); s.listen(); os.dup2(os.dup2(s.fileno(), 20), 3, inheritable=True)\n\
        os.setgroups([]); os.setgid(65534); os.setuid(65534)\n\
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='submission')\n\
        os.execv(sys.argv[1], sys.argv[1:])\n";
    site.start("", &["python3", "-c", script]).takes(&[], "127.0.0.1", 587);
}

#[test]
fn the_firewall_leads_the_port_elsewhere() {
    let test = "listener::ports::the_firewall_leads_the_port_elsewhere";
    let Some(site) = Site::new(test, &["nft"], 2587) else { return };
    let readme = include_str!("../../../README.md");
    let begin = readme.find("sudo nft '").expect("README has the rule") + "sudo nft '".len();
    let rule = &readme[begin..begin + readme[begin..].find('\'').unwrap()];
    let tried = Command::new("unshare").args(["--net", "nft", rule]).output().unwrap();
    if !tried.status.success() {
        return skip::because(test, "the kernel has no nftables");
    }
    // A second network, from which the client comes: what this machine sends itself passes no prerouting.
    let before = format!(
        "ip netns add \"pr$$\" 2>/dev/null || exit 99; ip link add pra type veth peer name prb netns \"pr$$\"; \
         ip addr add 192.0.2.1/24 dev pra; ip link set pra up; \
         ip -n \"pr$$\" addr add 192.0.2.2/24 dev prb; ip -n \"pr$$\" link set prb up; nft '{rule}'"
    );
    let private = format!("mount -t tmpfs tmpfs /run; {before}");
    let daemon = site.start(&private, &AS_NOBODY);
    let id = daemon.child.id().to_string();
    let mount = format!("--mount=/proc/{id}/ns/mnt");
    let through = ["nsenter", mount.as_str(), "ip", "netns", "exec", &format!("pr{id}")].map(str::to_owned);
    let through: Vec<&str> = through.iter().map(String::as_str).collect();
    daemon.takes(&through, "192.0.2.1", 587);
}
