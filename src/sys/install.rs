//! New files, whole or not at all: written beside their place, synced, moved there, and the directory synced. All of it is
//! done below the open directory, which no other user may change (`owners`).

use super::owners::Way;
use super::random;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// Whose a new file is, and whether it takes another's place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// Permission bits.
    pub mode: u32,
    /// The group, where it is not the usual one.
    pub group: Option<u32>,
    /// What is there goes.
    pub replace: bool,
}

/// Makes a directory, mode 0755, with those above it. One that is there stays as it is.
///
/// # Errors
/// As `mkdir`; what is there and no directory is `NotADirectory`; another user may change a directory on the way.
pub fn directory(path: &Path) -> io::Result<()> {
    Ok(Way::to_write().directory(path, Some(0o755)).map(drop)?)
}

/// Writes a file. At every moment the place holds nothing, what was there before, or all of `data`; a link in the place is
/// replaced and never followed.
///
/// # Errors
/// As `open`, `write`, `fsync` and `rename`; `AlreadyExists` where something is there and `replace` is off; another user
/// may change a directory on the way.
pub fn file(path: &Path, data: &[u8], form: Form) -> io::Result<()> {
    let place = Way::to_write().beside(path)?;
    let (folder, name) = (&place.directory, &place.name);
    let part = format!(".new-{}", random::token()?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Closed to all others until it is complete.
    let file = File::from(rustix::fs::openat(folder, &part, flags, Mode::RUSR | Mode::WUSR)?);
    let kept = fill(file, data, form).and_then(|()| match form.replace {
        true => Ok(rustix::fs::renameat(folder, &part, folder, name)?),
        false => rename_new(folder, &part, name),
    });
    if let Err(error) = kept {
        let _ = rustix::fs::unlinkat(folder, &part, AtFlags::empty());
        return Err(error);
    }
    sync(folder)
}

fn fill(mut file: File, data: &[u8], form: Form) -> io::Result<()> {
    file.write_all(data)?;
    if let Some(group) = form.group {
        rustix::fs::fchown(&file, None, Some(Gid::from_raw(group)))?;
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(form.mode))?;
    file.sync_all()
}

/// Moves a file to a name that nothing has.
fn rename_new(folder: impl AsFd, part: &str, name: &std::ffi::OsStr) -> io::Result<()> {
    match rustix::fs::renameat_with(&folder, part, &folder, name, RenameFlags::NOREPLACE) {
        // File systems that know no such flag know links.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::linkat(&folder, part, &folder, name, AtFlags::empty())?;
            Ok(rustix::fs::unlinkat(&folder, part, AtFlags::empty())?)
        }
        done => Ok(done?),
    }
}

/// The directory was opened for its path alone, which cannot be synced.
fn sync(folder: impl AsFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    File::from(rustix::fs::openat(folder, ".", flags, Mode::empty())?).sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::files;

    fn form(mode: u32, replace: bool) -> Form {
        Form { mode, replace, group: None }
    }

    #[test]
    fn whole_with_its_mode_and_never_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        directory(&below).unwrap();
        directory(&below).unwrap();
        let path = below.join("secret");
        file(&path, b"one", form(0o600, false)).unwrap();
        let (data, guard) = files::read(&path).unwrap();
        assert_eq!((data.as_slice(), guard.mode), (b"one".as_slice(), 0o600));
        assert_eq!(file(&path, b"two", form(0o644, false)).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(files::read(&path).unwrap().0, b"one");
        file(&path, b"two", form(0o644, true)).unwrap();
        assert_eq!(files::read(&path).unwrap().1.mode, 0o644);
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(directory(&path).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        file(&target, b"untouched", form(0o644, false)).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(file(&link, b"x", form(0o600, false)).is_err());
        file(&link, b"x", form(0o600, true)).unwrap();
        assert_eq!(files::read(&target).unwrap().0, b"untouched");
        assert!(link.symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn nothing_is_made_in_a_directory_of_others() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: install: a directory of others needs root");
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(70_001), None).unwrap();
        let said = file(&folder.path().join("x"), b"x", form(0o600, false)).unwrap_err().to_string();
        assert!(said.contains("belongs to 70001"), "{said}");
        assert!(directory(&folder.path().join("a/b")).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
