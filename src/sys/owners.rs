//! Who may change what lies at a path. The way there is gone directory by directory on open descriptors, so that nothing
//! can be exchanged between the look and the use.
//!
//! A link is followed only in a directory that nobody of those asked about can change: `/var/run` of root is, one that a
//! web server's user laid is not. A sticky directory (`/tmp`) lets others add, but not exchange what root or this user has
//! there, a link neither. A group that nobody else is in is as good as none.

use super::{person, users};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The most links on a way.
const LINKS: usize = 40;
/// Groups of the system's own log and mail programs, which share root's directories for them (`/var/log` of Ubuntu,
/// `/var/mail`): root writes there too.
const SPOOLS: [&str; 2] = ["syslog", "mail"];

/// Whose changes are looked for.
#[derive(Clone, Debug)]
pub enum Whom {
    /// Everybody's but root's and these users'.
    AllBut(Vec<u32>),
    /// This user's, with these groups.
    Only(u32, Vec<u32>),
}

/// What a way may lead through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strictness {
    /// No directory that the others may change.
    Closed,
    /// As `Closed`, but root's directories for logs and mail too.
    Spools,
    /// Directories that a group or everybody may change, where no link is followed.
    Shared,
}

/// A file or directory that somebody else may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is.
    pub path: PathBuf,
    /// A directory, the file itself, or a link to follow.
    pub kind: Kind,
    /// Who may change it.
    pub by: By,
    /// Who asks: a user, or root.
    asks: u32,
}

/// What somebody else may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory on the way.
    Directory,
    /// What the path names.
    File,
    /// A link that lies in a directory which others may change.
    Link,
}

/// By what right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// It is this user's.
    Owner(u32),
    /// The group may write it; the mode.
    Group(u32, u32),
    /// Everybody may write it; the mode.
    Everybody(u32),
    /// An entry of its access control list, as `setfacl` has it: `u:anna`.
    Entry(String),
}

impl By {
    fn who(&self) -> String {
        match self {
            Self::Owner(uid) => format!("belongs to {}", users::name(*uid)),
            Self::Group(gid, mode) => {
                format!("may be changed by the group {} (mode {mode:04o})", users::group_name(*gid))
            }
            Self::Everybody(mode) => format!("may be changed by everybody (mode {mode:04o})"),
            Self::Entry(entry) => format!("may be changed by {entry} (access control list)"),
        }
    }
}

impl Foreign {
    /// What is so, one line without what mends it.
    #[must_use]
    pub fn what(&self) -> String {
        let (path, who) = (self.path.display(), self.by.who());
        match self.kind {
            Kind::File => format!("{path} {who}"),
            Kind::Directory => format!("the directory {path} {who}"),
            Kind::Link => format!("{path} is a link that another user could have laid"),
        }
    }

    /// What is so and what mends it, with the reason for a directory, which has no such command.
    #[must_use]
    pub fn advice(&self, why: &str) -> String {
        match self.command() {
            Some(command) => format!("{}; mend it with: {command}", self.what()),
            None => format!(
                "{}, and {why}; move the file to a directory that only its owner or root may change",
                self.what()
            ),
        }
    }

    /// The command that mends it, where there is one that changes nothing else: a directory's owner and mode stay.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        let path = quoted(&self.path);
        match (self.kind, &self.by) {
            (Kind::Directory | Kind::Link, _) => None,
            (Kind::File, By::Owner(_)) if self.asks == 0 => Some(format!("chown root {path}")),
            (Kind::File, By::Owner(_)) => Some(format!("sudo chown {} {path}", users::name(self.asks))),
            // The group's bits are the mask of an access control list.
            (Kind::File, By::Group(..) | By::Entry(_)) => Some(format!("chmod g-w {path}")),
            (Kind::File, By::Everybody(_)) => Some(format!("chmod go-w {path}")),
        }
    }
}

/// One word of a shell.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,%=".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Why a way cannot be gone.
#[derive(Debug)]
pub enum WayError {
    /// What the system said, and at which place.
    Io(PathBuf, io::Error),
    /// Somebody else may change what lies there.
    Foreign(Foreign),
}

impl fmt::Display for WayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Foreign(foreign) => f.write_str(&foreign.what()),
        }
    }
}

impl std::error::Error for WayError {}

impl From<WayError> for io::Error {
    fn from(error: WayError) -> Self {
        match error {
            WayError::Io(_, error) => error,
            WayError::Foreign(foreign) => Self::new(io::ErrorKind::PermissionDenied, foreign.what()),
        }
    }
}

/// How ways are gone: from where, and past whom.
#[derive(Clone, Debug)]
pub struct Way {
    base: PathBuf,
    whom: Whom,
    strictness: Strictness,
}

/// Where a way ends: a name in an open directory. There may be nothing of that name.
#[derive(Debug)]
pub struct Place {
    /// The directory; good for `openat`, not for reading.
    pub directory: OwnedFd,
    /// Where it really is.
    pub folder: PathBuf,
    /// The name in it.
    pub name: OsString,
    /// Others may make names in it too.
    pub shared: bool,
    /// They may not exchange or remove what is not theirs.
    pub sticky: bool,
    /// It is a door of `/proc` (`/proc/self/fd/1`), which only the kernel can follow.
    pub door: bool,
}

impl Place {
    /// The real path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }
}

/// What a path names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Something in a directory; it may be missing.
    Name,
    /// A directory, which is made in that mode where one is given, with those above it.
    Directory(Option<u32>),
}

/// A directory on the way.
struct Here {
    fd: OwnedFd,
    path: PathBuf,
    shared: bool,
    sticky: bool,
}

impl Way {
    /// The way to a file that this process writes. Root writes where only root may change anything; another user also in
    /// a directory that is shared, but through no link of others.
    #[must_use]
    pub fn to_write() -> Self {
        Self::to_write_as(rustix::process::geteuid().as_raw())
    }

    /// The way to a file that a process of that user writes.
    #[must_use]
    pub fn to_write_as(uid: u32) -> Self {
        let strictness = if uid == 0 { Strictness::Spools } else { Strictness::Shared };
        Self { base: "/".into(), whom: Whom::AllBut(vec![uid]), strictness }
    }

    /// The way to a file that decides what a process of that user runs: nobody but root and that user may change it.
    #[must_use]
    pub fn to_run_as(uid: u32) -> Self {
        Self { base: "/".into(), whom: Whom::AllBut(vec![uid]), strictness: Strictness::Closed }
    }

    /// Another user may change it too.
    #[must_use]
    pub fn or(mut self, uid: u32) -> Self {
        if let Whom::AllBut(trusted) = &mut self.whom {
            trusted.push(uid);
        }
        self
    }

    /// The same on the machine whose root is that directory.
    #[must_use]
    pub fn below(self, base: &Path) -> Self {
        Self { base: base.to_owned(), ..self }
    }

    /// Goes as far as the last name of the path.
    ///
    /// # Errors
    /// A directory is not there or may be changed by those it must not.
    pub fn go(&self, path: &Path) -> Result<Place, WayError> {
        self.walk(path, End::Name)
    }

    /// The same without following a link of that last name.
    ///
    /// # Errors
    /// As `go`.
    pub fn beside(&self, path: &Path) -> Result<Place, WayError> {
        let invalid = || WayError::Io(path.to_owned(), io::ErrorKind::InvalidInput.into());
        let name = path.file_name().ok_or_else(invalid)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Place { name: name.to_owned(), ..self.walk(folder, End::Directory(None))? })
    }

    /// Goes as far as there is something: whether a path may be made or used.
    ///
    /// # Errors
    /// As `go`, but that something is missing is none.
    pub fn passes(&self, path: &Path) -> Result<(), WayError> {
        match self.walk(path, End::Directory(None)) {
            Err(WayError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map(drop),
        }
    }

    /// Goes to a directory, and makes it with those above it, in that mode, where it is not there.
    ///
    /// # Errors
    /// As `go`; what is there is no directory.
    pub fn directory(&self, path: &Path, make: Option<u32>) -> Result<OwnedFd, WayError> {
        Ok(self.walk(path, End::Directory(make))?.directory)
    }

    /// Whether nobody else may change the file at a path, nor exchange it.
    ///
    /// # Errors
    /// Who may; or it cannot be looked at.
    pub fn check(&self, path: &Path) -> Result<(), WayError> {
        let place = self.go(path)?;
        let facts = rustix::fs::statat(&place.directory, &place.name, AtFlags::SYMLINK_NOFOLLOW);
        let facts = facts.map_err(|error| WayError::Io(place.path(), error.into()))?;
        let kind = match FileType::from_raw_mode(facts.st_mode) {
            FileType::Symlink => return Err(self.foreign(&place.path(), Kind::Link, By::Owner(facts.st_uid))),
            FileType::Directory => Kind::Directory,
            _ => Kind::File,
        };
        let opened = rustix::fs::openat(
            &place.directory,
            &place.name,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let opened = opened.map_err(|error| WayError::Io(place.path(), error.into()))?;
        match self.by(&opened, &facts) {
            Some(by) => Err(self.foreign(&place.path(), kind, by)),
            None => Ok(()),
        }
    }

    fn walk(&self, path: &Path, end: End) -> Result<Place, WayError> {
        let path = absolute(path).map_err(|error| WayError::Io(path.to_owned(), error))?;
        let mut rest = parts(path.strip_prefix(&self.base).unwrap_or(&path));
        let mut here = self.enter(None, &self.base)?;
        let mut links = 0;
        loop {
            let Some(name) = rest.pop() else { return Ok(here.place(OsStr::new("."), false)) };
            if name == ".." {
                if here.path != self.base {
                    let above = here.path.parent().unwrap_or(&self.base).to_owned();
                    here = self.enter(Some((&here, OsStr::new(".."))), &above)?;
                }
                continue;
            }
            let at = here.path.join(&name);
            let last = rest.is_empty() && end == End::Name;
            let facts = match rustix::fs::statat(&here.fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(facts) => facts,
                Err(error) => match (error, end) {
                    (Errno::NOENT, _) if last => return Ok(here.place(&name, false)),
                    (Errno::NOENT, End::Directory(Some(mode))) => {
                        make_in(&here, &name, mode).map_err(|error| WayError::Io(at, error))?;
                        rest.push(name);
                        continue;
                    }
                    _ => return Err(WayError::Io(at, error.into())),
                },
            };
            match FileType::from_raw_mode(facts.st_mode) {
                FileType::Symlink if (here.shared && !here.sticky) || self.is_foreign(facts.st_uid) => {
                    return Err(self.foreign(&at, Kind::Link, By::Owner(facts.st_uid)));
                }
                FileType::Symlink if last && in_proc(&here.fd) => return Ok(here.place(&name, true)),
                FileType::Symlink => {
                    links += 1;
                    let target = rustix::fs::readlinkat(&here.fd, &name, Vec::new());
                    let target = target.map_err(|error| WayError::Io(at.clone(), error.into()))?;
                    if links > LINKS {
                        return Err(WayError::Io(at, Errno::LOOP.into()));
                    }
                    let target: &OsStr = OsStr::from_bytes(target.to_bytes());
                    if Path::new(target).is_absolute() {
                        here = self.enter(None, &self.base)?;
                    }
                    rest.extend(parts(Path::new(target)));
                }
                _ if last => return Ok(here.place(&name, false)),
                FileType::Directory => here = self.enter(Some((&here, &name)), &at)?,
                _ => return Err(WayError::Io(at, Errno::NOTDIR.into())),
            }
        }
    }

    /// Opens a directory and looks at who may change what it holds.
    fn enter(&self, from: Option<(&Here, &OsStr)>, path: &Path) -> Result<Here, WayError> {
        let fail = |error: Errno| WayError::Io(path.to_owned(), error.into());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = match from {
            Some((here, name)) => rustix::fs::openat(&here.fd, name, flags | OFlags::NOFOLLOW, Mode::empty()),
            None => rustix::fs::open(path, flags, Mode::empty()),
        };
        let fd = fd.map_err(fail)?;
        let facts = rustix::fs::fstat(&fd).map_err(fail)?;
        let (shared, sticky) = self.judge(&fd, &facts, path)?;
        Ok(Here { fd, path: path.to_owned(), shared, sticky })
    }

    /// Whether others may make names in a directory too, and whether they must leave those of others alone.
    fn judge(&self, fd: impl AsFd, facts: &rustix::fs::Stat, path: &Path) -> Result<(bool, bool), WayError> {
        let sticky = facts.st_mode & 0o1000 != 0 && matches!(self.whom, Whom::AllBut(_));
        match self.by(fd, facts) {
            None => Ok((false, sticky)),
            Some(By::Owner(uid)) => Err(self.foreign(path, Kind::Directory, By::Owner(uid))),
            Some(_) if sticky || self.strictness == Strictness::Shared => Ok((true, sticky)),
            Some(By::Group(gid, _)) if self.strictness == Strictness::Spools && is_spool(gid) => Ok((true, sticky)),
            Some(by) => Err(self.foreign(path, Kind::Directory, by)),
        }
    }

    /// Looks at a directory that is open already.
    ///
    /// # Errors
    /// Who else may change it.
    pub fn look(&self, directory: impl AsFd, path: &Path) -> Result<(), WayError> {
        let facts = rustix::fs::fstat(&directory).map_err(|error| WayError::Io(path.to_owned(), error.into()))?;
        self.judge(directory, &facts, path).map(drop)
    }

    /// Whether a user is one of those asked about.
    fn is_foreign(&self, uid: u32) -> bool {
        match &self.whom {
            Whom::AllBut(trusted) => uid != 0 && !trusted.contains(&uid),
            Whom::Only(asked, _) => uid == *asked,
        }
    }

    fn foreign(&self, path: &Path, kind: Kind, by: By) -> WayError {
        let asks = match &self.whom {
            Whom::AllBut(trusted) => trusted.first().copied().unwrap_or(0),
            Whom::Only(uid, _) => *uid,
        };
        WayError::Foreign(Foreign { path: path.to_owned(), kind, by, asks })
    }

    /// By what right one of those asked about may change what is open here.
    fn by(&self, fd: impl AsFd, facts: &rustix::fs::Stat) -> Option<By> {
        let (uid, gid, mode) = (facts.st_uid, facts.st_gid, facts.st_mode & 0o7777);
        match &self.whom {
            _ if self.is_foreign(uid) => Some(By::Owner(uid)),
            // What is mounted to be read alone is changed by nobody here, whatever its bits say (volumes of containers).
            _ if mode & 0o022 != 0 && is_read_only(&fd) => None,
            _ if mode & 0o002 != 0 => Some(By::Everybody(mode)),
            // Nobody but the owner: an access control list gives no more than the group's bits.
            _ if mode & 0o020 == 0 => None,
            Whom::AllBut(trusted) => {
                let entries = Acl::of(&fd).filter(|acl| acl.extended());
                let group = entries.as_ref().is_none_or(|acl| acl.group_may(WRITE));
                let foreign = group && users::has_others(gid, trusted, &self.base);
                let others = |entry: &Entry| entry.is_of_others(trusted, &self.base);
                let named = || entries.and_then(|acl| acl.named(WRITE, &others)).map(By::Entry);
                foreign.then_some(By::Group(gid, mode)).or_else(named)
            }
            Whom::Only(asked, gids) => {
                let mine = |entry: &Entry| match entry {
                    Entry::User(uid) => uid == asked,
                    Entry::Group(gid) => gids.contains(gid),
                };
                let named = || Acl::of(&fd).and_then(|acl| acl.named(WRITE, &mine)).map(By::Entry);
                gids.contains(&gid).then_some(By::Group(gid, mode)).or_else(named)
            }
        }
    }
}

impl Here {
    fn place(self, name: &OsStr, door: bool) -> Place {
        let Self { fd, path, shared, sticky } = self;
        Place { directory: fd, folder: path, name: name.to_owned(), shared, sticky, door }
    }
}

/// Whether a user with these groups could have written the file at a path, or put it there: it is his, or he may write it
/// or a directory on the way. Of what lies in `/proc` everybody writes his own.
///
/// # Errors
/// It cannot be looked at.
pub fn could_have_written(path: &Path, uid: u32, gids: Vec<u32>) -> io::Result<bool> {
    if uid == 0 {
        return Ok(true);
    }
    let way = Way { base: "/".into(), whom: Whom::Only(uid, gids), strictness: Strictness::Closed };
    let place = match way.go(path) {
        Ok(place) => place,
        Err(WayError::Foreign(_)) => return Ok(true),
        Err(WayError::Io(_, error)) => return Err(error),
    };
    if place.door || in_proc(&place.directory) {
        return Ok(true);
    }
    match way.check(&place.path()) {
        Ok(()) => Ok(false),
        Err(WayError::Foreign(_)) => Ok(true),
        Err(WayError::Io(_, error)) => Err(error),
    }
}

/// Whether a file is in the hands of root and of the system's own users alone: its owner is one of them, and nobody else may
/// change it.
#[must_use]
pub fn is_the_systems(path: &Path) -> bool {
    let owner = std::fs::metadata(path).map(|facts| facts.uid());
    owner.is_ok_and(|uid| !person::is(uid) && Way::to_run_as(0).or(uid).check(path).is_ok())
}

/// Whether nobody but root and these users may change a program that is about to run, and the script that it is to run
/// where that is named: what is not there or cannot be seen is left to the start.
///
/// # Errors
/// Who may.
pub fn check_program(argv: &[&OsStr], users: &[u32]) -> Result<(), Foreign> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
    let check = |path: &Path| match users.iter().fold(Way::to_run_as(0), |way, uid| way.or(*uid)).check(path) {
        Err(WayError::Foreign(foreign)) => Err(foreign),
        _ => Ok(()),
    };
    if let Some(path) = found(program) {
        check(&path)?;
    }
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let language = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !INTERPRETERS.contains(&language) {
        return Ok(());
    }
    match arguments {
        [option, line, ..] if *option == "-c" => {
            // The first word of a line for the shell, where it is a path.
            let line = line.to_string_lossy();
            let word = line.split(|c: char| c.is_whitespace() || "|;&<>()".contains(c)).next().unwrap_or_default();
            if word.starts_with('/') { check(Path::new(word)) } else { Ok(()) }
        }
        [script, ..] if !script.as_bytes().starts_with(b"-") && Path::new(script).is_file() => check(Path::new(script)),
        _ => Ok(()),
    }
}

/// Programs whose first argument is a program.
const INTERPRETERS: [&str; 11] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "python", "perl", "php", "ruby", "node"];

/// Where a program is that a child is started as: a bare name is looked for in `PATH`.
fn found(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = super::env::var("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// An absolute path, with the directory of this process before a relative one.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

/// The names of a path, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    parts.rev().collect()
}

fn make_in(here: &Here, name: &OsStr, mode: u32) -> io::Result<()> {
    match rustix::fs::mkdirat(&here.fd, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_read_only(fd: impl AsFd) -> bool {
    let flags = rustix::fs::fstatvfs(fd).map(|facts| facts.f_flag);
    flags.is_ok_and(|flags| flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn in_proc(directory: impl AsFd) -> bool {
    rustix::fs::fstatfs(directory).is_ok_and(|facts| facts.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

fn is_own_group(gid: u32) -> bool {
    let groups = rustix::process::getgroups().unwrap_or_default();
    rustix::process::getegid().as_raw() == gid || groups.iter().any(|one| one.as_raw() == gid)
}

fn is_spool(gid: u32) -> bool {
    SPOOLS.contains(&users::group_name(gid).as_str())
}

/// The right to read, in an entry.
const READ: u16 = 4;
/// The right to write.
const WRITE: u16 = 2;

/// An access control list (POSIX.1e), as the kernel gives it: version, then tag, rights and id of each entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl(Vec<(u16, u16, u32)>);

/// Whose an entry with a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    User(u32),
    Group(u32),
}

impl Entry {
    fn is_of_others(self, trusted: &[u32], base: &Path) -> bool {
        match self {
            Self::User(uid) => uid != 0 && !trusted.contains(&uid),
            Self::Group(gid) => users::has_others(gid, trusted, base),
        }
    }
}

const TAG_USER: u16 = 0x02;
const TAG_GROUP_OBJ: u16 = 0x04;
const TAG_GROUP: u16 = 0x08;
const TAG_MASK: u16 = 0x10;

impl Acl {
    /// The list of what is open; `None` where it has none, or none that can be read.
    pub(super) fn of(fd: impl AsFd) -> Option<Self> {
        // A descriptor for the path alone has no attributes; its name in /proc has.
        Self::at(Path::new(&format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())))
    }

    /// The list of what lies at a path.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let mut octets = vec![0; 4096];
        let count = rustix::fs::getxattr(path, "system.posix_acl_access", &mut octets[..]).ok()?;
        octets.truncate(count);
        Self::parse(&octets)
    }

    fn parse(octets: &[u8]) -> Option<Self> {
        let entries = octets.strip_prefix(&[2, 0, 0, 0])?.chunks_exact(8);
        let entry = |e: &[u8]| {
            let short = |at: usize| u16::from_le_bytes([e[at], e[at + 1]]);
            (short(0), short(2), u32::from_le_bytes([e[4], e[5], e[6], e[7]]))
        };
        Some(Self(entries.map(entry).collect()))
    }

    /// Whether a user with these groups has rights (of `0o7`) by an entry with a name.
    #[must_use]
    pub fn grants(&self, uid: u32, gids: &[u32], rights: u32) -> bool {
        let named = |(tag, given, id): &(u16, u16, u32)| {
            let his = (*tag == TAG_USER && *id == uid) || (*tag == TAG_GROUP && gids.contains(id));
            his && u32::from(given & self.mask()) & rights == rights
        };
        self.0.iter().any(named)
    }

    /// Who else may read, as `setfacl` has it: neither root nor one of these users, nor a group of theirs or of this process.
    #[must_use]
    pub fn reader(&self, trusted: &[u32]) -> Option<String> {
        let others = |entry: &Entry| match entry {
            Entry::Group(gid) if is_own_group(*gid) => false,
            entry => entry.is_of_others(trusted, Path::new("/")),
        };
        self.named(READ, &others)
    }

    fn extended(&self) -> bool {
        self.0.iter().any(|(tag, ..)| *tag == TAG_MASK)
    }

    fn mask(&self) -> u16 {
        self.0.iter().find(|(tag, ..)| *tag == TAG_MASK).map_or(7, |(_, rights, _)| *rights)
    }

    /// Whether the file's own group has the right.
    fn group_may(&self, right: u16) -> bool {
        self.0.iter().any(|(tag, rights, _)| *tag == TAG_GROUP_OBJ && rights & self.mask() & right != 0)
    }

    /// The first entry by name that has the right and is one of those, as `setfacl` has it.
    fn named(&self, right: u16, of: &dyn Fn(&Entry) -> bool) -> Option<String> {
        self.0.iter().filter(|(_, rights, _)| rights & self.mask() & right != 0).find_map(|(tag, _, id)| {
            let entry = match *tag {
                TAG_USER => Entry::User(*id),
                TAG_GROUP => Entry::Group(*id),
                _ => return None,
            };
            let shown = || match entry {
                Entry::User(uid) => format!("u:{}", users::name(uid)),
                Entry::Group(gid) => format!("g:{}", users::group_name(gid)),
            };
            of(&entry).then(shown)
        })
    }
}

#[cfg(test)]
#[path = "owners_tests.rs"]
mod tests;
