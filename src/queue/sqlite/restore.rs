//! `postrider queue salvage`: what was set aside comes back into the queue, and what can be read of a queue from elsewhere.
//!
//! A message that this queue knows already, whether it is still in it or done with, does not come a second time. What nobody
//! can know of a message (whom it was for, whether it was sent meanwhile) makes it come back on hold, with the reason.

use super::aside::{self, beside};
use super::text::{self, Digest, Hashed, Texts};
use super::{SqliteStore, about, change, error, lock, read, salvage};
use crate::envelope::{Dsn, Envelope, ReversePath};
use crate::message::Message;
use crate::message::address::{Address, AddressError, Mailbox};
use crate::message::recipients;
use crate::queue::{MessageId, Millis, NewMessage, Queued, Salvage, Salvaged, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// Messages, and octets of them, that come back in one commit.
const BATCH: (usize, u64) = (64, 16 << 20);
/// Most sentences about what could not come back.
const NOTES: usize = 50;
/// Put behind an address without a domain.
const DOMAIN: &str = "localhost";

const UNKNOWN: &str = "salvaged: the queue that knew whether it was sent is lost; release it to send it, or delete it";
const DAMAGED: &str = "salvaged: its text was damaged on the disk; look at it before you release it";
const GUESSED: &str =
    "salvaged: its envelope is lost; sender and recipients are those of its header, and it may have been sent already";
const NOBODY: &str = "salvaged: its envelope is lost, and its header names no recipient; it would go to its own sender";
const OLD: &str = "salvaged: it is older than what this queue remembers, so that it may have been sent already";

/// Where there is something to bring back.
#[derive(Default)]
struct Found {
    databases: Vec<PathBuf>,
    /// Directories of texts that come back themselves.
    loose: Vec<PathBuf>,
    /// Those where texts that rows name may be.
    texts: Vec<PathBuf>,
    /// What gets another name once it is done.
    done: Vec<PathBuf>,
}

impl SqliteStore {
    /// Brings back what can be read at a place: a queue's directory, a database, or a directory of texts.
    ///
    /// # Errors
    /// It cannot be read, or what comes back cannot be kept; what came back before stays, and does not come again.
    pub(super) fn bring_back(&self, place: &Path, how: &Salvage<'_>) -> Result<Salvaged, StoreError> {
        let found = find(place, &self.directory)?;
        let mut work = Work {
            store: self,
            how,
            found: &found,
            told: Salvaged::default(),
            batch: Vec::new(),
            octets: 0,
            used: HashSet::new(),
        };
        for database in &found.databases {
            work.database(database)?;
        }
        for directory in &found.loose {
            work.loose(directory)?;
        }
        work.commit()?;
        let mut told = work.told;
        for path in &found.done {
            told.kept.push(aside::salvaged(path)?.display().to_string());
        }
        Ok(told)
    }
}

fn find(place: &Path, own: &Path) -> Result<Found, StoreError> {
    let place = place.canonicalize().map_err(|error| error::file(place, &error))?;
    let refuse = |what: &str| Err(StoreError::Io(format!("{} {what}", place.display())));
    let aside = |directory: &Path| aside::list(directory).map_err(|error| error::file(directory, &error));
    let is_texts = |path: &PathBuf| path.is_dir();
    let is_database = |path: &PathBuf| path.to_string_lossy().contains(".damaged-") && !path.is_dir();
    let ours = aside(own)?;
    let mut found = Found { texts: ours.iter().filter(|path| is_texts(path)).cloned().collect(), ..Found::default() };
    found.texts.push(own.join("text"));
    found.texts.extend(aside::texts_of_before(own));
    let inside = place.parent() == Some(own);
    if inside && ours.contains(&place) {
        found.done.push(place.clone());
    } else if inside || place.starts_with(own.join("text")) {
        return refuse("is in use by the queue itself; name the directory for what was set aside in it");
    }
    if !place.is_dir() {
        found.texts.extend(place.parent().map(|parent| parent.join("text")));
        found.databases.push(place);
        return Ok(found);
    }
    if place == own {
        found.databases = ours.iter().filter(|path| is_database(path)).cloned().collect();
        found.loose = ours.iter().filter(|path| is_texts(path)).cloned().collect();
        found.done = ours;
        return Ok(found);
    }
    if lock::is_held(&place.join("lock")) {
        return refuse("is the queue of a process that runs; stop that first");
    }
    let theirs = aside(&place)?;
    let database = place.join("queue.db");
    if database.exists() || beside(&database, "-wal").exists() {
        found.databases.push(database);
    }
    found.databases.extend(theirs.iter().filter(|path| is_database(path)).cloned());
    found.loose.extend(Some(place.join("text")).filter(is_texts));
    found.loose.extend(theirs.into_iter().filter(is_texts));
    if found.databases.is_empty() && found.loose.is_empty() {
        found.loose.push(place);
    }
    found.texts.extend(found.loose.iter().cloned());
    Ok(found)
}

struct Work<'w> {
    store: &'w SqliteStore,
    how: &'w Salvage<'w>,
    found: &'w Found,
    told: Salvaged,
    batch: Vec<NewMessage>,
    octets: u64,
    /// Files of texts that rows named.
    used: HashSet<PathBuf>,
}

impl Work<'_> {
    /// Everything readable of a database, through a sound one that is filled with it.
    fn database(&mut self, database: &Path) -> Result<(), StoreError> {
        let directory = &self.store.directory;
        let heads = database.parent().unwrap_or(directory);
        let (part, source, saved) = salvage::filled(directory, database, heads, "queue.db.salvage")?;
        self.told.lost += saved.lost;
        if saved.lost > 0 {
            self.note(format!("{}: {} of its messages cannot be read", database.display(), saved.lost));
        }
        let ids: Vec<i64> = source
            .prepare("SELECT id FROM message ORDER BY id")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in ids {
            self.row(&source, MessageId(id))?;
        }
        drop(source);
        salvage::remove(&part)
    }

    fn row(&mut self, source: &Connection, id: MessageId) -> Result<(), StoreError> {
        let queued = match read::queued(source, id)? {
            Some(Ok(queued)) => queued,
            Some(Err(why)) => return self.skip(format!("message {id}: {why}")),
            None => return Ok(()),
        };
        let submission: Option<String> = source
            .prepare_cached("SELECT id FROM submission WHERE message = ?1")?
            .query_row([id.0], |row| row.get(0))
            .optional()?;
        let is_known = submission.is_some();
        if submission.as_deref().map_or(Ok(false), |submission| self.is_there(submission))? {
            self.told.known += 1;
            return self.name(source, id);
        }
        let (place, digest) = match read::text(source, id) {
            Err(StoreError::Text(why)) => return self.skip(format!("message {id}: {why}")),
            text => text?,
        };
        let (message, digest) = match self.text(place, digest) {
            Ok(text) => text,
            Err(why) => return self.skip(format!("message {id}: {why}")),
        };
        let submission = submission.unwrap_or_else(|| hex(digest));
        if self.is_there(&submission)? {
            self.told.known += 1;
            return Ok(());
        }
        match again(queued, submission, message, self.how.since, is_known) {
            Some(new) => self.keep(new),
            None => self.skip(format!("message {id}: it has no recipients")),
        }
    }

    /// The file of a message that needs not come back is no mail of its own.
    fn name(&mut self, source: &Connection, id: MessageId) -> Result<(), StoreError> {
        if let Ok((read::Place::File(name, _), _)) = read::text(source, id) {
            self.used.extend(self.found.texts.iter().map(|directory| directory.join(&name)));
        }
        Ok(())
    }

    /// The text of a row, wherever its file is now.
    fn text(&mut self, place: read::Place, digest: Option<Digest>) -> Result<(Message, Digest), String> {
        let (name, size) = match place {
            read::Place::Inline(octets) => {
                let message = text::checked(&octets, digest).map_err(|error| error.to_string())?;
                return Ok((message, text::digest(&octets)));
            }
            read::Place::File(name, size) => (name, size),
        };
        let there = self.found.texts.iter().find(|directory| directory.join(&name).is_file());
        let directory = there.ok_or_else(|| format!("its text {name} is not there"))?;
        self.used.insert(directory.join(&name));
        let message = Texts::new(directory.clone()).open(&name, size, digest).map_err(|error| error.to_string())?;
        let digest = digest.unwrap_or_else(|| Hashed::new(message.wire()).digest());
        Ok((message, digest))
    }

    /// The texts of a directory that no row named.
    fn loose(&mut self, directory: &Path) -> Result<(), StoreError> {
        let entries = std::fs::read_dir(directory).map_err(|error| error::file(directory, &error))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|error| error::file(directory, &error))?.path());
        }
        paths.sort();
        for path in paths.into_iter().filter(|path| path.is_file()) {
            if self.used.contains(&path) {
                continue;
            }
            match self.file(&path) {
                Ok(Some(new)) if self.is_there(&new.submission)? => self.told.known += 1,
                Ok(Some(new)) => self.keep(new)?,
                Ok(None) => self.lose(format!("{}: neither a sender nor a recipient can be known", path.display())),
                Err(why) => self.lose(format!("{}: {why}", path.display())),
            }
        }
        Ok(())
    }

    /// A message from a file alone.
    fn file(&self, path: &Path) -> Result<Option<NewMessage>, String> {
        let told = |error: std::io::Error| error.to_string();
        let mut file = about::open(path).map_err(told)?;
        let about = about::read(&mut file).map_err(told)?;
        let length = file.metadata().map_err(told)?.len();
        file.rewind().map_err(told)?;
        let mut hashed = Hashed::new(file.take(about.as_ref().map_or(length, |about| about.size)));
        let message = text::parse(&mut hashed).map_err(|error| error.to_string())?;
        let digest = hashed.digest();
        Ok(match about {
            Some(about) => known(about, digest, message),
            None => self.guessed(digest, message),
        })
    }

    /// A message of which the header is all that is known.
    fn guessed(&self, digest: Digest, message: Message) -> Option<NewMessage> {
        let of = |list: Result<Vec<Mailbox>, AddressError>| -> Vec<Address> {
            list.unwrap_or_default().into_iter().map(|one| one.address).collect()
        };
        let from = of(recipients::from(&message.header, DOMAIN)).into_iter().next();
        let named = of(recipients::extract(&message.header, DOMAIN));
        let hold = if named.is_empty() { NOBODY } else { GUESSED };
        let recipients = if named.is_empty() { from.clone().into_iter().collect() } else { named };
        let path = from.clone().map_or(ReversePath::Null, ReversePath::Address);
        let now = crate::sys::clock::millis();
        Some(NewMessage {
            submission: hex(digest),
            uid: self.how.uid,
            lane: (self.how.lane)(from.as_ref()),
            header_from: from.map(|from| from.to_string()).unwrap_or_default(),
            envelope: Envelope::new(path, recipients, Dsn::default())?,
            tag: None,
            message,
            now,
            due: now,
            hold: Some(hold.into()),
            report: false,
            bulk: false,
            in_doubt: Vec::new(),
            counted: None,
        })
    }

    fn is_there(&self, submission: &str) -> Result<bool, StoreError> {
        let waits = self.batch.iter().any(|one| one.submission == submission);
        Ok(waits || read::submission(&super::lock(&self.store.operator), submission)?.is_some())
    }

    fn keep(&mut self, new: NewMessage) -> Result<(), StoreError> {
        self.octets += new.message.wire_size();
        self.batch.push(new);
        if self.batch.len() >= BATCH.0 || self.octets >= BATCH.1 { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        self.octets = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let held: Vec<bool> = batch.iter().map(|one| one.hold.is_some()).collect();
        let (parcels, files) = self.store.parcels(batch)?;
        let kept = self.store.writer.change(move |c| {
            let kept = parcels
                .iter()
                .map(|parcel| Ok((change::accept(c, parcel)?.again, parcel.text.file().map(str::to_owned))));
            kept.collect::<Result<Vec<_>, StoreError>>()
        });
        let kept = kept.inspect_err(|_| self.store.texts.remove(&files))?;
        for ((again, file), held) in kept.into_iter().zip(held) {
            if again {
                self.told.known += 1;
                self.store.drop_text(file);
                continue;
            }
            self.told.back += 1;
            self.told.held += u64::from(held);
        }
        Ok(())
    }

    /// A row that cannot come back is told, and the next is looked at.
    fn skip(&mut self, what: String) -> Result<(), StoreError> {
        self.lose(what);
        Ok(())
    }

    fn lose(&mut self, what: String) {
        self.told.lost += 1;
        self.note(what);
    }

    fn note(&mut self, what: String) {
        tracing::warn!("salvage: {what}");
        if self.told.notes.len() < NOTES {
            self.told.notes.push(what);
        }
    }
}

/// A message of a row as one to be kept, with the hold that it had or needs.
fn again(queued: Queued, submission: String, message: Message, since: Millis, is_known: bool) -> Option<NewMessage> {
    let envelope = queued.envelope(&queued.recipients.iter().collect::<Vec<_>>())?;
    let doubtful = queued.recipients.iter().filter(|one| one.unknown).map(|one| one.address.clone()).collect();
    let hold = match queued.hold {
        Some(hold) => Some(hold),
        None if !is_known => Some(UNKNOWN.into()),
        None => (queued.created < since).then(|| OLD.into()),
    };
    Some(NewMessage {
        submission,
        uid: queued.uid,
        lane: queued.lane,
        header_from: queued.header_from,
        envelope,
        tag: queued.tag,
        message,
        now: queued.created,
        due: queued.recipients.iter().map(|one| one.due).min()?,
        hold,
        report: queued.report,
        bulk: queued.bulk,
        in_doubt: doubtful,
        counted: None,
    })
}

/// A message of a file that says what it belongs to.
fn known(about: about::About, digest: Digest, message: Message) -> Option<NewMessage> {
    let parse = |text: &String| Address::parse(text).ok();
    let from = about.from.as_ref().and_then(parse).map_or(ReversePath::Null, ReversePath::Address);
    let recipients = about.recipients.iter().filter_map(parse).collect();
    let hold = if digest == about.digest { UNKNOWN } else { DAMAGED };
    Some(NewMessage {
        submission: about.submission,
        uid: about.uid,
        lane: about.lane,
        header_from: about.header_from,
        envelope: Envelope::new(from, recipients, about.dsn)?,
        tag: about.tag,
        message,
        now: about.now,
        due: about.now,
        hold: Some(hold.into()),
        report: about.report,
        bulk: about.bulk,
        in_doubt: Vec::new(),
        counted: None,
    })
}

fn hex(digest: Digest) -> String {
    digest.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
