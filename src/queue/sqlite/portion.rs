//! One portion of a change of very many messages, in SQL. Each is a few statements over a set of rows, runs within a
//! transaction of the writer, and leaves the queue consistent.

use super::said::cut;
use super::{counts, read};
use crate::queue::{Action, Filter, Millis, NEVER, StoreError, schedule};
use rusqlite::{Connection, OptionalExtension, params};

/// No clock is set by more, milliseconds: a thousand years.
pub(super) const FARTHEST: u64 = 1000 * 366 * 86_400_000;
/// What was written by a clock that is not ahead by more is as good as right.
const AHEAD: Millis = 60_000;
/// What is due later than this was written by a clock that was wrong, unless it waits for a run of the queue.
const FAR: Millis = 3 * 86_400_000;
/// So long after the clock was set this is known at the latest.
const NOTICED: Millis = 30_000;

/// How many, as SQL has it.
fn number(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

/// The messages of a portion, as SQL reads them.
fn list<T: std::fmt::Display>(ids: &[T]) -> String {
    let ids: Vec<String> = ids.iter().map(T::to_string).collect();
    format!("[{}]", ids.join(","))
}

/// Carries an action out on messages that fit: how many, and the files that are done with.
pub(super) fn act(
    c: &Connection,
    filter: &Filter,
    action: &Action,
    now: Millis,
) -> Result<(u64, Vec<String>), StoreError> {
    let ids = read::fitting(c, filter, usize::MAX)?;
    let these = list(&ids);
    let mut files = Vec::new();
    match action {
        Action::Retry => due(c, &these, now, false)?,
        Action::Force => due(c, &these, now, true)?,
        Action::Hold(reason) => hold(c, &these, Some(reason), filter.uid)?,
        Action::Release => hold(c, &these, None, None)?,
        Action::Delete => files = remove(c, &these)?,
    }
    Ok((ids.len() as u64, files))
}

/// Makes messages due; what is in doubt keeps its time unless it is `forced`.
fn due(c: &Connection, these: &str, now: Millis, forced: bool) -> Result<(), StoreError> {
    c.prepare_cached(
        "UPDATE recipient SET due = iif(?3, ?2, max(?2, doubt))
         WHERE message IN (SELECT value FROM json_each(?1))",
    )?
    .execute(params![these, now, forced])?;
    settle(c, these, now)
}

/// Makes the rows of messages agree with their recipients.
fn settle(c: &Connection, these: &str, now: Millis) -> Result<(), StoreError> {
    c.prepare_cached(
        "UPDATE message SET due = coalesce((SELECT min(due) FROM recipient WHERE recipient.message = message.id), ?2)
         WHERE id IN (SELECT value FROM json_each(?1))",
    )?
    .execute(params![these, now])?;
    Ok(())
}

/// Puts messages on hold, or releases them; `by` is the user who holds them, as with `change::hold`.
fn hold(c: &Connection, these: &str, reason: Option<&str>, by: Option<u32>) -> Result<(), StoreError> {
    c.prepare_cached("UPDATE message SET hold = ?2, holder = ?3 WHERE id IN (SELECT value FROM json_each(?1))")?
        .execute(params![these, reason.map(cut), by])?;
    Ok(())
}

/// Takes messages out with all that belongs to them; the files that are done with.
fn remove(c: &Connection, these: &str) -> Result<Vec<String>, StoreError> {
    let mut statement =
        c.prepare_cached("DELETE FROM message WHERE id IN (SELECT value FROM json_each(?1)) RETURNING file")?;
    let gone = statement.query_map([these], |row| row.get(0))?.collect::<Result<Vec<Option<String>>, _>>()?;
    c.prepare_cached("DELETE FROM text WHERE id IN (SELECT value FROM json_each(?1))")?.execute([these])?;
    c.prepare_cached("DELETE FROM recipient WHERE message IN (SELECT value FROM json_each(?1))")?.execute([these])?;
    c.prepare_cached("UPDATE state SET queued = queued - ?1")?.execute([number(gone.len())])?;
    Ok(gone.into_iter().flatten().collect())
}

/// Makes messages due that wait for the end of their lane's pause.
pub(super) fn hasten(c: &Connection, waiting: &[i64], now: Millis, until: Millis) -> Result<(), StoreError> {
    let these = list(waiting);
    c.prepare_cached(
        "UPDATE recipient SET due = max(?2, doubt)
         WHERE message IN (SELECT value FROM json_each(?1)) AND due > ?2 AND due <= ?3",
    )?
    .execute(params![these, now, until])?;
    settle(c, &these, now)
}

/// Begins to move all times of what is queued: those of lanes at once, those of messages portion by portion. What was
/// accepted since the clock was set has the right time.
pub(super) fn begin_shift(c: &Connection, by: i64, now: Millis) -> Result<(), StoreError> {
    // What a process left that failed in the middle.
    while !shift(c, usize::MAX)? {}
    let from = if by > 0 { now.saturating_sub(by).saturating_add(NOTICED) } else { now.saturating_sub(NOTICED) };
    c.execute(
        "INSERT INTO shift (by, done, last, since, now) VALUES (?1, 0, (SELECT last FROM state), ?2, ?3)",
        [by, from, now],
    )?;
    c.execute("UPDATE lane SET until = until + ?1, since = since + ?1, down = iif(down > 0, down + ?1, 0)", [by])?;
    c.execute("UPDATE halt SET since = since + ?1, until = until + ?1", [by])?;
    Ok(())
}

/// The next messages of a shift; whether it is done. The time of acceptance moves along, as the age is reckoned from it.
pub(super) fn shift(c: &Connection, size: usize) -> Result<bool, StoreError> {
    let begun = c
        .prepare_cached("SELECT by, done, last, since, now FROM shift")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .optional()?;
    let Some((by, done, last, since, now)): Option<(i64, i64, i64, Millis, Millis)> = begun else { return Ok(true) };
    let Some(end) = end_of(c, done, last, size)? else {
        c.execute("DELETE FROM shift", [])?;
        return Ok(true);
    };
    let new = "created > ?5 AND created <= ?6 AND (due <= ?6 OR due >= ?4)";
    c.prepare_cached(&format!(
        "UPDATE recipient SET due = iif(due < ?4, due + ?1, due), doubt = iif(doubt > 0, doubt + ?1, 0)
         WHERE message > ?2 AND message <= ?3
            AND message NOT IN (SELECT id FROM message WHERE id > ?2 AND id <= ?3 AND {new})"
    ))?
    .execute([by, done, end, NEVER, since, now])?;
    c.prepare_cached(&format!(
        "UPDATE message SET due = iif(due < ?4, due + ?1, due), created = created + ?1
         WHERE id > ?2 AND id <= ?3 AND NOT ({new})"
    ))?
    .execute([by, done, end, NEVER, since, now])?;
    c.prepare_cached("UPDATE shift SET done = ?1")?.execute([end])?;
    Ok(false)
}

/// By how much the times of a message are still to be moved.
pub(super) fn to_be_shifted(c: &Connection, id: i64) -> Result<i64, StoreError> {
    let mut by = c.prepare_cached("SELECT by FROM shift WHERE done < ?1 AND last >= ?1")?;
    Ok(by.query_row([id], |row| row.get(0)).optional()?.unwrap_or_default())
}

/// The last of the next messages after one, up to another; `None` where there are none.
fn end_of(c: &Connection, after: i64, last: i64, size: usize) -> Result<Option<i64>, StoreError> {
    let mut end = c.prepare_cached(
        "SELECT max(id) FROM (SELECT id FROM message WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3)",
    )?;
    Ok(end.query_row([after, last, number(size)], |row| row.get(0))?)
}

/// How far the clock was ahead that wrote the newest of what is here, where it was.
pub(super) fn ahead(c: &Connection, now: Millis) -> Result<Option<Millis>, StoreError> {
    let newest: Millis = c.query_row(
        "SELECT max(
            coalesce((SELECT max(created) FROM message), 0), coalesce((SELECT max(ended) FROM history), 0),
            coalesce((SELECT max(slot) FROM deferral), 0) * ?1, coalesce((SELECT max(since) FROM lane), 0),
            coalesce((SELECT max(since) FROM halt), 0), coalesce((SELECT max(slot) FROM source), 0))",
        [counts::SLOT],
        |row| row.get(0),
    )?;
    Ok(Some(newest.saturating_sub(now)).filter(|ahead| *ahead > AHEAD))
}

/// Whether something is due, or a pause over, so late that only a clock can have said so that was ahead.
pub(super) fn is_far(c: &Connection, now: Millis) -> Result<bool, StoreError> {
    let due = c.prepare("SELECT 1 FROM message WHERE due > ?1 AND due < ?2")?;
    let pause = c.prepare("SELECT 1 FROM lane WHERE until > ?1 + iif(firm, ?2, ?3)")?;
    let (mut due, mut pause) = (due, pause);
    Ok(due.exists([now.saturating_add(FAR), NEVER])?
        || pause.exists([now, schedule::longest(true), schedule::longest(false)])?)
}

/// Sets the times of lanes right, and forgets what was counted in times to come.
pub(super) fn set_lanes_back(c: &Connection, now: Millis) -> Result<(), StoreError> {
    c.execute(
        "UPDATE lane SET until = min(until, ?1 + iif(firm, ?2, ?3)), since = min(since, ?1), down = min(down, ?1)",
        [now, schedule::longest(true), schedule::longest(false)],
    )?;
    c.execute("UPDATE halt SET until = until - (since - ?1), since = ?1 WHERE since > ?1", [now])?;
    c.execute("DELETE FROM source WHERE slot > ?1", [now])?;
    c.execute("DELETE FROM deferral WHERE slot > ?1", [now.div_euclid(counts::SLOT)])?;
    Ok(())
}

/// Sets the next messages right after one: none was accepted in times to come, and what is due is due that much earlier,
/// as what is tried too early is merely tried once more. The last of them; `None` at the end.
pub(super) fn set_back(
    c: &Connection,
    after: i64,
    size: usize,
    by: Millis,
    now: Millis,
) -> Result<Option<i64>, StoreError> {
    let Some(end) = end_of(c, after, i64::MAX, size)? else { return Ok(None) };
    let doubt = now.saturating_add(schedule::DOUBT);
    c.prepare_cached(
        "UPDATE recipient SET due = iif(due - ?3 > ?5, ?4, max(?4, due - ?3)), doubt = min(doubt, ?6)
         WHERE message > ?1 AND message <= ?2 AND due > ?4 AND due < ?7",
    )?
    .execute([after, end, by, now, now.saturating_add(FAR), doubt, NEVER])?;
    c.prepare_cached("UPDATE recipient SET due = max(due, doubt) WHERE message > ?1 AND message <= ?2 AND doubt > 0")?
        .execute([after, end])?;
    c.prepare_cached(
        "UPDATE message SET created = iif(created > ?4, max(0, created - ?3), created),
            due = coalesce((SELECT min(due) FROM recipient WHERE recipient.message = message.id), ?4)
         WHERE id > ?1 AND id <= ?2",
    )?
    .execute([after, end, by, now])?;
    Ok(Some(end))
}

/// Sets results right that were written by a clock that was ahead; whether that is all.
pub(super) fn set_history_back(c: &Connection, now: Millis, size: usize) -> Result<bool, StoreError> {
    let changed = c
        .prepare_cached(
            "UPDATE history SET ended = ?1, created = min(created, ?1)
             WHERE id IN (SELECT id FROM history INDEXED BY history_ended WHERE ended > ?1 LIMIT ?2)",
        )?
        .execute(params![now, number(size)])?;
    Ok(changed < size)
}

/// Forgets results that are older; whether that is all.
pub(super) fn forget_history(c: &Connection, before: Millis, size: usize) -> Result<bool, StoreError> {
    let gone = c.prepare_cached(read::OLD_HISTORY)?.execute(params![before, number(size)])?;
    if gone < size {
        c.execute("DELETE FROM lane WHERE until < ?1", [before])?;
    }
    Ok(gone < size)
}

/// Forgets what was counted earlier; whether that is all.
pub(super) fn forget_deferrals(c: &Connection, before: Millis, size: usize) -> Result<bool, StoreError> {
    let before = before.div_euclid(counts::SLOT);
    let end: Option<i64> = c
        .prepare_cached("SELECT slot FROM deferral WHERE slot < ?1 ORDER BY slot LIMIT 1 OFFSET ?2")?
        .query_row(params![before, number(size)], |row| row.get(0))
        .optional()?;
    // A whole slot at least, so that it comes to an end.
    c.prepare_cached("DELETE FROM deferral WHERE slot < ?1")?
        .execute([end.map_or(before, |end| end + 1).min(before)])?;
    Ok(end.is_none())
}

/// Forgets submissions.
pub(super) fn forget_submissions(c: &Connection, ids: &[String]) -> Result<(), StoreError> {
    let mut forget = c.prepare_cached(
        "DELETE FROM submission WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM message WHERE id = submission.message)",
    )?;
    ids.iter().try_for_each(|id| forget.execute([id]).map(drop))?;
    Ok(())
}
