//! msmtp's own command line: permutation, settings over an account, choice of the account, what it shows, statuses.

use super::{MESSAGE, home, only, rc, script, send, text, with_login};
use crate::support::certs::{Authority, Kind};
use crate::support::run::Home;
use crate::support::script::Fault;

#[test]
fn options_permute_with_recipients() {
    let server = script().start();
    let finished =
        send(&server, "", &["a@example.net", "-v", "-f", "f@example.com", "b@example.net", "--", "-c@example.net"]);
    finished.expect(0);
    let message = only(&server);
    assert_eq!(message.recipients, ["a@example.net", "b@example.net", "-c@example.net"]);
    assert_eq!(message.from, "f@example.com");
}

#[test]
fn bitrix_writes_it_like_this() {
    let server = with_login(script()).start();
    let home = Home::new();
    let log = home.path("msmtp.log");
    let lines = format!(
        "# smtp account configuration for default\naccount default\nlogfile {}\nhost 127.0.0.1\nport {}\n\
         from shop@example.com\nkeepbcc on\nauth plain\nuser u\npassword tanstaaf\n",
        log.display(),
        server.port
    );
    home.write(".msmtprc", lines);
    home.run("msmtp", &["-t", "-i"], MESSAGE).expect(0);
    assert_eq!((only(&server).from.as_str(), only(&server).account.as_deref()), ("shop@example.com", Some("u")));
    let line = std::fs::read_to_string(log).unwrap();
    let (_, fields) = line.split_once(" host=").unwrap();
    let size = only(&server).text.len();
    assert_eq!(
        fields,
        format!(
            "127.0.0.1 tls=off auth=on user=u from=shop@example.com recipients=v@example.net mailsize={size} \
             smtpstatus=250 smtpmsg='250 2.0.0 taken' exitcode=EX_OK\n"
        )
    );
}

#[test]
fn the_account_is_chosen_as_msmtp_chooses() {
    let server = script().start();
    let home = Home::new();
    let more =
        "account exact : default\nfrom Ann@example.com\ndomain exact\naccount w : default\nfrom *@w.example\ndomain w";
    home.write(".msmtprc", rc(&server, &format!("domain default\n{more}")));
    let from = |address: &str| format!("From: {address}\nTo: v@example.net\n\nx\n");
    for (arguments, header, account, envelope) in [
        (&["-t"][..], "ann@example.com", "default", "joe@example.com"),
        (&["-t", "-a", "w"], "ann@w.example", "w", "ann@w.example"),
        (&["-t", "-f", "ann@example.com"], "x@y.example", "exact", "ann@example.com"),
        (&["-t", "-f", "ann+tag@EXAMPLE.com"], "x@y.example", "exact", "ann+tag@EXAMPLE.com"),
        (&["-t", "-f", "q@w.example"], "x@y.example", "w", "q@w.example"),
        (&["-t", "-f", "q@W.example"], "x@y.example", "default", "q@W.example"),
        (&["-t", "--read-envelope-from"], "Q <q@w.example>", "w", "q@w.example"),
        (&["-t", "--read-envelope-from"], "z@z.example", "default", "z@z.example"),
    ] {
        let before = server.connections().len();
        home.run("msmtp", arguments, from(header)).expect(0);
        let connection = &server.connections()[before];
        assert_eq!(connection.commands[0], format!("EHLO {account}"), "{arguments:?}");
        assert_eq!(connection.messages[0].from, envelope, "{arguments:?}");
    }
}

#[test]
fn settings_of_the_command_line_go_over_the_account() {
    let authority = Authority::new();
    let server = with_login(script()).implicit_tls(&authority.issue(Kind::Valid)).start();
    let home = Home::new().env("POSTRIDER_MSMTP_OPTIONS", "all");
    home.write(
        ".msmtprc",
        "account a\nhost 192.0.2.1\naccount default\nhost 127.0.0.1\nport 1\nfrom joe@example.com\n",
    );
    home.write("ca.pem", authority.pem());
    let port = format!("--port={}", server.port);
    let options = [
        port.as_str(),
        "--tls",
        "--tls-starttls=off",
        "--tls-trust-file=~/ca.pem",
        "--auth=login",
        "--user",
        "u",
        "--passwordeval=echo tanstaaf",
        "--domain=cli.example",
        "--logfile=-",
        "--set-msgid-header=off",
        "r@example.net",
    ];
    let finished = home.run("msmtp", &options, MESSAGE).expect(0);
    assert!(finished.stdout.contains(" tls=on auth=on user=u from=joe@example.com "), "{}", finished.stdout);
    let connection = &server.connections()[0];
    assert_eq!((connection.mechanism.as_deref(), connection.commands[0].as_str()), (Some("LOGIN"), "EHLO cli.example"));
    assert!(!text(&only(&server)).contains("Message-ID"));
}

#[test]
fn a_host_makes_an_account_of_its_own() {
    let server = script().start();
    let home = Home::new();
    home.write(".msmtprc", "this is not read\n");
    let port = format!("--port={}", server.port);
    home.run("msmtp", &["--host=127.0.0.1", &port, "--from=a@example.com", "r@example.net"], MESSAGE).expect(0);
    assert_eq!(only(&server).from, "a@example.com");
    let both = home.run("msmtp", &["--host=127.0.0.1", "-a", "b", "r@example.net"], MESSAGE).expect(64);
    assert!(both.stderr.contains("--host"), "{}", both.stderr);
}

#[test]
fn another_file_in_the_place_of_the_users() {
    let server = script().start();
    let home = Home::new().env("POSTRIDER_MSMTP_OPTIONS", "all");
    home.write(".msmtprc", "broken\n");
    let file = home.write("other", rc(&server, ""));
    home.run("msmtp", &["-C", file.to_str().unwrap(), "r@example.net"], MESSAGE).expect(0);
    home.run("msmtp", &[&format!("--file={}", file.display()), "r@example.net"], MESSAGE).expect(0);
    assert_eq!(server.messages().len(), 2);
    let strange = home.write("strange", "root:x:secret\n");
    let finished = home.run("msmtp", &["-C", strange.to_str().unwrap(), "r@example.net"], MESSAGE).expect(78);
    assert!(finished.stderr.contains("strange:1") && !finished.stderr.contains("secret"), "{}", finished.stderr);
    let absent = home.run("msmtp", &["-C", "/nonexistent/rc", "r@example.net"], MESSAGE).expect(74);
    assert!(absent.stderr.contains("/nonexistent/rc"), "{}", absent.stderr);
}

#[test]
fn the_xdg_file_is_the_second_choice() {
    let server = script().start();
    let home = Home::new();
    home.write(".config/msmtp/config", rc(&server, "domain second"));
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
    home.write(".msmtprc", rc(&server, "domain first"));
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
    let greetings: Vec<String> = server.connections().into_iter().map(|one| one.commands[0].clone()).collect();
    assert_eq!(greetings, ["EHLO second", "EHLO first"]);
}

#[test]
fn without_an_msmtprc_it_is_sendmail() {
    let server = script().start();
    let toml = format!("log = {{ to = \"off\" }}\n[default]\nserver = \"smtp+plain://127.0.0.1:{}\"\n", server.port);
    let home = Home::new().config(&toml);
    home.run("msmtp", &["-t"], MESSAGE).expect(0);
    assert_eq!(only(&server).from, "joe@h.example");
    let finished = home.run("msmtp", &["--tls=on", "r@example.net"], MESSAGE).expect(78);
    assert!(finished.stderr.contains("tls"), "{}", finished.stderr);
}

#[test]
fn match_from_lets_the_header_choose_below_postrider_toml() {
    let server = script().start();
    for (option, account) in [("", "default"), ("match_from = true", "w")] {
        let before = server.connections().len();
        let toml = format!("log = {{ to = \"off\" }}\n[default]\nrelay = \"msmtprc\"\nmsmtprc = \"rc\"\n{option}\n");
        let home = Home::new().config(&toml);
        home.write("rc", rc(&server, "domain default\naccount w : default\nfrom *@h.example\ndomain w"));
        home.run("sendmail", &["-t"], MESSAGE).expect(0);
        assert_eq!(server.connections()[before].commands[0], format!("EHLO {account}"));
    }
}

#[test]
fn pretending_sends_nothing_and_shows_no_secret() {
    let server = script().start();
    for password in ["password tanstaaf", "passwordeval echo tanstaaf"] {
        let lines = format!("auth plain\nuser u\n{password}\ntimeout 7\ndsn_notify failure,delay\nsyslog LOG_MAIL");
        for option in ["-P", "--pretend"] {
            let finished = send(&server, &lines, &[option, "r@example.net"]).expect(0);
            for line in
                ["user = u", "auth = plain", "from = joe@example.com", "dsn_notify = failure,delay", "tls = off"]
            {
                assert!(finished.stdout.lines().any(|one| one == line), "{line}\n{}", finished.stdout);
            }
            assert!(!finished.stdout.contains("tanstaaf"), "{}", finished.stdout);
        }
    }
    assert!(server.connections().is_empty());
}

#[test]
fn serverinfo_shows_and_sends_nothing() {
    let authority = Authority::new();
    let server = script().auth("u", "p", &["PLAIN"]).starttls(&authority.issue(Kind::Valid)).start();
    let home = home(&server, "tls on\ntls_trust_file ~/ca.pem\nauth on\nuser u\npasswordeval exit 1");
    let home = home.env("POSTRIDER_MSMTP_OPTIONS", "all");
    home.write("ca.pem", authority.pem());
    let finished = home.run("msmtp", &["-S"], "").expect(0);
    for part in
        ["STARTTLS", "127.0.0.1", "postrider test authority", "SHA-256", "PIPELINING", "SIZE 1000000", "AUTH PLAIN"]
    {
        assert!(finished.stdout.contains(part), "{part}: {}", finished.stdout);
    }
    assert_eq!(server.connections()[0].verbs(), ["EHLO", "STARTTLS", "EHLO", "QUIT"]);
    let refused = home.run("msmtp", &["--serverinfo", "--tls-trust-file=system"], "").expect(69);
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
}

#[test]
fn help_and_version() {
    let home = Home::new();
    let help = home.run("msmtp", &["--help"], "").expect(0).stdout;
    for option in ["--read-envelope-from", "--serverinfo", "-P, --pretend", "--passwordeval=VALUE"] {
        assert!(help.contains(option), "{option}");
    }
    assert!(home.run("msmtp", &["--version"], "").expect(0).stdout.contains("msmtprc"));
}

#[test]
fn wrong_command_lines() {
    let home = Home::new();
    for arguments in [
        &["--bogus"][..],
        &["-bs"],
        &["--port=70000", "r@x"],
        &["--dsn-notify=foo", "r@x"],
        &["--tls=yes", "r@x"],
        &["--read-envelope-from", "-f", "a@b", "r@x"],
        &["-C"],
        &["--configure=a@b"],
        &["--tls-priorities=NORMAL", "r@x"],
    ] {
        let finished = home.run("msmtp", arguments, MESSAGE).expect(64);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    }
}

#[test]
fn statuses_are_those_of_msmtp() {
    for (point, reply, status) in [
        ("CONNECT", "421 no", 76),
        ("CONNECT", "554 no", 76),
        ("MAIL", "450 no", 69),
        ("MAIL", "550 no", 65),
        ("RCPT", "450 no", 69),
        ("RCPT", "550 no", 65),
        ("DATA", "450 no", 69),
        ("DATA", "554 no", 65),
        ("DOT", "451 no", 69),
        ("DOT", "550 no", 69),
        ("AUTH", "535 no", 77),
        ("AUTH", "454 no", 77),
    ] {
        let server = with_login(script()).reply(point, reply).start();
        let lines = "auth plain\nuser u\npassword tanstaaf\nlogfile -";
        let finished = send(&server, lines, &["r@example.net"]).expect(status);
        let said = format!("smtpstatus={} smtpmsg='{reply}' errormsg='", &reply[..3]);
        assert!(finished.stdout.contains(&said) && finished.stderr.contains(reply), "{}", finished.stdout);
    }
    let server = script().on("EHLO", Fault::Reply("550 no".into())).on("HELO", Fault::Reply("550 no".into())).start();
    send(&server, "", &["r@example.net"]).expect(76);
    for (lines, status) in [("tls on", 69), ("auth plain\nuser u\npassword p", 69), ("host nx.invalid", 68)] {
        let server = script().start();
        send(&server, lines, &["r@example.net"]).expect(status);
    }
    // msmtp says 75, which some callers take for success.
    let home = Home::new();
    home.run("msmtp", &["--host=127.0.0.1", "--port=1", "-f", "a@b", "r@example.net"], MESSAGE).expect(69);
}
