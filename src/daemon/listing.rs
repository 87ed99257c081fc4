//! Messages of the queue as they are shown: values bounded in size, so that a page of them is small whatever was submitted
//! and whatever servers said. A page ends where it is full, and the next one goes on behind it.

use super::overview::PauseLine;
use super::protocol::{Line, LineRecipient, Waits};
use crate::config::{Config, Staging};
use crate::deliver::gate;
use crate::limits::{self, Ask, Class};
use crate::queue::{Filter, Millis, NEVER, Queued, Store, StoreError, lane};
use std::collections::HashMap;

/// Octets of a page, about: it ends with the message that goes beyond, which has as much at most.
const PAGE: usize = 512 << 10;
/// Octets of a recipient's line besides its texts, about.
const RECIPIENT: usize = 100;
/// Characters of a reply, or of why a message is on hold.
const WORDS: usize = 500;

/// What begins the last word about a recipient of whose failure nobody could be told yet.
const OWED: &str = "failed, and the report waits until it can be kept: ";

/// Messages that fit, oldest first, at most `limit`; fewer where they have many recipients.
///
/// # Errors
/// The store cannot be read.
pub fn page(
    store: &dyn Store,
    filter: &Filter,
    limit: usize,
    now: Millis,
    staging: Option<&Staging>,
) -> Result<Vec<Line>, StoreError> {
    let troubled = store.paused()?.into_iter().filter(|pause| pause.until > now);
    let troubled = troubled.map(|pause| (pause.lane.clone(), PauseLine::troubled(&pause)));
    // What an operator says comes first.
    let halted = store.halted()?.into_iter().filter(|halt| halt.holds(now));
    let halted = halted.map(|halt| (halt.lane.clone(), PauseLine::halted(&halt)));
    let paused: HashMap<String, PauseLine> = troubled.chain(halted).collect();
    let (mut lines, mut octets) = (Vec::new(), 0);
    store.show(filter, limit, &mut |queued, more| {
        let line = line(queued, more, &paused, now, staging);
        octets += size(&line);
        lines.push(line);
        octets < PAGE
    })?;
    Ok(lines)
}

/// Says of messages whose sender's limits leave no room what they wait for. Each sender is looked up once for its single
/// and once for its bulk mail, of which less may go.
pub fn add_waits(config: &Config, lines: &mut [Line]) {
    let mut known: HashMap<(String, bool), Option<Waits>> = HashMap::new();
    for line in lines.iter_mut().filter(|line| line.hold.is_none()) {
        let key = (line.sender.clone(), line.bulk);
        line.waits = known.entry(key).or_insert_with(|| waits(config, &line.sender, line.bulk)).clone();
    }
}

fn waits(config: &Config, lane: &str, bulk: bool) -> Option<Waits> {
    let class = if bulk { Class::Bulk } else { Class::Single };
    let ask = Ask { recipients: 1, class, whole: true, besides: &[] };
    let full = limits::waiting(config, lane::find(config, lane)?, ask).ok().flatten()?;
    Some(Waits { until: full.until, why: full.what })
}

/// About as many octets as a line takes.
fn size(line: &Line) -> usize {
    let of = |text: &Option<String>| text.as_deref().map_or(0, str::len);
    let recipients = line.recipients.iter().map(|one| RECIPIENT + one.address.len() + of(&one.last));
    RECIPIENT * 3 + line.from.len() + of(&line.hold) + recipients.sum::<usize>()
}

fn line(
    queued: Queued,
    more: u64,
    paused: &HashMap<String, PauseLine>,
    now: Millis,
    staging: Option<&Staging>,
) -> Line {
    let staging = gate::note(staging, queued.recipients.iter().map(|recipient| &recipient.address));
    let paused = paused.get(&queued.lane);
    let waits = paused.is_some() || queued.recipients.iter().all(|recipient| recipient.due > now);
    let state = match (&queued.hold, queued.claimed) {
        (Some(_), _) => "hold",
        (None, false) if waits => "deferred",
        (None, _) => "active",
    };
    let recipients = queued.recipients.into_iter().map(|recipient| LineRecipient {
        address: recipient.address.to_string(),
        attempts: recipient.attempts,
        due: (recipient.due < NEVER).then_some(recipient.due),
        last: match recipient.failed {
            Some(failure) => Some(shortened(format!("{OWED}{}", failure.said))),
            None => recipient.last.map(shortened),
        },
    });
    Line {
        id: queued.id.to_string(),
        size: queued.size,
        created: queued.created,
        uid: queued.uid,
        sender: queued.lane,
        from: queued.from.to_string(),
        state: state.into(),
        hold: queued.hold.map(shortened),
        paused: paused.map(|pause| PauseLine { reason: shortened(pause.reason.clone()), ..pause.clone() }),
        moved_from: queued.moved.map(|moved| moved.from),
        waits: None,
        bulk: queued.bulk,
        recipients: recipients.collect(),
        more,
        staging,
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Dsn, ReversePath};
    use crate::message::address::Address;
    use crate::queue::{Grace, MessageId, QueuedRecipient};

    #[test]
    fn whatever_is_queued_a_line_has_a_size() {
        let recipient = |number: u32| QueuedRecipient {
            failed: None,
            dsn: Default::default(),
            number,
            address: Address::parse(&format!("u{number}@example.org")).unwrap(),
            attempts: 1,
            due: 5,
            last: Some("ü".repeat(10_000)),
            unknown: false,
        };
        let queued = Queued {
            id: MessageId(26),
            uid: 33,
            lane: "shop".into(),
            header_from: String::new(),
            from: ReversePath::Null,
            dsn: Dsn::default(),
            tag: None,
            size: 1,
            created: 0,
            hold: None,
            report: false,
            warned: false,
            bulk: false,
            claimed: false,
            moved: None,
            grace: Grace::default(),
            recipients: (0..1000).map(recipient).collect(),
        };
        assert_eq!(line(queued.clone(), 0, &HashMap::new(), 5, None).state, "active");
        assert_eq!(
            line(Queued { hold: Some("x".into()), ..queued.clone() }, 0, &HashMap::new(), 5, None).state,
            "hold"
        );
        let line = line(queued, 7, &HashMap::new(), 4, None);
        assert_eq!((line.state.as_str(), line.from.as_str(), line.recipients.len()), ("deferred", "<>", 1000));
        assert!(line.more == 7 && size(&line) > 1_000_000);
        assert_eq!(line.recipients[0].last.as_deref().map(|last| last.chars().count()), Some(503));
    }
}
