//! Which sender takes a message, what it may send, and what leaves: through the real `sendmail` to a scripted server.

use crate::support::certs::{Authority, Kind};
use crate::support::run::Home;
use crate::support::script::Script;
use crate::support::server::Server;

/// Accounts of the server, each the login of one sender.
const ACCOUNTS: [(&str, &str); 3] = [("shop@example.com", "sh0p"), ("news", "n3ws"), ("relay@example.net", "r3lay")];

/// A server with STARTTLS, logins and every usual extension.
fn server(authority: &Authority) -> Server {
    let mut script = Script::new().starttls(&authority.issue(Kind::Valid));
    for offer in ["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 50000000", "ENHANCEDSTATUSCODES"] {
        script = script.offer(offer);
    }
    for (user, password) in ACCOUNTS {
        script = script.auth(user, password, &["PLAIN", "LOGIN"]);
    }
    script.start()
}

/// A home whose configuration is `template`, with the keys of an account in place of each line `ACCOUNT user`.
fn home(server: &Server, authority: &Authority, template: &str) -> Home {
    let home = Home::new();
    home.write("ca.pem", authority.pem());
    for (user, password) in ACCOUNTS {
        home.write(&format!("{user}.password"), format!("{password}\n"));
    }
    let keys = format!("server = \"smtp://127.0.0.1:{}\"\nca_file = \"ca.pem\"", server.port);
    let account = |user: &str| format!("{keys}\nuser = \"{user}\"\npassword = {{ file = \"{user}.password\" }}");
    let mut config = template.to_owned();
    for (user, _) in ACCOUNTS {
        config = config.replace(&format!("ACCOUNT {user}\n"), &format!("{}\n", account(user)));
    }
    home.config(&format!("domain = \"host.example\"\nlog = {{ to = \"off\" }}\n{config}"))
}

const CONFIG: &str = r#"
[default]
ACCOUNT relay@example.net
[[sender]]
name = "shop"
from = ["shop@example.com", "*@*.shop.example.com"]
names = { "marketing@example.com" = "Märkte" }
ACCOUNT shop@example.com
[[sender]]
name = "news"
from = ["@news.example.com", "n*@shop.example.com", "*@deep.shop.example.com"]
ACCOUNT news
"#;

#[test]
fn the_from_address_chooses_the_account() {
    let authority = Authority::new();
    let server = server(&authority);
    let home = home(&server, &authority, CONFIG);
    let cases = [
        ("shop@example.com", "shop@example.com"),
        ("SHOP@Example.Com", "shop@example.com"),
        ("Shop <shop+detail@example.com>", "shop@example.com"),
        ("marketing@example.com", "shop@example.com"),
        ("x@a.shop.example.com", "shop@example.com"),
        ("x@deep.shop.example.com", "news"),
        ("n@shop.example.com", "news"),
        ("anyone@news.example.com", "news"),
        ("\"Shop, Inc.\" (comment) <shop@example.com>", "shop@example.com"),
        ("shop@example.org", "relay@example.net"),
        ("root (Cron Daemon)", "relay@example.net"),
    ];
    for (from, account) in cases {
        let message = format!("From: {from}\nTo: you@example.org\n\nhello\n");
        let run = home.run("sendmail", &["-t", "-i"], message).expect(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "silence on success");
        let connection = server.connections().pop().unwrap();
        assert_eq!(connection.account.as_deref(), Some(account), "{from}");
        assert_eq!(connection.tls.as_deref(), Some("TLSv1.3"));
        assert_eq!(connection.messages.len(), 1);
    }
    assert_eq!(server.connections().len(), cases.len());
}

#[test]
fn a_name_and_an_envelope_sender_choose_where_the_header_does_not() {
    let authority = Authority::new();
    let server = server(&authority);
    let home = home(&server, &authority, CONFIG);
    let account = |arguments: &[&str], input: &str| {
        home.run("sendmail", arguments, input).expect(0);
        let connection = server.connections().pop().unwrap();
        (connection.account.unwrap(), connection.messages[0].from.clone())
    };
    let to = "To: you@example.org\n\nhello\n";
    assert_eq!(account(&["-a", "news", "-t"], to), ("news".into(), "root@host.example".replace("root", &user())));
    assert_eq!(account(&["-f", "shop@example.com", "-t"], to), ("shop@example.com".into(), "shop@example.com".into()));
    assert_eq!(
        account(&["-r", "bounce@example.org", "-t"], &format!("From: x@news.example.com\n{to}")),
        ("news".into(), "bounce@example.org".into())
    );
    assert_eq!(account(&["-f", "<>", "-t"], &format!("From: shop@example.com\n{to}")).1, "");
    let unknown = home.run("sendmail", &["-a", "shp", "-t"], to).expect(78);
    assert!(unknown.stderr.contains("no sender and no account is named \"shp\"; the nearest is \"shop\""));
}

fn user() -> String {
    let uid = rustix::process::getuid().as_raw();
    uzers::get_user_by_uid(uid).map_or(uid.to_string(), |user| user.name().to_string_lossy().into_owned())
}

#[test]
fn what_needs_no_change_goes_out_octet_for_octet() {
    let authority = Authority::new();
    let server = server(&authority);
    let home = home(&server, &authority, CONFIG);
    let message = "From: shop@example.com\r\nX-Odd:  two  spaces\t\r\n folded\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\
                   To : you@example.org\r\nMessage-ID: <a@b>\r\n\r\n.dot\r\n..two\r\nlast without newline, \u{fc}";
    home.run("sendmail", &["-t", "-i"], message).expect(0);
    assert_eq!(String::from_utf8(server.messages()[0].text.clone()).unwrap(), format!("{message}\r\n"));
    // An alias of the sender is shown with its name, a Bcc does not leave, what is missing comes at the top.
    let message = "From: marketing@example.com\nBcc : hidden@example.org\nTo: you@example.org\n\nhello\n";
    home.run("sendmail", &["-t"], message).expect(0);
    let sent = server.messages().pop().unwrap();
    assert_eq!(sent.recipients, ["hidden@example.org", "you@example.org"]);
    let text = String::from_utf8(sent.text).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[0].starts_with("Date: ") && lines[1].starts_with("Message-ID: <"), "{text}");
    assert!(lines[2].starts_with("From: =?utf-8?") && lines[2].ends_with("<marketing@example.com>"), "{text}");
    assert_eq!(lines[3..], ["To: you@example.org", "", "hello", ""]);
}

#[test]
fn the_identity_guard_refuses_rewrites_and_routes() {
    let authority = Authority::new();
    let server = server(&authority);
    let guarded =
        |mismatch: &str| CONFIG.replace("name = \"shop\"", &format!("name = \"shop\"\nmust_match = true\n{mismatch}"));
    let to = "To: you@example.org\n\nhello\n";

    let refusing = home(&server, &authority, &guarded(""));
    let foreign = format!("From: boss@news.example.com\n{to}");
    let run = refusing.run("sendmail", &["-a", "shop", "-t"], &foreign).expect(77);
    for part in ["From boss@news.example.com", "envelope sender boss@news.example.com", "shop", "on_mismatch"] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    let bounce = ["-f", "www-data@host.example", "-t"];
    refusing.run("sendmail", &bounce, format!("From: shop@example.com\n{to}")).expect(77);
    refusing.run("sendmail", &["-t"], format!("From: shop@example.com\nSender: x@y.example\n{to}")).expect(77);
    assert!(server.connections().is_empty(), "refused before connecting");

    let rewriting = home(&server, &authority, &guarded("on_mismatch = \"rewrite\""));
    rewriting.run("sendmail", &["-a", "shop", "-t"], format!("From: Boss <boss@news.example.com>\n{to}")).expect(0);
    let sent = server.messages().pop().unwrap();
    let text = String::from_utf8(sent.text).unwrap();
    assert_eq!(sent.from, "shop@example.com");
    for line in [
        "From: Boss <shop@example.com>",
        "Reply-To: Boss <boss@news.example.com>",
        "X-Original-From: Boss <boss@news.example.com>",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "{text}");
    }
    rewriting.run("sendmail", &bounce, format!("From: marketing@example.com\n{to}")).expect(0);
    assert_eq!(server.messages().pop().unwrap().from, "marketing@example.com", "only the envelope did not fit");

    let routing = home(&server, &authority, &guarded("on_mismatch = \"route\""));
    routing.run("sendmail", &["-a", "shop", "-t"], &foreign).expect(0);
    assert_eq!(server.connections().pop().unwrap().account.as_deref(), Some("news"));
    let nobody = format!("From: x@unknown.example\n{to}");
    routing.run("sendmail", &["-a", "shop", "-t"], nobody).expect(77);
}

#[test]
fn switches_and_users() {
    let authority = Authority::new();
    let server = server(&authority);
    let to = "From: shop@example.com\nTo: you@example.org\n\nhello\n";
    let account = |config: &str| {
        home(&server, &authority, config).run("sendmail", &["-t"], to).expect(0);
        server.connections().pop().unwrap().account.unwrap()
    };
    assert_eq!(account(&format!("enabled = false\n{CONFIG}")), "relay@example.net");
    let off = CONFIG.replace("name = \"shop\"", "name = \"shop\"\nenabled = false");
    assert_eq!(account(&off), "relay@example.net");
    let explained = home(&server, &authority, &off).run("postrider", &["explain", "-t"], to).expect(0);
    assert!(explained.stdout.contains("sender shop is switched off"), "{}", explained.stdout);

    let user = user();
    let ours = CONFIG.replace("name = \"shop\"", &format!("name = \"shop\"\nusers = [\"nobody-else\", \"{user}\"]"));
    assert_eq!(account(&ours), "shop@example.com");
    let theirs = CONFIG.replace("name = \"shop\"", "name = \"shop\"\nusers = [\"somebody-else\"]");
    let run = home(&server, &authority, &theirs).run("sendmail", &["-t"], to).expect(77);
    assert!(run.stderr.contains(&format!("sender \"shop\" is not for user {user}")), "{}", run.stderr);
    let gid = rustix::process::getgid().as_raw();
    if let Some(group) = uzers::get_group_by_gid(gid).map(|group| group.name().to_string_lossy().into_owned()) {
        let grouped = CONFIG.replace("name = \"shop\"", &format!("name = \"shop\"\ngroups = [\"x\", \"{group}\"]"));
        assert_eq!(account(&grouped), "shop@example.com");
        let others = CONFIG.replace("name = \"shop\"", "name = \"shop\"\ngroups = [\"no-such-group\"]");
        home(&server, &authority, &others).run("sendmail", &["-t"], to).expect(77);
    }
    let refuse = CONFIG.replace("ACCOUNT relay@example.net", "relay = \"refuse\"");
    let run = home(&server, &authority, &refuse).run("sendmail", &["-t"], to.replace("shop@", "x@")).expect(77);
    assert!(run.stderr.contains("no sender claims x@example.com"), "{}", run.stderr);
}

#[test]
fn explain_shows_what_would_be_sent_and_no_secret() {
    let authority = Authority::new();
    let server = server(&authority);
    let home = home(&server, &authority, CONFIG);
    let message = "From: marketing@example.com\nBcc: hidden@example.org\nTo: root\n\nhello\n";
    let run = home.run("postrider", &["explain", "-t", "-f", "bounce@example.com"], message).expect(0);
    let line = |key: &str| {
        let values: Vec<&str> = run.stdout.lines().filter_map(|l| l.strip_prefix(key)).map(str::trim).collect();
        values.join(" | ")
    };
    assert_eq!(line("from:"), "marketing@example.com");
    assert_eq!(line("sender:"), "shop");
    assert_eq!(line("rule:"), "alias marketing@example.com (names)");
    assert_eq!(line("server:"), format!("127.0.0.1 port {}, STARTTLS required", server.port));
    assert_eq!(line("login:"), "shop@example.com");
    assert_eq!(line("envelope-from:"), "bounce@example.com");
    assert_eq!(line("recipient:"), "hidden@example.org | root@host.example");
    for change in ["removed Bcc", "added Date", "added Message-ID", "shows the name Märkte", "qualified To"] {
        assert!(line("change:").contains(change), "{}", run.stdout);
    }
    assert!(ACCOUNTS.iter().all(|(_, password)| !run.stdout.contains(password)));
    assert!(server.connections().is_empty());
}
