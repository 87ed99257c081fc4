//! Tests that need something which is not everywhere: they say so instead of passing in silence.

use std::path::Path;

/// Whether a package's programs are there; if not, says on standard error that the test is skipped.
///
/// Known packages: `postfix`, `sasl2-bin`, `php`, `msmtp`, `curl`; `root` stands for being run by root. Any other name
/// is looked for as a program.
pub fn require(test: &str, package: &str) -> bool {
    let there = match package {
        "root" => rustix::process::geteuid().is_root(),
        "postfix" => Path::new("/usr/lib/postfix/sbin/master").exists(),
        "sasl2-bin" => program("saslpasswd2"),
        other => program(other),
    };
    if !there {
        let why = if package == "root" { "it needs root".to_owned() } else { format!("package {package} is absent") };
        because(test, &why);
    }
    there
}

/// Says on standard error that the test is skipped, past the test harness, which would swallow the line of a passing test.
pub fn because(test: &str, why: &str) {
    let line = format!("SKIPPED {test}: {why}\n");
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
}

fn program(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin"]).any(|directory| Path::new(directory).join(name).is_file())
}
