//! What callers were told, set against what arrived.

use crate::support::run::Finished;
use crate::support::server::Connection;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What the client says where it cannot know.
const DOUBT: &str = "may have been kept";

/// A submission as its caller saw it.
#[derive(Clone, Debug)]
struct Told {
    id: String,
    status: i32,
    stderr: String,
}

/// All submissions of a test.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Vec<Told>>);

/// A copy that a server took.
#[derive(Clone, Debug)]
pub struct Copy {
    pub id: String,
    /// Every octet of the text is as it was submitted.
    pub whole: bool,
    /// The last of its connection, which ended without QUIT: the reply to it may not have been recorded.
    pub cut_off: bool,
}

/// The figures of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub accepted: usize,
    pub refused: usize,
    /// Refused with the words that it may have been kept.
    pub doubtful: usize,
    pub lost: usize,
    pub damaged: usize,
    /// Copies beyond the first.
    pub duplicates: usize,
    /// Those of them before which no daemon can have died with a result unrecorded.
    pub unexplained: usize,
    /// Arrived though the caller was told that nothing was kept.
    pub untold: usize,
}

impl Ledger {
    pub fn note(&self, id: &str, run: &Finished) {
        let told = Told { id: id.to_owned(), status: run.status, stderr: run.stderr.clone() };
        assert!(!told.stderr.contains("panicked") && told.status != 101, "{told:?}");
        self.0.lock().unwrap().push(told);
    }

    pub fn settle(&self, copies: &[Copy]) -> Tally {
        let mut arrived: BTreeMap<&str, Vec<&Copy>> = BTreeMap::new();
        copies.iter().for_each(|copy| arrived.entry(&copy.id).or_default().push(copy));
        let mut tally = Tally::default();
        for told in self.0.lock().unwrap().iter() {
            let copies = arrived.remove(told.id.as_str()).unwrap_or_default();
            let (ok, doubt) = (told.status == 0, told.stderr.contains(DOUBT));
            tally.accepted += usize::from(ok);
            tally.refused += usize::from(!ok);
            tally.doubtful += usize::from(!ok && doubt);
            tally.lost += usize::from(ok && copies.is_empty());
            tally.untold += usize::from(!ok && !doubt && !copies.is_empty());
            tally.damaged += copies.iter().filter(|copy| !copy.whole).count();
            tally.duplicates += copies.len().saturating_sub(1);
            tally.unexplained += copies.iter().rev().skip(1).filter(|copy| !copy.cut_off).count();
            if ok && copies.is_empty() || !ok && !doubt && !copies.is_empty() {
                eprintln!("{told:?} arrived {} times", copies.len());
            }
        }
        assert!(arrived.is_empty(), "nobody submitted {:?}", arrived.keys());
        tally
    }

    /// Nothing is lost, damaged, or kept without saying so, and every duplicate is one that cannot be avoided.
    #[track_caller]
    pub fn check(&self, copies: &[Copy]) -> Tally {
        let tally = self.settle(copies);
        let faults = (tally.lost, tally.damaged, tally.untold, tally.unexplained);
        assert_eq!(faults, (0, 0, 0, 0), "{tally:?}");
        tally
    }
}

/// A message by its id, whose last part is the number of its lines.
pub fn mail(id: &str) -> String {
    format!(
        "From: shop@example.com\nTo: you@example.org\nMessage-ID: <{id}@crash.example>\nSubject: message {id}\n\n{}",
        body(id)
    )
}

fn body(id: &str) -> String {
    let lines: usize = id.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default();
    let line = |number| format!("{number} of {id}, with some sixty octets of text in it\n");
    let text: String = (0..lines).map(line).collect();
    format!("{text}.\n..two dots\n\nthe end of {id}\n")
}

/// A copy, from the text that a server took.
pub fn copy(text: &[u8], cut_off: bool) -> Copy {
    let text = String::from_utf8_lossy(text).replace("\r\n", "\n");
    let id = text.split_once("Message-ID: <").and_then(|(_, rest)| rest.split_once("@crash.example>"));
    let id = id.map_or_else(|| panic!("no id in {text}"), |(id, _)| id.to_owned());
    let whole = text.split_once("\n\n").is_some_and(|(_, is)| is == body(&id));
    Copy { id, whole, cut_off }
}

/// All copies that the scripted server took, in the order of its connections.
pub fn copies(connections: &[Connection]) -> Vec<Copy> {
    let of = |connection: &Connection| {
        let count = connection.messages.len();
        let copy = |(at, message): (usize, &crate::support::server::Message)| {
            copy(&message.text, at + 1 == count && !connection.quit)
        };
        connection.messages.iter().enumerate().map(copy).collect::<Vec<_>>()
    };
    connections.iter().flat_map(of).collect()
}
