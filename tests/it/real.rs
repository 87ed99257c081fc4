//! Real programs at both ends: PHP's `mail()` and cron's call before the binary, Postfix with TLS and SASL behind it.

use crate::support::postfix::{Delivered, Postfix};
use crate::support::run::Home;
use crate::support::skip;
use std::path::Path;

const SHOP: (&str, &str) = ("shop@example.com", "sh0p secret");
const RELAY: (&str, &str) = ("relay@example.net", "r3lay secret");

/// A Postfix with two logins, and a home whose sender and default relay use them.
fn start(test: &str) -> Option<(Postfix, Home)> {
    let postfix = Postfix::start(test)?;
    let home = Home::new();
    for (user, password) in [SHOP, RELAY] {
        postfix.add_account(user, password);
        home.write(&format!("{user}.password"), format!("{password}\n"));
    }
    let account = |scheme: &str, port: u16, user: &str| {
        format!(
            "server = \"{scheme}://127.0.0.1:{port}\"\nca_file = \"{}\"\nuser = \"{user}\"\npassword = {{ file = \"{user}.password\" }}\n",
            postfix.ca_file.display()
        )
    };
    let config = format!(
        "domain = \"host.example\"\nlog = {{ to = \"off\" }}\n[default]\n{}must_match = true\non_mismatch = \"rewrite\"\n\
         [[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\n{}",
        account("ssl", postfix.tls_port, RELAY.0),
        account("smtp", postfix.starttls_port, SHOP.0)
    );
    Some((postfix, home.config(&config)))
}

fn text(message: &Delivered) -> String {
    String::from_utf8(message.text.clone()).unwrap()
}

#[test]
fn both_kinds_of_tls_and_both_accounts() {
    let Some((postfix, home)) = start("both_kinds_of_tls_and_both_accounts") else { return };
    let message = |from: &str| format!("From: {from}\nTo: you@example.org\nSubject: hello\n\n.\n..dots\nend\n");
    home.run("sendmail", &["-t", "-i"], message("shop@example.com")).expect(0);
    home.run("sendmail", &["-t", "-i"], message("other@example.com")).expect(0);
    let mut messages = postfix.messages(2);
    messages.sort_by_key(|message| message.from.clone());
    let [relay, shop] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((shop.from.as_str(), shop.account.as_deref()), ("shop@example.com", Some(SHOP.0)));
    assert_eq!((relay.from.as_str(), relay.account.as_deref()), ("relay@example.net", Some(RELAY.0)));
    for one in [shop, relay] {
        assert!(one.tls.as_deref().is_some_and(|tls| tls.starts_with("TLSv1.3")));
        assert!(text(one).ends_with("\n\n.\n..dots\nend\n"));
    }
    assert!(text(relay).contains("From: relay@example.net\n") && text(relay).contains("Reply-To: other@example.com\n"));
}

#[test]
fn php_mail_with_the_system_check_message() {
    let test = "php_mail_with_the_system_check_message";
    if !skip::require(test, "php") {
        return;
    }
    let Some((postfix, home)) = start(test) else { return };
    let sendmail = format!("sendmail_path={} -t -i", home.path("bin/sendmail").display());
    // The check of a big PHP product: a subject folded with a tab, a Bcc header, a body of 8,000 lines.
    let script = r#"
        $body = str_repeat("This is a line of the test message; 0123456789\n", 8000);
        var_dump(mail("you@example.org", "A subject that is so long that it was folded\r\n\twith a tab",
            $body, "From: shop@example.com\r\nBCC: hidden@example.org"));
        var_dump(mail("you@example.org", "refused", "x", "From: shop@example.com", "-a nobody"));
    "#;
    let run = home.program(Path::new("/usr/bin/php"), &["-n", "-d", &sendmail, "-r", script], "").expect(0);
    assert_eq!(run.stdout, "bool(true)\nbool(false)\n", "{}", run.stderr);
    let messages = postfix.messages(2);
    let mut to: Vec<&str> = messages.iter().map(|message| message.to.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, ["hidden@example.org", "you@example.org"]);
    for message in &messages {
        let text = text(message);
        assert!(
            text.contains("Subject: A subject that is so long that it was folded\n\twith a tab\n"),
            "{}",
            &text[..500]
        );
        assert!(!text.to_lowercase().contains("bcc"));
        assert_eq!(text.matches("This is a line of the test message; 0123456789\n").count(), 8000);
        assert_eq!((message.from.as_str(), message.account.as_deref()), ("shop@example.com", Some(SHOP.0)));
    }
}

#[test]
fn the_exact_call_of_cron() {
    let Some((postfix, home)) = start("the_exact_call_of_cron") else { return };
    let mail = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> /bin/true\nMIME-Version: 1.0\n\
                Content-Type: text/plain; charset=US-ASCII\nContent-Transfer-Encoding: 8bit\nX-Cron-Env: <HOME=/root>\n\noutput\n";
    home.run("sendmail", &["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"], mail).expect(0);
    let messages = postfix.messages(1);
    assert_eq!((messages[0].from.as_str(), messages[0].to.as_str()), (RELAY.0, "root@host.example"));
    assert!(text(&messages[0]).contains("From: Cron Daemon <relay@example.net>\n"), "{}", text(&messages[0]));
    assert!(text(&messages[0]).ends_with("\n\noutput\n"));
}

#[test]
fn an_msmtprc_alone_serves() {
    let Some((postfix, home)) = start("an_msmtprc_alone_serves") else { return };
    home.write(
        ".msmtprc",
        format!(
            "defaults\nauth on\ntls on\ntls_trust_file {}\nlogfile ~/msmtp.log\n\naccount shop\nhost 127.0.0.1\nport {}\n\
             from shop@example.com\nuser {}\npassword {}\n\naccount default : shop\n",
            postfix.ca_file.display(),
            postfix.starttls_port,
            SHOP.0,
            SHOP.1
        ),
    );
    std::fs::remove_file(home.path("postrider.toml")).unwrap();
    let home = home.env("POSTRIDER_CONFIG", "");
    for name in ["sendmail", "msmtp"] {
        home.run(name, &["-t", "-i"], "From: shop@example.com\nTo: you@example.org\n\nhello\n").expect(0);
    }
    let messages = postfix.messages(2);
    assert!(messages.iter().all(|message| message.account.as_deref() == Some(SHOP.0)));
    let log = std::fs::read_to_string(home.path("msmtp.log")).unwrap();
    assert_eq!(log.matches(" exitcode=EX_OK\n").count(), 2, "{log}");
    assert!(log.contains(
        "host=127.0.0.1 tls=on auth=on user=shop@example.com from=shop@example.com recipients=you@example.org mailsize="
    ));
}
