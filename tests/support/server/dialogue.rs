//! One connection of the scripted server: the commands, and what is answered to them.

use super::wire::{Over, Wire};
use super::{Connection, Message, Shared};
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// One connection at work.
pub(super) struct Dialogue<'a> {
    pub(super) shared: &'a Shared,
    pub(super) number: usize,
    pub(super) raw: TcpStream,
    pub(super) wire: Box<dyn Wire>,
    pub(super) input: Vec<u8>,
    pub(super) spoke: bool,
    pub(super) in_tls: bool,
    /// Channel bindings of the TLS connection: name and data.
    pub(super) bindings: HashMap<String, Vec<u8>>,
    pub(super) account: Option<String>,
    pub(super) message: Option<Message>,
}

impl<'a> Dialogue<'a> {
    pub(super) fn hold(shared: &'a Shared, raw: TcpStream) {
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
}

impl Dialogue<'_> {
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
}

/// `FROM:<path> parameters` as path and parameters.
fn path(rest: &str) -> (String, String) {
    let inside = rest.split_once('<').map_or(rest, |(_, inside)| inside);
    let (path, parameters) = inside.rsplit_once('>').unwrap_or((inside, ""));
    (path.to_owned(), parameters.trim().to_owned())
}
