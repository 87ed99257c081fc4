//! PHP: its own mail(), and the libraries that call sendmail themselves. msmtp as Bitrix's virtual machine sets it up.

use super::{AUDIT, Arrived, BODY, CUSTOMER, REFUSAL, SHOP, Site, compat, said};
use crate::support::run::{Finished, Home};
use crate::support::skip;
use std::path::Path;

/// The subject of most scripts, as it is written in a header.
const SUBJECT: &str = "Subject: =??tf-8?*?=";

/// `mail()` with this `sendmail_path`.
fn mail(home: &Home, sendmail: &str, parameters: &[&str], body: &str) -> Finished {
    let (path, script) = (format!("sendmail_path={sendmail}"), compat("php/mail.php"));
    let arguments = [&["-d", &path, "-d", "mail.add_x_header=0", &script], parameters].concat();
    home.program(Path::new("/usr/bin/php"), &arguments, body)
}

#[test]
fn php_mail() {
    if !skip::require("clients::php::php_mail", "php-cli") {
        return;
    }
    // Without -f, as WordPress calls it; with it in one word and in two, as Drupal and CodeIgniter do.
    for parameters in [None, Some("-fbounces@example.com"), Some("-f bounces@example.com")] {
        let site = Site::taking();
        let body = format!("{BODY}Grüße\n");
        let path = format!("{} -t -i", site.sendmail());
        let finished = mail(&site.home, &path, parameters.as_slice(), &body).expect(0);
        assert_eq!(said(&finished), "true\n");
        let from = if parameters.is_some() { "bounces@example.com" } else { SHOP };
        // CRLF in the header and LF in the body come from PHP; PHP ends the body with one more line end.
        site.arrived()
            .envelope("shop", from, &[CUSTOMER, AUDIT])
            .header(&["To: customer@example.org", "From: Shop <shop@example.com>", "Subject: =?UTF-8?B?R3LDvMOfZQ==?="])
            .body(&format!("{body}\n"));
    }
}

#[test]
fn php_mail_refused() {
    if !skip::require("clients::php::php_mail_refused", "php-cli") {
        return;
    }
    let site = Site::refusing();
    let finished = mail(&site.home, &format!("{} -t -i", site.sendmail()), &[], BODY);
    assert_eq!(finished.stdout, "false\n");
    assert!(finished.stderr.contains(REFUSAL) && finished.stderr.contains(CUSTOMER), "{}", finished.stderr);
    site.refused();
}

#[test]
fn msmtp_as_bitrix_calls_it() {
    if !skip::require("clients::php::msmtp_as_bitrix_calls_it", "php-cli") {
        return;
    }
    for taken in [true, false] {
        let site = if taken { Site::taking() } else { Site::refusing() };
        // No postrider.toml: the msmtprc alone, as Bitrix's menu writes it.
        let home = Home::new();
        let msmtprc = format!(
            "# smtp account configuration for default\naccount default\nlogfile {log}\nhost 127.0.0.1\nport {port}\n\
             from {SHOP}\nkeepbcc off\nauth off\n\n\
             # smtp account configuration for site\naccount site\nlogfile {log}\nhost 127.0.0.1\nport {port}\n\
             from {SHOP}\nkeepbcc off\nauth plain\nuser shop\npassword secret-1\n",
            log = home.path("msmtp.log").display(),
            port = site.server.port,
        );
        home.write(".msmtprc", msmtprc);
        let path = format!("{} -t -i -a site", home.path("bin/msmtp").display());
        let finished = mail(&home, &path, &[], BODY);
        let log = std::fs::read_to_string(home.path("msmtp.log")).unwrap_or_default();
        if taken {
            assert_eq!(said(&finished), "true\n");
            site.arrived()
                .envelope("shop", SHOP, &[CUSTOMER, AUDIT])
                .header_as_given(&[
                    "Date: *",
                    "Message-ID: *",
                    "To: customer@example.org",
                    "From: Shop <shop@example.com>",
                    SUBJECT,
                ])
                .body(&format!("{BODY}\n"));
            assert!(log.contains("exitcode=EX_OK"), "{log}");
        } else {
            assert_eq!(finished.stdout, "false\n");
            assert!(finished.stderr.contains(REFUSAL), "{}", finished.stderr);
            assert!(log.contains("exitcode=EX_"), "{log}");
            site.refused();
        }
    }
}

/// Runs a library's script with a server that takes the message, and with one that refuses.
fn library(test: &str, package: &str, run: impl Fn(&Site) -> Finished, taken: &str, refused: &[&str]) -> Option<Site> {
    if !skip::require(test, "php-cli") || !skip::require(test, package) {
        return None;
    }
    let site = Site::refusing();
    let finished = run(&site);
    for text in refused {
        assert!(said(&finished).contains(text), "{}", said(&finished));
    }
    site.refused();
    let site = Site::taking();
    assert_eq!(said(&run(&site).expect(0)), taken);
    Some(site)
}

fn php(site: &Site, script: &str, arguments: &[&str]) -> Finished {
    let path = format!("sendmail_path={} -t -i", site.sendmail());
    let script = compat(script);
    site.run("php", &[&["-d", &path, "-d", "mail.add_x_header=0", &script], arguments].concat(), BODY)
}

#[test]
fn phpmailer_by_mail() {
    let test = "clients::php::phpmailer_by_mail";
    let run = |site: &Site| php(site, "php/phpmailer.php", &["mail"]);
    let refused = ["exception: Could not instantiate mail function.", REFUSAL];
    let Some(site) = library(test, "libphp-phpmailer", run, "true\n", &refused) else { return };
    site.arrived()
        .envelope("shop", SHOP, &[CUSTOMER, AUDIT])
        .header(&["To: =?utf-8?*?= <customer@example.org>", "From: Shop <shop@example.com>", SUBJECT])
        .body(&format!("{BODY}\n"));
}

#[test]
fn phpmailer_by_sendmail() {
    let test = "clients::php::phpmailer_by_sendmail";
    let run = |site: &Site| php(site, "php/phpmailer.php", &["sendmail", &site.sendmail()]);
    let refused = ["exception: Could not execute: ", REFUSAL];
    let Some(site) = library(test, "libphp-phpmailer", run, "true\n", &refused) else { return };
    site.arrived()
        .envelope("shop", SHOP, &[CUSTOMER, AUDIT])
        .header(&["To: =?utf-8?*?= <customer@example.org>", "From: Shop <shop@example.com>", SUBJECT])
        .body(BODY);
}

#[test]
fn symfony_by_bs() {
    // Laravel's default is `-bs -i`, Symfony's `-bs`.
    for mode in ["-bs", "-bs -i"] {
        let run = |site: &Site| php(site, "php/symfony.php", &[&format!("{} {mode}", site.sendmail())]);
        // The server's own reply, which Symfony gets in the dialogue.
        let refused = ["exception: ", "code \"550\"", "no such user here"];
        let test = "clients::php::symfony_by_bs";
        let Some(site) = library(test, "php-symfony-mailer", run, "sent\n", &refused) else { return };
        // Symfony puts a line end before the final dot of a text that has one already.
        symfony_arrived(&site).body(&format!("{BODY}\n"));
    }
}

#[test]
fn symfony_by_t() {
    let run = |site: &Site| php(site, "php/symfony.php", &[&format!("{} -t -i", site.sendmail())]);
    let refused = ["exception: Process failed with exit code 67"];
    let test = "clients::php::symfony_by_t";
    let Some(site) = library(test, "php-symfony-mailer", run, "sent\n", &refused) else { return };
    symfony_arrived(&site).body(BODY);
}

fn symfony_arrived(site: &Site) -> Arrived {
    site.arrived().envelope("shop", SHOP, &[CUSTOMER, AUDIT]).header(&[
        "To: customer@example.org",
        "From: Shop <shop@example.com>",
        SUBJECT,
    ])
}

#[test]
fn pear_mail() {
    let run = |site: &Site| php(site, "php/pear.php", &[&site.sendmail()]);
    let refused = ["error: sendmail returned error code 67", REFUSAL];
    let test = "clients::php::pear_mail";
    let Some(site) = library(test, "php-mail", run, "true\n", &refused) else { return };
    site.arrived()
        .envelope("shop", SHOP, &[CUSTOMER, AUDIT])
        .header(&["To: customer@example.org", "From: Shop <shop@example.com>", "Subject: hello"])
        .body(BODY);
}
