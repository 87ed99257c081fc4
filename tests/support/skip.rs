//! Tests that need something which is not everywhere: they say so instead of passing in silence.

use std::path::Path;

/// Whether a package's programs are there; if not, says on standard error that the test is skipped.
///
/// `root` stands for being run by root. A package that is not in the table below is looked for as a program.
pub fn require(test: &str, package: &str) -> bool {
    let there = match package {
        "root" => rustix::process::geteuid().is_root(),
        "postfix" => file("/usr/lib/postfix/sbin/master"),
        "sasl2-bin" => program("saslpasswd2"),
        "php-cli" => program("php"),
        "mailutils" => program("mail.mailutils"),
        "nmh" => file("/usr/bin/mh/send") && file("/usr/lib/mh/post"),
        "systemd" => program("systemd-analyze") && program("systemd-sysusers"),
        "apparmor" => program("apparmor_parser"),
        "fail2ban" => program("fail2ban-regex"),
        "nodejs" => program("node"),
        "emacs-nox" => program("emacs"),
        "libphp-phpmailer" => file("/usr/share/php/libphp-phpmailer/autoload.php"),
        "php-symfony-mailer" => file("/usr/share/php/Symfony/Component/Mailer/autoload.php"),
        "php-mail" => file("/usr/share/php/Mail.php") && file("/usr/share/php/PEAR.php"),
        "libemail-sender-perl" => file("/usr/share/perl5/Email/Sender/Simple.pm"),
        "libmime-lite-perl" => file("/usr/share/perl5/MIME/Lite.pm"),
        "ruby-mail" => works("ruby", &["-r", "mail", "-e", "1"]),
        "git-email" => works("git", &["send-email", "--dump-aliases"]),
        other => program(other),
    };
    if !there {
        because(
            test,
            &if package == "root" { "it needs root".to_owned() } else { format!("package {package} is absent") },
        );
    }
    there
}

/// Whether the tests that wait for a minute run: in CI, or where POSTRIDER_SLOW_TESTS=1 asks for them.
pub fn slow(test: &str) -> bool {
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|is| is == value);
    let wanted = set("CI", "true") || set("POSTRIDER_SLOW_TESTS", "1");
    if !wanted {
        because(test, "it takes a minute (POSTRIDER_SLOW_TESTS=1 runs it)");
    }
    wanted
}

/// Says that a test is skipped, and why; past the test harness, which would swallow the line of a passing test.
pub fn because(test: &str, why: &str) {
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("SKIPPED {test}: {why}\n").as_bytes());
}

fn program(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin"]).any(|directory| Path::new(directory).join(name).is_file())
}

fn file(path: &str) -> bool {
    Path::new(path).is_file()
}

fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).output().is_ok_and(|output| output.status.success())
}
