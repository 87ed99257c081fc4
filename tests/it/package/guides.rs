//! The guides of config/guides, done as they are written: each in a clean tree, with the package and without a network.
//!
//! A block of `sh` is run; any other block is written to the file that the text before it names last, as is a script
//! (`#!`). A block of `text` shows what one gets to see.

use super::debian;
use super::{fine, source};
use crate::support::certs::{Authority, Kind};
use crate::support::script::Script;
use crate::support::server::{Message, Server};
use crate::support::skip::{because, require, slow};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What is installed before a guide begins, where that is the package itself.
const PACKAGE: &str = "apt-get install -y -qq ./postrider_*.deb >/dev/null 2>&1\n";
/// A guide as a shell script.
fn steps(guide: &str) -> String {
    let mut script = String::new();
    let (mut before, mut lines) = (String::new(), guide.lines());
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            // The paragraph that ends here.
            before = if line.is_empty() { before } else { format!("{before}\n{line}") };
            continue;
        };
        let block: String = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        match language {
            "text" => {}
            "sh" if !block.starts_with("#!") => {
                // An administrator answers apt's question.
                let block = block.replace("apt install ./", "apt-get -y -qq install >/dev/null 2>&1 ./");
                script.push_str(&format!("as-systemd-does\n(\n{block})\n"));
            }
            _ => {
                let file = before.split('`').skip(1).step_by(2).filter(|word| word.starts_with('/')).last();
                let file = file.unwrap_or_else(|| panic!("a block without a file: {block}"));
                script.push_str(&format!(
                    "mkdir -p \"$(dirname {file})\"\ncat >{file} <<'END OF FILE'\n{block}END OF FILE\n"
                ));
            }
        }
        before.clear();
    }
    assert!(!script.is_empty(), "no block in it");
    script
}

/// The chapter of a guide with this heading.
fn chapter<'g>(guide: &'g str, heading: &str) -> &'g str {
    let start = guide.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no chapter {heading}"));
    let rest = &guide[start + 4..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// A door to a server for who has no network: a socket in a directory.
fn door(socket: &Path, port: u16) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (near_back, far_back) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || pass(near, far));
            std::thread::spawn(move || pass(far_back, near_back));
        }
    });
}

/// Something with two directions, of which one can end.
trait Way: Read + Write {
    fn end(&self);
}
impl Way for TcpStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}
impl Way for UnixStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

fn pass(mut from: impl Way, mut to: impl Way) {
    let _ = std::io::copy(&mut from, &mut to);
    to.end();
}

/// The tree, made once; none where it cannot be.
fn tree(test: &str) -> Option<PathBuf> {
    static TREE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = TREE.get_or_init(|| {
        let base = debian::tree()?;
        let tree = base.with_file_name("guides-tree");
        let script = source("tests/package/guides-tree.sh");
        let made = Command::new("sh").arg(script).arg(&base).arg(&tree).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        if made.status.success() { Ok(tree) } else { Err(said.trim().to_owned()) }
    });
    made.clone().map_err(|why| because(test, &format!("no clean tree: {why}"))).ok()
}

/// The package, built once.
fn package() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guides-package");
        let _ = std::fs::remove_dir_all(&directory);
        debian::build("1.0.0", &directory)
    })
}

/// What became of a guide.
struct Done {
    said: String,
    messages: Vec<Message>,
}

impl Done {
    /// The subjects that came, each with the account and the address of From.
    fn arrived(&self) -> Vec<(String, String, String)> {
        let field = |message: &Message, name: &str| {
            let text = String::from_utf8_lossy(&message.text).into_owned();
            text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned)).unwrap_or_default()
        };
        let address = |from: &str| from.rsplit('<').next().unwrap_or_default().trim_end_matches('>').to_owned();
        let mut all: Vec<_> = self
            .messages
            .iter()
            .map(|message| {
                let account = message.account.clone().unwrap_or_default();
                (field(message, "Subject: "), account, address(&field(message, "From: ")))
            })
            .collect();
        all.sort();
        all
    }

    /// Exactly these came, as `subject / account / From`, in the alphabet's order.
    #[track_caller]
    fn came(&self, expected: &[&str]) -> &Self {
        let arrived = self.arrived();
        let lines: Vec<_> =
            arrived.iter().map(|(subject, account, from)| format!("{subject} / {account} / {from}")).collect();
        assert_eq!(lines, expected, "{}", self.said);
        self
    }

    #[track_caller]
    fn said(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.said.contains(word), "{word:?} was not said: {}", self.said);
        }
        self
    }
}

/// Does a guide, or a chapter of it, in the tree made ready by `before`; every account's password is `secret`.
fn follow(test: &str, name: &str, heading: Option<&str>, before: &str) -> Option<Done> {
    let tools = ["root", "debootstrap", "unshare", "dpkg-deb", "dpkg-shlibdeps"];
    if !slow(test) || !tools.iter().all(|tool| require(test, tool)) {
        return None;
    }
    let tree = tree(test)?;
    let guide = std::fs::read_to_string(source("config/guides").join(name)).unwrap();
    let script = steps(heading.map_or(&guide[..], |heading| chapter(&guide, heading)));
    let directory = tempfile::tempdir().unwrap();
    let [work, outside] = ["work", "outside"].map(|name| directory.path().join(name));
    for path in [&work, &outside] {
        std::fs::create_dir(path).unwrap();
    }
    let authority = Authority::new();
    let identity = authority.issue(Kind::Valid);
    let logins = |script: Script| {
        ["shop", "news", "site", "app", "server"]
            .iter()
            .fold(script, |script, name| script.auth(&format!("{name}@example.com"), "secret", &["PLAIN", "LOGIN"]))
    };
    let servers: [Server; 2] =
        [logins(Script::new()).implicit_tls(&identity).start(), logins(Script::new()).starttls(&identity).start()];
    door(&outside.join("smtps"), servers[0].port);
    door(&outside.join("submission"), servers[1].port);
    std::fs::write(outside.join("ca.pem"), authority.pem()).unwrap();
    let [before_file, steps_file] = [("before", before), ("steps", &script)].map(|(name, text)| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let done = Command::new("unshare")
        .args(["--mount", "--pid", "--net", "--uts", "--fork", "--kill-child", "sh", "-c", debian::ENTER, "enter"])
        .arg(&work)
        .args([&source("tests/package/guides.sh"), &tree, &work, package(), &before_file, &steps_file, &outside])
        .output()
        .unwrap();
    if done.status.code() == Some(90) {
        because(test, "a private mount namespace is not possible here");
        return None;
    }
    let said = fine(&format!("{name}\n{script}\n"), &done);
    assert!(said.ends_with("all steps done\n"), "{said}");
    Some(Done { said, messages: servers.iter().flat_map(Server::messages).collect() })
}

#[test]
fn php_fpm() {
    let Some(done) = follow("php_fpm", "php-fpm.md", None, PACKAGE) else { return };
    done.came(&["from the shop / shop@example.com / shop@example.com"]).said(&["refused: 77", "\ntaken\n"]);
}

#[test]
fn apache() {
    let Some(done) = follow("apache", "apache.md", None, PACKAGE) else { return };
    done.came(&[
        "from news.example.com / news@example.com / webmaster@news.example.com",
        "from shop.example.com / shop@example.com / shop@example.com",
    ]);
    assert_eq!(done.said.lines().filter(|line| *line == "taken").count(), 2, "{}", done.said);
}

#[test]
fn wordpress() {
    let before = format!("{PACKAGE}service mariadb start >/dev/null\ninstall -m 755 /stand-ins/wp /usr/local/bin/wp\n");
    let Some(done) = follow("wordpress", "wordpress.md", None, &before) else { return };
    done.came(&["from php / site@example.com / site@example.com", "from wp-cli / site@example.com / site@example.com"]);
    assert_eq!(done.said.matches("bool(true)").count(), 2, "{}", done.said);
    assert!(done.messages.iter().all(|message| String::from_utf8_lossy(&message.text).contains("From: The Blog <")));
}

#[test]
fn laravel() {
    let before = format!("{PACKAGE}install -D -m 644 /stand-ins/artisan /srv/app/artisan\n");
    let Some(done) = follow("laravel", "laravel.md", None, &before) else { return };
    done.came(&["by -bs / app@example.com / app@example.com", "by -t / app@example.com / app@example.com"]);
}

#[test]
fn cron() {
    let before = format!("{PACKAGE}service cron start >/dev/null\n");
    let Some(done) = follow("cron", "cron.md", None, &before) else { return };
    let mut all: Vec<_> =
        done.arrived().into_iter().map(|(subject, account, from)| format!("{subject} / {account} / {from}")).collect();
    // The job for one minute runs once or twice.
    all.dedup();
    let of = |subject: &str| format!("{subject} / server@example.com / server@example.com");
    let subjects = ["Cron <www-data@host> echo hello from cron", "as cron calls it", "nightly report"];
    assert_eq!(all, subjects.map(of), "{}", done.said);
}

#[test]
fn bitrix() {
    // The machine's PHP reads /etc/php.d, runs as the user bitrix, and finds `msmtp` by the PATH.
    let before = format!(
        "{PACKAGE}adduser --quiet --system --group --home /home/bitrix bitrix\n\
         printf '#!/bin/sh\\nPHP_INI_SCAN_DIR=/etc/php.d exec /usr/bin/php \"$@\"\\n' >/usr/local/bin/php\n\
         printf '#!/bin/sh\\nexec service apache2 \"$1\"\\n' >/etc/init.d/httpd\n\
         chmod 755 /usr/local/bin/php /etc/init.d/httpd\n\
         mkdir /etc/php.d\necho 'sendmail_path = msmtp -t -i' >/etc/php.d/bitrixenv.ini\n\
         cat >/home/bitrix/.msmtprc <<END\n# smtp account configuration for default\naccount default\n\
         logfile /home/bitrix/msmtp_default.log\nhost smtp.example.com\nport 465\nfrom shop@example.com\nkeepbcc on\n\
         auth on\nuser shop@example.com\npassword secret\ntls on\ntls_starttls off\ntls_certcheck off\nEND\n\
         chown bitrix: /home/bitrix/.msmtprc\nchmod 600 /home/bitrix/.msmtprc\n"
    );
    let Some(done) = follow("bitrix", "bitrix.md", None, &before) else { return };
    done.came(&[
        "by From / shop@example.com / shop@example.com",
        "in place of msmtp / shop@example.com / shop@example.com",
    ]);
    assert_eq!(done.said.matches("bool(true)").count(), 2, "{}", done.said);
}

#[test]
fn from_msmtp() {
    let before = "apt-get install -y -qq --no-download --no-install-recommends msmtp-mta >/dev/null 2>&1\ncat >/etc/msmtprc <<END\ndefaults\ntls on\n\
                  auth on\naccount default\nhost smtp.example.com\nport 587\nfrom server@example.com\n\
                  user server@example.com\npassword secret\nEND\nchmod 600 /etc/msmtprc\n";
    let Some(done) = follow("from_msmtp", "migration.md", Some("From msmtp"), before) else { return };
    done.came(&["from here on / server@example.com / server@example.com"]);
}

#[test]
fn from_ssmtp() {
    let before = "apt-get install -y -qq --no-download --no-install-recommends ssmtp >/dev/null 2>&1\ncat >/etc/ssmtp/ssmtp.conf <<END\n\
                  root=admin@example.com\nmailhub=smtp.example.com:465\nUseTLS=YES\nAuthUser=server@example.com\n\
                  AuthPass=secret\nhostname=host.example.com\nFromLineOverride=YES\nEND\n";
    let Some(done) = follow("from_ssmtp", "migration.md", Some("From sSMTP"), before) else { return };
    done.came(&["from here on / server@example.com / server@example.com"]);
}

#[test]
fn from_nullmailer() {
    let before = "apt-get install -y -qq --no-download --no-install-recommends nullmailer >/dev/null 2>&1\n\
                  echo 'smtp.example.com smtp --port=465 --ssl --user=server@example.com --pass=secret' >/etc/nullmailer/remotes\n\
                  echo admin@example.com >/etc/nullmailer/adminaddr\n";
    let Some(done) = follow("from_nullmailer", "migration.md", Some("From nullmailer"), before) else { return };
    done.came(&["from here on / server@example.com / server@example.com"]);
}

#[test]
fn from_postfix() {
    let before = "echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections\n\
                  apt-get install -y -qq --no-download --no-install-recommends postfix >/dev/null 2>&1\n\
                  cat >/etc/postfix/main.cf <<END\ncompatibility_level = 3.6\nmyhostname = host.example.com\n\
                  relayhost = [smtp.example.com]:587\nsmtp_tls_security_level = encrypt\nsmtp_sasl_auth_enable = yes\n\
                  smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\nsmtp_sender_dependent_authentication = yes\n\
                  sender_dependent_relayhost_maps = hash:/etc/postfix/relayhosts\nEND\n\
                  echo 'shop@example.com [smtp.example.com]:587' >/etc/postfix/relayhosts\n\
                  printf '%s\\n' 'shop@example.com shop@example.com:secret' '[smtp.example.com]:587 server@example.com:secret' >/etc/postfix/sasl_passwd\n\
                  postmap /etc/postfix/sasl_passwd /etc/postfix/relayhosts\npostfix start >/dev/null 2>&1\n";
    let Some(done) = follow("from_postfix", "migration.md", Some("From Postfix"), before) else { return };
    done.came(&["from here on / shop@example.com / shop@example.com"]);
}

#[test]
fn every_guide_is_in_the_readme_and_in_the_package() {
    let readme = std::fs::read_to_string(source("README.md")).unwrap();
    let manifest = std::fs::read_to_string(source("Cargo.toml")).unwrap();
    let mut guides: Vec<_> = std::fs::read_dir(source("config/guides"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    guides.sort();
    assert!(guides.len() >= 7, "{guides:?}");
    for guide in guides {
        assert!(readme.contains(&format!("(config/guides/{guide})")), "{guide} is not linked from README.md");
        assert!(manifest.contains(&format!("\"config/guides/{guide}\"")), "{guide} is no asset of the package");
    }
}
