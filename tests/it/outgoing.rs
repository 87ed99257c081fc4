//! What a sender changes in its messages: Reply-To, fields of its own, fields taken out, copies for an archive.

use crate::support::run::Home;
use crate::support::script::Script;
use crate::support::server::Server;

fn home(server: &Server, keys: &str) -> Home {
    let config = format!(
        "domain = \"host.example\"\nlog = {{ to = \"off\" }}\n[default]\nserver = \"smtp+plain://127.0.0.1:{0}\"\n\
         [[sender]]\nname = \"shop\"\nfrom = \"shop@example.com\"\nserver = \"smtp+plain://127.0.0.1:{0}\"\n{keys}\n",
        server.port
    );
    Home::new().config(&config)
}

/// Recipients and text of what arrived for a message with these further fields.
fn sent(server: &Server, home: &Home, fields: &str) -> (Vec<String>, String) {
    let mail = format!("From: shop@example.com\nTo: you@example.org\nSubject: x\n{fields}\nhello\n");
    home.run("sendmail", &["-t", "-i"], mail).expect(0);
    let message = server.messages().pop().unwrap();
    (message.recipients, String::from_utf8_lossy(&message.text).into_owned())
}

#[test]
fn the_archive_gets_a_copy_that_nobody_sees() {
    let server = Script::new().offer("DSN").start();
    let home = home(&server, "bcc = [\"archive@example.com\", \"second@example.com\"]");
    let (recipients, text) = sent(&server, &home, "");
    assert_eq!(recipients, ["you@example.org", "archive@example.com", "second@example.com"]);
    assert!(!text.contains("archive") && !text.contains("Bcc"), "{text}");
    assert_eq!(server.messages().len(), 1, "one transaction");
    // Once, though it is a recipient already; and not what comes back from the archive.
    assert_eq!(sent(&server, &home, "Cc: archive@example.com\n").0.len(), 3);
    let again = sent(&server, &home, "Delivered-To: archive@example.com\n").0;
    assert_eq!(again, ["you@example.org", "second@example.com"]);
    // Not of reports, and not of other senders' messages.
    let report = "From: shop@example.com\nTo: you@example.org\n\nreport\n";
    home.run("sendmail", &["-t", "-i", "-f", "<>"], report).expect(0);
    assert_eq!(server.messages().pop().unwrap().recipients, ["you@example.org"]);
    home.run("sendmail", &["-t", "-i"], report.replace("shop@", "other@")).expect(0);
    assert_eq!(server.messages().pop().unwrap().recipients, ["you@example.org"]);
    // No report of success about the copy, and no other NOTIFY than was asked for the rest.
    home.run("sendmail", &["-t", "-i", "-N", "success,delay"], report).expect(0);
    let rcpts = server.connections().pop().unwrap().commands;
    let notify: Vec<String> = rcpts.into_iter().filter(|line| line.starts_with("RCPT")).collect();
    assert!(notify[0].contains("<you@example.org> NOTIFY=SUCCESS,DELAY"), "{notify:?}");
    assert!(notify[1].contains("<archive@example.com> NOTIFY=FAILURE,DELAY"), "{notify:?}");
    // A message for nobody is still an error.
    home.run("sendmail", &["-t", "-i"], "From: shop@example.com\n\nx\n").expect(64);
    let explained = home.run("postrider", &["explain", "-t"], report).expect(0).stdout;
    assert!(explained.contains("archive@example.com (archive copy: bcc of the sender)\n"), "{explained}");
}

#[test]
fn reply_to_is_added_or_replaced() {
    let server = Script::new().start();
    let added = home(&server, "reply_to = \"Märkte <help@example.com>\"");
    let (_, text) = sent(&server, &added, "");
    assert!(text.contains("Reply-To: =?utf-8?B?TcOkcmt0ZQ==?= <help@example.com>\r\n"), "{text}");
    let (_, text) = sent(&server, &added, "Reply-To: own@example.com\n");
    assert!(text.contains("Reply-To: own@example.com\r\n") && !text.contains("help@"), "{text}");
    let always = home(&server, "reply_to = \"help@example.com\"\nreply_to_always = true");
    let (_, text) = sent(&server, &always, "Reply-To: own@example.com\n");
    assert!(text.contains("Reply-To: help@example.com\r\n") && !text.contains("own@"), "{text}");
}

#[test]
fn fields_are_added_and_taken_out() {
    let server = Script::new().start();
    let home = home(
        &server,
        "headers = { \"X-Site\" = \"Läden\", \"Precedence\" = { value = \"bulk\", replace = true } }\n\
         remove_headers = [\"X-PHP-Originating-Script\", \"X-Mailer\"]",
    );
    let (_, text) = sent(&server, &home, "x-php-originating-script: 33:secret.php\nPrecedence: list\nPrecedence: x\n");
    assert!(text.contains("X-Site: =?utf-8?B?TMOkZGVu?=\r\n") && !text.contains("secret.php"), "{text}");
    assert_eq!((text.matches("Precedence: bulk\r\n").count(), text.matches("Precedence").count()), (1, 1), "{text}");
    let (_, text) = sent(&server, &home, "X-Site: own\n");
    assert!(text.contains("X-Site: own\r\n") && text.matches("X-Site").count() == 1, "{text}");
    let mail = "From: shop@example.com\nTo: you@example.org\nX-Mailer: x\n\nx\n";
    let explained = home.run("postrider", &["explain", "-t"], mail).expect(0).stdout;
    assert!(explained.contains("removed X-Mailer (remove_headers)"), "{explained}");
    assert!(explained.contains("Precedence is now bulk (headers)"), "{explained}");
}

#[test]
fn what_could_break_a_header_is_a_fault_with_its_line() {
    let server = Script::new().start();
    for (keys, why) in [
        ("headers = { \"X Site\" = \"a\" }", "is no field name"),
        ("headers = { \"X-Site:\" = \"a\" }", "is no field name"),
        ("headers = { \"X-Site\" = \"a\\r\\nBcc: x@y.test\" }", "holds a line end"),
        ("headers = { \"X-Site\" = \" \" }", "the value of X-Site is 1 to"),
        ("headers = { \"bcc\" = \"x@y.test\" }", "not a sender's to add or remove"),
        ("headers = { \"Resent-To\" = \"x@y.test\" }", "not a sender's to add or remove"),
        ("headers = { \"X-Site\" = \"a\", \"x-site\" = \"b\" }", "stands here twice"),
        ("headers = { \"X-Site\" = { valeu = \"a\" } }", "did you mean value?"),
        ("remove_headers = [\"Received\"]", "not a sender's to add or remove"),
        ("bcc = [\"root\"]", "bcc: \"root\" is no address"),
        ("reply_to = \"root\"", "\"root\" has no domain"),
        ("reply_to_always = true", "needs a reply_to"),
    ] {
        let home = home(&server, keys);
        // Keys of a file that is named on the command line are not repeated.
        let config = home.path("postrider.toml");
        let place = home.path(".config/postrider");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::copy(&config, place.join("postrider.toml")).unwrap();
        let run = home.env("POSTRIDER_CONFIG", "").run("postrider", &["check"], "").expect(2);
        assert!(run.stdout.contains(why) && run.stdout.contains("postrider.toml"), "{keys}: {}", run.stdout);
    }
}
