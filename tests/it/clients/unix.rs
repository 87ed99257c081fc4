//! The mail programs of Unix: bsd-mailx, s-nail, mailutils, mutt, nmh.
//!
//! `nosave`: a refused message would go to dead.letter in the home that the password file names, not the test's.

use super::{AUDIT, BODY, CUSTOMER, REFUSAL, SHOP, Site, said, user};
use crate::support::skip;

/// Header lines of a message by a program that was told To and Subject alone.
const HEADER: [&str; 3] = ["From: *shop@example.com*", "To: *customer@example.org*", "Subject: hello"];

#[test]
fn bsd_mailx() {
    if !skip::require("clients::unix::bsd_mailx", "bsd-mailx") {
        return;
    }
    let site = Site::taking();
    site.home.write(".mailrc", format!("set sendmail={}\nset sendwait\n", site.sendmail()));
    let from = format!("From: {SHOP}");
    let arguments = ["-s", "hello", "-b", AUDIT, "-a", &from, CUSTOMER];
    assert_eq!(said(&site.run("bsd-mailx", &arguments, BODY).expect(0)), "");
    site.arrived().envelope("shop", SHOP, &[CUSTOMER, AUDIT]).header(&HEADER).body(BODY);
    // Without any From, as scripts call `mail`: the default relay, and the caller's own address.
    let site = Site::taking();
    site.home.write(".mailrc", format!("set sendmail={}\nset sendwait\n", site.sendmail()));
    site.run("bsd-mailx", &["-s", "hello", CUSTOMER], BODY).expect(0);
    let me = format!("{}@host.example.com", user());
    let from = format!("From: *{me}*");
    site.arrived()
        .envelope("server", &me, &[CUSTOMER])
        .header(&[&from, "To: customer@example.org", "Subject: hello"])
        .body(BODY);
    let site = Site::refusing();
    site.home.write(".mailrc", format!("set sendmail={}\nset sendwait\n", site.sendmail()));
    let finished = site.run("bsd-mailx", &arguments, BODY);
    assert_ne!(finished.status, 0, "{}", said(&finished));
    assert!(finished.stderr.contains(REFUSAL), "{}", finished.stderr);
    site.refused();
}

#[test]
fn s_nail() {
    if !skip::require("clients::unix::s_nail", "s-nail") {
        return;
    }
    let run = |site: &Site| {
        let mta = format!("mta={}", site.sendmail());
        let arguments =
            ["-:/", "-S", "sendwait", "-S", "nosave", "-S", &mta, "-r", SHOP, "-s", "hello", "-b", AUDIT, CUSTOMER];
        site.run("s-nail", &arguments, BODY)
    };
    let site = Site::taking();
    assert_eq!(said(&run(&site).expect(0)), "");
    site.arrived().envelope("shop", SHOP, &[CUSTOMER, AUDIT]).header(&HEADER).body(BODY);
    let site = Site::refusing();
    let finished = run(&site);
    assert_ne!(finished.status, 0, "{}", said(&finished));
    assert!(finished.stderr.contains(REFUSAL), "{}", finished.stderr);
    site.refused();
}

#[test]
fn mailutils() {
    if !skip::require("clients::unix::mailutils", "mailutils") {
        return;
    }
    let run = |site: &Site| {
        let set = format!("set sendmail=\"sendmail://{}\"", site.sendmail());
        let (from, bcc) = (format!("From: {SHOP}"), format!("Bcc: {AUDIT}"));
        // Without `nodot` it is mailutils itself that ends the text at a lone dot.
        let arguments =
            ["-E", "set nodot", "-E", "set nosave", "-E", &set, "-s", "hello", "-a", &from, "-a", &bcc, CUSTOMER];
        site.run("mail.mailutils", &arguments, BODY)
    };
    let site = Site::taking();
    assert_eq!(said(&run(&site).expect(0)), "");
    site.arrived().envelope("shop", SHOP, &[CUSTOMER, AUDIT]).header(&HEADER).body(BODY);
    let site = Site::refusing();
    // It keeps sendmail's words to itself.
    let finished = run(&site).expect(1);
    assert!(finished.stderr.contains("Process exited with a non-zero status"), "{}", finished.stderr);
    site.refused();
}

#[test]
fn mutt() {
    if !skip::require("clients::unix::mutt", "mutt") {
        return;
    }
    let run = |site: &Site| {
        site.home.write(
            "muttrc",
            format!(
                "set sendmail=\"{} -oem -oi\"\nset from={SHOP}\nset realname=Shop\nset use_envelope_from=yes\n\
                 set copy=no\nset send_charset=utf-8\nset dsn_notify=failure,delay\nset dsn_return=hdrs\n",
                site.sendmail()
            ),
        );
        let muttrc = site.home.path("muttrc").display().to_string();
        let arguments = ["-n", "-F", &muttrc, "-s", "Grüße", "-b", AUDIT, "--", CUSTOMER];
        let locale = [&["LC_ALL=C.UTF-8", "mutt"], &arguments[..]].concat();
        site.run("env", &locale, &format!("{BODY}Grüße\n"))
    };
    let site = Site::taking();
    assert_eq!(said(&run(&site).expect(0)), "");
    site.arrived()
        .envelope("shop", SHOP, &[CUSTOMER, AUDIT])
        .header(&["From: Shop <shop@example.com>", "To: customer@example.org", "Subject: =?*?*?*?="])
        .body(&format!("{BODY}Grüße\n"));
    let site = Site::refusing();
    let finished = run(&site);
    assert_ne!(finished.status, 0, "{}", said(&finished));
    assert!(said(&finished).contains("child exited 67"), "{}", said(&finished));
    site.refused();
}

#[test]
fn nmh() {
    if !skip::require("clients::unix::nmh", "nmh") {
        return;
    }
    // Both of nmh's ways: `sendmail -t`, and SMTP with `sendmail -bs`. (No Bcc: nmh makes a message of its own for it.)
    for way in ["sendmail/pipe", "sendmail/smtp"] {
        let run = |site: &Site| {
            site.home.write(".mh_profile", "Path: Mail\n");
            site.home.write("Mail/.keep", "");
            let draft = format!("From: Shop <{SHOP}>\nTo: {CUSTOMER}\nSubject: hello\n\n{BODY}");
            let draft = site.home.write("draft", draft).display().to_string();
            site.run("/usr/bin/mh/send", &["-mts", way, "-sendmail", &site.sendmail(), &draft], "")
        };
        let site = Site::taking();
        assert_eq!(said(&run(&site).expect(0)), "", "{way}");
        site.arrived().envelope("shop", SHOP, &[CUSTOMER]).header(&HEADER).body(BODY);
        let site = Site::refusing();
        let finished = run(&site);
        // By pipe nmh ends with 0 whatever sendmail did, and says `exited 67`.
        assert_eq!(finished.status == 0, way == "sendmail/pipe", "{}", said(&finished));
        assert!(said(&finished).contains("no such user here"), "{}", said(&finished));
        site.refused();
    }
}
