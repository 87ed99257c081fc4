//! Reports about messages that did not arrive, or not yet: multipart/report (RFC 6522) with a delivery status (RFC 3464).
//!
//! Pure. A report has the null sender and is never answered by another one; about a report, or a message with the null
//! sender, only the postmaster is told. There is no backscatter: only what was submitted on this host is reported.

use super::types::{Millis, NewMessage, Queued, QueuedRecipient};
use crate::deliver::trouble::{Kind, Trouble};
use crate::envelope::{Dsn, Envelope, Notify, OriginalRecipient, Return, ReversePath};
use crate::message::Message;
use crate::message::address::Address;
use crate::message::header::format_mailbox;
use crate::message::read::{self, ReadRules};
use crate::report::printable;
use chrono::{DateTime, FixedOffset};
use lettre::message::{SinglePart, header::ContentType};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Read};

/// The name that a report is from.
const NAME: &str = "Mail Delivery System";
/// The largest message that is returned whole, octets; of a larger one the header only.
const WHOLE: u64 = 256 * 1024;
/// The most of a header that is returned, octets.
const HEADER: usize = 64 * 1024;
/// The most recipients that one report names.
const RECIPIENTS: usize = 1000;

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// It will not be tried again.
    Failed,
    /// It is tried until then.
    Delayed(Millis),
}

/// What is said of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The recipient.
    pub address: Address,
    /// Who it was at first, where the client said so (ORCPT).
    pub original: Option<OriginalRecipient>,
    /// RFC 3463.
    pub status: String,
    /// What happened, in words for people.
    pub said: String,
    /// The server, and its own words where it said any.
    pub server: Option<(String, Option<String>)>,
}

impl Line {
    /// Of a failure at a server (`host:port`).
    #[must_use]
    pub fn of(recipient: &QueuedRecipient, trouble: &Trouble, server: &str, matter: Matter) -> Self {
        Self {
            address: recipient.address.clone(),
            original: recipient.dsn.orcpt.clone(),
            status: status(trouble, matter),
            said: trouble.line(server, None),
            server: Some((server.to_owned(), trouble.reply.as_ref().map(ToString::to_string))),
        }
    }
}

/// RFC 3463: the server's own code, or the one that fits best. A delay is never a permanent one.
fn status(trouble: &Trouble, matter: Matter) -> String {
    let (class, subject, detail) = match trouble.reply.as_ref().and_then(|reply| Some((reply.code, reply.enhanced?))) {
        Some((_, enhanced)) => enhanced,
        None => match (trouble.kind, trouble.reply.as_ref().map(|reply| reply.code / 100)) {
            (Kind::RecipientRefused, Some(5)) => (5, 1, 0),
            (_, Some(5)) => (5, 0, 0),
            (Kind::Message, _) => (5, 6, 0),
            (Kind::Auth | Kind::Secret | Kind::Config | Kind::Tls, _) => (4, 7, 0),
            (Kind::Network | Kind::UnknownHost, _) => (4, 4, 1),
            // Delivery time expired.
            _ => (4, 4, 7),
        },
    };
    let class = if matches!(matter, Matter::Delayed(_)) { 4 } else { class };
    format!("{class}.{subject}.{detail}")
}

/// The lines that somebody wants to hear of: as NOTIFY says, the recipient's own or that of all (RFC 3461 section 4.1).
#[must_use]
pub fn wanted(queued: &Queued, lines: &[Line], matter: Matter) -> Vec<Line> {
    let own = queued.recipients.iter().filter_map(|one| Some((one.address.canonical(), one.dsn.notify?)));
    let own: HashMap<String, Notify> = own.collect();
    let wants = |line: &&Line| {
        let asked = own.get(&line.address.canonical()).copied().or(queued.dsn.notify);
        let asked = asked.filter(|notify| notify.never || notify.success || notify.failure || notify.delay);
        asked.is_none_or(|notify| match matter {
            Matter::Failed => notify.failure && !notify.never,
            Matter::Delayed(_) => notify.delay && !notify.never,
        })
    };
    lines.iter().filter(wants).cloned().collect()
}

/// Who is told, if anybody: the envelope sender, or the postmaster where there is no sender.
#[must_use]
pub fn addressee<'q>(queued: &'q Queued, matter: Matter, postmaster: Option<&'q Address>) -> Option<&'q Address> {
    match (queued.from.address().filter(|_| !queued.report), matter) {
        (Some(sender), _) => Some(sender),
        (None, Matter::Delayed(_)) => None,
        (None, Matter::Failed) => postmaster.filter(|postmaster| {
            // What the postmaster could not be sent is not reported to the postmaster.
            queued.recipients.iter().all(|recipient| recipient.address.canonical() != postmaster.canonical())
        }),
    }
}

/// A report to be.
pub struct Report<'r> {
    /// What is reported.
    pub matter: Matter,
    /// About which message.
    pub queued: &'r Queued,
    /// Its text.
    pub original: &'r Message,
    /// Its recipients that it is about.
    pub lines: &'r [Line],
    /// Who is told.
    pub to: &'r Address,
    /// The lane that the report takes, and the address that it is from.
    pub route: (String, Address),
    /// This host's name.
    pub host: &'r str,
    /// Now.
    pub now: DateTime<FixedOffset>,
    /// 32 random hex digits.
    pub token: String,
}

impl Report<'_> {
    /// The report, ready for the queue.
    ///
    /// # Errors
    /// The original cannot be read.
    pub fn message(self) -> Result<NewMessage, String> {
        let text = self.text().map_err(|error| error.to_string())?;
        let message = read::read(&mut text.as_slice(), ReadRules { dot_ends: false });
        let message = message.map_err(|error| error.to_string())?;
        let (lane, from) = self.route;
        let envelope = Envelope::new(ReversePath::Null, vec![self.to.clone()], Dsn::default());
        let now = self.now.timestamp_millis();
        Ok(NewMessage {
            submission: self.token,
            uid: self.queued.uid,
            lane,
            header_from: from.to_string(),
            envelope: envelope.ok_or("a report without a recipient")?,
            tag: self.queued.tag.clone(),
            message,
            now,
            due: now,
            hold: None,
            report: true,
            bulk: false,
            counted: None,
            in_doubt: Vec::new(),
        })
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        let boundary = format!("report-{}", self.token);
        let mut out = self.header(&boundary).into_bytes();
        let mut part = |head: &str, body: &[u8]| {
            out.extend_from_slice(format!("\r\n--{boundary}\r\n{head}").as_bytes());
            out.extend_from_slice(body);
        };
        let words = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(self.words());
        part("", &words.formatted());
        part("Content-Type: message/delivery-status\r\n\r\n", self.delivery_status().as_bytes());
        match self.whole()? {
            Some(whole) => part("Content-Type: message/rfc822\r\n\r\n", &whole),
            None => part("Content-Type: text/rfc822-headers\r\n\r\n", &self.headers()),
        }
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Ok(out)
    }

    fn header(&self, boundary: &str) -> String {
        let (_, from) = &self.route;
        let subject = match self.matter {
            Matter::Failed => "Undelivered mail returned to sender",
            Matter::Delayed(_) => "Delayed mail (still being tried)",
        };
        format!(
            "Date: {}\r\nFrom: {}\r\nTo: {}\r\nSubject: {subject}\r\nMessage-ID: <{}@{}>\r\nAuto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\
             \r\nThis is a delivery status report in MIME format.\r\n",
            self.now.to_rfc2822(),
            format_mailbox(Some(NAME), from),
            format_mailbox(None, self.to),
            self.token,
            from.domain(),
        )
    }

    /// For people.
    fn words(&self) -> String {
        let mut text = format!("This is the mail system at host {}.\n\n", self.host);
        let _ = match self.matter {
            Matter::Failed => writeln!(
                text,
                "Your message could not be delivered to one or more recipients. It will not be tried\n\
                 again; its beginning is attached below.\n"
            ),
            Matter::Delayed(until) => writeln!(
                text,
                "Your message has not been delivered yet to the recipients below.\n\
                 YOU NEED NOT SEND IT AGAIN: it is tried until {}.\n",
                self.date(until)
            ),
        };
        for line in self.lines.iter().take(RECIPIENTS) {
            let _ = writeln!(text, "<{}>:\n    {}\n", line.address, printable(&line.said));
        }
        if let Some(more) = self.lines.len().checked_sub(RECIPIENTS).filter(|more| *more > 0) {
            let _ = writeln!(text, "and {more} more recipients.\n");
        }
        let subject = self.original.header.first("Subject").map(|field| field.unfolded()).unwrap_or_default();
        let subject: String = printable(&String::from_utf8_lossy(&subject)).chars().take(200).collect();
        let _ = writeln!(text, "Queue number {}, accepted {}\nSubject: {subject}", self.queued.id, self.arrived());
        text
    }

    /// RFC 3464 sections 2.2 and 2.3, in ASCII.
    fn delivery_status(&self) -> String {
        let mut text = format!("Reporting-MTA: dns; {}\r\n", ascii(self.host));
        if let Some(envid) = self.queued.dsn.envid.as_deref().filter(|envid| !envid.is_empty()) {
            let _ = write!(text, "Original-Envelope-Id: {}\r\n", ascii(envid));
        }
        let _ = write!(text, "Arrival-Date: {}\r\n", self.arrived());
        for line in self.lines.iter().take(RECIPIENTS) {
            let original = line.original.as_ref().map(|one| format!("Original-Recipient: {}\r\n", ascii(&one.field())));
            let original = original.unwrap_or_default();
            let action = if self.matter == Matter::Failed { "failed" } else { "delayed" };
            let _ = write!(
                text,
                "\r\n{original}Final-Recipient: {}\r\nAction: {action}\r\nStatus: {}\r\n",
                OriginalRecipient::from(&line.address).field(),
                line.status
            );
            if let Some((server, reply)) = &line.server {
                let _ = write!(text, "Remote-MTA: dns; {}\r\n", ascii(host_of(server)));
                if let Some(reply) = reply {
                    let _ = write!(text, "Diagnostic-Code: smtp; {}\r\n", ascii(reply));
                }
            }
            let _ = write!(text, "Last-Attempt-Date: {}\r\n", self.now.to_rfc2822());
            if let Matter::Delayed(until) = self.matter {
                let _ = write!(text, "Will-Retry-Until: {}\r\n", self.date(until));
            }
        }
        text
    }

    /// The original, where that was asked for and a part of 7 bits can hold it.
    fn whole(&self) -> io::Result<Option<Vec<u8>>> {
        let original = self.original;
        let plain = !original.needs_8bit() && !original.header_needs_utf8();
        let failed = self.matter == Matter::Failed && self.queued.dsn.ret == Some(Return::Full);
        if !(plain && failed && original.wire_size() <= WHOLE) {
            return Ok(None);
        }
        let mut whole = Vec::new();
        original.wire().take(WHOLE).read_to_end(&mut whole)?;
        Ok(Some(whole))
    }

    /// The original's header, in ASCII.
    fn headers(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for field in self.original.header.fields() {
            if out.len() + field.raw().len() > HEADER {
                break;
            }
            out.extend(field.raw().iter().map(|octet| if octet.is_ascii() { *octet } else { b'?' }));
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    fn arrived(&self) -> String {
        self.date(self.queued.created)
    }

    fn date(&self, at: Millis) -> String {
        let utc = DateTime::from_timestamp_millis(at).unwrap_or_default();
        // The format of RFC 5322 knows years of four digits alone.
        let utc = if (0..=9999).contains(&chrono::Datelike::year(&utc)) { utc } else { DateTime::default() };
        utc.with_timezone(self.now.offset()).to_rfc2822()
    }
}

/// The host of `host:port`; brackets of an IPv6 address stay.
fn host_of(server: &str) -> &str {
    server.rsplit_once(':').map_or(server, |(host, _)| host)
}

/// A value for a field of the delivery status: one line of printable ASCII, short enough for a header line.
fn ascii(text: &str) -> String {
    printable(text).chars().take(900).map(|c| if c.is_ascii() { c } else { '?' }).collect()
}
