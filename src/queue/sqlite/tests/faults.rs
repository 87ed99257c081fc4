//! Faults of the system: refused and absent, or accepted and present, and nothing between.
//!
//! ```text
//! strace -f -e inject=fdatasync:error=EIO:when=7 TEST-BINARY faults_leave_no_doubt
//! ```
//!
//! puts one in (fsync, fdatasync, pwrite64, openat, unlink ...; EIO, ENOSPC, EMFILE); without strace all is accepted.

use super::*;
use std::collections::BTreeSet;

/// Accepts and records; the submissions that must be there at the end.
fn work(store: &SqliteStore) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for n in 0..12 {
        let name = format!("m{n}@example.com");
        let mut one = NewMessage { header_from: name.clone(), ..new(&name, "shop", &["a@x.org"], n) };
        if n % 4 == 3 {
            one.message = message(&format!("Subject: large\n\n{}", "a line of some length\n".repeat(20_000)));
        }
        match store.accept(one) {
            Ok(accepted) => {
                kept.insert(name.clone());
                let sent = [recorded(0, Fate::Sent, "250")];
                if n % 3 == 2 && store.record(accepted.id, n, &sent, None).is_ok() {
                    kept.remove(&name);
                }
            }
            Err(error) => println!("refused: {error}"),
        }
    }
    kept
}

/// What a queue holds, every text of it readable.
fn held(directory: &Path) -> BTreeSet<String> {
    // The fault may meet the opening, which must harm nothing: the next one succeeds.
    let store = try_open(directory, true).unwrap_or_else(|error| {
        println!("not opened: {error}");
        open(directory)
    });
    // A fault may leave a whole text that was refused.
    assert!(store.recovered().is_none_or(|told| told.contains("that the queue does not know")));
    let found = all(&store);
    assert!(found.iter().all(|one| one.hold.is_none() && store.text(one.id).is_ok()));
    found.into_iter().map(|one| one.header_from).collect()
}

#[test]
fn faults_leave_no_doubt() {
    let dir = tempfile::tempdir().unwrap();
    let kept = match try_open(&dir.path().join("queue"), true) {
        Ok(store) => {
            let kept = work(&store);
            // As kill -9 would leave it: the log is still there.
            let copy = dir.path().join("copy");
            let copied = copy_tree(&dir.path().join("queue"), &copy);
            assert!(copied.is_err() || held(&copy) == kept);
            kept
        }
        Err(error) => {
            println!("not opened: {error}");
            BTreeSet::new()
        }
    };
    assert_eq!(held(&dir.path().join("queue")), kept);
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &to.join(entry.file_name()))?,
            // The index of the log does not outlive the machine; made anew it shows what the log holds.
            false if entry.file_name().as_encoded_bytes().ends_with(b"-shm") => {}
            false => std::fs::copy(entry.path(), to.join(entry.file_name())).map(drop)?,
        }
    }
    Ok(())
}
