//! Each command of an msmtprc, by what it makes the real binary do.

use super::{MESSAGE, home, only, rc, script, send, text, with_login};
use crate::support::certs::{Authority, Kind};
use crate::support::run::Home;
use crate::support::script::Script;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;

/// What can be seen of a command.
enum Shows {
    /// The first command of the connection.
    Greeting(&'static str),
    /// A line of the message's header, or none that begins so.
    Header(&'static str),
    NoHeader(&'static str),
    /// The path of MAIL.
    From(&'static str),
    /// Parameters of MAIL, and of the first RCPT.
    Parameters(&'static str, &'static str),
    /// The mechanism of the login.
    Login(&'static str),
    /// On standard output.
    Output(&'static str),
}

#[test]
fn commands_that_the_server_or_the_caller_sees() {
    use Shows::{From, Greeting, Header, Login, NoHeader, Output, Parameters};
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let ehlo = format!("EHLO {host}").leak();
    let user = uzers::get_current_username().unwrap().to_string_lossy().into_owned();
    let of_user = format!("{user}@x.example").leak();
    for (lines, arguments, shows) in [
        ("timeout 20\nconnect_timeout off", "", Greeting("EHLO localhost")),
        ("protocol lmtp", "", Greeting("LHLO localhost")),
        ("domain mail.example.com", "", Greeting("EHLO mail.example.com")),
        ("domain %H", "", Greeting(ehlo)),
        ("source_ip 127.0.0.2", "", Greeting("EHLO localhost")),
        ("auth plain\nuser u\npassword tanstaaf", "", Login("PLAIN")),
        ("auth login\nuser u\npasswordeval echo tanstaaf; echo more", "", Login("LOGIN")),
        ("eval echo domain of.eval", "", Greeting("EHLO of.eval")),
        ("ntlmdomain d\ntls_force_sslv3\ntls off\ntls_starttls off", "", Greeting("EHLO localhost")),
        ("from %U@x.example", "", From(of_user)),
        ("from of.%F", "", From("of.joe@h.example")),
        ("from", "", From("joe@h.example")),
        ("from\nauto_from on\nmaildomain x.example", "", From(of_user)),
        ("from \"quoted\"@x.example", "", From("quoted@x.example")),
        ("allow_from_override on", "-f f@example.com", From("f@example.com")),
        ("allow_from_override off", "-f f@example.com", From("joe@example.com")),
        ("set_from_header on", "", Header("From: joe@example.com")),
        ("set_from_header on\nfrom_full_name Joe Doe", "", Header("From: Joe Doe <joe@example.com>")),
        ("set_from_header on\nfrom_full_name Joe Doe", "-F Jay", Header("From: Jay <joe@example.com>")),
        ("set_from_header auto", "", Header("From: Joe <joe@h.example>")),
        ("set_from_header off\nadd_missing_from_header on", "", Header("From: Joe <joe@h.example>")),
        ("set_date_header auto", "", Header("Date: ")),
        ("set_date_header off", "", NoHeader("Date: ")),
        ("add_missing_date_header off", "", NoHeader("Date: ")),
        ("set_msgid_header auto", "", Header("Message-ID: <")),
        ("set_msgid_header off", "", NoHeader("Message-ID: ")),
        ("set_to_header on", "", Header("To: v@example.net")),
        ("set_to_header undisclosed_recipients", "", Header("To: undisclosed-recipients:;")),
        ("undisclosed_recipients on", "", NoHeader("To: v@")),
        ("dsn_notify failure,delay\ndsn_return headers", "", Parameters("RET=HDRS", "NOTIFY=FAILURE,DELAY")),
        ("dsn_notify never\ndsn_return full", "", Parameters("RET=FULL", "NOTIFY=NEVER")),
        ("dsn_notify success", "-N off -R full", Parameters("RET=FULL", "")),
        ("logfile -", "", Output(" exitcode=EX_OK\n")),
        ("logfile -\nlogfile_time_format at<%Y>", "", Output("at<2")),
        ("syslog LOG_LOCAL3", "", From("joe@example.com")),
    ] {
        let script = if lines.contains("lmtp") { script().lmtp() } else { script() };
        let server = if lines.contains("auth ") { with_login(script) } else { script }.start();
        let mut all: Vec<&str> = arguments.split_ascii_whitespace().collect();
        all.push("r@example.net");
        let finished = send(&server, lines, &all).expect(0);
        let (message, connection) = (only(&server), server.connections().remove(0));
        let text = text(&message);
        let header = |start: &str| text.lines().take_while(|line| !line.is_empty()).any(|line| line.starts_with(start));
        match shows {
            Greeting(line) => assert_eq!(connection.commands[0], line, "{lines}"),
            Header(start) => assert!(header(start), "{lines}: {text}"),
            NoHeader(start) => assert!(!header(start), "{lines}: {text}"),
            From(address) => assert_eq!(message.from, address, "{lines}"),
            Login(mechanism) => assert_eq!(connection.mechanism.as_deref(), Some(mechanism), "{lines}"),
            Output(part) => assert!(finished.stdout.contains(part), "{lines}: {}", finished.stdout),
            Parameters(mail, rcpt) => {
                assert!(message.parameters.contains(mail), "{lines}: {}", message.parameters);
                assert!(message.recipient_parameters[0].starts_with(rcpt), "{lines}");
                assert!(!rcpt.is_empty() || !message.recipient_parameters[0].contains("NOTIFY"), "{lines}");
            }
        }
    }
}

#[test]
fn bcc_is_kept_where_that_is_asked_for() {
    let message = "From: joe@example.com\nTo: v@example.net\nBcc: b@example.net\n\nhello\n";
    for (lines, kept) in [
        ("remove_bcc_headers on", false),
        ("remove_bcc_headers off", true),
        ("keepbcc on", true),
        ("keepbcc off", false),
    ] {
        let server = script().start();
        home(&server, lines).run("msmtp", &["-t"], message).expect(0);
        assert_eq!(only(&server).recipients, ["v@example.net", "b@example.net"]);
        assert_eq!(text(&only(&server)).contains("Bcc: b@example.net"), kept, "{lines}");
    }
}

#[test]
fn a_to_that_is_added_hides_who_is_in_bcc() {
    for (message, to) in [
        ("Cc: c@example.net\nBcc: b@example.net\n\nx\n", "To: c@example.net\r\n"),
        ("Bcc: b@example.net\n\nx\n", "To: undisclosed-recipients:;\r\n"),
    ] {
        let server = script().start();
        home(&server, "set_to_header on").run("msmtp", &["-t"], message).expect(0);
        let text = text(&only(&server));
        assert!(text.contains(to) && !text.contains("b@example.net"), "{text}");
    }
}

#[test]
fn accounts_inherit() {
    let server = script().start();
    let home = Home::new();
    let lines =
        "defaults\ndomain one\naccount b : default\nset_msgid_header off\naccount c : b , default\nfrom c@example.com";
    home.write(".msmtprc", rc(&server, lines));
    home.run("msmtp", &["-a", "c", "r@example.net"], MESSAGE).expect(0);
    assert_eq!(only(&server).from, "c@example.com");
    assert_eq!(server.connections()[0].commands[0], "EHLO one");
    assert!(!text(&only(&server)).contains("Message-ID"));
}

#[test]
fn tls_by_every_command() {
    let authority = Authority::new();
    let identity = authority.issue(Kind::Valid);
    let fingerprint = |digest| {
        let octets = identity.certificate.digest(digest).unwrap();
        octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
    };
    use openssl::hash::MessageDigest as Digest;
    let fingerprints =
        [Digest::sha256(), Digest::sha1(), Digest::md5()].map(|d| format!("tls_fingerprint {}", fingerprint(d)));
    let trusted = "tls_trust_file ~/ca.pem";
    for (lines, status) in [
        (trusted, 0),
        ("", 69),
        ("tls_trust_file system", 69),
        ("tls_certcheck off", 0),
        ("tls_nocertcheck", 0),
        (&fingerprints[0], 0),
        (&fingerprints[1], 0),
        (&fingerprints[2], 0),
        ("tls_fingerprint 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33", 69),
        ("tls_trust_file ~/ca.pem\ntls_host_override localhost", 0),
        ("tls_trust_file ~/ca.pem\ntls_host_override other.example", 69),
    ] {
        for (mode, script) in [
            ("tls on", script().starttls(&identity)),
            ("tls on\ntls_starttls off", script().implicit_tls(&identity)),
            ("tls\ntls_nostarttls", script().implicit_tls(&identity)),
        ] {
            let server = script.start();
            let home = home(&server, &format!("{mode}\n{lines}"));
            home.write("ca.pem", authority.pem());
            home.run("msmtp", &["r@example.net"], MESSAGE).expect(status);
            assert_eq!(server.messages().len(), usize::from(status == 0), "{mode} {lines}");
            if lines.ends_with("localhost") {
                assert_eq!(server.connections()[0].sni.as_deref(), Some("localhost"));
            }
        }
    }
}

#[test]
fn a_client_certificate() {
    let authority = Authority::new();
    let client = authority.issue(Kind::ClientOnly);
    let server = script().starttls(&authority.issue(Kind::Valid)).client_certificate(authority.pem()).start();
    let lines = "tls on\ntls_trust_file ~/ca.pem\ntls_cert_file ~/client.pem\ntls_key_file ~/client.key";
    let home = home(&server, lines);
    home.write("ca.pem", authority.pem());
    home.write("client.pem", client.certificate.to_pem().unwrap());
    home.write("client.key", client.key.private_key_to_pem_pkcs8().unwrap());
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
    assert!(server.connections()[0].client.is_some());
}

#[test]
fn the_password_of_netrc() {
    let server = with_login(script()).start();
    let home = home(&server, "auth plain\nuser u");
    home.write(".netrc", "machine other login u password no\nmachine 127.0.0.1 login u password tanstaaf\n");
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
    assert_eq!(only(&server).account.as_deref(), Some("u"));
}

#[test]
fn a_literal_password_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let server = with_login(script()).start();
    let home = home(&server, "auth plain\nuser u\npassword tanstaaf");
    std::fs::set_permissions(home.path(".msmtprc"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let finished = home.run("msmtp", &["r@example.net"], MESSAGE).expect(78);
    assert!(finished.stderr.contains("chmod 0600") && !finished.stderr.contains("tanstaaf"), "{}", finished.stderr);
}

/// Carries octets both ways.
fn carry(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static) {
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
}

#[test]
fn a_unix_socket_in_place_of_the_host() {
    let server = script().start();
    let home = home(&server, "");
    let socket = home.path("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let port = server.port;
    std::thread::spawn(move || {
        let (near, far) = (listener.accept().unwrap().0, TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
        carry(near.try_clone().unwrap(), far.try_clone().unwrap());
        carry(far, near);
    });
    home.write(".msmtprc", format!("host 192.0.2.1\nsocket {}\nfrom joe@example.com\n", socket.display()));
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
    assert_eq!(only(&server).from, "joe@example.com");
}

#[test]
fn a_socks_proxy() {
    let server = script().start();
    let (proxy, port) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), server.port);
    let proxy_port = proxy.local_addr().unwrap().port();
    let asked = std::thread::spawn(move || {
        let mut near = proxy.accept().unwrap().0;
        let mut greeting = [0; 2];
        near.read_exact(&mut greeting).unwrap();
        near.read_exact(&mut vec![0; usize::from(greeting[1])]).unwrap();
        near.write_all(&[5, 0]).unwrap();
        let mut request = [0; 5];
        near.read_exact(&mut request).unwrap();
        let mut name = vec![0; usize::from(request[4]) + 2];
        near.read_exact(&mut name).unwrap();
        near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        carry(near.try_clone().unwrap(), far.try_clone().unwrap());
        carry(far, near);
        String::from_utf8(name[..name.len() - 2].to_vec()).unwrap()
    });
    let home = Home::new();
    let lines = format!("host mail.invalid\nfrom joe@example.com\nproxy_host 127.0.0.1\nproxy_port {proxy_port}\n");
    home.write(".msmtprc", lines);
    home.run("msmtp", &["r@example.net"], MESSAGE).expect(0);
    assert_eq!(only(&server).recipients, ["r@example.net"]);
    assert_eq!(asked.join().unwrap(), "mail.invalid", "the proxy looks the name up");
}

#[test]
fn what_cannot_be_done_names_line_and_alternative() {
    let server = Script::new().start();
    for (line, alternative) in [
        ("auth gssapi", "use plain"),
        ("auth ntlm", "use plain"),
        ("auth digest-md5", "use plain"),
        ("tls_crl_file /x", "tls_fingerprint"),
        ("tls_priorities NORMAL", "openssl.cnf"),
        ("tls_min_dh_prime_bits 1024", "openssl.cnf"),
    ] {
        let finished = send(&server, line, &["r@example.net"]).expect(78);
        let error = finished.stderr;
        assert!(
            error.contains(".msmtprc:5: ") && error.contains("not supported") && error.contains(alternative),
            "{error}"
        );
    }
    assert!(server.connections().is_empty());
}
