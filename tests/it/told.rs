//! What is told: the log, the transcripts, the one line on stderr; and that no secret is in any of it.

use crate::daemon::{Daemon, until};
use crate::support::certs::{Authority, Kind};
use crate::support::run::{Finished, Home};
use crate::support::script::{Fault, Script};
use crate::support::server::Server;
use std::os::unix::fs::PermissionsExt;

const PASSWORD: &str = "c0rrect-h0rse";
const MESSAGE: &str = "From: shop@example.com\nTo: you@example.org\n\nbody text\n";

fn server(authority: &Authority, mechanism: &str) -> Server {
    let script = Script::new().starttls(&authority.issue(Kind::Valid)).offer("PIPELINING");
    script.auth("shop", PASSWORD, &[mechanism]).start()
}

fn home(server: &Server, authority: &Authority, top: &str, sender: &str) -> Home {
    let home = Home::new();
    home.write("ca.pem", authority.pem());
    home.write("password", PASSWORD);
    let port = server.port;
    let top = top.replace("@HOME", &home.path("").display().to_string());
    home.config(&format!(
        "{top}\n[[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\nserver = \"smtp://127.0.0.1:{port}\"\n\
         ca_file = \"ca.pem\"\nuser = \"shop\"\npassword = {{ file = \"password\" }}\n{sender}\n"
    ))
}

/// Neither the password nor any base64 form that it goes out in.
#[track_caller]
fn no_secret(text: &str) {
    let forms =
        [format!("\0shop\0{PASSWORD}"), PASSWORD.into(), format!("user=shop\x01auth=Bearer {PASSWORD}\x01\x01")];
    assert!(!text.contains(PASSWORD), "{text}");
    for form in forms {
        assert!(!text.contains(&openssl::base64::encode_block(form.as_bytes())), "{text}");
    }
}

#[test]
fn the_dialogue_is_shown_without_secrets() {
    let authority = Authority::new();
    for mechanism in ["PLAIN", "LOGIN", "XOAUTH2"] {
        let server = server(&authority, mechanism);
        let auth = if mechanism == "XOAUTH2" { "auth = \"xoauth2\"" } else { "" };
        let sender = format!("debug = true\nlog_file = \"shop.log\"\n{auth}");
        let home = home(&server, &authority, "log = { to = \"off\" }", &sender);
        let run = home.run("sendmail", &["-v", "-t"], MESSAGE).expect(0);
        let file = std::fs::read_to_string(home.path("shop.log")).unwrap();
        for text in [&run.stderr, &file] {
            no_secret(text);
            assert!(text.contains("EHLO") && text.contains("[hidden]") && text.contains("235 "), "{text}");
            assert!(text.contains("DATA") && !text.contains("body text"), "the message is not in it: {text}");
        }
        assert!(file.contains("to you@example.org sent: 250 2.0.0"), "{file}");
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_refused_login_says_why_and_no_secret() {
    let authority = Authority::new();
    let server = Script::new()
        .starttls(&authority.issue(Kind::Valid))
        .auth("shop", "other", &["PLAIN"])
        .reply("AUTH", &format!("535 5.7.8 no such login as {PASSWORD}"))
        .start();
    let home = home(&server, &authority, "log = { to = \"stderr\" }", "");
    let run = home.run("sendmail", &["-v", "-t"], MESSAGE).expect(77);
    no_secret(&run.stderr);
    assert!(run.stderr.contains("AUTH: the login was refused: 535 5.7.8"), "{}", run.stderr);
}

/// Every form in which a server may give back what it has learned.
fn repeated() -> String {
    let encoded = |text: String| openssl::base64::encode_block(text.as_bytes());
    let plain = encoded(format!("\0shop\0{PASSWORD}"));
    format!(
        "{PASSWORD} {} {plain} {} {} {}",
        encoded(PASSWORD.into()),
        encoded(format!("shop:{PASSWORD}")),
        encoded(format!("x{PASSWORD}yz")),
        plain.trim_end_matches('=').replace('+', "-").replace('/', "_"),
    )
}

/// As `no_secret`, and what can be made out of any run of base64.
#[track_caller]
fn nothing_of_it(text: &str) {
    no_secret(text);
    for run in text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/-_".contains(c))).filter(|run| run.len() > 3) {
        let run = run.replace('-', "+").replace('_', "/");
        for start in 0..4.min(run.len()) {
            let whole = &run[start..run.len() - (run.len() - start) % 4];
            let octets = openssl::base64::decode_block(whole).unwrap_or_default();
            let found = octets.windows(6).any(|piece| PASSWORD.as_bytes().windows(6).any(|of| of == piece));
            assert!(!found, "{run}: {text}");
        }
    }
}

#[test]
fn what_a_server_repeats_after_the_login_stays_hidden() {
    let authority = Authority::new();
    let said = repeated();
    for (point, code, status) in
        [("MAIL", 550, 69), ("RCPT", 550, 67), ("RCPT", 350, 76), ("DATA", 554, 69), ("DOT", 554, 69), ("QUIT", 221, 0)]
    {
        let script = Script::new().starttls(&authority.issue(Kind::Valid)).auth("shop", PASSWORD, &["PLAIN"]);
        let server = script.reply(point, &format!("{code}-5.7.1 no {said}\r\n{code} {said}")).start();
        let home = home(&server, &authority, "log = { to = \"@HOME/log\" }", "debug = true\nlog_file = \"shop.log\"");
        let run = home.run("sendmail", &["-v", "-t"], MESSAGE).expect(status);
        let read = |name: &str| std::fs::read_to_string(home.path(name)).unwrap();
        for text in [run.stderr, read("log"), read("shop.log")] {
            nothing_of_it(&text);
        }
        assert!(read("shop.log").contains("[hidden]"), "{point}");
    }
    // What is no reply is quoted as well.
    let script = Script::new().starttls(&authority.issue(Kind::Valid)).auth("shop", PASSWORD, &["PLAIN"]);
    let server = script.on("RCPT", Fault::Raw(format!("{said}\r\n").into_bytes())).start();
    let home = home(&server, &authority, "log = { to = \"@HOME/log\" }", "");
    let run = home.run("sendmail", &["-v", "-t"], MESSAGE).expect(76);
    assert!(run.stderr.contains("no SMTP reply"), "{}", run.stderr);
    nothing_of_it(&run.stderr);
    let run = home.run("postrider", &["test", "shop"], "");
    nothing_of_it(&format!("{}{}", run.stdout, run.stderr));
}

#[test]
fn what_a_server_repeats_over_a_kept_connection_stays_hidden() {
    let authority = Authority::new();
    let said = repeated();
    let server = Script::new()
        .starttls(&authority.issue(Kind::Valid))
        .auth("shop", PASSWORD, &["PLAIN"])
        .on_nth("RCPT", 1, Fault::Reply("250 ok".into()))
        .on_nth("CONNECT", 2, Fault::Reply(format!("421 {said}")))
        .reply("RCPT", &format!("550 5.1.1 {said}"))
        .start();
    let daemon = Daemon::start_with(&server, |place| {
        let write = |name: &str, text: &[u8]| {
            std::fs::write(format!("{place}/{name}"), text).unwrap();
            std::fs::set_permissions(format!("{place}/{name}"), std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("ca.pem", &authority.pem());
        write("password", PASSWORD.as_bytes());
        format!(
            "debug = true\nlog_file = \"{place}/shop.log\"\n[[sender]]\nname = \"tls\"\nfrom = \"tls@example.com\"\n\
             server = \"smtp://127.0.0.1:{}\"\nca_file = \"{place}/ca.pem\"\nuser = \"shop\"\n\
             password = {{ file = \"{place}/password\" }}\ndebug = true\nlog_file = \"{place}/tls.log\"\n\
             idle = \"60s\"\nmessages_per_connection = 2\n",
            server.port
        )
    });
    let home = daemon.home();
    let message = MESSAGE.replace("shop@", "tls@");
    home.run("sendmail", &["-t"], &message).expect(0);
    until("the first is sent", || server.messages().len() == 1);
    home.run("sendmail", &["-t"], &message).expect(0);
    until("the second is refused", || daemon.log().contains("550 5.1.1"));
    let asked = || server.connections()[0].verbs().iter().filter(|verb| *verb == "RCPT").count();
    assert_eq!(asked(), 2, "over the connection that is kept");
    // The bounce needs a new one, whose greeting repeats what an earlier one was told.
    until("the bounce is deferred", || daemon.log().contains("421 [hidden]"));
    let mut told = vec![daemon.log(), std::fs::read_to_string(daemon.path("tls.log")).unwrap()];
    for arguments in [&["stats"][..], &["queue", "list", "--json"], &["status"], &["senders"], &["queue", "list"]] {
        let run = home.run("postrider", arguments, "");
        told.push(format!("{}{}", run.stdout, run.stderr));
    }
    told.push(home.run("mailq", &["-v"], "").stdout);
    for text in &told {
        nothing_of_it(text);
    }
    for file in ["queue.db", "queue.db-wal"] {
        let octets = std::fs::read(daemon.path("queue").join(file)).unwrap_or_default();
        nothing_of_it(&String::from_utf8_lossy(&octets));
    }
}

#[test]
fn the_log_has_one_line_a_message() {
    let authority = Authority::new();
    let server = server(&authority, "PLAIN");
    let text = home(&server, &authority, "log = { to = \"stderr\" }", "");
    let run = text.run("sendmail", &["-Lcampaign", "-t"], MESSAGE).expect(0);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    for part in
        ["INFO", "sent", "shop@example.com", "you@example.org", "sender=\"shop\"", "campaign", "250 2.0.0", "STARTTLS"]
    {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let json = home(&server, &authority, "log = { to = \"@HOME/log\", format = \"json\" }", "");
    json.run("sendmail", &["-t"], MESSAGE).expect(0);
    json.run("sendmail", &["-t"], MESSAGE.replace("To: you", "To: <yo u")).expect(65);
    let lines = std::fs::read_to_string(json.path("log")).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with('{') && lines[0].contains("\"sender\":\"shop\"") && lines[0].contains("\"exit\":0"));
    assert!(lines[1].contains("\"exit\":65") && lines[1].contains("is no address"), "{}", lines[1]);
}

#[test]
fn an_unwritable_log_never_loses_mail() {
    let authority = Authority::new();
    let server = server(&authority, "PLAIN");
    let sender = "debug = true\nlog_file = \"/proc/nowhere/shop.log\"";
    for log in ["/nonexistent/dir/log", "/dev/full", "/"] {
        let home = home(&server, &authority, &format!("log = {{ to = \"{log}\" }}"), sender);
        let run = home.run("sendmail", &["-t"], MESSAGE).expect(0);
        assert_eq!(run.stderr, "", "silence on success");
    }
    assert_eq!(server.messages().len(), 3);
}

#[test]
fn secrets_are_fetched_with_care() {
    let authority = Authority::new();
    let server = server(&authority, "PLAIN");
    let with = |password: &str| -> Home {
        let home = Home::new();
        home.write("ca.pem", authority.pem());
        home.write("password", PASSWORD);
        let port = server.port;
        home.config(&format!(
            "log = {{ to = \"off\" }}\n[[sender]]\nfrom = \"shop@example.com\"\nserver = \"smtp://127.0.0.1:{port}\"\n\
             ca_file = \"ca.pem\"\nuser = \"shop\"\npassword = {password}\n"
        ))
        .env("MAIL_PASSWORD", PASSWORD)
    };
    let send = |password: &str| -> Finished { with(password).run("sendmail", &["-t"], MESSAGE) };
    send("{ file = \"password\" }").expect(0);
    send(&format!("{{ command = [\"printf\", \"%s\\\\nnoise\", \"{PASSWORD}\"] }}")).expect(0);
    send(&format!("{{ command = \"cat; echo {PASSWORD}\" }}")).expect(0);
    send("{ env = \"MAIL_PASSWORD\" }").expect(0);
    send(&format!("\"{PASSWORD}\"")).expect(0);
    assert_eq!(server.messages().len(), 5);
    let text = String::from_utf8(server.messages()[2].text.clone()).unwrap();
    assert!(text.ends_with("body text\r\n"), "a command does not eat the message");

    let credentials = with("{ credential = \"shop\" }");
    credentials.write("credentials/shop", PASSWORD);
    let directory = credentials.path("credentials");
    credentials.env("CREDENTIALS_DIRECTORY", directory).run("sendmail", &["-t"], MESSAGE).expect(0);

    let open = with("{ file = \"password\" }");
    std::fs::set_permissions(open.path("password"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let run = open.run("sendmail", &["-t"], MESSAGE).expect(78);
    assert!(run.stderr.contains("0644") && run.stderr.contains("chmod 0640"), "{}", run.stderr);
    let check = open.run("postrider", &["check"], "").expect(2);
    assert!(check.stdout.contains("chmod 0640"), "{}", check.stdout);
    let run = send("{ env = \"NOT_SET\" }").expect(78);
    assert!(run.stderr.contains("NOT_SET"), "{}", run.stderr);
    let run = send("{ command = [\"sh\", \"-c\", \"echo broken >&2; exit 3\"] }").expect(78);
    assert!(run.stderr.contains("broken"), "{}", run.stderr);
    assert_eq!(server.messages().len(), 6);
}

#[test]
fn syslog_gets_the_line() {
    let test = "syslog_gets_the_line";
    let path = std::path::Path::new("/dev/log");
    if !crate::support::skip::require(test, "root") {
        return;
    }
    if path.exists() {
        return crate::support::skip::because(test, "this machine has a syslog of its own");
    }
    let socket = std::os::unix::net::UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let authority = Authority::new();
    let server = server(&authority, "PLAIN");
    home(&server, &authority, "", "").run("sendmail", &["-Lsyslog-test", "-t"], MESSAGE).expect(0);
    let mut datagram = [0; 8192];
    let line = loop {
        // Other tests may log at the same time.
        let size = socket.recv(&mut datagram).unwrap();
        let line = String::from_utf8_lossy(&datagram[..size]).into_owned();
        if line.contains("syslog-test") {
            break line;
        }
    };
    std::fs::remove_file(path).unwrap();
    assert!(line.starts_with("<21>"), "facility mail, severity notice: {line}");
    assert!(line.contains("postrider/sendmail[") && line.contains("sender=\"shop\""), "{line}");
    no_secret(&line);
}
