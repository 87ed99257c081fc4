//! PHP's `sendmail_path`, wherever it may be set: php.ini and its fragments, FPM pools, virtual hosts of Apache and nginx,
//! `.user.ini` and `.htaccess` below web roots.
//!
//! The reading of one text (`settings`) is pure; the files are bounded in number and size.

use super::Scene;
use super::finding::Finding;
use super::programs::{self, Program};
use super::root::Root;
use super::secrets::WEB_ROOTS;
use crate::cli::invocation::{Reach, Reaches};
use crate::cli::msmtp;
use crate::sys::owners::Way;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const AREA: &str = "php";
const KEY: &str = "sendmail_path";
/// How deep web roots are searched, and how many entries in all.
const DEPTH: usize = 4;
const ENTRIES: usize = 20_000;

/// Files of PHP and of web servers.
const FILES: [&str; 22] = [
    "/etc/php.ini",
    "/etc/php.d/*.ini",
    "/etc/php/*/*/php.ini",
    "/etc/php/*/*/conf.d/*.ini",
    "/etc/php/*/fpm/pool.d/*.conf",
    "/etc/php-fpm.conf",
    "/etc/php-fpm.d/*.conf",
    "/usr/local/etc/php/php.ini",
    "/usr/local/etc/php/conf.d/*.ini",
    "/usr/local/etc/php-fpm.conf",
    "/usr/local/etc/php-fpm.d/*.conf",
    "/etc/opt/remi/*/php.ini",
    "/etc/opt/remi/*/php.d/*.ini",
    "/etc/opt/remi/*/php-fpm.d/*.conf",
    "/etc/apache2/*.conf",
    "/etc/apache2/*/*.conf",
    "/etc/httpd/conf/*.conf",
    "/etc/httpd/conf.d/*.conf",
    "/etc/httpd/bx/conf/*.conf",
    "/etc/nginx/*.conf",
    "/etc/nginx/*/*.conf",
    "/etc/nginx/sites-enabled/*",
];

/// One setting in a text: its line, from 1, and its value without quotes.
pub(super) fn settings(text: &str) -> Vec<(usize, String)> {
    text.lines().enumerate().filter_map(|(number, line)| Some((number + 1, setting(line)?))).collect()
}

/// `sendmail_path = "..."`, `php_admin_value[sendmail_path] = ...`, `php_admin_value sendmail_path "..."`,
/// `fastcgi_param PHP_VALUE "sendmail_path=..."`, and a line of a longer such value.
fn setting(line: &str) -> Option<String> {
    let line = line.trim();
    let at = line.find(KEY)?;
    let before = line[..at].trim_end();
    // The key itself, not a part of another one or of a text.
    let known = before.is_empty()
        || ["php_admin_value", "php_value", "PHP_VALUE", "PHP_ADMIN_VALUE"].iter().any(|name| before.contains(name));
    if line.starts_with([';', '#']) || !known {
        return None;
    }
    // Opened before the key, the quote ends the value; behind it, it surrounds it.
    let quoted = before.ends_with(['"', '\'']) || (before.matches('"').count() % 2 == 1);
    let rest = line[at + KEY.len()..].trim_start_matches(['"', '\'', ']']).trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let (open, body) = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => (Some(quote), &rest[1..]),
        _ => (None, rest),
    };
    let value = match open {
        Some(quote) => body.split(quote).next(),
        None if quoted => body.split(['"', '\'']).next(),
        None => body.split([';', '"']).next(),
    };
    Some(value.unwrap_or_default().replace("\\n", " ").trim().to_owned())
}

/// Every setting of the machine.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let root = scene.root;
    let mut files: Vec<PathBuf> = FILES.iter().flat_map(|pattern| root.fitting(pattern)).collect();
    let mut left = ENTRIES;
    for pattern in WEB_ROOTS {
        for directory in root.fitting(pattern) {
            let wanted = |name: &str| matches!(name, ".user.ini" | ".htaccess" | "php.ini");
            files.extend(root.below(&directory, DEPTH, &mut left, &wanted));
        }
    }
    files.sort();
    files.dedup();
    let mut count = 0;
    for file in &files {
        let Some(text) = root.text(file) else { continue };
        for (line, value) in settings(&text) {
            count += 1;
            findings.extend(judge(root, &value).into_iter().map(|one| one.at(format!("{}:{line}", file.display()))));
        }
    }
    let php = ["/etc/php", "/etc/php.ini", "/usr/local/etc/php"].iter().any(|place| root.exists(place));
    match (php, count) {
        (false, 0) => findings.push(Finding::ok(AREA, "no PHP is installed")),
        (_, 0) => findings.push(Finding::ok(AREA, "no sendmail_path is set: PHP calls /usr/sbin/sendmail -t -i")),
        _ => {}
    }
    if left == 0 {
        let what = format!("the web roots hold more than {ENTRIES} entries; .user.ini files beyond were not looked at");
        findings.push(Finding::warning(AREA, what).fix("grep -rl --include=.user.ini sendmail_path /var/www /home"));
    }
}

/// What is to be said of a value.
fn judge(root: &Root, value: &str) -> Vec<Finding> {
    let wanted = "sendmail_path = \"/usr/sbin/sendmail -t -i\"";
    let mut words = value.split_ascii_whitespace();
    let Some(first) = words.next() else {
        return vec![Finding::ok(AREA, "sendmail_path is empty: PHP calls /usr/sbin/sendmail -t -i")];
    };
    let options: Vec<&str> = words.collect();
    let place = match first.starts_with('/') {
        true => Some(PathBuf::from(first)),
        false => programs::search(root, first, programs::PATH),
    };
    let program = place.as_deref().map_or(Program::Missing, |place| programs::identify(root, place));
    let mut found = match &program {
        Program::Ours => Vec::new(),
        Program::Missing => {
            let what = format!("sendmail_path calls {first}, which is not there: mail() fails");
            vec![Finding::error(AREA, what).fix(wanted)]
        }
        other => {
            let what = format!("sendmail_path is {}: mail() does not send by postrider", other.words());
            vec![Finding::warning(AREA, what).fix(wanted)]
        }
    };
    found.extend(flags(first, &options).into_iter().map(|finding| finding.fix(wanted)));
    if program == Program::Ours && Path::new(first).file_name().is_some_and(|name| name == "msmtp") {
        found.extend(reaching(root, &options));
    }
    if found.is_empty() {
        found.push(Finding::ok(AREA, format!("sendmail_path is postrider ({value})")));
    }
    found
}

/// Options of msmtp's that a site may not use: they name programs and files.
fn reaching(root: &Root, options: &[&str]) -> Vec<Finding> {
    let words: Vec<OsString> = options.iter().map(OsString::from).collect();
    let Some(own) = msmtp::parse(&words).ok().and_then(|invocation| invocation.msmtp) else { return Vec::new() };
    let file = own.file.map(|file| root.at(file));
    let refused = own.reach.iter().filter(|reach| match reach.reaches {
        Reaches::Program | Reaches::File | Reaches::Login => true,
        Reaches::Configuration => file.as_ref().is_some_and(|file| Way::to_run_as(0).check(file).is_err()),
        Reaches::Search => false,
    });
    let finding = |reach: &Reach| {
        let what = format!("sendmail_path says {}, which msmtp refuses to a site: mail() fails", reach.option);
        Finding::error(AREA, what).fix(match reach.reaches {
            Reaches::Configuration => "put the file into /etc, root's own and readable by the site's group".to_owned(),
            _ => format!("say it in the msmtprc instead, without {}", reach.option),
        })
    };
    refused.map(finding).collect()
}

/// What is wrong with the options.
fn flags(program: &str, options: &[&str]) -> Vec<Finding> {
    let has = |flag: char| {
        let single = |option: &&&str| option.starts_with('-') && !option.starts_with("--");
        options.iter().filter(single).any(|option| {
            let letters = &option[1..];
            letters.starts_with(flag)
                || (letters.len() > 1 && letters.chars().all(|c| "tivU".contains(c)) && letters.contains(flag))
        })
    };
    let base = Path::new(program).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found = Vec::new();
    if !has('t') && !options.contains(&"--read-recipients") {
        found.push(Finding::error(AREA, "sendmail_path has no -t: mail() names its recipients in the header alone"));
    }
    if base == "sendmail" && !has('i') && !options.contains(&"-oi") {
        let what = "sendmail_path has no -i: a line with a single dot ends the message";
        found.push(Finding::warning(AREA, what));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_it() {
        for (line, value) in [
            ("sendmail_path = \"/usr/sbin/sendmail -t -i\"", Some("/usr/sbin/sendmail -t -i")),
            ("sendmail_path=/usr/bin/msmtp -t ; a comment", Some("/usr/bin/msmtp -t")),
            ("  sendmail_path =", Some("")),
            (";sendmail_path = x", None),
            ("# sendmail_path = x", None),
            (
                "php_admin_value[sendmail_path] = /usr/sbin/sendmail -t -i -f a@b.test",
                Some("/usr/sbin/sendmail -t -i -f a@b.test"),
            ),
            ("php_admin_value sendmail_path \"msmtp -t -i -a site\"", Some("msmtp -t -i -a site")),
            ("fastcgi_param PHP_VALUE \"sendmail_path=/usr/bin/msmtp -t\";", Some("/usr/bin/msmtp -t")),
            (
                "fastcgi_param PHP_ADMIN_VALUE \"open_basedir=/x \\n sendmail_path=/usr/sbin/sendmail -t -i\";",
                Some("/usr/sbin/sendmail -t -i"),
            ),
            ("the sendmail_path of old", None),
            ("", None),
        ] {
            assert_eq!(setting(line).as_deref(), value, "{line}");
        }
        assert_eq!(settings("a\nsendmail_path = x\n"), [(2, "x".to_owned())]);
    }

    #[test]
    fn what_msmtp_refuses_to_a_site() {
        let root = Root::new(None);
        let said = |options: &[&str]| reaching(&root, options).len();
        assert_eq!(said(&["-t", "-i", "-a", "site"]), 0);
        assert_eq!(said(&["-t", "--logfile=/var/log/x", "--tls-certcheck=off", "--passwordeval", "x"]), 3);
        assert_eq!(said(&["-t", "-C", "/etc/passwd"]) + said(&["-t", "--nonsense"]), 0);
    }

    #[test]
    fn options() {
        let count = |program: &str, options: &[&str]| flags(program, options).len();
        assert_eq!(count("/usr/sbin/sendmail", &["-t", "-i"]), 0);
        assert_eq!(count("/usr/sbin/sendmail", &["-ti"]), 0);
        assert_eq!(count("/usr/sbin/sendmail", &["-t", "-oi"]), 0);
        assert_eq!(count("/usr/sbin/sendmail", &["-i"]), 1);
        assert_eq!(count("/usr/sbin/sendmail", &[]), 2);
        assert_eq!(count("msmtp", &["--read-recipients"]), 0);
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_odd(line in "[ -~é\"']{0,40}sendmail_path[ -~é\"']{0,40}") {
            let _ = setting(&line);
        }
    }
}
