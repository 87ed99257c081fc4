//! cron: whether its jobs find `sendmail` in their PATH, and whether its mail reaches a person. Files that cannot be read
//! are passed over.

use super::finding::Finding;
use super::{Scene, programs};
use crate::message::address::Address;
use crate::sys::owners::quoted;
use std::path::{Path, PathBuf};

const AREA: &str = "cron";
/// The PATH of a job where the table sets none.
const USUAL: &str = "/usr/bin:/bin";

/// Tables of the system and of users.
const TABLES: [&str; 4] = ["/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*"];

/// All tables of the machine.
pub(super) fn tables(scene: &Scene<'_>) -> Vec<(PathBuf, String)> {
    let files = TABLES.iter().flat_map(|pattern| scene.root.fitting(pattern));
    files.filter_map(|file| Some((file.clone(), scene.root.text(&file)?))).collect()
}

/// A line of a table.
#[derive(Debug, PartialEq, Eq)]
enum Line<'t> {
    /// `NAME=value`, without quotes.
    Variable(&'t str, &'t str),
    /// A job; the schedule too.
    Job(&'t str),
}

fn lines(text: &str) -> impl Iterator<Item = (usize, Line<'_>)> {
    text.lines().enumerate().filter_map(|(number, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let variable = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let is_name = |name: &str| name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
        let line = match variable {
            Some((name, value)) if is_name(name) && !name.is_empty() => {
                Line::Variable(name, value.trim_matches(['"', '\'']))
            }
            _ => Line::Job(line),
        };
        Some((number + 1, line))
    })
}

/// Words of a job that are one of ours by a bare name.
fn bare_program(job: &str) -> Option<&'static str> {
    let mut words = job.split(|c: char| c.is_whitespace() || "|;&()`\"'".contains(c));
    words.find_map(|word| ["sendmail", "msmtp", "mailq", "postrider"].into_iter().find(|name| *name == word))
}

/// Looks at every table.
pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let tables = tables(scene);
    let before = findings.len();
    let mut reaches_root = tables.is_empty();
    for (file, text) in &tables {
        let mut path = USUAL.to_owned();
        let mut mailto = None;
        for (number, line) in lines(text) {
            let place = format!("{}:{number}", file.display());
            match line {
                Line::Variable("PATH", value) => path = value.to_owned(),
                Line::Variable("MAILTO", value) => {
                    mailto = Some(value);
                    findings.extend(mail_to(value).map(|finding| finding.at(&place)));
                }
                Line::Variable(..) => {}
                Line::Job(job) => {
                    findings.extend(unfound(scene, job, &path).map(|finding| finding.at(&place)));
                    reaches_root |= mailto.is_some();
                }
            }
        }
    }
    if !reaches_root {
        findings.extend(of_root(scene));
    }
    if findings.len() == before {
        findings.push(Finding::ok(AREA, format!("{} tables, nothing wrong in them", tables.len())));
    }
}

fn unfound(scene: &Scene<'_>, job: &str, path: &str) -> Option<Finding> {
    let name = bare_program(job)?;
    if programs::search(scene.root, name, path.split(':')).is_some() {
        return None;
    }
    let place = programs::search(scene.root, name, programs::PATH)?;
    let directory = place.parent().unwrap_or(Path::new("/usr/sbin")).display();
    let what = format!("the job calls {name}, which its PATH ({path}) does not find; it is {}", place.display());
    Some(Finding::warning(AREA, what).fix(format!("PATH={directory}:{path} in a line above the job")))
}

/// What is to be said of a MAILTO.
fn mail_to(value: &str) -> Option<Finding> {
    if value.is_empty() {
        return Some(Finding::ok(AREA, "MAILTO is empty: what these jobs print goes to nobody"));
    }
    let bad = value.split(',').map(str::trim).find(|one| one.contains('@') && Address::parse(one).is_err())?;
    Some(Finding::error(AREA, format!("MAILTO: {bad} is no address")).fix("MAILTO=you@example.com"))
}

/// Mail to root must be somebody's.
fn of_root(scene: &Scene<'_>) -> Option<Finding> {
    let local = &scene.config.local;
    let source = local.aliases.as_ref();
    let text = source.and_then(|source| scene.root.text(&source.path)).unwrap_or_default();
    let named = text.lines().filter_map(|line| line.split_once(':')).any(|(name, to)| {
        let name = name.trim();
        (name.eq_ignore_ascii_case("root") || name.eq_ignore_ascii_case("default")) && !to.trim().is_empty()
    });
    if named || local.default_recipient.is_some() {
        return None;
    }
    let file = source.map_or_else(|| scene.root.at("/etc/aliases"), |source| source.path.clone());
    let domain = scene.around.domain(scene.config);
    let what = format!("cron's mail goes to root, which is no alias: it is sent to root@{domain}");
    // The last line of a file may lack its end.
    let fix = format!("printf '\\nroot: you@example.com\\n' >>{}", quoted(&file));
    Some(Finding::warning(AREA, what).at(file.display()).run(fix))
}

/// Whether a job runs the caller's own queue (`sendmail -q`).
pub(super) fn flushes(scene: &Scene<'_>) -> bool {
    let is_run = |job: &str| {
        let words: Vec<&str> = job.split_ascii_whitespace().collect();
        words
            .windows(2)
            .any(|pair| (pair[0].ends_with("sendmail") || pair[0].ends_with("postrider")) && pair[1].starts_with("-q"))
    };
    tables(scene).iter().any(|(_, text)| lines(text).any(|(_, line)| matches!(line, Line::Job(job) if is_run(job))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_table() {
        let text = "# x\nPATH = \"/bin\"\n\nMAILTO=\"\"\n*/5 * * * * root A=b sendmail -q\n@daily x\n";
        let found: Vec<_> = lines(text).collect();
        assert_eq!(found[0], (2, Line::Variable("PATH", "/bin")));
        assert_eq!(found[1], (4, Line::Variable("MAILTO", "")));
        assert_eq!(found[2], (5, Line::Job("*/5 * * * * root A=b sendmail -q")));
        assert_eq!(found[3], (6, Line::Job("@daily x")));
    }

    #[test]
    fn programs_in_jobs() {
        assert_eq!(bare_program("* * * * * echo x | sendmail -t"), Some("sendmail"));
        assert_eq!(bare_program("* * * * * x;(msmtp a)"), Some("msmtp"));
        assert_eq!(bare_program("* * * * * /usr/sbin/sendmail -t"), None);
        assert_eq!(bare_program("* * * * * mysendmail"), None);
    }

    #[test]
    fn where_mail_goes() {
        assert!(mail_to("a@b.test, root").is_none());
        assert!(mail_to("a b@c").is_some_and(|finding| finding.fix.is_some()));
    }
}
