use super::*;
use crate::message::address::Address;
use crate::message::read::{self, ReadRules};
use proptest::prelude::*;

fn message(text: &str) -> Message {
    read::read(&mut text.as_bytes(), ReadRules { dot_ends: false }).unwrap()
}

fn now() -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2026-02-03T04:05:06+03:00").unwrap()
}

#[test]
fn messages_stand_one_behind_the_other() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("box");
    let from = ReversePath::Address(Address::parse("shop@example.com").unwrap());
    append(
        &file,
        &Mail {
            from: &from,
            message: &message("Subject: a\n\nFrom here\n>From there\nFromage\n From x\n"),
            host: "h",
            floor: 0,
        },
        now(),
    )
    .unwrap();
    append(
        &file,
        &Mail { from: &ReversePath::Null, message: &message("Subject: b\n\n>>"), host: "h", floor: 0 },
        now(),
    )
    .unwrap();
    let want = "From shop@example.com Tue Feb  3 01:05:06 2026\nSubject: a\n\n>From here\n>>From there\nFromage\n From x\n\n\
                From MAILER-DAEMON Tue Feb  3 01:05:06 2026\nSubject: b\n\n>>\n\n";
    assert_eq!(String::from_utf8(crate::sys::files::read(&file).unwrap().0).unwrap(), want);
}

#[test]
fn what_is_no_file_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("box");
    std::os::unix::fs::symlink(place.path().join("target"), &file).unwrap();
    assert!(
        append(&file, &Mail { from: &ReversePath::Null, message: &message("\n"), host: "h", floor: 0 }, now()).is_err()
    );
    assert!(
        append(place.path(), &Mail { from: &ReversePath::Null, message: &message("\n"), host: "h", floor: 0 }, now())
            .is_err()
    );
    assert!(!place.path().join("target").exists());
}

proptest! {
    #[test]
    fn quoting_can_be_undone(body in "((>{0,3}(From |Fro|F|From)?)?[a-z ]{0,5}\n){0,12}", cut in 1_usize..7) {
        let mut out = Vec::new();
        let mut line = Line::default();
        for piece in body.as_bytes().chunks(cut) {
            for piece in piece.split_inclusive(|octet| *octet == b'\n') {
                line.put(piece, &mut out).unwrap();
            }
        }
        line.end(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        prop_assert!(text.lines().all(|line| !line.starts_with("From ")));
        let undo = |line: &str| {
            let quoted = line.starts_with('>') && line.trim_start_matches('>').starts_with("From ");
            if quoted { line[1..].to_owned() } else { line.to_owned() }
        };
        let back: Vec<String> = text.lines().map(undo).collect();
        let lines: Vec<String> = body.lines().map(str::to_owned).collect();
        prop_assert_eq!(back, lines);
    }
}
