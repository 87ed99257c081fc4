//! The original program and the import of its configuration, side by side: the same message to the same server, and the same
//! login, TLS, envelope and text arrive. What a program stamps on each message (Received, Message-ID, Date) may differ.

use super::place::Place;
use crate::support::original::Original;
use crate::support::postfix_client::PostfixClient;
use crate::support::server::{Connection, Server};
use openssl::ssl::SslVersion;
use std::time::Duration;

/// What of a connection must be the same.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    tls: Option<String>,
    account: Option<String>,
    from: String,
    recipients: Vec<String>,
    fields: Vec<String>,
    body: String,
}

fn sent(connection: &Connection) -> Sent {
    let [message] = connection.messages.as_slice() else { panic!("{connection:?}") };
    let text = String::from_utf8(message.text.clone()).unwrap();
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    let stamped = |field: &str| {
        let name = field.split(':').next().unwrap_or_default().to_lowercase();
        matches!(name.as_str(), "received" | "message-id" | "date")
    };
    let header = header.replace("\r\n\t", " ").replace("\r\n ", " ");
    let mut fields: Vec<String> = header.split("\r\n").filter(|field| !stamped(field)).map(str::to_owned).collect();
    fields.sort();
    let mut recipients = message.recipients.clone();
    recipients.sort();
    Sent {
        tls: connection.tls.clone(),
        account: connection.account.clone(),
        from: message.from.clone(),
        recipients,
        fields,
        body: body.to_owned(),
    }
}

/// The last connection that brought a message, once there are `count` of them.
fn last(server: &Server, count: usize) -> Sent {
    for _ in 0..300 {
        let all: Vec<Connection> =
            server.connections().into_iter().filter(|connection| !connection.messages.is_empty()).collect();
        if all.len() >= count {
            return sent(&all[count - 1]);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("message {count} did not come: {:?}", server.connections());
}

fn message(from: &str) -> String {
    format!(
        "From: {from}\nTo: Somebody <you@example.org>\nCc: other@example.org\nSubject: =?utf-8?Q?x?=\nX-Field: long\n  line\n\
         Message-ID: <1@x>\nDate: Sun, 1 Nov 2026 10:00:00 +0000\n\nhello\n.dot\n..\nlast\n"
    )
}

/// Both send it, each by its own way, and the same arrives.
fn compare(server: &Server, what: &str, original: impl FnOnce(), import: impl FnOnce()) {
    let messages = || server.connections().iter().filter(|connection| !connection.messages.is_empty()).count();
    let before = messages();
    original();
    let theirs = last(server, before + 1);
    import();
    assert_eq!(last(server, before + 2), theirs, "{what}");
}

#[test]
fn msmtp() {
    let place = Place::new();
    let Some(original) = Original::new("import::originals::msmtp", &place.home, "msmtp") else { return };
    let rc = "defaults\nauth plain\ntls on\ntls_trust_file CA_PEM\nhost 127.0.0.1\nport STARTTLS_PORT\ntimeout 20\n\
              account shop\nfrom shop@example.com\nuser shop@example.com\npassword tanstaaf2\n\
              account news\nport TLS_PORT\ntls_starttls off\nfrom news@example.com\nuser news\npasswordeval cat CA_PEM.news\n\
              account clear\ntls off\nauth login\nport CLEAR_PORT\nfrom anna@example.com\nuser anna\npassword tanstaaf4\n\
              account default\nfrom robot@example.com\nuser robot\npassword tan:st'aaf \"1\n";
    place.home.write("ca.pem.news", "tanstaaf3\n");
    place.source("msmtprc", rc).import("msmtp", &["msmtprc"], &[]);
    let rc = place.home.path("source/msmtprc");
    for (account, local, server) in [
        ("default", "robot", &place.starttls),
        ("shop", "shop", &place.starttls),
        ("news", "news", &place.tls),
        ("clear", "anna", &place.clear),
    ] {
        let message = message(&format!("{local}@example.com"));
        let theirs = ["msmtp", "-C", rc.to_str().unwrap(), "-a", account, "-t", "-i"];
        compare(
            server,
            account,
            || drop(original.run(&theirs, &message).expect(0)),
            || drop(place.send(&["-t", "-i"], &message)),
        );
    }
}

#[test]
fn ssmtp() {
    let place = Place::new();
    let Some(original) = Original::new("import::originals::ssmtp", &place.home, "ssmtp") else { return };
    let configurations = [
        (
            "mailhub=127.0.0.1:STARTTLS_PORT\nUseTLS=YES\nUseSTARTTLS=YES\nTLS_CA_File=CA_PEM\nAuthUser=news\n\
             AuthPass=tanstaaf3\nFromLineOverride=YES\nAuthMethod=LOGIN\nrewriteDomain=example.com\n",
            &place.starttls,
            "Any One <any@example.net>",
        ),
        (
            "mailhub=127.0.0.1\nMailHub=127.0.0.1:CLEAR_PORT\nAuthUser=anna\nAuthPass=tanstaaf4\nFromLineOverride=YES\n",
            &place.clear,
            "any@example.net",
        ),
    ];
    for (text, server, from) in configurations {
        place.source("ssmtp.conf", text).import("ssmtp", &["ssmtp.conf"], &[]);
        original.etc("ssmtp/ssmtp.conf", &place.filled(text));
        let message = message(from);
        compare(
            server,
            text,
            || drop(original.run(&["ssmtp", "-t", "-i"], &message).expect(0)),
            || drop(place.send(&["-t", "-i"], &message)),
        );
    }
}

/// Without FromLineOverride the caller's line of revaliases is the envelope's sender. Here the message's From goes with it,
/// as the import says.
#[test]
fn ssmtp_with_its_own_sender() {
    let place = Place::new();
    let test = "import::originals::ssmtp_with_its_own_sender";
    let Some(original) = Original::new(test, &place.home, "ssmtp") else { return };
    let text = "mailhub=127.0.0.1:CLEAR_PORT\nAuthUser=anna\nAuthPass=tanstaaf4\n";
    let revaliases = "root:robot@example.com\n";
    place.source("ssmtp.conf", text).source("revaliases", revaliases).import("ssmtp", &["ssmtp.conf"], &[]);
    original.etc("ssmtp/ssmtp.conf", &place.filled(text));
    original.etc("ssmtp/revaliases", revaliases);
    let message = message("any@example.net");
    original.run(&["ssmtp", "-t", "-i"], &message).expect(0);
    let theirs = last(&place.clear, 1);
    place.send(&["-t", "-i"], &message);
    let ours = last(&place.clear, 2);
    assert_eq!(ours.from, "robot@example.com");
    assert_eq!((&ours.account, &ours.from, &ours.recipients), (&theirs.account, &theirs.from, &theirs.recipients));
    let has = |sent: &Sent, field: &str| sent.fields.iter().any(|one| one == field);
    assert!(has(&theirs, "From: any@example.net"), "{theirs:?}");
    assert!(has(&ours, "From: robot@example.com") && has(&ours, "Reply-To: any@example.net"), "{ours:?}");
}

#[test]
fn nullmailer() {
    let place = Place::new();
    let Some(original) = Original::new("import::originals::nullmailer", &place.home, "nullmailer") else { return };
    // The first remote is not there, and the second takes it.
    let remotes = "127.0.0.1 smtp --port=1 OPTIONS\n127.0.0.1 smtp --port=STARTTLS_PORT OPTIONS\n"
        .replace("OPTIONS", "--starttls --x509cafile=CA_PEM --user=robot --pass=\"tan:st'aaf \\\"1\" --auth-login");
    place.source("remotes", &remotes).source("me", "box.example.com\n").import("nullmailer", &[""], &[]);
    original.etc("nullmailer/remotes", &place.filled(&remotes));
    // Debian's build reads this one in place of `me`.
    original.etc("mailname", "box.example.com\n");
    let send = "mkfifo -m 622 /var/spool/nullmailer/trigger\nchown -R mail: /var/spool/nullmailer\n\
                nullmailer-inject -f \"$1\" || exit 1\nnullmailer-send >/tmp/said.$$ 2>&1 &\n\
                for _ in $(seq 100); do [ -n \"$(ls /var/spool/nullmailer/queue)\" ] || break; sleep 0.1; done\nkill $!";
    for from in ["any@example.net", "root@box.example.com"] {
        let message = message(from);
        let theirs = ["/bin/sh", "-c", send, "sh", from];
        compare(
            &place.starttls,
            from,
            || drop(original.run(&theirs, &message).expect(0)),
            || drop(place.send(&["-t", "-i", "-f", from], &message)),
        );
    }
}

#[test]
fn dma() {
    let place = Place::new();
    let Some(original) = Original::new("import::originals::dma", &place.home, "dma") else { return };
    let auth = "robot|127.0.0.1:tan:st'aaf \"1\n";
    let configurations = [
        (
            "SMARTHOST 127.0.0.1\nPORT TLS_PORT\nAUTHPATH /etc/dma/auth.conf\nSECURETRANSFER\nFINGERPRINT DIGEST\n\
             MAILNAME box.example.com\nNULLCLIENT\n",
            &place.tls,
        ),
        (
            "SMARTHOST 127.0.0.1\nPORT STARTTLS_PORT\nAUTHPATH /etc/dma/auth.conf\nSECURETRANSFER\nSTARTTLS\nFINGERPRINT DIGEST\n",
            &place.starttls,
        ),
        ("SMARTHOST 127.0.0.1\nPORT CLEAR_PORT\nAUTHPATH /etc/dma/auth.conf\nINSECURE\n", &place.clear),
    ];
    original.etc("dma/auth.conf", auth);
    place.source("auth.conf", auth);
    for (text, server) in configurations {
        original.etc("dma/dma.conf", &place.filled(text));
        let text = text.replace("/etc/dma/auth.conf", "auth.conf");
        place.source("dma.conf", &text).import("dma", &["dma.conf"], &[]);
        // It sends once a recipient.
        let message = message("any@example.net").replace("Cc: other@example.org\n", "");
        let theirs = "chown root:mail /var/spool/dma; chmod 2775 /var/spool/dma; dma -D -i -t -f any@example.net";
        compare(
            server,
            &text,
            || drop(original.shell(theirs, &message).expect(0)),
            || drop(place.send(&["-t", "-i", "-f", "any@example.net"], &message)),
        );
    }
}

#[test]
fn esmtp() {
    // In TLS 1.3 its library waits now and then for what it has read already.
    let place = Place::with(|script| script.tls_versions(SslVersion::TLS1_2, SslVersion::TLS1_2));
    let Some(original) = Original::new("import::originals::esmtp", &place.home, "esmtp") else { return };
    // Its library compares the certificate with names alone, and looks for authorities in one place.
    let rc = "hostname=localhost:STARTTLS_PORT\nusername=news\npassword=\"tanstaaf3\"\nstarttls=required\n\
              identity = shop@example.com\n hostname = localhost:CLEAR_PORT\n username = \"shop@example.com\"\n password = tanstaaf2\n";
    place.source("esmtprc", rc).import("esmtp", &["esmtprc"], &[]);
    place.home.write("theirs/.esmtprc", place.filled(rc));
    let ca = std::fs::read(place.home.path("ca.pem")).unwrap();
    place.home.write("theirs/.config/libesmtp/ca.pem", ca);
    let home = format!("HOME={}", place.home.path("theirs").display());
    for (from, server) in [("any@example.net", &place.starttls), ("shop@example.com", &place.clear)] {
        let message = message(from);
        let arguments = ["-f", from, "you@example.org", "other@example.org"];
        let theirs = [&["env", &home, "timeout", "20", "esmtp"], arguments.as_slice()].concat();
        compare(
            server,
            from,
            || drop(original.run(&theirs, &message).expect(0)),
            || drop(place.send(&[&["-i"], arguments.as_slice()].concat(), &message)),
        );
    }
}

/// Two relay hosts by sender, a service of its own with `-o` settings, and TLS by destination.
const MAIN: &str = "myhostname = box.example.com\nmyorigin = example.com\nrelayhost = [127.0.0.1]:STARTTLS_PORT\n\
    smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = texthash:$config_directory/logins\n\
    smtp_sender_dependent_authentication = yes\nsender_dependent_relayhost_maps = texthash:$config_directory/relays\n\
    sender_dependent_default_transport_maps = texthash:$config_directory/transports\n\
    smtp_tls_policy_maps = texthash:$config_directory/policy\nsmtp_tls_security_level = verify\nsmtp_tls_CAfile = CA_PEM\n";
const MASTER: &str = "smtp unix - - n - - smtp\nwrapped unix - - n - - smtp\n  -o smtp_tls_wrappermode=yes\n\
    \x20 -o { smtp_tls_security_level = verify } -o smtp_helo_name=wrapped.example.com\n";
const SASL: &str = "[127.0.0.1]:STARTTLS_PORT robot:tan:st'aaf \"1\n[127.0.0.1]:TLS_PORT news:tanstaaf3\n\
    [127.0.0.1]:CLEAR_PORT anna:tanstaaf4\nshop@example.com shop@example.com:tanstaaf2\n";
const RELAYS: &str = "anna@example.com [127.0.0.1]:CLEAR_PORT\nother@example.com DUNNO\n";
const TRANSPORTS: &str = "news@example.com wrapped:[127.0.0.1]:TLS_PORT\n";
const POLICY: &str = "[127.0.0.1]:CLEAR_PORT none\n[127.0.0.1]:STARTTLS_PORT secure match=localhost\n";

#[test]
fn postfix() {
    let place = Place::new();
    let texts = [
        ("main.cf", MAIN),
        ("master.cf", MASTER),
        ("logins", SASL),
        ("relays", RELAYS),
        ("transports", TRANSPORTS),
        ("policy", POLICY),
    ];
    let files = texts.map(|(name, text)| (name, place.filled(text)));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let Some(original) = PostfixClient::start("import::originals::postfix", &files) else { return };
    let write = format!("--write={}", place.home.path("etc").display());
    let main = original.etc("main.cf").display().to_string();
    let run = place.home.run("postrider", &["import", "postfix", &main, &write], "").expect(0);
    assert!(!run.stderr.contains("policy"), "{}", run.stderr);
    place.imported();
    for (local, server) in [
        ("any", &place.starttls),
        ("other", &place.starttls),
        ("shop", &place.starttls),
        ("anna", &place.clear),
        ("news", &place.tls),
    ] {
        let from = format!("{local}@example.com");
        let message = message(&from);
        let arguments = ["-i", "-t", "-f", from.as_str()];
        compare(server, local, || original.send(&arguments, &message), || drop(place.send(&arguments, &message)));
    }
    let greeting = place.tls.connections().pop().unwrap().commands.swap_remove(0);
    assert_eq!(greeting, "EHLO wrapped.example.com");
}
