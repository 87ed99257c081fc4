//! Servers that announce PIPELINING (RFC 2920) and cannot do it: of the commands that come together they throw all but the
//! first away, or call them out of turn.
//!
//! Whom the message cannot have reached is tried once more, one command at a time, over a new connection. Where that helps,
//! the server is remembered for the life of the process.

use super::trouble::{self, Trouble};
use crate::envelope::Envelope;
use crate::smtp::client::{Answer, Cause};
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The most servers that are remembered.
const MOST: usize = 1000;

static KNOWN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Whether a server, as configured, is spoken to in lock-step.
#[must_use]
pub fn is_known(server: &str) -> bool {
    known().contains(server)
}

fn known() -> MutexGuard<'static, HashSet<String>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember(server: &str) {
    let mut known = known();
    if known.len() < MOST || known.contains(server) {
        known.insert(server.to_owned());
    }
}

/// Tries once more for whom commands that went together seem to have been lost; `answers` came over the `server`, and `carry`
/// takes a part of the envelope to it again.
pub(super) fn again(
    server: &str,
    part: &Envelope,
    mut answers: Vec<Answer>,
    carry: &mut dyn FnMut(&Envelope) -> Result<Vec<Answer>, Trouble>,
) -> Vec<Answer> {
    let is_lost = |answer: &Answer| answer.as_ref().is_err_and(trouble::may_be_lost_in_pipeline);
    if !answers.iter().any(is_lost) {
        return answers;
    }
    remember(server);
    // Who may have got the message already waits for the next attempt: that one goes in lock-step.
    let safe = |answer: &Answer| is_lost(answer) && answer.as_ref().is_err_and(|failure| !failure.in_doubt);
    let open: Vec<usize> = (0..answers.len()).filter(|&index| safe(&answers[index])).collect();
    let recipients = open.iter().map(|&index| part.recipients()[index].clone()).collect();
    let Some(rest) = Envelope::new(part.from.clone(), recipients, part.dsn.clone()) else { return answers };
    let second = carry(&rest).unwrap_or_default();
    if second.iter().any(is_answered) {
        tracing::warn!(
            "{server} announces PIPELINING and lost what came together; pipelining = false saves the first try"
        );
    } else {
        // It was something else.
        known().remove(server);
    }
    open.into_iter().zip(second).for_each(|(index, answer)| answers[index] = answer);
    answers
}

/// Whether the server dealt with the recipient, whatever it said.
fn is_answered(answer: &Answer) -> bool {
    match answer {
        Ok(_) => true,
        Err(failure) => matches!(failure.cause, Cause::Refused(_)) && !trouble::may_be_lost_in_pipeline(failure),
    }
}
