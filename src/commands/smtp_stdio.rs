//! `sendmail -bs`: SMTP on standard input and output, each message submitted as one on standard input would be.
//!
//! The session itself is `smtp::server`. Bare LF ends a line here, as the callers of this mode write it. What the next
//! server says of a message becomes the reply after the dot, so the caller learns of a refusal in the server's words.

use super::handover::Way;
use super::misconfigured;
use super::submit::{Done, Submitter};
use super::surroundings::Surroundings;
use crate::cli::invocation::{Invocation, Options};
use crate::config::{Config, ConfigError};
use crate::envelope::{Dsn, RecipientDsn};
use crate::exit::Status;
use crate::message::read::{self, ReadRules};
use crate::report;
use crate::smtp::reply::Reply;
use crate::smtp::server::{Action, Features, Limits, MailFrom, RcptTo, Session};
use crate::sys::env;
use crate::sys::spool::Spool;
use crate::sys::stdin::Stdin;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// Behind an address that came without a domain, for as long as the session has it (RFC 2606 section 2).
const BARE: &str = "@bare.invalid";
/// Octets read from the caller at once.
const CHUNK: usize = 64 * 1024;

/// Speaks SMTP until QUIT or the end of the input.
///
/// The status is 0 once the dialogue ended in order: what became of each message is in the replies. An input that ends
/// in the middle of a message is 74, and nothing of that message was sent.
#[must_use]
pub fn run(invocation: &Invocation, config: Option<PathBuf>) -> Status {
    let features =
        Features { domain: Some(BARE.trim_start_matches('@').into()), local: true, ..Features::named(env::hostname()) };
    let limits = Limits { message: 1 << 30, recipients: 100_000, ..Limits::default() };
    let way = Way::of(invocation, config.as_ref());
    let mut host = Host {
        invocation,
        way,
        config,
        direct: OnceCell::new(),
        transaction: None,
        in_message: false,
        out: io::stdout().lock(),
    };
    let mut session = Session::new(limits, features, false);
    match host.converse(&mut session, &mut Stdin) {
        Ok(()) if host.in_message && session.in_transaction() => {
            report::stderr("sendmail: standard input ended in the middle of a message; nothing of it was sent");
            Status::Io
        }
        Ok(()) => Status::Ok,
        // The caller went away: there is nobody to tell.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Status::Ok,
        Err(error) => {
            report::stderr(&format!("sendmail: standard input or output: {error}"));
            Status::Io
        }
    }
}

/// An address that came without a domain goes on without one: who routes the message knows what belongs behind it.
fn bare(address: String) -> String {
    address.strip_suffix(BARE).map(str::to_owned).unwrap_or(address)
}

/// The message at hand.
struct Transaction {
    from: Box<MailFrom>,
    to: Vec<RcptTo>,
    text: Spool,
    broken: Option<io::Error>,
}

/// Does what the session's actions say.
struct Host<'a, W> {
    invocation: &'a Invocation,
    way: Way,
    /// What `postrider --config` named.
    config: Option<PathBuf>,
    /// What a delivery by this process needs: looked for when the first message takes that way.
    direct: OnceCell<(Surroundings, Result<Config, Vec<ConfigError>>)>,
    transaction: Option<Transaction>,
    /// The text of a message has begun and its end has not come.
    in_message: bool,
    out: W,
}

impl<W: Write> Host<'_, W> {
    fn converse(&mut self, session: &mut Session, input: &mut impl Read) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            while let Some(action) = session.poll() {
                if !self.perform(session, action)? {
                    return self.out.flush();
                }
            }
            self.out.flush()?;
            match input.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => session.feed(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// One action; false when the dialogue is over.
    fn perform(&mut self, session: &mut Session, action: Action) -> io::Result<bool> {
        match action {
            Action::Reply(octets) => self.out.write_all(&octets)?,
            Action::Hello { .. } | Action::StartTls => {}
            Action::Auth(_) => session.reject(535, (5, 7, 8), "No login is needed here"),
            Action::Mail(from) => {
                self.transaction = Some(Transaction { from, to: Vec::new(), text: Spool::new(), broken: None });
                session.accept();
            }
            Action::Rcpt(to) => {
                self.transaction.iter_mut().for_each(|transaction| transaction.to.push((*to).clone()));
                session.accept();
            }
            Action::DataBegin => {
                self.in_message = true;
                session.accept();
            }
            Action::Data(octets) => self.keep(&octets),
            Action::DataEnd(_) => {
                self.in_message = false;
                match self.transaction.take() {
                    Some(transaction) => answer(session, &self.submit(transaction)),
                    None => session.reject(451, (4, 3, 0), "No transaction"),
                }
            }
            Action::Reset => (self.transaction, self.in_message) = (None, false),
            Action::Quit => return Ok(false),
        }
        Ok(true)
    }

    /// Keeps text; a full disk is told after the dot, when the caller listens again.
    fn keep(&mut self, octets: &[u8]) {
        let Some(transaction) = &mut self.transaction else { return };
        if transaction.broken.is_none() {
            transaction.broken = transaction.text.write_all(octets).err();
        }
    }

    fn submit(&mut self, transaction: Transaction) -> Done {
        let options = self.options(&transaction);
        if let Some(error) = transaction.broken {
            return self.refused(&options, format!("the message cannot be kept: {error}"), Status::Io);
        }
        let message = match read::read(&mut transaction.text.reader(0), ReadRules { dot_ends: false }) {
            Ok(message) => message,
            Err(error) => return self.refused(&options, error.to_string(), error.status()),
        };
        if let Some(handed) = self.way.hand_over("sendmail", &options, &message) {
            return handed.into();
        }
        let (around, config) = self.direct();
        let submitter = Submitter { program: "sendmail", around: &around.renewed(), options: &options };
        match config {
            Ok(config) => {
                submitter.open_log(&config.log);
                submitter.submit(config, message)
            }
            Err(errors) => submitter.unlogged(self.way.explain(misconfigured::line(errors)), Status::Config),
        }
    }

    fn refused(&self, options: &Options, what: String, status: Status) -> Done {
        let (around, config) = self.direct();
        let submitter = Submitter { program: "sendmail", around, options };
        if let Ok(config) = config {
            submitter.open_log(&config.log);
        }
        submitter.refused(what, status)
    }

    fn direct(&self) -> &(Surroundings, Result<Config, Vec<ConfigError>>) {
        self.direct.get_or_init(|| {
            let around = Surroundings::look();
            let config = around.load_for(self.invocation, self.config.clone());
            (around, config)
        })
    }

    /// The command line's options with the transaction's envelope.
    fn options(&self, transaction: &Transaction) -> Options {
        let from = &transaction.from;
        let asked = &self.invocation.options;
        Options {
            from: Some(bare(from.path.to_string())),
            recipients: transaction.to.iter().map(|to| bare(to.address.to_string())).collect(),
            extract: false,
            dsn: Dsn {
                notify: asked.dsn.notify,
                recipients: asked_of(&transaction.to),
                ret: from.ret.or(asked.dsn.ret),
                envid: from.envid.clone().or(asked.dsn.envid.clone()),
            },
            ..asked.clone()
        }
    }
}

/// What was asked about single recipients. Of one that was named twice the first counts, as for the envelope.
fn asked_of(to: &[RcptTo]) -> BTreeMap<String, RecipientDsn> {
    let mut asked = BTreeMap::new();
    for to in to {
        let dsn = RecipientDsn { notify: to.notify, orcpt: to.orcpt.clone() };
        asked.entry(bare(to.address.to_string())).or_insert(dsn);
    }
    asked.retain(|_, dsn| !dsn.is_empty());
    asked
}

/// What a server said, without its enhanced code: the session's own stands there.
fn words(reply: &Reply) -> String {
    let text = reply.lines.join(" ");
    let code = reply.enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail} "));
    code.and_then(|code| text.strip_prefix(&code).map(str::to_owned)).unwrap_or(text)
}

/// The reply after the dot: the server's own where it has one, else the status in SMTP's words.
fn answer(session: &mut Session, done: &Done) {
    let line = done.line.as_deref().unwrap_or("Message accepted");
    if done.status == Status::Ok {
        return session.accept_with(&done.reply.as_ref().map_or_else(String::new, words));
    }
    let refused = done.reply.as_ref().filter(|reply| reply.code >= 400 && reply.code != 421);
    let (code, enhanced) = match (refused, done.status) {
        // SMTP has no word for it here. Never a 4xx: sent again, the message would reach the others twice.
        _ if done.partly => (554, (5, 0, 0)),
        (Some(reply), _) => (reply.code, reply.enhanced.unwrap_or(((reply.code / 100) as u8, 0, 0))),
        (None, Status::Usage | Status::Data) => (554, (5, 6, 0)),
        (None, Status::NoPerm) => (550, (5, 7, 1)),
        (None, Status::NoUser) => (550, (5, 1, 1)),
        (None, _) => (451, (4, 3, 0)),
    };
    session.reject(code, enhanced, line);
}
