use super::*;
use crate::message::address::Address;
use crate::message::read::{self, ReadRules};
use std::os::unix::fs::{PermissionsExt, symlink};

fn message(text: &str) -> Message {
    read::read(&mut text.as_bytes(), ReadRules { dot_ends: false }).unwrap()
}

fn text_of(file: &Path) -> String {
    String::from_utf8(crate::sys::files::read(file).unwrap().0).unwrap()
}

/// Delivers with no floor of free space.
fn deliver(maildir: &Path, from: &ReversePath, message: &Message, host: &str) -> io::Result<PathBuf> {
    super::deliver(maildir, &Mail { from, message, host, floor: 0 })
}

fn from() -> ReversePath {
    ReversePath::Address(Address::parse("shop@example.com").unwrap())
}

#[test]
fn a_message_is_in_new_whole_and_with_its_size_in_the_name() {
    let place = tempfile::tempdir().unwrap();
    let maildir = place.path().join("mail");
    let first = deliver(&maildir, &from(), &message("Subject: x\r\n\r\na\r\n\r\nb\n"), "host/..\0x.test").unwrap();
    let text = text_of(&first);
    assert_eq!(text, "Return-Path: <shop@example.com>\nSubject: x\n\na\n\nb\n");
    let name = first.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.ends_with(&format!(".host..x.test,S={}", text.len())), "{name}");
    assert_eq!(first.parent().unwrap(), maildir.join("new"));
    let second = deliver(&maildir, &ReversePath::Null, &message("\n"), "").unwrap();
    assert!(second != first && text_of(&second).starts_with("Return-Path: <>\n"));
    let count = |name: &str| std::fs::read_dir(maildir.join(name)).unwrap().count();
    assert_eq!((count("new"), count("tmp"), count("cur")), (2, 0, 0));
    assert_eq!(std::fs::metadata(&maildir).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn large_messages_are_the_same() {
    let place = tempfile::tempdir().unwrap();
    let body: String = (0..40_000).map(|number| format!("line {number} {}\n", "x".repeat(number % 90))).collect();
    let file = deliver(place.path(), &ReversePath::Null, &message(&format!("Subject: x\n\n{body}")), "h").unwrap();
    assert!(text_of(&file).ends_with(&body));
}

#[test]
fn links_and_files_in_its_place_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let maildir = place.path().join("mail");
    std::fs::create_dir_all(maildir.join("tmp")).unwrap();
    std::fs::create_dir_all(place.path().join("elsewhere")).unwrap();
    symlink(place.path().join("elsewhere"), maildir.join("new")).unwrap();
    assert!(deliver(&maildir, &from(), &message("x: y\n\n"), "h").is_err());
    assert_eq!(std::fs::read_dir(place.path().join("elsewhere")).unwrap().count(), 0);
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(deliver(file.path(), &from(), &message("x: y\n\n"), "h").is_err());
    assert!(deliver(&place.path().join("none/none"), &from(), &message("x: y\n\n"), "h").is_err());
}

#[test]
fn another_users_maildir_is_left_alone() {
    if rustix::process::geteuid().as_raw() != 0 {
        // Nobody else can make one for another user; the root directory is one.
        assert!(deliver(Path::new("/"), &from(), &message("x: y\n\n"), "h").is_err());
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let maildir = place.path().join("mail");
    std::fs::create_dir(&maildir).unwrap();
    std::os::unix::fs::chown(&maildir, Some(65534), None).unwrap();
    let error = deliver(&maildir, &from(), &message("x: y\n\n"), "h").unwrap_err();
    assert!(error.to_string().contains("belongs to user 65534"), "{error}");
    assert_eq!(std::fs::read_dir(&maildir).unwrap().count(), 0);
    std::fs::set_permissions(&maildir, std::fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(deliver(&maildir, &from(), &message("x: y\n\n"), "h").is_err(), "its owner could exchange everything");
    std::os::unix::fs::chown(&maildir, Some(0), None).unwrap();
    deliver(&maildir, &from(), &message("x: y\n\n"), "h").unwrap();
}
