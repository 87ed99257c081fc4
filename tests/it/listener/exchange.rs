//! `check --dns`: whether DNS leads mail for the domains of the listeners here.

use crate::support::names::name_server;
use crate::support::run::{Finished, Home};
use std::net::SocketAddr;

/// What `check --dns` says of listeners like this.
fn checked(listen: &str, server: SocketAddr, arguments: &[&str]) -> Finished {
    let home = Home::new();
    let toml = format!("log = {{ to = \"off\" }}\n[queue]\ndirectory = \"{}\"\n{listen}", home.path("queue").display());
    let server = server.to_string();
    let arguments = [&["check", "--dns", "--resolver", &server], arguments].concat();
    home.config(&toml).run("postrider", &arguments, "")
}

fn incoming(address: &str, domains: &str) -> String {
    format!(
        "[[listen]]\naddress = \"{address}\"\npurpose = \"incoming\"\nhostname = \"mx.example.com\"\ndomains = [{domains}]\n"
    )
}

#[test]
fn mail_that_comes_here_is_well() {
    let server = name_server(&[
        ("MX example.com", "20 far.example.net"),
        ("MX example.com", "10 mx.example.com"),
        ("A mx.example.com", "127.0.0.1"),
        ("A far.example.net", "198.51.100.7"),
        ("A bare.example.org", "127.0.0.1"),
    ]);
    let listen = incoming("127.0.0.1:25", "\"example.com\", \"Bare.example.org\"");
    let run = checked(&listen, server, &[]).expect(0);
    for line in [
        "mail for bare.example.org goes to 127.0.0.1, its own address, as it has no MX, where the listener is",
        "mail for example.com goes to mx.example.com (127.0.0.1), its MX, where the listener is",
    ] {
        let found = run.stdout.lines().find(|said| said.ends_with(&format!("postrider.toml:6: {line}")));
        assert!(found.is_some_and(|said| said.starts_with("ok: ")), "{line}: {}", run.stdout);
    }
    // Mail of this machine's programs alone needs no DNS.
    let run = checked("[[listen]]\naddress = \"127.0.0.1:2525\"\n", server, &[]).expect(0);
    assert!(run.stdout.contains("no [[listen]] takes mail for this machine in"), "{}", run.stdout);
}

#[test]
fn mail_that_goes_elsewhere_is_told_with_what_mends_it() {
    let server = name_server(&[
        ("MX away.example.com", "10 far.example.net"),
        ("A far.example.net", "198.51.100.7"),
        ("MX deaf.example.com", "0 "),
        ("A other.example.com", "127.0.0.2"),
        ("AAAA six.example.com", "::1"),
    ]);
    let of = |address: &str, domain: &str, status: i32| {
        let listen = incoming(address, &format!("\"{domain}\""));
        let said = checked(&listen, server, &[]).expect(status).stdout;
        said.lines().find(|line| line.contains(domain)).unwrap_or_default().to_owned()
    };
    for (address, domain, status, what, fix) in [
        (
            "0.0.0.0:25",
            "away.example.com",
            1,
            "(198.51.100.7), its MX, which is no address of this machine",
            "MX 10 mx.example.com.",
        ),
        ("0.0.0.0:25", "deaf.example.com", 2, "says in DNS that it takes no mail", "remove that record"),
        (
            "0.0.0.0:25",
            "none.example.com",
            2,
            "has neither MX nor address",
            "\"none.example.com. MX 10 mx.example.com.\"",
        ),
        (
            "127.0.0.1:25",
            "other.example.com",
            1,
            "an address of this machine, but the listener is at 127.0.0.1:25",
            "0.0.0.0:25",
        ),
        ("0.0.0.0:2525", "other.example.com", 1, "port 25; the listener there has port 2525", "firewall"),
        ("0.0.0.0:25", "six.example.com", 1, "::1, its own address, as it has no MX: an address of this", "[::]:25"),
    ] {
        let line = of(address, domain, status);
        let (said, mended) = line.split_once("; mend it with: ").unwrap_or_default();
        assert!(said.contains(what) && mended.contains(fix), "{line}");
    }
    let json = checked(&incoming("0.0.0.0:25", "\"away.example.com\""), server, &["--json"]).expect(1).stdout;
    let finding = json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let finding = finding.into_iter().find(|finding| finding["area"] == "dns").unwrap();
    assert_eq!((finding["level"].as_str(), finding["line"].as_u64()), (Some("warning"), Some(6)));
}

#[test]
fn a_name_server_that_is_silent_is_told() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let run = checked(&incoming("0.0.0.0:25", "\"example.com\""), silent.local_addr().unwrap(), &[]).expect(1);
    assert!(run.stdout.contains("warning: ") && run.stdout.contains("example.com: "), "{}", run.stdout);
    let home = Home::new().config("");
    home.run("postrider", &["check", "--resolver", "127.0.0.1:53"], "").expect(64);
    home.run("postrider", &["check", "--dns", "--parse-only"], "").expect(64);
}
