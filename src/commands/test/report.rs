//! What `test` found of one sender: for people a block, for programs a JSON object. Never a secret.

use super::domain::Said;
use super::watch::Step;
use crate::config::{Config, Sender};
use crate::deliver::open::Opened;
use crate::deliver::trouble::Trouble;
use crate::report::{counted, printable};
use crate::sys::clock;
use serde::Serialize;

/// A certificate that is valid for fewer days is told of.
const SOON: i64 = 14;

/// Everything about one sender.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The sender, or `default relay`, or the msmtprc account.
    pub sender: String,
    /// Where it is defined.
    pub place: String,
    /// The server that answered, or the last one that was asked.
    pub server: String,
    /// Whether all went well.
    pub ok: bool,
    /// The exit status that this sender alone would have.
    pub status: u8,
    /// Where it failed.
    pub phase: Option<String>,
    /// Why, one line.
    pub error: Option<String>,
    /// Each step with its time.
    pub steps: Vec<Step>,
    /// TLS, where there was TLS.
    pub tls: Option<Tls>,
    /// Mechanism of the login.
    pub mechanism: Option<String>,
    /// The login.
    pub user: Option<String>,
    /// What the server offers.
    pub offers: Offers,
    /// What is configured against it.
    pub limits: Vec<String>,
    /// What to know.
    pub notes: Vec<String>,
    /// What the domains say.
    pub dns: Vec<DomainSaid>,
    /// What became of the message of `--send-to`.
    pub sent: Option<String>,
}

/// What a domain says, line by line.
#[derive(Debug, Serialize)]
pub(super) struct DomainSaid {
    /// The domain.
    pub domain: String,
    /// The lines.
    pub said: Vec<Said>,
}

/// The protection of the connection.
#[derive(Debug, Serialize)]
pub(super) struct Tls {
    /// `TLS` or `STARTTLS`.
    pub mode: &'static str,
    /// `TLSv1.3`.
    pub version: &'static str,
    /// The cipher.
    pub cipher: &'static str,
    /// The names of the certificate.
    pub subject: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// Days that it is still valid for.
    pub days_left: i64,
}

/// What a server offers (RFC 1870, RFC 9422, RFC 4954).
#[derive(Debug, Default, Serialize)]
pub(super) struct Offers {
    /// SIZE: octets of a message.
    pub size: Option<u64>,
    /// MAILMAX: messages of a connection.
    pub messages: Option<u32>,
    /// RCPTMAX: recipients of a message.
    pub recipients: Option<u32>,
    /// AUTH mechanisms.
    pub auth: Vec<String>,
}

impl Report {
    /// What a probe learned.
    pub(super) fn new(name: &str, place: String, opened: &Opened, steps: Vec<Step>, trouble: Option<&Trouble>) -> Self {
        let offered = &opened.capabilities;
        let now = clock::now().timestamp();
        let tls = opened.cipher.map(|(version, cipher)| Tls {
            mode: opened.tls,
            version,
            cipher,
            subject: opened.certificate.as_ref().map(|shown| shown.names.clone()).unwrap_or_default(),
            issuer: opened.certificate.as_ref().map(|shown| shown.issuer.clone()).unwrap_or_default(),
            days_left: opened.certificate.as_ref().map_or(0, |shown| shown.days_left(now)),
        });
        let mut notes = Vec::new();
        if let Some(days) = tls.as_ref().map(|tls| tls.days_left).filter(|days| *days < SOON) {
            notes.push(format!("the server's certificate is valid for {} more", counted(days, "day")));
        }
        Self {
            sender: name.to_owned(),
            place,
            server: opened.server.clone(),
            ok: trouble.is_none(),
            status: 0,
            phase: trouble.map(|trouble| trouble.phase.to_string()),
            error: trouble.map(|trouble| trouble.line(&opened.server, None)),
            steps,
            tls,
            mechanism: opened.login.as_ref().map(|(mechanism, _)| mechanism.clone()),
            user: opened.login.as_ref().map(|(_, user)| user.clone()),
            offers: Offers {
                size: offered.size_limit,
                messages: offered.limits.mails,
                recipients: offered.limits.recipients,
                auth: offered.auth.clone(),
            },
            limits: Vec::new(),
            notes,
            dns: Vec::new(),
            sent: None,
        }
    }

    /// Sets the configured limits beside the offered ones.
    pub(super) fn compare(&mut self, config: &Config, sender: &Sender) {
        self.limits = sender.limits.windows.iter().map(ToString::to_string).collect();
        let known = sender.provider.map(|provider| &provider.limits);
        let mut less = |what: &str, offered: Option<u64>, configured: Option<u64>, whose: &str| {
            if let (Some(offered), Some(configured)) = (offered, configured)
                && offered < configured
            {
                self.notes.push(format!("{what}: the server takes {offered}, and {whose} lets {configured} through"));
            }
        };
        let (size, recipients) = (self.offers.size, self.offers.recipients.map(u64::from));
        less("octets a message", size, known.and_then(|known| known.size), "the provider's preset");
        let largest = config.listen.iter().map(|listener| listener.limits.size).max();
        less("octets a message", size, largest, "[[listen]] size");
        let most = known.and_then(|known| known.recipients_per_message).map(u64::from);
        less("recipients a message", recipients, most, "the provider's preset");
        let open = known.and_then(|known| known.connections).map(u64::from);
        less("connections", open, u64::try_from(config.queue.connections).ok(), "queue.connections");
    }

    /// A block for people.
    pub(super) fn block(&self) -> String {
        let state = if self.ok { "ok" } else { "FAILED" };
        let mut text = format!("{}: {state} ({})\n", printable(&self.sender), printable(&self.server));
        let mut field = |name: &str, value: &str| text.push_str(&format!("  {name:<9} {}\n", printable(value)));
        for step in &self.steps {
            field(step.name, &format!("{:.1} ms", step.ms));
        }
        if let Some(tls) = &self.tls {
            field("protected", &format!("{} by {}, {}", tls.version, tls.mode, tls.cipher));
            let names = tls.subject.join(", ");
            field("server is", &format!("{names}, issued by {}, {} left", tls.issuer, counted(tls.days_left, "day")));
        }
        if let (Some(mechanism), Some(user)) = (&self.mechanism, &self.user) {
            field("login", &format!("{user}, by {mechanism}"));
        }
        field("offers", &self.offers.words());
        if !self.limits.is_empty() {
            field("limits", &self.limits.join(", "));
        }
        self.notes.iter().for_each(|note| field("note", note));
        for one in &self.dns {
            for said in &one.said {
                field(said.about, &format!("{}{}: {}", if said.ok { "" } else { "WRONG: " }, one.domain, said.what));
            }
        }
        if let Some(sent) = &self.sent {
            field("message", sent);
        }
        if let Some(error) = &self.error {
            field("error", error);
        }
        text
    }
}

impl Offers {
    fn words(&self) -> String {
        let mut all = Vec::new();
        all.extend(self.size.map(|size| format!("{size} octets a message")));
        all.extend(self.recipients.map(|most| format!("{} a message", counted(most, "recipient"))));
        all.extend(self.messages.map(|most| format!("{} a connection", counted(most, "message"))));
        if !self.auth.is_empty() {
            all.push(format!("AUTH {}", self.auth.join(" ")));
        }
        if all.is_empty() { "no limits, no login".into() } else { all.join(", ") }
    }
}
