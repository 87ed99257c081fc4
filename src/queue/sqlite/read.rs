//! What is read from the queue, in SQL: the next messages, lists, the history. Changes nothing.
//!
//! What runs often costs the same however much is queued: one index answers it, and no more rows are read than asked for.

use super::halts;
use super::text::Digest;
use crate::envelope::{Dsn, ReversePath};
use crate::message::address::Address;
use crate::queue::{
    Busy, Filter, Grace, MessageId, Millis, Moved, Past, Pause, Queued, QueuedRecipient, Source, StoreError,
};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params, params_from_iter};
use serde::de::DeserializeOwned;
use std::collections::HashSet;

/// The next lane in order of names that has a message which is not on hold.
pub(super) const NEXT_LANE: &str =
    "SELECT lane FROM message INDEXED BY message_due WHERE hold IS NULL AND lane > ?1 ORDER BY lane LIMIT 1";
/// The single or the bulk messages of a lane, earliest due first.
pub(super) const OF_LANE: &str = "SELECT due, id FROM message INDEXED BY message_due WHERE hold IS NULL AND lane = ?1 AND bulk = ?2 AND due <= ?3 ORDER BY due, id";
/// Messages of a lane that are due in a stretch of time.
pub(super) const WAITING: &str = "SELECT id FROM message INDEXED BY message_due
     WHERE hold IS NULL AND lane = ?1 AND bulk = ?2 AND due > ?3 AND due <= ?4";
/// Takes the oldest results out.
pub(super) const OLD_HISTORY: &str = "DELETE FROM history
     WHERE id IN (SELECT id FROM history INDEXED BY history_ended WHERE ended < ?1 ORDER BY ended LIMIT ?2)";
/// What was counted from a time on.
pub(super) const COUNTED: &str = "SELECT slot, name, messages, held FROM source WHERE slot >= ?1 ORDER BY slot, name";
/// The newest results.
pub(super) const HISTORY: &str = "SELECT message, created, ended, lane, recipient, sent, said FROM history
     WHERE ended >= ?1 ORDER BY ended DESC, id DESC LIMIT ?2";

/// Whether a row names a file.
pub(super) fn names(connection: &Connection, file: &str) -> Result<bool, StoreError> {
    let mut found = connection.prepare_cached("SELECT 1 FROM message WHERE file = ?1")?;
    Ok(found.query_row([file], |_| Ok(())).optional()?.is_some())
}

/// The message of a submission that was accepted before.
pub(super) fn submission(c: &Connection, id: &str) -> Result<Option<MessageId>, StoreError> {
    let mut known = c.prepare_cached("SELECT message FROM submission WHERE id = ?1")?;
    Ok(known.query_row([id], |row| row.get(0)).optional()?.map(MessageId))
}

/// The last number that was given.
pub(super) fn last(c: &Connection) -> Result<i64, StoreError> {
    Ok(c.prepare_cached("SELECT last FROM state")?.query_row([], |row| row.get(0))?)
}

/// Until when a lane is paused, where it is.
pub(super) fn paused_until(c: &Connection, lane: &str) -> Result<Option<Millis>, StoreError> {
    let mut until = c.prepare_cached("SELECT until FROM lane WHERE name = ?1")?;
    Ok(until.query_row([lane], |row| row.get(0)).optional()?)
}

/// The messages of a lane that are due in a stretch of time.
pub(super) fn waiting_until(c: &Connection, lane: &str, now: Millis, until: Millis) -> Result<Vec<i64>, StoreError> {
    let mut waiting: Vec<i64> = Vec::new();
    for bulk in [false, true] {
        let mut statement = c.prepare_cached(WAITING)?;
        let found = statement.query_map(params![lane, bulk, now, until], |row| row.get(0))?;
        waiting.extend(found.collect::<Result<Vec<i64>, _>>()?);
    }
    Ok(waiting)
}

/// Submissions after one that are older and whose message is done with, of so many that are looked through; and the last
/// of these, where there may be more.
pub(super) fn old_submissions(
    c: &Connection,
    after: &str,
    before: Millis,
    limit: usize,
) -> Result<(Vec<String>, Option<String>), StoreError> {
    let mut statement = c.prepare_cached(
        "SELECT id, created < ?2 AND NOT EXISTS (SELECT 1 FROM message WHERE id = submission.message)
         FROM submission WHERE id > ?1 ORDER BY id LIMIT ?3",
    )?;
    let mut rows = statement.query(params![after, before, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let (mut old, mut last, mut count) = (Vec::new(), None, 0);
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        if row.get(1)? {
            old.push(id.clone());
        }
        (last, count) = (Some(id), count + 1);
    }
    Ok((old, last.filter(|_| count == limit)))
}

/// Lanes that have a message which is not on hold.
fn lanes(c: &Connection) -> Result<Vec<String>, StoreError> {
    let mut next = c.prepare_cached(NEXT_LANE)?;
    let mut lanes: Vec<String> = Vec::new();
    // No lane has an empty name: names are those of senders and accounts.
    while let Some(lane) = next.query_row([lanes.last().map_or("", String::as_str)], |row| row.get(0)).optional()? {
        lanes.push(lane);
    }
    Ok(lanes)
}

/// Messages that are due, single before bulk and then earliest first, of lanes that are neither paused nor busy, but for
/// those that are claimed.
pub(super) fn due(
    c: &Connection,
    now: Millis,
    busy: &[Busy],
    claimed: &HashSet<MessageId>,
    limit: usize,
) -> Result<Vec<MessageId>, StoreError> {
    let troubled = pauses(c)?.into_iter().filter(|pause| pause.until > now).map(|pause| pause.lane);
    let halted = halts::all(c)?.into_iter().filter(|halt| halt.holds(now)).map(|halt| halt.lane);
    let paused: HashSet<String> = troubled.chain(halted).collect();
    let mut found: Vec<(bool, Millis, MessageId)> = Vec::new();
    for lane in lanes(c)?.iter().filter(|lane| !paused.contains(*lane)) {
        for bulk in [false, true] {
            if !busy.iter().any(|busy| busy.is(lane, bulk)) {
                let of_lane = first_of(c, lane, bulk, now, claimed, limit)?;
                found.extend(of_lane.into_iter().map(|(due, id)| (bulk, due, id)));
            }
        }
    }
    found.sort_unstable();
    found.truncate(limit);
    Ok(found.into_iter().map(|(.., id)| id).collect())
}

fn first_of(
    c: &Connection,
    lane: &str,
    bulk: bool,
    until: Millis,
    claimed: &HashSet<MessageId>,
    limit: usize,
) -> Result<Vec<(Millis, MessageId)>, StoreError> {
    let mut statement = c.prepare_cached(OF_LANE)?;
    let mut rows = statement.query(params![lane, bulk, until])?;
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(row) = rows.next()? else { break };
        let id = MessageId(row.get(1)?);
        if !claimed.contains(&id) {
            found.push((row.get(0)?, id));
        }
    }
    Ok(found)
}

/// When the next message that is not claimed is due; where its lane is paused, not before the pause ends.
pub(super) fn next_due(c: &Connection, claimed: &HashSet<MessageId>) -> Result<Option<Millis>, StoreError> {
    let (pauses, halts) = (pauses(c)?, halts::all(c)?);
    let mut next = None;
    for lane in lanes(c)? {
        let halt = halts.iter().find(|halt| halt.lane == lane);
        if halt.is_some_and(|halt| halt.until.is_none()) {
            continue;
        }
        let pause = pauses.iter().find(|pause| pause.lane == lane).map(|pause| pause.until);
        let until = pause.max(halt.and_then(|halt| halt.until));
        for bulk in [false, true] {
            let first = first_of(c, &lane, bulk, Millis::MAX, claimed, 1)?.first().map(|(due, _)| *due);
            let due = first.map(|due| due.max(until.unwrap_or(due)));
            next = [next, due].into_iter().flatten().min();
        }
    }
    Ok(next)
}

/// All pauses, those that are over included.
pub(super) fn pauses(c: &Connection) -> Result<Vec<Pause>, StoreError> {
    let mut statement =
        c.prepare_cached("SELECT name, until, reason, times, since, firm, down FROM lane ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        let down = Some(row.get(6)?).filter(|down| *down > 0);
        let (lane, until, reason, times) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Pause { lane, until, reason, times, since: row.get(4)?, firm: row.get(5)?, down })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The numbers of the messages that fit, oldest first.
pub(super) fn fitting(c: &Connection, filter: &Filter, limit: usize) -> Result<Vec<i64>, StoreError> {
    let (sql, values) = query(filter, limit);
    let mut statement = c.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The same, and what was found by then where the connection's time is over.
pub(super) fn found(c: &Connection, filter: &Filter, limit: usize) -> Result<Vec<MessageId>, StoreError> {
    let (sql, values) = query(filter, limit);
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    loop {
        match rows.next() {
            Ok(Some(row)) => found.push(MessageId(row.get(0)?)),
            Ok(None) => return Ok(found),
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::OperationInterrupted) => {
                return Err(error.into());
            }
            Err(_) if found.is_empty() => return Err(StoreError::Search),
            Err(_) => return Ok(found),
        }
    }
}

/// The query of a filter and its values.
pub(super) fn query(filter: &Filter, limit: usize) -> (String, Vec<Value>) {
    let mut clauses = vec!["1"];
    let mut values = Vec::new();
    if !filter.ids.is_empty() {
        clauses.push("id IN (SELECT value FROM json_each(?))");
        let ids: Vec<String> = filter.ids.iter().map(|id| id.0.to_string()).collect();
        values.push(Value::Text(format!("[{}]", ids.join(","))));
    }
    if let Some(sender) = &filter.sender {
        clauses.push("instr(lower(lane || char(10) || header_from || char(10) || coalesce(sender, '<>')), ?) > 0");
        values.push(Value::Text(sender.to_ascii_lowercase()));
    }
    if let Some(lane) = &filter.lane {
        clauses.push("lane = ?");
        values.push(Value::Text(lane.clone()));
    }
    if let Some(recipient) = &filter.recipient {
        clauses.push("EXISTS (SELECT 1 FROM recipient WHERE message = message.id AND instr(lower(address), ?) > 0)");
        values.push(Value::Text(recipient.to_ascii_lowercase()));
    }
    if let Some(before) = filter.before {
        clauses.push("created < ?");
        values.push(Value::Integer(before));
    }
    match filter.held {
        Some(true) => clauses.push("hold IS NOT NULL"),
        Some(false) => clauses.push("hold IS NULL"),
        None => {}
    }
    if let Some(begin) = &filter.because {
        clauses.push("instr(hold, ?) = 1");
        values.push(Value::Text(begin.clone()));
    }
    match filter.tried {
        Some(true) => clauses.push("EXISTS (SELECT 1 FROM recipient WHERE message = message.id AND attempts > 0)"),
        Some(false) => clauses.push("NOT EXISTS (SELECT 1 FROM recipient WHERE message = message.id AND attempts > 0)"),
        None => {}
    }
    if let Some(uid) = filter.uid {
        clauses.push("uid = ?");
        values.push(Value::Integer(uid.into()));
    }
    // The daemon's own holds have no holder: they are nobody's but root's.
    if let (Some(uid), Some(touchable)) = (filter.uid, filter.touchable) {
        clauses.push(if touchable { "(hold IS NULL OR holder IS ?)" } else { "hold IS NOT NULL AND holder IS NOT ?" });
        values.push(Value::Integer(uid.into()));
    }
    if let Some(after) = filter.after {
        clauses.push("id > ?");
        values.push(Value::Integer(after.0));
    }
    values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    (format!("SELECT id FROM message WHERE {} ORDER BY id LIMIT ?", clauses.join(" AND ")), values)
}

/// A message without its text; `None` where it is gone. The inner error is of the row: this one message cannot be used.
pub(super) fn queued(c: &Connection, id: MessageId) -> Result<Option<Result<Queued, String>>, StoreError> {
    queued_within(c, id, Room { recipients: usize::MAX, octets: usize::MAX })
}

/// How many recipients of a message are read, and how many octets of them.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) recipients: usize,
    pub(super) octets: usize,
}

/// The same with no more recipients than there is room for.
pub(super) fn queued_within(
    c: &Connection,
    id: MessageId,
    room: Room,
) -> Result<Option<Result<Queued, String>>, StoreError> {
    let mut statement = c.prepare_cached(
        "SELECT uid, lane, header_from, sender, dsn, tag, size, created, hold, report, warned, home, moved,
            coalesce((SELECT total FROM downtime WHERE downtime.lane = message.lane), 0) - base,
            (SELECT min(since) FROM (SELECT since FROM lane WHERE name = message.lane
                UNION ALL SELECT since FROM halt WHERE halt.lane = message.lane)), bulk
         FROM message WHERE id = ?1",
    )?;
    let found = statement.query_row([id.0], |row| head(id, row)).optional()?;
    let Some(found) = found else { return Ok(None) };
    let recipients = match recipients(c, id, room)? {
        Ok(recipients) if recipients.is_empty() => Err("the queue holds the message without its recipients".into()),
        recipients => recipients,
    };
    Ok(Some(found.and_then(|message| Ok(Queued { recipients: recipients?, ..message }))))
}

/// The lane of a message.
pub(super) fn lane_of(c: &Connection, id: MessageId) -> Result<Option<String>, StoreError> {
    let mut statement = c.prepare_cached("SELECT lane FROM message WHERE id = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get(0)).optional()?)
}

/// Whether messages have more recipients together than that.
pub(super) fn are_more(c: &Connection, ids: &[i64], most: usize) -> Result<bool, StoreError> {
    let mut statement = c.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM recipient WHERE message IN (SELECT value FROM json_each(?1)) LIMIT ?2)",
    )?;
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    let limit = i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX);
    let count: i64 = statement.query_row(params![format!("[{}]", ids.join(",")), limit], |row| row.get(0))?;
    Ok(count == limit)
}

/// How many recipients a message has.
pub(super) fn recipients_of(c: &Connection, id: MessageId) -> Result<u64, StoreError> {
    let mut statement = c.prepare_cached("SELECT count(*) FROM recipient WHERE message = ?1")?;
    Ok(statement.query_row([id.0], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// The first recipients of a message, as many as there is room for.
fn recipients(
    c: &Connection,
    id: MessageId,
    Room { recipients: most, octets }: Room,
) -> Result<Result<Vec<QueuedRecipient>, String>, StoreError> {
    let mut statement = c.prepare_cached(
        "SELECT number, address, attempts, due, last, dsn, unknown, failed FROM recipient WHERE message = ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([id.0])?;
    let (mut recipients, mut used) = (Vec::new(), 0);
    while recipients.len() < most && used < octets {
        let Some(row) = rows.next()? else { break };
        let address: String = row.get(1)?;
        let Ok(address) = Address::parse(&address) else {
            return Ok(Err(format!("the queue holds a recipient that cannot be read: {}", address.escape_debug())));
        };
        let (number, attempts) = (row.get(0)?, row.get(2)?);
        let dsn = match options(row.get(5)?) {
            Ok(dsn) => dsn,
            Err(why) => return Ok(Err(why)),
        };
        let (due, last, unknown): (_, Option<String>, _) = (row.get(3)?, row.get(4)?, row.get(6)?);
        let failed = match options(row.get(7)?) {
            Ok(failed) => failed,
            Err(why) => return Ok(Err(why)),
        };
        used += address.as_str().len() + last.as_deref().map_or(0, str::len);
        recipients.push(QueuedRecipient { number, address, dsn, attempts, due, last, unknown, failed });
    }
    Ok(Ok(recipients))
}

fn head(id: MessageId, row: &Row<'_>) -> rusqlite::Result<Result<Queued, String>> {
    let from = match row.get::<_, Option<String>>(3)? {
        None => ReversePath::Null,
        Some(text) => match Address::parse(&text) {
            Ok(address) => ReversePath::Address(address),
            Err(_) => return Ok(Err(format!("the queue holds a sender that cannot be read: {}", text.escape_debug()))),
        },
    };
    let dsn: Dsn = match options(row.get(4)?) {
        Ok(dsn) => dsn,
        Err(why) => return Ok(Err(why)),
    };
    let home: Option<String> = row.get(11)?;
    let why: Option<String> = row.get(12)?;
    Ok(Ok(Queued {
        id,
        uid: row.get(0)?,
        lane: row.get(1)?,
        header_from: row.get(2)?,
        from,
        dsn,
        tag: row.get(5)?,
        size: row.get::<_, i64>(6)?.cast_unsigned(),
        created: row.get(7)?,
        hold: row.get(8)?,
        report: row.get(9)?,
        warned: row.get(10)?,
        bulk: row.get(15)?,
        claimed: false,
        moved: home.map(|from| Moved { from, why: why.unwrap_or_default() }),
        grace: Grace { before: row.get(13)?, since: row.get(14)? },
        recipients: Vec::new(),
    }))
}

/// What was asked about notifications; nothing where nothing was.
fn options<T: DeserializeOwned + Default>(text: Option<String>) -> Result<T, String> {
    let read = text.map(|text| serde_json::from_str(&text)).transpose();
    read.map(Option::unwrap_or_default)
        .map_err(|error| format!("the queue holds DSN options or a failure that cannot be read: {error}"))
}

/// Where a text is: in the database, or the file and the size that it must have.
pub(super) enum Place {
    Inline(Vec<u8>),
    File(String, u64),
}

/// The text of a message, and its checksum where it has one.
pub(super) fn text(c: &Connection, id: MessageId) -> Result<(Place, Option<Digest>), StoreError> {
    let (file, size, digest): (Option<String>, i64, Option<Digest>) = c
        .prepare_cached("SELECT file, size, digest FROM message WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?
        .ok_or(StoreError::Gone)?;
    if let Some(file) = file {
        return Ok((Place::File(file, size.cast_unsigned()), digest));
    }
    let octets: Option<Vec<u8>> =
        c.prepare_cached("SELECT octets FROM text WHERE id = ?1")?.query_row([id.0], |row| row.get(0)).optional()?;
    let octets = octets.ok_or_else(|| StoreError::Text("the queue has lost its text".into()))?;
    Ok((Place::Inline(octets), digest))
}

/// How many messages there are.
pub(super) fn count(c: &Connection) -> Result<u64, StoreError> {
    let count: i64 = c.prepare_cached("SELECT queued FROM state")?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// How many messages a user has.
pub(super) fn count_of(c: &Connection, uid: u32) -> Result<u64, StoreError> {
    let mut statement = c.prepare_cached("SELECT count(*) FROM message WHERE uid = ?1")?;
    Ok(statement.query_row([uid], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// What was counted, earliest first.
pub(super) fn counted(c: &Connection, since: Millis) -> Result<Vec<Source>, StoreError> {
    let mut statement = c.prepare_cached(COUNTED)?;
    let rows = statement.query_map([since], |row| {
        Ok(Source { slot: row.get(0)?, name: row.get(1)?, messages: row.get(2)?, held: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many recipients the messages of a lane have that are not on hold.
pub(super) fn waiting(c: &Connection, lane: &str) -> Result<u64, StoreError> {
    let mut statement = c.prepare_cached(
        "SELECT count(*) FROM message JOIN recipient ON recipient.message = message.id
         WHERE hold IS NULL AND lane = ?1",
    )?;
    let count: i64 = statement.query_row([lane], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Final results, newest first.
pub(super) fn history(c: &Connection, since: Millis, limit: usize) -> Result<Vec<Past>, StoreError> {
    let mut statement = c.prepare_cached(HISTORY)?;
    let rows = statement.query_map(params![since, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(Past {
            id: MessageId(row.get(0)?),
            created: row.get(1)?,
            ended: row.get(2)?,
            lane: row.get(3)?,
            recipient: row.get(4)?,
            sent: row.get(5)?,
            said: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
