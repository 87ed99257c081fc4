//! sendmail's alias format, as in aliases(5): `name: target, target`, lines that begin with white space (or follow a
//! backslash at a line's end) go on with the one before, `#` begins a comment, names and targets may stand in quotes.
//!
//! Targets: an address, a local name, `\name`, `:include:/file`. `|command` and `/file` are refused, and told.

use super::{Entry, Fault, Include, Problem, Target, address, name, refused};
use crate::config::Place;
use std::collections::HashMap;
use std::path::Path;

/// The deepest include within includes.
const INCLUDES: usize = 8;
/// The most targets of a file and of all that it includes.
const TARGETS: usize = 100_000;
const INCLUDE: &str = ":include:";

/// Reads a text.
pub(super) fn parse(text: &str, file: &Path, include: &mut Include<'_>) -> (HashMap<String, Entry>, Vec<Fault>) {
    let mut reader = Reader { include, targets: 0 };
    let (mut entries, mut faults) = (HashMap::<String, Entry>::new(), Vec::new());
    for (number, line) in logical(text) {
        let place = Place::new(file, number);
        let mut fault = |name: &str, problem| faults.push(Fault { place: place.clone(), name: name.into(), problem });
        if line.starts_with([' ', '\t']) {
            fault("", Problem::Syntax("the line goes on with one before it, and there is none".into()));
            continue;
        }
        let Some((own, rest)) = cut(&line) else {
            fault("", Problem::Syntax("an alias line is `name: address, address`".into()));
            continue;
        };
        let key = match name(own) {
            Ok(key) => key.to_lowercase(),
            Err(why) => {
                fault("", Problem::Syntax(why));
                continue;
            }
        };
        if let Some(first) = entries.get(&key) {
            fault(own, Problem::Syntax(format!("it stands twice; the line that counts is {}", first.place.line)));
            continue;
        }
        let (mut targets, mut problems) = (Vec::new(), Vec::new());
        reader.targets(rest, 0, &mut targets, &mut problems);
        if targets.is_empty() && problems.is_empty() {
            problems.push(Problem::Syntax("it leads to nobody; give at least one address".into()));
        }
        problems.iter().for_each(|problem| fault(own, problem.clone()));
        // Mail to it is refused, with the reason: a part of its recipients would not be the alias.
        targets.extend(problems.into_iter().take(1).map(Target::Refused));
        entries.insert(key, Entry { place, targets });
    }
    (entries, faults)
}

/// The lines with those that go on with them, and the number of the first.
fn logical(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut joined = false;
    for (number, line) in text.lines().enumerate() {
        let comment = line.trim_start().starts_with('#') || line.trim().is_empty();
        if comment && !joined {
            continue;
        }
        // A comment ends its own line, not those that go on with it.
        let line = without_comment(line);
        let (line, more) = match line.trim_end().strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line.trim_end(), false),
        };
        match lines.last_mut() {
            Some((_, last)) if joined || line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            _ => lines.push((number + 1, line.to_owned())),
        }
        joined = more;
    }
    lines
}

/// A line at its first colon outside quotes.
fn cut(line: &str) -> Option<(&str, &str)> {
    let at = outside(line).find(|(_, c)| *c == ':').map(|(at, _)| at)?;
    Some((line[..at].trim(), &line[at + 1..]))
}

/// The characters outside quotes, with their places.
fn outside(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().filter(move |(_, c)| {
        let was = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        !was && !quoted
    })
}

/// A line up to the `#` that begins a comment: outside quotes, behind white space or a comma.
fn without_comment(line: &str) -> &str {
    let begins = |at: usize| at == 0 || line[..at].ends_with([' ', '\t', ',']);
    let end = outside(line).find(|(at, c)| *c == '#' && begins(*at)).map_or(line.len(), |(at, _)| at);
    &line[..end]
}

/// The targets between commas.
fn split(text: &str) -> Vec<&str> {
    let mut from = 0;
    let mut parts = Vec::new();
    for (at, _) in outside(text).filter(|(_, c)| *c == ',') {
        parts.push(text[from..at].trim());
        from = at + 1;
    }
    parts.push(text[from..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

struct Reader<'r, 'i> {
    include: &'r mut Include<'i>,
    targets: usize,
}

impl Reader<'_, '_> {
    fn targets(&mut self, text: &str, depth: usize, out: &mut Vec<Target>, problems: &mut Vec<Problem>) {
        for part in split(text) {
            self.targets += 1;
            if self.targets > TARGETS {
                problems.push(Problem::Syntax(format!("the file has more than {TARGETS} targets")));
                return;
            }
            let bare = unquoted(part);
            let part = bare.as_deref().unwrap_or(part);
            if let Some(path) = part.get(..INCLUDE.len()).filter(|start| start.eq_ignore_ascii_case(INCLUDE)) {
                self.included(part[path.len()..].trim(), depth, out, problems);
                continue;
            }
            let target = match part.strip_prefix('\\') {
                Some(literal) => name(literal).map(Target::Literal).map_err(Problem::Syntax),
                None => match refused(part) {
                    Some(Target::Refused(problem)) => Err(problem),
                    _ => address(part).map_err(Problem::Syntax),
                },
            };
            match target {
                Ok(target) => out.push(target),
                Err(problem) => problems.push(problem),
            }
        }
    }

    /// The addresses of another file: a line each, or several with commas.
    fn included(&mut self, path: &str, depth: usize, out: &mut Vec<Target>, problems: &mut Vec<Problem>) {
        let mut fault =
            |why: String| problems.push(Problem::Include(format!("{INCLUDE}{}: {why}", super::shown(path))));
        if !path.starts_with('/') {
            return fault("an absolute path is needed".into());
        }
        if depth >= INCLUDES {
            return fault(format!("more than {INCLUDES} files include one another"));
        }
        let text = match (self.include)(Path::new(path)) {
            Ok(text) => text,
            Err(why) => return fault(why),
        };
        let before = problems.len();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            self.targets(without_comment(line), depth + 1, out, problems);
            if self.targets > TARGETS {
                break;
            }
        }
        // The line of the alias is known, and this says which file it was.
        for problem in &mut problems[before..] {
            if let Problem::Syntax(why) = problem {
                *problem = Problem::Include(format!("{INCLUDE}{}: {why}", super::shown(path)));
            }
        }
    }
}

/// The inside of a target that is quoted as a whole, where that is no address: a program with commas, an include.
fn unquoted(part: &str) -> Option<String> {
    let inside = part.strip_prefix('"')?.strip_suffix('"')?;
    inside.starts_with(['|', '/', ':', '\\']).then(|| {
        let mut out = String::new();
        let mut chars = inside.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' if !out.is_empty() => out.extend(chars.next()),
                _ => out.push(c),
            }
        }
        out
    })
}
