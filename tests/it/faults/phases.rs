//! Hang, close, reset, 421, 4xx, 5xx at each phase, for STARTTLS, implicit TLS and plain, with and without PIPELINING.

use super::runner::{self, Mode, Scenario, Taken};
use crate::support::script::Fault;
use std::time::Duration;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Hang,
    Close,
    Reset,
    Reply421,
    Reply4xx,
    Reply5xx,
}

const ALL: [What; 6] = [What::Hang, What::Close, What::Reset, What::Reply421, What::Reply4xx, What::Reply5xx];

/// A point of the script, how often it is reached before, and the phase as errors name it.
type Point = (&'static str, usize, &'static str);

const START: [Point; 2] = [("CONNECT", 1, "greeting"), ("EHLO", 1, "EHLO")];
const STARTTLS: [Point; 1] = [("STARTTLS", 1, "STARTTLS")];
const HANDSHAKE: Point = ("HANDSHAKE", 1, "TLS handshake");
const REST: [Point; 8] = [
    ("AUTH", 1, "AUTH"),
    ("CHALLENGE", 1, "AUTH"),
    ("MAIL", 1, "MAIL FROM"),
    ("RCPT", 1, "RCPT TO"),
    ("DATA", 1, "DATA"),
    ("BODY", 1, "end of message"),
    ("DOT", 1, "end of message"),
    ("QUIT", 1, "QUIT"),
];

/// The phases of a mode, in their order.
fn points(mode: Mode) -> Vec<Point> {
    match mode {
        Mode::Implicit => [&[HANDSHAKE], &START[..], &REST].concat(),
        Mode::StartTls => [&START[..], &STARTTLS, &[HANDSHAKE, ("EHLO", 2, "EHLO")], &REST].concat(),
        _ => [&START[..], &REST].concat(),
    }
}

/// Every phase of every mode with every fault.
pub fn table() -> Vec<Scenario> {
    let mut table = Vec::new();
    for (mode, pipelining) in
        [(Mode::Plain, false), (Mode::Plain, true), (Mode::StartTls, true), (Mode::Implicit, false)]
    {
        for point in points(mode) {
            table.extend(ALL.map(|what| scenario(mode, pipelining, point, what)));
            table.push(bytewise(mode, pipelining, point));
        }
    }
    table
}

fn scenario(mode: Mode, pipelining: bool, (at, nth, phase): Point, what: What) -> Scenario {
    let name = format!("{what:?} at {at} {nth}, {mode:?}, pipelining {pipelining}");
    let fault = fault(at, what);
    // What is lost in a pipeline is tried once more in lock-step: there it is lost as well.
    let again = pipelining && matches!(at, "RCPT" | "DATA") && matches!(what, What::Hang | What::Close | What::Reset);
    let mut scenario = Scenario::new(name, mode).server(|script| match again {
        true => script.on(at, fault),
        false => script.on_nth(at, nth, fault),
    });
    if pipelining {
        scenario = scenario.server(|script| script.offer("PIPELINING"));
    }
    if at == "CHALLENGE" {
        scenario = scenario.key("auth = \"login\"");
    }
    if what == What::Hang {
        scenario = scenario.stalls();
    }
    let doubt = matches!(at, "BODY" | "DOT") && matches!(what, What::Hang | What::Close | What::Reset);
    let status = status(at, what, doubt);
    scenario = match pipelining && status == 75 {
        // What is not configured otherwise is 69.
        true => scenario.config("").ends(69, &[]),
        false => scenario.ends(status, &[]),
    };
    let said = said(at, what);
    let status = scenario.status();
    // A connection that is reset at once may never have stood, as the client sees it.
    let phase = if (at, what) == ("CONNECT", What::Reset) { "" } else { phase };
    let scenario = scenario.ends(status, &[&format!(", {phase}"), said]);
    if doubt { scenario.taken(Taken::Unknown) } else { scenario }
}

fn fault(at: &str, what: What) -> Fault {
    let words = match what {
        // Only the server can stop to read; at the other points the silence is enough.
        What::Hang if at == "BODY" => return Fault::Deaf,
        What::Hang => return Fault::Hang,
        What::Close => return Fault::Close,
        What::Reset => return Fault::Reset,
        What::Reply421 => "421 4.3.2 closing, the server said",
        What::Reply4xx => "451 not today, the server said",
        What::Reply5xx => "554 never here, the server said",
    };
    match at {
        "HANDSHAKE" => Fault::Raw(format!("{words}\r\n").into_bytes()),
        _ => Fault::Reply(words.into()),
    }
}

/// 75 is temporary, 69 for good, 77 a refused login, 67 all recipients refused.
fn status(at: &str, what: What, doubt: bool) -> i32 {
    match (at, what) {
        ("QUIT", _) => 0,
        _ if doubt => 69,
        ("HANDSHAKE", _) => 75,
        ("AUTH" | "CHALLENGE", What::Reply5xx) => 77,
        ("RCPT", What::Reply5xx) => 67,
        (_, What::Reply5xx) => 69,
        _ => 75,
    }
}

/// The server's own words, or what it did.
fn said(at: &str, what: What) -> &'static str {
    match (at, what) {
        ("HANDSHAKE", What::Reply421 | What::Reply4xx | What::Reply5xx) => "no TLS",
        (_, What::Hang) => "in time",
        (_, What::Close) => "closed",
        (_, What::Reset) => "",
        (_, What::Reply421) => "421 4.3.2 closing, the server said",
        (_, What::Reply4xx) => "451 not today, the server said",
        (_, What::Reply5xx) => "554 never here, the server said",
    }
}

/// A reply that comes octet by octet is a reply like any other.
fn bytewise(mode: Mode, pipelining: bool, (at, nth, _): Point) -> Scenario {
    let name = format!("bytewise at {at} {nth}, {mode:?}, pipelining {pipelining}");
    let fault = match at {
        "HANDSHAKE" | "BODY" => return late(mode, pipelining, at),
        _ => Fault::Bytewise(Duration::from_millis(1)),
    };
    let scenario = Scenario::new(name, mode).server(|script| script.on_nth(at, nth, fault));
    match at {
        "CHALLENGE" => scenario.key("auth = \"login\""),
        _ if pipelining => scenario.server(|script| script.offer("PIPELINING")),
        _ => scenario,
    }
}

/// Where there is no reply to split: a server that is a little late everywhere.
fn late(mode: Mode, pipelining: bool, at: &str) -> Scenario {
    let name = format!("late up to {at}, {mode:?}, pipelining {pipelining}");
    let moment = || Fault::Delay(Duration::from_millis(30));
    Scenario::new(name, mode).server(|script| {
        ["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "DOT", "QUIT"]
            .into_iter()
            .fold(script, |script, at| script.on(at, moment()))
    })
}

#[test]
fn each_fault_at_each_phase() {
    runner::run(table());
}
