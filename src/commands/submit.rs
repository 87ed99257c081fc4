//! The main job: read the message whole, plan its route, deliver it, tell what became of it.
//!
//! Nothing is sent before the input has ended well. A pipe's end does not tell whether its writer had finished: who
//! wants to call a message off ends this program (any signal does), or speaks SMTP to it (`-bs`).

use super::admission::{self, Admission};
use super::handover::{Handed, Way};
use super::misconfigured;
use super::own_queue::{self, Kept};
use super::surroundings::Surroundings;
use super::verdict;
use crate::cli::invocation::{ErrorMode, Invocation, Options};
use crate::config::{Account, Config, LogConfig, Sender, Via};
use crate::deliver::attempt;
use crate::deliver::context::Context;
use crate::deliver::gate::Gate;
use crate::deliver::status;
use crate::deliver::{Attempt, Verdict};
use crate::envelope::Envelope;
use crate::exit::{Contract, Status};
use crate::limits::{self, Full, Lease};
use crate::message::Message;
use crate::message::read::{self, ReadRules};
use crate::queue::backup;
use crate::report::msmtp_log::{self, Sinks};
use crate::report::{self, log, transcript::Transcripts};
use crate::route::{self, Plan, Request, choose, local};
use crate::secret::fetch::{self, FetchContext};
use crate::smtp::client::TAKEN;
use crate::smtp::reply::Reply;
use crate::sys::stdin::Stdin;
use std::path::PathBuf;

/// What became of a submission.
#[derive(Debug)]
pub struct Done {
    /// The status for the caller.
    pub status: Status,
    /// What went wrong, one line; none where nothing did.
    pub line: Option<String>,
    /// The server's last word, where it said one.
    pub reply: Option<Reply>,
    /// Some recipients were sent the message and others not.
    pub partly: bool,
}

impl Done {
    fn refused(what: impl Into<String>, status: Status) -> Self {
        Self { status, line: Some(what.into()), reply: None, partly: false }
    }
}

impl From<Handed> for Done {
    fn from(handed: Handed) -> Self {
        Self { status: handed.status, line: handed.line, reply: None, partly: false }
    }
}

/// Submits the message on standard input.
#[must_use]
pub fn run(program: &str, invocation: &Invocation, config: Option<PathBuf>) -> Status {
    let done = from_stdin(program, invocation, config);
    if let Some(line) = done.line.filter(|_| invocation.options.errors != ErrorMode::Quiet) {
        report::stderr(&format!("{program}: {line}"));
    }
    done.status
}

fn from_stdin(program: &str, invocation: &Invocation, config: Option<PathBuf>) -> Done {
    // The input comes first: a caller that is still writing must not be cut off by our errors.
    let rules = ReadRules { dot_ends: !invocation.options.ignore_dots };
    let message = match read::read(&mut Stdin, rules) {
        Ok(message) => message,
        Err(error) => {
            let around = Surroundings::look();
            let submitter = Submitter { program, around: &around, options: &invocation.options };
            return submitter.unlogged(error.to_string(), error.status());
        }
    };
    let mut way = Way::of(invocation, config.as_ref());
    if let Some(handed) = way.hand_over(program, &invocation.options, &message) {
        return handed.into();
    }
    let around = Surroundings::look();
    let submitter = Submitter { program, around: &around, options: &invocation.options };
    match around.load_for(invocation, config) {
        Ok(config) => {
            submitter.open_log(&config.log);
            submitter.submit(&config, message)
        }
        Err(errors) => {
            let (what, status) = (misconfigured::line(&errors), misconfigured::status(invocation, &errors));
            if let Some(file) = around.msmtp_log_hint(invocation) {
                let sinks = Sinks { file: Some(&file), ..Sinks::default() };
                submitter.msmtp_refused(None, sinks, &what, status);
            }
            submitter.unlogged(way.explain(what), status)
        }
    }
}

fn done(attempt: &Attempt, status: Status) -> Done {
    let failed = attempt.troubles().count();
    let partly = failed > 0 && failed < attempt.outcomes.len();
    let line = (status != Status::Ok).then(|| verdict::line(attempt));
    Done { status, line, reply: verdict::reply(attempt), partly }
}

/// Who submits, and how.
pub struct Submitter<'a> {
    /// The program's name in errors and in syslog.
    pub program: &'a str,
    /// The caller, the host, the moment.
    pub around: &'a Surroundings,
    /// The command line.
    pub options: &'a Options,
}

impl Submitter<'_> {
    /// Plans, delivers and logs one message.
    #[must_use]
    pub fn submit(&self, config: &Config, message: Message) -> Done {
        let request = self.around.request(config, self.options);
        if let Some(refused) = self.for_the_rules(config, &request, &message) {
            return refused;
        }
        match route::plan(config, &request, message) {
            Ok(plan) => self.admit(config, plan),
            Err(error) => {
                // With senders beside it the msmtprc may have had no part in it.
                let account = choose::probable_account(config, self.options.account.as_deref());
                if let Some(account) = account.filter(|_| config.senders.is_empty()) {
                    self.msmtp_refused(Some(account), Sinks::of(account), &error.what, error.status);
                }
                self.refused(error.what, error.status)
            }
        }
    }

    /// Rules deliver from the daemon's queue alone: what they would take does not go elsewhere for want of it.
    fn for_the_rules(&self, config: &Config, request: &Request<'_>, message: &Message) -> Option<Done> {
        let sorted = match local::sort(config, request, message) {
            Ok(sorted) => sorted,
            Err(error) => return Some(self.refused(error.what, error.status)),
        };
        let first = sorted.taken.first()?;
        let lane = sorted.lanes.first().map_or("rules", String::as_str);
        let what =
            format!("mail for {first} is for {lane}, which the daemon delivers, and it does not run; nothing was sent");
        Some(self.refused(what, status::not_now(self.options.contract, config.tempfail_exit)))
    }

    /// The line of a refusal in an msmtprc's own log.
    fn msmtp_refused(&self, account: Option<&Account>, sinks: Sinks<'_>, what: &str, status: Status) {
        let from = self.options.from.as_deref().unwrap_or_default();
        let line = msmtp_log::refused(account, from, &self.options.recipients, what, status);
        self.msmtp_log(sinks, &line);
    }

    fn msmtp_log(&self, sinks: Sinks<'_>, line: &str) {
        if let Err(problem) = msmtp_log::write(sinks, line, self.around.now) {
            match self.options.contract {
                // As msmtp, which says it unasked.
                Contract::Msmtp => report::stderr(&format!("{}: {problem}", self.program)),
                Contract::Sendmail => self.aside(&problem),
            }
        }
    }

    /// Opens the configured log.
    pub fn open_log(&self, config: &LogConfig) {
        if let Some(problem) = log::open(config, self.program) {
            self.aside(&problem);
        }
    }

    /// A refusal before there was a configuration to say where the log goes.
    #[must_use]
    pub fn unlogged(&self, what: String, status: Status) -> Done {
        self.open_log(&LogConfig::default());
        self.refused(what, status)
    }

    /// A refusal before any server was asked, for the caller and the log.
    #[must_use]
    pub fn refused(&self, what: String, status: Status) -> Done {
        log::refused(&what, status, self.options.log_tag.as_deref(), self.around.who.uid);
        Done::refused(what, status)
    }

    /// Delivers what the sending limits let go.
    fn admit<'c>(&self, config: &'c Config, mut plan: Plan<'c>) -> Done {
        let paused = own_queue::halted(config, &plan.via.name());
        let asked = paused.map_or_else(|| admission::ask(config, &mut plan), |full| Ok(Admission::Full(full)));
        let (lease, full) = match asked {
            Ok(Admission::Go(lease)) => {
                let rest = lease.rest().cloned();
                (Some(lease), rest)
            }
            Ok(Admission::Full(full)) if admission::keeps(config, &plan) => (None, Some(full)),
            Ok(Admission::Full(full)) => {
                let what = format!("{}: {}; nothing was kept", plan.via.name(), full.what);
                return self.refused(what, status::not_now(self.options.contract, config.tempfail_exit));
            }
            Err(error) => {
                let what = format!("{error}; nothing was kept");
                return self.refused(what, status::not_now(self.options.contract, config.tempfail_exit));
            }
        };
        self.deliver(config, &plan, lease, full.as_ref())
    }

    /// One attempt over the plan's account, and what it came to.
    fn deliver(&self, config: &Config, plan: &Plan<'_>, lease: Option<Lease>, full: Option<&Full>) -> Done {
        self.aside(&format!("using {} ({}): {}", plan.via.name(), plan.via.place(), plan.rule));
        plan.expanded.iter().for_each(|step| self.aside(&format!("alias {step}")));
        let mut transcripts = Transcripts::open(plan.via, self.options.verbose);
        let attempt = self.carry(config, plan, lease, full, &mut transcripts);
        if let Some(backup) = backup_for(config, plan, &attempt) {
            transcripts.result(&attempt);
            let why =
                attempt.troubles().next().map(|(_, trouble)| trouble.line(&attempt.server, None)).unwrap_or_default();
            tracing::warn!(sender = plan.via.name(), backup = backup.name, "goes over the backup: {why}");
            self.aside(&format!("{why}; the backup takes over"));
            return self.admit(config, plan.over(Via::Sender(backup)));
        }
        let status = status::of_attempt_for(self.options.contract, &attempt, config.tempfail_exit);
        transcripts.result(&attempt);
        log::message(plan, &attempt, status, self.options.log_tag.as_deref(), self.around.who.uid);
        if let Via::Account(account) = plan.via {
            self.msmtp_log(Sinks::of(account), &msmtp_log::line(account, plan, &attempt, status));
        }
        match own_queue::keep(config, self.around, self.options, plan, &attempt, full) {
            None => done(&attempt, status),
            Some(Ok(kept)) => self.kept(config, &kept),
            Some(Err(why)) => {
                let mut done = done(&attempt, status);
                done.line = done.line.map(|line| format!("{line}; not kept in the queue: {why}"));
                done
            }
        }
    }

    /// What is kept is safe; what was refused for good is told.
    fn kept(&self, config: &Config, kept: &Kept) -> Done {
        let what = format!("kept for {} of the recipients in {}", kept.count, kept.directory.display());
        tracing::info!(uid = self.around.who.uid, "{what}");
        self.aside(&what);
        let mut done =
            done(&kept.rest, status::of_attempt_for(self.options.contract, &kept.rest, config.tempfail_exit));
        done.line = done.line.map(|line| format!("{line}; {what}"));
        done.partly |= done.status != Status::Ok;
        done
    }

    /// The attempt, for those that may go; the others are in it as not sent.
    fn carry(
        &self,
        config: &Config,
        plan: &Plan<'_>,
        lease: Option<Lease>,
        full: Option<&Full>,
        transcripts: &mut Transcripts,
    ) -> Attempt {
        let all = plan.envelope.recipients().len();
        let (go, waiting) = admission::parts(&plan.envelope, lease.as_ref().map_or(0, |lease| lease.allowed(all)));
        let begin = || lease.iter().for_each(Lease::begin);
        let mut attempt = match &go {
            Some(envelope) => self.attempt(config, plan, envelope, transcripts, &begin),
            None => admission::untried(plan),
        };
        if let Some(lease) = lease {
            lease.settle(limits::taken(&attempt));
        }
        if let Some(full) = full {
            admission::add_waiting(&mut attempt, waiting, full);
        }
        attempt
    }

    fn attempt(
        &self,
        config: &Config,
        plan: &Plan<'_>,
        envelope: &Envelope,
        transcripts: &mut Transcripts,
        before_mail: &dyn Fn(),
    ) -> Attempt {
        let relay = plan.via.relay();
        let who = &self.around.who;
        let fetching = FetchContext::of(relay, who.uid, who.home.as_deref(), true);
        let mut context = Context {
            host: &self.around.hostname,
            transcript: transcripts,
            secret: &|source, limit| {
                fetch::fetch(source, &FetchContext { limit, ..fetching }).map_err(|error| error.to_string())
            },
            gate: Gate::of(config, plan.via.name()),
            before_mail,
            taken: TAKEN,
        };
        attempt::attempt(relay, envelope, &plan.message, &mut context)
    }

    /// What only `-v` says.
    fn aside(&self, what: &str) {
        if self.options.verbose {
            report::stderr(&format!("{}: {what}", self.program));
        }
    }
}

/// The sender that takes over at once where a plan's server is down. One that stands in for another has none itself, and
/// nothing is sent twice: nobody was asked for a recipient yet.
fn backup_for<'c>(config: &'c Config, plan: &Plan<'c>, attempt: &Attempt) -> Option<&'c Sender> {
    let Via::Sender(sender) = plan.via else { return None };
    let down = attempt.outcomes.iter().all(|outcome| matches!(&outcome.verdict, Verdict::Failed(t) if t.is_down()));
    let allowed = |other: &&Sender| backup::allows(other, backup::identities(plan.from.as_ref(), &plan.envelope.from));
    let paused = |other: &&Sender| own_queue::halted(config, &other.name).is_some();
    let down = down && !plan.moved;
    down.then(|| backup::at_once(config, sender).find(|other| allowed(other) && !paused(other))).flatten()
}
