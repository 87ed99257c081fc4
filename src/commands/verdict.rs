//! An attempt that did not reach everybody, in one line for people: what was refused, by whom, and who got it.

use crate::deliver::trouble::{Scope, Trouble};
use crate::deliver::{Attempt, Verdict};
use crate::message::address::Address;
use crate::smtp::reply::Reply;

/// How many refused recipients are named one by one.
const NAMED: usize = 5;

/// The line.
#[must_use]
pub fn line(attempt: &Attempt) -> String {
    let troubles: Vec<(&Address, &Trouble)> = attempt.troubles().collect();
    let Some((recipient, first)) = troubles.first() else { return String::new() };
    let same = troubles.iter().all(|(_, other)| other.what == first.what && other.reply == first.reply);
    let everybody = troubles.len() == attempt.outcomes.len();
    // A failure of the whole message needs no recipient's name; one of a single recipient does.
    let named = first.scope == Scope::Recipient || !everybody;
    let mut line = first.line(&attempt.server, named.then_some(*recipient));
    if troubles.len() > 1 && (named || !same) {
        let more: Vec<&str> = troubles[1..].iter().take(NAMED).map(|(address, _)| address.as_str()).collect();
        let rest = (troubles.len() - 1).saturating_sub(NAMED);
        let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        line.push_str(&format!("; also not sent to {}{rest}", more.join(", ")));
    }
    line.push_str(&taken(attempt));
    line
}

/// Who got the message.
fn taken(attempt: &Attempt) -> String {
    let sent = attempt.outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Sent(_)));
    let sent: Vec<&str> = sent.map(|outcome| outcome.recipient.as_str()).collect();
    match sent.as_slice() {
        [] => String::new(),
        few if few.len() <= NAMED => format!("; sent to {}", few.join(", ")),
        many => format!("; sent to the other {}", many.len()),
    }
}

/// The server's word on the first failure, else on the message.
#[must_use]
pub fn reply(attempt: &Attempt) -> Option<Reply> {
    let failed = attempt.troubles().find_map(|(_, trouble)| trouble.reply.clone());
    failed.or_else(|| {
        attempt.outcomes.iter().find_map(|outcome| match &outcome.verdict {
            Verdict::Sent(reply) => Some(reply.clone()),
            Verdict::Failed(_) => None,
        })
    })
}
