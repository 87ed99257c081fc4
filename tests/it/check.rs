//! `postrider check` on trees below `--root`: a machine where all is well, and for each finding one that has it.

use crate::support::certs::{Authority, Kind};
use crate::support::run::{Finished, Home};
use crate::support::skip;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const SENDER: &str = "[[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\nserver = \"smtps://smtp.example.com\"\n\
                      user = \"shop@example.com\"\npassword = { file = \"/etc/postrider/shop.password\" }\n";

/// A tree.
struct Tree {
    home: Home,
}

impl Tree {
    /// A machine where all is well.
    fn good() -> Self {
        let tree = Self { home: Home::new() };
        tree.write("etc/postrider/postrider.toml", SENDER);
        tree.write("etc/postrider/shop.password", "tanstaaf\n");
        tree.write("etc/hostname", "mail.example.com\n");
        tree.write("etc/ssl/certs/ca-certificates.crt", "certificates\n");
        tree.write("etc/aliases", "root: you@example.com\n");
        tree.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        tree.write("etc/crontab", "PATH=/usr/sbin:/usr/bin\nMAILTO=you@example.com\n* * * * * root sendmail -q\n");
        tree.write("etc/php.ini", "; sendmail_path = old\nsendmail_path = \"/usr/sbin/sendmail -t -i\"\n");
        tree.write("usr/bin/postrider-sendmail", "a program\n");
        tree.link("/usr/bin/postrider-sendmail", "usr/sbin/sendmail");
        tree
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path("tree").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        self.home.write(&format!("tree/{name}"), text);
    }

    fn sender(&self, keys: &str) {
        self.write("etc/postrider/postrider.toml", &format!("{SENDER}{keys}\n"));
    }

    fn link(&self, target: &str, name: &str) {
        std::fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(self.at(name));
        symlink(target, self.at(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.at(name)).unwrap();
    }

    fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.at(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The daemon is installed and started with the machine.
    fn daemon(&self, user: u32) {
        self.write("usr/lib/systemd/system/postrider.service", "[Unit]\n");
        self.link("/x", "etc/systemd/system/sockets.target.wants/postrider.socket");
        self.write("etc/passwd", &format!("root:x:0:0::/:/\npostrider:x:{user}:{user}::/:/\n"));
    }

    /// What the daemon reads belongs to its group, where this process may give it that.
    fn readable_by(&self, group: u32) {
        for file in ["shop.password", "postrider.toml"] {
            let _ = std::os::unix::fs::chown(self.at("etc/postrider").join(file), None, Some(group));
            self.mode(&format!("etc/postrider/{file}"), 0o640);
        }
    }

    fn log(&self, path: &str) {
        let file = self.at("etc/postrider/postrider.toml");
        let group = std::fs::metadata(&file).unwrap().gid();
        self.write("etc/postrider/postrider.toml", &format!("log = {{ to = \"{path}\" }}\n{SENDER}"));
        let _ = std::os::unix::fs::chown(&file, None, Some(group));
    }

    /// Every path with its owner, group, mode and content.
    fn all(&self) -> BTreeMap<PathBuf, Seen> {
        let (mut all, mut left) = (BTreeMap::new(), vec![self.at("")]);
        while let Some(folder) = left.pop() {
            for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let facts = std::fs::symlink_metadata(&path).unwrap();
                let content = if facts.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
                left.extend(facts.is_dir().then(|| path.clone()));
                all.insert(
                    path,
                    Seen { rights: (facts.uid(), facts.gid(), facts.mode()), is_dir: facts.is_dir(), content },
                );
            }
        }
        all
    }

    fn findings(&self) -> Vec<serde_json::Value> {
        let run = self.check(&["--json"]);
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn check(&self, options: &[&str]) -> Finished {
        let root = self.at("");
        let mut arguments = vec!["check", "--root", root.to_str().unwrap()];
        arguments.extend(options);
        self.home.run("postrider", &arguments, "")
    }
}

/// What stands at a path.
struct Seen {
    rights: (u32, u32, u32),
    is_dir: bool,
    content: Vec<u8>,
}

impl Seen {
    /// Whether a user with one group may read it.
    fn read_by(&self, id: u32) -> bool {
        let (uid, gid, mode) = self.rights;
        let shift = if uid == id {
            6
        } else if gid == id {
            3
        } else {
            0
        };
        (mode >> shift) & 4 != 0
    }
}

/// A finding: its name, what makes it, its level, and words of its line.
type Case = (&'static str, fn(&Tree), &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "no configuration",
        |t| t.remove("etc/postrider/postrider.toml"),
        "error",
        &["no configuration", "postrider setup"],
    ),
    ("unknown key", |t| t.sender("passwort = 1"), "error", &["postrider.toml:7", "did you mean password?"]),
    ("open secret", |t| t.mode("etc/postrider/shop.password", 0o644), "error", &["postrider.toml:1", "chmod 0640"]),
    ("no secret", |t| t.remove("etc/postrider/shop.password"), "error", &["No such file", "umask 077 && cat >>"]),
    ("empty secret", |t| t.write("etc/postrider/shop.password", "\nx\n"), "error", &["the first line is empty"]),
    (
        "secret below a web root",
        |t| {
            t.write("var/www/site/.password", "tanstaaf\n");
            t.write("etc/postrider/postrider.toml", &SENDER.replace("/etc/postrider/shop", "/var/www/site/"));
        },
        "error",
        &["a web server hands out", "mv "],
    ),
    (
        "secret in a home that is served",
        |t| {
            t.write("home/joe/public_html/.password", "tanstaaf\n");
            let path = SENDER.replace("/etc/postrider/shop", "/home/joe/public_html/");
            t.write("etc/postrider/postrider.toml", &path);
        },
        "error",
        &["home/joe/public_html, which a web server hands out"],
    ),
    (
        "options that msmtp refuses to a site",
        |t| {
            t.link("/usr/bin/postrider-sendmail", "usr/bin/msmtp");
            t.write("etc/php.ini", "sendmail_path = \"/usr/bin/msmtp -t --passwordeval=x\"\n");
        },
        "error",
        &["sendmail_path says --passwordeval, which msmtp refuses to a site"],
    ),
    (
        "a program as another user",
        |t| {
            t.daemon(0);
            t.sender("[[rule]]\nname = \"web\"\nto = \"web@example.com\"\npipe = [\"/bin/cat\"]\nuser = \"www-data\"");
        },
        "error",
        &["rule web: the daemon may not run its program as www-data", "pipe-users.conf"],
    ),
    ("the daemon cannot read", |t| t.daemon(70_001), "error", &["cannot be read by postrider", "chgrp postrider"]),
    (
        "the web server can read",
        |t| {
            // Who is not root has but himself for both.
            let root = rustix::process::getuid().is_root();
            let own = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
            let [daemon, web] = if root { [(70_001, 70_001), (70_002, 70_002)] } else { [own, own] };
            t.daemon(daemon.0);
            let line = |name: &str, (uid, gid): (u32, u32)| format!("{name}:x:{uid}:{gid}::/:/\n");
            t.write("etc/passwd", &(line("postrider", daemon) + &line("www-data", web)));
            if root {
                t.write("etc/group", "mailers:x:70003:postrider,www-data\n");
                t.readable_by(70_003);
            }
        },
        "warning",
        &["may be read by www-data", "chown root:postrider"],
    ),
    (
        "everybody reads it, and the web server must go on",
        |t| {
            t.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nwww-data:x:70002:70002::/:/\n");
            t.mode("etc/postrider/shop.password", 0o644);
        },
        "error",
        &["holds a secret and its mode is 0644", "chgrp www-data"],
    ),
    (
        "everybody may change the configuration",
        |t| t.mode("etc/postrider/postrider.toml", 0o666),
        "error",
        &["may be changed by everybody (mode 0666)", "chmod go-w"],
    ),
    (
        "everybody may change a file of senders.d",
        |t| {
            t.write("etc/postrider/senders.d/a.toml", "");
            t.mode("etc/postrider/senders.d/a.toml", 0o646);
        },
        "error",
        &["senders.d/a.toml", "may be changed by everybody"],
    ),
    (
        "everybody may change the directory of the configuration",
        |t| t.mode("etc/postrider", 0o777),
        "error",
        &["the directory", "etc/postrider may be changed by everybody", "move the file"],
    ),
    (
        "everybody may change the aliases",
        |t| t.mode("etc/aliases", 0o666),
        "error",
        &["aliases: ", "may be changed by everybody", "chmod go-w"],
    ),
    (
        "a log that the daemon cannot write",
        |t| {
            t.daemon(70_001);
            t.readable_by(70_001);
            t.write("var/log/other", "");
            t.log("/var/log/mail.log");
        },
        "error",
        &["var/log/mail.log: cannot be written by postrider", "|| install -m 0640"],
    ),
    (
        "a log of another",
        |t| {
            t.daemon(70_001);
            t.readable_by(70_001);
            t.write("var/log/mail.log", "old\n");
            t.log("/var/log/mail.log");
        },
        "error",
        &["cannot be written by postrider", "name /var/log/postrider/mail.log"],
    ),
    (
        "a log in no directory of the daemon",
        |t| {
            t.daemon(70_001);
            t.readable_by(70_001);
            t.write("var/log/other", "");
            t.log("/var/log/none/mail.log");
        },
        "error",
        &["var/log/none/mail.log", "|| install -d -m 0750 -o postrider"],
    ),
    (
        "a log with two names",
        |t| {
            t.write("var/log/victim", "precious\n");
            std::fs::hard_link(t.at("var/log/victim"), t.at("var/log/mail.log")).unwrap();
            t.log("/var/log/mail.log");
        },
        "error",
        &["several names"],
    ),
    (
        "nothing starts the daemon",
        |t| t.write("lib/systemd/system/postrider.service", "[Unit]\n"),
        "warning",
        &["nothing starts it", "systemctl enable --now"],
    ),
    (
        "crossing patterns",
        |t| {
            let more = "[[sender]]\nname = \"a\"\nfrom = \"shop-*@example.com\"\nserver = \"smtps://a.test\"\n\
                        [[sender]]\nname = \"b\"\nfrom = \"*-news@example.com\"\nserver = \"smtps://b.test\"";
            t.sender(more);
        },
        "warning",
        &["postrider.toml:9", "some of the same addresses"],
    ),
    (
        "the same claim twice",
        |t| t.sender(&SENDER.replace("\"shop\"", "\"two\"")),
        "error",
        &["claims shop@example.com"],
    ),
    ("no authorities", |t| t.remove("etc/ssl/certs/ca-certificates.crt"), "error", &["ca-certificates"]),
    ("no check", |t| t.sender("tls_check = false"), "warning", &["is not checked", "fingerprint"]),
    ("bad authority", |t| t.sender("ca_file = \"/etc/passwd\""), "error", &["holds no certificate"]),
    (
        "expired authority",
        |t| {
            let expired = Authority::new().issue(Kind::Expired).certificate_pem();
            t.write("etc/ca.pem", &String::from_utf8(expired).unwrap());
            t.sender("ca_file = \"/etc/ca.pem\"");
        },
        "error",
        &["has expired", "openssl x509"],
    ),
    ("short name", |t| t.write("etc/hostname", "box\n"), "warning", &["\"box\"", "ehlo = "]),
    (
        "clock behind",
        |t| {
            let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10 * 86_400);
            let file = std::fs::OpenOptions::new().write(true).open(t.at("etc/passwd")).unwrap();
            file.set_modified(later).unwrap();
        },
        "error",
        &["the clock is behind", "timedatectl"],
    ),
    (
        "clock kept by nobody",
        |t| std::fs::create_dir_all(t.at("run/systemd/system")).unwrap(),
        "warning",
        &["nothing keeps the clock right"],
    ),
    (
        "damaged queue",
        |t| t.write("var/lib/postrider/queue.db", "SQLite format 3\0 no more"),
        "error",
        &["var/lib/postrider"],
    ),
    (
        "log in no directory",
        |t| t.write("etc/postrider/postrider.toml", &format!("log = {{ to = \"/var/log/none/log\" }}\n{SENDER}")),
        "error",
        &["var/log/none/log", "mkdir -p"],
    ),
    ("no sendmail", |t| t.remove("usr/sbin/sendmail"), "error", &["usr/sbin/sendmail: is missing", "ln -s "]),
    ("dangling sendmail", |t| t.link("/usr/bin/gone", "usr/sbin/sendmail"), "error", &["is missing"]),
    (
        "another sendmail by name",
        |t| {
            t.write("usr/sbin/exim4", "x");
            t.link("/etc/alternatives/mta", "usr/sbin/sendmail");
            t.link("/usr/sbin/exim4", "etc/alternatives/mta");
        },
        "warning",
        &["is exim (", "mv -n "],
    ),
    (
        "another sendmail by its words",
        |t| {
            t.remove("usr/sbin/sendmail");
            t.write("usr/sbin/sendmail", &format!("{}postdrop", "x".repeat((1 << 20) - 4)));
        },
        "warning",
        &["is postfix ("],
    ),
    (
        "php calls another",
        |t| {
            t.write("usr/bin/msmtp", "x");
            t.write(
                "etc/php/8.3/fpm/pool.d/www.conf",
                "[www]\nphp_admin_value[sendmail_path] = /usr/bin/msmtp -t -i\n",
            );
        },
        "warning",
        &["www.conf:2: sendmail_path is msmtp", "/usr/sbin/sendmail -t -i"],
    ),
    (
        "php calls nothing",
        |t| t.write("etc/php.ini", "sendmail_path = /opt/mail -t\n"),
        "error",
        &["php.ini:1", "is not there"],
    ),
    ("php without -t", |t| t.write("etc/php.ini", "sendmail_path = /usr/sbin/sendmail -i\n"), "error", &["no -t"]),
    ("php without -i", |t| t.write("etc/php.ini", "sendmail_path = /usr/sbin/sendmail -t\n"), "warning", &["no -i"]),
    (
        "a virtual host of nginx",
        |t| t.write("etc/nginx/sites-enabled/site", "fastcgi_param PHP_VALUE \"sendmail_path=/usr/bin/no -t\";\n"),
        "error",
        &["sites-enabled/site:1"],
    ),
    (
        "a directory of a site",
        |t| t.write("var/www/site/.user.ini", "sendmail_path = /usr/bin/no -t\n"),
        "error",
        &[".user.ini:1", "is not there"],
    ),
    (
        "cron does not find it",
        |t| t.write("etc/cron.d/job", "MAILTO=you@example.com\n* * * * * root date | sendmail you@example.com\n"),
        "warning",
        &["cron.d/job:2", "PATH=/usr/sbin:/usr/bin:/bin"],
    ),
    ("cron writes to no address", |t| t.write("etc/crontab", "MAILTO=you@@x\n"), "error", &["crontab:1", "no address"]),
    (
        "root is nobody",
        |t| {
            t.write("etc/crontab", "* * * * * root date\n");
            t.write("etc/aliases", "postmaster: you@example.com\n");
        },
        "warning",
        &["cron's mail goes to root", "root: you@example.com"],
    ),
    ("a faulty alias", |t| t.write("etc/aliases", "root: you@example.com\nx: |prog\n"), "warning", &["aliases:2"]),
];

#[test]
fn a_good_machine_has_no_finding() {
    let tree = Tree::good();
    let run = tree.check(&[]).expect(0);
    assert!(run.stdout.lines().all(|line| line.starts_with("ok: ")) && run.stderr.is_empty(), "{}", run.stdout);
    let expected = ["1 sender", "is postrider", "sendmail_path is postrider", "mail.example.com", "closed to others"];
    expected.iter().for_each(|words| assert!(run.stdout.contains(words), "{words}: {}", run.stdout));
    assert!(!run.stdout.contains("tanstaaf"));
}

#[test]
fn every_finding_has_a_machine_that_has_it() {
    let good = Tree::good().check(&[]).stdout;
    for (name, make, level, words) in CASES {
        let tree = Tree::good();
        make(&tree);
        let run = tree.check(&[]).expect(if *level == "error" { 2 } else { 1 });
        let fits = |line: &&str| line.starts_with(level) && words.iter().all(|word| line.contains(word));
        assert!(run.stdout.lines().any(|line| fits(&line)), "{name}: {}", run.stdout);
        assert!(!good.lines().any(|line| fits(&line)), "{name}");
        assert!(
            run.stdout.lines().filter(|line| fits(line)).all(|line| *level != "error"
                || line.contains("mend")
                || line.contains("move the file")
                || line.contains("did you mean")
                || line.contains("leave it")),
            "{name}: {}",
            run.stdout
        );
        assert!(!run.stdout.contains("tanstaaf"), "{name}");
    }
}

/// What `check` advises is applied where it is a command: directories stay as they are, nothing loses its content, whoever
/// must read goes on reading, and the finding is gone.
#[test]
fn advice_does_no_harm() {
    if !skip::require("advice_does_no_harm", "root") {
        return;
    }
    let mut applied = 0;
    for (name, make, ..) in CASES {
        let tree = Tree::good();
        make(&tree);
        for _ in 0..4 {
            let bad = |one: &serde_json::Value| one["level"] != "ok" && one["command"] == true;
            let Some(finding) = tree.findings().into_iter().find(bad) else { break };
            let before = tree.all();
            let command = numbers(finding["fix"].as_str().unwrap());
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &command]).stdin(std::process::Stdio::piped());
            let mut child = shell.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"tanstaaf\n").unwrap_or(());
            assert!(child.wait().unwrap().success(), "{name}: {command}");
            unharmed(name, &command, &before, &tree.all());
            let same = |one: &serde_json::Value| one["what"] == finding["what"] && one["area"] == finding["area"];
            assert!(!tree.findings().iter().any(same), "{name}: {command} does not mend {}", finding["what"]);
            applied += 1;
        }
    }
    assert!(applied >= 12, "only {applied} were commands");
}

/// Users and groups of the tree, which this machine need not have, as numbers.
fn numbers(command: &str) -> String {
    let mut command = command.to_owned();
    for (name, id) in [("postrider", "70001"), ("www-data", "70002")] {
        for word in ["chgrp ", "root:", "-o ", "-g ", "u:"] {
            command = command.replace(&format!("{word}{name}"), &format!("{word}{id}"));
        }
    }
    command
}

fn memmem(text: &[u8], word: &str) -> bool {
    String::from_utf8_lossy(text).contains(word)
}

fn unharmed(name: &str, command: &str, before: &BTreeMap<PathBuf, Seen>, after: &BTreeMap<PathBuf, Seen>) {
    for (path, old) in before {
        let shown = path.display();
        if old.is_dir {
            assert_eq!(after.get(path).map(|new| new.rights), Some(old.rights), "{name}: {command} changes {shown}");
            continue;
        }
        let aside = PathBuf::from(format!("{shown}.before-postrider"));
        let new = after.get(&aside).or_else(|| after.get(path)).unwrap_or_else(|| panic!("{name}: {shown} is gone"));
        assert!(new.content.starts_with(&old.content), "{name}: {command} takes content of {shown}");
        // A secret is for the daemon, without one for a web server's user; nothing else is closed to anybody.
        let has = |end: &str, word: &str| {
            let text = |(path, seen): (&PathBuf, &Seen)| path.ends_with(end) && memmem(&seen.content, word);
            before.iter().any(text)
        };
        let reader = match has("system/postrider.service", "") {
            true => 70_001,
            false if has("etc/passwd", "www-data") => 70_002,
            false => 0,
        };
        for id in [0, 70_001, 70_002] {
            let must = !path.ends_with("shop.password") || id == reader;
            assert!(!must || !old.read_by(id) || new.read_by(id), "{name}: {command} takes {shown} from {id}");
        }
    }
}

/// What this user may not see is no reason to make it anew; a relative `--config` is told as a whole path.
#[test]
fn what_is_hidden_is_not_missing() {
    if !skip::require("what_is_hidden_is_not_missing", "root") {
        return;
    }
    let home = Home::new();
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let secret = home.write("secret", "tanstaaf\n");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    home.write("c.toml", SENDER.replace("/etc/postrider/shop.password", secret.to_str().unwrap()));
    let postrider = |arguments: &[&str], uid: u32| {
        let mut command = std::process::Command::new("setpriv");
        command.args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()]);
        let output = command.arg(env!("CARGO_BIN_EXE_postrider")).args(arguments).current_dir(home.path("")).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let said = postrider(&["--config", "c.toml", "check"], 65534);
    assert!(said.contains("Permission denied") && said.contains("sudo postrider check"), "{said}");
    assert!(!said.contains("/dev/null") && !said.contains("cat >>"), "{said}");
    std::fs::set_permissions(home.path("c.toml"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let said = postrider(&["--config", "c.toml", "check"], 0);
    assert!(said.contains(&format!("chmod go-w {}", home.path("c.toml").display())), "{said}");
}

#[test]
fn findings_as_json() {
    let tree = Tree::good();
    tree.mode("etc/postrider/shop.password", 0o644);
    let run = tree.check(&["--json"]).expect(2);
    let all: Vec<serde_json::Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bad = all.iter().find(|one| one["level"] == "error").unwrap();
    assert_eq!(bad["area"], "secrets");
    assert!(bad["file"].as_str().unwrap().ends_with("postrider.toml") && bad["line"] == 1);
    assert!(bad["fix"].as_str().unwrap().starts_with("chmod 0640 "));
    tree.check(&["--parse-only"]).expect(0);
}

#[test]
fn a_queue_that_nobody_works() {
    let home = Home::new();
    let directory = home.path("queue");
    let config = home.write(
        "named.toml",
        format!("aliases = \"off\"\n[queue]\ndirectory = \"{}\"\n{SENDER}", directory.display())
            .replace("{ file = \"/etc/postrider/shop.password\" }", "{ env = \"X\" }"),
    );
    let check =
        |status| home.run("postrider", &[Path::new("--config"), &config, Path::new("check")], "").expect(status).stdout;
    assert!(!check(0).contains("nobody delivers"));
    queue(&directory);
    let said = check(2);
    assert!(said.contains("1 message waits and nobody delivers it; mend it with: systemctl"), "{said}");
    assert!(said.contains("warning: ") && said.contains("has waited for "), "{said}");
}

/// A queue with one old message.
fn queue(directory: &Path) {
    use postrider::envelope::{Dsn, Envelope, ReversePath};
    use postrider::message::address::Address;
    use postrider::message::read::{self, ReadRules};
    use postrider::queue::sqlite::{SqliteStore, StoreConfig};
    use postrider::queue::{NewMessage, Store};
    let store = SqliteStore::open(&StoreConfig { directory, min_free: 0, exclusive: false }).unwrap();
    let to = vec![Address::parse("you@example.org").unwrap()];
    store
        .accept(NewMessage {
            submission: "0".repeat(32),
            uid: 0,
            lane: "shop".into(),
            header_from: "shop@example.com".into(),
            envelope: Envelope::new(ReversePath::Null, to, Dsn::default()).unwrap(),
            tag: None,
            message: read::read(&mut "Subject: x\n\nx\n".as_bytes(), ReadRules::default()).unwrap(),
            now: 1_700_000_000_000,
            due: 1_700_000_000_000,
            hold: None,
            report: false,
            bulk: false,
            counted: Default::default(),
            in_doubt: Default::default(),
        })
        .unwrap();
}

/// What timedatectl says of the kernel's clock counts on the running machine.
#[test]
fn the_kernel_is_asked_for_the_clock() {
    for (answer, line) in [
        ("echo yes", "ok: the clock is synchronized, as the kernel says"),
        ("echo no", "it is not synchronized, as the kernel says; mend it with: timedatectl set-ntp true"),
        ("echo garbage", "the clock"),
    ] {
        let home = Home::new();
        home.write(
            ".config/postrider/postrider.toml",
            SENDER.replace("{ file = \"/etc/postrider/shop.password\" }", "{ env = \"X\" }"),
        );
        let program = home.write("bin/timedatectl", format!("#!/bin/sh\n{answer}\n"));
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let said = home.run("postrider", &["check"], "").stdout;
        let kept_by_host = std::path::Path::new("/run/systemd/container").exists();
        assert!(said.contains(line) || kept_by_host, "{answer}: {said}");
    }
}
