//! The caller's side alone: what it opens, and what it does where the daemon is absent or breaks off.

use super::{Daemon, MESSAGE, taking};
use crate::support::run::Home;
use crate::support::skip;
use postrider::daemon::protocol::{MAGIC, PIECE, REQUEST, Reply, Request, Verdict};
use postrider::daemon::wire;
use std::io::{BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Reads a submission; its id.
fn submission(stream: &UnixStream) -> String {
    let mut input = BufReader::new(stream);
    wire::read_magic(&mut input).unwrap();
    let Request::Submit(asked) = wire::read_value(&mut input, REQUEST).unwrap() else { panic!() };
    let mut piece = Vec::new();
    while let length @ 1.. = wire::read_length(&mut input, PIECE).unwrap() {
        wire::read_octets(&mut input, length, &mut piece).unwrap();
    }
    asked.id
}

fn done(status: u8, text: Option<&str>) -> Reply {
    Reply::Done(Verdict { status, kept: status == 0, queued: None, text: text.map(Into::into) })
}

fn answer(mut stream: &UnixStream, reply: &Reply) {
    let mut out = Vec::new();
    wire::write_value(&mut out, reply, u32::MAX).unwrap();
    stream.write_all(&out).unwrap();
}

/// A home that can deliver by itself, with a socket path of its own.
fn home(port: u16) -> Home {
    let home = Home::new();
    let toml = format!(
        "log = {{ to = \"off\" }}\n[[sender]]\nfrom = \"shop@example.com\"\nserver = \"smtp+plain://127.0.0.1:{port}\"\n"
    );
    home.write(".config/postrider/postrider.toml", toml);
    let socket = home.path("submit.sock");
    home.env("POSTRIDER_SOCKET", socket)
}

#[test]
fn without_a_daemon_it_delivers_itself_or_says_why_not() {
    let server = taking();
    let home = home(server.port);
    home.run("sendmail", &["-t"], MESSAGE).expect(0);
    assert_eq!(server.messages().len(), 1, "no socket");
    drop(UnixListener::bind(home.path("submit.sock")).unwrap());
    home.run("sendmail", &["-t"], MESSAGE).expect(0);
    assert_eq!(server.messages().len(), 2, "nobody answers on it");
    std::fs::remove_file(home.path(".config/postrider/postrider.toml")).unwrap();
    home.write(".config/postrider/postrider.toml", "broken");
    let run = home.run("sendmail", &["-t"], MESSAGE).expect(78);
    assert!(run.stderr.contains("submit.sock took nothing: connection refused; nothing was kept"), "{}", run.stderr);
}

#[test]
fn who_names_a_configuration_does_not_want_the_daemon() {
    let server = taking();
    let home = home(server.port);
    let listener = UnixListener::bind(home.path("submit.sock")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let own = home.path(".config/postrider/postrider.toml");
    let named = ["--config", own.to_str().unwrap(), "sendmail", "-t"];
    home.run("postrider", &named, MESSAGE).expect(0);
    home.env("POSTRIDER_CONFIG", &own).run("sendmail", &["-t"], MESSAGE).expect(0);
    assert_eq!(server.messages().len(), 2);
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn msmtp_takes_its_own_account_first() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let other = taking();
    let home = daemon.home();
    home.run("msmtp", &["-t"], MESSAGE).expect(0);
    super::until("the daemon delivers", || server.messages().len() == 1);
    home.write(".msmtprc", format!("account default\nhost 127.0.0.1\nport {}\nfrom x@example.com\n", other.port));
    home.run("msmtp", &["-t"], MESSAGE).expect(0);
    assert_eq!((server.messages().len(), other.messages().len()), (1, 1));
}

#[test]
fn a_lost_answer_is_asked_for_with_the_same_id() {
    let server = taking();
    let home = home(server.port);
    let listener = UnixListener::bind(home.path("submit.sock")).unwrap();
    let daemon = std::thread::spawn(move || {
        let (first, _) = listener.accept().unwrap();
        let lost = submission(&first);
        drop(first);
        let (second, _) = listener.accept().unwrap();
        let again = submission(&second);
        answer(&second, &done(65, Some("what the daemon said")));
        (lost, again)
    });
    let run = home.run("sendmail", &["-t"], MESSAGE).expect(65);
    assert_eq!(run.stderr, "sendmail: what the daemon said\n");
    let (lost, again) = daemon.join().unwrap();
    assert!(lost == again && lost.len() == 32);
    assert_eq!(server.messages().len(), 0);
}

#[test]
fn a_lost_answer_is_never_followed_by_a_direct_delivery() {
    let server = taking();
    let home = home(server.port);
    let listener = UnixListener::bind(home.path("submit.sock")).unwrap();
    let daemon = std::thread::spawn(move || {
        submission(&listener.accept().unwrap().0);
    });
    let run = home.run("sendmail", &["-t"], MESSAGE).expect(69);
    daemon.join().unwrap();
    assert!(run.stderr.contains("may have been kept"), "{}", run.stderr);
    assert_eq!(server.messages().len(), 0);
}

#[test]
fn a_connection_that_breaks_before_the_end_is_tried_again_and_then_another_way() {
    let server = taking();
    let home = home(server.port);
    let listener = UnixListener::bind(home.path("submit.sock")).unwrap();
    let large: String = MESSAGE.to_owned() + &"0123456789abcde\n".repeat(100_000);
    let daemon = std::thread::spawn(move || {
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            wire::read_magic(&mut &stream).unwrap();
        }
    });
    home.run("sendmail", &["-t"], &large).expect(0);
    daemon.join().unwrap();
    assert_eq!(server.messages().len(), 1, "delivered by the program itself");
}

#[test]
fn a_busy_daemon_is_asked_again() {
    let home = Home::new();
    let listener = UnixListener::bind(home.path("submit.sock")).unwrap();
    let daemon = std::thread::spawn(move || {
        for _ in 0..2 {
            answer(&listener.accept().unwrap().0, &Reply::Busy("many clients".into()));
        }
        let (stream, _) = listener.accept().unwrap();
        submission(&stream);
        answer(&stream, &done(0, None));
        listener
    });
    let socket = home.path("submit.sock");
    let home = home.env("POSTRIDER_SOCKET", &socket);
    home.run("sendmail", &["-t"], MESSAGE).expect(0);
    let listener = daemon.join().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            answer(&stream, &Reply::Busy("many clients".into()));
        }
    });
    let run = home.run("sendmail", &["-t"], MESSAGE).expect(69);
    assert!(run.stderr.contains("many clients") && run.stderr.contains("nothing was kept"), "{}", run.stderr);
}

#[test]
fn a_garbled_answer_is_no_success() {
    let home = Home::new();
    let listener = UnixListener::bind(home.path("submit.sock")).unwrap();
    std::thread::spawn(move || {
        for garbage in [MAGIC.to_vec(), u32::MAX.to_be_bytes().to_vec(), b"\0\0\0\x02{}".to_vec()].iter().cycle() {
            let Ok((mut stream, _)) = listener.accept() else { return };
            submission(&stream);
            let _ = stream.write_all(garbage);
        }
    });
    let socket = home.path("submit.sock");
    let run = home.env("POSTRIDER_SOCKET", socket).run("sendmail", &["-t"], MESSAGE).expect(69);
    assert!(run.stderr.contains("may have been kept"), "{}", run.stderr);
}

#[test]
fn it_opens_nothing_but_the_socket() {
    if !skip::require("it_opens_nothing_but_the_socket", "strace") {
        return;
    }
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    // Tempting, and none of its business.
    home.write(".config/postrider/postrider.toml", "broken");
    home.write(".msmtprc", "broken");
    let trace = home.path("trace");
    let sendmail = home.path("bin/sendmail");
    let arguments = ["-f", "-o", trace.to_str().unwrap(), sendmail.to_str().unwrap(), "-t", "-i"];
    home.program(Path::new("/usr/bin/strace"), &arguments, MESSAGE).expect(0);
    let trace = std::fs::read_to_string(trace).unwrap();
    for word in
        ["postrider.toml", "msmtprc", "mailname", "/etc/passwd", "nsswitch", "/etc/ssl", "openssl.cnf", "resolv"]
    {
        let line = trace.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word}");
    }
    let started = trace.lines().find(|line| line.contains("clone") || line.contains("fork("));
    assert_eq!(started, None, "a thread or a process");
    let opened = trace.lines().filter(|line| line.contains("openat(") && !line.contains("ENOENT"));
    for line in opened {
        assert!(line.contains(".so") || line.contains("/proc/self/") || line.contains("/sys/"), "{line}");
    }
    assert_eq!(trace.lines().filter(|line| line.contains(" connect(")).count(), 1);
}

#[test]
fn the_small_program_becomes_the_large_one_with_the_message_in_hand() {
    let server = taking();
    let home = home(server.port);
    // A daemon that is gone is noticed after the message was read.
    drop(UnixListener::bind(home.path("submit.sock")).unwrap());
    let small = Path::new(env!("CARGO_BIN_EXE_postrider-sendmail"));
    let body =
        "first\n.\n..\n last without an end".to_owned() + &"x".repeat(2 << 20).replace("xxxxxxxxx", "xxxxxxxx\n");
    let message = format!("From: shop@example.com\nTo: you@example.org\n\n{body}");
    home.program(small, &["-t", "-i"], &message).expect(0);
    let run = home.program(small, &["-t"], MESSAGE).expect(0);
    assert_eq!(run.stderr, "");
    let messages = server.messages();
    assert_eq!(messages.len(), 2);
    let text = String::from_utf8_lossy(messages[0].text.as_ref()).replace("\r\n", "\n");
    assert!(text.ends_with(&format!("\n\n{body}\n")), "nothing is lost on the way");
}

#[test]
fn the_small_program_has_no_library_of_tls() {
    let small = std::fs::read(env!("CARGO_BIN_EXE_postrider-sendmail")).unwrap();
    for library in ["libssl.so", "libcrypto.so", "OPENSSL_init_ssl"] {
        assert!(memchr::memmem::find(&small, library.as_bytes()).is_none(), "{library}");
    }
}
