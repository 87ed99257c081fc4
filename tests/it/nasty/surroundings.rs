//! Nasty surroundings: directories that are gone or closed, an environment that is empty or lies, a home that is none.

use super::{COMPLETE, Case, case, check, home, server};
use crate::support::skip;
use std::path::Path;

fn whole() -> String {
    format!("{COMPLETE}To: a@b.test\n\nhi\n")
}

fn sent(name: &'static str, script: &str) -> Case {
    case(name).argv(&["-t", "-i"]).input(whole()).shell(script).sends(&["a@b.test"], whole())
}

#[test]
fn environments() {
    check(vec![
        sent("the configuration alone", "exec env -i POSTRIDER_CONFIG=\"$POSTRIDER_CONFIG\" \"$@\""),
        sent("HOME=/", "HOME=/ exec \"$@\""),
        sent("no HOME", "unset HOME; exec \"$@\""),
        sent("an empty HOME", "HOME= exec \"$@\""),
        sent("a HOME that is a file", "HOME=/etc/passwd exec \"$@\""),
        sent("no PATH", "unset PATH; exec \"$@\""),
        sent("a locale that is none", "LC_ALL=xx_YY.nonsense LANG=% exec \"$@\""),
        sent("a time zone that is a file", "TZ=:/etc/passwd exec \"$@\""),
        sent("a time zone of 100 KB", "TZ=$(head -c 100000 /dev/zero | tr '\\0' x) exec \"$@\""),
        sent("TMPDIR that is none, and a small message", "TMPDIR=/nonexistent exec \"$@\""),
        sent(
            "a proxy that nobody asked for",
            "http_proxy=http://127.0.0.1:9 ALL_PROXY=socks5://127.0.0.1:9 exec \"$@\"",
        ),
        case("a configuration that is a directory")
            .argv(&["a@b.test"])
            .input(whole())
            .env("POSTRIDER_CONFIG", "/")
            .fails(78, "/"),
        case("a configuration that is not there")
            .argv(&["a@b.test"])
            .input(whole())
            .env("POSTRIDER_CONFIG", "/nonexistent/postrider.toml")
            .fails(78, "/nonexistent/postrider.toml"),
        case("a configuration that is endless")
            .argv(&["a@b.test"])
            .input(whole())
            .env("POSTRIDER_CONFIG", "/dev/zero")
            .fails(78, "/dev/zero"),
    ]);
}

#[test]
fn an_empty_environment() {
    let server = server();
    let home = home(&server);
    let (program, config) = (home.path("bin/postrider"), home.path("postrider.toml"));
    let argv = ["-i", program.to_str().unwrap(), "--config", config.to_str().unwrap(), "sendmail", "-t", "-i"];
    let finished = home.program(Path::new("/usr/bin/env"), &argv, whole()).expect(0);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn directories() {
    check(vec![
        sent("a directory that is gone", "mkdir gone; cd gone; rmdir ../gone; exec \"$@\""),
        sent("a directory that cannot be written to", "cd /proc; exec \"$@\""),
    ]);
}

#[test]
fn a_directory_that_cannot_be_read() {
    let name = "a_directory_that_cannot_be_read";
    if !skip::require(name, "root") || !skip::require(name, "setpriv") {
        return;
    }
    // As another user, who cannot read where the program was started.
    let nobody = "exec setpriv --reuid=65534 --regid=65534 --clear-groups";
    check(vec![
        case("a directory that cannot be read")
            .argv(&["-f", "shop@example.com", "-t", "-i"])
            .input(whole())
            .shell(&format!(
                "config=$PWD/postrider.toml; chmod 755 . bin; chmod 644 \"$config\"; cd /root; \
                 export POSTRIDER_CONFIG=\"$config\"; {nobody} \"$@\""
            ))
            .sends(&["a@b.test"], whole()),
    ]);
}
