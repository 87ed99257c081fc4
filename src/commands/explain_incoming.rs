//! `postrider explain --incoming`: which rule would take a message that comes in, and why the ones before it do not. Sends
//! nothing, runs nothing.

use super::surroundings::Surroundings;
use crate::config::Config;
use crate::deliver::maildir::MAILBOXES;
use crate::deliver::sorted;
use crate::envelope::{Dsn, Envelope};
use crate::exit::Status;
use crate::message::address::{Address, parse_reverse_path};
use crate::message::read::{self, ReadRules};
use crate::report::{self, printable};
use crate::rules::condition::Miss;
use crate::rules::sort::Mail;
use crate::rules::{Decision, End, Fate, Kind, NOBODY, Rule, lane, path};
use crate::sys::stdin::Stdin;
use clap::Parser;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// The most rules that are told for one recipient.
const TOLD: usize = 1000;

/// Show which rule takes the message on standard input, were it to come in over SMTP, and why the rules before do not.
#[derive(Debug, Parser)]
#[command(name = "postrider explain --incoming", disable_version_flag = true)]
struct Asked {
    /// As mail that comes in
    #[arg(long, required = true)]
    incoming: bool,
    /// The envelope sender; "<>" for none
    #[arg(long, value_name = "ADDRESS", default_value = "<>")]
    from: String,
    /// An envelope recipient; may be given several times
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// The listener's address, as in [[listen]]; without it, mail of this machine's own programs
    #[arg(long, value_name = "ADDRESS")]
    listener: Option<String>,
    /// One JSON object for each recipient
    #[arg(long)]
    json: bool,
}

/// Whether the arguments of `explain` ask for this.
#[must_use]
pub fn is_asked(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "--incoming")
}

/// Explains.
#[must_use]
pub fn run(arguments: &[OsString], config: Option<PathBuf>) -> Status {
    let name = std::iter::once(OsString::from("postrider explain --incoming"));
    let asked = match Asked::try_parse_from(name.chain(arguments.iter().cloned())) {
        Ok(asked) => asked,
        Err(error) if error.use_stderr() => {
            report::stderr_text(&error.to_string());
            return Status::Usage;
        }
        Err(error) => {
            report::stdout(&error.to_string());
            return Status::Ok;
        }
    };
    explain(&asked, config).unwrap_or_else(|(status, lines)| {
        lines.iter().for_each(|line| report::stderr(&format!("postrider explain: {line}")));
        status
    })
}

fn explain(asked: &Asked, config: Option<PathBuf>) -> Result<Status, (Status, Vec<String>)> {
    let data = |what: String| (Status::Data, vec![what]);
    let message = read::read(&mut Stdin, ReadRules { dot_ends: false }).map_err(|error| data(error.to_string()))?;
    let around = Surroundings::look();
    let config = around
        .load(config)
        .map_err(|errors| (Status::Config, errors.iter().map(ToString::to_string).collect::<Vec<_>>()))?;
    let domain = around.domain(&config);
    let from = parse_reverse_path(&asked.from, domain).map_err(|error| data(format!("--from: {error}")))?;
    let to = asked.to.iter().map(|text| Address::parse(text).or_else(|_| Address::parse(&format!("{text}@{domain}"))));
    let to = to.collect::<Result<Vec<_>, _>>().map_err(|error| data(format!("--to: {error}")))?;
    let Some(envelope) = Envelope::new(from, to, Dsn::default()) else { return Err(data("no recipient".into())) };
    let mail = Mail {
        envelope: &envelope,
        message: &message,
        listener: asked.listener.as_deref(),
        client: asked.client,
        mailboxes: MAILBOXES,
    };
    for to in envelope.recipients() {
        let text = if asked.json { json(&config, &mail, to) } else { lines(&config, &mail, to) };
        report::stdout(&text);
    }
    Ok(Status::Ok)
}

/// Each rule that was asked, with its answer; and what comes of it.
fn answers<'c>(config: &'c Config, mail: &Mail<'_>, to: &Address) -> (Vec<(&'c Rule, Option<String>)>, Decision<'c>) {
    let mut all = Vec::new();
    let decision = mail.decide(&config.rules, to, &mut |rule, miss| {
        if all.len() < TOLD {
            all.push((rule, miss.map(why)));
        }
    });
    (all, decision)
}

fn why(miss: &Miss) -> String {
    match miss {
        Miss::Fails(key) => key.clone(),
        Miss::Unknown => "the message".into(),
    }
}

/// What comes of it, in words; the lanes are those that the queue shows.
fn outcome(mail: &Mail<'_>, config: &Config, to: &Address, decision: &Decision<'_>) -> Vec<String> {
    let mut all: Vec<String> = decision
        .deliveries
        .iter()
        .map(|delivery| match (delivery.kind, &delivery.rule.actions) {
            (Kind::Maildir, actions) => {
                let template = actions.maildir.as_ref().map_or("", |maildir| maildir.template.as_str());
                format!("{}: {}", lane(&delivery.rule.name, delivery.kind), path::expand(template, to).path().display())
            }
            (Kind::Forward, actions) => {
                let to: Vec<&str> = actions.forward.iter().map(Address::as_str).collect();
                let via = config.via(delivery.rule).map_or("nobody".into(), |via| via.name());
                format!("rule {} forward: {} over {via}", delivery.rule.name, to.join(", "))
            }
            (kind, _) => lane(&delivery.rule.name, kind),
        })
        .collect();
    match decision.fate {
        Fate::Refused(rule) => all.push(match &rule.actions.end {
            End::Refuse(text) => format!("refused: {text}"),
            _ => "refused".into(),
        }),
        Fate::Nobody if config.rules.is_empty() => all.push("there are no rules".into()),
        Fate::Nobody if mail.listener.is_none() => {
            all.push("no rule takes it; mail of this machine's programs goes over its sender".into());
        }
        Fate::Nobody => all.push(format!("no rule takes it; refused: {NOBODY}")),
        Fate::TooMany => all.push("more rules take it than may; refused for now".into()),
        Fate::Taken | Fate::Unknown => {}
    }
    all
}

fn lines(config: &Config, mail: &Mail<'_>, to: &Address) -> String {
    let (answers, decision) = answers(config, mail, to);
    let mut lines = vec![format!("recipient:     {to}")];
    for (rule, miss) in answers {
        lines.push(match miss {
            Some(key) => format!("passed over:   {} ({}): {key} does not fit", rule.name, rule.place),
            None => format!("takes it:      {} ({}): {}", rule.name, rule.place, rule.actions),
        });
    }
    lines.extend(outcome(mail, config, to, &decision).into_iter().map(|line| format!("result:        {line}")));
    // A user who cannot be become is known before the first message.
    let own = rustix::process::geteuid().as_raw();
    if own == 0 {
        lines.extend(sorted::faults(config, own, true).into_iter().map(|fault| format!("fault:         {fault}")));
    }
    lines.iter().map(|line| printable(line) + "\n").collect()
}

fn json(config: &Config, mail: &Mail<'_>, to: &Address) -> String {
    let (answers, decision) = answers(config, mail, to);
    let rules: Vec<_> = answers
        .iter()
        .map(|(rule, miss)| serde_json::json!({ "rule": rule.name, "place": rule.place.to_string(), "takes": miss.is_none(), "fails": miss }))
        .collect();
    let result = outcome(mail, config, to, &decision);
    serde_json::json!({ "recipient": to.as_str(), "rules": rules, "result": result }).to_string() + "\n"
}
