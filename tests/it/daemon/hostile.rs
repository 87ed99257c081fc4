//! Hostile local clients cost the daemon nothing but themselves.

use super::{Daemon, MESSAGE, as_nobody, nobody, taking, until};
use postrider::daemon::protocol::{MAGIC, PIECE, Reply, Request, Submit};
use postrider::daemon::wire;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The most that the daemon may ever take, KiB.
const MEMORY: u64 = 64 << 10;

fn begun(daemon: &Daemon) -> UnixStream {
    let asked: Submit = serde_json::from_value(serde_json::json!({
        "id": "ef".repeat(16), "program": "x", "from": null, "full_name": null, "extract": true, "account": null,
        "delivery": "Background", "errors": "Print", "dsn": {"notify": null, "ret": null, "envid": null}, "tag": null,
        "recipients": []
    }))
    .unwrap();
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    let mut out = MAGIC.to_vec();
    wire::write_value(&mut out, &Request::Submit(Box::new(asked)), u32::MAX).unwrap();
    stream.write_all(&out).unwrap();
    stream
}

fn piece(stream: &mut UnixStream, octets: &[u8]) -> std::io::Result<()> {
    stream.write_all(&(octets.len() as u32).to_be_bytes())?;
    stream.write_all(octets)
}

/// A good client gets through.
#[track_caller]
fn good(daemon: &Daemon) {
    daemon.home().run("sendmail", &["-odq", "-t"], MESSAGE).expect(0);
}

#[test]
fn garbage_half_close_and_silence() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let silent: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(daemon.socket()).unwrap()).collect();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], &[0xff; 100_000], b"POSTRIDER1\n\0\0\0\x05hello", b"P"]
    {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(Shutdown::Write);
        let mut back = Vec::new();
        let _ = stream.read_to_end(&mut back);
    }
    for length in [64 << 20, u32::MAX] {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        stream.write_all(MAGIC).unwrap();
        stream.write_all(&u32::to_be_bytes(length)).unwrap();
        let reply: Reply = wire::read_value(&mut stream, u32::MAX).unwrap();
        assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
    }
    let mut half = begun(&daemon);
    piece(&mut half, MESSAGE.as_bytes()).unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    let _ = half.read_to_end(&mut back);
    assert!(back.is_empty(), "no answer without END");
    assert_eq!(daemon.queued(), 0);
    good(&daemon);
    drop(silent);
    assert_eq!(daemon.queued(), 1);
    assert!(daemon.peak() < MEMORY, "{} KiB", daemon.peak());
}

#[test]
fn killed_in_mid_message_leaves_nothing() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    for _ in 0..20 {
        let mut stream = begun(&daemon);
        piece(&mut stream, &[MESSAGE.as_bytes(), &[b'x'; 50_000]].concat()).unwrap();
        piece(&mut stream, &[b'y'; 60_000]).unwrap();
    }
    good(&daemon);
    assert_eq!(daemon.queued(), 1);
    until("they are all given up", || std::fs::read_dir(daemon.path("queue")).map_or(0, |d| d.count()) < 10);
}

#[test]
fn a_gigabyte_is_refused() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let mut stream = begun(&daemon);
    let octets = vec![b'x'; PIECE as usize];
    let mut sent = 0u64;
    while sent < 1 << 30 && piece(&mut stream, &octets).is_ok() {
        sent += octets.len() as u64;
    }
    assert!(sent < 110 << 20, "{sent}");
    let reply: Reply = wire::read_value(&mut stream, u32::MAX).unwrap();
    let Reply::Done(verdict) = reply else { panic!("{reply:?}") };
    assert!(verdict.status == 69 && !verdict.kept && verdict.text.unwrap().contains("100 MiB"));
    assert!(daemon.peak() < MEMORY, "{} KiB", daemon.peak());
    // Through the program it is the same, in words.
    let large = MESSAGE.to_owned() + &"0123456789abcde\n".repeat((101 << 20) / 16);
    let run = daemon.home().run("sendmail", &["-t"], large).expect(69);
    assert!(run.stderr.contains("100 MiB; nothing was kept"), "{}", run.stderr);
    good(&daemon);
    assert_eq!(daemon.queued(), 1);
}

#[test]
fn thousands_of_connections() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    if !nobody("thousands_of_connections") {
        return;
    }
    let home = daemon.home();
    // As nobody: connections that say nothing, held open, a new one for every one that is closed.
    let flood = "import resource,socket,sys,time\n\
                 resource.setrlimit(resource.RLIMIT_NOFILE,(1024,1024))\n\
                 held=[]\n\
                 for i in range(4000):\n\
                 \x20s=socket.socket(socket.AF_UNIX);s.settimeout(5)\n\
                 \x20try: s.connect(sys.argv[1]); held.append(s)\n\
                 \x20except OSError: pass\n\
                 \x20if len(held)>900: held.pop(300).close()\n\
                 print('flooded',flush=True)\n\
                 time.sleep(2)\n";
    if !crate::support::skip::require("thousands_of_connections", "python3") {
        return;
    }
    let socket = daemon.socket();
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut all = as_nobody(&home, &[]);
            all.truncate(3);
            all.extend(["python3".into(), "-c".into(), flood.into(), socket.display().to_string()]);
            home.program(Path::new("/usr/bin/setpriv"), &all, "")
        });
        for _ in 0..20 {
            good(&daemon);
        }
        let finished = flood.join().unwrap().expect(0);
        assert_eq!(finished.stdout, "flooded\n");
    });
    assert_eq!(daemon.queued(), 20);
    assert!(daemon.peak() < MEMORY, "{} KiB", daemon.peak());
}

#[test]
fn a_message_has_no_end_of_recipients() {
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let to: Vec<String> = (0..100_001).map(|number| format!("u{number}@example.org")).collect();
    let mail = format!("From: shop@example.com\nTo: {}\n\nhello\n", to.join(",\n "));
    let run = daemon.home().run("sendmail", &["-odq", "-t"], &mail).expect(65);
    assert!(run.stderr.contains("more than 100000 addresses"), "{}", run.stderr);
    assert_eq!(daemon.queued(), 0);
    let fewer = mail.replace("u100000@example.org", "");
    daemon.home().run("sendmail", &["-odq", "-t"], fewer).expect(0);
    assert_eq!(daemon.queued(), 20, "5000 in each");
}

/// As nobody: much mail in the queue, then listings whose answers are not read and searches without end.
const GREED: &str = r#"
import json, os, socket, struct, sys, threading, time
def frame(b): return struct.pack(">I", len(b)) + b
def ask(value, text=None, read=True):
    s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1])
    b = b"POSTRIDER1\n" + frame(json.dumps(value).encode())
    if text is not None: b += frame(text) + struct.pack(">I", 0)
    try:
        s.sendall(b)
        while read and s.recv(1 << 16): pass
    except OSError: pass
    return s
domain = ".".join(["d" * 60] * 4)
to = [f"{i:05d}{'u' * 55}@{domain}" for i in range(12000)]
for i in range(3):
    ask({"submit": {"id": os.urandom(16).hex(), "program": "x", "from": "shop@example.com", "full_name": None, "extract": False, "account": None,
        "delivery": "Queue", "errors": "Print", "dsn": {"notify": None, "ret": None, "envid": None}, "tag": None, "recipients": to}},
        b"From: shop@example.com\n\nhello\n")
print("queued", flush=True)
def which(recipient): return {"list": {"filter": {"ids": [], "sender": None, "lane": None, "recipient": recipient, "before": None, "held": None,
    "tried": None, "after": None, "uid": None}, "limit": 10000}}
unread = [ask(which(None), read=False) for i in range(60)]
def search():
    while True:
        try: ask(which("zzzz"))
        except OSError: time.sleep(.05)
def act():
    while True:
        try: ask({"act": {"filter": which("zzzz")["list"]["filter"], "action": "retry"}})
        except OSError: time.sleep(.05)
for i in range(50): threading.Thread(target=search if i % 2 else act, daemon=True).start()
time.sleep(1)
print("greedy", flush=True)
sys.stdin.read()
"#;

#[test]
fn who_asks_and_does_not_listen_takes_neither_memory_nor_time_from_others() {
    let test = "who_asks_and_does_not_listen_takes_neither_memory_nor_time_from_others";
    if !nobody(test) || !crate::support::skip::require(test, "python3") {
        return;
    }
    let server = taking();
    let daemon = Daemon::start(&server, "");
    let home = daemon.home();
    let mut all = as_nobody(&home, &[]);
    all.truncate(3);
    all.extend(["python3".into(), "-c".into(), GREED.into(), daemon.socket().display().to_string()]);
    let mut greed = std::process::Command::new("setpriv");
    greed
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .args(&all)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut greed = greed.spawn().unwrap();
    let mut said = std::io::BufReader::new(greed.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("greedy\n") {
        assert!(std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "{line}");
    }
    // Another user, whose account the machine need not have, and root.
    let mut other = as_nobody(&home, &["-odq", "-t"]);
    other[0] = "--reuid=65533".into();
    for _ in 0..5 {
        let begun = std::time::Instant::now();
        home.run("postrider", &["status"], "").expect(0);
        home.program(Path::new("/usr/bin/setpriv"), &other, MESSAGE).expect(0);
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    greed.kill().unwrap();
    greed.wait().unwrap();
    assert!(daemon.peak() < 128 << 10, "{} KiB", daemon.peak());
    // What has very many recipients is several messages; what is listed is a page at a time, and is all of them.
    assert_eq!(daemon.queued(), 3 * 3 + 5);
    let listed = home.run("mailq", &["--json"], "").expect(0).stdout;
    assert_eq!(listed.lines().count(), 3 * 3 + 5);
    assert_eq!(listed.matches("uuuuu@").count(), 3 * 12_000);
}
