//! `postrider test`: real dialogues with scripted servers, a scripted name server, a real message.

use crate::daemon::Daemon;
use crate::support::certs::{Authority, Kind};
use crate::support::names::name_server;
use crate::support::run::Home;
use crate::support::script::{Fault, Script};
use crate::support::server::Server;

const PASSWORD: &str = "tanstaaf";

fn secured(authority: &Authority) -> Script {
    let identity = authority.issue(Kind::Valid);
    Script::new().starttls(&identity).auth("shop@example.com", PASSWORD, &["PLAIN"]).offer("SIZE 1000000")
}

fn sender(home: &Home, name: &str, server: &Server, password: &str, keys: &str) -> String {
    let file = home.write(&format!("{name}.password"), password);
    format!(
        "[[sender]]\nname = \"{name}\"\nfrom = \"{name}@example.com\"\nserver = \"smtp://127.0.0.1:{}\"\n\
         user = \"shop@example.com\"\nca_file = \"{}\"\npassword = {{ file = \"{}\" }}\n{keys}\n",
        server.port,
        home.path("ca.pem").display(),
        file.display()
    )
}

fn home(authority: &Authority) -> Home {
    let home = Home::new();
    home.write("ca.pem", authority.pem());
    home
}

#[test]
fn every_step_is_told() {
    let authority = Authority::new();
    let server = secured(&authority).offer("LIMITS RCPTMAX=5").start();
    let home = home(&authority);
    let keys = "provider = \"yandex\"\nlimits = [{ recipients = 500, per = \"24h\" }]";
    let toml = sender(&home, "shop", &server, PASSWORD, keys);
    let home = home.config(&toml);
    let run = home.run("postrider", &["test"], "").expect(0);
    for words in [
        "shop: ok (127.0.0.1:",
        "DNS ",
        "TCP ",
        "greeting ",
        "EHLO ",
        "STARTTLS ",
        "TLS ",
        "AUTH ",
        "MAIL ",
        "RCPT ",
        "RSET ",
        "TLSv1.3 by STARTTLS",
        " days left",
        "shop@example.com, by PLAIN",
        "1000000 octets a message",
        "500 recipients per 24h",
        "recipients a message: the server takes 5, and the provider's preset lets 35 through",
    ] {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
    let connection = &server.connections()[0];
    assert!(
        connection.verbs().ends_with(&["MAIL", "RCPT", "RSET", "QUIT"].map(str::to_owned)),
        "{:?}",
        connection.verbs()
    );
    assert!(server.messages().is_empty());
    let json = home.run("postrider", &["test", "--json", "SHOP"], "").expect(0).stdout;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((value["ok"].as_bool(), value["status"].as_u64()), (Some(true), Some(0)));
    assert_eq!((value["tls"]["version"].as_str(), value["mechanism"].as_str()), (Some("TLSv1.3"), Some("PLAIN")));
    assert!(value["tls"]["days_left"].as_i64().unwrap() > 0 && value["tls"]["subject"][0].is_string());
    assert!(!run.stdout.contains(PASSWORD) && !json.contains(PASSWORD));
}

#[test]
fn the_worst_decides_and_secrets_stay_hidden() {
    let authority = Authority::new();
    let (good, bad) = (secured(&authority).start(), secured(&authority).start());
    let home = home(&authority);
    let mut toml = sender(&home, "shop", &good, PASSWORD, "");
    toml.push_str(&sender(&home, "news", &bad, "wrong-hunter2", ""));
    toml.push_str(&sender(&home, "off", &bad, "wrong-hunter2", "enabled = false"));
    let home = home.config(&toml);
    let run = home.run("postrider", &["test", "--all"], "").expect(77);
    assert!(run.stdout.contains("shop: ok") && run.stdout.contains("news: FAILED"), "{}", run.stdout);
    assert!(run.stdout.contains("AUTH: ") && run.stdout.contains("535"), "{}", run.stdout);
    assert!(!run.stdout.contains("hunter2") && !run.stdout.contains("off: "), "{}", run.stdout);
    home.run("postrider", &["test", "shop"], "").expect(0);
    let run = home.run("postrider", &["test", "shpo"], "").expect(64);
    assert!(run.stderr.contains("did you mean \"shop\"?") && run.stderr.lines().count() == 1, "{}", run.stderr);
}

#[test]
fn what_the_server_refuses_is_named_with_its_phase() {
    let authority = Authority::new();
    for (point, phase) in [("MAIL", "MAIL FROM"), ("RCPT", "RCPT TO")] {
        let server = secured(&authority).on(point, Fault::Reply("553 5.7.1 not yours".into())).start();
        let home = home(&authority);
        let toml = sender(&home, "shop", &server, PASSWORD, "");
        let run = home.config(&toml).run("postrider", &["test", "--json"], "");
        let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(value["phase"], phase, "{}", run.stdout);
        assert!(run.status != 0 && value["error"].as_str().unwrap().contains("553 5.7.1 not yours"), "{}", run.stdout);
        assert_eq!(server.connections()[0].verbs().last().map(String::as_str), Some("QUIT"));
    }
}

#[test]
fn a_real_message_is_followed() {
    let authority = Authority::new();
    let server = secured(&authority).reply("DOT", "250 2.0.0 queued as 4711").start();
    let home = home(&authority);
    let toml = sender(&home, "shop", &server, PASSWORD, "");
    let home = home.config(&toml);
    let run = home.run("postrider", &["test", "--send-to", "you@example.org"], "").expect(0);
    assert!(run.stdout.contains("sent to you@example.org: 250 2.0.0 queued as 4711"), "{}", run.stdout);
    let message = server.messages().pop().unwrap();
    assert_eq!((message.from.as_str(), message.recipients[0].as_str()), ("shop@example.com", "you@example.org"));
    home.run("postrider", &["test", "--send-to", "nobody"], "").expect(64);
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn the_daemon_sends_it_where_it_runs() {
    let server = Script::new().reply("DOT", "250 2.0.0 queued as 4711").start();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    home.write(".config/postrider/postrider.toml", std::fs::read(daemon.path("postrider.toml")).unwrap());
    let run = home.run("postrider", &["test", "--send-to", "you@example.org"], "").expect(0);
    assert!(
        run.stdout.contains("sent to you@example.org as ") && run.stdout.contains("queued as 4711"),
        "{}",
        run.stdout
    );
    assert_eq!(server.messages().len(), 1);
    assert!(daemon.log().contains("you@example.org"), "{}", daemon.log());
}

#[test]
fn domains_are_looked_up() {
    let authority = Authority::new();
    let server = secured(&authority).start();
    let home = home(&authority);
    let toml = sender(&home, "shop", &server, PASSWORD, "provider = \"yandex\"\ndkim_selector = \"mail\"");
    let home = home.config(&toml);
    let good = name_server(&[
        ("example.com", "v=spf1 include:spf.example.com -all"),
        ("spf.example.com", "v=spf1 include:_spf.yandex.net ~all"),
        ("_spf.yandex.net", "v=spf1 include:_spf-ipv4.yandex.net ~all"),
        ("_spf-ipv4.yandex.net", "v=spf1 ip4:203.0.113.0/24 ~all"),
        ("mail._domainkey.example.com", "v=DKIM1; k=rsa; p=MIGf"),
        ("_dmarc.example.com", "v=DMARC1; p=quarantine"),
    ]);
    let run = home.run("postrider", &["test", "--dns", "--resolver", &good.to_string()], "").expect(0);
    for words in [
        "pass for 203.0.113.0 of _spf.yandex.net by include:spf.example.com, include:_spf.yandex.net",
        "there is a key at mail._domainkey.example.com",
        "policy quarantine",
    ] {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
    let bad = name_server(&[
        ("example.com", "v=spf1 ip4:198.51.100.0/24 -all"),
        ("_spf.yandex.net", "v=spf1 ip4:203.0.113.0/24 ~all"),
    ]);
    let run = home.run("postrider", &["test", "--dns", "--resolver", &bad.to_string()], "").expect(1);
    for words in [
        "WRONG: example.com: fail for 203.0.113.0 of _spf.yandex.net (-all)",
        "make it \"v=spf1 include:_spf.yandex.net ip4:198.51.100.0/24 -all\"",
        "there is no key at mail.",
        "has no DMARC record",
    ] {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
    home.run("postrider", &["test", "--resolver", "127.0.0.1:53"], "").expect(64);
}

#[test]
fn spf_is_evaluated_for_the_address_that_sends() {
    let authority = Authority::new();
    let server = secured(&authority).start();
    let home = home(&authority);
    let toml = sender(&home, "shop", &server, PASSWORD, "");
    let home = home.config(&toml);
    let dns = name_server(&[
        ("example.com", "v=spf1 a:www.example.com mx redirect=_spf.example.com"),
        ("_spf.example.com", "v=spf1 ip4:203.0.113.0/24 ?all"),
        ("A www.example.com", "192.0.2.10"),
        ("MX example.com", "10 mail.example.com"),
        ("A mail.example.com", "192.0.2.129"),
        ("_dmarc.example.com", "v=DMARC1; p=none"),
    ]);
    let dns = dns.to_string();
    let test = |from: &[&str], status| {
        let arguments = [&["test", "--dns", "--resolver", &dns], from].concat();
        home.run("postrider", &arguments, "").expect(status).stdout
    };
    for (from, by) in
        [("192.0.2.10", "a:www"), ("192.0.2.129", "mx"), ("203.0.113.5", "redirect=_spf.example.com, ip4:")]
    {
        let said = test(&["--sends-from", from], 0);
        assert!(said.contains(&format!("pass for {from} by {by}")), "{said}");
    }
    let said = test(&["--sends-from", "192.0.2.66"], 1);
    assert!(said.contains("neutral for 192.0.2.66 (redirect=_spf.example.com, ?all); make it"), "{said}");
    // The server of this test has no address that others see.
    let said = test(&[], 0);
    assert!(said.contains("--sends-from ADDRESS asks for it"), "{said}");
    let json = test(&["--sends-from", "192.0.2.66", "--json"], 1);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["dns"][0]["said"][0]["ok"], false, "{json}");
    home.run("postrider", &["test", "--sends-from", "192.0.2.1"], "").expect(64);
}
