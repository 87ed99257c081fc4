//! `postrider explain` and `sendmail -bv`: which account takes a message, why, and what it will look like. Sends
//! nothing and shows no secret.

use super::surroundings::Surroundings;
use crate::cli::invocation::Invocation;
use crate::config::{Config, Endpoint, Relay, TlsMode};
use crate::deliver::gate;
use crate::exit::Status;
use crate::message::Message;
use crate::message::address::Address;
use crate::message::read::{self, ReadRules};
use crate::report::{self, printable};
use crate::route::{self, Plan, RouteError};
use crate::sys::stdin::Stdin;
use std::path::PathBuf;

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
    match read::read(&mut std::io::empty(), ReadRules { dot_ends: false }) {
        Ok(message) => explain("sendmail", invocation, config, message, routes),
        Err(error) => error.status(),
    }
}

fn explain(
    program: &str,
    invocation: &Invocation,
    config: Option<PathBuf>,
    message: Message,
    text: fn(&Config, &Plan<'_>) -> String,
) -> Status {
    let around = Surroundings::look();
    let config = match around.load_for(invocation, config) {
        Ok(config) => config,
        Err(errors) => {
            errors.iter().for_each(|error| report::stderr(&format!("{program}: {error}")));
            return Status::Config;
        }
    };
    match route::plan(&config, &around.request(&config, &invocation.options), message) {
        Ok(plan) => {
            report::stdout(&text(&config, &plan));
            Status::Ok
        }
        Err(RouteError { status, what }) => {
            report::stderr(&format!("{program}: {what}"));
            status
        }
    }
}

/// `-bv`: a line for each alias that was used, then one for each recipient.
fn routes(config: &Config, plan: &Plan<'_>) -> String {
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
const LISTS: [&str; 3] = ["recipient", "change", "configuration"];

/// The explanation: a line `key: value` each.
fn text(config: &Config, plan: &Plan<'_>) -> String {
    let mut facts = facts(config, plan);
    if plan.changes.is_empty() {
        let last = facts.iter().rposition(|(key, _)| *key == "recipient:").map_or(facts.len(), |at| at + 1);
        facts.insert(last, ("change:", "none: the message leaves as it is".into()));
    }
    facts.iter().map(|(key, value)| format!("{key:<14} {}\n", printable(value))).collect()
}

/// The same as one JSON object: `recipient`, `change` and `configuration` are lists.
fn json(config: &Config, plan: &Plan<'_>) -> String {
    let mut object = serde_json::Map::new();
    for list in LISTS {
        object.insert(list.into(), serde_json::Value::Array(Vec::new()));
    }
    for (key, value) in facts(config, plan) {
        match object.get_mut(key.trim_end_matches(':')) {
            Some(serde_json::Value::Array(list)) => list.push(value.into()),
            _ => drop(object.insert(key.trim_end_matches(':').into(), value.into())),
        }
    }
    format!("{}\n", serde_json::Value::Object(object))
}

/// What there is to say, in order.
fn facts(config: &Config, plan: &Plan<'_>) -> Vec<(&'static str, String)> {
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
    relay.at_each_server().map(|relay| one_server(&relay)).collect::<Vec<_>>().join("; else ")
}

/// Server, port and protection.
fn one_server(relay: &Relay) -> String {
    let tls = match relay.tls {
        TlsMode::Implicit => "TLS from the start",
        TlsMode::StartTls => "STARTTLS required",
        TlsMode::Plain => "no TLS",
    };
    match &relay.endpoint {
        Endpoint::Tcp(host, port) => format!("{host} port {port}, {tls}"),
        Endpoint::Unix(path) => format!("{}, {tls}", path.display()),
    }
}
