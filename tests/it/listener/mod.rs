//! The daemon's SMTP listeners through real sockets: dialogue, TLS, logins, relaying, real clients, hostile ones, life.

mod clients;
mod dialogue;
mod exchange;
mod guesses;
mod hostile;
mod life;
mod pool;
mod ports;
mod relay;
mod secure;
mod strangers;

use crate::daemon::{Daemon, until};
use crate::support::certs::{Authority, Kind};
use crate::support::server::Server;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The hash of `tanstaaf`, as `postrider passwd` made it.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$4Tr4wqlatqKs11FPYqQ7nQ$R+6Q9XngC6j2BD5EDJ5x2dUp/NmBwOIBh84YRhhlxus";

/// A listener on a free port of the loopback address with these keys.
fn listen(keys: &str) -> String {
    format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{keys}\n")
}

/// The users `app`, for the sender shop alone, and `any`, for what is everybody's.
fn users() -> String {
    format!(
        "[[user]]\nname = \"app\"\npassword_hash = \"{HASH}\"\nsenders = [\"shop\"]\n\
         [[user]]\nname = \"any\"\npassword_hash = \"{HASH}\"\n"
    )
}

/// The ports that the daemon has told it listens at, in the order of the log.
pub fn ports(daemon: &Daemon, count: usize) -> Vec<u16> {
    let find = || -> Vec<u16> {
        let log = daemon.log();
        let lines = log.lines().filter(|line| line.contains(" listening address=\""));
        let ports = lines
            .filter_map(|line| line.split("address=\"").nth(1)?.split('"').next()?.rsplit(':').next()?.parse().ok());
        ports.collect()
    };
    until("the daemon listens", || find().len() >= count);
    find()
}

/// A daemon with one listener, and its port.
fn listening(server: &Server, keys: &str) -> (Daemon, u16) {
    let daemon = Daemon::start(server, &listen(keys));
    let port = ports(&daemon, 1)[0];
    (daemon, port)
}

/// Writes certificate and key of a new authority beside each other; its PEM and the keys for a listener.
fn certificate(directory: &Path) -> (Authority, String) {
    certificate_of(directory, Kind::Valid)
}

/// The same with one of that kind.
fn certificate_of(directory: &Path, kind: Kind) -> (Authority, String) {
    let authority = Authority::new();
    let identity = authority.issue(kind);
    let write = |name: &str, data: &[u8]| {
        let path = directory.join(name);
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        file.write_all(data).unwrap();
        path.display().to_string()
    };
    write("ca.pem", &authority.pem());
    let keys = format!(
        "certificate = \"{}\"\nkey = \"{}\"\n",
        write("c.pem", &identity.certificate_pem()),
        write("k.pem", &identity.key_pem())
    );
    (authority, keys)
}

/// A client that says lines and reads replies.
pub struct Talk<S: Read + Write> {
    stream: BufReader<S>,
}

impl Talk<TcpStream> {
    /// Connects, and reads the greeting.
    #[track_caller]
    fn to(port: u16) -> Self {
        Self::of(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Over a connection; reads the greeting.
    #[track_caller]
    pub fn of(stream: TcpStream) -> Self {
        let mut talk = Self::new(stream);
        talk.stream.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let greeting = talk.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        talk
    }

    /// The same, and says EHLO.
    pub fn hello(port: u16) -> Self {
        let mut talk = Self::to(port);
        assert!(talk.say("EHLO client.example").starts_with("250-"));
        talk
    }
}

impl<S: Read + Write> Talk<S> {
    fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// A whole reply, its lines joined with blanks; empty at the end.
    fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
                return all;
            }
            all.push_str(line.trim_end());
            if line.get(3..4) == Some(" ") {
                return all;
            }
            all.push(' ');
        }
    }

    fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(octets.as_ref()).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    /// Says a line; the reply.
    pub fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.reply()
    }

    /// Says a line and wants a reply that begins so.
    #[track_caller]
    pub fn expect(&mut self, line: &str, reply: &str) {
        let said = self.say(line);
        let shown: String = line.chars().take(200).collect();
        assert!(said.starts_with(reply), "{shown}: {said}");
    }

    /// Sends the text of a message; the reply to it.
    #[track_caller]
    fn message(&mut self, from: &str, to: &str, text: impl AsRef<[u8]>) -> String {
        self.expect(&format!("MAIL FROM:<{from}>"), "250 2.1.0");
        self.expect(&format!("RCPT TO:<{to}>"), "250 2.1.5");
        self.expect("DATA", "354");
        self.send(text);
        self.send("\r\n.\r\n");
        self.reply()
    }
}

/// A message of the sender shop.
const TEXT: &str = "From: shop@example.com\r\nTo: you@example.org\r\nSubject: hello\r\n\r\nbody text";
