//! Whose address a message presents as its author's: a sender's `users` and its limit protect its addresses over every
//! account and by every way, and the identity guard compares all of them.

use crate::daemon::{Daemon, taking, until};
use crate::limits::mail;
use crate::listener::{Talk, ports};
use crate::support::run::Home;
use crate::support::server::Server;

/// The sender boss is for somebody else; what no sender claims goes over the default relay.
fn senders(port: u16) -> String {
    format!(
        "[default]\nserver = \"smtp+plain://127.0.0.1:{port}\"\n\
         [[sender]]\nname = \"boss\"\nfrom = \"boss@example.com\"\nserver = \"smtp+plain://127.0.0.1:{port}\"\n\
         users = [\"somebody-else\"]\n\
         [[sender]]\nname = \"open\"\nfrom = \"open@example.com\"\nserver = \"smtp+plain://127.0.0.1:{port}\"\n"
    )
}

const TOP: &str = "domain = \"host.example\"\nlog = { to = \"off\" }\n";
const REST: &str = "To: x@example.org\n\nhi\n";

/// Header lines, and arguments, of messages that present boss as an author.
fn forged() -> Vec<(&'static str, Vec<&'static str>)> {
    let plain = |header| (header, vec![]);
    let mut all: Vec<(&str, Vec<&str>)> = vec![
        ("From: boss@example.com\n", vec!["-a", "default"]),
        ("From: boss@example.com\n", vec!["-a", "open"]),
        ("From: www@x.example\nSender: boss@example.com\n", vec!["-a", "default"]),
        ("", vec!["-f", "boss@example.com"]),
        ("", vec!["-f", "boss@example.com", "-a", "default"]),
        ("From: www@x.example\n", vec!["-f", "boss@example.com"]),
        ("From: www@x.example\n", vec!["-f", "<@a.example,@b.example:boss@example.com>"]),
        ("From: www@x.example\n", vec!["-f", "@a.example:boss@example.com"]),
    ];
    all.extend(
        [
            "From: boss@example.com\n",
            "From: www@x.example, boss@example.com\n",
            "From: open@example.com,\n boss@example.com\n",
            "From: g: www@x.example, boss@example.com;\n",
            "From: www@x.example\nFrom: boss@example.com\n",
            "From: www@x.example\nfrom\t: boss@example.com\n",
            "Resent-From: www@x.example\nResent-To: x@example.org\nFrom: boss@example.com\n",
            "Resent-From: open@example.com\nResent-To: x@example.org\nFrom: boss@example.com\n",
            "Resent-From: boss@example.com\nResent-To: x@example.org\nFrom: www@x.example\n",
            "Resent-Sender: boss@example.com\nResent-From: www@x.example\nResent-To: x@example.org\nFrom: www@x.example\n",
            "Sender: www@x.example\nFrom: boss@example.com\n",
            "From: www@x.example\nSender: www@x.example\nSender: boss@example.com\n",
            "From: www@x.example\nSender: www@x.example, boss@example.com\n",
            "From: boss@example.com.\n",
            "From: BOSS@Example.COM\n",
            "From: boss+detail@example.com\n",
            "From: \"boss\"@example.com\n",
            "From: (www@x.example) boss (x) @ (y) example . com\n",
            "From: \"www@x.example\" <boss@example.com>\n",
            "From: <@x.example,@y.example:boss@example.com>\n",
            "From: @x.example:boss@example.com\n",
            // In other letters, of which IDNA makes the same domain.
            "From: boss@\u{ff45}xample.com\n",
            "From: boss@example\u{3002}com\n",
            "From: boss@EX\u{ff21}MPLE.com\n",
        ]
        .map(plain),
    );
    all
}

#[test]
fn an_address_is_protected_over_every_account() {
    let server = taking();
    let home = Home::new().config(&format!("{TOP}{}", senders(server.port)));
    for (header, arguments) in forged() {
        let all: Vec<&str> = ["-t", "-i"].iter().chain(&arguments).copied().collect();
        let run = home.run("sendmail", &all, format!("{header}{REST}"));
        assert_eq!(run.status, 77, "{header:?} {arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("sender \"boss\" is not for user"), "{header:?}: {}", run.stderr);
    }
    assert!(server.messages().is_empty(), "nothing of it was sent");
    let fine = [
        ("From: www@x.example\nReply-To: boss@example.com\nCc: boss@example.com\n", vec![]),
        ("From: \"boss@example.com\" <www@x.example>\n", vec![]),
        ("From: open@example.com\n", vec!["-a", "default"]),
        ("From: www@x.example\n", vec!["-a", "open"]),
        ("From: www@x.example\n", vec!["-f", "<>"]),
    ];
    for (number, (header, arguments)) in fine.iter().enumerate() {
        let all: Vec<&str> = ["-t", "-i"].iter().chain(arguments).copied().collect();
        home.run("sendmail", &all, format!("{header}{REST}")).expect(0);
        assert_eq!(server.messages().len(), number + 1);
    }
    // Where senders are off they claim nothing.
    let off = Home::new().config(&format!("enabled = false\n{TOP}{}", senders(server.port)));
    off.run("sendmail", &["-t"], format!("From: boss@example.com\n{REST}")).expect(0);
}

#[test]
fn an_msmtprc_account_sends_no_protected_address() {
    let server = taking();
    let home = Home::new();
    let port = server.port;
    home.write(
        "msmtprc",
        format!("account site1\nhost 127.0.0.1\nport {port}\nfrom site1@x.example\naccount default : site1\n"),
    );
    let place = home.path("msmtprc").display().to_string();
    let toml = senders(port);
    let (_, rest) = toml.split_once("[[sender]]").unwrap();
    let toml = format!("{TOP}[default]\nrelay = \"msmtprc\"\nmsmtprc = \"{place}\"\n[[sender]]{rest}");
    let home = home.config(&toml);
    for name in ["sendmail", "msmtp"] {
        let run = home.run(name, &["-a", "site1", "-t"], format!("From: boss@example.com\n{REST}"));
        if name == "sendmail" {
            assert_eq!(run.status, 77, "{}", run.stderr);
        }
    }
    home.run("sendmail", &["-a", "site1", "-t"], format!("From: www@x.example\n{REST}")).expect(0);
}

#[test]
fn an_address_is_protected_by_every_way_in() {
    let server = taking();
    let daemon = Daemon::start_with(&server, |place| {
        // The first sender ends here; the daemon's own default relay refuses, and another one takes its place.
        let senders = senders(server.port);
        let (_, others) = senders.split_once("[[sender]]").unwrap();
        format!(
            "[[sender]]{others}[[listen]]\naddress = \"127.0.0.1:0\"\n[rules]\nvia = \"shop\"\n\
             [[rule]]\nname = \"on\"\nto = \"on@localhost\"\nforward = \"y@example.org\"\nvia = \"open\"\n\
             [[rule]]\nname = \"mail\"\nto = \"mail@localhost\"\nmaildir = \"{place}/mail\"\n"
        )
    });
    let port = ports(&daemon, 1)[0];
    let home = daemon.home();
    // `-a shop` leads everything that no sender claims to a server that would take it.
    for (header, arguments) in forged() {
        let named = arguments.contains(&"-a");
        let more: &[&str] = if named { &[] } else { &["-a", "shop"] };
        let all: Vec<&str> = ["-t", "-i"].iter().chain(&arguments).chain(more).copied().collect();
        let run = home.run("sendmail", &all, format!("{header}{REST}"));
        // `-a default` names no server here.
        let refused = run.status == 77 || arguments.contains(&"default") && run.status == 78;
        assert!(refused, "{header:?} {arguments:?}: {} {}", run.status, run.stderr);
    }
    for to in ["on", "mail"] {
        home.run("sendmail", &["-i", to], "From: boss@example.com\n\nhi\n").expect(77);
    }
    let session = "EHLO me\nMAIL FROM:<open@example.com>\nRCPT TO:<x@example.org>\nDATA\n\
                   From: open@example.com\nSender: boss@example.com\n\nhi\n.\nQUIT\n";
    let said = home.run("sendmail", &["-bs"], session).stdout;
    assert!(said.contains("550 5.7.1") || said.contains("554 5.7.1"), "{said}");
    for (from, header) in [
        ("open@example.com", "From: boss@example.com"),
        ("open@example.com", "From: open@example.com\r\nSender: boss@example.com"),
        ("open@example.com", "From: open@example.com\r\nFrom: boss@example.com"),
        ("boss@example.com", "From: open@example.com"),
        ("@a.example,@b.example:boss@example.com", "From: open@example.com"),
        ("open@example.com", "Resent-From: open@example.com\r\nFrom: boss@example.com"),
    ] {
        let mut talk = Talk::hello(port);
        talk.expect(&format!("MAIL FROM:<{from}>"), "250");
        talk.expect("RCPT TO:<x@example.org>", "250");
        talk.expect("DATA", "354");
        let said = talk.say(&format!("{header}\r\n\r\nhi\r\n."));
        assert!(said.starts_with("550 5.7.1"), "{from} {header}: {said}");
    }
    home.run("sendmail", &["-t"], format!("From: open@example.com\n{REST}")).expect(0);
    until("what is allowed arrives", || server.messages().len() == 1);
    assert_eq!(daemon.queued(), 0);
    assert!(!daemon.path("mail").exists());
}

#[test]
fn from_alone_chooses_the_sender_unless_resent_says_otherwise() {
    let (open, other) = (taking(), taking());
    let config = |top: &str, keys: &str| {
        format!(
            "{top}{TOP}[default]\nserver = \"smtp+plain://127.0.0.1:{}\"\n[[sender]]\nname = \"open\"\n\
             from = \"open@example.com\"\nserver = \"smtp+plain://127.0.0.1:{}\"\n{keys}\n",
            other.port, open.port
        )
    };
    let text = format!("Resent-From: open@example.com\nResent-To: x@example.org\nFrom: www@x.example\n{REST}");
    Home::new().config(&config("", "")).run("sendmail", &["-t"], &text).expect(0);
    assert_eq!((open.messages().len(), other.messages().len()), (0, 1), "Resent-From chooses nothing");
    assert_eq!(other.messages()[0].from, "open@example.com", "who sends it on hears of its failure");
    let without = text.replace("From: www@x.example\n", "");
    let without = without.replace("Resent-open", "Resent-From: open");
    Home::new().config(&config("", "")).run("sendmail", &["-t"], &without).expect(0);
    assert_eq!(open.messages().len(), 0, "not even where there is no From");
    let resending = Home::new().config(&config("resent = true\n", ""));
    resending.run("sendmail", &["-t"], &text).expect(0);
    assert_eq!(open.messages().len(), 1);
    let told = resending.run("postrider", &["explain", "-t"], &text).expect(0);
    assert!(told.stdout.contains("open"), "{}", told.stdout);
    // From is compared all the same.
    let guarded = Home::new().config(&config("resent = true\n", "must_match = true"));
    let run = guarded.run("sendmail", &["-t"], &text).expect(77);
    assert!(run.stderr.contains("From www@x.example"), "{}", run.stderr);
    assert_eq!(open.messages().len(), 1);
}

/// A sender that refuses beyond two messages an hour, and a default relay.
fn limited(server: &Server, more: &str) -> Home {
    let home = Home::new();
    let (file, port) = (home.path("limits.db").display().to_string(), server.port);
    home.config(&format!(
        "{TOP}{more}\n[default]\nserver = \"smtp+plain://127.0.0.1:{port}\"\n[limits]\nfile = \"{file}\"\n{}",
        limit(port)
    ))
}

fn limit(port: u16) -> String {
    format!(
        "[[sender]]\nname = \"lim\"\nfrom = \"lim@example.com\"\nserver = \"smtp+plain://127.0.0.1:{port}\"\n\
         limits = [{{ messages = 2, per = \"1h\" }}]\nat_limit = \"refuse\"\n\
         [[sender]]\nname = \"open\"\nfrom = \"open@example.com\"\nserver = \"smtp+plain://127.0.0.1:{port}\"\n"
    )
}

#[test]
fn a_name_does_not_lead_round_a_limit_that_refuses() {
    for more in ["", "[queue]\ndirect = \"on-failure\""] {
        let server = taking();
        let home = limited(&server, more);
        let send = |arguments: &[&str], header: &str| {
            let all: Vec<&str> = ["-i", "x@example.org"].iter().chain(arguments).copied().collect();
            home.run("sendmail", &all, format!("{header}\n\nhi\n"))
        };
        // What goes over another account counts as well.
        send(&["-a", "default"], "From: lim@example.com").expect(0);
        send(&[], "From: lim@example.com").expect(0);
        for (arguments, header) in [
            (&[][..], "From: lim@example.com"),
            (&["-a", "default"], "From: lim@example.com"),
            (&["-a", "open"], "From: Lim <LIM+x@example.com>"),
            (&[], "From: open@example.com, lim@example.com"),
            (&["-a", "default"], "From: www@x.example\nFrom: lim@example.com"),
        ] {
            let run = send(arguments, header).expect(69);
            assert!(run.stderr.contains("sender lim is reached"), "{header}: {}", run.stderr);
        }
        assert_eq!(server.messages().len(), 2);
        send(&["-a", "default"], "From: www@x.example").expect(0);
        send(&[], "From: open@example.com").expect(0);
        assert_eq!(server.messages().len(), 4, "the limit is of its own addresses");
    }
}

#[test]
fn nor_does_it_with_the_daemon() {
    let server = taking();
    let daemon = Daemon::start_with(&server, |place| {
        format!("[limits]\nfile = \"{place}/limits.db\"\n{}[[listen]]\naddress = \"127.0.0.1:0\"\n", limit(server.port))
    });
    let home = daemon.home();
    let send = |name: &str| home.run("sendmail", &["-i", "-a", name, "x@example.org"], mail("lim"));
    send("open").expect(0);
    send("shop").expect(0);
    for name in ["open", "shop", "lim"] {
        let run = send(name).expect(69);
        assert!(run.stderr.contains("sender lim is reached"), "{}", run.stderr);
    }
    let mut talk = Talk::hello(ports(&daemon, 1)[0]);
    for line in ["MAIL FROM:<open@example.com>", "RCPT TO:<x@example.org>"] {
        talk.expect(line, "250");
    }
    talk.expect("DATA", "354");
    let said = talk.say("From: open@example.com, lim@example.com\r\n\r\nhi\r\n.");
    assert!(said.starts_with('4') || said.starts_with('5'), "{said}");
    until("two arrive", || server.messages().len() == 2);
    home.run("sendmail", &["-i", "x@example.org"], mail("open")).expect(0);
    until("others go", || server.messages().len() == 3);
}

#[test]
fn a_backup_leads_round_no_limit_and_strangers_use_none_up() {
    let server = taking();
    let daemon = Daemon::start_with(&server, |place| {
        let port = server.port;
        format!(
            "[limits]\nfile = \"{place}/limits.db\"\n\
             [[sender]]\nname = \"lim\"\nfrom = \"lim@example.com\"\nserver = \"smtp+plain://127.0.0.1:9\"\n\
             limits = [{{ messages = 2, per = \"1h\" }}]\nat_limit = \"refuse\"\nbackup = [\"open\"]\nbackup_after = \"0s\"\n\
             [[sender]]\nname = \"open\"\nfrom = \"open@example.com\"\nserver = \"smtp+plain://127.0.0.1:{port}\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\npurpose = \"incoming\"\ndomains = [\"example.net\"]\n\
             [[rule]]\nname = \"on\"\nforward = \"y@example.org\"\nvia = \"open\"\n"
        )
    });
    let port = ports(&daemon, 1)[0];
    for number in 1..=3 {
        let mut talk = Talk::hello(port);
        talk.expect("MAIL FROM:<lim@example.com>", "250");
        talk.expect("RCPT TO:<a@example.net>", "250");
        talk.expect("DATA", "354");
        talk.expect("From: lim@example.com\r\n\r\nforged\r\n.", "250");
        until("it is forwarded", || server.messages().len() == number);
    }
    let home = daemon.home();
    let send = || home.run("sendmail", &["-i", "x@example.org"], mail("lim"));
    for number in 4..=5 {
        send().expect(0);
        until("the backup carries it", || server.messages().len() == number);
    }
    until("it is recorded", || daemon.queued() == 0);
    let run = send().expect(69);
    assert!(run.stderr.contains("sender lim is reached"), "{}", run.stderr);
}

const VICTIM: &str = "victim@bank.example";

/// Names and header lines of forged identities, with arguments.
fn identities() -> Vec<(&'static str, Vec<u8>, Vec<&'static str>)> {
    let own = "From: only@example.com\n";
    let (v, plain) = (VICTIM, |name, text: String| (name, text.into_bytes(), vec![]));
    let mut all = vec![
        plain("two From fields", format!("{own}From: {v}\n")),
        plain("two in From", format!("From: only@example.com, {v}\n")),
        plain("group", format!("From: g: only@example.com, {v};\n")),
        plain("groups", format!("From: g: only@example.com;, h: {v};\n")),
        plain("Sender", format!("{own}Sender: {v}\n")),
        plain("two Sender", format!("{own}Sender: only@example.com\nSender: {v}\n")),
        plain("two in Sender", format!("{own}Sender: only@example.com, {v}\n")),
        plain("From, a blank, the colon", format!("{own}From : {v}\n")),
        plain("From, a tab, the colon", format!("{own}From\t: {v}\n")),
        plain("FROM", format!("{own}FROM: {v}\n")),
        plain("folded", format!("From: only@example.com,\n {v}\n")),
        plain("folded at once", format!("{own}From:\n {v}\n")),
        plain("comment", format!("From: ({v}) only@example.com\n")),
        plain("nested comment", format!("From: (a (b) \\) {v}) only@example.com (x)\n")),
        plain("name", format!("From: \"{v}\" <only@example.com>\n")),
        plain("bare name", format!("From: {v} <only@example.com>\n")),
        plain("route", format!("From: <@{v}:only@example.com>\n")),
        plain("routes", "From: <@bank.example,@victim.example:only@example.com>\n".to_owned()),
        plain("route in Sender", format!("{own}Sender: <@bank.example:{v}>\n")),
        plain("route without brackets", "From: @bank.example:only@example.com\n".to_owned()),
        plain("obsolete blanks", format!("{own}Sender: victim . x (c) @ bank . example, {v}\n")),
        plain("Resent-From", format!("{own}Resent-From: {v}\nResent-To: x@example.org\n")),
        plain("Resent-From own, From not", format!("Resent-From: only@example.com\nFrom: {v}\n")),
        plain("Resent-Sender", format!("{own}Resent-From: only@example.com\nResent-Sender: {v}\n")),
        plain("second Resent-From", format!("{own}Resent-From: only@example.com\nResent-From: {v}\n")),
        plain("CR", format!("From: only@example.com\rFrom: {v}\n")),
        plain("CR CR LF", format!("From: only@example.com\r\r\nFrom: {v}\n")),
        plain("VT", format!("From: only@example.com\x0bFrom: {v}\n")),
        plain("FF", format!("From: only@example.com\x0cFrom: {v}\n")),
        plain("NEL", format!("From: only@example.com\u{85}From: {v}\n")),
        plain("line separator", format!("From: only@example.com\u{2028}From: {v}\n")),
        plain("NUL in the name", format!("{own}Fr\0om: {v}\n")),
        plain("NUL before the name", format!("{own}\0From: {v}\n")),
        plain("NUL in the value", format!("From: only@example.com\0,{v}\n")),
        plain("a name with a blank of Unicode", format!("{own}From\u{a0}: {v}\n")),
        plain("a name of nothing", format!("{own}: {v}\n")),
        plain("a blank before the name", format!("{own} From: {v}\n")),
        plain("Return-Path", format!("{own}Return-Path: <{v}>\n")),
        plain("an encoded name", format!("From: =?utf-8?q?{}?= <only@example.com>\n", v.replace('@', "=40"))),
        plain("an encoded address", format!("{own}Sender: =?utf-8?q?{}?=\n", v.replace('@', "=40"))),
        plain("the first line goes on", format!(" \nFrom: {v}\n{own}")),
        plain("mbox", format!("From {v}\n{own}")),
        plain("a semicolon", format!("From: only@example.com; {v}\n")),
        plain("brackets twice", format!("From: <only@example.com> <{v}>\n")),
        plain("quotes never closed", format!("From: \"only@example.com, {v}\n")),
        plain("a comment never closed", format!("From: only@example.com (, {v}\n")),
        ("-f", own.into(), vec!["-f", v]),
        ("-f with a route", own.into(), vec!["-f", "<@x.example:victim@bank.example>"]),
        ("From with -a", format!("From: {v}\n").into(), vec!["-a", "only"]),
        ("two From fields with -a", format!("From: {v}\n{own}").into(), vec!["-a", "only"]),
        (
            "-F with a line end",
            "Subject: x\n".into(),
            vec!["-f", "only@example.com", "-F", "x\r\nFrom: victim@bank.example"],
        ),
    ];
    all.push(("no UTF-8", [own.as_bytes(), b"Sender: \xff <", v.as_bytes(), b">\n"].concat(), vec![]));
    all.push(("no UTF-8 and a route", b"From: \xff <@bank.example:only@example.com>\n".to_vec(), vec![]));
    all
}

/// What is left of an identity field once names and comments are gone.
fn addresses(value: &str) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => depth -= 1,
            c if !quoted && depth == 0 => out.push(c),
            _ => {}
        }
    }
    match out.split_once('<') {
        Some(_) => out.split('<').skip(1).filter_map(|part| part.split('>').next()).collect::<Vec<_>>().join(" "),
        None => out,
    }
}

#[test]
fn no_forged_identity_passes_the_guard() {
    for mismatch in ["refuse", "rewrite"] {
        let server = taking();
        let home = Home::new().config(&format!(
            "{TOP}[default]\nrelay = \"refuse\"\n[[sender]]\nname = \"only\"\nfrom = \"only@example.com\"\n\
             server = \"smtp+plain://127.0.0.1:{}\"\nmust_match = true\non_mismatch = \"{mismatch}\"\n",
            server.port
        ));
        for (name, header, arguments) in identities() {
            let before = server.messages().len();
            let text = [header.as_slice(), b"To: x@example.org\nSubject: x\n\nFrom: body\n"].concat();
            let all: Vec<&str> = ["-i", "x@example.org"].iter().chain(&arguments).copied().collect();
            let run = home.run("sendmail", &all, text);
            let sent = server.messages().split_off(before);
            assert_eq!(sent.len(), usize::from(run.status == 0), "{name}: {}", run.stderr);
            assert!(run.status == 0 || [65, 77].contains(&run.status), "{name}: {} {}", run.status, run.stderr);
            for message in sent {
                assert_eq!(message.from, "only@example.com", "{name}");
                let text = String::from_utf8_lossy(&message.text).into_owned();
                let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
                for line in head.split("\r\n") {
                    let (field, value) = line.split_once(':').unwrap_or((line, ""));
                    let field: String = field.chars().filter(|c| c.is_ascii_graphic()).collect();
                    let identity = ["from", "sender", "resent-from", "resent-sender", "return-path"]
                        .contains(&field.to_lowercase().as_str());
                    let shown = addresses(value);
                    let foreign = shown.contains("bank.example") || shown.contains("victim");
                    assert!(!identity || !foreign, "{mismatch}: {name}: {line}");
                }
            }
        }
        assert!(!server.messages().is_empty(), "what names nobody else is sent");
    }
}
