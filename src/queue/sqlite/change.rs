//! What changes the queue, in SQL. Every function runs within a transaction of the writer and leaves the commit
//! to it; files that are done with are named to the caller, who removes them after the commit.

use super::said::cut;
use super::text::Text;
use super::{counts, halts, read};
use crate::envelope::Dsn;
use crate::queue::{
    Accepted, Action, Counted, Fate, Filter, MessageId, Millis, NEVER, NewMessage, Pause, Recorded, StoreError,
};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

/// Attempts that began before a pause and failed in it wait this much longer at most.
const PAUSED_TOGETHER: Millis = 60_000;
/// A new message's row.
const INSERT: &str = "INSERT INTO message
    (id, uid, lane, header_from, sender, dsn, tag, size, created, due, hold, report, warned, file, bulk, base)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13, ?14,
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
    ])?;
    if let Text::Inline(octets) = &parcel.text {
        c.prepare_cached("INSERT INTO text VALUES (?1, ?2)")?.execute(params![id, octets])?;
    }
    let mut insert = c.prepare_cached(
        "INSERT INTO recipient (message, number, address, attempts, due, dsn) VALUES (?1, ?2, ?3, 0, ?4, ?5)",
    )?;
    for (number, address) in (0u32..).zip(new.envelope.recipients()) {
        // The canonical form is made only where it is looked for.
        let asked = if asked.is_empty() { None } else { asked.get(&address.canonical()) };
        insert.execute(params![id, number, address.as_str(), new.due, asked.map(json).transpose()?])?;
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
    for one in results {
        let said = cut(&one.said);
        if let Fate::Retry { due, counts } = one.result {
            c.prepare_cached(
                "UPDATE recipient SET due = ?3, attempts = attempts + ?4, last = ?5, unknown = unknown OR ?6
                 WHERE message = ?1 AND number = ?2",
            )?
            .execute(params![id.0, one.number, due, counts, said, one.unknown])?;
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

/// Carries an action out on all messages that fit: how many, and the files that are done with.
pub(super) fn act(
    c: &Connection,
    filter: &Filter,
    action: &Action,
    now: Millis,
) -> Result<(u64, Vec<String>), StoreError> {
    let mut files = Vec::new();
    let ids = read::fitting(c, filter, usize::MAX)?;
    for id in &ids {
        match action {
            Action::Retry => {
                c.prepare_cached("UPDATE recipient SET due = ?2 WHERE message = ?1")?.execute(params![id, now])?;
                c.prepare_cached("UPDATE message SET due = ?2 WHERE id = ?1")?.execute(params![id, now])?;
            }
            Action::Hold(reason) => hold(c, *id, Some(reason), filter.uid)?,
            Action::Release => hold(c, *id, None, None)?,
            Action::Delete => files.append(&mut remove(c, *id)?),
        }
    }
    Ok((ids.len() as u64, files))
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

/// Opens a lane: its trouble goes into its downtime, and what waited for the end is due.
pub(super) fn resume(c: &Connection, lane: &str, now: Millis) -> Result<(), StoreError> {
    let pause: Option<(Millis, Option<Millis>)> = c
        .prepare_cached("DELETE FROM lane WHERE name = ?1 RETURNING until, since")?
        .query_row([lane], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((until, since)) = pause else { return Ok(()) };
    if let Some(since) = since {
        let since = halts::trouble_over(c, lane, since, now)?;
        halts::downtime(c, lane, now.saturating_sub(since))?;
    }
    let until = until.saturating_add(PAUSED_TOGETHER);
    let waiting: Vec<i64> = c
        .prepare_cached("SELECT id FROM message WHERE hold IS NULL AND lane = ?1 AND due > ?2 AND due <= ?3")?
        .query_map(params![lane, now, until], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in waiting {
        c.prepare_cached("UPDATE recipient SET due = ?2 WHERE message = ?1 AND due > ?2 AND due <= ?3")?
            .execute(params![id, now, until])?;
        settle(c, id, false)?;
    }
    Ok(())
}

/// Moves all times of what is queued. The time of acceptance moves along, as the age is reckoned from it.
pub(super) fn shift(c: &Connection, by: i64) -> Result<(), StoreError> {
    c.execute("UPDATE recipient SET due = due + ?1 WHERE due < ?2", [by, NEVER])?;
    c.execute("UPDATE message SET due = iif(due < ?2, due + ?1, due), created = created + ?1", [by, NEVER])?;
    c.execute("UPDATE lane SET until = until + ?1, since = since + ?1, down = iif(down > 0, down + ?1, 0)", [by])?;
    c.execute("UPDATE halt SET since = since + ?1, until = until + ?1", [by])?;
    Ok(())
}

/// Forgets what is older; the submissions of messages that are still queued stay.
pub(super) fn forget(c: &Connection, before: Millis) -> Result<(), StoreError> {
    c.execute("DELETE FROM history WHERE ended < ?1", [before])?;
    c.execute("DELETE FROM deferral WHERE slot < ?1", [before.div_euclid(counts::SLOT)])?;
    c.execute(
        "DELETE FROM submission WHERE created < ?1 AND NOT EXISTS (SELECT 1 FROM message WHERE id = submission.message)",
        [before],
    )?;
    c.execute("DELETE FROM lane WHERE until < ?1", [before])?;
    Ok(())
}
