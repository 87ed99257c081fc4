//! What changes the queue, in SQL. Every function runs within a transaction of the writer and leaves the commit
//! to it; files that are done with are named to the caller, who removes them after the commit.

use super::said::cut;
use super::text::{Kept, Text};
use super::{counts, halts, portion, read};
use crate::envelope::Dsn;
use crate::queue::{
    Accepted, Counted, Failure, Fate, MessageId, Millis, NEVER, NewMessage, Pause, Recorded, StoreError, schedule,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

/// Attempts that began before a pause and failed in it wait this much longer at most.
pub(super) const PAUSED_TOGETHER: Millis = 60_000;
/// A new message's row.
const INSERT: &str = "INSERT INTO message
    (id, uid, lane, header_from, sender, dsn, tag, size, created, due, hold, report, warned, file, bulk, digest, base)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13, ?14, ?15,
        coalesce((SELECT total FROM downtime WHERE lane = ?3), 0)
            + coalesce((SELECT max(?9 - min(since), 0) FROM (
                SELECT since FROM lane WHERE name = ?3 UNION ALL SELECT since FROM halt WHERE lane = ?3)), 0))";

/// A message whose text is ready.
pub(super) struct Parcel {
    pub(super) new: NewMessage,
    pub(super) text: Text,
}

/// Keeps a message, unless its submission was kept before.
pub(super) fn accept(c: &Connection, parcel: &Parcel) -> Result<Accepted, StoreError> {
    let new = &parcel.new;
    if let Some(id) = read::submission(c, &new.submission)? {
        return Ok(Accepted { id, again: true });
    }
    let id: i64 = c
        .prepare_cached("UPDATE state SET queued = queued + 1, last = last + 1 RETURNING last")?
        .query_row([], |row| row.get(0))?;
    let Dsn { notify, ret, envid, recipients: asked } = &new.envelope.dsn;
    let dsn = Dsn { notify: *notify, ret: *ret, envid: envid.clone(), ..Dsn::default() };
    let dsn = (dsn != Dsn::default()).then(|| json(&dsn)).transpose()?;
    c.prepare_cached(INSERT)?.execute(params![
        id,
        new.uid,
        new.lane,
        new.header_from,
        new.envelope.from.address().map(|address| address.as_str()),
        dsn,
        new.tag,
        new.message.wire_size().cast_signed(),
        new.now,
        new.due,
        new.hold,
        new.report,
        parcel.text.file(),
        new.bulk,
        parcel.text.digest,
    ])?;
    if let Kept::Inline(octets) = &parcel.text.kept {
        c.prepare_cached("INSERT INTO text VALUES (?1, ?2)")?.execute(params![id, octets])?;
    }
    let mut insert = c.prepare_cached(
        "INSERT INTO recipient (message, number, address, attempts, due, dsn, unknown, doubt)
         VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6 > 0, ?6)",
    )?;
    let until = new.due.min(new.now.saturating_add(schedule::DOUBT));
    for (number, address) in (0u32..).zip(new.envelope.recipients()) {
        // The canonical form is made only where it is looked for.
        let asked = if asked.is_empty() { None } else { asked.get(&address.canonical()) };
        let doubt = if new.in_doubt.contains(address) { until } else { 0 };
        insert.execute(params![id, number, address.as_str(), new.due, asked.map(json).transpose()?, doubt])?;
    }
    c.prepare_cached("INSERT INTO submission VALUES (?1, ?2, ?3)")?.execute(params![new.submission, id, new.now])?;
    if let Some(counted) = &new.counted {
        count(c, counted, new.hold.is_some())?;
    }
    Ok(Accepted { id: MessageId(id), again: false })
}

/// Keeps all of them, unless the first one's submission was kept before; the first one's number.
pub(super) fn accept_all(c: &Connection, parcels: &[Parcel]) -> Result<Accepted, StoreError> {
    let (first, others) = parcels.split_first().ok_or_else(|| StoreError::Io("there is nothing to keep".into()))?;
    let accepted = accept(c, first)?;
    for parcel in others.iter().filter(|_| !accepted.again) {
        accept(c, parcel)?;
    }
    Ok(accepted)
}

/// Takes a message out and keeps these in its place; files that are done with.
pub(super) fn replace(c: &Connection, id: MessageId, by: &[Parcel]) -> Result<(Accepted, Vec<String>), StoreError> {
    let there = c.prepare_cached("SELECT 1 FROM message WHERE id = ?1")?.exists([id.0])?;
    if !there {
        return Err(StoreError::Gone);
    }
    let files = remove(c, id.0)?;
    Ok((accept_all(c, by)?, files))
}

/// How long counts are kept: longer than anybody looks back.
const COUNTS: Millis = 2 * 86_400_000;

fn count(c: &Connection, counted: &Counted, held: bool) -> Result<(), StoreError> {
    c.prepare_cached("DELETE FROM source WHERE slot < ?1")?.execute([counted.slot.saturating_sub(COUNTS)])?;
    let mut add = c.prepare_cached(
        "INSERT INTO source VALUES (?1, ?2, 1, ?3)
         ON CONFLICT DO UPDATE SET messages = messages + 1, held = held + ?3",
    )?;
    for name in &counted.names {
        add.execute(params![counted.slot, name, held])?;
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Io(error.to_string()))
}

/// What recording came to.
pub(super) struct Done {
    /// Files that are done with.
    pub(super) files: Vec<String>,
    /// The report was kept before, so that its text is not needed.
    pub(super) report_again: bool,
}

/// Writes results down. A report without a final failure among the results is the warning of a delay.
pub(super) fn record(
    c: &Connection,
    id: MessageId,
    now: Millis,
    results: &[Recorded],
    report: Option<&Parcel>,
) -> Result<Done, StoreError> {
    let (lane, created): (String, Millis) = c
        .prepare_cached("SELECT lane, created FROM message WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(StoreError::Gone)?;
    let shift = portion::to_be_shifted(c, id.0)?;
    for one in results {
        let said = cut(&one.said);
        if let Fate::Retry { due, counts } = one.result {
            let doubt = if one.unknown { due.min(now.saturating_add(schedule::DOUBT)) - shift } else { 0 };
            c.prepare_cached(
                "UPDATE recipient SET due = ?3, attempts = attempts + ?4, last = ?5, unknown = unknown OR ?6, doubt = ?7
                 WHERE message = ?1 AND number = ?2",
            )?
            .execute(params![id.0, one.number, due.saturating_sub(shift), counts, said, one.unknown, doubt])?;
            defer(c, &lane, now, &one.reason)?;
            continue;
        }
        let address: Option<String> = c
            .prepare_cached("DELETE FROM recipient WHERE message = ?1 AND number = ?2 RETURNING address")?
            .query_row(params![id.0, one.number], |row| row.get(0))
            .optional()?;
        if let Some(address) = address {
            c.prepare_cached(
                "INSERT INTO history (message, created, ended, lane, recipient, sent, said, via, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                id.0,
                created,
                now,
                lane,
                address,
                one.result == Fate::Sent,
                said,
                one.via,
                cut(&one.reason)
            ])?;
        }
    }
    let warning = report.is_some() && results.iter().all(|one| one.result != Fate::Failed);
    let files = settle(c, id.0, warning)?;
    let report = report.map(|parcel| accept(c, parcel)).transpose()?;
    Ok(Done { files, report_again: report.is_some_and(|report| report.again) })
}

/// Writes results down, and failures that nobody was told of yet.
pub(super) fn owe(
    c: &Connection,
    id: MessageId,
    now: Millis,
    results: &[Recorded],
    due: Millis,
    failed: &[(u32, Failure)],
) -> Result<Done, StoreError> {
    let due = due.saturating_sub(portion::to_be_shifted(c, id.0)?);
    for (number, failure) in failed {
        c.prepare_cached("UPDATE recipient SET due = ?3, last = ?4, failed = ?5 WHERE message = ?1 AND number = ?2")?
            .execute(params![id.0, number, due, cut(&failure.said), json(failure)?])?;
    }
    record(c, id, now, results, None)
}

/// Counts an attempt that is to be followed by another one.
fn defer(c: &Connection, lane: &str, now: Millis, reason: &str) -> Result<(), StoreError> {
    if !reason.is_empty() {
        c.prepare_cached(
            "INSERT INTO deferral VALUES (?1, ?2, ?3, 1) ON CONFLICT DO UPDATE SET recipients = recipients + 1",
        )?
        .execute(params![now.div_euclid(counts::SLOT), lane, cut(reason)])?;
    }
    Ok(())
}

/// Makes the message's row agree with its recipients; it goes with the last of them.
fn settle(c: &Connection, id: i64, warned: bool) -> Result<Vec<String>, StoreError> {
    let due: Option<Millis> =
        c.prepare_cached("SELECT min(due) FROM recipient WHERE message = ?1")?.query_row([id], |row| row.get(0))?;
    if let Some(due) = due {
        c.prepare_cached("UPDATE message SET due = ?2, warned = warned OR ?3 WHERE id = ?1")?
            .execute(params![id, due, warned])?;
        return Ok(Vec::new());
    }
    remove(c, id)
}

/// Takes a message out with all that belongs to it; the file that is done with.
fn remove(c: &Connection, id: i64) -> Result<Vec<String>, StoreError> {
    let file: Option<Option<String>> = c
        .prepare_cached("DELETE FROM message WHERE id = ?1 RETURNING file")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let Some(file) = file else { return Ok(Vec::new()) };
    c.prepare_cached("DELETE FROM text WHERE id = ?1")?.execute([id])?;
    c.prepare_cached("DELETE FROM recipient WHERE message = ?1")?.execute([id])?;
    c.prepare_cached("UPDATE state SET queued = queued - 1")?.execute([])?;
    Ok(file.into_iter().collect())
}

/// Puts a message on hold, or releases it. `by` is the user who holds it; none is root and the daemon itself.
pub(super) fn hold(c: &Connection, id: i64, reason: Option<&str>, by: Option<u32>) -> Result<(), StoreError> {
    c.prepare_cached("UPDATE message SET hold = ?2, holder = ?3 WHERE id = ?1")?.execute(params![
        id,
        reason.map(cut),
        by
    ])?;
    Ok(())
}

/// Gives a message to another lane. It keeps the grace that it has, as far as the trouble of its lane is over.
pub(super) fn move_lane(c: &Connection, id: MessageId, lane: &str, why: &str) -> Result<(), StoreError> {
    let changed = c
        .prepare_cached(
            "UPDATE message SET home = coalesce(home, lane), moved = ?3, lane = ?2,
                base = base - coalesce((SELECT total FROM downtime WHERE lane = message.lane), 0)
                    + coalesce((SELECT total FROM downtime WHERE lane = ?2), 0)
             WHERE id = ?1",
        )?
        .execute(params![id.0, lane, cut(why)])?;
    if changed == 0 {
        return Err(StoreError::Gone);
    }
    // Due since it was accepted: behind nothing that came later.
    c.prepare_cached(
        "UPDATE recipient SET due = min(due, (SELECT created FROM message WHERE id = ?1)) WHERE message = ?1 AND due < ?2",
    )?
    .execute(params![id.0, NEVER])?;
    settle(c, id.0, false).map(drop)
}

/// Pauses a lane.
pub(super) fn pause(c: &Connection, pause: &Pause) -> Result<(), StoreError> {
    let Pause { lane, until, reason, times, since, firm, down } = pause;
    c.prepare_cached("INSERT OR REPLACE INTO lane VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
        lane,
        until,
        cut(reason),
        times,
        since,
        firm,
        down.unwrap_or_default()
    ])?;
    Ok(())
}

/// The pause of a lane is over: its trouble goes into its downtime.
pub(super) fn resumed(c: &Connection, lane: &str, now: Millis) -> Result<(), StoreError> {
    let since: Option<Option<Millis>> = c
        .prepare_cached("DELETE FROM lane WHERE name = ?1 RETURNING since")?
        .query_row([lane], |row| row.get(0))
        .optional()?;
    if let Some(since) = since.flatten() {
        let since = halts::trouble_over(c, lane, since, now)?;
        halts::downtime(c, lane, now.saturating_sub(since))?;
    }
    Ok(())
}
