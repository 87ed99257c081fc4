//! Which program `sendmail` really is: the usual places, the links behind them, and what the file at their end holds.
//!
//! No program is run: a name and a few words in the file tell them apart.

use super::Scene;
use super::finding::Finding;
use super::root::Root;
use crate::sys::files;
use crate::sys::owners::quoted;
use std::path::{Path, PathBuf};

const AREA: &str = "sendmail";

/// Where callers expect it.
const PLACES: [&str; 2] = ["/usr/sbin/sendmail", "/usr/lib/sendmail"];
/// Where a bare name is looked for, as most services have it.
pub(super) const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Names that a link may end at, and whose they are.
const NAMES: [(&str, &str); 14] = [
    ("postrider", "postrider"),
    ("postrider-sendmail", "postrider"),
    ("sendmail.postfix", "postfix"),
    ("sendmail.exim", "exim"),
    ("exim4", "exim"),
    ("exim", "exim"),
    ("sendmail.sendmail", "sendmail"),
    ("msmtp", "msmtp"),
    ("ssmtp", "ssmtp"),
    ("esmtp", "esmtp"),
    ("dma", "dma"),
    ("smtpctl", "opensmtpd"),
    ("nullmailer-inject", "nullmailer"),
    ("busybox", "busybox"),
];

/// What only the program itself has in its file; the first that is there decides.
const WORDS: [(&[u8], &str); 8] = [
    (b"POSTRIDER1\n", "postrider"),
    (b"postrider", "postrider"),
    (b"postdrop", "postfix"),
    (b"Exim version", "exim"),
    (b"ssmtp.conf", "ssmtp"),
    (b"nullmailer", "nullmailer"),
    (b"msmtprc", "msmtp"),
    (b"Sendmail", "sendmail"),
];

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// This program.
    Ours,
    /// Another one, by its name, and where it is.
    Other(&'static str, PathBuf),
    /// What no name or word tells, and where it is.
    Unknown(PathBuf),
    /// Nothing, or a link that leads nowhere.
    Missing,
}

impl Program {
    /// In words, behind "is".
    pub(super) fn words(&self) -> String {
        match self {
            Self::Ours => "postrider".into(),
            Self::Other(name, path) => format!("{name} ({})", path.display()),
            Self::Unknown(path) => format!("a program of another kind ({})", path.display()),
            Self::Missing => "missing".into(),
        }
    }
}

/// Looks at a program.
pub(super) fn identify(root: &Root, path: &Path) -> Program {
    let Some(end) = root.resolve(path) else { return Program::Missing };
    if !end.exists() {
        return Program::Missing;
    }
    let name = end.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let known = NAMES.iter().find(|(own, _)| *own == name).map(|(_, whose)| *whose);
    let words: Vec<&[u8]> = WORDS.iter().map(|(word, _)| *word).collect();
    let held = || files::first_word(&end, &words).ok().flatten().map(|index| WORDS[index].1);
    match known.or_else(held) {
        Some("postrider") => Program::Ours,
        Some(name) => Program::Other(name, end),
        None => Program::Unknown(end),
    }
}

/// Where a program by that name is found in the directories of a PATH.
pub(super) fn search<'d>(root: &Root, name: &str, path: impl IntoIterator<Item = &'d str>) -> Option<PathBuf> {
    path.into_iter().map(|directory| Path::new(directory).join(name)).find(|place| root.exists(place))
}

/// Every `sendmail` of the machine.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let root = scene.root;
    let mut places: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
    places.extend(PATH.iter().map(|directory| Path::new(directory).join("sendmail")));
    let (first, mut seen) = (places[0].clone(), Vec::new());
    for place in places.into_iter().filter(|place| *place == first || root.exists(place)) {
        let end = root.resolve(&place).and_then(|end| end.canonicalize().ok()).unwrap_or_else(|| root.at(&place));
        if seen.contains(&end) {
            continue;
        }
        seen.push(end);
        let shown = root.at(&place);
        let (own, place_of) = (own_sendmail(root), quoted(&shown));
        // What is there is another package's: it is set aside.
        let link = match std::fs::symlink_metadata(&shown) {
            Ok(_) => format!("mv -n {place_of} {place_of}.before-postrider && ln -s {} {place_of}", quoted(&own)),
            Err(_) => format!("ln -s {} {place_of}", quoted(&own)),
        };
        findings.push(match identify(root, &place) {
            Program::Ours => Finding::ok(AREA, "is postrider").at(shown.display()),
            Program::Missing => Finding::error(AREA, "is missing, and PHP, cron and most programs call it")
                .at(shown.display())
                .run(link),
            other => {
                let what = format!("is {}: programs that call it do not send by postrider", other.words());
                Finding::warning(AREA, what).at(shown.display()).run(link)
            }
        });
    }
}

/// The small program where it is installed, else the other.
fn own_sendmail(root: &Root) -> PathBuf {
    let found = ["postrider-sendmail", "postrider"].into_iter().find_map(|name| search(root, name, PATH));
    found.unwrap_or_else(|| "/usr/local/bin/postrider".into())
}
