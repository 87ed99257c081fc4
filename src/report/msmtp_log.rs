//! msmtp's log line, for an msmtprc's `logfile` and `syslog`: the same fields in the same order, so that what reads such
//! logs goes on working. Unlike msmtp's it is written for faults before any connection too.
//!
//! The line is made of values; writing it is the last step and fails no delivery.

use super::printable;
use super::syslog::{self, Severity, Syslog};
use crate::config::{Account, AuthChoice, Endpoint, TlsMode};
use crate::deliver::{Attempt, Verdict};
use crate::exit::Status;
use crate::route::Plan;
use chrono::{DateTime, FixedOffset};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// The time format where none is configured, or none that can be read.
const TIME: &str = "%b %d %H:%M:%S";

/// How long a syslog that stands still is waited for.
const SYSLOG: Duration = Duration::from_millis(200);

/// Where the line goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sinks<'a> {
    /// `logfile`; `-` is standard output.
    pub file: Option<&'a Path>,
    /// `logfile_time_format` (strftime).
    pub time_format: Option<&'a str>,
    /// `syslog`: the facility's name.
    pub syslog: Option<&'a str>,
}

impl<'a> Sinks<'a> {
    /// Those of an account.
    #[must_use]
    pub fn of(account: &'a Account) -> Self {
        Self {
            file: account.logfile.as_deref(),
            time_format: Some(&account.logfile_time_format),
            syslog: account.syslog.as_deref(),
        }
    }
}

/// The line of a message that was tried, without the time and without a line end.
#[must_use]
pub fn line(account: &Account, plan: &Plan<'_>, attempt: &Attempt, status: Status) -> String {
    let to: Vec<&str> = plan.envelope.recipients().iter().map(|address| address.as_str()).collect();
    let from = plan.envelope.from.address().map_or("", |address| address.as_str());
    let mut line = beginning(Some(account), from, &to);
    let sent = attempt.outcomes.iter().find(|outcome| matches!(outcome.verdict, Verdict::Sent(_)));
    if sent.is_some() {
        line.push_str(&format!(" mailsize={}", attempt.size));
    }
    let failed = attempt.outcomes.iter().find(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
    match failed.or(sent).map(|outcome| (&outcome.recipient, &outcome.verdict)) {
        Some((_, Verdict::Sent(reply))) => line.push_str(&format!(" smtpstatus={} smtpmsg='{reply}'", reply.code)),
        Some((recipient, Verdict::Failed(trouble))) => {
            if let Some(reply) = &trouble.reply {
                line.push_str(&format!(" smtpstatus={} smtpmsg='{reply}'", reply.code));
            }
            let whom = sent.map_or_else(String::new, |_| format!("recipient {recipient}: "));
            line.push_str(&format!(" errormsg='{}: {whom}{}'", trouble.phase, trouble.what));
        }
        None => {}
    }
    line.push_str(&format!(" exitcode={}", status.name()));
    printable(&line)
}

/// The line of a message that no server was asked about: the account where one is known, what the caller gave, and why.
#[must_use]
pub fn refused(account: Option<&Account>, from: &str, recipients: &[String], what: &str, status: Status) -> String {
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let line = beginning(account, from, &recipients);
    printable(&format!("{line} errormsg='{what}' exitcode={}", status.name()))
}

fn beginning(account: Option<&Account>, from: &str, recipients: &[&str]) -> String {
    let onoff = |on| if on { "on" } else { "off" };
    let relay = account.map(|account| &account.relay);
    let host = relay.map(|relay| match &relay.endpoint {
        Endpoint::Tcp(host, _) => host.clone(),
        Endpoint::Unix(path) => path.display().to_string(),
    });
    let auth = relay.is_some_and(|relay| relay.auth != AuthChoice::Off);
    let mut line = format!(
        "host={} tls={} auth={}",
        host.unwrap_or_default(),
        onoff(relay.is_some_and(|relay| relay.tls != TlsMode::Plain)),
        onoff(auth)
    );
    if let Some(user) = relay.and_then(|relay| relay.user.as_deref()).filter(|_| auth) {
        line.push_str(&format!(" user={user}"));
    }
    line.push_str(&format!(" from={from} recipients={}", recipients.join(",")));
    line
}

/// Writes the line to its sinks.
///
/// # Errors
/// What kept it from being written, for people.
pub fn write(sinks: Sinks<'_>, line: &str, now: DateTime<FixedOffset>) -> Result<(), String> {
    let logged = sinks.syslog.map_or(Ok(()), |facility| to_syslog(facility, line, now));
    let Some(path) = sinks.file else { return logged };
    let text = format!("{} {line}\n", time(sinks.time_format.unwrap_or(TIME), now));
    if path.as_os_str() == "-" {
        super::log_on_stdout(&text);
        return logged;
    }
    let written = crate::sys::files::append(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("log {}: {error}; it would have said: {line}", path.display())).and(logged)
}

fn to_syslog(facility: &str, line: &str, now: DateTime<FixedOffset>) -> Result<(), String> {
    let number = syslog::number(facility).ok_or_else(|| format!("syslog: unknown facility {facility}"))?;
    let sent = Syslog::default().send((number, Severity::Info), "msmtp", line, (now, SYSLOG));
    sent.map_err(|error| format!("syslog: /dev/log: {error}"))
}

/// The time in a strftime format; a format that chrono cannot read gives msmtp's default one.
fn time(format: &str, now: DateTime<FixedOffset>) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    if write!(text, "{}", now.format(format)).is_err() {
        text = now.format(TIME).to_string();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now = DateTime::parse_from_rfc3339("2025-11-02T21:19:19+01:00").unwrap();
        assert_eq!(time(TIME, now), "Nov 02 21:19:19");
        assert_eq!(time("%s", now), "1762114759");
        assert_eq!(time("%Q", now), "Nov 02 21:19:19");
    }

    #[test]
    fn refusals_cannot_forge_a_line() {
        let line = refused(None, "a@b", &["c@d\nx".into()], "why", Status::Config);
        assert_eq!(line, "host= tls=off auth=off from=a@b recipients=c@d x errormsg='why' exitcode=EX_CONFIG");
    }
}
