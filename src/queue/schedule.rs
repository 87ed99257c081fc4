//! When a queued recipient is tried again, when it is given up, and what a failure means for its lane.
//!
//! Pure: the time and the random number are arguments. What a failure *is* was decided by `deliver::trouble`; here it is
//! decided what the queue does about it (RFC 5321 section 4.5.4.1).

use super::types::{Fate, Millis};
use crate::config::{QueueConfig, replies};
use crate::deliver::trouble::{Kind, Permanence, Scope, Trouble, Wait};
use crate::smtp::phase::Phase;
use std::time::Duration;

/// The shortest wait where the server may have taken the message (RFC 1047).
const UNKNOWN: Duration = Duration::from_secs(15 * 60);
/// The same, for those who reckon: no run of the queue makes it shorter.
pub const DOUBT: Millis = 15 * 60_000;
/// The first pause of a lane in trouble; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(60);
/// The same where the provider's window is used up: it frees no sooner.
const WINDOW: Duration = Duration::from_secs(300);
/// The longest pause of a lane, but for one of a fixed length, which is at most that of `config::replies`.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// A wall clock that goes wrong by more than this was set.
const JUMP: Duration = Duration::from_secs(60);

/// A recipient's place in time.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When the message was accepted, or as much later as it waited for troubles that were not its own.
    pub created: Millis,
    /// Now.
    pub now: Millis,
    /// Attempts that counted before this one.
    pub attempts: u32,
    /// Any number; the same for all recipients of one attempt, so that they stay together.
    pub random: u32,
    /// How often the lane was paused in a row before this attempt.
    pub pauses: u32,
}

/// What an attempt says of the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The server serves it.
    #[default]
    Serves,
    /// The connection was lost within a message: that may be the message's fault or the server's.
    Doubtful,
    /// Other messages would fare the same: it waits.
    Pause,
}

/// What becomes of a recipient after a failure.
#[must_use]
pub fn after(queue: &QueueConfig, trouble: &Trouble, times: Times) -> Fate {
    // However often it was looked at meanwhile: no server was asked that could have taken it.
    if ages(trouble) && times.now >= expires(queue, times.created) {
        return Fate::Failed;
    }
    if effect(trouble) == Effect::Pause {
        return Fate::Retry { due: times.now.saturating_add(millis(pause(trouble.wait, times.pauses))), counts: false };
    }
    if trouble.permanence == Permanence::Permanent || is_over(queue, times) {
        return Fate::Failed;
    }
    let wait = wait(queue, times);
    let wait = if trouble.permanence == Permanence::Unknown { wait.max(UNKNOWN) } else { wait };
    let due = times.now.saturating_add(millis(wait));
    // The last attempt comes at the end of the time, not after it; but never at once.
    let end = expires(queue, times.created).max(times.now.saturating_add(1000));
    let due = if trouble.permanence == Permanence::Unknown { due } else { due.min(end) };
    Fate::Retry { due, counts: true }
}

/// When a recipient is tried again whose attempt could not even be made.
#[must_use]
pub fn later(queue: &QueueConfig, times: Times) -> Millis {
    times.now.saturating_add(millis(wait(queue, times)))
}

/// What a failure says of the lane. Before MAIL everything is a matter of the account; after it, what the server said of
/// the account (a limit, a missing login, its own state) is. A connection that is lost within a message is not: one bad
/// message must not stop the others.
#[must_use]
pub fn effect(trouble: &Trouble) -> Effect {
    if trouble.scope != Scope::Site {
        return match trouble.permanence {
            Permanence::Unknown => Effect::Doubtful,
            _ => Effect::Serves,
        };
    }
    if trouble.wait != Wait::Growing {
        return Effect::Pause;
    }
    match (trouble.phase, &trouble.reply) {
        (Phase::Data | Phase::Body | Phase::End, Some(reply)) if reply.code == 421 => Effect::Doubtful,
        (Phase::Mail | Phase::Rcpt | Phase::Data | Phase::Body | Phase::End, None)
            if trouble.permanence == Permanence::Temporary =>
        {
            Effect::Doubtful
        }
        _ => Effect::Pause,
    }
}

/// Whether messages grow older while their lane waits for that: what this machine cannot do bounces as what a message
/// meets itself does, as nobody would hear of it otherwise.
#[must_use]
pub fn ages(trouble: &Trouble) -> bool {
    trouble.kind == Kind::Counters
}

/// How long a lane waits that was paused so many times in a row.
#[must_use]
pub fn pause(wait: Wait, times: u32) -> Duration {
    let growing = |first: Duration| first.saturating_mul(1 << times.min(16)).min(LONGEST_PAUSE);
    match wait {
        Wait::Growing => growing(PAUSE),
        Wait::UpTo(most) => growing(PAUSE).min(most),
        Wait::Window => growing(WINDOW),
        Wait::Firm(length) => length,
    }
}

/// The longest that a lane waits, in milliseconds.
#[must_use]
pub fn longest(firm: bool) -> Millis {
    millis(if firm { replies::LONGEST } else { LONGEST_PAUSE })
}

/// Whether the sender is to be told of the delay by now.
#[must_use]
pub fn is_late(queue: &QueueConfig, created: Millis, now: Millis) -> bool {
    !queue.warn_after.is_zero() && now.saturating_sub(created) >= millis(queue.warn_after)
}

/// Until when a message is tried.
#[must_use]
pub fn expires(queue: &QueueConfig, created: Millis) -> Millis {
    created.saturating_add(millis(queue.expire_after))
}

/// By how much the wall clock was set, given how far it and the monotonic clock went. Small differences are none.
#[must_use]
pub fn jump(wall: Millis, monotonic: Duration) -> Option<i64> {
    let by = wall.saturating_sub(millis(monotonic));
    (by.unsigned_abs() > JUMP.as_millis() as u64).then_some(by)
}

/// Whether this attempt was the last. Time during which the fault was ours does not count: a message that waited for a
/// mended account still gets the attempts that it would have had.
fn is_over(queue: &QueueConfig, times: Times) -> bool {
    let mut sum = Duration::ZERO;
    let fit = queue.retry.iter().take_while(|wait| {
        sum = sum.saturating_add(**wait);
        sum <= queue.expire_after
    });
    times.now >= expires(queue, times.created) && times.attempts as usize >= fit.count()
}

fn wait(queue: &QueueConfig, times: Times) -> Duration {
    let nth = queue.retry.get(times.attempts as usize).or(queue.retry.last());
    jittered(nth.copied().unwrap_or(PAUSE), times.random)
}

/// Nine to eleven tenths of it, so that what failed together does not come back together.
fn jittered(wait: Duration, random: u32) -> Duration {
    let tenth = wait / 10;
    wait - tenth + (tenth * 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::reply::Reply;
    use proptest::prelude::*;

    const MINUTE: Millis = 60_000;
    const DAY: Millis = 24 * 60 * MINUTE;

    fn trouble(scope: Scope, permanence: Permanence, phase: Phase, code: u16) -> Trouble {
        let reply = (code > 0).then(|| Reply { code, enhanced: None, lines: vec!["no".into()] });
        Trouble {
            scope,
            permanence,
            kind: Kind::Refused,
            phase,
            reply,
            what: "no".into(),
            advice: None,
            wait: Wait::Growing,
        }
    }

    fn times(now: Millis, attempts: u32) -> Times {
        Times { created: 0, now, attempts, random: u32::MAX / 2, pauses: 0 }
    }

    fn due(fate: Fate) -> Millis {
        match fate {
            Fate::Retry { due, .. } => due,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_waits_follow_the_configuration() {
        let queue = QueueConfig::default();
        let temporary = trouble(Scope::Recipient, Permanence::Temporary, Phase::Rcpt, 450);
        for (attempts, minutes) in [(0, 1), (1, 5), (2, 15), (6, 240), (7, 240), (90, 240)] {
            let wait = due(after(&queue, &temporary, times(10 * MINUTE, attempts))) - 10 * MINUTE;
            assert!((wait - minutes * MINUTE).abs() <= minutes * MINUTE / 10 + 1, "{attempts}: {wait}");
        }
        let permanent = trouble(Scope::Recipient, Permanence::Permanent, Phase::Rcpt, 550);
        assert_eq!(after(&queue, &permanent, times(0, 0)), Fate::Failed);
    }

    #[test]
    fn expiry_ends_it_and_the_last_attempt_comes_in_time() {
        let queue = QueueConfig::default();
        let temporary = trouble(Scope::Message, Permanence::Temporary, Phase::End, 451);
        assert_eq!(due(after(&queue, &temporary, times(5 * DAY - MINUTE, 40))), 5 * DAY);
        assert_eq!(after(&queue, &temporary, times(5 * DAY, 41)), Fate::Failed);
        // It waited for us all the time: now it gets its attempts.
        assert_ne!(after(&queue, &temporary, times(6 * DAY, 0)), Fate::Failed);
        assert_eq!(after(&queue, &temporary, times(6 * DAY, 7)), Fate::Failed);
        let at_once = QueueConfig { expire_after: Duration::ZERO, ..QueueConfig::default() };
        assert_eq!(after(&at_once, &temporary, times(0, 0)), Fate::Failed);
    }

    #[test]
    fn what_cannot_be_counted_waits_and_bounces_in_time() {
        let queue = QueueConfig::default();
        let trouble = crate::deliver::trouble::judge_counters("no");
        assert_eq!(effect(&trouble), Effect::Pause);
        assert!(ages(&trouble) && !trouble.is_down(), "no backup takes over what may not be sent");
        assert_eq!(after(&queue, &trouble, times(0, 0)), Fate::Retry { due: MINUTE, counts: false });
        let long = Times { pauses: 9, ..times(DAY, 0) };
        assert_eq!(after(&queue, &trouble, long), Fate::Retry { due: DAY + 5 * MINUTE, counts: false });
        assert_eq!(after(&queue, &trouble, times(5 * DAY, 0)), Fate::Failed);
    }

    #[test]
    fn time_in_trouble_makes_nothing_older() {
        let queue = QueueConfig::default();
        let temporary = trouble(Scope::Message, Permanence::Temporary, Phase::End, 451);
        // Accepted at 0; its sender was paused for three days and has been again for the last two.
        let grace = crate::queue::Grace { before: 3 * DAY, since: Some(7 * DAY) };
        let at = |now: Millis| Times { created: grace.at(now), ..times(now, 30) };
        assert_eq!(after(&queue, &temporary, times(9 * DAY, 30)), Fate::Failed, "without it");
        assert!(matches!(after(&queue, &temporary, at(9 * DAY)), Fate::Retry { .. }), "four days old");
        assert_eq!(expires(&queue, grace.at(9 * DAY)), 10 * DAY);
        let over = crate::queue::Grace { before: 5 * DAY, since: None };
        assert_eq!(
            after(&queue, &temporary, Times { created: over.at(10 * DAY), ..times(10 * DAY, 30) }),
            Fate::Failed
        );
        assert!(is_late(&queue, 0, 5 * 60 * MINUTE), "but the sender is told all the same");
    }

    #[test]
    fn what_a_rule_holds_waits_as_long_as_it_says() {
        let queue = QueueConfig::default();
        for (wait, minutes) in [
            (Wait::Window, 5),
            (Wait::UpTo(Duration::from_secs(600)), 1),
            (Wait::Firm(Duration::from_secs(86_400)), 1440),
        ] {
            let trouble = Trouble { wait, ..trouble(Scope::Site, Permanence::Temporary, Phase::End, 421) };
            assert_eq!(effect(&trouble), Effect::Pause, "whatever the code");
            assert_eq!(
                after(&queue, &trouble, times(30 * DAY, 90)),
                Fate::Retry { due: 30 * DAY + minutes * MINUTE, counts: false }
            );
        }
    }

    #[test]
    fn faults_of_the_account_neither_count_nor_bounce() {
        let queue = QueueConfig::default();
        for (permanence, phase, code) in [
            (Permanence::Permanent, Phase::Auth, 535),
            (Permanence::Temporary, Phase::Connect, 0),
            (Permanence::Permanent, Phase::Resolve, 0),
            (Permanence::Permanent, Phase::Secret, 0),
            (Permanence::Permanent, Phase::Mail, 550),
            (Permanence::Temporary, Phase::End, 452),
        ] {
            let trouble = trouble(Scope::Site, permanence, phase, code);
            let fate = after(&queue, &trouble, Times { pauses: 2, ..times(30 * DAY, 3) });
            assert_eq!(fate, Fate::Retry { due: 30 * DAY + 4 * MINUTE, counts: false }, "{trouble:?}");
        }
    }

    #[test]
    fn a_message_that_breaks_the_connection_is_its_own_fault() {
        let queue = QueueConfig::default();
        for (phase, code) in [(Phase::Body, 0), (Phase::End, 421), (Phase::Mail, 0)] {
            let trouble = trouble(Scope::Site, Permanence::Temporary, phase, code);
            assert_eq!(effect(&trouble), Effect::Doubtful);
            assert!(matches!(after(&queue, &trouble, times(0, 0)), Fate::Retry { counts: true, .. }));
        }
        assert_eq!(effect(&trouble(Scope::Site, Permanence::Temporary, Phase::Mail, 421)), Effect::Pause);
    }

    #[test]
    fn pauses_double_to_an_hour() {
        let minutes: Vec<u64> =
            [0, 1, 2, 3, 4, 5, 6, 7, 60, u32::MAX].map(|n| pause(Wait::Growing, n).as_secs() / 60).to_vec();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        let ten = Duration::from_secs(600);
        let of = |wait| [0, 1, 3, 4, 9].map(|n| pause(wait, n).as_secs() / 60);
        assert_eq!(of(Wait::UpTo(ten)), [1, 2, 8, 10, 10]);
        assert_eq!(of(Wait::Window), [5, 10, 40, 60, 60]);
        assert_eq!(of(Wait::Firm(24 * 6 * ten)), [24 * 60; 5]);
    }

    #[test]
    fn a_set_clock_is_told_from_a_slow_one() {
        let hour = Duration::from_secs(3600);
        assert_eq!(jump(60 * MINUTE + 59_000, hour), None);
        assert_eq!(jump(60 * MINUTE - 59_000, hour), None);
        assert_eq!(jump(2 * 60 * MINUTE, hour), Some(60 * MINUTE));
        assert_eq!(jump(-DAY, hour), Some(-DAY - 60 * MINUTE));
    }

    #[test]
    fn a_delay_is_told_once_it_is_one() {
        let queue = QueueConfig::default();
        assert!(!is_late(&queue, 0, 4 * 60 * MINUTE - 1) && is_late(&queue, 0, 4 * 60 * MINUTE));
        let never = QueueConfig { warn_after: Duration::ZERO, ..queue };
        assert!(!is_late(&never, 0, DAY));
    }

    proptest! {
        #[test]
        fn never_at_once_and_never_for_ever(
            waits in prop::collection::vec(1u64..86_400, 1..8), expire in 0u64..10_000_000, random: u32,
            created in 0i64..1_000_000, age in 0i64..10_000_000_000, attempts in 0u32..200, unknown: bool,
        ) {
            let queue = QueueConfig {
                retry: waits.into_iter().map(Duration::from_secs).collect(),
                expire_after: Duration::from_secs(expire),
                ..QueueConfig::default()
            };
            let permanence = if unknown { Permanence::Unknown } else { Permanence::Temporary };
            let trouble = trouble(Scope::Message, permanence, Phase::End, 0);
            let times = Times { created, now: created + age, attempts, random, pauses: 0 };
            match after(&queue, &trouble, times) {
                Fate::Retry { due, counts } => {
                    prop_assert!(counts);
                    let wait = due - times.now;
                    prop_assert!(wait >= if unknown { 15 * MINUTE } else { 900 }, "{wait}");
                    prop_assert!(wait <= DAY * 11 / 10 + 1000, "{wait}");
                }
                fate => {
                    prop_assert_eq!(fate, Fate::Failed);
                    prop_assert!(age >= i64::try_from(expire * 1000).unwrap());
                }
            }
        }

        #[test]
        fn some_day_it_ends(random: u32, attempts in 0u32..3) {
            let queue = QueueConfig::default();
            let trouble = trouble(Scope::Message, Permanence::Temporary, Phase::End, 451);
            let (mut now, mut attempts, mut rounds) = (0, attempts, 0);
            while let Fate::Retry { due, .. } = after(&queue, &trouble, Times { created: 0, now, attempts, random, pauses: 0 }) {
                (now, attempts, rounds) = (due, attempts + 1, rounds + 1);
                prop_assert!(rounds < 100);
            }
            // A round that ends just before the last moment leaves the last attempt its second of distance.
            prop_assert!((5 * DAY..5 * DAY + 1000).contains(&now), "{now}");
        }
    }
}
