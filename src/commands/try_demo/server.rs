//! The trial's own SMTP server: STARTTLS on one port of the loopback address, TLS from the start on another.
//!
//! It takes mail within TLS and after a login only, refuses recipients whose name says `refused`, keeps what it saw for
//! the report and delivers nothing anywhere. What it saw is written down before the client gets the reply, so that it
//! is there when the client has ended.

#![expect(clippy::disallowed_methods, reason = "the trial listens on loopback and ends its own threads")]

use super::certificate::Certificate;
use crate::secret::Secret;
use crate::smtp::server::{Action, Credentials, Features, Limits, MailFrom, RcptTo, Received, Session};
use openssl::ssl::{SslAcceptor, SslMethod, SslStream};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the server waits for a client that says nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections served at a time; further ones are closed at once.
const CONNECTIONS: usize = 32;
/// Messages kept for the report.
const KEPT: usize = 1000;

/// A login that the server knows.
pub(super) struct Account {
    pub user: String,
    pub password: Secret,
}

/// What the server saw of one message, or of one refused login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The TLS version, as `TLSv1.3`.
    pub tls: String,
    /// TLS from the start, rather than STARTTLS.
    pub implicit: bool,
    /// The account that logged in.
    pub account: Option<String>,
    /// How: `PLAIN` or `LOGIN`.
    pub mechanism: &'static str,
    /// The account whose login was refused.
    pub refused_login: Option<String>,
    /// The envelope sender.
    pub from: String,
    /// Recipients taken.
    pub taken: Vec<String>,
    /// Recipients refused.
    pub refused: Vec<String>,
    /// The message, once it was taken.
    pub message: Option<Vec<u8>>,
    /// The server's replies that decided: refusals, and the one to the message.
    pub replies: Vec<String>,
}

/// What all connections share.
struct Shared {
    accounts: Vec<Account>,
    acceptor: SslAcceptor,
    seen: Mutex<BTreeMap<u64, Seen>>,
    next: Mutex<u64>,
    connections: AtomicUsize,
    stopped: AtomicBool,
}

/// The running server; dropped, it takes no more connections.
pub(super) struct Server {
    /// The port with STARTTLS.
    pub starttls_port: u16,
    /// The port with TLS from the start.
    pub tls_port: u16,
    shared: Arc<Shared>,
}

impl Server {
    /// Listens on two free ports of 127.0.0.1.
    pub(super) fn start(certificate: &Certificate, accounts: Vec<Account>) -> io::Result<Self> {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        acceptor.set_certificate(&certificate.server)?;
        acceptor.set_private_key(&certificate.key)?;
        let shared = Arc::new(Shared {
            accounts,
            acceptor: acceptor.build(),
            seen: Mutex::default(),
            next: Mutex::default(),
            connections: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let starttls_port = listen(&shared, false)?;
        let tls_port = listen(&shared, true)?;
        Ok(Self { starttls_port, tls_port, shared })
    }

    /// What was seen since the last call, in order.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *held(&self.shared.seen)).into_values().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The listening threads wait for a connection: give them one, by which they see that it is over.
        for port in [self.starttls_port, self.tls_port] {
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
        }
    }
}

/// A thread that panicked has left the data whole: every change is one assignment or push.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(shared: &Arc<Shared>, implicit: bool) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name("listen".into()).spawn(move || {
        for stream in listener.incoming() {
            if shared.stopped.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            if shared.connections.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
                shared.connections.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let mine = Arc::clone(&shared);
            let served = std::thread::Builder::new().name("smtp".into()).spawn(move || {
                // A connection that breaks shows in what is missing from the record.
                let _ = Connection::serve(&mine, stream, implicit);
                mine.connections.fetch_sub(1, Ordering::SeqCst);
            });
            if served.is_err() {
                shared.connections.fetch_sub(1, Ordering::SeqCst);
            }
        }
    })?;
    Ok(port)
}

/// The octets' way: in clear up to STARTTLS, then through TLS.
enum Wire {
    Clear(TcpStream),
    Tls(SslStream<TcpStream>),
}

impl Wire {
    fn protect(self, acceptor: &SslAcceptor) -> io::Result<Self> {
        match self {
            Self::Clear(stream) => acceptor.accept(stream).map(Self::Tls).map_err(io::Error::other),
            Self::Tls(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn version(&self) -> &'static str {
        match self {
            Self::Clear(_) => "none",
            Self::Tls(stream) => stream.ssl().version_str(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, octets: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.write_all(octets)?,
            Self::Tls(stream) => stream.write_all(octets)?,
        }
        octets.clear();
        Ok(())
    }
}

/// One connection and the message at hand.
struct Connection<'a> {
    shared: &'a Shared,
    session: Session,
    /// What is true of all messages of this connection.
    about: Seen,
    /// The number of the message at hand among those seen.
    current: Option<u64>,
    text: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn serve(shared: &'a Shared, stream: TcpStream, implicit: bool) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut wire = Wire::Clear(stream);
        if implicit {
            wire = wire.protect(&shared.acceptor)?;
        }
        let features = Features {
            starttls: true,
            require_tls: true,
            auth: true,
            require_auth: true,
            ..Features::named("localhost")
        };
        let session = Session::new(Limits::default(), features, implicit);
        let about = Seen { tls: wire.version().to_owned(), implicit, ..Seen::default() };
        Self { shared, session, about, current: None, text: Vec::new() }.converse(wire)
    }

    fn converse(mut self, mut wire: Wire) -> io::Result<()> {
        let (mut replies, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
        loop {
            while let Some(action) = self.session.poll() {
                match action {
                    Action::Reply(octets) => replies.extend(octets),
                    Action::StartTls => {
                        wire.write(&mut replies)?;
                        wire = wire.protect(&self.shared.acceptor)?;
                        self.about.tls = wire.version().to_owned();
                        self.session.tls_started();
                    }
                    Action::Quit => return wire.write(&mut replies),
                    other => self.decide(other),
                }
            }
            wire.write(&mut replies)?;
            match wire.read(&mut buffer)? {
                0 => return Ok(()),
                count => self.session.feed(buffer.get(..count).unwrap_or_default()),
            }
        }
    }

    fn decide(&mut self, action: Action) {
        match action {
            Action::Auth(login) => self.login(&login),
            Action::Mail(mail) => self.mail(&mail),
            Action::Rcpt(rcpt) => self.recipient(&rcpt),
            Action::DataBegin => {
                self.text.clear();
                self.session.accept();
            }
            Action::Data(octets) => self.text.extend(octets),
            Action::DataEnd(received) => self.message(received),
            Action::Reset => self.current = None,
            Action::Hello { .. } | Action::Reply(_) | Action::StartTls | Action::Quit => {}
        }
    }

    fn login(&mut self, login: &Credentials) {
        if self.shared.accounts.iter().any(|account| login.are(&account.user, &account.password)) {
            self.about.account = Some(login.user.clone());
            self.about.mechanism = login.mechanism;
            return self.session.accept();
        }
        let refused_login = Some(login.user.clone());
        self.record(Seen { refused_login, mechanism: login.mechanism, ..self.about.clone() });
        self.reject(535, (5, 7, 8), "Authentication credentials invalid");
    }

    fn mail(&mut self, mail: &MailFrom) {
        if held(&self.shared.seen).len() >= KEPT {
            return self.reject(421, (4, 3, 2), "The trial has seen enough messages");
        }
        self.record(Seen { from: mail.path.to_string(), ..self.about.clone() });
        self.session.accept();
    }

    fn recipient(&mut self, rcpt: &RcptTo) {
        let address = rcpt.address.to_string();
        if rcpt.address.local().contains("refused") {
            self.update(|seen| seen.refused.push(address));
            return self.reject(550, (5, 1, 1), "This recipient is refused, for the trial");
        }
        self.update(|seen| seen.taken.push(address));
        self.session.accept();
    }

    fn message(&mut self, received: Received) {
        let text = std::mem::take(&mut self.text);
        let said = format!("Message of {} octets taken", received.octets);
        self.update(|seen| {
            seen.message = Some(text);
            seen.replies.push(format!("250 2.0.0 {said}"));
        });
        self.session.accept_with(&said);
        self.current = None;
    }

    fn reject(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str) {
        let (class, subject, detail) = enhanced;
        self.update(|seen| seen.replies.push(format!("{code} {class}.{subject}.{detail} {text}")));
        self.session.reject(code, enhanced, text);
    }

    fn record(&mut self, seen: Seen) {
        let mut next = held(&self.shared.next);
        *next += 1;
        held(&self.shared.seen).insert(*next, seen);
        self.current = Some(*next);
    }

    fn update(&self, change: impl FnOnce(&mut Seen)) {
        let mut all = held(&self.shared.seen);
        if let Some(seen) = self.current.and_then(|number| all.get_mut(&number)) {
            change(seen);
        }
    }
}
