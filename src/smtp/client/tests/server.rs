//! A scripted server on loopback: polite by default, and as rude as a test asks for.

#![expect(clippy::disallowed_methods, reason = "a test's server listens on loopback")]

use crate::config::{AuthChoice, Endpoint, Protocol, Relay, Timeouts, TlsMode, TlsOptions};
use crate::secret::SecretSource;
use native_tls::{Identity, TlsAcceptor};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does about a line; the line of a new connection is `CONNECT`, that of a message's end `.`.
pub enum Act {
    Say(String),
    /// As it is, then on as usual.
    Raw(Vec<u8>),
    SayAndClose(&'static str),
    Close,
    /// One octet at a time.
    Drip(&'static str, Duration),
    /// Nothing, until the client goes.
    Stall,
    /// Says this, then does the handshake.
    Tls(&'static [u8]),
}

pub fn say(line: &str) -> Option<Act> {
    Some(Act::Say(line.to_owned()))
}

/// What the server saw.
#[derive(Default)]
pub struct Record {
    pub lines: Vec<String>,
    pub bodies: Vec<Vec<u8>>,
    /// Times that it had answered everything and waited.
    pub flights: usize,
    pub connections: usize,
}

pub struct Server {
    pub relay: Relay,
    pub record: Arc<Mutex<Record>>,
}

type Script = dyn Fn(&str) -> Option<Act> + Send + Sync;
trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

pub const ALL: &str = "250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 50000000\r\n250-DSN\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n250 SMTPUTF8";

impl Server {
    pub fn start(script: impl Fn(&str) -> Option<Act> + Send + Sync + 'static) -> Self {
        Self::with(TlsMode::Plain, Authority::shared().identity(&["mx.test"], 30), script)
    }

    pub fn with(
        tls: TlsMode,
        identity: Identity,
        script: impl Fn(&str) -> Option<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let record = Arc::new(Mutex::new(Record::default()));
        let (shared, script): (_, Arc<Script>) = (record.clone(), Arc::new(script));
        let acceptor = TlsAcceptor::new(identity).unwrap();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (record, script, acceptor) = (shared.clone(), script.clone(), acceptor.clone());
                std::thread::spawn(move || Connection { record, script, acceptor }.serve(socket.unwrap(), tls));
            }
        });
        Self { relay: relay(port, tls), record }
    }

    pub fn lines(&self) -> Vec<String> {
        self.record.lock().unwrap().lines.clone()
    }

    pub fn said(&self, begin: &str) -> bool {
        self.lines().iter().any(|line| line.starts_with(begin))
    }
}

pub(crate) fn relay(port: u16, tls: TlsMode) -> Relay {
    let long = Duration::from_secs(20);
    Relay {
        endpoint: Endpoint::Tcp("127.0.0.1".into(), port),
        tls,
        tls_options: TlsOptions {
            trust_file: Some(Authority::shared().file.path().to_owned()),
            host_override: Some("mx.test".into()),
            ..TlsOptions::default()
        },
        protocol: Protocol::Smtp,
        auth: AuthChoice::Off,
        user: Some("user@mx.test".into()),
        password: Some(SecretSource::Env("UNUSED".into())),
        plaintext_password: false,
        ehlo: Some("client.test".into()),
        proxy: None,
        source: None,
        timeouts: Timeouts { connect: long, command: long, data_end: long, total: long, ..Timeouts::default() },
        client_password: None,
        backups: Vec::new(),
        replies: Default::default(),
        portions: Default::default(),
    }
}

struct Connection {
    record: Arc<Mutex<Record>>,
    script: Arc<Script>,
    acceptor: TlsAcceptor,
}

impl Connection {
    fn serve(&self, socket: TcpStream, tls: TlsMode) {
        socket.set_nodelay(true).unwrap();
        self.record.lock().unwrap().connections += 1;
        let mut wire: Box<dyn Both> = match tls {
            TlsMode::Implicit => match self.acceptor.accept(socket.try_clone().unwrap()) {
                Ok(stream) => Box::new(stream),
                Err(_) => return,
            },
            _ => Box::new(socket.try_clone().unwrap()),
        };
        if !self.act("CONNECT", &mut wire, &socket) {
            return;
        }
        let (mut buffer, mut in_body) = (Vec::new(), false);
        loop {
            let end = if in_body { end_of_body(&buffer) } else { memchr::memchr(b'\n', &buffer).map(|at| at + 1) };
            let Some(end) = end else {
                let mut piece = vec![0; 1 << 17];
                match wire.read(&mut piece) {
                    Ok(0) | Err(_) => return,
                    Ok(count) => buffer.extend_from_slice(&piece[..count]),
                }
                continue;
            };
            let taken: Vec<u8> = buffer.drain(..end).collect();
            let line = if in_body {
                self.record.lock().unwrap().bodies.push(taken);
                ".".to_owned()
            } else {
                let line = String::from_utf8_lossy(&taken).trim_end_matches(['\r', '\n']).to_owned();
                self.record.lock().unwrap().lines.push(line.clone());
                line
            };
            if let Some(size) =
                line.strip_prefix("BDAT ").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok())
            {
                while buffer.len() < size {
                    let mut piece = vec![0; 1 << 17];
                    match wire.read(&mut piece) {
                        Ok(0) | Err(_) => return,
                        Ok(count) => buffer.extend_from_slice(&piece[..count]),
                    }
                }
                self.record.lock().unwrap().bodies.push(buffer.drain(..size).collect());
            }
            in_body = false;
            if buffer.is_empty() {
                self.record.lock().unwrap().flights += 1;
            }
            if line == "DATA" {
                in_body = !matches!((self.script)("DATA"), Some(Act::Say(reply)) if !reply.starts_with("354"));
            }
            if !self.act(&line, &mut wire, &socket) {
                return;
            }
        }
    }

    /// Whether the connection goes on.
    fn act(&self, line: &str, wire: &mut Box<dyn Both>, socket: &TcpStream) -> bool {
        match (self.script)(line).unwrap_or_else(|| polite(line)) {
            Act::Say(reply) => wire.write_all(format!("{reply}\r\n").as_bytes()).is_ok() && !reply.starts_with("221"),
            Act::Raw(octets) => wire.write_all(&octets).is_ok(),
            Act::SayAndClose(reply) => {
                let _ = wire.write_all(format!("{reply}\r\n").as_bytes());
                false
            }
            Act::Close => false,
            Act::Drip(text, pause) => text.bytes().all(|octet| {
                std::thread::sleep(pause);
                wire.write_all(&[octet]).is_ok()
            }),
            Act::Stall => {
                let _ = std::io::copy(wire, &mut std::io::sink());
                false
            }
            Act::Tls(before) => {
                let said = wire.write_all(before).is_ok();
                match self.acceptor.accept(socket.try_clone().unwrap()) {
                    Ok(stream) => *wire = Box::new(stream),
                    Err(_) => return false,
                }
                said
            }
        }
    }
}

fn end_of_body(buffer: &[u8]) -> Option<usize> {
    if buffer.starts_with(b".\r\n") {
        return Some(3);
    }
    memchr::memmem::find(buffer, b"\r\n.\r\n").map(|at| at + 5)
}

pub fn polite(line: &str) -> Act {
    let verb = line.split([' ', ':']).next().unwrap_or_default();
    let reply = match verb {
        "CONNECT" => "220 mx.test ESMTP",
        "EHLO" | "LHLO" => ALL,
        "STARTTLS" => return Act::Tls(b"220 go\r\n"),
        "AUTH" => "235 2.7.0 in",
        "MAIL" => "250 2.1.0 ok",
        "RCPT" => "250 2.1.5 ok",
        "DATA" => "354 go",
        "." | "BDAT" => "250 2.0.0 queued as 1",
        "RSET" => "250 2.0.0 ok",
        "QUIT" => "221 2.0.0 bye",
        _ => "500 5.5.2 what",
    };
    Act::Say(reply.to_owned())
}

/// A certificate authority of the test's own.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
    pub file: tempfile::NamedTempFile,
}

impl Authority {
    pub fn shared() -> &'static Self {
        static ONE: std::sync::LazyLock<Authority> = std::sync::LazyLock::new(|| {
            let key = new_key();
            let certificate = issue("Test Authority", &key, None, &[], 30);
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&certificate.to_pem().unwrap()).unwrap();
            Authority { certificate, key, file }
        });
        &ONE
    }

    /// A server's identity for the names, valid until that many days from now (negative: over since then).
    pub fn identity(&self, names: &[&str], days: i64) -> Identity {
        let key = new_key();
        let leaf = issue(names[0], &key, Some((&self.certificate, &self.key)), names, days);
        Identity::from_pkcs8(&leaf.to_pem().unwrap(), &key.private_key_to_pem_pkcs8().unwrap()).unwrap()
    }
}

/// An identity signed by itself, and its SHA-256.
pub fn self_signed(name: &str) -> (Identity, Vec<u8>) {
    let key = new_key();
    let leaf = issue(name, &key, None, &[name], 30);
    let digest = leaf.digest(MessageDigest::sha256()).unwrap().to_vec();
    (Identity::from_pkcs8(&leaf.to_pem().unwrap(), &key.private_key_to_pem_pkcs8().unwrap()).unwrap(), digest)
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn issue(name: &str, key: &PKey<Private>, by: Option<(&X509, &PKey<Private>)>, names: &[&str], days: i64) -> X509 {
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(127, openssl::bn::MsbOption::MAYBE_ZERO, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(by.map_or(&subject, |(issuer, _)| issuer.subject_name())).unwrap();
    builder.set_pubkey(key).unwrap();
    let now = crate::sys::clock::now().timestamp();
    let day = 86_400;
    builder.set_not_before(&Asn1Time::from_unix(now - 90 * day).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + days * day).unwrap()).unwrap();
    if names.is_empty() {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    } else {
        let mut alternative = SubjectAlternativeName::new();
        names.iter().for_each(|name| {
            alternative.dns(name);
        });
        let extension = alternative.build(&builder.x509v3_context(by.map(|(issuer, _)| &**issuer), None)).unwrap();
        builder.append_extension(extension).unwrap();
    }
    builder.sign(by.map_or(key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    builder.build()
}
