//! A scripted SMTP and LMTP server for tests: a thread a connection, every fault a server can have, everything recorded.
//!
//! It is written apart from the program's own SMTP code on purpose, so that the two do not share their mistakes.

use super::scram::Scram;
use super::script::{Fault, Script};
use openssl::ssl::{Ssl, SslAcceptor, SslContext, SslMethod, SslStream, SslVerifyMode};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
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
            context: context(&script),
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

fn context(script: &Script) -> Option<SslContext> {
    let identity = script.identity.as_ref()?;
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    if let Some((from, to)) = script.version {
        // Old versions need the old security level to be spoken at all.
        builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        builder.clear_options(openssl::ssl::SslOptions::NO_TLSV1 | openssl::ssl::SslOptions::NO_TLSV1_1);
        builder.set_min_proto_version(Some(from)).unwrap();
        builder.set_max_proto_version(Some(to)).unwrap();
    }
    if let Some(authority) = &script.client_authority {
        let authority = openssl::x509::X509::from_pem(authority).unwrap();
        builder.cert_store_mut().add_cert(authority).unwrap();
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    builder.set_certificate(&identity.certificate).unwrap();
    builder.set_private_key(&identity.key).unwrap();
    Some(builder.build().into_context())
}

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// The connection is over, as the script or the client would have it.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// One connection at work.
struct Dialogue<'a> {
    shared: &'a Shared,
    number: usize,
    raw: TcpStream,
    wire: Box<dyn Wire>,
    input: Vec<u8>,
    spoke: bool,
    in_tls: bool,
    /// Channel bindings of the TLS connection: name and data.
    bindings: HashMap<String, Vec<u8>>,
    account: Option<String>,
    message: Option<Message>,
}

impl<'a> Dialogue<'a> {
    fn hold(shared: &'a Shared, raw: TcpStream) {
        let number = {
            let mut all = shared.connections.lock().unwrap();
            all.push(Connection::default());
            all.len() - 1
        };
        {
            let mut open = shared.open.lock().unwrap();
            open.0 += 1;
            open.1 = open.1.max(open.0);
        }
        raw.set_nodelay(true).unwrap();
        // Short, so that a server that hangs sees that the test is over.
        raw.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let wire = Box::new(raw.try_clone().unwrap());
        let (input, spoke, in_tls, account, message) = (Vec::new(), true, false, None, None);
        let bindings = HashMap::new();
        let mut dialogue = Dialogue { shared, number, raw, wire, input, spoke, in_tls, bindings, account, message };
        let _ = dialogue.converse();
        shared.open.lock().unwrap().0 -= 1;
        let _ = dialogue.raw.shutdown(Shutdown::Both);
        dialogue.note(|connection| connection.ended = true);
    }

    fn converse(&mut self) -> Result<(), Over> {
        if self.shared.script.implicit {
            self.handshake()?;
        }
        self.answer("CONNECT", "220 scripted.example.com ESMTP")?;
        loop {
            let line = self.line()?;
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let verb = verb.to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "LHLO" => self.hello(&verb)?,
                "HELO" => drop(self.answer("HELO", "250 scripted.example.com")?),
                "STARTTLS" => self.starttls()?,
                "AUTH" => self.auth(rest)?,
                "MAIL" => self.mail(rest)?,
                "RCPT" => self.rcpt(rest)?,
                "DATA" => self.data()?,
                "BDAT" => self.bdat(rest)?,
                "RSET" => {
                    self.message = None;
                    self.answer("RSET", "250 2.0.0 reset")?;
                }
                "NOOP" => drop(self.answer("NOOP", "250 2.0.0 ok")?),
                "QUIT" => {
                    self.note(|connection| connection.quit = true);
                    self.answer("QUIT", "221 2.0.0 bye")?;
                    return Ok(());
                }
                _ => self.say("500 5.5.2 what?")?,
            }
        }
    }

    fn hello(&mut self, verb: &str) -> Result<(), Over> {
        self.message = None;
        let script = &self.shared.script;
        let mut lines = vec!["scripted.example.com".to_owned()];
        lines.extend(script.offers.iter().cloned());
        if script.starttls && !self.in_tls {
            lines.push("STARTTLS".into());
        }
        let auth = if self.in_tls { !script.no_auth_in_tls } else { script.auth_in_clear };
        if auth && !script.mechanisms.is_empty() {
            lines.push(format!("AUTH {}", script.mechanisms.join(" ")));
        }
        if script.lmtp != (verb == "LHLO") {
            return self.say("500 5.5.1 the other protocol is spoken here");
        }
        let last = lines.pop().unwrap_or_default();
        let text: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
        self.answer(verb, &format!("{text}250 {last}")).map(drop)
    }

    fn starttls(&mut self) -> Result<(), Over> {
        if self.shared.context.is_none() || self.in_tls {
            return self.say("502 5.5.1 no");
        }
        if self.answer("STARTTLS", "220 2.0.0 go on")? {
            self.input.clear();
            self.handshake()?;
        }
        Ok(())
    }

    fn handshake(&mut self) -> Result<(), Over> {
        let fault = self.fault("HANDSHAKE");
        if matches!(fault, Some(Fault::Raw(_) | Fault::Bytewise(_) | Fault::Reset)) {
            // The client's hello comes first: what is sent before it is another fault.
            self.fill()?;
        }
        match fault {
            Some(Fault::Raw(octets)) => self.write(&octets)?,
            Some(Fault::Close) => return Err(Over),
            Some(Fault::Reset) => return self.reset(),
            Some(Fault::Hang) => return self.hang(),
            Some(Fault::Bytewise(pause)) => {
                // The begin of a record of 16 KiB, and zeros.
                self.write(&[0x16, 3, 3, 0x40, 0])?;
                loop {
                    self.write(&[0])?;
                    std::thread::sleep(pause);
                }
            }
            _ => {}
        }
        let context = self.shared.context.as_ref().ok_or(Over)?;
        let stream = self.raw.try_clone()?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut tls = SslStream::new(Ssl::new(context).unwrap(), stream).unwrap();
        if let Err(error) = tls.accept() {
            self.note(|connection| connection.handshake_error = Some(error.to_string()));
            return Err(Over);
        }
        self.raw.set_read_timeout(Some(Duration::from_millis(100)))?;
        let ssl = tls.ssl();
        let version = ssl.version_str().to_owned();
        let sni = ssl.servername(openssl::ssl::NameType::HOST_NAME).map(str::to_owned);
        let client = ssl.peer_certificate().and_then(|certificate| {
            let name = certificate.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME).next()?;
            name.data().to_string().ok()
        });
        self.note(|connection| (connection.tls, connection.sni, connection.client) = (Some(version), sni, client));
        self.bindings = self.bindings_of(ssl);
        (self.in_tls, self.account, self.message) = (true, None, None);
        self.wire = Box::new(tls);
        Ok(())
    }

    fn bindings_of(&self, ssl: &openssl::ssl::SslRef) -> HashMap<String, Vec<u8>> {
        let mut found = HashMap::new();
        let mut exported = vec![0; 32];
        if ssl.version_str() == "TLSv1.3" {
            ssl.export_keying_material(&mut exported, "EXPORTER-Channel-Binding", Some(b"")).unwrap();
            found.insert("tls-exporter".to_owned(), exported);
        }
        if let Some(identity) = &self.shared.script.identity {
            let digest = identity.certificate.digest(openssl::hash::MessageDigest::sha256()).unwrap();
            found.insert("tls-server-end-point".to_owned(), digest.to_vec());
        }
        if let Some((known, _)) = &self.shared.script.bindings {
            found.retain(|kind, _| known.contains(kind));
        }
        found
    }

    /// SCRAM-SHA-256, or with a binding SCRAM-SHA-256-PLUS.
    fn scram(&mut self, initial: &str) -> Result<(), Over> {
        let Some(first) = self.response(initial, "")? else { return Ok(()) };
        let Some(run) = Scram::begin(&first) else { return self.say("501 5.5.2 no SCRAM") };
        if let Some(kind) = run.binding.clone() {
            self.note(|connection| connection.bindings.push(kind));
        }
        let bound = match &run.binding {
            None => Some(Vec::new()),
            Some(kind) => self.bindings.get(kind).cloned(),
        };
        let in_words = self.shared.script.bindings.as_ref().is_some_and(|(_, in_words)| *in_words);
        let Some(bound) = bound else {
            if in_words {
                let words = openssl::base64::encode_block(b"e=unsupported-channel-binding-type");
                self.response("", &words)?;
            }
            return self.say("535 5.7.8 no");
        };
        let Some(last) = self.response("", &run.challenge())? else { return Ok(()) };
        let logins = self.shared.script.logins.iter();
        let password = logins.filter(|(user, _)| *user == run.user).map(|(_, password)| password.clone()).next();
        let Some(proof) = password.and_then(|password| run.verify(&last, &password, &bound)) else {
            return self.answer("AUTH", "535 5.7.8 bad login").map(drop);
        };
        self.response("", &proof)?;
        if self.answer("AUTH", "235 2.7.0 welcome")? {
            self.account = Some(run.user.clone());
            self.note(|connection| connection.account = Some(run.user));
        }
        Ok(())
    }

    fn auth(&mut self, rest: &str) -> Result<(), Over> {
        let (name, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let name = name.to_ascii_uppercase();
        self.note(|connection| connection.mechanism = Some(name.clone()));
        let initial = initial.to_owned();
        let login = match name.as_str() {
            _ if !self.shared.script.mechanisms.contains(&name) => return self.say("504 5.5.4 not offered"),
            "PLAIN" => {
                let Some(text) = self.response(&initial, "")? else { return Ok(()) };
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            "LOGIN" => {
                let Some(user) = self.response(&initial, "VXNlcm5hbWU6")? else { return Ok(()) };
                let Some(password) = self.response("", "UGFzc3dvcmQ6")? else { return Ok(()) };
                (user, password)
            }
            "XOAUTH2" => {
                let Some(text) = self.response(&initial, "")? else { return Ok(()) };
                let part =
                    |key| text.split('\u{1}').find_map(|part| part.strip_prefix(key)).unwrap_or_default().to_owned();
                (part("user="), part("auth=Bearer "))
            }
            "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS" => return self.scram(&initial),
            _ => return self.answer("AUTH", "535 5.7.8 not in this script").map(drop),
        };
        if !self.shared.script.logins.contains(&login) {
            return self.answer("AUTH", "535 5.7.8 bad login").map(drop);
        }
        if self.answer("AUTH", "235 2.7.0 welcome")? {
            self.account = Some(login.0.clone());
            self.note(|connection| connection.account = Some(login.0));
        }
        Ok(())
    }

    /// The initial response, or the one to this challenge; decoded. None where the script has it end here.
    fn response(&mut self, initial: &str, challenge: &str) -> Result<Option<String>, Over> {
        let text = if initial.is_empty() {
            if !self.answer("CHALLENGE", &format!("334 {challenge}"))? {
                return Ok(None);
            }
            self.line()?
        } else {
            initial.to_owned()
        };
        let octets = openssl::base64::decode_block(text.trim_end_matches('\r')).unwrap_or_default();
        Ok(Some(String::from_utf8_lossy(&octets).into_owned()))
    }

    fn mail(&mut self, rest: &str) -> Result<(), Over> {
        if self.shared.script.require_auth && self.account.is_none() {
            return self.answer("MAIL", "530 5.7.0 log in first").map(drop);
        }
        let (from, parameters) = path(rest);
        if self.answer("MAIL", "250 2.1.0 ok")? {
            self.message = Some(Message { from, parameters, account: self.account.clone(), ..Message::default() });
        }
        Ok(())
    }

    fn rcpt(&mut self, rest: &str) -> Result<(), Over> {
        if self.message.is_none() {
            return self.say("503 5.5.1 MAIL first");
        }
        let (to, parameters) = path(rest);
        if self.answer("RCPT", "250 2.1.5 ok")?
            && let Some(message) = &mut self.message
        {
            message.recipients.push(to);
            message.recipient_parameters.push(parameters);
        }
        Ok(())
    }

    fn data(&mut self) -> Result<(), Over> {
        let careless = self.shared.script.careless;
        if self.message.as_ref().is_none_or(|message| message.recipients.is_empty() && !careless) {
            return self.say("554 5.5.1 no recipients");
        }
        if !self.answer("DATA", "354 go on")? {
            return Ok(());
        }
        self.body_fault()?;
        let mut text = Vec::new();
        loop {
            let line = self.octets_of_line()?;
            if line == b".\r\n" {
                break;
            }
            text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.taken(text)
    }

    fn bdat(&mut self, rest: &str) -> Result<(), Over> {
        let mut words = rest.split(' ');
        let count: usize = words.next().and_then(|word| word.parse().ok()).ok_or(Over)?;
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        while self.input.len() < count {
            self.fill()?;
        }
        let chunk: Vec<u8> = self.input.drain(..count).collect();
        let lmtp = self.shared.script.lmtp;
        let Some(message) = &mut self.message else {
            return if lmtp && last { Ok(()) } else { self.say("503 5.5.1 MAIL first") };
        };
        message.text.extend(chunk);
        if !last {
            return self.answer("BDAT", "250 2.0.0 chunk").map(drop);
        }
        if message.recipients.is_empty() {
            // RFC 2033 section 4.3: one reply for each recipient, and here is none.
            return if lmtp { Ok(()) } else { self.say("503 5.5.1 no recipients") };
        }
        let text = std::mem::take(&mut message.text);
        self.taken(text)
    }

    /// The text is complete: one reply, or under LMTP one a recipient.
    fn taken(&mut self, text: Vec<u8>) -> Result<(), Over> {
        let Some(mut message) = self.message.take() else { return Err(Over) };
        message.text = text;
        if !self.shared.script.lmtp {
            let self_order = &self.shared.order;
            // Noted before the reply, so that it is there when the client has ended; taken back where it was refused.
            return self
                .answer_then("DOT", "250 2.0.0 taken", |connection| {
                    self_order.lock().unwrap().push(message.clone());
                    connection.messages.push(message);
                })
                .map(drop);
        }
        for recipient in message.recipients.clone() {
            let copy = Message { recipients: vec![recipient], ..message.clone() };
            self.answer_then("DOT", "250 2.0.0 taken", |connection| connection.messages.push(copy))?;
        }
        Ok(())
    }

    fn body_fault(&mut self) -> Result<(), Over> {
        let Some(fault) = self.fault("BODY") else { return Ok(()) };
        if self.input.is_empty() {
            self.fill()?;
        }
        match fault {
            Fault::Hang => self.hang(),
            Fault::Deaf => self.deaf(),
            Fault::Reset => self.reset(),
            Fault::Reply(text) => self.say(&text).and(Err(Over)),
            _ => Err(Over),
        }
    }

    /// Answers at a point of the script; whether the answer was a positive one.
    fn answer(&mut self, point: &str, proper: &str) -> Result<bool, Over> {
        self.answer_then(point, proper, |_| {})
    }

    fn answer_then(&mut self, point: &str, proper: &str, taken: impl FnOnce(&mut Connection)) -> Result<bool, Over> {
        let fault = self.fault(point);
        let text = match &fault {
            Some(Fault::Reply(text)) => text.clone(),
            _ => proper.to_owned(),
        };
        let positive = text.starts_with(['2', '3']);
        let silent = matches!(fault, Some(Fault::Hang | Fault::Deaf | Fault::Close | Fault::Reset | Fault::Lose));
        let answered = !silent && !matches!(fault, Some(Fault::Raw(_) | Fault::Endless));
        if positive && (answered || matches!(fault, Some(Fault::Lose))) {
            self.note(taken);
        }
        let whole = format!("{text}\r\n").into_bytes();
        match fault {
            None | Some(Fault::Reply(_)) => self.write(&whole)?,
            Some(Fault::Raw(octets)) => self.write(&octets)?,
            Some(Fault::Hang) => self.hang()?,
            Some(Fault::Deaf) => self.deaf()?,
            Some(Fault::Close | Fault::Lose) => return Err(Over),
            Some(Fault::Reset) => self.reset()?,
            Some(Fault::CloseAfter) => self.write(&whole).and(Err(Over))?,
            Some(Fault::Bytewise(pause)) => {
                for octet in whole {
                    self.write(&[octet])?;
                    std::thread::sleep(pause);
                }
            }
            Some(Fault::Inject(more)) => self.write(&[whole, more].concat())?,
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                self.write(&whole)?;
            }
            Some(Fault::Endless) => loop {
                self.write(&b"250-and so on\r\n".repeat(100))?;
            },
        }
        if self.shared.script.flushes {
            self.input.clear();
        }
        Ok(positive && answered)
    }

    fn fault(&self, point: &str) -> Option<Fault> {
        let mut reached = self.shared.reached.lock().unwrap();
        let count = reached.entry(point.to_owned()).or_insert(0);
        *count += 1;
        let fits = |(at, nth, _): &&(String, Option<usize>, Fault)| at == point && nth.is_none_or(|nth| nth == *count);
        self.shared.script.faults.iter().find(fits).map(|(_, _, fault)| fault.clone())
    }

    /// Waits until the client has gone, or the test is over.
    fn hang(&mut self) -> Result<(), Over> {
        loop {
            self.input.clear();
            self.fill()?;
        }
    }

    /// Reads nothing until the test is over.
    fn deaf(&mut self) -> Result<(), Over> {
        self.note(|connection| connection.ended = true);
        while !self.shared.stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Over)
    }

    fn reset(&mut self) -> Result<(), Over> {
        rustix::net::sockopt::set_socket_linger(&self.raw, Some(Duration::ZERO)).map_err(io::Error::from)?;
        // The last descriptor's close sends the reset; a shutdown before it would send a FIN.
        self.wire = Box::new(io::Cursor::new(Vec::new()));
        let (_, other) = std::os::unix::net::UnixStream::pair()?;
        self.raw = TcpStream::from(std::os::fd::OwnedFd::from(other));
        Err(Over)
    }

    fn say(&mut self, text: &str) -> Result<(), Over> {
        self.write(format!("{text}\r\n").as_bytes())
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Over> {
        self.spoke = true;
        self.wire.write_all(octets)?;
        Ok(self.wire.flush()?)
    }

    /// A line without its end, recorded.
    fn line(&mut self) -> Result<String, Over> {
        let octets = self.octets_of_line()?;
        let text = String::from_utf8_lossy(&octets).trim_end_matches(['\r', '\n']).to_owned();
        self.note(|connection| connection.commands.push(text.clone()));
        Ok(text)
    }

    /// A line with its end, which is CRLF and nothing else.
    fn octets_of_line(&mut self) -> Result<Vec<u8>, Over> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memmem::find(&self.input[looked..], b"\r\n") {
                return Ok(self.input.drain(..looked + end + 2).collect());
            }
            looked = self.input.len().saturating_sub(1);
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Over> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.wire.read(&mut buffer) {
                Ok(0) => return Err(Over),
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    if std::mem::take(&mut self.spoke) {
                        self.note(|connection| connection.flights += 1);
                    }
                    return Ok(());
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.shared.stopped.load(Ordering::SeqCst) {
                        return Err(Over);
                    }
                }
                Err(_) => return Err(Over),
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Connection)) {
        change(&mut self.shared.connections.lock().unwrap()[self.number]);
    }
}

/// `FROM:<path> parameters` as path and parameters.
fn path(rest: &str) -> (String, String) {
    let inside = rest.split_once('<').map_or(rest, |(_, inside)| inside);
    let (path, parameters) = inside.rsplit_once('>').unwrap_or((inside, ""));
    (path.to_owned(), parameters.trim().to_owned())
}
