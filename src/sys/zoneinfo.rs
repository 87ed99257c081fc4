//! The machine's database of time zones (RFC 9636): one file a zone below one of the usual directories.
//!
//! A name comes from a configuration and can leave that directory by no means.

use super::files;
use std::io;
use std::path::Path;

/// Where systems keep it.
const DIRECTORIES: [&str; 3] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo"];
/// How deep names go: `America/Argentina/Buenos_Aires`.
const DEPTH: usize = 3;

/// The octets of a zone's file.
///
/// # Errors
/// `NotFound` where there is no such zone or no database at all; as [`files::read`].
pub fn read(name: &str) -> io::Result<Vec<u8>> {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"_+-".contains(&octet))
    };
    if !name.split('/').all(plain) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut found = Err(io::ErrorKind::NotFound.into());
    for directory in DIRECTORIES {
        found = files::read(&Path::new(directory).join(name)).map(|(data, _)| data);
        if !matches!(&found, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    found
}

/// All names, for whoever misspelt one; empty where the database is not installed.
#[must_use]
pub fn names() -> Vec<String> {
    let mut names = Vec::new();
    for directory in DIRECTORIES {
        collect(Path::new(directory), "", DEPTH, &mut names);
    }
    names
}

fn collect(directory: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        // Zones begin with a capital letter; "posix", "right" and the tables beside them do not.
        let Ok(file) = entry.file_name().into_string() else { continue };
        if !file.starts_with(|first: char| first.is_ascii_uppercase()) {
            continue;
        }
        let name = format!("{prefix}{file}");
        if entry.path().is_dir() && depth > 1 {
            collect(&entry.path(), &format!("{name}/"), depth - 1, names);
        } else if entry.path().is_file() {
            names.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_and_nothing_else() {
        assert!(read("Europe/Moscow").unwrap().starts_with(b"TZif"));
        assert!(read("America/Argentina/Buenos_Aires").unwrap().starts_with(b"TZif"));
        for name in
            ["", "/etc/passwd", "../../../etc/passwd", "Europe/../../../../etc/passwd", "Europe/", "Europe", "x\0"]
        {
            assert!(read(name).is_err(), "{name}");
        }
        let names = names();
        assert!(
            ["UTC", "Europe/Moscow", "America/Argentina/Buenos_Aires"]
                .iter()
                .all(|name| names.iter().any(|n| n == name))
        );
        assert!(!names.iter().any(|name| name.contains("posix") || name.ends_with(".tab")));
    }
}
