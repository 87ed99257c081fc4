//! What is counted, in SQL: the load of lanes, and what became of recipients. Changes nothing.
//!
//! Sums are made by the database; percentiles are one row at a place of an order, from its nearer end.

use crate::queue::stats::{REASONS, place};
use crate::queue::{Load, Millis, ReasonCount, Stats, StoreError, Tally};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// The messages of each lane that are not on hold, and those that are.
const WAITING: &str = "SELECT lane, count(*) FROM message INDEXED BY message_due WHERE hold IS NULL GROUP BY lane";
const HELD: &str = "SELECT lane, count(*) FROM message WHERE hold IS NOT NULL GROUP BY lane";
const ENDED: &str =
    "SELECT lane, count(*) FROM history INDEXED BY history_ended WHERE ended >= ?1 AND sent = ?2 GROUP BY lane";
const DEFERRED: &str = "SELECT lane, sum(recipients) FROM deferral WHERE slot >= ?1 GROUP BY lane";

/// How many messages each lane has.
pub(super) fn loads(c: &Connection) -> Result<BTreeMap<String, Load>, StoreError> {
    let mut loads: BTreeMap<String, Load> = BTreeMap::new();
    for (sql, held) in [(WAITING, false), (HELD, true)] {
        let mut statement = c.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let load = loads.entry(row.get(0)?).or_default();
            let count = row.get::<_, i64>(1)?.unsigned_abs();
            *(if held { &mut load.held } else { &mut load.waiting }) = count;
        }
    }
    Ok(loads)
}

/// What became of recipients since then.
pub(super) fn stats(c: &Connection, since: Millis) -> Result<Stats, StoreError> {
    let slot = since.div_euclid(SLOT);
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut add = |sql: &str, since: Millis, sent: Option<bool>, put: fn(&mut Tally, u64)| -> Result<(), StoreError> {
        let mut statement = c.prepare_cached(sql)?;
        let mut rows = match sent {
            Some(sent) => statement.query(params![since, sent])?,
            None => statement.query([since])?,
        };
        while let Some(row) = rows.next()? {
            put(tallies.entry(row.get(0)?).or_default(), row.get::<_, i64>(1)?.unsigned_abs());
        }
        Ok(())
    };
    add(ENDED, since, Some(true), |tally, count| tally.sent = count)?;
    add(ENDED, since, Some(false), |tally, count| tally.failed = count)?;
    add(DEFERRED, slot, None, |tally, count| tally.deferred = count)?;
    let mut total = Tally::default();
    let mut senders = Vec::new();
    for (sender, tally) in tallies {
        total.sent += tally.sent;
        total.failed += tally.failed;
        total.deferred += tally.deferred;
        let mut tally = Tally { sender, ..tally };
        detail(c, since, &mut tally)?;
        senders.push(tally);
    }
    detail(c, since, &mut total)?;
    Ok(Stats { since, senders, total })
}

/// How long a slot of deferrals is.
pub(super) const SLOT: Millis = 60_000;

/// Reasons and times of a lane; of all where it has no name.
fn detail(c: &Connection, since: Millis, tally: &mut Tally) -> Result<(), StoreError> {
    let of = if tally.sender.is_empty() { "?2 = ''" } else { "lane = ?2" };
    let failed = format!(
        "SELECT reason, count(*) FROM history WHERE ended >= ?1 AND {of} AND sent = 0
         GROUP BY reason ORDER BY 2 DESC, 1 LIMIT ?3"
    );
    let deferred = format!(
        "SELECT reason, sum(recipients) FROM deferral WHERE slot >= ?1 AND {of}
         GROUP BY reason ORDER BY 2 DESC, 1 LIMIT ?3"
    );
    for (sql, from, is_failed) in [(failed, since, true), (deferred, since.div_euclid(SLOT), false)] {
        let mut statement = c.prepare_cached(&sql)?;
        let mut rows = statement.query(params![from, tally.sender, REASONS])?;
        while let Some(row) = rows.next()? {
            let count = row.get::<_, i64>(1)?.unsigned_abs();
            tally.reasons.push(ReasonCount { failed: is_failed, reason: row.get(0)?, count });
        }
    }
    tally.median = percentile(c, since, tally, of, 50)?;
    tally.p95 = percentile(c, since, tally, of, 95)?;
    Ok(())
}

fn percentile(
    c: &Connection,
    since: Millis,
    tally: &Tally,
    of: &str,
    percent: u64,
) -> Result<Option<Millis>, StoreError> {
    let Some(last) = tally.sent.checked_sub(1) else { return Ok(None) };
    let place = place(percent, tally.sent);
    // The database keeps as many numbers as it skips.
    let (order, skipped) = if place > last / 2 { ("DESC", last - place) } else { ("ASC", place) };
    let sql = format!(
        "SELECT ended - created FROM history WHERE ended >= ?1 AND {of} AND sent = 1 ORDER BY 1 {order} LIMIT 1 OFFSET ?3"
    );
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query(params![since, tally.sender, skipped.cast_signed()])?;
    let took = rows.next()?.map(|row| row.get::<_, Millis>(0)).transpose()?;
    // A clock that was set back between the two.
    Ok(took.map(|took| took.max(0)))
}
