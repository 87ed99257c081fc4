//! The lanes that an operator paused, in SQL. They are apart from the troubles of lanes (`change::pause`): neither ends the
//! other. For the age of messages the two are one time, which is never counted twice.

use super::said::cut;
use crate::queue::{Halt, Millis, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

/// Pauses a lane. Where it is paused so already it goes on from its beginning.
pub(super) fn halt(c: &Connection, halt: &Halt) -> Result<(), StoreError> {
    let Halt { lane, since, until, reason, uid } = halt;
    let over = of(c, lane)?.is_some_and(|before| !before.holds(*since));
    if over {
        unhalt(c, lane, *since)?;
    }
    c.prepare_cached(
        "INSERT INTO halt (lane, since, until, reason, uid) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (lane) DO UPDATE SET until = ?3, reason = ?4, uid = ?5",
    )?
    .execute(params![lane, since, until, cut(reason), uid])?;
    Ok(())
}

/// Ends it. Where the lane is in trouble too, its trouble covers the time; otherwise it is over.
pub(super) fn unhalt(c: &Connection, lane: &str, now: Millis) -> Result<(), StoreError> {
    let Some(halt) = of(c, lane)? else { return Ok(()) };
    c.prepare_cached("DELETE FROM halt WHERE lane = ?1")?.execute([lane])?;
    let covered = c
        .prepare_cached("UPDATE lane SET since = min(since, ?2) WHERE name = ?1 AND since IS NOT NULL")?
        .execute(params![lane, halt.since])?;
    let end = halt.until.map_or(now, |until| until.min(now));
    if covered == 0 {
        downtime(c, lane, end.saturating_sub(halt.since))?;
    }
    Ok(())
}

/// The trouble of a lane is over, which began then: from when on its time is to be reckoned as trouble, as an operator's
/// pause may have begun earlier. That goes on, from now.
pub(super) fn trouble_over(c: &Connection, lane: &str, since: Millis, now: Millis) -> Result<Millis, StoreError> {
    let Some(halt) = of(c, lane)? else { return Ok(since) };
    c.prepare_cached("UPDATE halt SET since = ?2 WHERE lane = ?1")?.execute(params![lane, now])?;
    Ok(since.min(halt.since))
}

/// Adds to the time during which a lane could not be used.
pub(super) fn downtime(c: &Connection, lane: &str, length: Millis) -> Result<(), StoreError> {
    if length > 0 {
        c.prepare_cached(
            "INSERT INTO downtime VALUES (?1, ?2) ON CONFLICT (lane) DO UPDATE SET total = total + excluded.total",
        )?
        .execute(params![lane, length])?;
    }
    Ok(())
}

fn of(c: &Connection, lane: &str) -> Result<Option<Halt>, StoreError> {
    let mut statement = c.prepare_cached("SELECT lane, since, until, reason, uid FROM halt WHERE lane = ?1")?;
    Ok(statement.query_row([lane], row).optional()?)
}

/// All of them, in order of their names.
pub(super) fn all(c: &Connection) -> Result<Vec<Halt>, StoreError> {
    let mut statement = c.prepare_cached("SELECT lane, since, until, reason, uid FROM halt ORDER BY lane")?;
    let rows = statement.query_map([], row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Halt> {
    Ok(Halt { lane: row.get(0)?, since: row.get(1)?, until: row.get(2)?, reason: row.get(3)?, uid: row.get(4)? })
}
