//! What the trial prints: one aligned block a case, one line at the end. Text only, safe for a terminal.

use super::cases::{Case, Evidence};
use super::server::{Seen, Server};

/// Lines of an arriving message that are shown.
const LINES: usize = 40;

/// The first lines: what was set up.
pub(super) fn head(server: &Server) -> String {
    format!(
        "An SMTP server for the trial listens on 127.0.0.1: port {} with STARTTLS, port {} with TLS from the start.\n\
         Its configuration has the senders shop, news and stale (whose password is wrong), and a default relay.\n",
        server.starttls_port, server.tls_port
    )
}

/// The block of a case.
pub(super) fn case(number: usize, case: &Case, evidence: &Evidence, faults: &[String]) -> String {
    let mut block = format!("\n{number}. {}\n", case.title);
    field(&mut block, "From", case.from);
    match &evidence.explained {
        Some((sender, rule)) => {
            field(&mut block, "sender", sender);
            field(&mut block, "why", rule);
        }
        None => {
            field(&mut block, "sender", &format!("{} (explain told nothing)", case.sender.unwrap_or("default relay")))
        }
    }
    evidence.seen.iter().for_each(|seen| what_was_seen(&mut block, seen));
    if evidence.seen.is_empty() {
        field(&mut block, "server", "saw no message and no login");
    }
    match &evidence.ended {
        Ok(ended) => {
            field(&mut block, "exit status", &ended.status.to_string());
            for line in String::from_utf8_lossy(&ended.stderr).lines().take(10) {
                field(&mut block, "it said", line);
            }
        }
        Err(error) => field(&mut block, "exit status", error),
    }
    match faults {
        [] => field(&mut block, "result", "as it should be"),
        faults => faults.iter().for_each(|fault| field(&mut block, "WRONG", fault)),
    }
    block
}

/// A message that the user's own command sent.
pub(super) fn arrived(number: usize, seen: &Seen) -> String {
    let mut block = format!("\nmessage {number}\n");
    what_was_seen(&mut block, seen);
    let message = seen.message.as_deref().unwrap_or_default();
    let text = String::from_utf8_lossy(message);
    let mut lines = text.lines();
    for line in lines.by_ref().take(LINES) {
        block.push_str(&format!("  | {}\n", visible(line)));
    }
    match lines.count() {
        0 => {}
        more => block.push_str(&format!("  | ... and {more} more lines, {} octets in all\n", message.len())),
    }
    block
}

fn what_was_seen(block: &mut String, seen: &Seen) {
    let way = if seen.implicit { "from the start" } else { "by STARTTLS" };
    field(block, "TLS", &format!("{} {way}", seen.tls));
    match (&seen.account, &seen.refused_login) {
        (Some(account), _) => field(block, "account", &format!("{account}, by AUTH {}", seen.mechanism)),
        (None, Some(account)) => field(block, "account", &format!("{account}, by AUTH {}: refused", seen.mechanism)),
        (None, None) => field(block, "account", "none"),
    }
    if !seen.from.is_empty() {
        field(block, "envelope", &format!("{} -> {}", seen.from, envelope(seen)));
    }
    if let Some(from) = seen.message.as_deref().and_then(from_field) {
        field(block, "arrived", &from);
    }
    seen.replies.iter().for_each(|reply| field(block, "server's reply", reply));
}

/// The From field as it arrived, its first line.
fn from_field(message: &[u8]) -> Option<String> {
    let lines = message.split(|octet| *octet == b'\n').take_while(|line| !matches!(line, [] | [b'\r']));
    let mut fields = lines.filter(|line| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"From:")));
    fields.next().map(|line| String::from_utf8_lossy(line).trim_end().to_owned())
}

fn envelope(seen: &Seen) -> String {
    let refused = seen.refused.iter().map(|address| format!("{address} (refused)"));
    refused.chain(seen.taken.iter().cloned()).collect::<Vec<_>>().join(", ")
}

fn field(block: &mut String, name: &str, value: &str) {
    block.push_str(&format!("   {name:<16}{}\n", visible(value)));
}

/// Without control characters, at most 300 characters.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).take(300).collect()
}
