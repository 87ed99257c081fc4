//! New files, whole or not at all: written beside their place, synced, moved there, and the directory synced.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Makes a directory, mode 0755, with those above it. One that is there stays as it is.
///
/// # Errors
/// As `mkdir`; what is there and no directory is `NotADirectory`.
pub fn directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if path.symlink_metadata().is_ok() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a directory"));
    }
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Writes a file with that mode. At every moment the place holds nothing, what was there before, or all of `data`; a
/// link in the place is replaced and never followed.
///
/// # Errors
/// As `open`, `write`, `fsync` and `rename`; `AlreadyExists` where something is there and `replace` is off.
pub fn file(path: &Path, data: &[u8], mode: u32, replace: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Of mode 0600 until it is complete.
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(data)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    let kept = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map_err(|error| error.error)?;
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    File::from(rustix::fs::open(folder, flags, rustix::fs::Mode::empty())?).sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::files;

    #[test]
    fn whole_with_its_mode_and_never_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        directory(&below).unwrap();
        directory(&below).unwrap();
        let path = below.join("secret");
        file(&path, b"one", 0o600, false).unwrap();
        let (data, guard) = files::read(&path).unwrap();
        assert_eq!((data.as_slice(), guard.mode), (b"one".as_slice(), 0o600));
        assert_eq!(file(&path, b"two", 0o644, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(files::read(&path).unwrap().0, b"one");
        file(&path, b"two", 0o644, true).unwrap();
        assert_eq!(files::read(&path).unwrap().1.mode, 0o644);
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(directory(&path).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        file(&target, b"untouched", 0o644, false).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(file(&link, b"x", 0o600, false).is_err());
        file(&link, b"x", 0o600, true).unwrap();
        assert_eq!(files::read(&target).unwrap().0, b"untouched");
        assert!(link.symlink_metadata().unwrap().is_file());
    }
}
