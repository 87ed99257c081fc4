//! Time limits: octets that trickle, an overall limit across phases that are each in time, passwords that do not come.

use super::runner::{self, Mode, Scenario, Taken};
use crate::support::script::Fault;
use std::time::Duration;

/// All of them.
pub fn table() -> Vec<Scenario> {
    let mut table = Vec::new();
    for mode in [Mode::Plain, Mode::StartTls, Mode::Implicit] {
        for (at, phase) in [
            ("CONNECT", "greeting"),
            ("EHLO", "EHLO"),
            ("AUTH", "AUTH"),
            ("MAIL", "MAIL FROM"),
            ("RCPT", "RCPT TO"),
            ("DATA", "DATA"),
            ("DOT", "end of message"),
        ] {
            table.push(trickle(mode, at, phase));
        }
        table.push(overall(mode));
        table.push(late_password(mode));
    }
    table.push(refused_connection());
    table
}

/// One octet every half second does not extend the limit.
fn trickle(mode: Mode, at: &str, phase: &str) -> Scenario {
    let slow = Fault::Bytewise(Duration::from_millis(500));
    let scenario = Scenario::new(format!("a trickle at {at}, {mode:?}"), mode).server(|script| script.on(at, slow));
    let scenario = scenario.stalls();
    match at {
        "DOT" => scenario.ends(69, &[", end of message: ", "in time"]).taken(Taken::Unknown),
        _ => scenario.ends(75, &[&format!(", {phase}"), "in time"]),
    }
}

/// Every reply is in time, all of them together are not.
fn overall(mode: Mode) -> Scenario {
    let points = ["CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT"];
    let moment = || Fault::Delay(Duration::from_millis(400));
    Scenario::new(format!("the overall limit, {mode:?}"), mode)
        .key("timeouts = { total = \"1s\" }")
        .server(|script| points.into_iter().fold(script, |script, at| script.on(at, moment())))
        .ends(75, &["in time"])
}

/// A password command that hangs ends with the overall limit.
fn late_password(mode: Mode) -> Scenario {
    Scenario::new(format!("a password that does not come, {mode:?}"), mode)
        .key("password = { command = [\"sleep\", \"100\"] }")
        .key("timeouts = { total = \"2s\" }")
        .ends(78, &[", password: "])
        .unseen(&["AUTH", "MAIL"])
}

fn refused_connection() -> Scenario {
    // Port 1 of loopback: nobody listens there.
    Scenario::new("connection refused", Mode::Plain)
        .key("server = \"smtp+plain://127.0.0.1:1\"")
        .elsewhere()
        .ends(75, &["server 127.0.0.1:1, connect: ", "connection refused"])
}

#[test]
fn time_is_bounded() {
    runner::run(table());
}
