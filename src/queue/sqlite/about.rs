//! What stands in the file of a large text behind the text: the envelope, so that the file is mail even without its row.
//!
//! ```text
//! text   JSON About   "POSTRIDER-TEXT-1"   u64 octets of the JSON, big-endian
//! ```
//!
//! Files of older programs hold the text alone; their names have no suffix.

use super::text::Digest;
use crate::queue::{Millis, NewMessage};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The end of the name of a file that has it.
pub(super) const SUFFIX: &str = ".text";
const MARK: &[u8; 16] = b"POSTRIDER-TEXT-1";
/// The mark and the number behind it.
const FOOT: u64 = 24;
/// More than any envelope has, octets.
const LONGEST: u64 = 64 << 20;

/// What was accepted with the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) size: u64,
    pub(super) digest: Digest,
    pub(super) submission: String,
    pub(super) uid: u32,
    pub(super) lane: String,
    pub(super) header_from: String,
    pub(super) from: Option<String>,
    pub(super) recipients: Vec<String>,
    pub(super) dsn: crate::envelope::Dsn,
    pub(super) tag: Option<String>,
    pub(super) now: Millis,
    pub(super) report: bool,
    pub(super) bulk: bool,
}

impl About {
    fn of(new: &NewMessage, digest: Digest) -> Self {
        Self {
            size: new.message.wire_size(),
            digest,
            submission: new.submission.clone(),
            uid: new.uid,
            lane: new.lane.clone(),
            header_from: new.header_from.clone(),
            from: new.envelope.from.address().map(ToString::to_string),
            recipients: new.envelope.recipients().iter().map(ToString::to_string).collect(),
            dsn: new.envelope.dsn.clone(),
            tag: new.tag.clone(),
            now: new.now,
            report: new.report,
            bulk: new.bulk,
        }
    }
}

/// Writes it behind the text.
pub(super) fn write(out: &mut impl Write, new: &NewMessage, digest: Digest) -> io::Result<()> {
    let json = serde_json::to_vec(&About::of(new, digest)).map_err(io::Error::other)?;
    out.write_all(&json)?;
    out.write_all(MARK)?;
    out.write_all(&(json.len() as u64).to_be_bytes())
}

/// How many octets stand behind the text, where a file has that; the file stands at the JSON then.
fn seek(file: &mut File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let Some(foot) = length.checked_sub(FOOT) else { return Ok(None) };
    file.seek(SeekFrom::Start(foot))?;
    let (mut mark, mut number) = ([0; 16], [0; 8]);
    file.read_exact(&mut mark)?;
    file.read_exact(&mut number)?;
    let json = u64::from_be_bytes(number);
    let Some(at) = foot.checked_sub(json).filter(|_| mark == *MARK && json <= LONGEST) else { return Ok(None) };
    file.seek(SeekFrom::Start(at))?;
    Ok(Some(json))
}

/// What a file says of its text; none where it says nothing, or not all of it is there.
pub(super) fn read(file: &mut File) -> io::Result<Option<About>> {
    let Some(json) = seek(file)? else { return Ok(None) };
    let at = file.stream_position()?;
    let mut text = Vec::new();
    file.take(json).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok().filter(|about: &About| about.size == at))
}

/// The same of a file by its name.
pub(super) fn of(path: &Path) -> Option<About> {
    open(path).and_then(|mut file| read(&mut file)).ok().flatten()
}

/// Whether a file of this program was never written to its end: whoever sent it was not told that it was kept.
pub(super) fn is_unfinished(path: &Path) -> bool {
    let ours = path.to_str().is_some_and(|path| path.ends_with(SUFFIX));
    ours && open(path).and_then(|mut file| seek(&mut file)).is_ok_and(|behind| behind.is_none())
}

/// A regular file, and no link to one.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// Whether a file is as long as it was with a text of `size` octets. It stands at its beginning then.
pub(super) fn fits(file: &mut File, size: u64) -> io::Result<bool> {
    let behind = seek(file)?.map_or(0, |json| json + FOOT);
    file.rewind()?;
    let length = file.metadata()?.len();
    Ok(length == size || length == size.saturating_add(behind))
}
