//! Real programs that speak SMTP: swaks, Python's smtplib, s-nail, PHPMailer, Postfix's smtp-source.

use super::{certificate, listen, ports, users};
use crate::daemon::{Daemon, taking, until};
use crate::support::run::Finished;
use crate::support::server::Server;
use crate::support::skip;
use std::path::Path;

/// A daemon that wants STARTTLS and a login, its port, and the authority's file.
struct Site {
    server: Server,
    daemon: Daemon,
    port: u16,
    directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let (server, directory) = (taking(), tempfile::tempdir().unwrap());
        let (_, tls) = certificate(directory.path());
        let daemon =
            Daemon::start(&server, &listen(&format!("tls = \"starttls\"\nauth = \"required\"\n{tls}{}", users())));
        let port = ports(&daemon, 1)[0];
        Self { server, daemon, port, directory }
    }

    fn ca(&self) -> String {
        self.directory.path().join("ca.pem").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Finished {
        let arguments = [&[program], arguments].concat();
        self.daemon.home().program(Path::new("/usr/bin/env"), &arguments, input)
    }

    /// The one message, from the shop to the customer, over TLS and with a login.
    #[track_caller]
    fn arrived(&self) {
        until("it arrives", || !self.server.messages().is_empty());
        let messages = self.server.messages();
        let text = String::from_utf8_lossy(&messages[0].text).into_owned();
        assert_eq!(messages.len(), 1, "{text}");
        assert_eq!(
            (messages[0].from.as_str(), messages[0].recipients[0].as_str()),
            ("shop@example.com", "customer@example.org")
        );
        assert!(text.contains(" with ESMTPSA\r\n") && text.contains("\r\nSubject: hello\r\n"), "{text}");
        assert!(text.contains("\r\nfirst line\r\n.\r\n..two\r\n"), "{text}");
    }
}

const BODY: &str = "first line\n.\n..two\nlast line\n";

#[test]
fn swaks() {
    if !skip::require("listener::clients::swaks", "swaks") {
        return;
    }
    let site = Site::new();
    let port = site.port.to_string();
    let data = site.directory.path().join("data");
    std::fs::write(&data, format!("From: shop@example.com\nTo: customer@example.org\nSubject: hello\n\n{BODY}"))
        .unwrap();
    let data = format!("@{}", data.display());
    let run = |password: &str| {
        let arguments =
            ["--server", "127.0.0.1", "--port", &port, "--tls", "--tls-ca-path", &site.ca(), "--auth", "LOGIN"]
                .map(str::to_owned);
        let rest = ["--auth-user", "app", "--auth-password", password, "--from", "shop@example.com", "--to"];
        let all: Vec<&str> =
            arguments.iter().map(String::as_str).chain(rest).chain(["customer@example.org", "--data", &data]).collect();
        site.run("swaks", &all, "")
    };
    let finished = run("wrong");
    assert!(finished.status != 0 && finished.stdout.contains("535 5.7.8"), "{}{}", finished.stdout, finished.stderr);
    let finished = run("tanstaaf").expect(0);
    assert!(finished.stdout.contains("250 2.0.0 Ok, queued as"), "{}", finished.stdout);
    site.arrived();
}

#[test]
fn python_smtplib() {
    if !skip::require("listener::clients::python_smtplib", "python3") {
        return;
    }
    let site = Site::new();
    let script = "import smtplib, ssl, sys
from email.message import EmailMessage
m = EmailMessage()
m['From'], m['To'], m['Subject'] = 'shop@example.com', 'customer@example.org', 'hello'
m.set_content(sys.stdin.read())
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as s:
    s.starttls(context=ssl.create_default_context(cafile=sys.argv[2]))
    s.login('app', 'tanstaaf')
    s.send_message(m)
    try:
        m.replace_header('From', 'other@example.com')
        s.send_message(m)
    except smtplib.SMTPDataError as e:
        print(e.smtp_code)
";
    let finished = site.run("python3", &["-c", script, &site.port.to_string(), &site.ca()], BODY).expect(0);
    assert_eq!(finished.stdout, "550\n");
    site.arrived();
}

#[test]
fn s_nail() {
    if !skip::require("listener::clients::s_nail", "s-nail") {
        return;
    }
    let site = Site::new();
    let mta = format!("mta=smtp://app:tanstaaf@localhost:{}", site.port);
    let ca = format!("tls-ca-file={}", site.ca());
    let arguments = [
        "-:/",
        "-S",
        "v15-compat",
        "-S",
        "sendwait",
        "-S",
        "nosave",
        "-S",
        &mta,
        "-S",
        "smtp-use-starttls",
        "-S",
        "smtp-auth=plain",
        "-S",
        &ca,
        "-r",
        "shop@example.com",
        "-s",
        "hello",
        "customer@example.org",
    ];
    site.run("s-nail", &arguments, BODY).expect(0);
    site.arrived();
}

#[test]
fn phpmailer() {
    if !skip::require("listener::clients::phpmailer", "libphp-phpmailer") {
        return;
    }
    let site = Site::new();
    let script = "require '/usr/share/php/libphp-phpmailer/autoload.php';
$m = new PHPMailer\\PHPMailer\\PHPMailer(true);
$m->isSMTP(); $m->Host = '127.0.0.1'; $m->Port = (int)$argv[1]; $m->SMTPAuth = true; $m->SMTPSecure = 'tls';
$m->Username = 'app'; $m->Password = 'tanstaaf'; $m->SMTPOptions = ['ssl' => ['cafile' => $argv[2]]];
$m->setFrom('shop@example.com'); $m->addAddress('customer@example.org'); $m->Subject = 'hello';
$m->Body = stream_get_contents(STDIN); $m->SMTPKeepAlive = true; $m->send();
try { $m->setFrom('other@example.com'); $m->send(); } catch (Exception $e) { echo $m->ErrorInfo; }";
    let finished = site.run("php", &["-r", script, "--", &site.port.to_string(), &site.ca()], BODY).expect(0);
    assert!(finished.stdout.contains("is not for user app"), "{}", finished.stdout);
    site.arrived();
}

#[test]
fn postfix_smtp_source() {
    if !skip::require("listener::clients::postfix_smtp_source", "smtp-source") {
        return;
    }
    let server = taking();
    let daemon = Daemon::start(&server, &listen(""));
    let port = format!("127.0.0.1:{}", ports(&daemon, 1)[0]);
    // 200 messages over 20 connections, each of two recipients, and several in a connection.
    let arguments = [
        "-d",
        "-s",
        "20",
        "-m",
        "200",
        "-r",
        "2",
        "-l",
        "2000",
        "-f",
        "shop@example.com",
        "-t",
        "you@example.org",
        &port,
    ];
    daemon.home().program(Path::new("/usr/sbin/smtp-source"), &arguments, "").expect(0);
    until("none is lost", || server.messages().len() >= 200);
    assert_eq!(server.messages().len(), 200);
    assert!(server.messages().iter().all(|message| message.recipients.len() == 2));
}
