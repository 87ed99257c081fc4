//! What scripts send mail with: git, Perl, Ruby, Node, Emacs.

use super::{AUDIT, BODY, CUSTOMER, REFUSAL, SHOP, Site, compat, fetched, said};
use crate::support::run::Finished;
use crate::support::skip;

const HEADER: [&str; 3] = ["From: Shop <shop@example.com>", "To: customer@example.org", "Subject: hello"];

/// Runs a program with a server that refuses, which it must tell in these words, and with one that takes the message.
fn both(run: impl Fn(&Site) -> Finished, taken: &str, refused: &[&str]) -> Site {
    let site = Site::refusing();
    let finished = run(&site);
    for text in refused {
        assert!(said(&finished).contains(text), "{}", said(&finished));
    }
    site.refused();
    let site = Site::taking();
    assert_eq!(said(&run(&site).expect(0)), taken);
    site
}

#[test]
fn git_send_email() {
    if !skip::require("clients::scripting::git_send_email", "git-email") {
        return;
    }
    let patch = format!(
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Shop <{SHOP}>\n\
         Date: Mon, 2 Jun 2025 10:00:00 +0000\nSubject: [PATCH] hello\n\n{BODY}"
    );
    for envelope in [None, Some("--envelope-sender=bounces@example.com")] {
        let run = |site: &Site| {
            let patch = site.home.write("0001-hello.patch", &patch).display().to_string();
            let server = format!("--smtp-server={}", site.sendmail());
            let from = format!("--from=Shop <{SHOP}>");
            let (to, bcc) = (format!("--to={CUSTOMER}"), format!("--bcc={AUDIT}"));
            // git wants to know who sends, also where a machine's name has no domain to guess an address from.
            let mut arguments = vec!["-c", "user.name=Shop", "-c", "user.email=shop@example.com", "send-email"];
            arguments.extend(["--quiet", "--confirm=never", "--suppress-cc=all"]);
            arguments.extend(envelope);
            arguments.extend([server.as_str(), &from, &to, &bcc, &patch]);
            site.run("git", &arguments, "")
        };
        let site = both(run, "Sent [PATCH] hello\n", &[REFUSAL, "Died at "]);
        let from = if envelope.is_some() { "bounces@example.com" } else { SHOP };
        site.arrived()
            .envelope("shop", from, &[CUSTOMER, AUDIT])
            .header(&["From: Shop <shop@example.com>", "To: customer@example.org", "Subject: [PATCH] hello"])
            .body(BODY);
    }
}

#[test]
fn perl_email_sender() {
    if !skip::require("clients::scripting::perl_email_sender", "libemail-sender-perl") {
        return;
    }
    let run = |site: &Site| site.run("perl", &[&compat("perl/email_sender.pl"), &site.sendmail()], BODY);
    let site = both(run, "sent\n", &["died: error when closing pipe", REFUSAL]);
    site.arrived().envelope("shop", SHOP, &[CUSTOMER]).header(&HEADER).body(BODY);
}

#[test]
fn perl_mime_lite() {
    if !skip::require("clients::scripting::perl_mime_lite", "libmime-lite-perl") {
        return;
    }
    let run = |site: &Site| site.run("perl", &[&compat("perl/mime_lite.pl"), &site.sendmail()], BODY);
    let site = both(run, "sent\n", &["died: ", REFUSAL]);
    site.arrived().envelope("shop", SHOP, &[CUSTOMER, AUDIT]).header(&HEADER).body(BODY);
}

#[test]
fn ruby_mail() {
    if !skip::require("clients::scripting::ruby_mail", "ruby-mail") {
        return;
    }
    let run = |site: &Site| site.run("ruby", &[&compat("ruby/mail.rb"), &site.sendmail()], BODY);
    // Before version 2.8 the gem ignores the status; what sendmail says is all there is.
    let site = both(run, "sent\n", &[REFUSAL]);
    site.arrived()
        .envelope("shop", SHOP, &[CUSTOMER, AUDIT])
        .header(&["From: Shop <shop@example.com>", "To: customer@example.org", "Subject: =?UTF-8?*?="])
        .body(BODY);
}

#[test]
fn nodemailer() {
    let test = "clients::scripting::nodemailer";
    if !skip::require(test, "nodejs") {
        return;
    }
    let module = fetched("nodemailer/node_modules/nodemailer");
    if !module.is_dir() {
        return skip::because(test, "nodemailer is absent (config/test.sh installs it)");
    }
    let module = module.display().to_string();
    let run = |site: &Site| site.run("node", &[&compat("node/nodemailer.js"), &module, &site.sendmail()], BODY);
    let site = both(run, "sent\n", &["error: Sendmail exited with code 67"]);
    site.arrived()
        .envelope("shop", SHOP, &[CUSTOMER, AUDIT])
        .header(&["From: Shop <shop@example.com>", "To: customer@example.org", "Subject: =?UTF-8?*?="])
        .body(BODY);
}

#[test]
fn emacs() {
    if !skip::require("clients::scripting::emacs", "emacs-nox") {
        return;
    }
    for way in ["message", "mail"] {
        let run = |site: &Site| {
            let (way, sendmail) = (format!("COMPAT_WAY={way}"), format!("SENDMAIL={}", site.sendmail()));
            let (body, script) = (format!("COMPAT_BODY={BODY}"), compat("emacs/send.el"));
            site.run("env", &[&way, &sendmail, &body, "LC_ALL=C.UTF-8", "emacs", "--batch", "-Q", "-l", &script], "")
        };
        let site = both(run, "sent\n", &["error: ", "67"]);
        site.arrived().envelope("shop", SHOP, &[CUSTOMER, AUDIT]).header(&HEADER).body(BODY);
    }
}
