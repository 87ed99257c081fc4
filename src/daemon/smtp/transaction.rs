//! What a listener does for its SMTP session: questions answered by the policy, text spooled, the message handed to the
//! queue. 250 is said once the queue's commit has returned, never before.
//!
//! Never talks to the client itself: the session does, see `smtp::server`.

use super::Service;
use super::bind::Peer;
use super::guard::Seat;
use super::incoming::{self, Incoming};
use super::login::{self, Denied, Login, Try};
use super::policy::{self, Refusal};
use super::trace::{self, Arrival};
use crate::cli::invocation::{DeliveryMode, ErrorMode};
use crate::commands::surroundings::Surroundings;
use crate::config::Purpose;
use crate::daemon::brake::Who;
use crate::daemon::protocol::Submit;
use crate::daemon::quota::Share;
use crate::daemon::{Daemon, submit};
use crate::deliver::maildir::MAILBOXES;
use crate::envelope::{Dsn, Envelope, RecipientDsn};
use crate::message::Message;
use crate::message::address::Address;
use crate::queue::Accepted;
use crate::report::{log, printable};
use crate::rules::Facts;
use crate::smtp::server::{Action, Credentials, MailFrom, RcptTo, Received, Session};
use crate::sys::clock::Deadline;
use crate::sys::spool::Spool;
use crate::sys::users::{Caller, Remote};
use crate::sys::{clock, random};
use std::collections::BTreeMap;
use std::io::Write;

/// Characters of a login name that the log has.
const NAME: usize = 255;
/// Octets of a message that stay in memory.
const MEMORY: usize = 64 << 10;

/// Everything that belongs to one client besides its connection.
pub struct Host<'c> {
    daemon: &'c Daemon,
    service: &'c Service,
    seat: &'c Seat,
    peer: Peer,
    /// TLS version and cipher.
    pub tls: Option<(&'static str, &'static str)>,
    hello: (String, bool),
    login: Option<LoggedIn>,
    /// Logins that came to nothing, whatever was said since.
    refused: usize,
    /// When the connection is over in any case.
    total: Deadline,
    transaction: Option<Transaction>,
}

/// Who has logged in.
struct LoggedIn {
    name: String,
    senders: Option<Vec<String>>,
}

/// The message at hand.
struct Transaction {
    from: Box<MailFrom>,
    to: Vec<RcptTo>,
    id: String,
    text: Spool,
    /// Text of the client has come, behind our trace field.
    begun: bool,
    /// What of the room for large messages it has.
    share: Share,
    /// What of the room for recipients.
    room: Share,
    /// Why its text is not kept any more.
    broken: Option<Refusal>,
}

impl<'c> Host<'c> {
    /// For a client that has just connected.
    pub fn new(daemon: &'c Daemon, service: &'c Service, seat: &'c Seat, peer: Peer, total: Deadline) -> Self {
        let (hello, login, transaction) = Default::default();
        Self { daemon, service, seat, peer, tls: None, hello, login, refused: 0, total, transaction }
    }

    /// What the session asks or tells, but for what concerns the connection.
    pub fn perform(&mut self, session: &mut Session, action: Action) {
        match action {
            Action::Hello { name, extended } => self.hello = (name, extended),
            Action::Auth(credentials) => {
                let decision = self.log_in(&credentials);
                answer(session, decision, "");
            }
            Action::Mail(from) => {
                let decision = self.begin(from);
                answer(session, decision, "");
            }
            Action::Rcpt(to) => {
                let decision = self.recipient(*to);
                answer(session, decision, "");
            }
            Action::DataBegin => {
                let decision = self.trace();
                answer(session, decision, "");
            }
            Action::Data(octets) => self.keep(&octets),
            Action::DataEnd(received) => {
                self.seat.busy();
                match self.end(received) {
                    Ok(accepted) => session.accept_with(&format!("Ok, queued as {}", accepted.id)),
                    Err(refusal) => answer(session, Err(refusal), ""),
                }
            }
            Action::Reset => self.transaction = None,
            Action::Reply(_) | Action::StartTls | Action::Quit => {}
        }
    }

    /// TLS has begun: nothing that was said before holds (RFC 3207 section 4.2).
    pub fn begin_anew(&mut self, tls: Option<(&'static str, &'static str)>) {
        (self.tls, self.hello, self.login, self.transaction) = (tls, Default::default(), None, None);
    }

    fn log_in(&mut self, given: &Credentials) -> Result<(), Refusal> {
        self.seat.busy();
        let phase = Deadline::after(self.service.listener.timeouts.command).or_earlier(self.total);
        let of = Try { client: self.peer.client(), refused: self.refused, phase };
        let (reason, refusal) = match login::check(&self.service.users, given, &self.service.turns, of) {
            Login::Good(user) => {
                self.login = Some(LoggedIn { name: user.name.clone(), senders: user.senders.clone() });
                return Ok(());
            }
            Login::Bad => {
                let refusal = Refusal::new(535, (5, 7, 8), "Authentication credentials invalid");
                ("wrong user or password", refusal)
            }
            Login::Denied(Denied::Guessing) => {
                let refusal = Refusal::new(454, (4, 7, 0), "Too many wrong logins from your address, try again later");
                ("too many wrong logins of this client", refusal)
            }
            Login::Denied(why @ (Denied::Busy | Denied::Memory)) => {
                self.refused += 1;
                tracing::warn!(client = %self.peer, ?why, "login put off");
                return Err(Refusal::new(454, (4, 7, 0), "Too many logins at once, try again later"));
            }
        };
        self.refused += 1;
        // The client comes first, and a name is short: fail2ban reads this line (config/fail2ban).
        let user: String = printable(&given.user).chars().take(NAME).collect();
        tracing::warn!(client = %self.peer, user, mechanism = given.mechanism, reason, "login refused");
        Err(refusal)
    }

    fn begin(&mut self, from: Box<MailFrom>) -> Result<(), Refusal> {
        if let Err(refusal) = policy::mail(&self.service.listener, self.peer.address, self.login.is_some()) {
            tracing::warn!(client = %self.peer, envelope_from = %from.path, reason = refusal.text, "refused");
            return Err(refusal);
        }
        let id = random::token().map_err(|_| Refusal::new(451, (4, 3, 0), "No random numbers to be had"))?;
        let share = self.daemon.limits.text.share(self.peer.client().number());
        let room = self.daemon.limits.envelopes.share(self.peer.client().number());
        let text = Spool::with_memory(MEMORY);
        self.transaction =
            Some(Transaction { from, to: Vec::new(), id, text, begun: false, share, room, broken: None });
        Ok(())
    }

    fn recipient(&mut self, to: RcptTo) -> Result<(), Refusal> {
        let Some(transaction) = &mut self.transaction else { return Err(lost()) };
        if let Err(refusal) = policy::recipient(&self.service.listener, &self.service.host, &to.address) {
            tracing::warn!(client = %self.peer, to = %to.address, reason = refusal.text, "refused");
            return Err(refusal);
        }
        if self.service.listener.purpose == Purpose::Incoming {
            let listener = self.service.address.to_string();
            let (from, client) = (&transaction.from.path, self.peer.address);
            let facts =
                Facts { from, to: &to.address, listener: Some(&listener), client, content: None, mailboxes: MAILBOXES };
            if let Err(refusal) = incoming::recipient(self.daemon, &facts) {
                tracing::warn!(client = %self.peer, to = %to.address, reason = refusal.text, "refused");
                return Err(refusal);
            }
        }
        if !transaction.room.grow(weight(&to)) {
            return Err(Refusal::new(452, (4, 5, 3), "Too many recipients at once, try again later"));
        }
        transaction.to.push(to);
        Ok(())
    }

    /// The text begins with our Received field.
    fn trace(&mut self) -> Result<(), Refusal> {
        let Some(transaction) = &mut self.transaction else { return Err(lost()) };
        let recipient = match transaction.to.as_slice() {
            [one] => Some(one.address.as_str()),
            _ => None,
        };
        let arrival = Arrival {
            hello: &self.hello.0,
            extended: self.hello.1,
            client: self.peer.address,
            uid: self.peer.local.map(|(uid, _)| uid),
            tls: self.tls,
            login: self.login.is_some(),
            smtputf8: transaction.from.smtputf8,
            host: &self.service.host,
            id: &transaction.id,
            recipient,
        };
        let field = trace::received(&arrival, clock::now());
        transaction.text.write_all(field.as_bytes()).map_err(|error| spool(&error))
    }

    /// Keeps text; what goes wrong is told after the dot, when the client listens again.
    fn keep(&mut self, octets: &[u8]) {
        let Some(transaction) = self.transaction.as_mut().filter(|transaction| transaction.broken.is_none()) else {
            return;
        };
        let large = transaction.text.len() + octets.len() as u64 > MEMORY as u64;
        transaction.broken = if large && !transaction.share.grow(octets.len() as u64) {
            Some(Refusal::new(452, (4, 3, 1), "Too many large messages at once, try again later"))
        } else {
            let first = !std::mem::replace(&mut transaction.begun, true);
            // A first line that begins with a blank would be taken for more of our field: it is a body without header.
            let apart: &[u8] = if first && matches!(octets.first(), Some(b' ' | b'\t')) { b"\r\n" } else { b"" };
            let kept = transaction.text.write_all(apart).and_then(|()| transaction.text.write_all(octets));
            kept.err().map(|error| spool(&error))
        };
        if transaction.broken.is_some() {
            transaction.text = Spool::with_memory(0);
        }
    }

    fn end(&mut self, received: Received) -> Result<Accepted, Refusal> {
        let transaction = self.transaction.take().ok_or_else(lost)?;
        let tag = self.tag();
        let taken = self.take(transaction, received, &tag);
        if let Err(refusal) = &taken {
            tracing::warn!(client = %self.peer, reason = printable(&refusal.text), code = refusal.code, tag, "refused");
        }
        taken
    }

    fn take(&self, mut transaction: Transaction, received: Received, tag: &str) -> Result<Accepted, Refusal> {
        if let Some(refusal) = transaction.broken.take() {
            return Err(refusal);
        }
        if received.bare_line_ends {
            // Another server may take it for the end of the message, and what follows for a second one.
            return Err(Refusal::new(554, (5, 6, 11), "Lines end with CRLF; a CR or LF stands alone in the message"));
        }
        let text = std::mem::take(&mut transaction.text);
        let client = self.peer.client().number();
        // A message to many is as much work as a large one.
        let work = text.len().max(transaction.to.iter().map(weight).sum());
        let _alone = submit::alone(self.daemon, client, work).map_err(Refusal::of)?;
        let message = submit::message(text).map_err(Refusal::of)?;
        if trace::is_loop(&message.header, &self.service.host) {
            return Err(Refusal::new(554, (5, 4, 6), "The message goes in circles: too many Received fields"));
        }
        let accepted = match self.service.listener.purpose {
            Purpose::Submission => self.submit(&transaction, message, tag),
            Purpose::Incoming => self.come_in(transaction, message, tag),
        }?;
        self.daemon.host.kick();
        Ok(accepted)
    }

    fn submit(&self, transaction: &Transaction, message: Message, tag: &str) -> Result<Accepted, Refusal> {
        let asked = Submit {
            id: transaction.id.clone(),
            program: "smtp".into(),
            from: Some(transaction.from.path.to_string()),
            full_name: None,
            read_envelope_from: false,
            extract: false,
            account: None,
            delivery: DeliveryMode::Background,
            errors: ErrorMode::Mail,
            dsn: dsn(transaction, ToString::to_string),
            tag: Some(tag.to_owned()),
            recipients: transaction.to.iter().map(|to| to.address.to_string()).collect(),
        };
        let around = Surroundings::of(self.caller());
        let kept = submit::queue(self.daemon, &around, &asked, message).map(|kept| kept.accepted);
        kept.map_err(|(status, what)| {
            log::refused(&what, status, Some(tag), around.who.uid);
            Refusal::of((status, what))
        })
    }

    fn come_in(&self, transaction: Transaction, message: Message, tag: &str) -> Result<Accepted, Refusal> {
        let dsn = dsn(&transaction, Address::canonical);
        let to = transaction.to.into_iter().map(|to| to.address).collect();
        let envelope = Envelope::new(transaction.from.path, to, dsn).ok_or_else(lost)?;
        let listener = self.service.address.to_string();
        let (id, tag) = (transaction.id, tag.to_owned());
        let who = self.peer.is_here().then(|| Who::of(&self.caller(), &message.header));
        let incoming = Incoming { id, envelope, message, listener, client: self.peer.address, who, tag };
        incoming::take(self.daemon, incoming)
    }

    /// Who the message is from: the user of a local client that did not log in, else nobody of this machine.
    fn caller(&self) -> Caller {
        let remote = |name, counted, senders| Caller::remote(self.daemon.uid, Remote { name, counted, senders });
        match (&self.login, self.peer.local) {
            (Some(login), _) => {
                let name = format!("user {} of {}", login.name, self.peer);
                remote(name, format!("login {}", login.name), login.senders.clone())
            }
            (None, Some((uid, gid))) => Caller::of(uid, gid),
            (None, None) => remote(self.peer.to_string(), self.peer.counted(), None),
        }
    }

    /// How the log names where a message came from: `smtp:app@192.0.2.1`.
    fn tag(&self) -> String {
        let client = self.peer.address.map_or_else(|| "local".into(), |address| address.to_string());
        match &self.login {
            Some(login) => format!("smtp:{}@{client}", printable(&login.name)),
            None => format!("smtp:{client}"),
        }
    }
}

/// What a recipient takes of the memory, about.
fn weight(to: &RcptTo) -> u64 {
    let original = to.orcpt.as_ref().map_or(0, |original| original.to_string().len());
    (512 + 3 * to.address.as_str().len() + original) as u64
}

fn answer(session: &mut Session, decision: Result<(), Refusal>, text: &str) {
    match decision {
        Ok(()) => session.accept_with(text),
        Err(Refusal { code, enhanced, text }) => session.reject(code, enhanced, &text),
    }
}

/// The session asked about a transaction that it had ended.
fn lost() -> Refusal {
    Refusal::new(451, (4, 3, 0), "There is no transaction")
}

fn spool(error: &std::io::Error) -> Refusal {
    tracing::error!(reason = %error, "a message that comes in over SMTP cannot be kept");
    Refusal::new(452, (4, 3, 1), "The message cannot be kept for now")
}

/// What was asked about notifications, that of single recipients by what `key` makes of them. Of one that was named twice
/// the first counts, as for the envelope.
fn dsn(transaction: &Transaction, key: impl Fn(&Address) -> String) -> Dsn {
    let mut recipients = BTreeMap::new();
    for to in &transaction.to {
        let asked = RecipientDsn { notify: to.notify, orcpt: to.orcpt.clone() };
        recipients.entry(key(&to.address)).or_insert(asked);
    }
    recipients.retain(|_, asked| !asked.is_empty());
    Dsn { notify: None, ret: transaction.from.ret, envid: transaction.from.envid.clone(), recipients }
}
