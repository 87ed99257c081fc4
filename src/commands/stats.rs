//! `postrider stats`: what became of messages, from the history: sent, put off, failed, by sender and reason, and how long
//! it took.

use super::desk::{Ask, unexpected};
use super::mailq::{self, Form, ListError, time};
use crate::cli::senders::Since;
use crate::daemon::client::AskError;
use crate::daemon::protocol::{Reply, Request};
use crate::exit::Status;
use crate::queue::{Millis, Stats, Tally};
use crate::report::{self, printable};
use crate::sys::clock;
use std::fmt::Write as _;
use std::time::Duration;

/// Prints what became of recipients since then.
#[must_use]
pub fn run(since: Since, desk: &dyn Ask, form: Form) -> Status {
    let since = since.at(clock::millis());
    let stats = match desk.ask(&Request::Stats { since }) {
        Ok(Reply::Stats(stats)) => stats,
        Ok(other) => return failed(unexpected(&other)),
        Err(error) => return failed(error),
    };
    let text = match form {
        // Values of strings and numbers: this cannot fail.
        Form::Json => serde_json::to_string(&stats).unwrap_or_default() + "\n",
        Form::Table => {
            let since = time(stats.since, &chrono::Local, "%Y-%m-%d %H:%M:%S %z");
            format!("recipients since {since}\n{}", table(&stats))
        }
    };
    report::stdout(&text);
    Status::Ok
}

fn failed(error: AskError) -> Status {
    mailq::ended("postrider", Err(ListError::Ask(error)))
}

fn table(stats: &Stats) -> String {
    let mut text = row("SENDER", ["SENT", "DEFERRED", "FAILED", "MEDIAN", "P95"].map(String::from));
    for tally in &stats.senders {
        text += &numbers(&tally.sender, tally);
        for one in &tally.reasons {
            let what = if one.failed { "failed" } else { "deferred" };
            let reason = if one.reason.is_empty() { "(no reason was kept)" } else { &one.reason };
            let _ = writeln!(text, "  {what:<8} {:>9}  {}", one.count, short(reason, 70));
        }
    }
    text + &numbers("all", &stats.total)
}

fn numbers(name: &str, tally: &Tally) -> String {
    let counts = [tally.sent, tally.deferred, tally.failed].map(|count| count.to_string());
    let [sent, deferred, failed] = counts;
    row(name, [sent, deferred, failed, took(tally.median), took(tally.p95)])
}

fn row(name: &str, [sent, deferred, failed, median, p95]: [String; 5]) -> String {
    format!("{:<30} {sent:>9} {deferred:>9} {failed:>9} {median:>12} {p95:>12}\n", short(name, 30))
}

/// A time in two units at most: `350ms`, `12s`, `1h 5m`.
fn took(took: Option<Millis>) -> String {
    let Some(took) = took.map(i64::unsigned_abs) else { return "-".into() };
    let coarse = match took {
        0..1000 => took,
        1000..3_600_000 => took / 1000 * 1000,
        3_600_000..86_400_000 => took / 60_000 * 60_000,
        _ => took / 3_600_000 * 3_600_000,
    };
    humantime::format_duration(Duration::from_millis(coarse)).to_string()
}

fn short(text: &str, width: usize) -> String {
    printable(text).chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::ReasonCount;

    #[test]
    fn a_table_of_what_became() {
        let reason = |failed, reason: &str, count| ReasonCount { failed, reason: reason.into(), count };
        let shop = Tally {
            sender: "shop".into(),
            sent: 4,
            deferred: 2,
            failed: 1,
            median: Some(350),
            p95: Some(3_905_000),
            reasons: vec![reason(true, "550 5.1.1 recipient refused", 1), reason(false, "", 2)],
        };
        let total = Tally { sender: String::new(), reasons: Vec::new(), ..shop.clone() };
        let text = table(&Stats { since: 0, senders: vec![shop], total });
        let expected = "\
SENDER                              SENT  DEFERRED    FAILED       MEDIAN          P95
shop                                   4         2         1        350ms        1h 5m
  failed           1  550 5.1.1 recipient refused
  deferred         2  (no reason was kept)
all                                    4         2         1        350ms        1h 5m
";
        assert_eq!(text, expected);
        assert!(numbers("none", &Tally::default()).ends_with(" -            -\n"));
    }
}
