//! `postrider explain` and `sendmail -bv`: which account takes a message, why, and what it will look like. Sends
//! nothing and shows no secret.

use super::explain_limits::{self, Source};
use super::surroundings::Surroundings;
use crate::cli::invocation::Invocation;
use crate::config::{Config, Relay};
use crate::daemon::{client, overview};
use crate::deliver::gate;
use crate::exit::Status;
use crate::message::Message;
use crate::message::address::Address;
use crate::message::read::{self, ReadRules};
use crate::report::{self, printable};
use crate::route::{self, Plan, RouteError, local};
use crate::sys::env;
use crate::sys::stdin::Stdin;
use std::path::PathBuf;

/// How what is known is written down.
type Form = fn(&Config, &Plan<'_>, &Source) -> String;

/// Explains the message on standard input.
#[must_use]
pub fn run(invocation: &Invocation, config: Option<PathBuf>) -> Status {
    let rules = ReadRules { dot_ends: !invocation.options.ignore_dots };
    match read::read(&mut Stdin, rules) {
        Ok(message) => {
            let form = if invocation.json { json } else { text };
            explain("postrider explain", invocation, config, message, form)
        }
        Err(error) => {
            report::stderr(&format!("postrider explain: {error}"));
            error.status()
        }
    }
}

/// `-bv`: the route of the addresses given, without a message.
#[must_use]
pub fn verify(invocation: &Invocation, config: Option<PathBuf>) -> Status {
    let message = match read::read(&mut std::io::empty(), ReadRules { dot_ends: false }) {
        Ok(message) => message,
        Err(error) => return error.status(),
    };
    let around = Surroundings::look();
    let config = match configured("sendmail", &around, invocation, config) {
        Ok(config) => config,
        Err(status) => return status,
    };
    let ask = |invocation: &Invocation| told(&around, &config, invocation, message.clone(), &Source::Files, routes);
    let recipients = &invocation.options.recipients;
    match ask(invocation) {
        // One that is no good leaves the others their answers.
        Err(_) if recipients.len() > 1 => {
            let alone = |one: &String| {
                let mut invocation = invocation.clone();
                invocation.options.recipients = vec![one.clone()];
                show("sendmail", ask(&invocation))
            };
            let statuses: Vec<Status> = recipients.iter().map(alone).collect();
            statuses.into_iter().find(|status| *status != Status::Ok).unwrap_or(Status::Ok)
        }
        told => show("sendmail", told),
    }
}

fn explain(program: &str, invocation: &Invocation, config: Option<PathBuf>, message: Message, text: Form) -> Status {
    let around = Surroundings::look();
    // Who has a configuration of his own is not the daemon's customer.
    let own = config.is_some() || invocation.msmtp.is_some() || env::path("POSTRIDER_CONFIG").is_some();
    let limits = if own { Source::Files } else { Source::Daemon(client::socket()) };
    match configured(program, &around, invocation, config) {
        Ok(config) => show(program, told(&around, &config, invocation, message, &limits, text)),
        Err(status) => status,
    }
}

/// The configuration, or the status after its errors were told.
fn configured(
    program: &str,
    around: &Surroundings,
    invocation: &Invocation,
    config: Option<PathBuf>,
) -> Result<Config, Status> {
    around.load_for(invocation, config).map_err(|errors| {
        errors.iter().for_each(|error| report::stderr(&format!("{program}: {error}")));
        Status::Config
    })
}

fn show(program: &str, told: Result<String, RouteError>) -> Status {
    match told {
        Ok(told) => {
            report::stdout(&told);
            Status::Ok
        }
        Err(RouteError { status, what }) => {
            report::stderr(&format!("{program}: {what}"));
            status
        }
    }
}

/// What the rules take, and the route of the rest.
fn told(
    around: &Surroundings,
    config: &Config,
    invocation: &Invocation,
    message: Message,
    limits: &Source,
    text: Form,
) -> Result<String, RouteError> {
    let sorted = local::sort(config, &around.request(config, &invocation.options), &message)?;
    let lanes = sorted.lanes.join(", ");
    let taken = sorted.taken.iter().map(|to| printable(&format!("{to}... deliverable by rules: {lanes}")) + "\n");
    let mut told: String = taken.collect();
    if let Some(rest) = &sorted.rest {
        told += &text(config, &route::plan(config, &around.request(config, rest), message)?, limits);
    }
    Ok(told)
}

/// `-bv`: a line for each alias that was used, then one for each recipient.
fn routes(config: &Config, plan: &Plan<'_>, _: &Source) -> String {
    let (via, server) = (plan.via.name(), server(plan.via.relay()));
    let aliased = plan.expanded.iter().map(|step| printable(&format!("aliased: {step}")) + "\n");
    let line = |to: &Address| {
        let staged = staged(config, to).map_or_else(String::new, |staged| format!("; {staged}"));
        let copy = if plan.archive.contains(to) { ", archive copy" } else { "" };
        printable(&format!("{to}... deliverable by {via} ({}{copy}) over {server}{staged}", plan.rule)) + "\n"
    };
    aliased.chain(plan.envelope.recipients().iter().map(line)).collect()
}

/// What staging does with a recipient.
fn staged(config: &Config, to: &Address) -> Option<String> {
    gate::note(config.staging.as_ref(), std::iter::once(to))
}

/// What may be said more than once, so that in JSON it is always a list.
const LISTS: [&str; 6] = ["recipient", "change", "configuration", "alias", "limit", "staging"];

/// The explanation: a line `key: value` each.
fn text(config: &Config, plan: &Plan<'_>, limits: &Source) -> String {
    let mut facts = facts(config, plan, limits);
    if plan.changes.is_empty() {
        let last = facts.iter().rposition(|(key, _)| *key == "recipient:").map_or(facts.len(), |at| at + 1);
        facts.insert(last, ("change:", "none: the message leaves as it is".into()));
    }
    facts.iter().map(|(key, value)| format!("{key:<14} {}\n", printable(value))).collect()
}

/// The same as one JSON object; what may be said more than once is a list.
fn json(config: &Config, plan: &Plan<'_>, limits: &Source) -> String {
    let mut object = serde_json::Map::new();
    for list in LISTS {
        object.insert(list.into(), serde_json::Value::Array(Vec::new()));
    }
    for (key, value) in facts(config, plan, limits) {
        match object.get_mut(key.trim_end_matches(':')) {
            Some(serde_json::Value::Array(list)) => list.push(value.into()),
            _ => drop(object.insert(key.trim_end_matches(':').into(), value.into())),
        }
    }
    format!("{}\n", serde_json::Value::Object(object))
}

/// What there is to say, in order.
fn facts(config: &Config, plan: &Plan<'_>, limits: &Source) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut line = |key: &'static str, value: String| facts.push((key, value));
    line("from:", plan.from.as_ref().map_or_else(|| "(none in the message)".into(), ToString::to_string));
    line("sender:", plan.via.name());
    line("rule:", plan.rule.to_string());
    line("defined:", plan.via.place().to_string());
    line("server:", server(plan.via.relay()));
    line("login:", plan.via.relay().user.clone().unwrap_or_else(|| "(none)".into()));
    if let Some(why) = &plan.bulk {
        line("bulk:", format!("yes: {why}; single mail overtakes it"));
    }
    explain_limits::explain(config, plan, limits, &mut line);
    line("envelope-from:", plan.envelope.from.to_string());
    for step in &plan.expanded {
        line("alias:", step.clone());
    }
    for recipient in plan.envelope.recipients() {
        let copy = if plan.archive.contains(recipient) { " (archive copy: bcc of the sender)" } else { "" };
        line("recipient:", format!("{recipient}{copy}"));
    }
    if let Some(staging) = &config.staging {
        let through = |to: &&Address| staging.allows(to);
        let let_through: Vec<&str> = plan.envelope.recipients().iter().filter(through).map(Address::as_str).collect();
        let held = plan.envelope.recipients().len() - let_through.len();
        line("staging:", format!("{held} of the recipients are not sent to; their mail goes to {staging}"));
        if !let_through.is_empty() {
            line("staging:", format!("let through: {}", let_through.join(", ")));
        }
    }
    for change in &plan.changes {
        line("change:", change.clone());
    }
    for file in &config.files {
        line("configuration:", file.display().to_string());
    }
    facts
}

/// Every server of the account, in the order in which they are asked.
fn server(relay: &Relay) -> String {
    overview::servers(relay).join("; else ")
}
