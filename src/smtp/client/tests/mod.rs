//! The session against a scripted server over real sockets, by way of `deliver::attempt`.

mod extensions;
mod faults;
mod secure;
pub(crate) mod server;
mod transactions;

use crate::config::{AuthChoice, Relay};
use crate::deliver::attempt::attempt;
use crate::deliver::context::{Context, FetchSecret};
use crate::deliver::gate::Gate;
use crate::deliver::trouble::Trouble;
use crate::deliver::{Attempt, Verdict};
use crate::envelope::{Dsn, Envelope, ReversePath};
use crate::message::Message;
use crate::message::address::Address;
use crate::message::read::{self, ReadRules};
use crate::secret::Secret;
use crate::smtp::client::TAKEN;
use crate::smtp::dialogue::{Event, Transcript};
use server::{ALL, Act, Authority, Server, say};

const BODY: &[u8] = b"Subject: x\r\n\r\n.dot\r\ntext\r\n";
const PASSWORD: &str = "tanstaaftanstaaf";

/// The whole dialogue as text.
#[derive(Default)]
struct Lines(String);

impl Transcript for Lines {
    fn event(&mut self, event: &Event<'_>) {
        self.0.push_str(&format!("{event:?}\n"));
    }
}

fn message(octets: &[u8]) -> Message {
    read::read(&mut &octets[..], ReadRules { dot_ends: false }).unwrap()
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn envelope(recipients: &[&str]) -> Envelope {
    let all = recipients.iter().map(|one| address(one)).collect();
    Envelope::new(ReversePath::Address(address("me@mx.test")), all, Dsn::default()).unwrap()
}

/// What an attempt needs, with nothing held back.
fn context<'c>(transcript: &'c mut Lines, secret: &'c FetchSecret<'c>) -> Context<'c> {
    Context { host: "host.test", transcript, secret, gate: Gate::open(), before_mail: &|| (), taken: TAKEN }
}

fn run(relay: &Relay, envelope: &Envelope, message: &Message) -> (Attempt, String) {
    let mut lines = Lines::default();
    let secret = |_: &_, _| Ok(Secret::new(PASSWORD.into()));
    let done = attempt(relay, envelope, message, &mut context(&mut lines, &secret));
    assert_eq!(done.outcomes.len(), envelope.recipients().len());
    assert!(!lines.0.contains(PASSWORD), "the transcript shows the password");
    (done, lines.0)
}

fn deliver(server: &Server, recipients: &[&str]) -> Attempt {
    run(&server.relay, &envelope(recipients), &message(BODY)).0
}

fn trouble(attempt: &Attempt, index: usize) -> &Trouble {
    match &attempt.outcomes[index].verdict {
        Verdict::Failed(trouble) => trouble,
        Verdict::Sent(reply) => panic!("sent: {reply}"),
    }
}

fn is_sent(attempt: &Attempt, index: usize) -> bool {
    matches!(attempt.outcomes[index].verdict, Verdict::Sent(_))
}

/// A script that answers lines with a begin, and leaves the rest to politeness.
fn script(answers: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<Act> + Send + Sync + 'static {
    move |line| answers.iter().find(|(begin, _)| line.starts_with(begin)).and_then(|(_, reply)| say(reply))
}
