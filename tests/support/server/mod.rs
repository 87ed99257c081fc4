//! A scripted SMTP and LMTP server for tests: a thread a connection, every fault a server can have, everything recorded.
//!
//! It is written apart from the program's own SMTP code on purpose, so that the two do not share their mistakes.

mod dialogue;
mod login;
mod tls;
mod wire;

use super::script::Script;
use dialogue::Dialogue;
use openssl::ssl::SslContext;
use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A message that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The path of MAIL, without brackets.
    pub from: String,
    /// What followed it on the line.
    pub parameters: String,
    /// The paths of the RCPTs that were taken.
    pub recipients: Vec<String>,
    /// What followed each of them.
    pub recipient_parameters: Vec<String>,
    /// The text, dots unstuffed, as it came.
    pub text: Vec<u8>,
    /// The account logged in at that time.
    pub account: Option<String>,
}

/// What one connection was.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Command lines as received, without their ends; lines of an AUTH exchange too.
    pub commands: Vec<String>,
    /// How often the client spoke after the server had: the client's flights, without those of the TLS handshake.
    pub flights: usize,
    /// The TLS version (`TLSv1.3`), in TLS.
    pub tls: Option<String>,
    /// The name asked for by SNI.
    pub sni: Option<String>,
    /// The common name of the client's certificate.
    pub client: Option<String>,
    /// Why the TLS handshake failed.
    pub handshake_error: Option<String>,
    /// The account that logged in.
    pub account: Option<String>,
    /// The mechanism of the last AUTH.
    pub mechanism: Option<String>,
    /// The channel bindings of all logins that had one.
    pub bindings: Vec<String>,
    /// Messages taken.
    pub messages: Vec<Message>,
    /// The client said QUIT.
    pub quit: bool,
    /// The connection is over.
    pub ended: bool,
}

impl Connection {
    /// The verbs of the commands, in upper case.
    pub fn verbs(&self) -> Vec<String> {
        self.commands.iter().map(|line| line.split([' ', ':']).next().unwrap_or_default().to_uppercase()).collect()
    }
}

struct Shared {
    script: Script,
    context: Option<SslContext>,
    connections: Mutex<Vec<Connection>>,
    reached: Mutex<HashMap<String, usize>>,
    /// Connections that are open, and the most that were at once.
    open: Mutex<(usize, usize)>,
    /// Messages taken, in the order of their coming.
    order: Mutex<Vec<Message>>,
    stopped: AtomicBool,
}

/// A running server; it ends when dropped.
pub struct Server {
    /// Its port on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
}

impl Server {
    pub(super) fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            context: tls::context(&script),
            script,
            connections: Mutex::default(),
            reached: Mutex::default(),
            open: Mutex::default(),
            order: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let mine = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if mine.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let mine = Arc::clone(&mine);
                std::thread::spawn(move || Dialogue::hold(&mine, stream));
            }
        });
        Self { port, shared }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All connections so far. Waits a moment for those that are about to end.
    pub fn connections(&self) -> Vec<Connection> {
        for _ in 0..100 {
            if self.shared.connections.lock().unwrap().iter().all(|connection| connection.ended) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.shared.connections.lock().unwrap().clone()
    }

    /// The most connections that were open at once.
    pub fn most_at_once(&self) -> usize {
        self.shared.open.lock().unwrap().1
    }

    /// The subjects of all messages taken, in the order of their coming; waits for nothing.
    pub fn subjects(&self) -> Vec<String> {
        let order = self.shared.order.lock().unwrap();
        let subject = |message: &Message| {
            let text = String::from_utf8_lossy(&message.text).into_owned();
            text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned()
        };
        order.iter().map(subject).collect()
    }

    /// All messages taken, over all connections.
    pub fn messages(&self) -> Vec<Message> {
        self.connections().into_iter().flat_map(|connection| connection.messages).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}
