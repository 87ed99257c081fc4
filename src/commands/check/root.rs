//! The machine that is looked at: the running one, or a tree below `--root` (a container, an image). Reads only, bounded.

use crate::sys::owners::Acl;
use crate::sys::{files, identity};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The most links that are followed from one path.
const LINKS: usize = 40;
/// The most entries of a directory that are looked at.
const ENTRIES: usize = 10_000;

/// Where the machine's files are.
#[derive(Clone, Debug)]
pub struct Root {
    base: PathBuf,
}

/// A user of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// All groups, the first one own.
    pub gids: Vec<u32>,
}

impl Root {
    /// The running machine where `base` is none.
    #[must_use]
    pub fn new(base: Option<PathBuf>) -> Self {
        Self { base: base.unwrap_or_else(|| "/".into()) }
    }

    /// Whether it is the running machine.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.base == Path::new("/")
    }

    /// Where an absolute path of the machine is; what lies below the root already stays.
    #[must_use]
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        if path.starts_with(&self.base) {
            return path.to_owned();
        }
        let inner = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
        self.base.join(inner.collect::<PathBuf>())
    }

    /// A text file; `None` where it is not there or cannot be read.
    #[must_use]
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let (data, _) = files::read(&self.at(path)).ok()?;
        Some(String::from_utf8_lossy(&data).into_owned())
    }

    /// Whether something is there.
    #[must_use]
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        std::fs::symlink_metadata(self.at(path)).is_ok()
    }

    /// What a directory holds, sorted; nothing where it cannot be read.
    #[must_use]
    pub fn list(&self, directory: impl AsRef<Path>) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.at(directory)).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.take(ENTRIES).map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }

    /// Every path that fits a pattern, where `*` stands for any name of one level.
    #[must_use]
    pub fn fitting(&self, pattern: &str) -> Vec<PathBuf> {
        let mut found = vec![self.base.clone()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            found = match part.contains('*') {
                false => found.into_iter().map(|path| path.join(part)).collect(),
                true => {
                    let fits = wildmatch::WildMatch::new(part);
                    let name =
                        |path: &PathBuf| path.file_name().is_some_and(|name| fits.matches(&name.to_string_lossy()));
                    found.iter().flat_map(|path| self.list(path)).filter(name).take(ENTRIES).collect()
                }
            };
        }
        found.retain(|path| path.exists());
        found
    }

    /// Files below a directory, at most so deep and so many entries in all; links to directories are not followed.
    #[must_use]
    pub fn below(
        &self,
        directory: &Path,
        depth: usize,
        left: &mut usize,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for path in self.list(directory) {
            if *left == 0 {
                break;
            }
            *left -= 1;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            match std::fs::symlink_metadata(&path) {
                Ok(facts) if facts.is_dir() && depth > 0 => found.extend(self.below(&path, depth - 1, left, wanted)),
                Ok(facts) if !facts.is_dir() && wanted(&name) => found.push(path),
                _ => {}
            }
        }
        found
    }

    /// Where a chain of links ends; `None` where it leads nowhere.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> Option<PathBuf> {
        let mut path = self.at(path);
        for _ in 0..LINKS {
            if !std::fs::symlink_metadata(&path).ok()?.is_symlink() {
                return Some(path);
            }
            let target = std::fs::read_link(&path).ok()?;
            path = match target.is_absolute() {
                // A link within another machine's tree means that machine's files, unless it says itself that it does not.
                true => Some(self.at(&target)).filter(|inside| self.exists(inside)).unwrap_or(target),
                false => path.parent()?.join(target),
            };
        }
        None
    }

    /// The users of the machine, as its own files have them.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        let groups = self.text("/etc/group").unwrap_or_default();
        let passwd = self.text("/etc/passwd").unwrap_or_default();
        let person = |line: &str| {
            let mut fields = line.split(':');
            let (name, uid, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            let member = |line: &str| {
                let fields: Vec<&str> = line.split(':').collect();
                let of = fields.get(3)?.split(',').any(|member| member.trim() == name);
                of.then(|| fields.get(2)?.parse::<u32>().ok()).flatten()
            };
            let gids = std::iter::once(gid).chain(groups.lines().filter_map(member)).collect();
            Some(Person { name: name.to_owned(), uid, gids })
        };
        passwd.lines().filter_map(person).collect()
    }

    /// A group's number, as the machine's own file has it.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<u32> {
        let text = self.text("/etc/group")?;
        let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    }

    /// Whether a user may read a file: its own bits, and those of every directory on the way.
    #[must_use]
    pub fn may_read(&self, person: &Person, path: &Path) -> bool {
        self.may(person, path, 0o4)
    }

    /// The first directory on the way to a file that a user may not enter.
    #[must_use]
    pub fn closed_to(&self, person: &Person, path: &Path) -> Option<PathBuf> {
        let mut above: Vec<&Path> = path.ancestors().skip(1).filter(|above| above.starts_with(&self.base)).collect();
        above.reverse();
        // What lies above the directory is looked at before it.
        above.into_iter().skip(1).find(|directory| !self.may(person, directory, 0o1)).map(Path::to_owned)
    }

    /// Whether a user may write a file, or make it where it is not there.
    #[must_use]
    pub fn may_write(&self, person: &Person, path: &Path) -> bool {
        match path.exists() {
            true => self.may(person, path, 0o2),
            false => path.parent().is_some_and(|parent| self.may(person, parent, 0o3)),
        }
    }

    fn may(&self, person: &Person, path: &Path, wanted: u32) -> bool {
        // The kernel knows best, lists of access rights included.
        let access = rustix::fs::Access::from_bits_truncate(wanted);
        let tried = self.is_live().then(|| identity::may(person.uid, &person.gids, path, access));
        if let Some(may) = tried.flatten() {
            return may;
        }
        let has = |path: &Path, wanted: u32| {
            let Ok(facts) = std::fs::metadata(path) else { return false };
            let shift = match () {
                () if facts.uid() == person.uid => 6,
                () if person.gids.contains(&facts.gid()) => 3,
                () => 0,
            };
            let by_entry = || Acl::at(path).is_some_and(|acl| acl.grants(person.uid, &person.gids, wanted));
            (facts.mode() >> shift) & wanted == wanted || (shift < 6 && facts.mode() & 0o070 != 0 && by_entry())
        };
        let above = path.ancestors().skip(1).take_while(|above| above.starts_with(&self.base) && *above != self.base);
        person.uid == 0 || (has(path, wanted) && above.into_iter().all(|directory| has(directory, 0o1)))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make the trees that are looked at")]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn paths_links_and_patterns() {
        let tree = tempfile::tempdir().unwrap();
        let root = Root::new(Some(tree.path().to_owned()));
        std::fs::create_dir_all(tree.path().join("etc/php/8.3/fpm")).unwrap();
        std::fs::create_dir_all(tree.path().join("etc/php/7.4/cli")).unwrap();
        symlink("/etc/php", tree.path().join("etc/link")).unwrap();
        symlink("loop", tree.path().join("etc/loop")).unwrap();
        symlink("/etc/none", tree.path().join("etc/dangling")).unwrap();
        assert_eq!(root.at("/etc"), tree.path().join("etc"));
        assert_eq!(root.at(tree.path().join("etc")), tree.path().join("etc"));
        assert_eq!(root.fitting("/etc/php/*/fpm"), [tree.path().join("etc/php/8.3/fpm")]);
        assert_eq!(root.resolve(Path::new("/etc/link")), Some(tree.path().join("etc/php")));
        assert_eq!(root.resolve(Path::new("/etc/loop")), None);
        assert_eq!(root.resolve(Path::new("/etc/dangling")), None);
        assert!(!root.is_live() && Root::new(None).is_live());
        let mut few = 2;
        assert!(root.below(&root.at("/etc"), 3, &mut few, &|_| true).len() <= 2 && few == 0);
    }

    #[test]
    fn who_may_read_what() {
        let tree = tempfile::tempdir().unwrap();
        let root = Root::new(Some(tree.path().to_owned()));
        std::fs::create_dir_all(tree.path().join("etc/deep")).unwrap();
        std::fs::write(tree.path().join("etc/passwd"), "a:x:70001:70001::/:\nbad\nb:x:70002:70002::/:\n").unwrap();
        std::fs::write(tree.path().join("etc/group"), "team:x:70009:a,b\nother:x:1:c\n").unwrap();
        let people = root.people();
        assert_eq!(people[0], Person { name: "a".into(), uid: 70001, gids: vec![70001, 70009] });
        let file = tree.path().join("etc/deep/file");
        std::fs::write(&file, "x").unwrap();
        let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        set(&file, 0o604);
        assert!(root.may_read(&people[0], &file) && !root.may_write(&people[0], &file));
        set(file.parent().unwrap(), 0o750);
        assert!(!root.may_read(&people[0], &file), "the way there is closed");
        assert!(root.may_read(&Person { name: "root".into(), uid: 0, gids: vec![0] }, &file));
    }
}
