//! How long each step of a dialogue took, from its events.

use crate::smtp::dialogue::{Event, Transcript};
use crate::sys::clock;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The commands that begin a step; other lines of the client belong to the one before.
const VERBS: [&str; 9] = ["EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "RSET", "QUIT"];

/// One step and its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Step {
    /// `connect`, `greeting`, `TLS` or the command.
    pub name: &'static str,
    /// Milliseconds.
    pub ms: f64,
}

/// Takes the times.
pub(super) struct Watch {
    last: Instant,
    now: &'static str,
    steps: Vec<Step>,
    address: Option<IpAddr>,
}

impl Watch {
    /// From now on.
    pub(super) fn start() -> Self {
        Self { last: clock::instant(), now: "connect", steps: Vec::new(), address: None }
    }

    /// The address that answered last.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The steps so far, with the lookup taken out of the connect that it is a part of.
    pub(super) fn steps(self, lookup: Duration) -> Vec<Step> {
        let mut steps = self.steps;
        if let Some(connect) = steps.iter_mut().find(|step| step.name == "connect") {
            connect.name = "TCP";
            connect.ms = (connect.ms - ms(lookup)).max(0.0);
            steps.insert(0, Step { name: "DNS", ms: ms(lookup) });
        }
        steps.iter_mut().for_each(|step| step.ms = (step.ms * 10.0).round() / 10.0);
        steps
    }

    fn end(&mut self, name: &'static str) {
        let now = clock::instant();
        let took = ms(now.saturating_duration_since(self.last));
        self.last = now;
        match self.steps.iter_mut().find(|step| step.name == name) {
            Some(step) => step.ms += took,
            None => self.steps.push(Step { name, ms: took }),
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl Transcript for Watch {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Connected { address, .. } => {
                self.address = address.parse::<SocketAddr>().ok().map(|address| address.ip());
                // Of a server that stands in, all counts from anew.
                if self.now != "connect" {
                    self.steps.clear();
                }
                self.end("connect");
                self.now = "greeting";
            }
            Event::Tls { .. } => {
                self.end("TLS");
                self.now = if self.steps.iter().any(|step| step.name == "greeting") { "EHLO" } else { "greeting" };
            }
            Event::Client(line) => {
                let verb = line.split([' ', ':']).next().unwrap_or_default();
                self.now = VERBS.into_iter().find(|known| *known == verb).unwrap_or(self.now);
                self.last = clock::instant();
            }
            Event::Server(line) if line.as_bytes().get(3) != Some(&b'-') => self.end(self.now),
            Event::Server(_) | Event::Message(_) | Event::Note(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_in_their_order() {
        let mut watch = Watch::start();
        let connected = Event::Connected { server: "s", address: "a" };
        for event in [
            connected,
            Event::Server("220 hello"),
            Event::Client("EHLO x"),
            Event::Server("250-a"),
            Event::Server("250 b"),
            Event::Client("STARTTLS"),
            Event::Server("220 go"),
            Event::Tls { name: "s", certificate: "c" },
            Event::Client("EHLO x"),
            Event::Server("250 b"),
            Event::Client("AUTH LOGIN"),
            Event::Server("334"),
            Event::Client("[hidden]"),
            Event::Server("235 ok"),
            Event::Client("MAIL FROM:<a@b>"),
            Event::Server("250 ok"),
        ] {
            watch.event(&event);
        }
        let names: Vec<&str> = watch.steps(Duration::ZERO).iter().map(|step| step.name).collect();
        assert_eq!(names, ["DNS", "TCP", "greeting", "EHLO", "STARTTLS", "TLS", "AUTH", "MAIL"]);
    }
}
