use super::*;
use crate::sys::files;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

const ANNA: u32 = 70_001;
const BOB: u32 = 70_002;

/// A tree of root's (or whose test this is), with `/etc/group` and `/etc/passwd` of its own.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        std::fs::set_permissions(tree.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
        tree.dir("etc", 0o755, own());
        tree.file("etc/group", "team:x:70009:anna,bob\nstaff:x:70050:\n", 0o644, own());
        tree.file("etc/passwd", "anna:x:70001:70001::/:\nbob:x:70002:70002::/:\n", 0o644, own());
        tree
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn dir(&self, path: &str, mode: u32, owner: u32) {
        std::fs::create_dir(self.at(path)).unwrap();
        self.set(path, mode, owner);
    }

    fn file(&self, path: &str, text: &str, mode: u32, owner: u32) {
        #[expect(clippy::disallowed_methods, reason = "the test makes what is looked at")]
        std::fs::write(self.at(path), text).unwrap();
        self.set(path, mode, owner);
    }

    fn set(&self, path: &str, mode: u32, owner: u32) {
        chown(self.at(path), Some(owner), None).unwrap();
        std::fs::set_permissions(self.at(path), PermissionsExt::from_mode(mode)).unwrap();
    }

    fn runs(&self, path: &str) -> Result<(), String> {
        match Way::to_run_as(own()).below(self.0.path()).check(&self.at(path)) {
            Ok(()) => Ok(()),
            Err(WayError::Foreign(foreign)) => Err(format!("{} | {:?}", foreign.what(), foreign.command())),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn root(name: &str) -> bool {
    if own() != 0 {
        eprintln!("skipped: {name} needs root");
    }
    own() == 0
}

#[test]
fn what_runs_is_asked_for_its_owner() {
    if !root("owners: files of others") {
        return;
    }
    let tree = Tree::new();
    tree.dir("home", 0o755, ANNA);
    tree.dir("open", 0o777, 0);
    tree.dir("tmp", 0o1777, 0);
    for (path, mode, owner) in
        [("good", 0o755, 0), ("all", 0o666, 0), ("annas", 0o644, ANNA), ("home/f", 0o644, 0), ("open/f", 0o644, 0)]
    {
        tree.file(path, "x", mode, owner);
    }
    tree.file("tmp/good", "x", 0o644, 0);
    tree.file("tmp/bad", "x", 0o644, BOB);
    symlink("/good", tree.at("link")).unwrap();
    symlink("../good", tree.at("tmp/link")).unwrap();
    std::os::unix::fs::lchown(tree.at("tmp/link"), Some(BOB), None).unwrap();
    symlink("../good", tree.at("tmp/own")).unwrap();
    for fine in ["good", "tmp/good", "link", "tmp/own", "etc/../good"] {
        assert_eq!(tree.runs(fine), Ok(()), "{fine}");
    }
    for (path, words) in [
        ("all", "everybody (mode 0666) | Some(\"chmod go-w"),
        ("annas", "belongs to 70001 | Some(\"chown root"),
        ("home/f", "belongs to 70001 | None"),
        ("open/f", "everybody (mode 0777) | None"),
        ("tmp/bad", "belongs to 70002"),
        ("tmp/link", "is a link that another user could have laid"),
        ("missing", "No such file"),
    ] {
        assert!(tree.runs(path).is_err_and(|what| what.contains(words)), "{path}: {:?}", tree.runs(path));
    }
    // A group that nobody is in is as good as none.
    tree.file("team", "x", 0o664, 0);
    tree.file("staff", "x", 0o664, 0);
    chown(tree.at("team"), None, Some(70_009)).unwrap();
    chown(tree.at("staff"), None, Some(70_050)).unwrap();
    assert_eq!(tree.runs("staff"), Ok(()));
    assert!(tree.runs("team").is_err_and(|what| what.contains("the group 70009") && what.contains("chmod g-w")));
}

#[test]
fn where_a_process_writes() {
    if !root("owners: directories of others") {
        return;
    }
    let tree = Tree::new();
    tree.dir("logs", 0o755, ANNA);
    tree.dir("shared", 0o777, 0);
    tree.dir("own", 0o755, 0);
    tree.file("own/victim", "", 0o644, 0);
    symlink("victim", tree.at("own/link")).unwrap();
    symlink("../own/victim", tree.at("shared/link")).unwrap();
    std::fs::hard_link(tree.at("own/victim"), tree.at("own/second")).unwrap();
    let goes = |uid: u32, path: &str| {
        let way = Way::to_write_as(uid).below(tree.0.path());
        way.go(&tree.at(path)).map(|place| place.path()).map_err(|error| error.to_string())
    };
    assert_eq!(goes(0, "own/link"), Ok(tree.at("own/victim")));
    assert_eq!(goes(0, "own/new"), Ok(tree.at("own/new")));
    assert!(goes(0, "logs/new").is_err_and(|what| what.contains("logs belongs to 70001")));
    assert!(goes(BOB, "logs/new").is_err_and(|what| what.contains("logs belongs to 70001")));
    assert_eq!(goes(ANNA, "logs/new"), Ok(tree.at("logs/new")));
    assert!(goes(0, "shared/new").is_err_and(|what| what.contains("everybody")));
    assert_eq!(goes(BOB, "shared/new"), Ok(tree.at("shared/new")));
    assert!(goes(BOB, "shared/link").is_err_and(|what| what.contains("is a link")));
    let append = |path: &str| files::append(&tree.at(path)).map(drop).map_err(|error| error.to_string());
    assert!(append("own/second").is_err_and(|what| what.contains("several names")));
    assert!(append("logs/new").is_err() && !tree.at("logs/new").exists());
    assert_eq!(append("own/new"), Ok(()));
    assert!(append("own").is_err());
}

#[test]
fn directories_are_made_where_they_may_be() {
    let tree = Tree::new();
    let way = Way::to_write_as(own()).below(tree.0.path());
    way.directory(&tree.at("a/b/c"), Some(0o700)).unwrap();
    assert_eq!(tree.at("a/b/c").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(way.directory(&tree.at("x"), None).is_err());
    tree.file("file", "x", 0o644, own());
    assert!(way.directory(&tree.at("file/x"), Some(0o700)).is_err());
}

#[test]
fn devices_pipes_and_doors() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let tree = Tree::new();
    assert!(files::append(Path::new("/dev/null")).is_ok());
    let fifo = tree.at("fifo");
    mkfifoat(CWD, &fifo, Mode::from_raw_mode(0o600)).unwrap();
    assert!(files::append(&fifo).is_err(), "nobody reads");
    let reader = rustix::fs::open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
    files::append(&fifo).unwrap().write_all(b"x").unwrap();
    let (read, write) = rustix::pipe::pipe().unwrap();
    let door = format!("/proc/self/fd/{}", write.as_raw_fd());
    files::append(Path::new(&door)).unwrap().write_all(b"line").unwrap();
    let mut octets = [0; 4];
    assert_eq!(rustix::io::read(&read, &mut octets).unwrap(), 4);
    drop(reader);
}

#[test]
fn what_a_caller_could_have_written() {
    if !root("owners: files of a caller") {
        return;
    }
    let tree = Tree::new();
    tree.dir("annas", 0o755, ANNA);
    tree.dir("tmp", 0o1777, 0);
    tree.dir("team", 0o775, 0);
    chown(tree.at("team"), None, Some(70_009)).unwrap();
    tree.file("rc", "x", 0o644, 0);
    tree.file("bobs", "x", 0o644, BOB);
    for path in ["annas/rc", "tmp/rc", "team/rc"] {
        tree.file(path, "x", 0o644, 0);
    }
    // The tree lies in a sticky directory for everybody, where nothing is taken from a caller; its own root is asked here.
    let could = |path: &str, uid: u32, gids: &[u32]| {
        let way =
            Way { base: tree.0.path().into(), whom: Whom::Only(uid, gids.to_vec()), strictness: Strictness::Closed };
        way.check(&tree.at(path)).is_err()
    };
    assert!(!could("rc", ANNA, &[70_001]) && !could("bobs", ANNA, &[70_001]) && could("bobs", BOB, &[]));
    assert!(could("annas/rc", ANNA, &[]) && !could("annas/rc", BOB, &[]));
    assert!(could("tmp/rc", ANNA, &[]));
    assert!(could("team/rc", ANNA, &[70_009]) && !could("team/rc", ANNA, &[]));
    let whole = |path: &str| could_have_written(Path::new(path), ANNA, vec![ANNA]).unwrap();
    assert!(!whole("/etc/passwd") && whole("/proc/self/cmdline") && whole("/proc/self/fd/0"));
    assert!(could_have_written(Path::new("/etc/passwd"), 0, Vec::new()).unwrap());
    assert!(could_have_written(Path::new("/etc/none/x"), ANNA, Vec::new()).is_err());
}

#[test]
fn access_control_lists() {
    // user::rw-, user:70001:r--, group::---, mask::r--, other::---
    let list = |mask: u8, rights: u8| {
        let mut octets = vec![2, 0, 0, 0];
        for (tag, rights, id) in
            [(1_u16, 6, u32::MAX), (2, rights, ANNA), (4, 0, u32::MAX), (0x10, mask, u32::MAX), (0x20, 0, u32::MAX)]
        {
            octets.extend(tag.to_le_bytes());
            octets.extend(u16::from(rights).to_le_bytes());
            octets.extend(id.to_le_bytes());
        }
        octets
    };
    let all = |_: &Entry| true;
    let acl = Acl::parse(&list(4, 6)).unwrap();
    assert!(acl.extended() && !acl.group_may(READ));
    assert_eq!(acl.named(READ, &all).as_deref(), Some("u:70001"));
    assert!(acl.grants(ANNA, &[], 4) && !acl.grants(ANNA, &[], 6) && !acl.grants(BOB, &[BOB], 4));
    assert_eq!((acl.reader(&[ANNA]), acl.reader(&[BOB])), (None, Some("u:70001".into())));
    assert_eq!(acl.named(WRITE, &all), None, "the mask takes it");
    assert_eq!(acl.named(READ, &|entry| *entry == Entry::User(BOB)), None);
    assert!(Acl::parse(b"").is_none() && Acl::parse(&[1, 0, 0, 0]).is_none());
    assert!(!Acl::parse(&[2, 0, 0, 0]).unwrap().extended());
}
