//! All recipients of a message, over as many connections as the server wants for them.

use super::outcome::{Outcome, Verdict};
use super::trouble::{self, Rules, Trouble};
use crate::envelope::Envelope;
use crate::message::address::Address;
use crate::smtp::client::{Answer, Cause, Failure};
use crate::smtp::phase::Phase;

/// One connection after the other, as long as the server says that the rest of the recipients wants another one.
/// `rules` say what refusals mean; `carry` takes a part of the envelope to the server.
pub(super) fn to_everybody(
    envelope: &Envelope,
    rules: &Rules<'_>,
    carry: &mut dyn FnMut(&Envelope) -> Result<Vec<Answer>, Trouble>,
) -> Vec<Outcome> {
    let mut verdicts: Vec<Option<Verdict>> = vec![None; envelope.recipients().len()];
    let mut open: Vec<usize> = (0..verdicts.len()).collect();
    loop {
        let recipients: Vec<Address> = open.iter().map(|&index| envelope.recipients()[index].clone()).collect();
        let Some(part) = Envelope::new(envelope.from.clone(), recipients, envelope.dsn.clone()) else { break };
        let mut next = Vec::new();
        match carry(&part) {
            Err(trouble) => open.iter().for_each(|&index| verdicts[index] = Some(Verdict::Failed(trouble.clone()))),
            Ok(answers) => {
                for (&index, answer) in open.iter().zip(answers) {
                    if wants_another_session(&answer) {
                        next.push(index);
                    }
                    verdicts[index] = Some(match answer {
                        Ok(reply) => Verdict::Sent(reply),
                        Err(failure) => Verdict::Failed(trouble::judge(&failure, rules)),
                    });
                }
            }
        }
        // Each connection must bring the matter forward, or there is no end.
        if next.is_empty() || next.len() == open.len() {
            break;
        }
        open = next;
    }
    let unknown = || Verdict::Failed(trouble::judge(&Failure::new(Phase::Rcpt, Cause::NextSession), rules));
    let all = envelope.recipients().iter().cloned().zip(verdicts);
    all.map(|(recipient, verdict)| Outcome { recipient, verdict: verdict.unwrap_or_else(unknown) }).collect()
}

fn wants_another_session(answer: &Answer) -> bool {
    matches!(answer, Err(Failure { cause: Cause::NextSession, .. }))
}
