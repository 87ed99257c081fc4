//! Servers that announce PIPELINING (RFC 2920) and cannot do it: of the commands that come together they throw all but the
//! first away, or call them out of turn.
//!
//! Whom the message cannot have reached is tried once more, one command at a time, over a new connection. Where that helps,
//! the server is remembered for the life of the process.

use super::trouble::{self, Trouble};
use crate::envelope::Envelope;
use crate::message::address::Address;
use crate::smtp::client::{Answer, Cause, Taken};
use crate::smtp::reply::Reply;
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

/// Whether it was not known before.
fn remember(server: &str) -> bool {
    let mut known = known();
    known.len() < MOST && known.insert(server.to_owned())
}

/// Tries once more for whom commands that went together seem to have been lost; `answers` came over the `server`, and `carry`
/// takes a part of the envelope to it again, once `taken` has written down who has the message already.
pub(super) fn again(
    server: &str,
    part: &Envelope,
    mut answers: Vec<Answer>,
    taken: &Taken<'_>,
    carry: &mut dyn FnMut(&Envelope) -> Result<Vec<Answer>, Trouble>,
) -> Vec<Answer> {
    let is_lost = |answer: &Answer| answer.as_ref().is_err_and(trouble::may_be_lost_in_pipeline);
    if !answers.iter().any(is_lost) {
        return answers;
    }
    let news = remember(server);
    // Who may have got the message already waits for the next attempt: that one goes in lock-step.
    let safe = |answer: &Answer| is_lost(answer) && answer.as_ref().is_err_and(|failure| !failure.in_doubt);
    let open: Vec<usize> = (0..answers.len()).filter(|&index| safe(&answers[index])).collect();
    let recipients = open.iter().map(|&index| part.recipients()[index].clone()).collect();
    let Some(rest) = Envelope::new(part.from.clone(), recipients, part.dsn.clone()) else { return answers };
    let both = part.recipients().iter().zip(&answers);
    let who: Vec<(&Address, &Reply)> = both.filter_map(|(to, answer)| Some((to, answer.as_ref().ok()?))).collect();
    if !who.is_empty() && !taken(&who) {
        return answers;
    }
    let second = carry(&rest).unwrap_or_default();
    if second.iter().any(is_answered) {
        tracing::warn!(
            "{server} announces PIPELINING and lost what came together; pipelining = false saves the first try"
        );
    } else if news {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Dsn, ReversePath};
    use crate::smtp::client::Failure;
    use crate::smtp::phase::Phase;
    use std::cell::RefCell;

    fn reply(code: u16, text: &str) -> Reply {
        Reply { code, enhanced: None, lines: vec![text.to_owned()] }
    }

    #[test]
    fn who_has_the_message_is_written_down_before_the_second_try() {
        let to = ["ann@example.org", "bob@example.org"].map(|to| Address::parse(to).unwrap());
        let part = Envelope::new(ReversePath::Null, to.to_vec(), Dsn::default()).unwrap();
        let answers = || {
            let lost = Failure::new(Phase::Rcpt, Cause::Refused(reply(503, "bad sequence")));
            vec![Ok(reply(250, "taken")), Err(lost)]
        };
        let steps = RefCell::new(Vec::new());
        for written in [true, false] {
            let taken = |who: &[(&Address, &Reply)]| {
                steps.borrow_mut().push(format!("written {}", who[0].0));
                written
            };
            let ended = again("a.lockstep.test:25", &part, answers(), &taken, &mut |rest| {
                steps.borrow_mut().push(format!("again {}", rest.recipients()[0]));
                Ok(vec![Ok(reply(250, "taken too"))])
            });
            assert!(ended[0].is_ok());
            assert_eq!(ended[1].is_ok(), written, "without a note nothing more is sent");
        }
        assert_eq!(*steps.borrow(), ["written ann@example.org", "again bob@example.org", "written ann@example.org"]);
    }
}
