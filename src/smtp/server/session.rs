//! The session itself: what is allowed when, what is answered, and which actions the host gets.

use super::command::{self, Command, Dialect, MailFrom, RcptTo, Refusal};
use super::data::{LineEnds, Unstuffer};
use super::foreign::is_foreign;
use super::input::{Input, Line};
use super::sasl::{Exchange, Step};
use super::{Action, Features, Intruder, Limits, Received, Waiting};
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// What the session waits for.
#[derive(Debug)]
enum State {
    Command,
    /// The client's next line of an AUTH exchange.
    Auth(Exchange),
    /// The host's answer.
    Question(Question),
    /// The text of DATA.
    Text(Unstuffer),
    /// The octets of a BDAT chunk.
    Chunk(Chunk),
    /// The TLS handshake; what comes before it is over is dropped.
    Handshake,
    /// Nothing any more.
    Closed,
}

/// What the host was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Login,
    Mail,
    Rcpt,
    Data,
    /// As `Data`, asked at the first BDAT.
    FirstChunk(Chunk),
    Message,
}

/// A BDAT chunk that is coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    left: u64,
    last: bool,
}

/// The mail transaction at hand.
#[derive(Debug, Default)]
struct Transaction {
    smtputf8: bool,
    recipients: usize,
    /// Octets of the text so far, those dropped included.
    octets: u64,
    /// BDAT has begun: only BDAT may follow.
    chunks: bool,
    /// The line ends of these chunks.
    ends: LineEnds,
    /// Why the rest of the text is dropped.
    refused: Option<Refusal>,
}

/// One SMTP session as the server sees it. See the module for how a host drives it.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    features: Features,
    input: Input,
    actions: VecDeque<Action>,
    state: State,
    tls: bool,
    hello: bool,
    /// It has said EHLO or HELO before, be it in clear.
    met: bool,
    login: bool,
    errors: usize,
    /// Commands since the last message that was taken, accepted recipients not among them.
    idle: usize,
    mail: Option<Transaction>,
    intruder: Option<Intruder>,
}

/// The most text in one [`Action::Data`], octets.
const PIECE: usize = 64 * 1024;

impl Session {
    /// A session whose first action is the greeting. `tls`: the connection is in TLS already (implicit TLS).
    #[must_use]
    pub fn new(limits: Limits, features: Features, tls: bool) -> Self {
        let mut session = Self {
            limits: Limits { command_line: limits.command_line.max(512), ..limits },
            features,
            input: Input::default(),
            actions: VecDeque::new(),
            state: State::Command,
            tls,
            hello: false,
            met: false,
            login: false,
            errors: 0,
            idle: 0,
            mail: None,
            intruder: None,
        };
        session.send(format!("220 {} ESMTP postrider", clean(&session.features.host)));
        session
    }

    /// Takes what the peer sent. Call `poll` until it gives nothing before the next `feed`: the session keeps what it
    /// is fed, so its memory is bounded by what one call brings. What arrives before an announced handshake or after
    /// the end is dropped.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Handshake | State::Closed) {
            self.input.push(bytes);
        }
    }

    /// What the host is to do next; `None`: answer the question asked last, or feed more.
    pub fn poll(&mut self) -> Option<Action> {
        while self.actions.is_empty() {
            let moved = match self.state {
                State::Command | State::Auth(_) => self.take_line(),
                State::Text(_) => self.take_text(),
                State::Chunk(chunk) => self.take_chunk(chunk),
                State::Question(_) | State::Handshake | State::Closed => false,
            };
            if !moved {
                return None;
            }
        }
        self.actions.pop_front()
    }

    /// Answers the last question with yes.
    pub fn accept(&mut self) {
        self.accept_with("");
    }

    /// Answers the last question with yes, with a text of one's own for the reply (`queued as 17`).
    pub fn accept_with(&mut self, text: &str) {
        let State::Question(question) = self.state else { return };
        self.state = State::Command;
        match question {
            Question::Login => {
                self.login = true;
                self.ok(235, (2, 7, 0), text, "Authentication successful");
            }
            Question::Mail => self.ok(250, (2, 1, 0), text, "Sender ok"),
            Question::Rcpt => {
                self.transaction().recipients += 1;
                self.idle = self.idle.saturating_sub(1);
                self.ok(250, (2, 1, 5), text, "Recipient ok");
            }
            Question::Data => {
                self.state = State::Text(Unstuffer::new(self.features.local));
                self.send("354 End the message with <CRLF>.<CRLF>".to_owned());
            }
            Question::FirstChunk(chunk) => self.state = State::Chunk(chunk),
            Question::Message => {
                self.mail = None;
                self.idle = 0;
                self.ok(250, (2, 0, 0), text, "Message accepted");
            }
        }
    }

    /// Answers the last question with no. `code` is 400 to 599, `enhanced` as in RFC 3463; 421 closes the session.
    pub fn reject(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str) {
        let State::Question(question) = self.state else { return };
        self.state = State::Command;
        let code = if (400..600).contains(&code) { code } else { 554 };
        let refusal = Refusal::new(code, enhanced, text);
        match question {
            Question::FirstChunk(chunk) if code != 421 => {
                self.transaction().refused = Some(refusal);
                self.state = State::Chunk(chunk);
                return;
            }
            Question::Mail | Question::Message | Question::FirstChunk(_) => self.mail = None,
            // A refused DATA leaves the transaction as it was (RFC 5321 section 4.1.1.4 has nothing taken yet).
            Question::Login | Question::Rcpt | Question::Data => {}
        }
        if code == 421 {
            self.close(refusal);
        } else if question == Question::Login {
            self.fault(refusal);
        } else {
            self.refuse(refusal);
        }
    }

    /// The handshake that [`Action::StartTls`] asked for is done: the session begins anew (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.state = State::Command;
            self.input.clear();
            (self.tls, self.hello, self.login, self.mail) = (true, false, false, None);
        }
    }

    /// What the session waits for.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        match self.state {
            State::Command if !self.hello && !self.features.local => Waiting::Hello,
            State::Command | State::Auth(_) => Waiting::Command,
            State::Text(_) | State::Chunk(_) => Waiting::Text,
            State::Handshake => Waiting::Handshake,
            State::Question(_) | State::Closed => Waiting::Nothing,
        }
    }

    /// Ends the session with 421 whatever it waits for: the client was too slow, or the host must go. The transaction
    /// is forgotten; in the TLS handshake there is nobody to tell.
    pub fn end(&mut self, enhanced: (u8, u16, u16), text: &str) {
        match self.state {
            State::Closed => {}
            State::Handshake => {
                self.reset();
                self.actions.push_back(Action::Quit);
                self.state = State::Closed;
            }
            _ => self.close(Refusal::new(421, enhanced, text)),
        }
    }

    /// The client spoke before it was greeted: instead of the greeting it gets a refusal, and the session is over.
    pub fn spoken_too_early(&mut self) {
        self.actions.clear();
        self.turn_away(Intruder::TooEarly);
    }

    /// Why the session was ended, where it was no mail client's.
    #[must_use]
    pub fn intruder(&self) -> Option<Intruder> {
        self.intruder
    }

    /// Whether the peer ended in the middle of a transaction, so that what was handed over so far is to be forgotten.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.mail.is_some()
    }

    fn take_line(&mut self) -> bool {
        let in_auth = matches!(self.state, State::Auth(_));
        // AUTH with its initial response is as long as a line of its exchange.
        let is_auth = self.input.rest().get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"));
        let limit = if in_auth || is_auth { self.limits.auth_line } else { self.limits.command_line };
        let Some(line) = self.input.line(limit.max(self.limits.command_line), self.features.local) else {
            return false;
        };
        let state = std::mem::replace(&mut self.state, State::Command);
        match (line, state) {
            // No client's first words are that long, but a browser's may be.
            (Line::TooLong, _) if self.waiting() == Waiting::Hello => self.turn_away(Intruder::OtherProtocol),
            (Line::TooLong, _) => self.fault(Refusal::new(500, (5, 5, 2), "Line too long")),
            (Line::Malformed(text), State::Command) if is_foreign(&text) => self.turn_away(Intruder::OtherProtocol),
            (Line::Malformed(_), _) => {
                self.fault(Refusal::new(500, (5, 5, 2), "Lines end with CRLF and hold no CR, LF or NUL"));
            }
            (Line::Text(text), State::Auth(exchange)) => self.auth_step(exchange.answer(&Zeroizing::new(text))),
            (Line::Text(text), _) if is_foreign(&text) => self.turn_away(Intruder::OtherProtocol),
            (Line::Text(text), _) => self.command(&Zeroizing::new(text)),
        }
        true
    }

    fn command(&mut self, line: &[u8]) {
        let Features { host, domain, dsn, smtputf8, .. } = &self.features;
        let dialect = Dialect { host, domain: domain.as_deref(), dsn: *dsn, smtputf8: *smtputf8 };
        let parsed = match std::str::from_utf8(line) {
            Ok(text) => command::parse(text, dialect),
            Err(_) => Err(Refusal::new(500, (5, 5, 2), "Command is no UTF-8")),
        };
        // What brings text is bounded by the size of the message.
        if !matches!(parsed, Ok(Command::Bdat { octets: 1.., .. } | Command::Quit)) {
            self.idle = self.idle.saturating_add(1);
        }
        if self.idle > self.limits.commands {
            return self.close(Refusal::new(421, (4, 7, 0), "Too many commands"));
        }
        match parsed.and_then(|command| self.perform(command)) {
            Ok(()) => {}
            Err(refusal) => self.fault(refusal),
        }
    }

    fn perform(&mut self, command: Command) -> Result<(), Refusal> {
        let in_chunks = self.mail.as_ref().is_some_and(|mail| mail.chunks);
        match command {
            Command::Mail(_) | Command::Rcpt(_) | Command::Data if in_chunks => return Err(order("BDAT has begun")),
            Command::Hello { name, extended } => self.hello(name, extended),
            Command::Mail(mail) => return self.mail_from(mail),
            Command::Rcpt(rcpt) => return self.rcpt_to(rcpt),
            Command::Data => return self.data(),
            Command::Bdat { octets, last } => self.bdat(Chunk { left: octets, last })?,
            Command::Rset => {
                self.reset();
                self.ok(250, (2, 0, 0), "", "Ok");
            }
            Command::Noop => self.ok(250, (2, 0, 0), "", "Ok"),
            Command::Vrfy => self.ok(252, (2, 1, 5), "", "Send some mail, I'll try my best"),
            Command::Expn => self.refuse(Refusal::new(502, (5, 5, 1), "EXPN is not offered")),
            Command::Help => self.ok(214, (2, 0, 0), "", "EHLO MAIL RCPT DATA RSET NOOP QUIT; see RFC 5321"),
            Command::Quit => self.close(Refusal::new(221, (2, 0, 0), "Bye")),
            Command::StartTls => return self.start_tls(),
            Command::Auth { mechanism, initial } => return self.auth(&mechanism, initial.map(Zeroizing::new)),
        }
        Ok(())
    }

    fn hello(&mut self, name: String, extended: bool) {
        if self.features.in_turn && !std::mem::replace(&mut self.met, true) && !self.input.rest().is_empty() {
            return self.turn_away(Intruder::TooEarly);
        }
        self.reset();
        self.hello = true;
        self.actions.push_back(Action::Hello { name, extended });
        let host = clean(&self.features.host);
        let mut lines = vec![host];
        if extended {
            lines.extend(["PIPELINING".to_owned(), "8BITMIME".to_owned(), "ENHANCEDSTATUSCODES".to_owned()]);
            lines.push(format!("SIZE {}", self.limits.message));
            let offers = [
                (self.features.starttls && !self.tls, "STARTTLS"),
                (self.may_login() && !self.login, "AUTH PLAIN LOGIN"),
                (self.features.smtputf8, "SMTPUTF8"),
                (self.features.chunking, "CHUNKING"),
                (self.features.dsn, "DSN"),
            ];
            lines.extend(offers.into_iter().filter(|(offered, _)| *offered).map(|(_, keyword)| keyword.to_owned()));
        }
        let last = lines.len() - 1;
        let mark = |at| if at == last { ' ' } else { '-' };
        let lines: Vec<String> = lines.iter().enumerate().map(|(at, line)| format!("250{}{line}", mark(at))).collect();
        self.send(lines.join("\r\n"));
    }

    fn may_login(&self) -> bool {
        self.features.auth && (self.tls || self.features.auth_in_clear)
    }

    fn mail_from(&mut self, mail: Box<MailFrom>) -> Result<(), Refusal> {
        if self.mail.is_some() {
            return Err(order("MAIL was said already; RSET begins anew"));
        }
        if !self.hello && !self.features.local {
            return Err(order("Say EHLO first"));
        }
        if self.features.require_tls && !self.tls {
            return Err(Refusal::new(530, (5, 7, 0), "Say STARTTLS first"));
        }
        if self.features.require_auth && !self.login {
            return Err(Refusal::new(530, (5, 7, 0), "Authentication required"));
        }
        if mail.size.is_some_and(|size| size > self.limits.message) {
            // Not a faulty command: the client asks with SIZE whether it may send that much.
            self.refuse(too_large(self.limits.message));
            return Ok(());
        }
        self.mail = Some(Transaction { smtputf8: mail.smtputf8, ..Transaction::default() });
        self.ask(Question::Mail, Action::Mail(mail));
        Ok(())
    }

    fn rcpt_to(&mut self, rcpt: Box<RcptTo>) -> Result<(), Refusal> {
        let Some(mail) = &self.mail else { return Err(order("Say MAIL first")) };
        if !mail.smtputf8 && rcpt.unicode {
            return Err(Refusal::new(553, (5, 6, 7), "Address with UTF-8, and SMTPUTF8 was not asked for"));
        }
        if mail.recipients >= self.limits.recipients {
            // The client may send to those taken, and to the others afterwards (RFC 5321 section 4.5.3.1.10).
            self.refuse(Refusal::new(452, (4, 5, 3), "Too many recipients"));
            return Ok(());
        }
        self.ask(Question::Rcpt, Action::Rcpt(rcpt));
        Ok(())
    }

    fn data(&mut self) -> Result<(), Refusal> {
        match &self.mail {
            None => Err(order("Say MAIL and RCPT first")),
            // After pipelined recipients that were all refused this is no fault of the client.
            Some(mail) if mail.recipients == 0 => {
                self.refuse(Refusal::new(554, (5, 5, 1), "No valid recipients"));
                Ok(())
            }
            Some(_) => {
                self.ask(Question::Data, Action::DataBegin);
                Ok(())
            }
        }
    }

    /// BDAT (RFC 3030): its octets follow at once, whatever the answer, so they are taken out in any case.
    fn bdat(&mut self, chunk: Chunk) -> Result<(), Refusal> {
        let limit = self.limits.message;
        let offered = self.features.chunking;
        let refusal = match &mut self.mail {
            _ if !offered => return Err(Refusal::new(502, (5, 5, 1), "BDAT is not offered")),
            None => Some(order("Say MAIL and RCPT first")),
            Some(mail) if mail.recipients == 0 => Some(Refusal::new(554, (5, 5, 1), "No valid recipients")),
            Some(mail) if mail.octets.saturating_add(chunk.left) > limit => Some(too_large(limit)),
            Some(mail) if !mail.chunks => {
                mail.chunks = true;
                self.ask(Question::FirstChunk(chunk), Action::DataBegin);
                return Ok(());
            }
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            let mail = self.transaction();
            mail.chunks = true;
            mail.refused.get_or_insert(refusal);
        }
        self.state = State::Chunk(chunk);
        Ok(())
    }

    fn take_chunk(&mut self, mut chunk: Chunk) -> bool {
        if chunk.left > 0 {
            let there = self.input.rest().len().min(PIECE);
            let count = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(there);
            if count == 0 {
                return false;
            }
            let text = self.input.rest().get(..count).unwrap_or_default().to_vec();
            self.input.consume(count);
            chunk.left -= count as u64;
            self.state = State::Chunk(chunk);
            self.transaction().ends.look(&text);
            self.hand_on(text);
            return true;
        }
        self.state = State::Command;
        let mail = self.transaction();
        let (octets, bare, refused) = (mail.octets, mail.ends.bare(), mail.refused.clone());
        match refused {
            Some(refusal) => {
                // The transaction is over; a client that pipelined further chunks is told the same for each of them.
                self.actions.push_back(Action::Reset);
                let recipients = 0;
                let next =
                    Transaction { chunks: true, refused: Some(refusal.clone()), recipients, ..Default::default() };
                self.mail = (!chunk.last).then_some(next);
                self.fault(refusal);
            }
            None if chunk.last => self.ask_message(octets, bare),
            None => self.ok(250, (2, 0, 0), "", "Chunk taken"),
        }
        true
    }

    fn take_text(&mut self) -> bool {
        let State::Text(unstuffer) = &mut self.state else { return false };
        let input = self.input.rest();
        let mut text = Vec::new();
        let (used, end) = unstuffer.take(input.get(..PIECE).unwrap_or(input), &mut text);
        let bare = unstuffer.bare_line_ends;
        if used == 0 {
            return false;
        }
        self.input.consume(used);
        self.hand_on(text);
        if end {
            self.state = State::Command;
            let mail = self.transaction();
            let octets = mail.octets;
            match mail.refused.take() {
                None => self.ask_message(octets, bare),
                Some(refusal) => {
                    self.reset();
                    self.refuse(refusal);
                }
            }
        }
        true
    }

    /// Gives text to the host, as long as the message is not refused and not too large.
    fn hand_on(&mut self, mut text: Vec<u8>) {
        let limit = self.limits.message;
        let mail = self.transaction();
        let room = limit.saturating_sub(mail.octets);
        mail.octets = mail.octets.saturating_add(text.len() as u64);
        if mail.octets > limit && mail.refused.is_none() {
            mail.refused = Some(too_large(limit));
        } else if mail.refused.is_some() {
            return;
        }
        text.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        if !text.is_empty() {
            self.actions.push_back(Action::Data(text));
        }
    }

    fn ask_message(&mut self, octets: u64, bare_line_ends: bool) {
        self.ask(Question::Message, Action::DataEnd(Received { octets, bare_line_ends }));
    }

    fn start_tls(&mut self) -> Result<(), Refusal> {
        if !self.features.starttls && !self.tls {
            return Err(Refusal::new(502, (5, 5, 1), "STARTTLS is not offered"));
        }
        if self.tls || self.mail.is_some() {
            return Err(order("STARTTLS is not allowed now"));
        }
        self.ok(220, (2, 0, 0), "", "Ready to start TLS");
        self.actions.push_back(Action::StartTls);
        self.state = State::Handshake;
        self.input.clear();
        Ok(())
    }

    fn auth(&mut self, mechanism: &str, initial: Option<Zeroizing<String>>) -> Result<(), Refusal> {
        if !self.features.auth {
            return Err(Refusal::new(502, (5, 5, 1), "AUTH is not offered"));
        }
        if !self.may_login() {
            return Err(Refusal::new(538, (5, 7, 11), "Say STARTTLS first"));
        }
        if self.login || self.mail.is_some() || !(self.hello || self.features.local) {
            return Err(order("AUTH is not allowed now"));
        }
        self.auth_step(Exchange::begin(mechanism, initial.as_ref().map(|text| text.as_str())));
        Ok(())
    }

    fn auth_step(&mut self, step: Step) {
        match step {
            Step::Challenge(challenge, exchange) => {
                self.state = State::Auth(exchange);
                self.send(format!("334 {challenge}"));
            }
            Step::Complete(credentials) => self.ask(Question::Login, Action::Auth(credentials)),
            Step::Cancelled => self.fault(Refusal::new(501, (5, 7, 0), "Authentication cancelled")),
            Step::Malformed => self.fault(Refusal::new(501, (5, 5, 2), "Not what the mechanism expects")),
            Step::Unknown => self.fault(Refusal::new(504, (5, 5, 4), "Mechanism not offered")),
        }
    }

    fn ask(&mut self, question: Question, action: Action) {
        self.state = State::Question(question);
        self.actions.push_back(action);
    }

    /// The transaction; an empty one is begun where a fault left none, so that octets on their way are accounted for.
    fn transaction(&mut self) -> &mut Transaction {
        self.mail.get_or_insert_default()
    }

    fn reset(&mut self) {
        if self.mail.take().is_some() {
            self.actions.push_back(Action::Reset);
        }
    }

    fn send(&mut self, text: String) {
        self.actions.push_back(Action::Reply((text + "\r\n").into_bytes()));
    }

    fn ok(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str, default: &str) {
        self.refuse(Refusal::new(code, enhanced, if text.is_empty() { default } else { text }));
    }

    fn refuse(&mut self, Refusal(code, (class, subject, detail), text): Refusal) {
        self.send(format!("{code} {class}.{subject}.{detail} {}", clean(&text)));
    }

    /// A refusal that counts as the client's fault; too many close the session.
    fn fault(&mut self, refusal: Refusal) {
        self.errors += 1;
        if self.errors > self.limits.errors {
            self.close(Refusal::new(421, (4, 7, 0), "Too many errors"));
        } else {
            self.refuse(refusal);
        }
    }

    fn turn_away(&mut self, who: Intruder) {
        self.intruder = Some(who);
        self.close(match who {
            Intruder::OtherProtocol => Refusal::new(554, (5, 5, 2), "This is SMTP, and nothing else is spoken here"),
            Intruder::TooEarly => Refusal::new(554, (5, 5, 1), "You spoke before your turn"),
        });
    }

    fn close(&mut self, refusal: Refusal) {
        self.reset();
        self.refuse(refusal);
        self.actions.push_back(Action::Quit);
        self.state = State::Closed;
        self.input.clear();
    }
}

fn order(text: &str) -> Refusal {
    Refusal::new(503, (5, 5, 1), text)
}

fn too_large(limit: u64) -> Refusal {
    Refusal::new(552, (5, 3, 4), format!("Message larger than {limit} octets"))
}

/// A text for one reply line: printable ASCII (RFC 5321 section 4.2), at most 400 characters.
fn clean(text: &str) -> String {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.trim_end().chars().map(printable).take(400).collect()
}
