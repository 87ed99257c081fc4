//! The first page of the database once more, in `queue.db.head`: it says where everything else is, so that one octet of it
//! would cost the whole queue.
//!
//! What changes from commit to commit in it is of no use to a rescue, and not compared.

use super::aside::beside;
use super::schema;
use super::text::sync_directory;
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Octets of a page.
pub(super) const PAGE: usize = 4096;
/// What is overwritten by every commit: change counter, number of pages, free pages, and who wrote last.
const MUTABLE: [Range<usize>; 3] = [24..40, 92..96, 96..100];
/// How the file is written: with a log or without.
const FORMAT: Range<usize> = 18..20;
const COOKIE: Range<usize> = 40..44;
/// More differences than that are another database, not damage.
const DAMAGE: usize = 16;

type Page = Vec<u8>;

/// Keeps the first page of a sound database whose log is empty, where it is not kept yet.
pub(super) fn keep(directory: &Path) -> io::Result<()> {
    let page = first(&directory.join("queue.db"))?;
    let path = directory.join("queue.db.head");
    if page.len() != PAGE || of(directory).is_some_and(|kept| differences(&kept, &page) == 0) {
        return Ok(());
    }
    let part = beside(&path, ".part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(&page)?;
    file.sync_all()?;
    std::fs::rename(&part, &path)?;
    sync_directory(directory)
}

/// The page that was kept in a directory.
pub(super) fn of(directory: &Path) -> Option<Page> {
    let page = first(&directory.join("queue.db.head")).ok()?;
    (page.len() == PAGE && page.starts_with(b"SQLite format 3\0")).then_some(page)
}

/// The first page of a file, as much as there is of it.
pub(super) fn first(path: &Path) -> io::Result<Page> {
    let mut page = Vec::new();
    OpenOptions::new().read(true).open(path)?.take(PAGE as u64).read_to_end(&mut page)?;
    Ok(page)
}

/// Whether a database is the one whose first page was kept, and that page is damaged. One of another program, or of a newer
/// one, has other tables.
pub(super) fn is_damaged(kept: &[u8], page: &[u8]) -> bool {
    page.len() == PAGE && kept[COOKIE] == page[COOKIE] && (1..=DAMAGE).contains(&differences(kept, page))
}

/// Puts the page that was kept into a database file, as one that fits a file of this length.
pub(super) fn mend(path: &Path, kept: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let pages = u32::try_from(file.metadata()?.len() / PAGE as u64).unwrap_or(u32::MAX).max(1);
    let mut page = kept.to_vec();
    // With a log, without a list of free pages, and as long as it is.
    page[FORMAT].copy_from_slice(&[2, 2]);
    page[28..32].copy_from_slice(&pages.to_be_bytes());
    page[32..40].fill(0);
    let counter: [u8; 4] = [0, 0, 0, 1];
    page[24..28].copy_from_slice(&counter);
    page[92..96].copy_from_slice(&counter);
    page[68..72].copy_from_slice(&schema::APPLICATION.to_be_bytes());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&page)
}

/// How many octets are different that no commit changes.
fn differences(a: &[u8], b: &[u8]) -> usize {
    let written = |page: &[u8]| page[FORMAT] == [1, 1] || page[FORMAT] == [2, 2];
    let mutable =
        |at: usize| MUTABLE.iter().any(|range| range.contains(&at)) || FORMAT.contains(&at) && written(a) && written(b);
    (0..a.len().max(b.len())).filter(|at| !mutable(*at) && a.get(*at) != b.get(*at)).count()
}
