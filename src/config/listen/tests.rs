//! `[[listen]]` and `[[user]]` as they are read and judged.

use super::*;
use crate::config::build;
use crate::config::toml::Source;
use crate::config::validate;
use crate::config::{Config, ConfigError};

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$3vQZzK3mD1ZJ2zX3nKlTn1r8l5XJ8b0Qz1q2v3w4x5Y";

fn read(text: &str) -> (Config, Vec<ConfigError>) {
    let file = Place::new("postrider.toml", 0);
    let (file, mut errors) = build::main_file(Source { text, file: &file, quote: true }, None);
    let config = Config {
        senders: file.senders,
        listen: file.listen,
        users: file.users,
        limits: file.limits,
        local: file.local.or_usual("/nonexistent/aliases".into()),
        ..Config::empty()
    };
    errors.extend(validate::validate(&config));
    (config, errors)
}

fn good(text: &str) -> Config {
    let (config, errors) = read(text);
    assert!(errors.is_empty(), "{errors:#?}");
    config
}

/// The one fault of a text.
#[track_caller]
fn fault(text: &str) -> String {
    let (_, errors) = read(text);
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 1, "{text}: {lines:#?}");
    lines[0].clone()
}

fn user() -> String {
    format!("[[user]]\nname = \"app\"\npassword_hash = \"{HASH}\"\n")
}

#[test]
fn everything_that_can_be_said() {
    let config = good(&format!(
        "[[listen]]\naddress = [\"127.0.0.1:2525\", \"[::1]:587\", \"unix:/run/postrider/smtp.sock\", \"fd:submission\"]\n\
         purpose = \"submission\"\ntls = \"starttls\"\ncertificate = \"/c.pem\"\nkey = \"/k.pem\"\nauth = \"required\"\n\
         networks = [\"10.1.2.3/8\", \"2001:db8::/32\", \"192.0.2.7\"]\nhostname = \"mail.example.com\"\n\
         max_connections = 10\nmax_per_client = 5\nmax_size = \"10M\"\nmax_recipients = 7\nmax_errors = 3\n\
         max_commands = 99\ntimeouts = {{ tls = \"1s\", ehlo = \"2s\", command = \"3s\", body = \"4s\", total = \"5s\" }}\n\
         [[listen]]\naddress = \"0.0.0.0:25\"\npurpose = \"incoming\"\ndomains = \"Example.COM\"\n\
         addresses = [\"info@example.net\"]\n{}senders = [\"default\"]\n",
        user()
    ));
    let [first, second] = config.listen.as_slice() else { panic!("two") };
    let shown: Vec<String> = first.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["127.0.0.1:2525", "[::1]:587", "unix:/run/postrider/smtp.sock", "fd:submission"]);
    assert_eq!(
        (first.purpose, first.tls, first.auth),
        (Purpose::Submission, ListenTls::StartTls, ListenAuth::Required)
    );
    assert_eq!(first.identity, Some(("/c.pem".into(), "/k.pem".into())));
    assert_eq!(first.networks[0].to_string(), "10.0.0.0/8");
    let limits =
        ListenLimits { connections: 10, per_client: 5, size: 10 << 20, recipients: 7, errors: 3, commands: 99 };
    assert_eq!(first.limits, limits);
    assert_eq!((first.timeouts.tls, first.timeouts.total), (Duration::from_secs(1), Duration::from_secs(5)));
    assert_eq!((second.purpose, second.domains.as_slice()), (Purpose::Incoming, &["example.com".to_owned()][..]));
    assert_eq!((second.limits, second.timeouts), (ListenLimits::default(), ListenTimeouts::default()));
    assert_eq!(config.users[0].senders.as_deref(), Some(&["default".to_owned()][..]));
    assert!(!format!("{config:?}").contains("argon2"), "a hash is not printed");
}

#[test]
fn faults_of_one_value_have_their_line() {
    let at = |line: &str| fault(&format!("[[listen]]\naddress = \"127.0.0.1:25\"\n{line}\n"));
    for (line, said) in [
        ("purpose = \"inbound\"", "purpose: one of \"submission\", \"incoming\""),
        ("tls = \"on\"", "tls: one of"),
        ("auth = \"yes\"", "auth: one of"),
        ("networks = [\"10.0.0.0/33\"]", "networks: no network"),
        ("networks = \"0.0.0.0/0\"", "networks: that is everybody, and would make an open relay"),
        ("networks = \"::/0\"", "open relay"),
        ("networks = []", "networks is empty"),
        ("hostname = \"a b\"", "hostname: the host name"),
        ("max_connections = 0", "max_connections is 1 to 400"),
        ("max_size = \"1G\"", "max_size: 1K to 100M"),
        ("max_recipients = -1", "max_recipients is 1 to 100000"),
        ("timeouts = { command = \"0s\" }", "timeouts.command: a time limit"),
        ("key = \"/k.pem\"", "key goes only with certificate"),
        ("max_connection = 5", "unknown key \"max_connection\"; did you mean max_connections?"),
    ] {
        let found = at(line);
        assert!(found.contains(said), "{line}: {found}");
        assert!(found.starts_with("postrider.toml:3: ") || line.starts_with("key"), "{found}");
    }
    for bad in ["127.0.0.1", "localhost:25", "unix:relative", "fd:", "fd:a:b", "smtp://x:25", "127.0.0.1:70000"] {
        let found = fault(&format!("[[listen]]\naddress = \"{bad}\"\n"));
        assert!(found.starts_with("postrider.toml:2: address: "), "{bad}: {found}");
    }
    assert!(fault("[[listen]]\n").contains("no address"));
    let incoming = |line: &str| fault(&format!("[[listen]]\naddress = \"[::]:25\"\npurpose = \"incoming\"\n{line}\n"));
    assert!(incoming("addresses = \"a@b.test\"\ndomains = \"a@example.com\"").contains("domains: no domain"));
    assert!(incoming("addresses = \"example.com\"\ndomains = \"example.com\"").contains("addresses: "));
    assert!(fault("[[user]]\nname = \"a\"\n").contains("postrider passwd NAME"));
    let clear = fault("[[user]]\nname = \"a\"\npassword_hash = \"hunter2\"\n");
    assert!(
        clear.starts_with("postrider.toml:3: password_hash: no Argon2 hash") && !clear.contains("hunter2"),
        "{clear}"
    );
}

#[test]
fn faults_of_several_values() {
    let with = |lines: &str| fault(&format!("[[listen]]\naddress = \"192.0.2.1:587\"\n{lines}"));
    assert!(with("tls = \"implicit\"\n").contains("tls without certificate"));
    assert!(with("certificate = \"/c.pem\"\n").contains("certificate without tls"));
    assert!(
        with(&format!("auth = \"required\"\n{}", user())).contains("auth without tls would send passwords in clear")
    );
    let plain = with(&format!("auth = \"required\"\nallow_plaintext_auth = true\n{}", user()));
    assert!(plain.contains("only with addresses of this machine"), "{plain}");
    assert!(with("tls = \"starttls\"\ncertificate = \"/c\"\nauth = \"optional\"\n").contains("add a [[user]]"));
    assert!(with("domains = \"example.com\"\n").contains("go with purpose = \"incoming\""));
    assert!(with("purpose = \"incoming\"\n").contains("needs domains or addresses"));
    assert!(
        with("purpose = \"incoming\"\ndomains = \"a.test\"\nnetworks = \"10.0.0.0/8\"\n").contains("networks go with")
    );
    let local = "[[listen]]\naddress = \"127.0.0.1:25\"\n";
    assert!(fault(&format!("{local}allow_plaintext_auth = true\n")).contains("without auth"));
    assert!(fault(&format!("{local}{local}")).contains("stands here twice; the other one is at postrider.toml:1"));
    assert!(fault(&format!("{0}{0}", user())).contains("two users have the name app"));
    let sender = "[[sender]]\nname = \"shop\"\nfrom = \"a@b.test\"\nserver = \"smtp://b.test\"\n";
    let near = fault(&format!("{sender}{}senders = [\"shp\"]\n", user()));
    assert!(near.contains("no sender is named \"shp\"; did you mean \"shop\"?"), "{near}");
    let free = good("[[listen]]\naddress = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n");
    assert_eq!(free.listen[0].addresses.len(), 2, "two free ports are two ports");
    good(&format!("{local}auth = \"optional\"\nallow_plaintext_auth = true\n{}", user()));
}
