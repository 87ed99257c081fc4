//! The msmtprc language, case by case as msmtp behaves.

use super::*;
use crate::config::model::{AuthChoice, AutoOnOff, Endpoint, Fingerprint, Protocol, SetTo, TlsMode};
use crate::secret::SecretSource;
use proptest::prelude::*;
use std::time::Duration;

const FACTS: Facts<'static> =
    Facts { home: None, hostname: "box.example", canonical: "box.example.org", mailname: Some("mail.example") };

fn read(text: &str) -> Result<Vec<Account>, String> {
    let facts = Facts { home: Some(Path::new("/home/joe")), ..FACTS };
    let mut eval = |command: &str| match command {
        "fail" => Err("failed".to_owned()),
        other => Ok(Zeroizing::new(other.replace("\\n", "\n").into_bytes())),
    };
    let parsed = parse(text.as_bytes(), Path::new("rc"), &facts, &mut eval);
    parsed.map(|parsed| parsed.accounts).map_err(|error| error.to_string())
}

fn one(text: &str) -> Account {
    read(text).unwrap().pop().unwrap()
}

fn tcp(account: &Account) -> (&str, u16) {
    match &account.relay.endpoint {
        Endpoint::Tcp(host, port) => (host, *port),
        Endpoint::Unix(path) => panic!("{path:?}"),
    }
}

fn error(text: &str) -> String {
    read(text).expect_err(text)
}

#[test]
fn a_usual_file() {
    let text = "# Bitrix\naccount default\r\nlogfile /var/log/msmtp.log\nhost smtp.example.com\nport 465\n\
                from shop@example.com\nkeepbcc on\nauth on\nuser shop@example.com\npassword \"p w\"\ntls on\n\
                tls_starttls off\ntls_certcheck off\n";
    let account = one(text);
    assert_eq!((account.name.as_str(), account.place.line), ("default", 2));
    assert_eq!(tcp(&account), ("smtp.example.com", 465));
    assert_eq!(account.relay.tls, TlsMode::Implicit);
    assert_eq!(account.relay.auth, AuthChoice::Auto);
    assert!(account.relay.tls_options.no_check && !account.remove_bcc_headers && !account.relay.plaintext_password);
    assert!(matches!(&account.relay.password, Some(SecretSource::Literal(l)) if l.0.expose() == "p w"));
    assert!(!format!("{account:?}").contains("p w"));
    assert_eq!(account.relay.ehlo.as_deref(), Some("localhost"));
    assert!(account.check().is_ok());
}

#[test]
fn ports_and_protocols() {
    assert_eq!(tcp(&one("host h")).1, 25);
    assert_eq!(tcp(&one("host h\ntls on")).1, 25);
    assert_eq!(tcp(&one("host h\ntls\ntls_starttls off")).1, 465);
    assert_eq!(tcp(&one("host h\ntls_starttls off")).1, 25);
    assert_eq!(tcp(&one("host h\nport 0x19")).1, 25);
    assert_eq!(tcp(&one("host h\nport 010")).1, 8);
    let lmtp = one("host h\nprotocol lmtp");
    assert_eq!(lmtp.relay.protocol, Protocol::Lmtp);
    assert!(lmtp.check().unwrap_err().to_string().contains("LMTP"));
    let socket = one("host h\nsocket ~/x\nprotocol lmtp");
    assert_eq!(socket.relay.endpoint, Endpoint::Unix("~/x".into()));
    assert!(one("from a@b").check().unwrap_err().what.contains("host is not set"));
    assert!(one("host h\nauth on").check().unwrap_err().what.contains("auth needs a user"));
}

#[test]
fn the_language() {
    assert_eq!(one(" \tfrom\ta@b # x \t").from.as_deref(), Some("a@b # x"));
    assert_eq!(one("from 'a'").from.as_deref(), Some("'a'"));
    assert_eq!(one("from \"a\\\"\"").from.as_deref(), Some("a\\\""));
    assert_eq!(one("from \"").from.as_deref(), Some("\""));
    assert_eq!(one("from x\nfrom").from, None);
    assert!(read("\n  # nothing\n\t\n").unwrap().is_empty());
    for bad in [
        "port 25 # x",
        "port smtp",
        "port 0",
        "port 65536",
        "host=h",
        "Host h",
        "host",
        "tls ON",
        "tls yes",
        "include x",
        "timeout 0",
        "timeout",
        "defaults x",
        "account",
        "account a,b",
        "account a : b",
        "protocol",
        "dsn_notify x",
        "dsn_return x",
        "set_to_header auto",
        "allow_from_override",
        "tls_fingerprint aabb",
        "source_ip h",
        "auth ntlm",
        "auth PLAIN",
        "auth x",
        "syslog LOG_DAEMON",
        "host a b",
        "account a\naccount a",
        "host h\naccount default",
        "account a : a",
        "account b : a\naccount a",
        "tls_key_file x",
        "tls_cert_file x",
        "from a\0b",
        "tls_priorities NORMAL",
        "tls_crl_file x",
        "tls_min_dh_prime_bits 1024",
    ] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
    assert!(read(&format!("from {}", "x".repeat(495))).is_ok());
    assert!(error(&format!("from {}", "x".repeat(496))).contains("longer than 500"));
}

#[test]
fn errors_name_the_line_and_repeat_nothing() {
    assert_eq!(error("account a\nhots secret"), "rc:2: unknown command; did you mean host?");
    assert_eq!(error("root:x:0:0:root:/root:/bin/sh"), "rc:1: unknown command");
    assert!(error("\nport secret").starts_with("rc:2: port: a port is a number"));
    assert!(error("auth gssapi").contains("gssapi is not supported; use plain"));
    assert!(error("tls_crl_file /x").contains("pin the server with tls_fingerprint"));
    for bad in ["secret", "port secret", "auth secret", "eval fail\nsecret", "account x : secret"] {
        assert!(!error(bad).contains("secret"), "{bad}");
    }
}

#[test]
fn inheritance() {
    let text = "defaults\nport 1\ndomain one\naccount a\nhost ha\nuser ua\ndefaults\nport 2\naccount b : a\nuser ub\n\
                account c\nhost hc\nport 9\naccount d : a , c, b\naccount e : d\nport 5\naccount two words\nhost w";
    let accounts = read(text).unwrap();
    let facts: Vec<(&str, &str, u16, Option<&str>)> = accounts
        .iter()
        .map(|account| (account.name.as_str(), tcp(account).0, tcp(account).1, account.relay.user.as_deref()))
        .collect();
    assert_eq!(facts[0], ("a", "ha", 1, Some("ua")));
    assert_eq!(facts[1], ("b", "ha", 2, Some("ub")), "the current defaults, not those of a");
    assert_eq!(facts[2], ("c", "hc", 9, None));
    assert_eq!(facts[3], ("d", "ha", 9, Some("ub")), "later parents win, transitively");
    assert_eq!(facts[4], ("e", "ha", 5, Some("ub")));
    assert_eq!(facts[5].0, "two words");
    assert!(accounts.iter().all(|account| account.relay.ehlo.as_deref() == Some("one")));
    assert_eq!(one("from x\ndefaults\nfrom y").from.as_deref(), Some("x"));
}

#[test]
fn eval_replaces_its_line() {
    assert_eq!(tcp(&one("host h\neval port 77\\nport 78")).1, 77);
    assert_eq!(error("host h\neval fail"), "rc:2: eval failed");
    assert!(error("eval ").contains("printed nothing"));
    assert!(error("eval eval x").contains("another eval"));
    assert!(matches!(one("eval password hunter2").relay.password, Some(SecretSource::Literal(_))));
}

#[test]
fn auth_and_passwords() {
    let password = |text| one(text).relay.password;
    assert!(password("user u").is_none());
    assert!(matches!(password("auth\nuser u"), Some(SecretSource::Searched)));
    assert!(password("auth external").is_none());
    assert!(matches!(password("passwordeval pass x"), Some(SecretSource::Shell(line)) if line == "pass x"));
    assert!(matches!(password("passwordeval pass x\npassword p"), Some(SecretSource::Literal(_))));
    assert!(matches!(password("password p\npassword\npasswordeval x"), Some(SecretSource::Shell(_))));
    assert_eq!(one("auth scram-sha-256").relay.auth, AuthChoice::Only("SCRAM-SHA-256".into()));
    assert!(one("auth login").relay.plaintext_password && !one("auth cram-md5").relay.plaintext_password);
}

#[test]
fn everything_else() {
    let account = one("tls_trust_file ~/ca\ntls_fingerprint 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\n\
                       tls_key_file k\ntls_cert_file ~/c\ntls_host_override n\nproxy_host p\nsource_ip ::1\n\
                       timeout 10\ndomain %H.%M\nset_from_header on\nset_date_header off\nset_msgid_header auto\n\
                       set_to_header undisclosed_recipients\ndsn_notify failure,delay\ndsn_return headers\n\
                       logfile -\nsyslog\naliases ~/al\nallow_from_override off\nfrom_full_name J");
    let tls = &account.relay.tls_options;
    assert_eq!(tls.trust_file.as_deref(), Some(Path::new("/home/joe/ca")));
    assert!(matches!(&tls.fingerprint, Some(Fingerprint::Md5(octets)) if octets[1] == 0x11));
    assert_eq!(tls.client, Some(("/home/joe/c".into(), "k".into())));
    assert_eq!(account.relay.proxy, Some(("p".into(), 1080)));
    assert_eq!(account.relay.timeouts.command, Duration::from_secs(10));
    assert_eq!(account.relay.ehlo.as_deref(), Some("box.example.mail.example"));
    assert_eq!((account.set_from_header, account.set_to_header), (AutoOnOff::On, SetTo::Undisclosed));
    assert!(!account.set_date_header && account.set_msgid_header && !account.allow_from_override);
    let notify = account.dsn.notify.unwrap();
    assert!(notify.failure && notify.delay && !notify.success && !notify.never);
    assert_eq!((account.syslog.as_deref(), account.logfile.as_deref()), (Some("LOG_USER"), Some(Path::new("-"))));
    assert_eq!(one("tls_trust_file system\nsyslog off").syslog, None);
    let facts = parse(b"logfile ~/x", Path::new("rc"), &FACTS, &mut |_| Err(String::new()));
    assert!(facts.unwrap_err().to_string().contains("home"));
}

#[test]
fn legacy_commands() {
    let account = one("auto_from on\nmaildomain x.y\nundisclosed_recipients on\nadd_missing_from_header off\n\
                       add_missing_date_header on\ntls_force_sslv3\nntlmdomain D\nconnect_timeout 5\n\
                       tls_nocertcheck\ntls on\ntls_nostarttls");
    assert_eq!(account.from.as_deref(), Some("%U@x.y"));
    assert_eq!((account.set_from_header, account.set_to_header), (AutoOnOff::Off, SetTo::Undisclosed));
    assert!(account.set_date_header && account.relay.tls_options.no_check);
    assert_eq!((account.relay.tls, account.relay.timeouts.connect), (TlsMode::Implicit, Duration::from_secs(5)));
}

proptest! {
    #[test]
    fn any_setting_of_a_command_line_is_judged_and_not_repeated(name in "[a-z_]{1,24}", argument in "secret[ -~é\n]{0,20}") {
        let commands = ["host", "port", "auth", "domain", "tls_fingerprint", "dsn_notify", "syslog", "source_ip", &name];
        for command in commands {
            if let Err(error) = check_setting(command, &argument) {
                prop_assert!(!error.contains("secret") || name.contains("secret"), "{error}");
            }
            let _ = Overrides::new(&[(command.to_owned(), argument.clone())], None);
        }
    }

    #[test]
    fn any_bytes_are_judged(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&data, Path::new("rc"), &FACTS, &mut |_| Ok(Zeroizing::new(Vec::new())));
    }

    #[test]
    fn any_commands_are_judged(text in "((account|defaults|eval|port|tls|auth|password|domain|timeout|~|\"|:|,|[a-z0-9]|%H| |\n){0,4}\n){0,12}") {
        let mut eval = |command: &str| Ok(Zeroizing::new(command.as_bytes().to_vec()));
        let _ = parse(text.as_bytes(), Path::new("rc"), &FACTS, &mut eval);
    }
}
