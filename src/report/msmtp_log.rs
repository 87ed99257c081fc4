//! msmtp's log line, for an msmtprc's `logfile`: the same fields in the same order, so that what reads such logs goes
//! on working.

use super::printable;
use crate::config::{Account, AuthChoice, TlsMode};
use crate::deliver::{Attempt, Verdict};
use crate::exit::Status;
use crate::route::Plan;
use chrono::{DateTime, FixedOffset};
use std::io::Write;

/// The line, without the time and without a line end.
#[must_use]
pub fn line(account: &Account, plan: &Plan<'_>, attempt: &Attempt, status: Status) -> String {
    let relay = &account.relay;
    let onoff = |on| if on { "on" } else { "off" };
    let mut line = format!(
        "host={} tls={} auth={}",
        attempt.server.rsplit_once(':').map_or(attempt.server.as_str(), |(host, _)| host),
        onoff(relay.tls != TlsMode::Plain),
        onoff(relay.auth != AuthChoice::Off)
    );
    if let Some(user) = relay.user.as_deref().filter(|_| relay.auth != AuthChoice::Off) {
        line.push_str(&format!(" user={user}"));
    }
    let to: Vec<&str> = plan.envelope.recipients().iter().map(|address| address.as_str()).collect();
    line.push_str(&format!(" from={} recipients={}", plan.envelope.from, to.join(",")));
    let failed = attempt.outcomes.iter().find(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
    match failed.or(attempt.outcomes.first()).map(|outcome| &outcome.verdict) {
        Some(Verdict::Sent(reply)) => {
            line.push_str(&format!(" mailsize={} smtpstatus={} smtpmsg='{reply}'", attempt.size, reply.code));
        }
        Some(Verdict::Failed(trouble)) => {
            if let Some(reply) = &trouble.reply {
                line.push_str(&format!(" smtpstatus={} smtpmsg='{reply}'", reply.code));
            }
            line.push_str(&format!(" errormsg='{}'", trouble.what));
        }
        None => {}
    }
    line.push_str(&format!(" exitcode={}", status.name()));
    printable(&line)
}

/// Writes the line to the account's log file, with its time format, or to standard output where that is `-`.
///
/// # Errors
/// What kept it from being written, for `-v`.
pub fn write(account: &Account, line: &str, now: DateTime<FixedOffset>) -> Result<(), String> {
    let Some(path) = &account.logfile else { return Ok(()) };
    let text = format!("{} {line}\n", time(&account.logfile_time_format, now));
    if path.as_os_str() == "-" {
        super::stdout(&text);
        return Ok(());
    }
    let written = crate::sys::files::append(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("log {}: {error}", path.display()))
}

/// The time in a strftime format; a format that chrono cannot read gives msmtp's default one.
fn time(format: &str, now: DateTime<FixedOffset>) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    if write!(text, "{}", now.format(format)).is_err() {
        text = now.format("%b %d %H:%M:%S").to_string();
    }
    text
}
