//! Whole configurations in temporary directories, and the shipped samples.

use super::load::{Sources, load, load_msmtp};
use super::model::*;
use super::msmtprc::Overrides;
use crate::secret::SecretSource;
use crate::smtp::phase::Phase;
use proptest::prelude::*;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A home and an /etc of its own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.folder.path().join(name);
        let parent = path.parent().unwrap();
        std::fs::create_dir_all(parent).unwrap();
        let mut file = tempfile::NamedTempFile::new_in(parent).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        file.persist(&path).unwrap();
        path
    }

    fn sources(&self) -> Sources {
        Sources {
            explicit: None,
            home: Some(self.folder.path().join("home")),
            uid: rustix::process::getuid().as_raw(),
            etc: self.folder.path().join("etc"),
        }
    }

    fn load(&self) -> Result<Config, Vec<String>> {
        self.load_from(&self.sources())
    }

    fn load_from(&self, sources: &Sources) -> Result<Config, Vec<String>> {
        let root = format!("{}/", self.folder.path().display());
        load(sources).map_err(|errors| errors.iter().map(|error| error.to_string().replace(&root, "")).collect())
    }
}

const MAIN: &str = "etc/postrider/postrider.toml";

/// The faults of a main file.
fn faults(text: &str) -> Vec<String> {
    let place = Place::new();
    place.file(MAIN, text, 0o600);
    let errors = place.load().expect_err(text);
    errors.into_iter().map(|error| error.replacen(MAIN, "main", 1)).collect()
}

fn good(text: &str) -> Config {
    let place = Place::new();
    place.file(MAIN, text, 0o600);
    place.load().unwrap_or_else(|errors| panic!("{text}: {errors:#?}"))
}

#[test]
fn a_full_sender() {
    let config = good(
        r#"
enabled = true
domain = "example.com"
tempfail_exit = 75
log = { to = "/var/log/postrider.log", format = "json" }
[default]
server = "smtp+plain://127.0.0.1"
[[sender]]
name = "shop"
provider = "yandex"
from = ["Shop@example.com", "*@shop.example.com"]
user = "shop@example.com"
password = { file = "shop.password" }
names = { "marketing@shop.example.com" = "Marketing" }
users = "www-data"
on_mismatch = "rewrite"
timeouts = { connect = "5s", total = "2m" }
fingerprint = "00112233445566778899aabbccddeeff00112233"
client_cert = "/c.pem"
client_key = "~/k.pem"
proxy = "socks5://proxy:1081"
source = "::1"
"#,
    );
    let sender = &config.senders[0];
    assert_eq!(sender.place.line, 8);
    assert_eq!(sender.relay.endpoint, Endpoint::Tcp("smtp.yandex.ru".into(), 465));
    assert_eq!((sender.relay.tls, &sender.relay.auth), (TlsMode::Implicit, &AuthChoice::Auto));
    assert!(sender.identity.must_match && sender.identity.on_mismatch == OnMismatch::Rewrite);
    assert_eq!(
        sender.from.iter().map(|(pattern, place)| (pattern.to_string(), place.line)).collect::<Vec<_>>(),
        [("shop@example.com".to_owned(), 11), ("@shop.example.com".to_owned(), 11)]
    );
    let Some(SecretSource::File(path)) = &sender.relay.password else { panic!() };
    assert!(path.ends_with("etc/postrider/shop.password") && path.is_absolute());
    assert_eq!((sender.relay.timeouts.connect.as_secs(), sender.relay.timeouts.total.as_secs()), (5, 120));
    assert_eq!(sender.relay.proxy, Some(("proxy".into(), 1081)));
    assert!(matches!(config.default, DefaultRelay::Server(..)));
    assert!(config.log.json && config.tempfail_exit == TempFailExit::TempFail);
}

#[test]
fn several_servers_and_limits_of_phases() {
    let text = "server = [\"smtps://a.test\", \"smtp://b.test\"]\nclient_cert = \"/c.p12\"\n\
                client_password = { env = \"P\" }\ntimeouts = { command = \"9s\", mail = \"5m\", password = \"3s\" }";
    let config = good(&format!("[[sender]]\nfrom = \"a@b.example\"\n{text}"));
    let relay = &config.senders[0].relay;
    let servers: Vec<_> = relay.at_each_server().map(|relay| (relay.endpoint.clone(), relay.tls)).collect();
    assert_eq!(servers[0], (Endpoint::Tcp("a.test".into(), 465), TlsMode::Implicit));
    assert_eq!(servers[1..], [(Endpoint::Tcp("b.test".into(), 587), TlsMode::StartTls)]);
    assert_eq!(relay.tls_options.client, Some(("/c.p12".into(), "/c.p12".into())));
    assert!(matches!(relay.client_password, Some(SecretSource::Env(_))));
    let seconds = |phase| relay.timeouts.of(phase).as_secs();
    assert_eq!([Phase::Mail, Phase::Rcpt, Phase::Secret, Phase::Quit].map(seconds), [300, 9, 3, 2]);
}

#[test]
fn presets_fill_in_and_give_way() {
    let of = |text: &str| good(&format!("[[sender]]\nfrom = \"a@b.example\"\n{text}")).senders.pop().unwrap();
    let ses = of("provider = \"ses\"\nregion = \"eu-west-1\"\nuser = \"u\"\npassword = {env = \"X\"}");
    assert_eq!(ses.relay.endpoint, Endpoint::Tcp("email-smtp.eu-west-1.amazonaws.com".into(), 587));
    let own = of("provider = \"ses\"\nserver = \"h:2465\"\nuser = \"u\"\npassword = {command = [\"p\", \"x\"]}");
    assert_eq!(own.relay.endpoint, Endpoint::Tcp("h".into(), 2465));
    assert!(matches!(own.relay.password, Some(SecretSource::Command(argv)) if argv == ["p", "x"]));
    let grid = of("provider = \"sendgrid\"\npassword = {command = \"pass x\"}");
    assert_eq!(grid.relay.user.as_deref(), Some("apikey"));
    assert!(matches!(grid.relay.password, Some(SecretSource::Shell(_))));
    let ms =
        of("provider = \"microsoft365\"\nuser = \"a@b.example\"\npassword = {credential = \"x\"}\nmust_match = false");
    assert_eq!(ms.relay.auth, AuthChoice::Only("XOAUTH2".into()));
    assert!(!ms.identity.must_match);
    assert_eq!(of("server = \"h\"").name, "a@b.example");
}

#[test]
fn one_clear_error() {
    let cases = [
        ("enabeld = true", "main:1: unknown key \"enabeld\"; did you mean enabled?"),
        ("[[sender]]\nshape = \"round\"", "main:2: unknown key \"shape\"; known here: "),
        ("[log]\nto = 5", "main:2: to: expected a string, found integer"),
        ("enabled = true\nenabled = false", "main:2: duplicate key"),
        ("x = = 1", "main:1: not valid TOML: "),
        ("tempfail_exit = 0", "main:1: tempfail_exit is 69 or 75"),
        ("[log]\nto = \"relative\"", "main:2: log.to: one of "),
        ("[default]\nrelay = \"msmtprc\"", "main:1: relay = \"msmtprc\", but there is none; looked for "),
        ("[default]\nrelay = \"smarthost\"", "main:2: relay is \"msmtprc\" or \"refuse\""),
        ("[default]\nrelay = \"refuse\"\nserver = \"h\"", "main:2: [default] has both relay and server"),
        ("[default]\nuser = \"u\"", "main:1: [default] has no server"),
        ("[default]\nname = \"x\"", "main:2: unknown key \"name\""),
    ];
    for (text, expected) in cases {
        let faults = faults(text);
        assert!(faults.len() == 1 && faults[0].starts_with(expected), "{text}: {faults:#?}");
    }
}

#[test]
fn faults_of_senders() {
    let base = "[[sender]]\nname = \"s\"\nfrom = \"a@b.example\"\n";
    let login = "user = \"u\"\npassword = { env = \"P\" }\n";
    let server = "server = \"h\"\n";
    let cases = [
        (String::new(), "main:1: this sender has no server"),
        (
            "server = \"h\"\n[[sender]]\nname = \"Incoming\"\nfrom = \"c@b.example\"\nserver = \"h\"".into(),
            "main:6: name: ",
        ),
        (
            "server = \"h\"\n[[sender]]\nname = \"rule x\"\nfrom = \"c@b.example\"\nserver = \"h\"".into(),
            "main:6: name: ",
        ),
        ("server = \"smtp://u:hunter2@h\"".into(), "main:4: server holds a login"),
        ("provider = \"yandx\"".into(), "main:4: provider: unknown provider; did you mean yandex?"),
        ("provider = \"ses\"".into(), "main:1: provider ses needs region"),
        ("provider = \"gmail\"\nregion = \"x\"".into(), "main:5: region: this provider has none"),
        (format!("{server}user = \"u\""), "main:1: sender s: user without password"),
        (format!("{server}password = {{ env = \"P\" }}"), "main:1: sender s: password without user"),
        (format!("{server}auth = \"plain\""), "main:1: sender s: auth without user and password"),
        (format!("{login}server = \"smtp+plain://localhost\""), "main:1: sender s: a password over a connection"),
        (format!("{login}server = \"smtp+unix:/run/x\""), "main:1: sender s: a password over a connection"),
        (format!("{server}auth = \"ntlm\""), "main:5: auth: ntlm is not supported"),
        (format!("{server}auth = \"x\""), "main:5: auth: unknown method; one of auto, off, plain"),
        (format!("{server}ehlo = \"a\\r\\nb\""), "main:5: ehlo: the host name holds"),
        (format!("{server}users = []"), "main:1: users = [] would let everybody in"),
        (format!("{server}client_key = \"k\""), "main:5: client_key goes only with client_cert"),
        (format!("{server}client_password = {{ env = \"P\" }}"), "main:1: sender s: client_password without"),
        (format!("{server}timeouts = {{ rcpt = \"0s\" }}"), "main:5: timeouts.rcpt: a time limit"),
        ("server = []".into(), "main:4: server is one, or a list"),
        ("server = [\"h\", \"h\"]".into(), "main:4: server: it stands here twice"),
        ("server = [\"h\", \"smtp://u:hunter2@h\"]".into(), "main:4: server holds a login"),
        (format!("{login}server = [\"h\", \"smtp+plain://h\"]"), "main:1: sender s: a password over a connection"),
        (format!("{server}timeouts = {{ total = \"0s\" }}"), "main:5: timeouts.total: a time limit"),
        (format!("{server}password = 5\nuser = \"u\""), "main:5: password: expected { file"),
        (
            format!("{server}user = \"u\"\npassword = {{ fil = \"x\" }}"),
            "main:6: unknown key \"fil\"; did you mean file?",
        ),
        (
            format!("{server}user = \"u\"\npassword = {{ file = \"x\", env = \"y\" }}"),
            "main:6: password has exactly one",
        ),
        (format!("{server}on_mismatch = \"bounce\""), "main:5: on_mismatch: one of"),
    ];
    for (text, expected) in cases {
        let faults = faults(&format!("{base}{text}"));
        assert!(faults.len() == 1 && faults[0].starts_with(expected), "{text}: {faults:#?}");
        assert!(!faults[0].contains("hunter2"));
    }
}

#[test]
fn all_faults_in_order() {
    let faults = faults(
        "tempfail_exit = 1\n[[sender]]\nfrom = [\"a@b.example\",\n\"bad\"]\nserver = \"h\"\n[[sender]]\n\
         name = \"A@b.example\"\nfrom = \"A@B.example\"\nserver = \"h\"\n[[sender]]\nserver = \"h\"\nname = \"x\"\n\
         must_match = true\n",
    );
    let starts = [
        "main:1: tempfail_exit",
        "main:4: from: \"bad\" has no @",
        "main:6: two senders have the name",
        "main:8: sender A@b.example claims a@b.example, which sender a@b.example claims at ",
        "main:10: this sender has no from",
        "main:10: sender x: must_match needs an address of its own",
    ];
    assert_eq!(faults.len(), starts.len(), "{faults:#?}");
    assert!(faults.iter().zip(starts).all(|(fault, start)| fault.starts_with(start)), "{faults:#?}");
}

#[test]
fn fragments_and_their_faults() {
    let place = Place::new();
    place.file(MAIN, "[[sender]]\nname = \"z\"\nfrom = \"z@x.example\"\nserver = \"h\"", 0o644);
    place.file("etc/postrider/senders.d/b.toml", "[[sender]]\nfrom = \"@x.example\"\nserver = \"h\"", 0o644);
    place.file("etc/postrider/senders.d/a.toml", "[[sender]]\nfrom = \"a@x.example\"\nserver = \"h\"", 0o644);
    place.file("etc/postrider/senders.d/a.toml.bak", "rubbish", 0o644);
    place.file("etc/postrider/senders.d/.hidden.toml", "rubbish", 0o644);
    let config = place.load().unwrap();
    let names: Vec<&str> = config.senders.iter().map(|sender| sender.name.as_str()).collect();
    assert_eq!(names, ["z", "a@x.example", "@x.example"]);
    assert_eq!(config.files.len(), 3);
    place.file("etc/postrider/senders.d/c.toml", "domain = \"x\"", 0o644);
    place.file("etc/postrider/senders.d/d.toml", "[[sender]]\nfrom = \"z@x.example\"\nserver = \"h\"", 0o644);
    let errors = place.load().unwrap_err();
    assert!(errors[0].starts_with("etc/postrider/senders.d/c.toml:1: unknown key \"domain\""), "{errors:#?}");
    assert!(errors[1].ends_with("claims at etc/postrider/postrider.toml:3; leave it with one of them"), "{errors:#?}");
}

#[test]
fn a_literal_password_needs_a_closed_file() {
    let text = "[[sender]]\nfrom = \"a@b.example\"\nserver = \"h\"\nuser = \"u\"\npassword = \"hunter2\"";
    let place = Place::new();
    place.file(MAIN, text, 0o640);
    let config = place.load().unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    place.file(MAIN, text, 0o644);
    let errors = place.load().unwrap_err();
    assert!(errors.len() == 1 && errors[0].contains("chmod 0640") && !errors[0].contains("hunter2"), "{errors:#?}");
}

#[test]
fn the_order_of_files() {
    let place = Place::new();
    let none = place.load().unwrap_err();
    assert!(none[0].starts_with("no configuration; looked for "), "{none:#?}");
    let sender = |name: &str| format!("[[sender]]\nname = \"{name}\"\nfrom = \"a@b.example\"\nserver = \"h\"");
    let first = |place: &Place, sources: &Sources| place.load_from(sources).unwrap().senders[0].name.clone();
    place.file("etc/msmtprc", "account a\nhost one\naccount b\nhost b\n", 0o644);
    place.file("home/.msmtprc", "account a\nhost two\npassword p", 0o600);
    let DefaultRelay::Msmtprc(relay) = place.load().unwrap().default else { panic!() };
    let names: Vec<&str> = relay.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(relay.accounts[1].relay.endpoint, Endpoint::Tcp("two".into(), 25));
    place.file(MAIN, &sender("system"), 0o644);
    assert_eq!(first(&place, &place.sources()), "system");
    assert!(matches!(place.load().unwrap().default, DefaultRelay::Msmtprc(_)));
    place.file("home/.config/postrider/postrider.toml", &sender("own"), 0o644);
    if std::env::vars_os().all(|(name, _)| name != "XDG_CONFIG_HOME") {
        assert_eq!(first(&place, &place.sources()), "own");
    }
    let explicit = Some(place.file("x.toml", &sender("explicit"), 0o644));
    assert_eq!(first(&place, &Sources { explicit, ..place.sources() }), "explicit");
}

#[test]
fn what_cannot_be_read_is_named() {
    let place = Place::new();
    std::fs::create_dir_all(place.folder.path().join(MAIN)).unwrap();
    let errors = place.load().unwrap_err();
    assert_eq!(errors, ["etc/postrider/postrider.toml: cannot be read: not a regular file"]);
    let closed = Place::new();
    closed.file("etc/postrider", "a file where the directory should be", 0o644);
    closed.file("etc/msmtprc", "host h", 0o644);
    assert!(closed.load().unwrap_err()[0].starts_with("etc/postrider/postrider.toml: cannot be read"));
    let gone = Sources { explicit: Some("/nonexistent.toml".into()), ..place.sources() };
    assert!(place.load_from(&gone).unwrap_err()[0].starts_with("/nonexistent.toml: cannot be read"));
    let named = Place::new();
    named.file(MAIN, "[default]\nmsmtprc = \"/nonexistent\"\nmatch_from = true", 0o644);
    assert!(named.load().unwrap_err()[0].starts_with("/nonexistent: cannot be read"));
}

#[test]
fn a_file_named_on_the_command_line_is_not_quoted() {
    let place = Place::new();
    for text in ["api_token = \"hunter2\"", "hunter2 = 1", "hunter2", "[default]\nhunter2 = 1", "enabled = \"hunter2\""]
    {
        let explicit = Some(place.file("x.toml", text, 0o644));
        let errors = place.load_from(&Sources { explicit, ..place.sources() }).unwrap_err();
        assert!(!errors[0].contains("hunter2") && !errors[0].contains("api_token"), "{errors:#?}");
        assert!(errors[0].starts_with("x.toml:"), "{errors:#?}");
    }
}

#[test]
fn msmtprc_of_the_default_and_of_msmtp_itself() {
    let place = Place::new();
    place.file("etc/postrider/rc", "account site1\nhost h\npassword p\nauth on\nuser u", 0o640);
    place.file(MAIN, "[default]\nmsmtprc = \"rc\"\naccount = \"site1\"", 0o644);
    let DefaultRelay::Msmtprc(relay) = place.load().unwrap().default else { panic!() };
    assert_eq!((relay.account.as_deref(), relay.accounts.len()), (Some("site1"), 1));
    place.file(MAIN, "[default]\nmsmtprc = \"rc\"\naccount = \"site2\"", 0o644);
    assert!(place.load().unwrap_err()[0].contains("has no such account; it has site1"));
    let load_msmtp = |sources: &Sources| load_msmtp(sources, &Overrides::default());
    assert!(of_msmtp(load_msmtp(&place.sources()).unwrap()).accounts.is_empty());
    let named = Sources { explicit: Some(place.folder.path().join("etc/postrider/rc")), ..place.sources() };
    assert!(load_msmtp(&named).unwrap_err().to_string().contains("chmod 0600"));
    // Another user's file is refused; what root has put there for a user's group to read is meant for that user.
    let (by_root, strange) = (named.uid == 0, Sources { uid: named.uid.wrapping_add(1), ..named });
    assert!(match load_msmtp(&strange) {
        Ok(_) => by_root,
        Err(error) => !by_root && error.to_string().contains("chown"),
    });
}

fn of_msmtp(config: Config) -> Msmtprc {
    let DefaultRelay::Msmtprc(msmtprc) = config.default else { panic!() };
    msmtprc
}

#[test]
fn a_command_line_over_msmtp_accounts() {
    let place = Place::new();
    place.file("home/.msmtprc", "account a\nhost ha\naccount b : a\nhost hb\n", 0o600);
    let over = |settings: &[(&str, &str)], account: Option<&str>| {
        let all: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let config = load_msmtp(&place.sources(), &Overrides::new(&all, account).unwrap());
        config.map(|config| {
            let accounts = of_msmtp(config).accounts.into_iter();
            accounts.map(|account| (account.name, account.relay.endpoint.to_string())).collect::<Vec<_>>()
        })
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, server)| ((*name).into(), (*server).into())).collect()
    };
    assert_eq!(over(&[("port", "99")], None).unwrap(), pairs(&[("a", "ha:99"), ("b", "hb:99")]));
    assert_eq!(over(&[("port", "99")], Some("b")).unwrap(), pairs(&[("a", "ha:25"), ("b", "hb:99")]));
    assert_eq!(over(&[("host", "hc"), ("tls", "on")], None).unwrap(), pairs(&[("command line", "hc:25")]));
    let error = over(&[("host", "hc"), ("tls_key_file", "x")], None).unwrap_err();
    assert_eq!(error.to_string(), "command line: tls_key_file: goes only together with tls_cert_file");
    for bad in [("port", "secret"), ("hots", "secret")] {
        let error = Overrides::new(&[(bad.0.into(), bad.1.into())], None).unwrap_err().to_string();
        assert!(error.starts_with("command line: ") && !error.contains("secret"), "{error}");
    }
}

#[test]
fn a_broken_msmtprc_still_says_where_to_log() {
    let place = Place::new();
    place.file("home/.msmtprc", "hots x\nlogfile ~/log\n", 0o600);
    let log = |overrides: &Overrides| super::load::msmtp_log_hint(&place.sources(), overrides);
    assert_eq!(log(&Overrides::default()), Some(place.folder.path().join("home/log")));
    let given = Overrides::new(&[("logfile".into(), "/x".into())], None).unwrap();
    assert_eq!(log(&given).as_deref(), Some(Path::new("/x")));
}

#[test]
fn the_samples_load() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let place = Place::new();
    let sources = Sources { explicit: Some(samples.join("postrider.toml")), ..place.sources() };
    let config = load(&sources).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert!(config.files.len() > 1 && config.senders.len() > 1);
    // Every key that stands in a comment is a key, and its value a good one.
    let text = String::from_utf8(crate::sys::files::read(&samples.join("postrider.toml")).unwrap().0).unwrap();
    let key = |rest: &str| {
        rest.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    // A table that is not set here stands in a comment as a whole.
    let table = |line: &&str| line.starts_with('[') || line.starts_with("#[");
    for (at, line) in text.lines().enumerate() {
        let Some(rest) = line.strip_prefix("#").filter(|rest| key(rest)) else { continue };
        let open = text.lines().take(at).filter(table).last();
        let alone = format!("{}\n{rest}\n", open.unwrap_or_default().trim_start_matches('#'));
        let source = super::toml::Source { text: &alone, file: &super::Place::new("sample", 0), quote: true };
        if let Err(error) = source.parse::<super::toml::RawConfig>() {
            panic!("{line}: {error}");
        }
    }
    let (text, _) = crate::sys::files::read(&samples.join("msmtprc")).unwrap();
    let all = String::from_utf8(text).unwrap().lines().fold(String::new(), |all, line| {
        let shown = line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        all + shown.unwrap_or(line) + "\n"
    });
    let place = Place::new();
    let all = place.file("all", &all, 0o600);
    let home = Some(place.folder.path());
    super::msmtprc::read_file(&all, super::msmtprc::Trust::System, sources.uid, home, &Overrides::default()).unwrap();
    let msmtprc = Sources { explicit: None, ..sources };
    let accounts = super::msmtprc::read_file(
        &samples.join("msmtprc"),
        super::msmtprc::Trust::System,
        msmtprc.uid,
        None,
        &Overrides::default(),
    );
    assert!(accounts.unwrap().iter().all(|account| account.check().is_ok()));
}

fn judge(text: &str) {
    let place = super::Place::new("any", 0);
    let source = super::toml::Source { text, file: &place, quote: true };
    let (_, errors) = super::build::main_file(source, None);
    assert!(errors.iter().all(|error| !error.what.contains('\n')), "{errors:?}");
    let _ = super::build::fragment(source, None, &Default::default());
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "\\PC{0,60}|([a-z]{1,6} ?= ?[\"\\[{}0-9a-z\\\\]{0,8}\n){0,5}") {
        judge(&text);
    }

    #[test]
    fn any_values_are_judged(
        key in "server|from|password|user|auth|region|provider|ehlo|proxy|source|fingerprint|names|users|timeouts|name|`",
        value in "\\PC{0,20}", default in any::<bool>(),
    ) {
        let table = if default { "[default]" } else { "[[sender]]\nfrom = \"a@b.example\"\nserver = \"h\"" };
        judge(&format!("{table}\n\"{key}\" = {:?}", value));
        judge(&format!("{table}\n{key} = {value}"));
    }
}

#[test]
fn names_claim_their_addresses() {
    let first =
        "[[sender]]\nname = \"s\"\nfrom = \"a@b.example\"\nserver = \"h\"\nnames = { \"x@b.example\" = \"X\" }\n";
    let fine = good(&format!("{first}[[sender]]\nname = \"t\"\nfrom = \"y@b.example\"\nserver = \"h\"\n"));
    assert_eq!(fine.senders[0].claims().len(), 2);
    let twice = faults(&format!("{first}[[sender]]\nname = \"t\"\nfrom = \"x@b.example\"\nserver = \"h\"\n"));
    assert!(twice.len() == 1 && twice[0].contains("claims x@b.example"), "{twice:?}");
}

#[test]
fn bulk_rules() {
    use crate::message::bulk::{Choice, Rule};
    let config = good(
        "[queue]\nbulk_recipients = 3\n[[bulk]]\nheader = \"X-Mailer\"\nmatches = \"*news*\"\n[[bulk]]\nsender = \"A\"\n\
         [[sender]]\nname = \"a\"\nfrom = \"a@b.test\"\nserver = \"smtp://b.test\"\nbulk = \"never\"\n",
    );
    assert_eq!((config.bulk.recipients, config.senders[0].bulk), (3, Choice::Never));
    let header = Rule { header: Some("X-Mailer".into()), matches: Some("*news*".into()), sender: None };
    assert_eq!(config.bulk.rules, [header, Rule { sender: Some("A".into()), ..Rule::default() }]);
    let sender = "[[sender]]\nname = \"news\"\nfrom = \"a@b.test\"\nserver = \"smtp://b.test\"\n";
    for (text, fault) in [
        ("[[bulk]]\n", "1: [[bulk]] needs header"),
        ("[[bulk]]\nmatches = \"x\"\n", "1: [[bulk]] needs header"),
        ("[[bulk]]\nsender = \"news\"\nmatches = \"x\"\n", "3: [[bulk]]: matches goes only with header"),
        ("[[bulk]]\nheader = \"X Mailer\"\n", "2: header: a header field's name"),
        ("[[bulk]]\nsender = \"nwes\"\n", "2: there is no sender of this name; did you mean \"news\"?"),
        ("[queue]\nbulk_recipients = 0\n", "2: queue.bulk_recipients is 1 to"),
        ("[queue]\nbulk_recipient = 0\n", "2: unknown key \"bulk_recipient\"; did you mean bulk_recipients?"),
    ] {
        let found = faults(&format!("{text}{sender}"));
        assert!(found.iter().any(|line| line.contains(fault)), "{text}: {found:?}");
    }
}
